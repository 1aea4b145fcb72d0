/**
 * Reads DNS messages (RFC 1035 §4.1) in place. dns-packet writes our questions, but is not given what strangers answer: it
 * takes half a record for a whole one, and follows compression pointers for as long as there are any.
 */

export const dnsReaderLimits = {
  /** Compression pointers followed for one name; a name has 127 labels at most, honest writers need two or three. */
  pointers: 32,
  /** RFC 1035 §2.3.4, octets on the wire. */
  nameOctets: 255,
}

/** A message that does not read. Thrown by this file, caught by who reads the message. */
export class DnsBytesError extends Error {
  override readonly name = 'DnsBytesError'
}

export interface DnsQuestion {
  readonly name: string
  readonly type: number
  readonly class: number
}

export interface DnsRecord extends DnsQuestion {
  /** Seconds; 0 where its highest bit is set (RFC 2181 §8). */
  readonly ttl: number
  /** RDATA lies from here … */
  readonly from: number
  /** … to here, exclusive. */
  readonly to: number
}

export interface DnsMessage {
  readonly questions: readonly DnsQuestion[]
  readonly answers: readonly DnsRecord[]
  readonly authorities: readonly DnsRecord[]
  readonly additionals: readonly DnsRecord[]
}

/** Numbers of the types that are read (RFC 1035 §3.2.2, 3596, 2782, 4398, 6891). */
export const dnsTypes = { A: 1, NS: 2, CNAME: 5, SOA: 6, AAAA: 28, SRV: 33, CERT: 37, OPT: 41 } as const

/** RFC 1035 §3.2.4. */
export const internetClass = 1

interface Place {
  at: number
}

/**
 * Reads a message of at least 12 octets, `counts` of whose four sections the caller has found tolerable. Throws
 * DnsBytesError for what does not fit into the bytes, or names that are longer or more entangled than the limits.
 */
export function readDnsMessage(bytes: Buffer, counts: readonly [number, number, number, number]): DnsMessage {
  const place = { at: 12 }
  const many = <One>(count: number, read: () => One) => Array.from({ length: count }, read)
  const [questions, answers, authorities, additionals] = counts
  return {
    questions: many(questions, () => readQuestion(bytes, place)),
    answers: many(answers, () => readRecord(bytes, place)),
    authorities: many(authorities, () => readRecord(bytes, place)),
    additionals: many(additionals, () => readRecord(bytes, place)),
  }
}

function readQuestion(bytes: Buffer, place: Place): DnsQuestion {
  const name = readName(bytes, place, bytes.length)
  return { name, type: take(bytes, place, 2), class: take(bytes, place, 2) }
}

function readRecord(bytes: Buffer, place: Place): DnsRecord {
  const question = readQuestion(bytes, place)
  const ttl = take(bytes, place, 4)
  const length = take(bytes, place, 2)
  const from = place.at
  place.at += length
  if (place.at > bytes.length) throw new DnsBytesError('broke off in a record')
  return { ...question, ttl: ttl > 0x7fff_ffff ? 0 : ttl, from, to: place.at }
}

function take(bytes: Buffer, place: Place, octets: 2 | 4): number {
  if (place.at + octets > bytes.length) throw new DnsBytesError('broke off')
  const value = bytes.readUIntBE(place.at, octets)
  place.at += octets
  return value
}

/**
 * The name that begins at an offset and, but for what its pointers lead to, ends before `end`: lower-cased in ASCII only
 * (RFC 4343), without a trailing dot, empty for the root. Octets that no host name has are written as `\ddd`, so that a dot
 * inside a label never makes it look like two.
 */
export function nameAt(bytes: Buffer, at: number, end: number): { readonly name: string; readonly next: number } {
  const place = { at }
  return { name: readName(bytes, place, end), next: place.at }
}

function readName(bytes: Buffer, place: Place, end: number): string {
  const labels: string[] = []
  let octets = 1
  let pointers = 0
  let at = place.at
  for (;;) {
    const inPlace = pointers === 0
    const length = bytes[at]
    if (length === undefined || (inPlace && at >= end)) throw new DnsBytesError('broke off in a name')
    if (length >= 0xc0) {
      const low = bytes[at + 1]
      if (low === undefined || (inPlace && at + 2 > end)) throw new DnsBytesError('broke off in a name')
      if (inPlace) place.at = at + 2
      const to = (length & 0x3f) * 256 + low
      // RFC 1035 §4.1.4: to a prior occurrence. Each leads further back, so that it ends.
      if (to >= at) throw new DnsBytesError('a pointer that leads nowhere')
      pointers += 1
      if (pointers > dnsReaderLimits.pointers) throw new DnsBytesError('too many pointers')
      at = to
      continue
    }
    if (length > 63) throw new DnsBytesError('an unknown kind of label')
    if (length === 0) {
      if (inPlace) place.at = at + 1
      return labels.join('.')
    }
    octets += length + 1
    if (octets > dnsReaderLimits.nameOctets) throw new DnsBytesError('a name too long')
    const label = bytes.subarray(at + 1, at + 1 + length)
    if (label.length < length || (inPlace && at + 1 + length > end)) throw new DnsBytesError('broke off in a name')
    labels.push(textOf(label))
    at += 1 + length
  }
}

function textOf(label: Uint8Array): string {
  let text = ''
  for (const octet of label) {
    const plain = octet > 0x20 && octet < 0x7f && octet !== 0x2e && octet !== 0x5c
    text += plain ? String.fromCharCode(octet).toLowerCase() : `\\${String(octet).padStart(3, '0')}`
  }
  return text
}
