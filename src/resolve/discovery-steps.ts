import type { DirectAddress, DirectDomain } from '../direct/address.js'
import { certificatesIn } from '../x509/bundle.js'
import { certNameOf, certRecordLimits, readCertRecord } from './cert.js'
import type { Remembered } from './discovery-memory.js'
import type { NameServers } from './dns.js'
import { type Fetch, type FetchRules, isPublicAddress } from './fetch.js'
import type { LdapAnswer, LdapSearch } from './ldap.js'
import type { Patience } from './patience.js'
import { inOrder } from './srv.js'

/** How long answers serve, by what they are; milliseconds. */
export const keepingLimits = {
  /** A TTL below a minute would have every message of a conversation ask anew. */
  foundLeastMs: 60_000,
  /** Certificates are replaced and taken back; an hour is what other gateways keep them. */
  foundMostMs: 3_600_000,
  /** LDAP tells no TTL: what certification tools use for DNS. */
  foundInLdapMs: 300_000,
  /** Who has just published must not wait for long (RFC 2308 §5 leaves it to the SOA record, up to an hour). */
  noneLeastMs: 5_000,
  noneMostMs: 300_000,
  /** Where the server tells no TTL. */
  noneMs: 30_000,
  /** Long enough for all recipients of one message, short enough for its next try to ask again. */
  unavailableMs: 5_000,
}

/** Fetch rules for certificates that DNS only points to: as much as DNS itself could carry. */
export const certificateFetchRules: Partial<FetchRules> = { sizeBytes: 64 * 1024 }

/** What one place answered. `detail` is for people. */
export type PlaceAnswer = { readonly place: string; readonly detail: string } & (
  | {
      readonly kind: 'found'
      /** DER as published, unread; never none. */
      readonly certificates: readonly Uint8Array[]
    }
  | { readonly kind: 'none' | 'unavailable' }
)

export interface StepPorts {
  readonly dns: NameServers
  readonly ldap: LdapSearch
  /** For certificates that DNS points to. */
  readonly fetch: Fetch
  /** Lets LDAP servers be asked that are on loopback or in private networks. */
  readonly allowPrivate: boolean
  readonly keeping: typeof keepingLimits
}

/** Looks for CERT records of an address or a domain (Applicability Statement §5, RFC 4398). */
export async function askDns(
  owner: DirectAddress | DirectDomain,
  { dns, fetch, keeping }: StepPorts,
  patience: Patience,
): Promise<Remembered<PlaceAnswer>> {
  const name = certNameOf(owner)
  const place = `CERT ${name}`
  const answer = await dns.ask(name, 'CERT', patience)
  if (answer.kind === 'unavailable') return unavailable(place, answer.detail, keeping, patience)
  if (answer.kind === 'none') return none(place, answer.detail, noneMs(answer.ttlSeconds, keeping))
  const keepMs = clamp(answer.ttlSeconds * 1_000, keeping.foundLeastMs, keeping.foundMostMs)
  const records = answer.records.map(readCertRecord)
  const certificates = records.flatMap((record) => (record.kind === 'certificate' ? [record.der] : []))
  const urls = records.flatMap((record) => (record.kind === 'url' ? [record.url] : []))
  const failures: string[] = []
  for (const url of urls.slice(0, certRecordLimits.urls)) {
    const got = await fetch(url)
    if (got.kind !== 'fetched') failures.push(got.detail)
    else {
      const inside = certificatesIn(got.body, certRecordLimits.certificates)
      // What is there and does not read is found all the same: it is not passed over.
      certificates.push(...(inside.length > 0 ? inside : [got.body]))
    }
  }
  if (certificates.length > 0) return found(place, certificates, failures.join('; '), keepMs)
  if (failures.length > 0) return unavailable(place, failures.join('; '), keeping, patience)
  return none(place, `${records.length} CERT records, none with a certificate`, keepMs)
}

/** LDAP servers of a domain, in order, by name; or why there are none. */
export type LdapServers =
  | { readonly kind: 'servers'; readonly servers: readonly { readonly target: string; readonly port: number }[] }
  | { readonly kind: 'none' | 'unavailable'; readonly detail: string }

/** Looks for the LDAP servers of a domain (RFC 2782, Certificate Discovery for Direct IG). */
export async function askServers(
  domain: DirectDomain,
  { dns, keeping }: StepPorts,
  patience: Patience,
): Promise<Remembered<LdapServers>> {
  const answer = await dns.ask(serviceName(domain), 'SRV', patience)
  const sizeBytes = 512
  if (answer.kind === 'unavailable') return { value: answer, keepMs: keeping.unavailableMs, sizeBytes }
  if (answer.kind === 'none') return { value: answer, keepMs: noneMs(answer.ttlSeconds, keeping), sizeBytes }
  const servers = inOrder(answer.records).map(({ target, port }) => ({ target, port }))
  const keepMs = clamp(answer.ttlSeconds * 1_000, keeping.noneLeastMs, keeping.foundMostMs)
  if (servers.length > 0) return { value: { kind: 'servers', servers }, keepMs, sizeBytes }
  return { value: { kind: 'none', detail: 'the SRV record names no server' }, keepMs, sizeBytes }
}

/**
 * Asks the LDAP servers of a domain for entries with this `mail`. The first that answers speaks for the service (RFC 2782: the
 * others are there for when it cannot be reached), also when it has no entry. `none`, too, where no server can be
 * there: a name without address, or with addresses that the public cannot reach. `unavailable` where one should be
 * there, and none answered.
 */
export async function askLdap(
  owner: DirectAddress | DirectDomain,
  domain: DirectDomain,
  known: LdapServers,
  ports: StepPorts,
  patience: Patience,
): Promise<Remembered<PlaceAnswer>> {
  const { keeping } = ports
  if (known.kind !== 'servers') {
    const place = `SRV ${serviceName(domain)}`
    if (known.kind === 'unavailable') return unavailable(place, known.detail, keeping, patience)
    return none(place, known.detail, keeping.noneLeastMs)
  }
  const missing: string[] = []
  let failed = false
  for (const { target, port } of known.servers) {
    const place = `mail=${owner} at ${target}:${port}`
    const answer = await askServer(target, port, owner, ports, patience)
    const before = missing.join('; ')
    if (answer.kind === 'found') return found(place, answer.certificates, before, keeping.foundInLdapMs)
    if (answer.kind === 'none') return none(place, before || 'no entry with a certificate', keeping.noneMs)
    missing.push(`${target}:${port}: ${answer.detail}`)
    failed ||= answer.kind === 'unavailable'
  }
  const place = `mail=${owner} at the servers of ${serviceName(domain)}`
  return failed
    ? unavailable(place, missing.join('; '), keeping, patience)
    : none(place, missing.join('; '), keeping.noneMs)
}

type ServerAnswer = LdapAnswer | { readonly kind: 'absent'; readonly detail: string }

async function askServer(
  target: string,
  port: number,
  mail: string,
  { dns, ldap, allowPrivate }: StepPorts,
  patience: Patience,
): Promise<ServerAnswer> {
  // Low ports speak other protocols, which must not hear from us on a stranger's word.
  if (port < 1024 && port !== 389) return { kind: 'absent', detail: 'not a port for LDAP' }
  const answer = await dns.addressesOf(target, patience)
  if (answer.kind === 'none') return { kind: 'absent', detail: `${answer.detail}, so no address` }
  if (answer.kind === 'unavailable') return answer
  const open = answer.records.filter((address) => allowPrivate || isPublicAddress(address))
  const failures: string[] = []
  for (const address of open) {
    const said = await ldap({ address, port }, mail, patience)
    if (said.kind !== 'unavailable') return said
    failures.push(`${address}: ${said.detail}`)
  }
  if (open.length > 0) return { kind: 'unavailable', detail: failures.join('; ') }
  return { kind: 'absent', detail: `${answer.records.join(', ')} is not a public address` }
}

/** Where LDAP servers of a domain are announced. */
export function serviceName(domain: DirectDomain): string {
  return `_ldap._tcp.${domain}`
}

function found(
  place: string,
  certificates: readonly Uint8Array[],
  detail: string,
  keepMs: number,
): Remembered<PlaceAnswer> {
  const distinct = new Set(certificates.map((der) => Buffer.from(der).toString('latin1')))
  // Copies, so that one certificate does not keep all that it came with.
  const kept = [...distinct]
    .slice(0, certRecordLimits.certificates)
    .map((der) => Uint8Array.from(Buffer.from(der, 'latin1')))
  const sizeBytes = kept.reduce((bytes, der) => bytes + der.length, 512)
  const count = kept.length === 1 ? '1 certificate' : `${kept.length} certificates`
  const words = detail ? `${count}; ${detail}` : count
  return { value: { kind: 'found', place, certificates: kept, detail: words }, keepMs, sizeBytes }
}

function none(place: string, detail: string, keepMs: number): Remembered<PlaceAnswer> {
  return { value: { kind: 'none', place, detail }, keepMs, sizeBytes: 512 }
}

function unavailable(
  place: string,
  detail: string,
  keeping: typeof keepingLimits,
  patience: Patience,
): Remembered<PlaceAnswer> {
  // Who came with no time left learnt nothing that others need to hear.
  const keepMs = patience.leftMs() > 0 ? keeping.unavailableMs : 0
  return { value: { kind: 'unavailable', place, detail }, keepMs, sizeBytes: 512 }
}

function noneMs(ttlSeconds: number | undefined, keeping: typeof keepingLimits): number {
  return ttlSeconds === undefined ? keeping.noneMs : clamp(ttlSeconds * 1_000, keeping.noneLeastMs, keeping.noneMostMs)
}

function clamp(value: number, least: number, most: number): number {
  return Math.max(least, Math.min(most, value))
}
