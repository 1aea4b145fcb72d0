import { oids } from '../asn1/oids.js'
import * as asn1 from '../asn1/reader.js'
import { der } from '../asn1/writer.js'
import { algorithmOf, type Extension, readExtensions } from './certificate.js'
import { comparableName } from './name.js'
import { type DistributionPoint, directoryNames, pointName, readPoints, reasonBits } from './points.js'
import type { Algorithm } from './signature.js'

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
  /** Why the list proves nothing to anybody here: something critical in it is not understood (RFC 5280 §5.2, §5.3). */
  readonly unusable: string | undefined
  readonly scope: CrlScope
  readonly number: bigint | undefined
  /** BaseCRLNumber: set in a delta list, which tells only what changed since then (RFC 5280 §5.2.4). */
  readonly baseNumber: bigint | undefined
  readonly authorityKeyIdentifier: Uint8Array | undefined
  /** Where delta lists to this one are to be had (RFC 5280 §5.2.6). */
  readonly freshest: readonly DistributionPoint[]
  /** From where on in `entries` whose certificates are meant, first to last; one run but for indirect lists. */
  readonly issuerRuns: readonly IssuerRun[]
}

interface IssuerRun {
  readonly from: number
  /** Comparable names. */
  readonly issuers: readonly string[]
}

/** What a list speaks of (issuingDistributionPoint, RFC 5280 §5.2.5). */
export interface CrlScope {
  readonly only: 'user' | 'authority' | 'attribute' | undefined
  /** Also certificates of others than the issuer of the list. */
  readonly indirect: boolean
  /** Bits of ReasonFlags; undefined: all. */
  readonly reasons: number | undefined
  /** Names of the distribution point as `DistributionPoint` has them; undefined where the list names none. */
  readonly points: readonly string[] | undefined
  /** DER of the extension, latin1; empty where there is none. Equal for lists of the same scope. */
  readonly form: string
}

export interface MalformedCrl {
  readonly kind: 'malformed'
  readonly detail: string
}

export const crlLimits = {
  /** Changes of certificateIssuer in one indirect list; each costs a name compared when it is read, about ten microseconds. */
  issuerRuns: 5_000,
}

const known = new WeakMap<Uint8Array, Crl | MalformedCrl>()

/**
 * Reads a CRL, DER or PEM. Answers `malformed` for anything else; whether it may be believed is not asked here. The same
 * array is read once: 100,000 entries take milliseconds.
 */
export function readCrl(bytes: Uint8Array): Crl | MalformedCrl {
  let crl = known.get(bytes)
  if (!crl) {
    crl = readOnce(bytes)
    known.set(bytes, crl)
  }
  return crl
}

function readOnce(bytes: Uint8Array): Crl | MalformedCrl {
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

function parse(bytes: Uint8Array): Crl {
  const [tbs, algorithm, signature, ...rest] = asn1.sequence(asn1.onlyElement(bytes), 4)
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
  if (optional.length > 0 || (holder && (holder.tag !== 0xa0 || version !== 1)))
    throw new asn1.Asn1Error('unknown fields in a CRL')
  const extensions = holder ? readExtensions(asn1.children(holder, 1)[0]) : []
  // RFC 5280 §5.2 takes over §4.2: at most one of each.
  if (new Set(extensions.map(({ oid }) => oid)).size !== extensions.length)
    throw new asn1.Asn1Error('an extension twice')
  const entries = list ? asn1.content(list) : new Uint8Array()
  const issuerName = asn1.whole(asn1.expect(issuer, 0x30))
  const told = extensionsOf(extensions, issuerName)
  const { unusable, issuerRuns } = surveyOf(entries, issuerName, told.scope.indirect)
  const unknown = extensions.find(({ oid, critical }) => critical && !processedExtensions.has(oid))
  return {
    kind: 'crl',
    sizeBytes: bytes.length,
    issuer: issuerName,
    thisUpdate: asn1.time(thisUpdate),
    nextUpdate,
    signatureAlgorithm: algorithmOf(algorithm),
    tbs: asn1.whole(asn1.expect(tbs, 0x30)),
    signature: asn1.bitOctets(signature),
    entries,
    ...told,
    unusable: unknown ? `the CRL has the critical extension ${unknown.oid}` : unusable,
    issuerRuns,
  }
}

const processedExtensions = new Set<string>([
  oids.issuingDistributionPoint,
  oids.crlNumber,
  oids.deltaCrlIndicator,
  oids.freshestCrl,
  oids.authorityKeyIdentifier,
  oids.issuerAltName,
])

function extensionsOf(extensions: readonly Extension[], issuer: Uint8Array) {
  const value = (oid: string) => {
    const found = extensions.find((extension) => extension.oid === oid)
    return found && asn1.onlyElement(found.value)
  }
  const number = value(oids.crlNumber)
  const base = value(oids.deltaCrlIndicator)
  const identifier = value(oids.authorityKeyIdentifier)
  const key = identifier && asn1.sequence(identifier, 3).find(({ tag }) => tag === 0x80)
  const freshest = value(oids.freshestCrl)
  const point = value(oids.issuingDistributionPoint)
  return {
    scope: point ? issuingPoint(point, issuer) : everything,
    number: number && asn1.bigInteger(number),
    baseNumber: base && asn1.bigInteger(base),
    authorityKeyIdentifier: key && asn1.content(key),
    freshest: freshest ? readPoints(freshest, issuer) : [],
  }
}

const everything: CrlScope = { only: undefined, indirect: false, reasons: undefined, points: undefined, form: '' }

function issuingPoint(found: asn1.Element, issuer: Uint8Array): CrlScope {
  const fields = new Map(asn1.sequence(found, 6).map((field) => [field.tag, field]))
  const flag = (tag: number) => {
    const field = fields.get(tag)
    return !!field && asn1.truth({ ...field, tag: asn1.tags.boolean })
  }
  const kinds = (
    [
      [0x81, 'user'],
      [0x82, 'authority'],
      [0x85, 'attribute'],
    ] as const
  ).filter(([tag]) => flag(tag))
  if (kinds.length > 1) throw new asn1.Asn1Error('a CRL only of several kinds')
  const name = fields.get(0xa0)
  const reasons = fields.get(0x83)
  return {
    only: kinds[0]?.[1],
    indirect: flag(0x84),
    reasons: reasons && reasonBits(reasons),
    points: name && pointName(name, issuer).names,
    form: Buffer.from(asn1.whole(found)).toString('latin1'),
  }
}

/** An entry of a list: when its certificate was revoked (Unix milliseconds), and the CRLReason (RFC 5280 §5.3.1). */
export interface CrlEntry {
  readonly at: number
  readonly reason: number
}

/** The CRLReason with which a delta list takes a certificate off the list that it goes with. */
export const removeFromCrl = 8

const reasonWords: Readonly<Record<number, string>> = {
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

/** A CRLReason by its name in RFC 5280 §5.3.1. */
export function reasonWord(reason: number): string {
  return reasonWords[reason] ?? `reason ${reason}`
}

/**
 * The entry of a list for the certificate of `issuer` (a comparable name) with this serial number (content octets). Where
 * it has several, one that revokes comes before one that takes off. Throws Asn1Error for a damaged entry.
 */
export function entryOf(crl: Crl, serial: Uint8Array, issuer: string): CrlEntry | undefined {
  const { entries, issuerRuns } = crl
  // Nearly always the bytes of the serial number are nowhere in the list: then its entries need not be walked.
  const wanted = der(asn1.tags.integer, serial)
  if (Buffer.from(entries.buffer, entries.byteOffset, entries.length).indexOf(wanted) < 0) return undefined
  let removed: CrlEntry | undefined
  for (const [i, { from, issuers }] of issuerRuns.entries()) {
    if (!issuers.includes(issuer)) continue
    const found = entryBetween(entries, from, issuerRuns[i + 1]?.from ?? entries.length, serial)
    if (found && found.reason !== removeFromCrl) return found
    removed ??= found
  }
  return removed
}

/** Looks for a serial number without building anything for the entries passed over. */
function entryBetween(entries: Uint8Array, start: number, end: number, serial: Uint8Array): CrlEntry | undefined {
  const size = serial.length
  let removed: CrlEntry | undefined
  for (let at = start; at < end; ) {
    const next = endOf(entries, at, asn1.tags.sequence)
    const serialEnd = endOf(entries, contentAt, asn1.tags.integer)
    const from = contentAt
    let same = serialEnd - from === size
    for (let i = 0; same && i < size; i++) same = entries[from + i] === serial[i]
    if (same) {
      const [, date, extensions] = asn1.sequence(asn1.element(entries, at), 3)
      const entry = { at: asn1.time(date), reason: reasonOf(extensions) }
      if (entry.reason !== removeFromCrl) return entry
      removed ??= entry
    }
    at = next
  }
  return removed
}

function reasonOf(found: asn1.Element | undefined): number {
  const value = found && readExtensions(found).find(({ oid }) => oid === oids.reasonCode)?.value
  return value ? (asn1.content(asn1.expect(asn1.onlyElement(value), asn1.tags.enumerated))[0] ?? 0) : 0
}

/**
 * Goes through all entries once. RFC 5280 §5.3: one critical extension in any entry that is not understood, and the whole
 * list may not be used. §5.3.3: certificateIssuer holds for its entry and those behind it.
 */
function surveyOf(entries: Uint8Array, issuer: Uint8Array, indirect: boolean) {
  const issuerRuns: IssuerRun[] = [{ from: 0, issuers: [comparableName(issuer)] }]
  let unusable: string | undefined
  for (let at = 0; at < entries.length; ) {
    const next = endOf(entries, at, asn1.tags.sequence)
    const serialEnd = endOf(entries, contentAt, asn1.tags.integer)
    const dateTag = entries[serialEnd]
    if (dateTag !== asn1.tags.utcTime && dateTag !== asn1.tags.generalizedTime)
      throw new asn1.Asn1Error('CRL entry without a date')
    const dateEnd = endOf(entries, serialEnd, dateTag)
    if (dateEnd > next) throw new asn1.Asn1Error('CRL entry')
    if (dateEnd < next && isTelling(entries, dateEnd, next)) {
      const extensions = readExtensions(asn1.element(entries, dateEnd, next))
      const unknown = extensions.find(({ oid, critical }) => critical && !processedInEntries.has(oid))
      if (unknown) unusable ??= `an entry of the CRL has the critical extension ${unknown.oid}`
      const named = extensions.find(({ oid }) => oid === oids.certificateIssuer)
      if (named && !indirect) unusable ??= 'an entry of the CRL names another issuer, although it is not indirect'
      else if (named) {
        const names = directoryNames(asn1.expect(asn1.onlyElement(named.value), asn1.tags.sequence))
        issuerRuns.push({ from: at, issuers: names.map(comparableName) })
        if (issuerRuns.length > crlLimits.issuerRuns) throw new asn1.Asn1Error('a CRL of too many issuers')
      }
    }
    at = next
  }
  return { unusable, issuerRuns }
}

const processedInEntries = new Set<string>([oids.reasonCode, oids.certificateIssuer])

/**
 * Whether something could stand there that matters for the whole list: a true BOOLEAN before an OCTET STRING, or the
 * identifier of certificateIssuer. If not, the extensions need not be read.
 */
function isTelling(bytes: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i + 3 < to; i++) {
    if (bytes[i] === asn1.tags.boolean && bytes[i + 1] === 1 && bytes[i + 3] === asn1.tags.octetString) return true
    if (bytes[i] === 3 && bytes[i + 1] === 0x55 && bytes[i + 2] === 0x1d && bytes[i + 3] === 0x1d) return true
  }
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
