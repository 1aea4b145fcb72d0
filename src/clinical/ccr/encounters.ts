import type { Intent } from '../../direct/clinical.js'
import type { When } from '../../direct/datatypes.js'
import { child, childrenOf, descend } from '../../xml/node.js'
import { readAgents } from './actors.js'
import { datesOf } from './dates.js'
import { indicationsOf, locationsOf } from './links.js'
import { consentOf } from './medications.js'
import { joined, readMoment } from './moments.js'
import { emit } from './object.js'
import { instructionsOf, occurrence } from './procedures.js'
import type { CcrScope } from './scope.js'
import { intentOf, nearestStatus, saysNotDone } from './status.js'
import { codesOf, readCode, saying, together, wordsOf } from './types.js'

/** HL7 ActEncounterCode, which alone makes the type of an encounter its class. */
const classes = new Set(['AMB', 'EMER', 'FLD', 'HH', 'IMP', 'ACUTE', 'NONAC', 'OBSENC', 'PRENC', 'SS', 'VR'])

/**
 * Encounters/Encounter. Its type is the encounter, and the description beside it the reason; without a type, the description is
 * the encounter. Pending, scheduled and requested ones are planned, and so is one that has a date for an appointment alone.
 */
export function readEncounter(scope: CcrScope): string[] {
  const { node } = scope.place
  const typed = together(...codesOf(scope, node, 'Type'))
  const described = together(...codesOf(scope, node, 'Description'))
  const encounter = saying(typed) ? typed : described
  const status = nearestStatus(scope)
  const dates = datesOf(node)
  const onlyDue = dates.length > 0 && dates.every(({ role }) => role === 'due' || role === 'recorded')
  const intent: Intent = scope.intent ?? (status === undefined && onlyDue ? 'planned' : intentOf(status))
  const reasons = indicationsOf(scope, childrenOf(child(node, 'Indications'), 'Indication'), node)
  const indications = saying(typed) && saying(described) ? [described, ...reasons] : reasons
  const disposition = [child(node, 'Disposition'), descend(node, 'Disposition', 'Description')]
    .map((one) => readCode(scope, one))
    .find(saying)
  const kind = typed.codings.find(({ code, system }) => classes.has(code) && /ActCode/.test(system ?? ''))
  const instructions = instructionsOf(scope, node)
  return emit(scope, {
    content: {
      type: 'encounter',
      encounter,
      ...(kind === undefined ? {} : { class: { codings: [kind] } }),
      diagnoses: [],
      ...(indications.length === 0 ? {} : { indications }),
      locations: locationsOf(scope, node),
      ...(disposition === undefined ? {} : { disposition }),
    },
    subject: encounter,
    when: occurrence(scope, intent) ?? stay(scope),
    status,
    intent,
    negated: saysNotDone(status?.source),
    performers: readAgents(scope, childrenOf(child(node, 'Practitioners'), 'Practitioner')),
    notes: [
      ...(instructions === '' ? [] : [instructions]),
      ...consentOf(scope, node).map((one) => one || wordsOf(encounter) || ''),
    ],
  })
}

/** Some senders put the range into Duration (HealthVault reads it there). */
function stay(scope: CcrScope): When | undefined {
  const duration = readMoment(scope, descend(scope.place.node, 'Duration', 'DateTime'))
  return duration?.low === undefined && duration?.high === undefined ? undefined : joined(duration, undefined)
}
