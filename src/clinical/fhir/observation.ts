import type { AdvanceDirective, ItemContent, Observation, ReferenceRange } from '../../direct/clinical.js'
import type { Coding, Concept, Value } from '../../direct/datatypes.js'
import { isImagingTest } from '../../direct/smart-scopes.js'
import { subjectOf } from '../../direct/subject.js'
import {
  absent,
  absentConcept,
  absentReason,
  coded,
  concept,
  conceptOrAbsent,
  concepts,
  hl7,
  identifiers,
  instant,
  loinc,
  moment,
  simple,
  snomed,
  usCore,
  value,
  valueText,
  whenText,
  wordsOf,
} from './datatypes.js'
import { mediaType } from './document.js'
import { type Json, type JsonObject, type Resource, said } from './json.js'
import { type Context, finish, moodOf, notes, openCast, patientOf, type Sourced, some } from './make.js'

/** An item that holds an observation. */
export type Observed = Sourced & { readonly item: { readonly content: Observation } }

export function isObserved(from: Sourced): from is Observed {
  const { type } = from.item.content
  return type === 'result' || type === 'vital-sign' || type === 'social-history' || type === 'functional-status'
}

/** Whether a concept has this LOINC code. */
export function hasLoinc(from: Concept | undefined, ...codes: readonly string[]): boolean {
  return from?.codings.some(({ system, code }) => system === loinc && codes.includes(code)) ?? false
}

const categories: Readonly<Record<Observation['type'], string>> = {
  result: 'laboratory',
  'vital-sign': 'vital-signs',
  'social-history': 'social-history',
  'functional-status': 'functional-status',
}

function categoryOf({ type, test }: Observation): JsonObject[] {
  const code = categories[type]
  if (code === 'functional-status') {
    return [
      coded(`${hl7}/observation-category`, 'survey'),
      coded(`${usCore.replace('StructureDefinition', 'CodeSystem')}/us-core-category`, code),
    ]
  }
  const imaging = code === 'laboratory' && isImagingTest(test)
  return [coded(`${hl7}/observation-category`, imaging ? 'imaging' : code)]
}

/** Statuses of FHIR that only somebody who wrote FHIR can have said. */
const told = new Set(['preliminary', 'amended', 'corrected'])

function statusOf({ item: { status, content } }: Observed): string {
  const source = status?.source?.toLowerCase()
  if (source === 'nullified') return 'entered-in-error'
  if (source !== undefined && told.has(source)) return source
  switch (status?.folded) {
    case 'cancelled':
      return 'cancelled'
    case 'active':
    case 'inactive':
    case 'planned':
      return content.type === 'social-history' || content.type === 'functional-status' ? 'final' : 'registered'
    case 'unknown':
      return 'unknown'
    default:
      return 'final'
  }
}

/** The whole of pulse oximetry has both codes in US Core, whichever the source had. */
const oximetry: readonly Coding[] = [
  { system: loinc, code: '59408-5', display: 'Oxygen saturation in Arterial blood by Pulse oximetry' },
  { system: loinc, code: '2708-6', display: 'Oxygen saturation in Arterial blood' },
]

function codeOf({ type, test }: Observation): JsonObject {
  if (type !== 'vital-sign' || !hasLoinc(test, '59408-5', '2708-6')) return conceptOrAbsent(test)
  const more = oximetry.filter(({ code }) => !hasLoinc(test, code))
  return conceptOrAbsent({ ...test, codings: [...test.codings, ...more] })
}

/** The value, else why there is none: US Core wants one of the two. */
function valueOrReason(given: Value | undefined, nullFlavor: string | undefined): JsonObject {
  const told = given === undefined || given.kind === 'absent' ? {} : value('value', given)
  if (Object.values(told).some((one) => one !== undefined && (typeof one !== 'string' || said(one) !== undefined)))
    return told
  const why = given?.kind === 'absent' ? given.nullFlavor : nullFlavor
  return { dataAbsentReason: absentConcept(absentReason(why)) }
}

/**
 * What the source denies: a measurement that did not take place is cancelled, not performed; a finding is absent. The
 * denied value itself stays in words, so that no search finds it.
 */
function denied({ type, value: said }: Observation): JsonObject {
  if (type === 'result' || type === 'vital-sign') {
    return { status: 'cancelled', dataAbsentReason: absentConcept('not-performed') }
  }
  return { valueCodeableConcept: absence(said && valueText(said)) }
}

function absence(words = ''): JsonObject {
  const text = words === '' ? 'Absent' : `Absent: ${words}`
  return { coding: [{ system: snomed, code: '2667000', display: 'Absent' }], text }
}

/** An Observation: laboratory result, vital sign, habit or ability. `more` are components that others lent it. */
export function observation(from: Observed, context: Context, more: readonly Observed[] = []): Resource {
  const { item } = from
  const { content } = item
  const cast = openCast()
  const performers = item.performers?.length ? item.performers : item.provenance.authors
  const [first = content.value, ...others] = content.value
    ? [content.value, ...(content.otherValues ?? [])]
    : (content.otherValues ?? [])
  const held = first === undefined && ((content.components?.length ?? 0) > 0 || more.length > 0)
  return finish({
    type: 'Observation',
    id: item.id,
    of: [from, ...more],
    cast,
    words: [
      `${item.negated ? 'Absent or not done: ' : ''}${wordsOf(content.test) ?? ''}${first && !item.negated ? `: ${valueText(first)}` : ''}`,
      whenText(item.when),
    ],
    extensions: moodOf(item),
    fields: {
      identifier: identifiers([...item.identifiers, ...more.flatMap((one) => one.item.identifiers)]),
      status: statusOf(from),
      category: categoryOf(content),
      code: codeOf(content),
      subject: patientOf(context),
      ...effective(from),
      performer: some(...performers.map((one) => cast.refer(one))),
      ...(item.negated ? denied(content) : held ? {} : valueOrReason(first, item.nullFlavor)),
      interpretation: item.negated ? [] : concepts(content.interpretations),
      note: notes(item, ...others.map((one) => !item.negated && `Also: ${valueText(one)}`)),
      bodySite: concept(content.bodySites?.[0]),
      method: concept(content.method),
      specimen: specimenOf(content, cast.contained),
      referenceRange: ranges(content.referenceRanges),
      component: item.negated ? [] : [...own(content), ...more.map(componentOf)],
    },
  })
}

function effective({ item: { when, content } }: Observed): JsonObject {
  const own = moment('effective', when)
  if (Object.values(own).some((one) => one !== undefined)) return own
  return moment('effective', content.panel?.when)
}

function specimenOf({ specimen }: Observation, contained: Resource[]): JsonObject | undefined {
  const type = concept(specimen)
  if (type === undefined) return undefined
  contained.push({ resourceType: 'Specimen', id: 'specimen', type })
  return { reference: '#specimen' }
}

/** Only ranges that say what is normal, for a reader takes any range for that; the others in words. */
function ranges(all: readonly ReferenceRange[]): Json[] {
  return all.map((one) => {
    const type = one.interpretation?.codings.some(({ code }) => code === 'N') === false ? one.interpretation : undefined
    const open = one.low?.comparator === '>' || one.high?.comparator === '<'
    const words = [
      one.text,
      open
        ? [one.low, one.high].map((b) => (b ? valueText({ kind: 'quantity', quantity: b }) : '')).join(' - ')
        : undefined,
    ]
    return {
      low: simple(one.low),
      high: simple(one.high),
      type: concept(type),
      text: words.filter((word) => word !== undefined).join('; '),
    }
  })
}

function own({ components = [] }: Observation): JsonObject[] {
  return components.map(({ test, value: said }) => ({ code: conceptOrAbsent(test), ...valueOrReason(said, undefined) }))
}

function componentOf({ item }: Observed): JsonObject {
  const { test, value: said, interpretations, referenceRanges } = item.content
  return {
    code: conceptOrAbsent(test),
    ...valueOrReason(said, item.nullFlavor),
    interpretation: concepts(interpretations),
    referenceRange: ranges(referenceRanges),
  }
}

/**
 * Systolic and diastolic of one measurement as one Observation with two components (US Core blood pressure). Its id is
 * that of the systolic item.
 */
export function bloodPressure(systolic: Observed, diastolic: Observed, context: Context): Resource {
  const cast = openCast()
  const both = [systolic, diastolic]
  const { item } = systolic
  const shown = both.map(({ item: { content } }) => (content.value ? valueText(content.value) : '?')).join(' over ')
  const performers = item.performers?.length ? item.performers : item.provenance.authors
  return finish({
    type: 'Observation',
    id: item.id,
    of: both,
    cast,
    words: [`Blood pressure: ${shown}`, whenText(item.when)],
    extensions: moodOf(item),
    fields: {
      identifier: identifiers(both.flatMap((one) => one.item.identifiers)),
      status: statusOf(systolic),
      category: [coded(`${hl7}/observation-category`, 'vital-signs')],
      code: coded(loinc, '85354-9', 'Blood pressure panel with all children optional'),
      subject: patientOf(context),
      ...effective(systolic),
      performer: some(...performers.map((one) => cast.refer(one))),
      note: both.flatMap((one) => notes(one.item)),
      bodySite: concept(item.content.bodySites?.[0]),
      method: concept(item.content.method),
      component: both.map(componentOf),
    },
  })
}

/** A DiagnosticReport for the results of one battery (US Core), a panel Observation for anything else. */
export function panel(
  id: string,
  members: readonly Observed[],
  results: readonly string[],
  context: Context,
): Resource | undefined {
  const [first] = members
  const battery = first?.item.content.panel
  if (!first || !battery) return undefined
  const { type } = first.item.content
  const cast = openCast()
  const lab = type === 'result'
  const when = moment('effective', battery.when ?? first.item.when)
  const dated = Object.values(when).some((one) => one !== undefined)
  const performers = first.item.performers?.length ? first.item.performers : first.item.provenance.authors
  const status = panelStatus(battery.status, members, lab ? 'partial' : 'preliminary')
  return finish({
    type: lab ? 'DiagnosticReport' : 'Observation',
    id,
    of: members,
    cast,
    words: [wordsOf(battery.code), whenText(battery.when), ...members.map(({ item }) => wordsOf(item.content.test))],
    fields: {
      identifier: identifiers(battery.identifiers),
      status,
      category: lab ? [coded(`${hl7}/v2-0074`, 'LAB', 'Laboratory')] : categoryOf(first.item.content),
      code:
        type === 'vital-sign'
          ? coded(loinc, '85353-1', 'Vital signs, weight, height, head circumference, oxygen saturation and BMI panel')
          : conceptOrAbsent(battery.code),
      subject: patientOf(context),
      ...(dated ? when : { _effectiveDateTime: absent() }), // us-core-8
      ...(lab && issued(first)), // us-core-9
      performer: some(...performers.map((one) => cast.refer(one))),
      [lab ? 'result' : 'hasMember']: results.map((reference) => ({ reference: `Observation/${reference}` })),
    },
  })
}

function issued({ item }: Observed): JsonObject {
  const at = instant(item.recordedAt)
  return at === undefined ? { _issued: absent() } : { issued: at }
}

/** `incomplete` is the resource's own word for a battery of which some are final. */
function panelStatus(
  source: string | undefined,
  members: readonly Observed[],
  incomplete: 'partial' | 'preliminary',
): string {
  const statuses = new Set(members.map((one) => (one.item.negated ? 'cancelled' : statusOf(one))))
  const [only = 'unknown'] = statuses
  if (statuses.size === 1) return only
  return source === 'completed' ? 'final' : statuses.has('final') ? incomplete : 'unknown'
}

/** Whether a result is a report in words: nothing but text to show, or nothing measured at all. */
export function isReport({ item: { content, negated } }: Observed): boolean {
  return (
    content.type === 'result' &&
    !negated &&
    content.panel === undefined &&
    (content.value === undefined || content.value.kind === 'text')
  )
}

/** A finding that is denied and has no resource of its own for that: a device that is not there. */
export function absentFinding(from: Sourced, content: ItemContent, context: Context): Resource {
  const { item } = from
  return finish({
    type: 'Observation',
    id: item.id,
    of: [from],
    words: [`Absent: ${wordsOf(subjectOf(content)) ?? content.type}`],
    extensions: moodOf(item),
    fields: {
      identifier: identifiers(item.identifiers),
      status: 'final',
      code: concept(subjectOf(content)) ?? { text: content.type },
      subject: patientOf(context),
      ...moment('effective', item.when),
      valueCodeableConcept: absence(),
      note: notes(item),
    },
  })
}

/**
 * An advance directive as an Observation, not a Consent: a CDA source tells that there is a directive and what it is about,
 * not the policy that a Consent must name. Documents that it speaks of are contained.
 */
export function advanceDirective(from: Sourced, content: AdvanceDirective, context: Context): Resource {
  const { item } = from
  const cast = openCast()
  const performers = content.verifiers.length > 0 ? content.verifiers : item.provenance.authors
  const documents = content.documents.map(
    (one, index): Resource => ({
      resourceType: 'DocumentReference',
      id: `d${index + 1}`,
      identifier: identifiers(one.identifiers),
      status: 'current',
      content: [
        {
          attachment: {
            contentType: one.mediaType === undefined ? undefined : mediaType(one.mediaType),
            url: one.reference?.replace(/\s/g, '%20'),
            title: 'Advance directive',
          },
        },
      ],
    }),
  )
  const performer = some(...performers.map((one) => cast.refer(one)))
  cast.contained.push(...documents)
  const said = content.value
  return finish({
    type: 'Observation',
    id: item.id,
    of: [from],
    cast,
    words: [
      `${item.negated ? 'No directive: ' : ''}${wordsOf(content.directive) ?? ''}${said ? `: ${valueText(said)}` : ''}`,
      whenText(item.when),
    ],
    extensions: moodOf(item),
    fields: {
      identifier: identifiers(item.identifiers),
      status: item.status?.source === 'nullified' ? 'entered-in-error' : 'final',
      category: [coded(loinc, '42348-3', 'Advance directives')],
      code: conceptOrAbsent(content.directive),
      subject: patientOf(context),
      ...moment('effective', item.when),
      performer,
      ...(item.negated
        ? { valueCodeableConcept: absence(said && valueText(said)) }
        : valueOrReason(said, item.nullFlavor)),
      note: notes(item, ...content.agents.map(({ text, role }) => `${wordsOf(role) ?? 'Agent'}: ${text}`)),
      derivedFrom: documents.map(({ id }) => ({ reference: `#${id}` })),
    },
  })
}
