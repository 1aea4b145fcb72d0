import type { Entry } from '../world/ldap.js'
import type { Authority, Party } from '../world/pki.js'
import { mailDomain, type ZoneRecord } from '../world/zone.js'

/** The certificates of DCDT and of DirectTrust's discovery test: what each is, and where it is published. */
export type Directory = 'LDAP1' | 'LDAP2' | 'LDAP3'
type Place = 'DNS' | Directory

interface Credential {
  /** `D1_valA`: the case, whether it is good, and the letter that the tool gave it. */
  readonly name: string
  /** The owner: `d1` and the number of its domain, or the domain alone. */
  readonly owner: string
  readonly at: Place
  readonly fault?: 'expired' | 'revoked'
  readonly key?: 'rsa4096'
  /** By the intermediate authority, which only AIA leads to. */
  readonly intermediate?: boolean
}

const good = (name: string, owner: string, at: Place, more: Partial<Credential> = {}): Credential => ({
  ...more,
  name,
  owner,
  at,
})
const expired = (name: string, owner: string, at: Place) => good(name, owner, at, { fault: 'expired' })
const revoked = (name: string, owner: string, at: Place) => good(name, owner, at, { fault: 'revoked' })

const both: readonly Credential[] = [
  good('D1_valA', 'd1@1', 'DNS'),
  expired('D1_invB', '1', 'DNS'),
  expired('D1_invC', 'd1@1', 'LDAP1'),
  expired('D1_invD', '1', 'LDAP1'),
  good('D2_valB', '1', 'DNS'),
  expired('D2_invC', 'd2@1', 'LDAP1'),
  expired('D2_invD', '1', 'LDAP1'),
  good('D3_valC', 'd3@2', 'LDAP1'),
  expired('D3_invD', '2', 'LDAP1'),
  good('D4_valD', '2', 'LDAP1'),
  expired('D5_invA', 'd5@1', 'DNS'),
  expired('D6_invB', '4', 'DNS'),
  expired('D7_invC', 'd7@2', 'LDAP1'),
  expired('D8_invD', '5', 'LDAP3'),
  good('D9_valA', 'd9@1', 'DNS'),
  expired('D9_invA', 'd9@1', 'DNS'),
  good('D10_valE', 'd10@3', 'LDAP2'),
  good('D14_valA', 'd14@1', 'DNS', { key: 'rsa4096' }),
  good('D15_valC', 'd15@2', 'LDAP1'),
  good('D16_valC', 'd16@5', 'LDAP3'),
  good('D16_valE', 'd16@5', 'LDAP1'),
]

const dcdt: readonly Credential[] = [
  ...both,
  expired('D15_invE', 'd15@2', 'LDAP2'),
  revoked('D17_invB', 'd17@9', 'DNS'),
  revoked('D17_invC', 'd17@9', 'DNS'),
  good('D17_valA', 'd17@9', 'DNS'),
  good('D17_invD', '9', 'DNS'),
  good('D18_valA', 'd18@10', 'DNS', { intermediate: true }),
  expired('D18_invB', '10', 'DNS'),
]

/** DirectTrust's: 15 with two good ones, 17 is what 18 is there, and 18 has one certificate, revoked. */
const directTrust: readonly Credential[] = [
  ...both,
  good('D15_valE', 'd15@2', 'LDAP2'),
  good('D17_valA', 'd17@9', 'DNS', { intermediate: true }),
  revoked('D18_invA', 'd18@10', 'DNS'),
  good('D18_valB', '10', 'DNS'),
]

/** The domain of each case's address; 8 is listed on domain 2 by DirectTrust, where D4_valD would serve it, so DCDT's it is. */
const domainOf = [1, 1, 2, 2, 1, 4, 2, 5, 1, 3, 6, 7, 8, 1, 2, 5, 9, 10]

/** Which server, at which priority and weight, as `_ldap._tcp` of each domain names them. */
const services: Readonly<Record<number, readonly (readonly [Directory | 'unavailable', number, number])[]>> = {
  1: [['LDAP1', 0, 0]],
  2: [
    ['LDAP1', 0, 0],
    ['LDAP2', 1, 0],
  ],
  3: [
    ['unavailable', 0, 0],
    ['LDAP2', 1, 0],
  ],
  4: [['LDAP1', 0, 0]],
  5: [
    ['LDAP1', 0, 0],
    ['LDAP3', 0, 100],
  ],
  7: [['unavailable', 0, 0]],
  8: [['LDAP1', 0, 0]],
}

export interface Tool {
  /** `dcdt.test`. */
  readonly base: string
  /** The addresses of the 18 cases, in their order. */
  readonly addresses: readonly string[]
  /** By name: `D1_valA`. */
  readonly credentials: ReadonlyMap<string, Party>
  readonly zone: (ports: Readonly<Record<Directory, number>>) => readonly ZoneRecord[]
  readonly entries: (directory: Directory) => readonly Entry[]
}

/** Makes the certificates of one of the tools, its zone and its directories. */
export async function makeTool(
  kind: 'dcdt' | 'direct-trust',
  base: string,
  { root, intermediate }: { readonly root: Authority; readonly intermediate: Authority },
): Promise<Tool> {
  const nameOf = (owner: string) => owner.replace(/(\d+)$/, (number) => `domain${number}.${base}`)
  const published = await Promise.all(
    (kind === 'dcdt' ? dcdt : directTrust).map(async (credential) => {
      const owner = nameOf(credential.owner.replace(/^(?=\d+$)/, ''))
      const subjectAltName = owner.includes('@') ? `email:${owner}` : `DNS:${owner}`
      const by = credential.intermediate ? intermediate : root
      const party = await by.issue(credential.name, {
        subjectAltName,
        emailAddress: owner,
        expired: credential.fault === 'expired',
        ...(credential.key && { key: credential.key }),
      })
      if (credential.fault === 'revoked') await by.revoke(party)
      return { ...credential, owner, party }
    }),
  )
  return {
    base,
    addresses: domainOf.map((number, at) => `d${at + 1}@domain${number}.${base}`),
    credentials: new Map(published.map(({ name, party }) => [name, party])),
    zone: (ports) => [
      ...Array.from({ length: 10 }, (_, at) => mailDomain(`domain${at + 1}.${base}`)).flat(),
      { name: `ldap.${base}`, type: 'A', address: '127.0.0.1' },
      ...published
        .filter(({ at }) => at === 'DNS')
        .map(({ owner, party }) => ({
          name: owner.replace('@', '.'),
          type: 'CERT' as const,
          certificate: party.certificate,
        })),
      ...Object.entries(services).flatMap(([number, servers]) =>
        servers.map(([server, priority, weight]) => ({
          name: `_ldap._tcp.domain${number}.${base}`,
          type: 'SRV' as const,
          priority,
          weight,
          port: ports[server === 'unavailable' ? 'LDAP1' : server],
          // The unavailable one has a name without an address.
          target: server === 'unavailable' ? `ldap-unavailable.${base}` : `ldap.${base}`,
        })),
      ),
    ],
    entries: (directory) =>
      published
        .filter(({ at }) => at === directory)
        .map(({ name, owner, party }) => ({
          name: `${name}-${base}`,
          mail: owner,
          certificate: party.certificate,
        })),
  }
}
