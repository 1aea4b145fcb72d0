import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ItemContent, RecordItem } from '../../src/direct/clinical.js'
import { type Fact, factOf } from '../../src/record/reconcile/fact.js'
import { reconcile } from '../../src/record/reconcile/reconcile.js'
import { dayOf } from '../../src/record/rows.js'
import {
  allergy,
  allLive,
  concept,
  date,
  facts,
  immunization,
  medication,
  problem,
  result,
  statement,
} from './statements.js'

const at = (text: string) => ({ when: { value: date(text) } })
const agent = (text: string) => ({ kind: 'person' as const, text, identifiers: [] })

/** How many entries these make, and how many conflicts they have. */
function made(...items: readonly RecordItem[]): string {
  const all = reconcile(facts(items), [], allLive)
  return `${all.length} with ${all.flatMap(({ conflicts }) => conflicts.map(({ field }) => field)).join(' ') || 'none'}`
}

const coverage = (payer: string, member?: string, group?: string): ItemContent =>
  ({
    ...{
      type: 'insurance',
      coverage: concept('local:HMO'),
      payer: agent(payer),
      memberIdentifiers: member === undefined ? [] : [{ root: '1.2', value: member }],
    },
    ...(group !== undefined && { groupNumber: group }),
  }) as ItemContent
const device = (given: Partial<Extract<ItemContent, { type: 'device' }>>): ItemContent =>
  ({
    ...{ type: 'device', device: concept('snomed:14106009') },
    ...given,
  }) as ItemContent
const relative = (code: string, conditions: readonly string[], name?: string): ItemContent => ({
  type: 'family-history',
  relation: concept(`local:${code}`),
  conditions: conditions.map((condition) => ({ condition: concept(`snomed:${condition}`), negated: false })),
  ...(name !== undefined && { name: { given: [name] } }),
})
const procedure = (side?: string): ItemContent =>
  ({
    type: 'procedure',
    procedure: concept('snomed:80146002'),
    ...{ bodySites: [], devices: [] },
    ...(side !== undefined && {
      bodySites: [
        { ...concept('snomed:71341001'), qualifiers: [{ value: { code: side, system: 'http://snomed.info/sct' } }] },
      ],
    }),
  }) as ItemContent
const routed = (dose: string, route: string): ItemContent => ({
  ...(medication(concept('rxnorm:1'), dose) as Extract<ItemContent, { type: 'medication' }>),
  route: concept(`local:${route}`),
})
const team = (name: string | undefined, ...members: readonly string[]): ItemContent => ({
  ...{ type: 'care-team', members: members.map((member) => ({ agent: agent(member) })) },
  ...(name !== undefined && { name }),
})
const inPanel = (panel: string): ItemContent =>
  ({
    ...result(concept('loinc:2345-7'), '95'),
    panel: { entry: '/x', code: concept(`loinc:${panel}`), identifiers: [] },
  }) as ItemContent

const visit = (code: string, provider?: string): RecordItem =>
  statement({ type: 'encounter', encounter: concept(`local:${code}`), diagnoses: [], locations: [] } as ItemContent, {
    ...at('2020-01-01'),
    ...(provider !== undefined && { performers: [agent(provider)] }),
  })
const note = (text: string): RecordItem => statement({ type: 'note', text } as ItemContent)
const directive = (answer: string): RecordItem =>
  statement({
    type: 'advance-directive',
    directive: concept('snomed:304251008'),
    value: { kind: 'text', text: answer },
  } as ItemContent)
const goal = (target: string): RecordItem =>
  statement(
    { type: 'goal', goal: concept('loinc:29463-7'), target: { kind: 'text', text: target } } as ItemContent,
    at('2020'),
  )
const plan = (text: string): RecordItem =>
  statement({ type: 'plan', activity: concept(`local:${text}`), indications: [] } as ItemContent, {
    ...at('2020-02-01'),
    intent: 'planned',
  })

describe('two statements', () => {
  it.each<[string, string, RecordItem, RecordItem]>([
    ['one member of one payer', '1 with none', statement(coverage('Elm', '1')), statement(coverage('ELM ', '1'))],
    ['two members of one payer', '2 with none', statement(coverage('Elm', '1')), statement(coverage('Elm', '2'))],
    ['one number at two payers', '2 with none', statement(coverage('Elm', '1')), statement(coverage('Oak', '1'))],
    [
      'two groups of one member',
      '2 with none',
      statement(coverage('Elm', '1', 'a')),
      statement(coverage('Elm', '1', 'b')),
    ],
    [
      'one UDI',
      '1 with none',
      statement(device({ udi: 'u' }), at('2020')),
      statement(device({ udi: 'u' }), at('2021')),
    ],
    ['two UDIs of one kind', '2 with none', statement(device({ udi: 'u' })), statement(device({ udi: 'v' }))],
    ['two serial numbers', '2 with none', statement(device({ serial: '1' })), statement(device({ serial: '2' }))],
    [
      'one relative with one condition in common',
      '1 with none',
      statement(relative('SIS', ['1', '2'])),
      statement(relative('SIS', ['2'])),
    ],
    [
      'two sisters with nothing in common',
      '2 with none',
      statement(relative('SIS', ['1'])),
      statement(relative('SIS', ['2'])),
    ],
    [
      'two sisters by name',
      '2 with none',
      statement(relative('SIS', ['1'], 'Ida')),
      statement(relative('SIS', ['1'], 'Eva')),
    ],
    [
      'one procedure of one side',
      '1 with none',
      statement(procedure('7771000'), at('2020-01-01')),
      statement(procedure('7771000'), at('2020-01-01')),
    ],
    [
      'one procedure of two sides',
      '2 with none',
      statement(procedure('7771000'), at('2020-01-01')),
      statement(procedure('24028007'), at('2020-01-01')),
    ],
    [
      'one procedure on two days',
      '2 with none',
      statement(procedure(), at('2020-01-01')),
      statement(procedure(), at('2020-01-02')),
    ],
    [
      'one medication in two doses and routes',
      '1 with dose route',
      statement(routed('1', 'PO')),
      statement(routed('2', 'IV')),
    ],
    [
      'one vaccine of two lots',
      '1 with lot',
      ...(['a', 'b'].map((lot) =>
        statement({ ...immunization(concept('cvx:140')), lot } as ItemContent, at('2020-10-01')),
      ) as [RecordItem, RecordItem]),
    ],
    [
      'one value in two panels',
      '1 with none',
      statement(inPanel('24323-8'), at('2020-01-01')),
      statement(inPanel('24320-4'), at('2020-01-01')),
    ],
    ['a team of one name', '1 with none', statement(team('Red', 'A')), statement(team('Red', 'B'))],
    [
      'a team of the same members',
      '1 with none',
      statement(team(undefined, 'A', 'B')),
      statement(team(undefined, 'B', 'A')),
    ],
    ['one visit', '1 with none', visit('AMB', 'A'), visit('AMB', 'A')],
    ['two kinds of visit on one day', '2 with none', visit('AMB'), visit('EMER')],
    ['two visits of one kind to two people', '2 with none', visit('AMB', 'A'), visit('AMB', 'B')],
    ['one note', '1 with none', note('Seen today.'), note('seen  today')],
    ['two notes', '2 with none', note('Seen today.'), note('Seen on Monday.')],
    ['one answer on life support', '1 with none', directive('no'), directive('No')],
    ['two answers on life support', '2 with none', directive('no'), directive('yes')],
    ['one goal', '1 with none', goal('70 kg'), goal('70 kg')],
    ['two targets', '2 with none', goal('70 kg'), goal('80 kg')],
    ['one plan', '1 with none', plan('a'), plan('a')],
    ['two plans', '2 with none', plan('a'), plan('b')],
    ['two teams', '2 with none', statement(team('Red', 'A')), statement(team('Blue', 'A'))],
  ])('of %s make %s', (_, outcome, one, other) => {
    expect(made(one, other)).toBe(outcome)
    expect(made(other, one)).toBe(outcome)
  })
})

describe('what a stranger writes', () => {
  const small = (fact: Fact) => expect(JSON.stringify(fact).length).toBeLessThan(24_000)

  it('is recognised by a key that stays small: 100,000 codings, long words, endless identifiers', () => {
    const codings = Array.from({ length: 100_000 }, (_, n) => ({
      system: `urn:oid:1.${n}`,
      code: `${n}`,
      display: `d${n}`,
    }))
    const identifiers = Array.from({ length: 10_000 }, (_, n) => ({ root: '1.2', value: `${n}` }))
    const large = statement(problem({ codings, text: 'x'.repeat(1_000_000) }), { identifiers })
    const [fact] = facts([large])
    small(fact as Fact)
    expect(made(large, { ...large, id: 'other' })).toBe('1 with none')
  })

  it('makes facts and entries, whatever the texts are', () => {
    const hostile = fc.oneof(
      fc.constantFrom('', '__proto__', 'constructor', 'toString', '|', '^', '; ', '\u0000', '\ud800', '0'.repeat(500)),
      fc.string({ unit: 'binary', maxLength: 30 }),
    )
    const makers = [
      allergy,
      problem,
      immunization,
      (what: ReturnType<typeof concept>) => result(what, '1'),
      (what: ReturnType<typeof concept>) => medication(what, '1'),
    ]
    const item = fc
      .record({
        texts: fc.array(hostile, { minLength: 5, maxLength: 5 }),
        maker: fc.constantFrom(...makers),
        when: hostile,
        negated: fc.boolean(),
      })
      .map(({ texts: [system = '', code = '', text = '', root = '', value = ''], maker, when, negated }) =>
        statement(maker({ codings: [{ system, code, display: text }], text }), {
          ...{ negated, identifiers: [{ root, value }], when: { value: date(when) } },
          labels: [{ code: text }],
        }),
      )
    fc.assert(
      fc.property(fc.array(item, { minLength: 1, maxLength: 6 }), (items) => {
        const byType = new Map<string, Fact[]>()
        for (const [index, one] of items.entries()) {
          const fact = factOf(one, dayOf(one), index + 1, true)
          small(fact)
          byType.set(fact.type, [...(byType.get(fact.type) ?? []), fact])
        }
        const members = [...byType.values()]
          .flatMap((all) => reconcile(all, [], allLive))
          .flatMap((entry) => entry.members)
        expect(members).toHaveLength(items.length)
      }),
      { numRuns: 1500 },
    )
  })

  it('costs seconds at most where one thing is said in four thousand ways', () => {
    const all = Array.from({ length: 4000 }, (_, n) =>
      factOf(statement(problem(concept('snomed:1', `way ${n}`)), { recordedAt: date('2020') }), '', n, false),
    )
    const started = performance.now()
    expect(reconcile(all, [], allLive).length).toBeLessThan(1000)
    expect(performance.now() - started).toBeLessThan(15_000)
  })
})
