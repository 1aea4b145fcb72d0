import { describe, expect, it } from 'vitest'
import { createMemoryDisk, openMemoryStore } from '../../src/store/memory.js'
import { standingClock } from '../contract/clock.js'
import { storeContract } from '../contract/store.js'

storeContract('the memory store', async () => {
  const disk = createMemoryDisk()
  return {
    open: (clock) => openMemoryStore({ clock, disk: { ...disk, close: async () => {} } }),
    destroy: async () => {},
  }
})

describe('the memory store dies on demand', () => {
  const clock = standingClock()
  const batch = { put: [{ key: 'k', value: Buffer.from('v') }] }
  const dieAt = (at: number) => (_call: string, n: number) => {
    if (n === at) throw new Error('power cut')
  }

  it('before a call, which then never happened', async () => {
    const disk = createMemoryDisk()
    const dying = await openMemoryStore({ clock, disk, beforeCall: dieAt(2) })
    await dying.get('k')
    await expect(dying.commit(batch)).rejects.toThrow('power cut')
    expect(await (await openMemoryStore({ clock, disk })).get('k')).toBeUndefined()
  })

  it('after a call, which took effect unheard', async () => {
    const disk = createMemoryDisk()
    const dying = await openMemoryStore({ clock, disk, afterCall: dieAt(1) })
    await expect(dying.commit(batch)).rejects.toThrow('power cut')
    expect(await (await openMemoryStore({ clock, disk })).get('k')).toBeDefined()
  })
})
