import type { Intent } from '../../direct/clinical.js'
import type { Concept } from '../../direct/datatypes.js'
import { childrenOf } from '../../xml/node.js'
import { type Place, placeAt, placesIn } from '../place.js'
import { readDue } from './dates.js'
import { readEquipment } from './devices.js'
import { readEncounter } from './encounters.js'
import { readImmunization } from './immunizations.js'
import { describedBy, indicationsOf } from './links.js'
import { readMedication } from './medications.js'
import { emit } from './object.js'
import { instructionsOf, occurrence, readProcedure } from './procedures.js'
import { readResult } from './results.js'
import type { CcrScope } from './scope.js'
import { intentOf, nearestStatus, readStatus } from './status.js'
import { codesOf, saying, together, wordsOf } from './types.js'

/** What an order asks for, list by list (ASTM E2369 §5.6); everything in it is planned, whatever its own status says. */
const ordered: Readonly<Record<string, (scope: CcrScope) => string[]>> = Object.assign(Object.create(null), {
  Procedures: readProcedure,
  Medications: readMedication,
  Immunizations: readImmunization,
  Encounters: readEncounter,
  MedicalEquipment: readEquipment,
  Results: (scope: CcrScope) => readResult(scope, 'result'),
  Products: readActivity,
  Services: readActivity,
  Authorizations: readActivity,
  Goals: readGoal,
})

/**
 * PlanOfCare/Plan: an item for the plan itself, where it says what it is, and one for everything that its orders ask for. Words of
 * an order that asks for nothing in particular are the plan's instructions; with a code they are an activity of their own.
 */
export function readPlan(scope: CcrScope): string[] {
  const planned: CcrScope = { ...scope, intent: intentAround(scope) }
  const { node } = planned.place
  const described = together(...codesOf(planned, node, 'Description'))
  const typed = together(...codesOf(planned, node, 'Type'))
  const orders = placesIn(planned.place, 'OrderRequest').map((place): CcrScope => {
    const here = { ...planned, place, outer: planned }
    return { ...here, intent: intentAround(here, planned.intent) }
  })
  const inner = orders.flatMap((order) => [...readLists(order), ...ownWords(order)])
  const own = readLists(planned)
  const activity = saying(described) ? described : inner.length + own.length === 0 ? typed : { codings: [] }
  const sentences = orders.flatMap((order) => {
    const words = together(...codesOf(order, order.place.node, 'Description'))
    return words.codings.length === 0 && words.text !== undefined ? [words.text] : []
  })
  const instructions = [instructionsOf(planned, node), ...sentences].filter(Boolean).join('; ')
  const only = saying(activity) ? activity : { codings: [], ...(instructions === '' ? {} : { text: instructions }) }
  if (!saying(only)) return [...own, ...inner]
  const told = only === activity ? instructions : ''
  return [...emitPlan(planned, only, told, saying(described) && saying(typed) ? typed : undefined), ...own, ...inner]
}

/** A status of planned words decides between planned and ordered; a plan that is completed is still what was planned. */
function intentAround(scope: CcrScope, around: Intent = 'planned'): Intent {
  const status = readStatus(scope)
  return status !== undefined && intentOf(status) === 'ordered' ? 'ordered' : around
}

function readLists(scope: CcrScope): string[] {
  return placesIn(scope.place).flatMap((list) => {
    const read = ordered[list.node.local]
    return read === undefined ? [] : placesIn(list).flatMap((place) => read({ ...scope, place, outer: scope }))
  })
}

/** An order whose own description has a code is an activity beside what it holds. */
function ownWords(scope: CcrScope): string[] {
  const described = together(...codesOf(scope, scope.place.node, 'Description'))
  return described.codings.length === 0 ? [] : emitPlan(scope, described, instructionsOf(scope, scope.place.node))
}

/** Something planned that is no procedure, medication, immunization or encounter: a service, a product, an authorization. */
export function readActivity(scope: CcrScope): string[] {
  const activity = describedBy(scope, scope.place)
  return emitPlan(scope, activity, instructionsOf(scope, scope.place.node))
}

function emitPlan(scope: CcrScope, activity: Concept, instructions: string, kind?: Concept): string[] {
  const { node } = scope.place
  const lists = placeAt(scope.place, 'Indications')
  return emit(scope, {
    content: {
      type: 'plan',
      activity,
      ...(instructions === '' ? {} : { instructions: instructions.slice(0, scope.ccr.reading.limits.textChars) }),
      indications: indicationsOf(scope, childrenOf(lists?.node, 'Indication'), node),
    },
    subject: activity,
    when: occurrence(scope, 'planned'),
    status: nearestStatus(scope),
    intent: scope.intent ?? 'planned',
    notes: kind === undefined ? [] : [`Type: ${wordsOf(kind)}`],
  })
}

/** Goals/Goal: what is aimed at, and the milestones on the way as goals of their own. */
export function readGoal(scope: CcrScope): string[] {
  const goal = describedBy(scope, scope.place)
  const { node } = scope.place
  const instructions = instructionsOf(scope, node)
  const milestones = placesIn(scope.place, 'Milestones').flatMap((list: Place) => placesIn(list))
  return [
    ...emit(scope, {
      content: { type: 'goal', goal, ...(instructions === '' ? {} : { instructions }) },
      subject: goal,
      when: readDue(scope),
      status: nearestStatus(scope),
      intent: 'goal',
    }),
    ...milestones.flatMap((place) => readGoal({ ...scope, place, outer: scope })),
  ]
}
