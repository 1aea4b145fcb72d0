import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { recordLimits } from '../../src/record/item.js'
import { openRecord } from '../../src/record/record.js'
import { dayOf } from '../../src/record/rows.js'
import { openRoom, text } from '../spool/room.js'
import { item, readDocument } from './read-document.js'

const recordId = '3f2504e0-4f89-41d3-9a0c-0305e82c3301'
function date(iso) {
  return { text: iso, precision: 'day', offsetMinutes: null, source: iso }
}
const from = {
  sender: 'dr@far.example',
  mailbox: 'p@gw.example',
  messageId: 'm1',
  spoolId: 's1',
}
async function setUp(limits = recordLimits) {
  const room = await openRoom()
  const record = openRecord(room, limits)
  async function propose(...documents) {
    const { parts, ...ids } = await record.proposal(recordId, { documents, ...from })
    return { ...ids, outcome: await room.store.commit(parts) }
  }
  async function page(query) {
    const answer = await record.list(recordId, query)
    if (answer.kind !== 'page') throw new Error(answer.kind)
    return { ids: answer.items.map((stored) => stored.item.id), next: answer.next }
  }
  return { ...room, record, propose, page }
}
describe('proposing', () => {
  it('keeps the document, its bytes and its items as proposed', async () => {
    const { record, propose } = await setUp()
    const document = readDocument('<ccd/>', [item('i1'), item('i2')])
    expect(await propose(document)).toMatchObject({
      itemIds: [document.item.id, 'i1', 'i2'],
      outcome: { kind: 'committed' },
    })
    expect(await record.get(recordId, 'i1')).toMatchObject({
      state: 'proposed',
      source: { messageId: 'm1' },
      item: { id: 'i1' },
    })
    const sha256 = document.item.provenance.document
    expect(await record.document(recordId, sha256)).toMatchObject({
      mediaType: 'text/xml',
      name: 'ccd.xml',
      sizeBytes: 6,
    })
    expect(await text(await record.documentBytes(recordId, sha256))).toBe('<ccd/>')
  })
  it('adds nothing when the same bytes come again', async () => {
    const { propose, page } = await setUp()
    const document = readDocument('<ccd/>', [item('i1'), item('i2')])
    await propose(document)
    expect(await propose(document, document)).toMatchObject({ addedIds: [], outcome: { kind: 'committed' } })
    expect((await page({})).ids).toHaveLength(3)
  })
  it('adds only what a better reader finds more', async () => {
    const { propose } = await setUp()
    await propose(readDocument('<ccd/>', [item('i1')]))
    expect(await propose(readDocument('<ccd/>', [item('i1'), item('i2')]))).toMatchObject({ addedIds: ['i2'] })
  })
  it('conflicts, and then adds nothing, when two imports of the same bytes race', async () => {
    const { record, store, propose } = await setUp()
    const document = readDocument('<ccd/>', [item('i1')])
    const [one, two] = await Promise.all(
      [1, 2].map(() => record.proposal(recordId, { documents: [document], ...from })),
    )
    expect(await store.commit(one?.parts ?? {})).toEqual({ kind: 'committed' })
    expect(await store.commit(two?.parts ?? {})).toMatchObject({ kind: 'conflict' })
    expect(await propose(document)).toMatchObject({ addedIds: [] })
  })
  it('keeps records apart', async () => {
    const { record, propose } = await setUp()
    const document = readDocument('<ccd/>', [item('i1')])
    await propose(document)
    expect(await record.get('other', 'i1')).toBeUndefined()
    expect(await record.documentBytes('other', document.item.provenance.document)).toBeUndefined()
    expect(await record.list('other', {})).toMatchObject({ items: [] })
  })
  it('leaves no clinical words on the disk', async () => {
    const { propose, disk, blobs } = await setUp()
    await propose(readDocument('<canary/>', [item('i1')]), readDocument(Buffer.alloc(200_000, 'canary'), []))
    const all = [...disk.contents].map(([key, value]) => key + Buffer.from(value).toString('latin1'))
    for (const { bytes } of blobs.files.values()) all.push(Buffer.from(bytes).toString('latin1'))
    expect(blobs.files.size).toBe(1)
    expect(all.filter((row) => row.includes('canary') || row.includes('ccd.xml'))).toEqual([])
  })
  it('takes the first items of a document that has too many, and says so', async () => {
    const { record, propose } = await setUp({ ...recordLimits, itemsPerProposal: 3 })
    const document = readDocument('<ccd/>', [item('i1'), item('i2'), item('i3')])
    expect((await propose(document)).itemIds).toEqual([document.item.id, 'i1', 'i2'])
    const kept = await record.document(recordId, document.item.provenance.document)
    expect(kept?.diagnostics).toEqual([{ code: 'limit-exceeded', where: '', detail: '2 of 3 items were taken' }])
  })
})
describe('listing items', () => {
  it('is newest first by clinical date, undated last, in stable pages', async () => {
    const { propose, page } = await setUp()
    const items = [
      item('undated'),
      item('y2015', { when: { value: date('2015') } }),
      item('june', { when: { low: date('2015-06-22T10:30') } }),
      item('written', { recordedAt: date('2020-01-01') }),
      item('ended', { when: { low: date('2001-01-01'), high: date('2019-12-31') } }),
    ]
    await propose({ ...readDocument('<ccd/>', items), item: item('doc', { when: { value: date('2024-01-01') } }) })
    expect((await page({})).ids).toEqual(['doc', 'written', 'ended', 'june', 'y2015', 'undated'])
    const first = await page({ limit: 2 })
    await propose(readDocument('<later/>', [item('new', { when: { value: date('2026-01-01') } })]))
    const rest = await page({ limit: 10, ...(first.next ? { cursor: first.next } : {}) })
    expect(rest.ids.slice(0, 4)).toEqual(['ended', 'june', 'y2015', 'undated'])
  })
  it('lists one type, or one state', async () => {
    const { propose, page } = await setUp()
    const allergy = item('allergy', { content: { type: 'allergy', substance: { codings: [] }, reactions: [] } })
    await propose(readDocument('<ccd/>', [item('problem'), allergy]))
    expect((await page({ type: 'allergy' })).ids).toEqual(['allergy'])
    expect((await page({ type: 'medication' })).ids).toEqual([])
    expect((await page({ state: 'proposed' })).ids).toHaveLength(3)
    expect((await page({ state: 'current' })).ids).toEqual([])
  })
  it('names items whose rows are damaged', async () => {
    const { propose, record, store } = await setUp()
    await propose(readDocument('<ccd/>', [item('i1'), item('i2')]))
    await store.commit({ put: [{ key: `record/${recordId}/item/i1`, value: Buffer.from('damaged') }] })
    expect(await record.list(recordId, { type: 'problem' })).toMatchObject({
      items: [{ item: { id: 'i2' } }],
      unreadable: ['i1'],
    })
  })
  it('throws for no cursor and no id a stranger may send', async () => {
    const { record } = await setUp()
    const word = fc.oneof(fc.string(), fc.string({ unit: 'binary', maxLength: 2000 }))
    await fc.assert(
      fc.asyncProperty(word, word, async (cursor, id) => {
        expect(['bad-cursor', 'page']).toContain((await record.list(recordId, { cursor })).kind)
        expect(await record.list(id, {})).toMatchObject({ kind: 'page' })
        expect(await record.get(recordId, id)).toBeUndefined()
        expect(await record.documentBytes(id, id)).toBeUndefined()
      }),
      { numRuns: 1000 },
    )
  })
  it('sorts by no text that is not a date', () => {
    expect(dayOf(item('x', { when: { value: date('../../other') } }))).toBe('0000-00-00T00:00')
    expect(dayOf(item('x', { when: { value: date('yesterday') }, recordedAt: date('2020-01') }))).toBe(
      '2020-01-00T00:00',
    )
  })
})
