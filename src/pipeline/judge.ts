import { createHash } from 'node:crypto'
import type { DirectAddress } from '../direct/address.js'
import { type Refused, refused, type Undecided } from '../direct/refusal.js'
import type { Signer } from '../direct/signer.js'
import type { RecipientVerdict, TrailStep } from '../direct/verdict.js'
import type { Directory } from '../directory/directory.js'
import type { DomainPolicy } from '../directory/policy.js'
import { type Header, readHeader } from '../mime/header.js'
import type { OwnedKey } from '../ports/keys.js'
import type { SpooledJob } from '../spool/spooled.js'
import { decideTrust } from '../trust/decide.js'
import { checkRouting } from '../trust/routing.js'
import { senderOf } from '../trust/sender.js'
import type { InboundPorts } from './inbound.js'
import { keysToOpen } from './keys.js'
import { openWithin, readWithin } from './patience.js'
import { trustPolicyOf } from './policy.js'
import type { OpenedMail, ReadMail, WireBody } from './steps.js'

/** A message as its recipients get it. */
export interface Mail {
  readonly opened: OpenedMail
  readonly from: DirectAddress
  readonly read: ReadMail
}

export type TrustedVerdict = Extract<RecipientVerdict, { kind: 'trusted' }>

/** One recipient's verdict without a delivery, from whichever step it came. */
export type Withheld = (Refused | Undecided) & {
  readonly recipient: DirectAddress
  readonly candidates?: RecipientVerdict['candidates']
}

export type Verdict = (TrustedVerdict & { readonly mail: Mail }) | Withheld

/** What judging a message came to: a verdict for each recipient that waited. */
export interface Judged {
  readonly at: number
  readonly steps: readonly TrailStep[]
  readonly verdicts: readonly Verdict[]
}

/**
 * Judges a message for every recipient that waits. It is opened with the keys of the recipient alone: that somebody else
 * here could open it gives nobody the right to read it. Recipients with the same keys are judged together.
 * Throws TryAgain and StepNotBegun where a step gave no answer.
 */
export async function judge(spooled: SpooledJob, ports: InboundPorts): Promise<Judged> {
  const { addresses } = ports.directory
  const at = ports.clock.now()
  const steps: TrailStep[] = []
  const verdicts: Verdict[] = []

  const served: DirectAddress[] = []
  for (const recipient of spooled.pending) {
    if (await addresses.isServed(recipient)) served.push(recipient)
    else verdicts.push({ ...refused('unknown-recipient', 'the address is not served any more'), recipient })
  }
  const body = await wireBody(spooled, ports)
  const read = readOnce((message) => readWithin(spooled, ports.steps, message))
  for (const group of await byKeys(served, ports.directory)) {
    const judged =
      body.kind === 'refused'
        ? { steps: [], verdicts: forEach(group.recipients, body) }
        : await judgeTogether(spooled, body, group, at, ports, read)
    steps.push(...judged.steps)
    verdicts.push(...judged.verdicts)
  }
  return { at, steps, verdicts }
}

/** Recipients who have the same keys. */
interface KeyHolders {
  readonly recipients: readonly DirectAddress[]
  readonly keys: readonly OwnedKey[] | Undecided
}

/** The specification's steps in their order; the first refusal that concerns everyone ends them. */
async function judgeTogether(
  spooled: SpooledJob,
  body: WireBody,
  { recipients, keys }: KeyHolders,
  at: number,
  ports: InboundPorts,
  read: (message: Uint8Array) => Promise<ReadMail>,
): Promise<Omit<Judged, 'at'>> {
  const everyone = (outcome: Refused | Undecided, steps: readonly TrailStep[] = []) => ({
    steps,
    verdicts: forEach(recipients, outcome),
  })
  if ('kind' in keys) return everyone(keys)
  const policies = await policiesOf(recipients, ports.directory)

  // Decrypt, then verify every signer: RFC 5652 §6.3, §5.6.
  const allowSha1 = [...policies.values()].some((policy) => policy.allowSha1)
  const opened = await openWithin(spooled, ports.steps, body, keys, { allowSha1 })
  if (opened.kind === 'undecided') return everyone(opened)
  if (opened.kind === 'refused') return everyone((await isWhole(spooled, ports)) ? opened : damaged)
  const steps = openedSteps(opened, at)

  // Who speaks: the one From address, RFC 5322 §3.6.2.
  const header = readHeader(opened.message)
  if (header.kind === 'unreadable') return everyone(refused('malformed-message', header.detail), steps)
  const from = senderOf(header)
  if (from.kind === 'refused') return everyone(from, steps)

  const judged: (TrustedVerdict | Withheld)[] = []
  for (const [recipient, policy] of policies)
    judged.push(await judgeFor(recipient, policy, { spooled, opened, header, from: from.address, at }, ports))

  // Only now is the content looked at, and only if somebody trusts it.
  if (!judged.some(({ kind }) => kind === 'trusted')) return { steps, verdicts: judged.filter(isWithheld) }
  const mail: Mail = { opened, from: from.address, read: await read(opened.message) }
  return { steps, verdicts: judged.map((verdict) => (isWithheld(verdict) ? verdict : { ...verdict, mail })) }
}

/** A message that was opened and says who it is from, before anybody trusts it. */
interface Claim {
  readonly spooled: SpooledJob
  readonly opened: OpenedMail
  readonly header: Header
  readonly from: DirectAddress
  readonly at: number
}

async function judgeFor(
  recipient: DirectAddress,
  policy: DomainPolicy,
  { spooled, opened, header, from, at }: Claim,
  { directory, revocation, issuers }: InboundPorts,
): Promise<TrustedVerdict | Withheld> {
  // The envelope against the signed header: ANSI/DS 2019-01-100-2021.
  const isNotice = opened.notice.kind !== 'none'
  const { mailFrom } = spooled.envelope
  const [routing] = checkRouting(header, { mailFrom, rcptTo: [recipient] }, isNotice, policy.routingTamper)
  if (routing?.kind === 'refused') return { ...refused(routing.reason, routing.detail), recipient }

  // May one of these signers speak for this sender to this recipient? RFC 5280 §6.1.
  const verdict = await decideTrust(
    {
      recipient,
      sender: from,
      signers: acceptable(opened.signers, policy),
      bag: opened.certificates,
      at,
      direction: isNotice ? 'notice' : 'in',
    },
    { anchors: directory.anchors, revocation, issuers },
    trustPolicyOf(policy, 'signer'),
  )
  return routing?.kind === 'warned' && verdict.kind === 'trusted'
    ? { ...verdict, warnings: [...verdict.warnings, routing.reason] }
    : verdict
}

function isWithheld(verdict: TrustedVerdict | Withheld): verdict is Withheld {
  return verdict.kind !== 'trusted'
}

function forEach(recipients: readonly DirectAddress[], outcome: Refused | Undecided): readonly Withheld[] {
  return recipients.map((recipient) => ({ ...outcome, recipient }))
}

async function byKeys(recipients: readonly DirectAddress[], directory: Directory): Promise<KeyHolders[]> {
  const groups = new Map<string, { readonly recipients: DirectAddress[]; readonly keys: KeyHolders['keys'] }>()
  for (const recipient of recipients) {
    const keys = await keysToOpen(recipient, directory)
    const name = 'kind' in keys ? keys.cause : keys.map(({ id }) => id).join(' ')
    const group = groups.get(name) ?? { recipients: [], keys }
    group.recipients.push(recipient)
    groups.set(name, group)
  }
  return [...groups.values()]
}

async function policiesOf(recipients: readonly DirectAddress[], { domains }: Directory) {
  return new Map(
    await Promise.all(recipients.map(async (recipient) => [recipient, await domains.policyOf(recipient)] as const)),
  )
}

/** Where a worker finds the ciphertext: in the job, in a file it reads by itself, or in memory that it shares with us. */
async function wireBody({ body }: SpooledJob, { spool, blobs }: InboundPorts): Promise<WireBody | Refused> {
  if (body.kind === 'inline') return { kind: 'bytes', bytes: body.bytes }
  const path = blobs.path(body.name)
  if (path !== undefined && (await blobs.size(body.name)) !== undefined)
    return { kind: 'file', path, offset: body.offset, sizeBytes: body.sizeBytes }
  const chunks = path === undefined ? await spool.bytes(body) : undefined
  if (!chunks) return refused('spool-damaged', 'the spooled bytes are gone')
  // Shared, since handing 30 MB over as a copy holds the main thread for tens of milliseconds.
  const bytes = new Uint8Array(new SharedArrayBuffer(body.sizeBytes))
  let filled = 0
  for await (const chunk of chunks) {
    if (filled + chunk.length > bytes.length) return damaged
    bytes.set(chunk, filled)
    filled += chunk.length
  }
  return filled === bytes.length ? { kind: 'bytes', bytes } : damaged
}

const damaged = refused('spool-damaged', 'the spooled bytes are not those that were acknowledged')

/** Whether the bytes are still those of the 250; asked only where they cannot be opened, since CMS notices any change. */
async function isWhole({ body, sha256 }: SpooledJob, { spool }: InboundPorts): Promise<boolean> {
  const hash = createHash('sha256')
  for await (const chunk of (await spool.bytes(body)) ?? []) hash.update(chunk)
  return hash.digest('hex') === sha256
}

/** Several sets of keys open the same message: it is read once. */
function readOnce(read: (message: Uint8Array) => Promise<ReadMail>): (message: Uint8Array) => Promise<ReadMail> {
  let last: { readonly message: Uint8Array; readonly read: ReadMail } | undefined
  return async (message) => {
    if (!last || Buffer.compare(last.message, message) !== 0) last = { message, read: await read(message) }
    return last.read
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
