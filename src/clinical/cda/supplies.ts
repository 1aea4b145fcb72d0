import type { Supply } from '../../direct/clinical.js'
import { child, childrenOf, type XmlNode } from '../../xml/node.js'
import { agentsOf } from './agents.js'
import {
  given,
  readIdentifiers,
  readNamed,
  readQuantity,
  readText,
  readWhen,
  relatedStatements,
  says,
} from './datatypes.js'
import { readProduct } from './products.js'
import type { Scope } from './scope.js'
import { intentOf } from './statement.js'
import { isA, templates } from './templates.js'

/**
 * A supply inside a medication: an order (C-CDA 22.4.17) or a dispense (22.4.18), by template, else by mood. In an order
 * repeatNumber counts all fills; in a dispense it says which fill it was.
 */
export function supplyOf(scope: Scope, node: XmlNode): Supply {
  const order = isA(node, templates.supplyOrder) || (!isA(node, templates.dispense) && intentOf(node) !== 'performed')
  const { product } = readProduct(scope, node)
  const quantity = readQuantity(child(node, 'quantity'))
  const fills = given(child(node, 'repeatNumber'), 'value')
  const daysSupply = daysOf(node)
  const when = readWhen(scope, childrenOf(node, 'effectiveTime')[0])
  const status = given(child(node, 'statusCode'), 'code')
  const [by] = agentsOf(scope, [...childrenOf(node, 'performer'), ...childrenOf(node, 'author')])
  const instructions = relatedStatements(node)
    .filter((one) => isA(one, templates.instruction))
    .map((one) => readText(scope, child(one, 'text')) ?? readNamed(scope, child(one, 'code'))?.text)
    .find((text) => text !== undefined)
  return {
    kind: order ? 'order' : 'dispense',
    ...(says(product) ? { product } : {}),
    ...(quantity === undefined ? {} : { quantity }),
    ...(fills === undefined ? {} : { fills }),
    ...(daysSupply === undefined ? {} : { daysSupply }),
    ...(when === undefined ? {} : { when }),
    ...(status === undefined ? {} : { status }),
    ...(by === undefined ? {} : { by }),
    ...(instructions === undefined ? {} : { instructions }),
    identifiers: readIdentifiers(node),
  }
}

/** How long the supply lasts: expectedUseTime's width, or the days supply inside (QRDA, NCPDP: a supply with unit d). */
function daysOf(node: XmlNode): Supply['daysSupply'] {
  const expected = child(node, 'expectedUseTime')
  const width = readQuantity(child(expected, 'width'))
  if (width !== undefined) return width
  const inner = relatedStatements(node).find(
    (one) => one.local === 'supply' && given(child(one, 'quantity'), 'unit') === 'd',
  )
  return readQuantity(child(inner, 'quantity'))
}
