import { type Answer, decode, encode, type Packet, type RecordType } from 'dns-packet'

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
  | { readonly kind: 'alias'; readonly name: string; readonly aliases: number; readonly ttlSeconds: number }

/** Whether a name can be asked at all: labels of 1 to 63 octets, 253 characters together (RFC 1035 §2.3.4). */
export function isAskable(name: string): boolean {
  return name.length <= 253 && name.split('.').every((label) => label.length >= 1 && Buffer.byteLength(label) <= 63)
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
  let message: ReturnType<typeof decode>
  try {
    message = decode(truncated ? questionOnly(bytes) : bytes)
  } catch (error) {
    return garbage(error instanceof Error ? error.message : String(error))
  }
  const [asked] = message.questions ?? []
  if (!asked || fold(asked.name) !== fold(question.name) || asked.type !== question.type || asked.class !== 'IN')
    return garbage('another question')
  if (truncated) return { kind: 'truncated' }
  if (!tells) return { kind: 'failure', detail: code, code }
  if (extendedCode(message.additionals ?? []) !== 0)
    return { kind: 'failure', detail: 'an extended response code', code: 'EXTENDED' }
  const authoritative = (bytes.readUInt8(2) & 0x04) !== 0
  return follow(question, message.answers ?? [], message.authorities ?? [], code, authoritative, limits)
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
  question: Question<Type>,
  answers: readonly Answer[],
  authorities: readonly Answer[],
  code: string,
  authoritative: boolean,
  limits: typeof dnsMessageLimits,
): ReadMessage<Type> {
  let name = fold(question.name)
  let ttlSeconds = Number.POSITIVE_INFINITY
  const seen = new Set([name])
  for (;;) {
    const own = answers.filter((answer) => fold(answer.name) === name && isInternet(answer))
    const records: RecordOf[Type][] = []
    for (const answer of own) {
      if (answer.type !== question.type) continue
      const record = recordFrom(question.type, answer)
      if (record === undefined) return { kind: 'garbage', detail: `a ${question.type} record that does not read` }
      records.push(record)
      ttlSeconds = Math.min(ttlSeconds, ttlOf(answer))
    }
    if (records.length > 0) return { kind: 'records', records, ttlSeconds }
    const alias = own.find((answer) => answer.type === 'CNAME')
    if (alias?.type !== 'CNAME') break
    ttlSeconds = Math.min(ttlSeconds, ttlOf(alias))
    name = fold(alias.data)
    if (seen.has(name)) return { kind: 'failure', detail: 'aliases in a circle', code: 'ALIAS' }
    seen.add(name)
    if (seen.size > limits.aliases + 1) return { kind: 'failure', detail: 'too many aliases', code: 'ALIAS' }
  }
  const start = authorities.find((answer) => answer.type === 'SOA')
  const negativeSeconds = negativeTtl(start)
  const noneSeconds = negativeSeconds === undefined ? undefined : Math.min(negativeSeconds, ttlSeconds)
  if (code === 'NXDOMAIN') return { kind: 'none', detail: 'no such name', ttlSeconds: noneSeconds }
  // What an alias stands for may belong to another zone, of which this server does not tell.
  if (seen.size > 1 && !start) return { kind: 'alias', name, aliases: seen.size - 1, ttlSeconds }
  // RFC 2308 §2.2: name servers without a start of authority are a referral, which says nothing of what there is.
  if (!start && !authoritative && authorities.some((answer) => answer.type === 'NS'))
    return { kind: 'failure', detail: 'refers to other servers', code: 'REFERRAL' }
  return { kind: 'none', detail: `no ${question.type} record`, ttlSeconds: noneSeconds }
}

/** Undefined where the record is not what its type says. */
function recordFrom<Type extends AskedType>(type: Type, answer: Answer): RecordOf[Type] | undefined {
  return readers[type]('data' in answer ? answer.data : undefined)
}

const readers: { readonly [Type in AskedType]: (data: unknown) => RecordOf[Type] | undefined } = {
  // A copy, so that one certificate does not keep the whole message.
  CERT: (data) => (Buffer.isBuffer(data) && data.length >= 5 ? Uint8Array.from(data) : undefined),
  A: (data) => (typeof data === 'string' ? data : undefined),
  AAAA: (data) => (typeof data === 'string' ? data : undefined),
  NS: (data) => (typeof data === 'string' ? fold(data) : undefined),
  SRV(data) {
    const { priority, weight, port, target } = (data ?? {}) as Partial<Record<string, unknown>>
    if (typeof priority !== 'number' || typeof weight !== 'number' || typeof port !== 'number') return undefined
    return typeof target === 'string' ? { priority, weight, port, target: fold(target) } : undefined
  },
}

function isInternet(answer: Answer): boolean {
  return !('class' in answer) || answer.class === 'IN'
}

/** RFC 2181 §8: a TTL with its highest bit set is zero. */
function ttlOf(answer: Answer): number {
  const ttl = 'ttl' in answer ? (answer.ttl ?? 0) : 0
  return ttl > 0x7fff_ffff ? 0 : ttl
}

/** RFC 2308 §5: the smaller of the TTL of the SOA record and its MINIMUM field. */
function negativeTtl(start: Answer | undefined): number | undefined {
  if (start?.type !== 'SOA') return undefined
  return Math.min(ttlOf(start), start.data.minimum ?? 0)
}

function extendedCode(additionals: readonly Answer[]): number {
  const options = additionals.find((answer) => answer.type === 'OPT')
  return options?.type === 'OPT' ? options.extendedRcode : 0
}

/** The header and the question of a message, which all of a truncated one that is read. */
function questionOnly(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes)
  copy.fill(0, 6, 12)
  return copy
}

/** Names are compared in ASCII only (RFC 4343): other folding would make one name of two. */
function fold(name: string): string {
  return name.replace(/\.$/, '').replace(/[A-Z]/g, (letter) => letter.toLowerCase())
}
