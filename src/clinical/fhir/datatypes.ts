import type {
  Coding,
  Concept,
  Identifier,
  PartialDate,
  PersonName,
  PostalAddress,
  Quantity,
  QuantityRange,
  Ratio,
  Telecom,
  Value,
  When,
} from '../../direct/datatypes.js'
import { codeSystemOfOid } from '../codesystems.js'
import { clean, Decimal, decimalOf, type Json, type JsonObject, said } from './json.js'
import { isUcum } from './ucum.js'

/** Our datatypes as those of FHIR R4 (§2.24). Nothing is converted, rounded or completed. */

export const hl7 = 'http://terminology.hl7.org/CodeSystem'
export const definitions = 'http://hl7.org/fhir/StructureDefinition'
export const usCore = 'http://hl7.org/fhir/us/core/StructureDefinition'
export const snomed = 'http://snomed.info/sct'
export const loinc = 'http://loinc.org'
/** Extensions that no published guide has; a name, nothing to be fetched. */
export const own = 'urn:direct-gateway:fhir'

/** HL7 v3 NullFlavor to the data-absent-reason of FHIR. */
const absentReasons: Readonly<Record<string, string>> = {
  NI: 'unknown',
  UNK: 'unknown',
  NP: 'unknown',
  NAVU: 'unknown',
  QS: 'unknown',
  TRC: 'unknown',
  ASKU: 'asked-unknown',
  NAV: 'temp-unknown',
  NASK: 'not-asked',
  NA: 'not-applicable',
  MSK: 'masked',
  OTH: 'unsupported',
  UNC: 'unsupported',
  DER: 'unsupported',
  INV: 'error',
  NINF: 'negative-infinity',
  PINF: 'positive-infinity',
}

export function absentReason(nullFlavor: string | undefined): string {
  return (
    (nullFlavor !== undefined && Object.hasOwn(absentReasons, nullFlavor) && absentReasons[nullFlavor]) || 'unknown'
  )
}

/** An element that has no value and says why. */
export function absent(nullFlavor?: string): JsonObject {
  return { extension: [extension(`${definitions}/data-absent-reason`, { valueCode: absentReason(nullFlavor) })] }
}

/** The reason as a concept, where an element has room for it: Observation.dataAbsentReason. */
export function absentConcept(reason: string): JsonObject {
  return { coding: [{ system: `${hl7}/data-absent-reason`, code: reason }] }
}

export function extension(url: string, value: JsonObject): JsonObject {
  return { url, ...value }
}

const uri = /^[A-Za-z][A-Za-z0-9+.-]*:\S+$/

/** A code of FHIR has no blanks around it and none in a row (R4 §2.24.0.1). */
export function codeText(code: string): string {
  return clean(code).replace(/\s+/g, ' ').trim()
}

/**
 * One coding. A system that is only a name (CCR) is no URI and goes into an extension; an OID keeps itself; nothing of a
 * stranger's system is dropped.
 */
export function coding({ system, code, display, sourceSystem }: Coding): JsonObject {
  const named = said(system) ?? said(sourceSystem)
  const isUri = system !== undefined && uri.test(system)
  return {
    ...(named !== undefined && !isUri && { extension: [extension(`${own}:source-system`, { valueString: named })] }),
    system: isUri ? system : undefined,
    code: codeText(code),
    display,
  }
}

/** All codings in source order and the words. Undefined for a concept that says nothing. */
export function concept(from: Concept | undefined): JsonObject | undefined {
  if (from === undefined) return undefined
  const codings = from.codings.filter(({ code }) => codeText(code) !== '').map(coding)
  const qualified = (from.qualifiers ?? []).filter(({ value }) => codeText(value.code) !== '')
  const qualifiers = qualified.map(({ name, value }) =>
    extension(`${own}:qualifier`, {
      extension: [
        ...(name && codeText(name.code) !== '' ? [{ url: 'name', valueCoding: coding(name) }] : []),
        { url: 'value', valueCoding: coding(value) },
      ],
    }),
  )
  if (codings.length === 0 && !says(from.text)) return undefined
  return { extension: qualifiers, coding: codings, text: wordsOf(from) }
}

/** Required by FHIR: the concept, else the reason that there is none. */
export function conceptOrAbsent(from: Concept | undefined): JsonObject {
  return concept(from) ?? absent(from?.nullFlavor)
}

export function concepts(all: readonly Concept[] | undefined): JsonObject[] {
  return (all ?? []).map(concept).filter((one) => one !== undefined)
}

function says(text: string | undefined): text is string {
  return text !== undefined && clean(text) !== ''
}

/** What a person would call the concept. */
export function wordsOf(from: Concept | undefined): string | undefined {
  if (from === undefined) return undefined
  if (says(from.text)) return from.text
  const shown = from.codings.find(({ display }) => says(display))?.display
  return shown ?? undefined
}

/** Whether a concept names anything. */
export function names(from: Concept | undefined): from is Concept {
  return from !== undefined && (from.codings.some(({ code }) => codeText(code) !== '') || says(from.text))
}

/** A concept of one coding. */
export function coded(system: string, code: string, display?: string): JsonObject {
  return { coding: [{ system, code, display }] }
}

const year = '(?!0000)\\d{4}'
const day = `${year}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\\d|3[01]))?)?`
const isDate = new RegExp(`^${day}$`)
const isMoment = new RegExp(`^${year}-\\d\\d-\\d\\dT([01]\\d|2[0-3]):[0-5]\\d(:([0-5]\\d|60)(\\.\\d+)?)?$`)

/** A date at the precision of the source, without its time (FHIR date); undefined where the text is not ISO 8601. */
export function date(from: PartialDate | undefined): string | undefined {
  const text = from?.text.slice(0, 10)
  return text !== undefined && isDate.test(text) ? text : undefined
}

/**
 * A moment at the precision of the source (FHIR dateTime). A time of day needs a zone in FHIR: without one, or with an
 * hour alone, only the date is told. Seconds that FHIR wants and the source has not are zero (R4 §2.24.0.1).
 */
export function dateTime(from: PartialDate | undefined): string | undefined {
  if (from === undefined) return undefined
  if (from.offsetMinutes === null || !isMoment.test(from.text) || Math.abs(from.offsetMinutes) > 14 * 60)
    return date(from)
  const [, time = ''] = from.text.split('T')
  return `${from.text}${time.length === 5 ? ':00' : ''}${offset(from.offsetMinutes)}`
}

/** A moment that is known to the second and its zone (FHIR instant); undefined for less. */
export function instant(from: PartialDate | undefined): string | undefined {
  return from?.precision === 'second' && from.offsetMinutes !== null ? full(dateTime(from)) : undefined
}

function full(text: string | undefined): string | undefined {
  return text !== undefined && text.length > 19 ? text : undefined
}

function offset(minutes: number): string {
  const size = Math.abs(minutes)
  const two = (n: number) => String(Math.trunc(n)).padStart(2, '0')
  return `${minutes < 0 ? '-' : '+'}${two(size / 60)}:${two(size % 60)}`
}

/** Unix milliseconds as a FHIR instant. */
export function instantAt(ms: number): string {
  return new Date(ms).toISOString()
}

/** A FHIR Period; undefined where neither bound is known. An end that lies back at an unknown time says so. */
export function period(when: When | undefined): JsonObject | undefined {
  const start = dateTime(when?.low)
  const end = dateTime(when?.high)
  if (start === undefined && end === undefined) return undefined
  return { start, end, ...(end === undefined && when?.highUnknown && { _end: absent('UNK') }) }
}

/** `<name>DateTime` or `<name>Period`, whichever the source had. */
export function moment(name: string, when: When | undefined): JsonObject {
  const value = dateTime(when?.value)
  return value === undefined ? { [`${name}Period`]: period(when) } : { [`${name}DateTime`]: value }
}

/** The moment, or the first known bound, for elements that take no period. */
export function pointOf(when: When | undefined): PartialDate | undefined {
  return when?.value ?? when?.low ?? when?.high
}

/**
 * A number with its unit as written; `code` only where the unit is valid UCUM. Undefined where the value is no number: then
 * the caller has words.
 */
export function quantity(from: Quantity | undefined): JsonObject | undefined {
  const value = from && decimalOf(from.value)
  if (!from || !value) return undefined
  return { value, comparator: from.comparator, ...unitOf(from.unit) }
}

function unitOf(unit: string | undefined): JsonObject {
  if (unit === undefined) return {}
  const ucum = isUcum(unit)
  return { unit, ...(ucum && { system: 'http://unitsofmeasure.org', code: unit }) }
}

/** A quantity in words, where it cannot be one of FHIR. */
export function quantityText({ value, unit, comparator }: Quantity): string {
  return `${comparator ?? ''}${value}${unit === undefined ? '' : ` ${unit}`}`
}

/** Range of FHIR: its bounds are simple quantities, without a comparator. */
export function range({ low, high }: QuantityRange): JsonObject | undefined {
  const bounds = { low: simple(low), high: simple(high) }
  return bounds.low || bounds.high ? bounds : undefined
}

/** A quantity where FHIR takes no comparator; undefined where that would change what was said. */
export function simple(from: Quantity | undefined): JsonObject | undefined {
  return from?.comparator === undefined || from.comparator === '>=' || from.comparator === '<='
    ? quantity(from && withoutComparator(from))
    : undefined
}

function withoutComparator({ value, unit }: Quantity): Quantity {
  return unit === undefined ? { value } : { value, unit }
}

/** Both parts, or undefined: a Ratio of FHIR has both or none. One without denominator is per one. */
export function ratio({ numerator, denominator }: Ratio): JsonObject | undefined {
  const over = quantity(numerator)
  const under = denominator === undefined ? { value: new Decimal('1') } : quantity(denominator)
  return over && under && { numerator: over, denominator: under }
}

/** `<name>[x]` of an observed value; words where FHIR cannot hold the value as it was written. */
export function value(name: string, from: Value): JsonObject {
  const told = (type: string, json: Json | undefined, words: string): JsonObject =>
    json === undefined ? { [`${name}String`]: words } : { [`${name}${type}`]: json }
  switch (from.kind) {
    case 'quantity':
      return told('Quantity', quantity(from.quantity), quantityText(from.quantity))
    case 'range': {
      const words = [from.low, from.high].map((one) => (one ? quantityText(one) : '')).join(' - ')
      const open = [from.low, from.high].some((one) => one?.comparator === '<' || one?.comparator === '>')
      return told('Range', open ? undefined : range(from), words)
    }
    case 'ratio': {
      const { numerator, denominator } = from.ratio
      const words = [numerator, denominator].flatMap((one) => (one ? [quantityText(one)] : [])).join(' / ')
      return told('Ratio', ratio(from.ratio), words)
    }
    case 'concept':
      return { [`${name}CodeableConcept`]: concept(from.concept) }
    case 'text':
      return { [`${name}String`]: from.text }
    case 'boolean':
      return { [`${name}Boolean`]: from.value }
    case 'date':
      return told('DateTime', dateTime(from.date), from.date.source)
    case 'period':
      return told('Period', period(from.when), from.when.text ?? '')
    case 'absent':
      return {}
  }
}

/** A value in words, for narratives and notes. */
export function valueText(from: Value): string {
  switch (from.kind) {
    case 'quantity':
      return quantityText(from.quantity)
    case 'range':
      return [from.low, from.high].map((one) => (one ? quantityText(one) : '')).join(' - ')
    case 'ratio':
      return [from.ratio.numerator, from.ratio.denominator]
        .flatMap((one) => (one ? [quantityText(one)] : []))
        .join(' / ')
    case 'concept':
      return wordsOf(from.concept) ?? from.concept.codings[0]?.code ?? ''
    case 'text':
      return from.text
    case 'boolean':
      return from.value ? 'yes' : 'no'
    case 'date':
      return from.date.text
    case 'period':
      return whenText(from.when)
    case 'absent':
      return ''
  }
}

export function whenText(when: When | undefined): string {
  if (when === undefined) return ''
  if (when.value) return when.value.text
  const bounds = [when.low?.text ?? '', when.high?.text ?? '']
  return bounds.join('') === '' ? (when.text ?? '') : bounds.join(' to ').trim()
}

const oid = /^[0-2](\.(0|[1-9]\d*))+$/
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
const issuers: Readonly<Record<string, string>> = {
  '2.16.840.1.113883.4.1': 'http://hl7.org/fhir/sid/us-ssn',
  '2.16.840.1.113883.4.6': 'http://hl7.org/fhir/sid/us-npi',
  '2.16.840.1.113883.4.927': 'http://hl7.org/fhir/sid/us-mbi',
}

/** An id of the source as a business identifier: an OID with an extension, a UUID or OID alone as a URI, else the words. */
export function identifier(from: Identifier): JsonObject | undefined {
  const root = said(from.root)
  const text = said(from.value)
  if (root === undefined) return text === undefined ? undefined : { value: text }
  const issuer = Object.hasOwn(issuers, root) ? issuers[root] : undefined
  const system = issuer ?? rootUri(root)
  if (text !== undefined)
    return system === undefined ? { assigner: { display: root }, value: text } : { system, value: text }
  if (issuer !== undefined) return { system: issuer, _value: absent() }
  return system === undefined ? { value: root } : { system: 'urn:ietf:rfc:3986', value: system }
}

function rootUri(root: string): string | undefined {
  if (oid.test(root)) return codeSystemOfOid(root).uri ?? `urn:oid:${root}`
  if (uuid.test(root)) return `urn:uuid:${root.toLowerCase()}`
  return uri.test(root) ? root : undefined
}

export function identifiers(all: readonly Identifier[]): JsonObject[] {
  return all.map(identifier).filter((one) => one !== undefined)
}

/** EntityNameUse of HL7 v3, folded to that of FHIR. */
const nameUses: Readonly<Record<string, string>> = {
  L: 'usual',
  OR: 'official',
  C: 'official',
  P: 'nickname',
  A: 'anonymous',
  ASGN: 'usual',
}
/** AddressUse of HL7 v3. */
const addressUses: Readonly<Record<string, string>> = {
  H: 'home',
  HP: 'home',
  HV: 'home',
  WP: 'work',
  DIR: 'work',
  PUB: 'work',
  TMP: 'temp',
  BAD: 'old',
  OLD: 'old',
}

function useOf(table: Readonly<Record<string, string>>, use: string | undefined): string | undefined {
  for (const word of (use ?? '').split(/\s+/)) {
    if (Object.hasOwn(table, word)) return table[word]
    if (/^(home|work|temp|old|mobile)$/i.test(word)) return word.toLowerCase()
  }
  return undefined
}

export function humanName({ given, family, prefix, suffix, use, text }: PersonName): JsonObject {
  return {
    use: useOf(nameUses, use)?.replace(/^(home|work|mobile)$/, 'usual'),
    text,
    family,
    given: [...given],
    prefix: prefix === undefined ? [] : [prefix],
    suffix: suffix === undefined ? [] : [suffix],
  }
}

export function address({ lines, city, state, postalCode, country, use }: PostalAddress): JsonObject {
  return { use: useOf(addressUses, use)?.replace('mobile', 'home'), line: [...lines], city, state, postalCode, country }
}

const schemes: Readonly<Record<string, string>> = {
  tel: 'phone',
  fax: 'fax',
  mailto: 'email',
  http: 'url',
  https: 'url',
  sms: 'sms',
}

/** A ContactPoint; the scheme of a URL becomes its system, and a number without one is a phone where it looks so. */
export function telecom({ value: text, use }: Telecom): JsonObject | undefined {
  if (said(text.replace(/^[a-z]+:/i, '')) === undefined) return undefined
  const [, scheme = '', rest = ''] = /^([a-z]+):(.*)$/is.exec(text.trim()) ?? []
  const known = Object.hasOwn(schemes, scheme.toLowerCase()) ? schemes[scheme.toLowerCase()] : undefined
  const guessed = /^[^@\s]+@[^@\s]+$/.test(text) ? 'email' : /^[+\d\s().x-]{5,}$/i.test(text) ? 'phone' : 'other'
  const mobile = /\bMC\b/.test(use ?? '') ? 'mobile' : undefined
  return {
    system: known ?? guessed,
    value: known === undefined || known === 'url' ? text.trim() : rest.trim(),
    use: mobile ?? useOf(addressUses, use),
  }
}
