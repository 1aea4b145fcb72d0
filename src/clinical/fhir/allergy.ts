import type { Allergy, RecordItem } from '../../direct/clinical.js'
import type { Concept } from '../../direct/datatypes.js'
import { denies } from '../denial.js'
import {
  absent,
  coded,
  concept,
  conceptOrAbsent,
  dateTime,
  definitions,
  extension,
  hl7,
  identifiers,
  moment,
  names,
  snomed,
  wordsOf,
} from './datatypes.js'
import type { Json, JsonObject, Resource } from './json.js'
import { type Context, finish, moodOf, notes, openCast, patientOf, recorderOf, type Sourced } from './make.js'

/** SNOMED CT kinds of propensity to the category and type of FHIR (C-CDA on FHIR, allergies). */
const kinds: Readonly<Record<string, { readonly category?: string; readonly type?: string }>> = {
  '414285001': { category: 'food', type: 'allergy' },
  '235719002': { category: 'food', type: 'intolerance' },
  '418471000': { category: 'food' },
  '416098002': { category: 'medication', type: 'allergy' },
  '59037007': { category: 'medication', type: 'intolerance' },
  '419511003': { category: 'medication' },
  '426232007': { category: 'environment', type: 'allergy' },
  '232347008': { category: 'environment', type: 'allergy' },
  '419199007': { type: 'allergy' },
  '609328004': { type: 'allergy' },
  '782197009': { type: 'intolerance' },
}

/** "No known …" by category (SNOMED CT); without one, no known allergy of any kind. */
const noneKnown: Readonly<Record<string, readonly [string, string]>> = {
  food: ['429625007', 'No known food allergy'],
  medication: ['409137002', 'No known history of drug allergy'],
  environment: ['428607008', 'No known environmental allergy'],
}

const severities: Readonly<Record<string, string>> = {
  '255604002': 'mild',
  '371923003': 'mild',
  '6736007': 'moderate',
  '371924009': 'severe',
  '24484000': 'severe',
  '399166001': 'severe',
}

const criticalities: Readonly<Record<string, string>> = { CRITL: 'low', CRITH: 'high', CRITU: 'unable-to-assess' }

/**
 * An AllergyIntolerance (US Core). Denied with a substance: refuted. Denied without one: the concept of "no known
 * allergy" of its kind. Neither can be read as an allergy.
 */
export function allergyIntolerance(from: Sourced, content: Allergy, context: Context): Resource {
  const { item } = from
  const cast = openCast()
  const kind = content.kind?.codings
    .map(({ code }) => (Object.hasOwn(kinds, code) ? kinds[code] : undefined))
    .find(Boolean)
  const none = item.negated && (!names(content.substance) || denies(content.substance))
  const code = none ? noKnown(content.substance, kind?.category) : conceptOrAbsent(content.substance)
  const refuted = item.negated && !none
  const criticality = content.criticality?.codings.find((one) => Object.hasOwn(criticalities, one.code))
  const nullified = item.status?.source === 'nullified'
  const ended = dateTime(item.when?.high)
  const title = none
    ? (wordsOf(content.substance) ?? 'No known allergy')
    : `${refuted ? 'Refuted: ' : ''}${wordsOf(content.substance) ?? ''}`
  return finish({
    type: 'AllergyIntolerance',
    id: item.id,
    of: [from],
    cast,
    words: [title, ...content.reactions.map(({ manifestation }) => wordsOf(manifestation)), ...(item.notes ?? [])],
    extensions: [
      ...moodOf(item),
      ...(ended === undefined
        ? []
        : [extension(`${definitions}/allergyintolerance-abatement`, { valueDateTime: ended })]),
    ],
    fields: {
      identifier: identifiers(item.identifiers),
      clinicalStatus: nullified ? undefined : clinicalStatus(item.status?.folded, refuted),
      verificationStatus: coded(`${hl7}/allergyintolerance-verification`, verification(nullified, refuted, item)),
      type: none ? undefined : (kind?.type ?? toldIn(content.kind, 'type')[0]),
      category: kind?.category === undefined ? toldIn(content.kind, 'category') : [kind.category],
      criticality: criticality && !item.negated ? criticalities[criticality.code] : undefined,
      code,
      patient: patientOf(context),
      ...(none ? {} : onset(from)),
      recordedDate: dateTime(item.recordedAt),
      recorder: cast.refer(recorderOf(item), ['person']),
      note: notes(item),
      reaction: item.negated ? [] : reactions(content),
    },
  })
}

/** Category and type in FHIR's own words, which somebody who wrote FHIR can have said. */
function toldIn(kind: Concept | undefined, what: 'category' | 'type'): string[] {
  const own = `http://hl7.org/fhir/allergy-intolerance-${what}`
  return kind?.codings.filter(({ system }) => system === own).map(({ code }) => code) ?? []
}

function onset({ item: { when } }: Sourced): JsonObject {
  if (when?.value || when?.low === undefined) return when?.value ? moment('onset', when) : { onsetString: when?.text }
  return { onsetDateTime: dateTime(when.low) }
}

function verification(nullified: boolean, refuted: boolean, { nullFlavor, intent }: RecordItem): string {
  if (nullified) return 'entered-in-error'
  if (refuted) return 'refuted'
  return nullFlavor === undefined && intent !== 'planned' ? 'confirmed' : 'unconfirmed'
}

/** FHIR wants a status wherever it is no error (ait-1): nobody is at risk of what is refuted. */
function clinicalStatus(folded: string | undefined, refuted: boolean): JsonObject {
  const known: Readonly<Record<string, string>> = {
    active: 'active',
    inactive: 'inactive',
    cancelled: 'inactive',
    resolved: 'resolved',
    completed: 'resolved',
  }
  const code = refuted ? 'inactive' : known[folded ?? 'active']
  return code === undefined ? absent() : coded(`${hl7}/allergyintolerance-clinical`, code)
}

/** The source's own words and codes for "none known"; without a code that says so, ours by kind. */
function noKnown(substance: Concept, category: string | undefined): JsonObject {
  const said = concept(substance)
  if (denies({ codings: substance.codings }) && said) return said
  const [code, display] = (category === undefined ? undefined : noneKnown[category]) ?? [
    '716186003',
    'No known allergy',
  ]
  return { coding: [{ system: snomed, code, display }], text: substance.text }
}

/** Severity stands with the reaction in FHIR; that of the allergy as a whole is lent to reactions that have none. */
function reactions({ reactions: all, severity }: Allergy): Json[] {
  const graded = all.length === 0 && severity ? [] : all
  return graded.map((one) => {
    const grade = severityOf(one.severity) ?? severityOf(severity)
    return {
      manifestation: [conceptOrAbsent(one.manifestation)],
      onset: dateTime(one.when?.value ?? one.when?.low),
      severity: grade,
    }
  })
}

export function severityOf(from: Concept | undefined): string | undefined {
  const code = from?.codings.find((one) => Object.hasOwn(severities, one.code))?.code
  if (code !== undefined) return severities[code]
  const word = wordsOf(from)?.toLowerCase()
  return word === 'mild' || word === 'moderate' || word === 'severe' ? word : undefined
}
