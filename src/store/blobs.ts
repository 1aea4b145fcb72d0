import { createHash, randomUUID } from 'node:crypto'
import { chmod, type FileHandle, mkdir, open, readdir, rename, rm, stat, statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Blobs } from '../ports/blobs.js'
import { StoreFailed } from '../ports/store.js'
import type { Clock } from '../ports/world.js'

export const blobLimits = {
  /** One write to the file: large enough that the disk is not asked per network packet. */
  writeBytes: 256 * 1024,
  /** One chunk handed to a reader, as the port promises. */
  readBytes: 64 * 1024,
  /** After this a draft is nobody's any more: longer than any message may take to arrive. */
  draftMs: 3_600_000,
} as const

const form = /^[0-9a-f]{64}$/

/**
 * Blobs as files named by the SHA-256 of their content, in two levels of 256 directories each, of mode 0600 and 0700. A
 * blob is written beside them, synced, renamed into place, and the directory synced: it is there as a whole, or not.
 */
export async function openFileBlobs(root: string, clock: Clock): Promise<Blobs> {
  const drafts = join(root, 'draft')
  try {
    await mkdir(drafts, { recursive: true, mode: 0o700 })
    await chmod(root, 0o700)
    await syncDirectory(dirname(root))
    await clearDrafts(drafts, clock.now() - blobLimits.draftMs)
  } catch (cause) {
    throw failed(cause)
  }

  const directoryOf = (name: string) => join(root, name.slice(0, 2), name.slice(2, 4))
  const pathOf = (name: string) => (form.test(name) ? join(directoryOf(name), name) : undefined)

  async function put(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<string> {
    const draft = join(drafts, randomUUID())
    try {
      const name = await writeDraft(draft, chunks, clock.now())
      await disk(keep(draft, name))
      return name
    } catch (error) {
      await rm(draft, { force: true }).catch(() => {})
      throw error
    }
  }

  /**
   * Renames over an earlier file of the same content, which makes the blob young again, so that no orphan sweep takes it
   * before the batch that names it. Every directory on the way is synced, new or not: whoever made it may not have come
   * to that line yet.
   */
  async function keep(draft: string, name: string) {
    const directory = directoryOf(name)
    await mkdir(directory, { recursive: true, mode: 0o700 })
    await rename(draft, join(directory, name))
    for (const path of [directory, dirname(directory), root]) await syncDirectory(path)
  }

  async function get(name: string) {
    return (await size(name)) === undefined ? undefined : readFrom(pathOf(name) as string)
  }

  async function size(name: string): Promise<number | undefined> {
    const path = pathOf(name)
    return path === undefined ? undefined : (await unlessMissing(stat(path)))?.size
  }

  async function remove(name: string) {
    const path = pathOf(name)
    if (path) await disk(rm(path, { force: true }))
  }

  async function* olderThan(olderThanMs: number): AsyncGenerator<string> {
    const before = clock.now() - olderThanMs
    for (const outer of await namesIn(root, /^[0-9a-f]{2}$/)) {
      for (const inner of await namesIn(join(root, outer), /^[0-9a-f]{2}$/)) {
        for (const name of await namesIn(join(root, outer, inner), form)) {
          const found = await unlessMissing(stat(join(root, outer, inner, name)))
          if (found && found.mtimeMs < before) yield name
        }
      }
    }
  }

  return { put, get, path: pathOf, size, delete: remove, olderThan, room: () => disk(roomOf(root)) }
}

/** Writes and syncs all chunks; answers their digest. What the source throws is thrown on; what the disk throws is StoreFailed. */
async function writeDraft(
  draft: string,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  now: number,
): Promise<string> {
  const digest = createHash('sha256')
  const file = await disk(open(draft, 'wx', 0o600))
  try {
    const gathered = Buffer.allocUnsafe(blobLimits.writeBytes)
    let filled = 0
    for await (const chunk of chunks) {
      for (let at = 0; at < chunk.length; ) {
        const taken = Math.min(gathered.length - filled, chunk.length - at)
        gathered.set(chunk.subarray(at, at + taken), filled)
        filled += taken
        at += taken
        if (filled < gathered.length) continue
        digest.update(gathered)
        await disk(writeAll(file, gathered))
        filled = 0
      }
    }
    digest.update(gathered.subarray(0, filled))
    await disk(writeAll(file, gathered.subarray(0, filled)))
    await disk(file.utimes(now / 1000, now / 1000))
    await disk(file.datasync())
    return digest.digest('hex')
  } finally {
    await disk(file.close())
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array) {
  for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at, bytes.length - at)).bytesWritten
}

async function* readFrom(path: string): AsyncGenerator<Uint8Array> {
  const file = await disk(open(path, 'r'))
  try {
    while (true) {
      const { bytesRead, buffer } = await disk(file.read(Buffer.allocUnsafe(blobLimits.readBytes), 0))
      if (bytesRead === 0) return
      yield buffer.subarray(0, bytesRead)
    }
  } finally {
    await file.close()
  }
}

/** Removes what processes that died were writing: nobody was told of it. */
async function clearDrafts(drafts: string, before: number) {
  for (const name of await readdir(drafts)) {
    const draft = join(drafts, name)
    const found = await unlessMissing(stat(draft))
    if (found && found.mtimeMs < before) await rm(draft, { force: true })
  }
}

async function syncDirectory(path: string) {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

async function namesIn(directory: string, form: RegExp): Promise<readonly string[]> {
  return ((await unlessMissing(readdir(directory))) ?? []).filter((name) => form.test(name))
}

async function roomOf(root: string) {
  const { bavail, blocks, bsize, ffree, files } = await statfs(root)
  // A file system that makes inodes as it needs them says that it has none.
  const freeInodes = files === 0 ? Number.MAX_SAFE_INTEGER : ffree
  return { freeBytes: bavail * bsize, totalBytes: blocks * bsize, freeInodes }
}

async function unlessMissing<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined
    throw failed(cause)
  }
}

async function disk<T>(call: Promise<T>): Promise<T> {
  try {
    return await call
  } catch (cause) {
    throw failed(cause)
  }
}

function failed(cause: unknown): StoreFailed {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown'
  return new StoreFailed(`The blob directory failed: ${code}`, { cause })
}
