import { createHash, randomBytes } from 'node:crypto'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { describe, expect, it } from 'vitest'
import type { Blobs } from '../../src/ports/blobs.js'
import type { Clock } from '../../src/ports/world.js'
import { standingClock } from './clock.js'

export interface BlobHome {
  /** Opens the same home, once more each time, as another process does. */
  open(clock: Clock): Promise<Blobs>
  /** The bytes are in this very process, as tests may have them: then its memory grows with them. */
  readonly inMemory?: boolean
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

const turn = () => new Promise((resolve) => setTimeout(resolve, 20))

/** Runs something that moves 30 MB, with how fast it was, how long the event loop stood still, and the most memory it took. */
async function measured<T>(run: () => Promise<T>) {
  const delay = monitorEventLoopDelay({ resolution: 5 })
  const before = process.memoryUsage.rss()
  let highest = before
  const watch = setInterval(() => {
    highest = Math.max(highest, process.memoryUsage.rss())
  }, 5)
  delay.enable()
  await turn() // begun and ended in a turn of its own, or the monitor sees nothing of a loop that never turns
  const start = performance.now()
  const value = await run()
  const seconds = (performance.now() - start) / 1000
  await turn()
  delay.disable()
  clearInterval(watch)
  const stallMs = delay.max / 1e6
  const grownBytes = Math.max(highest, process.memoryUsage.rss()) - before
  const figures = `${(31.5 / seconds).toFixed(0)} MB/s, longest stall ${stallMs.toFixed(0)} ms, memory +${(grownBytes / 1e6).toFixed(0)} MB`
  return { value, stallMs, grownBytes, figures }
}

/** A home that was just opened, over a clock that stands still. */
interface Ground {
  readonly adapter: string
  readonly home: BlobHome
  readonly blobs: Blobs
  readonly clock: ReturnType<typeof standingClock>
}

/** What every home of blobs must do. */
const checks: Readonly<Record<string, (ground: Ground) => Promise<void>>> = {
  'give back any number of bytes under their digest': async ({ home, blobs, clock }) => {
    for (const size of [0, 1, 65_535, 65_536, 65_537, 262_144, 300_001]) {
      const bytes = randomBytes(size)
      const name = await blobs.put([bytes.subarray(0, 10), bytes.subarray(10)])
      expect(name).toBe(digest(bytes))
      expect(Buffer.compare((await all(await blobs.get(name))) ?? Buffer.alloc(1), bytes)).toBe(0)
      expect(await blobs.size(name)).toBe(size)
      expect(await (await home.open(clock)).size(name)).toBe(size)
    }
  },
  'take many blobs at once, through two openings of the home': async ({ home, blobs, clock }) => {
    const other = await home.open(clock)
    const bodies = Array.from({ length: 24 }, (_, i) => randomBytes(10_000 * i + 1))
    const names = await Promise.all(bodies.map((bytes, i) => (i % 2 ? other : blobs).put([bytes])))
    expect(names).toEqual(bodies.map(digest))
    const back = await Promise.all(names.map(async (name, i) => all(await (i % 3 ? blobs : other).get(name))))
    expect(back.map((bytes) => digest(bytes ?? Buffer.alloc(0)))).toEqual(names)
    expect(await listed(other.olderThan(-60_000))).toEqual(names.toSorted())
  },
  'name nothing before its last byte is there': async ({ home, blobs, clock }) => {
    const other = await home.open(clock)
    const bytes = randomBytes(600_000)
    const seen: unknown[] = []
    async function* source() {
      yield bytes.subarray(0, 300_000)
      yield bytes.subarray(300_000)
      seen.push(await listed(other.olderThan(-60_000)), await other.get(digest(bytes)), await other.size(digest(bytes)))
    }
    const name = await blobs.put(source())
    expect(seen).toEqual([[], undefined, undefined])
    expect(digest((await all(await other.get(name))) ?? Buffer.alloc(0))).toBe(name)
  },
  'do not mind a reader that leaves early, or never begins': async ({ blobs }) => {
    const name = await blobs.put([randomBytes(500_000)])
    for (let round = 0; round < 5; round++) {
      await blobs.get(name)
      for await (const chunk of (await blobs.get(name)) ?? []) {
        expect(chunk.length).toBeGreaterThan(0)
        break
      }
    }
    expect((await all(await blobs.get(name)))?.length).toBe(500_000)
  },
  'take the same content many times and at once, and keep it once': async ({ blobs }) => {
    const bytes = randomBytes(100_000)
    const names = await Promise.all(Array.from({ length: 10 }, () => blobs.put([bytes])))
    expect(new Set(names)).toEqual(new Set([digest(bytes)]))
    expect(await blobs.put([bytes])).toBe(digest(bytes))
    expect(await listed(blobs.olderThan(-60_000))).toEqual([digest(bytes)])
  },
  'know nothing of other names, whatever they look like': async ({ blobs }) => {
    const name = await blobs.put([Buffer.from('x')])
    for (const other of ['', '../../etc/passwd', name.toUpperCase(), `${name}/`, name.slice(1), '0'.repeat(64)]) {
      expect(await blobs.get(other)).toBeUndefined()
      expect(await blobs.size(other)).toBeUndefined()
      await blobs.delete(other)
    }
    expect(await blobs.size(name)).toBe(1)
  },
  'forget what is deleted, twice too': async ({ blobs }) => {
    const name = await blobs.put([Buffer.from('x')])
    await blobs.delete(name)
    await blobs.delete(name)
    expect(await blobs.get(name)).toBeUndefined()
  },
  'leave nothing behind of a source that breaks off': async ({ blobs }) => {
    async function* breaking() {
      yield randomBytes(400_000)
      throw new Error('the client vanished')
    }
    await expect(blobs.put(breaking())).rejects.toThrow('the client vanished')
    expect(await listed(blobs.olderThan(-60_000))).toEqual([])
    expect(await blobs.put([Buffer.from('x')])).toBe(digest(Buffer.from('x')))
  },
  'list what is old, and what was put again is young': async ({ blobs, clock }) => {
    const old = await blobs.put([Buffer.from('old')])
    const again = await blobs.put([Buffer.from('again')])
    clock.advance(3_600_000)
    await blobs.put([Buffer.from('young')])
    await blobs.put([Buffer.from('again')])
    const found = await listed(blobs.olderThan(1_800_000))
    expect(found).toContain(old)
    expect(found).not.toContain(again)
  },
  'take and give 30 MB without holding up the event loop or memory': async ({ adapter, home, blobs }) => {
    const piece = randomBytes(64 * 1024)
    async function* pieces() {
      for (let i = 0; i < 480; i++) yield Buffer.from(piece)
    }
    const putting = await measured(() => blobs.put(pieces()))
    const hash = createHash('sha256')
    const getting = await measured(async () => {
      for await (const chunk of (await blobs.get(putting.value)) ?? []) hash.update(chunk)
    })
    process.stdout.write(`${adapter}: 30 MB put at ${putting.figures}; read at ${getting.figures}\n`)
    expect(await blobs.size(putting.value)).toBe(480 * 64 * 1024)
    expect(hash.digest('hex')).toBe(putting.value)
    for (const { stallMs, grownBytes } of [putting, getting]) {
      expect(stallMs).toBeLessThan(1000) // a shared machine pauses by itself; what holds up for longer is a loop of ours
      if (!home.inMemory) expect(grownBytes).toBeLessThan(100e6)
    }
  },
  'say how much room there is, or that it has no meaning': async ({ blobs }) => {
    const room = await blobs.room()
    if (!room) return
    expect(room.freeBytes).toBeGreaterThan(0)
    expect(room.totalBytes).toBeGreaterThanOrEqual(room.freeBytes)
    expect(room.freeInodes).toBeGreaterThan(0)
    expect(room.freeInodes).toBeLessThanOrEqual(1)
  },
}

export const blobChecks: readonly string[] = Object.keys(checks)

/** Holds an adapter to the contract. */
export function blobContract(adapter: string, createHome: () => Promise<BlobHome>) {
  describe(`${adapter} keep the blob contract`, () => {
    it.each(blobChecks)('%s', async (name) => {
      for (const { error } of await broken(adapter, createHome, [name])) throw error
    })
  })
}

/** The checks that a home with a fault breaks: a fault that breaks none says that the contract is too weak. */
export async function broken(
  adapter: string,
  createHome: () => Promise<BlobHome>,
  names: readonly string[],
): Promise<readonly { readonly name: string; readonly error: unknown }[]> {
  const found: { name: string; error: unknown }[] = []
  for (const name of names) {
    const clock = standingClock(Date.now())
    const home = await createHome()
    try {
      await checks[name]?.({ adapter, home, blobs: await home.open(clock), clock })
    } catch (error) {
      found.push({ name, error })
    } finally {
      await home.destroy()
    }
  }
  return found
}
