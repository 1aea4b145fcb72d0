import type { AdvanceDirective, FamilyHistory, Insurance } from '../../../direct/clinical.js'
import type { Agent } from '../../../direct/datatypes.js'
import { type Content, element, type Markup } from '../../../xml/write.js'
import {
  actCode,
  address,
  code,
  fixed,
  fixedValue,
  identifier,
  identifiers,
  loinc,
  name,
  optionalCode,
  optionalPeriod,
  period,
  quantity,
  roleCode,
  snomed,
  telecom,
  template,
  time,
  value,
} from './datatypes.js'
import { actStatus } from './medications.js'
import { assignedEntity, personName } from './people.js'
import {
  appendix,
  authorship,
  type Entry,
  idsOf,
  moodOf,
  participations,
  relation,
  statement,
  status,
  textReference,
} from './statement.js'

/** Family history organizer, an observation for each condition (C-CDA 22.4.45, 22.4.46). */
export function familyEntry(entry: Entry, family: FamilyHistory): Markup {
  const { item, ref } = entry
  return statement(
    'organizer',
    { class: 'CLUSTER', mood: moodOf(item), negated: item.negated, nullFlavor: item.nullFlavor },
    template('22.4.45', '2015-08-01'),
    idsOf(item),
    status('completed'),
    optionalPeriod('effectiveTime', item.when),
    element(
      'subject',
      {},
      element(
        'relatedSubject',
        { classCode: 'PRS' },
        code('code', family.relation, { words: `${ref}-1`, qualified: false }),
        relative(family),
      ),
    ),
    participations(item),
    family.conditions.map((condition, at) => element('component', {}, familyObservation(entry, condition, at))),
    family.ageAtDeath && element('component', {}, deathObservation(entry, family)),
  )
}

function relative(family: FamilyHistory): Markup {
  const { deceased, deathDate } = family
  return element(
    'subject',
    {},
    family.name && name(family.name),
    family.gender
      ? code('administrativeGenderCode', family.gender, { qualified: false })
      : element('administrativeGenderCode', { nullFlavor: 'UNK' }),
    family.birthDate && time('birthTime', family.birthDate),
    deceased === undefined ? undefined : element('sdtc:deceasedInd', { value: String(deceased) }),
    deathDate && time('sdtc:deceasedTime', deathDate),
  )
}

type Condition = FamilyHistory['conditions'][number]

function age(years: Condition['ageAtOnset']): Content {
  const written = quantity('value', years, { 'xsi:type': 'PQ' })
  return (
    written &&
    relation(
      'SUBJ',
      statement(
        'observation',
        { class: 'OBS', mood: 'EVN' },
        template('22.4.31'),
        fixed('code', '445518008', snomed, 'Age At Onset'),
        status('completed'),
        written,
      ),
      true,
    )
  )
}

function familyObservation({ item }: Entry, condition: Condition, at: number): Markup {
  return statement(
    'observation',
    { class: 'OBS', mood: 'EVN', negated: condition.negated },
    template('22.4.46', '2015-08-01'),
    idsOf(item, `condition-${at}`),
    condition.kind
      ? code('code', condition.kind)
      : // What sort of statement it is, its source did not say.
        fixed('code', 'ASSERTION', actCode, 'Assertion'),
    status('completed'),
    period('effectiveTime', condition.when),
    code('value', condition.condition, { type: 'CD' }),
    age(condition.ageAtOnset),
    condition.causedDeath === true ? relation('CAUS', death(undefined)) : undefined,
    condition.status &&
      relation(
        'REFR',
        statement(
          'observation',
          { class: 'OBS', mood: 'EVN' },
          fixed('code', '33999-4', loinc, 'Status'),
          status('completed'),
          code('value', condition.status, { type: 'CD' }),
        ),
      ),
  )
}

/** Family history death observation (C-CDA 22.4.47). */
function death(aged: Content): Markup {
  return statement(
    'observation',
    { class: 'OBS', mood: 'EVN' },
    template('22.4.47'),
    fixed('code', 'ASSERTION', actCode, 'Assertion'),
    status('completed'),
    fixedValue('419099009', snomed, 'Dead'),
    aged,
  )
}

/** The age at death, as a finding by itself. */
function deathObservation({ item }: Entry, { ageAtDeath }: FamilyHistory): Markup {
  return statement(
    'observation',
    { class: 'OBS', mood: 'EVN' },
    template('22.4.46', '2015-08-01'),
    template('22.4.47'),
    idsOf(item, 'death'),
    fixed('code', 'ASSERTION', actCode, 'Assertion'),
    status('completed'),
    period('effectiveTime', undefined),
    fixedValue('419099009', snomed, 'Dead'),
    age(ageAtDeath),
  )
}

/** Coverage and policy activity (C-CDA 22.4.60, 22.4.61): payer, guarantor, covered party and holder. */
export function insuranceEntry(entry: Entry, insurance: Insurance): Markup {
  const { item } = entry
  return statement(
    'act',
    { class: 'ACT', mood: 'EVN' },
    template('22.4.60', '2015-08-01'),
    idsOf(item, 'coverage'),
    fixed('code', '48768-6', loinc, 'Payment sources'),
    status('completed'),
    element(
      'entryRelationship',
      { typeCode: 'COMP' },
      insurance.priority !== undefined && /^\d+$/.test(insurance.priority)
        ? element('sequenceNumber', { value: insurance.priority })
        : undefined,
      policy(entry, insurance),
    ),
  )
}

function policy(entry: Entry, insurance: Insurance): Markup {
  const { item, ref } = entry
  const { payer, guarantor, subscriber, groupNumber, planName } = insurance
  return statement(
    'act',
    { class: 'ACT', mood: moodOf(item), negated: item.negated, nullFlavor: item.nullFlavor },
    template('22.4.61', '2015-08-01'),
    groupNumber === undefined
      ? idsOf(item)
      : [groupId(item.identifiers, groupNumber), rest(item.identifiers, groupNumber)],
    code('code', insurance.coverage, { words: `${ref}-1` }),
    status(actStatus(item) ?? 'completed'),
    optionalPeriod('effectiveTime', item.when),
    payer &&
      element(
        'performer',
        { typeCode: 'PRF' },
        template('22.4.87'),
        payerEntity(payer, 'PAYOR', '2.16.840.1.113883.5.110'),
      ),
    guarantor &&
      element('performer', { typeCode: 'PRF' }, template('22.4.88'), payerEntity(guarantor, 'GUAR', roleCode)),
    authorship(item),
    coveredParty(insurance),
    subscriber && holder(subscriber, insurance),
    planName === undefined
      ? undefined
      : relation(
          'REFR',
          statement(
            'act',
            { class: 'ACT', mood: 'DEF' },
            idsOf(item, 'plan'),
            element('code', { nullFlavor: 'NA' }),
            element('text', {}, planName),
          ),
        ),
    insurance.authorizations?.map((one, at) =>
      relation(
        'REFR',
        statement(
          'act',
          { class: 'ACT', mood: 'EVN' },
          template('2.16.840.1.113883.10.20.1.19'),
          idsOf(item, `authorization-${at}`),
          element('code', { nullFlavor: 'NA' }),
          relation('SUBJ', statement('procedure', { class: 'PROC', mood: 'PRMS' }, code('code', one))),
        ),
      ),
    ),
    appendix(entry),
  )
}

/** The policy's id holds the group number. */
function groupId(all: Entry['item']['identifiers'], group: string): Markup {
  return identifier(all.find(({ value: one }) => one === group) ?? { root: 'group number', value: group })
}

function rest(all: Entry['item']['identifiers'], group: string): Content {
  return all.filter(({ value: one }) => one !== group).map(identifier)
}

/** The guide fixes what a payer's role is called; the source's own role code stays as a translation of it. */
function payerEntity(agent: Agent, fixedCode: string, system: string): Markup {
  const others = agent.role?.codings.filter(({ code: one }) => one !== fixedCode) ?? []
  const fixedRole = { code: fixedCode, system: `urn:oid:${system}`, sourceSystem: system }
  return assignedEntity({ ...agent, role: { codings: [fixedRole, ...others] } })
}

/** Covered party (C-CDA 22.4.89): the patient as the payer knows him. */
function coveredParty({ memberIdentifiers, relationship }: Insurance): Markup {
  return element(
    'participant',
    { typeCode: 'COV' },
    template('22.4.89'),
    element(
      'participantRole',
      { classCode: 'PAT' },
      identifiers(memberIdentifiers),
      relationship ? code('code', relationship, { qualified: false }) : element('code', { nullFlavor: 'UNK' }),
    ),
  )
}

/** Policy holder (C-CDA 22.4.90). */
function holder(agent: Agent, { subscriberBirthDate }: Insurance): Markup {
  return element(
    'participant',
    { typeCode: 'HLD' },
    template('22.4.90'),
    participantRole(agent, subscriberBirthDate && time('sdtc:birthTime', subscriberBirthDate)),
  )
}

function participantRole(agent: Agent, more?: Content, classCode?: string): Markup {
  const organized = agent.kind === 'person' ? agent.organization : undefined
  return element(
    'participantRole',
    { classCode },
    agent.identifiers.length > 0 ? identifiers(agent.identifiers) : undefined,
    optionalCode('code', agent.role, { qualified: false }),
    agent.addresses?.map(address),
    agent.telecoms?.map(telecom),
    element('playingEntity', agent.kind === 'organization' ? { classCode: 'ORG' } : {}, personName(agent), more),
    organized === undefined ? undefined : element('scopingEntity', {}, element('desc', {}, organized)),
  )
}

/** Advance directive observation (C-CDA 22.4.48) with who verified it, who keeps it and the papers themselves. */
export function directiveEntry(entry: Entry, directive: AdvanceDirective): Markup {
  const { item, ref } = entry
  return statement(
    'observation',
    { class: 'OBS', mood: moodOf(item), negated: item.negated, nullFlavor: item.nullFlavor },
    template('22.4.48', '2015-08-01'),
    idsOf(item),
    code('code', directive.directive, {
      words: `${ref}-1`,
      more: directive.directive.codings.some(({ code: one }) => one === '75320-2')
        ? []
        : [{ code: '75320-2', system: 'http://loinc.org', display: 'Advance directive' }],
    }),
    textReference(ref),
    status(actStatus(item) ?? 'completed'),
    period('effectiveTime', item.when, { begins: true }),
    value(directive.value ?? { kind: 'absent', nullFlavor: 'NI' }),
    participations(item),
    directive.verifiers.map((agent) =>
      element(
        'participant',
        { typeCode: 'VRF' },
        template('2.16.840.1.113883.10.20.1.58'),
        time('time', agent.at),
        participantRole(agent),
      ),
    ),
    directive.agents.map((agent) =>
      element('participant', { typeCode: 'CST' }, participantRole(agent, undefined, 'AGNT')),
    ),
    appendix(entry),
    directive.documents.map(({ identifiers: ids, mediaType, reference }) =>
      element(
        'reference',
        { typeCode: 'REFR' },
        element(
          'externalDocument',
          {},
          identifiers(ids),
          reference === undefined
            ? undefined
            : element('text', { mediaType }, element('reference', { value: reference })),
        ),
      ),
    ),
  )
}
