import { Buffer, isAscii, isUtf8 } from 'node:buffer'
import { decodeWindows1252 } from '../direct/windows1252.js'

/** A document as characters. `guessed` says why the charset is not certain; absent when the bytes prove it. */
export interface Decoded {
  readonly text: string
  readonly charset: string
  readonly guessed?: string
}

const declaration = /^\s*<\?xml[^>]{0,200}?\sencoding\s*=\s*["']([A-Za-z][A-Za-z0-9._:-]{0,60})["']/

/**
 * Turns the bytes of an XML document into characters: byte order mark, else the zero bytes of UTF-16, else the XML
 * declaration, else UTF-8 (XML 1.0 appendix F). Bytes that are not what they claim to be are read as windows-1252, which
 * never fails, and `guessed` says so. Leading byte order marks are removed.
 */
export function decodeXml(bytes: Uint8Array): Decoded {
  const wide = wideCharset(bytes)
  if (wide !== undefined) return decodeWide(bytes, wide)

  const label = declaration.exec(latin1(bytes, 0, 1024))?.[1]?.toLowerCase()
  const claimsUtf8 = label === undefined || /^utf-?(8|16|16le|16be)$|^us-ascii$|^ascii$/.test(label)
  if (!claimsUtf8) {
    const named = decodeNamed(bytes, label)
    if (named !== undefined) return named
  }
  if (isUtf8(bytes)) {
    const text = withoutMarks(isAscii(bytes) ? latin1(bytes, 0, bytes.length) : asBuffer(bytes).toString('utf8'))
    return claimsUtf8
      ? { text, charset: 'utf-8' }
      : { text, charset: 'utf-8', guessed: `the declared charset ${label} is not known` }
  }
  return {
    text: withoutMarks(decodeWindows1252(bytes)),
    charset: 'windows-1252',
    guessed: 'the bytes are not valid UTF-8',
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function latin1(bytes: Uint8Array, from: number, to: number): string {
  return asBuffer(bytes).toString('latin1', from, to)
}

function withoutMarks(text: string): string {
  let at = 0
  while (text.charCodeAt(at) === 0xfeff) at++
  // A UTF-8 mark read one byte at a time shows as these three characters.
  if (text.startsWith('\u00ef\u00bb\u00bf', at)) at += 3
  return at === 0 ? text : text.slice(at)
}

function wideCharset(bytes: Uint8Array): 'utf-16le' | 'utf-16be' | undefined {
  const [a, b] = bytes
  if (a === 0xff && b === 0xfe) return 'utf-16le'
  if (a === 0xfe && b === 0xff) return 'utf-16be'
  if (a === 0x3c && b === 0) return 'utf-16le'
  if (a === 0 && b === 0x3c) return 'utf-16be'
  return undefined
}

function decodeWide(bytes: Uint8Array, charset: 'utf-16le' | 'utf-16be'): Decoded {
  try {
    return { text: withoutMarks(new TextDecoder(charset, { fatal: true }).decode(bytes)), charset }
  } catch {
    const text = withoutMarks(new TextDecoder(charset).decode(bytes))
    return { text, charset, guessed: `the bytes are not valid ${charset}` }
  }
}

/** Undefined where the label is unknown, or where the bytes are not what it says. */
function decodeNamed(bytes: Uint8Array, label: string): Decoded | undefined {
  try {
    const decoder = new TextDecoder(label, { fatal: true })
    if (decoder.encoding === 'windows-1252')
      return { text: withoutMarks(decodeWindows1252(bytes)), charset: 'windows-1252' }
    return { text: withoutMarks(decoder.decode(bytes)), charset: decoder.encoding }
  } catch {
    return undefined
  }
}
