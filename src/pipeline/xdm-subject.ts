import { decodeBody } from '../mime/decode.js'
import { readHeader } from '../mime/header.js'
import { viewOf } from '../mime/limits.js'
import { contentTypeOf, dispositionOf } from '../mime/parameters.js'
import { leavesOf, type Part, readMime } from '../mime/part.js'
import { decodeWords } from '../mime/words.js'

/** What tells a receiver by the subject alone that an XDM package came (IHE ITI TF-2 §3.32.4.1; XDR and XDM for Direct Messaging). */
export const xdmMark = 'XDM/1.0/DDM'

export const xdmLimits = {
  /** Where the directory of an archive is looked for: its last bytes. One of 2,000 files takes 160 KB. */
  tailBytes: 256 * 1024,
  /** Files looked at; IHE_XDM stands among the first in what real systems make. */
  files: 4_000,
} as const

/** A subject with the mark, at its end where it was missing. */
export function markedSubject(subject: string): string {
  return subject.includes(xdmMark) ? subject : `${subject.trimEnd()} ${xdmMark}`.trimStart()
}

/** Whether a file of this name and type is an XDM package: a zip archive whose directory names IHE_XDM. */
export function isXdmPackage(mediaType: string, name: string | undefined, bytes: Uint8Array): boolean {
  return mayBeZip(mediaType, name) && namesXdm(viewOf(bytes.subarray(-xdmLimits.tailBytes)))
}

/**
 * The message with the mark in its Subject where it brings an XDM package and lacks it, otherwise the very same bytes.
 * Lines end in CRLF. What cannot be read stays as it is: whoever judges the message says why.
 */
export function withXdmSubject<Bytes extends Uint8Array>(message: Bytes): Bytes | Buffer {
  const header = readHeader(message)
  if (header.kind === 'unreadable' || header.all('subject').length > 1) return message
  if (decodeWords(header.get('subject') ?? '').includes(xdmMark)) return message
  const { type, value } = contentTypeOf(header)
  if (type !== 'multipart' && !mayBeZip(value, 'any.zip')) return message
  const tree = readMime(message)
  if (tree.kind === 'unreadable' || !bringsXdm(tree)) return message

  const bytes = viewOf(message)
  const subject = header.fields.find(({ name }) => name === 'subject')
  if (!subject) return Buffer.concat([Buffer.from(`Subject: ${xdmMark}\r\n`), bytes])
  const end = subject.raw.byteOffset - bytes.byteOffset + subject.raw.length
  // On a line of its own, so that no line gets longer than it may be (RFC 5322 §2.1.1).
  return Buffer.concat([bytes.subarray(0, end), Buffer.from(`\r\n ${xdmMark}`), bytes.subarray(end)])
}

function bringsXdm(tree: Part): boolean {
  for (const leaf of leavesOf(tree)) {
    const name = dispositionOf(leaf.header)?.params.get('filename') ?? leaf.contentType.params.get('name')
    if (mayBeZip(leaf.contentType.value, name && decodeWords(name)) && namesXdm(tailOf(leaf))) return true
  }
  return false
}

function mayBeZip(mediaType: string, name: string | undefined): boolean {
  const type = mediaType.toLowerCase()
  if (type === 'application/zip' || type === 'application/x-zip-compressed') return true
  return type === 'application/octet-stream' && /\.zip$/i.test(name?.trim() ?? '')
}

/** The last decoded bytes of a part. Base64 is read from its end, where its groups of four begin. */
function tailOf({ body, transferEncoding }: Part): Buffer {
  const cut = body.subarray(-2 * xdmLimits.tailBytes)
  if (transferEncoding !== 'base64') {
    const decoded = decodeBody({ body: cut, transferEncoding })
    return decoded.kind === 'decoded' ? decoded.bytes.subarray(-xdmLimits.tailBytes) : Buffer.alloc(0)
  }
  const text = cut.toString('latin1').replace(/[^A-Za-z0-9+/=]/g, '')
  return Buffer.from(cut.length < body.length ? text.slice(text.length % 4) : text, 'base64')
}

const endSignature = Buffer.from('PK\x05\x06', 'latin1')
const fileSignature = 0x02014b50
const fileHeaderBytes = 46

/** Walks the central directory at the end of an archive (APPNOTE §4.3.12, §4.3.16), as far as these last bytes have it. */
function namesXdm(tail: Buffer): boolean {
  const end = tail.lastIndexOf(endSignature)
  if (end < 0 || end + 16 > tail.length) return false
  let at = end - tail.readUInt32LE(end + 12)
  // A longer directory than is looked at: begin with the first whole entry.
  if (at < 0) at = tail.indexOf('PK\x01\x02', 0, 'latin1')
  for (let files = 0; files < xdmLimits.files && at >= 0 && at + fileHeaderBytes <= end; files++) {
    if (tail.readUInt32LE(at) !== fileSignature) return false
    const name = tail.toString('latin1', at + fileHeaderBytes, at + fileHeaderBytes + tail.readUInt16LE(at + 28))
    if (/^(?:\.?[/\\])?ihe_xdm(?:[/\\]|$)/i.test(name)) return true
    at += fileHeaderBytes + tail.readUInt16LE(at + 28) + tail.readUInt16LE(at + 30) + tail.readUInt16LE(at + 32)
  }
  return false
}
