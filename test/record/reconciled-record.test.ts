import { describe, expect, it } from 'vitest'
import type { DirectAddress } from '../../src/direct/address.js'
import type { Demographics, RecordItem } from '../../src/direct/clinical.js'
import type { DeedRequest, RecordPolicy } from '../../src/record/item.js'
import { recordLimits } from '../../src/record/item.js'
import { openRecord } from '../../src/record/record.js'
import { openRoom } from '../spool/room.js'
import { readDocument } from './read-document.js'
import { allergy, concept, date, medication, problem, result, statement } from './statements.js'

const recordId = 'r'
const sender = 'dr@far.example' as DirectAddress

async function setUp(policy: Partial<RecordPolicy> = {}) {
  const room = await openRoom()
  const record = openRecord(room, recordLimits, { mode: 'review', withheldLabels: [], ...policy })
  /** A document of these items as the reader gives it; `head` says more of the document itself. */
  function written(
    name: string,
    items: readonly RecordItem[],
    head: Omit<Partial<RecordItem>, 'content'> & { readonly content?: object } = {},
  ) {
    const document = readDocument(name, items)
    const { document: sha256 } = document.item.provenance
    const placed = items.map((item) => ({ ...item, provenance: { ...item.provenance, document: sha256 } }))
    const content = { ...document.item.content, ...head.content } as RecordItem['content']
    return { ...document, items: placed, item: { ...document.item, ...head, content } }
  }
  const proposal = (document: ReturnType<typeof written>) =>
    record.proposal(recordId, {
      documents: [document],
      sender,
      mailbox: 'p@gw.example' as DirectAddress,
      messageId: 'm',
      spoolId: 's',
    })
  async function bring(...args: Parameters<typeof written>) {
    const document = written(...args)
    expect(await room.store.commit((await proposal(document)).parts)).toEqual({ kind: 'committed' })
    return document.item.provenance.document
  }
  async function decide(...requests: readonly DeedRequest[]) {
    const outcome = await record.decide(recordId, requests, 'test')
    if (outcome.kind !== 'decided') throw new Error(outcome.detail)
    expect(await room.store.commit(outcome.parts)).toEqual({ kind: 'committed' })
    return outcome.decisions
  }
  async function list(query: Parameters<typeof record.list>[1] = {}) {
    const page = await record.list(recordId, query)
    if (page.kind !== 'page') throw new Error(page.kind)
    return page.items
  }
  return { ...room, record, written, proposal, bring, decide, list }
}

function person(family: string, given: Partial<Demographics> = {}): RecordItem {
  const names = [{ given: ['Nora'], family }]
  const empty = { races: [], ethnicities: [], languages: [], addresses: [], telecoms: [], identifiers: [] }
  return statement({ type: 'demographics', names, birthDate: date('1970-08-01'), ...empty, ...given })
}

const fever = () => statement(problem(concept('snomed:386661006')))

describe('documents of one patient', () => {
  it('hold back what is about somebody else until a person says whose it is', async () => {
    const { bring, decide, list, record } = await setUp({ mode: 'automatic' })
    const first = person('Ohman')
    await bring('first', [first])
    await decide({ kind: 'add', entry: first.id })
    const theirs = fever()
    const sha256 = await bring('other', [person('Berg', { birthDate: date('1950-01-01') }), theirs])
    expect(await record.document(recordId, sha256)).toMatchObject({ standing: 'held', match: { kind: 'mismatch' } })
    expect(await list({ type: 'problem' })).toEqual([])
    expect(await list({ state: 'held' })).toHaveLength(3)
    expect(await record.decide(recordId, [{ kind: 'add', entry: theirs.id }], 'test')).toMatchObject({
      kind: 'not-possible',
    })
    expect(await record.decide(recordId, [{ kind: 'add-document', document: sha256 }], 'test')).toMatchObject({
      kind: 'not-possible',
    })

    const [released] = await decide({ kind: 'release', document: sha256 })
    expect(await list({ type: 'problem' })).toMatchObject([{ state: 'proposed' }])
    await decide({ kind: 'undo', decision: released ?? '' })
    expect(await list({ type: 'problem' })).toEqual([])
    await decide({ kind: 'reject', document: sha256 })
    expect(await list({ type: 'problem' })).toEqual([])
    expect(await list({ type: 'problem', state: 'rejected' })).toMatchObject([{ state: 'rejected' }])
    expect(await list({ type: 'demographics', state: 'current' })).toHaveLength(1)
  })

  it('never enter by themselves before the record knows its patient', async () => {
    const { bring, list } = await setUp({ mode: 'automatic' })
    await bring('first', [person('Ohman'), fever()])
    expect((await list()).map(({ state }) => state)).toEqual(['proposed', 'proposed', 'proposed'])
  })

  it('hold back the later of two patients before anybody said who the record is about, in either order', async () => {
    const ours = () => [person('Ohman'), fever()]
    const theirs = () => [
      person('Berg', { birthDate: date('1950-01-01') }),
      statement(problem(concept('snomed:195967001'))),
    ]
    for (const [first, second] of [
      [ours, theirs],
      [theirs, ours],
    ] as const) {
      const { bring, list, record, decide } = await setUp({ mode: 'automatic' })
      const before = await bring('first', first())
      const problems = await list({ type: 'problem' })
      const after = await bring('second', second())
      expect(await record.document(recordId, after)).toMatchObject({
        standing: 'held',
        match: {
          kind: 'mismatch',
          against: [before],
          reasons: expect.arrayContaining(['birth date differs from another document']),
        },
      })
      expect(await list({ type: 'problem' })).toEqual(problems)
      expect((await record.review(recordId)).map(({ document: { sha256 } }) => sha256)).toContain(after)
      // Whoever releases the later one has to say something of the earlier one, too.
      const release = { kind: 'release', document: after } as const
      expect(await record.decide(recordId, [release], 'test')).toMatchObject({ kind: 'not-possible' })
      const [rejected] = await decide({ kind: 'reject', document: before })
      expect(await record.document(recordId, after)).toMatchObject({ standing: 'live', match: { kind: 'unknown' } })
      expect(await list({ type: 'problem', state: 'proposed' })).toHaveLength(1)
      await decide({ kind: 'undo', decision: rejected ?? '' })
      expect(await list({ type: 'problem' })).toEqual(problems)
      await decide({ kind: 'release', document: before })
      await decide(release)
      expect(await list({ type: 'problem' })).toHaveLength(2)
    }
  })

  it('hold back the second of two patients in one message', async () => {
    const { written, record, store, list } = await setUp()
    const documents = [
      written('a', [person('Ohman'), fever()]),
      written('b', [person('Berg', { birthDate: date('1950') }), fever()]),
    ]
    const from = { sender, mailbox: 'p@gw.example' as DirectAddress, messageId: 'm', spoolId: 's' }
    await store.commit((await record.proposal(recordId, { documents, ...from })).parts)
    expect(await list({ type: 'problem' })).toMatchObject([{ appearances: [{}] }])
    expect(await list({ type: 'problem', state: 'held' })).toHaveLength(1)
  })

  it('enter by themselves where the patient is known and the sender is trusted with it', async () => {
    const { bring, decide, list } = await setUp()
    const first = person('Ohman')
    await bring('first', [first])
    await decide({ kind: 'add', entry: first.id }, { kind: 'mode', sender, mode: 'automatic' })
    await bring('second', [person('Ohman'), fever(), statement(allergy(concept('rxnorm:7980')), { negated: true })])
    expect(await list({ type: 'problem' })).toMatchObject([{ state: 'current', review: [] }])
    expect(await list({ type: 'allergy' })).toMatchObject([{ state: 'proposed', review: ['new'] }])
  })

  it('take the place of their earlier versions, of the same custodian only', async () => {
    const version = (versionNumber: string, custodian = 'Elm Clinic') => ({
      content: {
        set: { root: '1.2', value: 'set' },
        versionNumber,
        custodian: { kind: 'organization', text: custodian, identifiers: [] },
      },
    })
    const { bring, list, record, decide } = await setUp()
    const old = statement(medication(concept('rxnorm:1'), '1'), { recordedAt: date('2020') })
    const sha256 = await bring('v1', [old, fever()], version('1'))
    await decide({ kind: 'add-document', document: sha256 })
    await bring('other', [], version('9', 'Oak Clinic'))
    expect(await record.document(recordId, sha256)).toMatchObject({ standing: 'live' })
    await bring('v2', [statement(medication(concept('rxnorm:1'), '1'), { recordedAt: date('2020') })], version('2'))
    expect(await record.document(recordId, sha256)).toMatchObject({ standing: 'superseded' })
    expect(await list({ type: 'medication' })).toMatchObject([
      { id: old.id, state: 'current', review: [], appearances: [{ standing: 'superseded' }, { standing: 'shown' }] },
    ])
    // The new version does not have the problem: that does not end it.
    const [kept, ...more] = await list({ type: 'problem' })
    expect(kept).toMatchObject({ state: 'current', review: ['withdrawn'] })
    expect(more).toEqual([])
    await decide({ kind: 'add', entry: kept?.id ?? '' })
    expect(await list({ type: 'problem' })).toMatchObject([{ state: 'current', review: [] }])
  })

  it('take nothing out of the record that entered by itself when they are replaced', async () => {
    const version = (versionNumber: string) => ({ content: { set: { root: '1.2', value: 'set' }, versionNumber } })
    const { bring, decide, list } = await setUp()
    const first = person('Ohman')
    await bring('first', [first])
    await decide({ kind: 'add', entry: first.id }, { kind: 'mode', sender, mode: 'automatic' })
    const dose = (value: string) => statement(medication(concept('rxnorm:1'), value))
    const [one, two] = [dose('1'), dose('2')]
    const penicillin = statement(allergy(concept('rxnorm:7980')))
    await bring('v1', [person('Ohman'), one, penicillin, fever()], version('1'))
    await bring('v2', [person('Ohman'), two], version('2'))
    expect(await list({ type: 'medication' })).toMatchObject([
      { state: 'current', item: { id: one.id }, review: ['version', 'conflict'], conflicts: [{ field: 'dose' }] },
    ])
    for (const type of ['allergy', 'problem'] as const)
      expect(await list({ type })).toMatchObject([{ state: 'current', review: ['withdrawn'] }])
  })

  it('are replaced by what says so (relatedDocument RPLC), in whichever order they come', async () => {
    const one = { identifiers: [{ root: '1.2', value: 'one' }], when: { value: date('2020-01-01') } }
    const two = {
      ...{ identifiers: [{ root: '1.2', value: 'two' }], when: { value: date('2020-02-01') } },
      content: { related: [{ kind: 'RPLC', identifiers: one.identifiers }] },
    }
    for (const order of [
      ['one', 'two'],
      ['two', 'one'],
    ]) {
      const { bring, record } = await setUp()
      const shas: Record<string, string> = {}
      for (const name of order) shas[name] = await bring(name, [], name === 'one' ? one : two)
      expect(await record.document(recordId, shas['one'] ?? '')).toMatchObject({ standing: 'superseded' })
      expect(await record.document(recordId, shas['two'] ?? '')).toMatchObject({ standing: 'live' })
    }
  })

  it('tell of identifiers that name two things', async () => {
    const { bring, record, list } = await setUp()
    const same = { identifiers: [{ root: '1.2.3', value: 'a' }] }
    await bring('one', [statement(allergy(concept('rxnorm:7980')), same)])
    const sha256 = await bring('two', [statement(allergy(concept('rxnorm:596')), same)])
    expect(await record.document(recordId, sha256)).toMatchObject({ diagnostics: [{ code: 'id-reused' }] })
    expect(await list({ type: 'allergy' })).toHaveLength(2)
  })
})

describe('a record in a store', () => {
  it('loses and doubles nothing when two documents come at once', async () => {
    const { written, proposal, store, list } = await setUp()
    const documents = [written('one', [fever()]), written('two', [fever()]), written('three', [fever()])]
    await Promise.all(
      documents.map(async (document) => {
        for (;;) {
          const { parts } = await proposal(document)
          if ((await store.commit(parts)).kind === 'committed') return
        }
      }),
    )
    expect(await list({ type: 'problem' })).toMatchObject([{ appearances: [{}, {}, {}] }])
  })

  it('refuses a decision on what another changed meanwhile', async () => {
    const { bring, record, store } = await setUp()
    const one = fever()
    await bring('one', [one])
    const outcomes = await Promise.all(
      [1, 2].map(() => record.decide(recordId, [{ kind: 'add', entry: one.id }], 'test')),
    )
    const commits = []
    for (const outcome of outcomes) commits.push(await store.commit(outcome.kind === 'decided' ? outcome.parts : {}))
    expect(commits.map(({ kind }) => kind)).toEqual(['committed', 'conflict'])
  })

  it('marks what a label withholds', async () => {
    const { bring, list } = await setUp({ withheldLabels: ['R'] })
    await bring('one', [{ ...fever(), labels: [{ code: 'R' }] }])
    expect(await list({ type: 'problem' })).toMatchObject([{ withheld: true }])
  })

  it('opens records from before there were ledgers, and goes on with them', async () => {
    const { bring, decide, disk, list, store, vault } = await setUp()
    const old = fever()
    const source = { messageId: 'm', spoolId: 's', sender, mailbox: 'p@gw.example' }
    const key = `record/${recordId}/item/${old.id}`
    const stored = { recordId, state: 'proposed', addedAt: 1, source, item: old }
    const value = await vault.seal(`record/${recordId}`, key, Buffer.from(JSON.stringify(stored)))
    await store.commit({ put: [{ key, value }] })
    expect(await list()).toMatchObject([{ id: old.id, state: 'proposed' }])
    await bring('new', [fever()])
    await decide({ kind: 'add', entry: old.id })
    expect(await list({ type: 'problem' })).toMatchObject([{ id: old.id, state: 'current', appearances: [{}, {}] }])
    expect([...disk.contents].filter(([name]) => name.includes('/head'))).toHaveLength(1)
  })

  it('gives current entries by type and date, and throws at one that is damaged', async () => {
    const { bring, decide, record, store } = await setUp()
    const dated = (value: string) => statement(result(concept('loinc:2345-7'), '95'), { when: { value: date(value) } })
    const all = [dated('2020-01-01'), dated('2021-01-01'), fever()]
    const document = await bring('one', all)
    await decide({ kind: 'add-document', document })
    const gather = async (query: Parameters<typeof record.current>[1]) => {
      const ids: string[] = []
      for await (const { id } of record.current(recordId, query)) ids.push(id)
      return ids
    }
    expect(await gather({ types: ['result'] })).toEqual([all[1]?.id, all[0]?.id])
    expect(await gather({ types: ['result', 'problem'], from: '2020-06', to: '2021-01' })).toEqual([
      all[1]?.id,
      all[2]?.id,
    ])
    await store.commit({ put: [{ key: `record/${recordId}/item/${all[2]?.id}`, value: Buffer.from('damaged') }] })
    await expect(gather({ types: ['problem'] })).rejects.toThrow()
  })

  it('takes a document into a record of 3,000 items in less than a second on a busy machine', async () => {
    const { bring, written, proposal } = await setUp()
    const many = (from: number, count: number) =>
      Array.from({ length: count }, (_, n) =>
        statement(result(concept(`loinc:${(from + n) % 60}-1`), String(n)), {
          when: { value: date(`20${10 + (n % 10)}-01-1${n % 9}`) },
        }),
      )
    for (let at = 0; at < 3; at++) await bring(`large ${at}`, many(at, 1000))
    const document = written('small', many(7, 100))
    const started = performance.now()
    await proposal(document)
    const tookMs = performance.now() - started
    expect(tookMs).toBeLessThan(1000)
  })
})
