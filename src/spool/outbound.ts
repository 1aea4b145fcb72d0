import { type DirectAddress, parseAddress } from '../direct/address.js'

/** The queue of mail on its way out. Whoever decides that mail is owed puts it here, in the batch that makes it owed. */
export const outboundQueue = 'outbound'

/** One message to one recipient elsewhere, from the moment it is owed until the far side took it or never will. */
export interface OutboundJob {
  /** Unique in the queue; derived from what made it owed, so that owing twice is owing once. */
  readonly id: string
  /** The spool id whose trail tells of it. */
  readonly trail: string
  readonly kind: 'mdn' | 'message'
  /** The reverse-path; null for notices (RFC 8098 §3). */
  readonly from: DirectAddress | null
  readonly to: DirectAddress
  /**
   * `owed`: `body` is what it will be made from, sealed by the vault; nothing has been signed yet.
   * `sealed`: `body` is the wire form, S/MIME encrypted: every try sends these same bytes.
   */
  readonly stage: 'owed' | 'sealed'
  readonly body: Uint8Array
  /** Unix milliseconds: lifetimes count from here. */
  readonly owedAt: number
  /** Dialogues begun so far. */
  readonly tries: number
}

const separator = '\n'

/** One JSON line, then the body as it is. */
export function encodeOutbound({ body, ...job }: OutboundJob): Uint8Array {
  return Buffer.concat([Buffer.from(JSON.stringify({ v: 1, ...job }) + separator), body])
}

/** Reads a payload back; undefined where it cannot be read, which only damage or a newer version explains. */
export function decodeOutbound(payload: Uint8Array): OutboundJob | undefined {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
  const end = bytes.indexOf(separator)
  if (end < 0) return undefined
  try {
    const job = JSON.parse(bytes.toString('utf8', 0, end)) as Omit<OutboundJob, 'body'> & { v: number }
    const { v, ...rest } = job
    const plain = typeof rest.id === 'string' && typeof rest.trail === 'string' && typeof rest.owedAt === 'number'
    if (v !== 1 || !plain || parseAddress(rest.to) === undefined) return undefined
    return { ...rest, body: bytes.subarray(end + 1) }
  } catch {
    return undefined
  }
}
