import { encode, type Packet, type RecordType } from 'dns-packet'
import {
  DnsBytesError,
  type DnsMessage,
  type DnsRecord,
  dnsTypes,
  internetClass,
  nameAt,
  readDnsMessage,
} from './dns-reader.js'

/** Record types that are asked for, and what one record of each holds. */
export interface RecordOf {
  /** RDATA as it came (RFC 4398 §2). */
  readonly CERT: Uint8Array
  readonly SRV: ServiceRecord
  /** A dotted address. */
  readonly A: string
  /** An IPv6 address. */
  readonly AAAA: string
  /** A host name, lower-cased. */
  readonly NS: string
}

export type AskedType = keyof RecordOf

/** RFC 2782. */
export interface ServiceRecord {
  readonly priority: number
  readonly weight: number
  readonly port: number
  /** A host name, lower-cased; empty for the root, which says that there is no such service. */
  readonly target: string
}

export interface Question<Type extends AskedType = AskedType> {
  /** Without a trailing dot. */
  readonly name: string
  readonly type: Type
}

export const dnsMessageLimits = {
  /** Records in all sections of one answer: 64 KB hold some sixty certificates, and every record costs work to read. */
  records: 256,
  /** Aliases followed for one question; BIND stops at 16, honest chains are of one or two. */
  aliases: 8,
  /** What we say that we take over UDP (RFC 6891 §6.2.3): the size that is not fragmented anywhere. */
  udpBytes: 1232,
}

/** A message in answer to a question, read as far as it concerns the question. */
export type ReadMessage<Type extends AskedType = AskedType> =
  /** Not an answer to what was asked: another id, or no answer at all. */
  | { readonly kind: 'stray' }
  /** For this question by its id, but not to be read, or of another question. */
  | { readonly kind: 'garbage'; readonly detail: string }
  /** Does not fit into a datagram: ask over TCP (RFC 1035 §4.2.1). */
  | { readonly kind: 'truncated' }
  /** The server does not tell: its response code, or in words. */
  | { readonly kind: 'failure'; readonly detail: string; readonly code: string }
  /** Records of the name asked, or of the name that aliases lead to. */
  | { readonly kind: 'records'; readonly records: readonly RecordOf[Type][]; readonly ttlSeconds: number }
  /** No such name, or none of this type; undefined TTL where the server tells none (RFC 2308 §5). */
  | { readonly kind: 'none'; readonly detail: string; readonly ttlSeconds: number | undefined }
  /** The name is an alias, and what it stands for is not told here. */
  | { readonly kind: 'alias'; readonly name: string; readonly ttlSeconds: number }

/** Whether a name can be asked at all: labels of 1 to 63 octets, 253 characters together (RFC 1035 §2.3.4), nothing escaped. */
export function isAskable(name: string): boolean {
  return name.length <= 253 && name.split('.').every((label) => /^[!-[\]-~]{1,63}$/.test(label))
}

/** The bytes of one question, with EDNS where the server may answer at length (RFC 6891). The name must be askable. */
export function questionBytes(
  { name, type }: Question,
  { id, edns, recursive }: { readonly id: number; readonly edns: boolean; readonly recursive: boolean },
): Buffer {
  const packet: Packet = {
    type: 'query',
    id,
    flags: recursive ? 0x0100 : 0,
    questions: [{ name, type: type as RecordType, class: 'IN' }],
    additionals: edns
      ? [
          {
            name: '.',
            type: 'OPT',
            udpPayloadSize: dnsMessageLimits.udpBytes,
            extendedRcode: 0,
            ednsVersion: 0,
            flags: 0,
            flag_do: false,
            options: [],
          },
        ]
      : [],
  }
  return encode(packet)
}

/**
 * Reads an answer to `question` with the id `id`. Only records of the name asked count, and of names that its aliases
 * lead to within this message. Never throws: what does not read is `garbage`.
 */
export function readMessage<Type extends AskedType>(
  bytes: Buffer,
  question: Question<Type>,
  id: number,
  limits = dnsMessageLimits,
): ReadMessage<Type> {
  if (bytes.length < 12 || bytes.readUInt16BE(0) !== id || (bytes.readUInt8(2) & 0xf8) !== 0x80)
    return { kind: 'stray' }
  const truncated = (bytes.readUInt8(2) & 0x02) !== 0
  const counts = [4, 6, 8, 10].map((at) => bytes.readUInt16BE(at)) as [number, number, number, number]
  const garbage = (detail: string): ReadMessage<Type> => ({ kind: 'garbage', detail })
  // Counted before they are read: each may name the longest name there is.
  if (counts[1] + counts[2] + counts[3] > limits.records) return garbage('too many records')
  const code = codes[bytes.readUInt8(3) & 0x0f] ?? `RCODE${bytes.readUInt8(3) & 0x0f}`
  const tells = code === 'NOERROR' || code === 'NXDOMAIN'
  // Some servers do not repeat a question that they did not understand.
  if (counts[0] === 0 && !tells) return { kind: 'failure', detail: code, code }
  if (counts[0] !== 1) return garbage('not one question')
  try {
    // Of a truncated message only the question is read: the rest may end anywhere.
    const message = readDnsMessage(bytes, truncated ? [1, 0, 0, 0] : counts)
    const [asked] = message.questions
    if (asked?.name !== fold(question.name) || asked.type !== dnsTypes[question.type] || asked.class !== internetClass)
      return garbage('another question')
    if (truncated) return { kind: 'truncated' }
    if (!tells) return { kind: 'failure', detail: code, code }
    if (extendedCode(message) !== 0) return { kind: 'failure', detail: 'an extended response code', code: 'EXTENDED' }
    const authoritative = (bytes.readUInt8(2) & 0x04) !== 0
    return follow(bytes, question, message, { code, authoritative, aliases: limits.aliases })
  } catch (error) {
    if (error instanceof DnsBytesError) return garbage(error.message)
    throw error
  }
}

/** RFC 1035 §4.1.1, RFC 2136 §2.2. */
const codes = [
  'NOERROR',
  'FORMERR',
  'SERVFAIL',
  'NXDOMAIN',
  'NOTIMP',
  'REFUSED',
  'YXDOMAIN',
  'YXRRSET',
  'NXRRSET',
  'NOTAUTH',
  'NOTZONE',
]

/** From the name asked through its aliases (RFC 1034 §3.6.2) to records, to nothing, or to where another question begins. */
function follow<Type extends AskedType>(
  bytes: Buffer,
  question: Question<Type>,
  { answers, authorities }: DnsMessage,
  said: { readonly code: string; readonly authoritative: boolean; readonly aliases: number },
): ReadMessage<Type> {
  let name = fold(question.name)
  let ttlSeconds = Number.POSITIVE_INFINITY
  const seen = new Set([name])
  for (;;) {
    const own = answers.filter((record) => record.name === name && record.class === internetClass)
    const asked = own.filter(({ type }) => type === dnsTypes[question.type])
    if (asked.length > 0) {
      const records = asked.map((record) => readers[question.type](bytes, record) as RecordOf[Type])
      return { kind: 'records', records, ttlSeconds: Math.min(ttlSeconds, ...asked.map(({ ttl }) => ttl)) }
    }
    const alias = own.find(({ type }) => type === dnsTypes.CNAME)
    if (!alias) break
    ttlSeconds = Math.min(ttlSeconds, alias.ttl)
    name = onlyName(bytes, alias)
    if (seen.has(name)) return { kind: 'failure', detail: 'aliases in a circle', code: 'ALIAS' }
    seen.add(name)
    if (seen.size > said.aliases + 1) return { kind: 'failure', detail: 'too many aliases', code: 'ALIAS' }
  }
  const start = authorities.find(({ type }) => type === dnsTypes.SOA)
  const negativeSeconds = start && Math.min(negativeTtl(bytes, start), ttlSeconds)
  if (said.code === 'NXDOMAIN') return { kind: 'none', detail: 'no such name', ttlSeconds: negativeSeconds }
  // What an alias stands for may belong to another zone, of which this server does not tell.
  if (seen.size > 1 && !start) return { kind: 'alias', name, ttlSeconds }
  // RFC 2308 §2.2: name servers without a start of authority are a referral, which says nothing of what there is.
  if (!start && !said.authoritative && authorities.some(({ type }) => type === dnsTypes.NS))
    return { kind: 'failure', detail: 'refers to other servers', code: 'REFERRAL' }
  return { kind: 'none', detail: `no ${question.type} record`, ttlSeconds: negativeSeconds }
}

/** What one record of each type holds; DnsBytesError where it is not what its type says. */
const readers: { readonly [Type in AskedType]: (bytes: Buffer, record: DnsRecord) => RecordOf[Type] } = {
  // A copy, so that one certificate does not keep the whole message.
  CERT: (bytes, { from, to }) => Uint8Array.from(bytes.subarray(from, sized(to - from >= 5, to))),
  A: (bytes, { from, to }) => [...bytes.subarray(from, sized(to - from === 4, to))].join('.'),
  AAAA: (bytes, { from, to }) => {
    const groups = bytes.toString('hex', from, sized(to - from === 16, to)).match(/.{4}/g) ?? []
    return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1) // RFC 5952: the form that people read
  },
  NS: onlyName,
  SRV(bytes, { from, to }) {
    sized(to - from >= 7, to)
    const [priority, weight, port] = [0, 2, 4].map((at) => bytes.readUInt16BE(from + at)) as [number, number, number]
    return { priority, weight, port, target: onlyName(bytes, { from: from + 6, to }) }
  },
}

function sized(fits: boolean, to: number): number {
  if (!fits) throw new DnsBytesError('a record that does not read')
  return to
}

function onlyName(bytes: Buffer, { from, to }: Pick<DnsRecord, 'from' | 'to'>): string {
  const { name, next } = nameAt(bytes, from, to)
  sized(next === to, to)
  return name
}

/** RFC 2308 §5: the smaller of the TTL of the SOA record and its MINIMUM field, the last of it. */
function negativeTtl(bytes: Buffer, { from, to, ttl }: DnsRecord): number {
  return Math.min(ttl, bytes.readUInt32BE(sized(to - from >= 22, to) - 4))
}

/** The upper bits of the response code (RFC 6891 §6.1.3). */
function extendedCode({ additionals }: DnsMessage): number {
  const options = additionals.find(({ type }) => type === dnsTypes.OPT)
  return options ? options.ttl >>> 24 : 0
}

function fold(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => letter.toLowerCase())
}
