import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { AccessRule, RecordAccess } from '../../src/direct/access.js'
import type { DirectAddress } from '../../src/direct/address.js'
import { recordFamilies } from '../../src/record/families.js'
import type { AuthoredItem, ItemChange, PutOutcome, RecordEntry } from '../../src/record/item.js'
import { recordLimits } from '../../src/record/item.js'
import { openRecord } from '../../src/record/record.js'
import { openUploads, uploadLimits } from '../../src/record/uploads.js'
import { openRoom } from '../spool/room.js'
import { readDocument } from './read-document.js'
import { concept, date, medication, problem, result, statement } from './statements.js'

const recordId = 'r'

const custodian: RecordAccess = {
  ...{ record: recordId, told: recordId, rules: 'all', custodian: true },
  actor: { by: 'person:p', avenue: 'page', person: 'p' },
}

/** What an application may do; it knows the record by another name. */
function app(name: string, rules: readonly AccessRule[] | 'all' = 'all'): RecordAccess {
  const actor = { by: `app:${name}`, avenue: 'offline', person: 'p', app: name } as const
  return { record: recordId, told: `told ${name}`, rules, custodian: false, actor }
}

const rule = (permissions: AccessRule['permissions'], more: Partial<AccessRule> = {}): AccessRule => ({
  ...{ name: 'rule', reason: { en: 'to test' }, permissions },
  ...more,
})

const item = (words: string, more: Partial<AuthoredItem> = {}): AuthoredItem => ({
  ...{ content: problem(concept(words)), negated: false, identifiers: [] },
  ...more,
})

async function setUp(limits: Partial<typeof recordLimits> = {}, hooks: Parameters<typeof openRoom>[0] = {}) {
  const room = await openRoom(hooks)
  const record = openRecord(room, { ...recordLimits, ...limits })
  async function put(access: RecordAccess, ...changes: ItemChange[]) {
    const outcome = await record.put(recordId, changes, { access })
    if (outcome.kind === 'put') expect(await room.store.commit(outcome.parts)).toEqual({ kind: 'committed' })
    return outcome
  }
  async function done(access: RecordAccess, ...changes: ItemChange[]) {
    const outcome = await put(access, ...changes)
    if (outcome.kind === 'refused') throw new Error(`${outcome.problem} ${outcome.detail}`)
    return outcome.items
  }
  async function create(access: RecordAccess, of: AuthoredItem) {
    const [made] = await done(access, { kind: 'create', item: of })
    return made ?? { id: '', version: '' }
  }
  async function list(whose: RecordAccess | string, query: Parameters<typeof record.list>[1] = {}) {
    const page = await record.list(whose, query)
    if (page.kind !== 'page') throw new Error(page.kind)
    return page.items
  }
  async function feed(whose: RecordAccess | string, after = 0) {
    const found = await record.changes(whose, { after, limit: 200 })
    if (found.kind !== 'changes') throw new Error(found.kind)
    return found
  }
  async function bring(
    name: string,
    items: Parameters<typeof readDocument>[1],
    more: { readonly readOnly?: true } = {},
  ) {
    const document = readDocument(name, items)
    const { document: sha256 } = document.item.provenance
    const placed = items.map((one) => ({ ...one, provenance: { ...one.provenance, document: sha256 } }))
    const { parts } = await record.proposal(recordId, {
      ...{ documents: [{ ...document, items: placed }], sender: 'dr@far.example' as DirectAddress },
      ...{ mailbox: 'p@gw.example' as DirectAddress, messageId: 'm', spoolId: 's', ...more },
    })
    expect(await room.store.commit(parts)).toEqual({ kind: 'committed' })
    return sha256
  }
  return { ...room, record, put, done, create, list, feed, bring }
}

const refusal = (outcome: PutOutcome) => (outcome.kind === 'refused' ? outcome.problem : outcome.kind)
const words = ({ item: { content } }: RecordEntry) => (content.type === 'problem' ? content.problem.text : content.type)

describe('what somebody writes', () => {
  it('is an entry of its own from the start, however much others say the same', async () => {
    const { create, list } = await setUp()
    await create(custodian, item('asthma'))
    await create(app('a'), item('asthma'))
    expect((await list(recordId)).map(({ state }) => state)).toEqual(['current', 'current'])
  })

  it('keeps its id through every version, and never a version twice', async () => {
    const { create, done, record } = await setUp()
    const { id, version } = await create(app('a'), item('one'))
    const seen = [version]
    const change = async (access: RecordAccess, ...[given]: [Omit<ItemChange, 'entry' | 'version'>]) => {
      const [next] = await done(access, { entry: id, version: seen.at(-1), ...given } as ItemChange)
      expect(next?.id).toBe(id)
      seen.push(next?.version ?? '')
    }
    await change(app('a'), { kind: 'update', item: item('two') } as never)
    await change(custodian, { kind: 'update', item: item('one', { negated: true }) } as never)
    await change(app('a'), { kind: 'delete' })
    await change(custodian, { kind: 'restore' })
    await change(custodian, { kind: 'delete' })
    await change(custodian, { kind: 'restore' })
    expect(new Set(seen).size).toBe(seen.length)
    const entry = await record.get(recordId, id)
    expect(entry).toMatchObject({ id, state: 'current', version: seen.at(-1), item: { negated: true } })
    expect(entry).toMatchObject({ created: { actor: { app: 'a' } }, updated: { actor: { person: 'p' } } })
    const history = await record.history(recordId, id)
    expect(history.map(({ operation }) => operation)).toEqual(
      ['create', 'update', 'update', 'delete', 'restore', 'delete', 'restore'].reverse(),
    )
    expect(history.at(-1)?.item?.content).toEqual(problem(concept('one')))
  })

  it('goes over what documents told, and stays the same entry whatever it says and whatever comes', async () => {
    const { bring, record, done, list } = await setUp()
    const told = statement(medication(concept('rxnorm:1'), '10'))
    await bring('first', [told])
    const before = await record.get(recordId, told.id)
    const corrected = { content: medication(concept('rxnorm:2'), '20'), negated: false, identifiers: [] }
    await done(custodian, { kind: 'update', entry: told.id, version: before?.version ?? '', item: corrected })
    expect(await record.get(recordId, told.id)).toMatchObject({ id: told.id, state: 'current', item: corrected })
    await bring('second', [statement(medication(concept('rxnorm:1'), '10'))])
    const medications = await list(recordId, { type: 'medication' })
    expect(medications).toMatchObject([{ id: told.id, state: 'current', item: corrected, review: [] }])
    const [gone] = await done(custodian, { kind: 'delete', entry: told.id, version: medications[0]?.version ?? '' })
    await bring('third', [statement(medication(concept('rxnorm:1'), '10'))])
    expect(await list(recordId, { type: 'medication' })).toEqual([])
    const deleted = await record.get(recordId, told.id)
    expect(deleted).toMatchObject({ state: 'deleted', item: corrected })
    expect(deleted?.version).not.toBe(gone?.version)
    await done(custodian, { kind: 'restore', entry: told.id, version: deleted?.version ?? '' })
    expect(await record.get(recordId, told.id)).toMatchObject({ state: 'current', item: corrected })
  })

  it('is refused whole where one change is: stale, without a version, or of nothing', async () => {
    const { create, put, list } = await setUp()
    const { id, version } = await create(app('a'), item('one'))
    const also: ItemChange = { kind: 'create', item: item('two') }
    const update = (entry: string, of?: string): ItemChange => ({
      ...{ kind: 'update', entry, item: item('three') },
      ...(of !== undefined && { version: of }),
    })
    expect(refusal(await put(app('a'), also, update(id, 'other')))).toBe('stale')
    expect(refusal(await put(app('a'), also, update(id)))).toBe('version-missing')
    expect(refusal(await put(app('a'), also, update('nothing', version)))).toBe('missing')
    expect(refusal(await put(app('a'), update(id, version), update(id, version)))).toBe('not-possible')
    expect((await list(recordId)).map(words)).toEqual(['one'])
  })

  it('is for others as their rules say: missing what they may not see, denied what they may not do', async () => {
    const { create, put, record, list } = await setUp()
    const when = { value: date('2026-01-05') }
    const { id, version } = await create(custodian, item('one', { when }))
    const change = (kind: 'delete' | 'restore'): ItemChange => ({ kind, entry: id, version })
    const cases: readonly (readonly [readonly AccessRule[], ItemChange, string])[] = [
      [[], change('delete'), 'missing'],
      [[rule(['delete'], { types: ['allergy'] })], change('delete'), 'missing'],
      [[rule(['read', 'delete'], { to: '2025-12-31' })], change('delete'), 'missing'],
      [[rule(['read'])], change('delete'), 'denied'],
      [[rule(['read'])], { kind: 'create', item: item('x') }, 'denied'],
      [
        [rule(['read', 'update'], { from: '2026-01-01' })],
        { ...change('delete'), kind: 'update', item: item('x', { when: { value: date('2020') } }) } as ItemChange,
        'denied',
      ],
      [[rule(['create'])], { kind: 'create', item: item('x', { flags: { personal: true } }) }, 'denied'],
      [[rule(['delete'])], change('delete'), 'put'],
    ]
    for (const [rules, asked, expected] of cases) {
      const outcome = await record.put(recordId, [asked], { access: app('a', rules) })
      expect(refusal(outcome), JSON.stringify([rules, asked])).toBe(expected)
    }
    expect(refusal(await put({ ...app('a'), record: 'other' }, change('delete')))).toBe('missing')
    expect(await list(app('a', [rule(['read'], { from: '2026-01-01' })]))).toMatchObject([{ recordId: 'told a' }])
    expect(await list(app('a', [rule(['read'], { from: '2026-01-06' })]))).toEqual([])
    expect(await list(app('a', [rule(['create'])]))).toEqual([])
  })

  it('known only by its year is outside of every range that has less than that year', async () => {
    const { create, list } = await setUp()
    await create(custodian, item('one', { when: { value: date('2026') } }))
    const seen = async (more: Partial<AccessRule>) => (await list(app('a', [rule(['read'], more)]))).length
    expect(await seen({ to: '2026-06-30' })).toBe(0)
    expect(await seen({ from: '2026-01-02' })).toBe(0)
    expect(await seen({ from: '2026-01-01', to: '2026-12-31' })).toBe(1)
  })

  it('is created once under one client id, by each application for itself', async () => {
    const { create, put, list } = await setUp()
    const named = item('one', { clientId: 'c' })
    const first = await create(app('a'), named)
    expect(await put(app('a'), { kind: 'create', item: named })).toMatchObject({
      items: [{ ...first, repeated: true }],
      parts: {},
    })
    expect(refusal(await put(app('a'), { kind: 'create', item: item('two', { clientId: 'c' }) }))).toBe(
      'client-id-used',
    )
    const twice = [1, 2].map(() => ({ kind: 'create' as const, item: item('x', { clientId: 'd' }) }))
    expect(refusal(await put(app('a'), ...twice))).toBe('client-id-used')
    const theirs = await create(app('b'), named)
    expect(theirs.id).not.toBe(first.id)
    expect((await list(app('a'), { clientIds: ['c'] })).map(({ id }) => id)).toEqual([first.id])
    expect((await list(app('a'))).map(({ clientId }) => clientId).sort()).toEqual(['c', undefined])
  })

  it('that is personal or deleted is nowhere for an application, and in every list of a custodian who asks', async () => {
    const { create, done, record, list, feed, put } = await setUp()
    const { id } = await create(custodian, item('secret', { flags: { personal: true } }))
    const kept = await create(app('a'), item('plain'))
    expect(await record.get(app('a'), id)).toBeUndefined()
    expect((await list(app('a'))).map(words)).toEqual(['plain'])
    expect((await feed(app('a'))).changes.map(({ entry }) => entry)).toEqual([kept.id])
    for await (const entry of record.current(app('a'))) expect(words(entry)).toBe('plain')
    await done(app('a'), { kind: 'delete', entry: kept.id, version: kept.version })
    expect(await list(app('a'), { state: 'deleted' })).toEqual([])
    expect(await record.get(app('a'), kept.id)).toBeUndefined()
    expect(refusal(await put(app('a'), { kind: 'restore', entry: kept.id, version: 'x' }))).toBe('missing')
    expect((await list(custodian, { state: 'deleted' })).map(words)).toEqual(['plain'])
    expect((await feed(app('a'))).changes.map(({ operation }) => operation)).toEqual(['create', 'delete'])
  })

  it('that is read-only changes in nothing but the day on which it ends, nor does what a read-only document told', async () => {
    const { create, put, done, bring, record } = await setUp()
    const fixed = item('fixed', { flags: { readOnly: true } })
    const { id, version } = await create(app('a'), fixed)
    const update = (of: AuthoredItem): ItemChange => ({ kind: 'update', entry: id, version, item: of })
    expect(refusal(await put(custodian, update(item('other'))))).toBe('read-only')
    expect(refusal(await put(custodian, { kind: 'delete', entry: id, version }))).toBe('read-only')
    expect(refusal(await put(app('a'), update({ ...fixed, flags: { readOnly: false } })))).toBe('bad-item')
    await done(app('a'), update(item('fixed', { endsAt: '2026-03-01' })))
    expect(await record.get(app('a'), id)).toMatchObject({ endsAt: '2026-03-01', flags: { readOnly: true } })

    const told = statement(problem(concept('snomed:1')))
    await bring('read-only', [told], { readOnly: true })
    const entry = await record.get(recordId, told.id)
    expect(entry?.flags).toEqual({ readOnly: true })
    const change = { entry: told.id, version: entry?.version ?? '' }
    expect(refusal(await put(custodian, { kind: 'delete', ...change }))).toBe('read-only')
    expect(refusal(await put(custodian, { kind: 'update', ...change, item: item('x') }))).toBe('read-only')
  })

  it('of which a record has one is refused a second time, and a document is never changed', async () => {
    const { create, put, bring, record, done } = await setUp()
    const empty = { races: [], ethnicities: [], languages: [], addresses: [], telecoms: [], identifiers: [] }
    const person = (given: string) =>
      item('', { content: { type: 'demographics', names: [{ given: [given] }], ...empty } })
    const first = await create(custodian, person('Nora'))
    expect(refusal(await put(custodian, { kind: 'create', item: person('Dora') }))).toBe('singleton')
    const [gone] = await done(custodian, { kind: 'delete', entry: first.id, version: first.version })
    const second: ItemChange = { kind: 'create', item: person('Dora') }
    expect(refusal(await put(custodian, second, second))).toBe('singleton')
    await done(custodian, second)
    expect(refusal(await put(custodian, { kind: 'restore', entry: first.id, version: gone?.version ?? '' }))).toBe(
      'singleton',
    )

    const sha256 = await bring('document', [])
    const entry = (await record.documents(custodian)).find((one) => one.sha256 === sha256)
    const { version = '', item: document } = (await record.get(recordId, entry?.itemId ?? '')) ?? {}
    if (!document) throw new Error('no document')
    const changed = { ...item(''), content: document.content, blobs: [] }
    const outcome = await put(custodian, { kind: 'update', entry: document.id, version, item: changed })
    expect(['immutable', 'bad-item']).toContain(refusal(outcome))
    await done(custodian, { kind: 'delete', entry: document.id, version })
    expect(await record.document(app('a'), sha256)).toBeUndefined()
    expect(await record.documentBytes(app('a'), sha256)).toBeUndefined()
  })

  it('beyond a quota is refused, and what is deleted never is', async () => {
    const { create, put, done } = await setUp({ itemsPerRecord: 2 })
    const { id, version } = await create(app('a'), item('one'))
    await create(app('a'), item('two'))
    expect(refusal(await put(app('a'), { kind: 'create', item: item('three') }))).toBe('quota')
    const [gone] = await done(app('a'), { kind: 'delete', entry: id, version })
    await done(custodian, { kind: 'restore', entry: id, version: gone?.version ?? '' })
    const small = await setUp({ bytesPerRecord: 1000 })
    expect(refusal(await small.put(app('a'), { kind: 'create', item: item('x'.repeat(900)) }))).toBe('quota')
    const narrow = await setUp({ itemBytes: 1000 })
    expect(refusal(await narrow.put(app('a'), { kind: 'create', item: item('x'.repeat(900)) }))).toBe('bad-item')
  })
})

describe('who wrote an item', () => {
  it('is told to its application without the person, and to others not at all', async () => {
    const { record, create } = await setUp()
    const { id } = await create(app('a'), item('one'))
    const own = await record.get(app('a'), id)
    expect(own?.created.actor).toEqual({ by: 'app:a', avenue: 'offline', app: 'a' })
    expect((await record.get(app('b'), id))?.created.actor).toEqual({ by: 'another', avenue: 'offline' })
    expect((await record.get(custodian, id))?.created.actor).toMatchObject({ app: 'a', person: 'p' })
    const reader: RecordAccess = { ...custodian, custodian: false }
    const written = await create(reader, item('two'))
    expect((await record.get(reader, written.id))?.created.actor).toMatchObject({ person: 'p' })
  })
})

describe('the feed', () => {
  it('has every revision, whoever made it: puts, documents and decisions', async () => {
    const { create, bring, record, store, feed, done } = await setUp()
    const { id, version } = await create(custodian, item('one'))
    const told = statement(result(concept('loinc:1'), '5'))
    await bring('document', [told])
    const decided = await record.decide(recordId, [{ kind: 'add', entry: told.id }], 'test')
    if (decided.kind !== 'decided') throw new Error(decided.kind)
    await store.commit(decided.parts)
    await done(custodian, { kind: 'delete', entry: id, version })
    const { changes, latest } = await feed(recordId)
    expect(latest).toBe(4)
    expect([...new Set(changes.map(({ sequence }) => sequence))]).toEqual([1, 2, 3, 4])
    expect(changes.filter(({ entry }) => entry === told.id).map(({ operation }) => operation)).toEqual([
      'create',
      'update',
    ])
    const toApp = (await feed(app('a'))).changes.filter(({ type }) => type === 'result')
    expect(toApp).toMatchObject([{ operation: 'create', sequence: 3, entry: told.id }])
  })

  it('comes in pages that neither repeat nor lose anything, also within one commit', async () => {
    const { done, record } = await setUp()
    const many = Array.from({ length: 30 }, (_, n): ItemChange => ({ kind: 'create', item: item(`n${n}`) }))
    const ids = (await done(custodian, ...many)).map(({ id }) => id)
    const seen: string[] = []
    for (let cursor: string | undefined; ; ) {
      const page = await record.changes(recordId, { limit: 7, ...(cursor !== undefined && { cursor }) })
      if (page.kind !== 'changes') throw new Error(page.kind)
      seen.push(...page.changes.map(({ entry }) => entry))
      cursor = page.next
      if (!page.more) break
    }
    expect(seen).toEqual(ids)
    expect(await record.changes(recordId, { cursor: 'nonsense' })).toEqual({ kind: 'bad-cursor' })
  })

  it('tells enough to follow a record, whatever is put and by whom, also where puts meet', async () => {
    const access = fc.constantFrom(custodian, app('a'), app('b', [rule(['create', 'read', 'update', 'delete'])]))
    const step = fc.record({
      access,
      kind: fc.constantFrom('create', 'update', 'delete', 'restore', 'meet'),
      at: fc.nat(9),
      flags: fc.constantFrom({}, { flags: { personal: true } }),
      text: fc.constantFrom('one', 'two', 'three'),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 14 }), async (steps) => {
        const { record, store, feed, list } = await setUp()
        const other = openRecord({ ...(await openRoom()), store } as never)
        expect(other).toBeDefined()
        for (const { access: by, kind, at, flags, text } of steps) {
          const all = [...(await list(custodian)), ...(await list(custodian, { state: 'deleted' }))]
          const target = all[at % Math.max(1, all.length)]
          const of = item(text, by.custodian ? flags : {})
          const entry = { entry: target?.id ?? 'none', version: target?.version ?? 'none' }
          const change =
            kind === 'create' || kind === 'meet'
              ? ({ kind: 'create', item: of } as const)
              : kind === 'update'
                ? ({ kind, ...entry, item: of } as const)
                : ({ kind, ...entry } as ItemChange)
          const outcomes = [await record.put(recordId, [change], { access: by })]
          // Two that were made of one state: one of them is committed.
          if (kind === 'meet') outcomes.push(await record.put(recordId, [change, change], { access: by }))
          for (const [index, outcome] of outcomes.entries()) {
            if (outcome.kind !== 'put') continue
            const { kind: committed } = await store.commit(outcome.parts)
            expect(committed).toBe(index === 0 ? 'committed' : 'conflict')
            if (index > 0) continue
            const [made] = outcome.items
            expect(await record.get(recordId, made?.id ?? '')).toMatchObject({ version: made?.version })
          }
        }
        for (const whose of [custodian, app('a')]) {
          const { changes, latest } = await feed(whose)
          const there = new Set<string>()
          for (const { operation, entry } of changes) {
            if (operation === 'create' || operation === 'restore') expect(there.has(entry)).toBe(false)
            else expect(there.has(entry)).toBe(true)
            if (operation === 'delete') there.delete(entry)
            else there.add(entry)
          }
          expect([...there].sort()).toEqual((await list(whose)).map(({ id }) => id).sort())
          if (whose.custodian)
            expect([...new Set(changes.map(({ sequence }) => sequence))]).toEqual(
              Array.from({ length: latest }, (_, n) => n + 1),
            )
        }
      }),
      { numRuns: 60 },
    )
  }, 60_000)
})

describe('a put that is killed', () => {
  it('between any two calls of the store leaves all of it or nothing, and goes on', async () => {
    for (let death = 1; ; death++) {
      let calls = 0
      let armed = false
      const die = () => {
        if (armed && ++calls === death) throw new Error('killed')
      }
      const { put, record, list, store, feed } = await setUp({}, { beforeCall: die })
      const changes = ['one', 'two'].map(
        (text): ItemChange => ({ kind: 'create', item: item(text, { clientId: text }) }),
      )
      armed = true
      const first = await put(app('a'), ...changes).catch(() => undefined)
      armed = false
      const there = await list(recordId)
      expect([0, 2]).toContain(there.length)
      expect((await feed(recordId)).changes).toHaveLength(there.length)
      const again = await record.put(recordId, changes, { access: app('a') })
      if (again.kind !== 'put') throw new Error(again.detail)
      await store.commit(again.parts)
      expect(await list(recordId)).toHaveLength(2)
      if (first) break
    }
  })
})

describe('an upload', () => {
  async function uploading(limits: Partial<typeof uploadLimits> = {}) {
    const room = await setUp()
    const usedBytes = async (id: string) => (await room.record.usage(id)).bytes
    const uploads = openUploads({ ...room, usedBytes }, { ...uploadLimits, ...limits })
    async function whole(access: RecordAccess, bytes: Buffer) {
      const begun = await uploads.begin(access, { sizeBytes: bytes.length })
      if (begun.kind !== 'begun') throw new Error(begun.kind)
      await room.store.commit(begun.parts)
      for (let offset = 0; offset < bytes.length; offset += 300_000) {
        const taken = await uploads.append(access, begun.upload.id, offset, bytes.subarray(offset, offset + 300_000))
        if (taken.kind !== 'taken') throw new Error(taken.kind)
        await room.store.commit(taken.parts)
        if (taken.upload.sha256 !== undefined) return { id: begun.upload.id, sha256: taken.upload.sha256 }
      }
      throw new Error('not finished')
    }
    const rows = async () => (await room.store.range({ gte: 'a', lt: 'z', limit: 10_000 })).map(({ key }) => key)
    return { ...room, uploads, whole, rows }
  }
  const bytes = Buffer.alloc(700_000, 'abc')

  it('is swept after a day unless an item names it, in whatever state it stayed', async () => {
    const { uploads, whole, rows, clock, create, vault } = await uploading()
    await vault.seal(`record/${recordId}`, 'x', Buffer.alloc(1))
    const before = await rows()
    await whole(app('a'), bytes)
    const begun = await uploads.begin(app('a'), { sizeBytes: 10 })
    expect(begun.kind).toBe('begun')
    expect(await uploads.sweep()).toBe(0)
    clock.at += uploadLimits.waitMs + 1
    expect(await uploads.sweep()).toBe(1)
    expect(await rows()).toEqual(before)

    const { sha256 } = await whole(app('a'), bytes)
    const blobs = [{ name: '', mediaType: 'image/png', sha256, sizeBytes: bytes.length }]
    await create(app('a'), item('named', { blobs }))
    clock.at += uploadLimits.waitMs + 1
    expect(await uploads.sweep()).toBe(0)
    const read: Uint8Array[] = []
    for await (const chunk of (await uploads.read(recordId, sha256)) ?? []) read.push(chunk)
    expect(Buffer.concat(read).equals(bytes)).toBe(true)
  })

  it('of bytes that the record has takes no room, and lets whoever had them bind them', async () => {
    const { whole, rows, put, create } = await uploading()
    const { sha256 } = await whole(app('a'), bytes)
    const blobs = [{ name: '', mediaType: 'image/png', sha256, sizeBytes: bytes.length }]
    await create(app('a'), item('mine', { blobs }))
    const pieces = (await rows()).filter((key) => key.includes('/piece/'))
    expect(refusal(await put(app('b'), { kind: 'create', item: item('x', { blobs }) }))).toBe('blob-missing')
    await whole(app('b'), bytes)
    expect((await rows()).filter((key) => key.includes('/piece/'))).toEqual(pieces)
    await create(app('b'), item('theirs', { blobs }))
  })

  it('and all that is written beside it is of a family that checks it, and that finds what is lost', async () => {
    const { uploads, whole, create, store, vault, blobs: disk } = await uploading()
    const { sha256 } = await whole(app('a'), bytes)
    const blobs = [{ name: '', mediaType: 'image/png', sha256, sizeBytes: bytes.length }]
    await create(app('a'), item('named', { blobs, clientId: 'c' }))
    await whole(app('a'), Buffer.alloc(10))
    const begun = await uploads.begin(app('a'), { sizeBytes: 10 })
    if (begun.kind === 'begun') await store.commit(begun.parts)
    const reader = { vault, blobs: disk, unwrap: () => new Uint8Array() }
    const met = new Set<string>()
    async function lost() {
      const needs: string[] = []
      for await (const row of store.snapshot()) {
        if (row.kind !== 'entry') continue
        const family = recordFamilies.find(({ kind, form }) => kind === 'entry' && form.test(row.key))
        if (family?.kind !== 'entry') continue
        met.add(family.name)
        for (const need of await family.check(row, reader)) if (need.kind === 'entry') needs.push(need.key)
      }
      const there = await Promise.all(needs.map((key) => store.get(key)))
      return needs.filter((_, n) => there[n] === undefined)
    }
    expect(await lost()).toEqual([])
    expect([...met].sort()).toEqual(
      ['blob of a record', 'changes of a record', 'client id of an item', 'head of a record', 'ledger of a record']
        .concat(['piece of a blob', 'record item', 'time of an upload', 'upload to a record'])
        .sort(),
    )
    const piece = (await store.range({ gte: 'record/', lt: 'record0', limit: 1000 })).find(({ key }) =>
      key.includes('/piece/'),
    )
    await store.commit({ del: [piece?.key ?? ''] })
    expect(await lost()).toEqual([piece?.key])
  })

  it('reads any part of what came, wherever pieces end', async () => {
    const { uploads, whole } = await uploading()
    const { sha256 } = await whole(custodian, bytes)
    const place = fc.nat(bytes.length)
    await fc.assert(
      fc.asyncProperty(place, place, async (one, other) => {
        const [from, to] = [Math.min(one, other), Math.max(one, other)]
        const read: Uint8Array[] = []
        for await (const chunk of (await uploads.read(recordId, sha256, { from, to })) ?? []) read.push(chunk)
        expect(Buffer.concat(read).equals(bytes.subarray(from, to))).toBe(true)
      }),
      { numRuns: 30 },
    )
  })

  it('is refused beyond every limit, and by whoever did not begin it', async () => {
    const { uploads, store } = await uploading({ waiting: 1, blobBytes: 100, pieceBytes: 10, pieces: 2 })
    expect(await uploads.begin(app('a'), { sizeBytes: 101 })).toEqual({ kind: 'too-large' })
    const begun = await uploads.begin(app('a'), { sizeBytes: 100 })
    if (begun.kind !== 'begun') throw new Error(begun.kind)
    await store.commit(begun.parts)
    expect(await uploads.begin(app('a'), { sizeBytes: 1 })).toEqual({ kind: 'too-many' })
    const { id } = begun.upload
    expect(await uploads.append(app('a'), id, 0, Buffer.alloc(11))).toEqual({ kind: 'too-large' })
    expect(await uploads.append(app('b'), id, 0, Buffer.alloc(1))).toEqual({ kind: 'missing' })
    expect(await uploads.append(app('a'), id, 5, Buffer.alloc(1))).toEqual({ kind: 'gap', offset: 0 })
    expect(await uploads.get(app('b'), id)).toBeUndefined()
    for (const offset of [0, 1]) {
      const taken = await uploads.append(app('a'), id, offset, Buffer.alloc(1))
      if (taken.kind === 'taken') await store.commit(taken.parts)
    }
    expect(await uploads.append(app('a'), id, 2, Buffer.alloc(1))).toEqual({ kind: 'too-many' })
  })
})
