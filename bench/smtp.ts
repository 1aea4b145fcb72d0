import { fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { audit } from '../src/audit/audit.js'
import type { Acceptance, SmtpOptions } from '../src/smtp/options.js'
import { startSmtp } from '../src/smtp/server.js'
import { openSpool } from '../src/spool/spool.js'
import { openFileBlobs } from '../src/store/blobs.js'
import { openLevelStore } from '../src/store/level/level.js'
import { dial, type Sender } from './sender.js'

/**
 * Messages of 10 KB a second from first command to 250, at 1, 10 and 50 connections that are reused, sent by a process
 * of its own: with an `accept` that reads and forgets, and with the spool over the level store, in three interleaved
 * rounds, next to what the same disk syncs in the same run (write 10 KB, fdatasync). Sender, listener and disk share
 * the machine. The directory is made below the working directory: a temporary one may be memory.
 * Run: npm run bench -- smtp
 */

interface Rate {
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
}

const messageBytes = 10_000

/** Works in loops for the given time; answers how often a second, and the waits in milliseconds. */
async function rate(workers: number, seconds: number, work: (worker: number) => Promise<unknown>): Promise<Rate> {
  const waits: number[] = []
  const start = performance.now()
  const end = start + seconds * 1000
  async function loop(worker: number) {
    while (performance.now() < end) {
      const from = performance.now()
      await work(worker)
      waits.push(performance.now() - from)
    }
  }
  await Promise.all(Array.from({ length: workers }, (_, worker) => loop(worker)))
  const perSecond = waits.length / ((performance.now() - start) / 1000)
  waits.sort((a, b) => a - b)
  const at = (share: number) => waits[Math.floor(waits.length * share)] ?? 0
  return { perSecond, p50: at(0.5), p99: at(0.99) }
}

/** A message of its own at each call, or the spool would know it again. */
const body = `${randomBytes(54).toString('base64')}\r\n`.repeat(Math.floor(messageBytes / 74) - 3)
function message(): Buffer {
  const id = randomBytes(16).toString('hex')
  return Buffer.from(
    `Message-ID: <${id}@bench.example>\r\nContent-Type: application/pkcs7-mime\r\n\r\n${body.trimEnd()}`,
  )
}

async function sendOne(sender: Sender): Promise<void> {
  const reply = await sender.send('a@bench.example', 'b@served.example', message())
  if (!reply.startsWith('250')) throw new Error(reply)
}

async function beSender(port: number, connections: number, seconds: number): Promise<void> {
  const senders = await Promise.all(Array.from({ length: connections }, () => dial(port)))
  for (const sender of senders) await sendOne(sender) // warm
  const found = await rate(connections, seconds, (worker) => sendOne(senders[worker] as Sender))
  for (const sender of senders) sender.close()
  process.send?.(found)
}

function send(port: number, connections: number, seconds: number): Promise<Rate> {
  const child = fork(fileURLToPath(import.meta.url), ['sender', String(port), String(connections), String(seconds)])
  return new Promise((resolve, reject) => {
    child.once('message', (found) => resolve(found as Rate))
    child.once('exit', (code) => code && reject(new Error(`The sender ended with ${code}`)))
  })
}

function listen(accept: SmtpOptions['accept']) {
  return startSmtp({
    host: '127.0.0.1',
    port: 0,
    hostname: 'bench.example',
    isServed: async () => true,
    accept,
    room: async () => true,
    healthy: () => true,
    log: { info: () => undefined, warn: () => undefined, error: (event, fields) => console.error(event, fields) },
    metrics: { count: () => undefined, observe: () => undefined, gauge: () => undefined },
    clock: { now: Date.now },
  })
}

async function forget(_: unknown, data: AsyncIterable<Uint8Array>): Promise<Acceptance> {
  for await (const chunk of data) void chunk
  return { kind: 'accepted', id: 'forgotten' }
}

async function fdatasyncControl(root: string, seconds: number): Promise<Rate> {
  const file = await open(join(root, 'control'), 'w')
  const value = randomBytes(messageBytes)
  const found = await rate(1, seconds, async () => {
    await file.write(value)
    await file.datasync()
  })
  await file.close()
  return found
}

function report(name: string, rounds: readonly Rate[]): void {
  const sorted = [...rounds].sort((a, b) => a.perSecond - b.perSecond)
  const middle = sorted[Math.floor(sorted.length / 2)]
  const range = `${sorted[0]?.perSecond.toFixed(0)}-${sorted.at(-1)?.perSecond.toFixed(0)}`
  const waits = `p50 ${middle?.p50.toFixed(2)} ms  p99 ${middle?.p99.toFixed(2)} ms`
  console.log(`${name.padEnd(28)} ${middle?.perSecond.toFixed(0).padStart(6)}/s (${range})  ${waits}`)
}

async function measure(seconds: number): Promise<void> {
  const root = await mkdtemp(join(process.cwd(), 'scratch-bench-'))
  const clock = { now: Date.now }
  const store = await openLevelStore(join(root, 'store'), clock)
  const blobs = await openFileBlobs(join(root, 'blobs'), clock)
  const spool = openSpool({ store, blobs, clock, audit, random: { bytes: (size) => randomBytes(size) } })
  const forgetful = await listen(forget)
  const durable = await listen((envelope, data) => spool.accept(envelope, data))
  try {
    const found = new Map<string, Rate[]>()
    const note = (name: string, result: Rate) => found.set(name, [...(found.get(name) ?? []), result])
    for (let round = 0; round < 3; round++) {
      note('fdatasync control', await fdatasyncControl(root, seconds))
      for (const connections of [1, 10, 50]) {
        note(`read and forget, ${connections} conn.`, await send(forgetful.port, connections, seconds))
        note(`durable, ${connections} conn.`, await send(durable.port, connections, seconds))
      }
    }
    for (const [name, rounds] of found) report(name, rounds)
  } finally {
    await forgetful.close(0)
    await durable.close(0)
    await store.close()
    await rm(root, { recursive: true, force: true })
  }
}

const [role, port, connections, seconds] = process.argv.slice(2)
if (role === 'sender') await beSender(Number(port), Number(connections), Number(seconds))
else await measure(Number(role ?? 2))
