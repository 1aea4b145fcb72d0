import { mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { StoreFailed } from '../../src/ports/store.js'
import { openFileBlobs } from '../../src/store/blobs.js'
import { createMemoryBlobs } from '../../src/store/memory-blobs.js'
import { blobContract } from '../contract/blobs.js'
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
