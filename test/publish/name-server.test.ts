import { once } from 'node:events'
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import type { Publications } from '../../src/ports/publish.js'
import type { NameServerLimits } from '../../src/publish/limits.js'
import type { NameServer } from '../../src/publish/name-server.js'
import { type Identity, makeAuthority, makeLeaf } from '../fixtures/pki.js'
import {
  certOf,
  dial,
  framed,
  messagesIn,
  overTcp,
  overUdp,
  type Question,
  query,
  read,
  serveNames,
  type Told,
  tablePublications,
  zone,
} from './worlds.js'

let pat: Identity
let dotted: Identity
let house: Identity
let big: readonly Identity[]
const closing: NameServer[] = []

beforeAll(() => {
  const authority = makeAuthority()
  pat = makeLeaf(authority, { san: { email: ['pat@clinic.example'] } })
  dotted = makeLeaf(authority, { san: { email: ['john.q.doe@clinic.example'] }, keyType: 'p256' })
  house = makeLeaf(authority, { san: { dns: ['clinic.example'] }, keyType: 'p384' })
  big = Array.from({ length: 3 }, () => makeLeaf(authority, { san: { email: ['many@clinic.example'] } }))
})
afterEach(async () => {
  for (const server of closing.splice(0)) await server.close()
})

async function serving(
  limits: Partial<NameServerLimits> = {},
  more: Partial<Publications> = {},
  now?: () => number,
): Promise<NameServer & Told & { readonly table: Map<string, readonly Uint8Array[]>; readonly asked: string[] }> {
  const { publications, table, asked } = tablePublications(
    ['clinic.example'],
    new Map<string, readonly Uint8Array[]>([
      ['pat@clinic.example', [pat.certificate]],
      ['john.q.doe@clinic.example', [dotted.certificate]],
      ['many@clinic.example', big.map(({ certificate }) => certificate)],
      ['clinic.example', [house.certificate]],
      ['known@clinic.example', []],
    ]),
  )
  const server = await serveNames({ publications: { ...publications, ...more }, limits, ...(now && { now }) })
  closing.push(server)
  return { ...server, table, asked }
}

const askUdp = async (port: number, question: Question) => read(await overUdp(port, query(question)))
const askTcp = async (port: number, question: Question) => read((await overTcp(port, query(question)))[0])
const names = (records: readonly { name: string; type: string }[]) => records.map(({ name, type }) => `${name} ${type}`)

describe('certificates', () => {
  test('gives the certificate of an address at its name, the @ read as a dot', async () => {
    const { port } = await serving()
    const answer = await askTcp(port, { name: 'pat.clinic.example', type: 'CERT' })
    expect(answer).toMatchObject({ rcode: 'NOERROR', aa: true, tc: false, ra: false })
    const [record] = answer.answers
    expect(certOf(record)).toMatchObject({ type: 1, algorithm: 8 })
    expect(certOf(record).keyTag).toBeGreaterThan(0)
    expect(certOf(record).der.equals(pat.certificate)).toBe(true)
    expect(record).toMatchObject({ ttl: 300, name: 'pat.clinic.example' })
  })

  test('finds an address whose local part has dots, and the domain itself', async () => {
    const { port } = await serving()
    const doe = await askTcp(port, { name: 'john.q.doe.clinic.example', type: 'CERT' })
    expect(certOf(doe.answers[0])).toMatchObject({ algorithm: 13, der: Buffer.from(dotted.certificate) })
    const apex = await askTcp(port, { name: 'clinic.example', type: 'CERT' })
    expect(certOf(apex.answers[0])).toMatchObject({ algorithm: 14, der: Buffer.from(house.certificate) })
  })

  test('knows no difference of case, and gives the question back in its own', async () => {
    const { port } = await serving()
    const bytes = query({ name: 'PaT.cLiNiC.eXaMpLe', type: 'CERT', edns: 1232 })
    const answer = read(await overUdp(port, bytes))
    expect(answer.answers).toHaveLength(1)
    expect(answer.questions[0]?.name).toBe('PaT.cLiNiC.eXaMpLe')
    // The owner of the record points at the question.
    expect(answer.answers[0]?.name).toBe('PaT.cLiNiC.eXaMpLe')
  })

  test('lets nobody remember a certificate beyond its end', async () => {
    const server = await serving()
    const short = makeLeaf(makeAuthority(), { san: { email: ['pat@clinic.example'] }, notAfter: Date.now() + 30_500 })
    server.table.set('pat@clinic.example', [short.certificate, pat.certificate])
    const { answers } = await askTcp(server.port, { name: 'pat.clinic.example', type: 'CERT' })
    expect(answers).toHaveLength(2)
    for (const record of answers) expect((record as { ttl: number }).ttl).toBeLessThanOrEqual(30)
  })

  test('tells at most so many certificates of one name, and as many as a message holds', async () => {
    const server = await serving({ certificatesPerName: 100 })
    const many = Array.from({ length: 80 }, (_, i) => Buffer.concat([house.certificate, Buffer.from([i])]))
    server.table.set('pat@clinic.example', [pat.certificate, pat.certificate, ...many])
    expect((await askTcp(server.port, { name: 'pat.clinic.example', type: 'CERT' })).answers).toHaveLength(1)
    const authority = makeAuthority()
    const padding = { oid: '1.2.3.4', value: Buffer.alloc(8000) }
    const large = Array.from({ length: 12 }, () => makeLeaf(authority, { keyType: 'p256', extensions: [padding] }))
    server.table.set(
      'pat@clinic.example',
      large.map(({ certificate }) => certificate),
    )
    const answer = await askTcp(server.port, { name: 'pat.clinic.example', type: 'CERT' })
    expect(answer.tc).toBe(false)
    expect(answer.answers.length).toBe(Math.floor(65_000 / (large[0]?.certificate.length ?? 1)))
  })

  test('asks only for addresses of served domains, however many labels a name has', async () => {
    const server = await serving()
    const name = `${'a.'.repeat(100)}clinic.example`
    expect((await askUdp(server.port, { name, type: 'CERT' })).rcode).toBe('NXDOMAIN')
    await askUdp(server.port, { name: `${'a.'.repeat(20)}clinic.example`, type: 'CERT' })
    expect(server.asked).toEqual([`${'a.'.repeat(20).slice(0, -1)}@clinic.example`])
  })

  test('takes a dot within a label for no dot', async () => {
    const server = await serving()
    const bytes = query({ name: 'johnXqXdoe.clinic.example', type: 'CERT' })
    for (const at of [17, 19]) bytes[at] = 0x2e
    expect(read(await overUdp(server.port, bytes)).rcode).toBe('NXDOMAIN')
    expect(server.asked).toEqual([])
  })
})

describe('what nobody may learn', () => {
  test('an address without certificate is denied byte for byte as one that was never heard of', async () => {
    const { port } = await serving()
    for (const type of ['CERT', 'A', 'MX', 'ANY', 'TXT']) {
      const [known, never] = [
        await askUdp(port, { name: 'known.clinic.example', type }),
        await askUdp(port, { name: 'never.clinic.example', type }),
      ]
      expect(known.rcode).toBe('NXDOMAIN')
      const blur = ({ bytes }: { bytes: Buffer }) => bytes.toString('latin1').replace(/known|never/g, '?')
      expect(blur(known)).toBe(blur(never))
    }
  })

  test('a server that told known from unknown addresses would be found out', async () => {
    // The seeded bug: what is known and not published answers NODATA.
    const { publications } = tablePublications(['clinic.example'], new Map([['known@clinic.example', []]]))
    const server = await serveNames({
      publications,
      zones: [{ ...zone, records: [...(zone.records ?? []), 'known TXT "x"'] }],
    })
    closing.push(server)
    expect((await askUdp(server.port, { name: 'known.clinic.example', type: 'CERT' })).rcode).not.toBe('NXDOMAIN')
  })

  test.each(['AXFR', 'IXFR'])('%s is refused over UDP and TCP', async (type) => {
    const { port } = await serving()
    for (const ask of [askUdp, askTcp])
      expect(await ask(port, { name: 'clinic.example', type })).toMatchObject({ rcode: 'REFUSED', answers: [] })
  })

  test('ANY gets one small record (RFC 8482)', async () => {
    const { port } = await serving()
    for (const name of ['clinic.example', 'pat.clinic.example', 'mail.clinic.example']) {
      const { answers, rcode } = await askUdp(port, { name, type: 'ANY' })
      expect(rcode).toBe('NOERROR')
      expect(answers).toMatchObject([{ type: 'HINFO', data: { cpu: 'RFC8482', os: '' } }])
    }
  })

  test('the serial is the minute, whatever is published, and never goes back', async () => {
    let now = Date.UTC(2030, 0, 1, 12, 0, 59)
    const server = await serving({}, {}, () => now)
    const serial = async () =>
      ((await askUdp(server.port, { name: 'clinic.example', type: 'SOA' })).answers[0] as { data: { serial: number } })
        .data.serial
    const first = await serial()
    server.table.set('new@clinic.example', [pat.certificate])
    expect(await serial()).toBe(first)
    now += 60_000
    expect(await serial()).toBe(first + 60)
    now -= 600_000
    expect(await serial()).toBe(first + 60)
  })
})

describe('names', () => {
  test('denies with the SOA of the zone, for no longer than its minimum', async () => {
    const { port } = await serving()
    const gone = await askUdp(port, { name: 'no.such.clinic.example', type: 'A' })
    expect(gone).toMatchObject({ rcode: 'NXDOMAIN', aa: true, answers: [] })
    expect(gone.authority).toMatchObject([{ name: 'clinic.example', type: 'SOA', ttl: 60, data: { minimum: 60 } }])
    const empty = await askUdp(port, { name: 'mail.clinic.example', type: 'AAAA' })
    expect(empty).toMatchObject({ rcode: 'NOERROR', aa: true, answers: [], authority: [{ type: 'SOA', ttl: 60 }] })
  })

  test('names with only names below them exist: of hosts, and of published addresses', async () => {
    const { port } = await serving()
    for (const name of ['one', 'deep.one', '_tcp', 'doe', 'q.doe']) {
      const answer = await askUdp(port, { name: `${name}.clinic.example`, type: 'A' })
      expect({ name, rcode: answer.rcode, answers: answer.answers }).toEqual({ name, rcode: 'NOERROR', answers: [] })
    }
    for (const name of ['b.one', 'xdoe', 'x.doe', 'q'])
      expect((await askUdp(port, { name: `${name}.clinic.example`, type: 'A' })).rcode).toBe('NXDOMAIN')
  })

  test('an address published later makes the names above it exist once it was asked for', async () => {
    const server = await serving()
    server.table.set('ann.late@clinic.example', [pat.certificate])
    expect((await askUdp(server.port, { name: 'late.clinic.example', type: 'NS' })).rcode).toBe('NXDOMAIN')
    await askUdp(server.port, { name: 'ann.late.clinic.example', type: 'CERT' })
    expect((await askUdp(server.port, { name: 'late.clinic.example', type: 'NS' })).rcode).toBe('NOERROR')
  })

  test('denies no name while the names between are unknown or too many', async () => {
    const many = await serving({ between: 1 })
    expect(await askUdp(many.port, { name: 'never.clinic.example', type: 'CERT' })).toMatchObject({
      rcode: 'NOERROR',
      answers: [],
    })
    const slow = await serving({ betweenFirstMs: 10 }, { all: () => new Promise(() => undefined) })
    expect((await askUdp(slow.port, { name: 'never.clinic.example', type: 'CERT' })).rcode).toBe('NOERROR')
  })

  test('follows aliases inside the zone, stops at its border and in a circle', async () => {
    const { port } = await serving()
    const inside = await askUdp(port, { name: 'www.clinic.example', type: 'A' })
    expect(names(inside.answers)).toEqual(['www.clinic.example CNAME', 'web.clinic.example A'])
    const outside = await askUdp(port, { name: 'out.clinic.example', type: 'A' })
    expect(outside).toMatchObject({ rcode: 'NOERROR', answers: [{ data: 'www.elsewhere.example' }], authority: [] })
    const round = await askUdp(port, { name: 'round.clinic.example', type: 'A' })
    expect(names(round.answers)).toEqual(['round.clinic.example CNAME', 'about.clinic.example CNAME'])
    const none = await askUdp(port, { name: 'www.clinic.example', type: 'MX' })
    expect(none).toMatchObject({ rcode: 'NOERROR', answers: [{ type: 'CNAME' }], authority: [{ type: 'SOA' }] })
    expect((await askUdp(port, { name: 'www.clinic.example', type: 'CNAME' })).answers).toHaveLength(1)
  })

  test('adds the addresses of hosts that an answer points to', async () => {
    const { port } = await serving()
    const mx = await askUdp(port, { name: 'clinic.example', type: 'MX' })
    expect(mx.answers).toHaveLength(2)
    expect(mx.additional).toMatchObject([{ name: 'mail.clinic.example', type: 'A', ttl: 600, data: '192.0.2.2' }])
    const ns = await askUdp(port, { name: 'clinic.example', type: 'NS' })
    expect(names(ns.additional)).toEqual(['ns1.clinic.example A', 'ns1.clinic.example AAAA'])
    const srv = await askUdp(port, { name: '_ldap._tcp.clinic.example', type: 'SRV' })
    expect(srv.answers).toMatchObject([
      { data: { priority: 0, weight: 0, port: 389, target: 'ldap.clinic.example' } },
      { data: { priority: 1, target: 'ldap.elsewhere.example' } },
    ])
    expect(names(srv.additional)).toEqual(['ldap.clinic.example A'])
  })

  test.each(['elsewhere.example', 'xclinic.example', 'example', '.'])('refuses %s, which is not ours', async (name) => {
    const { port } = await serving()
    const answer = await askUdp(port, { name, type: 'A' })
    expect(answer).toMatchObject({ rcode: 'REFUSED', aa: false, answers: [], authority: [] })
  })

  test('asks the store whether it may speak, and says SERVFAIL where that fails', async () => {
    const broken = async () => {
      throw new Error('no store')
    }
    const server = await serving({}, { certificatesOf: broken })
    expect((await askUdp(server.port, { name: 'pat.clinic.example', type: 'CERT' })).rcode).toBe('SERVFAIL')
    expect((await askUdp(server.port, { name: 'mail.clinic.example', type: 'A' })).rcode).toBe('NOERROR')
    expect(server.events).toEqual(['dns.answer-failed'])
  })
})

describe('the protocol', () => {
  test('what is too large for a datagram is truncated, and whole over TCP', async () => {
    const { port } = await serving()
    const question = { name: 'many.clinic.example', type: 'CERT' }
    for (const edns of [undefined, 512, 1232, 65_535]) {
      const answer = await askUdp(port, { ...question, ...(edns !== undefined && { edns }) })
      expect(answer).toMatchObject({ rcode: 'NOERROR', tc: true, answers: [] })
    }
    expect((await askTcp(port, question)).answers).toHaveLength(3)
    // One certificate fits where the client said that it takes as much.
    const one = { name: 'pat.clinic.example', type: 'CERT' }
    expect((await askUdp(port, one)).tc).toBe(true)
    expect((await askUdp(port, { ...one, edns: 100 })).tc).toBe(true)
    expect(await askUdp(port, { ...one, edns: 4096 })).toMatchObject({ tc: false, answers: [{ type: 'CERT' }] })
  })

  test('EDNS is answered where it was asked, a newer version with BADVERS', async () => {
    const { port } = await serving()
    expect((await askUdp(port, { name: 'clinic.example', type: 'A' })).opt).toBeUndefined()
    const plain = await askUdp(port, { name: 'clinic.example', type: 'A', edns: 4096 })
    expect(plain.opt).toMatchObject({ udpPayloadSize: 1232, ednsVersion: 0 })
    const newer = query({ name: 'clinic.example', type: 'A', edns: 1232 })
    newer[newer.length - 5] = 1
    const answer = read(await overUdp(port, newer))
    expect(answer.opt).toMatchObject({ extendedRcode: 1, ednsVersion: 0 })
    expect(answer.bytes.readUInt16BE(2) & 15).toBe(0)
    const dnssec = query({ name: 'clinic.example', type: 'A', edns: 1232 })
    dnssec[dnssec.length - 4] = 0x80
    expect(read(await overUdp(port, dnssec)).opt?.flag_do).toBe(true)
  })

  test('an unknown EDNS option is ignored, a second OPT and a broken option are not', async () => {
    const { port } = await serving()
    const bare = query({ name: 'clinic.example', type: 'NS' })
    const opt = (options: number[]) => Buffer.from([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, options.length, ...options])
    const send = async (...records: Buffer[]) => {
      const bytes = Buffer.concat([bare, ...records])
      bytes.writeUInt16BE(records.length, 10)
      return read(await overUdp(port, bytes)).rcode
    }
    expect(await send(opt([0xfd, 0xe9, 0, 3, 1, 2, 3]))).toBe('NOERROR')
    expect(await send(opt([]), opt([]))).toBe('FORMERR')
    expect(await send(opt([0xfd, 0xe9, 0, 9, 1]))).toBe('FORMERR')
  })

  test.each([
    ['two questions', 'FORMERR', (bytes: Buffer) => bytes.writeUInt16BE(2, 4)],
    ['no question', 'FORMERR', (bytes: Buffer) => bytes.writeUInt16BE(0, 4)],
    ['an answer', 'FORMERR', (bytes: Buffer) => bytes.writeUInt16BE(1, 6)],
    ['a record that is not there', 'FORMERR', (bytes: Buffer) => bytes.writeUInt16BE(1, 10)],
    ['a label longer than the message', 'FORMERR', (bytes: Buffer) => bytes.writeUInt8(63, 12)],
    ['a pointer at itself', 'FORMERR', (bytes: Buffer) => bytes.writeUInt16BE(0xc00c, 12)],
    ['NOTIFY', 'NOTIMP', (bytes: Buffer) => bytes.writeUInt8(0x20, 2)],
    ['UPDATE', 'NOTIMP', (bytes: Buffer) => bytes.writeUInt8(0x28, 2)],
    ['class CH', 'REFUSED', (bytes: Buffer) => bytes.writeUInt16BE(3, bytes.length - 2)],
    ['class ANY', 'REFUSED', (bytes: Buffer) => bytes.writeUInt16BE(255, bytes.length - 2)],
    ['MAILA', 'NOTIMP', (bytes: Buffer) => bytes.writeUInt16BE(254, bytes.length - 4)],
    ['a question for OPT', 'FORMERR', (bytes: Buffer) => bytes.writeUInt16BE(41, bytes.length - 4)],
  ])('%s is answered %s', async (_, rcode, change) => {
    const { port } = await serving()
    const bytes = query({ name: 'clinic.example', type: 'A' })
    change(bytes)
    const answer = await overUdp(port, bytes)
    expect(answer?.readUInt16BE(0)).toBe(4711)
    expect(answer && read(answer).rcode).toBe(rcode)
    expect((await overTcp(port, bytes)).map((each) => read(each).rcode)).toEqual([rcode])
  })

  test('an answer and a stump get silence', async () => {
    const { port } = await serving()
    const answer = query({ name: 'clinic.example', type: 'A' })
    answer.writeUInt8(0x80, 2)
    expect(await overUdp(port, answer, 100)).toBeUndefined()
    expect(await overUdp(port, Buffer.from([1, 2, 3]), 100)).toBeUndefined()
    expect(await overTcp(port, answer)).toEqual([])
  })
})

describe('TCP', () => {
  test('answers many queries of one connection, sent in one piece or byte by byte', async () => {
    const { port } = await serving()
    const queries = Array.from({ length: 100 }, (_, id) => query({ name: 'pat.clinic.example', type: 'CERT', id }))
    const answers = (await overTcp(port, ...queries)).map(read)
    expect(new Set(answers.map(({ id }) => id)).size).toBe(100)
    expect(answers.every(({ answers }) => answers.length === 1)).toBe(true)
    const { socket, came } = await dial(port)
    socket.setNoDelay()
    for (const byte of framed(...queries.slice(0, 3))) socket.write(Buffer.from([byte]))
    socket.end()
    await once(socket, 'end')
    expect(messagesIn(came())).toHaveLength(3)
  })

  test('a slow question does not hold up the one behind it', async () => {
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const certificatesOf = async () => {
      await held
      return []
    }
    const { port } = await serving({}, { certificatesOf })
    const { socket, came } = await dial(port)
    socket.write(
      framed(
        query({ name: 'pat.clinic.example', type: 'CERT', id: 1 }),
        query({ name: 'clinic.example', type: 'NS', id: 2 }),
      ),
    )
    while (came().length === 0) await once(socket, 'data')
    expect(messagesIn(came()).map((each) => read(each).id)).toEqual([2])
    release()
    socket.end()
    await once(socket, 'end')
    expect(messagesIn(came()).map((each) => read(each).id)).toEqual([2, 1])
  })

  test('ends a silent connection, one that trickles, and one that takes no answers', async () => {
    const { port } = await serving({ idleMs: 150, connectionMs: 600 })
    const silent = await dial(port)
    const trickling = await dial(port)
    const message = framed(query({ name: 'clinic.example', type: 'A' }))
    let at = 0
    const timer = setInterval(() => trickling.socket.writable && trickling.socket.write(message.subarray(at, ++at)), 20)
    const busy = await dial(port)
    const again = setInterval(() => busy.socket.writable && busy.socket.write(message), 50)
    const start = performance.now()
    await Promise.all([silent.closed, trickling.closed])
    clearInterval(timer)
    expect(performance.now() - start).toBeLessThan(500)
    // Whoever keeps asking stays until the end of all of it.
    await busy.closed
    clearInterval(again)
    expect(performance.now() - start).toBeGreaterThan(400)
    expect(messagesIn(busy.came()).length).toBeGreaterThan(3)
  })

  test('has room for so many connections: the longest idle one gives way', async () => {
    const { port } = await serving({ connections: 3 })
    const first = await dial(port)
    const others = [await dial(port), await dial(port)]
    first.socket.write(framed(query({ name: 'clinic.example', type: 'A' })))
    await once(first.socket, 'data')
    const fourth = await dial(port)
    await others[0]?.closed
    fourth.socket.end(framed(query({ name: 'clinic.example', type: 'A' })))
    await once(fourth.socket, 'end')
    expect(messagesIn(fourth.came())).toHaveLength(1)
    for (const { socket } of [first, ...others]) socket.destroy()
  })

  test('has room for so many connections of one network', async () => {
    const { port, counts } = await serving({ connectionsPerClient: 2, limitLoopback: true })
    const kept = [await dial(port), await dial(port)]
    const third = await dial(port)
    await third.closed
    expect(counts).toContain('dns_limited_total tcp connection')
    kept[0]?.socket.destroy()
    await kept[0]?.closed
    await vi.waitFor(async () => {
      expect(await overTcp(port, query({ name: 'clinic.example', type: 'A' }))).toHaveLength(1)
    })
    kept[1]?.socket.destroy()
  })

  test('ends a connection that announces more than a query can be', async () => {
    const { port } = await serving()
    const { socket, closed, came } = await dial(port)
    socket.write(Buffer.concat([Buffer.from([0xff, 0xff]), Buffer.alloc(65_535)]))
    await closed
    expect(came()).toHaveLength(0)
  })
})

describe('who asks too much', () => {
  test('gets truncated answers and silence over UDP, and still an answer over TCP', async () => {
    const { port, counts } = await serving({ limitLoopback: true, udpPerSecond: 0, udpBurst: 3, slip: 2 })
    const answers = []
    for (let i = 0; i < 9; i++) answers.push(await overUdp(port, query({ name: 'clinic.example', type: 'NS' }), 60))
    expect(answers.slice(0, 3).map((each) => read(each).answers.length)).toEqual([2, 2, 2])
    const rest = answers.slice(3)
    expect(rest.map((each) => each !== undefined)).toEqual([false, true, false, true, false, true])
    for (const each of rest) if (each) expect(read(each)).toMatchObject({ tc: true, answers: [] })
    expect(rest[1]?.length).toBe(query({ name: 'clinic.example', type: 'NS' }).length)
    expect(counts.filter((each) => each === 'dns_limited_total udp slip')).toHaveLength(3)
    expect(await askTcp(port, { name: 'clinic.example', type: 'NS' })).toMatchObject({ answers: [{}, {}] })
  })

  test('and who guesses is no more told what is there than what is not', async () => {
    const { port } = await serving({ limitLoopback: true, missesPerSecond: 0, missesBurst: 3, slip: 1000 })
    for (let i = 0; i < 3; i++)
      expect((await askUdp(port, { name: `guess-${i}.clinic.example`, type: 'CERT' })).rcode).toBe('NXDOMAIN')
    for (const name of ['pat.clinic.example', 'guess.clinic.example'])
      expect(await overUdp(port, query({ name, type: 'CERT', edns: 1232 }), 60)).toBeUndefined()
    const missing = query({ name: 'no.clinic.example', type: 'A' })
    for (let i = 0; i < 3; i++) expect(await overTcp(port, missing)).toHaveLength(1)
    for (const name of ['pat.clinic.example', 'no.clinic.example'])
      expect(await overTcp(port, query({ name, type: 'CERT' }))).toEqual([])
  })

  test('beyond what we have time for datagrams are dropped unread', async () => {
    let now = 1_900_000_000_000
    const { port, counts } = await serving({ datagramsPerSecond: 2 }, {}, () => now)
    const ask = () => overUdp(port, query({ name: 'clinic.example', type: 'NS' }), 60)
    expect([await ask(), await ask(), await ask()].map((each) => each !== undefined)).toEqual([true, true, false])
    expect(counts).toContain('dns_limited_total udp busy')
    now += 1000
    expect(await ask()).toBeDefined()
  })

  test('questions that wait for the store are bounded', async () => {
    const { port } = await serving({ underWay: 2 }, { certificatesOf: () => new Promise(() => undefined) })
    const hang = () => overUdp(port, query({ name: 'pat.clinic.example', type: 'CERT' }), 60)
    await Promise.all([hang(), hang()])
    expect(await overUdp(port, query({ name: 'clinic.example', type: 'NS' }), 60)).toBeUndefined()
  })
})

test('two sockets share one port, a taken port is an error, and closing frees it', async () => {
  const first = await serving()
  const { publications } = tablePublications([], new Map())
  const again = () => serveNames({ publications, zones: [zone] })
  const second = await again()
  expect(second.port).not.toBe(first.port)
  await second.close()
  await expect(serveNames({ publications, zones: [zone, zone] })).rejects.toThrow('twice')
})
