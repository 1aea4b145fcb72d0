import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openLevelStore } from '../../src/store/level/level.js'
import { createMemoryDisk, openMemoryStore } from '../../src/store/memory.js'
import { recordContract } from '../contract/record.js'

const clock = { now: () => Date.now() }

recordContract('the memory store', async () => {
  const disk = createMemoryDisk()
  return { open: () => openMemoryStore({ clock, disk }), nodes: 1, destroy: async () => {} }
})

recordContract('LevelDB', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'gateway-record-'))
  return {
    open: () => openLevelStore(directory, clock),
    nodes: 1,
    destroy: () => rm(directory, { recursive: true, force: true }),
  }
})
