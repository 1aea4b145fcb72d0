import { createHash } from 'node:crypto'
import { subjectOf } from '../../direct/subject.js'
import { allergyIntolerance } from './allergy.js'
import { carePlan, device, deviceRequest, encounter, goal, procedure, serviceRequest } from './care.js'
import { claimed } from './claim.js'
import { condition } from './condition.js'
import { names } from './datatypes.js'
import { documentReference, note, provenance } from './document.js'
import { isRequest } from './intent.js'
import { type Resource, said } from './json.js'
import { type Context, type Sourced, some } from './make.js'
import { dispenseIds, immunization, immunizationRequest, medicationDispenses, medicationRequest } from './medication.js'
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

/** Resources that items will become, not made yet: a page of a large record makes only those that it shows. */
export interface Draft {
  readonly of: readonly Sourced[]
  /** Ids of the resources, in their order. */
  readonly ids: readonly string[]
  readonly make: () => readonly Mapped[]
}

/** What resources of one record share; `documents` are those that may be referred to. */
export function contextOf(documents: readonly Sourced[], { record, base }: MapOptions): Context {
  const known = new Map<string, string>()
  for (const { item } of documents) if (item.content.type === 'document') known.set(item.content.sha256, item.id)
  return { record, base, documents: known }
}

/**
 * The items of one record as FHIR R4 resources, those of US Core where it has a profile for them. Pure: the same items
 * give the same resources. Nothing denied comes out as a finding, nothing planned as done, nothing unknown as known.
 */
export function toFhir(items: readonly Sourced[], options: MapOptions): Mapping {
  const context = contextOf(items, options)
  const { drafts, skipped } = draft(items, context)
  return { context, resources: [patientDraft(items, context), ...drafts].flatMap(({ make }) => make()), skipped }
}

/**
 * What the items will become, except the Patient. Items that make one resource together must be given together: those of
 * one battery, which are all of one type.
 */
export function draft(
  items: readonly Sourced[],
  context: Context,
): { readonly drafts: readonly Draft[]; readonly skipped: Mapping['skipped'] } {
  const drafts: Draft[] = []
  const skipped: { id: string; reason: string }[] = []
  const observed: Observed[] = []
  for (const from of items) {
    const { content, id, intent } = from.item
    if (content.type === 'demographics') continue
    const reason = nothingSaid(from)
    if (reason !== undefined) skipped.push({ id, reason })
    else if (isObserved(from) && !isRequest(from.item) && intent !== 'goal') observed.push(from)
    else drafts.push(drafted([from], idsOf(from), () => resourcesOf(from, context)))
  }
  drafts.push(...observations(observed, context))
  return { drafts, skipped }
}

function drafted(of: readonly Sourced[], ids: readonly string[], make: () => readonly Resource[]): Draft {
  return { of, ids, make: () => make().map((resource) => ({ resource: claimed(resource), of })) }
}

/** Ids of what `resourcesOf` makes of an item. */
function idsOf({ item: { id, content, negated, intent } }: Sourced): string[] {
  if (content.type !== 'medication' || intent === 'goal') return [id]
  return [id, ...dispenseIds(id, content, negated)]
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
      return [toCome ? serviceRequest(from, content, context) : advanceDirective(from, content, context)]
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

/** The Patient of a record, from its demographics and what its social history says of the person. */
export function patientDraft(items: readonly Sourced[], context: Context): Draft {
  const about = items.filter(({ item }) => item.content.type === 'demographics')
  const social = items.filter(({ item }) => item.content.type === 'social-history')
  const newest = about.reduce<Sourced | undefined>(
    (best, one) => (best && writtenAt(best) >= writtenAt(one) ? best : one),
    undefined,
  )
  const content = newest?.item.content
  const demographics = content?.type === 'demographics' ? content : undefined
  return drafted(newest ? [newest] : [], [context.record], () => [patient(newest, demographics, social, context)])
}

function writtenAt({ item, addedAt }: Sourced): string {
  return `${item.recordedAt?.text ?? ''} ${String(addedAt ?? 0).padStart(15, '0')}`
}

/** Observations by themselves; a blood pressure as one, oximetry with what was breathed; batteries as reports and panels. */
function observations(observed: readonly Observed[], context: Context): Draft[] {
  const drafts: Draft[] = []
  const batteries = new Map<string, { members: Observed[]; results: string[] }>()
  for (const group of grouped(observed).values()) {
    for (const of of pairs(group)) {
      const [first, ...more] = of
      if (!first) continue
      const [second] = more
      const { id, content, provenance } = first.item
      const pressure = second !== undefined && hasLoinc(content.test, '8480-6')
      drafts.push(
        drafted(of, [id], () => [pressure ? bloodPressure(first, second, context) : observation(first, context, more)]),
      )
      if (content.panel === undefined) continue
      const key = `${provenance.document}\n${content.panel.entry}\n${content.type}`
      const known = batteries.get(key) ?? { members: [], results: [] }
      batteries.set(key, known)
      known.members.push(...of)
      known.results.push(id)
    }
  }
  for (const [key, { members, results }] of batteries) {
    const id = createHash('sha256').update(`${context.record}\n${key}`).digest('hex').slice(0, 32)
    drafts.push(drafted(members, [id], () => some(panel(id, members, results, context))))
  }
  return drafts
}

/** Those that were measured together: one battery, one time. */
function grouped(observed: readonly Observed[]): Map<string, Observed[]> {
  const groups = new Map<string, Observed[]>()
  for (const from of observed) {
    const { item } = from
    const at = item.when ?? item.content.panel?.when
    const key = [
      item.content.type,
      item.provenance.document,
      item.content.panel?.entry ?? `${item.provenance.section}`,
      at?.value?.text ?? at?.low?.text ?? (item.content.panel ? '' : item.id),
    ].join('\n')
    const group = groups.get(key) ?? []
    groups.set(key, group)
    group.push(from)
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
