import { decodeCharset } from './parameters.js'

const encodedWord = /=\?([^?\s*]{1,60})(?:\*[^?\s]{0,20})?\?([BbQq])\?([^?]*)\?=/g

/**
 * Decodes the encoded words of a header text for people to read (RFC 2047 §6). Neighbours with the same character set are
 * joined as bytes first, because senders cut characters between them. Never for deciding who sent something.
 */
export function decodeWords(text: string): string {
  if (!text.includes('=?')) return text
  let out = ''
  let pending: Buffer[] = []
  let charset = ''
  let end = 0
  const flush = () => {
    if (pending.length > 0) out += decodeCharset(Buffer.concat(pending), charset)
    pending = []
  }
  for (const match of text.matchAll(encodedWord)) {
    const [whole, set = '', encoding = '', data = ''] = match
    const between = text.slice(end, match.index)
    const neighbour = end > 0 && between.trim() === ''
    if (!neighbour || set.toLowerCase() !== charset) flush()
    if (!neighbour) out += between
    charset = set.toLowerCase()
    pending.push(encoding.toLowerCase() === 'b' ? Buffer.from(data, 'base64') : fromQ(data))
    end = match.index + whole.length
  }
  flush()
  return out + text.slice(end)
}

function fromQ(data: string): Buffer {
  return Buffer.from(
    data
      .replaceAll('_', ' ')
      .replace(/=([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  )
}

/** Bytes of text in one encoded word: with its frame it stays within the 75 characters of RFC 2047 §2. */
const wordBytes = 45

/**
 * Any text as header text in printable ASCII: unchanged where it already is, otherwise encoded words in UTF-8 and base64
 * (RFC 2047 §2), never cut inside a character. Also encodes what would be taken for an encoded word.
 */
export function encodeWords(text: string): string {
  if (/^[ -~]*$/.test(text) && !text.includes('=?')) return text
  const words: string[] = []
  let chunk = ''
  let size = 0
  const close = () => {
    if (chunk !== '') words.push(`=?UTF-8?B?${Buffer.from(chunk).toString('base64')}?=`)
    chunk = ''
    size = 0
  }
  for (const character of text) {
    const bytes = Buffer.byteLength(character)
    if (size + bytes > wordBytes) close()
    chunk += character
    size += bytes
  }
  close()
  return words.join(' ')
}
