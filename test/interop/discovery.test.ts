import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { DirectAddress } from '../../src/direct/address.js'
import { openDiscovery } from '../../src/resolve/discovery.js'
import { openNameServers } from '../../src/resolve/dns.js'
import { fetchWithin } from '../../src/resolve/fetch.js'
import { openLdap } from '../../src/resolve/ldap.js'
import { patienceOf } from '../../src/resolve/patience.js'
import { base, cases, certificates, certRecords, ldapEntries, namesOf, told } from '../resolve/discovery-world.js'
import { ready } from '../setup/programs.mjs'
import { type RealWorld, startRealWorld } from './discovery-programs.js'

const missing = (['bind', 'dig', 'slapd'] as const).filter((name) => !ready(name))
const group = missing.length > 0 ? `discovery from real servers (SKIPPED: no ${missing.join(', ')})` : 'discovery'

describe.skipIf(missing.length > 0)(group, () => {
  let world: RealWorld
  beforeAll(async () => {
    world = await startRealWorld()
  })
  afterAll(() => world?.close())

  const random = { bytes: (size: number) => randomBytes(size) }
  const serversAt = (port: number) => openNameServers({ servers: [`127.0.0.1:${port}`], random })
  const dig = (port: number, ...words: string[]) =>
    execFileSync('dig', ['@127.0.0.1', '-p', String(port), '+tries=1', '+time=5', ...words], { encoding: 'utf8' })

  test.each(['narrowDnsPort', 'dnsPort'] as const)(
    'of all cases ends as it must, from BIND (%s) and OpenLDAP',
    async (port) => {
      const directory = openDiscovery({
        dns: serversAt(world[port]),
        ldap: openLdap(),
        fetch: fetchWithin(),
        clock: { now: () => Date.now() },
        allowPrivate: true,
      })
      const ends = await Promise.all(
        cases.map(async ([name, address]) => {
          const end = await directory.of(address)
          if (end.kind !== 'found') return [name, { kind: end.kind }]
          const { kind, source, binding } = end
          return [name, { kind, source, binding, names: namesOf(end.certificates) }]
        }),
      )
      expect(ends).toEqual(cases.map(([name, , expected]) => [name, told(expected)]))
    },
  )

  test('BIND really truncates what we then ask for over TCP', () => {
    expect(dig(world.narrowDnsPort, '+ignore', '+bufsize=1232', `d1.domain1.${base}`, 'CERT')).toMatch(/flags:[^;]* tc/)
    expect(dig(world.dnsPort, '+ignore', '+bufsize=1232', `d1.domain1.${base}`, 'CERT')).not.toMatch(/flags:[^;]* tc/)
    expect(dig(world.dnsPort, '+ignore', '+bufsize=1232', `d14.domain1.${base}`, 'CERT')).toMatch(/flags:[^;]* tc/)
  })

  test('what dig reads of each name, we read', async () => {
    const dns = serversAt(world.dnsPort)
    for (const [owner, own] of Object.entries(certRecords)) {
      const shown = dig(world.dnsPort, '+short', '+tcp', `${owner}.${base}`, 'CERT').trim().split('\n')
      const bodies = shown.map((line) => line.split(' ').slice(3).join('')).sort()
      const answer = await dns.ask(`${owner}.${base}`, 'CERT', patienceOf(5_000))
      const ours = answer.kind === 'records' ? answer.records.map((rdata) => rdata.subarray(5)) : []
      expect(ours.map((der) => Buffer.from(der).toString('base64')).sort()).toEqual(bodies)
      expect(ours).toHaveLength(own.length)
    }
  })

  test('names without records, names that are not there, and zones that are not theirs are told apart', async () => {
    const dns = serversAt(world.dnsPort)
    const ask = async (name: string) => dns.ask(name, 'CERT', patienceOf(5_000))
    expect(await ask(`ldap.${base}`)).toEqual({ kind: 'none', detail: 'no CERT record', ttlSeconds: 300 })
    expect(await ask(`gone.${base}`)).toEqual({ kind: 'none', detail: 'no such name', ttlSeconds: 300 })
    expect(await ask('elsewhere.example')).toEqual({ kind: 'unavailable', detail: expect.stringMatching(/REFUSED/) })
    expect(await ask(`alias.domain1.${base}`)).toMatchObject({ kind: 'records' })
  })

  test('where our server does not tell, the servers of the zone do', async () => {
    // A forwarder that refuses the type CERT, as some do, and knows the rest.
    const { startDns } = await import('../resolve/discovery-dns-server.js')
    const forwarder = await startDns({
      [`CERT d1.domain1.${base}`]: 'NOTIMP',
      [`NS ${base}`]: [`ns1.${base}`],
      [`A ns1.${base}`]: ['127.0.0.1'],
    })
    const dns = openNameServers({
      servers: [`127.0.0.1:${forwarder.port}`],
      random,
      allowPrivate: true,
      zonePort: world.narrowDnsPort,
    })
    const answer = await dns.ask(`d1.domain1.${base}`, 'CERT', patienceOf(5_000))
    await forwarder.close()
    expect(answer.kind === 'records' && namesOf(answer.records.map((rdata) => rdata.subarray(5)))).toEqual(['D1_valA'])
  })

  test('characters that mean something in a filter find nothing, and break nothing', async () => {
    const ldap = openLdap()
    const port = world.ldapPorts.ldap1
    const ask = (mail: string) => ldap({ address: '127.0.0.1', port }, mail, patienceOf(5_000))
    for (const mail of ['*', '*)(mail=*', ')(|(mail=*)', '\\2a', "!#$%&'*+/=?^_`{|}~-@clinic.test", '(', '\0'])
      expect(await ask(mail)).toEqual({ kind: 'none' })
    for (const [name, mail] of ldapEntries.ldap1) {
      const answer = await ask(mail.toUpperCase())
      expect(answer.kind === 'found' && namesOf(answer.certificates)).toContain(name)
    }
    expect(await ask(`d3@domain2.${base}` as DirectAddress)).toEqual({
      kind: 'found',
      certificates: [Uint8Array.from(certificates.D3_valC)],
    })
  })
})
