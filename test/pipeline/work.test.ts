import { afterEach, expect, test } from 'vitest'
import { startWork, type Work, type WorkOptions } from '../../src/pipeline/work.js'
import type { ClaimedJob, Store } from '../../src/ports/store.js'
import { StoreFailed } from '../../src/ports/store.js'
import { openMemoryStore } from '../../src/store/memory.js'

const clock = { now: Date.now }
let work: Work | undefined

afterEach(() => work?.stop(1000))

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

async function until(holds: () => boolean): Promise<void> {
  for (let waited = 0; !holds(); waited += 2) {
    if (waited > 3000) throw new Error('It did not become true')
    await sleep(2)
  }
}

async function enqueue(store: Store, ids: readonly string[], dueAt = clock.now()): Promise<void> {
  await store.commit({ enqueue: ids.map((id) => ({ queue: 'q', id, payload: Buffer.from(id), dueAt })) })
}

const names = (count: number) => Array.from({ length: count }, (_, i) => `job-${String(i).padStart(3, '0')}`)

/** A worker of queue `q` whose handler does as told and then acknowledges. */
function working(store: Store, options: Partial<WorkOptions> = {}): { done: string[]; errors: unknown[]; work: Work } {
  const done: string[] = []
  const errors: unknown[] = []
  const { handle = async () => undefined, ...rest } = options
  work = startWork({
    store,
    queue: 'q',
    concurrency: 3,
    leaseMs: 500,
    clock,
    idleMs: 10_000,
    onError: (error) => errors.push(error),
    async handle(job: ClaimedJob) {
      await handle(job)
      const result = await store.commit({ ack: [{ job }] })
      if (result.kind === 'committed') done.push(job.id)
    },
    ...rest,
  })
  return { done, errors, work }
}

test('does every due job once, the oldest first, so many at once and no more', async () => {
  const store = await openMemoryStore({ clock })
  await enqueue(store, names(40))
  let now = 0
  let most = 0
  const { done, errors } = working(store, {
    async handle() {
      most = Math.max(most, ++now)
      await sleep(1)
      now--
    },
  })
  await until(() => done.length === 40)
  expect([...done].sort()).toEqual(names(40))
  expect(most).toBe(3)
  expect(errors).toEqual([])
  expect(await store.nextDue('q')).toBeUndefined()
})

test('wakes when the next job is due, without being told', async () => {
  const store = await openMemoryStore({ clock })
  const dueAt = clock.now() + 150
  await enqueue(store, ['later'], dueAt)
  const { done } = working(store)
  await until(() => done.length === 1)
  expect(clock.now() - dueAt).toBeGreaterThanOrEqual(0)
  expect(clock.now() - dueAt).toBeLessThan(200)
})

test('looks at once when nudged, also when it is about to rest', async () => {
  const store = await openMemoryStore({ clock })
  const { done, work } = working(store)
  for (let i = 0; i < 50; i++) {
    await enqueue(store, [`nudged-${i}`])
    work.nudge()
    if (i % 3 === 0) await sleep(1)
  }
  await until(() => done.length === 50)
})

test('keeps the lease of a job that takes longer than it', async () => {
  const store = await openMemoryStore({ clock })
  await enqueue(store, ['long'])
  let begun = 0
  const { done } = working(store, {
    leaseMs: 60,
    idleMs: 10,
    async handle() {
      begun++
      await sleep(300)
    },
  })
  await until(() => done.length === 1)
  expect(begun).toBe(1)
})

test('gives back a job whose handler throws, later each time, and goes on with others', async () => {
  let ahead = 0
  const ahead_clock = { now: () => Date.now() + ahead }
  const store = await openMemoryStore({ clock: ahead_clock })
  await enqueue(store, ['bad', 'good'])
  const waits: number[] = []
  const { done, errors, work } = working(store, {
    clock: ahead_clock,
    async handle(job) {
      if (job.id === 'bad' && job.attempt < 4) throw new Error(`try ${job.attempt}`)
    },
  })
  for (let tries = 1; tries < 4; tries++) {
    await until(() => errors.length === tries && work.running() === 0)
    const due = (await store.nextDue('q')) ?? 0
    waits.push(Math.round((due - ahead_clock.now()) / 1000))
    ahead += due - ahead_clock.now()
    work.nudge()
  }
  await until(() => done.length === 2)
  expect(waits).toEqual([1, 2, 4])
  expect(done).toEqual(['good', 'bad'])
})

test('outlives a store that fails for a while', async () => {
  let failing = true
  const fail = (call: string) => {
    if (failing && (call === 'claim' || call === 'nextDue')) throw new StoreFailed('disk')
  }
  const store = await openMemoryStore({ clock, beforeCall: fail })
  await enqueue(store, ['patient'])
  const { done, errors } = working(store)
  await until(() => errors.length === 2)
  failing = false
  await until(() => done.length === 1)
  expect(errors.length).toBeLessThan(4)
})

test('stopping waits for what runs, claims nothing more, and says whether all ended', async () => {
  const store = await openMemoryStore({ clock })
  await enqueue(store, names(10))
  const { done, work } = working(store, { handle: () => sleep(50) })
  await until(() => work.running() === 3)
  expect(await work.stop(1000)).toBe(true)
  expect(done).toHaveLength(3)
  const left = await store.jobs('q', 100)
  expect(left.filter(({ held }) => held)).toEqual([])
  expect(left).toHaveLength(7)

  const second = working(store, { handle: () => sleep(400) })
  await until(() => second.work.running() === 3)
  const started = performance.now()
  expect(await second.work.stop(50)).toBe(false)
  expect(performance.now() - started).toBeLessThan(300)
})

test('a worker that lost its lease does not undo what the next one did', async () => {
  const store = await openMemoryStore({ clock })
  await enqueue(store, ['contested'])
  const [stale] = await store.claim('q', 1, 30)
  await sleep(40)
  const { done } = working(store)
  await until(() => done.length === 1)
  expect(stale && (await store.commit({ ack: [{ job: stale }] }))).toEqual({ kind: 'lease-lost', id: 'contested' })
})
