import type { Allergy, Problem, Reaction } from '../../../direct/clinical.js'
import type { Concept, When } from '../../../direct/datatypes.js'
import { denies } from '../../denial.js'
import { definitions, hl7, snomed, usCore } from '../datatypes.js'
import { filled, kept, readConcept, readConcepts, readDate, readQuantity, wantedConcept } from './datatypes.js'
import {
  active,
  codeIn,
  made,
  mustBeOfPatient,
  nullified,
  type ReadItem,
  type Reading,
  readAgent,
  readNotes,
  type Status,
  unknown,
} from './reading.js'

/** Category and type together, where SNOMED CT has one concept for both. */
const kinds: Readonly<Record<string, string>> = {
  'food allergy': '414285001',
  'food intolerance': '235719002',
  'food ': '418471000',
  'medication allergy': '416098002',
  'medication intolerance': '59037007',
  'medication ': '419511003',
  'environment allergy': '426232007',
  ' allergy': '419199007',
  ' intolerance': '782197009',
}

const severities: Readonly<Record<string, string>> = { mild: '255604002', moderate: '6736007', severe: '24484000' }
const criticalities: Readonly<Record<string, string>> = { low: 'CRITL', high: 'CRITH', 'unable-to-assess': 'CRITU' }
const courses: Readonly<Record<string, Status>> = {
  active,
  inactive: { folded: 'inactive', source: 'inactive' },
  resolved: { folded: 'resolved', source: 'resolved' },
}

/** The clinical status and how sure it is: both decide what an item says at all. */
function verified(
  { fields, log }: Reading,
  systems: { readonly clinical: string; readonly verification: string },
  known: Readonly<Record<string, Status>>,
) {
  const at = (name: string) => `${fields.path}.${name}`
  const course = readConcept(fields.object('clinicalStatus'))
  const verification = codeIn(readConcept(fields.object('verificationStatus')), systems.verification)
  const code = codeIn(course, systems.clinical)
  const status = code === undefined ? undefined : Object.hasOwn(known, code) ? known[code] : undefined
  if (code !== undefined && !status) log.error('value', at('clinicalStatus'), 'This is not a status of FHIR')
  if (
    fields.has('verificationStatus') &&
    !['confirmed', 'unconfirmed', 'refuted', 'entered-in-error'].includes(verification ?? '')
  ) {
    log.error('not-supported', at('verificationStatus'), 'The record cannot keep how sure this is')
  }
  const wrong = verification === 'entered-in-error'
  if (wrong && fields.has('clinicalStatus'))
    log.error('invariant', at('clinicalStatus'), 'What was entered in error has none')
  return {
    status: wrong ? nullified : (status ?? unknown),
    refuted: verification === 'refuted',
    nullFlavor: verification === 'unconfirmed' ? 'UNK' : undefined,
  }
}

export function readAllergy(reading: Reading): ReadItem | undefined {
  const { fields, log } = reading
  mustBeOfPatient(reading, 'patient')
  const { status, refuted, nullFlavor } = verified(
    reading,
    { clinical: `${hl7}/allergyintolerance-clinical`, verification: `${hl7}/allergyintolerance-verification` },
    courses,
  )
  const substance = wantedConcept(fields, 'code')
  const none = denies(substance)
  const negated = refuted || none
  const criticality = fields.text('criticality')
  const grade = criticality === undefined ? undefined : lookup(criticalities, criticality)
  if (criticality !== undefined && (!grade || negated))
    log.error('value', `${fields.path}.criticality`, 'This cannot be kept')
  const reactions = fields.list('reaction').flatMap((one) => readReaction(one))
  if (negated && reactions.length > 0)
    log.error('invariant', `${fields.path}.reaction`, 'What is denied has no reaction')
  if (refuted && none)
    log.error('not-supported', `${fields.path}.verificationStatus`, 'None known, and that refuted, cannot be kept')
  const [abated] = fields.extensions(`${definitions}/allergyintolerance-abatement`)
  const high = abated && readDate(abated, 'valueDateTime')
  const recorder = readAgent(reading, fields.object('recorder'))
  return made(reading, {
    content: kept<Allergy>({
      type: 'allergy',
      substance,
      kind: readKind(reading),
      reactions,
      criticality:
        grade === undefined ? undefined : { codings: [{ system: `${hl7}/v3-ObservationValue`, code: grade }] },
    }),
    negated,
    nullFlavor,
    status,
    when: readOnset(reading, high && { high }),
    recordedAt: readDate(fields, 'recordedDate'),
    authors: recorder ? [recorder] : [],
    notes: readNotes(fields),
  })
}

function lookup(table: Readonly<Record<string, string>>, key: string): string | undefined {
  return Object.hasOwn(table, key) ? table[key] : undefined
}

function readKind({ fields, log }: Reading): Concept | undefined {
  const type = fields.text('type') ?? ''
  const categories = fields.texts('category')
  if (type === '' && categories.length === 0) return undefined
  const code = lookup(kinds, `${categories.join(',')} ${type}`)
  if (code !== undefined) return { codings: [{ system: snomed, code }] }
  if (!/^(allergy|intolerance)?$/.test(type))
    return log.error('value', `${fields.path}.type`, 'This is not a type of FHIR')
  if (categories.some((one) => !/^(food|medication|environment|biologic)$/.test(one))) {
    return log.error('value', `${fields.path}.category`, 'This is not a category of FHIR')
  }
  return {
    codings: [
      ...categories.map((one) => ({ system: 'http://hl7.org/fhir/allergy-intolerance-category', code: one })),
      ...(type === '' ? [] : [{ system: 'http://hl7.org/fhir/allergy-intolerance-type', code: type }]),
    ],
  }
}

/** When it began; a period or a range of it is more than the record can keep, and is told. */
function readOnset({ fields }: Reading, more: When | undefined): When | undefined {
  const type = fields.choice('onset')
  const low = type === 'DateTime' ? readDate(fields, 'onsetDateTime') : undefined
  const text = type === 'String' ? fields.text('onsetString') : undefined
  const when = kept<When>({ ...more, low, text })
  return Object.keys(when).length === 0 ? undefined : when
}

function readReaction(fields: Fields): Reaction[] {
  const at = readDate(fields, 'onset')
  const word = fields.text('severity')
  const code = word === undefined ? undefined : lookup(severities, word)
  if (word !== undefined && code === undefined)
    fields.log.error('value', `${fields.path}.severity`, 'This is not a severity of FHIR')
  const severity =
    code === undefined || word === undefined
      ? undefined
      : { codings: [{ system: snomed, code, display: word }], text: word }
  const all = readConcepts(fields, 'manifestation')
  if (all.length === 0) fields.log.error('required', `${fields.path}.manifestation`, 'This is missing')
  return all.map((manifestation) => kept<Reaction>({ manifestation, severity, when: at && { value: at } }))
}

type Fields = Reading['fields']

const problemCourses: Readonly<Record<string, Status>> = {
  active,
  recurrence: course('active', 'recurrence', '246455001'),
  relapse: course('active', 'relapse', '263855007'),
  inactive: { folded: 'inactive', source: 'inactive' },
  remission: course('inactive', 'remission', '277022003'),
  resolved: { folded: 'resolved', source: 'resolved' },
}

function course(folded: Status['folded'], word: string, code: string): Status {
  return { folded, source: word, concept: { codings: [{ system: snomed, code }], text: word } }
}

const categorySystems = [
  `${hl7}/condition-category`,
  `${usCore.replace('StructureDefinition', 'CodeSystem')}/condition-category`,
]

export function readCondition(reading: Reading): ReadItem | undefined {
  const { fields, log } = reading
  mustBeOfPatient(reading, 'subject')
  const { status, refuted, nullFlavor } = verified(
    reading,
    { clinical: `${hl7}/condition-clinical`, verification: `${hl7}/condition-ver-status` },
    problemCourses,
  )
  const problem = wantedConcept(fields, 'code')
  const none = denies(problem)
  const negated = refuted || none
  const type = fields.choice('onset')
  const age = type === 'Age' ? readQuantity(fields.object('onsetAge')) : undefined
  const high = readDate(fields, 'abatementDateTime')
  const gone = !high && fields.reason('abatementDateTime') !== undefined
  const when = readOnset(reading, kept<When>({ high, highUnknown: gone ? true : undefined }))
  if ((high || gone) && status.folded === 'active')
    log.error('invariant', `${fields.path}.clinicalStatus`, 'What has ended is not active (con-4)')
  if (negated && (when || age)) log.error('not-supported', `${fields.path}.onset`, 'What is denied has no time')
  const [asserted] = fields.extensions(`${definitions}/condition-assertedDate`)
  const recorder = readAgent(reading, fields.object('recorder'))
  return made(reading, {
    content: kept<Problem>({
      type: 'problem',
      problem,
      kind: readCategory(reading),
      severity: readConcept(fields.object('severity')),
      ageAtOnset: age,
      bodySites: filled(readConcepts(fields, 'bodySite')),
      diagnosedAt: asserted && readDate(asserted, 'valueDateTime'),
    }),
    negated,
    nullFlavor,
    status,
    when,
    recordedAt: readDate(fields, 'recordedDate'),
    authors: recorder ? [recorder] : [],
    notes: readNotes(fields),
  })
}

/** A problem is one of the list unless it is said to be of another category; what else it is called is its kind. */
function readCategory({ fields, log }: Reading): Concept | undefined {
  const all = readConcepts(fields, 'category')
  const isPlain = ({ codings }: Concept) =>
    codings.length === 1 && codings[0]?.system === categorySystems[0] && codings[0]?.code === 'problem-list-item'
  const isCategory = ({ codings }: Concept) => codings.some(({ system }) => categorySystems.includes(system ?? ''))
  const special = all.filter((one) => isCategory(one) && !isPlain(one))
  const others = all.filter((one) => !isCategory(one))
  if (special.length > 1 || others.length > 1 || (special.length === 1 && all.some(isPlain))) {
    return log.error('not-supported', `${fields.path}.category`, 'The record keeps one category of a problem')
  }
  const [one] = special
  const [other] = others
  if (!one) return other
  return {
    codings: [...one.codings, ...(other?.codings ?? [])],
    ...(other?.text !== undefined && { text: other.text }),
  }
}
