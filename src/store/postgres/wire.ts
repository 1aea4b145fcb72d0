/**
 * How values travel. Parameters go in PostgreSQL's binary format, whole columns as one array each, so that one prepared
 * statement serves any number of rows and nothing is written as hexadecimal. Answers come as text: the client library
 * decodes every field as UTF-8 before anybody sees it, which binary values do not survive.
 */

/** Object identifiers of the element types: fixed since the first release with this protocol. */
const oids = { bytea: 17, int8: 20 } as const

/** A parameter as the protocol takes it: a Buffer goes in binary format, a string as text. */
export type Parameter = Buffer | string | null

/** A `bytea[]` in binary format. */
export function byteaArray(values: readonly (Uint8Array | null)[]): Buffer {
  let sizeBytes = headerBytes(values.length)
  for (const value of values) sizeBytes += 4 + (value?.length ?? 0)
  const array = startArray(oids.bytea, values.length, sizeBytes)
  let at = headerBytes(values.length)
  for (const value of values) {
    at = array.writeInt32BE(value === null ? -1 : value.length, at)
    if (value === null) continue
    array.set(value, at)
    at += value.length
  }
  return array
}

/** A `bytea[]` of the UTF-8 bytes of texts: keys, names and tokens. */
export function textBytesArray(values: readonly string[]): Buffer {
  return byteaArray(values.map((value) => Buffer.from(value)))
}

/** An `int8[]` in binary format, of whole numbers within ±2^53. */
export function int8Array(values: readonly (number | null)[]): Buffer {
  const sizeBytes = headerBytes(values.length) + values.length * 12
  const array = startArray(oids.int8, values.length, sizeBytes)
  let at = headerBytes(values.length)
  for (const value of values) {
    at = array.writeInt32BE(value === null ? -1 : 8, at)
    if (value === null) continue
    at = array.writeInt32BE(Math.floor(value / 0x1_0000_0000), at)
    at = array.writeUInt32BE(value - Math.floor(value / 0x1_0000_0000) * 0x1_0000_0000, at)
  }
  return array.subarray(0, at)
}

/** The UTF-8 bytes of a key, name or token. */
export function textBytes(value: string): Buffer {
  return Buffer.from(value)
}

const headerBytes = (count: number) => (count === 0 ? 12 : 20)

/** An array of no elements has no dimension. The flag only says that nulls may be there. */
function startArray(oid: number, count: number, sizeBytes: number): Buffer {
  const array = Buffer.allocUnsafe(sizeBytes)
  array.writeInt32BE(count === 0 ? 0 : 1, 0)
  array.writeInt32BE(1, 4)
  array.writeInt32BE(oid, 8)
  if (count > 0) {
    array.writeInt32BE(count, 12)
    array.writeInt32BE(1, 16)
  }
  return array
}

/** One field of an answer: text, or nothing where it is null. */
export type Field = string | null | undefined

/** Reads a `bytea` in the format `\x0123…`. Refuses (throws) anything else: the session asked for this one. */
export function readBytes(field: Field): Buffer {
  if (!field?.startsWith('\\x')) throw new Error('The server did not answer with hexadecimal bytes')
  return Buffer.from(field.slice(2), 'hex')
}

export const readText = (field: Field): string => readBytes(field).toString()

/** Reads an integer. Refuses (throws) null and what is not a safe integer. */
export function readNumber(field: Field): number {
  const value = Number(field ?? Number.NaN)
  if (!Number.isSafeInteger(value)) throw new Error('The server did not answer with a number we could keep')
  return value
}

export const readFlag = (field: Field): boolean => field === 't'
