import { child, childrenOf } from '../../xml/node.js'
import { identifierOf, readIds, type TypedId } from './actors.js'
import { readEvent, readRole } from './dates.js'
import { readDirections } from './directions.js'
import { consentOf } from './medications.js'
import { emit } from './object.js'
import { productNotes, readProduct } from './products.js'
import { type CcrScope, textAt } from './scope.js'
import { deniedBy, intentOf, nearestStatus } from './status.js'
import { codesOf, readQuantity, saying, together, wordsOf } from './types.js'

const idKinds = {
  udi: /\b(udi|unique device)/i,
  deviceIdentifier: /\b(device identifier|di|gtin)\b/i,
  serial: /\bserial/i,
  lot: /\b(lot|batch)\b/i,
  model: /\b(model|catalog)/i,
} as const

type IdKind = keyof typeof idKinds

/** MedicalEquipment/Equipment: a device in or with the patient; what its IDs are stands in their types. */
export function readEquipment(scope: CcrScope): string[] {
  const { node } = scope.place
  const item = child(node, 'Product')
  const described = together(...codesOf(scope, node, 'Description'))
  const product = readProduct(scope, item, described)
  const device = together(product.name, ...(saying(described) ? [described] : []))
  const ids = [...readIds(scope.ccr, node), ...readIds(scope.ccr, item)]
  const known = new Map<IdKind, TypedId>()
  for (const id of ids) {
    const kind = (Object.keys(idKinds) as IdKind[]).find((one) => idKinds[one].test(id.type ?? ''))
    if (kind !== undefined && !known.has(kind)) known.set(kind, id)
  }
  const parts = Object.fromEntries([...known].map(([kind, { value }]) => [kind, value]))
  const directions = readDirections(
    scope,
    childrenOf(node, 'Directions').flatMap((one) => childrenOf(one, 'Direction')),
  )
  const sites = [...codesOf(scope, node, 'Site'), ...(directions.site === undefined ? [] : [directions.site])]
  const quantity = readQuantity(child(node, 'Quantity') ?? child(item, 'Quantity'))
  const brand = product.brand && wordsOf(product.brand)
  const expiresAt = readRole(scope, 'expires')
  const status = nearestStatus(scope)
  const refills = textAt(child(child(node, 'Refills'), 'Refill'), 'Number')
  return emit(scope, {
    content: {
      type: 'device',
      device,
      ...parts,
      ...(product.manufacturer === undefined ? {} : { manufacturer: product.manufacturer }),
      ...(brand === undefined ? {} : { brand }),
      ...(expiresAt === undefined ? {} : { expiresAt }),
      ...(quantity === undefined ? {} : { quantity }),
      bodySites: sites,
    },
    subject: device,
    when: readEvent(scope),
    status,
    intent: scope.intent ?? intentOf(status),
    negated: deniedBy(device),
    notes: [
      ...productNotes(product),
      ...directions.instructions,
      ...codesOf(scope, child(node, 'PatientInstructions'), 'Instruction').map((one) => wordsOf(one) ?? ''),
      ...(refills === undefined ? [] : [`Refills: ${refills}`]),
      ...consentOf(scope, node),
    ].filter(Boolean),
    identifiers: ids.filter((one) => ![...known.values()].includes(one)).map(identifierOf),
  })
}
