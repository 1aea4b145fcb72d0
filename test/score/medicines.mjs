/** Facts of medications and immunizations. */
import { tidy } from './codes.mjs'
import { codeKeys, collector, detail, has, quantityOf, related, relations, tell } from './facts.mjs'
import { roots } from './rules.mjs'
import { actStatus } from './status.mjs'
import { attr, down, every, kid, kids, walk, words } from './tree.mjs'

export const productsOf = (node) =>
  [...kids(node, 'consumable'), ...kids(node, 'product')].flatMap((one) => kids(one, 'manufacturedProduct'))

export const materialCodes = (product) =>
  ['manufacturedMaterial', 'manufacturedLabeledDrug'].flatMap((name) => every(product, name, 'code'))

function doseFacts(out, node, id, free) {
  for (const [name, role] of [
    ['doseQuantity', 'dose'],
    ['rateQuantity', 'rate'],
  ]) {
    for (const one of kids(node, name)) {
      const quantity = quantityOf(one)
      if (quantity !== undefined) out.put('dose', one.path, [`${role} ${id} ${quantity}`], free)
      for (const bound of ['low', 'high', 'center']) {
        const edge = quantityOf(kid(one, bound))
        if (edge !== undefined)
          out.put('dose', one.path, [`${role} ${id} ${bound} ${edge}`, `${role} ${id} ${edge}`], free)
      }
    }
  }
  for (const one of kids(node, 'maxDoseQuantity'))
    for (const part of ['numerator', 'denominator']) {
      const quantity = quantityOf(kid(one, part))
      if (quantity !== undefined) out.put('dose', one.path, [`max ${id} ${part} ${quantity}`], free)
    }
  detail(out, node.path, 'route', id, kids(node, 'routeCode'), free)
  detail(out, node.path, 'site', id, kids(node, 'approachSiteCode'), free)
  detail(out, node.path, 'form', id, kids(node, 'administrationUnitCode'), true)
}

/** Medication Activity (22.4.16, planned 22.4.42; CCD R1 1.24; IHE 4.7): product, dose, rate, route, site, times by type. */
export function medication(out, node, around = []) {
  const times = kids(node, 'effectiveTime').filter((one) => !isRepeat(one))
  const products = productsOf(node)
  const { id, free } = tell(out, node, ['medication'], products.flatMap(materialCodes), { times, around })
  actStatus(out, node, id, free)
  for (const one of kids(node, 'effectiveTime').filter(isRepeat)) {
    const period = kid(one, 'period')
    const [every, least, most] = [period, kid(period, 'low'), kid(period, 'high')].map(quantityOf)
    if (every !== undefined) out.put('value', one.path, [`every ${id} ${every}`], free)
    if (least !== undefined) out.put('value', one.path, [`every ${id} ${least}`], free)
    if (most !== undefined) out.put('value', one.path, [`every-high ${id} ${most}`], free)
    const event = attr(kid(one, 'event'), 'code')
    if (event !== undefined) out.put('detail', one.path, [`event ${id} ${event}`], free)
  }
  doseFacts(out, node, id, free)
  for (const relation of relations(node, 'RSON'))
    for (const one of kids(relation, 'observation')) indication(out, one, id, free)
  for (const one of related(node).filter((inner) => inner.local === 'supply')) {
    const quantity = quantityOf(kid(one, 'quantity'))
    if (quantity !== undefined) out.put('value', one.path, [`supply ${id} ${quantity}`], free)
    for (const fact of productsOf(one).flatMap(materialCodes)) detail(out, one.path, 'supplied', id, [fact], true)
  }
  // A tapered or conditional dose is another administration inside this one; whether it is told apart is left open.
  for (const one of related(node).filter((inner) => inner.local === 'substanceAdministration')) {
    const inner = collector(out.section, out.kind, out.document)
    medication(inner, one, [node])
    for (const fact of inner.facts) out.put(fact.cat, fact.path, fact.keys, true)
  }
}

/** Indication (22.4.19): its value; where it has none, its code. */
export function indication(out, node, id, free) {
  // How urgent it is says nothing of why (Priority Preference, 22.4.143).
  if (has(node, roots.priority)) return
  const values = kids(node, 'value')
  detail(out, node.path, 'indication', id, values, free)
  if (codeKeys(...values).length === 0) detail(out, node.path, 'indication', id, kids(node, 'code'), true)
}

const isRepeat = (time) =>
  ['PIVL_TS', 'EIVL_TS', 'SXPR_TS'].includes(attr(time, 'xsi:type') ?? '') || kid(time, 'period') || kid(time, 'event')

/** Discharge and admission medication acts, and organizers, hold medications. */
export function medications(out, node) {
  for (const relation of kids(node, 'entryRelationship', 'component'))
    for (const one of kids(relation, 'substanceAdministration')) medication(out, one)
}

/** Immunization Activity (22.4.52; C83.13; IHE 4.12): vaccine, lot, maker, dose, route, site, why not given. */
export function immunization(out, node) {
  const products = productsOf(node)
  const { id, free } = tell(out, node, ['immunization'], products.flatMap(materialCodes))
  actStatus(out, node, id, free)
  doseFacts(out, node, id, free)
  for (const product of products) {
    const lot = words(down(product, 'manufacturedMaterial', 'lotNumberText'))
    if (lot !== '') out.put('detail', product.path, [`lot ${id} ${lot.toLowerCase()}`], free)
    const maker = words(down(product, 'manufacturerOrganization', 'name'))
    if (maker !== '') out.put('detail', product.path, [`maker ${id} ${tidy(maker).toLowerCase()}`], free)
  }
  for (const inner of related(node))
    if (has(inner, roots.refusal)) detail(out, inner.path, 'refusal', id, kids(inner, 'code'), free)
  // C83 tells why in any reason whose code is one of its refusal reasons or of HL7's act reasons.
  for (const inner of relations(node, 'RSON').flatMap((relation) => [...walk(relation)]))
    for (const key of codeKeys(inner))
      if (/^v3-ActReason|11\.19725/.test(key)) out.put('detail', inner.path, [`refusal ${id} ${key}`], true)
}
