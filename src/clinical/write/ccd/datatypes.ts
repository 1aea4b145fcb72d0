import { createHash } from 'node:crypto'
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
import { type Content, element, type Markup, textElement } from '../../../xml/write.js'
import { isUid, oidOf, systemName } from '../systems.js'

/** The datatypes of CDA R2, written from those of items: characters stay the source's own. */

const root = '2.16.840.1.113883'
export const loinc = `${root}.6.1`
export const snomed = `${root}.6.96`
export const actCode = `${root}.5.4`
export const roleCode = `${root}.5.111`

/** A code of the guide itself. */
export function fixed(name: string, code: string, system: string, display: string, ...inside: Content[]): Markup {
  return element(name, { code, codeSystem: system, displayName: display }, ...inside)
}

/** A value of the guide itself. */
export function fixedValue(code: string, system: string, display: string): Markup {
  return element('value', { 'xsi:type': 'CD', code, codeSystem: system, displayName: display })
}

export interface CodeOptions {
  /** Value of `xsi:type`, where the element may have several. */
  readonly type?: string
  /** ID of the narrative element that holds the concept's words. */
  readonly words?: string | undefined
  /** A CE has no qualifiers. */
  readonly qualified?: boolean
  /** Further codings, after the concept's own. */
  readonly more?: readonly Coding[]
}

/**
 * A CD or CE: the first coding as the code, the others as translations in their order; a concept that says why it has no
 * code keeps that, its codings as translations. Words without a code are nullFlavor OTH with original text (CDA R2, CD).
 */
export function code(name: string, concept: Concept, options: CodeOptions = {}): Markup {
  const codings = [...concept.codings, ...(options.more ?? [])]
  const nullFlavor = concept.nullFlavor ?? (codings.length > 0 ? undefined : concept.text === undefined ? 'UNK' : 'OTH')
  const [primary, ...others] = codings
  const translations = nullFlavor === undefined ? others : codings
  const attributes = nullFlavor === undefined && primary ? codingAttributes(primary) : { nullFlavor }
  return element(
    name,
    { ...(options.type === undefined ? {} : { 'xsi:type': options.type }), ...attributes },
    originalText(concept, options.words),
    options.qualified === false
      ? undefined
      : concept.qualifiers?.map((qualifier) =>
          element(
            'qualifier',
            {},
            qualifier.name && element('name', codingAttributes(qualifier.name)),
            element('value', codingAttributes(qualifier.value)),
          ),
        ),
    translations.map((coding) => element('translation', codingAttributes(coding))),
  )
}

function originalText({ text, codings }: Concept, words: string | undefined): Markup | undefined {
  if (text === undefined) return undefined
  if (words !== undefined) return element('originalText', {}, element('reference', { value: `#${words}` }))
  return text === codings[0]?.display ? undefined : element('originalText', {}, text)
}

function codingAttributes(coding: Coding) {
  return {
    code: coding.code,
    codeSystem: oidOf(coding),
    codeSystemName: systemName(coding),
    displayName: coding.display,
  }
}

/** A code, or nothing where there is no concept. */
export function optionalCode(
  name: string,
  concept: Concept | undefined,
  options: CodeOptions = {},
): Markup | undefined {
  return concept && code(name, concept, options)
}

const timestamp = /^\d{4}(\d{2}){0,4}(\d{2}(\.\d{1,9})?)?([+-]\d{2}(\d{2})?)?$/

/** A point in time at the precision of its source (HL7 v3, TS): neither cut nor filled up. */
export function timeOf(date: PartialDate): string {
  const digits = date.text.replace(/[-T:]/g, '')
  // `1997-01` of a CCR looks like 1997 one hour west.
  if (date.source.startsWith(digits) && timestamp.test(date.source)) return date.source
  const { offsetMinutes } = date
  if (offsetMinutes === null || !date.text.includes('T')) return digits
  const minutes = Math.abs(offsetMinutes)
  const zone = String(Math.floor(minutes / 60) * 100 + (minutes % 60)).padStart(4, '0')
  return `${digits}${offsetMinutes < 0 ? '-' : '+'}${zone}`
}

export function time(name: string, date: PartialDate | undefined, nullFlavor = 'UNK'): Markup {
  return date ? element(name, { value: timeOf(date) }) : element(name, { nullFlavor })
}

export interface WhenOptions {
  readonly type?: string
  /** The guide wants a beginning: a moment is one. */
  readonly begins?: boolean
  readonly operator?: string
}

/** A TS or IVL_TS. A time that the source had in words alone is unknown here and stands in the narrative. */
export function period(name: string, when: When | undefined, options: WhenOptions = {}): Markup {
  const { value, low, high, highUnknown } = when ?? {}
  const attributes = {
    ...(options.type === undefined ? {} : { 'xsi:type': options.type }),
    operator: options.operator,
  }
  if (value && !low && !high && !options.begins) return element(name, { ...attributes, value: timeOf(value) })
  const begin = low ?? (options.begins ? value : undefined)
  if (!begin && !high && !highUnknown) {
    if (!options.begins) return element(name, { ...attributes, nullFlavor: 'UNK' })
    return element(name, attributes, time('low', undefined))
  }
  return element(
    name,
    attributes,
    begin || options.begins ? time('low', begin) : undefined,
    high || highUnknown ? time('high', high) : undefined,
  )
}

/** A period, or nothing where the item has no date. */
export function optionalPeriod(name: string, when: When | undefined, options: WhenOptions = {}): Markup | undefined {
  return when && (when.value || when.low || when.high || when.highUnknown) ? period(name, when, options) : undefined
}

const decimal = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/

/** Whether a quantity's value is a number, which a PQ must be. */
export function isNumeric(quantity: Quantity | undefined): quantity is Quantity {
  return quantity !== undefined && decimal.test(quantity.value)
}

/**
 * A PQ with value and unit as written. A unit with blanks is no UCUM code and stands as words in a translation (CDA R2,
 * PQR); what is no number is left to the narrative.
 */
export function quantity(
  name: string,
  given: Quantity | undefined,
  extra: Readonly<Record<string, string>> = {},
): Markup | undefined {
  if (!isNumeric(given)) return undefined
  const { value, unit } = given
  if (unit === undefined || !/\s/.test(unit)) return element(name, { ...extra, value, unit })
  return element(
    name,
    { ...extra, nullFlavor: 'OTH' },
    element('translation', { value }, element('originalText', {}, unit)),
  )
}

/** Bounds of an interval; a comparator says whether the bound itself belongs to it. */
function bounds({ low, high }: QuantityRange): (Markup | undefined)[] {
  return [
    quantity('low', low, low?.comparator === '>' ? { inclusive: 'false' } : {}),
    quantity('high', high, high?.comparator === '<' ? { inclusive: 'false' } : {}),
  ]
}

/** An IVL_PQ, or nothing where no bound is a number. */
export function interval(name: string, range: QuantityRange, type?: string): Markup | undefined {
  if (!isNumeric(range.low) && !isNumeric(range.high)) return undefined
  return element(name, type === undefined ? {} : { 'xsi:type': type }, bounds(range))
}

export function ratio(name: string, { numerator, denominator }: Ratio, type?: string): Markup | undefined {
  if (!isNumeric(numerator)) return undefined
  return element(
    name,
    type === undefined ? {} : { 'xsi:type': type },
    quantity('numerator', numerator),
    quantity('denominator', denominator) ?? element('denominator', { nullFlavor: 'UNK' }),
  )
}

/** An observation's `value` in the form it has; what its type cannot hold becomes text. */
export function value(given: Value, words?: string): Markup {
  switch (given.kind) {
    case 'quantity': {
      const { comparator } = given.quantity
      const typed =
        comparator === undefined
          ? quantity('value', given.quantity, { 'xsi:type': 'PQ' })
          : interval('value', comparator.startsWith('<') ? { high: given.quantity } : { low: given.quantity }, 'IVL_PQ')
      return typed ?? text(`${comparator ?? ''}${given.quantity.value}${unitOf(given.quantity)}`)
    }
    case 'range':
      return interval('value', given, 'IVL_PQ') ?? text(`${given.low?.value ?? ''} - ${given.high?.value ?? ''}`)
    case 'ratio': {
      const { numerator, denominator } = given.ratio
      const plain = `${numerator.value}${unitOf(numerator)} / ${denominator?.value ?? ''}${unitOf(denominator)}`
      return ratio('value', given.ratio, 'RTO_PQ_PQ') ?? text(plain)
    }
    case 'concept':
      return code('value', given.concept, { type: 'CD', words: given.concept.text === undefined ? undefined : words })
    case 'text':
      return text(given.text)
    case 'boolean':
      return element('value', { 'xsi:type': 'BL', value: String(given.value) })
    case 'date':
      return element('value', { 'xsi:type': 'TS', value: timeOf(given.date) })
    case 'period':
      return period('value', given.when, { type: 'IVL_TS' })
    case 'absent':
      return element('value', { 'xsi:type': 'CD', nullFlavor: given.nullFlavor })
  }
}

function unitOf(quantity: Quantity | undefined): string {
  return quantity?.unit === undefined ? '' : ` ${quantity.unit}`
}

function text(words: string): Markup {
  return element('value', { 'xsi:type': 'ST' }, words)
}

/** A UUID made of any text: the same text gives the same one (RFC 9562 §5.8). */
export function uuidOf(text: string): string {
  const hex = createHash('sha256').update(text).digest('hex')
  const bits = ['8', '9', 'a', 'b'][Number.parseInt(hex.charAt(16), 16) & 3]
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${bits}${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

/** An II. An issuer that is a name and no OID gets a root made of that name, and says it as the authority. */
export function identifier({ root: issuer, value: extension }: Identifier): Markup {
  if (isUid(issuer)) return element('id', { root: issuer, extension })
  return element('id', { root: uuidOf(`issuer ${issuer ?? ''}`), extension, assigningAuthorityName: issuer })
}

/** Identifiers, or one that says that there is none. */
export function identifiers(all: readonly Identifier[]): Markup | readonly Markup[] {
  return all.length === 0 ? element('id', { nullFlavor: 'UNK' }) : all.map(identifier)
}

const uses = /^[A-Z]{1,6}( [A-Z]{1,6})*$/
const useOfWord: readonly (readonly [RegExp, string])[] = [
  [/home|primary|residen/i, 'HP'],
  [/work|office|business/i, 'WP'],
  [/mobile|cell/i, 'MC'],
  [/vacation/i, 'HV'],
]

/** A code of the HL7 use vocabularies, where the source's word is one or means one. */
function useOf(use: string | undefined): string | undefined {
  if (use === undefined || uses.test(use)) return use
  return useOfWord.find(([pattern]) => pattern.test(use))?.[1]
}

export function name(person: PersonName): Markup {
  const use = useOf(person.use)
  if (person.text !== undefined) return element('name', { use }, person.text)
  return element(
    'name',
    { use },
    textElement('prefix', person.prefix),
    person.given.map((one) => textElement('given', one)),
    textElement('family', person.family),
    textElement('suffix', person.suffix),
  )
}

export function address({ lines, city, state, postalCode, country, use }: PostalAddress): Markup {
  return element(
    'addr',
    { use: useOf(use) },
    lines.map((line) => textElement('streetAddressLine', line)),
    textElement('city', city),
    textElement('state', state),
    textElement('postalCode', postalCode),
    textElement('country', country),
  )
}

/** A TEL; a bare number or mail address gets the scheme that it needs to be a URL. */
export function telecom({ value: written, use }: Telecom): Markup {
  const scheme = /^[a-z][a-z0-9+.-]*:/i.test(written) ? '' : written.includes('@') ? 'mailto:' : 'tel:'
  return element('telecom', { value: `${scheme}${written}`, use: useOf(use) })
}

/** Template identifiers of the guide: with a date also the bare root, where R1.1 had the template (C-CDA R2.1 §1.8, CONF:1198-32945). */
export function template(id: string, date?: string, since = '1.1'): readonly Markup[] {
  const key = `${id} ${date ?? ''} ${since}`
  const known = templates.get(key)
  if (known) return known
  const made = templateIds(id, date, since)
  templates.set(key, made)
  return made
}

/** Each is written thousands of times; there are as many as the guide has. */
const templates = new Map<string, readonly Markup[]>()

function templateIds(id: string, date: string | undefined, since: string): readonly Markup[] {
  const oid = id.startsWith('2.') ? id : `${root}.10.20.${id}`
  if (date === undefined) return [element('templateId', { root: oid })]
  const dated = element('templateId', { root: oid, extension: date })
  return since === '1.1' ? [element('templateId', { root: oid }), dated] : [dated]
}
