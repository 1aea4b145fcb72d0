import type { Concept } from '../../direct/datatypes.js'
import { child, childrenOf, descend, type XmlNode } from '../../xml/node.js'
import { readNamed, readText } from './datatypes.js'
import type { Scope } from './scope.js'

/** What was taken for examination: the entity of each specimen role, by code, else by name. */
export function specimensOf(scope: Scope, node: XmlNode): Concept[] {
  return childrenOf(node, 'specimen')
    .map((specimen) => descend(specimen, 'specimenRole', 'specimenPlayingEntity'))
    .map((entity) => {
      const code = readNamed(scope, child(entity, 'code'))
      const text =
        code === undefined
          ? (readText(scope, child(entity, 'name')) ?? readText(scope, child(entity, 'desc')))
          : undefined
      return code ?? (text === undefined ? undefined : { codings: [], text })
    })
    .filter((one) => one !== undefined)
}
