import { encodeWords } from './words.js'

/** A header field to be written: its value in printable ASCII, unfolded. */
export type NewField = readonly [name: string, value: string]

/** A field that must not be written as it is; for values that a stranger chose, an outcome and not an error. */
export interface UnsafeField {
  readonly kind: 'unsafe-field'
  readonly field: string
  readonly detail: string
}

const fieldName = /^[!-9;-~]+$/
const printable = /^[\t -~]*$/
const token = /^[A-Za-z0-9!#$&+.^_`{|}~-]+$/

/** RFC 5322 §2.1.1: lines should stay within 78 characters, and must within 998. */
const foldAt = 78
const longest = 998

/**
 * Writes a header block without its empty line, folding at spaces. Refuses, as a value, whatever could begin another
 * field or end the block (CR, LF, NUL, other control characters), non-ASCII that was not encoded (see encodeWords), and
 * a word longer than a line may be.
 */
export function writeFields(
  fields: readonly NewField[],
): { readonly kind: 'fields'; readonly bytes: Buffer } | UnsafeField {
  let text = ''
  for (const [name, value] of fields) {
    if (!fieldName.test(name))
      return { kind: 'unsafe-field', field: '', detail: 'a field name has characters it may not have' }
    if (!printable.test(value))
      return { kind: 'unsafe-field', field: name, detail: 'a value has control or non-ASCII characters' }
    const lines = fold(`${name}: ${value.trim()}`.trimEnd())
    if (lines.some((line) => line.length > longest))
      return { kind: 'unsafe-field', field: name, detail: `a line would be longer than ${longest} characters` }
    text += `${lines.join('\r\n')}\r\n`
  }
  return { kind: 'fields', bytes: Buffer.from(text, 'latin1') }
}

/** Cuts before spaces, so that unfolding gives the same text; never such that a line would hold nothing but space. */
function fold(line: string): string[] {
  const lines: string[] = []
  let rest = line
  const nameEnd = line.indexOf(':') + 1
  while (rest.length > foldAt) {
    const least = lines.length === 0 ? nameEnd + 1 : 1
    let cut = lastFoldBefore(rest, foldAt, least)
    if (cut < 0) cut = nextFoldAfter(rest, Math.max(foldAt, least))
    if (cut < 0) break
    lines.push(rest.slice(0, cut))
    rest = rest.slice(cut)
  }
  return [...lines, rest]
}

function isFold(text: string, at: number): boolean {
  return (
    text[at] === ' ' && text[at - 1] !== ' ' && text[at - 1] !== '\t' && text[at + 1] !== ' ' && text[at + 1] !== '\t'
  )
}

function lastFoldBefore(text: string, from: number, least: number): number {
  for (let at = from; at > least; at -= 1) if (isFold(text, at)) return at
  return -1
}

function nextFoldAfter(text: string, from: number): number {
  for (let at = from; at < text.length - 1; at += 1) if (isFold(text, at)) return at
  return -1
}

/** A value with parameters (RFC 2045 §5.1), quoted where needed; non-ASCII and long ones as RFC 2231 §3 and §4 have it. */
export function writeParameters(value: string, params: Readonly<Record<string, string>>): string {
  return [value, ...Object.entries(params).flatMap(([name, text]) => writeParameter(name, text))].join('; ')
}

const longParameter = 60

function writeParameter(name: string, text: string): string[] {
  if (token.test(text) && text.length <= longParameter) return [`${name}=${text}`]
  if (/^[ -~]*$/.test(text) && text.length <= longParameter) return [`${name}="${text.replace(/["\\]/g, '\\$&')}"`]
  const bytes = [...Buffer.from(text, 'utf8')].map((byte) =>
    token.test(String.fromCharCode(byte))
      ? String.fromCharCode(byte)
      : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`,
  )
  const pieces: string[] = []
  let piece = "utf-8''"
  for (const encoded of bytes) {
    if (piece.length + encoded.length > longParameter) {
      pieces.push(piece)
      piece = ''
    }
    piece += encoded
  }
  pieces.push(piece)
  return pieces.length === 1 ? [`${name}*=${piece}`] : pieces.map((part, i) => `${name}*${i}*=${part}`)
}

/** A mailbox (RFC 5322 §3.4): the display name bare, quoted or as encoded words, whichever it needs. */
export function writeMailbox(address: string, display = ''): string {
  if (display === '') return address
  if (/^[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+$/.test(display) && !display.includes('=?') && display.trim() === display)
    return `${display} <${address}>`
  if (/^[ -~]+$/.test(display) && !display.includes('=?')) return `"${display.replace(/["\\]/g, '\\$&')}" <${address}>`
  return `${encodeWords(display)} <${address}>`
}

/** A moment as RFC 5322 §3.3 writes it, in UTC; Unix milliseconds. */
export function writeDate(at: number): string {
  return new Date(at).toUTCString().replace('GMT', '+0000')
}
