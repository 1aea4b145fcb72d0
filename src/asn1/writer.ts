import { tags } from './reader.js'

/** Writes DER (ITU-T X.690 §10): definite, minimal lengths. */
export function der(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0
  for (const part of parts) length += part.length
  return Buffer.concat([header(tag, length), ...parts])
}

/** Identifier and length octets for content of `length` octets, for content that is streamed behind them. */
export function header(tag: number, length: number): Uint8Array {
  if (length < 0x80) return Uint8Array.of(tag, length)
  const octets: number[] = []
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256)
  return Uint8Array.of(tag, 0x80 | octets.length, ...octets)
}

export function sequenceOf(...parts: readonly Uint8Array[]): Uint8Array {
  return der(tags.sequence, ...parts)
}

/** SET OF in DER order: ascending by encoding (X.690 §11.6). */
export function setOf(...parts: readonly Uint8Array[]): Uint8Array {
  return der(tags.set, ...[...parts].sort(Buffer.compare))
}

/** `[number]` constructed around the parts: explicit, or implicit over a SEQUENCE or SET body. */
export function context(number: number, ...parts: readonly Uint8Array[]): Uint8Array {
  return der(0xa0 | number, ...parts)
}

/** `[number]` primitive, for implicit primitives. */
export function contextPrimitive(number: number, body: Uint8Array): Uint8Array {
  return der(0x80 | number, body)
}

/** A non-negative integer, given as a number below 2^53 or as big-endian magnitude octets. */
export function integer(value: number | Uint8Array): Uint8Array {
  let digits = typeof value === 'number' ? [...numberOctets(value)] : [...value]
  while (digits.length > 1 && digits[0] === 0) digits = digits.slice(1)
  if (digits.length === 0) digits = [0]
  if ((digits[0] as number) & 0x80) digits.unshift(0)
  return der(tags.integer, Uint8Array.from(digits))
}

function* numberOctets(value: number): Generator<number> {
  if (value >= 256) yield* numberOctets(Math.floor(value / 256))
  yield value % 256
}

export function octetString(body: Uint8Array): Uint8Array {
  return der(tags.octetString, body)
}

/** A bit string of whole octets. */
export function bitString(body: Uint8Array): Uint8Array {
  return der(tags.bitString, Uint8Array.of(0), body)
}

export const nullValue: Uint8Array = Uint8Array.of(tags.null, 0)

const written = new Map<string, Uint8Array>()

/** An object identifier from its dotted form. Written once, since a program has few of them. */
export function objectIdentifier(dotted: string): Uint8Array {
  const known = written.get(dotted)
  if (known) return known
  const [first = 0, second = 0, ...arcs] = dotted.split('.').map(Number)
  const encoded = der(tags.oid, Uint8Array.from([first * 40 + second, ...arcs].flatMap((arc) => base128(arc))))
  written.set(dotted, encoded)
  return encoded
}

function base128(arc: number): number[] {
  const octets = [arc % 128]
  for (let rest = Math.floor(arc / 128); rest > 0; rest = Math.floor(rest / 128)) octets.unshift(0x80 | (rest % 128))
  return octets
}

/** AlgorithmIdentifier (RFC 5280 §4.1.1.2). `parameters` absent when undefined, not NULL. */
export function algorithmIdentifier(dotted: string, parameters?: Uint8Array): Uint8Array {
  return parameters ? sequenceOf(objectIdentifier(dotted), parameters) : sequenceOf(objectIdentifier(dotted))
}

/** UTCTime through 2049, GeneralizedTime from 2050 on (RFC 5280 §4.1.2.5), of Unix milliseconds. */
export function timeOf(at: number): Uint8Array {
  const digits = new Date(at).toISOString().replace(/[-:T]|\.\d+/g, '')
  const year = Number(digits.slice(0, 4))
  const utc = year >= 1950 && year < 2050
  return der(utc ? tags.utcTime : tags.generalizedTime, Buffer.from(utc ? digits.slice(2) : digits, 'latin1'))
}
