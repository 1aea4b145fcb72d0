import { hash } from 'node:crypto'
import { oids } from '../asn1/oids.js'
import * as asn1 from '../asn1/reader.js'
import { algorithmIdentifier, integer, nullValue, octetString, sequenceOf } from '../asn1/writer.js'
import { algorithmOf, type Certificate, type Extension, readExtensions } from './certificate.js'
import type { Algorithm } from './signature.js'

export const ocspLimits = {
  /** A signed answer with a chain of three certificates is 6 KB. */
  sizeBytes: 128 * 1024,
  /** Answers in one response; we ask for one, some responders send a whole prepared batch. */
  answers: 100,
  /** Certificates that come along. */
  certificates: 10,
}

/** Which certificate an answer is about (RFC 6960 §4.1.1); all four fields as they came. */
export interface CertificateId {
  readonly digest: string
  readonly issuerNameHash: Uint8Array
  readonly issuerKeyHash: Uint8Array
  /** Content octets. */
  readonly serial: Uint8Array
}

/** What a response says about one certificate (RFC 6960 §4.2.1, SingleResponse); moments in Unix milliseconds. */
export interface SingleAnswer {
  readonly id: CertificateId
  readonly status:
    | { readonly kind: 'good' }
    | { readonly kind: 'revoked'; readonly at: number; readonly reason: number }
    | { readonly kind: 'unknown' }
  readonly thisUpdate: number
  readonly nextUpdate: number | undefined
  readonly extensions: readonly Extension[]
}

/** A signed OCSP response (RFC 6960 §4.2.1, BasicOCSPResponse), read and not believed. */
export interface OcspResponse {
  readonly kind: 'response'
  /** Who says that he signed: a Name (DER), or the SHA-1 of a public key. */
  readonly responder: { readonly name: Uint8Array } | { readonly keyHash: Uint8Array }
  readonly producedAt: number
  readonly answers: readonly SingleAnswer[]
  readonly extensions: readonly Extension[]
  readonly signatureAlgorithm: Algorithm
  readonly tbs: Uint8Array
  readonly signature: Uint8Array
  /** DER, unparsed. */
  readonly certificates: readonly Uint8Array[]
}

/** The responder did not answer the question, and says so without a signature: `tryLater`, `unauthorized` … */
export interface OcspDeclined {
  readonly kind: 'declined'
  readonly status: string
}

export interface MalformedOcsp {
  readonly kind: 'malformed'
  readonly detail: string
}

/**
 * An OCSPRequest (RFC 6960 §4.1.1, DER) about one certificate of `issuer`. The same certificate always gives the same
 * bytes, as there is no nonce: responders answer with what they signed beforehand (RFC 5019 §2.1.1), freshness comes from the
 * times in the answer, and only so can an answer be remembered. SHA-1 names the issuer here and protects nothing; it is
 * the one digest that every responder knows (RFC 5019 §2.1.1).
 */
export function ocspRequest(certificate: Certificate, issuer: Certificate): Uint8Array {
  const id = sequenceOf(
    algorithmIdentifier(oids.sha1, nullValue),
    octetString(hash('sha1', certificate.issuer, 'buffer')),
    octetString(hash('sha1', publicKeyBits(issuer), 'buffer')),
    serialOf(certificate.serial),
  )
  return sequenceOf(sequenceOf(sequenceOf(sequenceOf(id))))
}

/** The serial number as it stands in the certificate: also one that is negative or padded must be named by its own bytes. */
function serialOf(content: Uint8Array): Uint8Array {
  const own = integer(content)
  const written = asn1.content(asn1.onlyElement(own))
  if (Buffer.compare(written, content) === 0) return own
  const size = content.length
  return Buffer.concat([Uint8Array.of(asn1.tags.integer, ...(size < 0x80 ? [size] : [0x81, size])), content])
}

/** The octets of a subjectPublicKey without tag, length and unused bits: what key hashes are made of (RFC 6960 §4.1.1). */
export function publicKeyBits({ spki }: Certificate): Uint8Array {
  return asn1.bitOctets(asn1.sequence(asn1.onlyElement(spki), 2)[1])
}

const idDigests: Readonly<Record<string, string>> = {
  [oids.sha1]: 'sha1',
  [oids.sha256]: 'sha256',
  [oids.sha384]: 'sha384',
  [oids.sha512]: 'sha512',
}

/** Whether an answer is about this certificate of this issuer: the digests of the issuer's name and key, and the serial number, all fit. */
export function isAbout({ digest, ...id }: CertificateId, certificate: Certificate, issuer: Certificate): boolean {
  const name = idDigests[digest]
  if (!name || Buffer.compare(id.serial, certificate.serial) !== 0) return false
  return (
    Buffer.compare(id.issuerNameHash, hash(name, certificate.issuer, 'buffer')) === 0 &&
    Buffer.compare(id.issuerKeyHash, hash(name, publicKeyBits(issuer), 'buffer')) === 0
  )
}

const known = new WeakMap<Uint8Array, OcspResponse | OcspDeclined | MalformedOcsp>()

/**
 * Reads an OCSPResponse (RFC 6960 §4.2.1). Answers `declined` where it carries no answer, `malformed` for anything that is
 * not strict DER, is of another type than id-pkix-ocsp-basic, or passes the limits. The same array is read once.
 */
export function readOcsp(bytes: Uint8Array): OcspResponse | OcspDeclined | MalformedOcsp {
  let response = known.get(bytes)
  if (!response) {
    response = readOnce(bytes)
    known.set(bytes, response)
  }
  return response
}

function readOnce(bytes: Uint8Array): OcspResponse | OcspDeclined | MalformedOcsp {
  if (bytes.length > ocspLimits.sizeBytes) return { kind: 'malformed', detail: 'an OCSP response too large' }
  try {
    return parse(Uint8Array.from(bytes))
  } catch (error) {
    if (error instanceof asn1.Asn1Error) return { kind: 'malformed', detail: error.message }
    throw error
  }
}

/** RFC 6960 §4.2.1; 4 is not used. */
const declinedStatus: Readonly<Record<number, string>> = {
  1: 'malformedRequest',
  2: 'internalError',
  3: 'tryLater',
  5: 'sigRequired',
  6: 'unauthorized',
}

function parse(der: Uint8Array): OcspResponse | OcspDeclined {
  const outer = asn1.onlyElement(der)
  asn1.assertDer(outer)
  const [status, holder, ...rest] = asn1.sequence(outer, 3)
  const code = asn1.content(asn1.expect(status, asn1.tags.enumerated))
  if (code.length !== 1 || rest.length > 0) throw new asn1.Asn1Error('response status')
  if (code[0] !== 0) return { kind: 'declined', status: declinedStatus[code[0] as number] ?? `status ${code[0]}` }
  const [type, response] = asn1.sequence(only(asn1.expect(holder, 0xa0)), 3)
  if (asn1.oid(type) !== oids.ocspBasic) throw new asn1.Asn1Error('a response of another type')
  const basic = asn1.onlyElement(asn1.content(asn1.expect(response, asn1.tags.octetString)))
  asn1.assertDer(basic)
  return basicOf(basic)
}

function basicOf(found: asn1.Element): OcspResponse {
  const [tbs, algorithm, signature, along, ...rest] = asn1.sequence(found, 5)
  if (rest.length > 0) throw new asn1.Asn1Error('fields behind the certificates')
  const fields = asn1.sequence(tbs, 6)
  if (fields[0]?.tag === 0xa0 && asn1.smallInteger(only(fields.shift() as asn1.Element)) !== 0)
    throw new asn1.Asn1Error('unknown OCSP version')
  const [responder, producedAt, answers, extensions, ...others] = fields
  if (others.length > 0) throw new asn1.Asn1Error('unknown fields in an OCSP response')
  return {
    kind: 'response',
    responder: responderOf(responder),
    producedAt: generalizedTime(producedAt),
    answers: asn1.sequence(answers, ocspLimits.answers).map(singleOf),
    extensions: extensionsIn(extensions),
    signatureAlgorithm: algorithmOf(algorithm),
    tbs: asn1.whole(asn1.expect(tbs, asn1.tags.sequence)),
    signature: asn1.bitOctets(signature),
    certificates: along ? asn1.sequence(only(asn1.expect(along, 0xa0)), ocspLimits.certificates).map(asn1.whole) : [],
  }
}

/** ResponderID: byName [1], byKey [2]. */
function responderOf(found: asn1.Element | undefined): OcspResponse['responder'] {
  if (found?.tag === 0xa1) return { name: asn1.whole(asn1.expect(only(found), asn1.tags.sequence)) }
  return { keyHash: asn1.content(asn1.expect(only(asn1.expect(found, 0xa2)), asn1.tags.octetString)) }
}

function singleOf(found: asn1.Element): SingleAnswer {
  const [id, status, thisUpdate, ...optional] = asn1.sequence(found, 5)
  const next = optional[0]?.tag === 0xa0 ? optional.shift() : undefined
  const extensions = optional.shift()
  if (optional.length > 0) throw new asn1.Asn1Error('unknown fields in an answer')
  return {
    id: idOf(id),
    status: statusOf(status),
    thisUpdate: generalizedTime(thisUpdate),
    nextUpdate: next && generalizedTime(only(next)),
    extensions: extensionsIn(extensions),
  }
}

function idOf(found: asn1.Element | undefined): CertificateId {
  const [algorithm, name, key, serial, ...rest] = asn1.sequence(found, 5)
  if (rest.length > 0) throw new asn1.Asn1Error('unknown fields in a CertID')
  return {
    digest: algorithmOf(algorithm).oid,
    issuerNameHash: asn1.content(asn1.expect(name, asn1.tags.octetString)),
    issuerKeyHash: asn1.content(asn1.expect(key, asn1.tags.octetString)),
    serial: asn1.content(asn1.expect(serial, asn1.tags.integer)),
  }
}

/** CertStatus: good [0] and unknown [2] are empty, revoked [1] holds a time and perhaps a reason. */
function statusOf(found: asn1.Element | undefined): SingleAnswer['status'] {
  if (found?.tag === 0xa1) {
    const [at, holder, ...rest] = asn1.children(found, 3)
    if (rest.length > 0) throw new asn1.Asn1Error('unknown fields in a revocation')
    const reason = holder && asn1.content(asn1.expect(only(asn1.expect(holder, 0xa0)), asn1.tags.enumerated))
    return { kind: 'revoked', at: generalizedTime(at), reason: reason?.[0] ?? 0 }
  }
  if (found && asn1.content(found).length === 0) {
    if (found.tag === 0x80) return { kind: 'good' }
    if (found.tag === 0x82) return { kind: 'unknown' }
  }
  throw new asn1.Asn1Error('an unknown certificate status')
}

/** Extensions under [1], each at most once (RFC 5280 §4.2). */
function extensionsIn(holder: asn1.Element | undefined): readonly Extension[] {
  if (!holder) return []
  const found = readExtensions(only(asn1.expect(holder, 0xa1)))
  if (new Set(found.map(({ oid }) => oid)).size !== found.length) throw new asn1.Asn1Error('an extension twice')
  return found
}

/** The element inside an explicit tag. */
function only(holder: asn1.Element): asn1.Element {
  const [inner, ...rest] = asn1.children(holder, 2)
  if (!inner || rest.length > 0) throw new asn1.Asn1Error('not one element inside an explicit tag')
  return inner
}

/** RFC 6960 §4.2.2.1: GeneralizedTime in the form of RFC 5280 §4.1.2.5.2, never UTCTime. */
function generalizedTime(found: asn1.Element | undefined): number {
  return asn1.time(asn1.expect(found, asn1.tags.generalizedTime))
}
