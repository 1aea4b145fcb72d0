import { type MimeLimits, mimeLimits, type Unreadable, unreadable, viewOf } from './limits.js'

/** One header field as it stood in the message. */
export interface Field {
  /** Lower-cased. */
  readonly name: string
  /** Name, colon, value and folds, without the last line break; a view. */
  readonly raw: Buffer
  /** Unfolded (RFC 5322 §2.2.3) and trimmed; UTF-8 where the bytes are (RFC 6532), otherwise Latin-1. Encoded words stay encoded. */
  readonly value: string
}

/** A header block, its fields in the order of the message. */
export interface Header {
  readonly kind: 'header'
  readonly fields: readonly Field[]
  /** The block with its last line break, without the empty line that ends it; a view. */
  readonly bytes: Buffer
  /** Where the body begins in the bytes that were read. */
  readonly bodyStart: number
  /** The value of the first field of this lower-case name. */
  get(name: string): string | undefined
  /** The values of every field of this lower-case name, in order. */
  all(name: string): readonly string[]
}

export interface HeaderOptions {
  readonly limits?: Partial<MimeLimits>
  /** `any` also takes a bare LF for a line break: for data that was stored that way, never for what came over the wire. */
  readonly lineBreaks?: 'crlf' | 'any'
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const nonAscii = /[\x80-\xff]/
const strayCr = /\r(?!\n)/
/** RFC 5322 §3.6.8 ftext. Space before the colon (§4.5.2) is read, so that no reader after us finds a field we overlooked. */
const fieldName = /^[!-9;-~]+[ \t]*$/

/**
 * Reads the header block at the start of an entity (RFC 5322 §2.2). An entity without an empty line is all header.
 * Refuses NUL, a bare CR, a bare LF unless asked, a line that is no field, and blocks beyond the limits.
 */
export function readHeader(entity: Uint8Array, options: HeaderOptions = {}): Header | Unreadable {
  const bytes = viewOf(entity)
  const anyBreak = options.lineBreaks === 'any'
  const maxBytes = options.limits?.headerBytes ?? mimeLimits.headerBytes
  const maxFields = options.limits?.headerFields ?? mimeLimits.headerFields
  const end = headerEnd(bytes, maxBytes, anyBreak)
  if (end.blockEnd > maxBytes) return unreadable('header-bytes', `a header block is longer than ${maxBytes} bytes`)

  const text = bytes.toString('latin1', 0, end.blockEnd)
  if (text.includes('\0')) return unreadable('nul-in-header', 'a header block has a NUL byte')
  if (strayCr.test(text)) return unreadable('bare-cr', 'a header block has a CR without LF')

  const fields: Field[] = []
  for (let at = 0; at < text.length; ) {
    const next = fieldEnd(text, at, anyBreak)
    if (next === undefined) return unreadable('bare-lf', 'a header block has a LF without CR')
    if (fields.length === maxFields)
      return unreadable('header-fields', `a header block has more than ${maxFields} fields`)
    const field = readField(bytes, text, at, next)
    if (!field) return unreadable('not-a-field', `line ${fields.length + 1} of a header block is no field`)
    fields.push(field)
    at = next
  }
  return header(fields, bytes.subarray(0, end.blockEnd), end.bodyStart)
}

function header(fields: readonly Field[], bytes: Buffer, bodyStart: number): Header {
  return {
    kind: 'header',
    fields,
    bytes,
    bodyStart,
    get: (name) => fields.find((field) => field.name === name)?.value,
    all: (name) => fields.filter((field) => field.name === name).map((field) => field.value),
  }
}

/** Where the block ends (after its last line break) and where the body begins. Looks no further than the limit allows. */
function headerEnd(bytes: Buffer, maxBytes: number, anyBreak: boolean): { blockEnd: number; bodyStart: number } {
  if (bytes[0] === 13 && bytes[1] === 10) return { blockEnd: 0, bodyStart: 2 }
  if (anyBreak && bytes[0] === 10) return { blockEnd: 0, bodyStart: 1 }
  const region = bytes.subarray(0, maxBytes + 4)
  const strict = region.indexOf('\r\n\r\n', 0, 'latin1')
  let best =
    strict < 0 ? { blockEnd: bytes.length, bodyStart: bytes.length } : { blockEnd: strict + 2, bodyStart: strict + 4 }
  if (!anyBreak) return best
  for (const [needle, after] of [
    ['\n\n', 2],
    ['\n\r\n', 3],
  ] as const) {
    const found = region.indexOf(needle, 0, 'latin1')
    if (found >= 0 && found + 1 < best.blockEnd) best = { blockEnd: found + 1, bodyStart: found + after }
  }
  return best
}

/** The end of the field that starts at `at`, its continuation lines included; undefined at a LF that may not stand alone. */
function fieldEnd(text: string, at: number, anyBreak: boolean): number | undefined {
  for (let from = at; ; ) {
    const lf = text.indexOf('\n', from)
    if (lf < 0) return text.length
    if (!anyBreak && text.charCodeAt(lf - 1) !== 13) return undefined
    const next = text.charCodeAt(lf + 1)
    if (next !== 32 && next !== 9) return lf + 1
    from = lf + 1
  }
}

function readField(bytes: Buffer, text: string, at: number, next: number): Field | undefined {
  const colon = text.indexOf(':', at)
  if (colon < 0 || colon >= next) return undefined
  const name = text.slice(at, colon)
  if (!fieldName.test(name)) return undefined
  let end = next
  if (text.charCodeAt(end - 1) === 10) end -= 1
  if (text.charCodeAt(end - 1) === 13) end -= 1
  const latin1 = text.slice(colon + 1, end)
  const value = nonAscii.test(latin1) ? utf8OrLatin1(bytes, colon + 1, end, latin1) : latin1
  return {
    name: name.trimEnd().toLowerCase(),
    raw: bytes.subarray(at, end),
    value: value.replace(/\r?\n/g, '').trim(),
  }
}

function utf8OrLatin1(bytes: Buffer, from: number, to: number, latin1: string): string {
  try {
    return utf8.decode(bytes.subarray(from, to))
  } catch {
    return latin1
  }
}
