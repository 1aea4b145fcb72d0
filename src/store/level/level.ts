import { randomUUID } from 'node:crypto'
import { chmod, mkdir } from 'node:fs/promises'
import { Level } from 'level'
import { type Store, StoreFailed } from '../../ports/store.js'
import type { Clock } from '../../ports/world.js'
import { openCommitter } from '../committer.js'
import type { OrderedHome, OrderedReads } from '../ordered.js'

/** What LevelDB may use, with reasons beside the numbers. */
export const levelLimits = {
  /** Held twice at most. Large, so that spooled and queued bodies are gone before they would be written to a table. */
  writeBufferBytes: 32 * 1024 * 1024,
  /** Blocks kept in memory: directory rows and queue heads, which every message reads. */
  cacheBytes: 32 * 1024 * 1024,
  /** What one step of an iterator may carry into JavaScript. */
  pageBytes: 256 * 1024,
} as const

/**
 * Opens the embedded store in a directory of its own, made with mode 0700 where it is missing. One process owns it; a
 * second one gets StoreFailed saying so. Every commit is synced: what was acknowledged survives a power cut.
 */
export async function openLevelStore(directory: string, clock: Clock): Promise<Store> {
  return openCommitter(await openLevelHome(directory), clock, randomUUID())
}

/** LevelDB as an ordered home. Refuses (throws StoreFailed) a directory in use or unreadable. */
export async function openLevelHome(directory: string): Promise<OrderedHome> {
  let db: Level<string, Uint8Array>
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    await chmod(directory, 0o700)
    // All options at once, in one step with open(): a Level that is left alone for a tick opens itself with its defaults.
    db = new Level<string, Uint8Array>(directory, {
      keyEncoding: 'utf8',
      valueEncoding: 'view',
      writeBufferSize: levelLimits.writeBufferBytes,
      cacheSize: levelLimits.cacheBytes,
      // Bodies are ciphertext already; compressing them costs time and gains nothing.
      compression: false,
    })
    await db.open()
  } catch (cause) {
    throw new StoreFailed(whyNotOpen(directory, cause), { cause })
  }
  type At = { readonly snapshot?: ReturnType<typeof db.snapshot> }
  const reads = (at: At): OrderedReads => ({
    // In this thread: what is read is nearly always in LevelDB's memory, and waking another thread costs ten times as much.
    get: async (key) => db.getSync(key, at),
    getMany: async (keys) => keys.map((key) => db.getSync(key, at)),
    scan: ({ gte, lt, limit, reverse = false }) =>
      db.iterator({ gte, lt, limit, reverse, highWaterMarkBytes: levelLimits.pageBytes, ...at }).all(),
  })
  return {
    ...reads({}),
    snapshot() {
      const snapshot = db.snapshot()
      return { ...reads({ snapshot }), close: () => snapshot.close() }
    },
    async write(changes, sync) {
      // A chained batch costs a quarter less than an array of as many operations.
      const batch = db.batch()
      for (const change of changes) {
        if (change.type === 'put') batch.put(change.key, change.value)
        else batch.del(change.key)
      }
      await batch.write({ sync })
    },
    close: () => db.close(),
  }
}

function whyNotOpen(directory: string, error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  if (code === 'LEVEL_LOCKED')
    return `The data directory ${directory} is in use by another process: stop the other gateway first`
  return `The data directory ${directory} could not be opened: ${cause instanceof Error ? cause.message : String(cause)}`
}
