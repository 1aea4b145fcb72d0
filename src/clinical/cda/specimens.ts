import type { Concept } from '../../direct/datatypes.js'
import { child, childrenOf, descend, type XmlNode } from '../../xml/node.js'
import { given, readNamed, readText } from './datatypes.js'
import type { Scope } from './scope.js'

/**
 * What was taken for examination: the entity of each specimen role, by code, else by name. The procedure that took it has
 * it as its product (IHE PaLM TF-3, Specimen Collection).
 */
export function specimensOf(scope: Scope, node: XmlNode): Concept[] {
  const products = childrenOf(node, 'participant').filter((one) => isSpecimen(child(one, 'participantRole')))
  return [
    ...childrenOf(node, 'specimen').map((one) => descend(one, 'specimenRole', 'specimenPlayingEntity')),
    ...products.map((one) => descend(one, 'participantRole', 'playingEntity')),
  ]
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

/** Whether a role is that of a specimen (HL7 v3 RoleClass SPEC). */
export function isSpecimen(role: XmlNode | undefined): boolean {
  return given(role, 'classCode') === 'SPEC'
}
