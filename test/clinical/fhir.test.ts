import { describe, expect, test } from 'vitest'
import { dateTime } from '../../src/clinical/fhir/datatypes.js'
import { decimalOf, type Resource, writeJson } from '../../src/clinical/fhir/json.js'
import type { Sourced } from '../../src/clinical/fhir/make.js'
import { provenancesOf, toFhir } from '../../src/clinical/fhir/map.js'
import { isUcum } from '../../src/clinical/fhir/ucum.js'
import type { ItemContent, RecordItem } from '../../src/direct/clinical.js'
import type { Concept, PartialDate } from '../../src/direct/datatypes.js'
import { faultsOf } from './fhir-judge.js'

/** Resources that were looked at by eye once, and what must never come out. */

const snomed = 'http://snomed.info/sct'
const place = { record: '11111111-1111-4111-8111-111111111111', base: 'https://gw.example/fhir' }
let count = 0

function say(text: string, code?: string, system = snomed): Concept {
  return { codings: code === undefined ? [] : [{ system, code, display: text }], text }
}

function on(text: string, offsetMinutes: number | null = null): PartialDate {
  const precision = ({ 4: 'year', 7: 'month', 10: 'day', 13: 'hour', 16: 'minute' } as const)[text.length] ?? 'second'
  return { text, precision, offsetMinutes, source: text }
}

function sourced(content: ItemContent, more: Partial<RecordItem> = {}): Sourced {
  const id = String(++count).padStart(32, '0')
  const provenance = { document: 'ab'.repeat(32), entry: `/x[${count}]`, authors: [] }
  const item: RecordItem = { id, content, negated: false, intent: 'performed', identifiers: [], provenance, ...more }
  return { item, addedAt: 1_700_000_000_000, source: { sender: 'dr@far.example', messageId: 'm' } }
}

/** All resources but the patient, as a client parses them; every one is sound. */
function resources(...items: Sourced[]): Record<string, unknown>[] {
  const mapping = toFhir(items, place)
  const all = [...mapping.resources, ...provenancesOf(mapping.resources, mapping.context)]
  const parsed = all.map(({ resource }) => JSON.parse(writeJson(resource)) as Record<string, unknown>)
  for (const one of parsed) expect(faultsOf(one)).toEqual([])
  return parsed.filter((one) => one['resourceType'] !== 'Patient' && one['resourceType'] !== 'Provenance')
}

const observed = { interpretations: [], referenceRanges: [] }
const vital = (code: string, value: string, unit: string): ItemContent => ({
  type: 'vital-sign',
  test: say('vital', code, 'http://loinc.org'),
  value: { kind: 'quantity', quantity: { value, unit } },
  panel: { entry: '/panel[1]', identifiers: [] },
  ...observed,
})

describe('numbers, dates and units', () => {
  test('a decimal keeps every digit of its source', () => {
    const texts = ['1.50', '0.10', '-0.0', '1e3', '+5', '007', '.5', '5.', '10000000000000000000.10']
    expect(texts.map((one) => decimalOf(one)?.text)).toEqual([
      '1.50',
      '0.10',
      '-0.0',
      '1e3',
      '5',
      '7',
      '0.5',
      '5',
      '10000000000000000000.10',
    ])
    for (const text of ['', '.', '-', '1,5', '<5', '0x1F', 'NaN', '1e999', '--1', '1 2'])
      expect(decimalOf(text)).toBeUndefined()
  })

  test('a date has the precision of its source, and no time without a zone', () => {
    const cases: [string, number | null, string | undefined][] = [
      ['2015', null, '2015'],
      ['2015-06', null, '2015-06'],
      ['2015-06-22', null, '2015-06-22'],
      ['2015-06-22T10', 0, '2015-06-22'],
      ['2015-06-22T10:30', null, '2015-06-22'],
      ['2015-06-22T10:30', -300, '2015-06-22T10:30:00-05:00'],
      ['2015-06-22T10:30:15.5', 330, '2015-06-22T10:30:15.5+05:30'],
      ['2015-06-22T10:30:15', 15 * 60, '2015-06-22'],
      ['0000', null, undefined],
      ['soon', null, undefined],
    ]
    for (const [text, offset, told] of cases) expect(dateTime(on(text, offset))).toBe(told)
  })

  test('a unit is a UCUM code only where it is one', () => {
    const good = [
      'mg',
      'mg/dL',
      '10*3/uL',
      'mm[Hg]',
      '/min',
      '%',
      '{puff}',
      'kg/m2',
      '[in_i]',
      'mL/min/{1.73_m2}',
      'm[IU]/L',
      '10*9/L',
      '[degF]',
      'Cel',
      'ug/(kg.h)',
      '1',
      '[pH]',
      'U/L',
      'meq/L',
    ]
    const bad = [
      'MG',
      'mcg',
      'Tablet',
      'puff',
      'cap(s)',
      'milliliter',
      'TOILET',
      'tabs',
      'mg / dL',
      'mmHg',
      '(mg',
      'mg)',
      'ML',
      '',
      'mg//dL',
      'toString',
    ]
    expect(good.filter((unit) => !isUcum(unit))).toEqual([])
    expect(bad.filter(isUcum)).toEqual([])
  })
})

describe('nothing that is denied comes out as a finding', () => {
  test('an allergy that is denied is refuted, or says that none is known', () => {
    const [refuted, none, drugs] = resources(
      sourced(
        {
          type: 'allergy',
          substance: say('Penicillin', '7980', 'http://www.nlm.nih.gov/research/umls/rxnorm'),
          reactions: [],
        },
        { negated: true },
      ),
      sourced({ type: 'allergy', substance: { codings: [] }, reactions: [] }, { negated: true }),
      sourced(
        { type: 'allergy', substance: { codings: [] }, kind: say('drug allergy', '416098002'), reactions: [] },
        { negated: true },
      ),
    )
    expect(refuted).toMatchObject({
      verificationStatus: { coding: [{ code: 'refuted' }] },
      clinicalStatus: { coding: [{ code: 'inactive' }] },
    })
    expect(none).toMatchObject({ code: { coding: [{ code: '716186003' }] } })
    expect(drugs).toMatchObject({ code: { coding: [{ code: '409137002' }] } })
  })

  test('whatever is negated says so in the element that its readers look at', () => {
    const not = { negated: true }
    const all = resources(
      sourced({ type: 'problem', problem: say('Asthma', '195967001') }, not),
      sourced({ type: 'problem', problem: { codings: [] } }, not),
      sourced(
        { type: 'medication', product: say('Aspirin', '1191'), timings: [], asNeeded: false, indications: [] },
        not,
      ),
      sourced({ type: 'medication', product: { codings: [] }, timings: [], asNeeded: false, indications: [] }, not),
      sourced({ type: 'immunization', vaccine: say('MMR', '03', 'http://hl7.org/fhir/sid/cvx') }, not),
      sourced({ type: 'procedure', procedure: say('Appendectomy', '80146002'), bodySites: [], devices: [] }, not),
      sourced({ type: 'encounter', encounter: say('Visit'), diagnoses: [], locations: [] }, not),
      sourced({ ...vital('8302-2', '180', 'cm') } as ItemContent, not),
      sourced(
        {
          type: 'social-history',
          test: say('Tobacco'),
          value: { kind: 'concept', concept: say('Smoker', '77176002') },
          ...observed,
        },
        not,
      ),
      sourced({ type: 'device', device: say('Pacemaker', '14106009'), bodySites: [] }, not),
      sourced({ type: 'goal', goal: say('Weight loss') }, not),
      sourced({ type: 'plan', activity: say('Diet'), indications: [] }, { ...not, intent: 'planned' }),
      sourced({
        type: 'family-history',
        relation: say('mother'),
        conditions: [{ condition: say('Diabetes', '73211009'), negated: true }],
      }),
    )
    const said = all.map(
      ({
        verificationStatus,
        clinicalStatus,
        doNotPerform,
        status,
        code,
        valueCodeableConcept,
        lifecycleStatus,
        condition,
      }) =>
        JSON.stringify([
          verificationStatus,
          clinicalStatus,
          doNotPerform,
          status,
          code,
          valueCodeableConcept,
          lifecycleStatus,
          condition ?? 'none',
        ]),
    )
    const marks = [
      'refuted',
      '160245001',
      'true',
      'true',
      'not-done',
      'not-done',
      'cancelled',
      'cancelled',
      'Absent',
      'Absent',
      'rejected',
      'true',
      'none',
    ]
    // A panel of the vital sign stands behind all others.
    expect(said.slice(0, 6).map((one, at) => one.includes(marks[at] ?? ''))).toEqual([
      true,
      true,
      true,
      true,
      true,
      true,
    ])
    for (const mark of marks) expect(said.some((one) => one.includes(mark))).toBe(true)
    expect(JSON.stringify(all)).not.toContain('"77176002"')
    expect(JSON.stringify(all)).not.toContain('"73211009"')
    expect(JSON.stringify(all)).not.toContain('"180"')
  })

  test('what names nothing is left out, and told', () => {
    const { resources: made, skipped } = toFhir(
      [sourced({ type: 'problem', problem: { codings: [], nullFlavor: 'NI' } }, { nullFlavor: 'NI' })],
      place,
    )
    expect(made.map(({ resource }) => resource.resourceType)).toEqual(['Patient'])
    expect(skipped).toMatchObject([{ reason: 'it names nothing' }])
  })
})

test('nothing that is planned comes out as done', () => {
  const planned = { intent: 'planned', mood: 'INT', status: { folded: 'completed', source: 'completed' } } as const
  const all = resources(
    sourced({ type: 'procedure', procedure: say('Colonoscopy', '73761001'), bodySites: [], devices: [] }, planned),
    sourced({ type: 'immunization', vaccine: say('MMR', '03') }, planned),
    sourced({ type: 'encounter', encounter: say('Visit'), diagnoses: [], locations: [] }, planned),
    sourced(vital('8302-2', '180', 'cm'), planned),
    sourced(
      { type: 'medication', product: say('Aspirin', '1191'), timings: [], asNeeded: false, indications: [] },
      planned,
    ),
    sourced({ type: 'device', device: say('Pacemaker', '14106009'), bodySites: [] }, planned),
    sourced({ type: 'plan', activity: say('Diet'), indications: [] }, planned),
  )
  expect(all.map(({ resourceType, status }) => `${resourceType} ${status}`)).toEqual([
    'ServiceRequest unknown',
    'MedicationRequest unknown',
    'Encounter planned',
    'ServiceRequest unknown',
    'MedicationRequest unknown',
    'DeviceRequest unknown',
    'ServiceRequest unknown',
  ])
})

describe('vital signs', () => {
  const when = { value: on('2020-01-02T08:00', 0) }

  test('a blood pressure is one observation with two components', () => {
    const made = resources(
      sourced(vital('8480-6', '120', 'mm[Hg]'), { when }),
      sourced(vital('8462-4', '80', 'mm[Hg]'), { when }),
    )
    const [pressure, panel] = made
    expect(made.length).toBe(2)
    expect(pressure).toMatchObject({
      code: { coding: [{ code: '85354-9' }] },
      effectiveDateTime: '2020-01-02T08:00:00+00:00',
      component: [{ valueQuantity: { value: 120, code: 'mm[Hg]' } }, { valueQuantity: { value: 80 } }],
      meta: { profile: ['http://hl7.org/fhir/us/core/StructureDefinition/us-core-blood-pressure'] },
    })
    expect(panel).toMatchObject({
      code: { coding: [{ code: '85353-1' }] },
      hasMember: [{ reference: `Observation/${pressure?.['id']}` }],
    })
  })

  test('where it is not certain which two belong together, both stay as they are', () => {
    const made = resources(
      ...['120', '130'].map((value) => sourced(vital('8480-6', value, 'mm[Hg]'), { when })),
      sourced(vital('8462-4', '80', 'mm[Hg]'), { when }),
    )
    expect(made.filter((one) => one['component'])).toEqual([])
    expect(made.length).toBe(4)
  })

  test('oximetry has both codes, and what was breathed', () => {
    const [saturation] = resources(
      sourced(vital('59408-5', '97', '%'), { when }),
      sourced(vital('3151-8', '2', 'L/min'), { when }),
    )
    expect(saturation).toMatchObject({
      code: { coding: [{ code: '59408-5' }, { code: '2708-6' }] },
      component: [{ code: { coding: [{ code: '3151-8' }] } }],
    })
  })
})

test('an end makes a problem no longer active, whatever its status says; an unknown end is told', () => {
  const active = { status: { folded: 'active' } } as const
  const [ended, unknown] = resources(
    sourced(
      { type: 'problem', problem: say('Fever', '386661006') },
      { ...active, when: { low: on('2015-02'), high: on('2015-03') } },
    ),
    sourced(
      { type: 'problem', problem: say('Fever', '386661006') },
      { ...active, when: { low: on('2015-02'), highUnknown: true } },
    ),
  )
  expect(ended).toMatchObject({
    clinicalStatus: { coding: [{ code: 'inactive' }] },
    onsetDateTime: '2015-02',
    abatementDateTime: '2015-03',
  })
  expect(unknown).toMatchObject({
    clinicalStatus: { coding: [{ code: 'inactive' }] },
    _abatementDateTime: { extension: [{ valueCode: 'unknown' }] },
  })
})

test('a medication, as it was reviewed by eye', () => {
  const [request, dispense] = resources(
    sourced(
      {
        type: 'medication',
        product: {
          codings: [
            { system: 'http://www.nlm.nih.gov/research/umls/rxnorm', code: '197361', display: 'Amlodipine 5 MG' },
            { system: 'MyDrugs', code: 'x 1' },
          ],
        },
        dose: { value: '1.0', unit: 'Tablet' },
        timings: [{ period: { value: '12', unit: 'h' } }, { event: 'HS' }],
        asNeeded: true,
        preconditions: [say('pain')],
        instructions: 'one & <b>only</b>',
        indications: [],
        supplies: [
          { kind: 'order', fills: '3', quantity: { value: '30', unit: '{tbl}' }, identifiers: [] },
          { kind: 'dispense', status: 'completed', when: { value: on('2020-01-03') }, identifiers: [] },
        ],
      },
      { when: { low: on('2020-01-02') }, intent: 'ordered', mood: 'INT', status: { folded: 'active' } },
    ),
  )
  expect(request).toMatchObject({
    status: 'active',
    intent: 'order',
    medicationCodeableConcept: {
      coding: [
        { code: '197361' },
        { code: 'x 1', extension: [{ url: 'urn:direct-gateway:fhir:source-system', valueString: 'MyDrugs' }] },
      ],
    },
    dosageInstruction: [
      {
        sequence: 1,
        asNeededCodeableConcept: { text: 'pain' },
        timing: { repeat: { boundsPeriod: { start: '2020-01-02' }, frequency: 1, period: 12, periodUnit: 'h' } },
        doseAndRate: [{ doseQuantity: { value: 1, unit: 'Tablet' } }],
      },
      { sequence: 1, timing: { repeat: { when: ['HS'] } } },
    ],
    dispenseRequest: { numberOfRepeatsAllowed: 2, quantity: { value: 30, code: '{tbl}' } },
  })
  expect(JSON.stringify(request)).not.toContain('"code":"Tablet"')
  expect(JSON.stringify(request?.['text'])).toContain('<p>one &amp; &lt;b&gt;only&lt;/b&gt;</p>')
  expect(dispense).toMatchObject({
    resourceType: 'MedicationDispense',
    status: 'completed',
    whenHandedOver: '2020-01-03',
  })
})

describe('the judge', () => {
  const [{ resource }] = toFhir(
    [sourced({ type: 'problem', problem: say('Fever', '386661006') })],
    place,
  ).resources.slice(1) as unknown as [{ resource: Resource }]
  const seeded: [string, Record<string, unknown>][] = [
    ['a missing subject', { subject: undefined }],
    [
      'a status of no value set',
      {
        clinicalStatus: {
          coding: [{ system: 'http://terminology.hl7.org/CodeSystem/condition-clinical', code: 'fine' }],
        },
      },
    ],
    ['an element of no definition', { negated: true }],
    ['an abatement of what is active', { abatementDateTime: '2020' }],
    ['a date that is none', { onsetDateTime: '22.6.2015' }],
    ['a category that its profile does not have', { category: [{ text: 'none' }] }],
    ['a reference to nothing', { recorder: { reference: '#nobody' } }],
    ['an empty list', { note: [] }],
  ]
  test.each(seeded)('sees %s', (_, fault) => {
    const sound = JSON.parse(writeJson(resource)) as Record<string, unknown>
    expect(faultsOf(sound)).toEqual([])
    expect(faultsOf(JSON.parse(JSON.stringify({ ...sound, ...fault }).replace('"note":[]', '"note":[]')))).not.toEqual(
      [],
    )
  })
})
