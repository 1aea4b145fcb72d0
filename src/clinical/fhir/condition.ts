import type { Problem, RecordItem } from '../../direct/clinical.js'
import type { Concept, Quantity, When } from '../../direct/datatypes.js'
import { conditionCategory, conditionCategorySystems } from '../../direct/smart-scopes.js'
import { denies } from '../denial.js'
import {
  absent,
  coded,
  concept,
  conceptOrAbsent,
  concepts,
  dateTime,
  definitions,
  extension,
  hl7,
  identifiers,
  names,
  quantity,
  quantityText,
  snomed,
  usCore,
  valueText,
  wordsOf,
} from './datatypes.js'
import type { JsonObject, Resource } from './json.js'
import { type Context, finish, moodOf, notes, openCast, patientOf, recorderOf, type Sourced } from './make.js'

const clinical: Readonly<Record<string, string>> = {
  '246455001': 'recurrence',
  '263855007': 'relapse',
  '277022003': 'remission',
}

const folded: Readonly<Record<string, string>> = {
  active: 'active',
  inactive: 'inactive',
  cancelled: 'inactive',
  resolved: 'resolved',
  completed: 'resolved',
}

/**
 * A Condition (US Core): problem, health concern or encounter diagnosis by its section. What the source denies is refuted,
 * or the concept of "no known problem"; an end makes it no longer active (con-4), whatever the source's status said.
 */
export function condition(from: Sourced, content: Problem, context: Context): Resource {
  const { item } = from
  const cast = openCast()
  const none = item.negated && (!names(content.problem) || denies(content.problem))
  const refuted = item.negated && !none
  const diagnosed = dateTime(content.diagnosedAt)
  const category = conditionCategory(item)
  const nullified = item.status?.source === 'nullified'
  return finish({
    type: 'Condition',
    id: item.id,
    of: [from],
    cast,
    words: [
      `${refuted ? 'Refuted: ' : ''}${wordsOf(content.problem) ?? (none ? 'No known problems' : '')}`,
      ...(item.notes ?? []),
    ],
    extensions: [
      ...moodOf(item),
      ...(diagnosed === undefined
        ? []
        : [extension(`${definitions}/condition-assertedDate`, { valueDateTime: diagnosed })]),
    ],
    fields: {
      identifier: identifiers(item.identifiers),
      ...statuses(item, refuted),
      category: [
        category === 'health-concern'
          ? coded(`${usCore.replace('StructureDefinition', 'CodeSystem')}/condition-category`, category)
          : coded(`${hl7}/condition-category`, category),
        ...concepts(kindOf(content)),
      ],
      severity: concept(content.severity),
      code: none ? noKnown(content.problem) : conceptOrAbsent(content.problem),
      bodySite: concepts(content.bodySites),
      subject: patientOf(context),
      ...(item.negated ? {} : { ...onset(item.when, content.ageAtOnset), ...(nullified ? {} : abatement(item.when)) }),
      recordedDate: dateTime(item.recordedAt),
      recorder: cast.refer(recorderOf(item), ['person']),
      note: notes(
        item,
        content.prognosis && `Prognosis: ${valueText(content.prognosis)}`,
        content.causedDeath === true && !item.negated && 'Caused death',
        content.ageAtOnset && item.when?.low && `Age at onset: ${quantityText(content.ageAtOnset)}`,
      ),
    },
  })
}

/** What sort of statement it is, beside its category. */
function kindOf({ kind }: Problem): Concept[] {
  const codings = kind?.codings.filter(({ system = '' }) => !conditionCategorySystems.includes(system)) ?? []
  const other = kind && codings.length === kind.codings.length ? kind : undefined
  return other ? [other] : codings.length > 0 ? [{ ...kind, codings }] : []
}

function statuses(item: RecordItem, refuted: boolean): JsonObject {
  const verified = (code: string) => coded(`${hl7}/condition-ver-status`, code)
  if (item.status?.source === 'nullified') return { verificationStatus: verified('entered-in-error') } // con-5
  const course = item.status?.concept?.codings.find(({ code }) => Object.hasOwn(clinical, code))
  const ended = item.when?.high !== undefined || item.when?.highUnknown === true
  let code = refuted ? 'inactive' : (clinical[course?.code ?? ''] ?? folded[item.status?.folded ?? 'active'])
  if (ended && code !== 'resolved' && code !== 'remission') code = 'inactive' // con-4
  const tentative = item.nullFlavor !== undefined || item.intent === 'planned'
  return {
    clinicalStatus: code === undefined ? absent() : coded(`${hl7}/condition-clinical`, code),
    verificationStatus: verified(refuted ? 'refuted' : tentative ? 'unconfirmed' : 'confirmed'),
  }
}

function noKnown(problem: Concept): JsonObject {
  const said = concept(problem)
  if (said && denies({ codings: problem.codings })) return said
  return {
    coding: [{ system: snomed, code: '160245001', display: 'No current problems or disability' }],
    text: problem.text,
  }
}

/** When it began; an age only where there is no date, for FHIR takes one of them. */
function onset(when: When | undefined, age: Quantity | undefined): JsonObject {
  const began = dateTime(when?.value ?? when?.low)
  if (began !== undefined) return { onsetDateTime: began }
  if (age === undefined) return { onsetString: when?.text }
  const told = ageOf(age)
  return told ? { onsetAge: told } : { onsetString: quantityText(age) }
}

/** An Age of FHIR has a UCUM unit of time; undefined for any other. */
export function ageOf(age: Quantity): JsonObject | undefined {
  const told = quantity(age)
  return told !== undefined &&
    /^(min|h|d|wk|mo|a)$/.test(age.unit ?? '') &&
    !age.value.startsWith('-') &&
    age.comparator === undefined
    ? told
    : undefined
}

function abatement(when: When | undefined): JsonObject {
  const ended = dateTime(when?.high)
  if (ended !== undefined) return { abatementDateTime: ended }
  return when?.highUnknown === true ? { _abatementDateTime: absent('UNK') } : {}
}
