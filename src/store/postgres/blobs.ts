import { createHash, randomBytes } from 'node:crypto'
import type { Blobs } from '../../ports/blobs.js'
import { StoreFailed } from '../../ports/store.js'
import { type Link, openLink, type Stay } from './link.js'
import { type PostgresOptions, postgresTimeouts, readAddresses } from './options.js'
import { checkedSchema } from './postgres.js'
import { openReaders } from './readers.js'
import type { Statement } from './session.js'
import { readBytes, readNumber } from './wire.js'

export const postgresBlobLimits = {
  /**
   * One row, one statement, one round trip. Answers come as hexadecimal text: twice as long is no faster and holds the event
   * loop twice as long.
   */
  chunkBytes: 128 * 1024,
  /** One chunk handed to a reader, as the port promises. */
  readBytes: 64 * 1024,
  /** Without a new chunk for this long a draft is nobody's any more: longer than any sender may pause. */
  draftMs: 3_600_000,
  /** Names asked for at once by a sweep. */
  pageNames: 500,
  /** Connections for blobs, each holding at most two chunks: large bodies must not keep the store waiting for its own. */
  connections: 4,
} as const

export interface PostgresBlobs extends Blobs {
  close(): Promise<void>
}

/**
 * Blobs as rows of at most 128 KiB in the database of the store, so that one thing is backed up and failed over. Bytes are
 * written under a draft in short transactions as they come, whichever connection is free; the last one counts them and
 * gives them their name. Times are the server's, so that nodes agree on age. Throws as `openPostgresStore` does.
 */
export async function openPostgresBlobs(options: PostgresOptions): Promise<PostgresBlobs> {
  const link = await openLink({
    addresses: readAddresses(options),
    schema: checkedSchema(options.schema ?? 'direct_gateway'),
    requireStandby: options.requireStandby ?? false,
    timeouts: { ...postgresTimeouts, ...options.timeouts },
    onChange: options.onChange ?? (() => {}),
  })
  const { read } = openReaders(prepared(link), options.poolSize ?? postgresBlobLimits.connections)
  const now = () => (options.clock ? String(Math.floor(options.clock.now())) : null)

  async function put(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<string> {
    const draft = randomBytes(16)
    const digest = createHash('sha256')
    let count = 0
    let sizeBytes = 0
    try {
      for await (const piece of pieces(chunks)) {
        digest.update(piece)
        sizeBytes += piece.length
        await read(writeChunk, [now(), draft, String(count++), piece])
      }
      const name = digest.digest()
      const named = await read(nameDraft, [now(), draft, name, String(count), String(sizeBytes)])
      if (named.length !== 1) throw new StoreFailed('A blob lost some of its bytes before it had its name')
      return name.toString('hex')
    } catch (error) {
      await read(dropDraft, [draft]).catch(() => {}) // what cannot be dropped now goes with the dead ones
      throw error
    }
  }

  async function* chunksOf(draft: Buffer, sizeBytes: number): AsyncGenerator<Uint8Array> {
    let missing = sizeBytes
    for (let n = 0; missing > 0; n++) {
      const [bytes] = await read(readChunk, [draft, String(n)])
      if (!bytes || bytes.length === 0 || bytes.length > missing)
        throw new StoreFailed('A blob in the database is not whole: it was deleted as it was read, or is damaged')
      missing -= bytes.length
      const step = postgresBlobLimits.readBytes
      for (let at = 0; at < bytes.length; at += step) yield bytes.subarray(at, at + step)
    }
  }

  async function* olderThan(olderThanMs: number): AsyncGenerator<string> {
    await read(dropDeadDrafts, [now(), String(postgresBlobLimits.draftMs)])
    let after: Buffer = Buffer.alloc(0)
    while (true) {
      const names = await read(listOld, [
        now(),
        String(Math.trunc(olderThanMs)),
        after,
        String(postgresBlobLimits.pageNames),
      ])
      for (const name of names) yield name.toString('hex')
      const last = names.at(-1)
      if (!last || names.length < postgresBlobLimits.pageNames) return
      after = last
    }
  }

  async function find(name: string) {
    const [found] = /^[0-9a-f]{64}$/.test(name) ? await read(findBlob, [Buffer.from(name, 'hex')]) : []
    return found
  }

  return {
    put,
    async get(name) {
      const found = await find(name)
      return found && chunksOf(found.draft, found.sizeBytes)
    },
    path: () => undefined,
    size: async (name) => (await find(name))?.sizeBytes,
    async delete(name) {
      if (/^[0-9a-f]{64}$/.test(name)) await read(deleteBlob, [Buffer.from(name, 'hex')])
    },
    olderThan,
    room: async () => undefined,
    close: () => link.close(),
  }
}

/** The bytes of a source in pieces as long as a row may be; the last one is shorter, and the only one of an empty source empty. */
async function* pieces(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): AsyncGenerator<Buffer> {
  const size = postgresBlobLimits.chunkBytes
  let piece = Buffer.allocUnsafe(size)
  let filled = 0
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; ) {
      const taken = Math.min(size - filled, chunk.length - at)
      piece.set(chunk.subarray(at, at + taken), filled)
      filled += taken
      at += taken
      if (filled < size) continue
      yield piece
      piece = Buffer.allocUnsafe(size)
      filled = 0
    }
  }
  yield piece.subarray(0, filled)
}

/** The same way to the server, over connections that know the statements below. */
function prepared(link: Link): Link {
  const known = new WeakMap<Stay, Stay>()
  function stay() {
    const there = link.stay()
    const ours = known.get(there) ?? {
      ...there,
      async reader() {
        const session = await there.reader()
        await session.prepare(blobStatements)
        return session
      },
    }
    known.set(there, ours)
    return ours
  }
  return { ...link, stay }
}

const now = `coalesce($1::int8, (extract(epoch from clock_timestamp()) * 1000)::int8)`

/** One more chunk of a draft, which lives on from this moment. */
const writeChunk = {
  name: 'blob_write_chunk',
  text: `WITH draft AS (INSERT INTO blob_draft (draft, touched_at) VALUES ($2::bytea, ${now})
      ON CONFLICT (draft) DO UPDATE SET touched_at = excluded.touched_at)
    INSERT INTO blob_chunk (draft, n, bytes) VALUES ($2::bytea, $3::int8, $4::bytea)`,
} satisfies Statement

/**
 * Names a draft, where all its bytes are there; answers nothing where they are not. What has the name already becomes
 * young again, and the draft's bytes are spare. The row of the draft keeps whoever clears dead ones away.
 */
const nameDraft = {
  name: 'blob_name_draft',
  text: `WITH mine AS (SELECT count(*) AS chunks, coalesce(sum(octet_length(bytes)), 0)::int8 AS size
        FROM blob_chunk WHERE draft = $2::bytea),
      done AS (DELETE FROM blob_draft USING mine
        WHERE blob_draft.draft = $2::bytea AND mine.chunks = $4::int8 AND mine.size = $5::int8 RETURNING 1),
      kept AS (INSERT INTO blob (name, draft, size, put_at)
        SELECT $3::bytea, $2::bytea, mine.size, ${now} FROM mine, done
        ON CONFLICT (name) DO UPDATE SET put_at = excluded.put_at RETURNING draft),
      spare AS (DELETE FROM blob_chunk USING kept WHERE blob_chunk.draft = $2::bytea AND kept.draft <> $2::bytea)
    SELECT 1 FROM kept`,
  read: () => true,
} satisfies Statement<true>

/** Deletes rows that name a draft, and the chunks of each. */
const withChunks = (rows: string) => `WITH gone AS (DELETE FROM ${rows} RETURNING draft)
    DELETE FROM blob_chunk USING gone WHERE blob_chunk.draft = gone.draft`

/** Drops a draft that was not named; where it was after all, nothing. */
const dropDraft = {
  name: 'blob_drop_draft',
  text: withChunks('blob_draft WHERE draft = $1::bytea'),
} satisfies Statement

const dropDeadDrafts = {
  name: 'blob_drop_dead_drafts',
  text: withChunks(`blob_draft WHERE touched_at < ${now} - $2::int8`),
} satisfies Statement

const deleteBlob = {
  name: 'blob_delete',
  text: withChunks('blob WHERE name = $1::bytea'),
} satisfies Statement

const findBlob = {
  name: 'blob_find',
  text: 'SELECT draft, size FROM blob WHERE name = $1::bytea',
  read: ([draft, size]) => ({ draft: readBytes(draft), sizeBytes: readNumber(size) }),
} satisfies Statement<{ readonly draft: Buffer; readonly sizeBytes: number }>

const readChunk = {
  name: 'blob_read_chunk',
  text: 'SELECT bytes FROM blob_chunk WHERE draft = $1::bytea AND n = $2::int8',
  read: ([bytes]) => readBytes(bytes),
} satisfies Statement<Buffer>

const listOld = {
  name: 'blob_list_old',
  text: `SELECT name FROM blob WHERE name > $3::bytea AND put_at < ${now} - $2::int8 ORDER BY name LIMIT $4::int8`,
  read: ([name]) => readBytes(name),
} satisfies Statement<Buffer>

const blobStatements: readonly Statement[] = [
  ...[writeChunk, nameDraft, dropDraft, dropDeadDrafts],
  ...[deleteBlob, findBlob, readChunk, listOld],
]
