import type { Concept, Value } from '../../direct/datatypes.js'
import { child, childrenOf } from '../../xml/node.js'
import { placeAt, placesIn } from '../place.js'
import { actorName } from './actors.js'
import { readEvent, readSpan } from './dates.js'
import { readLinks } from './links.js'
import { emit } from './object.js'
import { readTest } from './results.js'
import { type CcrScope, textAt } from './scope.js'
import { nearestStatus } from './status.js'
import { attributesOf, codesOf, readCode, readMeasure, saying, together, wordsOf } from './types.js'

/**
 * SocialHistory/SocialHistoryElement: its type is the question, its description the answer; each episode is an answer for its own
 * time. `None` under alcohol use is an answer and denies nothing.
 */
export function readSocial(scope: CcrScope): string[] {
  const { node } = scope.place
  const typed = together(...codesOf(scope, node, 'Type'))
  const described = together(...codesOf(scope, node, 'Description'))
  const list = placeAt(scope.place, 'Episodes')
  const episodes = list === undefined ? [] : placesIn(list, 'Episode')
  const own = answerOf(scope, described, typed)
  const times = [
    textAt(list?.node, 'Number'),
    ...childrenOf(list?.node, 'Frequency').map((one) => readMeasure(one)?.words),
  ]
  const notes = [...times.filter(Boolean).map((words) => `Episodes: ${words}`), ...linkedActors(scope)]
  const test = saying(typed) ? typed : described
  if (episodes.length === 0) return answer(scope, test, own, notes)
  return episodes.flatMap((place) => {
    const here: CcrScope = { ...scope, place, outer: scope }
    const told = together(...codesOf(scope, place.node, 'Description'))
    return answer(here, test, answerOf(here, told, typed) ?? own, notes)
  })
}

function answer(scope: CcrScope, test: Concept, value: Value | undefined, notes: readonly string[]): string[] {
  const components = attributesOf(child(scope.place.node, 'Description')).map(({ name, words }) => ({
    test: { codings: [], text: name },
    value: { kind: 'text', text: words } as const,
  }))
  return emit(scope, {
    content: {
      type: 'social-history',
      test,
      ...(value === undefined ? {} : { value }),
      interpretations: [],
      referenceRanges: [],
      ...(components.length === 0 ? {} : { components }),
    },
    subject: test,
    when: readSpan(scope) ?? (scope.outer && readSpan(scope.outer)),
    status: nearestStatus(scope),
    notes,
    attributed: true,
  })
}

/** The description as an answer: a code, else its words, else its attributes in words. */
function answerOf(scope: CcrScope, described: Concept, typed: Concept): Value | undefined {
  if (!saying(typed)) return undefined
  if (described.codings.length > 0) return { kind: 'concept', concept: described }
  const attributes = attributesOf(child(scope.place.node, 'Description')).map(({ name, words }) => `${name}: ${words}`)
  const text = described.text ?? (attributes.join('; ') || undefined)
  return text === undefined ? undefined : { kind: 'text', text }
}

/** Actors that the element links to: the employer of an employment. */
function linkedActors(scope: CcrScope): string[] {
  return readLinks(scope, scope.place.node).flatMap(({ actor, relationship }) => {
    const name = actor && actorName(actor.node)
    return name === undefined ? [] : [`${relationship ?? 'See'}: ${name}`]
  })
}

/**
 * FunctionalStatus/Function: its type is the ability, its description the state of it; problems in it are states too, with dates
 * of their own, and tests are measurements.
 */
export function readFunction(scope: CcrScope): string[] {
  const { node } = scope.place
  const typed = together(...codesOf(scope, node, 'Type'))
  const described = together(...codesOf(scope, node, 'Description'))
  const ability = saying(typed) ? typed : described
  const problems = placesIn(scope.place, 'Problem')
  const tests = placesIn(scope.place, 'Test')
  const inner = [
    ...problems.flatMap((place) => readState({ ...scope, place, outer: scope }, ability)),
    ...tests.flatMap((place) =>
      readTest(
        { ...scope, place, outer: scope },
        { type: 'functional-status', specimens: [], ...(saying(ability) ? { subject: ability } : {}) },
      ),
    ),
  ]
  const value = answerOf(scope, described, typed)
  // A function that has no words of its own but those over its parts is said by the parts.
  return inner.length > 0 && value === undefined ? inner : [...stateOf(scope, ability, value), ...inner]
}

function readState(scope: CcrScope, ability: Concept): string[] {
  const problem = together(...codesOf(scope, scope.place.node, 'Description'))
  const typed = readCode(scope, child(scope.place.node, 'Type'))
  const said = saying(problem) ? problem : typed
  if (!saying(said)) return []
  const value: Value =
    said.codings.length > 0 ? { kind: 'concept', concept: said } : { kind: 'text', text: wordsOf(said) ?? '' }
  return saying(ability) ? stateOf(scope, ability, value) : stateOf(scope, said, undefined)
}

function stateOf(scope: CcrScope, test: Concept, value: Value | undefined): string[] {
  return emit(scope, {
    content: {
      type: 'functional-status',
      test,
      ...(value === undefined ? {} : { value }),
      interpretations: [],
      referenceRanges: [],
    },
    subject: test,
    when: readSpan(scope) ?? (scope.outer && readEvent(scope.outer)),
    status: nearestStatus(scope),
  })
}
