import { createHash } from 'node:crypto'
import type { StoredRow } from '../ports/store.js'

/**
 * The form of a backup file, version 1. A line of text, then frames:
 *
 * | bytes | what                                                                                         |
 * |-------|----------------------------------------------------------------------------------------------|
 * | 1     | kind: `h` header, `r` rows, `b` blob begins, `c` bytes of it, `z` blob ends, `e` end           |
 * | 4     | length of the content, big-endian                                                            |
 * | n     | the content                                                                                  |
 * | 32    | SHA-256 over the digest of the frame before (of the line, for the first), kind, length, content |
 *
 * Each digest is so one of everything up to there: a byte that was changed, cut, moved or added is found at the frame
 * where it stands, and the last digest is that of the whole file.
 */
export const backupLine = Buffer.from('direct-gateway backup 1\n')

export const frameLimits = {
  /** A value has up to 16 MiB; with its names and numbers it must fit one frame. */
  contentBytes: 17 * 1024 * 1024,
  /** Rows are gathered to frames of about this size: large enough to hide the digest, small enough to be held many times. */
  rowsBytes: 256 * 1024,
} as const

export type FrameKind = 'h' | 'r' | 'b' | 'c' | 'z' | 'e'

const headBytes = 5
const digestBytes = 32

/** Makes frames one after another, each with the digest that joins it to all before. */
export function frameWriter() {
  let digest = createHash('sha256').update(backupLine).digest()
  return {
    /** The digest of all that was made. */
    digest: (): Uint8Array => digest,
    frame(kind: FrameKind, content: Uint8Array): Uint8Array {
      const head = Buffer.alloc(headBytes)
      head.write(kind, 'latin1')
      head.writeUInt32BE(content.length, 1)
      digest = createHash('sha256').update(digest).update(head).update(content).digest()
      return Buffer.concat([head, content, digest])
    },
  }
}

/** A file is not a backup, or not as it was written; `offset` is where the first thing wrong begins, in bytes. */
export class BackupDamaged extends Error {
  override readonly name = 'BackupDamaged'
  readonly offset: number

  constructor(detail: string, offset: number) {
    super(`${detail}, at byte ${offset}`)
    this.offset = offset
  }
}

export interface Frame {
  readonly kind: FrameKind
  readonly content: Uint8Array
  /** The digest of everything before this frame. */
  readonly before: Uint8Array
  /** Where it begins. */
  readonly offset: number
}

/** Reads frames, each only after its digest was found right. Throws BackupDamaged for anything else than whole frames. */
export async function* readFrames(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Frame> {
  const bytes = exactly(chunks)
  try {
    const line = await bytes.take(backupLine.length)
    if (!line || !backupLine.equals(line)) throw new BackupDamaged('This is no backup of version 1', 0)
    let before = createHash('sha256').update(backupLine).digest()
    for (let offset = backupLine.length; ; ) {
      const head = await bytes.take(headBytes)
      if (!head) {
        if (bytes.left() > 0) throw new BackupDamaged('The file was cut', offset)
        return
      }
      const kind = String.fromCharCode(head[0] ?? 0)
      const size = Buffer.from(head.buffer, head.byteOffset, headBytes).readUInt32BE(1)
      if (!isKind(kind) || size > frameLimits.contentBytes) throw new BackupDamaged('The file was altered', offset)
      const content = await bytes.take(size)
      const digest = content && (await bytes.take(digestBytes))
      if (!content || !digest) throw new BackupDamaged('The file was cut or altered', offset)
      const right = createHash('sha256').update(before).update(head).update(content).digest()
      if (!right.equals(digest)) throw new BackupDamaged('The file was altered', offset)
      yield { kind, content, before, offset }
      before = right
      offset += headBytes + size + digestBytes
    }
  } finally {
    await bytes.close()
  }
}

function isKind(text: string): text is FrameKind {
  return /^[hrbcze]$/.test(text)
}

/** Takes a stream apart by sizes. */
function exactly(chunks: AsyncIterable<Uint8Array>) {
  const source = chunks[Symbol.asyncIterator]()
  let held: Uint8Array[] = []
  let size = 0
  return {
    left: () => size,
    /** Exactly so many bytes, in memory of their own; undefined where the stream ends before. */
    async take(wanted: number): Promise<Uint8Array | undefined> {
      while (size < wanted) {
        const { done, value } = await source.next()
        if (done) return undefined
        held.push(value)
        size += value.length
      }
      const all = held.length === 1 && held[0] ? held[0] : Buffer.concat(held)
      held = all.length > wanted ? [all.subarray(wanted)] : []
      size = all.length - wanted
      return Uint8Array.prototype.slice.call(all, 0, wanted)
    },
    close: () => source.return?.(),
  }
}

/** Rows as they lie in a frame of kind `r`: each a letter, its numbers and its texts, all led by LEB128 lengths. */
export function encodeRow(row: StoredRow): Uint8Array {
  switch (row.kind) {
    case 'entry':
      return Buffer.concat([letter('E'), ...text(row.key), number(row.version), ...bytes(row.value)])
    case 'job': {
      const { queue, id, dueAt, attempt, payload } = row
      return Buffer.concat([
        letter('J'),
        ...text(queue),
        ...text(id),
        number(dueAt),
        number(attempt),
        ...bytes(payload),
      ])
    }
    case 'log':
      return Buffer.concat([
        letter('L'),
        ...text(row.log),
        number(row.sequence),
        ...bytes(row.value),
        ...bytes(row.link),
      ])
  }
}

/** Reads the rows of a frame; throws BackupDamaged where a newer or foreign program wrote it. */
export function* decodeRows({ content, offset }: Frame): Generator<StoredRow> {
  const buffer = Buffer.from(content.buffer, content.byteOffset, content.length)
  let at = 0
  const wrong = () => new BackupDamaged('The rows do not read', offset)
  function readNumber(): number {
    for (let value = 0, scale = 1; at < buffer.length && scale < 2 ** 56; scale *= 0x80) {
      const byte = buffer[at++] ?? 0
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
    }
    throw wrong()
  }
  function readBytes(): Uint8Array {
    const size = readNumber()
    if (size > buffer.length - at) throw wrong()
    at += size
    return content.subarray(at - size, at)
  }
  const readText = () => Buffer.from(readBytes()).toString()
  while (at < buffer.length) {
    const kind = String.fromCharCode(buffer[at++] ?? 0)
    if (kind === 'E') yield { kind: 'entry', key: readText(), version: readNumber(), value: readBytes() }
    else if (kind === 'J')
      yield {
        kind: 'job',
        queue: readText(),
        id: readText(),
        dueAt: readNumber(),
        attempt: readNumber(),
        payload: readBytes(),
      }
    else if (kind === 'L')
      yield { kind: 'log', log: readText(), sequence: readNumber(), value: readBytes(), link: readBytes() }
    else throw wrong()
  }
}

const letter = (name: string) => Buffer.from(name, 'latin1')
const text = (value: string) => bytes(Buffer.from(value))
const bytes = (value: Uint8Array) => [number(value.length), value]

function number(value: number): Uint8Array {
  const out: number[] = []
  let rest = value
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) out.push((rest % 0x80) + 0x80)
  out.push(rest)
  return Uint8Array.from(out)
}
