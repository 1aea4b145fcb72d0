import { createHash, randomUUID } from 'node:crypto'
import { type FileHandle, mkdir, open, readdir, rm, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { StoreFailed } from '../ports/store.js'
import type { Clock } from '../ports/world.js'

export const draftLimits = {
  /** One write to the file: large enough that the disk is not asked per network packet. */
  writeBytes: 256 * 1024,
  /** Unwritten for this long a draft is nobody's any more: longer than any sender may pause. */
  idleMs: 3_600_000,
} as const

/** A blob on its way to where it is kept: all its bytes in a file of mode 0600. */
export interface Draft {
  readonly path: string
  /** SHA-256 of the bytes, lower-case hex. */
  readonly name: string
  readonly sizeBytes: number
}

/** The directory, of mode 0700, where blobs are written before they have a name. Several processes may share it. */
export interface Drafts {
  /**
   * Writes all chunks and calls `finish` on the open file; then lends the draft to `use`, after which nothing is left of
   * it here. What the source or `use` throws is thrown on; what the disk throws is StoreFailed.
   */
  write<T>(
    chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    finish: (file: FileHandle) => Promise<void>,
    use: (draft: Draft) => Promise<T>,
  ): Promise<T>
  /** Removes what processes that died were writing: nobody was told of it. */
  clear(): Promise<void>
}

/** Makes the directory where there is none, and clears it of what the dead left. Throws StoreFailed where that fails. */
export async function openDrafts(directory: string, clock: Clock): Promise<Drafts> {
  async function clear() {
    const before = clock.now() - draftLimits.idleMs
    for (const name of (await unlessMissing(readdir(directory))) ?? []) {
      const draft = join(directory, name)
      const found = await unlessMissing(stat(draft))
      if (found && found.mtimeMs < before) await onDisk(rm(draft, { force: true }))
    }
  }
  await onDisk(mkdir(directory, { recursive: true, mode: 0o700 }))
  await clear()
  return {
    async write(chunks, finish, use) {
      const path = join(directory, randomUUID())
      try {
        return await use({ path, ...(await writeAll(path, chunks, finish)) })
      } finally {
        await rm(path, { force: true }).catch(() => {})
      }
    },
    clear,
  }
}

async function writeAll(
  path: string,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  finish: (file: FileHandle) => Promise<void>,
) {
  const digest = createHash('sha256')
  const file = await onDisk(open(path, 'wx', 0o600))
  try {
    const gathered = Buffer.allocUnsafe(draftLimits.writeBytes)
    let filled = 0
    let sizeBytes = 0
    const flush = async () => {
      const piece = gathered.subarray(0, filled)
      digest.update(piece)
      await onDisk(writeFully(file, piece))
      sizeBytes += filled
      filled = 0
    }
    for await (const chunk of chunks) {
      for (let at = 0; at < chunk.length; ) {
        const taken = Math.min(gathered.length - filled, chunk.length - at)
        gathered.set(chunk.subarray(at, at + taken), filled)
        filled += taken
        at += taken
        if (filled === gathered.length) await flush()
      }
    }
    await flush()
    await onDisk(finish(file))
    return { name: digest.digest('hex'), sizeBytes }
  } finally {
    await onDisk(file.close())
  }
}

async function writeFully(file: FileHandle, bytes: Uint8Array) {
  for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at, bytes.length - at)).bytesWritten
}

/** Free and total bytes, and free inodes, of the file system that holds `directory`. */
export async function roomOf(directory: string) {
  const { bavail, blocks, bsize, ffree, files } = await onDisk(statfs(directory))
  // A file system that makes inodes as it needs them says that it has none.
  const freeInodes = files === 0 ? 1 : ffree / files
  return { freeBytes: bavail * bsize, totalBytes: blocks * bsize, freeInodes }
}

/** What a call of the disk answers; undefined where there is no such file; any other failure as StoreFailed. */
export async function unlessMissing<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined
    throw diskFailed(cause)
  }
}

/** What a call of the disk answers, its failure as StoreFailed. */
export async function onDisk<T>(call: Promise<T>): Promise<T> {
  try {
    return await call
  } catch (cause) {
    throw diskFailed(cause)
  }
}

function diskFailed(cause: unknown): StoreFailed {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown'
  return new StoreFailed(`The blob directory failed: ${code}`, { cause })
}
