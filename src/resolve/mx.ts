import { Resolver } from 'node:dns/promises'
import { isIP } from 'node:net'
import type { DirectDomain } from '../direct/address.js'
import type { ExchangeAnswer, ExchangeHost, Exchanges } from '../ports/exchange.js'
import type { Random } from '../ports/world.js'

export const exchangeLimits = {
  /** Hosts of one domain that are tried: RFC 5321 §5.1 asks for at least two, nobody needs more than this. */
  hosts: 10,
  /** Addresses of one host, IPv4 and IPv6 together. */
  addressesPerHost: 4,
}

export interface ExchangeOptions {
  /** `address` or `address:port` each, asked in order; empty: those of the system. */
  readonly servers: readonly string[]
  /** For one question to one server. */
  readonly timeoutMs?: number
  /** Rounds over the servers. */
  readonly attempts?: number
  readonly random: Random
  readonly limits?: Partial<typeof exchangeLimits>
}

/** What one question came to: records, none of this type, no such name, or no answer. */
type Found<T> =
  | { readonly kind: 'found'; readonly records: readonly T[] }
  | { readonly kind: 'none' }
  | { readonly kind: 'no-such-name' }
  | { readonly kind: 'no-answer'; readonly code: string }

/**
 * Looks up mail exchangers (RFC 5321 §5.1): by preference, equal ones in random order, the domain itself where it has
 * no MX, nobody where it has a null MX (RFC 7505). Throws for a server that is no address.
 */
export function openExchanges(options: ExchangeOptions): Exchanges {
  const limits = { ...exchangeLimits, ...options.limits }
  const resolver = new Resolver({ timeout: options.timeoutMs ?? 5000, tries: options.attempts ?? 2 })
  if (options.servers.length > 0) resolver.setServers([...options.servers])

  async function addressesOf(name: string): Promise<Found<string>> {
    if (isIP(name)) return { kind: 'found', records: [name] }
    const [four, six] = await Promise.all([ask(resolver.resolve4(name)), ask(resolver.resolve6(name))])
    const records = [...recordsOf(four), ...recordsOf(six)]
    if (records.length > 0) return { kind: 'found', records: records.slice(0, limits.addressesPerHost) }
    return [four, six].find(({ kind }) => kind === 'no-answer') ?? four
  }

  async function withAddresses(names: readonly string[]): Promise<ExchangeAnswer> {
    const found = await Promise.all(names.map(addressesOf))
    const hosts: ExchangeHost[] = []
    for (const [i, name] of names.entries()) {
      const addresses = recordsOf(found[i])
      if (addresses.length > 0) hosts.push({ name, addresses })
    }
    if (hosts.length > 0) return { kind: 'hosts', hosts }
    const unanswered = found.find((answer) => answer.kind === 'no-answer')
    if (unanswered) return { kind: 'temporary', detail: `addresses of ${names.join(', ')}: ${unanswered.code}` }
    return { kind: 'permanent', detail: `no address for ${names.join(', ')}` }
  }

  return {
    host: (name) => withAddresses([name]),
    async of(domain: DirectDomain) {
      const mx = await ask(resolver.resolveMx(domain))
      switch (mx.kind) {
        case 'no-answer':
          return { kind: 'temporary', detail: `MX of ${domain}: ${mx.code}` }
        case 'no-such-name':
          return { kind: 'permanent', detail: `${domain} does not exist` }
        case 'none':
          return withAddresses([domain]) // the implicit MX
        case 'found': {
          const named = mx.records.filter(({ exchange }) => isHostName(exchange))
          if (named.length > 0) return withAddresses(inOrder(named, options.random).slice(0, limits.hosts))
          const nowhere = mx.records.every(({ exchange }) => exchange === '' || exchange === '.')
          const why = nowhere ? 'takes no mail (null MX, RFC 7505)' : 'has an MX that is no host name'
          return { kind: 'permanent', detail: `${domain} ${why}` }
        }
      }
    },
  }
}

async function ask<T>(answer: Promise<readonly T[]>): Promise<Found<T>> {
  try {
    const records = await answer
    return records.length > 0 ? { kind: 'found', records } : { kind: 'none' }
  } catch (error) {
    const code = String((error as NodeJS.ErrnoException).code ?? error)
    if (code === 'ENODATA') return { kind: 'none' }
    if (code === 'ENOTFOUND') return { kind: 'no-such-name' }
    return { kind: 'no-answer', code }
  }
}

function recordsOf<T>(found: Found<T> | undefined): readonly T[] {
  return found?.kind === 'found' ? found.records : []
}

/** Some exchangers have an underscore in their name, which is harmless here. */
function isHostName(name: string): boolean {
  return (
    name.length <= 253 && /^[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*$/i.test(name)
  )
}

/** By preference, lowest first; equal ones shuffled, each name once. */
function inOrder(records: readonly { exchange: string; priority: number }[], random: Random): string[] {
  const keyed = records.map(({ exchange, priority }) => {
    const chance = Buffer.from(random.bytes(4)).readUInt32BE()
    return { name: exchange.toLowerCase(), priority, chance }
  })
  keyed.sort((a, b) => a.priority - b.priority || a.chance - b.chance)
  return [...new Set(keyed.map(({ name }) => name))]
}
