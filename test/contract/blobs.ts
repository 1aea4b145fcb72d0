import { createHash, randomBytes } from 'node:crypto'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Blobs } from '../../src/ports/blobs.js'
import type { Clock } from '../../src/ports/world.js'
import { standingClock } from './clock.js'

export interface BlobHome {
  open(clock: Clock): Promise<Blobs>
  destroy(): Promise<void>
}

const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

async function all(chunks: AsyncIterable<Uint8Array> | undefined): Promise<Buffer | undefined> {
  if (!chunks) return undefined
  const parts: Uint8Array[] = []
  for await (const chunk of chunks) {
    expect(chunk.length).toBeLessThanOrEqual(64 * 1024)
    parts.push(chunk)
  }
  return Buffer.concat(parts)
}

async function listed(names: AsyncIterable<string>): Promise<string[]> {
  const found: string[] = []
  for await (const name of names) found.push(name)
  return found.sort()
}

/** What every home of blobs must do. */
export function blobContract(adapter: string, createHome: () => Promise<BlobHome>) {
  describe(`${adapter} keep the blob contract`, () => {
    let home: BlobHome
    let blobs: Blobs
    const clock = standingClock()

    beforeEach(async () => {
      clock.set(Date.now())
      home = await createHome()
      blobs = await home.open(clock)
    })
    afterEach(() => home.destroy())

    it.each([0, 1, 65_535, 65_536, 65_537, 262_144, 300_001])('give back %i bytes under their digest', async (size) => {
      const bytes = randomBytes(size)
      const name = await blobs.put([bytes.subarray(0, 10), bytes.subarray(10)])
      expect(name).toBe(digest(bytes))
      expect(Buffer.compare((await all(await blobs.get(name))) ?? Buffer.alloc(1), bytes)).toBe(0)
      expect(await blobs.size(name)).toBe(size)
      expect(await (await home.open(clock)).size(name)).toBe(size)
    })

    it('take the same content many times and at once, and keep it once', async () => {
      const bytes = randomBytes(100_000)
      const names = await Promise.all(Array.from({ length: 10 }, () => blobs.put([bytes])))
      expect(new Set(names)).toEqual(new Set([digest(bytes)]))
      expect(await blobs.put([bytes])).toBe(digest(bytes))
      expect(await listed(blobs.olderThan(-60_000))).toEqual([digest(bytes)])
    })

    it('know nothing of other names, whatever they look like', async () => {
      const name = await blobs.put([Buffer.from('x')])
      for (const other of ['', '../../etc/passwd', name.toUpperCase(), `${name}/`, name.slice(1), '0'.repeat(64)]) {
        expect(await blobs.get(other)).toBeUndefined()
        expect(await blobs.size(other)).toBeUndefined()
        await blobs.delete(other)
      }
      expect(await blobs.size(name)).toBe(1)
    })

    it('forget what is deleted, twice too', async () => {
      const name = await blobs.put([Buffer.from('x')])
      await blobs.delete(name)
      await blobs.delete(name)
      expect(await blobs.get(name)).toBeUndefined()
    })

    it('leave nothing behind of a source that breaks off', async () => {
      async function* breaking() {
        yield randomBytes(400_000)
        throw new Error('the client vanished')
      }
      await expect(blobs.put(breaking())).rejects.toThrow('the client vanished')
      expect(await listed(blobs.olderThan(-60_000))).toEqual([])
    })

    it('list what is old, and what was put again is young', async () => {
      const old = await blobs.put([Buffer.from('old')])
      const again = await blobs.put([Buffer.from('again')])
      clock.advance(3_600_000)
      await blobs.put([Buffer.from('young')])
      await blobs.put([Buffer.from('again')])
      // File times and the standing clock start together, to the second.
      const found = await listed(blobs.olderThan(1_800_000))
      expect(found).toContain(old)
      expect(found).not.toContain(again)
    })

    it('take 30 MB without holding up the event loop or memory', async () => {
      const piece = randomBytes(64 * 1024)
      function* pieces() {
        for (let i = 0; i < 480; i++) yield piece
      }
      const delay = monitorEventLoopDelay({ resolution: 5 })
      const before = process.memoryUsage.rss()
      delay.enable()
      const start = performance.now()
      const name = await blobs.put(pieces())
      const seconds = (performance.now() - start) / 1000
      delay.disable()
      const grownBytes = process.memoryUsage.rss() - before
      const figures = `${(30 / seconds).toFixed(0)} MB/s, longest stall ${(delay.max / 1e6).toFixed(0)} ms, memory +${(grownBytes / 1e6).toFixed(0)} MB`
      process.stdout.write(`${adapter}: 30 MB blob at ${figures}\n`)
      expect(await blobs.size(name)).toBe(480 * 64 * 1024)
      expect(delay.max / 1e6).toBeLessThan(2000)
    })

    it('say how much room there is, or that it has no meaning', async () => {
      const room = await blobs.room()
      if (!room) return
      expect(room.freeBytes).toBeGreaterThan(0)
      expect(room.totalBytes).toBeGreaterThanOrEqual(room.freeBytes)
      expect(room.freeInodes).toBeGreaterThan(0)
    })
  })
}
