import { mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Blobs } from '../../src/ports/blobs.js'
import { StoreFailed } from '../../src/ports/store.js'
import type { Clock } from '../../src/ports/world.js'
import { openFileBlobs } from '../../src/store/blobs.js'
import { createMemoryBlobs } from '../../src/store/memory-blobs.js'
import { blobChecks, blobContract, broken } from '../contract/blobs.js'
import { standingClock } from '../contract/clock.js'

const freshDirectory = () => mkdtemp(join(tmpdir(), 'gateway-blobs-'))

blobContract('file blobs', async () => {
  const root = await freshDirectory()
  return { open: (clock) => openFileBlobs(root, clock), destroy: () => rm(root, { recursive: true, force: true }) }
})

blobContract('memory blobs', async () => {
  const contents = new Map()
  return { open: async (clock) => createMemoryBlobs(clock, contents), inMemory: true, destroy: async () => {} }
})

describe('file blobs on their disk', () => {
  let root: string
  const clock = standingClock(Date.now())
  beforeEach(async () => {
    root = join(await freshDirectory(), 'blobs')
  })
  afterEach(() => rm(dirname(root), { recursive: true, force: true }))

  it('are readable by their owner only', async () => {
    const blobs = await openFileBlobs(root, clock)
    const path = blobs.path(await blobs.put([Buffer.from('x')])) ?? ''
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    for (const directory of [root, dirname(path), dirname(dirname(path))])
      expect((await stat(directory)).mode & 0o777).toBe(0o700)
  })

  it('answer StoreFailed when the disk fails, and leave no draft', async () => {
    const blobs = await openFileBlobs(root, clock)
    // A file where the first directory of every name must go.
    const prefixes = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, '0'))
    await Promise.all(prefixes.map((prefix) => writeFile(join(root, prefix), '')))
    await expect(blobs.put([Buffer.from('x')])).rejects.toBeInstanceOf(StoreFailed)
    expect(await readdir(join(root, 'draft'))).toEqual([])
    await rm(join(root, 'draft'), { recursive: true })
    await expect(blobs.put([Buffer.from('x')])).rejects.toBeInstanceOf(StoreFailed)
  })

  it('clear away the drafts of a process that died, but not of one that lives', async () => {
    await openFileBlobs(root, clock)
    await writeFile(join(root, 'draft', 'dead'), 'half a message')
    await utimes(join(root, 'draft', 'dead'), 1, 1)
    await writeFile(join(root, 'draft', 'alive'), 'half a message')
    await openFileBlobs(root, clock)
    expect(await readdir(join(root, 'draft'))).toEqual(['alive'])
  })

  it('mend a file that was damaged when its content comes again', async () => {
    const blobs = await openFileBlobs(root, clock)
    const name = await blobs.put([Buffer.from('whole')])
    await writeFile(blobs.path(name) ?? '', 'wh')
    await blobs.put([Buffer.from('whole')])
    expect(await blobs.size(name)).toBe(5)
  })
})

/** Memory blobs with one fault each, by the check that must see it. */
const faults: Readonly<Record<string, (blobs: Blobs) => Partial<Blobs>>> = {
  'give back any number of bytes under their digest': ({ get }) => ({
    get: async (name) => cut(await get(name)),
  }),
  'take many blobs at once, through two openings of the home': ({ put }) => {
    let last: Promise<string> | undefined
    return {
      async put(chunks) {
        const mine = put(chunks)
        last ??= mine
        return Math.random() < 0.2 ? last : mine
      },
    }
  },
  'name nothing before its last byte is there': ({ put, delete: remove }) => ({
    async put(chunks) {
      const early: string[] = []
      async function* eager() {
        for await (const chunk of chunks) {
          early.push(await put([chunk]))
          yield chunk
        }
      }
      const name = await put(eager())
      for (const other of early) if (other !== name) await remove(other)
      return name
    },
  }),
  'do not mind a reader that leaves early, or never begins': ({ get }) => {
    let reading = 0
    return {
      async get(name) {
        const chunks = await get(name)
        return ++reading > 5 ? undefined : chunks
      },
    }
  },
  'take the same content many times and at once, and keep it once': ({ put }) => {
    const known = new Set<string>()
    return {
      async put(chunks) {
        const name = await put(chunks)
        if (known.has(name)) throw new StoreFailed('it is there already')
        known.add(name)
        return name
      },
    }
  },
  'know nothing of other names, whatever they look like': ({ size }) => ({ size: (name) => size(name.toLowerCase()) }),
  'forget what is deleted, twice too': ({ size, delete: remove }) => ({
    async delete(name) {
      if ((await size(name)) === undefined) throw new StoreFailed('there is no such blob')
      await remove(name)
    },
  }),
  'leave nothing behind of a source that breaks off': ({ put }) => ({
    async put(chunks) {
      const parts: Uint8Array[] = []
      try {
        for await (const chunk of chunks) parts.push(chunk)
      } catch (error) {
        await put(parts)
        throw error
      }
      return put(parts)
    },
  }),
  'list what is old, and what was put again is young': ({ olderThan }) => ({ olderThan: () => olderThan(-60_000) }),
  'take and give 30 MB without holding up the event loop or memory': ({ get }) => ({
    async get(name) {
      const until = performance.now() + 1200
      while (performance.now() < until);
      return get(name)
    },
  }),
  'say how much room there is, or that it has no meaning': () => ({
    room: async () => ({ freeBytes: 2, totalBytes: 1, freeInodes: 1 }),
  }),
}

async function* cutting(chunks: AsyncIterable<Uint8Array>) {
  for await (const chunk of chunks) yield chunk.length < 64 * 1024 ? chunk.subarray(0, -1) : chunk
}
const cut = (chunks: AsyncIterable<Uint8Array> | undefined) => chunks && cutting(chunks)

describe('the blob contract', () => {
  it.each(Object.keys(faults))('catches a home that does not %s (seeded bug)', async (check) => {
    const createHome = async () => {
      const contents = new Map()
      const open = async (clock: Clock) => {
        const blobs = createMemoryBlobs(clock, contents)
        return { ...blobs, ...faults[check]?.(blobs) }
      }
      return { open, inMemory: true, destroy: async () => {} }
    }
    expect((await broken('a faulty home', createHome, [check])).map(({ name }) => name)).toEqual([check])
  })

  it('has a fault for each of its checks', () => {
    expect(Object.keys(faults).toSorted()).toEqual(blobChecks.toSorted())
  })
})
