import { viewOf } from './limits.js'

/** 57 bytes make one line of 76 characters (RFC 2045 §6.8). */
const bytesALine = 57
const linesABlock = 512

/** Base64 in lines of 76 characters, each ended by CRLF. Works in blocks of 512 lines, which stay in cache. */
export function encodeBase64(data: Uint8Array): Buffer {
  const bytes = viewOf(data)
  const out = Buffer.allocUnsafeSlow(Math.ceil(bytes.length / 3) * 4 + Math.ceil(bytes.length / bytesALine) * 2)
  let written = 0
  for (let at = 0; at < bytes.length; at += bytesALine * linesABlock) {
    const text = bytes.toString('base64', at, Math.min(at + bytesALine * linesABlock, bytes.length))
    const lines: string[] = []
    for (let i = 0; i < text.length; i += 76) lines.push(text.slice(i, i + 76))
    lines.push('')
    written += out.write(lines.join('\r\n'), written, 'latin1')
  }
  return out.subarray(0, written)
}

/** Quoted-printable (RFC 2045 §6.7) of text whose line breaks are CRLF: lines of at most 76 characters, no space at a line end. */
export function encodeQuotedPrintable(data: Uint8Array): Buffer {
  const lines = viewOf(data).toString('latin1').split('\r\n')
  return Buffer.from(lines.map(encodeLine).join('\r\n'), 'latin1')
}

function encodeLine(line: string): string {
  const safe = line
    .replace(/[^\t !-<>-~]/g, hexEscape) // a bare CR or LF is no line break, so it is escaped too
    .replace(/[\t ]$/, hexEscape)
  if (safe.length <= 76) return safe
  const pieces: string[] = []
  let rest = safe
  while (rest.length > 76) {
    // Never inside an escape: it is at most two characters back.
    const escapeAt = rest.lastIndexOf('=', 74)
    const cut = escapeAt > 72 ? escapeAt : 75
    pieces.push(rest.slice(0, cut))
    rest = rest.slice(cut)
  }
  return [...pieces, rest].join('=\r\n')
}

function hexEscape(character: string): string {
  return `=${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`
}
