import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Store, StoredRow } from '../../src/ports/store.js'
import { createMemoryDisk, openMemoryStore } from '../../src/store/memory.js'
import { standingClock } from '../contract/clock.js'

const clock = standingClock(1_700_000_000_000)
const open = (disk = createMemoryDisk()) => openMemoryStore({ clock, disk })

async function rowsOf(store: Store): Promise<readonly StoredRow[]> {
  const rows: StoredRow[] = []
  for await (const row of store.snapshot()) rows.push(row)
  return rows
}

const put = (row: StoredRow) => ({ kind: 'put', row }) as const
const plain = (rows: readonly StoredRow[]) => rows.map((row) => JSON.stringify(row))

describe('rows of an ordered home', () => {
  it('come page after page, however large and small they lie among each other', async () => {
    const store = await open()
    const sizes = Array.from({ length: 700 }, (_, i) => (i % 97 < 12 ? 300_000 : 10))
    for (const [i, size] of sizes.entries())
      await store.commit({ put: [{ key: `k${String(i).padStart(4, '0')}`, value: new Uint8Array(size) }] })
    const rows = await rowsOf(store)
    expect(rows.map((row) => (row.kind === 'entry' ? row.value.length : -1))).toEqual(sizes)
  })

  it('go into another home and come out of it the same', async () => {
    const name = fc.string({
      minLength: 1,
      maxLength: 8,
      unit: fc.constantFrom('a', 'b', '/', '0', 'é', '\u{1f600}', '\uff5e'),
    })
    const value = fc.uint8Array({ maxLength: 20 })
    const batch = fc.record({
      put: fc.array(fc.record({ key: name, value }), { maxLength: 8 }),
      append: fc.array(fc.record({ log: name, value }), { maxLength: 5 }),
      enqueue: fc.array(fc.record({ queue: name, id: name, payload: value, dueAt: fc.nat() }), { maxLength: 6 }),
    })
    await fc.assert(
      fc.asyncProperty(batch, async (given) => {
        const [from, disk] = [await open(), createMemoryDisk()]
        await from.commit(given)
        for (const { queue } of given.enqueue.slice(0, 2)) await from.claim(queue, 1, 1)
        const rows = await rowsOf(from)
        await (await open(disk)).load(rows.map(put))
        const to = await open(disk)
        expect(plain(await rowsOf(to))).toEqual(plain(rows))
        // In one order, which is that of the bytes.
        const entries = rows.flatMap((row) => (row.kind === 'entry' ? [Buffer.from(row.key)] : []))
        expect(entries).toEqual([...entries].sort(Buffer.compare))
        for (const { kind, ...row } of rows)
          if (kind === 'job' && 'queue' in row)
            expect((await to.jobs(row.queue, 100)).find(({ id }) => id === row.id)).toMatchObject({ dueAt: row.dueAt })
      }),
      { numRuns: 200 },
    )
  })

  it('that were loaded are followed by newer versions and by the next link of each log', async () => {
    const disk = createMemoryDisk()
    const loading = await open(disk)
    await loading.load([
      put({ kind: 'entry', key: 'k', version: 90, value: Buffer.from('v') }),
      put({ kind: 'log', log: 'l', sequence: 1, value: Buffer.from('e'), link: new Uint8Array(32).fill(7) }),
    ])
    const store = await open(disk)
    await store.commit({
      put: [{ key: 'n', value: Buffer.from('v') }],
      append: [{ log: 'l', value: Buffer.from('f') }],
    })
    expect((await store.get('n'))?.version).toBeGreaterThan(90)
    expect((await store.log('l', 1, 10)).map(({ sequence }) => sequence)).toEqual([1, 2])
  })

  it('of a job that changed leave nothing behind where the old one goes first', async () => {
    const disk = createMemoryDisk()
    const job = (dueAt: number, attempt: number): StoredRow => ({
      kind: 'job',
      queue: 'q',
      id: 'i',
      dueAt,
      attempt,
      payload: Buffer.from('p'),
    })
    await (await open(disk)).load([put(job(5, 2))])
    await (await open(disk)).load([{ kind: 'del', row: job(5, 2) }, put(job(9, 0))])
    const store = await open(disk)
    expect(await store.jobs('q', 10)).toMatchObject([{ id: 'i', dueAt: 9, attempt: 0 }])
    await (await open(disk)).load([{ kind: 'del', row: job(9, 0) }])
    expect([...disk.contents.keys()].filter((key) => !key.startsWith('meta/'))).toEqual([])
  })

  it('are of one moment, whatever is written while they are read', async () => {
    const store = await open()
    for (let i = 0; i < 40; i++) await store.commit({ put: [{ key: `a${i}`, value: Buffer.of(1) }] })
    let seen = 0
    for await (const row of store.snapshot()) {
      seen++
      await store.commit({ put: [{ key: `b${seen}`, value: Buffer.of(1) }], del: row.kind === 'entry' ? ['a39'] : [] })
    }
    expect(seen).toBe(40)
  })
})
