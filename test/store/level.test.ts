import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { StoreFailed } from '../../src/ports/store.js'
import { openCommitter } from '../../src/store/committer.js'
import { metaFormat } from '../../src/store/keys.js'
import { openLevelHome, openLevelStore } from '../../src/store/level/level.js'
import type { OrderedHome } from '../../src/store/ordered.js'
import { standingClock } from '../contract/clock.js'
import { storeContract } from '../contract/store.js'

const freshDirectory = () => mkdtemp(join(tmpdir(), 'gateway-level-'))

storeContract('the level store', async () => {
  const directory = await freshDirectory()
  return {
    open: (clock) => openLevelStore(directory, clock),
    destroy: () => rm(directory, { recursive: true, force: true }),
  }
})

describe('the level store guards its directory', () => {
  let directory: string
  const clock = standingClock()
  const batch = { put: [{ key: 'k', value: Buffer.from('v') }] }

  beforeEach(async () => {
    directory = await freshDirectory()
  })
  afterEach(() => rm(directory, { recursive: true, force: true }))

  it('makes it for its owner only', async () => {
    const store = await openLevelStore(join(directory, 'new'), clock)
    expect((await stat(join(directory, 'new'))).mode & 0o777).toBe(0o700)
    await store.close()
  })

  it('says that it is in use to a second opener', async () => {
    const store = await openLevelStore(directory, clock)
    await expect(openLevelStore(directory, clock)).rejects.toThrow(/in use by another process/)
    await expect(openLevelStore(directory, clock)).rejects.toBeInstanceOf(StoreFailed)
    await store.close()
    await (await openLevelStore(directory, clock)).close()
  })

  it('refuses a format written by a newer build, and lets go of the directory', async () => {
    const home = await openLevelHome(directory)
    await home.write([{ type: 'put', key: metaFormat, value: Buffer.from('999') }], true)
    await home.close()
    for (let i = 0; i < 2; i++) await expect(openLevelStore(directory, clock)).rejects.toThrow(/start the newer build/)
  })

  /** A disk whose writes begin to fail: what is then written may or may not be there. */
  async function failingHome(failWrite: () => boolean): Promise<OrderedHome> {
    const home = await openLevelHome(directory)
    return {
      ...home,
      async write(changes, sync) {
        if (failWrite()) throw Object.assign(new Error('i/o error'), { code: 'EIO' })
        await home.write(changes, sync)
      },
    }
  }

  it('closes for writes at the first failed write, still reads, and works again once reopened', async () => {
    let failing = false
    const store = await openCommitter(await failingHome(() => failing), clock, 'test')
    await store.commit({ ...batch, enqueue: [{ queue: 'q', id: 'j', payload: Buffer.from('p'), dueAt: 0 }] })
    failing = true
    const results = await Promise.allSettled(Array.from({ length: 5 }, () => store.commit(batch)))
    for (const result of results) expect(result).toMatchObject({ status: 'rejected', reason: { name: 'StoreFailed' } })
    expect(store.healthy()).toBe(false)
    failing = false
    await expect(store.commit(batch)).rejects.toThrow(StoreFailed)
    await expect(store.claim('q', 1, 1000)).rejects.toThrow(StoreFailed)
    expect(await store.get('k')).toBeDefined()
    await store.close()

    const again = await openLevelStore(directory, clock)
    expect(again.healthy()).toBe(true)
    expect(await again.commit(batch)).toEqual({ kind: 'committed' })
    expect(await again.claim('q', 1, 1000)).toHaveLength(1)
    await again.close()
  })

  it('hands out no job whose attempt it could not write down', async () => {
    let failing = false
    const store = await openCommitter(await failingHome(() => failing), clock, 'test')
    await store.commit({ enqueue: [{ queue: 'q', id: 'j', payload: Buffer.from('p'), dueAt: 0 }] })
    failing = true
    await expect(store.claim('q', 1, 1000)).rejects.toThrow(StoreFailed)
    expect(store.healthy()).toBe(false)
    await store.close()
  })
})
