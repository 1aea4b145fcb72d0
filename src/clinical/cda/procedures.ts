import type { Concept } from '../../direct/datatypes.js'
import { child, childrenOf, descend, type XmlNode } from '../../xml/node.js'
import { given, readConcept, readNamed, readWhen, says } from './datatypes.js'
import type { Scope } from './scope.js'
import { emit, intentOf, withNarrative } from './statement.js'
import { actStatus } from './status.js'

/** One item for a procedure, act or observation that was done, or is planned (C-CDA 22.4.14, .12, .13 and 22.4.39, .41, .44). */
export function readProcedure(scope: Scope): number {
  const { node } = scope.place
  const procedure = withNarrative(scope, readConcept(scope, child(node, 'code'), column), node, column)
  const intent = intentOf(node)
  return emit(scope, {
    content: {
      type: 'procedure',
      procedure,
      bodySites: childrenOf(node, 'targetSiteCode')
        .map((site) => readNamed(scope, site))
        .filter((site) => site !== undefined),
      devices: devicesOf(scope, node),
    },
    subject: procedure,
    when: readWhen(scope, child(node, 'effectiveTime')),
    status: actStatus(scope, node, intent === 'planned'),
    intent,
  })
}

const column = /procedure|surger|planned|name|description|activity/i

function devicesOf(scope: Scope, node: XmlNode): Concept[] {
  const devices: Concept[] = []
  for (const participant of childrenOf(node, 'participant')) {
    const type = given(participant, 'typeCode')
    if (type !== 'DEV' && type !== 'PRD') continue
    const device = readConcept(scope, descend(participant, 'participantRole', 'playingDevice', 'code'))
    if (says(device)) devices.push(device)
  }
  return devices
}
