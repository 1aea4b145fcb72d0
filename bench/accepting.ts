import { randomBytes } from 'node:crypto'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import process from 'node:process'
import { loadConfig } from '../src/config/load.js'
import { clock, openHouse } from '../src/house.js'
import { readMasterKey } from '../src/keyring/master-key.js'
import { startSmtp } from '../src/smtp/server.js'
import { type Rate, rate } from './rate.js'

/**
 * A gateway process of the store bench, as far as mail is accepted and queues are worked: the SMTP listener and the spool
 * over the store that the environment names. Tells its port; claims and acknowledges when told to.
 */

/** What it is told to do. */
export type Task =
  /** Claim one job, acknowledge it and put one back in its place in one commit, in so many loops. */
  | { readonly kind: 'work'; readonly workers: number; readonly seconds: number }
  /** Put blobs of this size and read them again. */
  | { readonly kind: 'blobs'; readonly count: number; readonly sizeBytes: number }

export interface BlobFigures {
  readonly putPerSecond: number
  readonly readPerSecond: number
  /** The longest the event loop stood still, and what the process grew by at most. */
  readonly stallMs: number
  readonly grownBytes: number
}

const queue = 'bench'
const payload = new Uint8Array(200)
const tell = (message: unknown) => process.send?.(message)

const loaded = await loadConfig({
  env: process.env,
  cwd: process.cwd(),
  readFile: () => Promise.reject(new Error('no file')),
})
if (loaded.kind === 'problems') throw new Error(JSON.stringify(loaded.problems))
const key = readMasterKey(loaded.masterKey ?? '')
if (key.kind === 'refused') throw new Error(key.detail)
const house = await openHouse(loaded.config, key.key)
const { store, spool, blobs } = house

const listener = await startSmtp({
  host: '127.0.0.1',
  port: 0,
  hostname: 'bench.example',
  isServed: async () => true,
  accept: (envelope, data) => spool.accept(envelope, data),
  room: async () => true,
  healthy: () => store.healthy(),
  log: { info: () => undefined, warn: () => undefined, error: (event, fields) => console.error(event, fields) },
  metrics: { count: () => undefined, observe: () => undefined, gauge: () => undefined },
  clock,
})

const job = (id: string) => ({ queue, id, payload, dueAt: clock.now() })

async function work(workers: number, seconds: number): Promise<Rate> {
  const name = `${process.pid}-${workers}-${clock.now()}`
  const jobs = Array.from({ length: 1000 }, (_, n) => job(`${name}-first-${n}`))
  await store.commit({ enqueue: jobs })
  return rate(workers, seconds, async (worker, n) => {
    const [held] = await store.claim(queue, 1, 60_000)
    if (held) await store.commit({ ack: [{ job: held }], enqueue: [job(`${name}-${worker}-${n}`)] })
  })
}

async function moveBlobs(count: number, sizeBytes: number): Promise<BlobFigures> {
  const chunk = () => randomBytes(64 * 1024)
  const chunks = Array.from({ length: Math.ceil(sizeBytes / chunk().length) }, chunk)
  const idleBytes = process.memoryUsage.rss()
  let peakBytes = idleBytes
  const sampling = setInterval(() => {
    peakBytes = Math.max(peakBytes, process.memoryUsage.rss())
  }, 5)
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const names: string[] = []
  const start = performance.now()
  for (let i = 0; i < count; i++) {
    chunks[0] = chunk()
    names.push(await blobs.put(chunks))
  }
  const written = performance.now()
  for (const name of names) for await (const _ of (await blobs.get(name)) ?? []);
  const read = performance.now()
  delay.disable()
  clearInterval(sampling)
  return {
    putPerSecond: (count * sizeBytes) / ((written - start) / 1000),
    readPerSecond: (count * sizeBytes) / ((read - written) / 1000),
    stallMs: delay.max / 1e6,
    grownBytes: peakBytes - idleBytes,
  }
}

process.on('message', async (task: Task) => {
  if (task.kind === 'work') tell(await work(task.workers, task.seconds))
  else tell(await moveBlobs(task.count, task.sizeBytes))
})
process.once('disconnect', async () => {
  await listener.close(0)
  await house.close()
})
tell({ port: listener.port })
