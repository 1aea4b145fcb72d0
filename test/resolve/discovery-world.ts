import type { DirectAddress } from '../../src/direct/address.js'
import { dayMs, makeAuthority, makeLeaf } from '../fixtures/pki.js'

/**
 * The world of the certificate discovery cases D1 to D18: what is published where, and what each search must end with.
 * Names are as the testing tool has them, under a base domain of ours.
 */
export const base = 'dcdt.test'

const root = makeAuthority()
const now = Date.now()
/** Makes each certificate too large for 512 octets, as those of RSA keys are. */
const ballast = (bytes: number) => [{ oid: '1.3.6.1.4.1.55555.1', value: Buffer.alloc(bytes, 7) }]

type Binding = { readonly email?: readonly string[]; readonly dns?: readonly string[] }

function made(san: Binding, { expired = false, bytes = 500 } = {}): Uint8Array {
  const validity = expired ? { notBefore: now - 365 * dayMs, notAfter: now - 364 * dayMs } : {}
  return makeLeaf(root, { keyType: 'p256', san, extensions: ballast(bytes), ...validity }).certificate
}

const address = (user: string, domain: number) => `${user}@domain${domain}.${base}` as DirectAddress
const forAddress = (user: string, domain: number, options = {}) => made({ email: [address(user, domain)] }, options)
const forDomain = (domain: number, options = {}) => made({ dns: [`domain${domain}.${base}`] }, options)
const expired = { expired: true }

/** Every certificate of the cases, DER, by the name that the tool gives it. */
export const certificates = {
  D1_valA: forAddress('d1', 1),
  D1_invB: forDomain(1, expired),
  D1_invC: forAddress('d1', 1, expired),
  D1_invD: forDomain(1, expired),
  D2_valB: forDomain(1),
  D2_invC: forAddress('d2', 1, expired),
  D2_invD: forDomain(1, expired),
  D3_valC: forAddress('d3', 2),
  D3_invD: forDomain(2, expired),
  D4_valD: forDomain(2),
  D5_invA: forAddress('d5', 1, expired),
  D6_invB: forDomain(4, expired),
  D7_invC: forAddress('d7', 2, expired),
  D8_invD: forDomain(5, expired),
  D9_valA: forAddress('d9', 1),
  D9_invA: forAddress('d9', 1, expired),
  D10_valE: forAddress('d10', 3),
  // As large as one of RSA 4096, and more than the 1,232 octets that are asked for over UDP.
  D14_valA: forAddress('d14', 1, { bytes: 1_200 }),
  D15_valC: forAddress('d15', 2),
  D15_invE: forAddress('d15', 2, expired),
  D16_valC: forAddress('d16', 5),
  D16_valE: forAddress('d16', 5),
  D17_invB: forAddress('d17', 9),
  D17_invC: forAddress('d17', 9),
  D17_valA: forAddress('d17', 9),
  D17_invD: forDomain(9),
  D18_valA: forAddress('d18', 10),
  D18_invB: forDomain(10, expired),
}

export type CertificateName = keyof typeof certificates

/** CERT records: owner, relative to the base, and what it has. */
export const certRecords: Readonly<Record<string, readonly CertificateName[]>> = {
  'd1.domain1': ['D1_valA'],
  domain1: ['D1_invB', 'D2_valB'],
  'd5.domain1': ['D5_invA'],
  'd9.domain1': ['D9_valA', 'D9_invA'],
  'd14.domain1': ['D14_valA'],
  domain4: ['D6_invB'],
  'd17.domain9': ['D17_invB', 'D17_invC', 'D17_valA'],
  domain9: ['D17_invD'],
  'd18.domain10': ['D18_valA'],
  domain10: ['D18_invB'],
}

/** Entries of the three LDAP servers: certificate and `mail`. */
export const ldapEntries: Readonly<
  Record<'ldap1' | 'ldap2' | 'ldap3', readonly (readonly [CertificateName, string])[]>
> = {
  ldap1: [
    ['D1_invC', `d1@domain1.${base}`],
    ['D1_invD', `domain1.${base}`],
    ['D2_invC', `d2@domain1.${base}`],
    ['D2_invD', `domain1.${base}`],
    ['D3_valC', `d3@domain2.${base}`],
    ['D3_invD', `domain2.${base}`],
    ['D4_valD', `domain2.${base}`],
    ['D7_invC', `d7@domain2.${base}`],
    ['D15_valC', `d15@domain2.${base}`],
    ['D16_valE', `d16@domain5.${base}`],
  ],
  ldap2: [
    ['D10_valE', `d10@domain3.${base}`],
    ['D15_invE', `d15@domain2.${base}`],
  ],
  ldap3: [
    ['D8_invD', `domain5.${base}`],
    ['D16_valC', `d16@domain5.${base}`],
  ],
}

type LdapName = keyof typeof ldapEntries | 'gone'

/** SRV records: server, priority, weight. `gone` has no address. */
export const services: Readonly<Record<string, readonly (readonly [LdapName, number, number])[]>> = {
  domain1: [['ldap1', 0, 0]],
  domain2: [
    ['ldap2', 1, 0],
    ['ldap1', 0, 0],
  ],
  domain3: [
    ['gone', 0, 0],
    ['ldap2', 1, 0],
  ],
  domain4: [['ldap1', 0, 0]],
  domain5: [
    ['ldap1', 0, 0],
    ['ldap3', 0, 100],
  ],
  domain7: [['gone', 0, 0]],
  domain8: [['ldap1', 0, 0]],
}

/** SRV records as data, with the ports that the servers have here. */
export function serviceRecords(ports: Readonly<Record<keyof typeof ldapEntries, number>>) {
  return Object.entries(services).map(([domain, servers]) => ({
    name: `_ldap._tcp.${domain}.${base}`,
    records: servers.map(([server, priority, weight]) => ({
      priority,
      weight,
      port: server === 'gone' ? 10_389 : ports[server],
      target: `${server === 'gone' ? 'ldap-unavailable' : 'ldap'}.${base}`,
    })),
  }))
}

export type Expected =
  | {
      readonly kind: 'found'
      readonly source: 'dns' | 'ldap'
      readonly binding: 'address' | 'domain'
      readonly names: readonly CertificateName[]
    }
  | { readonly kind: 'none' }

const found = (source: 'dns' | 'ldap', binding: 'address' | 'domain', ...names: CertificateName[]): Expected => ({
  kind: 'found',
  source,
  binding,
  names,
})

/** What the search for each address ends with. Whether what is found holds is a question of trust, not of finding. */
export const cases: readonly (readonly [string, DirectAddress, Expected])[] = [
  ['D1', address('d1', 1), found('dns', 'address', 'D1_valA')],
  ['D2', address('d2', 1), found('dns', 'domain', 'D1_invB', 'D2_valB')],
  ['D3', address('d3', 2), found('ldap', 'address', 'D3_valC')],
  ['D4', address('d4', 2), found('ldap', 'domain', 'D3_invD', 'D4_valD')],
  ['D5', address('d5', 1), found('dns', 'address', 'D5_invA')],
  ['D6', address('d6', 4), found('dns', 'domain', 'D6_invB')],
  ['D7', address('d7', 2), found('ldap', 'address', 'D7_invC')],
  ['D8', address('d8', 5), found('ldap', 'domain', 'D8_invD')],
  ['D9', address('d9', 1), found('dns', 'address', 'D9_valA', 'D9_invA')],
  ['D10', address('d10', 3), found('ldap', 'address', 'D10_valE')],
  ['D11', address('d11', 6), { kind: 'none' }],
  ['D12', address('d12', 7), { kind: 'none' }],
  ['D13', address('d13', 8), { kind: 'none' }],
  ['D14', address('d14', 1), found('dns', 'address', 'D14_valA')],
  ['D15', address('d15', 2), found('ldap', 'address', 'D15_valC')],
  ['D16', address('d16', 5), found('ldap', 'address', 'D16_valC')],
  ['D17', address('d17', 9), found('dns', 'address', 'D17_invB', 'D17_invC', 'D17_valA')],
  ['D18', address('d18', 10), found('dns', 'address', 'D18_valA')],
]

/** The names of certificates, sorted; `?` for one that is none of the world's. */
export function namesOf(ders: readonly Uint8Array[]): readonly string[] {
  const known = new Map(Object.entries(certificates).map(([name, der]) => [Buffer.from(der).toString('hex'), name]))
  return ders.map((der) => known.get(Buffer.from(der).toString('hex')) ?? '?').sort()
}

/** The expected end of a search in the form in which `endOf` tells it. */
export function told(expected: Expected) {
  return expected.kind === 'none' ? expected : { ...expected, names: [...expected.names].sort() }
}
