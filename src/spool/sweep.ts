import type { Blobs } from '../ports/blobs.js'
import { isHeld } from '../ports/body.js'
import { type Store, StoreFailed } from '../ports/store.js'
import { timeKey } from './payload.js'

/** Forgets seen rows written before `before`, oldest first, at most `limit`; answers how many. */
export async function sweepSeen(store: Store, before: number, limit: number): Promise<number> {
  const prefix = 'seen-by-time/'
  const old = await store.range({ gte: prefix, lt: `${prefix}${timeKey(before)}`, limit })
  if (old.length === 0) return 0
  const rows = await Promise.all(old.map(({ key }) => store.get(key.slice(prefix.length + 16))))
  const outcome = await store.commit({
    // A message may be renewing one of the rows right now; then all wait for the next sweep.
    require: rows.flatMap((row) => (row ? [{ key: row.key, version: row.version }] : [])),
    del: [...old.map(({ key }) => key), ...rows.flatMap((row) => (row ? [row.key] : []))],
  })
  return outcome.kind === 'committed' ? old.length : 0
}

/**
 * The sweep of blobs that no row names, and what keeps it from messages that arrive: spooled blobs are named by their
 * content, so a message may bring back the very blob that is being deleted.
 */
export interface BlobSweep {
  /**
   * Keeps a blob that was just put from the sweep while `work` commits the row that names it. Throws StoreFailed,
   * before any work, where the sweep was faster: then the message is not ours yet, and its sender tries again.
   */
  naming<T>(blob: string, work: () => Promise<T>): Promise<T>
  /** Looks at no more than `limit` old blobs, going on where the call before ended; answers how many it deleted. */
  run(limit: number): Promise<number>
}

export function openBlobSweep(store: Store, blobs: Blobs, olderThanMs: number): BlobSweep {
  /** Blobs between put and commit, with how many messages have them there. */
  const arriving = new Map<string, number>()
  const deleting = new Map<string, Promise<boolean>>()
  let walk: AsyncIterator<string> | undefined

  async function deleteOrphan(name: string): Promise<boolean> {
    if (await isHeld(store, name)) return false
    await blobs.delete(name)
    return true
  }
  return {
    async naming(blob, work) {
      arriving.set(blob, (arriving.get(blob) ?? 0) + 1)
      try {
        await deleting.get(blob)?.catch(() => false)
        if ((await blobs.size(blob)) === undefined) throw new StoreFailed('A blob was swept as it was put again')
        return await work()
      } finally {
        const left = (arriving.get(blob) ?? 1) - 1
        if (left > 0) arriving.set(blob, left)
        else arriving.delete(blob)
      }
    },
    async run(limit) {
      let deleted = 0
      for (let looked = 0; looked < limit; looked++) {
        walk ??= blobs.olderThan(olderThanMs)[Symbol.asyncIterator]()
        const { done, value: name } = await walk.next()
        if (done) {
          walk = undefined
          break
        }
        if (arriving.has(name) || deleting.has(name)) continue
        const orphan = deleteOrphan(name)
        deleting.set(name, orphan)
        try {
          if (await orphan) deleted += 1
        } finally {
          deleting.delete(name)
        }
      }
      return deleted
    },
  }
}
