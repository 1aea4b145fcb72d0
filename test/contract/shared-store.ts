import { createHash } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ClaimedJob, CommitResult, Store } from '../../src/ports/store.js'
import { standingClock } from './clock.js'
import type { StoreHome } from './store.js'

/** Two gateways over one store, and the clock that the store goes by. */
export interface SharedWorld {
  readonly a: Store
  readonly b: Store
  readonly clock: ReturnType<typeof standingClock>
}

/** One promise of a store that several processes share. It rejects where the promise is broken. */
export interface SharedCheck {
  readonly name: string
  readonly check: (world: SharedWorld) => Promise<void>
}

const bytes = (text: string) => new TextEncoder().encode(text)
const text = (value: Uint8Array | undefined) => (value ? new TextDecoder().decode(value) : undefined)
const job = (id: string, dueAt = 0) => ({ queue: 'q', id, payload: bytes(id), dueAt })
const times = <T>(n: number, make: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => make(i))
const won = (results: readonly CommitResult[]) => results.filter(({ kind }) => kind === 'committed').length
const only = <T>(list: readonly T[]): T => {
  expect(list).toHaveLength(1)
  return list[0] as T
}

async function committed(store: Store, batch: Parameters<Store['commit']>[0]) {
  expect(await store.commit(batch)).toEqual({ kind: 'committed' })
}

async function version(store: Store, key: string): Promise<number | 'absent'> {
  return (await store.get(key))?.version ?? 'absent'
}

/** What must be so whichever of the stores is asked. */
export const sharedChecks: readonly SharedCheck[] = [
  {
    name: 'says that it is shared, and shows each what the other was told is committed',
    async check({ a, b }) {
      expect([a.shared, b.shared]).toEqual([true, true])
      for (let n = 0; n < 10; n++) {
        await committed(a, { put: [{ key: 'k', value: bytes(`a${n}`) }] })
        const read = await b.get('k')
        expect(text(read?.value)).toBe(`a${n}`)
        await committed(b, { require: [{ key: 'k', version: read?.version ?? 'absent' }], del: ['k'] })
        expect(await a.get('k')).toBeUndefined()
      }
    },
  },
  {
    name: 'loses no update of 32 workers that compare and set through two stores',
    async check({ a, b }) {
      await committed(a, { put: [{ key: 'counter', value: bytes('0') }] })
      const increment = async (store: Store) => {
        for (;;) {
          const entry = await store.get('counter')
          if (!entry) throw new Error('The counter is gone')
          const value = bytes(String(Number(text(entry.value)) + 1))
          const require = [{ key: 'counter', version: entry.version }]
          if ((await store.commit({ require, put: [{ key: 'counter', value }] })).kind === 'committed') return
        }
      }
      await Promise.all(times(64, (i) => increment(i % 2 === 0 ? a : b)))
      expect(text((await a.get('counter'))?.value)).toBe('64')
    },
  },
  {
    name: 'lets exactly one of the creators in two stores win',
    async check({ a, b }) {
      for (let round = 0; round < 10; round++) {
        const results = await Promise.all(
          times(20, (i) =>
            (i % 2 === 0 ? a : b).commit({
              require: [{ key: `once/${round}`, version: 'absent' }],
              put: [{ key: `once/${round}`, value: bytes(String(i)) }],
              append: [{ log: `winners/${round}`, value: bytes(String(i)) }],
            }),
          ),
        )
        expect(won(results)).toBe(1)
        const winner = only(await b.log(`winners/${round}`, 1, 10))
        expect(text((await a.get(`once/${round}`))?.value)).toBe(text(winner.value))
      }
    },
  },
  {
    name: 'lets one of two win that each require absent what the other puts',
    async check({ a, b }) {
      for (let round = 0; round < 40; round++) {
        const [x, y] = [`x/${round}`, `y/${round}`]
        const results = await Promise.all([
          a.commit({ require: [{ key: x, version: 'absent' }], put: [{ key: y, value: bytes('a') }] }),
          b.commit({ require: [{ key: y, version: 'absent' }], put: [{ key: x, value: bytes('b') }] }),
        ])
        expect(won(results)).toBe(1)
        expect([await version(a, x), await version(a, y)].filter((found) => found === 'absent')).toHaveLength(1)
      }
    },
  },
  {
    name: 'lets one of two win that each require unchanged what the other changes',
    async check({ a, b }) {
      for (let round = 0; round < 20; round++) {
        const [x, y] = [`x/${round}`, `y/${round}`]
        await committed(a, {
          put: [
            { key: x, value: bytes('0') },
            { key: y, value: bytes('0') },
          ],
        })
        const [ofX, ofY] = [await version(a, x), await version(a, y)]
        const results = await Promise.all([
          a.commit({ require: [{ key: x, version: ofX }], put: [{ key: y, value: bytes('a') }] }),
          b.commit({ require: [{ key: y, version: ofY }], del: [x] }),
        ])
        expect(won(results)).toBe(1)
      }
    },
  },
  {
    name: 'leaves nothing of a batch that is refused because the other store was faster',
    async check({ a, b }) {
      await committed(a, { put: [{ key: 'k', value: bytes('0') }], enqueue: [job('mine')] })
      const [held, old] = [only(await a.claim('q', 1, 60_000)), await version(a, 'k')]
      await committed(b, { put: [{ key: 'k', value: bytes('1') }] })
      const refused = {
        put: [{ key: 'new', value: bytes('x') }],
        del: ['k'],
        append: [{ log: 'l', value: bytes('x') }],
        enqueue: [job('other')],
        ack: [{ job: held }],
      }
      expect(await a.commit({ ...refused, require: [{ key: 'k', version: old }] })).toEqual({
        kind: 'conflict',
        key: 'k',
      })
      expect(await version(b, 'new')).toBe('absent')
      expect(text((await b.get('k'))?.value)).toBe('1')
      expect(await b.log('l', 1, 10)).toEqual([])
      expect((await b.jobs('q', 10)).map(({ id, held }) => [id, held])).toEqual([['mine', true]])
      await committed(a, { ack: [{ job: held }] })
    },
  },
  {
    name: 'gives no job to two of 32 workers in two stores',
    async check({ a, b }) {
      const ids = times(400, (i) => `job-${String(i).padStart(3, '0')}`)
      await committed(a, { enqueue: ids.map((id) => job(id)) })
      const done: string[] = []
      const work = async (store: Store) => {
        for (;;) {
          const claimed = await store.claim('q', 3, 60_000)
          if (claimed.length === 0) return
          expect(new Set(claimed.map(({ attempt }) => attempt))).toEqual(new Set([1]))
          expect(await store.commit({ ack: claimed.map((job) => ({ job })) })).toEqual({ kind: 'committed' })
          done.push(...claimed.map(({ id }) => id))
        }
      }
      await Promise.all(times(32, (i) => work(i % 2 === 0 ? a : b)))
      // Who found everything taken went home; what is left was held then.
      await work(a)
      expect([...done].sort()).toEqual(ids)
      expect(await b.jobs('q', 10)).toEqual([])
    },
  },
  {
    name: 'gives a job to one of those who claim it in turn and by its id in two stores',
    async check({ a, b }) {
      for (let round = 0; round < 10; round++) {
        const ids = times(8, (i) => `${round}/${i}`)
        await committed(a, { enqueue: ids.map((id) => job(id)) })
        const taken: ClaimedJob[] = []
        await Promise.all(
          ids.flatMap((id) => [
            ...[a, b].map(async (store) => {
              const found = await store.claimJob('q', id, 60_000)
              expect(found).toBeDefined()
              if (found !== undefined && found !== 'held') taken.push(found)
            }),
            ...[a, b].map(async (store) => void taken.push(...(await store.claim('q', 1, 60_000)))),
          ]),
        )
        taken.push(...(await a.claim('q', 100, 60_000)))
        expect(taken.map(({ id }) => id).sort()).toEqual(ids)
        await committed(b, { ack: taken.map((job) => ({ job })) })
      }
    },
  },
  {
    name: 'gives the jobs of a store that went away to the other, once their leases have run out',
    async check({ a, b, clock }) {
      await committed(a, { enqueue: [job('j'), job('done')] })
      const held = await a.claim('q', 2, 60_000)
      expect(held).toHaveLength(2)
      await committed(a, { ack: held.filter(({ id }) => id === 'done').map((job) => ({ job })) })
      await a.close()
      clock.advance(59_999)
      expect(await b.claim('q', 2, 60_000)).toEqual([])
      clock.advance(1)
      const taken = only(await b.claim('q', 2, 60_000))
      expect(taken).toMatchObject({ id: 'j', attempt: 2, leaseUntil: clock.now() + 60_000 })
      await committed(b, { ack: [{ job: taken }] })
    },
  },
  {
    name: 'refuses the end of a job that the other store has taken over',
    async check({ a, b, clock }) {
      await committed(a, { enqueue: [job('j')] })
      const late = only(await a.claim('q', 1, 1000))
      clock.advance(1000)
      const lost = { kind: 'lease-lost', id: 'j' }
      expect(await a.commit({ ack: [{ job: late }] })).toEqual(lost)
      const taken = only(await b.claim('q', 1, 1000))
      expect(taken.token).not.toBe(late.token)
      for (const batch of [{ ack: [{ job: late }] }, { release: [{ job: late, dueAt: 0 }] }])
        expect(await a.commit({ ...batch, put: [{ key: 'k', value: bytes('x') }] })).toEqual(lost)
      expect(await a.extend(late, 60_000)).toBe(false)
      expect(await version(b, 'k')).toBe('absent')
      expect(await b.extend(taken, 2000)).toBe(true)
      clock.advance(1999)
      expect(await a.claim('q', 1, 1000)).toEqual([])
      await committed(b, { ack: [{ job: taken }] })
      expect(await a.jobs('q', 10)).toEqual([])
    },
  },
  {
    name: 'ends a job once when two stores end it at the same moment',
    async check({ a, b }) {
      for (let round = 0; round < 10; round++) {
        await committed(a, { enqueue: [job(`j${round}`)] })
        const held: ClaimedJob = only(await a.claim('q', 1, 60_000))
        const append = (who: string) => [{ log: `ends/${round}`, value: bytes(who) }]
        const results = await Promise.all([
          a.commit({ ack: [{ job: held }], append: append('a') }),
          b.commit({ ack: [{ job: held }], append: append('b') }),
          b.commit({ release: [{ job: held, dueAt: 0 }], append: append('c') }),
        ])
        expect(won(results)).toBe(1)
        only(await a.log(`ends/${round}`, 1, 10))
        await a.commit({ ack: (await a.claim('q', 1, 60_000)).map((job) => ({ job })) })
      }
    },
  },
  {
    name: 'keeps one job of an id that both stores enqueue',
    async check({ a, b }) {
      await Promise.all(times(20, (i) => (i % 2 === 0 ? a : b).commit({ enqueue: [job('j'), job(`own/${i}`)] })))
      const found = (await a.jobs('q', 100)).map(({ id }) => id)
      expect(found.filter((id) => id === 'j')).toHaveLength(1)
      expect(found).toHaveLength(21)
      expect(await b.nextDue('q')).toBe(0)
    },
  },
  {
    name: 'chains one log without gap or fork, whichever store appends',
    async check({ a, b }) {
      const append = async (store: Store, who: string) => {
        for (let n = 0; n < 25; n++) {
          const entries = [{ log: 'l', value: bytes(`${who} ${n}`) }]
          // Every third batch names a second log, in another order in each store.
          if (n % 3 === 0) entries.push({ log: 'other', value: bytes(`${who} ${n}`) })
          await committed(store, { append: who.startsWith('a') ? entries : entries.reverse() })
        }
      }
      await Promise.all(times(8, (i) => (i % 2 === 0 ? append(a, `a${i}`) : append(b, `b${i}`))))
      for (const [log, count] of [
        ['l', 200],
        ['other', 72],
      ] as const) {
        const found = await a.log(log, 1, 1000)
        expect(found.map(({ sequence }) => sequence)).toEqual(times(count, (i) => i + 1))
        expect(new Set(found.map(({ value }) => text(value))).size).toBe(count)
        let before: Uint8Array = new Uint8Array(32)
        for (const { link, value } of found) {
          before = createHash('sha256').update(before).update(value).digest()
          expect(Buffer.from(link).equals(before)).toBe(true)
        }
      }
    },
  },
]

/** Runs one check over a home of its own: for the suite, and for tests that plant a bug which it must catch. */
export async function runSharedCheck({ check }: SharedCheck, home: StoreHome): Promise<void> {
  const clock = standingClock()
  const [a, b] = [await home.open(clock), await home.open(clock)]
  try {
    await check({ a, b, clock })
  } finally {
    await Promise.all([a.close(), b.close()])
  }
}

/** What every Store must do that says it is shared, with two of them open over the same home. */
export function sharedStoreContract(adapter: string, createHome: () => Promise<StoreHome>) {
  describe(`${adapter} keeps the contract of shared stores`, () => {
    let home: StoreHome
    beforeEach(async () => {
      home = await createHome()
    })
    afterEach(() => home.destroy())

    for (const one of sharedChecks) it(one.name, () => runSharedCheck(one, home))
  })
}
