import { cutAtBoundary } from './boundary.js'
import { type Header, readHeader } from './header.js'
import { type MimeLimits, mimeLimits, type Unreadable, viewOf } from './limits.js'
import { contentTypeOf } from './parameters.js'
import { boundaryOf, type Part, readMime } from './part.js'

/** A multipart/signed entity taken apart (RFC 1847 §2.1). */
export interface SignedEntity {
  readonly kind: 'signed'
  /** The header of the multipart/signed: outside the signature, so never to be shown or believed. */
  readonly outer: Header
  /** Exactly the bytes that the signature covers: the first part up to, not including, the line break before its delimiter. A view. */
  readonly content: Buffer
  /** The second part; decodeBody gives the CMS structure. */
  readonly signature: Part
  /** The micalg parameter in lower case, a hint only; empty where absent. */
  readonly micalg: string
}

export type NotSignedCause =
  | 'not-multipart-signed'
  | 'wrong-protocol'
  | 'preamble-too-long'
  | 'text-after-signature'
  | 'not-two-parts'
  | 'not-closed'
  | 'second-part-no-signature'

/** An entity that is not exactly content plus signature. `not-multipart-signed` leaves room for the opaque form; all others are damage or deceit. */
export interface NotSigned {
  readonly kind: 'not-signed'
  readonly cause: NotSignedCause
  readonly detail: string
}

const signatureTypes = ['application/pkcs7-signature', 'application/x-pkcs7-signature']

/**
 * Takes a multipart/signed entity apart without changing a byte (RFC 1847 §2.1, RFC 8551 §3.5.3). It must be exactly two
 * parts and a close delimiter, with nothing but white space after it: text outside the signed part has been shown as signed
 * by too many programs. A short preamble is passed over (RFC 2046 §5.1.1), because common signing programs write one;
 * it is not part of any result. Where the header has bare LF, so may the delimiters; in the signed part no byte is ever
 * changed, so that a signature over other line breaks fails where it must.
 */
export function splitSigned(
  entity: Uint8Array,
  options: { readonly limits?: Partial<MimeLimits> } = {},
): SignedEntity | NotSigned | Unreadable {
  const limits = { ...mimeLimits, ...options.limits }
  const bytes = viewOf(entity)
  const read = readHeader(bytes, options)
  // Some signers write the frame with bare LF around content in CRLF. The frame is outside the signature either way.
  const lineBreaks = read.kind === 'unreadable' && read.fault === 'bare-lf' ? 'any' : 'crlf'
  const outer = lineBreaks === 'any' ? readHeader(bytes, { ...options, lineBreaks }) : read
  if (outer.kind === 'unreadable') return outer
  if (outer.all('content-type').length > 1) return notSigned('not-multipart-signed', 'Content-Type stands twice')
  const type = contentTypeOf(outer)
  if (type.value !== 'multipart/signed') return notSigned('not-multipart-signed', 'the entity is not multipart/signed')
  const protocol = type.params.get('protocol')?.trim().toLowerCase() ?? ''
  if (type.duplicates.has('protocol') || !signatureTypes.includes(protocol))
    return notSigned('wrong-protocol', 'the protocol parameter does not name one PKCS #7 signature')
  const boundary = boundaryOf(type, limits)
  if (typeof boundary !== 'string') return boundary

  const pieces = cutAtBoundary(bytes.subarray(outer.bodyStart), boundary, 2, lineBreaks)
  const [content, second] = pieces.parts
  if (pieces.more || !content || !second) return notSigned('not-two-parts', 'a multipart/signed has exactly two parts')
  if (!pieces.closed) return notSigned('not-closed', 'the close delimiter is missing')
  if (pieces.preamble.length > limits.signedPreambleBytes)
    return notSigned('preamble-too-long', `more than ${limits.signedPreambleBytes} bytes stand before the signed part`)
  if (!isBlank(pieces.epilogue)) return notSigned('text-after-signature', 'text stands after the close delimiter')

  const signature = readMime(second, { ...options, lineBreaks })
  if (signature.kind === 'unreadable') return signature
  if (!signatureTypes.includes(signature.contentType.value))
    return notSigned('second-part-no-signature', 'the second part is not a PKCS #7 signature')
  return { kind: 'signed', outer, content, signature, micalg: type.params.get('micalg')?.trim().toLowerCase() ?? '' }
}

function notSigned(cause: NotSignedCause, detail: string): NotSigned {
  return { kind: 'not-signed', cause, detail: `${cause}: ${detail}` }
}

function isBlank(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 32 || byte === 9 || byte === 13 || byte === 10)
}

/**
 * The same entity with every line break as CRLF, as it must be before it is signed (RFC 8551 §3.1.1); the bytes
 * themselves where they already are. Never for what is to be verified, nor for an entity with binary parts.
 */
export function toCanonicalLines(entity: Uint8Array): Buffer {
  const bytes = viewOf(entity)
  const stray: number[] = []
  for (let lf = bytes.indexOf(10); lf >= 0; lf = bytes.indexOf(10, lf + 1)) {
    if (bytes[lf - 1] !== 13) stray.push(lf)
  }
  if (stray.length === 0) return bytes
  const out = Buffer.allocUnsafe(bytes.length + stray.length)
  let read = 0
  let written = 0
  for (const lf of stray) {
    written += bytes.copy(out, written, read, lf)
    out[written++] = 13
    read = lf
  }
  bytes.copy(out, written, read)
  return out
}
