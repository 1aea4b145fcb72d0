import type { Agent, Coding, Concept, Identifier, PartialDate, Quantity, When } from '../../../direct/datatypes.js'
import { type Content, element, type Markup, textElement } from '../../../xml/write.js'
import { codeSystemOfName } from '../../codesystems.js'
import { oidOf, systemName } from '../systems.js'
import { nameWords, quantityWords, wordsOf } from '../words.js'

/** The datatypes of ASTM E2369, written from those of items. */

/** The name of a code system where that name means the same system again, else its OID, else what the source called it. */
function codingSystem(coding: Coding): string | undefined {
  const name = systemName(coding)
  if (name !== undefined && codeSystemOfName(name).uri === coding.system) return name
  return oidOf(coding) ?? coding.sourceSystem ?? coding.system
}

/** A CodedDescriptionType: words, then all codes in their order. */
export function described(local: string, concept: Concept | undefined): Markup | undefined {
  if (concept === undefined || wordsOf(concept) === '') return undefined
  return element(
    local,
    {},
    element('Text', {}, wordsOf(concept)),
    concept.codings.map((coding) =>
      element('Code', {}, element('Value', {}, coding.code), textElement('CodingSystem', codingSystem(coding))),
    ),
  )
}

/** A CodedDescriptionType of words alone. */
export function words(local: string, text: string | undefined): Markup | undefined {
  return text === undefined || text === '' ? undefined : element(local, {}, element('Text', {}, text))
}

/** ISO 8601 at the precision of the source, with its zone where it had one. */
function iso({ text, offsetMinutes }: PartialDate): string {
  if (offsetMinutes === null || !text.includes('T')) return text
  if (offsetMinutes === 0) return `${text}Z`
  const two = (number: number): string => String(number).padStart(2, '0')
  const minutes = Math.abs(offsetMinutes)
  return `${text}${offsetMinutes < 0 ? '-' : '+'}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`
}

function exact(date: PartialDate): Markup {
  return element('ExactDateTime', {}, iso(date))
}

export function dateTime(label: string | undefined, date: PartialDate | undefined): Markup | undefined {
  return date && element('DateTime', {}, words('Type', label), exact(date))
}

/** Begin and end of something that lasts, each under its label; what the source had in words stays words. */
export function span(when: When | undefined, begin = 'Onset date'): Content {
  if (when === undefined) return undefined
  const { value, low, high, highUnknown, text } = when
  return [
    dateTime(begin, value ?? low),
    dateTime('End date', high),
    highUnknown && !high ? approximate('End date', 'unknown') : undefined,
    text === undefined ? undefined : approximate(value || low ? 'As written' : begin, text),
  ]
}

/** A moment, or a range with the bounds that are known. */
export function moment(when: When | undefined, label: string): Content {
  if (when === undefined) return undefined
  const { value, low, high, text } = when
  if (value) return dateTime(label, value)
  if (low || high) {
    return element(
      'DateTime',
      {},
      words('Type', label),
      element(
        'DateTimeRange',
        {},
        low && element('BeginRange', {}, exact(low)),
        high && element('EndRange', {}, exact(high)),
      ),
    )
  }
  return text === undefined ? undefined : approximate(label, text)
}

function approximate(label: string, text: string): Markup {
  return element('DateTime', {}, words('Type', label), words('ApproximateDateTime', text))
}

/** Value and unit as written; a comparator stands before the number. */
export function measured(quantity: Quantity | undefined): Content {
  if (quantity === undefined) return undefined
  return [
    element('Value', {}, `${quantity.comparator ?? ''}${quantity.value}`),
    quantity.unit === undefined ? undefined : element('Units', {}, element('Unit', {}, quantity.unit)),
  ]
}

export function measure(local: string, quantity: Quantity | undefined): Markup | undefined {
  return quantity && element(local, {}, measured(quantity))
}

export function quantityText(quantity: Quantity | undefined): string | undefined {
  return quantity && quantityWords(quantity)
}

/** IDs: the issuer's name or OID as the type. */
export function ids(all: readonly Identifier[]): Content {
  return all.map(({ root, value }) =>
    value === undefined && root === undefined
      ? undefined
      : element(
          'IDs',
          {},
          words('Type', value === undefined ? undefined : root),
          element('ID', {}, value ?? root ?? ''),
        ),
  )
}

/** Everybody whom the document names, each once: objects refer to them by id. */
export interface Actors {
  /** The ActorID of an agent. */
  idOf(agent: Agent): string
  /** The Actor elements. */
  written(): readonly Markup[]
}

export function openActors(): Actors {
  const known = new Map<string, { readonly id: string; readonly agent: Agent }>()
  return {
    idOf(agent) {
      const { role: _, at: __, ...person } = agent
      const key = JSON.stringify(person)
      const found = known.get(key)
      if (found !== undefined) return found.id
      const id = `a${known.size + 1}`
      known.set(key, { id, agent })
      return id
    },
    written: () => [...known.values()].map(({ id, agent }) => actor(id, agent)),
  }
}

function actor(id: string, agent: Agent): Markup {
  const named = agent.name ?? { given: [], text: agent.text }
  const { organization } = agent
  return element(
    'Actor',
    {},
    element('ActorObjectID', {}, id),
    agent.kind === 'person'
      ? element('Person', {}, personNames([named]))
      : element(agent.kind === 'device' ? 'InformationSystem' : 'Organization', {}, element('Name', {}, agent.text)),
    ids([
      ...agent.identifiers,
      ...(organization === undefined || agent.kind !== 'person' ? [] : [{ root: 'Organization', value: organization }]),
    ]),
    agent.addresses?.map(address),
    agent.telecoms?.map(({ value, use }) =>
      element(value.includes('@') ? 'EMail' : 'Telephone', {}, element('Value', {}, value), words('Type', use)),
    ),
    element('Source', {}, element('Actor', {}, element('ActorID', {}, id))),
  )
}

/** Current, birth and further names (ASTM E2369 PersonNameType). */
export function personNames(names: readonly Exclude<Agent['name'], undefined>[]): Markup | undefined {
  const [first, ...others] = names
  if (first === undefined) return undefined
  const parts = (local: string, name: Exclude<Agent['name'], undefined>): Content =>
    name.given.length === 0 && name.family === undefined
      ? undefined
      : element(
          local,
          {},
          name.given.slice(0, 1).map((one) => textElement('Given', one)),
          name.given.slice(1).map((one) => textElement('Middle', one)),
          textElement('Family', name.family),
          textElement('Suffix', name.suffix),
          textElement('Title', name.prefix),
        )
  return element(
    'Name',
    {},
    parts('CurrentName', first),
    others.map((one) => parts(one.use === 'BR' ? 'BirthName' : 'AdditionalName', one)),
    element('DisplayName', {}, nameWords(first)),
  )
}

export function address({
  lines,
  city,
  state,
  postalCode,
  country,
  use,
}: NonNullable<Agent['addresses']>[number]): Markup {
  const [first, second, ...rest] = lines
  return element(
    'Address',
    {},
    words('Type', use),
    textElement('Line1', first),
    textElement('Line2', [second, ...rest].filter((line) => line !== undefined).join(', ')),
    textElement('City', city),
    textElement('State', state),
    textElement('Country', country),
    textElement('PostalCode', postalCode),
  )
}
