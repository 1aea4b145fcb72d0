import { fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as tlsConnect } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { loadConfig } from '../src/config/load.js'
import { clock, openHouse, random } from '../src/house.js'
import { createMasterKey, readMasterKey } from '../src/keyring/master-key.js'
import { trackingPolicy } from '../src/pipeline/deadlines.js'
import { submitHandedIn } from '../src/pipeline/handed-in.js'
import { startSubmission } from '../src/smtp/submission.js'
import { makeAuthority, makeLeaf } from '../test/fixtures/pki.js'
import { openResults, type Rate, rate } from './rate.js'
import { dial, type Sender } from './sender.js'

/**
 * Submissions by edge systems: messages of 10 KB a second from MAIL to a durable 250, on the store of the configuration
 * with its syncs, over TLS and AUTH, at 1 and 10 connections that are reused, sent by a process of its own in three rounds.
 * Run: npm run bench -- submission
 */

const [from, to] = ['a@bench.example', 'b@far.example']
const body = `${randomBytes(54).toString('base64')}\r\n`.repeat(130).trimEnd()

async function sendOne(sender: Sender): Promise<void> {
  const id = randomBytes(16).toString('hex')
  const head = `From: ${from}\r\nTo: ${to}\r\nMessage-ID: <${id}@bench.example>\r\n\r\n`
  const reply = await sender.send(from, to, Buffer.from(head + body))
  if (!reply.startsWith('250')) throw new Error(reply)
}

async function beSender(port: number, connections: number, seconds: number, secret: string): Promise<void> {
  const token = Buffer.from(`\0bench\0${secret}`).toString('base64')
  const senders = await Promise.all(
    Array.from({ length: connections }, () =>
      dial(port, {
        connect: (at) => tlsConnect({ host: '127.0.0.1', port: at, rejectUnauthorized: false }),
        introduce: [`AUTH PLAIN ${token}`],
      }),
    ),
  )
  for (const sender of senders) await sendOne(sender) // warm
  const found = await rate(connections, seconds, (worker) => sendOne(senders[worker] as Sender))
  for (const sender of senders) sender.close()
  process.send?.(found)
}

function send(...args: readonly (string | number)[]): Promise<Rate> {
  const child = fork(fileURLToPath(import.meta.url), ['sender', ...args.map(String)])
  return new Promise((resolve, reject) => {
    child.once('message', (found) => resolve(found as Rate))
    child.once('exit', (code) => code && reject(new Error(`The sender ended with ${code}`)))
  })
}

async function measure(seconds: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-submission-'))
  const env = { DIRECT_GATEWAY_DATA_DIR: folder }
  const loaded = await loadConfig({ env, cwd: folder, readFile: () => Promise.reject(new Error('no file')) })
  const key = readMasterKey(createMasterKey(random))
  if (loaded.kind === 'problems' || key.kind === 'refused') throw new Error('no configuration or no key')
  const house = await openHouse(loaded.config, key.key)
  const { directory, submissions } = house
  await directory.domains.add('bench.example', 'bench')
  await directory.addresses.add(from, 'provider', 'bench')
  const made = await directory.accounts.create({ name: 'bench', senders: [from] }, 'bench')
  if (made.kind === 'refused') throw new Error(made.problem)
  const leaf = makeLeaf(makeAuthority(), { san: { dns: ['bench.example'] } })
  const listener = await startSubmission({
    host: '127.0.0.1',
    implicitTlsPort: 0,
    hostname: 'bench.example',
    tls: () => ({ cert: leaf.certificatePem, key: leaf.privateKeyPem }),
    accounts: directory.accounts,
    submit: (message) => submitHandedIn(message, { directory, submissions, clock, random, tracking: trackingPolicy }),
    room: async () => true,
    healthy: () => house.store.healthy(),
    log: { info: () => undefined, warn: () => undefined, error: (event, fields) => console.error(event, fields) },
    metrics: { count: () => undefined, observe: () => undefined, gauge: () => undefined },
    clock,
  })
  const results = openResults()
  try {
    for (let round = 0; round < 3; round++)
      for (const connections of [1, 10])
        results.note(
          `submission, ${connections} connections`,
          await send(listener.implicitTlsPort ?? 0, connections, seconds, made.secret),
        )
    results.print()
  } finally {
    await listener.close(0)
    await house.close()
    rmSync(folder, { recursive: true })
  }
}

const [, , role, ...words] = process.argv
if (role === 'sender') {
  const [port = 0, connections = 0, seconds = 0] = words.map(Number)
  await beSender(port, connections, seconds, words[3] ?? '')
} else await measure(Number(role ?? 3))
