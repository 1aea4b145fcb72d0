import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ItemContent, RecordItem } from '../../src/direct/clinical.js'
import type { Decision } from '../../src/record/reconcile/decision.js'
import { type Fact, factOf } from '../../src/record/reconcile/fact.js'
import { grouping } from '../../src/record/reconcile/group.js'
import { type Reconciled, reconcile } from '../../src/record/reconcile/reconcile.js'
import { relate } from '../../src/record/reconcile/relate.js'
import { dayOf } from '../../src/record/rows.js'
import {
  allergy,
  allLive,
  concept,
  date,
  decision,
  facts,
  immunization,
  medication,
  problem,
  result,
  statement,
} from './statements.js'

const id = (value: string) => [{ root: '1.2.3', value }]

/** How many entries these statements make. */
function entries(...items: readonly RecordItem[]): number {
  return reconcile(facts(items), [], allLive).length
}

describe('identity', () => {
  const fever = () => problem(concept('snomed:386661006', 'Fever'))

  it('is the concept, whatever identifiers and dates are', () => {
    const one = statement(fever(), { identifiers: id('a'), when: { low: date('2015-06-22') } })
    const other = statement(fever(), { identifiers: id('b'), when: { low: date('2015-02-22') } })
    expect(entries(one, other)).toBe(1)
  })

  it('is not the identifier: another substance under the same one is another allergy', () => {
    const penicillin = statement(allergy(concept('rxnorm:7980')), { identifiers: id('a') })
    const other = statement(allergy(concept('rxnorm:596')), { identifiers: id('a') })
    expect(entries(penicillin, other)).toBe(2)
    const inSnomed = statement(allergy(concept('snomed:16047007')), { identifiers: id('a') })
    expect(entries(penicillin, inSnomed)).toBe(2)
  })

  it('is any translation in common, but never against the terminology that both use', () => {
    const both = problem(concept('snomed:59621000', 'icd10:I10'))
    expect(entries(statement(both), statement(problem(concept('icd10:I10'))))).toBe(1)
    // Two ingredients of one class are two allergies.
    const [one, other] = ['7980', '733'].map((code) =>
      statement(allergy(concept(`rxnorm:${code}`, 'local:penicillins'))),
    )
    expect(entries(one as RecordItem, other as RecordItem)).toBe(2)
  })

  it('is the words where one of the two has no codes', () => {
    expect(entries(statement(problem(concept('Sore  throat'))), statement(problem(concept('sore throat.'))))).toBe(1)
    expect(
      entries(
        statement(problem(concept('snomed:162397003', 'Sore throat'))),
        statement(problem(concept('sore throat'))),
      ),
    ).toBe(1)
    expect(entries(statement(problem(concept('sore throat'))), statement(problem(concept('sore foot'))))).toBe(2)
  })

  it('keeps what is denied, planned or unknown from what is so', () => {
    const penicillin = allergy(concept('rxnorm:7980'))
    const all = [
      statement(penicillin),
      statement(penicillin, { negated: true }),
      statement(penicillin, { nullFlavor: 'UNK' }),
      statement(penicillin, { intent: 'planned' }),
    ]
    expect(entries(...all)).toBe(4)
  })

  it('keeps episodes apart, and sites and sides of the body', () => {
    const over = { low: date('2006-12'), high: date('2007-06') }
    expect(entries(statement(fever(), { when: over }), statement(fever(), { when: { low: date('2015') } }))).toBe(2)
    expect(entries(statement(fever(), { when: over }), statement(fever(), { when: { low: date('2007') } }))).toBe(1)
    const sided = (code: string): ItemContent => ({
      ...{ type: 'problem', problem: concept('snomed:125605004') },
      bodySites: [
        { ...concept('snomed:71341001'), qualifiers: [{ value: { code, system: 'http://snomed.info/sct' } }] },
      ],
    })
    expect(entries(statement(sided('7771000')), statement(sided('24028007')))).toBe(2)
    expect(entries(statement(sided('7771000')), statement(sided('7771000')))).toBe(1)
  })

  it('joins courses of a medication that touch, and none that do not', () => {
    const albuterol = medication(concept('rxnorm:1649560'))
    const course = (low: string, high: string) => statement(albuterol, { when: { low: date(low), high: date(high) } })
    expect(entries(course('2012-08-06', '2012-08-13'), course('2012-08-01', '2012-08-06'))).toBe(1)
    expect(entries(course('2012-08-06', '2012-08-13'), course('2014-08-01', '2014-08-06'))).toBe(2)
  })

  it('tells results apart by moment, value and unit, at the coarser precision', () => {
    const at = (text: string) => ({ when: { value: date(text) } })
    const glucose = concept('loinc:2345-7')
    const measured = statement(result(glucose, '95'), at('2020-05-01T10:30'))
    expect(entries(measured, statement(result(glucose, '95.0'), at('2020-05-01')))).toBe(1)
    expect(entries(measured, statement(result(glucose, '95'), at('2020-05-02')))).toBe(2)
    expect(entries(measured, statement(result(glucose, '96'), at('2020-05-01T10:30')))).toBe(2)
    expect(entries(measured, statement(result(glucose, '95', 'mmol/L'), at('2020-05-01T10:30')))).toBe(2)
  })

  it('takes another value under the same identifier for a correction', () => {
    const at = { when: { value: date('2020-05-01') }, identifiers: id('lab-1') }
    const [one, other] = ['95', '59'].map((value) => statement(result(concept('loinc:2345-7'), value), at))
    const [entry, ...more] = reconcile(facts([one as RecordItem, other as RecordItem]), [], allLive)
    expect(more).toEqual([])
    expect(entry).toMatchObject({ conflicts: [{ field: 'value', statements: [one?.id, other?.id] }] })
  })

  it('says nothing by an identifier that one document repeats', () => {
    const same = { document: 'd', identifiers: id('copied'), when: { value: date('2020-05-01') } }
    const rates = ['60', '90'].map((value) => statement(result(concept('loinc:8867-4'), value, '/min'), same))
    expect(entries(...rates)).toBe(2)
  })

  it('is vaccine and day for an immunization', () => {
    const flu = immunization(concept('cvx:140'))
    const given = (day: string) => statement(flu, { when: { value: date(day) } })
    expect(entries(given('2020-10-01'), given('2020-10-01'), given('2021-10-01'))).toBe(2)
  })

  it('does not let a third statement join two that are apart', () => {
    const flu = (when?: RecordItem['when']) => statement(problem(concept('snomed:6142004')), when ? { when } : {})
    const first = flu({ low: date('2010-01'), high: date('2010-02') })
    const second = flu({ low: date('2015-01') })
    expect(entries(first, second, flu())).toBe(2)
  })
})

describe('what is shown', () => {
  const tylenol = concept('rxnorm:209459')

  it('is one whole statement, the newest', () => {
    const old = statement(medication(tylenol, '1'), { recordedAt: date('2015-02-22') })
    const newer = statement(medication(tylenol, '1'), {
      recordedAt: date('2015-06-22'),
      status: { folded: 'completed' },
    })
    const [entry] = reconcile(facts([newer, old]), [], allLive)
    expect(entry).toMatchObject({ state: 'proposed', shown: { id: newer.id }, conflicts: [] })
  })

  it('keeps two doses as a conflict that waits for a person', () => {
    const old = statement(medication(tylenol, '1'), { recordedAt: date('2015-02-22') })
    const newer = statement(medication(tylenol, '2'), { recordedAt: date('2015-06-22') })
    const added = decision({ kind: 'add', statements: [old.id] })
    const [entry] = reconcile(facts([old, newer], true), [added], allLive)
    expect(entry).toMatchObject({
      state: 'current',
      shown: { id: old.id },
      conflicts: [{ field: 'dose', statements: [old.id, newer.id] }],
      review: ['version', 'conflict'],
    })
    const chosen = decision({ kind: 'choose', statement: newer.id }, 2)
    expect(reconcile(facts([old, newer], true), [added, chosen], allLive)).toMatchObject([
      { shown: { id: newer.id }, review: [] },
    ])
  })

  it('is never an allergy that ended by itself, nor its denial', () => {
    const penicillin = allergy(concept('rxnorm:7980'))
    const active = statement(penicillin, { status: { folded: 'active' }, recordedAt: date('2015') })
    const over = statement(penicillin, { status: { folded: 'resolved' }, recordedAt: date('2020') })
    const denied = statement(penicillin, { negated: true, recordedAt: date('2021') })
    const none = statement(allergy(concept()), { negated: true, recordedAt: date('2022') })
    const shown = reconcile(facts([active, over, denied, none], true), [], allLive)
    expect(shown).toMatchObject([
      { state: 'current', shown: { id: active.id }, review: ['version', 'conflict', 'contradiction'] },
      { state: 'proposed', shown: { id: denied.id }, review: ['new', 'contradiction'] },
      { state: 'proposed', shown: { id: none.id }, review: ['new', 'contradiction'] },
    ])
  })

  it('stays when a newer document has it no more, and an allergy even where its document was replaced', () => {
    const one = statement(allergy(concept('rxnorm:7980')), { document: 'old' })
    const other = statement(problem(concept('snomed:386661006')), { document: 'old' })
    const superseded = { ...allLive, superseded: new Map([['old', 2000]]) }
    expect(reconcile(facts([one]), [], superseded)).toMatchObject([{ state: 'proposed', review: ['new', 'withdrawn'] }])
    expect(reconcile(facts([other]), [], superseded)).toMatchObject([{ state: 'superseded', review: [] }])
    const added = decision({ kind: 'add', statements: [other.id] })
    expect(reconcile(facts([other]), [added], superseded)).toMatchObject([{ state: 'current', review: ['withdrawn'] }])
  })

  it('comes up again after it was ignored only where something new is said', () => {
    const content = problem(concept('snomed:386661006'))
    const first = statement(content)
    const ignored = decision({ kind: 'ignore', statements: [first.id] })
    expect(reconcile(facts([first, statement(content)]), [ignored], allLive)).toMatchObject([{ state: 'ignored' }])
    const news = statement(content, { status: { folded: 'active' } })
    expect(reconcile(facts([first, news]), [ignored], allLive)).toMatchObject([{ state: 'proposed' }])
  })
})

// --- The laws ---

const day = fc.constantFrom(undefined, '2010', '2010-05', '2010-05-01', '2015-02-22', '2015-06-22')
const code = fc.constantFrom('snomed:1', 'snomed:2', 'icd10:A', 'rxnorm:1', 'rxnorm:2', 'local:x')
const words = fc.constantFrom('one', 'two')
const anyConcept = fc
  .tuple(fc.uniqueArray(code, { maxLength: 3 }), fc.option(words, { nil: undefined }))
  .map(([codes, text]) => concept(...codes, ...(text === undefined ? [] : [text])))
const makers = {
  allergy,
  problem,
  medication: (what: ReturnType<typeof concept>) => medication(what, '1'),
  result: (what: ReturnType<typeof concept>) => result(what, '1'),
}
const anyItem = (type: keyof typeof makers) =>
  fc
    .record({
      what: anyConcept,
      low: day,
      high: day,
      recorded: day,
      negated: fc.boolean(),
      intent: fc.constantFrom(undefined, 'planned' as const),
      status: fc.constantFrom(undefined, 'active' as const, 'resolved' as const),
      identifier: fc.constantFrom(undefined, 'a', 'b'),
      document: fc.constantFrom('d1', 'd2', 'd3'),
    })
    .map(({ what, low, high, recorded, negated, intent, status, identifier, document }) =>
      statement(makers[type](what), {
        document,
        negated,
        when: { ...(low && { low: date(low) }), ...(high && { high: date(high) }) },
        ...(recorded && { recordedAt: date(recorded) }),
        ...(intent && { intent }),
        ...(status && { status: { folded: status } }),
        identifiers: identifier === undefined ? [] : id(identifier),
      }),
    )
const anySet = fc
  .constantFrom(...(Object.keys(makers) as (keyof typeof makers)[]))
  .chain((type) => fc.array(anyItem(type), { minLength: 1, maxLength: 9 }))
const anyScene = fc.tuple(anySet, fc.array(fc.nat(), { maxLength: 4 }), fc.boolean(), fc.infiniteStream(fc.nat()))

function someDecisions(items: readonly RecordItem[], picks: readonly number[]): readonly Decision[] {
  return picks.map((pick, n) => {
    const one = items[pick % items.length]?.id ?? ''
    const other = items[(pick >> 3) % items.length]?.id ?? ''
    const deeds = [
      { kind: 'add', statements: [one] },
      { kind: 'ignore', statements: [one] },
      { kind: 'choose', statement: one },
      { kind: 'merge', one, other },
      { kind: 'split', statements: [one], from: [other] },
      { kind: 'replace', statements: [one], replaced: [other] },
    ] as const
    return decision(deeds[pick % deeds.length] ?? deeds[0], n)
  })
}

/** What a person sees, without the name of the entry, which tells who was first. */
function seen(all: readonly Reconciled[]) {
  return all
    .map(({ state, shown, members, conflicts, review }) => ({
      ...{ state, shown: shown.id, conflicts, review },
      members: members.map(({ fact, standing }) => `${fact.id} ${standing}`).sort(),
    }))
    .sort((a, b) => (a.shown < b.shown ? -1 : 1))
}

function shuffled<One>(all: readonly One[], by: Iterator<number>): readonly One[] {
  return all
    .map((one) => ({ one, at: Number(by.next().value) }))
    .sort((a, b) => a.at - b.at)
    .map(({ one }) => one)
}

describe('the laws of reconciling', () => {
  const runs = { numRuns: 600 }

  it('does not depend on the order in which statements are given', () => {
    fc.assert(
      fc.property(anyScene, ([items, picks, auto, order]) => {
        const decisions = someDecisions(items, picks)
        const all = facts(items, auto)
        expect(seen(reconcile(shuffled(all, order[Symbol.iterator]()), [...decisions].reverse(), allLive))).toEqual(
          seen(reconcile(all, decisions, allLive)),
        )
      }),
      runs,
    )
  })

  it('does not depend on the order in which statements come, where none enters by itself', () => {
    fc.assert(
      fc.property(anyScene, ([items, picks, , order]) => {
        const decisions = someDecisions(items, picks)
        const other = shuffled(items, order[Symbol.iterator]())
        expect(seen(reconcile(facts(other), decisions, allLive))).toEqual(
          seen(reconcile(facts(items), decisions, allLive)),
        )
      }),
      runs,
    )
  })

  it('groups alike and finds the same conflicts in whatever order statements come, and shows alike where there are none', () => {
    const outcome = (all: readonly Reconciled[]) =>
      all
        .map(({ state, shown, members, conflicts, review }) => ({
          members: members.map(({ fact }) => fact.id).sort(),
          ...{ state, conflicts, waits: review.length > 0 },
          shown: conflicts.length === 0 ? shown.id : 'one of those that disagree',
        }))
        .sort((a, b) => ((a.members[0] ?? '') < (b.members[0] ?? '') ? -1 : 1))
    fc.assert(
      fc.property(anyScene, ([items, , , order]) => {
        const other = shuffled(items, order[Symbol.iterator]())
        expect(outcome(reconcile(facts(other, true), [], allLive))).toEqual(
          outcome(reconcile(facts(items, true), [], allLive)),
        )
      }),
      runs,
    )
  })

  it('never switches what it shows to something that disagrees, whatever comes by itself', () => {
    const doses = fc.array(fc.constantFrom(undefined, '1', '2', '3'), { minLength: 2, maxLength: 7 })
    fc.assert(
      fc.property(doses, fc.array(day, { minLength: 7, maxLength: 7 }), fc.boolean(), (all, days, decided) => {
        const items = all.map((dose, at) => {
          const recordedAt = days[at]
          return statement(medication(concept('rxnorm:1'), dose), recordedAt ? { recordedAt: date(recordedAt) } : {})
        })
        const first = { ...decision({ kind: 'add', statements: [items[0]?.id ?? ''] }), seq: 1 }
        let known: string | undefined
        for (let count = 1; count <= items.length; count++) {
          const [entry] = reconcile(facts(items.slice(0, count), true), decided ? [first] : [], allLive)
          const dose = entry?.shown.facets['dose']
          expect(entry?.state).toBe('current')
          if (known !== undefined) expect([known, undefined]).toContain(dose)
          known ??= dose
          const doses = items.slice(0, count).flatMap(({ content }) => ('dose' in content ? content.dose?.value : []))
          if (new Set(doses.filter(Boolean)).size > 1) expect(entry?.review).toContain('conflict')
        }
      }),
      runs,
    )
  })

  it('makes no more entries of what is said twice, and shows the same', () => {
    fc.assert(
      fc.property(anySet, (items) => {
        const again = items.map((item) => ({
          ...item,
          id: `t${item.id}`,
          provenance: { ...item.provenance, document: `again-${item.provenance.document}` },
          identifiers: [],
        }))
        const once = items.map((item) => ({ ...item, identifiers: [] }))
        const bare = (all: readonly RecordItem[]) =>
          reconcile(facts(all, true), [], allLive)
            .map(({ state, shown }) => `${state} ${shown.says}`)
            .sort()
        expect(bare([...once, ...again])).toEqual(bare(once))
      }),
      runs,
    )
  })

  it('has every statement in exactly one entry, and names it after one of its own', () => {
    fc.assert(
      fc.property(anyScene, ([items, picks, auto]) => {
        const all = reconcile(facts(items, auto), someDecisions(items, picks), allLive)
        expect(all.flatMap(({ members }) => members.map(({ fact }) => fact.id)).sort()).toEqual(
          items.map((item) => item.id).sort(),
        )
        for (const entry of all) {
          expect(entry.members.map(({ fact }) => fact.id)).toContain(entry.id)
          expect(entry.members.filter(({ standing }) => standing === 'shown').map(({ fact }) => fact)).toEqual([
            entry.shown,
          ])
        }
      }),
      runs,
    )
  })

  it('never joins two that are apart by themselves, nor across negation and mood whatever a person says', () => {
    fc.assert(
      fc.property(anyScene, ([items, picks]) => {
        const all = facts(items)
        for (const group of groupsOf(all)) expect(pairs(group).filter(([a, b]) => relate(a, b) === 'apart')).toEqual([])
        for (const { members } of reconcile(all, someDecisions(items, picks), allLive)) {
          expect(new Set(members.map(({ fact }) => fact.pole)).size).toBe(1)
        }
      }),
      runs,
    )
  })

  it('relates both ways alike', () => {
    fc.assert(
      fc.property(anySet, (items) => {
        for (const [a, b] of pairs(facts(items))) expect(relate(a, b)).toBe(relate(b, a))
      }),
      runs,
    )
  })

  it('is as it was before when a decision is undone', () => {
    fc.assert(
      fc.property(anyScene, ([items, picks, auto]) => {
        const decisions = someDecisions(items, picks)
        const more = decision({ kind: 'merge', one: items[0]?.id ?? '', other: items.at(-1)?.id ?? '' }, 50)
        const undo = decision({ kind: 'undo', decision: more.id }, 51)
        expect(reconcile(facts(items, auto), [...decisions, more, undo], allLive)).toEqual(
          reconcile(facts(items, auto), decisions, allLive),
        )
      }),
      runs,
    )
  })

  it('never shows an allergy as over or denied, nor lets it go, without a person', () => {
    fc.assert(
      fc.property(fc.array(anyItem('allergy'), { minLength: 1, maxLength: 9 }), (items) => {
        const all = reconcile(facts(items, true), [], { ...allLive, superseded: new Map([['d1', 2000]]) })
        for (const { state, shown } of all) {
          if (state === 'current') {
            expect(shown.pole).toMatch(/^so /)
            expect(shown.facets['status'] ?? 'active').toBe('active')
          } else expect(state).toBe('proposed')
        }
      }),
      runs,
    )
  })

  it('keeps the names of entries when more documents come, unless a statement moves', () => {
    fc.assert(
      fc.property(anySet, fc.nat(), (items, cut) => {
        const all = facts(items)
        const before = reconcile(all.slice(0, 1 + (cut % items.length)), [], allLive)
        const after = reconcile(all, [], allLive)
        for (const entry of before) {
          const now = after.find(({ members }) => members.some(({ fact }) => fact.id === entry.id))
          expect(now).toBeDefined()
          // An entry is named by its first statement, which nothing that comes later can be.
          const first = now?.members.map(({ fact }) => fact.seq).sort((a, b) => a - b)[0]
          expect(all.find((fact) => fact.id === now?.id)?.seq).toBe(first)
        }
      }),
      runs,
    )
  })
})

function groupsOf(all: readonly Fact[]): readonly (readonly Fact[])[] {
  const work = grouping(all)
  for (;;) {
    const { done, value } = work.next()
    if (done) return value
  }
}

function pairs(group: readonly Fact[]): readonly (readonly [Fact, Fact])[] {
  return group.flatMap((one, index) => group.slice(index + 1).map((other) => [one, other] as const))
}

describe('how long it takes', () => {
  it('reconciles 3,000 statements of one type in less than two seconds on a busy machine', () => {
    const items = Array.from({ length: 3000 }, (_, n) =>
      statement(result(concept(`loinc:${n % 40}-1`), String(n % 200)), {
        when: { value: date(`20${String(10 + (n % 10))}-0${1 + (n % 9)}-1${n % 10}`) },
        identifiers: id(`r${n % 500}`),
      }),
    )
    const all = items.map((item, n) => factOf(item, dayOf(item), n, false))
    const started = performance.now()
    reconcile(all, [], allLive)
    expect(performance.now() - started).toBeLessThan(2000)
  })
})
