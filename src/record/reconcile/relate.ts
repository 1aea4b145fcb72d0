import { sameConcept, sameConcepts } from './concept.js'
import type { Fact } from './fact.js'
import { apartInTime, sameMoment } from './moment.js'

/**
 * How two statements stand to each other. `same`: they tell of one thing. `apart`: on their own evidence they tell of two.
 * `unknown`: nothing says either. Symmetric; only `apart` keeps a third from joining them.
 */
export type Relation = 'same' | 'apart' | 'unknown'

/**
 * Relates two statements by what they say; identifiers are hints that never outweigh another concept. `known`: they carry
 * one identifier, which can bring together and never keeps apart.
 */
export function relate(one: Fact, other: Fact, known = shareId(one, other)): Relation {
  if (one.type !== other.type || one.pole !== other.pole) return 'apart'
  if (one.type === 'document') return one.document === other.document ? 'same' : 'apart'
  if (one.type === 'demographics') return 'same' // of one patient: documents of others are held
  if (one.says === other.says) return 'same'
  return rules[one.type](one, other, known)
}

/**
 * Whether two statements of different documents carry one identifier. Inside a document a repeated identifier was copied
 * together with what it stood on, and says nothing.
 */
export function shareId(one: Fact, other: Fact): boolean {
  return one.document !== other.document && one.ids.some((id) => other.ids.includes(id))
}

/** Two statements carry one identifier and are about different things: one of the senders copies identifiers. */
export function reusesId(one: Fact, other: Fact): boolean {
  return (
    one.type === other.type &&
    one.id !== other.id &&
    one.ids.some((id) => other.ids.includes(id)) &&
    sameConcept(one.subject, other.subject) === 'different'
  )
}

type Rule = (one: Fact, other: Fact, known: boolean) => Relation

const concept = (one: Fact, other: Fact): Relation => {
  const same = sameConcept(one.subject, other.subject)
  if (same === 'different') return 'apart'
  if (same === 'same') return 'same'
  // "No known allergies" names nothing: two that name nothing deny the same.
  const nameless = [one, other].every(({ subject }) => subject.codes.length + subject.words.length === 0)
  return nameless && one.pole.startsWith('not') ? 'same' : 'unknown'
}

/** An allergy is its substance: the only question is which. */
const allergy: Rule = concept

/** A problem is its concept and site; one that was over before the other began is another episode. */
const problem: Rule = (one, other, known) => {
  const same = concept(one, other)
  if (same !== 'same') return same
  if (!sameConcepts(one.where, other.where)) return 'apart'
  return !known && apartInTime(one.span, other.span) ? 'apart' : 'same'
}

/** A medication is its product while it is taken: two courses apart in time are two. Dose and route are versions of one. */
const medication: Rule = (one, other, known) => {
  const same = concept(one, other)
  if (same !== 'same') return same
  return !known && apartInTime(one.span, other.span) ? 'apart' : 'same'
}

/** What happened at a moment happened once. Where only one of the two says when, an identifier has to join them. */
function sameTime(one: Fact, other: Fact, known: boolean): Relation {
  if (one.at && other.at) return sameMoment(one.at, other.at) ? 'same' : 'apart'
  if (!one.at && !other.at) return 'same'
  return known ? 'same' : 'unknown'
}

/** The strictest of several relations. */
function all(...relations: readonly Relation[]): Relation {
  if (relations.includes('apart')) return 'apart'
  return relations.includes('unknown') ? 'unknown' : 'same'
}

/** Whether a telling word is the same; where one of them does not say, nothing is told. */
function told(one: Fact, other: Fact, word: string): Relation {
  const [mine, theirs] = [one.tells[word], other.tells[word]]
  if (mine === theirs) return 'same'
  return mine === undefined || theirs === undefined ? 'unknown' : 'apart'
}

const event: Rule = (one, other, known) => all(concept(one, other), sameTime(one, other, known))

const procedure: Rule = (one, other, known) =>
  sameConcepts(one.where, other.where) ? event(one, other, known) : 'apart'

/** A result is its test, moment, value and specimen; the same identifier with another value is a correction of it. */
const result: Rule = (one, other, known) => {
  const words = ['value', 'specimen', 'parts'].map((word) => (one.tells[word] === other.tells[word] ? 'same' : 'apart'))
  if (!known && words.includes('apart')) return 'apart'
  return sameConcepts(one.where, other.where) ? event(one, other, known) : 'apart'
}

/** A habit or an ability is its question and answer as long as it holds. */
const answer: Rule = (one, other, known) => {
  if (!known && told(one, other, 'value') !== 'same') return 'apart'
  const same = concept(one, other)
  if (same !== 'same') return same
  const moments = one.at && other.at && sameMoment(one.at, other.at)
  return moments || !apartInTime(one.span, other.span) ? 'same' : 'apart'
}

/** A visit is the same by its identifier or by its beginning, and then by its kind or by who was seen. */
const encounter: Rule = (one, other, known) => {
  const time = sameTime(one, other, known)
  const kind = concept(one, other)
  if (known) return all(time, kind === 'apart' ? 'apart' : 'same')
  if (time !== 'same' || !one.at) return time === 'apart' ? 'apart' : 'unknown'
  const seen = told(one, other, 'provider')
  if (kind === 'same') return seen === 'apart' ? 'apart' : 'same'
  return one.tells['provider'] !== undefined && seen === 'same' && kind === 'unknown' ? 'same' : kind
}

/** A relative is the relation, and where there may be several, the name, the birth date or a condition in common. */
const relative: Rule = (one, other, known) => {
  const relation = concept(one, other)
  if (relation !== 'same') return relation
  const person = all(...['name', 'born'].map((word) => told(one, other, word)))
  if (person === 'apart') return 'apart'
  if (known || onlyOne.some((code) => one.subject.codes.includes(code) || other.subject.codes.includes(code)))
    return 'same'
  if (one.tells['name'] !== undefined && told(one, other, 'name') === 'same') return 'same'
  const mine = one.tells['conditions']?.split('; ') ?? []
  const theirs = other.tells['conditions']?.split('; ') ?? []
  return mine.some((condition) => theirs.includes(condition)) ? 'same' : 'unknown'
}

const roles = 'http://terminology.hl7.org/CodeSystem/v3-RoleCode'
const snomed = 'http://snomed.info/sct'
/** Natural parents and grandparents of one side (HL7 RoleCode, SNOMED CT): nobody has two of them. */
const onlyOne = [
  ...['NFTH', 'NMTH', 'MGRFTH', 'MGRMTH', 'PGRFTH', 'PGRMTH', 'FTH', 'MTH'].map((code) => `${roles}|${code}`),
  ...['9947008', '65656005', '66839005', '72705000'].map((code) => `${snomed}|${code}`),
]

const coverage: Rule = (one, other) => {
  const words = ['payer', 'member'].map((word) => told(one, other, word))
  if (one.tells['member'] === undefined || other.tells['member'] === undefined) {
    // Without a number, payer and kind of coverage are all there is.
    return all(told(one, other, 'payer'), concept(one, other), told(one, other, 'group'))
  }
  return all(...words, told(one, other, 'group') === 'apart' ? 'apart' : 'same')
}

/** A device is its unique identifier; without one, what it is, where, and what is printed on it. */
const device: Rule = (one, other, known) => {
  if (one.tells['udi'] !== undefined && other.tells['udi'] !== undefined) return told(one, other, 'udi')
  const printed = ['serial', 'lot'].map((word) => (told(one, other, word) === 'apart' ? 'apart' : 'same'))
  if (printed.includes('apart') || !sameConcepts(one.where, other.where)) return 'apart'
  const serial = one.tells['serial'] !== undefined && told(one, other, 'serial') === 'same'
  return all(concept(one, other), serial ? 'same' : sameTime(one, other, known))
}

const directive: Rule = (one, other, known) => {
  if (!known && told(one, other, 'value') !== 'same') return 'apart'
  return all(concept(one, other), apartInTime(one.span, other.span) ? 'apart' : 'same')
}

const goal: Rule = (one, other, known) =>
  !known && told(one, other, 'target') !== 'same' ? 'apart' : event(one, other, known)

const plan: Rule = (one, other, known) =>
  !known && told(one, other, 'value') !== 'same' ? 'apart' : event(one, other, known)

/** A team is its name, or everybody on it. */
const careTeam: Rule = (one, other, known) => {
  const name = told(one, other, 'name')
  if (name === 'apart') return 'apart'
  if (one.tells['name'] !== undefined && name === 'same') return 'same'
  const members = one.tells['members'] !== undefined && told(one, other, 'members') === 'same'
  return known || members ? 'same' : 'unknown'
}

/** A note is its words, of one kind and day as far as anybody says. */
const note: Rule = (one, other, known) => {
  const apart = concept(one, other) === 'apart' || sameTime(one, other, known) === 'apart'
  return apart ? 'apart' : told(one, other, 'text')
}

const rules: Readonly<Record<Exclude<Fact['type'], 'document' | 'demographics'>, Rule>> = {
  allergy,
  problem,
  medication,
  immunization: event,
  result,
  'vital-sign': result,
  procedure,
  encounter,
  'family-history': relative,
  'social-history': answer,
  'functional-status': answer,
  'advance-directive': directive,
  insurance: coverage,
  device,
  goal,
  plan,
  'care-team': careTeam,
  note,
}
