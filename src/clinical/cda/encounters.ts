import type { Encounter, RecordItem } from '../../direct/clinical.js'
import type { Agent, Concept, When } from '../../direct/datatypes.js'
import { child, childrenOf, descend, textOf, type XmlNode } from '../../xml/node.js'
import { placeAt, placesIn } from '../place.js'
import type { Status } from '../status.js'
import { agentsOf, idKeys } from './agents.js'
import { conduct } from './authors.js'
import {
  given,
  isNegated,
  nothing,
  readConcept,
  readIdentifiers,
  readNamed,
  readWhen,
  relatedStatements,
  says,
  words,
} from './datatypes.js'
import { placesOf } from './locations.js'
import { indicationsOf } from './medications.js'
import { isReferenceOnly, nestedIn, type ReadStatement } from './nested.js'
import { readProblem } from './problems.js'
import { at, inside, type Scope, sdtc } from './scope.js'
import { emit, intentOf, isComment, withNarrative } from './statement.js'
import { actStatus } from './status.js'
import { isA, templates } from './templates.js'

const column = /encounter|type|visit|description/i

/**
 * One item for an encounter (C-CDA 22.4.49), and one problem for each diagnosis made there (22.4.80), which the encounter
 * also lists by name. What else was done there, such as services billed with it, is read by itself.
 */
export function readEncounter(scope: Scope, nested: ReadStatement): number {
  const { node } = scope.place
  const diagnoses: Concept[] = []
  let problems = 0
  for (const [inner, concern] of observationsBelow(scope)) {
    const { place, through = [] } = inner
    const diagnosis = withNarrative(scope, readConcept(scope, child(place.node, 'value')), place.node)
    if (!says(diagnosis)) continue
    if (![place.node, ...through].some(isNegated) && !(concern && isNegated(concern))) diagnoses.push(diagnosis)
    problems += readProblem({ ...inner, authorship: conduct(inner, place) }, concern)
  }
  let services = 0
  const reasons = new Set(relatedStatements(node, 'RSON'))
  for (const inner of nestedIn(scope))
    if (isService(node, inner.place.node) && !reasons.has(inner.place.node))
      services += nested(inside(inner, scope.place))
  // Planned encounters of C-CDA R1.1 may hold an encounter activity that says what and when.
  const inner = relatedStatements(node, 'REFR').find((one) => one.local === 'encounter')
  const told = child(node, 'code') || inner === undefined ? node : inner
  const code = readConcept(scope, child(told, 'code'), column)
  const named = withNarrative(scope, code, told, column)
  const when = readWhen(scope, child(node, 'effectiveTime') ?? child(told, 'effectiveTime'))
  const intent = intentOf(node)
  const encounter = when === undefined ? named : orUnnamed(named)
  return (
    problems +
    services +
    emit(scope, {
      content: { type: 'encounter', encounter, ...classOf(encounter), diagnoses, ...details(scope, node) },
      subject: encounter,
      when,
      status: actStatus(scope, node, intent === 'planned') ?? finished(intent, when),
      intent,
    })
  )
}

/**
 * Procedures, drugs given, and acts with a code that are neither a diagnosis nor more of the encounter itself; nothing that
 * is told as an event inside an encounter still to come.
 */
function isService(encounter: XmlNode, node: XmlNode): boolean {
  if (intentOf(encounter) !== 'performed' && intentOf(node) === 'performed') return false
  if (node.local === 'procedure' || node.local === 'substanceAdministration') return true
  if (node.local !== 'act' || given(child(node, 'code'), 'code') === undefined) return false
  const asides = [
    templates.diagnosisAct,
    templates.instruction,
    templates.comment,
    templates.note,
    templates.indication,
  ]
  if (isReferenceOnly(node) || isComment(node) || asides.some((roots) => isA(node, roots))) return false
  return relatedStatements(node).length === 0
}

/** Codes of HL7 ActEncounterCode, the only ones that say which class an encounter has. */
const classes = new Set(['AMB', 'EMER', 'FLD', 'HH', 'IMP', 'ACUTE', 'NONAC', 'OBSENC', 'PRENC', 'SS', 'VR'])
const actCode = '2.16.840.1.113883.5.4'

function classOf(encounter: Concept): { class?: Concept } {
  const coding = encounter.codings.find(({ code, sourceSystem }) => sourceSystem === actCode && classes.has(code))
  if (coding === undefined) return {}
  return { class: { codings: [coding], ...(coding.display === undefined ? {} : { text: coding.display }) } }
}

type Details = Pick<Encounter, 'indications' | 'locations' | 'locationKinds' | 'disposition'>

function details(scope: Scope, node: XmlNode): Details {
  const diagnosed = new Set(relatedStatements(node).filter((one) => one.local === 'act'))
  const indications = indicationsOf(scope, node, (one) => !diagnosed.has(one))
  const places = placesOf(scope, node)
  const kinds = places.map((one) => one.kind).filter((kind) => kind !== undefined)
  const disposition =
    readNamed(scope, child(node, 'dischargeDispositionCode', sdtc)) ??
    readNamed(scope, child(node, 'dischargeDispositionCode'))
  return {
    ...(indications.length === 0 ? {} : { indications }),
    locations: places.map((one) => one.name).filter((name) => name !== undefined),
    ...(kinds.length === 0 ? {} : { locationKinds: kinds }),
    ...(disposition === undefined ? {} : { disposition }),
  }
}

/** Diagnosis observations in the diagnosis acts of an encounter, and problems right in it that are not its reason. */
function observationsBelow(scope: Scope): (readonly [Scope, XmlNode | undefined])[] {
  const found: (readonly [Scope, XmlNode | undefined])[] = []
  for (const relation of placesIn(scope.place, 'entryRelationship')) {
    const within = inside(scope, relation)
    const act = placesIn(relation, 'act')[0]
    const problem = placesIn(relation, 'observation')[0]
    if (problem && isA(problem.node, templates.problemObservation) && given(relation.node, 'typeCode') !== 'RSON') {
      found.push([at(within, problem), undefined])
    }
    if (act === undefined) continue
    for (const inner of placesIn(act, 'entryRelationship')) {
      const observation = placesIn(inner, 'observation')[0]
      if (observation && child(observation.node, 'value')) {
        found.push([at(inside(within, inner), observation), act.node])
      }
    }
  }
  return found
}

function finished(intent: RecordItem['intent'], when: RecordItem['when']): Status | undefined {
  return intent === 'performed' && (when?.value || when?.high) ? { folded: 'completed' } : undefined
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
  const header = headerEncounter(here)
  const ids = new Set(idKeys(readIdentifiers(node)))
  const { items } = scope.cda.reading
  const same = items.findIndex(
    ({ content, identifiers }) => content.type === 'encounter' && idKeys(identifiers).some((key) => ids.has(key)),
  )
  const known = items[same]
  if (known?.content.type === 'encounter') {
    items[same] = completed(known, known.content, header)
    return
  }
  if (!says(header.content.encounter) && header.when === undefined && header.content.locations.length === 0) return
  const encounter = orUnnamed(header.content.encounter)
  emit(here, {
    content: { ...header.content, encounter },
    subject: encounter,
    when: header.when,
    status: finished('performed', header.when),
    intent: 'performed',
    performers: header.performers,
  })
}

/** An encounter of which nobody says what it was: that it was one is all there is to tell. */
function orUnnamed(encounter: Concept): Concept {
  return says(encounter) ? encounter : { ...encounter, text: 'Encounter' }
}

interface HeaderEncounter {
  readonly content: Encounter
  readonly when: When | undefined
  readonly performers: readonly Agent[]
}

function headerEncounter(scope: Scope): HeaderEncounter {
  const { node } = scope.place
  const facility = descend(node, 'location', 'healthCareFacility')
  const kind = readNamed(scope, child(facility, 'code'))
  const location =
    words(scope, textOf(descend(facility, 'location', 'name'))) ??
    words(scope, textOf(descend(facility, 'serviceProviderOrganization', 'name'))) ??
    kind?.text
  const disposition = readNamed(scope, child(node, 'dischargeDispositionCode'))
  const encounter = readConcept(scope, child(node, 'code')) ?? nothing
  return {
    content: {
      type: 'encounter',
      encounter,
      ...classOf(encounter),
      diagnoses: [],
      locations: location === undefined ? [] : [location],
      ...(kind === undefined ? {} : { locationKinds: [kind] }),
      ...(disposition === undefined ? {} : { disposition }),
    },
    when: readWhen(scope, child(node, 'effectiveTime')),
    performers: agentsOf(scope, [...childrenOf(node, 'responsibleParty'), ...childrenOf(node, 'encounterParticipant')]),
  }
}

/** The entry with what only the header said of the same encounter. */
function completed(known: RecordItem, entry: Encounter, header: HeaderEncounter): RecordItem {
  const { content } = header
  const kept = Object.fromEntries(Object.entries(entry).filter(([, value]) => !isEmpty(value)))
  const encounter = entry.encounter.codings.length > 0 || !says(content.encounter) ? entry.encounter : content.encounter
  return {
    ...known,
    ...(known.when === undefined && header.when !== undefined ? { when: header.when } : {}),
    ...(known.performers === undefined && header.performers.length > 0 ? { performers: header.performers } : {}),
    content: { ...content, ...kept, encounter },
  }
}

function isEmpty(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0
}
