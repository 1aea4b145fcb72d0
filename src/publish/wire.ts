import { type NameServerLimits, nameServerLimits } from './limits.js'

/**
 * DNS messages as an authoritative server needs them (RFC 1035 §4): queries read strictly, answers written with name
 * compression. Our own code, because a stranger's labels may hold dots, zero bytes and any case, and the question must go
 * back exactly as it came.
 */

export const types = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  HINFO: 13,
  MX: 15,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  CERT: 37,
  OPT: 41,
  DS: 43,
  TKEY: 249,
  TSIG: 250,
  IXFR: 251,
  AXFR: 252,
  MAILB: 253,
  MAILA: 254,
  ANY: 255,
  CAA: 257,
} as const

export const rcodes = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  BADVERS: 16,
} as const

export type Rcode = (typeof rcodes)[keyof typeof rcodes]

export const classIn = 1
const headerBytes = 12

/**
 * A domain name: lower-cased labels joined by dots, without the last dot; the root is empty. Bytes of a label that are no
 * printable ASCII, and dots and backslashes in it, are written `\ddd`, so that no label can pass for two.
 */
export type Name = string

export interface Edns {
  /** The datagram that the client can take. */
  readonly sizeBytes: number
  readonly version: number
  readonly dnssecOk: boolean
}

export interface Query {
  readonly id: number
  /** Flags of the query's header. */
  readonly flags: number
  /** The question as it came, in its own case. */
  readonly question: Uint8Array
  readonly name: Name
  readonly type: number
  readonly class: number
  readonly edns?: Edns
}

export type QueryRead =
  | { readonly kind: 'query'; readonly query: Query }
  /** To be answered with this code and nothing else. */
  | { readonly kind: 'fault'; readonly rcode: Rcode; readonly id: number; readonly flags: number }
  /** To be answered with nothing: no header, or an answer itself, which could start a loop between servers. */
  | { readonly kind: 'ignored' }

/** Reads one query; nothing that a stranger sends makes it throw. Bytes behind the last record are let pass. */
export function readQuery(bytes: Uint8Array, limits: NameServerLimits = nameServerLimits): QueryRead {
  if (bytes.length < headerBytes) return { kind: 'ignored' }
  const word = (at: number) => ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)
  const [id, flags] = [word(0), word(2)]
  if ((flags & 0x8000) !== 0) return { kind: 'ignored' }
  const fault = (rcode: Rcode): QueryRead => ({ kind: 'fault', rcode, id, flags })
  if ((flags & 0x7800) !== 0) return fault(rcodes.NOTIMP)
  const [questions, answers, authorities, additional] = [word(4), word(6), word(8), word(10)]
  const behind = authorities + additional
  if (questions !== 1 || answers !== 0 || behind > limits.queryRecords || bytes.length > limits.queryBytes)
    return fault(rcodes.FORMERR)

  const asked = readName(bytes, headerBytes)
  if (!asked || asked.next + 4 > bytes.length) return fault(rcodes.FORMERR)
  let at = asked.next + 4
  let edns: Edns | undefined
  for (let record = 0; record < behind; record++) {
    const owner = skipName(bytes, at)
    if (owner === undefined || owner + 10 > bytes.length) return fault(rcodes.FORMERR)
    const end = owner + 10 + word(owner + 8)
    if (end > bytes.length) return fault(rcodes.FORMERR)
    if (word(owner) === types.OPT) {
      // RFC 6891 §6.1.1: of the root, in the additional section, and only once.
      if (owner !== at + 1 || record < authorities || edns || !soundOptions(bytes, owner + 10, end))
        return fault(rcodes.FORMERR)
      edns = {
        sizeBytes: word(owner + 2),
        version: bytes[owner + 5] ?? 0,
        dnssecOk: ((bytes[owner + 6] ?? 0) & 0x80) !== 0,
      }
    }
    at = end
  }
  const question = bytes.slice(headerBytes, asked.next + 4)
  const query = { id, flags, question, name: asked.name, type: word(asked.next), class: word(asked.next + 2) }
  return { kind: 'query', query: { ...query, ...(edns && { edns }) } }
}

/** A name without compression, as a question has it: nothing stands before it that it could point to. */
function readName(bytes: Uint8Array, start: number): { readonly name: Name; readonly next: number } | undefined {
  const labels: string[] = []
  let at = start
  for (;;) {
    const length = bytes[at]
    // RFC 1035 §3.1: 255 octets with all lengths. Lengths over 63 are pointers or kinds of label that nobody uses.
    if (length === undefined || length > 63 || at + 1 + length - start > 255) return undefined
    if (length === 0) return { name: labels.join('.'), next: at + 1 }
    if (at + 1 + length > bytes.length) return undefined
    labels.push(labelText(bytes, at + 1, at + 1 + length))
    at += 1 + length
  }
}

function labelText(bytes: Uint8Array, from: number, to: number): string {
  let text = ''
  for (let i = from; i < to; i++) {
    const byte = bytes[i] as number
    if (byte >= 0x41 && byte <= 0x5a) text += String.fromCharCode(byte + 0x20)
    else if (byte <= 0x20 || byte >= 0x7f || byte === 0x2e || byte === 0x5c)
      text += `\\${String(byte).padStart(3, '0')}`
    else text += String.fromCharCode(byte)
  }
  return text
}

/** Behind the name of a record; a pointer ends it, wherever it points: such names are never read. */
function skipName(bytes: Uint8Array, start: number): number | undefined {
  let at = start
  for (;;) {
    const length = bytes[at]
    if (length === undefined || at - start > 255) return undefined
    if (length === 0) return at + 1
    if ((length & 0xc0) === 0xc0) return at + 2
    if (length > 63) return undefined
    at += 1 + length
  }
}

/** Options are read past, whatever they are (RFC 6891 §6.1.2); their lengths must fit. */
function soundOptions(bytes: Uint8Array, from: number, to: number): boolean {
  let at = from
  while (at + 4 <= to) at += 4 + (((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0))
  return at === to
}

/** A part of a record's data: octets, or a name, which older types may compress (RFC 3597 §4). */
export type DataPart = Uint8Array | { readonly name: Name; readonly compress: boolean }

export interface ResourceRecord {
  readonly name: Name
  readonly type: number
  readonly ttlSeconds: number
  readonly data: readonly DataPart[]
}

export interface Answer {
  readonly rcode: Rcode
  /** Whether we speak with authority: true wherever a zone of ours holds the name. */
  readonly authoritative: boolean
  readonly answers: readonly ResourceRecord[]
  readonly authority: readonly ResourceRecord[]
  readonly additional: readonly ResourceRecord[]
}

/** An answer of nothing but its code. */
export function bare(rcode: Rcode): Answer {
  return { rcode, authoritative: false, answers: [], authority: [], additional: [] }
}

/** Where messages are put together: writing is never interrupted, so one is enough. */
const scratch = Buffer.alloc(65_535 + 1024)

/**
 * Writes an answer of at most `limitBytes`, 512 or more. What does not fit loses its additional records first, then is
 * marked truncated and empty (RFC 2181 §9); over TCP, where there is no larger way, the last answers are left out.
 */
export function writeAnswer(query: Query, answer: Answer, limitBytes: number, last = false): Buffer {
  const whole = put(query, answer, limitBytes) ?? put(query, { ...answer, additional: [] }, limitBytes)
  if (whole) return whole
  for (let count = answer.answers.length - 1; last && count > 0; count--) {
    const less = put(query, { ...answer, answers: answer.answers.slice(0, count), additional: [] }, limitBytes)
    if (less) return less
  }
  return writeTruncated(query, answer.authoritative)
}

/** An answer that says no more than: ask again by TCP. Never longer than the query but for EDNS. */
export function writeTruncated(query: Query, authoritative: boolean): Buffer {
  const empty = { ...bare(rcodes.NOERROR), authoritative }
  return put(query, empty, 512, 0x0200) ?? writeFault(rcodes.SERVFAIL, query.id, query.flags)
}

/** A header alone, for what could not be read. */
export function writeFault(rcode: Rcode, id: number, flags: number): Buffer {
  const header = Buffer.alloc(headerBytes)
  header.writeUInt16BE(id, 0)
  header.writeUInt16BE(replyFlags(flags) | (rcode & 15), 2)
  return header
}

/** Of the query's flags an answer repeats opcode, RD and CD (RFC 1035 §4.1.1, RFC 4035 §3.1.6); RA stays off: we recurse for nobody. */
function replyFlags(flags: number): number {
  return 0x8000 | (flags & (0x7800 | 0x0100 | 0x0010))
}

function put(query: Query, answer: Answer, limitBytes: number, more = 0): Buffer | undefined {
  const room = limitBytes - (query.edns ? 11 : 0)
  const offsets = new Map<Name, number>()
  const { question, name } = query
  scratch.set(question, headerBytes)
  noteSuffixes(offsets, name, question)
  let at = headerBytes + question.length
  for (const record of [...answer.answers, ...answer.authority, ...answer.additional]) {
    at = putRecord(record, at, offsets)
    if (at > room) return undefined
  }
  if (query.edns) at = putEdns(at, answer.rcode, query.edns)
  scratch.writeUInt16BE(query.id, 0)
  const authoritative = answer.authoritative ? 0x0400 : 0
  scratch.writeUInt16BE(replyFlags(query.flags) | authoritative | more | (answer.rcode & 15), 2)
  const { answers, authority, additional } = answer
  const counts = [1, answers.length, authority.length, additional.length + (query.edns ? 1 : 0)]
  for (const [i, count] of counts.entries()) scratch.writeUInt16BE(count, 4 + 2 * i)
  return Buffer.from(scratch.subarray(0, at))
}

/** The question stands first, so that all names of its branch can point into it. */
function noteSuffixes(offsets: Map<Name, number>, name: Name, question: Uint8Array): void {
  let rest = name
  for (let at = 0; rest !== ''; at += 1 + (question[at] ?? 0)) {
    offsets.set(rest, headerBytes + at)
    rest = parentOf(rest)
  }
}

/** The name without its first label; the root for a single label. Escapes hold no dot. */
export function parentOf(name: Name): Name {
  const dot = name.indexOf('.')
  return dot < 0 ? '' : name.slice(dot + 1)
}

/** Whether a name is the other or lies below it. */
export function isWithin(name: Name, above: Name): boolean {
  return name === above || above === '' || name.endsWith(`.${above}`)
}

function putRecord({ name, type, ttlSeconds, data }: ResourceRecord, start: number, offsets: Map<Name, number>) {
  let at = putName(name, start, offsets, true)
  // What is past the room is found out by the caller, after each record: one of more than the scratch is not begun.
  const size = data.reduce((sum, part) => sum + (part instanceof Uint8Array ? part.length : 255), 0)
  if (at + 10 + size > scratch.length) return Number.POSITIVE_INFINITY
  at = scratch.writeUInt16BE(type, at)
  at = scratch.writeUInt16BE(classIn, at)
  at = scratch.writeUInt32BE(ttlSeconds, at)
  const length = at
  at += 2
  for (const part of data) {
    if (part instanceof Uint8Array) {
      scratch.set(part, at)
      at += part.length
    } else at = putName(part.name, at, offsets, part.compress)
  }
  scratch.writeUInt16BE(at - length - 2, length)
  return at
}

function putName(name: Name, start: number, offsets: Map<Name, number>, compress: boolean): number {
  let at = start
  let rest = name
  while (rest !== '') {
    const known = compress ? offsets.get(rest) : undefined
    if (known !== undefined) return scratch.writeUInt16BE(0xc000 | known, at)
    if (at < 0x4000 && !offsets.has(rest)) offsets.set(rest, at)
    const parent = parentOf(rest)
    const label = parent === '' ? rest : rest.slice(0, rest.length - parent.length - 1)
    scratch[at] = label.length
    scratch.write(label, at + 1, 'latin1')
    at += 1 + label.length
    rest = parent
  }
  scratch[at] = 0
  return at + 1
}

/** RFC 6891 §6.1: our own size, the upper bits of the code, DO as it came (RFC 3225 §3). */
function putEdns(start: number, rcode: Rcode, { dnssecOk }: Edns): number {
  scratch[start] = 0
  let at = scratch.writeUInt16BE(types.OPT, start + 1)
  at = scratch.writeUInt16BE(nameServerLimits.datagramBytes, at)
  scratch[at] = rcode >> 4
  scratch[at + 1] = 0
  at = scratch.writeUInt16BE(dnssecOk ? 0x8000 : 0, at + 2)
  return scratch.writeUInt16BE(0, at)
}
