import { fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { startSmtp } from '../src/smtp/server.js'
import { openResults, type Rate, rate } from './rate.js'
import { dial, type Sender } from './sender.js'

/**
 * What the listener costs by itself: messages of 10 KB a second from first command to 250, at 1, 10 and 50 connections
 * that are reused, sent by a process of its own to an `accept` that reads and forgets, in three rounds. With the spool
 * behind it: the store bench.
 * Run: npm run bench -- smtp
 */

const messageBytes = 10_000

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

async function measure(seconds: number): Promise<void> {
  const listener = await startSmtp({
    host: '127.0.0.1',
    port: 0,
    hostname: 'bench.example',
    isServed: async () => true,
    async accept(_, data) {
      for await (const chunk of data) void chunk
      return { kind: 'accepted', id: 'forgotten' }
    },
    room: async () => true,
    healthy: () => true,
    log: { info: () => undefined, warn: () => undefined, error: (event, fields) => console.error(event, fields) },
    metrics: { count: () => undefined, observe: () => undefined, gauge: () => undefined },
    clock: { now: Date.now },
  })
  const results = openResults()
  for (let round = 0; round < 3; round++)
    for (const connections of [1, 10, 50])
      results.note(`listener alone, ${connections} connections`, await send(listener.port, connections, seconds))
  results.print()
  await listener.close(0)
}

const [, , role, ...numbers] = process.argv
if (role === 'sender') {
  const [port = 0, connections = 0, seconds = 0] = numbers.map(Number)
  await beSender(port, connections, seconds)
} else await measure(Number(role ?? 3))
