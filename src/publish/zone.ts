import { isIPv4, isIPv6 } from 'node:net'
import { parseAddress } from '../direct/address.js'
import { type DataPart, isWithin, type Name, parentOf, type ResourceRecord, types } from './wire.js'

/** A zone that we answer for, as an operator writes it. */
export interface ZoneSettings {
  /** The apex: `direct.clinic.example`. */
  readonly name: string
  /** Names of our name servers, the primary first; one inside the zone needs an A or AAAA record here. */
  readonly nameServers: readonly string[]
  /** Mail address of who looks after the zone. */
  readonly contact: string
  /** Of records that do not say, and of certificates: how long a withdrawn certificate may still be used. */
  readonly ttlSeconds?: number | undefined
  /** How long a name that is not there may be remembered as such. */
  readonly negativeTtlSeconds?: number | undefined
  /**
   * Further records, each a line as in a zone file (RFC 1035 §5.1): `@ MX 10 mail.clinic.example.`, `mail 3600 A 192.0.2.1`,
   * `_ldap._tcp SRV 0 0 389 ldap`. `@` is the apex; a name without a dot at its end lies in the zone.
   */
  readonly records?: readonly string[] | undefined
}

export const zoneDefaults = {
  /** Short, as withdrawing a certificate must take effect; DCDT publishes with the same. */
  ttlSeconds: 300,
  negativeTtlSeconds: 60,
} as const

/** A zone ready to answer from. */
export interface Zone {
  readonly name: Name
  readonly ttlSeconds: number
  readonly negativeTtlSeconds: number
  /** Records by name and type; a name that only has names below it is there with none. */
  readonly nodes: ReadonlyMap<Name, ReadonlyMap<number, readonly ResourceRecord[]>>
  /** The SOA record with this serial, and with the TTL that a negative answer has (RFC 2308 §3) where asked. */
  soa(serial: number, negative: boolean): ResourceRecord
}

export type ZoneRead =
  | { readonly kind: 'zone'; readonly zone: Zone }
  | { readonly kind: 'bad'; readonly detail: string }

class Bad extends Error {}

/** Reads a zone, or says in words what is wrong with it: syntax, a name outside, an alias beside other records, missing glue. */
export function readZone(settings: ZoneSettings): ZoneRead {
  try {
    return { kind: 'zone', zone: read(settings) }
  } catch (error) {
    if (error instanceof Bad) return { kind: 'bad', detail: `zone ${settings.name}: ${error.message}` }
    throw error
  }
}

function read(settings: ZoneSettings): Zone {
  const apex = nameOf(settings.name, '')
  if (apex === '') throw new Bad('the root is not ours')
  const ttlSeconds = ttlOf(settings.ttlSeconds ?? zoneDefaults.ttlSeconds)
  const negativeTtlSeconds = ttlOf(settings.negativeTtlSeconds ?? zoneDefaults.negativeTtlSeconds)
  // In settings a name server is written in full, with or without the last dot.
  const servers = settings.nameServers.map((text) => nameOf(text, ''))
  const [primary] = servers
  if (primary === undefined) throw new Bad('it needs a name server')
  const records = [
    ...servers.map((name) => record(apex, types.NS, ttlSeconds, [{ name, compress: true }])),
    ...(settings.records ?? []).map((line) => lineOf(line, apex, ttlSeconds)),
  ]
  const nodes = nodesOf(records, apex)
  checkTargets(nodes, apex)
  return { name: apex, ttlSeconds, negativeTtlSeconds, nodes, soa: soaOf(settings, apex, primary) }
}

/** How often secondaries would ask and for how long they would serve; there are none, but the record must have them. */
const soaTimers = { refresh: 3600, retry: 600, expire: 604_800 }

function soaOf(settings: ZoneSettings, apex: Name, primary: Name): Zone['soa'] {
  const contact = mailboxName(settings.contact)
  const ttl = settings.ttlSeconds ?? zoneDefaults.ttlSeconds
  const minimum = settings.negativeTtlSeconds ?? zoneDefaults.negativeTtlSeconds
  return (serial, negative) => {
    const numbers = Buffer.alloc(20)
    const { refresh, retry, expire } = soaTimers
    for (const [i, number] of [serial, refresh, retry, expire, minimum].entries())
      numbers.writeUInt32BE(number >>> 0, 4 * i)
    const names = [
      { name: primary, compress: true },
      { name: contact, compress: true },
    ]
    return record(apex, types.SOA, negative ? Math.min(ttl, minimum) : ttl, [...names, numbers])
  }
}

/** `hostmaster@clinic.example` as a name (RFC 1035 §8): a dot before the @ would need an escape, which many get wrong. */
function mailboxName(text: string): Name {
  const address = parseAddress(text)
  const [local = '', domain = ''] = address?.split('@') ?? []
  if (!address || local.includes('.'))
    throw new Bad(`the contact ${text} must be an address without a dot before the @`)
  return nameOf(`${local}.${domain}`, '')
}

function record(name: Name, type: number, ttlSeconds: number, data: readonly DataPart[]): ResourceRecord {
  return { name, type, ttlSeconds, data }
}

const label = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/

/** A name as a zone file has it: relative to `origin` without a dot at the end. `origin` empty: always in full. */
function nameOf(text: string, origin: Name): Name {
  if (text === '@' && origin !== '') return origin
  const lower = text.toLowerCase()
  const full = lower.endsWith('.') || origin === '' ? lower.replace(/\.$/, '') : `${lower}.${origin}`
  if (full.length > 253 || !full.split('.').every((part) => label.test(part))) throw new Bad(`${text} is no host name`)
  return full
}

function ttlOf(given: string | number): number {
  const seconds = Number(given)
  if (!Number.isInteger(seconds) || seconds < 0 || seconds > 604_800)
    throw new Bad(`${given} is no TTL of at most a week`)
  return seconds
}

/** The words of a line; in quotes they may hold spaces, and `\` takes the next character as it is. */
function wordsOf(line: string): string[] {
  const word = /\s*("(?:[^"\\]|\\.)*"|[^\s"]+)(?=\s|$)/y
  const words: string[] = []
  const text = line.trimEnd()
  while (word.lastIndex < text.length) {
    const [, found] = word.exec(text) ?? []
    if (found === undefined || /[^\x20-\x7e]/.test(found)) throw new Bad(`cannot be read: ${line}`)
    words.push(found.startsWith('"') ? found.slice(1, -1).replace(/\\(.)/g, '$1') : found)
  }
  return words
}

function lineOf(line: string, apex: Name, ttlSeconds: number): ResourceRecord {
  const [owner = '', ...rest] = wordsOf(line)
  const ttl = /^\d+$/.test(rest[0] ?? '') ? ttlOf(rest.shift() ?? '') : ttlSeconds
  if (rest[0]?.toUpperCase() === 'IN') rest.shift()
  const [word = '', ...fields] = rest
  const form = forms[word.toUpperCase()]
  if (!form) throw new Bad(`${word || 'nothing'} is not published here: ${line}`)
  const name = nameOf(owner, apex)
  if (!isWithin(name, apex)) throw new Bad(`${name} is outside`)
  const data = form.data(fields, apex)
  if (!data) throw new Bad(`cannot be read as ${word}: ${line}`)
  return record(name, form.type, ttl, data)
}

interface Form {
  readonly type: number
  /** Undefined where the fields are not what the type has. */
  data(fields: readonly string[], apex: Name): readonly DataPart[] | undefined
}

const forms: Readonly<Record<string, Form>> = {
  A: { type: types.A, data: ([ip = '', ...more]) => (isIPv4(ip) && more.length === 0 ? [fourOctets(ip)] : undefined) },
  AAAA: {
    type: types.AAAA,
    data: ([ip = '', ...more]) =>
      isIPv6(ip) && !ip.includes('%') && more.length === 0 ? [sixteenOctets(ip)] : undefined,
  },
  MX: {
    type: types.MX,
    data([preference = '', host, ...more], apex) {
      if (!isShort(preference) || host === undefined || more.length > 0) return undefined
      // A dot alone is the null MX (RFC 7505).
      return [short(preference), { name: host === '.' ? '' : nameOf(host, apex), compress: true }]
    },
  },
  CNAME: {
    type: types.CNAME,
    data: ([target, ...more], apex) =>
      target === undefined || more.length > 0 ? undefined : [{ name: nameOf(target, apex), compress: true }],
  },
  SRV: {
    type: types.SRV,
    data([priority = '', weight = '', port = '', target, ...more], apex) {
      if (![priority, weight, port].every(isShort) || target === undefined || more.length > 0) return undefined
      // RFC 2782: a dot alone says that the service is decidedly not there. The target is never compressed.
      const name = target === '.' ? '' : nameOf(target, apex)
      return [short(priority), short(weight), short(port), { name, compress: false }]
    },
  },
  TXT: {
    type: types.TXT,
    data(fields) {
      const fits = fields.length > 0 && fields.every((field) => field.length <= 255)
      return fits ? fields.map((field) => Buffer.concat([Buffer.from([field.length]), Buffer.from(field)])) : undefined
    },
  },
  CAA: {
    type: types.CAA,
    data([flags = '', tag = '', value, ...more]) {
      if (!/^(0|128)$/.test(flags) || !/^[a-z0-9]{1,15}$/i.test(tag) || value === undefined || more.length > 0)
        return undefined
      return [Buffer.from([Number(flags), tag.length]), Buffer.from(tag), Buffer.from(value)]
    },
  },
}

const isShort = (text: string) => /^\d{1,5}$/.test(text) && Number(text) < 65_536

function short(text: string): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(Number(text))
  return bytes
}

const fourOctets = (ip: string) => Buffer.from(ip.split('.').map(Number))

function sixteenOctets(ip: string): Buffer {
  const dotted = ip.slice(ip.lastIndexOf(':') + 1)
  const four = isIPv4(dotted) ? fourOctets(dotted).toString('hex') : undefined
  const text = four ? ip.replace(dotted, `${four.slice(0, 4)}:${four.slice(4)}`) : ip
  const [head = '', tail] = text.split('::')
  const groups = (part: string | undefined) => (part ? part.split(':') : [])
  const missing = tail === undefined ? 0 : 8 - groups(head).length - groups(tail).length
  const all = [...groups(head), ...Array.from({ length: missing }, () => '0'), ...groups(tail)]
  return Buffer.from(all.map((group) => group.padStart(4, '0')).join(''), 'hex')
}

/** Records by name and type, with the empty names between (RFC 4592 §2.2.2); of two that are the same one is kept. */
function nodesOf(records: readonly ResourceRecord[], apex: Name): Zone['nodes'] {
  const nodes = new Map<Name, Map<number, ResourceRecord[]>>([[apex, new Map()]])
  for (const found of records) {
    for (let name = found.name; name !== apex; name = parentOf(name)) if (!nodes.has(name)) nodes.set(name, new Map())
    const node = nodes.get(found.name) ?? new Map<number, ResourceRecord[]>()
    const set = node.get(found.type) ?? []
    if (!set.some((other) => sameData(other, found))) set.push(found)
    // RFC 2181 §5.2: one TTL for all of a set.
    const ttlSeconds = Math.min(...set.map((each) => each.ttlSeconds))
    node.set(
      found.type,
      set.map((each) => ({ ...each, ttlSeconds })),
    )
    nodes.set(found.name, node)
  }
  for (const [name, node] of nodes) {
    const aliases = node.get(types.CNAME)?.length ?? 0
    // RFC 1034 §3.6.2.
    if (aliases > 1 || (aliases > 0 && (node.size > 1 || name === apex)))
      throw new Bad(`${name} is an alias and something else too`)
  }
  return nodes
}

function sameData(a: ResourceRecord, b: ResourceRecord): boolean {
  const text = ({ data }: ResourceRecord) =>
    data.map((part) => (part instanceof Uint8Array ? Buffer.from(part).toString('hex') : `.${part.name}`)).join(' ')
  return text(a) === text(b)
}

/** The names that a record points to. */
export function targetsOf({ data }: ResourceRecord): Name[] {
  return data.flatMap((part) => (part instanceof Uint8Array || part.name === '' ? [] : [part.name]))
}

/** Hosts that are pointed to inside the zone must not be aliases (RFC 2181 §10.3); name servers must have addresses. */
function checkTargets(nodes: Zone['nodes'], apex: Name): void {
  for (const node of nodes.values())
    for (const type of [types.NS, types.MX, types.SRV])
      for (const target of (node.get(type) ?? []).flatMap(targetsOf)) {
        if (!isWithin(target, apex)) continue
        const found = nodes.get(target)
        if (found?.has(types.CNAME)) throw new Bad(`${target} is an alias, and something points to it`)
        if (type === types.NS && !found?.has(types.A) && !found?.has(types.AAAA))
          throw new Bad(`the name server ${target} needs an A or AAAA record`)
      }
}
