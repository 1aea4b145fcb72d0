import fc from 'fast-check'
import type { ItemContent, RecordItem } from '../../src/direct/clinical.js'
import type { Agent, Concept, PartialDate, Quantity, Value, When } from '../../src/direct/datatypes.js'

/** Record items as sources might have told them, made up by chance. All people in them are invented. */

/** Words with all that XML, HTML and a spreadsheet would take for their own. */
const hostile = fc.constantFrom(
  ']]>',
  '<script>alert(1)</script>',
  '&amp; "quoted" \'single\'',
  '<!-- x --> <?y?>',
  '=1+1',
  'Größe µg 血圧 \u{1f600}',
  'a#i1',
)

const plain = fc.stringMatching(/^[A-Za-z][A-Za-z0-9 ,.-]{0,30}[A-Za-z0-9]$/).map((text) => text.replace(/ +/g, ' '))

export const words: fc.Arbitrary<string> = fc.oneof({ weight: 4, arbitrary: plain }, { weight: 1, arbitrary: hostile })

const systems = [
  ['http://snomed.info/sct', '2.16.840.1.113883.6.96'],
  ['http://loinc.org', '2.16.840.1.113883.6.1'],
  ['http://www.nlm.nih.gov/research/umls/rxnorm', '2.16.840.1.113883.6.88'],
  ['urn:oid:1.2.3.4.5', '1.2.3.4.5'],
] as const

const coding = fc
  .tuple(fc.constantFrom(...systems), fc.stringMatching(/^[1-9][0-9]{3,8}$/), plain)
  // Codes that readers know as something else would tell another story: a status, a denial, a heading.
  .map(([[system, sourceSystem], code, display]) => ({ system, code: `X${code}`, display, sourceSystem }))

export const concept: fc.Arbitrary<Concept> = fc.oneof(
  fc.tuple(fc.array(coding, { minLength: 1, maxLength: 3 }), words).map(([codings, text]) => ({ codings, text })),
  words.map((text) => ({ codings: [], text: `Some ${text}` })),
)

const lengths = { year: 4, month: 7, day: 10, minute: 16, second: 19 } as const

export const date: fc.Arbitrary<PartialDate> = fc
  .tuple(
    fc.date({ min: new Date('1930-01-01'), max: new Date('2029-12-31'), noInvalidDate: true }),
    fc.constantFrom('year', 'month', 'day', 'minute', 'second'),
    fc.constantFrom(null, 0, -300, 330),
  )
  .map(([when, precision, zone]) => {
    const text = when.toISOString().slice(0, lengths[precision as keyof typeof lengths])
    const offsetMinutes = text.includes('T') ? zone : null
    const digits = text.replace(/[-T:]/g, '')
    const offset = offsetMinutes === null ? '' : offsetMinutes === 0 ? '+0000' : offsetMinutes < 0 ? '-0500' : '+0530'
    return { text, precision: precision as PartialDate['precision'], offsetMinutes, source: `${digits}${offset}` }
  })

export const period: fc.Arbitrary<When> = fc.oneof(
  date.map((low) => ({ low })),
  fc.tuple(date, date).map(([low, high]) => ({ low, high })),
  date.map((low) => ({ low, highUnknown: true })),
)

/** One whose end, if it has one, is known. */
const known = period.filter((when) => when.highUnknown !== true)

export const moment: fc.Arbitrary<When> = date.map((value) => ({ value }))

export const quantity: fc.Arbitrary<Quantity> = fc
  .tuple(
    fc.stringMatching(/^(0|[1-9][0-9]{0,4})(\.[0-9]{1,3})?$/),
    fc.constantFrom('mg', 'mm[Hg]', '10*3/uL', 'Tablet', undefined),
  )
  .map(([value, unit]) => (unit === undefined ? { value } : { value, unit }))

export const value: fc.Arbitrary<Value> = fc.oneof(
  quantity.map((one): Value => ({ kind: 'quantity', quantity: one })),
  fc
    .tuple(quantity, fc.constantFrom('<', '<=', '>', '>=') as fc.Arbitrary<'<' | '<=' | '>' | '>='>)
    .map(([one, comparator]): Value => ({ kind: 'quantity', quantity: { ...one, comparator } })),
  fc.tuple(quantity, quantity).map(([low, high]): Value => ({ kind: 'range', low, high })),
  concept.map((one): Value => ({ kind: 'concept', concept: one })),
  words.map((text): Value => ({ kind: 'text', text: `said ${text}` })),
  fc.boolean().map((one): Value => ({ kind: 'boolean', value: one })),
  date.map((one): Value => ({ kind: 'date', date: one })),
)

export const person: fc.Arbitrary<Agent> = fc
  .tuple(
    fc.stringMatching(/^[A-Z][a-z]{2,8}$/),
    fc.stringMatching(/^[A-Z][a-z]{2,8}$/),
    fc.stringMatching(/^[0-9]{10}$/),
  )
  .map(([given, family, npi]) => ({
    kind: 'person',
    text: `${given} ${family}`,
    name: { given: [given], family },
    identifiers: [{ root: '2.16.840.1.113883.4.6', value: npi }],
  }))

interface Shape {
  readonly content: fc.Arbitrary<ItemContent>
  readonly when?: fc.Arbitrary<When>
  readonly status?: readonly NonNullable<RecordItem['status']>[]
  readonly negatable?: boolean
  readonly intent?: NonNullable<RecordItem['intent']>
}

const ofAct: NonNullable<Shape['status']> = [
  { folded: 'completed', source: 'completed' },
  { folded: 'active', source: 'active' },
]

const none = fc.constant(undefined)

/** An object without the fields that came out undefined. */
function present<T extends object>(object: T): T {
  return Object.fromEntries(Object.entries(object).filter(([, one]) => one !== undefined)) as T
}

const observation = (type: 'result' | 'vital-sign' | 'social-history') =>
  fc
    .record({ test: concept, value, interpretations: fc.constant([]) })
    .map((one): ItemContent => ({ type, ...one, referenceRanges: [] }))

/** Contents for the types whose every field has a place in a Continuity of Care Document. */
export const shapes: Readonly<Record<string, Shape>> = {
  allergy: {
    content: fc
      .record({
        substance: concept,
        reactions: fc.array(fc.record({ manifestation: concept, severity: concept }), { maxLength: 2 }),
        criticality: fc.option(concept, { nil: undefined }),
      })
      .map((one): ItemContent => present({ type: 'allergy' as const, ...one }) as ItemContent),
    when: period,
    negatable: true,
    status: [{ folded: 'active' }, { folded: 'resolved' }, { folded: 'inactive' }],
  },
  problem: {
    content: fc.record({ problem: concept }).map((one): ItemContent => ({ type: 'problem', ...one })),
    when: period,
    negatable: true,
    status: [{ folded: 'active' }, { folded: 'resolved' }, { folded: 'inactive' }],
  },
  medication: {
    content: fc
      .record({
        product: concept,
        route: fc.option(concept, { nil: undefined }),
        dose: fc.option(quantity, { nil: undefined }),
        instructions: fc.option(plain, { nil: undefined }),
        asNeeded: fc.boolean(),
        refusalReason: fc.oneof(none, concept),
      })
      .map(
        (one): ItemContent =>
          present({ type: 'medication' as const, ...one, timings: [], indications: [] }) as ItemContent,
      ),
    when: known,
    status: ofAct,
    negatable: true,
  },
  immunization: {
    content: fc
      .record({ vaccine: concept, lot: fc.option(plain, { nil: undefined }), refusalReason: fc.oneof(none, concept) })
      .map((one): ItemContent => present({ type: 'immunization' as const, ...one }) as ItemContent),
    when: moment,
    status: ofAct,
    negatable: true,
  },
  result: { content: observation('result'), when: moment, status: ofAct },
  'vital-sign': {
    content: observation('vital-sign'),
    when: moment,
    status: [{ folded: 'completed', source: 'completed' }],
  },
  'social-history': {
    content: observation('social-history'),
    when: moment,
    status: [{ folded: 'completed', source: 'completed' }],
  },
  procedure: {
    content: fc
      .record({ procedure: concept, bodySites: fc.array(concept, { maxLength: 1 }) })
      .map((one): ItemContent => ({ type: 'procedure', ...one, devices: [] })),
    when: moment,
    status: ofAct,
    negatable: true,
  },
  encounter: {
    content: fc
      .record({ encounter: concept, locations: fc.array(plain, { maxLength: 1 }) })
      .map((one): ItemContent => ({ type: 'encounter', ...one, diagnoses: [] })),
    when: moment,
    status: ofAct,
  },
}

const code = fc.stringMatching(/^[A-Z0-9]{4,12}$/)

function maybe<T>(one: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  return fc.option(one, { nil: undefined })
}

function content<T extends object>(type: ItemContent['type'], fields: { [K in keyof T]: fc.Arbitrary<T[K]> }) {
  return fc.record(fields).map((one) => present({ type, ...one }) as unknown as ItemContent)
}

/** A person in a role that the entry gives a place of its own. */
const inRole = fc.tuple(person, concept).map(([agent, role]): Agent => ({ ...agent, role }))

const years = fc.integer({ min: 1, max: 99 }).map((age): Quantity => ({ value: `${age}`, unit: 'a' }))
const onlyDone: Shape['status'] = [{ folded: 'completed', source: 'completed' }]

/** The other types: each field that has a place in a Continuity of Care Document. */
export const furtherShapes: Readonly<Record<string, Shape>> = {
  'family-history': {
    content: content('family-history', {
      relation: concept,
      gender: maybe(concept),
      birthDate: maybe(date),
      conditions: fc.array(
        fc
          .record({
            condition: concept,
            kind: maybe(concept),
            when: maybe(moment),
            ageAtOnset: maybe(years),
            negated: fc.boolean(),
            status: maybe(concept),
          })
          .map(present),
        { minLength: 1, maxLength: 2 },
      ),
    }),
    status: onlyDone,
  },
  'functional-status': {
    content: fc
      .record({ test: concept, value, interpretations: fc.constant([]) })
      .map((one): ItemContent => ({ type: 'functional-status', ...one, referenceRanges: [] })),
    when: moment,
    status: onlyDone,
  },
  'advance-directive': {
    content: content('advance-directive', {
      directive: concept,
      // The guide wants one, if only to say that there is none.
      value: concept.map((one): Value => ({ kind: 'concept', concept: one })),
      verifiers: fc.array(
        fc.tuple(person, date).map(([agent, at]) => ({ ...agent, at })),
        { maxLength: 1 },
      ),
      agents: fc.array(inRole, { maxLength: 1 }),
      documents: fc.constant([]),
    }),
    // A directive without an end in sight is one in force.
    when: known,
    status: onlyDone,
  },
  insurance: {
    content: content('insurance', {
      coverage: concept,
      planName: maybe(plain),
      memberIdentifiers: fc.array(
        code.map((one) => ({ root: '1.2.3.4', value: one })),
        { maxLength: 1 },
      ),
      groupNumber: maybe(code),
      relationship: maybe(concept),
      subscriber: maybe(person),
      priority: maybe(fc.constantFrom('1', '2')),
    }),
    when: known,
    status: onlyDone,
  },
  device: {
    content: content('device', {
      device: concept,
      model: maybe(plain),
      manufacturer: maybe(plain),
      serial: maybe(code),
      lot: maybe(code),
      brand: maybe(plain),
      deviceIdentifier: maybe(code),
      distinctIdentifier: maybe(code),
      expiresAt: maybe(date.filter(({ precision }) => precision === 'day')),
      safety: maybe(
        fc
          .tuple(fc.boolean(), fc.boolean())
          .filter(([magnetic, latex]) => magnetic || latex)
          .map(([magnetic, latex]): Concept[] => [
            ...(magnetic ? [{ codings: [], text: 'Conditional for magnetic resonance' }] : []),
            ...(latex ? [{ codings: [], text: 'Made without natural rubber' }] : []),
          ]),
      ),
      bodySites: fc.constant([]),
    }),
    when: moment,
    status: ofAct,
  },
  goal: {
    content: content('goal', {
      goal: concept,
      target: maybe(value),
      priority: maybe(concept),
      reasons: maybe(fc.array(concept, { minLength: 1, maxLength: 2 })),
      instructions: maybe(plain),
    }),
    when: moment,
    status: ofAct,
    intent: 'goal',
  },
  plan: {
    content: content('plan', {
      activity: concept,
      instructions: maybe(plain),
      indications: fc.array(concept, { maxLength: 2 }),
    }),
    when: moment,
    status: [{ folded: 'planned', source: 'active' }],
    intent: 'planned',
  },
  'care-team': {
    content: content('care-team', {
      name: maybe(plain),
      kind: concept,
      members: fc.array(fc.record({ agent: inRole, when: known, status: fc.constantFrom('active', 'completed') }), {
        minLength: 1,
        maxLength: 2,
      }),
    }),
    when: known,
    status: ofAct,
  },
  note: {
    content: content('note', { kind: concept, text: plain.map((words) => `Said: ${words}.`) }),
    when: moment,
    status: onlyDone,
  },
}

/** An item of one of these types, with an author and the time of writing. */
export function item(types: readonly string[] = Object.keys(shapes)): fc.Arbitrary<RecordItem> {
  return fc.constantFrom(...types).chain((type) => {
    const shape = shapes[type] ?? furtherShapes[type]
    if (shape === undefined) throw new Error(`No shape for ${type}`)
    return fc
      .record({
        id: fc.stringMatching(/^[0-9a-f]{32}$/),
        content: shape.content,
        when: shape.when ?? moment,
        status: fc.constantFrom(...(shape.status ?? ofAct)),
        negated: shape.negatable ? fc.boolean() : fc.constant(false),
        authors: fc.array(person, { minLength: 1, maxLength: 2 }),
        recordedAt: date,
      })
      .map(({ authors, ...rest }) => ({
        ...rest,
        intent: shape.intent ?? 'performed',
        identifiers: [],
        provenance: { document: 'd'.repeat(64), entry: `made/up[1]`, authors },
      }))
  })
}
