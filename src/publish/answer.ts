import { type DirectDomain, parseAddress, parseDomain } from '../direct/address.js'
import type { Publications } from '../ports/publish.js'
import type { Clock } from '../ports/world.js'
import type { NamesBetween } from './between.js'
import { certRecord } from './cert-record.js'
import type { NameServerLimits } from './limits.js'
import {
  type Answer,
  bare,
  classIn,
  isWithin,
  type Name,
  parentOf,
  type Query,
  type Rcode,
  type ResourceRecord,
  rcodes,
  types,
} from './wire.js'
import { targetsOf, type Zone } from './zone.js'

export interface AnswerOptions {
  readonly zones: readonly Zone[]
  readonly publications: Publications
  readonly between: NamesBetween
  readonly clock: Clock
  readonly limits: NameServerLimits
}

/** Answers a question, with SERVFAIL where the store fails. */
export type Ask = (query: Query, transport: 'udp' | 'tcp') => Promise<Answer>

/**
 * Answers questions with authority (RFC 1034 §4.3.2) from zones and from what is published. Certificates are found by exact
 * name only. A name without certificate and records does not exist, whatever the directory knows of it; nothing is
 * listed: no transfer, no denial that names neighbours. Throws where the store fails.
 */
export function openAnswers(options: AnswerOptions): (query: Query) => Promise<Answer> {
  const { zones, publications, between, clock, limits } = options
  const byName = new Map(zones.map((zone) => [zone.name, zone]))
  const servedDomains = remembered(publications, clock, limits)
  let lastSerial = 0

  /**
   * The minute, never going back. What is published changes by the mere passing of time, and a serial made from it
   * would tell when somebody got an address.
   */
  function serial(): number {
    lastSerial = Math.max(lastSerial, Math.floor(clock.now() / 60_000) * 60)
    return lastSerial
  }

  function zoneOf(name: Name): Zone | undefined {
    for (let apex = name; apex !== ''; apex = parentOf(apex)) {
      const zone = byName.get(apex)
      if (zone) return zone
    }
    return undefined
  }

  /** The zone that speaks for a name and type: what delegates a zone (DS) stands above it (RFC 4035 §3.1.4.1). */
  function authorityFor(name: Name, type: number): Zone | undefined {
    const zone = zoneOf(name)
    return type === types.DS && zone?.name === name ? (zoneOf(parentOf(name)) ?? zone) : zone
  }

  /** CERT records at exactly this name: of the domain it is, and of each address it can be read as. */
  async function certificatesAt(name: Name, zone: Zone): Promise<ResourceRecord[]> {
    const served = await servedDomains()
    const found: Uint8Array[] = []
    const domain = served.has(name) ? parseDomain(name) : undefined
    if (domain) found.push(...(await publications.certificatesOf(domain)))
    for (let dot = name.indexOf('.'); dot > 0 && dot <= 64; dot = name.indexOf('.', dot + 1)) {
      const above = name.slice(dot + 1)
      if (!isWithin(above, zone.name)) break
      const address = served.has(above) ? parseAddress(`${name.slice(0, dot)}@${above}`) : undefined
      if (address) found.push(...(await publications.certificatesOf(address)))
    }
    if (found.length > 0) between.note(name, zone.name)
    return certRecords(name, found, zone)
  }

  function certRecords(name: Name, certificates: readonly Uint8Array[], zone: Zone): ResourceRecord[] {
    const records = certificates.slice(0, limits.certificatesPerName).flatMap((der) => certRecord(der) ?? [])
    const once = [...new Map(records.map((each) => [Buffer.from(each.data).toString('latin1'), each])).values()]
    // Nobody should remember a certificate for longer than it is valid; all of a set have one TTL.
    const leftMs = Math.min(...once.map(({ notAfter }) => notAfter - clock.now()))
    const ttlSeconds = Math.max(0, Math.min(zone.ttlSeconds, Math.floor(leftMs / 1000)))
    return once.map(({ data }) => ({ name, type: types.CERT, ttlSeconds, data: [data] }))
  }

  /** What stands at a name of a zone: an alias, records of the type (or none of them), or nothing at all. */
  async function look(name: Name, type: number, zone: Zone): Promise<Found> {
    const node = zone.nodes.get(name)
    const alias = node?.get(types.CNAME)?.[0]
    if (alias) return { kind: type === types.CNAME || type === types.ANY ? 'records' : 'alias', records: [alias] }
    if (name === zone.name && type === types.SOA) return { kind: 'records', records: [zone.soa(serial(), false)] }
    const records = node?.get(type) ?? []
    if (node && type !== types.CERT && type !== types.ANY) return { kind: 'records', records }
    // Whether a name exists that no zone knows is asked alike for all types: what is published is the only answer.
    const certificates = await certificatesAt(name, zone)
    if (type === types.CERT && certificates.length > 0) return { kind: 'records', records: certificates }
    const exists = node !== undefined || certificates.length > 0 || between.has(name) !== 'no'
    if (exists && type === types.ANY) return { kind: 'records', records: [minimal(name, zone)] }
    return exists ? { kind: 'records', records } : { kind: 'nothing', records: [] }
  }

  async function answer(query: Query): Promise<Answer> {
    const { name, type } = query
    const refused = refusalOf(query)
    if (refused !== undefined) return bare(refused)
    let zone = authorityFor(name, type)
    if (!zone) return bare(rcodes.REFUSED)

    const answers: ResourceRecord[] = []
    let at = name
    let found = await look(at, type, zone)
    // RFC 1034 §3.6.2: on to the alias, as far as it is ours; the code is that of the last name (RFC 6604 §2.1).
    for (let aliases = 0; found.kind === 'alias'; aliases++) {
      answers.push(...found.records)
      const [target = ''] = found.records.flatMap(targetsOf)
      const next = zoneOf(target)
      if (!next || aliases >= limits.aliases || answers.some((each) => each.name === target))
        return { ...bare(rcodes.NOERROR), authoritative: true, answers }
      at = target
      zone = next
      found = await look(at, type, zone)
    }
    answers.push(...found.records)
    const rcode = found.kind === 'nothing' ? rcodes.NXDOMAIN : rcodes.NOERROR
    // RFC 2308 §2: the zone's SOA says for how long a "no" holds.
    const authority = found.records.length === 0 ? [zone.soa(serial(), true)] : []
    return { rcode, authoritative: true, answers, authority, additional: addressesFor(found.records, zoneOf) }
  }
  return answer
}

interface Found {
  readonly kind: 'alias' | 'records' | 'nothing'
  readonly records: readonly ResourceRecord[]
}

/** Whether somebody asked for what is not there, and so may be guessing. */
export function isMiss(query: Query, { rcode, answers }: Answer): boolean {
  return rcode === rcodes.NXDOMAIN || (rcode === rcodes.NOERROR && query.type === types.CERT && answers.length === 0)
}

/** The code for questions that are answered from no zone. */
function refusalOf({ type, class: asked, edns }: Query): Rcode | undefined {
  if (edns && edns.version > 0) return rcodes.BADVERS // RFC 6891 §6.1.3
  if (asked !== classIn) return rcodes.REFUSED
  // Whole zones are for nobody: they would list the patients.
  if (type === types.AXFR || type === types.IXFR) return rcodes.REFUSED
  if (type === types.MAILA || type === types.MAILB || type === types.TKEY) return rcodes.NOTIMP
  // The rest of what is no type of data (RFC 6895 §3.1).
  return type === 0 || type === types.OPT || (type >= 128 && type < types.ANY) ? rcodes.FORMERR : undefined
}

/** One record in place of all (RFC 8482 §4.2): asking for everything serves to amplify. */
function minimal(name: Name, zone: Zone): ResourceRecord {
  const data = [Buffer.from('\x07RFC8482\x00', 'latin1')]
  return { name, type: types.HINFO, ttlSeconds: zone.ttlSeconds, data }
}

/** Addresses of our hosts that an answer points to, to save a question (RFC 1034 §4.3.2, step 6). */
function addressesFor(
  records: readonly ResourceRecord[],
  zoneOf: (name: Name) => Zone | undefined,
): readonly ResourceRecord[] {
  const pointing = records.filter(({ type }) => type === types.MX || type === types.SRV || type === types.NS)
  return [...new Set(pointing.flatMap(targetsOf))].flatMap((host) => {
    const node = zoneOf(host)?.nodes.get(host)
    return [...(node?.get(types.A) ?? []), ...(node?.get(types.AAAA) ?? [])]
  })
}

/** The served domains, asked again after a moment: a question in between costs no look at the directory. */
function remembered(publications: Publications, clock: Clock, { domainsMs }: NameServerLimits) {
  let at = Number.NEGATIVE_INFINITY
  let known: Promise<ReadonlySet<string>> = Promise.resolve(new Set())
  return () => {
    const now = clock.now()
    if (Math.abs(now - at) < domainsMs) return known
    at = now
    known = publications.domains().then((domains: readonly DirectDomain[]) => new Set<string>(domains))
    known.catch(() => {
      at = Number.NEGATIVE_INFINITY
    })
    return known
  }
}
