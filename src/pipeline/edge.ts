import type { DirectAddress } from '../direct/address.js'
import { type RefusalReason, type Refused, refused } from '../direct/refusal.js'
import type { TrailStep } from '../direct/verdict.js'
import type { Address } from '../directory/directory.js'
import type { Mailbox } from '../mailbox/mailbox.js'
import type { NewMessage } from '../mailbox/message.js'
import { writeFields } from '../mime/fields.js'
import type { Audit, AuditEntry } from '../ports/audit.js'
import { type Batch, together } from '../ports/store.js'
import type { Clock } from '../ports/world.js'
import { enqueueOutbound, type OutboundJob } from '../spool/outbound.js'
import { contentId } from '../spool/payload.js'
import type { Trail } from '../spool/trail.js'
import type { NoticeFacts, NoticeOutcome, Notices } from './notices.js'

/**
 * What lies in a mailbox and goes on to a system of its owner (`Address.edge`). The mailbox keeps the message whatever
 * becomes of it there; its sender is told `dispatched` once the system took it, where he asked for that, and `failed` when
 * it never will (Delivery Notification IG §1.3).
 */
export interface HandedOver {
  /** The mailbox's id of the message. */
  readonly id: string
  /** The spool or submission id whose trail tells of it. */
  readonly trail: string
  /** The reverse-path; null for notices (RFC 8098 §3, RFC 3464 §2). */
  readonly from: DirectAddress | null
  /** What its sender is told from; absent where he is told nothing: notices, and what we wrote ourselves. */
  readonly facts?: NoticeFacts
  /** He asked to be told of its delivery. */
  readonly asked?: boolean
}

/**
 * Parts that owe a message in the mailbox of an address to its edge, and what is said of that in its trail; undefined where
 * it has no edge. They belong into the batch that delivers it there.
 */
export async function handOver(
  { address, mailbox, edge }: Pick<Address, 'address' | 'mailbox' | 'edge'>,
  { id, trail, from, facts, asked = false }: HandedOver,
  ports: { readonly notices?: Pick<Notices, 'keep'>; readonly clock: Clock },
): Promise<{ readonly parts: Batch; readonly detail: string } | undefined> {
  if (edge === undefined) return undefined
  const at = ports.clock.now()
  const jobId = contentId('edge', mailbox, id)
  if (facts && !ports.notices) throw new TypeError('facts are kept by the notices')
  const job: OutboundJob = {
    ...{ id: jobId, trail, kind: 'edge', from, to: [address], stage: 'stored' },
    ...{ source: { mailbox, message: id }, system: edge },
    ...(asked && { asked }),
    body: (facts && (await ports.notices?.keep(jobId, facts))) ?? new Uint8Array(),
    ...{ owedAt: at, tries: 0 },
  }
  return { parts: enqueueOutbound(job, at), detail: `for ${edge}` }
}

/**
 * The X-Direct-* fields that a message brought outside its signature, as they stand in front of it on its way to a system:
 * kept for routing, and signed by nobody. What cannot stand in a header is left out.
 */
export function unsignedFieldsOf({ outerFields = [] }: Pick<NewMessage, 'outerFields'>): Uint8Array {
  const written = outerFields.map(({ name, value }) => writeFields([[name, value]]))
  return Buffer.concat(written.flatMap((one) => (one.kind === 'unsafe-field' ? [] : [one.bytes])))
}

export interface ToMailboxPorts {
  readonly mailbox: Pick<Mailbox, 'delivery' | 'has'>
  readonly trail: Pick<Trail, 'steps'>
  readonly clock: Clock
}

/**
 * Parts that deliver what we wrote ourselves, or a notice from outside, into the mailbox of an address and from there to its
 * edge, under the null reverse-path. Without `address`, or where the mailbox is not its mailbox any more, into the mailbox
 * alone. `duplicate` where it is there already: then nothing is owed anew.
 */
export async function toMailbox(
  address: Pick<Address, 'address' | 'mailbox' | 'edge'> | undefined,
  message: NewMessage,
  ports: ToMailboxPorts,
): Promise<
  | { readonly kind: 'delivery'; readonly id: string; readonly parts: Batch }
  | { readonly kind: 'duplicate'; readonly id: string }
> {
  const { id, parts } = await ports.mailbox.delivery(message)
  if (await ports.mailbox.has(message.mailbox, id)) return { kind: 'duplicate', id }
  if (address?.mailbox !== message.mailbox) return { kind: 'delivery', id, parts }
  const handed = await handOver(address, { id, trail: message.spoolId, from: null }, ports)
  if (!handed) return { kind: 'delivery', id, parts }
  const { address: recipient } = address
  const step: TrailStep = { at: ports.clock.now(), step: 'edge-queued', recipient, detail: handed.detail }
  return { kind: 'delivery', id, parts: together(parts, handed.parts, ports.trail.steps(message.spoolId, [step])) }
}

export interface EdgePorts {
  readonly notices: Pick<Notices, 'kept' | 'owe'>
  readonly trail: Pick<Trail, 'steps'>
  readonly audit: Audit
  readonly clock: Clock
  /** Whether the configuration knows a system of this name. */
  readonly isKnown: (system: string) => boolean
}

/** What one try to hand over came to for some recipients of a job. */
export type EdgeOutcome = NoticeOutcome & { readonly to: readonly DirectAddress[] }

/**
 * What else becomes true with each try to hand a message over: a step in its trail; at the end an audit entry, and the
 * notice to its sender. Where the system never takes it, an alarm: somebody here does not get his mail.
 */
export function edgeOutcomesOf(
  ports: EdgePorts,
): (job: OutboundJob, results: readonly EdgeOutcome[]) => Promise<Batch> {
  return async (job, results) => {
    const parts = await Promise.all(
      results.flatMap((result) => result.to.map((recipient) => toldOf(ports, job, recipient, result))),
    )
    return together(...parts)
  }
}

async function toldOf(
  { notices, trail, audit, clock, isKnown }: EdgePorts,
  job: OutboundJob,
  recipient: DirectAddress,
  outcome: NoticeOutcome,
): Promise<Batch> {
  const at = clock.now()
  const { system = '', source } = job
  const entry = {
    at,
    actor: 'system',
    subject: { spool: job.trail, message: source?.message ?? '', recipient, system },
  }
  const tell = (steps: readonly TrailStep[], entries: readonly AuditEntry[] = []): Batch =>
    together(trail.steps(job.trail, steps), { append: entries.map((one) => audit.entry(one)) })
  const alarm = (reason: RefusalReason, detail: string) => ({
    step: { at, step: 'alarm', recipient, detail } as const,
    entry: { ...entry, action: 'alarm', outcome: 'failed', reason } as const,
  })

  switch (outcome.kind) {
    case 'delivered': {
      const step: TrailStep = { at, step: 'edge-delivered', recipient, detail: wordsOf(outcome.host, outcome.reply) }
      const told = tell([step], [{ ...entry, action: 'message.edge', outcome: 'success' }])
      return together(told, await notice(notices, job, 'dispatched'))
    }
    case 'retry': {
      const step: TrailStep = { at, step: 'edge-attempted', recipient, detail: wordsOf(outcome.host, outcome.detail) }
      const ours = faultOf(outcome.detail, system, isKnown)
      // Once, at the first try: people must mend it, time does not.
      if (ours === undefined || job.tries !== 1) return tell([step])
      const called = alarm('not-delivered', `${ours}, and mail waits for it`)
      return tell([step, called.step], [called.entry])
    }
    case 'failed':
    case 'expired':
    case 'refused': {
      const refusal = refusalOf(outcome)
      const { reason } = refusal
      const step: TrailStep = { at, step: 'edge-failed', recipient, detail: refusal.detail, refusal }
      const failed: AuditEntry = { ...entry, action: 'message.edge', outcome: 'failed', reason }
      const called = alarm(reason, `${system} did not get the message, which stays in the mailbox`)
      // Whoever cancels it knows.
      const told = reason === 'cancelled' ? tell([step], [failed]) : tell([step, called.step], [failed, called.entry])
      return together(told, await notice(notices, job, 'failed', failureOf(outcome)))
    }
  }
}

/** What is wrong on our side of the wire; undefined where it is the other side that has to mend something. */
function faultOf(detail: string, system: string, isKnown: (system: string) => boolean): string | undefined {
  if (!isKnown(system)) return `edge.systems has no ${system}`
  // RFC 4954 §6: who we are is not said, or not believed.
  return /^53[0458]\b/.test(detail) ? `${system} does not take our password` : undefined
}

/** The notice that the end of a job owes to the sender; none where none was asked for, or none may be. */
async function notice(
  notices: EdgePorts['notices'],
  job: OutboundJob,
  disposition: 'dispatched' | 'failed',
  failure?: string,
): Promise<Batch> {
  if (disposition === 'dispatched' && !job.asked) return {}
  const facts = await notices.kept(job.id, job.body)
  if (!facts || !job.source) return {}
  const about = { trail: job.trail, messageId: job.source.message, ...(failure !== undefined && { failure }) }
  return notices.owe(disposition, facts, about)
}

/** Why it never gets there, as the trail has it. */
function refusalOf(outcome: Exclude<NoticeOutcome, { kind: 'delivered' }>): Refused {
  if (outcome.kind === 'refused') return outcome.refusal
  const reason = outcome.kind === 'expired' ? 'undelivered-too-long' : 'not-delivered'
  return refused(reason, wordsOf(outcome.host, outcome.detail))
}

/** Why it failed, in words for the sender: of a reply only its codes, since its text is from inside the house. */
function failureOf(outcome: Exclude<NoticeOutcome, { kind: 'delivered' }>): string {
  if (outcome.kind === 'refused') return 'It was not handed over to the system of the recipient'
  if (outcome.kind === 'expired') return 'The system of the recipient did not take it in time'
  const codes = /^[45]\d\d(?:[ -][45]\.\d{1,3}\.\d{1,3})?/.exec(outcome.detail)?.[0]
  return ['The system of the recipient refused it', codes && `(${codes})`].filter(Boolean).join(' ')
}

function wordsOf(host: string | undefined, detail: string): string {
  return [host, detail].filter(Boolean).join(': ')
}
