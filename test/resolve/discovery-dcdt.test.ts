import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { DirectAddress } from '../../src/direct/address.js'
import type { CertificateDirectory } from '../../src/ports/trust.js'
import { openDiscovery } from '../../src/resolve/discovery.js'
import { type NameServers, openNameServers } from '../../src/resolve/dns.js'
import { fetchWithin } from '../../src/resolve/fetch.js'
import { openLdap } from '../../src/resolve/ldap.js'
import { cert, type DnsServer, type Rows, startDns } from './discovery-dns-server.js'
import { type LdapServer, startLdap } from './discovery-ldap-server.js'
import {
  base,
  cases,
  certificates,
  certRecords,
  ldapEntries,
  namesOf,
  serviceRecords,
  told,
} from './discovery-world.js'

/** What a search ended with, in the words of the table. */
async function endOf(directory: CertificateDirectory, address: DirectAddress) {
  const end = await directory.of(address)
  if (end.kind !== 'found') return { kind: end.kind }
  const { kind, source, binding } = end
  return { kind, source, binding, names: namesOf(end.certificates) }
}

const random = { bytes: (size: number) => randomBytes(size) }
const clock = { now: () => Date.now() }

describe.each([
  ['a server that answers 512 octets at most', 512],
  ['a server of today', 1232],
])('the discovery cases, from %s', (_, udpBytes) => {
  let dns: DnsServer
  const ldap: LdapServer[] = []
  let rows: Rows

  beforeAll(async () => {
    const ports: number[] = []
    for (const entries of Object.values(ldapEntries)) {
      const server = await startLdap(entries.map(([name, mail]) => ({ mail, values: [certificates[name]] })))
      ldap.push(server)
      ports.push(server.port)
    }
    const [ldap1 = 0, ldap2 = 0, ldap3 = 0] = ports
    rows = {
      [`A ldap.${base}`]: ['127.0.0.1'],
      ...Object.fromEntries(
        Object.entries(certRecords).map(([name, own]) => [
          `CERT ${name}.${base}`,
          own.map((one) => cert(certificates[one])),
        ]),
      ),
      ...Object.fromEntries(
        serviceRecords({ ldap1, ldap2, ldap3 }).map(({ name, records }) => [`SRV ${name}`, records]),
      ),
    }
    dns = await startDns(() => rows, { udpBytes })
  })
  afterAll(async () => {
    await dns.close()
    for (const server of ldap) await server.close()
  })

  const servers = () => openNameServers({ servers: [`127.0.0.1:${dns.port}`], random, limits: { timeoutMs: 500 } })
  const discovery = (through: NameServers = servers()) =>
    openDiscovery({ dns: through, ldap: openLdap(), fetch: fetchWithin(), clock, allowPrivate: true })

  test.each(cases)('%s', async (_name, address, expected) => {
    expect(await endOf(discovery(), address)).toEqual(told(expected))
  })

  test('all at once', async () => {
    const directory = discovery()
    const ends = await Promise.all(cases.map(([, address]) => endOf(directory, address)))
    expect(ends).toEqual(cases.map(([, , expected]) => told(expected)))
  })

  test('D14 comes over TCP, and so does all that is too long for the server', async () => {
    dns.asked.length = 0
    await discovery().of(`d14@domain1.${base}` as DirectAddress)
    await discovery().of(`d1@domain1.${base}` as DirectAddress)
    const over = (name: string) =>
      dns.asked.filter((line) => line.endsWith(` ${name}.${base}`)).map((line) => line.slice(0, 3))
    expect(over('d14.domain1')).toEqual(['udp', 'tcp'])
    expect(over('d1.domain1')).toEqual(udpBytes === 512 ? ['udp', 'tcp'] : ['udp'])
  })

  test('nothing weaker is asked where something was found', async () => {
    dns.asked.length = 0
    await discovery().of(`d5@domain1.${base}` as DirectAddress)
    expect(new Set(dns.asked.map((line) => line.slice(4)))).toEqual(new Set([`CERT d5.domain1.${base}`]))
  })

  describe('with a fault sown', () => {
    /** The cases whose end is not the expected one. */
    async function wrong(directory: CertificateDirectory) {
      const missed: string[] = []
      for (const [name, address, expected] of cases) {
        const end = await endOf(directory, address)
        if (JSON.stringify(end) !== JSON.stringify(told(expected))) missed.push(name)
      }
      return missed
    }

    test('that takes the lighter server first, D16 tells', async () => {
      const through = servers()
      const lighterFirst: NameServers = {
        ...through,
        async ask(name, type, patience) {
          const answer = await through.ask(name, type, patience)
          if (type !== 'SRV' || answer.kind !== 'records') return answer
          const records = answer.records.map((record) =>
            typeof record === 'object' && 'weight' in record ? { ...record, weight: 65_535 - record.weight } : record,
          )
          return { ...answer, records }
        },
      }
      expect(await wrong(discovery(lighterFirst))).toEqual(['D8', 'D16'])
    })

    test('that takes a failing server for one that has nothing, a failure tells', async () => {
      const through = servers()
      const lenient: NameServers = {
        ...through,
        async ask(name, type, patience) {
          const answer = await through.ask(name, type, patience)
          return answer.kind === 'unavailable' ? { kind: 'none', detail: '', ttlSeconds: undefined } : answer
        },
      }
      const failing = rows
      rows = { ...rows, [`CERT d5.domain1.${base}`]: 'SERVFAIL' }
      const address = `d5@domain1.${base}` as DirectAddress
      const [honest, sown] = [await endOf(discovery(), address), await endOf(discovery(lenient), address)]
      rows = failing
      expect(honest).toEqual({ kind: 'undecided' })
      expect(sown).toMatchObject({ kind: 'found', binding: 'domain' })
    })
  })
})
