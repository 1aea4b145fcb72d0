import { type AddressInfo, createServer, type Socket } from 'node:net'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { Asn1Error } from '../../src/asn1/reader.js'
import { der, integer, octetString, sequenceOf } from '../../src/asn1/writer.js'
import { ldapLimits, openLdap } from '../../src/resolve/ldap.js'
import { ldapMessageLimits, messageSize, readLdapMessage } from '../../src/resolve/ldap-message.js'
import { patienceOf } from '../../src/resolve/patience.js'
import { inOrder } from '../../src/resolve/srv.js'
import {
  type LdapEntry,
  type LdapOptions,
  type LdapServer,
  ldapEntry,
  ldapResult,
  startLdap,
} from './discovery-ldap-server.js'

const open: { close(): Promise<void> }[] = []
afterEach(async () => {
  for (const server of open.splice(0)) await server.close()
})

async function served(entries: readonly LdapEntry[], options: LdapOptions = {}): Promise<LdapServer> {
  const server = await startLdap(entries, options)
  open.push(server)
  return server
}

/** A listener that answers as it likes. */
async function raw(onConnection: (socket: Socket) => void): Promise<{ readonly port: number }> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    onConnection(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  open.push({
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  })
  return { port: (server.address() as AddressInfo).port }
}

const mail = 'drbob@clinic.test'
const der1 = Buffer.from('3003020101', 'hex')
const der2 = Buffer.from('3003020102', 'hex')
const entries: readonly LdapEntry[] = [{ mail, values: [der1] }]
const limits = { connectMs: 400, searchMs: 400 }

const ask = ({ port }: { readonly port: number }, who = mail, more: Partial<typeof ldapLimits> = {}) =>
  openLdap({ limits: { ...limits, ...more } })({ address: '127.0.0.1', port }, who, patienceOf(3_000))

describe('certificates', () => {
  test.each(['userCertificate;binary', 'userCertificate', 'USERCERTIFICATE;BINARY', '2.5.4.36'])(
    'come as %s',
    async (attribute) => {
      const server = await served([{ mail, attribute, values: [der1, der2] }])
      expect(await ask(server)).toEqual({
        kind: 'found',
        certificates: [der1, der2].map((der) => Uint8Array.from(der)),
      })
      expect(server.asked).toEqual(['bind', 'search', `search ou=dcdt ${mail}`])
    },
  )

  test('do not come from other attributes', async () => {
    const server = await served([{ mail, attribute: 'userCertificate;lang-en', values: [der1] }])
    expect(await ask(server)).toEqual({ kind: 'none' })
  })

  test('are none where no entry is, and where the base is gone', async () => {
    expect(await ask(await served([]))).toEqual({ kind: 'none' })
    expect(await ask(await served(entries, { codes: { 'search ou=dcdt': 32 } }))).toMatchObject({ kind: 'found' })
    expect(await ask(await served([], { codes: { 'search ou=dcdt': 32 } }))).toEqual({ kind: 'none' })
  })

  test('of a list cut by its size limit are taken', async () => {
    expect(await ask(await served(entries, { codes: { 'search ou=dcdt': 4 } }))).toMatchObject({ kind: 'found' })
    expect(await ask(await served([], { codes: { 'search ou=dcdt': 4 } }))).toMatchObject({ kind: 'unavailable' })
  })

  test('are looked for under every naming context, within a limit', async () => {
    const bases = Array.from({ length: 9 }, (_, i) => `o=${i}`)
    const server = await served([], { root: { namingContexts: bases } })
    expect(await ask(server)).toEqual({ kind: 'none' })
    expect(server.asked.slice(2)).toEqual(bases.slice(0, ldapLimits.bases).map((base) => `search ${base} ${mail}`))
  })

  test('are looked for under the default context where there is no other, and else under the root', async () => {
    const server = await served(entries, { root: { defaultNamingContext: ['dc=clinic'] } })
    expect(await ask(server)).toMatchObject({ kind: 'found' })
    expect(server.asked.at(-1)).toBe(`search dc=clinic ${mail}`)
    const bare = await served([], { root: {} })
    await ask(bare)
    expect(bare.asked.at(-1)).toBe(`search  ${mail}`)
  })
})

test.each([
  '*',
  '*)(mail=*',
  ')(|(mail=*)',
  'a\\2a@clinic.test',
  '\\',
  'x\0y@clinic.test',
  "!#$%&'*+/=?^_`{|}~-@clinic.test",
])('%j is a value of the filter and nothing else', async (who) => {
  const server = await served([...entries, { mail: who.toLowerCase(), values: [der2] }])
  expect(await ask(server, who)).toEqual({ kind: 'found', certificates: [Uint8Array.from(der2)] })
  expect(server.asked.at(-1)).toBe(`search ou=dcdt ${who}`)
})

describe('a server is unavailable that', () => {
  test.each<[string, LdapOptions, RegExp]>([
    ['refuses the anonymous bind', { codes: { bind: 48 } }, /no anonymous bind \(result 48\)/],
    ['is busy', { codes: { 'search ou=dcdt': 51 } }, /result 51/],
    ['forbids the search', { codes: { 'search ou=dcdt': 50 } }, /result 50/],
    ['refers elsewhere', { codes: { 'search ou=dcdt': 10 } }, /result 10/],
    ['ran out of time', { codes: { 'search ou=dcdt': 3 } }, /result 3/],
    ['is silent', { twist: () => true }, /took too long/],
    ['hangs up', { twist: (_, socket) => socket.destroy() !== undefined }, /broke off|ECONNRESET/],
    [
      'says goodbye',
      { twist: (_, socket) => socket.write(ldapResult(0, 0x78, 52)) !== undefined },
      /ended the conversation/,
    ],
    [
      'answers another question',
      { twist: ({ id }, socket) => socket.write(ldapResult(id + 5, 0x61, 0)) !== undefined },
      /something else/,
    ],
    [
      'answers a bind with the end of a search',
      { twist: ({ id }, socket) => socket.write(ldapResult(id, 0x65, 0)) !== undefined },
      /something else/,
    ],
    [
      'speaks HTTP',
      { twist: (_, socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n') !== undefined },
      /not an LDAP message/,
    ],
    [
      'sends an indefinite length',
      { twist: (_, socket) => socket.write(Buffer.from([0x30, 0x80, 0, 0])) !== undefined },
      /length/,
    ],
    [
      'promises four gigabytes',
      { twist: (_, socket) => socket.write(Buffer.from('3084ffffffff', 'hex')) !== undefined },
      /4294967295 bytes/,
    ],
    [
      'sends references without end',
      {
        twist({ id, operation }, socket) {
          if (operation !== 'search ou=dcdt') return false
          const reference = sequenceOf(integer(id), der(0x73, octetString(Buffer.from('ldap://other.test/'))))
          socket.write(Buffer.concat(Array.from({ length: 5_000 }, () => reference)))
          return true
        },
      },
      /too many messages/,
    ],
    [
      'sends one value without end',
      {
        twist({ operation }, socket) {
          if (operation !== 'search ou=dcdt') return false
          socket.write(Buffer.concat([Buffer.from('308400100000', 'hex'), Buffer.alloc(3 << 20)]))
          return true
        },
      },
      /too many children/,
    ],
    [
      'sends an attribute longer than its entry',
      {
        twist(_, socket) {
          return (
            socket.write(Buffer.from('3014020102640f040141300a300804014231030 47f00'.replace(' ', ''), 'hex')) !==
            undefined
          )
        },
      },
      /longer|expected|truncated|took too long/,
    ],
  ])('%s', async (_, options, detail) => {
    expect(await ask(await served(entries, options))).toEqual({
      kind: 'unavailable',
      detail: expect.stringMatching(detail),
    })
  })

  test('does not listen', async () => {
    const server = await startLdap([])
    await server.close()
    expect(await ask(server)).toEqual({ kind: 'unavailable', detail: expect.stringMatching(/ECONNREFUSED/) })
  })

  test('drips', async () => {
    const server = await raw((socket) => {
      const timer = setInterval(() => socket.write(Buffer.from([0x30])), 10)
      socket.on('close', () => clearInterval(timer))
      socket.write(Buffer.from('3084000fffff', 'hex'))
    })
    const began = performance.now()
    expect(await ask(server)).toEqual({ kind: 'unavailable', detail: 'took too long' })
    expect(performance.now() - began).toBeLessThan(1_500)
  })

  test('closes its half at once', async () => {
    expect(await ask(await raw((socket) => socket.end()))).toMatchObject({ kind: 'unavailable' })
  })
})

test('entries without end are cut, and those that came are taken', async () => {
  const server = await served(entries, {
    twist({ id, operation }, socket) {
      if (operation !== 'search ou=dcdt') return false
      socket.write(
        Buffer.concat(Array.from({ length: 100 }, () => ldapEntry(id, { 'userCertificate;binary': [der1] }))),
      )
      return true
    },
  })
  const answer = await ask(server)
  expect(answer.kind === 'found' && answer.certificates.length).toBe(ldapLimits.entries)
})

test('messages come in any pieces, with lengths of any width', async () => {
  const wide = (bytes: Uint8Array) => {
    const body = Buffer.from(bytes).subarray((bytes[1] ?? 0) < 0x80 ? 2 : 2 + ((bytes[1] ?? 0) & 0x7f))
    const length = Buffer.alloc(4)
    length.writeUInt32BE(body.length)
    return Buffer.concat([Buffer.from([0x30, 0x84]), length, body])
  }
  const server = await served(entries, {
    twist({ id, operation }, socket) {
      const said =
        operation === 'bind'
          ? [ldapResult(id, 0x61, 0)]
          : [
              ldapEntry(
                id,
                operation === 'search ' ? { namingContexts: [Buffer.from('o=x')] } : { userCertificate: [der1] },
              ),
              ldapResult(id, 0x65, 0),
            ]
      const bytes = Buffer.concat(said.map(wide))
      let at = 0
      const timer = setInterval(() => {
        socket.write(bytes.subarray(at, at + 7))
        at += 7
        if (at >= bytes.length) clearInterval(timer)
      }, 1)
      return true
    },
  })
  expect(await ask(server, mail, { searchMs: 2_000 })).toMatchObject({ kind: 'found' })
})

test('no search outlives the patience of who asks', async () => {
  const server = await raw(() => {})
  const began = performance.now()
  const patient = openLdap()({ address: '127.0.0.1', port: server.port }, mail, patienceOf(150))
  expect(await patient).toMatchObject({ kind: 'unavailable' })
  expect(performance.now() - began).toBeLessThan(1_000)
})

describe('hostile bytes', () => {
  const honest = Buffer.from(ldapEntry(3, { 'userCertificate;binary': [der1, der2], mail: [Buffer.from(mail)] }))

  test('throw nothing but the error that is caught', () => {
    const harmless = (bytes: Uint8Array) => {
      try {
        const size = messageSize(bytes)
        if (size !== undefined && size <= bytes.length) readLdapMessage(bytes.subarray(0, size))
      } catch (error) {
        expect(error).toBeInstanceOf(Asn1Error)
      }
    }
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), harmless), { numRuns: 2_000 })
    const changes = fc.array(fc.tuple(fc.nat(honest.length - 1), fc.nat(255)), { minLength: 1, maxLength: 5 })
    fc.assert(
      fc.property(changes, (list) => {
        const bytes = Buffer.from(honest)
        for (const [at, to] of list) bytes[at] = to
        harmless(bytes)
      }),
      { numRuns: 3_000 },
    )
  })

  test('the unchanged message reads', () => {
    expect(messageSize(honest)).toBe(honest.length)
    expect(readLdapMessage(honest)).toMatchObject({
      id: 3,
      kind: 'entry',
      attributes: [{ description: 'usercertificate;binary' }, { description: 'mail' }],
    })
  })

  test('of a thousand values are refused', () => {
    const values = Array.from({ length: ldapMessageLimits.values + 1 }, () => der1)
    expect(() => readLdapMessage(ldapEntry(3, { userCertificate: values }))).toThrow(Asn1Error)
  })
})

describe('servers of a domain', () => {
  const at = (target: string, priority: number, weight: number, port = 389) => ({ target, priority, weight, port })

  test('come by priority, then by weight, heaviest first, then by name, whatever order they were answered in', () => {
    const sorted = [
      at('d.test', 0, 100),
      at('b.test', 0, 5),
      at('a.test', 0, 0),
      at('c.test', 0, 0),
      at('e.test', 1, 900),
    ]
    fc.assert(
      fc.property(fc.shuffledSubarray(sorted, { minLength: 5 }), (shuffled) => {
        expect(inOrder(shuffled, { servers: 9 })).toEqual(sorted)
      }),
      { numRuns: 50 },
    )
  })

  test('are limited, and each counts once, where it comes first', () => {
    const many = Array.from({ length: 50 }, (_, i) => at(`s${i}.test`, i, 0))
    expect(inOrder(many)).toEqual(many.slice(0, 4))
    expect(inOrder([at('a.test', 2, 0), at('a.test', 1, 0)])).toEqual([at('a.test', 1, 0)])
  })

  test('that are the root, no host names or without a port are left out', () => {
    expect(inOrder([at('', 0, 0), at('a b.test', 0, 0), at('x\\046y.test', 0, 0), at('a.test', 0, 0, 0)])).toEqual([])
  })
})
