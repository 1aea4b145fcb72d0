import { chmod, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Blobs } from '../ports/blobs.js'
import type { Clock } from '../ports/world.js'
import { onDisk, openDrafts, roomOf, unlessMissing } from './drafts.js'

export const blobLimits = {
  /** One chunk handed to a reader, as the port promises. */
  readBytes: 64 * 1024,
} as const

const form = /^[0-9a-f]{64}$/

/**
 * Blobs as files named by the SHA-256 of their content, in two levels of 256 directories each, of mode 0600 and 0700. A
 * blob is written beside them, synced, renamed into place, and the directory synced: it is there as a whole, or not.
 * Several processes may share the directory, also over a network file system that keeps what docs/operating/blobs.md asks.
 */
export async function openFileBlobs(root: string, clock: Clock): Promise<Blobs> {
  const drafts = await openDrafts(join(root, 'draft'), clock)
  await onDisk(chmod(root, 0o700))
  await onDisk(syncDirectory(dirname(root)))

  const directoryOf = (name: string) => join(root, name.slice(0, 2), name.slice(2, 4))
  const pathOf = (name: string) => (form.test(name) ? join(directoryOf(name), name) : undefined)

  /** Every directory on the way is synced, new or not: whoever made it may not have come to that line yet. */
  async function keep(draft: string, name: string) {
    const directory = directoryOf(name)
    await mkdir(directory, { recursive: true, mode: 0o700 })
    await rename(draft, join(directory, name))
    for (const path of [directory, dirname(directory), root]) await syncDirectory(path)
  }

  async function size(name: string): Promise<number | undefined> {
    const path = pathOf(name)
    return path === undefined ? undefined : (await unlessMissing(stat(path)))?.size
  }

  async function* olderThan(olderThanMs: number): AsyncGenerator<string> {
    await drafts.clear()
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

  return {
    put: (chunks) =>
      drafts.write(
        chunks,
        async (file) => {
          const now = clock.now() / 1000
          await file.utimes(now, now)
          await file.datasync()
        },
        async ({ path, name }) => {
          await onDisk(keep(path, name))
          return name
        },
      ),
    async get(name) {
      const path = pathOf(name)
      return path !== undefined && (await size(name)) !== undefined ? readFrom(path) : undefined
    },
    path: pathOf,
    size,
    async delete(name) {
      const path = pathOf(name)
      if (path) await onDisk(rm(path, { force: true }))
    },
    olderThan,
    room: () => roomOf(root),
  }
}

async function* readFrom(path: string): AsyncGenerator<Uint8Array> {
  const file = await onDisk(open(path, 'r'))
  try {
    while (true) {
      const { bytesRead, buffer } = await onDisk(file.read(Buffer.allocUnsafe(blobLimits.readBytes), 0))
      if (bytesRead === 0) return
      yield buffer.subarray(0, bytesRead)
    }
  } finally {
    await file.close()
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
