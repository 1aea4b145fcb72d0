import type { CareTeam, Demographics, FamilyHistory, Insurance } from '../../direct/clinical.js'
import type { Agent, Concept, PersonName, Quantity } from '../../direct/datatypes.js'
import { ageOf } from './condition.js'
import {
  absent,
  address,
  coded,
  codeText,
  coding,
  concept,
  conceptOrAbsent,
  date,
  dateTime,
  definitions,
  extension,
  hl7,
  humanName,
  identifier,
  identifiers,
  names,
  own,
  period,
  quantityText,
  telecom,
  usCore,
  whenText,
  wordsOf,
} from './datatypes.js'
import { integerOf, type JsonObject, lookup, type Resource, said, writeJson } from './json.js'
import { type Context, finish, notes, openCast, patientOf, type Sourced, some } from './make.js'
import { hasLoinc, isObserved } from './observation.js'

const genders: Readonly<Record<string, string>> = {
  M: 'male',
  F: 'female',
  UN: 'other',
  O: 'other',
  UNK: 'unknown',
  male: 'male',
  female: 'female',
  '248153007': 'male',
  '248152002': 'female',
}

/** AdministrativeGender of FHIR; `unknown` where the source has none, or one of no table. */
export function genderOf(from: Concept | undefined): string {
  for (const { code } of from?.codings ?? []) {
    const known = Object.hasOwn(genders, code) ? genders[code] : undefined
    if (known) return known
  }
  const word = wordsOf(from)?.trim().toLowerCase() ?? ''
  return word === 'm' || word === 'f'
    ? (genders[word.toUpperCase()] ?? 'unknown')
    : word === 'male' || word === 'female'
      ? word
      : 'unknown'
}

const races = 'urn:oid:2.16.840.1.113883.6.238'
const raceCategories = new Set(['1002-5', '2028-9', '2054-5', '2076-8', '2106-3', '2131-1'])
const ethnicityCategories = new Set(['2135-2', '2186-5'])

/** Race or ethnicity of US Core: categories of OMB, details, and the words. */
function heritage(name: 'race' | 'ethnicity', all: readonly Concept[], categories: ReadonlySet<string>): JsonObject[] {
  if (all.length === 0) return []
  const codings = all
    .flatMap(({ codings: some }) => some)
    .filter(({ system, code }) => system === races && codeText(code) !== '')
  const once = [...new Map(codings.map((one) => [one.code, one])).values()]
  const broad = once.filter(({ code }) => categories.has(code)).slice(0, name === 'race' ? 6 : 1)
  const detailed = once.filter((one) => !broad.includes(one))
  const flavor = all.map(({ nullFlavor }) => nullFlavor).find((one) => one === 'UNK' || one === 'ASKU')
  const nothing = broad.length === 0 && flavor !== undefined
  const text = all
    .map((one) => said(wordsOf(one)) ?? said(one.codings[0]?.code))
    .filter((one) => one !== undefined)
    .join(', ')
  return [
    extension(`${usCore}/us-core-${name}`, {
      extension: [
        ...broad.map((one) => ({ url: 'ombCategory', valueCoding: coding(one) })),
        ...(nothing ? [{ url: 'ombCategory', valueCoding: { system: `${hl7}/v3-NullFlavor`, code: flavor } }] : []),
        ...detailed.map((one) => ({ url: 'detailed', valueCoding: coding(one) })),
        { url: 'text', valueString: text || 'Unknown' },
      ],
    }),
  ]
}

/** What the social history says of the person, where the header does not: birth sex, gender identity, tribe. */
interface Told {
  readonly birthSex?: Concept
  readonly genderIdentity?: Concept
  readonly tribes: readonly Concept[]
}

function toldBy(social: readonly Sourced[]): Told {
  const said = (code: string) =>
    social.flatMap((from): Concept[] => {
      if (!isObserved(from) || from.item.negated || !hasLoinc(from.item.content.test, code)) return []
      const { value } = from.item.content
      return value?.kind === 'concept' ? [value.concept] : []
    })
  const [birthSex] = said('76689-9')
  const [genderIdentity] = said('76691-5')
  return { ...(birthSex && { birthSex }), ...(genderIdentity && { genderIdentity }), tribes: said('95370-3') }
}

function birthSexCode(from: Concept | undefined): string | undefined {
  const gender = genderOf(from)
  if (gender === 'male') return 'M'
  if (gender === 'female') return 'F'
  return from?.nullFlavor === 'UNK' || from?.codings.some(({ code }) => code === 'UNK') ? 'UNK' : undefined
}

const ageless = /^\d{4}$/

/**
 * The Patient of the record (US Core), from its newest demographics. It carries the record's id, never one of a source;
 * without demographics it says no more than that.
 */
export function patient(
  from: Sourced | undefined,
  content: Demographics | undefined,
  social: readonly Sourced[],
  context: Context,
): Resource {
  const told = toldBy(social)
  const cast = openCast()
  const birthSex = birthSexCode(content?.birthSex ?? told.birthSex)
  const identity = concept(content?.genderIdentity ?? told.genderIdentity)
  const religion = concept(content?.religion)
  const born = content?.birthPlace
  const given = (content?.names ?? []).filter(isNamed)
  const shown = given[0] ? [...given[0].given, given[0].family ?? given[0].text ?? ''].join(' ') : 'Name unknown'
  const died = dateTime(content?.deathDate)
  return finish({
    type: 'Patient',
    id: context.record,
    of: from ? [from] : [],
    cast,
    words: [shown, content?.birthDate?.text],
    extensions: [
      ...heritage('race', content?.races ?? [], raceCategories),
      ...heritage('ethnicity', content?.ethnicities ?? [], ethnicityCategories),
      ...told.tribes.map((tribe) =>
        extension(`${usCore}/us-core-tribal-affiliation`, {
          extension: [{ url: 'tribalAffiliation', valueCodeableConcept: conceptOrAbsent(tribe) }],
        }),
      ),
      ...(birthSex ? [extension(`${usCore}/us-core-birthsex`, { valueCode: birthSex })] : []),
      ...(identity ? [extension(`${usCore}/us-core-genderIdentity`, { valueCodeableConcept: identity })] : []),
      ...(religion ? [extension(`${definitions}/patient-religion`, { valueCodeableConcept: religion })] : []),
      ...(born && writeJson(address(born)) !== 'null'
        ? [extension(`${definitions}/patient-birthPlace`, { valueAddress: address(born) })]
        : []),
    ],
    fields: {
      identifier: [
        { use: 'usual', system: `${context.base}/Patient`, value: context.record },
        ...identifiers(content?.identifiers ?? []).map(complete),
      ],
      name: given.length === 0 ? [absent()] : given.map(humanName),
      telecom: some(...(content?.telecoms ?? []).map(telecom)),
      gender: genderOf(content?.gender),
      birthDate: date(content?.birthDate),
      ...(died === undefined ? { deceasedBoolean: content?.deceased } : { deceasedDateTime: died }),
      address: (content?.addresses ?? []).map(address),
      maritalStatus: concept(content?.maritalStatus),
      contact: (content?.contacts ?? []).map(contactOf),
      communication: (content?.languages ?? [])
        .filter((one) => said(one))
        .map((language) => ({
          language: { coding: [{ system: 'urn:ietf:bcp:47', code: codeText(language) }] },
          preferred: content?.preferredLanguage === language ? true : undefined,
        })),
      managingOrganization: cast.refer(content?.provider, ['organization']),
    },
  })
}

/** US Core wants a system and a value of every identifier of a patient. */
function complete(one: JsonObject): JsonObject {
  return {
    ...one,
    ...(one['system'] === undefined && { _system: absent() }),
    ...(one['value'] === undefined && one['_value'] === undefined && { _value: absent() }),
  }
}

/** Whether anything of a name is there: one without words is no name. */
function isNamed({ given, family, prefix, suffix, text }: PersonName): boolean {
  return [...given, family, prefix, suffix, text].some((one) => said(one) !== undefined)
}

function contactOf({ kind, text, name, role, telecoms = [], addresses = [] }: Agent): JsonObject {
  const relationship = concept(role)
  return {
    relationship: relationship ? [relationship] : [],
    ...(kind === 'organization'
      ? { organization: { display: text } }
      : { name: name ? { ...humanName(name), text } : { text } }),
    telecom: some(...telecoms.map(telecom)),
    address: addresses[0] && address(addresses[0]),
  }
}

/** A FamilyMemberHistory. What a relative is said not to have stands in the notes only: FHIR has no word for it. */
export function familyMemberHistory(from: Sourced, content: FamilyHistory, context: Context): Resource {
  const { item } = from
  const positive = item.negated ? [] : content.conditions.filter(({ negated }) => !negated)
  const denied = item.negated ? content.conditions : content.conditions.filter(({ negated }) => negated)
  const born = dateTime(content.birthDate)
  const died = dateTime(content.deathDate)?.slice(0, 10)
  const age = content.ageAtDeath && ageOf(content.ageAtDeath)
  const sex = genderOf(content.gender)
  const nullified = item.status?.source === 'nullified'
  return finish({
    type: 'FamilyMemberHistory',
    id: item.id,
    of: [from],
    words: [
      wordsOf(content.relation),
      ...positive.map((one) => wordsOf(one.condition)),
      ...denied.map((one) => `Denied: ${wordsOf(one.condition) ?? ''}`),
    ],
    fields: {
      identifier: identifiers(item.identifiers),
      status: nullified
        ? 'entered-in-error'
        : item.status?.folded === 'completed' && item.intent !== 'planned'
          ? 'completed'
          : 'partial',
      patient: patientOf(context),
      date: dateTime(item.when?.value ?? item.recordedAt),
      name: content.name
        ? (content.name.text ?? [...content.name.given, content.name.family ?? ''].join(' ').trim())
        : undefined,
      relationship: conceptOrAbsent(content.relation),
      sex: content.gender ? coded('http://hl7.org/fhir/administrative-gender', sex) : undefined,
      ...(born === undefined ? {} : ageless.test(born) ? { bornDate: born } : { bornDate: born.slice(0, 10) }),
      ...(died ? { deceasedDate: died } : age ? { deceasedAge: age } : { deceasedBoolean: content.deceased }),
      note: notes(
        item,
        content.ageAtDeath && !age && `Age at death: ${quantityText(content.ageAtDeath)}`,
        ...denied.map((one) => `Denied: ${wordsOf(one.condition) ?? one.condition.codings[0]?.code ?? ''}`),
      ),
      condition: positive.map((one) => ({
        extension: some(concept(one.kind)).map((kind) => extension(`${own}:kind`, { valueCodeableConcept: kind })),
        code: conceptOrAbsent(one.condition),
        contributedToDeath: one.causedDeath,
        ...beginning(one.ageAtOnset, dateTime(one.when?.value ?? one.when?.low)),
        note: one.status ? [{ text: `Status: ${wordsOf(one.status) ?? one.status.codings[0]?.code ?? ''}` }] : [],
      })),
    },
  })
}

function beginning(age: Quantity | undefined, began: string | undefined): JsonObject {
  const told = age && ageOf(age)
  if (told) return { onsetAge: told }
  const words = [began, age && quantityText(age)].filter((one) => one !== undefined).join(', ')
  return words === '' ? {} : { onsetString: words }
}

/** What the covered person is to the holder, in the codes that Coverage wants. */
const relationships: Readonly<Record<string, string>> = {
  SELF: 'self',
  FAMDEP: 'other',
  SPS: 'spouse',
  SPON: 'other',
  CHILD: 'child',
  PAR: 'parent',
  DOMPART: 'common',
  '01': 'spouse',
  '18': 'self',
  '19': 'child',
}

function relationshipOf(from: Concept | undefined): JsonObject {
  const known = from?.codings.map(({ code }) => lookup(relationships, code)).find((one) => one !== undefined)
  const said = concept(from)
  const word = wordsOf(from)?.toLowerCase() ?? ''
  const worded = ['self', 'spouse', 'child', 'parent'].find((one) => word === one)
  const code = known ?? worded
  if (code === undefined) return said ?? absent(from?.nullFlavor)
  const ours = { system: `${hl7}/subscriber-relationship`, code }
  const theirs = (said?.['coding'] ?? []) as readonly JsonObject[]
  const there = theirs.some((one) => one['system'] === ours.system && one['code'] === code)
  return { coding: there ? theirs : [...theirs, ours], text: said?.['text'] }
}

/** A Coverage (US Core). */
export function coverage(from: Sourced, content: Insurance, context: Context): Resource {
  const { item } = from
  const cast = openCast()
  const member = content.memberIdentifiers.find(({ value }) => said(value) !== undefined)
  const memberId = content.memberIdentifiers.map(identifier).filter((one) => one !== undefined)
  const order = integerOf(content.priority)
  const payer =
    cast.refer(content.payer, ['organization']) ??
    (content.payer && said(content.payer.text) ? { display: content.payer.text } : undefined)
  const ended = item.negated || item.status?.folded === 'cancelled'
  const inForce = item.intent === 'planned' ? 'draft' : 'active'
  const holder = content.subscriber
  if (holder) {
    cast.contained.push({
      resourceType: 'RelatedPerson',
      id: 'subscriber',
      identifier: identifiers(holder.identifiers),
      patient: patientOf(context),
      name: [holder.name ? { ...humanName(holder.name), text: holder.text } : { text: holder.text }],
      telecom: some(...(holder.telecoms ?? []).map(telecom)),
      birthDate: date(content.subscriberBirthDate),
      address: (holder.addresses ?? []).map(address),
    })
  }
  return finish({
    type: 'Coverage',
    id: item.id,
    of: [from],
    cast,
    words: [
      `${item.negated ? 'Not covered: ' : ''}${content.planName ?? wordsOf(content.coverage) ?? ''}`,
      content.payer?.text,
      whenText(item.when),
    ],
    fields: {
      identifier: [
        ...identifiers(item.identifiers),
        ...memberId.map((one) => ({ ...one, type: coded(`${hl7}/v2-0203`, 'MB') })),
      ],
      status: item.status?.source === 'nullified' ? 'entered-in-error' : ended ? 'cancelled' : inForce,
      type: concept(content.coverage),
      subscriber: holder ? { reference: '#subscriber', display: holder.text } : undefined,
      subscriberId: member?.value,
      beneficiary: patientOf(context),
      relationship: relationshipOf(content.relationship),
      period: period(item.when),
      payor: [payer ?? absent()],
      class: [
        ...(said(content.groupNumber) === undefined
          ? []
          : [{ type: coded(`${hl7}/coverage-class`, 'group'), value: content.groupNumber }]),
        ...(said(content.planName) === undefined
          ? []
          : [{ type: coded(`${hl7}/coverage-class`, 'plan'), value: content.planName, name: content.planName }]),
      ],
      order: order === 0 ? undefined : order,
    },
    extensions: [
      ...(content.guarantor && said(content.guarantor.text)
        ? [extension(`${own}:guarantor`, { valueString: content.guarantor.text })]
        : []),
      ...(content.authorizations ?? [])
        .filter(names)
        .map((one) => extension(`${own}:authorization`, { valueCodeableConcept: concept(one) })),
    ],
  })
}

/** A CareTeam (US Core). A member without a role says so. */
export function careTeam(from: Sourced, content: CareTeam, context: Context): Resource {
  const { item } = from
  const cast = openCast()
  const statuses: Readonly<Record<string, string>> = {
    active: 'active',
    completed: 'inactive',
    resolved: 'inactive',
    inactive: 'inactive',
    cancelled: 'inactive',
    planned: 'proposed',
  }
  const status = item.status?.source === 'nullified' ? 'entered-in-error' : statuses[item.status?.folded ?? 'active']
  return finish({
    type: 'CareTeam',
    id: item.id,
    of: [from],
    cast,
    words: [content.name ?? wordsOf(content.kind), ...content.members.map(({ agent }) => agent.text)],
    fields: {
      identifier: identifiers(item.identifiers),
      status: item.negated ? 'inactive' : status === 'active' && item.intent === 'planned' ? 'proposed' : status,
      category: some(concept(content.kind)),
      name: content.name ?? wordsOf(content.kind),
      subject: patientOf(context),
      period: period(item.when),
      participant: content.members.map(({ agent, when }) => ({
        role: [conceptOrAbsent(agent.role)],
        member: cast.refer(agent, ['person', 'organization']) ?? { display: said(agent.text) ?? 'Unknown' },
        period: period(when),
      })),
      note: notes(item),
    },
  })
}
