import fc from 'fast-check'
import { expect, test } from 'vitest'
import { writeJson } from '../../src/clinical/fhir/json.js'
import { escaped } from '../../src/clinical/fhir/make.js'
import { provenancesOf, toFhir } from '../../src/clinical/fhir/map.js'
import type { ClinicalDocument, ItemContent, RecordItem } from '../../src/direct/clinical.js'
import type { Agent, Concept, PartialDate, Quantity, Value, When } from '../../src/direct/datatypes.js'
import { faultsOf } from './fhir-judge.js'
import { unsafe } from './fhir-safety.js'

/** Items of all types with any words in them: whatever a source said, what leaves is sound FHIR. */

const words = fc.oneof(
  fc.constantFrom(
    '',
    ' ',
    'x',
    'a  b',
    '<script>',
    '__proto__',
    'constructor',
    '\u0000',
    '\ud800',
    '\ufffe',
    '5',
    'http://loinc.org',
    'UNK',
    '1.5',
    '-3',
    '1e5',
    '2.16.840.1.113883.4.6',
  ),
  fc.string({ maxLength: 12, unit: 'binary' }),
)
const opt = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined })
const few = <T>(of: fc.Arbitrary<T>) => fc.array(of, { maxLength: 2 })
/** A record without its undefined fields, as items have it. */
function rec<T>(shape: { [K in keyof T]: fc.Arbitrary<unknown> }): fc.Arbitrary<T> {
  return fc
    .record(shape as Record<string, fc.Arbitrary<unknown>>)
    .map((one) => Object.fromEntries(Object.entries(one).filter(([, value]) => value !== undefined)) as T)
}

const system = fc.constantFrom(
  'http://loinc.org',
  'http://snomed.info/sct',
  'urn:oid:1.2.3',
  'My System',
  'http://terminology.hl7.org/CodeSystem/v3-ActCode',
  'urn:oid:2.16.840.1.113883.6.238',
)
const code = fc.oneof(
  words,
  fc.constantFrom('8480-6', '8462-4', '59408-5', '3151-8', '72166-2', '8302-2', 'AMB', '716186003', '2106-3', 'M'),
)
const coding = rec<Concept['codings'][number]>({
  system: opt(system),
  code,
  display: opt(words),
  sourceSystem: opt(words),
})
const concept = rec<Concept>({
  codings: few(coding),
  text: opt(words),
  nullFlavor: opt(words),
  qualifiers: opt(few(rec({ name: opt(coding), value: coding }))),
})
const date: fc.Arbitrary<PartialDate> = fc.record({
  text: fc.oneof(
    fc.constantFrom(
      '2015',
      '2015-06',
      '2015-06-22',
      '2015-06-22T10',
      '2015-06-22T10:30',
      '2015-06-22T23:59:60',
      '2015-13-45',
      '0000',
      '',
    ),
    words,
  ),
  precision: fc.constantFrom('year', 'month', 'day', 'hour', 'minute', 'second'),
  offsetMinutes: fc.constantFrom(null, 0, -300, 840, 9999),
  source: words,
})
const when = rec<When>({
  value: opt(date),
  low: opt(date),
  high: opt(date),
  highUnknown: opt(fc.boolean()),
  text: opt(words),
})
const quantity = rec<Quantity>({
  value: fc.oneof(words, fc.constantFrom('1.50', '.5', '-7', '+3.')),
  unit: opt(fc.oneof(words, fc.constantFrom('mg', 'a', 'h', 'mm[Hg]', 'MG'))),
  comparator: opt(fc.constantFrom('<', '<=', '>', '>=')),
})
const ratio = rec<{ numerator: Quantity; denominator?: Quantity }>({ numerator: quantity, denominator: opt(quantity) })
const value: fc.Arbitrary<Value> = fc.oneof(
  fc.record({ kind: fc.constant('quantity' as const), quantity }),
  rec<Extract<Value, { kind: 'range' }>>({ kind: fc.constant('range'), low: opt(quantity), high: opt(quantity) }),
  fc.record({ kind: fc.constant('ratio' as const), ratio }),
  fc.record({ kind: fc.constant('concept' as const), concept }),
  fc.record({ kind: fc.constant('text' as const), text: words }),
  fc.record({ kind: fc.constant('boolean' as const), value: fc.boolean() }),
  fc.record({ kind: fc.constant('date' as const), date }),
  fc.record({ kind: fc.constant('period' as const), when }),
  fc.record({ kind: fc.constant('absent' as const), nullFlavor: words }),
)
const identifier = rec<RecordItem['identifiers'][number]>({ root: opt(words), value: opt(words) })
const identifiers = few(identifier)
const name = rec<NonNullable<Agent['name']>>({
  given: few(words),
  family: opt(words),
  prefix: opt(words),
  suffix: opt(words),
  use: opt(words),
  text: opt(words),
})
const telecom = rec({ value: fc.oneof(words, fc.constantFrom('tel:+1-555', 'mailto:a@b.example')), use: opt(words) })
const address = rec({
  lines: few(words),
  city: opt(words),
  state: opt(words),
  postalCode: opt(words),
  country: opt(words),
  use: opt(words),
})
const agent = rec<Agent>({
  ...{
    kind: fc.constantFrom('person', 'organization', 'device'),
    text: words,
    name: opt(name),
    organization: opt(words),
  },
  ...{ role: opt(concept), identifiers, telecoms: opt(few(telecom)), addresses: opt(few(address)), at: opt(date) },
})
const reaction = rec({ manifestation: concept, severity: opt(concept), when: opt(when) })
const timing = rec({
  period: opt(quantity),
  periodHigh: opt(quantity),
  event: opt(fc.oneof(words, fc.constant('HS'))),
  offset: opt(quantity),
  moment: opt(date),
  text: opt(words),
})
const supply = rec({
  kind: fc.constantFrom('order', 'dispense'),
  product: opt(concept),
  quantity: opt(quantity),
  fills: opt(words),
  daysSupply: opt(quantity),
  when: opt(when),
  status: opt(words),
  by: opt(agent),
  instructions: opt(words),
  identifiers,
})
const panel = rec({
  entry: fc.constantFrom('/p[1]', '/p[2]'),
  code: opt(concept),
  when: opt(when),
  status: opt(words),
  identifiers,
})
const range = rec({ low: opt(quantity), high: opt(quantity), text: opt(words), interpretation: opt(concept) })
const type = <T extends string>(one: T) => fc.constant(one)

const metadata = rec<NonNullable<ClinicalDocument['metadata']>>({
  level: fc.constantFrom('full', 'limited'),
  title: opt(words),
  comments: opt(words),
  uniqueId: opt(fc.oneof(words, fc.constantFrom('1.2.3', '1.2.3^7', 'urn:uuid:x'))),
  mediaType: opt(words),
  language: opt(fc.oneof(words, fc.constant('en-US'))),
  createdAt: opt(date),
  serviceStart: opt(date),
  serviceStop: opt(date),
  class: opt(concept),
  kind: opt(concept),
  format: opt(concept),
  practiceSetting: opt(concept),
  facilityKind: opt(concept),
  confidentiality: opt(few(concept)),
  events: opt(few(concept)),
  authors: few(agent),
  patient: opt(identifier),
  sourcePatient: opt(identifier),
  submission: opt(
    rec({
      title: opt(words),
      uniqueId: opt(words),
      sourceId: opt(words),
      submittedAt: opt(date),
      contentType: opt(concept),
      authors: few(agent),
      recipients: few(words),
    }),
  ),
})

const content = fc.oneof(
  rec({
    type: type('demographics'),
    names: few(name),
    birthDate: opt(date),
    deceased: opt(fc.boolean()),
    deathDate: opt(date),
    gender: opt(concept),
    birthSex: opt(concept),
    genderIdentity: opt(concept),
    maritalStatus: opt(concept),
    religion: opt(concept),
    birthPlace: opt(address),
    races: few(concept),
    ethnicities: few(concept),
    languages: few(words),
    addresses: few(address),
    telecoms: few(telecom),
    identifiers,
    contacts: opt(few(agent)),
    provider: opt(agent),
  }),
  rec({
    type: type('allergy'),
    substance: concept,
    kind: opt(concept),
    reactions: few(reaction),
    severity: opt(concept),
    criticality: opt(concept),
  }),
  rec({
    type: type('problem'),
    problem: concept,
    kind: opt(concept),
    severity: opt(concept),
    ageAtOnset: opt(quantity),
    bodySites: opt(few(concept)),
    diagnosedAt: opt(date),
    prognosis: opt(value),
    causedDeath: opt(fc.boolean()),
  }),
  rec({
    type: type('medication'),
    product: concept,
    brand: opt(concept),
    strength: opt(quantity),
    strengths: opt(few(quantity)),
    form: opt(concept),
    manufacturer: opt(words),
    vehicles: opt(few(concept)),
    directions: opt(
      few(
        rec({
          dose: opt(quantity),
          doseRange: opt(rec({ low: opt(quantity), high: opt(quantity) })),
          route: opt(concept),
          timings: few(timing),
          text: words,
        }),
      ),
    ),
    reactions: opt(few(reaction)),
    dose: opt(quantity),
    doseRange: opt(rec({ low: opt(quantity), high: opt(quantity) })),
    rate: opt(quantity),
    maxDose: opt(ratio),
    route: opt(concept),
    site: opt(concept),
    timings: few(timing),
    asNeeded: fc.boolean(),
    preconditions: opt(few(concept)),
    instructions: opt(words),
    indications: few(concept),
    refills: opt(words),
    quantity: opt(quantity),
    supplies: opt(few(supply)),
    adherence: opt(concept),
  }),
  rec({
    type: type('immunization'),
    vaccine: concept,
    lot: opt(words),
    manufacturer: opt(words),
    expiresAt: opt(date),
    route: opt(concept),
    site: opt(concept),
    dose: opt(quantity),
    doseNumber: opt(words),
    refusalReason: opt(concept),
    reactions: opt(few(reaction)),
    instructions: opt(words),
  }),
  rec({
    type: fc.constantFrom('result', 'vital-sign', 'social-history', 'functional-status'),
    test: concept,
    panel: opt(panel),
    value: opt(value),
    otherValues: opt(few(value)),
    interpretations: few(concept),
    referenceRanges: few(range),
    method: opt(concept),
    specimen: opt(concept),
    bodySites: opt(few(concept)),
    components: opt(few(rec({ test: concept, value: opt(value) }))),
  }),
  rec({
    type: type('procedure'),
    procedure: concept,
    bodySites: few(concept),
    devices: few(concept),
    indications: opt(few(concept)),
    methods: opt(few(concept)),
    locations: opt(few(words)),
    refusalReason: opt(concept),
    instructions: opt(words),
    value: opt(value),
    complications: opt(few(concept)),
  }),
  rec({
    type: type('encounter'),
    encounter: concept,
    class: opt(concept),
    diagnoses: few(concept),
    locations: few(words),
    locationKinds: opt(few(concept)),
    disposition: opt(concept),
  }),
  rec({
    type: type('family-history'),
    relation: concept,
    name: opt(name),
    gender: opt(concept),
    birthDate: opt(date),
    deceased: opt(fc.boolean()),
    deathDate: opt(date),
    ageAtDeath: opt(quantity),
    conditions: few(
      rec({
        condition: concept,
        kind: opt(concept),
        when: opt(when),
        ageAtOnset: opt(quantity),
        causedDeath: opt(fc.boolean()),
        negated: fc.boolean(),
        status: opt(concept),
      }),
    ),
  }),
  rec({
    type: type('advance-directive'),
    directive: concept,
    value: opt(value),
    verifiers: few(agent),
    agents: few(agent),
    documents: few(rec({ identifiers, mediaType: opt(words), reference: opt(words) })),
  }),
  rec({
    type: type('insurance'),
    coverage: concept,
    planName: opt(words),
    payer: opt(agent),
    memberIdentifiers: identifiers,
    groupNumber: opt(words),
    relationship: opt(concept),
    subscriber: opt(agent),
    subscriberBirthDate: opt(date),
    guarantor: opt(agent),
    priority: opt(words),
    authorizations: opt(few(concept)),
  }),
  rec({
    type: type('device'),
    device: concept,
    udi: opt(words),
    deviceIdentifier: opt(words),
    manufacturer: opt(words),
    model: opt(words),
    serial: opt(words),
    lot: opt(words),
    brand: opt(words),
    distinctIdentifier: opt(words),
    safety: opt(few(concept)),
    quantity: opt(quantity),
    manufacturedAt: opt(date),
    expiresAt: opt(date),
    bodySites: few(concept),
  }),
  rec({
    type: type('goal'),
    goal: concept,
    target: opt(value),
    priority: opt(concept),
    reasons: opt(few(concept)),
    instructions: opt(words),
  }),
  rec({
    type: type('plan'),
    activity: concept,
    instructions: opt(words),
    indications: few(concept),
    value: opt(value),
  }),
  rec({
    type: type('care-team'),
    name: opt(words),
    kind: opt(concept),
    members: few(rec({ agent, when: opt(when), status: opt(words) })),
  }),
  rec({ type: type('note'), kind: concept, title: opt(words), text: words }),
  rec({
    type: type('document'),
    mediaType: words,
    name: opt(words),
    sizeBytes: fc.nat(),
    sha256: fc.constant('ab'.repeat(32)),
    format: fc.constantFrom('c-cda', 'c32', 'pdf'),
    formatVersion: opt(words),
    title: opt(words),
    code: opt(concept),
    custodian: opt(agent),
    set: opt(identifier),
    metadata: opt(metadata),
    related: opt(few(rec({ kind: fc.constantFrom('RPLC', 'APND', 'X'), identifiers }))),
  }),
) as fc.Arbitrary<ItemContent>

const item = rec<RecordItem>({
  id: fc.uuid(),
  content,
  when: opt(when),
  recordedAt: opt(date),
  status: opt(
    rec({
      folded: fc.constantFrom('active', 'inactive', 'resolved', 'completed', 'planned', 'cancelled', 'unknown'),
      source: opt(fc.oneof(words, fc.constantFrom('nullified', 'held', 'aborted'))),
      concept: opt(concept),
    }),
  ),
  negated: fc.boolean(),
  nullFlavor: opt(words),
  intent: opt(fc.constantFrom('performed', 'planned', 'goal', 'ordered')),
  mood: opt(fc.constantFrom('EVN', 'INT', 'RQO', 'PRP')),
  performers: opt(few(agent)),
  notes: opt(few(words)),
  labels: opt(few(coding)),
  identifiers,
  provenance: rec({
    document: fc.constant('ab'.repeat(32)),
    entry: words,
    section: opt(fc.constantFrom('11450-4', '75310-3', '46240-8', '')),
    authors: few(agent),
    informants: opt(few(agent)),
  }),
})

test('whatever items say, all that leaves is sound FHIR', () => {
  const place = { record: 'r', base: 'https://gw.example/fhir' }
  const told = new Set<string>()
  fc.assert(
    fc.property(
      fc.array(item, { minLength: 1, maxLength: 4 }),
      fc.option(fc.nat(), { nil: undefined }),
      (items, addedAt) => {
        const all = items.map((one) => ({
          item: one,
          ...(addedAt !== undefined && { addedAt }),
          source: { sender: 'dr@far.example', messageId: 'm' },
        }))
        const { resources, context } = toFhir(all, place)
        for (const { resource, of } of [...resources, ...provenancesOf(resources, context)]) {
          told.add(resource.resourceType)
          expect(faultsOf(JSON.parse(writeJson(resource)))).toEqual([])
          expect(unsafe({ resource, of })).toEqual([])
        }
      },
    ),
    { numRuns: 300 },
  )
  expect(told.size).toBeGreaterThanOrEqual(18)
}, 60_000)

test('no word of a source becomes markup of a narrative', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(escaped(text)).not.toMatch(/[<>"]|&(?!amp;|lt;|gt;|quot;)/)
    }),
  )
})
