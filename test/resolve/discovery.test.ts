import { randomBytes } from 'node:crypto'
import { afterEach, describe, expect, test } from 'vitest'
import type { DirectAddress } from '../../src/direct/address.js'
import { undecided } from '../../src/direct/refusal.js'
import type { CertificateDirectory, Discovered } from '../../src/ports/trust.js'
import { certNameOf, readCertRecord } from '../../src/resolve/cert.js'
import { type DiscoveryOptions, discoveryLimits, firstOf, openDiscovery } from '../../src/resolve/discovery.js'
import { openMemory } from '../../src/resolve/discovery-memory.js'
import { openTurns, openTurnsByKey } from '../../src/resolve/discovery-turns.js'
import { openNameServers } from '../../src/resolve/dns.js'
import type { Fetched } from '../../src/resolve/fetch.js'
import { openLdap } from '../../src/resolve/ldap.js'
import { makeAuthority, makeLeaf } from '../fixtures/pki.js'
import { cert, type DnsOptions, type DnsServer, type Rows, startDns } from './discovery-dns-server.js'
import { type LdapEntry, type LdapOptions, type LdapServer, startLdap } from './discovery-ldap-server.js'

const address = 'drbob@clinic.test' as DirectAddress
const root = makeAuthority()
const [one, two] = [makeLeaf(root, { keyType: 'p256' }).certificate, makeLeaf(root, { keyType: 'p256' }).certificate]
const random = { bytes: (size: number) => randomBytes(size) }

const open: { close(): Promise<void> }[] = []
let now = 1_800_000_000_000
afterEach(async () => {
  for (const server of open.splice(0)) await server.close()
})

interface World {
  readonly rows?: Rows | (() => Rows)
  readonly dns?: DnsOptions
  readonly entries?: readonly LdapEntry[]
  readonly ldap?: LdapOptions
  readonly fetched?: Readonly<Record<string, Fetched>>
  readonly options?: Partial<DiscoveryOptions>
}

/** A domain of its own, with one LDAP server, as far as the world tells. */
async function discoveryIn({
  rows = {},
  dns: dnsOptions = {},
  entries,
  ldap: ldapOptions,
  fetched = {},
  options = {},
}: World) {
  let ldap: LdapServer | undefined
  const more: Record<string, readonly unknown[]> = {}
  if (entries) {
    ldap = await startLdap(entries, ldapOptions)
    open.push(ldap)
    more['SRV _ldap._tcp.clinic.test'] = [{ priority: 0, weight: 0, port: ldap.port, target: 'ldap.clinic.test' }]
    more['A ldap.clinic.test'] = ['127.0.0.1']
  }
  const dns: DnsServer = await startDns(
    () => ({ ...more, ...(typeof rows === 'function' ? rows() : rows) }),
    dnsOptions,
  )
  open.push(dns)
  const directory = openDiscovery({
    dns: openNameServers({ servers: [`127.0.0.1:${dns.port}`], random, limits: { timeoutMs: 200, attempts: 1 } }),
    ldap: openLdap({ limits: { connectMs: 200, searchMs: 200 } }),
    fetch: async (url) => fetched[url] ?? { kind: 'unreachable', detail: `${url} is not there` },
    clock: { now: () => now },
    allowPrivate: true,
    ...options,
  })
  const ask = async (who = address) => {
    const end = await directory.of(who)
    const told = end.steps.map(({ source, binding, outcome }) => `${source} ${binding} ${outcome}`)
    return { ...end, told }
  }
  return { directory, ask, dns, ldap }
}

const fresh = (der: Uint8Array) => Uint8Array.from(der)

describe('the order', () => {
  test('is DNS before LDAP, the address before its domain, each told as a step', async () => {
    const { ask, dns, ldap } = await discoveryIn({ entries: [{ mail: 'clinic.test', values: [one] }] })
    const end = await ask()
    expect(end).toMatchObject({ kind: 'found', source: 'ldap', binding: 'domain', certificates: [fresh(one)] })
    expect(end.told).toEqual(['dns address none', 'dns domain none', 'ldap address none', 'ldap domain found'])
    expect(end.steps.map(({ place }) => place)).toEqual([
      'CERT drbob.clinic.test',
      'CERT clinic.test',
      `mail=drbob@clinic.test at ldap.clinic.test:${ldap?.port}`,
      `mail=clinic.test at ldap.clinic.test:${ldap?.port}`,
    ])
    expect(dns.asked.filter((line) => line.includes('CERT'))).toEqual([
      'udp CERT drbob.clinic.test',
      'udp CERT clinic.test',
    ])
  })

  test('stops at what is found, also where it is no certificate at all', async () => {
    const { ask, dns } = await discoveryIn({
      rows: { 'CERT drbob.clinic.test': [cert('rubbish')], 'CERT clinic.test': [cert(one)] },
      entries: [{ mail: address, values: [two] }],
    })
    expect(await ask()).toMatchObject({
      kind: 'found',
      binding: 'address',
      certificates: [fresh(Buffer.from('rubbish'))],
    })
    expect(dns.asked).toHaveLength(1)
  })

  test('passes from CERT records of other kinds on to the next place', async () => {
    const { ask } = await discoveryIn({
      rows: {
        'CERT drbob.clinic.test': [cert('key', 3), cert('key', 2)],
        'CERT clinic.test': [cert(one), cert('k', 3)],
      },
    })
    expect(await ask()).toMatchObject({ kind: 'found', binding: 'domain', certificates: [fresh(one)] })
  })

  test('ends with none where nobody has any', async () => {
    expect(await (await discoveryIn({})).ask()).toMatchObject({
      kind: 'none',
      told: ['dns address none', 'dns domain none', 'ldap address none', 'ldap domain none'],
    })
  })
})

describe('what does not answer leaves the search open, and nothing weaker is asked', () => {
  const strong = { 'CERT clinic.test': [cert(one)] }
  const waiting = { kind: 'undecided', cause: 'certificate-discovery-unavailable' }

  test.each(['SERVFAIL', 'REFUSED', 'silent', 'referral'] as const)('DNS that says %s', async (how) => {
    const { ask, dns } = await discoveryIn({ rows: { ...strong, 'CERT drbob.clinic.test': how } })
    expect(await ask()).toMatchObject({ ...waiting, told: ['dns address unavailable'] })
    expect(dns.asked).not.toContain('udp CERT clinic.test')
  })

  test('DNS of the domain', async () => {
    const { ask } = await discoveryIn({
      rows: { 'CERT clinic.test': 'SERVFAIL' },
      entries: [{ mail: address, values: [one] }],
    })
    expect(await ask()).toMatchObject({ ...waiting, told: ['dns address none', 'dns domain unavailable'] })
  })

  test('the SRV record', async () => {
    const { ask } = await discoveryIn({ rows: { 'SRV _ldap._tcp.clinic.test': 'SERVFAIL' } })
    expect(await ask()).toMatchObject({
      ...waiting,
      told: ['dns address none', 'dns domain none', 'ldap address unavailable'],
    })
  })

  test('the address of the only LDAP server', async () => {
    const { ask } = await discoveryIn({ rows: { 'A ldap.clinic.test': 'SERVFAIL' }, entries: [] })
    expect(await ask()).toMatchObject(waiting)
  })

  test('the only LDAP server', async () => {
    const { ask } = await discoveryIn({
      entries: [{ mail: 'clinic.test', values: [one] }],
      ldap: { twist: () => true },
    })
    const end = await ask()
    expect(end).toMatchObject({
      ...waiting,
      detail: expect.stringMatching(/mail=drbob@clinic\.test at .*took too long/),
    })
    expect(end.told.at(-1)).toBe('ldap address unavailable')
  })

  test('what a CERT record points to, unless a certificate stands beside it', async () => {
    const pointing = cert('http://certs.test/bob.cer', 4)
    const alone = await discoveryIn({ rows: { ...strong, 'CERT drbob.clinic.test': [pointing] } })
    expect(await alone.ask()).toMatchObject({ ...waiting, detail: expect.stringMatching(/is not there/) })
    const beside = await discoveryIn({ rows: { ...strong, 'CERT drbob.clinic.test': [pointing, cert(two)] } })
    expect(await beside.ask()).toMatchObject({ kind: 'found', binding: 'address', certificates: [fresh(two)] })
  })

  test('all of it within the deadline', async () => {
    const { ask } = await discoveryIn({
      rows: { 'CERT drbob.clinic.test': 'silent' },
      options: { limits: { deadlineMs: 50 } },
    })
    const began = performance.now()
    expect(await ask()).toMatchObject(waiting)
    expect(performance.now() - began).toBeLessThan(1_000)
  })
})

describe('LDAP servers', () => {
  const gone = { priority: 0, weight: 0, port: 10_389, target: 'gone.clinic.test' }

  async function withSecond(first: object, world: World) {
    const second = await startLdap(world.entries ?? [])
    open.push(second)
    const last = { priority: 9, weight: 0, port: second.port, target: 'second.clinic.test' }
    const { entries: _, ...rest } = world
    const rows = { 'A second.clinic.test': ['127.0.0.1'], 'SRV _ldap._tcp.clinic.test': [last, first], ...world.rows }
    return { second, ...(await discoveryIn({ ...rest, rows })) }
  }

  test.each<[string, object, Rows]>([
    ['has no address', gone, {}],
    ['has one that does not answer', { ...gone, port: 1_024 }, { 'A gone.clinic.test': ['127.0.0.1'] }],
    ['cannot be looked up', gone, { 'A gone.clinic.test': 'SERVFAIL' }],
    ['has a port of another protocol', { ...gone, port: 25 }, { 'A gone.clinic.test': ['127.0.0.1'] }],
  ])('are tried one after another where the first %s', async (_, first, rows) => {
    const { ask } = await withSecond(first, { rows, entries: [{ mail: address, values: [one] }] })
    const end = await ask()
    expect(end).toMatchObject({ kind: 'found', source: 'ldap', binding: 'address' })
    expect(end.steps.at(-1)?.detail).toMatch(/gone\.clinic\.test/)
  })

  test('speak for the service as soon as one of them answers', async () => {
    const first = await startLdap([])
    open.push(first)
    const { ask, second } = await withSecond(
      { priority: 0, weight: 0, port: first.port, target: 'first.clinic.test' },
      { rows: { 'A first.clinic.test': ['127.0.0.1'] }, entries: [{ mail: address, values: [one] }] },
    )
    expect(await ask()).toMatchObject({ kind: 'none' })
    expect(second.asked).toEqual([])
  })

  test('that cannot be there are none: without address, and on private ones unless allowed', async () => {
    const { ask } = await discoveryIn({ rows: { 'SRV _ldap._tcp.clinic.test': [gone] } })
    expect(await ask()).toMatchObject({ kind: 'none' })
    const inside = await discoveryIn({ entries: [{ mail: address, values: [one] }], options: { allowPrivate: false } })
    const end = await inside.ask()
    expect(end).toMatchObject({ kind: 'none' })
    expect(end.steps.at(-1)?.detail).toMatch(/127\.0\.0\.1 is not a public address/)
    expect(inside.ldap?.asked).toEqual([])
  })

  test('are none where the record names the root', async () => {
    const rows = { 'SRV _ldap._tcp.clinic.test': [{ priority: 0, weight: 0, port: 0, target: '.' }] }
    expect(await (await discoveryIn({ rows })).ask()).toMatchObject({ kind: 'none' })
  })
})

describe('a CERT record that points to its certificate', () => {
  const url = 'http://certs.test/bob'
  const rows = { 'CERT drbob.clinic.test': [cert(`${url}\0`, 4)] }
  const fetchedAs = (body: Uint8Array) => ({ [url]: { kind: 'fetched' as const, body: Buffer.from(body) } })

  test('brings it', async () => {
    const { ask } = await discoveryIn({ rows, fetched: fetchedAs(one) })
    expect(await ask()).toMatchObject({ kind: 'found', binding: 'address', certificates: [fresh(one)] })
  })

  test('brings what is no certificate as well, so that it is not passed over', async () => {
    const { ask } = await discoveryIn({ rows, fetched: fetchedAs(Buffer.from('<html>')) })
    const end = await ask()
    expect(end.kind === 'found' && end.certificates.map((der) => Buffer.from(der).toString())).toEqual(['<html>'])
  })
})

describe('an address with a tag', () => {
  const tagged = 'drbob+ward@clinic.test' as DirectAddress

  test('is looked for as it is, then without it, then its domain', async () => {
    const { ask, dns } = await discoveryIn({ rows: { 'CERT clinic.test': [cert(one)] } })
    expect(await ask(tagged)).toMatchObject({ kind: 'found', binding: 'domain' })
    expect(dns.asked).toEqual(['udp CERT drbob+ward.clinic.test', 'udp CERT drbob.clinic.test', 'udp CERT clinic.test'])
  })

  test('and its certificates win over those without', async () => {
    const rows = { 'CERT drbob+ward.clinic.test': [cert(two)], 'CERT drbob.clinic.test': [cert(one)] }
    expect(await (await discoveryIn({ rows })).ask(tagged)).toMatchObject({ certificates: [fresh(two)] })
  })
})

test.each<[string, string]>([
  ['first.last@clinic.test', 'first.last.clinic.test'],
  ["o'neil!#$%@clinic.test", "o'neil!#$%.clinic.test"],
  ['clinic.test', 'clinic.test'],
])('%s is looked for as %s', async (who, name) => {
  expect(certNameOf(who as DirectAddress)).toBe(name)
  const { ask } = await discoveryIn({ rows: { [`CERT ${name}`]: [cert(one)] } })
  if (who.includes('@')) expect(await ask(who as DirectAddress)).toMatchObject({ kind: 'found', binding: 'address' })
})

test('a local part that is no label has none in DNS, and is looked for in LDAP', async () => {
  const long = `${'a'.repeat(64)}@clinic.test` as DirectAddress
  const { ask } = await discoveryIn({ entries: [{ mail: long, values: [one] }] })
  const end = await ask(long)
  expect(end).toMatchObject({ kind: 'found', source: 'ldap', binding: 'address' })
  expect(end.steps[0]?.detail).toBe('not a name that DNS can hold')
})

test('a certificate that stands there twice counts once, and their number is limited', async () => {
  const many = Array.from({ length: 50 }, (_, i) => cert(Buffer.from([i])))
  const { ask } = await discoveryIn({ rows: { 'CERT drbob.clinic.test': [cert(one), cert(one), cert(two)] } })
  expect(await ask()).toMatchObject({ certificates: [fresh(one), fresh(two)] })
  const crowd = await (await discoveryIn({ rows: { 'CERT drbob.clinic.test': many } })).ask()
  expect(crowd.kind === 'found' && crowd.certificates.length).toBe(32)
})

test('key tag and algorithm of a record are not believed', () => {
  const rdata = Uint8Array.from([0, 1, 0xff, 0xff, 0xff, ...one])
  expect(readCertRecord(rdata)).toEqual({ kind: 'certificate', der: Uint8Array.from(one) })
})

describe('answers are remembered', () => {
  const elsewhere = 'drann@clinic.test' as DirectAddress

  test('found ones for their TTL, and the domain serves all its addresses', async () => {
    const { ask, dns } = await discoveryIn({ rows: { 'CERT clinic.test': [cert(one)] }, dns: { ttl: 300 } })
    await ask()
    await ask(elsewhere)
    await ask()
    expect(dns.asked).toEqual(['udp CERT drbob.clinic.test', 'udp CERT clinic.test', 'udp CERT drann.clinic.test'])
    now += 301_000
    await ask()
    expect(dns.asked.slice(3)).toEqual(['udp CERT drbob.clinic.test', 'udp CERT clinic.test'])
  })

  test('but not where somebody asks for what was learnt since', async () => {
    let held = one
    const { directory, dns } = await discoveryIn({ rows: () => ({ 'CERT drbob.clinic.test': [cert(held)] }) })
    await directory.of(address)
    held = two
    now += 1_000
    expect(await directory.of(address)).toMatchObject({ certificates: [fresh(one)] })
    expect(await directory.of(address, now)).toMatchObject({ certificates: [fresh(two)] })
    expect(await directory.of(address, now)).toMatchObject({ certificates: [fresh(two)] })
    expect(dns.asked).toHaveLength(2)
  })

  test.each([
    [0, discoveryLimits.foundLeastMs],
    [2 ** 31 - 1, discoveryLimits.foundMostMs],
  ])('with a TTL of %d seconds for %d ms', async (ttl, keptMs) => {
    const { ask, dns } = await discoveryIn({ rows: { 'CERT drbob.clinic.test': [cert(one)] }, dns: { ttl } })
    await ask()
    now += keptMs - 1
    await ask()
    expect(dns.asked).toHaveLength(1)
    now += 1
    await ask()
    expect(dns.asked).toHaveLength(2)
  })

  test('none as long as the SOA record says, and failures for a few seconds', async () => {
    let failing = true
    const { ask, dns } = await discoveryIn({
      rows: () => (failing ? { 'CERT drbob.clinic.test': 'SERVFAIL' } : { 'CERT clinic.test': [cert(one)] }),
    })
    expect(await ask()).toMatchObject({ kind: 'undecided' })
    failing = false
    expect(await ask()).toMatchObject({ kind: 'undecided' })
    now += discoveryLimits.unavailableMs
    expect(await ask()).toMatchObject({ kind: 'found', binding: 'domain' })
    const before = dns.asked.length
    now += 59_000
    await ask()
    expect(dns.asked).toHaveLength(before)
    now += 2_000
    await ask()
    expect(dns.asked.slice(before)).toEqual(['udp CERT drbob.clinic.test'])
  })

  test('from LDAP, too', async () => {
    const { ask, ldap } = await discoveryIn({ entries: [{ mail: address, values: [one] }] })
    await ask()
    await ask()
    expect(ldap?.asked).toHaveLength(3)
  })

  test('and asked for once, however many ask at a time', async () => {
    const { ask, dns } = await discoveryIn({ rows: { 'CERT clinic.test': [cert(one)] } })
    const ends = await Promise.all([...Array(20)].map((_, i) => ask(i % 2 ? address : elsewhere)))
    expect(new Set(ends.map(({ kind }) => kind))).toEqual(new Set(['found']))
    expect(dns.asked).toHaveLength(3)
  })

  test('within limits of number and weight, the oldest giving way', async () => {
    const memory = openMemory<string>({ now: () => 5 }, { answers: 3, bytes: 1_000 })
    let loads = 0
    const load = (sizeBytes: number) => async () => ({ value: `${++loads}`, keepMs: 9, sizeBytes })
    for (const key of ['a', 'b', 'c', 'd']) await memory(key, load(1))
    expect(await memory('b', load(1))).toBe('2')
    expect(await memory('a', load(1))).toBe('5')
    await memory('heavy', load(999))
    expect(await memory('d', load(1))).toBe('7')
  })

  test('and not where the clock was set back', async () => {
    let at = 1_000
    const memory = openMemory<number>({ now: () => at })
    const load = async () => ({ value: at, keepMs: 100, sizeBytes: 1 })
    expect(await memory('a', load)).toBe(1_000)
    at = 500
    expect(await memory('a', load)).toBe(500)
  })
})

describe('searches take turns', () => {
  test('as many at a time as there are places, in the order in which they came', async () => {
    let [busy, most] = [0, 0]
    const begun: number[] = []
    const turns = openTurns(3)
    const work = (i: number) =>
      turns.take(async () => {
        begun.push(i)
        busy += 1
        most = Math.max(most, busy)
        await new Promise((resolve) => setTimeout(resolve, 2))
        busy -= 1
        if (i === 4) throw new Error('a bug')
      })
    const ends = await Promise.allSettled([...Array(12)].map((_, i) => work(i)))
    expect(most).toBe(3)
    expect(begun).toEqual([...Array(12)].map((_, i) => i))
    expect(ends.filter(({ status }) => status === 'rejected')).toHaveLength(1)
  })

  test('and one domain does not take those of others', async () => {
    const turnsOf = openTurnsByKey(1)
    let release = () => {}
    const stuck = turnsOf('slow').take(() => new Promise<void>((resolve) => (release = resolve)))
    const behind = turnsOf('slow').take(async () => 'behind')
    expect(await turnsOf('quick').take(async () => 'quick')).toBe('quick')
    release()
    await stuck
    expect(await behind).toBe('behind')
  })
})

describe('directories one after another', () => {
  const step = (place: string, outcome: 'found' | 'none' | 'unavailable') =>
    ({ source: 'imported', binding: 'address', place, outcome, detail: '' }) as const
  const saying = (end: Discovered): CertificateDirectory & { asked: number } => {
    const directory = {
      asked: 0,
      async of() {
        directory.asked += 1
        return end
      },
    }
    return directory
  }
  const none = (place: string) => saying({ kind: 'none', steps: [step(place, 'none')] })
  const found = () =>
    saying({ kind: 'found', source: 'imported', binding: 'address', certificates: [one], steps: [step('f', 'found')] })

  test('found and undecided stop, none leads to the next, and all steps are told', async () => {
    const [hit, open, after] = [
      found(),
      saying({ ...undecided('store-unavailable', 'gone'), steps: [step('u', 'unavailable')] }),
      found(),
    ]
    const end = await firstOf(none('a'), hit, after).of(address)
    expect(end).toMatchObject({ kind: 'found' })
    expect(end.steps.map(({ place }) => place)).toEqual(['a', 'f'])
    expect(await firstOf(none('a'), open, after).of(address)).toMatchObject({
      kind: 'undecided',
      cause: 'store-unavailable',
      steps: [{ place: 'a' }, { place: 'u' }],
    })
    expect(after.asked).toBe(0)
    expect(await firstOf(none('a'), none('b')).of(address)).toMatchObject({ kind: 'none', steps: [{}, {}] })
  })
})
