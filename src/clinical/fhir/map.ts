import { createHash } from 'node:crypto'
import type { RecordItemType } from '../../direct/clinical.js'
import { subjectOf } from '../../direct/subject.js'
import { allergyIntolerance } from './allergy.js'
import { carePlan, device, deviceRequest, encounter, goal, procedure, serviceRequest } from './care.js'
import { claimed } from './claim.js'
import { condition } from './condition.js'
import { names } from './datatypes.js'
import { documentReference, note, provenance } from './document.js'
import { isRequest } from './intent.js'
import { type Resource, said } from './json.js'
import type { Context, Sourced } from './make.js'
import { immunization, immunizationRequest, medicationDispenses, medicationRequest } from './medication.js'
import {
  absentFinding,
  advanceDirective,
  bloodPressure,
  hasLoinc,
  isObserved,
  type Observed,
  observation,
  panel,
} from './observation.js'
import { careTeam, coverage, familyMemberHistory, patient } from './people.js'

export interface MapOptions {
  /** Id of the record: that of its Patient. */
  readonly record: string
  /** Where the server stands, without a final slash. */
  readonly base: string
}

/** One resource and the items it was made of. */
export interface Mapped {
  readonly resource: Resource
  readonly of: readonly Sourced[]
}

export interface Mapping {
  readonly resources: readonly Mapped[]
  readonly context: Context
  /** Items that say nothing that FHIR could hold, by id: no information is not a finding. */
  readonly skipped: readonly { readonly id: string; readonly reason: string }[]
}

/** FHIR types that items may become, so that a search reads no more of a record than it needs. Demographics always. */
export const sourcesOf: Readonly<Record<string, readonly RecordItemType[]>> = {
  Patient: ['demographics', 'social-history'],
  AllergyIntolerance: ['allergy'],
  Condition: ['problem'],
  MedicationRequest: ['medication', 'immunization'],
  MedicationDispense: ['medication'],
  Immunization: ['immunization'],
  Observation: ['result', 'vital-sign', 'social-history', 'functional-status', 'advance-directive', 'device'],
  DiagnosticReport: ['result'],
  Procedure: ['procedure'],
  Encounter: ['encounter'],
  FamilyMemberHistory: ['family-history'],
  Coverage: ['insurance'],
  Device: ['device'],
  DeviceRequest: ['device'],
  Goal: [
    'goal',
    'result',
    'vital-sign',
    'social-history',
    'functional-status',
    'procedure',
    'plan',
    'problem',
    'medication',
    'encounter',
    'immunization',
  ],
  CarePlan: ['plan'],
  ServiceRequest: ['procedure', 'plan', 'result', 'vital-sign', 'social-history', 'functional-status'],
  CareTeam: ['care-team'],
  DocumentReference: ['document', 'note'],
}

/**
 * The items of one record as FHIR R4 resources, those of US Core where it has a profile for them. Pure: the same items
 * give the same resources. Nothing denied comes out as a finding, nothing planned as done, nothing unknown as known.
 */
export function toFhir(items: readonly Sourced[], options: MapOptions): Mapping {
  const documents = new Map<string, string>()
  for (const { item } of items) if (item.content.type === 'document') documents.set(item.content.sha256, item.id)
  const context: Context = { record: options.record, base: options.base, documents }
  const mapped: { resource: Resource; of: readonly Sourced[] }[] = []
  const skipped: { id: string; reason: string }[] = []
  const observed: Observed[] = []
  for (const from of items) {
    const { content } = from.item
    if (content.type === 'demographics') continue
    const reason = nothingSaid(from)
    if (reason !== undefined) skipped.push({ id: from.item.id, reason })
    else if (isObserved(from) && !isRequest(from.item) && from.item.intent !== 'goal') observed.push(from)
    else for (const resource of resourcesOf(from, context)) mapped.push({ resource, of: [from] })
  }
  mapped.push(...observations(observed, context))
  return {
    context,
    resources: [patientFrom(items, context), ...mapped].map((one) => ({ ...one, resource: claimed(one.resource) })),
    skipped,
  }
}

/** The Provenance of mapped resources; those without a source of their own have none. */
export function provenancesOf(mapped: readonly Mapped[], context: Context): Mapped[] {
  return mapped.flatMap(({ resource, of }) => {
    const made = provenance(resource, of, context)
    return made ? [{ resource: claimed(made), of }] : []
  })
}

/** Why an item is no resource; undefined for one that says something. */
function nothingSaid({ item: { content, negated, status } }: Sourced): string | undefined {
  if (content.type === 'note') return said(content.text) === undefined ? 'it has no words' : undefined
  if (content.type === 'document' || content.type === 'care-team') return undefined
  if (content.type === 'insurance' || content.type === 'family-history') return undefined
  if (negated || names(subjectOf(content))) {
    const never = content.type === 'immunization' && status?.folded === 'unknown' && status.source === undefined
    return never ? 'whether it was given is unknown' : undefined
  }
  return 'it names nothing'
}

function resourcesOf(from: Sourced, context: Context): Resource[] {
  const { item } = from
  const { content } = item
  const toCome = isRequest(item)
  if (item.intent === 'goal' || content.type === 'goal') return [goal(from, content, context)]
  switch (content.type) {
    case 'demographics':
      return []
    case 'allergy':
      return [allergyIntolerance(from, content, context)]
    case 'problem':
      return [condition(from, content, context)]
    case 'medication':
      return [medicationRequest(from, content, context), ...medicationDispenses(from, content, context)]
    case 'immunization':
      return [toCome ? immunizationRequest(from, content, context) : immunization(from, content, context)]
    case 'result':
    case 'vital-sign':
    case 'social-history':
    case 'functional-status':
      return [serviceRequest(from, content, context)]
    case 'procedure':
      return [toCome ? serviceRequest(from, content, context) : procedure(from, content, context)]
    case 'encounter':
      return [encounter(from, content, context)]
    case 'family-history':
      return [familyMemberHistory(from, content, context)]
    case 'advance-directive':
      return [advanceDirective(from, content, context)]
    case 'insurance':
      return [coverage(from, content, context)]
    case 'device':
      if (toCome) return [deviceRequest(from, content, context)]
      return [item.negated ? absentFinding(from, content, context) : device(from, content, context)]
    case 'plan':
      return [toCome ? serviceRequest(from, content, context) : carePlan(from, content, context)]
    case 'care-team':
      return [careTeam(from, content, context)]
    case 'note':
      return [note(from, content, context)]
    case 'document':
      return [documentReference(from, content, context)]
  }
}

function patientFrom(items: readonly Sourced[], context: Context): Mapped {
  const about = items.filter(({ item }) => item.content.type === 'demographics')
  const social = items.filter(({ item }) => item.content.type === 'social-history')
  const newest = about.reduce<Sourced | undefined>(
    (best, one) => (best && writtenAt(best) >= writtenAt(one) ? best : one),
    undefined,
  )
  const content = newest?.item.content
  return {
    resource: patient(newest, content?.type === 'demographics' ? content : undefined, social, context),
    of: newest ? [newest] : [],
  }
}

function writtenAt({ item, addedAt }: Sourced): string {
  return `${item.recordedAt?.text ?? ''} ${String(addedAt ?? 0).padStart(15, '0')}`
}

/** Observations by themselves; a blood pressure as one, oximetry with what was breathed; batteries as reports and panels. */
function observations(observed: readonly Observed[], context: Context): Mapped[] {
  const made: Mapped[] = []
  const batteries = new Map<string, { members: Observed[]; results: string[] }>()
  for (const group of grouped(observed).values()) {
    for (const of of pairs(group)) {
      const [first, ...more] = of
      if (!first) continue
      const [second] = more
      const pressure = second !== undefined && hasLoinc(first.item.content.test, '8480-6')
      const resource = pressure ? bloodPressure(first, second, context) : observation(first, context, more)
      made.push({ resource, of })
      const { panel: battery } = first.item.content
      if (battery === undefined) continue
      const key = `${first.item.provenance.document}\n${battery.entry}\n${first.item.content.type}`
      const known = batteries.get(key) ?? { members: [], results: [] }
      batteries.set(key, known)
      known.members.push(...of)
      known.results.push(resource.id)
    }
  }
  for (const [key, { members, results }] of batteries) {
    const id = createHash('sha256').update(`${context.record}\n${key}`).digest('hex').slice(0, 32)
    const resource = panel(id, members, results, context)
    if (resource) made.push({ resource, of: members })
  }
  return made
}

/** Those that were measured together: one battery, one time. */
function grouped(observed: readonly Observed[]): Map<string, Observed[]> {
  const groups = new Map<string, Observed[]>()
  for (const from of observed) {
    const { item } = from
    const at = item.when ?? item.content.panel?.when
    const key = [
      item.provenance.document,
      item.content.panel?.entry ?? `${item.provenance.section}`,
      at?.value?.text ?? at?.low?.text ?? (item.content.panel ? '' : item.id),
    ].join('\n')
    groups.set(key, [...(groups.get(key) ?? []), from])
  }
  return groups
}

/** Which observations of a group make one resource: only where it is certain which belong together. */
function pairs(group: readonly Observed[]): Observed[][] {
  const sure = group.filter(
    ({ item }) => item.content.type === 'vital-sign' && !item.negated && item.content.value?.kind !== 'absent',
  )
  const only = (...codes: string[]) => {
    const found = sure.filter(({ item }) => hasLoinc(item.content.test, ...codes))
    return found.length === 1 ? found[0] : undefined
  }
  const systolic = only('8480-6')
  const diastolic = only('8462-4')
  const saturation = only('59408-5', '2708-6')
  const breathed = [only('3151-8'), only('3150-6')].filter((one) => one !== undefined)
  const taken = new Map<Observed, Observed[]>()
  const gone = new Set<Observed>()
  const join = (first: Observed, more: readonly Observed[]) => {
    taken.set(first, [first, ...more])
    for (const one of more) gone.add(one)
  }
  if (systolic && diastolic && systolic !== diastolic) join(systolic, [diastolic])
  if (saturation && breathed.length > 0 && !breathed.includes(saturation)) join(saturation, breathed)
  return group.filter((one) => !gone.has(one)).map((one) => taken.get(one) ?? [one])
}
