import type { Medication, Supply } from '../../direct/clinical.js'
import type { Agent, Concept } from '../../direct/datatypes.js'
import { child, childrenOf, descend, type XmlNode } from '../../xml/node.js'
import { placesIn } from '../place.js'
import { readAgent, readIdentifiers, readSources } from './actors.js'
import { readEvent, readRole, readSpan } from './dates.js'
import { type Directions, readDirections } from './directions.js'
import { indicationsOf, locationsOf } from './links.js'
import { emit } from './object.js'
import { type Product, reactionsOf, readProduct } from './products.js'
import { type CcrScope, ccrLimits, remark, textAt } from './scope.js'
import { deniedBy, intentOf, nearestStatus, readStatus } from './status.js'
import { codesOf, readCode, readMeasure, readQuantity, saying, together, wordsOf } from './types.js'

/**
 * Medications/Medication: an item for each of its products. Several products of one medication are taken together or in each
 * other's place (MultipleProductModifier), so each item names the others.
 */
export function readMedication(scope: CcrScope): string[] {
  const { node } = scope.place
  const described = together(...codesOf(scope, node, 'Description'))
  const products = placesIn(scope.place, 'Product')
  if (products.length < 2) return medicationOf(scope, scope, readProduct(scope, products[0]?.node, described), [])
  if (products.length > ccrLimits.agents)
    remark(scope, 'limit-exceeded', `more than ${ccrLimits.agents} products of one medication`)
  const read = products
    .slice(0, ccrLimits.agents)
    .map((place) => ({ place, product: readProduct(scope, place.node, { codings: [] }) }))
  const names = read.slice(0, ccrLimits.products + 1).map(({ product }) => wordsOf(product.name))
  const modifier = read.map((one) => textAt(child(one.place.node, 'MultipleProductModifier'), 'Text')).find(Boolean)
  return read.flatMap(({ place, product }, at) => {
    if (scope.ccr.reading.full) return []
    const others = names.filter((name, other) => name !== undefined && other !== at)
    const note = `${modifier ?? 'Also'}: ${others.join(', ')}`
    const here: CcrScope = at === 0 ? scope : { ...scope, place: { node, path: place.path } }
    return medicationOf(here, scope, product, [note])
  })
}

function medicationOf(here: CcrScope, scope: CcrScope, product: Product, notes: readonly string[]): string[] {
  const { node } = scope.place
  const item = child(node, 'Product')
  const status = nearestStatus(scope)
  const lists =
    childrenOf(node, 'Directions').length > 0 ? childrenOf(node, 'Directions') : childrenOf(item, 'Directions')
  const directions = readDirections(
    scope,
    lists.flatMap((one) => childrenOf(one, 'Direction')),
  )
  return emit(here, {
    content: {
      type: 'medication',
      product: product.name,
      ...(product.brand === undefined ? {} : { brand: product.brand }),
      ...(product.strength === undefined ? {} : { strength: product.strength }),
      ...(product.strengths === undefined ? {} : { strengths: product.strengths }),
      ...(product.form === undefined ? {} : { form: product.form }),
      ...(product.manufacturer === undefined ? {} : { manufacturer: product.manufacturer }),
      ...taken(directions),
      ...supplied(scope, directions),
    },
    subject: product.name,
    when: readSpan(scope) ?? (scope.intent === undefined ? undefined : outerDate(scope)),
    status,
    ...(scope.intent === undefined ? { intent: intentOf(status) } : {}),
    negated: deniedBy(product.name),
    notes: [...notes, ...product.notes, ...consentOf(scope, node)],
    identifiers: [...readIdentifiers(scope, node), ...readIdentifiers(scope, item)],
  })
}

/** The date of the order that this is part of. */
function outerDate(scope: CcrScope) {
  return scope.outer && readEvent(scope.outer)
}

function taken(directions: Directions): Pick<Medication, 'timings' | 'asNeeded'> & Partial<Medication> {
  const { instructions: _, indications: __, vehicles, preconditions, ...rest } = directions
  return {
    ...rest,
    ...(vehicles.length === 0 ? {} : { vehicles }),
    ...(preconditions.length === 0 ? {} : { preconditions }),
  }
}

function supplied(scope: CcrScope, directions: Directions): Pick<Medication, 'indications'> & Partial<Medication> {
  const { node } = scope.place
  const item = child(node, 'Product')
  const patient = childrenOf(node, 'PatientInstructions').flatMap((one) =>
    codesOf(scope, one, 'Instruction').map(wordsOf),
  )
  const instructions = [...new Set([...directions.instructions, ...patient])].filter(Boolean).join('; ')
  const listed = childrenOf(child(node, 'Indications'), 'Indication')
  const indications = [...directions.indications, ...indicationsOf(scope, listed, node)]
  const quantity = readQuantity(child(node, 'Quantity') ?? child(item, 'Quantity'))
  const refills = textAt(descend(node, 'Refills', 'Refill'), 'Number') ?? textAt(child(node, 'Refills'), 'Number')
  const reactions = reactionsOf(scope, node)
  const supplies = suppliesOf(scope)
  return {
    ...(instructions === '' ? {} : { instructions: instructions.slice(0, scope.ccr.reading.limits.textChars) }),
    indications: indications.filter((one, at) => indications.findIndex((other) => same(one, other)) === at),
    ...(refills === undefined ? {} : { refills }),
    ...(quantity === undefined ? {} : { quantity }),
    ...(supplies.length === 0 ? {} : { supplies }),
    ...(reactions.length === 0 ? {} : { reactions }),
  }
}

function same(one: Concept, other: Concept): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}

/** What a Consent says. */
export function consentOf(scope: CcrScope, node: XmlNode): string[] {
  return childrenOf(node, 'Consent')
    .map((one) => wordsOf(readCode(scope, child(one, 'Description'))) ?? wordsOf(readCode(scope, child(one, 'Status'))))
    .flatMap((words) => (words === undefined ? [] : [`Consent: ${words}`]))
}

/** The prescription, where more is said of it than quantity and refills, then every fill of it. */
function suppliesOf(scope: CcrScope): Supply[] {
  const { node } = scope.place
  const orders = orderOf(scope)
  // The schema spells it so; some senders double the l.
  const histories = [...childrenOf(node, 'FulfillmentHistory'), ...childrenOf(node, 'FullfillmentHistory')]
  const fills = histories
    .flatMap((history) => childrenOf(history, 'Fulfillment'))
    .map((fill) => dispenseOf(scope, fill))
  return [...orders, ...fills]
}

function orderOf(scope: CcrScope): Supply[] {
  const { node } = scope.place
  const at = readRole(scope, 'written')
  const by = prescriberOf(scope)
  const said = [
    ...childrenOf(node, 'FulfillmentInstructions'),
    ...childrenOf(node, 'FullfillmentInstructions'),
  ].flatMap((one) => [wordsOf(readCode(scope, one)), ...codesOf(scope, one, 'Instruction').map(wordsOf)])
  const instructions = [...new Set(said)].filter(Boolean).join('; ')
  if (at === undefined && by === undefined && instructions === '') return []
  const quantity = readQuantity(child(node, 'Quantity'))
  return [
    {
      kind: 'order',
      ...(quantity === undefined ? {} : { quantity }),
      ...(at === undefined ? {} : { when: { value: at } }),
      ...(by === undefined ? {} : { by }),
      ...(instructions === '' ? {} : { instructions }),
      identifiers: [],
    },
  ]
}

/** The source whose role says that it prescribed. */
function prescriberOf(scope: CcrScope): Agent | undefined {
  const { authors } = readSources(scope, scope.place.node)
  return authors.find(({ role }) => /prescrib|order/i.test((role && wordsOf(role)) ?? ''))
}

function dispenseOf(scope: CcrScope, fill: XmlNode): Supply {
  const here: CcrScope = { ...scope, place: { node: fill, path: scope.place.path } }
  const product = together(...codesOf(scope, fill, 'ProductName'), ...codesOf(scope, fill, 'BrandName'))
  const described = readCode(scope, child(fill, 'Description'))
  const quantity = readQuantity(child(fill, 'Quantity'))
  const words = quantity === undefined ? readMeasure(child(fill, 'Quantity'))?.words : undefined
  const when = readEvent(here)
  const filled = readRole(here, 'filled')
  const status = readStatus(here)?.source
  const by = readAgent(scope, child(fill, 'Provider'))
  const fills = textAt(fill, 'SeriesNumber')
  const label = codesOf(scope, fill, 'LabelInstructions').map(wordsOf)
  const method = codesOf(scope, fill, 'FulfillmentMethod').map(wordsOf)
  const places = [...locationsOf(scope, fill), ...codesOf(scope, child(fill, 'Location'), 'Description').map(wordsOf)]
  const instructions = [...label, ...method, ...places, words].filter(Boolean).join('; ')
  const what = saying(product) ? product : described
  return {
    kind: 'dispense',
    ...(saying(what) ? { product: what } : {}),
    ...(quantity === undefined ? {} : { quantity }),
    ...(fills === undefined ? {} : { fills }),
    ...(filled !== undefined ? { when: { value: filled } } : when === undefined ? {} : { when }),
    ...(status === undefined ? {} : { status }),
    ...(by === undefined ? {} : { by }),
    ...(instructions === '' ? {} : { instructions }),
    identifiers: readIdentifiers(scope, fill),
  }
}
