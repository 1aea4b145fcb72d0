import { Asn1Error, octetSegments, octets } from '../asn1/reader.js'
import { type Refused, refused } from '../direct/refusal.js'
import type { Signer } from '../direct/signer.js'
import { decodeBody } from '../mime/decode.js'
import { type Header, readHeader } from '../mime/header.js'
import { mimeLimits, type Unreadable, viewOf } from '../mime/limits.js'
import { contentTypeOf, transferEncodingOf } from '../mime/parameters.js'
import { splitSigned } from '../mime/signed.js'
import { type Certificate, readCertificate } from '../x509/certificate.js'
import type { ContentCipher } from './algorithms.js'
import { base64Reader } from './base64.js'
import { decrypt, looksBinary } from './decrypt.js'
import { readEnveloped } from './enveloped.js'
import type { DecryptionKey } from './key.js'
import { type OpenPolicy, type SmimePolicy, smimeLimits, strictOpening } from './policy.js'
import type { KeyTransport } from './recipient.js'
import { readSignedData, type SignedData } from './signed.js'
import { judgeSigner, signedContent } from './signer.js'

/** A message that was decrypted and whose content at least one signer signed. Whom to trust is not decided here. */
export interface Opened {
  readonly kind: 'opened'
  /** Exactly the signed bytes: part one of multipart/signed, or the content of an opaque signature. */
  readonly entity: Uint8Array
  /** Every SignerInfo judged on its own, in the order of the message; at least one is verified. */
  readonly signers: readonly Signer[]
  /** The certificates that came along, DER, at most `smimeLimits.certificates`; copies. */
  readonly certificates: readonly Uint8Array[]
  readonly keyId: string
  readonly contentCipher: ContentCipher
  readonly keyTransport: KeyTransport
  /** multipart/signed; otherwise the content stood inside the CMS. */
  readonly detached: boolean
}

/**
 * Decrypts a whole message (RFC 5322 with an enveloped `application/pkcs7-mime` at top level) and verifies what is inside:
 * RFC 5652 §6, then §5.6. Only the top level is decrypted, and all of what comes out must be signed, so that nothing can
 * stand beside the signed bytes. Refuses with one reason; never throws for what the bytes are.
 */
export function openMessage(
  wire: Uint8Array,
  keys: readonly DecryptionKey[],
  policy: SmimePolicy = {},
): Opened | Refused {
  const bytes = viewOf(wire)
  if (bytes.length > smimeLimits.messageBytes) return refused('message-too-large')
  const head = outerHeader(bytes)
  if (head.kind === 'refused') return head
  const body = cmsReader(head, bytes.length)
  if (body.kind === 'refused') return body
  for (let at = head.bodyStart; at < bytes.length; at += chunkBytes) body.push(bytes.subarray(at, at + chunkBytes))
  return openCms(body.end(), keys, { ...strictOpening, ...policy })
}

/**
 * The same for a message that comes in chunks, `sizeBytes` in all: the octets of the CMS structure are written once and
 * decrypted where they stand, so that a message costs three quarters of its size.
 */
export async function openLarge(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  sizeBytes: number,
  keys: readonly DecryptionKey[],
  policy: SmimePolicy = {},
): Promise<Opened | Refused> {
  if (sizeBytes > smimeLimits.messageBytes) return refused('message-too-large')
  let held: Buffer[] = []
  let seen = 0
  let body: CmsReader | undefined
  for await (const chunk of source) {
    seen += chunk.length
    if (seen > sizeBytes) return refused('malformed-cms', 'the message is longer than it was said to be')
    if (body) {
      body.push(viewOf(chunk))
      continue
    }
    held.push(viewOf(chunk))
    const start = Buffer.concat(held)
    if (start.length < headBytes && seen < sizeBytes) {
      held = [start]
      continue
    }
    const head = outerHeader(start)
    if (head.kind === 'refused') return head
    const reader = cmsReader(head, sizeBytes)
    if (reader.kind === 'refused') return reader
    body = reader
    body.push(start.subarray(head.bodyStart))
  }
  if (!body) return refused('malformed-cms', 'the message is shorter than it was said to be')
  return openCms(body.end(), keys, { ...strictOpening, ...policy })
}

const chunkBytes = 64 * 1024
/** Enough to hold any header block that is read at all, and the first of the body. */
const headBytes = mimeLimits.headerBytes + chunkBytes

const envelopeTypes = ['application/pkcs7-mime', 'application/x-pkcs7-mime']

/** The header of the envelope. It is outside every signature, so bare LF in it harms nothing. */
function outerHeader(bytes: Buffer): Header | Refused {
  const header = readHeader(bytes, { lineBreaks: 'any' })
  if (header.kind === 'unreadable') return refused('not-encrypted', header.detail)
  if (header.all('content-type').length !== 1 || header.all('content-transfer-encoding').length > 1)
    return refused('not-encrypted', 'there is not one Content-Type and at most one Content-Transfer-Encoding')
  const type = contentTypeOf(header)
  return envelopeTypes.includes(type.value) ? header : refused('not-encrypted', `the message is ${type.value}`)
}

/** Collects the body of the envelope and undoes its transfer encoding, into memory of its own. */
interface CmsReader {
  readonly kind: 'reader'
  push(chunk: Buffer): void
  end(): Buffer
}

function cmsReader(head: Header, sizeBytes: number): CmsReader | Refused {
  const encoding = transferEncodingOf(head)
  if (encoding === 'base64') return base64Body(sizeBytes)
  if (encoding === 'quoted-printable')
    return wholeBody(sizeBytes, (body) => decodeBody({ body, transferEncoding: encoding }))
  if (encoding === '7bit' || encoding === '8bit' || encoding === 'binary') return wholeBody(sizeBytes, unlabelled)
  return refused('malformed-cms', 'the Content-Transfer-Encoding is unknown')
}

function base64Body(sizeBytes: number): CmsReader {
  return { kind: 'reader', ...base64Reader(Buffer.allocUnsafeSlow(Math.ceil((sizeBytes * 3) / 4) + 3)) }
}

/** Not a SEQUENCE: then it is base64 whose label was forgotten. */
function unlabelled(body: Buffer): { kind: 'decoded'; bytes: Buffer } {
  if (body[0] === 0x30) return { kind: 'decoded', bytes: body }
  const reader = base64Reader(body) // what is read is always ahead of what is written
  for (let at = 0; at < body.length; at += chunkBytes) reader.push(body.subarray(at, at + chunkBytes))
  return { kind: 'decoded', bytes: reader.end() }
}

function wholeBody(
  sizeBytes: number,
  decode: (body: Buffer) => { kind: 'decoded'; bytes: Buffer } | Unreadable,
): CmsReader {
  const all = Buffer.allocUnsafeSlow(sizeBytes)
  let length = 0
  return {
    kind: 'reader',
    push: (chunk) => {
      length += chunk.copy(all, length)
    },
    end: () => {
      const decoded = decode(all.subarray(0, length))
      return decoded.kind === 'decoded' ? decoded.bytes : Buffer.alloc(0)
    },
  }
}

/** Decrypts the CMS structure in place and verifies what comes out. */
function openCms(cms: Buffer, keys: readonly DecryptionKey[], policy: OpenPolicy): Opened | Refused {
  return caught('malformed-cms', () => {
    const enveloped = readEnveloped(cms, policy)
    if (enveloped.kind === 'refused') return enveloped
    const decrypted = decrypt(enveloped, keys, policy)
    if (decrypted.kind === 'refused') return decrypted
    const verified = caught('malformed-signature', () => verifyEntity(decrypted.plaintext, policy))
    if (verified.kind === 'refused') return verified
    return {
      ...verified,
      kind: 'opened',
      keyId: decrypted.keyId,
      contentCipher: enveloped.cipher.name,
      keyTransport: decrypted.transport,
    }
  })
}

function caught<T>(reason: 'malformed-cms' | 'malformed-signature', step: () => T | Refused): T | Refused {
  try {
    return step()
  } catch (error) {
    if (error instanceof Asn1Error) return refused(reason, error.message)
    throw error
  }
}

interface Verified {
  readonly kind: 'verified'
  readonly entity: Uint8Array
  readonly signers: readonly Signer[]
  readonly certificates: readonly Uint8Array[]
  readonly detached: boolean
}

/** What was decrypted must be one signed entity and nothing else: multipart/signed, or opaque signed-data. */
function verifyEntity(plaintext: Buffer, policy: OpenPolicy): Verified | Refused {
  const split = splitSigned(plaintext)
  if (split.kind === 'signed') {
    if (split.signature.body.length > smimeLimits.signatureBytes * 2)
      return refused('malformed-signature', 'the signature is too large')
    const decoded = decodeBody(split.signature)
    if (decoded.kind === 'unreadable') return refused('malformed-signature', decoded.detail)
    const signed = readSignedData(decoded.bytes)
    if (!signed) return refused('malformed-signature', 'the second part is no SignedData')
    // A signature that brings its own content verifies that, not what stands beside it.
    if (signed.content) return refused('malformed-signature', 'the detached signature has a content of its own')
    return judge(signed, split.content, true, policy)
  }
  // Noise is what a wrong key gives, and must not be told from a wrong padding.
  if (looksBinary(plaintext)) return refused('decrypt-failed')
  if (split.kind === 'unreadable')
    return refused(split.fault === 'not-a-field' ? 'not-signed' : 'malformed-signature', split.detail)
  return split.cause === 'not-multipart-signed'
    ? verifyOpaque(plaintext, policy)
    : refused('malformed-signature', split.detail)
}

/** application/pkcs7-mime with signed-data inside (RFC 8551 §3.5.2). */
function verifyOpaque(plaintext: Buffer, policy: OpenPolicy): Verified | Refused {
  const header = readHeader(plaintext)
  if (header.kind === 'unreadable' || !envelopeTypes.includes(contentTypeOf(header).value))
    return refused('not-signed', 'the decrypted content is not a signed entity')
  if (header.all('content-type').length !== 1 || header.all('content-transfer-encoding').length > 1)
    return refused('malformed-signature', 'there is not one Content-Type and at most one Content-Transfer-Encoding')
  const reader = cmsReader(header, plaintext.length - header.bodyStart)
  if (reader.kind === 'refused') return refused('malformed-signature', reader.detail)
  for (let at = header.bodyStart; at < plaintext.length; at += chunkBytes)
    reader.push(plaintext.subarray(at, at + chunkBytes))
  const signed = readSignedData(reader.end())
  if (!signed) return refused('not-signed', 'the decrypted content is CMS, but not SignedData')
  if (!signed.content) return refused('malformed-signature', 'the opaque signature has no content')
  const segments = octetSegments(signed.content)
  const content = segments.length === 1 ? (segments[0] as Uint8Array) : octets(signed.content)
  return judge(signed, content, false, policy)
}

function judge(signed: SignedData, entity: Uint8Array, detached: boolean, policy: OpenPolicy): Verified | Refused {
  if (signed.signers.length === 0) return refused('not-signed', 'SignedData without a signer')
  const bag = signed.certificates
    .map((der) => readCertificate(der))
    .filter((read): read is Certificate => read.kind === 'certificate')
  const content = signedContent(entity, signed.contentType)
  const signers = signed.signers.flatMap((signer) => judgeSigner(signer, content, bag, policy))
  const [first] = signers
  if (!first || signers.every((signer) => signer.kind === 'unverified'))
    return first?.kind === 'unverified' ? refused(first.reason, signerDetails(signers)) : refused('not-signed')
  const certificates = signed.certificates.map((der) => Uint8Array.from(der))
  return { kind: 'verified', entity, signers, certificates, detached }
}

function signerDetails(signers: readonly Signer[]): string {
  return signers.map((signer) => (signer.kind === 'unverified' ? `${signer.reason}: ${signer.detail}` : '')).join('; ')
}
