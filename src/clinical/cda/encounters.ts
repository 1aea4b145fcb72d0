import type { RecordItem } from '../../direct/clinical.js'
import type { Concept, Identifier } from '../../direct/datatypes.js'
import { child, childrenOf, descend, textOf, type XmlNode } from '../../xml/node.js'
import { placeAt, placesIn } from '../place.js'
import type { Status } from '../status.js'
import { conduct } from './authors.js'
import {
  given,
  nothing,
  readConcept,
  readIdentifiers,
  readNamed,
  readWhen,
  relatedStatements,
  says,
  words,
} from './datatypes.js'
import { readProblem } from './problems.js'
import { at, type Scope, sdtc } from './scope.js'
import { emit, intentOf, withNarrative } from './statement.js'
import { actStatus } from './status.js'

const column = /encounter|type|visit|description/i

/**
 * One item for an encounter (C-CDA 22.4.49), and one problem for each diagnosis made there (22.4.80), which the encounter
 * also lists by name.
 */
export function readEncounter(scope: Scope): number {
  const { node } = scope.place
  const diagnoses: Concept[] = []
  let problems = 0
  for (const [place, concern] of observationsBelow(scope)) {
    const inner = at(scope, place)
    const diagnosis = withNarrative(scope, readConcept(scope, child(place.node, 'value')), place.node)
    if (!says(diagnosis)) continue
    if (given(place.node, 'negationInd') !== 'true') diagnoses.push(diagnosis)
    problems += readProblem({ ...inner, authorship: conduct(inner, place) }, concern)
  }
  // Planned encounters of C-CDA R1.1 may hold an encounter activity that says what and when.
  const inner = relatedStatements(node, 'REFR').find((one) => one.local === 'encounter')
  const told = child(node, 'code') || inner === undefined ? node : inner
  const code = readConcept(scope, child(told, 'code'), column)
  const encounter = withNarrative(scope, code, told, column)
  const when = readWhen(scope, child(node, 'effectiveTime') ?? child(told, 'effectiveTime'))
  const intent = intentOf(node)
  const disposition = readNamed(scope, child(node, 'dischargeDispositionCode', sdtc))
  const subject = says(encounter) || when === undefined ? encounter : { codings: [], text: 'Encounter' }
  return (
    problems +
    emit(scope, {
      content: {
        type: 'encounter',
        encounter,
        diagnoses,
        locations: locationsOf(scope, node),
        ...(disposition === undefined ? {} : { disposition }),
      },
      subject,
      when,
      status: actStatus(scope, node, intent === 'planned') ?? finished(intent, when),
      intent,
    })
  )
}

/** Diagnosis observations in the diagnosis acts of an encounter. */
function observationsBelow(scope: Scope): (readonly [ReturnType<typeof placesIn>[number], XmlNode | undefined])[] {
  const found: (readonly [ReturnType<typeof placesIn>[number], XmlNode | undefined])[] = []
  for (const relation of placesIn(scope.place, 'entryRelationship')) {
    const act = placesIn(relation, 'act')[0]
    if (act === undefined) continue
    for (const inner of placesIn(act, 'entryRelationship')) {
      const observation = placesIn(inner, 'observation')[0]
      if (observation && child(observation.node, 'value')) found.push([observation, act.node])
    }
  }
  return found
}

function finished(intent: RecordItem['intent'], when: RecordItem['when']): Status | undefined {
  return intent === 'performed' && (when?.value || when?.high) ? { folded: 'completed' } : undefined
}

/** Names of the places where it happened: service delivery locations. */
function locationsOf(scope: Scope, node: XmlNode): string[] {
  const names: string[] = []
  for (const participant of childrenOf(node, 'participant')) {
    if (given(participant, 'typeCode') !== 'LOC') continue
    const role = child(participant, 'participantRole')
    const name =
      words(scope, textOf(descend(role, 'playingEntity', 'name'))) ?? readNamed(scope, child(role, 'code'))?.text
    if (name !== undefined) names.push(name)
  }
  return names
}

/**
 * The encounter that the whole document is about (componentOf/encompassingEncounter). Where an entry is the same encounter
 * by id, that one stays and only takes over what it lacks; else this becomes an item of its own.
 */
export function readEncompassing(scope: Scope): void {
  const place = placeAt(scope.cda.root, 'componentOf', 'encompassingEncounter')
  if (place === undefined) return
  const { node } = place
  const here = at(scope, place)
  const when = readWhen(here, child(node, 'effectiveTime'))
  const facility = descend(node, 'location', 'healthCareFacility')
  const location =
    words(here, textOf(descend(facility, 'location', 'name'))) ??
    words(here, textOf(descend(facility, 'serviceProviderOrganization', 'name'))) ??
    readNamed(here, child(facility, 'code'))?.text
  const disposition = readNamed(here, child(node, 'dischargeDispositionCode'))
  const ids = new Set(readIdentifiers(node).map(keyOf))
  const { items } = scope.cda.reading
  const same = items.findIndex(
    ({ content, identifiers }) =>
      content.type === 'encounter' && identifiers.some((id) => usable(id) && ids.has(keyOf(id))),
  )
  const known = items[same]
  if (known?.content.type === 'encounter') {
    items[same] = {
      ...known,
      ...(known.when === undefined && when !== undefined ? { when } : {}),
      content: {
        ...known.content,
        locations: known.content.locations.length > 0 || location === undefined ? known.content.locations : [location],
        ...(known.content.disposition === undefined && disposition !== undefined ? { disposition } : {}),
      },
    }
    return
  }
  const encounter = readConcept(here, child(node, 'code')) ?? nothing
  if (!says(encounter) && when === undefined && location === undefined) return
  emit(here, {
    content: {
      type: 'encounter',
      encounter,
      diagnoses: [],
      locations: location === undefined ? [] : [location],
      ...(disposition === undefined ? {} : { disposition }),
    },
    subject: says(encounter) ? encounter : { codings: [], text: 'Encounter' },
    when,
    status: finished('performed', when),
    intent: 'performed',
  })
}

function keyOf(id: Identifier): string {
  return `${id.root?.toLowerCase() ?? ''}|${id.value ?? ''}`
}

/** A root without extension tells one thing only where it is a UUID. */
function usable(id: Identifier): boolean {
  return id.value !== undefined || id.root?.includes('-') === true
}
