import { isUint8Array } from 'node:util/types'
import type { Entry } from '../ports/store.js'

/**
 * The on-disk format, version 1: every key as it lies in the ordered home below the store, compared by UTF-8 bytes.
 *
 * | key                                        | value                                  |
 * |--------------------------------------------|----------------------------------------|
 * | `meta/format`                              | version of this format, decimal        |
 * | `meta/version`                             | last entry version given, varint       |
 * | `data/<key>`                               | varint version, then the value         |
 * | `log/<name> NUL <sequence, 16 digits>`     | 32 bytes of link, then the value       |
 * | `job/<queue> NUL <id>`                     | the payload                            |
 * | `due/<queue> NUL <dueAt, 16 digits> NUL <id>` | empty: the queue in order of due time |
 * | `try/<queue> NUL <id>`                     | how often it was claimed, varint       |
 *
 * A newer build opens every older format; an older build refuses a newer one.
 */
export const formatVersion = 1

export const metaFormat = 'meta/format'
export const metaVersion = 'meta/version'

/** What one entry may weigh. A caller that goes over has a bug: a stranger's bytes are bounded long before they get here. */
export const storeLimits = {
  /** LevelDB compares keys everywhere; ours are paths of a few ids, and a hash-chained path never needs more. */
  keyBytes: 1024,
  /** Larger bodies are blobs; a value this size already stalls the event loop for some milliseconds. */
  valueBytes: 16 * 1024 * 1024,
  /** What a range may return at once. */
  rangeEntries: 10_000,
  /** Commits joined in one synced write: enough to hide the disk, few enough that one slow group delays nobody long. */
  groupCommits: 256,
  groupBytes: 4 * 1024 * 1024,
  /** Logs whose last link stays in memory; any other is read again from its end. */
  logHeads: 1024,
} as const

const surrogate = /\p{Cs}/u
const digits = 16

/** Refuses (throws RangeError) an empty key, one over the limit, and lone surrogates, which UTF-8 would fold together. */
export function checkedKey(key: string): string {
  if (key.length === 0) throw new RangeError('A store key is empty')
  // A UTF-16 unit is at most three UTF-8 bytes, so that short keys need no counting.
  if (key.length * 3 > storeLimits.keyBytes && Buffer.byteLength(key) > storeLimits.keyBytes)
    throw new RangeError(`A store key is longer than ${storeLimits.keyBytes} bytes: ${key.slice(0, 80)}…`)
  if (surrogate.test(key)) throw new RangeError('A store key has a lone surrogate')
  return key
}

/** The name of a queue or log: a key without NUL, which separates it from what follows. */
export function checkedName(name: string): string {
  if (name.includes('\0')) throw new RangeError('A queue or log name has a NUL')
  return checkedKey(name)
}

/** Refuses (throws RangeError) a value over the limit. */
export function checkedValue(value: Uint8Array): Uint8Array {
  if (!isUint8Array(value)) throw new TypeError('A store value is not a Uint8Array')
  if (value.length > storeLimits.valueBytes)
    throw new RangeError(`A store value is larger than ${storeLimits.valueBytes} bytes`)
  return value
}

/** A moment as the due index sorts it: whole milliseconds, never negative. Refuses (throws RangeError) what is no number. */
export function checkedMoment(at: number): number {
  if (Number.isNaN(at)) throw new RangeError('A due time is not a number')
  return Math.min(Math.max(0, Math.floor(at)), Number.MAX_SAFE_INTEGER)
}

export const dataKey = (key: string) => `data/${key}`
export const logPrefix = (name: string) => `log/${name}\0`
export const logKey = (name: string, sequence: number) => logPrefix(name) + padded(sequence)
export const jobKey = (queue: string, id: string) => `job/${queue}\0${id}`
export const tryKey = (queue: string, id: string) => `try/${queue}\0${id}`
/** The due indexes of all queues begin here and end before `dueIndexEnd`. */
export const dueIndex = 'due/'
export const dueIndexEnd = 'due0'
export const duePrefix = (queue: string) => `${dueIndex}${queue}\0`
export const dueKey = (queue: string, dueAt: number, id: string) => `${duePrefix(queue)}${padded(dueAt)}\0${id}`
/** The end of what is due at `at`, exclusive. */
export const dueEnd = (queue: string, at: number) => `${duePrefix(queue)}${padded(at)}\u0001`
/** The end of all keys that continue a prefix ending in NUL, exclusive. */
export const prefixEnd = (prefix: string) => `${prefix.slice(0, -1)}\u0001`

/** The queue that a key of the due index belongs to. */
export const readDueQueue = (key: string) => key.slice(dueIndex.length, key.indexOf('\0'))

/** Reads a key of the due index back. */
export function readDueKey(queue: string, key: string): { readonly dueAt: number; readonly id: string } {
  const at = duePrefix(queue).length
  return { dueAt: Number(key.slice(at, at + digits)), id: key.slice(at + digits + 1) }
}

/** Reads the sequence number off a log key. */
export function readSequence(key: string): number {
  return Number(key.slice(-digits))
}

/** LEB128 of a number up to 2^53. */
export function varint(value: number): Uint8Array {
  const bytes: number[] = []
  let rest = value
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) + 0x80)
    rest = Math.floor(rest / 0x80)
  }
  bytes.push(rest)
  return Uint8Array.from(bytes)
}

/** Reads a LEB128 number and where it ends. */
export function readVarint(bytes: Uint8Array): { readonly value: number; readonly end: number } {
  let value = 0
  let scale = 1
  let end = 0
  for (const byte of bytes) {
    end++
    value += (byte & 0x7f) * scale
    if (byte < 0x80) break
    scale *= 0x80
  }
  return { value, end }
}

/** An entry as it lies under its `data/` key: varint version, then the value. */
export function readEntry(key: string, stored: Uint8Array): Entry {
  const { value: version, end } = readVarint(stored)
  return { key, value: stored.subarray(end), version }
}

function padded(value: number): string {
  return value.toString().padStart(digits, '0')
}
