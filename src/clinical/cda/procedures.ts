import type { Procedure } from '../../direct/clinical.js'
import type { Concept } from '../../direct/datatypes.js'
import { child, childrenOf, type XmlNode } from '../../xml/node.js'
import { isNegated, readAllNamed, readConcept, readNamed, readWhen, relatedStatements, says } from './datatypes.js'
import { readProcedureDevices } from './devices.js'
import { placesOf } from './locations.js'
import { isConsequence, readInstructions, reasonsOf } from './medications.js'
import { nestedIn, type ReadStatement } from './nested.js'
import { inside, type Scope } from './scope.js'
import { specimensOf } from './specimens.js'
import { emit, intentOf, withNarrative } from './statement.js'
import { actStatus } from './status.js'
import { isA, templates } from './templates.js'
import { readValue } from './values.js'

/**
 * One item for a procedure, act or observation that was done, or is planned (C-CDA 22.4.14, .12, .13 and 22.4.39, .41, .44),
 * and further ones for what stands inside it and is something of its own.
 */
export function readProcedure(scope: Scope, nested: ReadStatement): number {
  const { node } = scope.place
  const procedure = withNarrative(scope, readConcept(scope, child(node, 'code'), column), node, column)
  const intent = intentOf(node)
  let made = 0
  // In what was not done nothing was.
  for (const inner of nestedIn(scope)) if (isOwn(node, inner.place.node)) made += nested(inside(inner, scope.place))
  return (
    made +
    emit(scope, {
      content: {
        type: 'procedure',
        procedure,
        bodySites: readAllNamed(scope, node, 'targetSiteCode'),
        devices: readProcedureDevices(scope),
        ...details(scope, node),
      },
      subject: procedure,
      when: readWhen(scope, child(node, 'effectiveTime')),
      status: actStatus(scope, node, intent === 'planned'),
      intent,
    })
  )
}

/**
 * Medications given during a procedure, parts of it, alternatives to it, what was done because of it. Inside a planned one
 * an event only tells what is planned (C-CDA R1.1, Plan of Care Activity Procedure): it is nothing that happened.
 */
function isOwn(node: XmlNode, inner: XmlNode): boolean {
  if (isConsequence(node, inner)) return true
  if (intentOf(node) !== 'performed' && intentOf(inner) === 'performed') return false
  if (inner.local === 'substanceAdministration') return !isA(inner, templates.freeTextSig)
  if (inner.local === 'procedure') return true
  return inner.local === 'organizer' && childrenOf(inner, 'component').some((one) => child(one, 'procedure'))
}

const column = /procedure|surger|planned|name|description|activity/i

function details(scope: Scope, node: XmlNode): Omit<Procedure, 'type' | 'procedure' | 'bodySites' | 'devices'> {
  const { indications, refusalReason } = reasonsOf(scope, node)
  const methods = readAllNamed(scope, node, 'methodCode')
  const approaches = readAllNamed(scope, node, 'approachSiteCode')
  const specimens = specimensOf(scope, node)
  const locations = placesOf(scope, node)
    .map((one) => one.name)
    .filter((name) => name !== undefined)
  const instructions = readInstructions(scope, node, false)
  const value = readValue(scope, childrenOf(node, 'value')[0])
  const complications = complicationsOf(scope, node)
  return {
    ...(indications.length === 0 ? {} : { indications }),
    ...(methods.length === 0 ? {} : { methods }),
    ...(approaches.length === 0 ? {} : { approaches }),
    ...(specimens.length === 0 ? {} : { specimens }),
    ...(locations.length === 0 ? {} : { locations }),
    ...(refusalReason === undefined ? {} : { refusalReason }),
    ...(instructions === undefined ? {} : { instructions }),
    ...(value === undefined || value.kind === 'absent' ? {} : { value }),
    ...(complications.length === 0 ? {} : { complications }),
  }
}

/** Problems and reactions that the procedure caused, unless they are denied. */
function complicationsOf(scope: Scope, node: XmlNode): Concept[] {
  const caused = new Set([...relatedStatements(node, 'CAUS'), ...relatedStatements(node, 'MFST')])
  return relatedStatements(node)
    .filter((one) => !isNegated(one) && (caused.has(one) || isA(one, templates.reaction)))
    .map((one) => withNarrative(scope, readNamed(scope, child(one, 'value')), one))
    .filter(says)
}
