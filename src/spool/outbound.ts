import { type DirectAddress, domainOf, parseAddress } from '../direct/address.js'
import { holdKey } from '../ports/body.js'
import { type Batch, together } from '../ports/store.js'

/** The queue of mail on its way out. Whoever decides that mail is owed puts it here, in the batch that makes it owed. */
export const outboundQueue = 'outbound'

/** One message to recipients of one domain elsewhere, from the moment it is owed until the far side took it or never will. */
export interface OutboundJob {
  /** Unique in the queue; derived from what made it owed, so that owing twice is owing once. */
  readonly id: string
  /** The spool or submission id whose trail tells of it. */
  readonly trail: string
  readonly kind: 'mdn' | 'message'
  /** The reverse-path; null for notices (RFC 8098 §3). */
  readonly from: DirectAddress | null
  /** Who still waits for it: at least one, all of one domain, so that one transaction can serve them. */
  readonly to: readonly DirectAddress[]
  /** The mailbox it was sent from, for a `message`: there its sender reads what became of it. */
  readonly mailbox?: string
  /**
   * `owed`: `body` is what it will be made from, sealed by the vault; nothing has been signed yet.
   * `sealed`: `body` is the wire form, S/MIME encrypted: every try sends these same bytes.
   */
  readonly stage: 'owed' | 'sealed'
  /** Empty where the wire form is a blob. */
  readonly body: Uint8Array
  /** The wire form where it is large: several jobs of one message share it. */
  readonly blob?: { readonly name: string; readonly sizeBytes: number }
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
    if (!plain || !Array.isArray(to) || !isOneDomain(to)) return undefined
    return { ...rest, to, body: bytes.subarray(end + 1) }
  } catch {
    return undefined
  }
}

function isOneDomain(to: readonly unknown[]): to is readonly DirectAddress[] {
  const addresses = to.map((one) => (typeof one === 'string' ? parseAddress(one) : undefined))
  const [first] = addresses
  return first !== undefined && addresses.every((one) => one !== undefined && domainOf(one) === domainOf(first))
}

/** Parts that put mail into the queue, its blob held by the job. */
export function enqueueOutbound(job: OutboundJob, dueAt: number): Batch {
  const queued: Batch = { enqueue: [{ queue: outboundQueue, id: job.id, payload: encodeOutbound(job), dueAt }] }
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
