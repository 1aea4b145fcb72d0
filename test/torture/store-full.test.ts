import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { type Store, StoreFailed } from '../../src/ports/store.js'
import { openFileBlobs } from '../../src/store/blobs.js'
import { openLevelStore } from '../../src/store/level/level.js'

const clock = { now: () => Date.now() }
const disk = mkdtempSync(join(tmpdir(), 'gateway-full-'))
const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=96m', 'tmpfs', disk]).status === 0
afterAll(async () => {
  if (mounted) spawnSync('umount', ['-l', disk])
  await rm(disk, { recursive: true, force: true })
})

const value = randomBytes(20_000)

/** Commits until the disk is full; answers the keys that were acknowledged. */
async function fill(store: Store): Promise<string[]> {
  const acknowledged: string[] = []
  async function write(writer: number) {
    for (let n = 0; ; n++) {
      const key = `k/${writer}/${n}`
      const result = await store.commit({ put: [{ key, value }] })
      if (result.kind === 'committed') acknowledged.push(key)
    }
  }
  const ends = await Promise.allSettled(Array.from({ length: 8 }, (_, writer) => write(writer)))
  for (const end of ends) expect(end).toMatchObject({ status: 'rejected', reason: { name: 'StoreFailed' } })
  return acknowledged
}

describe.skipIf(!mounted)('a full disk (skipped where a tmpfs cannot be mounted)', () => {
  afterEach(async () => {
    for (const name of await readdir(disk)) await rm(join(disk, name), { recursive: true })
  })

  it('closes the store for writes, loses nothing acknowledged, and is well again after room and reopening', async () => {
    const ballast = await openFileBlobs(join(disk, 'ballast'), clock)
    const name = await ballast.put([randomBytes(40_000_000)])
    let store = await openLevelStore(join(disk, 'level'), clock)
    const acknowledged = await fill(store)
    expect(acknowledged.length).toBeGreaterThan(100)
    expect(store.healthy()).toBe(false)
    // Nothing is retried in place, whatever room there is.
    await ballast.delete(name)
    await expect(store.commit({ put: [{ key: 'k', value }] })).rejects.toBeInstanceOf(StoreFailed)
    expect((await store.get(acknowledged[0] ?? ''))?.value.length).toBe(value.length)
    await store.close()

    store = await openLevelStore(join(disk, 'level'), clock)
    for (const key of acknowledged) expect((await store.get(key))?.value.length).toBe(value.length)
    expect(await store.commit({ put: [{ key: 'k', value }] })).toEqual({ kind: 'committed' })
    await store.close()
  })

  it('refuses a blob that does not fit and leaves nothing of it', async () => {
    const blobs = await openFileBlobs(join(disk, 'blobs'), clock)
    const before = await blobs.room()
    function* endless() {
      for (let i = 0; i < 1000; i++) yield randomBytes(200_000)
    }
    await expect(blobs.put(endless())).rejects.toBeInstanceOf(StoreFailed)
    expect(await readdir(join(disk, 'blobs', 'draft'))).toEqual([])
    expect((await blobs.room())?.freeBytes).toBe(before?.freeBytes)
    const name = await blobs.put([value])
    expect(await blobs.size(name)).toBe(value.length)
  })
})
