import { createPublicKey, hash, type KeyObject } from 'node:crypto'
import { oids } from '../asn1/oids.js'
import * as asn1 from '../asn1/reader.js'
import { recent } from './recent.js'

/** KeyUsage bits (RFC 5280 §4.2.1.3) as `keyUsage` holds them. */
export const keyUsage = {
  digitalSignature: 1,
  nonRepudiation: 2,
  keyEncipherment: 4,
  dataEncipherment: 8,
  keyAgreement: 16,
  keyCertSign: 32,
  crlSign: 64,
} as const

export interface Extension {
  readonly oid: string
  readonly critical: boolean
  /** What the extnValue octet string holds. */
  readonly value: Uint8Array
}

/** An X.509 certificate (RFC 5280 §4.1) parsed once; byte fields are windows on `der`. */
export interface Certificate {
  readonly kind: 'certificate'
  readonly der: Uint8Array
  /** SHA-256 of `der`, lower-case hex. */
  readonly fingerprint: string
  readonly version: number
  /** Content octets of the serial number. */
  readonly serial: Uint8Array
  /** DER of the Name. */
  readonly issuer: Uint8Array
  readonly subject: Uint8Array
  /** Unix milliseconds, both inclusive. */
  readonly notBefore: number
  readonly notAfter: number
  /** DER of SubjectPublicKeyInfo. */
  readonly spki: Uint8Array
  readonly publicKeyAlgorithm: string
  readonly signatureAlgorithm: { readonly oid: string; readonly parameters: Uint8Array | undefined }
  /** The signed bytes, and the signature over them. */
  readonly tbs: Uint8Array
  readonly signature: Uint8Array
  readonly extensions: readonly Extension[]
  /** subjectAltName: every name of these two kinds, lower-cased, and how many of other kinds there are. */
  readonly names: { readonly rfc822: readonly string[]; readonly dns: readonly string[]; readonly others: number }
  /** Bits as in `keyUsage`; undefined where the extension is absent, which allows every use. */
  readonly keyUsage: number | undefined
  readonly extendedKeyUsage: readonly string[] | undefined
  readonly basicConstraints: { readonly ca: boolean; readonly pathLength: number | undefined } | undefined
  readonly subjectKeyIdentifier: Uint8Array | undefined
  readonly authorityKeyIdentifier: Uint8Array | undefined
  /** caIssuers and OCSP URLs of authorityInfoAccess, and fullName URLs of cRLDistributionPoints, in order. */
  readonly caIssuers: readonly string[]
  readonly ocspUrls: readonly string[]
  readonly crlUrls: readonly string[]
  /** Whether there are distribution points at all, with or without a URL. */
  readonly hasCrlPoints: boolean
}

export interface MalformedCertificate {
  readonly kind: 'malformed'
  readonly detail: string
}

export const certificateLimits = {
  /** Real certificates stay below 4 KiB; long name constraint lists reach tens. */
  sizeBytes: 64 * 1024,
  extensions: 64,
  names: 256,
  urls: 16,
  /** Parsed certificates kept by fingerprint; about 10 KB each with its key. */
  cached: 2_000,
}

const cache = recent<Certificate>(certificateLimits.cached)

/** By the very bytes that a parsed certificate holds, which nobody else may change: asking again costs no digest. */
const owned = new WeakMap<Uint8Array, Certificate>()

/**
 * Parses one DER certificate and nothing behind it. Answers `malformed` for anything that is not strict DER, has
 * unreadable fields or passes the limits. Parsed certificates are cached by fingerprint: parsing costs more than
 * checking a signature.
 */
export function readCertificate(der: Uint8Array): Certificate | MalformedCertificate {
  const own = owned.get(der)
  if (own) return own
  if (der.length > certificateLimits.sizeBytes) return { kind: 'malformed', detail: 'certificate too large' }
  const fingerprint = hash('sha256', der, 'hex')
  const known = cache.get(fingerprint)
  if (known) return known
  try {
    const certificate = parse(Uint8Array.from(der), fingerprint)
    owned.set(certificate.der, certificate)
    cache.set(fingerprint, certificate)
    return certificate
  } catch (error) {
    if (error instanceof asn1.Asn1Error) return { kind: 'malformed', detail: error.message }
    throw error
  }
}

const optionalTags = new Set([0x81, 0x82, 0xa3])

function parse(der: Uint8Array, fingerprint: string): Certificate {
  const outer = asn1.onlyElement(der)
  asn1.assertDer(outer)
  const [tbs, algorithm, signature, ...rest] = asn1.sequence(outer)
  if (rest.length > 0) throw new asn1.Asn1Error('fields behind the signature')
  const fields = asn1.sequence(tbs)
  const version = fields[0]?.tag === 0xa0 ? asn1.smallInteger(asn1.children(fields.shift() as asn1.Element)[0]) + 1 : 1
  if (version > 3) throw new asn1.Asn1Error('unknown certificate version')
  const [serial, inner, issuer, validity, subject, spki, ...optional] = fields
  // issuerUniqueID, subjectUniqueID, extensions: each at most once, in this order.
  if (optional.some(({ tag }, i) => !optionalTags.has(tag) || tag <= (optional[i - 1]?.tag ?? 0)))
    throw new asn1.Asn1Error('unknown fields in a certificate')
  const [notBefore, notAfter] = asn1.sequence(validity)
  const signatureAlgorithm = algorithmOf(algorithm)
  // RFC 5280 §4.1.1.2: the two must be identical, else the algorithm could be swapped without breaking the signature.
  if (Buffer.compare(asn1.whole(asn1.expect(inner, 0x30)), asn1.whole(asn1.expect(algorithm, 0x30))) !== 0)
    throw new asn1.Asn1Error('signature algorithms differ')
  const extensions = extensionsOf(optional, version)
  return {
    kind: 'certificate',
    der,
    fingerprint,
    version,
    serial: serialOf(serial),
    issuer: asn1.whole(asn1.expect(issuer, 0x30)),
    subject: asn1.whole(asn1.expect(subject, 0x30)),
    notBefore: asn1.time(notBefore),
    notAfter: asn1.time(notAfter),
    spki: asn1.whole(asn1.expect(spki, 0x30)),
    publicKeyAlgorithm: algorithmOf(asn1.sequence(spki)[0]).oid,
    signatureAlgorithm,
    tbs: asn1.whole(asn1.expect(tbs, 0x30)),
    signature: asn1.bitOctets(signature),
    extensions,
    ...known(extensions),
  }
}

/**
 * The octets of a serial number. Zero, negative and overlong ones are there in practice and are only compared (RFC 5280
 * §4.1.2.2); one that is padded would be another one than the same number in a revocation list (X.690 §8.3.2).
 */
function serialOf(found: asn1.Element | undefined): Uint8Array {
  const octets = asn1.content(asn1.expect(found, asn1.tags.integer))
  const [first, second = 0] = octets
  const isPadded = octets.length > 1 && (first === 0 ? second < 0x80 : first === 0xff && second >= 0x80)
  if (first === undefined || isPadded) throw new asn1.Asn1Error('serial number')
  return octets
}

/** An AlgorithmIdentifier: its OID and the whole parameters element, where there is one. */
export function algorithmOf(found: asn1.Element | undefined): { oid: string; parameters: Uint8Array | undefined } {
  const [id, parameters] = asn1.sequence(found)
  return { oid: asn1.oid(id), parameters: parameters && asn1.whole(parameters) }
}

function extensionsOf(optional: readonly asn1.Element[], version: number): Extension[] {
  const holder = optional.find((field) => field.tag === 0xa3)
  if (!holder) return []
  if (version !== 3) throw new asn1.Asn1Error('extensions outside version 3')
  const extensions = readExtensions(asn1.children(holder)[0])
  // RFC 5280 §4.2: at most one of each.
  if (new Set(extensions.map((extension) => extension.oid)).size !== extensions.length)
    throw new asn1.Asn1Error('an extension twice')
  return extensions
}

/** Extensions ::= SEQUENCE OF Extension, as certificates and CRLs have them. */
export function readExtensions(found: asn1.Element | undefined): Extension[] {
  return asn1.sequence(found, certificateLimits.extensions).map((extension) => {
    const fields = asn1.sequence(extension)
    const critical = fields[1]?.tag === asn1.tags.boolean
    return {
      oid: asn1.oid(fields[0]),
      critical: critical && asn1.truth(fields[1]),
      value: asn1.content(asn1.expect(fields[critical ? 2 : 1], asn1.tags.octetString)),
    }
  })
}

function known(extensions: readonly Extension[]) {
  const value = (oid: string) => {
    const found = extensions.find((extension) => extension.oid === oid)
    return found && asn1.onlyElement(found.value)
  }
  const ski = value(oids.subjectKeyIdentifier)
  const aki = value(oids.authorityKeyIdentifier)
  const usage = value(oids.keyUsage)
  const extended = value(oids.extendedKeyUsage)
  const points = value(oids.crlDistributionPoints)
  const akiKey = aki && asn1.sequence(aki).find((field) => field.tag === 0x80)
  return {
    names: namesOf(value(oids.subjectAltName)),
    keyUsage: usage && asn1.namedBits(usage),
    extendedKeyUsage: extended && asn1.sequence(extended).map(asn1.oid),
    basicConstraints: basicConstraintsOf(value(oids.basicConstraints)),
    subjectKeyIdentifier: ski && asn1.content(asn1.expect(ski, asn1.tags.octetString)),
    authorityKeyIdentifier: akiKey && asn1.content(akiKey),
    ...accessOf(value(oids.authorityInfoAccess)),
    crlUrls: crlUrlsOf(points),
    hasCrlPoints: points !== undefined,
  }
}

const ia5 = (found: asn1.Element) => Buffer.from(asn1.content(found)).toString('latin1')

/** GeneralNames (RFC 5280 §4.2.1.6): rfc822Name [1], dNSName [2]. A NUL or non-ASCII byte is kept and so matches nothing. */
function namesOf(found: asn1.Element | undefined) {
  const rfc822: string[] = []
  const dns: string[] = []
  let others = 0
  for (const name of found ? asn1.sequence(found, certificateLimits.names) : []) {
    if (name.tag === 0x81) rfc822.push(ia5(name).toLowerCase())
    else if (name.tag === 0x82) dns.push(ia5(name).toLowerCase())
    else others++
  }
  return { rfc822, dns, others }
}

function basicConstraintsOf(found: asn1.Element | undefined) {
  if (!found) return undefined
  const fields = asn1.sequence(found)
  const stated = fields[0]?.tag === asn1.tags.boolean
  const length = fields[stated ? 1 : 0]
  return { ca: stated && asn1.truth(fields[0]), pathLength: length && asn1.smallInteger(length) }
}

function accessOf(found: asn1.Element | undefined) {
  const caIssuers: string[] = []
  const ocspUrls: string[] = []
  for (const description of found ? asn1.sequence(found, certificateLimits.urls) : []) {
    const [method, location] = asn1.sequence(description)
    if (location?.tag !== 0x86) continue
    if (asn1.oid(method) === oids.caIssuers) caIssuers.push(ia5(location))
    else if (asn1.oid(method) === oids.ocsp) ocspUrls.push(ia5(location))
  }
  return { caIssuers, ocspUrls }
}

/** DistributionPoint ::= [0] distributionPoint { [0] fullName { [6] URI } } (RFC 5280 §4.2.1.13). */
function crlUrlsOf(found: asn1.Element | undefined): string[] {
  const urls: string[] = []
  for (const point of found ? asn1.sequence(found, certificateLimits.urls) : []) {
    const name = asn1.sequence(point).find((field) => field.tag === 0xa0)
    const full = name && asn1.children(name).find((field) => field.tag === 0xa0)
    for (const general of full ? asn1.children(full, certificateLimits.urls) : [])
      if (general.tag === 0x86) urls.push(ia5(general))
  }
  return urls
}

const publicKeys = new WeakMap<Certificate, KeyObject | null>()

/** The public key ready for use; undefined for a key that this platform cannot load. Loaded once. */
export function publicKeyOf(certificate: Certificate): KeyObject | undefined {
  let key = publicKeys.get(certificate)
  if (key === undefined) {
    key = loadPublicKey(certificate.spki) ?? null
    publicKeys.set(certificate, key)
  }
  return key ?? undefined
}

/** Only RSA and EC on a named curve are given to the platform: curves spelled out by a stranger have hung it before (CVE-2022-0778). */
function loadPublicKey(spki: Uint8Array): KeyObject | undefined {
  try {
    const { oid, parameters } = algorithmOf(asn1.sequence(asn1.onlyElement(spki))[0])
    if (oid === oids.ecPublicKey ? parameters?.[0] !== asn1.tags.oid : !rsaKeys.has(oid)) return undefined
    return createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' })
  } catch {
    return undefined
  }
}

const rsaKeys = new Set<string>([oids.rsaEncryption, oids.rsassaPss])
