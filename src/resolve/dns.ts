import type { LookupAddress } from 'node:dns'
import { getServers } from 'node:dns'
import { isIP } from 'node:net'
import type { Random } from '../ports/world.js'
import { type Exchanged, exchange, type ServerAddress } from './dns-exchange.js'
import { type AskedType, dnsMessageLimits, isAskable, type Question, type RecordOf } from './dns-message.js'
import { isPublicAddress } from './fetch.js'
import { type Patience, patienceOf } from './patience.js'

export const nameServerLimits = {
  /** For one datagram or one connection to one server. */
  timeoutMs: 3_000,
  /** Rounds over the servers. */
  attempts: 2,
  /** Addresses of one host that are looked at. */
  addressesPerHost: 4,
  /** Servers of a zone that are asked themselves where our own fail; nearly every zone has two. */
  zoneServers: 4,
  /** Labels taken off a name to find the zone it is in. */
  zoneDepth: 6,
  /** How long a server that was silent is asked after the others. */
  restMs: 30_000,
}

export interface NameServerOptions {
  /** `address` or `address:port` each (`[address]:port` for IPv6), asked in order; empty: those of the system. */
  readonly servers: readonly string[]
  readonly random: Random
  /** Lets zone servers be asked that are on loopback or in private networks; our own servers may always be. */
  readonly allowPrivate?: boolean
  /** Where zone servers listen: 53 anywhere but in tests. */
  readonly zonePort?: number
  readonly limits?: Partial<typeof nameServerLimits>
}

export type DnsAnswer<Type extends AskedType> =
  | { readonly kind: 'records'; readonly records: readonly RecordOf[Type][]; readonly ttlSeconds: number }
  /** No such name, no such record, or a name that cannot be; undefined TTL where the server tells none. */
  | { readonly kind: 'none'; readonly detail: string; readonly ttlSeconds: number | undefined }
  /** No server told: each with what it said instead. */
  | { readonly kind: 'unavailable'; readonly detail: string }

export interface NameServers {
  /**
   * Asks for records of one type, following aliases. NXDOMAIN and an empty answer are `none`; a server that fails, is
   * silent, refers elsewhere or talks nonsense is passed over for the next one. Never throws for what servers do.
   */
  ask<Type extends AskedType>(name: string, type: Type, patience: Patience): Promise<DnsAnswer<Type>>
  /** IPv4 and IPv6 addresses of a host, IPv4 first. */
  addressesOf(host: string, patience: Patience): Promise<DnsAnswer<'A'>>
}

/** Opens our way to the name servers. Throws for a configured server that is no address. */
export function openNameServers(options: NameServerOptions): NameServers {
  const limits = { ...nameServerLimits, ...options.limits }
  const servers = (options.servers.length > 0 ? options.servers : getServers()).map(serverOf)
  const resting = new Map<ServerAddress, number>()
  const { random } = options
  const terms = (patience: Patience) => ({ timeoutMs: limits.timeoutMs, random, patience })

  /** One question to our servers, awake ones first. */
  async function askOurs<Type extends AskedType>(question: Question<Type>, patience: Patience): Promise<Told<Type>> {
    const failures = new Set<string>()
    for (let attempt = 0; attempt < limits.attempts; attempt++) {
      const now = performance.now()
      const rests = (server: ServerAddress) => ((resting.get(server) ?? 0) > now ? 1 : 0)
      for (const server of [...servers].sort((a, b) => rests(a) - rests(b))) {
        if (patience.leftMs() === 0) break
        const said = await exchange(server, question, { ...terms(patience), recursive: true })
        if (said.kind !== 'garbage' && said.kind !== 'failure') return said
        if (said.kind === 'garbage') resting.set(server, performance.now() + limits.restMs)
        failures.add(`${server.address}: ${said.detail}`)
      }
    }
    const idle = servers.length > 0 ? 'no time left to ask' : 'no name server is known'
    return { kind: 'unavailable', detail: [...failures].join('; ') || idle }
  }

  /** The name servers of the zone that holds `name`, by what our own servers say: the nearest NS records above it. */
  async function zoneServersOf(name: string, patience: Patience): Promise<readonly ServerAddress[]> {
    const labels = name.split('.')
    for (let depth = 0; depth < limits.zoneDepth && labels.length - depth >= 2; depth++) {
      const found = await askOurs({ name: labels.slice(depth).join('.'), type: 'NS' }, patience)
      if (found.kind === 'unavailable') return []
      if (found.kind !== 'records') continue
      const hosts = found.records.slice(0, limits.zoneServers)
      const answers = await Promise.all(hosts.map((host) => addressesOf(host, patience)))
      return answers
        .flatMap((answer) => (answer.kind === 'records' ? answer.records.slice(0, 1) : []))
        .filter((address) => options.allowPrivate || isPublicAddress(address))
        .map((address) => ({ address, port: options.zonePort ?? 53 }))
    }
    return []
  }

  /** Asks the servers of the zone itself: some resolvers refuse types that they do not know. */
  async function askZone<Type extends AskedType>(question: Question<Type>, patience: Patience): Promise<Told<Type>> {
    const failures: string[] = []
    for (const server of await zoneServersOf(question.name, patience)) {
      if (patience.leftMs() === 0) break
      const said = await exchange(server, question, { ...terms(patience), recursive: false })
      if (said.kind !== 'garbage' && said.kind !== 'failure') return said
      failures.push(`${server.address}: ${said.detail}`)
    }
    return { kind: 'unavailable', detail: failures.join('; ') || 'no server of the zone could be asked' }
  }

  async function ask<Type extends AskedType>(name: string, type: Type, patience: Patience): Promise<DnsAnswer<Type>> {
    let ttlSeconds = Number.POSITIVE_INFINITY
    const seen = new Set<string>()
    for (let next = name; seen.size <= dnsMessageLimits.aliases; ) {
      if (!isAskable(next)) return { kind: 'none', detail: 'not a name that DNS can hold', ttlSeconds: undefined }
      if (seen.has(next)) return { kind: 'unavailable', detail: `${name}: aliases in a circle` }
      seen.add(next)
      let told = await askOurs({ name: next, type }, patience)
      if (told.kind === 'unavailable' && type === 'CERT') {
        const zone = await askZone({ name: next, type }, patience)
        told = zone.kind === 'unavailable' ? { ...told, detail: `${told.detail}; ${zone.detail}` } : zone
      }
      if (told.kind === 'unavailable') return told
      if (told.kind === 'records') return { ...told, ttlSeconds: Math.min(told.ttlSeconds, ttlSeconds) }
      if (told.kind === 'none') return told
      ttlSeconds = Math.min(ttlSeconds, told.ttlSeconds)
      next = told.name
    }
    return { kind: 'unavailable', detail: `${name}: too many aliases` }
  }

  async function addressesOf(host: string, patience: Patience): Promise<DnsAnswer<'A'>> {
    const [four, six] = await Promise.all([ask(host, 'A', patience), ask(host, 'AAAA', patience)])
    const answers = [four, six]
    const records = answers.flatMap((answer) => (answer.kind === 'records' ? answer.records : []))
    if (records.length === 0) return answers.find(({ kind }) => kind === 'unavailable') ?? four
    const ttls = answers.flatMap((answer) => (answer.kind === 'records' ? [answer.ttlSeconds] : []))
    return { kind: 'records', records: records.slice(0, limits.addressesPerHost), ttlSeconds: Math.min(...ttls) }
  }

  return { ask, addressesOf }
}

type Told<Type extends AskedType> =
  | Exclude<Exchanged<Type>, { readonly kind: 'garbage' | 'failure' }>
  | { readonly kind: 'unavailable'; readonly detail: string }

/**
 * A name server from `address`, `address:port` or `[address]:port`; port 53 unless told. Throws for anything else: it
 * comes from the configuration.
 */
export function serverOf(text: string): ServerAddress {
  if (isIP(text)) return { address: text, port: 53 }
  const [, inBrackets, plain, port] = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text) ?? []
  const address = inBrackets ?? plain ?? ''
  const number = Number(port ?? 53)
  if (!isIP(address) || number < 1 || number > 65_535) throw new Error(`${text} is not the address of a name server`)
  return { address, port: number }
}

/** Looks names up through `servers`, for fetches (FetchRules.lookup): one view of the world for all that we look for. */
export function lookupThrough(
  servers: NameServers,
  limits: { readonly lookupMs: number } = { lookupMs: 5_000 },
): (name: string) => Promise<readonly LookupAddress[]> {
  return async (name) => {
    const family = isIP(name)
    if (family) return [{ address: name, family }]
    const answer = await servers.addressesOf(name, patienceOf(limits.lookupMs))
    if (answer.kind !== 'records') throw new Error(`${name}: ${answer.detail}`)
    return answer.records.map((address) => ({ address, family: isIP(address) }))
  }
}
