import { oids } from '../asn1/oids.js'
import * as asn1 from '../asn1/reader.js'
import { sequenceOf } from '../asn1/writer.js'
import { algorithmOf, type Certificate, keyUsage, publicKeyOf, readExtensions } from './certificate.js'
import { comparableName, sameName } from './name.js'
import { extensionValue } from './names.js'
import { type Algorithm, schemeOf, signatureHolds, weaknessOf } from './signature.js'

/** A certificate revocation list (RFC 5280 §5.1). Its entries stay bytes: a list of 100,000 would be as many objects. */
export interface Crl {
  readonly kind: 'crl'
  readonly sizeBytes: number
  /** DER of the Name. */
  readonly issuer: Uint8Array
  /** Unix milliseconds. */
  readonly thisUpdate: number
  /** Undefined where the list does not say when the next one comes. */
  readonly nextUpdate: number | undefined
  readonly signatureAlgorithm: Algorithm
  readonly tbs: Uint8Array
  readonly signature: Uint8Array
  /** The entries, one after the other. */
  readonly entries: Uint8Array
  readonly scope: CrlScope
}

/** What a list speaks of (issuingDistributionPoint, RFC 5280 §5.2.5). */
interface CrlScope {
  /** Why the list proves nothing here: indirect, delta, or critical extensions that are not processed. */
  readonly unusable?: string
  readonly only?: 'user' | 'authority'
  /** Only some reasons: an entry proves revocation, its absence proves nothing. */
  readonly someReasons: boolean
  /** Comparable forms of the distribution point's names; undefined where the list names none. */
  readonly points: readonly string[] | undefined
}

export interface MalformedCrl {
  readonly kind: 'malformed'
  readonly detail: string
}

/** What a list says about one certificate. */
export type CrlAnswer =
  | { readonly kind: 'good' }
  | { readonly kind: 'revoked'; readonly at: number; readonly reason: string }
  /** The list does not speak of this certificate, or not with this issuer's authority. */
  | { readonly kind: 'no-proof'; readonly detail: string }

/** Reads a CRL, DER or PEM. Answers `malformed` for anything else; whether it may be believed is `crlAnswer`'s business. */
export function readCrl(bytes: Uint8Array): Crl | MalformedCrl {
  try {
    return parse(bytes[0] === asn1.tags.sequence ? bytes : fromPem(bytes))
  } catch (error) {
    if (error instanceof asn1.Asn1Error) return { kind: 'malformed', detail: error.message }
    throw error
  }
}

function fromPem(bytes: Uint8Array): Uint8Array {
  const body = /-----BEGIN X509 CRL-----([A-Za-z0-9+/=\s]*)-----END X509 CRL-----/.exec(
    Buffer.from(bytes).toString('latin1'),
  )?.[1]
  if (!body) throw new asn1.Asn1Error('neither DER nor PEM')
  return Buffer.from(body, 'base64')
}

function parse(der: Uint8Array): Crl {
  const [tbs, algorithm, signature, ...rest] = asn1.sequence(asn1.onlyElement(der), 4)
  if (rest.length > 0) throw new asn1.Asn1Error('fields behind the signature')
  const fields = asn1.sequence(tbs, 8)
  const version = fields[0]?.tag === asn1.tags.integer ? asn1.smallInteger(fields.shift()) : 0
  if (version > 1) throw new asn1.Asn1Error('unknown CRL version')
  const [inner, issuer, thisUpdate, ...optional] = fields
  // RFC 5280 §5.1.1.2: the two must be identical.
  if (Buffer.compare(asn1.whole(asn1.expect(inner, 0x30)), asn1.whole(asn1.expect(algorithm, 0x30))) !== 0)
    throw new asn1.Asn1Error('signature algorithms differ')
  const isTime = optional[0]?.tag === asn1.tags.utcTime || optional[0]?.tag === asn1.tags.generalizedTime
  const nextUpdate = isTime ? asn1.time(optional.shift()) : undefined
  const list = optional[0]?.tag === asn1.tags.sequence ? optional.shift() : undefined
  const holder = optional.shift()
  if (optional.length > 0 || (holder && holder.tag !== 0xa0)) throw new asn1.Asn1Error('unknown fields in a CRL')
  const entries = list ? asn1.content(list) : new Uint8Array()
  const issuerName = asn1.whole(asn1.expect(issuer, 0x30))
  return {
    kind: 'crl',
    sizeBytes: der.length,
    issuer: issuerName,
    thisUpdate: asn1.time(thisUpdate),
    nextUpdate,
    signatureAlgorithm: algorithmOf(algorithm),
    tbs: asn1.whole(asn1.expect(tbs, 0x30)),
    signature: asn1.bitOctets(signature),
    entries,
    scope: scopeOf(holder && asn1.children(holder, 1)[0], issuerName, entries),
  }
}

function scopeOf(found: asn1.Element | undefined, issuer: Uint8Array, entries: Uint8Array): CrlScope {
  const extensions = found ? readExtensions(found) : []
  const open: CrlScope = { someReasons: false, points: undefined }
  // A delta list tells only what changed (RFC 5280 §5.2.4), whether it is marked critical or not.
  if (extensions.some(({ oid }) => oid === oids.deltaCrlIndicator)) return { ...open, unusable: 'a delta CRL' }
  const unknown = extensions.find(({ oid, critical }) => critical && !processedExtensions.has(oid))
  if (unknown) return { ...open, unusable: `the critical extension ${unknown.oid}` }
  if (hasCriticalEntry(entries)) return { ...open, unusable: 'a critical extension in an entry' }
  const value = extensions.find(({ oid }) => oid === oids.issuingDistributionPoint)?.value
  return value ? issuingPoint(asn1.onlyElement(value), issuer) : open
}

const processedExtensions = new Set<string>([
  oids.issuingDistributionPoint,
  oids.crlNumber,
  oids.authorityKeyIdentifier,
  oids.issuerAltName,
])

function issuingPoint(found: asn1.Element, issuer: Uint8Array): CrlScope {
  const fields = new Map(asn1.sequence(found, 6).map((field) => [field.tag, field]))
  const flag = (tag: number) => {
    const field = fields.get(tag)
    return !!field && asn1.content(field).some((octet) => octet !== 0)
  }
  const name = fields.get(0xa0)
  const points = name && pointNames(name, issuer)
  const only = flag(0x81) ? ('user' as const) : flag(0x82) ? ('authority' as const) : undefined
  const unusable = flag(0x84) ? 'an indirect CRL' : flag(0x85) ? 'a CRL of attribute certificates' : undefined
  return {
    someReasons: fields.has(0x83),
    points,
    ...(only ? { only } : {}),
    ...(unusable ? { unusable } : {}),
  }
}

/** DistributionPointName (RFC 5280 §4.2.1.13): its full names, or the one relative to the issuer, in a form to compare. */
function pointNames(holder: asn1.Element, issuer: Uint8Array): string[] {
  const [name] = asn1.children(holder, 1)
  if (name?.tag === 0xa0)
    return asn1.children(name, 64).map((general) => {
      const inner = general.tag === 0xa4 ? asn1.children(general, 1)[0] : undefined
      return inner
        ? `name ${comparableName(asn1.whole(inner))}`
        : `${general.tag} ${Buffer.from(asn1.content(general)).toString('latin1')}`
    })
  if (name?.tag !== 0xa1) throw new asn1.Asn1Error('distribution point without a name')
  const set = Uint8Array.from(asn1.whole(name))
  set[0] = asn1.tags.set
  return [`name ${comparableName(sequenceOf(asn1.content(asn1.onlyElement(issuer)), set))}`]
}

/**
 * What a list says about `certificate`, whose issuer is `issuer`, at a moment (Unix milliseconds; RFC 5280 §6.3.3): issued
 * under the issuer's name, signed with its key, which may sign CRLs, in force at that moment, and speaking of such
 * certificates at all. Anything less proves nothing. An entry revokes whatever its date: who took a key may set clocks.
 */
export function crlAnswer(
  crl: Crl,
  certificate: Certificate,
  issuer: Certificate,
  at: number,
  { allowSha1 = false, skewMs = 300_000 }: { readonly allowSha1?: boolean; readonly skewMs?: number } = {},
): CrlAnswer {
  try {
    const doubt =
      authorityDoubt(crl, certificate, issuer, allowSha1) ??
      (crl.thisUpdate > at + skewMs ? 'the CRL is not in force yet' : undefined) ??
      (crl.nextUpdate === undefined ? 'the CRL has no nextUpdate' : undefined) ??
      (crl.nextUpdate !== undefined && crl.nextUpdate < at ? 'the CRL is out of date' : undefined)
    if (doubt) return { kind: 'no-proof', detail: doubt }
    const scope = scopeDoubt(crl.scope, certificate)
    if (scope === 'out') return { kind: 'no-proof', detail: 'the CRL does not speak of such certificates' }
    const entry = entryOf(crl.entries, certificate.serial)
    if (entry) return { kind: 'revoked', ...entry }
    return scope === 'some' ? { kind: 'no-proof', detail: 'the CRL covers some reasons only' } : { kind: 'good' }
  } catch (error) {
    if (error instanceof asn1.Asn1Error) return { kind: 'no-proof', detail: error.message }
    throw error
  }
}

function authorityDoubt(crl: Crl, certificate: Certificate, issuer: Certificate, allowSha1: boolean) {
  if (crl.scope.unusable) return crl.scope.unusable
  if (!sameName(crl.issuer, certificate.issuer) || !sameName(crl.issuer, issuer.subject))
    return 'the CRL is of another issuer'
  if (issuer.keyUsage !== undefined && !(issuer.keyUsage & keyUsage.crlSign)) return 'the issuer may not sign CRLs'
  const scheme = schemeOf(crl.signatureAlgorithm)
  if (!scheme) return `the CRL is signed with ${crl.signatureAlgorithm.oid}`
  if (scheme.digest === 'md5' || (scheme.digest === 'sha1' && !allowSha1))
    return `the CRL is signed with ${scheme.digest}`
  const key = publicKeyOf(issuer)
  if (!key || weaknessOf(key)) return 'the key of the issuer is not one to rely on'
  return isSignedBy(crl, issuer) ? undefined : 'the CRL was not signed by the key of the issuer'
}

const signed = new WeakMap<Crl, Map<string, boolean>>()

/** Checked once per list and key: the digest over a list of megabytes takes milliseconds. */
function isSignedBy(crl: Crl, issuer: Certificate): boolean {
  const results = signed.get(crl) ?? new Map<string, boolean>()
  signed.set(crl, results)
  const known = results.get(issuer.fingerprint)
  if (known !== undefined) return known
  const scheme = schemeOf(crl.signatureAlgorithm)
  const key = publicKeyOf(issuer)
  const holds = !!scheme && !!key && signatureHolds(crl.tbs, crl.signature, scheme, key)
  if (results.size < 16) results.set(issuer.fingerprint, holds)
  return holds
}

/** Whether a list of this scope speaks of the certificate: `out`, for `some` reasons, or for `all`. */
function scopeDoubt(scope: CrlScope, certificate: Certificate): 'out' | 'some' | 'all' {
  const isAuthority = certificate.basicConstraints?.ca === true
  if (scope.only && (scope.only === 'authority') !== isAuthority) return 'out'
  const points = distributionPointsOf(certificate)
  if (scope.points === undefined) return scope.someReasons ? 'some' : 'all'
  // RFC 5280 §6.3.3 b 2 i: a list for one distribution point speaks only of certificates that name that point.
  const named = points.filter(({ names }) => names.some((name) => scope.points?.includes(name)))
  if (named.length === 0) return 'out'
  return scope.someReasons || named.every(({ someReasons }) => someReasons) ? 'some' : 'all'
}

function distributionPointsOf(certificate: Certificate): { names: string[]; someReasons: boolean }[] {
  const value = extensionValue(certificate, oids.crlDistributionPoints)
  return (value ? asn1.sequence(value, 16) : []).map((point) => {
    const fields = new Map(asn1.sequence(point, 3).map((field) => [field.tag, field]))
    const name = fields.get(0xa0)
    return { names: name ? pointNames(name, certificate.issuer) : [], someReasons: fields.has(0x81) }
  })
}

const reasons: Readonly<Record<number, string>> = {
  0: 'unspecified',
  1: 'keyCompromise',
  2: 'cACompromise',
  3: 'affiliationChanged',
  4: 'superseded',
  5: 'cessationOfOperation',
  6: 'certificateHold',
  9: 'privilegeWithdrawn',
  10: 'aACompromise',
}
const removeFromCrl = 8

/** Looks for a serial number (content octets) without building anything for the entries passed over. */
function entryOf(entries: Uint8Array, serial: Uint8Array): { at: number; reason: string } | undefined {
  const size = serial.length
  for (let at = 0; at < entries.length; ) {
    const next = endOf(entries, at, asn1.tags.sequence)
    const from = contentAt
    const serialEnd = endOf(entries, from, asn1.tags.integer)
    const start = contentAt
    let same = serialEnd - start === size
    for (let i = 0; same && i < size; i++) same = entries[start + i] === serial[i]
    if (same) {
      const [, date, extensions] = asn1.sequence(asn1.element(entries, at), 3)
      const reason = reasonOf(extensions)
      if (reason !== removeFromCrl) return { at: asn1.time(date), reason: reasons[reason] ?? `reason ${reason}` }
    }
    at = next
  }
  return undefined
}

function reasonOf(found: asn1.Element | undefined): number {
  const value = found && readExtensions(found).find(({ oid }) => oid === oids.reasonCode)?.value
  return value ? (asn1.content(asn1.expect(asn1.onlyElement(value), asn1.tags.enumerated))[0] ?? 0) : 0
}

/** RFC 5280 §5.3: one critical extension in any entry that is not understood, and the whole list may not be used. */
function hasCriticalEntry(entries: Uint8Array): boolean {
  let found = false
  for (let at = 0; at < entries.length; ) {
    const next = endOf(entries, at, asn1.tags.sequence)
    const serialEnd = endOf(entries, contentAt, asn1.tags.integer)
    const dateTag = entries[serialEnd]
    if (dateTag !== asn1.tags.utcTime && dateTag !== asn1.tags.generalizedTime)
      throw new asn1.Asn1Error('CRL entry without a date')
    const dateEnd = endOf(entries, serialEnd, dateTag)
    if (dateEnd > next) throw new asn1.Asn1Error('CRL entry')
    if (dateEnd < next && !found && hasTrue(entries, dateEnd, next))
      found = readExtensions(asn1.element(entries, dateEnd, next)).some(
        ({ oid, critical }) => critical && oid !== oids.reasonCode,
      )
    at = next
  }
  return found
}

/** Whether something critical could stand there, a true BOOLEAN before an OCTET STRING: if not, the extensions need not be read. */
function hasTrue(bytes: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i + 3 < to; i++)
    if (bytes[i] === asn1.tags.boolean && bytes[i + 1] === 1 && bytes[i + 3] === asn1.tags.octetString) return true
  return false
}

/** Where the content of the element that `endOf` looked at last begins: a second result without an object. */
let contentAt = 0

/** The end of the element at `at`, which must have this tag and a definite length. */
function endOf(bytes: Uint8Array, at: number, tag: number): number {
  const first = bytes[at + 1]
  if (bytes[at] !== tag || first === undefined) throw new asn1.Asn1Error('CRL entry')
  let length = first
  contentAt = at + 2
  if (first >= 0x80) {
    const octets = first & 0x7f
    if (octets === 0 || octets > 4) throw new asn1.Asn1Error('CRL entry length')
    length = 0
    for (let i = 0; i < octets; i++) length = length * 256 + (bytes[contentAt + i] ?? 0)
    contentAt += octets
  }
  const end = contentAt + length
  if (end > bytes.length) throw new asn1.Asn1Error('CRL entry longer than its list')
  return end
}
