import type { DirectAddress } from '../direct/address.js'
import type { Refused, Undecided } from '../direct/refusal.js'
import { refused } from '../direct/refusal.js'
import type { Signer } from '../direct/signer.js'
import type { RecipientVerdict, TrailStep } from '../direct/verdict.js'
import type { Directory } from '../directory/directory.js'
import type { DomainPolicy } from '../directory/policy.js'
import type { Mailbox } from '../mailbox/mailbox.js'
import { readHeader } from '../mime/header.js'
import type { Audit } from '../ports/audit.js'
import type { Blobs } from '../ports/blobs.js'
import { gather } from '../ports/body.js'
import type { OwnedKey } from '../ports/keys.js'
import type { Log, Metrics } from '../ports/observe.js'
import type { Store } from '../ports/store.js'
import type { Issuers, Revocation } from '../ports/trust.js'
import type { Clock } from '../ports/world.js'
import type { PatientRecord } from '../record/record.js'
import type { Quarantine } from '../spool/quarantine.js'
import type { Spool } from '../spool/spool.js'
import type { SpooledJob } from '../spool/spooled.js'
import type { Trail } from '../spool/trail.js'
import { decideTrust } from '../trust/decide.js'
import { checkRouting } from '../trust/routing.js'
import { senderOf } from '../trust/sender.js'
import type { Notices } from './notices.js'
import { trustPolicyOf } from './policy.js'
import { settle } from './settle.js'
import { type OpenedMail, type ReadMail, StepFailed, type Steps, type WireBody } from './steps.js'

export interface InboundPorts {
  readonly store: Store
  readonly blobs: Blobs
  readonly spool: Spool
  readonly trail: Trail
  readonly quarantine: Quarantine
  readonly directory: Directory
  readonly mailbox: Mailbox
  readonly record: PatientRecord
  readonly revocation: Revocation
  readonly issuers: Issuers
  readonly steps: Steps
  readonly notices: Notices
  readonly audit: Audit
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
}

/** How long an undecided message waits, and how often it is looked at meanwhile. */
export interface UndecidedPolicy {
  /** From the 250 on; less than the hour after which senders report failure (Delivery Notification IG §1.2). */
  readonly deadlineMs: number
  /** Waits between tries; the last one repeats. */
  readonly retryMs: readonly number[]
}

export const undecidedPolicy: UndecidedPolicy = {
  deadlineMs: 45 * 60_000,
  retryMs: [10_000, 30_000, 60_000, 120_000, 300_000],
}

/** How often a message may kill the thread that opens it before it is taken for the cause. */
const openTries = 3

/** One recipient's verdict, from whichever step it came. */
export type Verdict =
  | Extract<RecipientVerdict, { kind: 'trusted' }>
  | ((Refused | Undecided) & {
      readonly recipient: DirectAddress
      readonly candidates?: RecipientVerdict['candidates']
    })

/** What judging a message came to: a verdict for each recipient that waited, and the mail itself if somebody trusts it. */
export interface Judged {
  readonly at: number
  readonly steps: readonly TrailStep[]
  readonly verdicts: readonly Verdict[]
  readonly mail?: { readonly opened: OpenedMail; readonly read: ReadMail; readonly from: DirectAddress }
}

/**
 * Turns one spooled message into mail, record items and owed notices, or into quarantine, per recipient; what cannot be
 * decided now stays spooled. Everything becomes true in one commit, so it is safe to run again after a crash at any line.
 * Throws StoreFailed when the store does, and StepFailed when a step died; the job then comes back by itself.
 */
export async function receive(spooled: SpooledJob, ports: InboundPorts, waiting = undecidedPolicy): Promise<void> {
  const judged = await judge(spooled, ports)
  await settle(spooled, judged, ports, waiting)
}

/** The specification's steps in their order; the first refusal that concerns everyone ends them. */
async function judge(spooled: SpooledJob, ports: InboundPorts): Promise<Judged> {
  const { directory, steps } = ports
  const at = ports.clock.now()
  const trail: TrailStep[] = []
  const everyone = (outcome: Refused | Undecided): Judged => ({
    at,
    steps: trail,
    verdicts: spooled.pending.map((recipient) => ({ ...outcome, recipient })),
  })

  const keys = await keysOf(spooled.pending, directory)
  if (keys.kind === 'undecided') return everyone(keys)
  const policies = await policiesOf(spooled.pending, directory)

  // Decrypt, then verify every signer: RFC 5652 §6.3, §5.6.
  const body = await wireBody(spooled, ports)
  if (body.kind === 'refused') return everyone(body)
  const allowSha1 = [...policies.values()].some((policy) => policy.allowSha1)
  const opened = await open(spooled, () => steps.open(body, keys.keys, { allowSha1 }))
  if (opened.kind === 'refused') return everyone(opened)
  trail.push(...openedSteps(opened, at))

  // Who speaks: the one From address, RFC 5322 §3.6.2.
  const header = readHeader(opened.message)
  if (header.kind === 'unreadable') return everyone(refused('malformed-message', header.detail))
  const from = senderOf(header)
  if (from.kind === 'refused') return everyone(from)

  const isNotice = opened.notice.kind !== 'none'
  const verdicts: Verdict[] = []
  for (const [recipient, policy] of policies) {
    if (!(await directory.addresses.isServed(recipient))) {
      verdicts.push({ ...refused('unknown-recipient', 'the address is not served any more'), recipient })
      continue
    }
    // The envelope against the signed header: ANSI/DS 2019-01-100-2021.
    const [routing] = checkRouting(
      header,
      { mailFrom: spooled.envelope.mailFrom, rcptTo: [recipient] },
      isNotice,
      policy.routingTamper,
    )
    if (routing?.kind === 'refused') {
      verdicts.push({ ...refused(routing.reason, routing.detail), recipient })
      continue
    }
    // May one of these signers speak for this sender to this recipient? RFC 5280 §6.1.
    const verdict = await decideTrust(
      {
        recipient,
        sender: from.address,
        signers: acceptable(opened.signers, policy),
        bag: opened.certificates,
        at,
        direction: isNotice ? 'notice' : 'in',
      },
      { anchors: directory.anchors, revocation: ports.revocation, issuers: ports.issuers },
      trustPolicyOf(policy),
    )
    verdicts.push(
      routing?.kind === 'warned' && verdict.kind === 'trusted'
        ? { ...verdict, warnings: [...verdict.warnings, routing.reason] }
        : verdict,
    )
  }

  // Only now is the content looked at, and only if somebody trusts it.
  if (!verdicts.some((verdict) => verdict.kind === 'trusted')) return { at, steps: trail, verdicts }
  return { at, steps: trail, verdicts, mail: { opened, read: await steps.read(opened.message), from: from.address } }
}

async function keysOf(
  recipients: readonly DirectAddress[],
  { keys }: Directory,
): Promise<{ kind: 'keys'; keys: readonly OwnedKey[] } | Undecided> {
  const all = new Map<string, OwnedKey>()
  for (const recipient of recipients) {
    const found = await keys.toDecrypt(recipient)
    if ('kind' in found) return found
    for (const key of found) all.set(key.id, key)
  }
  return { kind: 'keys', keys: [...all.values()] }
}

async function policiesOf(recipients: readonly DirectAddress[], { domains }: Directory) {
  return new Map(
    await Promise.all(recipients.map(async (recipient) => [recipient, await domains.policyOf(recipient)] as const)),
  )
}

/** Where a worker finds the ciphertext: a file it reads by itself when the message is large and the blobs have paths. */
async function wireBody({ body }: SpooledJob, { spool, blobs }: InboundPorts): Promise<WireBody | Refused> {
  const path = body.kind === 'blob' ? blobs.path(body.name) : undefined
  if (body.kind === 'blob' && path !== undefined) return { kind: 'file', path, sizeBytes: body.sizeBytes }
  const chunks = await spool.bytes(body)
  return chunks
    ? { kind: 'bytes', bytes: await gather(chunks) }
    : refused('malformed-message', 'the spooled bytes are gone')
}

/** A message that kills its thread again and again is refused, so that it cannot hold up the others for ever. */
async function open(spooled: SpooledJob, step: () => Promise<OpenedMail | Refused>): Promise<OpenedMail | Refused> {
  try {
    return await step()
  } catch (error) {
    if (error instanceof StepFailed && spooled.attempt >= openTries)
      return refused('malformed-cms', `opening it failed ${spooled.attempt} times: ${error.message}`)
    throw error
  }
}

/** The message was opened under the laxest policy of its recipients; this one may be stricter. */
function acceptable(signers: readonly Signer[], { allowSha1 }: DomainPolicy): readonly Signer[] {
  return signers.map((signer) =>
    signer.kind === 'verified' && signer.digest === 'sha1' && !allowSha1
      ? { kind: 'unverified', certificate: signer.certificate, reason: 'weak-digest', detail: 'sha1' }
      : signer,
  )
}

function openedSteps({ contentCipher, keyTransport, keyId, wrapped, signers }: OpenedMail, at: number): TrailStep[] {
  const verified = signers.map((signer) =>
    signer.kind === 'verified' ? `${signer.signature} with ${signer.digest}` : signer.reason,
  )
  return [
    {
      at,
      step: 'opened',
      detail: `${contentCipher}, ${keyTransport}, key ${keyId.slice(0, 16)}, ${wrapped ? 'wrapped' : 'not wrapped'}`,
    },
    { at, step: 'verified', detail: verified.join('; ') },
  ]
}
