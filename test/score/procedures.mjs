/** Facts of procedures and devices. */
import { codeKeys, detail, intents, isNegated, quantityOf, relations, tell, valueFacts, whenFacts } from './facts.mjs'
import { indication, materialCodes, productsOf } from './medicines.mjs'
import { actStatus } from './status.mjs'
import { every, kid, kids } from './tree.mjs'

/** Procedure Activity in its three shapes (22.4.12, 13, 14): code, sites, method, devices, indications. */
export function procedure(out, node, optional = false) {
  const { id, free } = tell(out, node, ['activity'], kids(node, 'code'), { optional })
  actStatus(out, node, id, free)
  detail(out, node.path, 'site', id, kids(node, 'targetSiteCode'), free)
  detail(out, node.path, 'method', id, kids(node, 'methodCode'), free)
  detail(out, node.path, 'approach', id, kids(node, 'approachSiteCode'), true)
  for (const part of kids(node, 'participant')) {
    deviceAsides(out, node, '~')
    const codes = every(part, 'participantRole', 'playingDevice', 'code')
    for (const key of codeKeys(...codes)) {
      out.put('detail', part.path, [`device ${id} ${key}`, `code device ${key}`], free)
      deviceAsides(out, node, key)
    }
  }
  for (const value of kids(node, 'value')) valueFacts(out, node.path, id, value, free || node.local !== 'observation')
  for (const relation of relations(node, 'RSON'))
    for (const one of kids(relation, 'observation')) indication(out, one, id, free)
}

/** A device that an act put in may be an item beside the act, with the act's time. */
function deviceAsides(out, node, key) {
  for (const time of kids(node, 'effectiveTime')) whenFacts(out, node.path, key, time, true)
  out.put('negation', node.path, [`negated ${key} ${isNegated(node)}`], true)
  out.put(
    'intent',
    node.path,
    intents(node).map((one) => `intent ${key} ${one}`),
    true,
  )
}

/** Non-Medicinal Supply Activity (22.4.50; CCD R1 1.34): the product instance. */
export function device(out, node) {
  const parts = kids(node, 'participant')
  const codes = [
    ...parts.flatMap((part) => every(part, 'participantRole', 'playingDevice', 'code')),
    ...productsOf(node).flatMap(materialCodes),
  ]
  const keys = codeKeys(...codes)
  const { id, free } = tell(out, node, ['device'], keys.length > 0 ? codes : kids(node, 'code'))
  const quantity = quantityOf(kid(node, 'quantity'))
  if (quantity !== undefined)
    out.put('value', node.path, [`quantity ${id} ${quantity}`, `supply ${id} ${quantity}`], free)
}

/** Medical Equipment Organizer (22.4.135): supplies and procedures. */
export function devices(out, node) {
  detail(out, node.path, 'panel', '', kids(node, 'code'), true)
  tell(out, node, ['device', 'activity'], kids(node, 'code'), { optional: true })
  for (const component of kids(node, 'component')) {
    for (const one of kids(component, 'supply')) device(out, one)
    for (const one of kids(component, 'procedure')) procedure(out, one)
  }
}
