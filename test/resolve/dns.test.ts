import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { createServer } from 'node:net'
import { encode } from 'dns-packet'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { lookupThrough, type NameServerOptions, openNameServers, serverOf } from '../../src/resolve/dns.js'
import { dnsMessageLimits, isAskable, questionBytes, readMessage } from '../../src/resolve/dns-message.js'
import { patienceOf } from '../../src/resolve/patience.js'
import { cert, type DnsOptions, type DnsServer, type Rows, startDns } from './discovery-dns-server.js'

const random = { bytes: (size: number) => randomBytes(size) }
const open: DnsServer[] = []
const closers: (() => unknown)[] = []

afterEach(async () => {
  for (const server of open.splice(0)) await server.close()
  for (const close of closers.splice(0)) await close()
})

async function served(rows: Rows, options: DnsOptions = {}): Promise<DnsServer> {
  const server = await startDns(rows, options)
  open.push(server)
  return server
}

function through(ports: readonly number[], options: Partial<NameServerOptions> = {}) {
  const servers = ports.map((port) => `127.0.0.1:${port}`)
  return openNameServers({ servers, random, ...options, limits: { timeoutMs: 150, attempts: 1, ...options.limits } })
}

const patience = () => patienceOf(5_000)
const body = Buffer.alloc(900, 5)
const name = 'drbob.clinic.test'
const rows: Rows = { [`CERT ${name}`]: [cert(body)] }

describe('an answer', () => {
  test('has the records of the name, with the smallest TTL', async () => {
    const { port } = await served(rows)
    expect(await through([port]).ask(name, 'CERT', patience())).toEqual({
      kind: 'records',
      records: [Uint8Array.from(cert(body))],
      ttlSeconds: 300,
    })
  })

  test('is none for a name that does not exist, and for one without such a record', async () => {
    const { port } = await served({ 'A there.test': ['192.0.2.1'] })
    const ours = through([port])
    expect(await ours.ask('gone.test', 'CERT', patience())).toEqual({
      kind: 'none',
      detail: 'no such name',
      ttlSeconds: 60,
    })
    expect(await ours.ask('there.test', 'CERT', patience())).toEqual({
      kind: 'none',
      detail: 'no CERT record',
      ttlSeconds: 60,
    })
  })

  test('does not hang on the case of names', async () => {
    const { port } = await served(rows, {
      twist: (reply) => {
        const shouting = Buffer.from(reply)
        for (let i = 12; i < 12 + name.length; i++) {
          const byte = shouting[i] ?? 0
          if (byte >= 0x61 && byte <= 0x7a) shouting[i] = byte - 0x20
        }
        return [shouting]
      },
    })
    expect(await through([port]).ask(name, 'CERT', patience())).toMatchObject({ kind: 'records' })
  })

  test.each(['FORMERR', 'NOTIMP'] as const)(
    'of a server that says %s to EDNS is asked for without it',
    async (edns) => {
      const { port, asked } = await served(rows, { edns })
      expect(await through([port]).ask(name, 'CERT', patience())).toMatchObject({ kind: 'records' })
      expect(asked).toEqual([`udp CERT ${name}`, `udp CERT ${name}`])
    },
  )

  test('that does not read as a datagram is asked for over TCP', async () => {
    const { port, asked } = await served(rows, {
      twist: (reply, over) => [over === 'udp' ? reply.subarray(0, reply.length - 9) : reply],
    })
    expect(await through([port]).ask(name, 'CERT', patience())).toMatchObject({ kind: 'records' })
    expect(asked).toEqual([`udp CERT ${name}`, `tcp CERT ${name}`])
  })

  test('that is too long for a datagram comes over TCP, up to 65,535 bytes', async () => {
    const many = Array.from({ length: 59 }, (_, i) => cert(Buffer.alloc(1_070, i)))
    const { port, asked } = await served({ [`CERT ${name}`]: many })
    const answer = await through([port]).ask(name, 'CERT', patience())
    expect(answer.kind === 'records' && answer.records.length).toBe(59)
    expect(asked).toEqual([`udp CERT ${name}`, `tcp CERT ${name}`])
  })
})

describe('a failure is not none', () => {
  test.each<[string, Rows, DnsOptions, RegExp]>([
    ['SERVFAIL', { [`CERT ${name}`]: 'SERVFAIL' }, {}, /SERVFAIL/],
    ['REFUSED', { [`CERT ${name}`]: 'REFUSED' }, {}, /REFUSED/],
    ['NOTIMP', { [`CERT ${name}`]: 'NOTIMP' }, {}, /NOTIMP/],
    ['FORMERR', { [`CERT ${name}`]: 'FORMERR' }, {}, /FORMERR/],
    ['silence', { [`CERT ${name}`]: 'silent' }, {}, /no answer/],
    ['a referral', { [`CERT ${name}`]: 'referral' }, {}, /refers to other servers/],
    [
      'another id',
      rows,
      { twist: (reply) => [twisted(reply, (copy) => copy.writeUInt16BE(copy.readUInt16BE(0) ^ 1, 0))] },
      /no answer/,
    ],
    ['a query sent back', rows, { twist: (_reply, _over, query) => [query] }, /no answer/],
    [
      'an answer to another question',
      rows,
      { twist: (reply) => [twisted(reply, (copy) => (copy[13] = 0x78))] },
      /another question/,
    ],
    [
      'a question of another type',
      rows,
      { twist: (reply) => [twisted(reply, (copy) => (copy[12 + name.length + 3] = 16))] },
      /another question/,
    ],
    ['half an answer', rows, { twist: (reply) => [reply.subarray(0, reply.length - 400)] }, /broke off in a record/],
    [
      'nothing but a header',
      rows,
      { twist: (reply) => [twisted(reply, (copy) => copy.fill(0, 4)).subarray(0, 12)] },
      /not one question/,
    ],
    [
      'truncation over TCP, too',
      rows,
      { twist: (reply) => [twisted(reply, (copy) => (copy[2] = 0x86))] },
      /truncated over TCP/,
    ],
    [
      'a thousand records',
      { [`CERT ${name}`]: Array.from({ length: 1_000 }, () => cert('x')) },
      {},
      /too many records/,
    ],
    ['a record too short to be one', { [`CERT ${name}`]: [Buffer.from([0, 1, 0])] }, {}, /does not read/],
    ['a circle of aliases', { [`CNAME ${name}`]: ['a.test'], 'CNAME a.test': [name] }, {}, /circle/],
  ])('%s', async (_, there, options, detail) => {
    const { port } = await served(there, options)
    expect(await through([port]).ask(name, 'CERT', patience())).toEqual({
      kind: 'unavailable',
      detail: expect.stringMatching(detail),
    })
  })

  const twisted = (reply: Buffer, how: (copy: Buffer) => unknown) => {
    const copy = Buffer.from(reply)
    how(copy)
    return copy
  }

  test('nothing that listens', async () => {
    const { port, close } = await startDns({})
    await close()
    expect(await through([port]).ask(name, 'CERT', patience())).toMatchObject({ kind: 'unavailable' })
  })

  test('and the next server is asked, a silent one after the others from then on', async () => {
    const [bad, silent, good] = [
      await served({ [`CERT ${name}`]: 'SERVFAIL' }),
      await served({ [`CERT ${name}`]: 'silent' }),
      await served(rows),
    ]
    const ours = through([bad.port, silent.port, good.port])
    for (let i = 0; i < 3; i++) expect(await ours.ask(name, 'CERT', patience())).toMatchObject({ kind: 'records' })
    expect([bad, silent, good].map(({ asked }) => asked.length)).toEqual([3, 1, 3])
  })

  test('and a second attempt may succeed', async () => {
    let times = 0
    const { port } = await served(rows, { twist: (reply) => (times++ === 0 ? [] : [reply]) })
    expect(await through([port], { limits: { attempts: 2 } }).ask(name, 'CERT', patience())).toMatchObject({
      kind: 'records',
    })
  })
})

describe('lies', () => {
  test('with guessed ids before the answer do not count, and a flood of them ends the question', async () => {
    const guess = (reply: Buffer, i: number) => {
      const copy = Buffer.from(reply)
      copy.writeUInt16BE((copy.readUInt16BE(0) + 1 + i) & 0xffff, 0)
      copy.fill(0x66, Math.max(12, copy.length - 100))
      return copy
    }
    const few = await served(rows, { twist: (reply) => [guess(reply, 1), guess(reply, 2), reply] })
    const answer = await through([few.port]).ask(name, 'CERT', patience())
    expect(answer).toMatchObject({ kind: 'records', records: [Uint8Array.from(cert(body))] })
    const flood = await served(rows, {
      twist: (reply, over) => (over === 'udp' ? Array.from({ length: 40 }, (_, i) => guess(reply, i)) : []),
    })
    expect(await through([flood.port]).ask(name, 'CERT', patience())).toMatchObject({ kind: 'unavailable' })
  })

  test('from another port are not heard', async () => {
    const liar = createSocket('udp4')
    closers.push(() => liar.close())
    await new Promise<void>((resolve) => liar.bind(0, '127.0.0.1', resolve))
    const server = createSocket('udp4')
    closers.push(() => server.close())
    let sent = 0
    server.on('message', (query, peer) => {
      const forged = Buffer.from(query)
      forged[2] = 0x84
      forged[3] = 3
      forged.writeUInt16BE(0, 10)
      sent += 1
      liar.send(forged.subarray(0, 12 + name.length + 2 + 4), peer.port, peer.address)
    })
    await new Promise<void>((resolve) => server.bind(0, '127.0.0.1', resolve))
    expect(await through([server.address().port]).ask(name, 'CERT', patience())).toMatchObject({ kind: 'unavailable' })
    expect(sent).toBeGreaterThan(0)
  })

  test('about other names in the same answer are not believed', async () => {
    const { port } = await served(rows, {
      twist: (_reply, _over, query) => {
        const id = query.readUInt16BE(0)
        const questions = [{ type: 'CERT' as const, name }]
        const stray = { type: 'CERT' as const, name: 'other.test', ttl: 9, data: cert('lie') }
        return [encode({ type: 'response', id, flags: 0x0400, questions, answers: [stray] })]
      },
    })
    expect(await through([port]).ask(name, 'CERT', patience())).toMatchObject({ kind: 'none' })
  })
})

describe('aliases', () => {
  test('are followed inside an answer and from question to question', async () => {
    const { port } = await served({
      [`CNAME ${name}`]: ['b.test'],
      'CNAME b.test': ['c.test'],
      'CERT c.test': [cert(body)],
    })
    expect(await through([port]).ask(name, 'CERT', patience())).toMatchObject({ kind: 'records' })
    const cut = await served(
      { [`CNAME ${name}`]: ['b.test'], 'CERT b.test': [cert(body)] },
      {
        twist: (reply, _over, query) => {
          if (!query.includes('drbob')) return [reply]
          const id = query.readUInt16BE(0)
          const alias = { type: 'CNAME' as const, name, ttl: 9, data: 'b.test' }
          return [encode({ type: 'response', id, questions: [{ type: 'CERT', name }], answers: [alias] })]
        },
      },
    )
    expect(await through([cut.port]).ask(name, 'CERT', patience())).toMatchObject({ kind: 'records', ttlSeconds: 9 })
  })

  test('are followed eight times and no further', async () => {
    const chain = (links: number): Rows => ({
      [`CNAME ${name}`]: ['l1.test'],
      ...Object.fromEntries(Array.from({ length: links - 1 }, (_, i) => [`CNAME l${i + 1}.test`, [`l${i + 2}.test`]])),
      [`CERT l${links}.test`]: [cert(body)],
    })
    const [eight, nine] = [await served(chain(8)), await served(chain(9))]
    expect(await through([eight.port]).ask(name, 'CERT', patience())).toMatchObject({ kind: 'records' })
    expect(await through([nine.port]).ask(name, 'CERT', patience())).toMatchObject({ kind: 'unavailable' })
  })
})

describe('where our server refuses the type', () => {
  const zone: Rows = { ...rows, 'CERT none.clinic.test': [] }
  const resolver = (refusal: 'SERVFAIL' | 'NOTIMP' | 'silent'): Rows => ({
    [`CERT ${name}`]: refusal,
    'CERT gone.clinic.test': refusal,
    'NS clinic.test': ['ns1.clinic.test', 'ns2.clinic.test'],
    'A ns1.clinic.test': ['127.0.0.1'],
    'A ns2.clinic.test': ['127.0.0.1'],
  })

  test.each(['SERVFAIL', 'NOTIMP', 'silent'] as const)(
    'with %s, the servers of the zone are asked',
    async (refusal) => {
      const [ours, theirs] = [await served(resolver(refusal)), await served(zone)]
      const servers = through([ours.port], { allowPrivate: true, zonePort: theirs.port })
      expect(await servers.ask(name, 'CERT', patience())).toMatchObject({ kind: 'records' })
      expect(await servers.ask('gone.clinic.test', 'CERT', patience())).toMatchObject({ kind: 'none' })
    },
  )

  test('they are not asked on private addresses, unless allowed', async () => {
    const [ours, theirs] = [await served(resolver('NOTIMP')), await served(zone)]
    const servers = through([ours.port], { zonePort: theirs.port })
    expect(await servers.ask(name, 'CERT', patience())).toMatchObject({ kind: 'unavailable' })
    expect(theirs.asked).toEqual([])
  })

  test('one that fails as well leaves it open, each with its reason', async () => {
    const [ours, theirs] = [await served(resolver('NOTIMP')), await served({ [`CERT ${name}`]: 'REFUSED' })]
    const servers = through([ours.port], { allowPrivate: true, zonePort: theirs.port })
    expect(await servers.ask(name, 'CERT', patience())).toEqual({
      kind: 'unavailable',
      detail: expect.stringMatching(/NOTIMP.*REFUSED/),
    })
  })
})

test('a server that drips over TCP is given up in time', async () => {
  const dripping = createServer((socket) => {
    socket.on('error', () => {})
    socket.write(Buffer.from([0xff, 0xff]))
    const timer = setInterval(() => socket.write(Buffer.alloc(1)), 20)
    socket.on('close', () => clearInterval(timer))
  })
  const { port } = await served(rows, { udpBytes: 100 })
  await new Promise<void>((resolve) => dripping.listen(0, '127.0.0.1', resolve))
  closers.push(() => dripping.close())
  const dripPort = (dripping.address() as { port: number }).port
  const truncating = createSocket('udp4')
  closers.push(() => truncating.close())
  truncating.on('message', (query, peer) => {
    const reply = Buffer.from(query)
    reply[2] = 0x86
    reply.writeUInt16BE(0, 10)
    truncating.send(reply.subarray(0, 12 + name.length + 6), peer.port, peer.address)
  })
  await new Promise<void>((resolve) => truncating.bind(dripPort, '127.0.0.1', resolve))
  const began = performance.now()
  expect(await through([dripPort, port]).ask(name, 'CERT', patience())).toMatchObject({ kind: 'records' })
  expect(performance.now() - began).toBeLessThan(2_000)
})

test('no question outlives the patience of who asks', async () => {
  const silent = await Promise.all([1, 2, 3].map(() => served({ [`CERT ${name}`]: 'silent' })))
  const ours = through(
    silent.map(({ port }) => port),
    { limits: { timeoutMs: 3_000, attempts: 5 } },
  )
  const began = performance.now()
  expect(await ours.ask(name, 'CERT', patienceOf(200))).toMatchObject({ kind: 'unavailable' })
  expect(performance.now() - began).toBeLessThan(1_000)
})

test('a name that DNS cannot hold is none, and nobody is asked', async () => {
  const { port, asked } = await served(rows)
  const ours = through([port])
  const tooLong = [
    `${'a'.repeat(64)}.clinic.test`,
    `${'a.'.repeat(130)}test`,
    'two..dots.test',
    '',
    'a\\046b.test',
    'a b.test',
  ]
  for (const bad of tooLong) expect(await ours.ask(bad, 'CERT', patience())).toMatchObject({ kind: 'none' })
  expect(isAskable(`${'a'.repeat(63)}.clinic.test`)).toBe(true)
  expect(asked).toEqual([])
})

test('addresses of a host are those of both families, and serve a fetch', async () => {
  const { port } = await served({ 'A h.test': ['192.0.2.1'], 'AAAA h.test': ['2001:db8::1'], 'A f.test': 'SERVFAIL' })
  const ours = through([port])
  expect(await ours.addressesOf('h.test', patience())).toMatchObject({ records: ['192.0.2.1', '2001:db8::1'] })
  expect(await ours.addressesOf('gone.test', patience())).toMatchObject({ kind: 'none' })
  expect(await ours.addressesOf('f.test', patience())).toMatchObject({ kind: 'unavailable' })
  expect(await lookupThrough(ours)('h.test')).toEqual([
    { address: '192.0.2.1', family: 4 },
    { address: '2001:db8::1', family: 6 },
  ])
  await expect(lookupThrough(ours)('gone.test')).rejects.toThrow('no such name')
})

test('servers are addresses, with a port or without', () => {
  expect(serverOf('192.0.2.1')).toEqual({ address: '192.0.2.1', port: 53 })
  expect(serverOf('192.0.2.1:5353')).toEqual({ address: '192.0.2.1', port: 5353 })
  expect(serverOf('::1')).toEqual({ address: '::1', port: 53 })
  expect(serverOf('[::1]:5353')).toEqual({ address: '::1', port: 5353 })
  for (const bad of ['ns.test', '192.0.2.1:0', '192.0.2.1:99999', '[::1]x', '', '192.0.2.1:'])
    expect(() => serverOf(bad)).toThrow('not the address of a name server')
})

describe('hostile bytes', () => {
  const question = { name, type: 'CERT' as const }
  const honest = encode({
    type: 'response',
    id: 7,
    flags: 0x0400,
    questions: [{ type: 'CERT', name }],
    answers: [
      { type: 'CNAME', name, ttl: 1, data: 'b.test' },
      { type: 'CERT', name: 'b.test', ttl: 1, data: cert(Buffer.alloc(60, 1)) },
    ],
    authorities: [{ type: 'NS', name: 'test', ttl: 1, data: 'ns.test' }],
  })

  test('the unchanged answer reads', () => {
    expect(readMessage(honest, question, 7)).toMatchObject({ kind: 'records' })
  })

  test('never throw, whatever they are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (tail) => {
        const header = questionBytes(question, { id: 7, edns: false, recursive: false })
        header[2] = 0x84
        header.writeUInt16BE(tail.length % 5, 6)
        readMessage(Buffer.concat([header, tail]), question, 7)
        readMessage(Buffer.from(tail), question, 7)
      }),
      { numRuns: 1_500 },
    )
  })

  test('that differ from honest ones in a few places never throw, and never hold more than they weigh', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(honest.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        fc.nat(honest.length),
        (changes, cut) => {
          const bytes = Buffer.from(honest)
          for (const [at, to] of changes) bytes[at] = to
          const said = readMessage(bytes.subarray(0, cut < 12 ? honest.length : cut), question, bytes.readUInt16BE(0))
          if (said.kind !== 'records') return
          const held = said.records.reduce((sum, record) => sum + record.length, 0)
          expect(held).toBeLessThanOrEqual(bytes.length)
        },
      ),
      { numRuns: 3_000 },
    )
  })

  test('with pointers to pointers to pointers cost little', () => {
    // Each pointer leads to the one before it; each of 256 records names the last.
    const header = Buffer.from(honest.subarray(0, 12 + name.length + 2 + 4))
    header.writeUInt16BE(dnsMessageLimits.records, 6)
    header.writeUInt16BE(0, 8)
    const first = header.length
    const pointers: Buffer[] = [Buffer.from([0])]
    for (let at = first + 1, to = first; at < 0x3f00; to = at, at += 2)
      pointers.push(Buffer.from([0xc0 | (to >> 8), to & 255]))
    const chain = Buffer.concat(pointers)
    const last = first + chain.length - 2
    const one = Buffer.from([0xc0 | (last >> 8), last & 255, 0, 37, 0, 1, 0, 0, 0, 0, 0, 0])
    // The chain rides in the RDATA of a first record, so that the names behind it may point into it.
    const carrier = Buffer.concat([Buffer.from([0, 0, 37, 0, 1, 0, 0, 0, 0, chain.length >> 8, chain.length & 255])])
    const shifted = Buffer.from(chain)
    for (let i = 1; i + 1 < shifted.length; i += 2)
      shifted.writeUInt16BE(((shifted.readUInt16BE(i) & 0x3fff) + carrier.length) | 0xc000, i)
    const lastShifted = last + carrier.length
    const record = Buffer.from(one)
    record.writeUInt16BE(lastShifted | 0xc000, 0)
    const bomb = Buffer.concat([
      header,
      carrier,
      shifted,
      ...Array.from({ length: dnsMessageLimits.records - 1 }, () => record),
    ])
    const began = performance.now()
    const said = readMessage(bomb, question, 7)
    const tookMs = performance.now() - began
    expect(said).toEqual({ kind: 'garbage', detail: 'too many pointers' })
    expect(tookMs).toBeLessThan(100)
  })

  test('a pointer to itself does not read', () => {
    const bytes = Buffer.from(honest)
    bytes.writeUInt16BE(0xc000 | (12 + name.length + 2 + 4), 12 + name.length + 2 + 4)
    expect(readMessage(bytes, question, 7)).toMatchObject({ kind: 'garbage' })
  })
})
