import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { RowChange, Store } from '../../src/ports/store.js'
import { openFileBlobs } from '../../src/store/blobs.js'
import { openLevelStore } from '../../src/store/level/level.js'
import { createMemoryDisk, openMemoryStore } from '../../src/store/memory.js'
import { createMemoryBlobs } from '../../src/store/memory-blobs.js'
import { readMark } from '../../src/upkeep/mark.js'
import { type Home, move, undoMark } from '../../src/upkeep/migrate.js'
import { accept, seal, work } from '../fixtures/gateway.js'
import { busyGateway, checkHome, contentsOf, during } from './world.js'

type Busy = Awaited<ReturnType<typeof busyGateway>>

async function memoryHome({ disk }: Busy, under = createMemoryDisk(), blobs = createMemoryBlobs(disk.clock)) {
  const open = async (): Promise<Home> => ({ store: await openMemoryStore({ clock: disk.clock, disk: under }), blobs })
  return { under, open, home: await open() }
}

const movePorts = ({ gateway, disk }: Busy, target: Home) => ({
  source: gateway,
  target,
  clock: disk.clock,
  targetName: 'there',
})

describe('moving to another home', () => {
  it('brings every row and blob, marks the old one, and says where to', async () => {
    const busy = await busyGateway()
    const before = await contentsOf(busy.gateway.store)
    const { home, open } = await memoryHome(busy)
    expect(await move(movePorts(busy, home))).toMatchObject({ kind: 'moved', rows: before.length })
    const target = await open()
    expect(await contentsOf(target.store)).toEqual(before)
    expect((await checkHome(busy.disk, target).findings()).findings).toEqual([])
    expect(await readMark(busy.gateway.store)).toMatchObject({ state: 'moved', to: 'there' })
    expect(await readMark(target.store)).toBeUndefined()
    expect(await move(movePorts(busy, home))).toMatchObject({ kind: 'already-moved' })
  })

  it('while mail comes and goes copies first, then only what changed after the draining', async () => {
    const busy = await busyGateway()
    const { home, open } = await memoryHome(busy)
    const traffic = async (i: number) => {
      await accept(busy.gateway, seal({ id: `traffic-${i}`, body: 'x'.repeat(i % 2 === 0 ? 400_000 : 10) }))
      await work(busy.gateway)
      await busy.gateway.quarantine.purge(-1, 2)
    }
    const phases = new Set<string>()
    let caughtUp = 0
    const outcome = await during(traffic, (stop) =>
      move({ ...movePorts(busy, home), drain: stop }, ({ phase, changes }) => {
        phases.add(phase)
        if (phase === 'catching up') caughtUp = changes
      }),
    )
    expect(outcome).toMatchObject({ kind: 'moved' })
    expect(caughtUp).toBeGreaterThan(0)
    const target = await open()
    expect(await contentsOf(target.store)).toEqual(await contentsOf(busy.gateway.store))
    expect((await checkHome(busy.disk, target).findings()).findings).toEqual([])
    expect([...phases]).toEqual(['copying', 'catching up'])
  })

  it('that dies at any step leaves the old one the truth; run again it goes on', async () => {
    const busy = await busyGateway()
    const before = await contentsOf(busy.gateway.store)
    const { home, under, open } = await memoryHome(busy)
    for (const rows of [0, 1, 40, before.length - 1]) {
      const target = { ...home, store: dyingAfter(rows, (await open()).store) }
      await expect(move(movePorts(busy, target))).rejects.toThrow(/died/)
      expect(await readMark(busy.gateway.store)).toBeUndefined()
      expect(await readMark((await open()).store)).toMatchObject({ state: 'moving-in' })
    }
    expect(await move(movePorts(busy, await open()))).toMatchObject({ kind: 'moved' })
    const target = (await memoryHome(busy, under, home.blobs as ReturnType<typeof createMemoryBlobs>)).home
    expect(await contentsOf(target.store)).toEqual(before)
    expect((await checkHome(busy.disk, target).findings()).findings).toEqual([])
  })

  it('does not end where the source is still written to', async () => {
    const busy = await busyGateway()
    const { home } = await memoryHome(busy)
    const blobs = {
      ...home.blobs,
      // Somebody who was not stopped writes after the second round, before the blobs are compared.
      async get(name: string) {
        await busy.gateway.store.commit({ append: [{ log: 'audit', value: Buffer.from('{}') }] })
        return home.blobs.get(name)
      },
    }
    expect(await move(movePorts(busy, { ...home, blobs }))).toMatchObject({ kind: 'differs' })
    expect(await readMark(busy.gateway.store)).toBeUndefined()
  })

  it('does not end where the target did not keep what it was given', async () => {
    const busy = await busyGateway()
    const { home } = await memoryHome(busy)
    const stale: Home = { ...home, store: { ...home.store, load: forgetful } }
    const outcome = await move(movePorts(busy, stale))
    expect(outcome).toMatchObject({ kind: 'differs', detail: expect.stringMatching(/missing in the target/) })
    expect(await readMark(busy.gateway.store)).toBeUndefined()
  })

  it('leaves a home alone that holds another installation', async () => {
    const busy = await busyGateway()
    const other = await busyGateway()
    expect(await move(movePorts(busy, other.gateway))).toEqual({ kind: 'target-in-use' })
  })

  it('is undone by taking the mark away', async () => {
    const busy = await busyGateway()
    const { home } = await memoryHome(busy)
    expect(await undoMark(busy.gateway.store)).toBe(false)
    await move(movePorts(busy, home))
    expect(await undoMark(busy.gateway.store)).toBe(true)
    expect(await readMark(busy.gateway.store)).toBeUndefined()
  })

  it('works between folders on disk, and back', async () => {
    const busy = await busyGateway()
    const before = await contentsOf(busy.gateway.store)
    const folder = mkdtempSync(join(tmpdir(), 'dg-move-'))
    const openFolder = async (name: string) => ({
      store: await openLevelStore(join(folder, name, 'store'), busy.disk.clock),
      blobs: await openFileBlobs(join(folder, name, 'blobs'), busy.disk.clock),
    })
    try {
      const ports = { clock: busy.disk.clock, targetName: 'there' }
      const first = await openFolder('first')
      expect(await move({ ...ports, source: busy.gateway, target: first })).toMatchObject({ kind: 'moved' })
      await first.store.close()
      const [source, second] = [await openFolder('first'), await openFolder('second')]
      expect(await move({ ...ports, source, target: second })).toMatchObject({ kind: 'moved' })
      await Promise.all([source.store.close(), second.store.close()])
      const end = await openFolder('second')
      expect(await contentsOf(end.store)).toEqual(before)
      expect((await checkHome(busy.disk, end).findings()).findings).toEqual([])
      await end.store.close()
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})

/** A store whose process dies after so many loaded rows, all of which are there. */
function dyingAfter(rows: number, store: Store): Store {
  let loads = 0
  return {
    ...store,
    async load(changes) {
      // The first load is the mark.
      if (++loads === 1) return store.load(changes)
      const taken: RowChange[] = []
      for await (const change of changes) {
        if (taken.length >= rows) break
        taken.push(change)
      }
      await store.load(taken)
      throw new Error('died')
    },
  }
}

/** A seeded fault: a home that answers that it loaded, and did not. */
const forgetful: Store['load'] = async (changes) => {
  for await (const _ of changes);
}
