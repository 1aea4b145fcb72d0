import { type DirectAddress, type DirectDomain, domainOf, spellings } from '../direct/address.js'
import { undecided } from '../direct/refusal.js'
import type { CertificateDirectory, Discovered, DiscoveryStep } from '../ports/trust.js'
import type { Clock } from '../ports/world.js'
import { discoveryMemoryLimits, openMemory } from './discovery-memory.js'
import {
  askDns,
  askLdap,
  askServers,
  keepingLimits,
  type LdapServers,
  type PlaceAnswer,
  type StepPorts,
} from './discovery-steps.js'
import { openTurns, openTurnsByKey } from './discovery-turns.js'
import type { NameServers } from './dns.js'
import type { Fetch } from './fetch.js'
import type { LdapSearch } from './ldap.js'
import { type Patience, patienceOf } from './patience.js'

export const discoveryLimits = {
  ...keepingLimits,
  ...discoveryMemoryLimits,
  /** For one address, all steps together; what is not known by then is asked again at the message's next try. */
  deadlineMs: 20_000,
  /** Addresses that are looked for at a time: sockets, each for at most the deadline. */
  searches: 64,
  /** … of one domain, so that one whose servers are slow leaves room for others. */
  searchesPerDomain: 8,
}

export interface DiscoveryOptions {
  readonly dns: NameServers
  readonly ldap: LdapSearch
  /** For certificates that DNS only points to; within `certificateFetchRules`. */
  readonly fetch: Fetch
  readonly clock: Clock
  /** Lets LDAP servers be asked that are on loopback or in private networks. */
  readonly allowPrivate?: boolean
  readonly limits?: Partial<typeof discoveryLimits>
}

/** One search: until when, and from when on what is remembered counts. */
interface Search {
  readonly patience: Patience
  readonly since: number
}

/**
 * Finds certificates of others (Applicability Statement §5.3, Certificate Discovery for Direct IG): of the address in DNS, of
 * its domain in DNS, of the address in LDAP, of its domain in LDAP. The first place that has any ends the search, whatever
 * they are worth; a place that has none leads to the next; one that does not answer ends it undecided, since
 * what it has might be stronger than all that follows. An address with a +tag is looked for as it is, then without it.
 */
export function openDiscovery(options: DiscoveryOptions): CertificateDirectory {
  const limits = { ...discoveryLimits, ...options.limits }
  const { dns, ldap, fetch, clock, allowPrivate = false } = options
  const ports: StepPorts = { dns, ldap, fetch, allowPrivate, keeping: limits }
  const places = openMemory<PlaceAnswer>(clock, limits)
  const servers = openMemory<LdapServers>(clock, limits)
  const running = new Map<string, Promise<Discovered>>()
  const turns = openTurns(limits.searches)
  const turnsOf = openTurnsByKey(limits.searchesPerDomain)

  const inDns = (owner: DirectAddress | DirectDomain, { patience, since }: Search) =>
    places(`dns ${owner}`, () => askDns(owner, ports, patience), since)

  const inLdap = (owner: DirectAddress | DirectDomain, domain: DirectDomain, { patience, since }: Search) =>
    places(
      `ldap ${owner}`,
      async () => {
        const known = await servers(domain, () => askServers(domain, ports, patience), since)
        return askLdap(owner, domain, known, ports, patience)
      },
      since,
    )

  async function search(address: DirectAddress, terms: Search): Promise<Discovered> {
    const domain = domainOf(address)
    const steps: DiscoveryStep[] = []
    for (const source of ['dns', 'ldap'] as const) {
      for (const owner of [...spellings(address), domain]) {
        const binding = owner === domain ? 'domain' : 'address'
        const answer = await (source === 'dns' ? inDns(owner, terms) : inLdap(owner, domain, terms))
        const { kind, place, detail } = answer
        steps.push({ source, binding, place, outcome: kind, detail })
        if (answer.kind === 'found') return { kind: 'found', source, binding, certificates: answer.certificates, steps }
        if (kind === 'unavailable')
          return { ...undecided('certificate-discovery-unavailable', `${place}: ${detail}`), steps }
      }
    }
    return { kind: 'none', steps }
  }

  return {
    of(address, since = 0) {
      const name = `${address} ${since}`
      const under = running.get(name)
      if (under) return under
      const patience = patienceOf(limits.deadlineMs)
      const work = () => turns.take(() => search(address, { patience, since }))
      const started = turnsOf(domainOf(address))
        .take(work)
        .finally(() => running.delete(name))
      running.set(name, started)
      return started
    },
  }
}

/**
 * Asks directories one after another: found and undecided stop, none leads to the next. So that what an operator imported
 * comes before what is discovered. The steps of all that were asked are told.
 */
export function firstOf(...directories: readonly CertificateDirectory[]): CertificateDirectory {
  return {
    async of(address, since) {
      const steps: DiscoveryStep[] = []
      for (const directory of directories) {
        const found = await directory.of(address, since)
        steps.push(...found.steps)
        if (found.kind !== 'none') return { ...found, steps }
      }
      return { kind: 'none', steps }
    },
  }
}
