import { randomBytes } from 'node:crypto'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { openFileBlobs } from '../src/store/blobs.js'
import { openLevelStore } from '../src/store/level/level.js'

/**
 * Durable commits a second of the level store, with 20 KB values beside a log entry and a job each, at 1, 8, 32 and 50
 * writers, in three interleaved rounds, next to what the same disk syncs in the same run (write 20 KB, fdatasync); the
 * queue; and 30 MB blobs. The directory is made below the working directory: a temporary one may be memory.
 * Run: npm run bench -- store
 */

const seconds = Number(process.argv[2] ?? 2)
const value = randomBytes(20_000)
const clock = { now: () => Date.now() }
const root = await mkdtemp(join(process.cwd(), 'scratch-bench-'))

/** Calls `work` in `workers` loops for the given time; answers calls a second and the waiting times in milliseconds. */
async function rate(workers: number, work: (worker: number, n: number) => Promise<unknown>) {
  const waits: number[] = []
  const start = performance.now()
  const end = start + seconds * 1000
  async function loop(worker: number) {
    for (let n = 0; performance.now() < end; n++) {
      const from = performance.now()
      await work(worker, n)
      waits.push(performance.now() - from)
    }
  }
  await Promise.all(Array.from({ length: workers }, (_, worker) => loop(worker)))
  const perSecond = waits.length / ((performance.now() - start) / 1000)
  waits.sort((a, b) => a - b)
  const at = (share: number) => waits[Math.floor(waits.length * share)] ?? 0
  return { perSecond, p50: at(0.5), p99: at(0.99) }
}

function report(name: string, results: readonly { perSecond: number; p50: number; p99: number }[]) {
  const sorted = [...results].sort((a, b) => a.perSecond - b.perSecond)
  const middle = sorted[Math.floor(sorted.length / 2)]
  const [low, high] = [sorted[0], sorted.at(-1)]
  if (!middle || !low || !high) return
  const range = `${low.perSecond.toFixed(0)}–${high.perSecond.toFixed(0)}`
  console.log(
    `${name.padEnd(28)} ${middle.perSecond.toFixed(0).padStart(7)}/s (${range})  p50 ${middle.p50.toFixed(2)} ms  p99 ${middle.p99.toFixed(1)} ms`,
  )
}

async function fdatasyncControl() {
  const file = await open(join(root, 'control'), 'w')
  const result = await rate(1, async () => {
    await file.write(value)
    await file.datasync()
  })
  await file.close()
  return result
}

async function commits(writers: number, round: number) {
  const directory = join(root, `level-${writers}-${round}`)
  const store = await openLevelStore(directory, clock)
  const result = await rate(writers, (worker, n) =>
    store.commit({
      put: [{ key: `message/${worker}/${n}`, value }],
      append: [{ log: 'audit', value: value.subarray(0, 150) }],
      enqueue: [{ queue: 'spool', id: `${worker}-${n}`, payload: value.subarray(0, 100), dueAt: n }],
    }),
  )
  await store.close()
  await rm(directory, { recursive: true })
  return result
}

/** Claims one job, acknowledges it, and puts one back in its place, all in one commit. */
async function queue(workers: number) {
  const store = await openLevelStore(join(root, `queue-${workers}`), clock)
  const job = (id: string) => ({ queue: 'q', id, payload: value.subarray(0, 200), dueAt: Date.now() })
  for (let i = 0; i < 20; i++) await store.commit({ enqueue: Array.from({ length: 500 }, (_, n) => job(`${i}-${n}`)) })
  const result = await rate(workers, async (worker, n) => {
    const [held] = await store.claim('q', 1, 60_000)
    if (held) await store.commit({ ack: [{ job: held }], enqueue: [job(`again-${worker}-${n}`)] })
  })
  await store.close()
  return result
}

async function blobs() {
  const home = await openFileBlobs(join(root, 'blobs'), clock)
  const chunks = Array.from({ length: 480 }, () => randomBytes(64 * 1024))
  const names: string[] = []
  const start = performance.now()
  for (let i = 0; i < 10; i++) {
    chunks[0] = randomBytes(64 * 1024)
    names.push(await home.put(chunks))
  }
  const writing = (performance.now() - start) / 1000
  const from = performance.now()
  let read = 0
  for (const name of names) for await (const chunk of (await home.get(name)) ?? []) read += chunk.length
  const reading = (performance.now() - from) / 1000
  const megabytes = (10 * 480 * 65_536) / 1e6
  console.log(
    `30 MB blobs                  written at ${(megabytes / writing).toFixed(0)} MB/s, read at ${(read / 1e6 / reading).toFixed(0)} MB/s`,
  )
}

try {
  const results = new Map<string, { perSecond: number; p50: number; p99: number }[]>()
  for (let round = 0; round < 3; round++) {
    results.set('fdatasync control', [...(results.get('fdatasync control') ?? []), await fdatasyncControl()])
    for (const writers of [1, 8, 32, 50]) {
      const name = `commit 20 KB, ${writers} writers`
      results.set(name, [...(results.get(name) ?? []), await commits(writers, round)])
    }
  }
  for (const [name, found] of results) report(name, found)
  for (const workers of [1, 32]) report(`claim + ack + put, ${workers} workers`, [await queue(workers)])
  await blobs()
} finally {
  await rm(root, { recursive: true, force: true })
}
