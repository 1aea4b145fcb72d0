import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { certRecord } from '../../src/publish/cert-record.js'
import type { NameServer } from '../../src/publish/name-server.js'
import { type Identity, makeAuthority, makeLeaf } from '../fixtures/pki.js'
import { found, type Running, says, startNamed } from '../publish/programs.js'
import { serveNames, tablePublications, zone } from '../publish/worlds.js'

/** dig asks our server and BIND, which has the same zone in its own file: the answers must be the same. */

const missing = [!found.named && 'named', !found.dig && 'dig'].filter(Boolean)
const name = `the name server beside BIND${missing.length > 0 ? ` (SKIPPED: no ${missing.join(', no ')})` : ''}`

/** What dig prints for one question, or for several on one command line. */
async function digs(port: number, ...words: readonly string[]) {
  const usual = ['@127.0.0.1', '-p', String(port), '+tries=1', '+time=2', '+nocookie']
  return says(found.dig ?? 'dig', ...usual, ...words)
}

/** One answer as dig tells it, without what may differ: times, sizes, serials, order within a section. */
function told(out: string) {
  const sections: Record<string, string[]> = {}
  let section = ''
  for (const line of out.split('\n')) {
    const heading = /^;; (\w+) SECTION:/.exec(line)?.[1]
    if (heading) section = heading
    else if (line === '') section = ''
    else if (section !== '' && !line.startsWith(';'))
      sections[section] = [
        ...(sections[section] ?? []),
        line.replace(/\s+/g, ' ').replace(/(SOA \S+ \S+) \d+/, '$1 N'),
      ].sort()
  }
  // AD means nothing from a server that is the authority; BIND sets it in some answers.
  const flags = /flags: ([a-z ]*);/.exec(out)?.[1]?.replace(' ad', '').trim()
  const edns = /EDNS: (version: \d+, flags:[^;]*)/.exec(out)?.[1]
  return { header: /status: (\w+), id/.exec(out)?.[1], flags, edns, sections, out }
}

const dig = async (port: number, ...words: readonly string[]) => told((await digs(port, ...words)).out)

let authority: Identity
let pat: Identity
let house: Identity
let large: Identity
let doe: Identity
let ours: NameServer
let bind: Running

const owners = () =>
  [
    ['pat@clinic.example', pat],
    ['large@clinic.example', large],
    ['clinic.example', house],
    ['john.q.doe@clinic.example', doe],
  ] as const

describe.skipIf(missing.length > 0)(name, () => {
  beforeAll(async () => {
    authority = makeAuthority({ keyType: 'rsa2048' })
    pat = makeLeaf(authority, { san: { email: ['pat@clinic.example'] } })
    large = makeLeaf(authority, { san: { email: ['large@clinic.example'] }, keyType: 'rsa3072' })
    house = makeLeaf(authority, { san: { dns: ['clinic.example'] } })
    doe = makeLeaf(authority, { san: { email: ['john.q.doe@clinic.example'] }, keyType: 'p256' })
    const table = new Map(owners().map(([owner, { certificate }]) => [owner as string, [certificate]]))
    ours = await serveNames({ publications: tablePublications(['clinic.example'], table).publications })
    bind = await startNamed('clinic.example', [
      '$ORIGIN clinic.example.',
      '$TTL 300',
      '@ SOA ns1 hostmaster 1 3600 600 604800 60',
      '@ NS ns1',
      '@ NS ns2.elsewhere.example.',
      ...(zone.records ?? []),
      ...owners().map(([owner, { certificate }]) => `${owner.replace('@', '.')}. CERT ${presented(certificate)}`),
    ])
  })
  afterAll(async () => {
    await ours?.close()
    await bind?.stop()
  })

  /** A CERT record as a zone file has it. */
  function presented(der: Uint8Array): string {
    const { data } = certRecord(der) ?? { data: Buffer.alloc(5) }
    const bytes = Buffer.from(data)
    return `PKIX ${bytes.readUInt16BE(2)} ${bytes[4]} ${bytes.subarray(5).toString('base64')}`
  }

  const names = [
    '',
    'ns1.',
    'mail.',
    'www.',
    'web.',
    'out.',
    '_tcp.',
    '_ldap._tcp.',
    'one.',
    'deep.one.',
    'a.deep.one.',
  ]
  const more = [
    'b.one.',
    'pat.',
    'PAT.',
    'x.pat.',
    'large.',
    'doe.',
    'q.doe.',
    'john.q.doe.',
    'nobody.',
    'no.such.name.',
    '*.',
  ]
  const kinds = [
    'A',
    'AAAA',
    'NS',
    'SOA',
    'MX',
    'TXT',
    'SRV',
    'CAA',
    'CNAME',
    'CERT',
    'DS',
    'DNSKEY',
    'HINFO',
    'TYPE65280',
    'PTR',
  ]

  /** BIND adds no addresses with minimal responses, and keeps the case of the zone file in answers. */
  function compared(out: string) {
    const { header, flags, sections, edns } = told(out)
    const answer = sections['ANSWER']?.map((line) => line.replace(/^\S+/, (text) => text.toLowerCase()))
    return { header, flags, edns, answer, authority: sections['AUTHORITY'] }
  }

  test('answers a table of questions as BIND does, over UDP and TCP', async () => {
    const differing: unknown[] = []
    for (const [i, owner] of [...names, ...more].entries()) {
      // Each name with all types over one transport or the other, so that both see every name and type.
      const how = (j: number) => ((i + j) % 2 === 0 ? ['+tcp'] : ['+notcp', '+ignore', '+bufsize=1232'])
      const asked = kinds.map((kind, j) => [`${owner}clinic.example`, kind, '+norecurse', ...how(j)])
      // Where a datagram is lost on a busy machine, dig prints its own question: then once more.
      const answersOf = async (port: number, triesLeft = 3): Promise<ReturnType<typeof compared>[]> => {
        const { out } = await digs(port, ...asked.flat())
        const answers = out
          .split(/^;; ->>HEADER<<-/m)
          .slice(1)
          .map(compared)
        const isWhole = answers.length === kinds.length && answers.every(({ flags }) => /\bqr\b/.test(flags ?? ''))
        return isWhole || triesLeft === 1 ? answers : answersOf(port, triesLeft - 1)
      }
      const [us, them] = await Promise.all([answersOf(ours.port), answersOf(bind.port)])
      expect([us.length, them.length]).toEqual([kinds.length, kinds.length])
      for (const [j, words] of asked.entries())
        if (JSON.stringify(us[j]) !== JSON.stringify(them[j]))
          differing.push({ words: words.join(' '), us: us[j], them: them[j] })
    }
    expect(differing).toEqual([])
  })

  test.each([
    ['elsewhere.example', 'A'],
    ['.', 'NS'],
    ['clinic.example', 'A', '-c', 'CH'],
    ['version.bind', 'TXT', '-c', 'CH'],
    ['clinic.example', 'AXFR'],
    ['clinic.example', 'IXFR=1', '+tcp'],
    ['clinic.example', 'A', '+edns=1', '+noednsneg'],
    ['clinic.example', 'A', '+ednsopt=65001:0102'],
    ['clinic.example', 'A', '+noedns'],
    ['clinic.example', 'A', '+opcode=NOTIFY'],
    ['large.clinic.example', 'CERT', '+notcp', '+ignore', '+noedns'],
    ['clinic.example', 'MX', '+dnssec'],
  ])('%s %s %s is answered with the code and flags of BIND', async (...words) => {
    const asked = words.filter((word) => word !== undefined)
    const [us, them] = await Promise.all([dig(ours.port, ...asked), dig(bind.port, ...asked)])
    const brief = ({ header, flags, edns, out, sections }: typeof us) => ({
      header,
      flags,
      edns,
      failed: /Transfer failed/.test(out),
      answers: sections['ANSWER']?.length ?? 0,
    })
    if (asked[0] === 'version.bind') expect(us.header).toBe('REFUSED')
    else if (asked.includes('+opcode=NOTIFY')) expect(us.header).toBe('NOTIMP')
    else expect(brief(us)).toEqual(brief(them))
  })

  test('a certificate found by dig is the one published, and OpenSSL holds it good (H1, H2)', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'dg-found-'))
    try {
      writeFileSync(join(folder, 'anchor.pem'), authority.certificatePem)
      for (const [owner, identity] of owners()) {
        const { out } = await says(
          found.dig ?? 'dig',
          '@127.0.0.1',
          '-p',
          String(ours.port),
          owner.replace('@', '.'),
          'CERT',
          '+short',
        )
        const [, keyTag = '', algorithm = '', ...base64] = out.trim().split(/\s+/)
        const der = Buffer.from(base64.join(''), 'base64')
        expect(der.equals(identity.certificate)).toBe(true)
        expect(Number(keyTag)).toBeGreaterThan(0)
        expect(algorithm).toMatch(/^(8|RSASHA256|13|ECDSAP256SHA256)$/)
        writeFileSync(join(folder, 'found.der'), der)
        const pem = await says(
          'openssl',
          'x509',
          '-inform',
          'DER',
          '-in',
          join(folder, 'found.der'),
          '-out',
          join(folder, 'found.pem'),
        )
        expect(pem.code).toBe(0)
        const { out: verdict } = await says(
          'openssl',
          'verify',
          '-CAfile',
          join(folder, 'anchor.pem'),
          join(folder, 'found.pem'),
        )
        expect(verdict).toContain('OK')
      }
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

  test("the key tag is the one that BIND's tools give the same key as a DNSKEY", async () => {
    for (const identity of [pat, large, doe]) {
      const { data } = certRecord(identity.certificate) ?? { data: Buffer.alloc(5) }
      const bytes = Buffer.from(data)
      const jwk = identity.privateKey.export({ format: 'jwk' })
      const part = (text = '') => Buffer.from(text, 'base64url')
      const key = jwk.kty === 'RSA' ? [Buffer.from([3]), part(jwk.e), part(jwk.n)] : [part(jwk.x), part(jwk.y)]
      const served = await startNamed('key.example', [
        '$ORIGIN key.example.',
        '$TTL 300',
        '@ SOA ns1 hostmaster 1 3600 600 604800 60',
        '@ NS ns1',
        'ns1 A 192.0.2.1',
        `@ DNSKEY 256 3 ${bytes[4]} ${Buffer.concat(key).toString('base64')}`,
      ])
      const { out } = await says(
        found.dig ?? 'dig',
        '@127.0.0.1',
        '-p',
        String(served.port),
        'key.example',
        'DNSKEY',
        '+multiline',
      )
      await served.stop()
      expect(out).toContain(`key id = ${bytes.readUInt16BE(2)}`)
    }
  })

  test('dig falls back to TCP by itself where a datagram is too small', async () => {
    const { header, sections, out } = await dig(ours.port, 'large.clinic.example', 'CERT', '+noedns')
    expect({ header, answers: sections['ANSWER']?.length }).toEqual({ header: 'NOERROR', answers: 1 })
    expect(out).toContain('Truncated, retrying in TCP mode')
  })

  test('ANY gets HINFO over both transports', async () => {
    for (const how of ['+tcp', '+notcp'])
      expect((await dig(ours.port, 'pat.clinic.example', 'ANY', how)).sections['ANSWER']).toEqual([
        'pat.clinic.example. 300 IN HINFO "RFC8482" ""',
      ])
  })

  test('the table finds out a server that gives a zone away', async () => {
    // The seeded bug: BIND, told to let transfers.
    const open = await startNamed(
      'open.example',
      [
        '$ORIGIN open.example.',
        '$TTL 300',
        '@ SOA ns1 hostmaster 1 3600 600 604800 60',
        '@ NS ns1',
        'ns1 A 192.0.2.1',
        'secret A 192.0.2.9',
      ],
      'any',
    )
    const given = await dig(open.port, 'open.example', 'AXFR')
    await open.stop()
    expect(given.out).toContain('secret.open.example')
    for (const how of ['+tcp', '+notcp'])
      expect((await dig(ours.port, 'clinic.example', 'AXFR', how)).out).not.toContain('IN\tA')
  })
})
