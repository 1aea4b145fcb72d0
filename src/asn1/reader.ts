/**
 * Reads BER and DER (ITU-T X.690) in place: an element is a window on the bytes, nothing is copied or built.
 * CMS from real senders is BER with indefinite lengths and constructed octet strings; certificates are DER.
 */
export interface Element {
  readonly bytes: Uint8Array
  /** Identifier octet: class, constructed bit and tag number below 31. */
  readonly tag: number
  /** Offset of the identifier octet. */
  readonly start: number
  /** Content from here … */
  readonly from: number
  /** … to here, exclusive; end-of-contents octets not included. */
  readonly to: number
  /** Offset behind the element. */
  readonly next: number
}

/** Damaged or excessive ASN.1. Rooms that read a stranger's bytes catch it at their door and answer a refusal. */
export class Asn1Error extends Error {
  override readonly name = 'Asn1Error'
}

export const asn1Limits = {
  /** Indefinite lengths are walked recursively; real messages nest below 12. */
  depth: 32,
  /** Elements walked to find one end-of-contents: 64 MiB in 1 KiB segments is 65,536. */
  walked: 200_000,
  /** Children of one element; the largest honest list is a CMS with 2,000 recipients. */
  children: 10_000,
}

export const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  enumerated: 0x0a,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const

const constructed = 0x20

/** Reads one BER element at `offset`. Throws Asn1Error when it does not fit between `offset` and `end`. */
export function element(bytes: Uint8Array, offset = 0, end = bytes.length): Element {
  return read(bytes, offset, end, 0, { left: asn1Limits.walked })
}

/** Reads the one element that `bytes` consists of; anything behind it is an error. */
export function onlyElement(bytes: Uint8Array): Element {
  const found = element(bytes)
  if (found.next !== bytes.length) throw new Asn1Error('bytes after the element')
  return found
}

function read(bytes: Uint8Array, offset: number, end: number, depth: number, budget: { left: number }): Element {
  const tag = bytes[offset]
  const first = bytes[offset + 1]
  if (tag === undefined || first === undefined || offset + 2 > end) throw new Asn1Error('truncated')
  if ((tag & 0x1f) === 0x1f) throw new Asn1Error('tag numbers above 30 are not used here')
  if (first === 0x80) return readIndefinite(bytes, tag, offset, end, depth, budget)
  let from = offset + 2
  let length = first
  if (first > 0x80) {
    const octets = first & 0x7f
    if (octets > 6 || from + octets > end) throw new Asn1Error('length of length')
    length = 0
    for (let i = 0; i < octets; i++) length = length * 256 + (bytes[from + i] as number)
    from += octets
  }
  const to = from + length
  if (to > end) throw new Asn1Error('longer than what holds it')
  return { bytes, tag, start: offset, from, to, next: to }
}

/** X.690 §8.1.3.6: the content ends at two zero octets on its own level. */
function readIndefinite(
  bytes: Uint8Array,
  tag: number,
  start: number,
  end: number,
  depth: number,
  budget: { left: number },
): Element {
  if (!(tag & constructed)) throw new Asn1Error('indefinite length on a primitive')
  if (depth >= asn1Limits.depth) throw new Asn1Error('nested too deeply')
  let at = start + 2
  for (;;) {
    if (at + 2 > end) throw new Asn1Error('no end-of-contents')
    if (bytes[at] === 0 && bytes[at + 1] === 0) return { bytes, tag, start, from: start + 2, to: at, next: at + 2 }
    if (--budget.left < 0) throw new Asn1Error('too many elements')
    at = read(bytes, at, end, depth + 1, budget).next
  }
}

/** The elements inside a constructed one. */
export function children(parent: Element, limit = asn1Limits.children): Element[] {
  if (!(parent.tag & constructed)) throw new Asn1Error('not constructed')
  const found: Element[] = []
  const budget = { left: asn1Limits.walked }
  for (let at = parent.from; at < parent.to; ) {
    if (found.length >= limit) throw new Asn1Error('too many children')
    const child = read(parent.bytes, at, parent.to, 0, budget)
    found.push(child)
    at = child.next
  }
  return found
}

/** The children of a SEQUENCE. */
export function sequence(parent: Element | undefined, limit?: number): Element[] {
  return children(expect(parent, tags.sequence), limit)
}

/** The element itself when it has this identifier octet; Asn1Error otherwise. */
export function expect(found: Element | undefined, tag: number): Element {
  if (!found || found.tag !== tag)
    throw new Asn1Error(
      `expected tag 0x${tag.toString(16)}, found ${found ? `0x${found.tag.toString(16)}` : 'nothing'}`,
    )
  return found
}

/** Content octets, without a copy. */
export function content(found: Element): Uint8Array {
  return found.bytes.subarray(found.from, found.to)
}

/** Identifier, length and content octets, without a copy. */
export function whole(found: Element): Uint8Array {
  return found.bytes.subarray(found.start, found.next)
}

/** The segments of an octet string, primitive or constructed (X.690 §8.7), also under an implicit context tag. No copies. */
export function octetSegments(found: Element, into: Uint8Array[] = [], depth = 0): Uint8Array[] {
  if (!(found.tag & constructed)) {
    into.push(content(found))
    return into
  }
  if (depth >= 8) throw new Asn1Error('octet string nested too deeply')
  for (const segment of children(found, asn1Limits.walked)) {
    if ((segment.tag & ~constructed) !== tags.octetString) throw new Asn1Error('not an octet string segment')
    if (into.length >= asn1Limits.walked) throw new Asn1Error('too many octet string segments')
    octetSegments(segment, into, depth + 1)
  }
  return into
}

/** An octet string in one piece; copies only when it came in segments. */
export function octets(found: Element): Uint8Array {
  const segments = octetSegments(found)
  return segments.length === 1 ? (segments[0] as Uint8Array) : Buffer.concat(segments)
}

/** Octets of a bit string whose length is a whole number of octets (signatures, keys). */
export function bitOctets(found: Element | undefined): Uint8Array {
  const bits = content(expect(found, tags.bitString))
  if (bits[0] !== 0) throw new Asn1Error('bit string with unused bits')
  return bits.subarray(1)
}

/** Named bits of a bit string as a number, bit 0 of the specification in the lowest place (X.690 §8.6; at most 32). */
export function namedBits(found: Element | undefined): number {
  const bits = content(expect(found, tags.bitString))
  if (bits.length === 0 || bits.length > 5) throw new Asn1Error('named bits')
  let value = 0
  for (let i = 0; i < (bits.length - 1) * 8; i++)
    if ((bits[1 + (i >> 3)] as number) & (0x80 >> (i & 7))) value |= 1 << i
  return value >>> 0
}

/** A small non-negative integer; Asn1Error for negative ones and those above 2^31. */
export function smallInteger(found: Element | undefined): number {
  const digits = content(expect(found, tags.integer))
  if (digits.length === 0 || digits.length > 4 || (digits[0] as number) & 0x80)
    throw new Asn1Error('integer out of range')
  return digits.reduce((value, digit) => value * 256 + digit, 0)
}

/** A non-negative integer of at most 20 octets (RFC 5280 §5.2.3); Asn1Error for others. */
export function bigInteger(found: Element | undefined): bigint {
  const digits = content(expect(found, tags.integer))
  if (digits.length === 0 || digits.length > 21 || (digits[0] as number) & 0x80)
    throw new Asn1Error('integer out of range')
  return BigInt(`0x${Buffer.from(digits).toString('hex')}`)
}

/** DER demands 0xff for true (X.690 §11.1); BER any non-zero octet. */
export function truth(found: Element | undefined): boolean {
  const value = content(expect(found, tags.boolean))
  if (value.length !== 1) throw new Asn1Error('boolean')
  return value[0] !== 0
}

/** An object identifier in dotted form, at most 64 octets of content. */
export function oid(found: Element | undefined): string {
  const digits = content(expect(found, tags.oid))
  if (digits.length === 0 || digits.length > 64 || (digits[digits.length - 1] as number) & 0x80)
    throw new Asn1Error('object identifier')
  let text = ''
  let arc = 0
  let fresh = true
  for (const digit of digits) {
    if (fresh && digit === 0x80) throw new Asn1Error('object identifier with padding')
    if (arc > 2 ** 45) throw new Asn1Error('object identifier arc')
    arc = arc * 128 + (digit & 0x7f)
    fresh = (digit & 0x80) === 0
    if (!fresh) continue
    if (text) text += `.${arc}`
    else text = arc < 80 ? `${Math.floor(arc / 40)}.${arc % 40}` : `2.${arc - 80}`
    arc = 0
  }
  return text
}

/** UTCTime or GeneralizedTime in the forms RFC 5280 §4.1.2.5 allows (Z, seconds, no fraction), as Unix milliseconds. */
export function time(found: Element | undefined): number {
  if (!found || (found.tag !== tags.utcTime && found.tag !== tags.generalizedTime))
    throw new Asn1Error('expected a time')
  const text = Buffer.from(content(found)).toString('latin1')
  const match = (
    found.tag === tags.utcTime ? /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/ : /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/
  ).exec(text)
  if (!match) throw new Asn1Error('unreadable time')
  const [year, month, day, hour, minute, second] = match.slice(1).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  const fullYear = found.tag === tags.generalizedTime ? year : year < 50 ? 2000 + year : 1900 + year
  const at = new Date(0)
  at.setUTCFullYear(fullYear, month - 1, day)
  at.setUTCHours(hour, minute, second)
  if (at.getUTCMonth() !== month - 1 || at.getUTCDate() !== day || hour > 23 || minute > 59 || second > 60)
    throw new Asn1Error('impossible time')
  return at.getTime()
}

/**
 * Asserts DER where it matters for identity: definite, minimal lengths all the way down (X.690 §10.1). What is read
 * leniently and hashed strictly would let one certificate have many fingerprints.
 */
export function assertDer(found: Element, depth = 0, budget = { left: 20_000 }): void {
  if (depth >= asn1Limits.depth || --budget.left < 0) throw new Asn1Error('too large for DER')
  const { bytes, start, from, to, next } = found
  if (next !== to) throw new Asn1Error('indefinite length in DER')
  const length = to - from
  const size = length < 0x80 ? 1 : length < 0x100 ? 2 : length < 0x1_0000 ? 3 : length < 0x100_0000 ? 4 : 5
  if (from - start - 1 !== size || (size === 1 && bytes[start + 1] !== length))
    throw new Asn1Error('length is not minimal')
  if (found.tag & constructed) for (const child of children(found)) assertDer(child, depth + 1, budget)
}
