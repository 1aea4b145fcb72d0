import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  type ClaimedJob,
  type RowChange,
  type Store,
  type StoredRow,
  StoreFailed,
  within,
} from '../../src/ports/store.js'
import type { Clock } from '../../src/ports/world.js'
import { createMemoryDisk, openMemoryStore } from '../../src/store/memory.js'
import { standingClock } from './clock.js'

/** A home for a store under test: opened, closed and opened again over the same contents. */
export interface StoreHome {
  open(clock: Clock): Promise<Store>
  /** Removes everything. */
  destroy(): Promise<void>
}

const bytes = (text: string) => new TextEncoder().encode(text)
const text = (value: Uint8Array | undefined) => (value ? new TextDecoder().decode(value) : undefined)
const job = (queue: string, id: string, dueAt = 0, payload = id) => ({ queue, id, payload: bytes(payload), dueAt })
const first = <T>(list: readonly T[]): T => {
  const [found] = list
  if (found === undefined) throw new Error('The list is empty')
  return found
}

/** What every Store must do. Each adapter runs all of it; there is nothing to skip. */
export function storeContract(adapter: string, createHome: () => Promise<StoreHome>) {
  describe(`${adapter} keeps the store contract`, () => {
    let home: StoreHome
    let store: Store
    const clock = standingClock()

    beforeEach(async () => {
      clock.set(1_700_000_000_000)
      home = await createHome()
      store = await home.open(clock)
    })
    afterEach(async () => {
      await store.close()
      await home.destroy()
    })

    async function reopen() {
      await store.close()
      store = await home.open(clock)
    }
    const put = (...keys: string[]) => store.commit({ put: keys.map((key) => ({ key, value: bytes(key) })) })
    const keysOf = async (gte: string, lt: string, limit = 100, reverse = false) =>
      (await store.range({ gte, lt, limit, reverse })).map(({ key }) => key)

    describe('entries', () => {
      it('gives back what was put, also after reopening', async () => {
        await put('a/1')
        const before = await store.get('a/1')
        expect(text(before?.value)).toBe('a/1')
        await reopen()
        expect(await store.get('a/1')).toEqual(before)
        expect(await store.get('a/2')).toBeUndefined()
      })

      it('keeps empty and binary values apart from absence', async () => {
        const value = Uint8Array.from({ length: 256 }, (_, i) => i)
        await store.commit({
          put: [
            { key: 'empty', value: new Uint8Array() },
            { key: 'binary', value },
          ],
        })
        expect((await store.get('empty'))?.value.length).toBe(0)
        expect(Buffer.from((await store.get('binary'))?.value ?? [])).toEqual(Buffer.from(value))
      })

      it('keeps what it was given when the caller changes the bytes later', async () => {
        const value = bytes('first')
        await store.commit({ put: [{ key: 'k', value }] })
        value.fill(0)
        const read = await store.get('k')
        expect(text(read?.value)).toBe('first')
        read?.value.fill(0)
        expect(text((await store.get('k'))?.value)).toBe('first')
      })

      it('gives every write another version, also after deletion and reopening', async () => {
        const seen = new Set<number>()
        for (let round = 0; round < 3; round++) {
          await put('k')
          seen.add((await store.get('k'))?.version ?? -1)
          await put('k')
          seen.add((await store.get('k'))?.version ?? -1)
          await store.commit({ del: ['k'] })
          expect(await store.get('k')).toBeUndefined()
          await reopen()
        }
        expect(seen.size).toBe(6)
      })

      it('puts a key that the same batch deletes and puts', async () => {
        await store.commit({ del: ['k'], put: [{ key: 'k', value: bytes('there') }] })
        expect(text((await store.get('k'))?.value)).toBe('there')
      })

      it('refuses keys and values that no home could hold', async () => {
        await expect(store.commit({ put: [{ key: '', value: bytes('x') }] })).rejects.toThrow(RangeError)
        await expect(store.commit({ put: [{ key: 'k'.repeat(2000), value: bytes('x') }] })).rejects.toThrow(RangeError)
        await expect(store.commit({ put: [{ key: 'a\ud800', value: bytes('x') }] })).rejects.toThrow(RangeError)
        await expect(store.range({ gte: 'a', lt: 'b', limit: 0 })).rejects.toThrow(RangeError)
        await expect(store.range({ gte: 'a', lt: 'b', limit: 10_001 })).rejects.toThrow(RangeError)
        expect(store.healthy()).toBe(true)
      })
    })

    describe('ranges', () => {
      it('orders keys by their UTF-8 bytes, characters beyond U+FFFF last', async () => {
        const keys = ['r/\u{1f600}', 'r/a', 'r/Z', 'r/é', 'r/\uffee', 'r/\ue000', 'r/\u{10000}', 'r/a/b', 'r/a\0', 'r/']
        await put(...keys)
        const byBytes = [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
        const { gte, lt } = within('r/')
        expect(await keysOf(gte, lt)).toEqual(byBytes)
        expect(await keysOf(gte, lt, 100, true)).toEqual([...byBytes].reverse())
      })

      it('orders any keys by their UTF-8 bytes', async () => {
        const key = fc.string({ unit: 'binary', minLength: 1, maxLength: 8 })
        await fc.assert(
          fc.asyncProperty(fc.uniqueArray(key, { maxLength: 20 }), fc.integer({ min: 0 }), async (tails, run) => {
            const prefix = `p/${run}/`
            await store.commit({ put: tails.map((tail) => ({ key: prefix + tail, value: bytes(tail) })) })
            const expected = tails
              .map((tail) => prefix + tail)
              .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
            const { gte, lt } = within(prefix)
            // Behind every key of eight characters, whatever they are.
            const found = await keysOf(gte, lt + '\u{10ffff}'.repeat(8))
            await store.commit({ del: found })
            expect(found).toEqual(expected)
          }),
          { numRuns: 40 },
        )
      })

      it('takes gte in, leaves lt out, and stops at the limit from either end', async () => {
        await put('a', 'b', 'c', 'd')
        expect(await keysOf('a', 'c')).toEqual(['a', 'b'])
        expect(await keysOf('a', 'e', 3)).toEqual(['a', 'b', 'c'])
        expect(await keysOf('a', 'e', 3, true)).toEqual(['d', 'c', 'b'])
        expect(await keysOf('b', 'b')).toEqual([])
        expect(await keysOf('d', 'a')).toEqual([])
      })

      it('shows entries only, never queues, logs or its own keys', async () => {
        await store.commit({
          put: [{ key: 'k', value: bytes('v') }],
          enqueue: [job('q', 'j')],
          append: [entry('l', 'x')],
        })
        expect(await keysOf('\u0001', '\u{10ffff}')).toEqual(['k'])
      })
    })

    describe('preconditions', () => {
      it('refuses the whole batch where a key is not absent, or changed', async () => {
        await put('k')
        const version = (await store.get('k'))?.version ?? 0
        const all = {
          put: [{ key: 'other', value: bytes('x') }],
          del: ['k'],
          append: [entry('l', 'x')],
          enqueue: [job('q', 'j')],
        }
        expect(await store.commit({ ...all, require: [{ key: 'k', version: 'absent' }] })).toEqual({
          kind: 'conflict',
          key: 'k',
        })
        await put('k')
        expect(await store.commit({ ...all, require: [{ key: 'k', version }] })).toEqual({ kind: 'conflict', key: 'k' })
        expect(await store.commit({ ...all, require: [{ key: 'gone', version }] })).toEqual({
          kind: 'conflict',
          key: 'gone',
        })
        expect(await store.get('other')).toBeUndefined()
        expect(await store.get('k')).toBeDefined()
        expect(await store.log('l', 1, 10)).toEqual([])
        expect(await store.claim('q', 1, 1000)).toEqual([])
      })

      it('lets exactly one of many concurrent creators win', async () => {
        const results = await Promise.all(
          Array.from({ length: 50 }, (_, i) =>
            store.commit({
              require: [{ key: 'once', version: 'absent' }],
              put: [{ key: 'once', value: bytes(String(i)) }],
              append: [entry('winners', String(i))],
            }),
          ),
        )
        expect(results.filter(({ kind }) => kind === 'committed')).toHaveLength(1)
        expect(await store.log('winners', 1, 10)).toHaveLength(1)
      })

      it('loses no update of 32 workers that compare and set', async () => {
        await store.commit({ put: [{ key: 'counter', value: bytes('0') }] })
        async function increment() {
          while (true) {
            const entry = await store.get('counter')
            if (!entry) throw new Error('The counter is gone')
            const value = bytes(String(Number(text(entry.value)) + 1))
            const result = await store.commit({
              require: [{ key: 'counter', version: entry.version }],
              put: [{ key: 'counter', value }],
            })
            if (result.kind === 'committed') return
          }
        }
        await Promise.all(Array.from({ length: 32 }, increment))
        expect(text((await store.get('counter'))?.value)).toBe('32')
      })

      it('never shows half of a batch to a concurrent reader', async () => {
        const pair = (n: number) => [
          { key: 'pair/a', value: bytes(String(n)) },
          { key: 'pair/b', value: bytes(String(n)) },
        ]
        await store.commit({ put: pair(0) })
        let writing = true
        const writers = Promise.all(
          Array.from({ length: 8 }, async (_, worker) => {
            for (let n = 0; n < 20; n++) await store.commit({ put: pair(worker * 100 + n) })
          }),
        ).finally(() => {
          writing = false
        })
        let reads = 0
        while (writing) {
          const [a, b] = await store.range({ ...within('pair/'), limit: 2 })
          expect(text(a?.value)).toBe(text(b?.value))
          reads++
        }
        await writers
        expect(reads).toBeGreaterThan(0)
      })
    })

    describe('logs', () => {
      it('numbers from 1 without gaps and links each entry to the one before, across reopening', async () => {
        await store.commit({ append: [entry('l', 'one'), entry('other', 'x'), entry('l', 'two')] })
        await store.commit({ append: [entry('l', 'never')], require: [{ key: 'absent', version: 1 }] })
        await reopen()
        await Promise.all(Array.from({ length: 20 }, (_, i) => store.commit({ append: [entry('l', `more ${i}`)] })))
        const found = await store.log('l', 1, 100)
        expect(found.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 22 }, (_, i) => i + 1))
        expect(found.slice(0, 2).map(({ value }) => text(value))).toEqual(['one', 'two'])
        let before: Uint8Array = new Uint8Array(32)
        for (const { link, value } of found) {
          before = createHash('sha256').update(before).update(value).digest()
          expect(Buffer.from(link)).toEqual(before)
        }
      })

      it('gives pages, and keeps logs with similar names apart', async () => {
        for (const log of ['a', 'a/b', 'a b', 'ab'])
          await store.commit({ append: [1, 2, 3].map((n) => entry(log, `${log} ${n}`)) })
        expect((await store.log('a', 2, 10)).map(({ value }) => text(value))).toEqual(['a 2', 'a 3'])
        expect((await store.log('a', 1, 2)).map(({ sequence }) => sequence)).toEqual([1, 2])
        expect(await store.log('a', 4, 10)).toEqual([])
        expect(await store.log('missing', 1, 10)).toEqual([])
      })
    })

    describe('queues', () => {
      it('hands out due jobs, oldest due first, and never before their time', async () => {
        const now = clock.now()
        await store.commit({
          enqueue: [job('q', 'late', now + 1), job('q', 'second', now - 5), job('q', 'first', now - 10), job('p', 'x')],
        })
        const claimed = await store.claim('q', 10, 1000)
        expect(claimed.map(({ id }) => id)).toEqual(['first', 'second'])
        expect(claimed[0]).toMatchObject({ queue: 'q', attempt: 1, dueAt: now - 10, leaseUntil: now + 1000 })
        expect(text(claimed[0]?.payload)).toBe('first')
        expect(await store.claim('q', 10, 1000)).toEqual([])
        expect(await store.nextDue('q')).toBe(now + 1)
        clock.advance(1)
        expect((await store.claim('q', 10, 1000)).map(({ id }) => id)).toEqual(['late'])
        expect(await store.nextDue('q')).toBeUndefined()
      })

      it('finds a job that is put before those already claimed', async () => {
        await store.commit({ enqueue: [job('q', 'b', 20), job('q', 'c', 30)] })
        expect((await store.claim('q', 1, 1000)).map(({ id }) => id)).toEqual(['b'])
        await store.commit({ enqueue: [job('q', 'a', 10)] })
        expect(await store.nextDue('q')).toBe(10)
        expect((await store.claim('q', 5, 1000)).map(({ id }) => id)).toEqual(['a', 'c'])
      })

      it('changes nothing where a job of the same id exists, held or not', async () => {
        await store.commit({ enqueue: [job('q', 'j', 5, 'first'), job('q', 'j', 6, 'twin')] })
        await store.commit({ enqueue: [job('q', 'j', 7, 'second')] })
        const [held, ...none] = await store.claim('q', 10, 1000)
        expect(none).toEqual([])
        expect(text(held?.payload)).toBe('first')
        await store.commit({ enqueue: [job('q', 'j', 8, 'third')] })
        expect(await store.claim('q', 10, 1000)).toEqual([])
        expect(await store.commit({ ack: [{ job: held as ClaimedJob }], enqueue: [job('q', 'j', 9, 'next')] })).toEqual(
          {
            kind: 'committed',
          },
        )
        const [next] = await store.claim('q', 10, 1000)
        expect(text(next?.payload)).toBe('next')
        expect(next?.attempt).toBe(1)
      })

      it('gives no job to two of 32 workers', async () => {
        const ids = Array.from({ length: 300 }, (_, i) => `job-${i}`)
        await store.commit({ enqueue: ids.map((id, i) => job('q', id, i)) })
        const done: string[] = []
        async function work() {
          while (true) {
            const claimed = await store.claim('q', 3, 60_000)
            if (claimed.length === 0) return
            const result = await store.commit({ ack: claimed.map((job) => ({ job })) })
            expect(result).toEqual({ kind: 'committed' })
            done.push(...claimed.map(({ id }) => id))
          }
        }
        await Promise.all(Array.from({ length: 32 }, work))
        expect([...done].sort()).toEqual([...ids].sort())
        expect(await store.jobs('q', 10)).toEqual([])
      })

      it('gives a job to another after its lease, by its own clock, and refuses the late acknowledgement', async () => {
        await store.commit({ enqueue: [job('q', 'j')] })
        const late = first(await store.claim('q', 1, 1000))
        clock.advance(999)
        expect(await store.claim('q', 1, 1000)).toEqual([])
        clock.advance(1)
        const lost = { kind: 'lease-lost', id: 'j' }
        expect(await store.commit({ ack: [{ job: late }] })).toEqual(lost)
        const second = first(await store.claim('q', 1, 1000))
        expect(second.attempt).toBe(2)
        expect(second.token).not.toBe(late.token)
        const batch = { put: [{ key: 'k', value: bytes('x') }], append: [entry('l', 'x')] }
        expect(await store.commit({ ...batch, ack: [{ job: late }] })).toEqual(lost)
        expect(await store.commit({ ...batch, release: [{ job: late, dueAt: 0 }] })).toEqual(lost)
        expect(await store.get('k')).toBeUndefined()
        expect(await store.log('l', 1, 1)).toEqual([])
        expect(await store.extend(late, 1000)).toBe(false)
        expect(await store.commit({ ack: [{ job: second }] })).toEqual({ kind: 'committed' })
        expect(await store.commit({ ack: [{ job: second }] })).toEqual(lost)
      })

      it('ends one job once, whoever asks at the same moment', async () => {
        await store.commit({ enqueue: [job('q', 'j')] })
        const held = first(await store.claim('q', 1, 1000))
        const results = await Promise.all([
          store.commit({ ack: [{ job: held }] }),
          store.commit({ release: [{ job: held, dueAt: 0 }] }),
          store.commit({ ack: [{ job: held }] }),
        ])
        expect(results.map(({ kind }) => kind)).toEqual(['committed', 'lease-lost', 'lease-lost'])
        expect(await store.claim('q', 1, 1000)).toEqual([])
      })

      it('lengthens a lease from now', async () => {
        await store.commit({ enqueue: [job('q', 'j')] })
        const held = first(await store.claim('q', 1, 1000))
        clock.advance(900)
        expect(await store.extend(held, 1000)).toBe(true)
        clock.advance(900)
        expect(await store.claim('q', 1, 1000)).toEqual([])
        expect(await store.commit({ ack: [{ job: held }] })).toEqual({ kind: 'committed' })
      })

      it('takes a job back with a new time and payload, and counts its attempts across reopening', async () => {
        await store.commit({ enqueue: [job('q', 'j')] })
        const held = first(await store.claim('q', 1, 1000))
        const dueAt = clock.now() + 500
        await store.commit({ release: [{ job: held, dueAt, payload: bytes('again') }] })
        expect(await store.claim('q', 1, 1000)).toEqual([])
        expect(await store.nextDue('q')).toBe(dueAt)
        await reopen()
        clock.advance(500)
        const again = first(await store.claim('q', 1, 1000))
        expect(again).toMatchObject({ attempt: 2, dueAt })
        expect(text(again.payload)).toBe('again')
        await store.commit({ release: [{ job: again, dueAt }] })
        const third = first(await store.claim('q', 1, 1000))
        expect(text(third.payload)).toBe('again')
        expect(third.attempt).toBe(3)
      })

      it('claims everything again after the process died, with its attempts counted', async () => {
        await store.commit({ enqueue: [job('q', 'j')] })
        const before = first(await store.claim('q', 1, 60_000))
        await reopen()
        if (store.shared) {
          // Nobody can tell a dead process from a silent one: its leases run out, as those of any other.
          expect(await store.claim('q', 1, 60_000)).toEqual([])
          clock.advance(60_000)
        }
        expect(await store.commit({ ack: [{ job: before }] })).toEqual({ kind: 'lease-lost', id: 'j' })
        const after = first(await store.claim('q', 1, 60_000))
        expect(after.attempt).toBe(2)
        expect(after.token).not.toBe(before.token)
      })

      it('shows the jobs of a queue in order of due time, held ones included', async () => {
        await store.commit({ enqueue: [job('q', 'b', 2), job('q', 'a', 1), job('q/deep', 'x', 0), job('q', 'c', 3)] })
        await store.claim('q', 1, 1000)
        expect((await store.jobs('q', 2)).map(({ id, held, attempt, dueAt }) => [id, held, attempt, dueAt])).toEqual([
          ['a', true, 1, 1],
          ['b', false, 0, 2],
        ])
        clock.advance(1000)
        expect((await store.jobs('q', 1)).map(({ held }) => held)).toEqual([false])
      })

      it('shows the jobs behind a place, and one by its id', async () => {
        await store.commit({ enqueue: ['b', 'a', 'd', 'c'].map((id) => job('q', id, id < 'c' ? 5 : 6)) })
        const idsAfter = async (dueAt: number, id: string) =>
          (await store.jobs('q', 10, { dueAt, id })).map(({ id }) => id)
        expect(await idsAfter(0, 'z')).toEqual(['a', 'b', 'c', 'd'])
        expect(await idsAfter(5, 'a')).toEqual(['b', 'c', 'd'])
        expect(await idsAfter(5, 'bb')).toEqual(['c', 'd'])
        expect(await idsAfter(6, 'd')).toEqual([])
        expect((await store.jobs('q', 1, { dueAt: 5, id: 'a' })).map(({ id }) => id)).toEqual(['b'])
        const [held] = await store.claim('q', 1, 1000)
        const { payload, ...told } = (await store.job('q', 'a')) ?? {}
        expect(told).toEqual({ id: 'a', dueAt: 5, attempt: 1, held: true })
        expect(text(payload)).toBe('a')
        expect(await store.job('q', 'b')).toMatchObject({ attempt: 0, held: false })
        expect(await store.job('p', 'b')).toBeUndefined()
        await store.commit({ ack: [{ job: held as ClaimedJob }] })
        expect(await store.job('q', 'a')).toBeUndefined()
      })

      it('claims one job by its id, due or not, as a claim of its own', async () => {
        const far = clock.now() + 1_000_000
        await store.commit({ enqueue: [job('q', 'due', 1), job('q', 'far', far), job('p', 'far', far)] })
        const taken = await store.claimJob('q', 'far', 1000)
        expect(taken).toMatchObject({ queue: 'q', id: 'far', dueAt: far, attempt: 1, leaseUntil: clock.now() + 1000 })
        expect(text((taken as ClaimedJob).payload)).toBe('far')
        expect(await store.claimJob('q', 'far', 1000)).toBe('held')
        expect(await store.claimJob('q', 'none', 1000)).toBeUndefined()
        expect(await store.claimJob('empty', 'far', 1000)).toBeUndefined()
        expect(await store.nextDue('q')).toBe(1)
        expect(await store.nextDue('p')).toBe(far)
        expect((await store.jobs('q', 10)).map(({ id, held }) => [id, held])).toEqual([
          ['due', false],
          ['far', true],
        ])
        expect(await store.commit({ ack: [{ job: taken as ClaimedJob }] })).toEqual({ kind: 'committed' })
        expect(await store.claimJob('q', 'far', 1000)).toBeUndefined()
        expect((await store.claim('q', 10, 1000)).map(({ id }) => id)).toEqual(['due'])
        expect(await store.claimJob('q', 'due', 1000)).toBe('held')
        await expect(store.claimJob('q', '', 1000)).rejects.toThrow(RangeError)
        await expect(store.claimJob('q', 'due', 0)).rejects.toThrow(RangeError)
      })

      it('claims by its id what a lease ran out on, and fences out who had it', async () => {
        await store.commit({ enqueue: [job('q', 'j')] })
        const late = first(await store.claim('q', 1, 1000))
        clock.advance(999)
        expect(await store.claimJob('q', 'j', 1000)).toBe('held')
        clock.advance(1)
        const taken = (await store.claimJob('q', 'j', 1000)) as ClaimedJob
        expect(taken).toMatchObject({ id: 'j', attempt: 2 })
        expect(taken.token).not.toBe(late.token)
        expect(await store.commit({ ack: [{ job: late }] })).toEqual({ kind: 'lease-lost', id: 'j' })
        expect(await store.extend(taken, 5000)).toBe(true)
        clock.advance(4999)
        expect(await store.claim('q', 1, 1000)).toEqual([])
        clock.advance(1)
        expect(first(await store.claim('q', 1, 1000)).attempt).toBe(3)
      })

      it('puts what was claimed by its id back into the order, with its new time and payload', async () => {
        await store.commit({ enqueue: ['a', 'b', 'c'].map((id, i) => job('q', id, i + 1)) })
        const middle = (await store.claimJob('q', 'b', 1000)) as ClaimedJob
        await store.commit({ release: [{ job: middle, dueAt: 0, payload: bytes('first now') }] })
        expect(await store.nextDue('q')).toBe(0)
        const far = (await store.claimJob('q', 'a', 1000)) as ClaimedJob
        await store.commit({ release: [{ job: far, dueAt: Number.MAX_SAFE_INTEGER }] })
        await reopen()
        expect((await store.jobs('q', 10)).map(({ id, dueAt }) => [id, dueAt])).toEqual([
          ['b', 0],
          ['c', 3],
          ['a', Number.MAX_SAFE_INTEGER],
        ])
        const claimed = await store.claim('q', 10, 1000)
        expect(claimed.map(({ id, attempt }) => [id, attempt])).toEqual([
          ['b', 2],
          ['c', 1],
        ])
        expect(text(claimed[0]?.payload)).toBe('first now')
        // Ended and put anew under the same id, it is another job.
        const again = (await store.claimJob('q', 'a', 1000)) as ClaimedJob
        await store.commit({ ack: [{ job: again }], enqueue: [job('q', 'a', 7, 'anew')] })
        expect(await store.claimJob('q', 'a', 1000)).toMatchObject({ attempt: 1, dueAt: 7 })
      })

      it('gives a job to exactly one of those who claim it by its id and in turn', async () => {
        const ids = Array.from({ length: 40 }, (_, i) => `job-${String(i).padStart(2, '0')}`)
        await store.commit({ enqueue: ids.map((id, i) => job('q', id, i)) })
        const taken: string[] = []
        await Promise.all(
          ids.flatMap((id) => [
            ...[1, 2].map(async () => {
              const found = await store.claimJob('q', id, 60_000)
              if (found !== undefined && found !== 'held') taken.push(found.id)
            }),
            store.claim('q', 1, 60_000).then((found) => void taken.push(...found.map(({ id }) => id))),
          ]),
        )
        taken.push(...(await store.claim('q', 100, 60_000)).map(({ id }) => id))
        expect(taken.sort()).toEqual(ids)
        expect((await store.jobs('q', 100)).map(({ attempt }) => attempt)).toEqual(ids.map(() => 1))
      })

      it('claims at a cost that does not grow with what was acknowledged or is held', async () => {
        const ids = Array.from({ length: 2000 }, (_, i) => job('q', `job-${String(i).padStart(5, '0')}`, i))
        await store.commit({ enqueue: ids })
        const seen: string[] = []
        for (let i = 0; i < 20; i++) {
          const claimed = await store.claim('q', 100, 60_000)
          if (i % 2 === 0) await store.commit({ ack: claimed.map((job) => ({ job })) })
          seen.push(...claimed.map(({ id }) => id))
        }
        expect(seen).toEqual(ids.map(({ id }) => id))
      })
    })

    describe('everything at once', () => {
      const rowsOf = async (from: Store) => {
        const rows: StoredRow[] = []
        for await (const row of from.snapshot()) rows.push(row)
        return rows
      }
      /** The same as text, whichever kind of byte array an adapter answers. */
      const told = (rows: readonly StoredRow[]) =>
        rows.map((row) => ({
          ...row,
          ...(row.kind === 'job' ? { payload: text(row.payload) } : { value: text(row.value) }),
          ...(row.kind === 'log' && { link: Buffer.from(row.link).toString('hex') }),
        }))
      const puts = (rows: readonly StoredRow[]) => rows.map((row): RowChange => ({ kind: 'put', row }))

      /** Entries, waiting and held and tried jobs, and logs, with names that sort beside each other. */
      async function furnish(given: Store) {
        await given.commit({
          put: ['b', 'a/\u{10000}', 'a/\uffee', 'a\0', 'a'].map((key) => ({ key, value: bytes(`value of ${key}`) })),
          enqueue: [
            job('q', 'tried', 1),
            job('q', 'held', 2),
            job('q', 'waits', 3_000_000_000_000),
            job('p/1', 'x', 4),
          ],
          append: [entry('m', 'one'), entry('l', 'one'), entry('l', ''), entry('l/deep', 'x')],
        })
        await given.commit({ put: [{ key: 'big', value: new Uint8Array(300_000).fill(9) }], del: ['b'] })
        const [tried] = await given.claim('q', 1, 1000)
        await given.commit({ release: [{ job: tried as ClaimedJob, dueAt: 5, payload: bytes('again') }] })
        await given.claim('q', 1, 1_000_000)
      }

      it('tells entries by key, then jobs as they wait by queue and id, then logs by name and sequence', async () => {
        await furnish(store)
        const rows = await rowsOf(store)
        expect(
          rows.map((row) => {
            if (row.kind === 'entry') return row.key
            return row.kind === 'job' ? [row.queue, row.id, row.dueAt, row.attempt] : [row.log, row.sequence]
          }),
        ).toEqual([
          'a',
          'a\0',
          'a/\uffee',
          'a/\u{10000}',
          'big',
          ['p/1', 'x', 4, 0],
          ['q', 'held', 2, 1],
          ['q', 'tried', 5, 1],
          ['q', 'waits', 3_000_000_000_000, 0],
          ['l', 1],
          ['l', 2],
          ['l/deep', 1],
          ['m', 1],
        ])
        const found = rows.find((row) => row.kind === 'job' && row.id === 'tried')
        expect(text(found?.kind === 'job' ? found.payload : undefined)).toBe('again')
      })

      it('goes into another store and back unchanged, and is gone on with there', async () => {
        const memory = await openMemoryStore({ clock, disk: createMemoryDisk() })
        await furnish(memory)
        const there = await rowsOf(memory)
        await store.load(puts(there))
        await reopen()
        expect(told(await rowsOf(store))).toEqual(told(there))
        const before = (await store.get('a'))?.version ?? 0
        expect(
          await store.commit({ require: [{ key: 'a', version: before }], put: [{ key: 'a', value: bytes('new') }] }),
        ).toEqual({
          kind: 'committed',
        })
        expect((await store.get('a'))?.version).not.toBe(before)
        await store.commit({ append: [entry('l', 'three')] })
        const [, second, third] = await store.log('l', 1, 10)
        expect(third?.sequence).toBe(3)
        const link = createHash('sha256')
          .update(second?.link ?? '')
          .update('three')
          .digest()
        expect(Buffer.from(third?.link ?? []).equals(link)).toBe(true)
        const held = await store.claim('q', 10, 1000)
        expect(held.map(({ id, attempt }) => [id, attempt])).toEqual([
          ['held', 2],
          ['tried', 2],
        ])

        const away = createMemoryDisk()
        const back = await openMemoryStore({ clock, disk: away })
        await back.load(puts(await rowsOf(store)))
        expect(told(await rowsOf(await openMemoryStore({ clock, disk: away })))).toEqual(told(await rowsOf(store)))
      })

      it('takes rows back out again, and goes on behind the last log entry that is left', async () => {
        await furnish(store)
        const rows = await rowsOf(store)
        const goes = rows.filter((row) =>
          row.kind === 'log' ? row.log === 'l/deep' || row.sequence === 2 : row.kind === 'job',
        )
        await store.load(goes.map((row): RowChange => ({ kind: 'del', row })))
        await reopen()
        expect(told(await rowsOf(store))).toEqual(told(rows.filter((row) => !goes.includes(row))))
        await store.commit({ append: [entry('l', 'other'), entry('l/deep', 'first')] })
        expect((await store.log('l', 1, 10)).map(({ value }) => text(value))).toEqual(['one', 'other'])
        expect((await store.log('l/deep', 1, 10)).map(({ sequence }) => sequence)).toEqual([1])
      })

      it('is seen as of one moment while it goes on', async () => {
        const pair = (n: number) => [
          { key: 'pair/a', value: bytes(String(n)) },
          { key: 'pair/z', value: bytes(String(n)) },
        ]
        const filler = Array.from({ length: 600 }, (_, i) => ({ key: `pair/m/${i}`, value: new Uint8Array(1000) }))
        await store.commit({ put: [...pair(0), ...filler], append: [entry('pairs', '0')] })
        let writing = true
        const writer = (async () => {
          for (let n = 1; writing; n++) await store.commit({ put: pair(n), append: [entry('pairs', String(n))] })
        })()
        try {
          for (let round = 0; round < 5; round++) {
            const rows = await rowsOf(store)
            const values = rows.flatMap((row) =>
              row.kind === 'entry' && row.value.length < 1000 ? [text(row.value)] : [],
            )
            const last = rows.at(-1)
            expect(new Set([...values, text(last?.kind === 'log' ? last.value : undefined)]).size).toBe(1)
          }
        } finally {
          writing = false
          await writer
        }
      })

      it('may be left half-way without holding anything up', async () => {
        await furnish(store)
        for await (const row of store.snapshot()) {
          expect(row.kind).toBe('entry')
          break
        }
        expect(await put('k')).toEqual({ kind: 'committed' })
      })

      it('is not lost by what is refused, nor by closing', async () => {
        let lost = false
        void store.lost.then(() => {
          lost = true
        })
        await store.commit({ require: [{ key: 'k', version: 1 }] })
        await store.commit({ put: [{ key: '', value: bytes('x') }] }).catch(() => {})
        await store.close()
        await new Promise((resolve) => setTimeout(resolve, 10))
        expect(lost).toBe(false)
        store = await home.open(clock)
      })
    })

    describe('a group', () => {
      it('judges batches that wait together in their order', async () => {
        await put('k')
        const version = (await store.get('k'))?.version ?? 0
        await store.commit({ enqueue: [job('q', 'j', 0, 'first')] })
        const held = first(await store.claim('q', 1, 60_000))
        const results = await Promise.all([
          store.commit({ enqueue: [job('q', 'j', 1, 'ignored')] }),
          store.commit({ require: [{ key: 'new', version: 'absent' }], put: [{ key: 'new', value: bytes('1') }] }),
          store.commit({ require: [{ key: 'new', version: 'absent' }], put: [{ key: 'new', value: bytes('2') }] }),
          store.commit({ require: [{ key: 'k', version }], del: ['k'] }),
          store.commit({ require: [{ key: 'k', version }], put: [{ key: 'k', value: bytes('never') }] }),
          store.commit({ require: [{ key: 'k', version: 'absent' }], del: ['new'], ack: [{ job: held }] }),
          store.commit({ release: [{ job: held, dueAt: 0 }], append: [entry('l', 'never')] }),
          store.commit({ enqueue: [job('q', 'j', 2, 'second')] }),
          store.commit({ enqueue: [job('q', 'j', 3, 'third')] }),
          store.commit({ require: [{ key: 'new', version: 'absent' }], put: [{ key: 'new', value: bytes('3') }] }),
        ])
        expect(results.map(({ kind }) => kind)).toEqual([
          'committed',
          'committed',
          'conflict',
          'committed',
          'conflict',
          'committed',
          'lease-lost',
          'committed',
          'committed',
          'committed',
        ])
        expect(await store.get('k')).toBeUndefined()
        expect(text((await store.get('new'))?.value)).toBe('3')
        expect(await store.log('l', 1, 1)).toEqual([])
        const next = first(await store.claim('q', 10, 1000))
        expect([text(next.payload), next.attempt, next.dueAt]).toEqual(['second', 1, 2])
      })

      it('requires of a key what it does not change, and leaves no trace of having looked', async () => {
        await put('there')
        const version = (await store.get('there'))?.version ?? 0
        const results = await Promise.all([
          store.commit({ require: [{ key: 'missing', version: 'absent' }], append: [entry('l', '1')] }),
          store.commit({ require: [{ key: 'there', version }], append: [entry('l', '2')] }),
          store.commit({
            require: [{ key: 'missing', version: 'absent' }],
            del: ['missing'],
            append: [entry('l', '3')],
          }),
          store.commit({ require: [{ key: 'missing', version: 7 }], append: [entry('l', '4')] }),
          store.commit({}),
        ])
        expect(results.map(({ kind }) => kind)).toEqual([
          'committed',
          'committed',
          'committed',
          'conflict',
          'committed',
        ])
        expect((await store.log('l', 1, 10)).map(({ value }) => text(value))).toEqual(['1', '2', '3'])
        expect(await keysOf('a', 'z')).toEqual(['there'])
        expect((await store.get('there'))?.version).toBe(version)
      })

      it('holds what 32 workers put, change and end together', async () => {
        const work = async (worker: number) => {
          for (let n = 0; n < 8; n++) {
            const id = `${worker}-${n}`
            await store.commit({ put: [{ key: `w/${id}`, value: bytes(id) }], enqueue: [job('q', id)] })
            for (const held of await store.claim('q', 2, 60_000)) {
              const key = `w/${held.id}`
              const version = (await store.get(key))?.version ?? 'absent'
              const result = await store.commit({
                require: [{ key, version }],
                del: [key],
                ack: [{ job: held }],
                append: [entry('done', held.id)],
              })
              expect(result).toEqual({ kind: 'committed' })
            }
          }
        }
        await Promise.all(Array.from({ length: 32 }, (_, worker) => work(worker)))
        const left = (await store.jobs('q', 1000)).map(({ id }) => `w/${id}`)
        expect(await keysOf('w/', 'w0', 1000)).toEqual(left.sort())
        expect(await store.log('done', 1, 1000)).toHaveLength(256 - left.length)
      })
    })

    describe('the end', () => {
      it('refuses to write once closed, and closes twice', async () => {
        await store.close()
        await store.close()
        expect(store.healthy()).toBe(false)
        await expect(put('k')).rejects.toThrow(StoreFailed)
        await expect(store.claim('q', 1, 1000)).rejects.toThrow(StoreFailed)
        store = await home.open(clock)
        expect(store.healthy()).toBe(true)
      })

      it('finishes what was being committed before it closes', async () => {
        const results = Promise.all(Array.from({ length: 20 }, (_, i) => put(`k/${i}`)))
        await store.close()
        expect((await results).every(({ kind }) => kind === 'committed')).toBe(true)
        store = await home.open(clock)
        expect(await keysOf('k/', 'k0')).toHaveLength(20)
      })
    })
  })
}

function entry(log: string, value: string) {
  return { log, value: bytes(value) }
}
