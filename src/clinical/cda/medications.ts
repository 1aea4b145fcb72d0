import type { Medication } from '../../direct/clinical.js'
import type { Concept, Quantity, Ratio } from '../../direct/datatypes.js'
import { child, childrenOf, descend, textOf, type XmlNode } from '../../xml/node.js'
import { placesIn } from '../place.js'
import { reactionsOf } from './allergies.js'
import { conduct } from './authors.js'
import {
  given,
  isNegated,
  isTrue,
  nullFlavorOf,
  readConcept,
  readNamed,
  readQuantity,
  readText,
  relatedStatements,
  says,
  words,
} from './datatypes.js'
import { readProduct } from './products.js'
import { at, type Scope } from './scope.js'
import { emit, intentOf, isComment, isReason, withNarrative } from './statement.js'
import { actStatus } from './status.js'
import { supplyOf } from './supplies.js'
import { isA, templates } from './templates.js'
import { readRegimen } from './timing.js'

/**
 * One item for a substanceAdministration (C-CDA 22.4.16, CCD 1.24) or a supply that stands alone, and one for each part of a
 * split or tapered dose (IHE PCC TF-2 §6.3.4.16.2). In a medication section the mood INT means prescribed or expected, so the
 * item is `ordered`; elsewhere it is `planned`. `outer` is the product of the medication that this is a part of.
 */
export function readMedication(scope: Scope, outer?: Concept): number {
  const { node } = scope.place
  const supplied = node.local === 'supply'
  const { product: own, brand } = readProduct(scope, node)
  const product = says(own) || outer === undefined ? own : outer
  const regimen = readRegimen(scope, node)
  const mood = intentOf(node)
  const intent = mood === 'planned' && scope.section?.kind === 'medications' ? 'ordered' : mood
  const supplies = suppliesOf(scope)
  const order = supplies.find((one) => one.kind === 'order')
  const reactions = reactionsOf(scope, node)
  const made = emit(scope, {
    content: {
      type: 'medication',
      product,
      ...(brand === undefined ? {} : { brand }),
      ...administered(scope, node),
      timings: regimen.timings,
      ...neededFor(scope, node),
      ...orderedSupply(order),
      ...(supplied || supplies.length === 0 ? {} : { supplies }),
      ...(reactions.length === 0 ? {} : { reactions }),
      ...reasonsOf(scope, node),
    },
    subject: product,
    when: regimen.when,
    status: actStatus(scope, node, intent === 'planned'),
    intent,
  })
  return made + partsOf(scope, product)
}

/** Parts of a split, tapered or conditional dose: administrations inside this one, of the same product unless they name another. */
function partsOf(scope: Scope, product: Concept): number {
  let made = 0
  for (const relation of placesIn(scope.place, 'entryRelationship')) {
    if (given(relation.node, 'typeCode') !== 'COMP') continue
    for (const place of placesIn(relation, 'substanceAdministration')) {
      if (isA(place.node, templates.freeTextSig)) continue
      const inner = at(scope, place)
      made += readMedication({ ...inner, authorship: conduct(inner, place) }, product)
    }
  }
  return made
}

type Administered = Pick<
  Medication,
  | 'form'
  | 'manufacturer'
  | 'dose'
  | 'doseRange'
  | 'rate'
  | 'maxDose'
  | 'route'
  | 'site'
  | 'vehicles'
  | 'instructions'
  | 'adherence'
>

function administered(scope: Scope, node: XmlNode): Administered {
  const form = readNamed(scope, child(node, 'administrationUnitCode'))
  const manufacturer = manufacturerOf(scope, node)
  const route = readNamed(scope, child(node, 'routeCode'))
  const site = readNamed(scope, child(node, 'approachSiteCode'))
  const rates = child(node, 'rateQuantity')
  const rate = readQuantity(rates) ?? readQuantity(child(rates, 'low')) ?? readQuantity(child(rates, 'center'))
  const maxDose = readRatio(child(node, 'maxDoseQuantity'))
  const vehicles = vehiclesOf(scope, node)
  const instructions = readInstructions(scope, node, true)
  const taken = relatedStatements(node).find((one) => isA(one, templates.adherence))
  const adherence = taken && readNamed(scope, child(taken, 'value'))
  return {
    ...(form === undefined ? {} : { form }),
    ...(manufacturer === undefined ? {} : { manufacturer }),
    ...doseOf(child(node, 'doseQuantity')),
    ...(rate === undefined ? {} : { rate }),
    ...(maxDose === undefined ? {} : { maxDose }),
    ...(route === undefined ? {} : { route }),
    ...(site === undefined ? {} : { site }),
    ...(vehicles.length === 0 ? {} : { vehicles }),
    ...(instructions === undefined ? {} : { instructions }),
    ...(adherence === undefined ? {} : { adherence }),
  }
}

function manufacturerOf(scope: Scope, node: XmlNode): string | undefined {
  const product = child(node, node.local === 'supply' ? 'product' : 'consumable')
  return words(scope, textOf(descend(product, 'manufacturedProduct', 'manufacturerOrganization', 'name')))
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

function readRatio(node: XmlNode | undefined): Ratio | undefined {
  const numerator = readQuantity(child(node, 'numerator'))
  const denominator = readQuantity(child(node, 'denominator'))
  return numerator && { numerator, ...(denominator === undefined ? {} : { denominator }) }
}

/** What carries the drug: participants typed CSM that are a vehicle, by template or role (C-CDA 22.4.24). */
function vehiclesOf(scope: Scope, node: XmlNode): Concept[] {
  return childrenOf(node, 'participant')
    .map((participant) => child(participant, 'participantRole'))
    .filter((role) => role !== undefined)
    .filter((role) => isA(role, templates.vehicle) || given(child(role, 'code'), 'code') === '412307009')
    .map((role) => {
      const entity = child(role, 'playingEntity')
      const name = words(scope, textOf(child(entity, 'name')))
      return readNamed(scope, child(entity, 'code')) ?? (name === undefined ? undefined : { codings: [], text: name })
    })
    .filter((vehicle) => vehicle !== undefined)
}

/** Preconditions make it as needed; the criterion says for what (C-CDA 22.4.25). */
function neededFor(scope: Scope, node: XmlNode): Pick<Medication, 'asNeeded' | 'preconditions'> {
  const stated = childrenOf(node, 'precondition').filter((one) => nullFlavorOf(one) === undefined)
  const preconditions = stated
    .map((one) => child(one, 'criterion'))
    .filter((criterion) => criterion !== undefined)
    .map((criterion) => {
      const code = readNamed(scope, child(criterion, 'code'))
      // That something is asserted does not say what.
      const asked = code?.codings.some((one) => one.code === 'ASSERTION') ? undefined : code
      return withNarrative(scope, readNamed(scope, child(criterion, 'value')) ?? asked, criterion)
    })
    .filter(says)
  return { asNeeded: stated.length > 0, ...(preconditions.length === 0 ? {} : { preconditions }) }
}

/**
 * The sig as free text and the instructions to the patient (C-CDA 22.4.147, 22.4.20). Where neither is there and `ownText`
 * is true the statement's own text is the sig, as in C32.
 */
export function readInstructions(scope: Scope, node: XmlNode, ownText: boolean): string | undefined {
  const found = new Set<string>()
  for (const one of relatedStatements(node)) {
    if ((!isA(one, templates.freeTextSig) && !isA(one, templates.instruction)) || isComment(one)) continue
    const text = readText(scope, child(one, 'text')) ?? readNamed(scope, child(one, 'code'))?.text
    if (text !== undefined) found.add(text)
  }
  if (found.size > 0) return [...found].join('; ')
  return ownText ? readText(scope, child(node, 'text'), /sig|directions|instruction|dos/i) : undefined
}

/**
 * What something is done for: statements related as its reason (C-CDA 22.4.19), by value, else words. The code of an
 * observation, or of an act around one, says what sort of finding it is, never which; another act's code is what it is.
 */
export function indicationsOf(scope: Scope, node: XmlNode, wanted = (_: XmlNode): boolean => true): Concept[] {
  const indications = relatedStatements(node).filter((one) => isA(one, templates.indication) || isReason(one))
  return [...new Set([...relatedStatements(node, 'RSON'), ...indications])]
    .filter(
      (one) =>
        wanted(one) && !isNegated(one) && !reasonless.some((roots) => isA(one, roots)) && !isConsequence(node, one),
    )
    .flatMap((one) => reasonOf(scope, one))
    .filter(says)
}

/** What something was done for; of what was not done the reason is why not (C-CDA 22.4.19, 22.4.53). */
export function reasonsOf(
  scope: Scope,
  node: XmlNode,
): { readonly indications: readonly Concept[]; readonly refusalReason?: Concept } {
  const refused = relatedStatements(node).find((one) => isA(one, templates.refusal))
  const stated = refused && (readNamed(scope, child(refused, 'value')) ?? readNamed(scope, child(refused, 'code')))
  const reasons = indicationsOf(scope, node)
  const refusalReason = stated ?? (isNegated(node) ? reasons[0] : undefined)
  const indications = isNegated(node) ? [] : reasons
  return { indications, ...(refusalReason === undefined ? {} : { refusalReason }) }
}

/** Related as a reason, but saying something else: why not, how urgent, or who else says it. */
const reasonless = [templates.refusal, templates.entryReference, templates.priority]

/** A reason turned round: the act was done because of the statement it stands in (CDA R2 §4.3.8.3, inversionInd). */
export function isConsequence(node: XmlNode, inner: XmlNode): boolean {
  if (inner.local !== 'act' || isA(inner, templates.indication)) return false
  const relation = childrenOf(node, 'entryRelationship').find((one) => child(one, 'act') === inner)
  return given(relation, 'typeCode') === 'RSON' && isTrue(given(relation, 'inversionInd')) === true
}

function reasonOf(scope: Scope, node: XmlNode): Concept[] {
  const inner = relatedStatements(node).filter((one) => one.local === 'observation' && child(one, 'value'))
  if (node.local === 'act' && inner.length > 0) {
    return inner
      .filter((one) => !isA(one, templates.status))
      .map((one) => readConcept(scope, child(one, 'value')))
      .filter((one) => one !== undefined)
  }
  const code = node.local === 'observation' ? undefined : child(node, 'code')
  return [withNarrative(scope, readNamed(scope, child(node, 'value')) ?? readConcept(scope, code), node)]
}

/** Orders and dispenses inside the medication; a supply that stands alone is its own. */
function suppliesOf(scope: Scope): NonNullable<Medication['supplies']> {
  const { node } = scope.place
  const nodes = node.local === 'supply' ? [node] : relatedStatements(node).filter((one) => one.local === 'supply')
  return nodes.slice(0, mostSupplies).map((one) => supplyOf(scope, one))
}

const mostSupplies = 64

/** An order's quantity and refills. repeatNumber counts all fills, so refills are one fewer (C-CDA Medication Supply Order). */
function orderedSupply(
  order: NonNullable<Medication['supplies']>[number] | undefined,
): Pick<Medication, 'refills' | 'quantity'> {
  const { quantity, fills } = order ?? {}
  const refills = fills !== undefined && /^\d{1,4}$/.test(fills) ? String(Math.max(0, Number(fills) - 1)) : undefined
  return { ...(refills === undefined ? {} : { refills }), ...(quantity === undefined ? {} : { quantity }) }
}
