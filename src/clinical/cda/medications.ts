import type { ItemContent } from '../../direct/clinical.js'
import type { Concept, Quantity } from '../../direct/datatypes.js'
import { child, childrenOf, textOf, type XmlNode } from '../../xml/node.js'
import {
  given,
  materialOf,
  nothing,
  readConcept,
  readNamed,
  readQuantity,
  readText,
  relatedStatements,
  says,
  words,
} from './datatypes.js'
import type { Scope } from './scope.js'
import { emit, intentOf, withNarrative } from './statement.js'
import { actStatus } from './status.js'
import { isA, templates } from './templates.js'
import { readRegimen } from './timing.js'

type Medication = Extract<ItemContent, { type: 'medication' }>

const column = /medication|drug|product|name|substance|description/i

/**
 * One item for a substanceAdministration (C-CDA 22.4.16, CCD 1.24) or a supply that stands alone. In a medication section
 * the mood INT means prescribed or expected, so the item is `ordered`; elsewhere it is `planned`.
 */
export function readMedication(scope: Scope): number {
  const { node } = scope.place
  const supplied = node.local === 'supply'
  const { product, brand } = readProduct(scope, node)
  const regimen = readRegimen(scope, node)
  const mood = intentOf(node)
  const intent = mood === 'planned' && scope.section?.kind === 'medications' ? 'ordered' : mood
  const form = readNamed(scope, child(node, 'administrationUnitCode'))
  const route = readNamed(scope, child(node, 'routeCode'))
  const site = readNamed(scope, child(node, 'approachSiteCode'))
  const rate = readQuantity(child(node, 'rateQuantity')) ?? readQuantity(child(child(node, 'rateQuantity'), 'low'))
  const instructions = readInstructions(scope, node)
  const supply = supplied
    ? node
    : relatedStatements(node).find((one) => one.local === 'supply' && intentOf(one) === 'planned')
  return emit(scope, {
    content: {
      type: 'medication',
      product,
      ...(brand === undefined ? {} : { brand }),
      ...(form === undefined ? {} : { form }),
      ...doseOf(child(node, 'doseQuantity')),
      ...(rate === undefined ? {} : { rate }),
      ...(route === undefined ? {} : { route }),
      ...(site === undefined ? {} : { site }),
      timings: regimen.timings,
      asNeeded: childrenOf(node, 'precondition').some((one) => given(one, 'nullFlavor') === undefined),
      ...(instructions === undefined ? {} : { instructions }),
      indications: indicationsOf(scope, node),
      ...supplyOf(supply),
    },
    subject: product,
    when: regimen.when,
    status: actStatus(scope, node, intent === 'planned'),
    intent,
  })
}

/** Code of the material; its name is the brand, or the product where there is no code (HITSP C83 §2.2.2.8). */
function readProduct(scope: Scope, node: XmlNode): { product: Concept; brand?: Concept } {
  const consumable = child(node, node.local === 'supply' ? 'product' : 'consumable')
  const material = materialOf(consumable)
  const code = readConcept(scope, child(material, 'code'), column)
  const name = words(scope, textOf(child(material, 'name')))
  if (says(code)) return name === undefined ? { product: code } : { product: code, brand: { codings: [], text: name } }
  if (name !== undefined) return { product: { ...code, codings: [], text: name } }
  return { product: withNarrative(scope, code ?? nothing, node, column) }
}

/** A dose as written: a number, or a range. A dose without unit counts units of the product; none is invented. */
export function doseOf(node: XmlNode | undefined): Pick<Medication, 'dose' | 'doseRange'> {
  const dose = readQuantity(node)
  if (dose !== undefined) return { dose }
  const low: Quantity | undefined = readQuantity(child(node, 'low')) ?? readQuantity(child(node, 'center'))
  const high: Quantity | undefined = readQuantity(child(node, 'high'))
  if (low === undefined && high === undefined) return {}
  return { doseRange: { ...(low === undefined ? {} : { low }), ...(high === undefined ? {} : { high }) } }
}

/** The sig as free text and the instructions to the patient; in C32 the statement's own text is the sig. */
function readInstructions(scope: Scope, node: XmlNode): string | undefined {
  const found = new Set<string>()
  const related = relatedStatements(node)
  for (const one of related) {
    if (!isA(one, templates.freeTextSig) && !isA(one, templates.instruction)) continue
    const text = readText(scope, child(one, 'text')) ?? readNamed(scope, child(one, 'code'))?.text
    if (text !== undefined) found.add(text)
  }
  if (found.size > 0) return [...found].join('; ')
  return readText(scope, child(node, 'text'), /sig|directions|instruction|dos/i)
}

function indicationsOf(scope: Scope, node: XmlNode): Concept[] {
  return relatedStatements(node, 'RSON')
    .map((one) =>
      withNarrative(scope, readConcept(scope, child(one, 'value')) ?? readConcept(scope, child(one, 'code')), one),
    )
    .filter(says)
}

/** An order's quantity and refills. repeatNumber counts all fills, so refills are one fewer (C-CDA Medication Supply Order). */
function supplyOf(supply: XmlNode | undefined): Pick<Medication, 'refills' | 'quantity'> {
  const quantity = readQuantity(child(supply, 'quantity'))
  const fills = given(child(supply, 'repeatNumber'), 'value')
  const refills = fills !== undefined && /^\d{1,4}$/.test(fills) ? String(Math.max(0, Number(fills) - 1)) : undefined
  return { ...(refills === undefined ? {} : { refills }), ...(quantity === undefined ? {} : { quantity }) }
}
