import { spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import process from 'node:process'
import { openAttempts } from '../src/delivery/attempt.js'
import { startDelivery } from '../src/delivery/worker.js'
import type { DirectAddress } from '../src/direct/address.js'
import type { ExchangeAnswer, Exchanges } from '../src/ports/exchange.js'
import { enqueueOutbound, outboundQueue } from '../src/spool/outbound.js'
import { openLevelStore } from '../src/store/level/level.js'
import { startPostfix } from './postfix.js'
import { fdatasyncControl, openResults, type Rate } from './rate.js'

/**
 * How fast a full queue drains to one destination: sealed messages of 10 KB, every try recorded and synced before it dials
 * and every end after it, to Postfix's smtp-sink on this machine, at 1, 2 (what we do by ourselves) and 20 connections;
 * beside it Postfix that lets go of as many held messages to the same sink. Sender, sink and disk share the machine.
 * Run: npm run bench -- drain [messages]
 */

const messages = Number(process.argv[2] ?? 2_000)
const rounds = 3
const messageBytes = 10_000
const quiet = { info: () => undefined, warn: () => undefined, error: console.error }
const uncounted = { count: () => undefined, observe: () => undefined, gauge: () => undefined }
const clock = { now: () => Date.now() }
const random = { bytes: (size: number) => new Uint8Array(randomBytes(size)) }
const line = `${randomBytes(57).toString('base64')}\r\n`
const body = line.repeat(Math.floor(messageBytes / line.length))

const loopback = async (name: string): Promise<ExchangeAnswer> => ({
  kind: 'hosts',
  hosts: [{ name, addresses: ['127.0.0.1'] }],
})
const exchanges: Exchanges = { of: loopback, host: loopback }

/** Drains a full queue of ours; answers messages a second, from the first claim to the last end. */
async function drain(root: string, port: number, connections: number): Promise<Rate> {
  const folder = await mkdtemp(join(root, 'store-'))
  const store = await openLevelStore(folder, clock)
  for (let at = 0; at < messages; at += 100) {
    const jobs = Array.from({ length: Math.min(100, messages - at) }, (_, i) => {
      const id = randomBytes(13).toString('hex')
      const wire = `Message-ID: <${id}@us.example>\r\nContent-Type: application/pkcs7-mime\r\n\r\n${body}`
      return enqueueOutbound(
        {
          ...{ id, trail: id, kind: 'message', from: 'a@us.example' as DirectAddress, stage: 'sealed' },
          ...{ to: [`b${at + i}@served.example` as DirectAddress], body: Buffer.from(wire), owedAt: at + i, tries: 0 },
        },
        at + i,
      )
    })
    await store.commit({ enqueue: jobs.flatMap(({ enqueue = [] }) => enqueue) })
  }
  let taken = 0
  let allTaken: () => void = () => undefined
  const done = new Promise<void>((resolve) => {
    allTaken = resolve
  })
  const start = performance.now()
  const work = startDelivery({
    ...{ store, clock, random, log: quiet, metrics: uncounted, perDomain: connections, concurrency: connections * 4 },
    attempt: openAttempts({ hostname: 'us.example', exchanges, port, tls: 'off' }),
    schedule: { retryMs: [60_000], lifetimeMs: { message: 1e13, mdn: 1e13 }, jitter: 0 },
    outcomeParts(_job, results) {
      for (const result of results) if (result.kind !== 'delivered') throw new Error(JSON.stringify(result))
      return {}
    },
    onConcluded() {
      if (++taken === messages) allTaken()
    },
  })
  await done
  const perSecond = messages / ((performance.now() - start) / 1000)
  await work.stop(10_000)
  if ((await store.jobs(outboundQueue, 1)).length > 0) throw new Error('the queue is not empty')
  await store.close()
  await rm(folder, { recursive: true })
  return { perSecond }
}

/** Fills Postfix's queue with as many, lets them go, and waits until it is empty. */
async function drainPostfix(root: string, relayPort: number, relayConnections: number): Promise<Rate | undefined> {
  const postfix = await startPostfix({ relayPort, relayConnections, root })
  if (!postfix) return undefined
  try {
    const letter = join(root, 'letter')
    await writeFile(letter, `Content-Type: application/pkcs7-mime\n\n${body.replaceAll('\r\n', '\n')}`)
    const words = `-s 10 -d -m ${messages} -N -F ${letter} -f a@us.example -t b@served.example`
    const sent = spawnSync('smtp-source', [...words.split(' '), `inet:127.0.0.1:${postfix.port}`], { stdio: 'inherit' })
    if (sent.status !== 0 || postfix.queued() < messages) throw new Error(`Postfix holds ${postfix.queued()}`)
    const start = performance.now()
    postfix.release()
    while (postfix.queued() > 0) {
      if (performance.now() - start > 300_000) throw new Error(`Postfix still holds ${postfix.queued()}`)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    return { perSecond: messages / ((performance.now() - start) / 1000) }
  } finally {
    postfix.stop()
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}

if (spawnSync('smtp-sink', ['-V'], { stdio: 'ignore' }).error) {
  console.log('smtp-sink of Postfix is not installed: nothing is measured; see test/setup/programs.mjs')
  process.exit(0)
}
const root = await mkdtemp(join(process.cwd(), 'scratch-bench-'))
await chmod(root, 0o755) // Postfix works as another user
const port = await freePort()
const sink = spawn('smtp-sink', ['-u', 'nobody', `127.0.0.1:${port}`, '200'], { stdio: 'inherit' })
const results = openResults()
try {
  await new Promise((resolve) => setTimeout(resolve, 500))
  for (let round = 0; round < rounds; round++) {
    results.note('fdatasync control, 10 KB', await fdatasyncControl(root, randomBytes(messageBytes), 2))
    for (const connections of [1, 2, 20]) {
      results.note(`ours, ${connections} connections`, await drain(root, port, connections))
      const theirs = await drainPostfix(root, port, connections)
      if (!theirs && round === 0) console.log('Postfix could not be started: it is not measured')
      if (theirs) results.note(`Postfix, ${connections} connections`, theirs)
    }
  }
  results.print()
} finally {
  sink.kill()
  await rm(root, { recursive: true, force: true })
}
