import process from 'node:process'
import { loadConfig } from '../src/config/load.js'
import { clock, openHouse } from '../src/house.js'
import { readMasterKey } from '../src/keyring/master-key.js'
import { startSmtp } from '../src/smtp/server.js'
import { rate } from './rate.js'

/**
 * A gateway process of the store bench, as far as mail is accepted and queues are worked: the SMTP listener and the spool
 * over the store that the environment names. Tells its port; claims and acknowledges when told to.
 */

/** Claim one job, acknowledge it and put one back in its place in one commit, in so many loops. */
interface Work {
  readonly workers: number
  readonly seconds: number
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
const { store, spool } = house

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

process.on('message', async ({ workers, seconds }: Work) => {
  const name = `${process.pid}-${workers}-${clock.now()}`
  const jobs = Array.from({ length: 1000 }, (_, n) => job(`${name}-first-${n}`))
  await store.commit({ enqueue: jobs })
  const found = await rate(workers, seconds, async (worker, n) => {
    const [held] = await store.claim(queue, 1, 60_000)
    if (held) await store.commit({ ack: [{ job: held }], enqueue: [job(`${name}-${worker}-${n}`)] })
  })
  tell(found)
})
process.once('disconnect', async () => {
  await listener.close(0)
  await house.close()
})
tell({ port: listener.port })
