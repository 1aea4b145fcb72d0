import { createHash } from 'node:crypto'
import type { DirectAddress } from '../direct/address.js'
import type { Envelope } from '../direct/envelope.js'
import type { SpoolBody, Spooled } from './spooled.js'

const base32 = 'abcdefghijklmnopqrstuvwxyz234567'

/** The first 26 base32 characters (130 bits) of a SHA-256 over the parts, each preceded by its length so that none runs into the next. */
export function contentId(...parts: readonly string[]): string {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(`${part.length}:${part}`)
  const bits = hash.digest()
  let id = ''
  for (let bit = 0; bit < 130; bit += 5) {
    const pair = ((bits[bit >> 3] ?? 0) << 8) | (bits[(bit >> 3) + 1] ?? 0)
    id += base32[(pair >> (11 - (bit & 7))) & 31]
  }
  return id
}

/** A message's spool id: sender, recipients in order of the alphabet, and the hash of the DATA bytes. */
export function spoolId(envelope: Envelope, sha256: string): string {
  return contentId(envelope.mailFrom ?? '<>', ...[...new Set(envelope.rcptTo)].sort(), sha256)
}

/** The job's payload: one line of JSON, then the body's bytes when they ride inline. */
export function encodeSpooled({ body, ...spooled }: Spooled): Uint8Array {
  const named = body.kind === 'blob' ? { blob: body.name, blobOffset: body.offset, blobBytes: body.sizeBytes } : {}
  const line = Buffer.from(`${JSON.stringify({ v: 1, ...spooled, ...named })}\n`)
  return body.kind === 'blob' ? line : Buffer.concat([line, body.bytes])
}

/** Reads a payload that `encodeSpooled` wrote; undefined for anything else. */
export function decodeSpooled(payload: Uint8Array): Spooled | undefined {
  const end = payload.indexOf(0x0a)
  if (end < 0) return undefined
  try {
    const { v, blob, blobOffset, blobBytes, ...spooled } = JSON.parse(utf8(payload.subarray(0, end))) as Line
    if (v !== 1) return undefined
    const body: SpoolBody =
      blob === undefined
        ? { kind: 'inline', bytes: payload.subarray(end + 1) }
        : { kind: 'blob', name: blob, offset: blobOffset ?? 0, sizeBytes: blobBytes ?? spooled.sizeBytes }
    return { ...spooled, body }
  } catch {
    return undefined
  }
}

interface Line extends Omit<Spooled, 'body'> {
  readonly v: number
  readonly blob?: string
  /** Absent in rows from before blobs began with a salt. */
  readonly blobOffset?: number
  readonly blobBytes?: number
}

/** Where a recipient's row about these bytes stands. */
export function seenKey(recipient: DirectAddress, sha256: string): string {
  return `seen/${recipient}/${sha256}`
}

/** A moment as part of a key: 15 digits, so that keys sort as times do until the year 33658. */
export function timeKey(at: number): string {
  return String(Math.max(0, Math.trunc(at))).padStart(15, '0')
}

export function json(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value))
}

export function utf8(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8')
}
