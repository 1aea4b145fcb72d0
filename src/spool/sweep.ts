import type { Blobs } from '../ports/blobs.js'
import { blobsAreKept, isHeld } from '../ports/body.js'
import type { Store } from '../ports/store.js'
import type { Clock } from '../ports/world.js'
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
 * Opens the sweep of blobs that no row names. Each call looks at no more than `limit` blobs older than `olderThanMs`,
 * going on where the call before ended, and answers how many it deleted. Any number of processes may sweep at once, and
 * beside messages that arrive: a blob has a name of its own (`Blobs.put`), and its only put was `olderThanMs` ago.
 */
export function openBlobSweep(
  { store, blobs, clock }: { readonly store: Store; readonly blobs: Blobs; readonly clock: Clock },
  olderThanMs: number,
): (limit: number) => Promise<number> {
  let walk: AsyncIterator<string> | undefined

  async function next(): Promise<string | undefined> {
    walk ??= blobs.olderThan(olderThanMs)[Symbol.asyncIterator]()
    try {
      const { done, value } = await walk.next()
      if (!done) return value
    } catch (error) {
      walk = undefined
      throw error
    }
    walk = undefined
    return undefined
  }

  return async (limit) => {
    let deleted = 0
    for (let looked = 0; looked < limit; looked++) {
      const name = await next()
      if (name === undefined) break
      if (await isHeld(store, name)) continue
      // Asked after the row was seen to be gone: a backup says so first, and then looks which blobs have rows.
      if (await blobsAreKept(store, clock.now())) break
      await blobs.delete(name)
      deleted += 1
    }
    return deleted
  }
}
