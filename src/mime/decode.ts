import { type MimeLimits, mimeLimits, type Unreadable, unreadable } from './limits.js'

/** What a decoder passed over. The bytes are still the best reading; who needs certainty refuses on any of these. */
export type DecodeDiagnostic =
  | 'base64-garbage'
  | 'base64-after-padding'
  | 'base64-padding'
  | 'quoted-printable-garbage'
  | 'uuencode-garbage'

export interface Decoded {
  readonly kind: 'decoded'
  /** A view of the body for 7bit, 8bit and binary, otherwise new memory. */
  readonly bytes: Buffer
  readonly diagnostics: readonly DecodeDiagnostic[]
}

/** What decodeBody needs of a part. */
export interface Encoded {
  readonly body: Buffer
  readonly transferEncoding: string
}

/**
 * Undoes the Content-Transfer-Encoding of a leaf (RFC 2045 §6). Refuses an encoding it does not know and a result over
 * the limit; damage inside base64 or quoted-printable is passed over as RFC 2045 §6.7 and §6.8 say, and told.
 */
export function decodeBody(part: Encoded, limits: Partial<MimeLimits> = {}): Decoded | Unreadable {
  const maxBytes = limits.decodedBytes ?? mimeLimits.decodedBytes
  const decoded = decodeAs(part.transferEncoding, part.body)
  if (!decoded) return unreadable('transfer-encoding', 'the Content-Transfer-Encoding is unknown')
  return decoded.bytes.length > maxBytes
    ? unreadable('decoded-bytes', `a body decodes to more than ${maxBytes} bytes`)
    : decoded
}

function decodeAs(encoding: string, body: Buffer): Decoded | undefined {
  switch (encoding) {
    case '7bit':
    case '8bit':
    case 'binary':
      return { kind: 'decoded', bytes: body, diagnostics: [] }
    case 'base64':
      return decodeBase64(body)
    case 'quoted-printable':
      return decodeQuotedPrintable(body)
    case 'x-uuencode':
    case 'x-uue':
    case 'uuencode':
      return decodeUuencode(body) // never standardised, and still sent
    default:
      return undefined
  }
}

/**
 * Decodes base64 (RFC 2045 §6.8): line breaks and spaces are nothing, other foreign bytes are ignored and told, padding
 * ends the data. Lines of equal length go through the platform's decoder in blocks that stay in cache; the first
 * irregularity sends the rest to the byte loop.
 */
export function decodeBase64(body: Buffer): Decoded {
  const out = Buffer.allocUnsafeSlow(Math.ceil((body.length * 3) / 4) + 3)
  const fast = decodeEqualLines(body, out)
  return decodeLoosely(body, fast.read, out, fast.written)
}

function decodeEqualLines(body: Buffer, out: Buffer): { read: number; written: number } {
  const lineBytes = body.indexOf(10) + 1
  const characters = lineBytes - 2
  if (characters < 4 || characters % 4 !== 0) return { read: 0, written: 0 }
  // The platform's decoder also takes the URL alphabet, which here is foreign.
  if (body.includes(45) || body.includes(95)) return { read: 0, written: 0 }

  const linesABlock = Math.max(1, Math.floor(65_536 / lineBytes))
  const lines = Math.floor(body.length / lineBytes)
  let read = 0
  let written = 0
  for (let line = 0; line < lines; line += linesABlock) {
    const count = Math.min(linesABlock, lines - line)
    const end = read + count * lineBytes
    for (let lf = read + lineBytes - 1; lf < end; lf += lineBytes)
      if (body[lf] !== 10 || body[lf - 1] !== 13) return { read, written }
    const got = out.write(body.toString('latin1', read, end), written, 'base64')
    if (got !== (count * characters * 3) / 4) return { read, written } // padding or foreign bytes: decoded again, slowly
    read = end
    written += got
  }
  return { read, written }
}

const foreign = 255
const padding = 254
const space = 253
const sextets = new Uint8Array(256).fill(foreign)
for (const [i, char] of [...Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/')].entries())
  sextets[char] = i
for (const char of [9, 10, 13, 32]) sextets[char] = space
sextets[61] = padding

function decodeLoosely(body: Buffer, from: number, out: Buffer, at: number): Decoded {
  const diagnostics = new Set<DecodeDiagnostic>()
  let written = at
  let bits = 0
  let held = 0
  let pads = 0
  for (let i = from; i < body.length; i += 1) {
    const sextet = sextets[body[i] ?? 0] ?? foreign
    if (sextet === space) continue
    if (sextet === foreign) diagnostics.add('base64-garbage')
    else if (sextet === padding) pads += 1
    else if (pads > 0) {
      diagnostics.add('base64-after-padding')
      break
    } else {
      bits = ((bits << 6) | sextet) & 0xffffff
      held += 1
      if (held === 4) {
        out[written] = bits >> 16
        out[written + 1] = (bits >> 8) & 255
        out[written + 2] = bits & 255
        written += 3
        held = 0
      }
    }
  }
  if (pads !== (4 - held) % 4 || held === 1) diagnostics.add('base64-padding')
  if (held > 1) out[written++] = held === 2 ? (bits >> 4) & 255 : (bits >> 10) & 255
  if (held === 3) out[written++] = (bits >> 2) & 255
  return { kind: 'decoded', bytes: out.subarray(0, written), diagnostics: [...diagnostics] }
}

/** Decodes quoted-printable (RFC 2045 §6.7). A `=` that begins no escape stays as it is, and is told. */
export function decodeQuotedPrintable(body: Buffer): Decoded {
  const out = Buffer.allocUnsafe(body.length)
  let written = 0
  let damaged = false
  for (let at = 0; at < body.length; ) {
    const lf = body.indexOf(10, at)
    const next = lf < 0 ? body.length : lf + 1
    const breakStart = lf < 0 ? next : lf > at && body[lf - 1] === 13 ? lf - 1 : lf
    let end = breakStart
    while (end > at && (body[end - 1] === 32 || body[end - 1] === 9)) end -= 1 // rule 3: transport may have added it
    const soft = end > at && body[end - 1] === 61 // rule 5
    if (soft) end -= 1
    for (let i = at; i < end; i += 1) {
      const byte = body[i] ?? 0
      const escaped = byte === 61 && i + 2 < end ? hexByte(body[i + 1], body[i + 2]) : -1
      if (escaped >= 0) i += 2
      else if (byte === 61) damaged = true
      out[written++] = escaped >= 0 ? escaped : byte
    }
    if (!soft) written += body.copy(out, written, breakStart, next)
    at = next
  }
  return {
    kind: 'decoded',
    bytes: out.subarray(0, written),
    diagnostics: damaged ? ['quoted-printable-garbage'] : [],
  }
}

function hexByte(high: number | undefined, low: number | undefined): number {
  const a = hexDigit(high)
  const b = hexDigit(low)
  return a < 0 || b < 0 ? -1 : a * 16 + b
}

/** Lower case is not allowed and always meant. */
function hexDigit(char: number | undefined): number {
  if (char === undefined) return -1
  if (char >= 48 && char <= 57) return char - 48
  const upper = char & 0xdf
  return upper >= 65 && upper <= 70 ? upper - 55 : -1
}

/** Decodes `begin mode name` … `end` (IEEE Std 1003.1, uuencode). Text outside is dropped; a broken line is passed over and told. */
function decodeUuencode(body: Buffer): Decoded {
  const out = Buffer.allocUnsafe(body.length)
  let written = 0
  let open = false
  let ended = false
  let damaged = false
  for (let at = 0; at < body.length && !ended; ) {
    const lf = body.indexOf(10, at)
    const next = lf < 0 ? body.length : lf + 1
    const line = body.toString('latin1', at, next).replace(/[\r\n]+$/, '')
    at = next
    if (!open) open = /^begin [0-7]{3,4} /.test(line)
    else if (line === 'end') ended = true
    else if (line !== '') {
      const count = (line.charCodeAt(0) - 32) & 63
      const groups = Math.ceil(count / 3)
      damaged ||= line.length < 1 + Math.ceil((count * 4) / 3) || /[^ -`]/.test(line)
      const values = Array.from({ length: groups * 4 }, (_, i) => ((line.charCodeAt(i + 1) || 32) - 32) & 63)
      for (let i = 0; i < count && written < out.length; i += 1) {
        const quad = Math.floor(i / 3) * 4
        const shift = i % 3
        const left = values[quad + shift] ?? 0
        const right = values[quad + shift + 1] ?? 0
        out[written++] = ((left << (2 + 2 * shift)) | (right >> (4 - 2 * shift))) & 255
      }
    }
  }
  return {
    kind: 'decoded',
    bytes: out.subarray(0, written),
    diagnostics: damaged || !ended ? ['uuencode-garbage'] : [],
  }
}
