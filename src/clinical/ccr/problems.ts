import type { Concept } from '../../direct/datatypes.js'
import { child, childrenOf, type XmlNode } from '../../xml/node.js'
import { placeAt, placesIn } from '../place.js'
import { readAge, readRole, readSpan } from './dates.js'
import { emit } from './object.js'
import { type CcrScope, textAt } from './scope.js'
import { deniedBy, nearestStatus, readStatus, saysAbsent } from './status.js'
import { codesOf, readCode, saying, together, wordsOf } from './types.js'

/** Problems/Problem: one item, or one for each of its episodes, which have dates and states of their own. */
export function readProblem(scope: CcrScope): string[] {
  const { node } = scope.place
  const described = together(...codesOf(scope, node, 'Description'))
  const typed = readCode(scope, child(node, 'Type'))
  const problem = saying(described) ? described : typed
  const kind = saying(described) && saying(typed) ? { kind: typed } : {}
  const list = placeAt(scope.place, 'Episodes')
  const episodes = list === undefined ? [] : placesIn(list, 'Episode')
  const places = episodes.length > 0 ? episodes : [scope.place]
  const denied = deniedBy(problem)
  return places.flatMap((place) => {
    if (scope.ccr.reading.full) return []
    const here: CcrScope = place === scope.place ? scope : { ...scope, place, outer: scope }
    const age = readAge(place.node, 'begin', 'unlabelled', 'other') ?? readAge(node, 'begin', 'unlabelled', 'other')
    const status = nearestStatus(here)
    const diagnosedAt = readRole(here, 'diagnosed') ?? readRole(scope, 'diagnosed')
    const causedDeath = causeOfDeath(node)
    return emit(here, {
      content: {
        type: 'problem',
        problem,
        ...kind,
        ...(age === undefined ? {} : { ageAtOnset: age }),
        ...(diagnosedAt === undefined ? {} : { diagnosedAt }),
        ...(causedDeath === undefined ? {} : { causedDeath }),
      },
      subject: problem,
      when: readSpan(here) ?? readSpan(scope),
      status,
      negated: denied || saysAbsent(status),
      notes: problemNotes(scope, place === scope.place ? undefined : place.node),
    })
  })
}

/** HealthStatus/CauseOfDeath, which is a yes or a no. */
export function causeOfDeath(node: XmlNode): boolean | undefined {
  const words = childrenOf(node, 'HealthStatus').map((one) => textAt(one, 'CauseOfDeath'))
  if (words.some((one) => /^(yes|true|y|1)$/i.test(one ?? ''))) return true
  return words.some((one) => /^(no|false|n|0)$/i.test(one ?? '')) ? false : undefined
}

function problemNotes(scope: CcrScope, episode: XmlNode | undefined): string[] {
  const { node } = scope.place
  const health = childrenOf(node, 'HealthStatus').map((one) => wordsOf(readCode(scope, child(one, 'Description'))))
  const aware = textAt(child(node, 'PatientKnowledge'), 'PatientAware')
  const number = textAt(child(node, 'Episodes'), 'Number')
  const told = episode && wordsOf(readCode(scope, child(episode, 'Description')))
  return [
    ...health.filter(Boolean).map((words) => `Health status: ${words}`),
    ...(aware === undefined ? [] : [`Patient is aware: ${aware}`]),
    ...(number === undefined ? [] : [`Episodes: ${number}`]),
    ...(told === undefined ? [] : [told]),
  ]
}

/** The status that a nested problem has, for those that are not items of their own. */
export function problemStatus(scope: CcrScope, node: XmlNode): Concept | undefined {
  const status = readStatus(scope, node)
  if (status === undefined) return undefined
  return status.concept ?? { codings: [], text: status.source ?? '' }
}
