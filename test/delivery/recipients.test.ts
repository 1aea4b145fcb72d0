import { createServer, type Server } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { type AttemptOutcome, openAttempts } from '../../src/delivery/attempt.js'
import { type DeliveryResult, startDelivery } from '../../src/delivery/worker.js'
import type { DirectAddress } from '../../src/direct/address.js'
import type { Work } from '../../src/pipeline/work.js'
import {
  decodeOutbound,
  encodeOutbound,
  enqueueOutbound,
  type OutboundJob,
  outboundQueue,
} from '../../src/spool/outbound.js'
import { openMemoryStore } from '../../src/store/memory.js'
import { createMemoryBlobs } from '../../src/store/memory-blobs.js'
import { loopback } from './scripted.js'

const [a, b, c] = ['a@peer.example', 'b@peer.example', 'c@peer.example'] as DirectAddress[] as [
  DirectAddress,
  DirectAddress,
  DirectAddress,
]
const me = 'me@us.example' as DirectAddress
const wire = Buffer.from('Content-Type: application/pkcs7-mime\r\n\r\nbody\r\n')
const start = 1_800_000_000_000
let now = start
const clock = { now: () => now }
const servers: Server[] = []
const workers: Work[] = []

afterEach(async () => {
  for (const server of servers.splice(0)) server.close()
  for (const work of workers.splice(0)) await work.stop(500)
  now = start
})

/** A server that answers each RCPT as told; what it took, for whom. */
async function picky(replies: Record<string, string>, { ehlo = '250 ok', final = '250 2.0.0 queued' } = {}) {
  const taken: { to: string[]; bytes: string }[] = []
  const server = createServer((socket) => {
    let [text, to, data]: [string, string[], boolean] = ['', [], false]
    socket.on('error', () => undefined).setEncoding('latin1')
    socket.write('220 hi\r\n')
    socket.on('data', (chunk) => {
      text += chunk
      for (;;) {
        const end = text.indexOf(data ? '\r\n.\r\n' : '\r\n')
        if (end < 0) return
        const line = text.slice(0, end)
        text = text.slice(end + (data ? 5 : 2))
        if (data) {
          data = false
          taken.push({ to, bytes: line })
          socket.write(`${final}\r\n`)
          continue
        }
        const rcpt = /^RCPT TO:<(.*)>/.exec(line)?.[1]
        if (rcpt !== undefined) {
          const reply = replies[rcpt] ?? '250 2.1.5 ok'
          if (reply.startsWith('2')) to.push(rcpt)
          socket.write(`${reply}\r\n`)
        } else if (line === 'DATA') {
          data = to.length > 0
          socket.write(data ? '354 go\r\n' : '503 5.5.1 no recipients\r\n')
        } else if (line.startsWith('EHLO')) socket.write(`${ehlo}\r\n`)
        else {
          if (line.startsWith('MAIL')) to = []
          socket.write('250 ok\r\n')
        }
      }
    })
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const attempt = openAttempts({ hostname: 'us.example', exchanges: loopback, port, limits: { idleMs: 500 } })
  return { taken, attempt }
}

const send = async (
  replies: Record<string, string>,
  options: Parameters<typeof picky>[1] = {},
): Promise<[AttemptOutcome, readonly { to: string[] }[]]> => {
  const { taken, attempt } = await picky(replies, options)
  return [await attempt({ from: me, to: [a, b, c], wire }), taken]
}

test.each(['250 ok', '250-ok\r\n250 PIPELINING'])('several recipients share one transaction: %j', async (ehlo) => {
  const [outcome, taken] = await send({ [b]: '550 5.1.1 nobody', [c]: '450 4.2.1 grey' }, { ehlo })
  expect(outcome).toMatchObject({
    kind: 'delivered',
    reply: '250 2.0.0 queued',
    apart: [
      { recipient: b, kind: 'permanent', detail: '550 5.1.1 nobody' },
      { recipient: c, kind: 'temporary', detail: '450 4.2.1 grey' },
    ],
  })
  expect(taken.map(({ to }) => to)).toEqual([[a]])
  const [all] = await send({}, { ehlo })
  expect(all).not.toHaveProperty('apart')
})

test.each(['250 ok', '250-ok\r\n250 PIPELINING'])('each refused recipient keeps his own reply: %j', async (ehlo) => {
  const refusing = { [a]: '550 5.1.1 no a', [b]: '550 5.1.1 no b', [c]: '450 4.2.1 grey' }
  const [mixed, none] = await send(refusing, { ehlo })
  expect(none).toEqual([])
  expect(mixed).toMatchObject({ kind: 'temporary', detail: '450 4.2.1 grey' })
  expect(mixed.apart).toMatchObject([
    { recipient: a, kind: 'permanent', detail: '550 5.1.1 no a' },
    { recipient: b, kind: 'permanent', detail: '550 5.1.1 no b' },
  ])
  const [never] = await send({ ...refusing, [c]: '550 5.1.1 no c' }, { ehlo })
  expect(never.kind).toBe('permanent')
})

test('what the host says to the message holds for all', async () => {
  const [outcome] = await send({ [b]: '450 4.2.1 grey' }, { final: '554 5.7.1 not this' })
  expect(outcome).toMatchObject({ kind: 'permanent', detail: '554 5.7.1 not this' })
})

const message = (over: Partial<OutboundJob> = {}): OutboundJob => ({
  ...{ id: 'm', trail: 't', kind: 'message', from: me, to: [a, b, c], mailbox: 'box', stage: 'sealed' },
  ...{ body: wire, owedAt: start, tries: 0 },
  ...over,
})

async function delivering(job: OutboundJob, attempt: Parameters<typeof startDelivery>[0]['attempt']) {
  const store = await openMemoryStore({ clock })
  const blobs = createMemoryBlobs(clock)
  const told: DeliveryResult[] = []
  const begin = () => {
    workers.push(
      startDelivery({
        ...{ store, blobs, clock, random: { bytes: () => Buffer.from('7fffffff', 'hex') }, attempt, idleMs: 5 },
        log: { info: () => undefined, warn: () => undefined, error: () => undefined },
        metrics: { count: () => undefined, observe: () => undefined, gauge: () => undefined },
        prepare: () => Promise.reject(new Error('it is made already')),
        outcomeParts: (_, results) => {
          told.push(...results)
          return {}
        },
      }),
    )
  }
  return { store, blobs, told, begin, enqueue: () => store.commit(enqueueOutbound(job, start)) }
}

async function until(holds: () => boolean) {
  for (let waited = 0; !holds(); waited += 5) {
    if (waited > 3000) throw new Error('It did not become true')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

test('each recipient comes to his own end: taken, refused for good, tried again alone', async () => {
  const replies: Record<string, string> = { [b]: '550 5.1.1 nobody', [c]: '450 4.2.1 grey' }
  const { taken, attempt } = await picky(replies)
  const { store, told, begin, enqueue } = await delivering(message(), attempt)
  await enqueue()
  begin()
  await until(() => told.length === 3)
  expect(told).toMatchObject([
    { kind: 'delivered', to: [a], reply: '250 2.0.0 queued' },
    { kind: 'failed', to: [b], detail: '550 5.1.1 nobody' },
    { kind: 'retry', to: [c], detail: '450 4.2.1 grey', nextAt: start + 15_000 },
  ])
  await until(() => workers.every((work) => work.running() === 0))
  const [waiting] = await store.jobs(outboundQueue, 1)
  expect(waiting && decodeOutbound(waiting.payload)).toMatchObject({ to: [c], tries: 1 })
  delete replies[c]
  now += 15_000
  await until(() => told.length === 4)
  expect(told[3]).toMatchObject({ kind: 'delivered', to: [c] })
  expect(taken.map(({ to }) => to)).toEqual([[a], [c]])
})

test('a large message is read from its blob, which nobody holds any more in the end', async () => {
  const { taken, attempt } = await picky({})
  const body = Buffer.from(`A: b\r\n\r\n${`${'x'.repeat(70)}\r\n`.repeat(5_000)}`)
  const { store, blobs, told, begin } = await delivering(message(), attempt)
  const name = await blobs.put([body])
  await store.commit(
    enqueueOutbound(message({ body: new Uint8Array(), blob: { name, sizeBytes: body.length } }), start),
  )
  expect(await store.get(`blob/${name}/outbound/m`)).toBeDefined()
  begin()
  await until(() => told.length === 1)
  expect(told[0]).toMatchObject({ kind: 'delivered', to: [a, b, c] })
  expect(`${taken[0]?.bytes}\r\n`).toBe(body.toString())
  await until(() => workers.every((work) => work.running() === 0))
  expect(await store.get(`blob/${name}/outbound/m`)).toBeUndefined()
})

test('a blob that is gone is a failure that is told, and dials nobody', async () => {
  const { taken, attempt } = await picky({})
  const lost = message({ body: new Uint8Array(), blob: { name: '0'.repeat(64), sizeBytes: 1 } })
  const { told, begin, enqueue } = await delivering(lost, attempt)
  await enqueue()
  begin()
  await until(() => told.length === 1)
  expect(told[0]).toMatchObject({ kind: 'failed', to: [a, b, c] })
  expect(taken).toEqual([])
})

test('a job of the version before, with one recipient in `to`, is still read', () => {
  const { body, to: _, ...rest } = message({ kind: 'mdn', from: null })
  const old = Buffer.concat([Buffer.from(`${JSON.stringify({ v: 1, ...rest, to: a })}\n`), body])
  expect(decodeOutbound(old)).toMatchObject({ id: 'm', to: [a], stage: 'sealed' })
  expect(decodeOutbound(encodeOutbound(message()))).toMatchObject({ to: [a, b, c] })
  for (const to of [[], ['nobody'], [a, 'x@other.example'], a, [1]])
    expect(
      decodeOutbound(Buffer.from(`${JSON.stringify({ v: 2, ...rest, to })}\n`)),
      JSON.stringify(to),
    ).toBeUndefined()
})
