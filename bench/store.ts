import { type ChildProcess, fork, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { postgresPrograms, startCluster } from '../test/fixtures/postgres.js'
import type { BlobFigures, Task } from './accepting.js'
import { startPostfix } from './postfix.js'
import { fdatasyncControl, openResults, type Rate } from './rate.js'
import { printStart } from './start.js'

/**
 * What a store lets a gateway promise, each beside the others in one run: messages of 10 KB accepted and durable a
 * second over SMTP at 1, 10 and 50 connections that are reused (Postfix's smtp-source sends), and jobs claimed and
 * acknowledged at 1, 8 and 32 workers; over LevelDB, over PostgreSQL with one gateway process and with two. Beside them
 * what the disk syncs (write 10 KB, fdatasync) and, where it is installed, Postfix that accepts and holds the same mail.
 * Then blobs of 30 MB: bytes a second, how long the event loop stood still, what the process grew by; and a cold start.
 * Sender, gateway, database and disk share the machine. The folder is made below the working directory: a temporary one
 * may be memory.
 * Run: npm run bench -- store [seconds]
 */

const seconds = Number(process.argv[2] ?? 3)
const rounds = 3
const messageBytes = 10_000
const warmUpMessages = 40_000

interface Node {
  readonly port: number
  work(workers: number): Promise<Rate>
  moveBlobs(): Promise<BlobFigures>
  stop(): Promise<void>
}

/** Starts a gateway process over the store that these variables name. */
async function startNode(env: Readonly<Record<string, string>>): Promise<Node> {
  const child = fork(fileURLToPath(new URL('accepting.js', import.meta.url)), { env: { ...process.env, ...env } })
  const { port } = (await heard(child)) as { port: number }
  const ask = <Answer>(task: Task) => {
    child.send(task)
    return heard(child) as Promise<Answer>
  }
  return {
    port,
    work: (workers) => ask<Rate>({ kind: 'work', workers, seconds }),
    moveBlobs: () => ask<BlobFigures>({ kind: 'blobs', count: 10, sizeBytes: 30_000_000 }),
    stop() {
      child.disconnect()
      return new Promise((resolve) => child.once('exit', () => resolve()))
    },
  }
}

function heard(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const gone = (code: number | null) => reject(new Error(`A node ended with ${code}`))
    child.once('exit', gone).once('message', (message) => {
      child.removeListener('exit', gone)
      resolve(message)
    })
  })
}

/** Sends so many messages to each port, the connections shared out among them; answers messages a second. */
async function send(ports: readonly number[], connections: number, messages: number): Promise<Rate> {
  const start = performance.now()
  const used = ports.slice(0, connections)
  const each = connections / used.length
  const count = Math.ceil(messages / used.length)
  const codes = await Promise.all(
    used.map((port) => {
      // -N numbers the recipients, or the spool would know the message again.
      const words = `-s ${each} -d -m ${count} -N -F ${letter} -f a@bench.example -t b@served.example`
      const child = spawn('smtp-source', [...words.split(' '), `inet:127.0.0.1:${port}`], { stdio: 'inherit' })
      return new Promise((resolve) => child.once('close', resolve))
    }),
  )
  if (codes.some((code) => code !== 0)) throw new Error(`smtp-source ended with ${codes.join(', ')}`)
  return { perSecond: (count * used.length) / ((performance.now() - start) / 1000) }
}

/** As many messages as take about the time that is asked for, judged by a short run before. */
async function sendFor(ports: readonly number[], connections: number): Promise<Rate> {
  const short = await send(ports, connections, 100 + 10 * connections)
  return send(ports, connections, Math.ceil(short.perSecond * seconds))
}

const root = await mkdtemp(join(process.cwd(), 'scratch-bench-'))
const letter = join(root, 'letter')
const line = `${randomBytes(57).toString('base64')}\n`
await writeFile(letter, `Content-Type: application/pkcs7-mime\n\n${line.repeat(Math.floor(messageBytes / 78))}`)
const masterKey = randomBytes(32).toString('base64')

/** The environment of one node: a folder of its own, and the database where several share one. */
const environment = (folder: string, url?: string) => ({
  DIRECT_GATEWAY_DATA_DIR: join(root, folder),
  DIRECT_GATEWAY_MASTER_KEY: masterKey,
  ...(url && { DIRECT_GATEWAY_STORE_KIND: 'postgres', DIRECT_GATEWAY_STORE_POSTGRES_URL: url }),
})

const results = openResults()
const sends = spawnSync('smtp-source', ['-V'], { stdio: 'ignore' }).error === undefined
if (!sends) console.log('smtp-source of Postfix is not installed: nothing is sent; see test/setup/programs.mjs')
const postfix = await startPostfix()
if (!postfix) console.log('Postfix is not installed, or may not be started by this user: it is not measured')
const cluster = postgresPrograms ? await startCluster({ durable: true }) : undefined
if (!cluster) console.log('No PostgreSQL server is installed: it is not measured; see test/setup/programs.mjs')

const stores = new Map<string, readonly Node[]>()

async function open(name: string, url?: string, nodes = 1) {
  const folders = Array.from({ length: nodes }, (_, n) => `${name} ${n}`)
  stores.set(name, await Promise.all(folders.map((folder) => startNode(environment(folder, url)))))
}

/** One round of everything that is measured of a store. */
async function measure(name: string, nodes: readonly Node[]) {
  const ports = nodes.map(({ port }) => port)
  for (const connections of sends ? [1, 10, 50] : [])
    results.note(`${name}: accepted, ${connections} connections`, await sendFor(ports, connections))
  for (const workers of [1, 8, 32]) {
    const used = nodes.slice(0, workers)
    const each = await Promise.all(used.map(({ work }) => work(workers / used.length)))
    const perSecond = each.reduce((sum, rate) => sum + rate.perSecond, 0)
    results.note(`${name}: lease + ack, ${workers} workers`, { ...each[0], perSecond })
  }
}

async function printBlobs(name: string, node: Node | undefined) {
  if (!node) return
  const { putPerSecond, readPerSecond, stallMs, grownBytes } = await node.moveBlobs()
  const rates = `put ${(putPerSecond / 1e6).toFixed(0)} MB/s  read ${(readPerSecond / 1e6).toFixed(0)} MB/s`
  const bounds = `longest stall ${stallMs.toFixed(0)} ms  memory +${(grownBytes / 1e6).toFixed(0)} MB`
  console.log(`${`${name}: blobs of 30 MB`.padEnd(46)} ${rates}  ${bounds}`)
}

try {
  await open('LevelDB')
  if (cluster) {
    await open('PostgreSQL, 1 node', await cluster.createDatabase())
    await open('PostgreSQL, 2 nodes', await cluster.createDatabase(), 2)
  }
  // A gateway that has just started is half as fast as one that has worked for some seconds.
  if (sends)
    for (const nodes of stores.values()) {
      const ports = nodes.map(({ port }) => port)
      await send(ports, 50, warmUpMessages)
    }
  for (let round = 0; round < rounds; round++) {
    results.note('fdatasync control, 10 KB', await fdatasyncControl(root, randomBytes(messageBytes), seconds))
    for (const [name, nodes] of stores) await measure(name, nodes)
    for (const connections of postfix && sends ? [1, 10, 50] : [])
      results.note(`Postfix: held, ${connections} connections`, await sendFor([postfix?.port ?? 0], connections))
  }
  results.print()
  await printBlobs('files', stores.get('LevelDB')?.[0])
  await printBlobs('PostgreSQL', stores.get('PostgreSQL, 1 node')?.[0])
  await printStart(root)
} finally {
  for (const nodes of stores.values()) await Promise.all(nodes.map(({ stop }) => stop()))
  postfix?.stop()
  await cluster?.destroy()
  await rm(root, { recursive: true, force: true })
}
