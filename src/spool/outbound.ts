import { type DirectAddress, domainOf, parseAddress } from '../direct/address.js'
import { holdKey } from '../ports/body.js'
import { type Batch, together } from '../ports/store.js'

/** The queue of mail on its way out. Whoever decides that mail is owed puts it here, in the batch that makes it owed. */
export const outboundQueue = 'outbound'

/** The queue of what lies in a mailbox here and goes on to a system of its owner: an EHR, a mail store. */
export const edgeQueue = 'edge'

/**
 * One message to recipients of one domain elsewhere, or to one address of ours in another system, from the moment it is
 * owed until the far side took it or never will.
 */
export interface OutboundJob {
  /** Unique in the queue; derived from what made it owed, so that owing twice is owing once. */
  readonly id: string
  /** The spool or submission id whose trail tells of it. */
  readonly trail: string
  readonly kind: 'mdn' | 'message' | 'edge'
  /** The reverse-path; null for notices (RFC 8098 §3, RFC 3464 §2). */
  readonly from: DirectAddress | null
  /** Who still waits for it: at least one, all of one domain, so that one transaction can serve them. */
  readonly to: readonly DirectAddress[]
  /** The mailbox it was sent from, for a `message`: there its sender reads what became of it. */
  readonly mailbox?: string
  /**
   * `owed`: `body` is what it will be made from, sealed by the vault; nothing has been signed yet.
   * `sealed`: `body` is the wire form, S/MIME encrypted: every try sends these same bytes.
   * `stored`: the message is read from `source` at each try; `body` is what a notice of its fate will be made from, sealed by
   * the vault, or empty where none is owed. Of the message itself nothing is in the queue.
   */
  readonly stage: 'owed' | 'sealed' | 'stored'
  /** Empty where the wire form is a blob. */
  readonly body: Uint8Array
  /** The wire form where it is large: several jobs of one message share it. */
  readonly blob?: { readonly name: string; readonly sizeBytes: number }
  /** Where the message of an `edge` job lies: the mailbox, and its id there. */
  readonly source?: { readonly mailbox: string; readonly message: string }
  /** Name of the system that an `edge` job goes to. */
  readonly system?: string
  /** The sender of an `edge` message counts the time until he is told of its delivery, so it has less of it. */
  readonly asked?: true
  /** Unix milliseconds: lifetimes count from here. */
  readonly owedAt: number
  /** Dialogues begun so far. */
  readonly tries: number
}

const separator = '\n'

/** One JSON line, then the body as it is. */
export function encodeOutbound({ body, ...job }: OutboundJob): Uint8Array {
  return Buffer.concat([Buffer.from(JSON.stringify({ v: 2, ...job }) + separator), body])
}

/** What the line of a payload says; the version before this one had a single recipient in `to`. */
type Line = Omit<OutboundJob, 'body' | 'to'> & {
  readonly v: number
  readonly to: DirectAddress | readonly DirectAddress[]
}

/** Reads a payload back; undefined where it cannot be read, which only damage or a newer version explains. */
export function decodeOutbound(payload: Uint8Array): OutboundJob | undefined {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
  const end = bytes.indexOf(separator)
  if (end < 0) return undefined
  try {
    const { v, to: written, ...rest } = JSON.parse(bytes.toString('utf8', 0, end)) as Line
    const plain = typeof rest.id === 'string' && typeof rest.trail === 'string' && typeof rest.owedAt === 'number'
    const to = v === 1 && typeof written === 'string' ? [written] : v === 2 ? written : undefined
    if (!plain || !Array.isArray(to) || !isOneDomain(to) || !isPlaced(rest)) return undefined
    return { ...rest, to, body: bytes.subarray(end + 1) }
  } catch {
    return undefined
  }
}

/** A stored message is somewhere, and goes somewhere. */
function isPlaced({ stage, source, system }: Pick<OutboundJob, 'stage' | 'source' | 'system'>): boolean {
  if (stage !== 'stored') return true
  return typeof system === 'string' && typeof source?.mailbox === 'string' && typeof source.message === 'string'
}

function isOneDomain(to: readonly unknown[]): to is readonly DirectAddress[] {
  const addresses = to.map((one) => (typeof one === 'string' ? parseAddress(one) : undefined))
  const [first] = addresses
  return first !== undefined && addresses.every((one) => one !== undefined && domainOf(one) === domainOf(first))
}

/** The queue that a job belongs to. */
export function queueOf({ kind }: Pick<OutboundJob, 'kind'>): string {
  return kind === 'edge' ? edgeQueue : outboundQueue
}

/** Parts that put mail into its queue, its blob held by the job. */
export function enqueueOutbound(job: OutboundJob, dueAt: number): Batch {
  const queued: Batch = { enqueue: [{ queue: queueOf(job), id: job.id, payload: encodeOutbound(job), dueAt }] }
  const key = outboundHold(job)
  return key === undefined ? queued : together(queued, { put: [{ key, value: new Uint8Array() }] })
}

/** Parts that let go of what the job held; for the batch that ends it. */
export function releaseHold(job: OutboundJob): Batch {
  const key = outboundHold(job)
  return key === undefined ? {} : { del: [key] }
}

/** Key of the row that keeps the blob of a job alive; undefined where its bytes ride in the payload. */
export function outboundHold({ id, blob }: Pick<OutboundJob, 'id' | 'blob'>): string | undefined {
  return blob && holdKey(blob.name, `outbound/${id}`)
}

/** Where a try to deliver a job is written before its socket opens, so that whoever comes after a crash knows of it. */
export function begunKey(mail: Pick<OutboundJob, 'id' | 'kind'>): string {
  return mail.kind === 'edge' ? `delivery/begun-edge/${mail.id}` : `delivery/begun/${mail.id}`
}
