import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { openAttempts } from '../../src/delivery/attempt.js'
import type { Mail } from '../../src/delivery/dialogue.js'
import { type EdgeSystem, openEdgeAttempts, storedMail } from '../../src/delivery/edge.js'
import { defaultSchedule, endOf } from '../../src/delivery/schedule.js'
import type { DirectAddress } from '../../src/direct/address.js'
import type { ExchangeAnswer } from '../../src/ports/exchange.js'
import { decodeOutbound, encodeOutbound, enqueueOutbound, type OutboundJob } from '../../src/spool/outbound.js'
import { loopback, scriptedPeer } from './scripted.js'
import { edgeSink, type SinkOptions } from './sink.js'

const folder = mkdtempSync(join(tmpdir(), 'dg-edge-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})

const nurse = 'nurse@ward.example' as DirectAddress
const clerk = 'clerk@ward.example' as DirectAddress
const cook = 'cook@ward.example' as DirectAddress
const mail: Mail = { from: null, to: [nurse], wire: Buffer.from('Subject: x\r\n\r\nbody\r\n'), system: 'ehr' }

async function sinkOf(options: SinkOptions = {}) {
  const sink = await edgeSink(options)
  closers.push(() => sink.close())
  return sink
}

function attempt(system: Partial<EdgeSystem>, message: Mail = mail) {
  const ehr: EdgeSystem = { protocol: 'smtp', host: 'ehr.ward.example', tls: 'off', ...system }
  const limits = { connectMs: 2_000, greetingMs: 2_000, idleMs: 2_000, lastReplyMs: 2_000, attemptMs: 5_000 }
  return openEdgeAttempts({ hostname: 'us.example', exchanges: loopback, systems: { ehr }, limits })(message)
}

describe('what is wrong on our side is told, and is no reason to give up mail', () => {
  test.each([
    ['a system that is not configured', {}, { ...mail, system: 'old' }, /^edge\.systems has no old$/],
    ['a name of an object', {}, { ...mail, system: 'constructor' }, /no constructor/],
    ['a job without a system', {}, { from: null, to: [nurse], wire: mail.wire }, /no system of no name/],
    ['certificates that are not there', { caFile: '/nowhere/ca.pem' }, mail, /^\/nowhere\/ca\.pem: ENOENT$/],
    ['no password', { username: 'u' }, mail, /^u has no passwordFile$/],
    ['a password that is not there', { username: 'u', passwordFile: '/nowhere/pw' }, mail, /^\/nowhere\/pw: ENOENT$/],
  ] as const)('%s', async (_, system, message, words) => {
    expect(await attempt(system, message)).toMatchObject({ kind: 'temporary', detail: expect.stringMatching(words) })
  })

  test('a name that does not resolve, even for good', async () => {
    const answer = async (): Promise<ExchangeAnswer> => ({ kind: 'permanent', detail: 'no such host' })
    const systems = { ehr: { protocol: 'smtp', host: 'ehr.ward.example', tls: 'off' } } as const
    const outcome = await openEdgeAttempts({ hostname: 'us.example', exchanges: { host: answer }, systems })(mail)
    expect(outcome).toEqual({ kind: 'temporary', host: 'ehr.ward.example', detail: 'no such host' })
  })
})

test('no password is said without TLS, and none to a host that offers it and fails', async () => {
  const passwordFile = join(folder, 'password')
  writeFileSync(passwordFile, 'made-up-words\n')
  const peer = await scriptedPeer({ EHLO: '250-peer.example\r\n250 AUTH PLAIN' })
  closers.push(() => peer.close())
  const login = { username: 'gateway', passwordFile, port: peer.port }
  expect(await attempt({ ...login, tls: 'off' })).toMatchObject({
    kind: 'temporary',
    detail: expect.stringMatching(/without TLS/),
  })
  for (const tls of ['opportunistic', 'required'] as const)
    expect(await attempt({ ...login, tls })).toMatchObject({ kind: 'temporary' })
  expect(peer.commands.filter((one) => /^(AUTH|MAIL)/.test(one))).toEqual([])
  expect(peer.messages).toEqual([])
})

test('a system that wants a password we have none for is no refusal of the message', async () => {
  const sink = await sinkOf({ login: { username: 'a', password: 'b' } })
  const outcome = await attempt({ port: sink.port })
  expect(outcome).toMatchObject({ kind: 'temporary', detail: expect.stringMatching(/^530 /) })
})

describe('LMTP', () => {
  const to = [nurse, clerk, cook]
  const lmtp = async (answers: Record<string, string>) => {
    const sink = await sinkOf({ lmtp: true, answer: (one) => answers[one] })
    const outcome = await attempt({ protocol: 'lmtp', port: sink.port }, { ...mail, to })
    return { outcome, kept: sink.kept.flatMap((one) => one.to) }
  }

  test('has a fate for each recipient', async () => {
    const { outcome, kept } = await lmtp({ [clerk]: '552 5.2.2 full', [cook]: '451 4.3.0 later' })
    expect(outcome).toMatchObject({
      kind: 'delivered',
      reply: '250 2.0.0 taken',
      apart: [
        { recipient: clerk, kind: 'permanent', detail: '552 5.2.2 full' },
        { recipient: cook, kind: 'temporary', detail: '451 4.3.0 later' },
      ],
    })
    expect(kept).toEqual([nurse])
  })

  test('refused for all is a refusal, and for one not for good it is none of the others', async () => {
    const never = '552 5.2.2 full'
    expect((await lmtp({ [nurse]: never, [clerk]: never, [cook]: never })).outcome).toMatchObject({
      ...{ kind: 'permanent', detail: never },
    })
    const { outcome, kept } = await lmtp({ [nurse]: never, [clerk]: '451 4.3.0 later', [cook]: never })
    expect(outcome).toMatchObject({
      ...{ kind: 'temporary', detail: '451 4.3.0 later' },
      apart: [{ recipient: nurse, kind: 'permanent' }, { recipient: cook }],
    })
    expect(kept).toEqual([])
  })

  test('goes through a socket of this machine', async () => {
    const sink = await sinkOf({ lmtp: true })
    const path = join(folder, 'lmtp')
    const { connect } = await import('node:net')
    const door = createServer((socket) => {
      const on = connect(sink.port, '127.0.0.1')
      socket.pipe(on).pipe(socket)
      for (const end of [socket, on]) end.on('error', () => undefined)
    })
    await new Promise<void>((resolve) => door.listen(path, () => resolve()))
    closers.push(() => door.close())
    expect(await attempt({ protocol: 'lmtp', host: path })).toMatchObject({ kind: 'delivered', host: path })
    expect(sink.kept).toHaveLength(1)
  })
})

test('a policy of TLS for one domain is for its mail exchangers, and leaves routes alone', async () => {
  const peer = await scriptedPeer({})
  closers.push(() => peer.close())
  const options = { hostname: 'us.example', exchanges: loopback, port: peer.port, tls: 'off' } as const
  const at = (domain: string): Mail => ({ ...mail, to: [`a@${domain}` as DirectAddress] })
  const strict = openAttempts({ ...options, tlsOf: { 'strict.example': 'required' } })
  expect(await strict(at('strict.example'))).toMatchObject({ kind: 'temporary' })
  for (const domain of ['other.example', 'constructor'])
    expect(await strict(at(domain))).toMatchObject({ kind: 'delivered' })
  const routed = openAttempts({
    ...{ ...options, tlsOf: { 'strict.example': 'required' } },
    routes: { 'strict.example': { host: 'relay.example' } },
  })
  expect(await routed(at('strict.example'))).toMatchObject({ kind: 'delivered' })
})

const job: OutboundJob = {
  ...{ id: 'i', trail: 't', kind: 'edge', from: null, to: [nurse], stage: 'stored', body: new Uint8Array() },
  ...{ source: { mailbox: 'm', message: 'a' }, system: 'ehr', owedAt: 1_800_000_000_000, tries: 0 },
}

describe('a job for an edge', () => {
  test('reads as it was written, and not without where it is from and where it goes', () => {
    expect(decodeOutbound(encodeOutbound(job))).toEqual({ ...job, body: Buffer.alloc(0) })
    for (const missing of ['source', 'system'] as const) {
      const { [missing]: _, ...rest } = job
      expect(decodeOutbound(encodeOutbound(rest as OutboundJob))).toBeUndefined()
    }
  })

  test('has a queue of its own', () => {
    expect(enqueueOutbound(job, 1).enqueue?.map(({ queue }) => queue)).toEqual(['edge'])
  })

  test('has less time where its sender waits to be told', () => {
    const hours = (of: OutboundJob) => (endOf(of, defaultSchedule) - of.owedAt) / 3_600_000
    expect([hours(job), hours({ ...job, asked: true }), hours({ ...job, kind: 'mdn' })]).toEqual([96, 0.75, 24])
    const short = { ...defaultSchedule, lifetimeMs: { message: 1, mdn: 1, edge: 60_000, asked: 3_600_000 } }
    expect(endOf({ ...job, asked: true }, short) - job.owedAt).toBe(60_000)
  })

  test('is the stored bytes behind a trace field, the same each time; nothing where the message is gone', async () => {
    const original = Buffer.from('Subject: x\r\n\r\nbody\r\n')
    async function* only() {
      yield original
    }
    const mailbox = {
      get: async (_: string, id: string) =>
        id === 'a' ? ({ message: { sizeBytes: original.length }, version: 1 } as never) : undefined,
      original: async () => only(),
    }
    const read = storedMail({ mailbox, hostname: 'us.example', fieldsOf: () => Buffer.from('X-Kept: y\r\n') })
    const wire = await read(job)
    if (!wire || wire instanceof Uint8Array) throw new Error('it is streamed')
    const gather = async () => {
      const chunks: Uint8Array[] = []
      for await (const chunk of wire.chunks()) chunks.push(chunk)
      return Buffer.concat(chunks)
    }
    const first = await gather()
    expect(first.toString()).toBe(
      `Received: from us.example (sealed)\r\n by us.example (direct-gateway)\r\n id t\r\n for <${nurse}>; Fri, 15 Jan 2027 08:00:00 +0000\r\nX-Kept: y\r\n${original}`,
    )
    expect(wire.sizeBytes).toBe(first.length)
    expect(await gather()).toEqual(first)
    expect(await read({ ...job, source: { mailbox: 'm', message: 'gone' } })).toBeUndefined()
  })
})
