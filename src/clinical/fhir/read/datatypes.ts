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
} from '../../../direct/datatypes.js'
import { isDate, isTime } from '../../calendar.js'
import { codeSystemOfOid } from '../../codesystems.js'
import { codeText, definitions, own } from '../datatypes.js'
import type { Fields } from './fields.js'

/** Datatypes of FHIR R4 (§2.24) as ours. Nothing is converted, rounded or completed; what ours have no room for is told. */

/** An object without its undefined fields, as items have it. */
export function kept<T extends object>(from: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(from).filter(([, value]) => value !== undefined)) as T
}

/** The list, where there is anything in it. */
export function filled<T>(all: readonly T[]): readonly T[] | undefined {
  return all.length === 0 ? undefined : all
}

const nullFlavors: Readonly<Record<string, string>> = {
  unknown: 'UNK',
  'asked-unknown': 'ASKU',
  'asked-declined': 'ASKU',
  'temp-unknown': 'NAV',
  'not-asked': 'NASK',
  'not-applicable': 'NA',
  masked: 'MSK',
  unsupported: 'OTH',
  error: 'INV',
  'negative-infinity': 'NINF',
  'positive-infinity': 'PINF',
}

/** The HL7 v3 NullFlavor for a data-absent-reason; `NI` for one that v3 has no word for. */
export function nullFlavorOf(reason: string): string {
  return (Object.hasOwn(nullFlavors, reason) && nullFlavors[reason]) || 'NI'
}

function absentReasonIn(fields: Fields): string | undefined {
  return fields.extensions(`${definitions}/data-absent-reason`)[0]?.text('valueCode')
}

const dateText = /^(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d):(\d\d)(\.\d{1,12})?(Z|[+-]\d\d:\d\d))?)?)?$/

/** A date, dateTime or instant at its own precision; undefined for what is none. */
export function partialDate(source: string): PartialDate | undefined {
  const [, year, month, day, hour, minute, second, , zone] = dateText.exec(source) ?? []
  if (year === undefined || !isDate(Number(year), month, day)) return undefined
  if (hour === undefined || zone === undefined) {
    const precision = day !== undefined ? 'day' : month !== undefined ? 'month' : 'year'
    return { text: source, precision, offsetMinutes: null, source }
  }
  const size = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(4, 6))
  if (!isTime(hour, minute, second) || (zone !== 'Z' && (size > 14 * 60 || Number(zone.slice(4, 6)) > 59)))
    return undefined
  const offsetMinutes = zone === 'Z' ? 0 : zone.startsWith('-') ? -size || 0 : size
  return { text: source.slice(0, -zone.length), precision: 'second', offsetMinutes, source }
}

export function readDate(fields: Fields, name: string): PartialDate | undefined {
  const text = fields.text(name)
  if (text === undefined) return undefined
  return partialDate(text) ?? fields.log.error('value', `${fields.path}.${name}`, 'This is not a date of FHIR')
}

/** A Period; `undefined` for one without bounds. */
export function readPeriod(fields: Fields | undefined): When | undefined {
  if (!fields) return undefined
  const low = readDate(fields, 'start')
  const high = readDate(fields, 'end')
  const gone = fields.reason('end') !== undefined
  fields.reason('start')
  if (!low && !high && !gone) return undefined
  return kept<When>({ low, high, highUnknown: !high && gone ? true : undefined })
}

/** `<name>DateTime`, `<name>Period`, `<name>Instant` or `<name>String`. */
export function readMoment(fields: Fields, name: string): When | undefined {
  const type = fields.choice(name)
  fields.reason(`${name}DateTime`)
  switch (type) {
    case 'DateTime':
    case 'Instant': {
      const value = readDate(fields, `${name}${type}`)
      return value && { value }
    }
    case 'Period':
      return readPeriod(fields.object(`${name}Period`))
    case 'String': {
      const text = fields.text(`${name}String`)
      return text === undefined ? undefined : { text }
    }
    default:
      return undefined
  }
}

export function readCoding(fields: Fields): Coding | undefined {
  const told = fields.text('system')
  const [named] = fields.extensions(`${own}:source-system`)
  const source = named?.text('valueString')
  const code = fields.text('code')
  const display = fields.text('display')
  fields.skip('version', 'Not kept')
  fields.skip('userSelected', 'Not kept')
  if (code === undefined) return undefined
  const known = told?.startsWith('urn:oid:') ? codeSystemOfOid(told.slice(8)) : undefined
  const system = known?.uri ?? told ?? source
  return kept<Coding>({
    system,
    code: codeText(code),
    display,
    sourceSystem: known && known.uri !== told ? told?.slice(8) : undefined,
  })
}

/** A CodeableConcept; undefined for one that says nothing, not even why. */
export function readConcept(fields: Fields | undefined): Concept | undefined {
  if (!fields) return undefined
  const all = fields.list('coding')
  const codings = all.flatMap((one) => readCoding(one) ?? [])
  const bare = all.length > codings.length ? all.flatMap((one) => one.text('display') ?? [])[0] : undefined
  const text = fields.text('text') ?? bare
  const reason = absentReasonIn(fields)
  const qualifiers = fields.extensions(`${own}:qualifier`).flatMap((one) => {
    const parts = (url: string) =>
      one.extensions(url).flatMap((part) => {
        const inner = part.object('valueCoding')
        return inner ? (readCoding(inner) ?? []) : []
      })
    const [name] = parts('name')
    const [value] = parts('value')
    return value ? [kept<NonNullable<Concept['qualifiers']>[number]>({ name, value })] : []
  })
  if (codings.length === 0 && text === undefined && reason === undefined) {
    return fields.log.error('value', fields.path, 'It says nothing')
  }
  return kept<Concept>({
    codings,
    text,
    nullFlavor: codings.length === 0 && text === undefined && reason !== undefined ? nullFlavorOf(reason) : undefined,
    qualifiers: filled(qualifiers),
  })
}

export function readConcepts(fields: Fields, name: string): readonly Concept[] {
  return fields.list(name).flatMap((one) => readConcept(one) ?? [])
}

/** A concept that the resource must have. */
export function wantedConcept(fields: Fields, name: string): Concept {
  const found = readConcept(fields.object(name))
  if (!found && !fields.has(name)) fields.log.error('required', `${fields.path}.${name}`, 'This is missing')
  return found ?? { codings: [] }
}

const ucum = 'http://unitsofmeasure.org'
const comparators = new Set(['<', '<=', '>', '>='])

/** A Quantity with its unit as written; the UCUM code where it has one. */
export function readQuantity(fields: Fields | undefined): Quantity | undefined {
  if (!fields) return undefined
  const value = fields.decimal('value')
  const unit = fields.text('unit')
  const system = fields.text('system')
  const code = fields.text('code')
  const comparator = fields.text('comparator')
  if (comparator !== undefined && !comparators.has(comparator)) {
    return fields.log.error('value', `${fields.path}.comparator`, 'This is not a comparator of FHIR')
  }
  if (value === undefined) return fields.log.error('required', `${fields.path}.value`, 'A quantity has a number')
  const coded = code !== undefined && (system === ucum || unit === undefined)
  if (code !== undefined && system !== ucum && code !== unit) {
    fields.log.warn(`${fields.path}.code`, 'Not kept: a unit has words or UCUM')
  }
  return kept<Quantity>({ value, unit: coded ? code : unit, comparator: comparator as Quantity['comparator'] })
}

export function readRange(fields: Fields | undefined): QuantityRange | undefined {
  if (!fields) return undefined
  const low = readQuantity(fields.object('low'))
  const high = readQuantity(fields.object('high'))
  return low || high ? kept<QuantityRange>({ low, high }) : fields.log.error('value', fields.path, 'It says nothing')
}

/** Per one, without a unit, is no denominator. */
export function readRatio(fields: Fields | undefined): Ratio | undefined {
  if (!fields) return undefined
  const numerator = readQuantity(fields.object('numerator'))
  const denominator = readQuantity(fields.object('denominator'))
  if (!numerator) return fields.log.error('required', `${fields.path}.numerator`, 'A ratio has both of its parts')
  const one = denominator?.value === '1' && denominator.unit === undefined
  return kept<Ratio>({ numerator, denominator: one ? undefined : denominator })
}

/** `<name>[x]` as a value; a type that is not kept stays where it is, and is told. */
export function readValue(fields: Fields, name: string): Value | undefined {
  const type = fields.choice(name)
  const field = `${name}${type ?? ''}`
  switch (type) {
    case 'Quantity': {
      const quantity = readQuantity(fields.object(field))
      return quantity && { kind: 'quantity', quantity }
    }
    case 'Integer': {
      const value = fields.decimal(field)
      return value === undefined ? undefined : { kind: 'quantity', quantity: { value } }
    }
    case 'CodeableConcept': {
      const concept = readConcept(fields.object(field))
      return concept && { kind: 'concept', concept }
    }
    case 'String': {
      const text = fields.text(field)
      return text === undefined ? undefined : { kind: 'text', text }
    }
    case 'Boolean': {
      const value = fields.flag(field)
      return value === undefined ? undefined : { kind: 'boolean', value }
    }
    case 'Range': {
      const range = readRange(fields.object(field))
      return range && { kind: 'range', ...range }
    }
    case 'Ratio': {
      const ratio = readRatio(fields.object(field))
      return ratio && { kind: 'ratio', ratio }
    }
    case 'DateTime': {
      const date = readDate(fields, field)
      return date && { kind: 'date', date }
    }
    case 'Period': {
      const when = readPeriod(fields.object(field))
      return when && { kind: 'period', when }
    }
    default:
      return undefined
  }
}

const issuers: Readonly<Record<string, string>> = {
  'http://hl7.org/fhir/sid/us-ssn': '2.16.840.1.113883.4.1',
  'http://hl7.org/fhir/sid/us-npi': '2.16.840.1.113883.4.6',
  'http://hl7.org/fhir/sid/us-mbi': '2.16.840.1.113883.4.927',
}

export function readIdentifier(fields: Fields): Identifier | undefined {
  const system = fields.text('system')
  const value = fields.text('value')
  const assigner = fields.object('assigner')?.text('display')
  fields.reason('value')
  fields.reason('system')
  for (const name of ['use', 'type', 'period']) fields.skip(name)
  if (system === 'urn:ietf:rfc:3986' && value !== undefined) return { root: value.replace(/^urn:(oid|uuid):/, '') }
  const issuer = system !== undefined && Object.hasOwn(issuers, system) ? issuers[system] : undefined
  const root = issuer ?? system?.replace(/^urn:(oid|uuid):/, '') ?? assigner
  return root === undefined && value === undefined ? undefined : kept<Identifier>({ root, value })
}

export function readIdentifiers(fields: Fields, name = 'identifier'): readonly Identifier[] {
  return fields.list(name).flatMap((one) => readIdentifier(one) ?? [])
}

const nameUses: Readonly<Record<string, string>> = { usual: 'L', official: 'OR', nickname: 'P', anonymous: 'A' }

export function readName(fields: Fields): PersonName | undefined {
  const use = fields.text('use')
  const given = fields.texts('given')
  const family = fields.text('family')
  const text = fields.text('text')
  const prefix = fields.texts('prefix')
  const suffix = fields.texts('suffix')
  fields.skip('period', 'Not kept')
  if (absentReasonIn(fields) !== undefined) return undefined
  return kept<PersonName>({
    given,
    family,
    text,
    prefix: prefix.length === 0 ? undefined : prefix.join(' '),
    suffix: suffix.length === 0 ? undefined : suffix.join(' '),
    use: use !== undefined && Object.hasOwn(nameUses, use) ? nameUses[use] : use,
  })
}

const addressUses: Readonly<Record<string, string>> = { home: 'H', work: 'WP', temp: 'TMP', old: 'OLD' }

export function readAddress(fields: Fields): PostalAddress {
  const use = fields.text('use')
  for (const name of ['type', 'text', 'period', 'district']) fields.skip(name, 'Not kept')
  return kept<PostalAddress>({
    lines: fields.texts('line'),
    city: fields.text('city'),
    state: fields.text('state'),
    postalCode: fields.text('postalCode'),
    country: fields.text('country'),
    use: use !== undefined && Object.hasOwn(addressUses, use) ? addressUses[use] : use,
  })
}

const schemes: Readonly<Record<string, string>> = { phone: 'tel', fax: 'fax', email: 'mailto', sms: 'sms' }
const telecomUses: Readonly<Record<string, string>> = { home: 'HP', work: 'WP', temp: 'TMP', old: 'OLD', mobile: 'MC' }

export function readTelecom(fields: Fields): Telecom | undefined {
  const system = fields.text('system')
  const value = fields.text('value')
  const use = fields.text('use')
  for (const name of ['rank', 'period']) fields.skip(name, 'Not kept')
  if (value === undefined) return undefined
  const scheme = system !== undefined && Object.hasOwn(schemes, system) ? schemes[system] : undefined
  return kept<Telecom>({
    value: scheme === undefined || value.toLowerCase().startsWith(`${scheme}:`) ? value : `${scheme}:${value}`,
    use: use !== undefined && Object.hasOwn(telecomUses, use) ? telecomUses[use] : use,
  })
}
