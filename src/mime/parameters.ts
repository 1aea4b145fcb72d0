import { decodeWindows1252 } from '../direct/windows1252.js'
import type { Header } from './header.js'

/** A structured field: its value lower-cased, and its parameters decoded, by lower-case name. */
export interface Parameterised {
  readonly value: string
  readonly params: ReadonlyMap<string, string>
  /** A parameter stood twice with different values; the first one is kept. */
  readonly duplicates: ReadonlySet<string>
}

export interface ContentType extends Parameterised {
  /** The part before the slash. */
  readonly type: string
  /** The part after the slash. */
  readonly subtype: string
}

const mediaType = /^[a-z0-9!#$&^_.+'*%`{|}~-]+\/[a-z0-9!#$&^_.+'*%`{|}~-]+$/
const tokenEnd = /[\s;="(),]/

/**
 * Reads `value; name=value; …` (RFC 2045 §5.1) with quoted strings, comments and the continuations and character sets of
 * RFC 2231 §3 and §4. Never refuses: what cannot be read is skipped to the next semicolon.
 */
export function readParameters(text: string): Parameterised {
  const scan = { text, at: 0 }
  skipSpace(scan)
  const start = readWord(scan, /[;(]/).trim().toLowerCase()
  const pieces = new Map<string, Piece[]>()
  const duplicates = new Set<string>()
  while (nextSemicolon(scan)) {
    skipSpace(scan)
    const name = readWord(scan, tokenEnd).toLowerCase()
    skipSpace(scan)
    if (name === '' || scan.text[scan.at] !== '=') continue
    scan.at += 1
    skipSpace(scan)
    const value = scan.text[scan.at] === '"' ? readQuoted(scan) : readWord(scan, /[\s;]/)
    addPiece(pieces, duplicates, name, value)
  }
  const params = new Map<string, string>()
  for (const [name, list] of pieces) {
    const value = joinPieces(list)
    if (value !== undefined) params.set(name, value)
  }
  return { value: start, params, duplicates }
}

/**
 * The Content-Type of an entity (RFC 2045 §5). Absent: `fallback`. Unreadable: application/octet-stream, so that nothing
 * is shown as text that did not say it is (RFC 2045 §5.2 leaves this to the reader).
 */
export function contentTypeOf(header: Header, fallback = 'text/plain'): ContentType {
  const text = header.get('content-type')
  const read = readParameters(text ?? fallback)
  const value = mediaType.test(read.value) ? read.value : 'application/octet-stream'
  const slash = value.indexOf('/')
  return {
    ...read,
    value,
    type: value.slice(0, slash),
    subtype: value.slice(slash + 1),
  }
}

/** The Content-Disposition of an entity (RFC 2183 §2), or undefined where it has none. */
export function dispositionOf(header: Header): Parameterised | undefined {
  const text = header.get('content-disposition')
  return text === undefined ? undefined : readParameters(text)
}

/** The Content-Transfer-Encoding in lower case, comments dropped; `7bit` where none is given (RFC 2045 §6.1). */
export function transferEncodingOf(header: Header): string {
  const text = header.get('content-transfer-encoding')
  return text === undefined || text === '' ? '7bit' : readParameters(text).value.replace(/^"(.*)"$/, '$1')
}

interface Scan {
  readonly text: string
  at: number
}

/** One piece of a parameter: `name*2*=` is index 2, extended. */
interface Piece {
  readonly index: number
  readonly extended: boolean
  readonly value: string
}

function skipSpace(scan: Scan): void {
  for (; scan.at < scan.text.length; scan.at += 1) {
    const char = scan.text[scan.at]
    if (char === '(') skipComment(scan)
    else if (char !== ' ' && char !== '\t' && char !== '\r' && char !== '\n') return
  }
}

/** Leaves the scan on the last character of the comment; an open one ends with the text. */
function skipComment(scan: Scan): void {
  let depth = 0
  for (; scan.at < scan.text.length; scan.at += 1) {
    const char = scan.text[scan.at]
    if (char === '\\') scan.at += 1
    else if (char === '(') depth += 1
    else if (char === ')' && --depth === 0) return
  }
}

function readWord(scan: Scan, end: RegExp): string {
  const from = scan.at
  while (scan.at < scan.text.length && !end.test(scan.text[scan.at] ?? '')) scan.at += 1
  return scan.text.slice(from, scan.at)
}

function readQuoted(scan: Scan): string {
  let value = ''
  for (scan.at += 1; scan.at < scan.text.length; scan.at += 1) {
    const char = scan.text[scan.at] ?? ''
    if (char === '"') {
      scan.at += 1
      return value
    }
    if (char === '\\') scan.at += 1
    value += scan.text[scan.at] ?? ''
  }
  return value
}

/** Moves past the next semicolon outside quotes and comments; false at the end of the text. */
function nextSemicolon(scan: Scan): boolean {
  for (; scan.at < scan.text.length; scan.at += 1) {
    const char = scan.text[scan.at]
    if (char === '(') skipComment(scan)
    else if (char === '"') {
      readQuoted(scan)
      scan.at -= 1
    } else if (char === ';') {
      scan.at += 1
      return true
    }
  }
  return false
}

function addPiece(pieces: Map<string, Piece[]>, duplicates: Set<string>, name: string, value: string): void {
  const [, base = name, index, star] = /^([^*]+)(?:\*(\d{1,3}))?(\*)?$/.exec(name) ?? []
  const piece = {
    index: index === undefined ? -1 : Number(index),
    extended: star !== undefined,
    value,
  }
  const list = pieces.get(base)
  if (!list) pieces.set(base, [piece])
  else {
    const twin = list.find((other) => other.index === piece.index && other.extended === piece.extended)
    if (!twin) list.push(piece)
    else if (twin.value !== value) duplicates.add(base)
  }
}

/** RFC 2231: an extended value beats continuations, which beat the plain one that is there for older readers. */
function joinPieces(list: readonly Piece[]): string | undefined {
  const whole = list.find((piece) => piece.index === -1 && piece.extended)
  if (whole) return decodeExtended([whole])
  const plain = list.find((piece) => piece.index === -1)
  const continued = list.filter((piece) => piece.index >= 0).sort((a, b) => a.index - b.index)
  const run: Piece[] = []
  for (const piece of continued) {
    if (piece.index === run.length) run.push(piece)
  }
  return run.length > 0 ? decodeExtended(run) : plain?.value
}

/** Pieces are joined as bytes before the character set is applied: a character may be cut between two of them. */
function decodeExtended(run: readonly Piece[]): string {
  const first = run[0]
  if (!first) return ''
  const named = first.extended ? /^([^']*)'[^']*'(.*)$/s.exec(first.value) : null
  const chunks = run.map((piece, i) => {
    const text = i === 0 && named ? (named[2] ?? '') : piece.value
    return piece.extended ? percentDecode(text) : Buffer.from(text, 'utf8')
  })
  return decodeCharset(Buffer.concat(chunks), named?.[1] || 'utf-8')
}

function percentDecode(text: string): Buffer {
  if (!text.includes('%')) return Buffer.from(text, 'utf8')
  const parts = text.split(/%([0-9A-Fa-f]{2})/)
  return Buffer.concat(
    parts.map((part, i) => (i % 2 === 1 ? Buffer.from([Number.parseInt(part, 16)]) : Buffer.from(part, 'utf8'))),
  )
}

/** Bytes in a named character set as text; a set that is unknown, or that the bytes break, is read as UTF-8, then as Latin-1. */
export function decodeCharset(bytes: Uint8Array, charset: string): string {
  for (const label of [charset.trim() || 'utf-8', 'utf-8']) {
    try {
      const decoder = new TextDecoder(label, { fatal: true })
      return decoder.encoding === 'windows-1252' ? decodeWindows1252(bytes) : decoder.decode(bytes)
    } catch {
      // An unknown label or bytes outside the set: try the next one.
    }
  }
  return Buffer.from(bytes).toString('latin1')
}
