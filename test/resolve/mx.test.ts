import { createSocket, type Socket } from 'node:dgram'
import { afterEach, describe, expect, test } from 'vitest'
import type { DirectDomain } from '../../src/direct/address.js'
import type { Exchanges } from '../../src/ports/exchange.js'
import { openExchanges } from '../../src/resolve/mx.js'

type Zone = Readonly<
  Record<
    string,
    | {
        readonly MX?: readonly (readonly [number, string])[]
        readonly A?: readonly string[]
        readonly AAAA?: readonly string[]
      }
    | 'SERVFAIL'
    | 'silent'
  >
>

let server: Socket | undefined
const asked: string[] = []

afterEach(() => {
  server?.close()
  server = undefined
  asked.length = 0
})

function labels(name: string): Buffer {
  const parts = name === '' ? [] : name.split('.')
  return Buffer.concat([...parts.flatMap((part) => [Buffer.from([part.length]), Buffer.from(part)]), Buffer.from([0])])
}

function record(type: number, data: Buffer): Buffer {
  const fixed = Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 0, data.length >> 8, data.length & 255])
  return Buffer.concat([fixed, data])
}

const types: Record<number, 'A' | 'MX' | 'AAAA'> = { 1: 'A', 15: 'MX', 28: 'AAAA' }

/** Answers one question from a zone (RFC 1035 §4.1); undefined for silence. */
function answer(query: Buffer, zone: Zone): Buffer | undefined {
  const parts: string[] = []
  let at = 12
  for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
    parts.push(query.toString('latin1', at + 1, at + 1 + length))
    at += length + 1
  }
  const type = types[query.readUInt16BE(at + 1)]
  const question = query.subarray(12, at + 5)
  const name = parts.join('.').toLowerCase()
  asked.push(`${type} ${name}`)
  const found = zone[name]
  if (found === 'silent') return undefined
  const code = found === undefined ? 3 : found === 'SERVFAIL' ? 2 : 0
  const records: Buffer[] = []
  if (typeof found === 'object') {
    if (type === 'MX') {
      for (const [preference, host] of found.MX ?? []) {
        records.push(record(15, Buffer.concat([Buffer.from([preference >> 8, preference & 255]), labels(host)])))
      }
    }
    if (type === 'A') for (const ip of found.A ?? []) records.push(record(1, Buffer.from(ip.split('.').map(Number))))
    if (type === 'AAAA') for (const ip of found.AAAA ?? []) records.push(record(28, Buffer.from(ip, 'hex')))
  }
  const header = Buffer.from([0, 0, 0x81, 0x80 | code, 0, 1, 0, records.length, 0, 0, 0, 0])
  query.copy(header, 0, 0, 2)
  return Buffer.concat([header, question, ...records])
}

async function exchangesOf(zone: Zone, chances: readonly number[] = [0]): Promise<Exchanges> {
  const socket = createSocket('udp4')
  server = socket
  socket.on('message', (query, peer) => {
    const reply = answer(query, zone)
    if (reply) socket.send(reply, peer.port, peer.address)
  })
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
  let drawn = 0
  const random = {
    bytes: () => Buffer.from([chances[drawn++ % chances.length] ?? 0, 0, 0, 0]),
  }
  return openExchanges({ servers: [`127.0.0.1:${socket.address().port}`], timeoutMs: 150, attempts: 1, random })
}

const domain = 'clinic.example' as DirectDomain
const at = (last: number) => ({ A: [`192.0.2.${last}`] })

describe('hosts', () => {
  test('come by preference, whatever order they were answered in', async () => {
    const exchanges = await exchangesOf({
      'clinic.example': {
        MX: [
          [30, 'c.example'],
          [10, 'A.example'],
          [20, 'b.example'],
        ],
      },
      'a.example': at(1),
      'b.example': { A: ['192.0.2.2'], AAAA: [`20010db8${'0'.repeat(23)}2`] },
      'c.example': at(3),
    })
    expect(await exchanges.of(domain)).toEqual({
      kind: 'hosts',
      hosts: [
        { name: 'a.example', addresses: ['192.0.2.1'] },
        { name: 'b.example', addresses: ['192.0.2.2', '2001:db8::2'] },
        { name: 'c.example', addresses: ['192.0.2.3'] },
      ],
    })
  })

  test('of equal preference come as chance has it', async () => {
    const zone: Zone = {
      'clinic.example': {
        MX: [
          [10, 'a.example'],
          [10, 'b.example'],
        ],
      },
      'a.example': at(1),
      'b.example': at(2),
    }
    const first = async (chances: readonly number[]) => {
      const answer = await (await exchangesOf(zone, chances)).of(domain)
      server?.close()
      server = undefined
      return answer.kind === 'hosts' && answer.hosts[0]?.name
    }
    expect(new Set([await first([1, 9]), await first([9, 1])])).toEqual(new Set(['a.example', 'b.example']))
  })

  test('without an address are left out, also when their name server is silent', async () => {
    const exchanges = await exchangesOf({
      'clinic.example': {
        MX: [
          [1, 'gone.example'],
          [2, 'dead.example'],
          [3, 'a.example'],
        ],
      },
      'dead.example': 'SERVFAIL',
      'a.example': at(1),
    })
    expect(await exchanges.of(domain)).toEqual({
      kind: 'hosts',
      hosts: [{ name: 'a.example', addresses: ['192.0.2.1'] }],
    })
  })

  test('are limited in number, and so are their addresses', async () => {
    const names = Array.from({ length: 30 }, (_, i) => `h${i}.example`)
    const many = { A: Array.from({ length: 9 }, (_, i) => `192.0.2.${i}`) }
    const exchanges = await exchangesOf({
      'clinic.example': { MX: names.map((name, i) => [i, name] as const) },
      ...Object.fromEntries(names.map((name) => [name, many])),
    })
    const answer = await exchanges.of(domain)
    expect(answer.kind === 'hosts' && answer.hosts.map(({ addresses }) => addresses.length)).toEqual(Array(10).fill(4))
  })
})

test('a domain without MX is its own host', async () => {
  const exchanges = await exchangesOf({ 'clinic.example': at(7) })
  expect(await exchanges.of(domain)).toEqual({
    kind: 'hosts',
    hosts: [{ name: 'clinic.example', addresses: ['192.0.2.7'] }],
  })
  expect(asked.sort()).toEqual(['A clinic.example', 'AAAA clinic.example', 'MX clinic.example'])
})

describe('no host', () => {
  test.each<[string, Zone, string, RegExp]>([
    [
      'a null MX, whatever address the domain has',
      { 'clinic.example': { MX: [[0, '']], ...at(1) } },
      'permanent',
      /null MX/,
    ],
    ['a domain that does not exist', {}, 'permanent', /does not exist/],
    ['a domain with nothing', { 'clinic.example': {} }, 'permanent', /no address/],
    [
      'an MX that does not exist',
      { 'clinic.example': { MX: [[1, 'gone.example']], ...at(1) } },
      'permanent',
      /no address/,
    ],
    ['a failing name server', { 'clinic.example': 'SERVFAIL' }, 'temporary', /ESERVFAIL/],
    ['a silent name server', { 'clinic.example': 'silent' }, 'temporary', /ETIMEOUT/],
    [
      'an MX whose name server fails',
      { 'clinic.example': { MX: [[1, 'a.example']] }, 'a.example': 'SERVFAIL' },
      'temporary',
      /ESERVFAIL/,
    ],
    ['an MX that is no host name', { 'clinic.example': { MX: [[1, 'a b.example']] } }, 'permanent', /no host name/],
  ])('%s', async (_, zone, kind, detail) => {
    expect(await (await exchangesOf(zone)).of(domain)).toEqual({ kind, detail: expect.stringMatching(detail) })
  })
})

test('a null MX beside a real one is ignored', async () => {
  const exchanges = await exchangesOf({
    'clinic.example': {
      MX: [
        [0, ''],
        [5, 'a.example'],
      ],
    },
    'a.example': at(1),
  })
  expect(await exchanges.of(domain)).toMatchObject({ kind: 'hosts', hosts: [{ name: 'a.example' }] })
})

test('a host of a route may be a name or an address', async () => {
  const exchanges = await exchangesOf({ 'relay.example': at(4) })
  expect(await exchanges.host('relay.example')).toMatchObject({ hosts: [{ addresses: ['192.0.2.4'] }] })
  expect(await exchanges.host('192.0.2.9')).toEqual({
    kind: 'hosts',
    hosts: [{ name: '192.0.2.9', addresses: ['192.0.2.9'] }],
  })
  expect(await exchanges.host('::1')).toMatchObject({ hosts: [{ addresses: ['::1'] }] })
  expect(asked).toHaveLength(2)
})
