import type { Concept } from '../../direct/datatypes.js'
import { child, childrenOf, textOf, type XmlNode } from '../../xml/node.js'
import { given, readNamed, words } from './datatypes.js'
import type { Scope } from './scope.js'

/** A place where something happened: its name, and what sort of place it is. */
export interface Location {
  readonly name?: string
  readonly kind?: Concept
}

/** The service delivery locations of a statement (C-CDA 22.4.32): participants typed LOC. */
export function placesOf(scope: Scope, node: XmlNode): Location[] {
  return childrenOf(node, 'participant')
    .filter((participant) => given(participant, 'typeCode') === 'LOC')
    .map((participant) => child(participant, 'participantRole'))
    .filter((role) => role !== undefined)
    .map((role) => {
      const kind = readNamed(scope, child(role, 'code'))
      const entity = child(role, 'playingEntity')
      const name =
        words(scope, textOf(child(entity, 'name'))) ?? words(scope, textOf(child(entity, 'desc'))) ?? kind?.text
      return { ...(name === undefined ? {} : { name }), ...(kind === undefined ? {} : { kind }) }
    })
}
