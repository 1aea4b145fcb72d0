import { child, type XmlNode } from '../../xml/node.js'
import { placesIn } from '../place.js'
import { conduct } from './authors.js'
import { given, isStatement } from './datatypes.js'
import { at, inside, type Scope } from './scope.js'
import { isA, templates } from './templates.js'

/** Reads the statement of a scope as whatever it is; answers how many items it made. */
export type ReadStatement = (scope: Scope) => number

/** The statements directly inside this one, in `entryRelationship` and `component`, each with its own authorship. */
export function nestedIn(scope: Scope): Scope[] {
  const found: Scope[] = []
  for (const relation of placesIn(scope.place)) {
    if (relation.node.local !== 'entryRelationship' && relation.node.local !== 'component') continue
    const place = placesIn(relation).find((one) => isStatement(one.node))
    if (place === undefined) continue
    const inner = at(inside(scope, relation), place)
    found.push({ ...inner, authorship: conduct(inner, place) })
  }
  return found
}

/** Whether a statement only names another one by its id (C-CDA 22.4.122, Entry Reference). */
export function isReferenceOnly(node: XmlNode): boolean {
  if (isA(node, templates.entryReference)) return true
  const code = child(node, 'code')
  return node.local === 'act' && given(code, 'nullFlavor') === 'NP' && given(code, 'code') === undefined
}
