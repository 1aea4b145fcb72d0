import { describe, expect, test } from 'vitest'
import { type Resource, writeJson } from '../../src/clinical/fhir/json.js'
import type { Sourced } from '../../src/clinical/fhir/make.js'
import { type Mapped, provenancesOf, toFhir } from '../../src/clinical/fhir/map.js'
import type { ItemContent, RecordItem } from '../../src/direct/clinical.js'
import type { Agent, Concept, PartialDate } from '../../src/direct/datatypes.js'
import { faultsOf } from './fhir-judge.js'
import { unsafe, unsafeAs } from './fhir-safety.js'

/** One resource of each type, reviewed by eye; a change to one of the files wants the same. Everybody in them is invented. */

const snomed = 'http://snomed.info/sct'
const rxnorm = 'http://www.nlm.nih.gov/research/umls/rxnorm'
const loinc = 'http://loinc.org'

function say(text: string, code?: string, system = snomed): Concept {
  return { codings: code === undefined ? [] : [{ system, code, display: text }], text }
}

function on(text: string, offsetMinutes: number | null = null): PartialDate {
  const precision = ({ 4: 'year', 7: 'month', 10: 'day', 16: 'minute' } as const)[text.length] ?? 'second'
  return { text, precision, offsetMinutes, source: text.replace(/[-:T]/g, '') }
}

const doctor: Agent = {
  kind: 'person',
  text: 'Ada Sample MD',
  name: { given: ['Ada'], family: 'Sample', suffix: 'MD' },
  organization: 'Sample Clinic',
  identifiers: [{ root: '2.16.840.1.113883.4.6', value: '1234567893' }],
  at: on('2020-02-03T10:30:00', -300),
}
const clinic: Agent = { kind: 'organization', text: 'Sample Clinic', identifiers: [{ root: '1.2.3.4' }] }
const sha256 = 'ab'.repeat(32)
let count = 0

function sourced(content: ItemContent, more: Partial<RecordItem> = {}): Sourced {
  const id = String(++count).padStart(32, '0')
  const item: RecordItem = {
    id,
    content,
    negated: false,
    intent: 'performed',
    identifiers: [{ root: '1.2.3.4.5', value: `e${count}` }],
    recordedAt: on('2020-02-03T10:30:00', -300),
    provenance: { document: sha256, entry: `/ClinicalDocument[1]/entry[${count}]`, section: 'S', authors: [doctor] },
    ...more,
  }
  return { item, addedAt: 1_700_000_000_000, source: { sender: 'dr@far.example', messageId: 'm' } }
}

const done = { status: { folded: 'completed', source: 'completed' } } as const
const active = { status: { folded: 'active', source: 'active' } } as const
const planned = { intent: 'planned', mood: 'INT', status: { folded: 'active', source: 'active' } } as const
const observed = {
  interpretations: [say('normal', 'N', 'http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation')],
  referenceRanges: [],
}
const day = { when: { value: on('2020-02-03') } }
const since = { when: { low: on('2019-11') } }
const pressure = (code: string, value: string): Sourced =>
  sourced(
    {
      type: 'vital-sign',
      test: say('pressure', code, loinc),
      value: { kind: 'quantity', quantity: { value, unit: 'mm[Hg]' } },
      panel: { entry: '/v[1]', identifiers: [] },
      interpretations: [],
      referenceRanges: [],
    },
    { when: { value: on('2020-02-03T08:00', -300) }, ...done },
  )

const items: readonly Sourced[] = [
  sourced({
    type: 'demographics',
    names: [{ given: ['Ben'], family: 'Sample', use: 'L' }],
    birthDate: on('1970-01'),
    gender: say('Male', 'M', 'http://terminology.hl7.org/CodeSystem/v3-AdministrativeGender'),
    races: [say('White', '2106-3', 'urn:oid:2.16.840.1.113883.6.238')],
    ethnicities: [],
    languages: ['en'],
    addresses: [{ lines: ['1 Sample Street'], city: 'Sampleton', state: 'OR', postalCode: '97005', use: 'HP' }],
    telecoms: [{ value: 'tel:+1-555-0100', use: 'HP' }],
    identifiers: [{ root: '1.2.3.4', value: '998991' }],
    contacts: [{ kind: 'person', text: 'Cleo Sample', role: say('spouse', 'SPS'), identifiers: [] }],
    provider: clinic,
  }),
  sourced({
    type: 'document',
    mediaType: 'text/xml',
    name: 'ccd.xml',
    sizeBytes: 4711,
    sha256,
    format: 'c-cda',
    formatVersion: '2.1',
    title: 'Summary of care',
    code: say('Summary of episode note', '34133-9', loinc),
    custodian: clinic,
    related: [{ kind: 'RPLC', identifiers: [{ root: '1.2.3.4.6', value: 'old' }] }],
    metadata: {
      level: 'full',
      comments: 'As asked for',
      uniqueId: '1.2.3.4.7',
      language: 'en-US',
      class: say('Summarization of episode', '34133-9', loinc),
      practiceSetting: say('General practice', '394802001'),
      facilityKind: say('Outpatient clinic', '33022008'),
      confidentiality: [say('Normal', 'N', 'http://terminology.hl7.org/CodeSystem/v3-Confidentiality')],
      authors: [doctor],
      sourcePatient: { root: '1.2.3.4', value: '998991' },
      submission: {
        title: 'Referral',
        sourceId: '1.2.3',
        submittedAt: on('2020-02-03T11:00:00', 0),
        authors: [doctor],
        recipients: ['ben@gw.example'],
      },
    },
  }),
  sourced(
    {
      type: 'allergy',
      substance: say('Penicillin G', '7980', rxnorm),
      kind: say('Allergy to drug', '416098002'),
      reactions: [{ manifestation: say('Hives', '247472004'), severity: say('Moderate', '6736007') }],
      criticality: say('high', 'CRITH'),
    },
    { ...active, ...since },
  ),
  sourced(
    {
      type: 'problem',
      problem: say('Asthma', '195967001'),
      bodySites: [say('Lung', '39607008')],
      diagnosedAt: on('2019-12'),
    },
    { ...active, ...since },
  ),
  sourced(
    {
      type: 'medication',
      product: say('Prednisone 5 MG Oral Tablet', '312617', rxnorm),
      strength: { value: '5.0', unit: 'mg' },
      form: say('Oral tablet', '421026006'),
      manufacturer: 'Sample Pharma',
      route: say('Oral', '26643006'),
      timings: [],
      asNeeded: false,
      directions: [
        {
          dose: { value: '4', unit: '{tbl}' },
          timings: [{ period: { value: '1', unit: 'd' } }],
          text: '4 tablets daily for 3 days',
        },
        {
          dose: { value: '2', unit: '{tbl}' },
          timings: [{ period: { value: '1', unit: 'd' } }],
          text: 'then 2 tablets daily',
        },
      ],
      instructions: 'Take with food',
      indications: [say('Asthma', '195967001')],
      supplies: [
        { kind: 'order', fills: '2', quantity: { value: '18', unit: '{tbl}' }, identifiers: [] },
        { kind: 'dispense', status: 'completed', when: { value: on('2020-02-04') }, by: clinic, identifiers: [] },
      ],
    },
    { ...active, ...since, intent: 'ordered', mood: 'INT' },
  ),
  sourced(
    {
      type: 'immunization',
      vaccine: say('MMR', '03', 'http://hl7.org/fhir/sid/cvx'),
      lot: 'L1',
      doseNumber: '2',
      manufacturer: 'Sample Vaccines',
    },
    { ...done, ...day, performers: [doctor] },
  ),
  pressure('8480-6', '120.0'),
  pressure('8462-4', '80'),
  sourced(
    {
      type: 'result',
      test: say('Hemoglobin', '718-7', loinc),
      value: { kind: 'quantity', quantity: { value: '13.50', unit: 'g/dL' } },
      panel: {
        entry: '/r[1]',
        code: say('CBC panel', '57021-8', loinc),
        status: 'completed',
        identifiers: [],
        when: day.when,
      },
      ...observed,
      referenceRanges: [{ low: { value: '12.0', unit: 'g/dL' }, high: { value: '15.5', unit: 'g/dL' } }],
    },
    { ...done, ...day },
  ),
  sourced(
    { type: 'procedure', procedure: say('Spirometry', '127783003'), bodySites: [], devices: [] },
    { ...done, ...day, performers: [doctor] },
  ),
  sourced(
    { type: 'procedure', procedure: say('Colonoscopy', '73761001'), bodySites: [], devices: [] },
    { ...planned, when: { value: on('2021') } },
  ),
  sourced(
    {
      type: 'encounter',
      encounter: say('Office visit', '99213', 'http://www.ama-assn.org/go/cpt'),
      diagnoses: [],
      locations: ['Sample Clinic'],
    },
    { ...done, ...day, performers: [doctor] },
  ),
  sourced({
    type: 'family-history',
    relation: say('mother', 'MTH'),
    conditions: [
      {
        condition: say('Diabetes', '44054006'),
        kind: say('Diagnosis', '282291009'),
        ageAtOnset: { value: '50', unit: 'a' },
        negated: false,
      },
      { condition: say('Stroke', '230690007'), negated: true },
    ],
  }),
  sourced(
    {
      type: 'insurance',
      coverage: say('PPO'),
      payer: clinic,
      memberIdentifiers: [{ root: '1.2.3.4.8', value: 'M1' }],
      relationship: say('self', 'SELF'),
      planName: 'Sample Plan',
    },
    active,
  ),
  sourced(
    {
      type: 'device',
      device: say('Cardiac pacemaker', '14106009'),
      udi: '(01)00643169007222(17)160128(21)BLC200461H',
      safety: [say('MR Conditional', 'C113844')],
      distinctIdentifier: 'W1234',
      serial: 'BLC200461H',
      bodySites: [],
    },
    done,
  ),
  sourced({ type: 'device', device: say('Wheelchair', '58938008'), bodySites: [] }, planned),
  sourced(
    {
      type: 'goal',
      goal: say('Body weight', '29463-7', loinc),
      target: { kind: 'quantity', quantity: { value: '80', unit: 'kg' } },
      reasons: [say('Obesity', '414916001')],
    },
    { ...active, intent: 'goal', mood: 'GOL', when: { high: on('2021-01-01') } },
  ),
  sourced(
    { type: 'plan', activity: say('Low salt diet'), instructions: 'Less than 2 g a day', indications: [] },
    active,
  ),
  sourced(
    {
      type: 'care-team',
      name: 'Asthma team',
      members: [{ agent: { ...doctor, role: say('Physician', '309343006') } }],
    },
    active,
  ),
]

/** JSON as people read it, its numbers as they were written. */
function indented(text: string): string {
  let depth = 0
  return text.replace(/"(?:[^"\\]|\\.)*"|[{}[\],:]/g, (token) => {
    const line = (by: number) => {
      depth += by
      return `\n${' '.repeat(depth)}`
    }
    if (token === '{' || token === '[') return token + line(1)
    if (token === '}' || token === ']') return line(-1) + token
    return token === ',' ? token + line(0) : token === ':' ? ': ' : token
  })
}

const mapping = toFhir(items, { record: '11111111-1111-4111-8111-111111111111', base: 'https://gw.example/fhir' })
const firstOf = new Map<string, Mapped>()
for (const one of [...mapping.resources, ...provenancesOf(mapping.resources.slice(1), mapping.context)]) {
  const type = one.resource.resourceType
  if (!firstOf.has(type)) firstOf.set(type, one)
}

describe('a resource of each type', () => {
  test('all types that there are', () => {
    expect([...firstOf.keys()].sort()).toEqual([
      ...['AllergyIntolerance', 'CarePlan', 'CareTeam', 'Condition', 'Coverage', 'Device', 'DeviceRequest'],
      ...['DiagnosticReport', 'DocumentReference', 'Encounter', 'FamilyMemberHistory', 'Goal', 'Immunization'],
      ...['MedicationDispense', 'MedicationRequest', 'Observation', 'Patient', 'Procedure', 'Provenance'],
      'ServiceRequest',
    ])
  })

  test.each([...firstOf])('%s', async (type, mapped) => {
    const text = writeJson(mapped.resource)
    expect(JSON.parse(indented(text))).toEqual(JSON.parse(text))
    expect(faultsOf(JSON.parse(text))).toEqual([])
    expect(unsafe(mapped)).toEqual([])
    await expect(`${indented(text)}\n`).toMatchFileSnapshot(`../golden/fhir/${type}.txt`)
  })
})

describe('the judge of safety', () => {
  const denied = { negated: true }
  const all: readonly [string, Sourced, Record<string, unknown>][] = [
    [
      'a denied allergy that is confirmed',
      sourced({ type: 'allergy', substance: say('Latex', '111088007'), reactions: [] }, denied),
      { verificationStatus: { coding: [{ code: 'confirmed' }] } },
    ],
    [
      'a denied problem',
      sourced({ type: 'problem', problem: say('Asthma', '195967001') }, denied),
      { verificationStatus: undefined },
    ],
    [
      'a medication not taken',
      sourced(
        { type: 'medication', product: say('Aspirin', '1191', rxnorm), timings: [], asNeeded: false, indications: [] },
        denied,
      ),
      { doNotPerform: undefined },
    ],
    [
      'a vaccine not given',
      sourced({ type: 'immunization', vaccine: say('MMR', '03') }, denied),
      { status: 'completed' },
    ],
    [
      'a value that was denied',
      sourced({ type: 'result', test: say('X'), value: { kind: 'text', text: '5' }, ...observed }, denied),
      { valueString: '5' },
    ],
    [
      'a plan that is done',
      sourced({ type: 'procedure', procedure: say('Colonoscopy'), bodySites: [], devices: [] }, planned),
      { status: 'completed' },
    ],
    [
      'a plan without intent',
      sourced({ type: 'plan', activity: say('Diet'), indications: [] }, planned),
      { intent: undefined },
    ],
    [
      'a null problem that is confirmed',
      sourced({ type: 'problem', problem: say('Asthma') }, { nullFlavor: 'UNK' }),
      { verificationStatus: { coding: [{ code: 'confirmed' }] } },
    ],
  ]
  test.each(all)('sees %s', (_, from, fault) => {
    const mapped = toFhir([from], { record: 'r', base: 'b' }).resources[1]
    if (!mapped) throw new Error('nothing was made of it')
    expect(unsafe(mapped)).toEqual([])
    expect(unsafeAs({ ...mapped.resource, ...fault } as Resource, mapped)).not.toEqual([])
  })
})
