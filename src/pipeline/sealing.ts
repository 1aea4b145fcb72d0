import { type DirectDomain, domainOf } from '../direct/address.js'
import type { Refused, Undecided } from '../direct/refusal.js'
import type { Blobs } from '../ports/blobs.js'
import { bodyLimits } from '../ports/body.js'
import type { Batch } from '../ports/store.js'
import { enqueueOutbound, type OutboundJob } from '../spool/outbound.js'
import { contentId } from '../spool/payload.js'
import type { Submission } from '../spool/submission.js'
import { type EncryptionPorts, encryptionOf } from './encryption.js'
import type { RecipientFinding } from './recipients.js'
import type { SealRequest, Steps } from './steps.js'

/** A recipient with certificates to encrypt to. */
export type Addressed = Extract<RecipientFinding, { kind: 'good' }>

/** A message sealed once for those who could be sealed to, and what keeps the others from it. */
export interface SealedFor {
  readonly wire?: Uint8Array
  readonly sealed: readonly Addressed[]
  readonly withheld: readonly (Addressed & { readonly outcome: Refused | Undecided })[]
}

/**
 * Seals a message once to all of these recipients. Where that is refused, those whose keys cannot be encrypted to are found
 * one by one and left out, so that nobody's odd key keeps a message from the others.
 */
export async function sealFor(
  addressed: readonly Addressed[],
  request: Omit<SealRequest, 'recipients' | 'encryption' | 'outer'> & {
    readonly outer: Omit<SealRequest['outer'], 'to'>
  },
  { steps, ...ports }: EncryptionPorts & { readonly steps: Pick<Steps, 'seal'> },
): Promise<SealedFor> {
  const encryption = await encryptionOf(
    addressed.map(({ recipient }) => recipient),
    ports,
  )
  const attempt = (to: readonly Addressed[], message: Uint8Array) =>
    steps.seal({
      ...request,
      ...encryption(to),
      message,
      outer: { ...request.outer, to: to.map(({ recipient }) => recipient) },
    })
  const all = await attempt(addressed, request.message)
  if (all.kind === 'sealed') return { wire: all.wire, sealed: addressed, withheld: [] }
  const without = (outcome: Refused | Undecided): SealedFor => ({
    sealed: [],
    withheld: addressed.map((one) => ({ ...one, outcome })),
  })
  if (all.kind === 'undecided' || addressed.length === 1) return without(all)

  const withheld: SealedFor['withheld'][number][] = []
  for (const one of addressed) {
    const alone = await attempt([one], probe)
    if (alone.kind !== 'sealed') withheld.push({ ...one, outcome: alone })
  }
  const rest = addressed.filter(({ recipient }) => !withheld.some((one) => one.recipient === recipient))
  if (withheld.length === 0 || rest.length === 0) return without(all)
  const again = await attempt(rest, request.message)
  if (again.kind === 'sealed') return { wire: again.wire, sealed: rest, withheld }
  return { sealed: [], withheld: [...withheld, ...rest.map((one) => ({ ...one, outcome: again }))] }
}

const probe = Buffer.from('Subject: \r\n\r\n')

/** A job of the outbound queue, and the parts that put it there. */
export interface Carried {
  readonly job: OutboundJob
  readonly parts: Batch
}

/** Recipients of one transaction: RFC 5321 §4.5.3.1.8 has every server take 100. */
const perTransaction = 100

/**
 * Parts that queue the sealed message, one job for each destination domain. A large one is made durable as one blob first,
 * which all of its jobs hold.
 */
export async function carriers(
  { id, mailbox, from: sender, untracked }: Submission,
  sealed: readonly Addressed[],
  wire: Uint8Array,
  at: number,
  blobs: Blobs,
): Promise<readonly Carried[]> {
  const large = wire.length > bodyLimits.inlineBytes
  // Its content key is random, so that nobody else ever puts these bytes (see Blobs.put).
  const blob = large ? { name: await blobs.put([wire]), sizeBytes: wire.length } : undefined
  // A notice goes under the null reverse-path (RFC 8098 §3).
  const from = untracked ? null : sender
  const domains = new Map<DirectDomain, Addressed[]>()
  for (const one of sealed) {
    const domain = domainOf(one.recipient)
    domains.set(domain, [...(domains.get(domain) ?? []), one])
  }
  const carried: Carried[] = []
  for (const recipients of domains.values())
    for (let first = 0; first < recipients.length; first += perTransaction) {
      const to = recipients.slice(first, first + perTransaction).map(({ recipient }) => recipient)
      const job: OutboundJob = {
        ...{ id: contentId('outbound', id, ...to), trail: id, kind: 'message', from, to, mailbox, stage: 'sealed' },
        body: blob ? new Uint8Array() : wire,
        ...(blob && { blob }),
        ...{ owedAt: at, tries: 0 },
      }
      carried.push({ job, parts: enqueueOutbound(job, at) })
    }
  return carried
}
