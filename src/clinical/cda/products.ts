import type { Concept } from '../../direct/datatypes.js'
import { child, textOf, type XmlNode } from '../../xml/node.js'
import { materialOf, nothing, readConcept, says, words } from './datatypes.js'
import type { Scope } from './scope.js'
import { withNarrative } from './statement.js'

const column = /medication|drug|product|name|substance|description/i

/** Code of the material; its name is the brand, or the product where there is no code (HITSP C83 §2.2.2.8). */
export function readProduct(scope: Scope, node: XmlNode): { product: Concept; brand?: Concept } {
  const material = materialOf(child(node, node.local === 'supply' ? 'product' : 'consumable'))
  const code = readConcept(scope, child(material, 'code'), column)
  const name = words(scope, textOf(child(material, 'name')))
  if (says(code)) return name === undefined ? { product: code } : { product: code, brand: { codings: [], text: name } }
  if (name !== undefined) return { product: { ...code, codings: [], text: name } }
  return { product: withNarrative(scope, code ?? nothing, node, column) }
}
