import type { Intent } from '../../direct/clinical.js'
import type { Concept } from '../../direct/datatypes.js'
import { child, childrenOf, type XmlNode } from '../../xml/node.js'
import { readAgents } from './actors.js'
import { readDue, readEvent } from './dates.js'
import { describedBy, indicationsOf, locationsOf, readLinks } from './links.js'
import { consentOf } from './medications.js'
import { emit } from './object.js'
import { readProduct } from './products.js'
import type { CcrScope } from './scope.js'
import { deniedBy, intentOf, nearestStatus, saysNotDone } from './status.js'
import { codesOf, readCode, readMeasure, saying, together, wordsOf } from './types.js'

/** Procedures/Procedure: what was done, or is to be done where its status or the plan around it says so. */
export function readProcedure(scope: CcrScope): string[] {
  const { node } = scope.place
  const described = together(...codesOf(scope, node, 'Description'))
  const typed = readCode(scope, child(node, 'Type'))
  const procedure = saying(described) ? described : typed
  const status = nearestStatus(scope)
  const intent = scope.intent ?? intentOf(status)
  const indications = indicationsOf(scope, childrenOf(child(node, 'Indications'), 'Indication'), node)
  const methods = codesOf(scope, node, 'Method')
  const approaches = codesOf(scope, node, 'Approach')
  const specimens = codesOf(scope, node, 'Substance')
  const locations = locationsOf(scope, node)
  const instructions = instructionsOf(scope, node)
  return emit(scope, {
    content: {
      type: 'procedure',
      procedure,
      bodySites: codesOf(scope, node, 'Site'),
      devices: devicesOf(scope, node),
      ...(indications.length === 0 ? {} : { indications }),
      ...(methods.length === 0 ? {} : { methods }),
      ...(approaches.length === 0 ? {} : { approaches }),
      ...(specimens.length === 0 ? {} : { specimens }),
      ...(locations.length === 0 ? {} : { locations }),
      ...(instructions === '' ? {} : { instructions }),
    },
    subject: procedure,
    when: occurrence(scope, intent),
    status,
    intent,
    negated: saysNotDone(status?.source) || deniedBy(procedure),
    performers: readAgents(scope, childrenOf(child(node, 'Practitioners'), 'Practitioner')),
    notes: [
      ...(saying(described) && saying(typed) ? [`Type: ${wordsOf(typed)}`] : []),
      ...codesOf(scope, node, 'Position').map((one) => `Position: ${wordsOf(one)}`),
      ...consentOf(scope, node),
    ],
  })
}

/** When it happened, or is to happen where it is planned; the order around it may be all that has a date. */
export function occurrence(scope: CcrScope, intent: Intent) {
  if (intent === 'performed') return readEvent(scope)
  return readDue(scope) ?? (scope.outer === undefined ? undefined : occurrenceOf(scope.outer))
}

function occurrenceOf(scope: CcrScope): ReturnType<typeof readDue> {
  return readDue(scope) ?? (scope.outer === undefined ? undefined : occurrenceOf(scope.outer))
}

/** How often, how long and what to heed, in the source's words. */
export function instructionsOf(scope: CcrScope, node: XmlNode): string {
  const measured = (local: string, before: string) =>
    childrenOf(node, local).flatMap((one) => {
      const words = readMeasure(one)?.words ?? wordsOf(readCode(scope, child(one, 'Description')))
      return words === undefined ? [] : [`${before}${words}`]
    })
  const said = childrenOf(node, 'Instructions').flatMap((one) => [
    ...codesOf(scope, one, 'Instruction').map(wordsOf),
    wordsOf(readCode(scope, one)),
  ])
  return [
    ...said,
    ...measured('Frequency', 'Frequency: '),
    ...measured('Interval', 'Interval: '),
    ...measured('Duration', 'Duration: '),
  ]
    .filter(Boolean)
    .join('; ')
}

/** Devices and products of a procedure, and the equipment that it links to. */
function devicesOf(scope: CcrScope, node: XmlNode): Concept[] {
  const listed = childrenOf(child(node, 'Devices'), 'Device')
  const products = childrenOf(child(node, 'Products'), 'Product')
  const linked = readLinks(scope, node).flatMap(({ object }) =>
    object?.node.local === 'Equipment' ? [describedBy(scope, object)] : [],
  )
  const named = [...listed, ...products].map((one) => {
    const described = together(...codesOf(scope, one, 'Description'))
    return readProduct(scope, child(one, 'Product') ?? one, described).name
  })
  return [...named, ...linked].filter(saying)
}
