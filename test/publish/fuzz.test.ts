import * as dns from 'dns-packet'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { NameServer } from '../../src/publish/name-server.js'
import { bare, type Query, readQuery, types, writeAnswer, writeTruncated } from '../../src/publish/wire.js'
import { dial, framed, messagesIn, overUdp, query, read, serveNames, tablePublications } from './worlds.js'

const honest = [
  query({ name: 'pat.clinic.example', type: 'CERT', edns: 1232 }),
  query({ name: 'CLINIC.example', type: 'SOA' }),
  query({ name: `${'a.'.repeat(60)}clinic.example`, type: 'ANY', edns: 4096 }),
]

/** Honest queries with bytes changed, cut, doubled, or put in. */
const mutated = fc
  .tuple(
    fc.constantFrom(...honest),
    fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 6 }),
    fc.nat(200),
    fc.uint8Array({ maxLength: 40 }),
  )
  .map(([base, changes, cut, more]) => {
    const bytes = Buffer.concat([base, more])
    for (const [at, value] of changes) bytes[at % bytes.length] = value
    return cut % 3 === 0 ? bytes.subarray(0, cut) : bytes
  })

describe('readQuery', () => {
  test('throws for nothing, and what it reads is written back and read by another decoder', () => {
    fc.assert(
      fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 300 })), (bytes) => {
        const found = readQuery(bytes)
        if (found.kind !== 'query') return
        const record = { name: '', type: types.TXT, ttlSeconds: 1, data: [Buffer.from('\x01x')] }
        const answer = { ...bare(0), answers: [record] }
        const whole = writeAnswer(found.query, answer, 512)
        expect(whole.length).toBeLessThanOrEqual(512)
        expect(whole.readUInt16BE(0)).toBe(found.query.id)
        const { question } = found.query
        expect(whole.subarray(12, 12 + question.length).equals(question)).toBe(true)
        expect(writeTruncated(found.query, false).length).toBeLessThanOrEqual(Math.max(bytes.length, 12) + 11)
        expect(dns.decode(whole).answers).toHaveLength(1)
      }),
      { numRuns: 5000 },
    )
  })

  test('reads every name that another encoder writes, whatever bytes its labels have', () => {
    const label = fc.string({ unit: fc.constantFrom(...'abcXYZ019-_+=#!'), minLength: 1, maxLength: 20 })
    fc.assert(
      fc.property(fc.array(label, { minLength: 1, maxLength: 10 }), (labels) => {
        const name = labels.join('.')
        const found = readQuery(query({ name, type: 'A' }))
        expect(found.kind === 'query' && found.query.name).toBe(name.toLowerCase())
      }),
      { numRuns: 1000 },
    )
  })

  test('names of different labels are never the same name', () => {
    const labels = fc.array(fc.uint8Array({ minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 4 })
    const nameOf = (parts: readonly Uint8Array[]) => {
      const wire = Buffer.concat([
        ...parts.map((part) => Buffer.concat([Buffer.from([part.length]), part])),
        Buffer.alloc(1),
      ])
      const head = Buffer.from([0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0])
      const found = readQuery(Buffer.concat([head, wire, Buffer.from([0, 1, 0, 1])]))
      return (found as { query: Query }).query.name
    }
    const folded = (parts: readonly Uint8Array[]) =>
      parts
        .map((part) => Buffer.from(part.map((byte) => (byte >= 65 && byte <= 90 ? byte + 32 : byte))).toString('hex'))
        .join('.')
    fc.assert(
      fc.property(labels, labels, (a, b) => {
        expect(nameOf(a) === nameOf(b)).toBe(folded(a) === folded(b))
      }),
      { numRuns: 2000 },
    )
    expect(nameOf([Buffer.from('a.b')])).not.toBe(nameOf([Buffer.from('a'), Buffer.from('b')]))
  })
})

describe('a server under bytes of strangers', () => {
  let server: NameServer
  beforeAll(async () => {
    server = await serveNames({ publications: tablePublications(['clinic.example'], new Map()).publications })
  })
  afterAll(() => server.close())
  const alive = async () =>
    expect(read(await overUdp(server.port, query({ name: 'clinic.example', type: 'NS' }))).rcode).toBe('NOERROR')

  test('is still there after a flood of broken datagrams, the largest included', async () => {
    const { createSocket } = await import('node:dgram')
    const socket = createSocket('udp4')
    for (const bytes of fc.sample(mutated, 1000)) socket.send(bytes, server.port, '127.0.0.1')
    socket.send(Buffer.alloc(65_507, 0xc0), server.port, '127.0.0.1')
    const loop = query({ name: 'clinic.example', type: 'A' })
    loop.set([0xc0, 0x0c], 12)
    socket.send(loop, server.port, '127.0.0.1')
    await new Promise((resolve) => setTimeout(resolve, 200))
    socket.close()
    await alive()
  })

  test('is still there after connections of broken messages, in pieces of any size', async () => {
    for (const messages of fc.sample(fc.array(mutated, { minLength: 1, maxLength: 5 }), 40)) {
      const { socket, came, closed } = await dial(server.port)
      const bytes = framed(...messages)
      for (let at = 0; at < bytes.length && socket.writable; at += 37) socket.write(bytes.subarray(at, at + 37))
      socket.end()
      await closed
      socket.destroy()
      expect(messagesIn(came()).length).toBeLessThanOrEqual(messages.length)
    }
    const noise = await dial(server.port)
    noise.socket.end(Buffer.alloc(200_000, 7))
    await noise.closed
    noise.socket.destroy()
    await alive()
  })
})
