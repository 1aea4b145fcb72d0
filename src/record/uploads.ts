import { createHash } from 'node:crypto'
import type { RecordAccess } from '../direct/access.js'
import { type BodyPorts, holdKey, keepBody, readBody } from '../ports/body.js'
import { type Batch, type Entry, together, within } from '../ports/store.js'
import type { Clock, Random } from '../ports/world.js'
import { blobKey, isId, openJson, ownerOf, pieceKey, sealJson, sweepKey, sweepPrefix, uploadKey } from './rows.js'
import { authorOf } from './sight.js'

export const uploadLimits = {
  /** One blob: a CT series is cut into several, everything else a patient has is smaller. */
  blobBytes: 256 * 1024 * 1024,
  /** One piece is held in memory, sealed, and audited: some hundred requests for the largest blob. */
  pieceBytes: 8 * 1024 * 1024,
  /** Pieces of one blob: smaller ones than it takes for the largest blob are a fault or an attack. */
  pieces: 1024,
  /** Uploads of one record that nothing names yet, and their bytes. */
  waiting: 50,
  waitingBytes: 1024 ** 3,
  /** How long an upload may take, and a finished one wait to be named (HealthVault: never less than a day). */
  waitMs: 24 * 60 * 60 * 1000,
  /** All that is kept of one record; see recordLimits. */
  bytesPerRecord: 4 * 1024 ** 3,
}

/** An upload as whoever began it knows it. */
export interface Upload {
  readonly id: string
  readonly sizeBytes: number
  /** How many bytes are durable: the next piece begins here. */
  readonly offset: number
  /** Unix milliseconds: from then on it may be swept, unless an item names it. */
  readonly dueAt: number
  /** Of the whole, once it is there: an item names it by this. */
  readonly sha256?: string
}

export interface StoredBlob {
  readonly sha256: string
  readonly sizeBytes: number
  /** Id of the upload under which its pieces lie, and their sizes in order. */
  readonly id: string
  readonly pieces: readonly number[]
  /** Whoever uploaded these bytes: they may bind them to what they write. */
  readonly by: readonly string[]
  /** When it is swept unless something names it until then, Unix milliseconds; absent where something does. */
  readonly dueAt?: number
}

interface StoredUpload {
  readonly by: string
  readonly sizeBytes: number
  readonly expected?: string
  readonly pieces: readonly number[]
  readonly dueAt: number
  readonly sha256?: string
}

export type BeginOutcome =
  | { readonly kind: 'begun'; readonly upload: Upload; readonly parts: Batch }
  | { readonly kind: 'too-large' }
  | { readonly kind: 'too-many' }
  | { readonly kind: 'quota' }

export type AppendOutcome =
  | { readonly kind: 'taken'; readonly upload: Upload; readonly parts: Batch }
  | { readonly kind: 'missing' | 'too-large' | 'too-many' }
  /** The piece begins elsewhere than the last one ended. Nothing is taken. */
  | { readonly kind: 'gap'; readonly offset: number }
  /** The whole is not what was announced; `parts` discards it. */
  | { readonly kind: 'other-bytes'; readonly parts: Batch }

/** Bytes on their way into a record, piece by piece, and the blobs that they became. */
export interface Uploads {
  /** Announces an upload; refused where the record could not keep it. */
  begin(by: Uploader, announced: { readonly sizeBytes: number; readonly sha256?: string }): Promise<BeginOutcome>
  /**
   * Takes the next piece and answers what must be committed; the last one makes a blob of them all. On a conflict the
   * piece came twice: ask `get` how far it is.
   */
  append(by: Uploader, id: string, offset: number, bytes: Uint8Array): Promise<AppendOutcome>
  /** An upload of this author's, or any for custodians; undefined for anybody else's. */
  get(by: Uploader, id: string): Promise<Upload | undefined>
  /** Bytes `from` to before `to` of a blob of the record. Whether the caller may have them is decided before. */
  read(
    record: string,
    sha256: string,
    range?: { readonly from: number; readonly to: number },
  ): Promise<AsyncIterable<Uint8Array> | undefined>
  /** Deletes up to `most` uploads that nobody finished or named in time. Answers how many. */
  sweep(most?: number): Promise<number>
}

/** Who uploads to which record. */
export type Uploader = Pick<RecordAccess, 'record' | 'custodian' | 'actor'>

export interface UploadPorts extends BodyPorts {
  readonly clock: Clock
  readonly random: Random
  /** Bytes that the record has already. */
  usedBytes(record: string): Promise<number>
}

export function openUploads(ports: UploadPorts, limits = uploadLimits): Uploads {
  const { store, vault, clock, random } = ports

  async function rowOf<T>(
    record: string,
    key: string,
  ): Promise<{ readonly entry: Entry; readonly value: T } | undefined> {
    const entry = await store.get(key)
    return entry && { entry, value: await openJson<T>(vault, ownerOf(record), key, entry.value) }
  }

  async function sealed(record: string, key: string, value: StoredUpload | StoredBlob | { readonly sha256?: string }) {
    return { key, value: await sealJson(vault, ownerOf(record), key, value) }
  }

  /** What must be committed so that the pieces of an upload are gone. */
  async function withoutPieces(record: string, id: string, count: number): Promise<Batch> {
    const del: string[] = []
    for (let n = 0; n < count; n++) {
      const key = pieceKey(record, id, n)
      const row = await store.get(key)
      if (!row) continue
      del.push(key)
      if (row.value[0] === 0x62) del.push(holdKey(Buffer.from(row.value.subarray(1)).toString('latin1'), key))
    }
    return { del }
  }

  async function digestOf(record: string, id: string, before: number, last: Uint8Array): Promise<string> {
    const hash = createHash('sha256')
    for (let n = 0; n < before; n++) {
      const piece = await readBody(ports, ownerOf(record), pieceKey(record, id, n))
      if (!piece) throw new Error('A piece of an upload is gone')
      for await (const chunk of piece) hash.update(chunk)
    }
    return hash.update(last).digest('hex')
  }

  /** What a finished upload makes: a blob, or nothing more where the record has these bytes already. */
  async function finished(record: string, id: string, upload: StoredUpload, sha256: string): Promise<Batch> {
    const key = blobKey(record, sha256)
    const known = await rowOf<StoredBlob>(record, key)
    if (!known) {
      const { sizeBytes, pieces, by, dueAt } = upload
      const blob: StoredBlob = { sha256, sizeBytes, id, pieces, by: [by], dueAt }
      return { require: [{ key, version: 'absent' }], put: [await sealed(record, key, blob)] }
    }
    const by = [...new Set([...known.value.by, upload.by])]
    return {
      require: [{ key, version: known.entry.version }],
      put: [await sealed(record, key, { ...known.value, by })],
    }
  }

  return {
    async begin({ record, actor }, { sizeBytes, sha256 }) {
      if (!isId(record) || !Number.isSafeInteger(sizeBytes) || sizeBytes < 1 || sizeBytes > limits.blobBytes)
        return { kind: 'too-large' }
      const rows = await store.range({ ...within(`${ownerOf(record)}/upload/`), limit: limits.waiting })
      if (rows.length >= limits.waiting) return { kind: 'too-many' }
      let waiting = sizeBytes
      for (const { key, value } of rows)
        waiting += (await openJson<StoredUpload>(vault, ownerOf(record), key, value)).sizeBytes
      if (waiting > limits.waitingBytes) return { kind: 'too-many' }
      if ((await ports.usedBytes(record)) + waiting > limits.bytesPerRecord) return { kind: 'quota' }

      const id = Buffer.from(random.bytes(16)).toString('hex')
      const dueAt = clock.now() + limits.waitMs
      const key = uploadKey(record, id)
      const expected = sha256 === undefined ? {} : { expected: sha256 }
      const upload: StoredUpload = { by: authorOf(actor), sizeBytes, ...expected, pieces: [], dueAt }
      const put = [await sealed(record, key, upload), await sealed(record, sweepKey(dueAt, record, id), {})]
      return { kind: 'begun', upload: viewOf(id, upload), parts: { require: [{ key, version: 'absent' }], put } }
    },

    async append(by, id, offset, bytes) {
      const { record } = by
      if (!isId(record) || !isId(id)) return { kind: 'missing' }
      const key = uploadKey(record, id)
      const row = await rowOf<StoredUpload>(record, key)
      if (!row || !isOf(row.value, by) || row.value.dueAt <= clock.now()) return { kind: 'missing' }
      const { entry, value: upload } = row
      const { offset: at } = viewOf(id, upload)
      if (offset !== at || upload.sha256 !== undefined) return { kind: 'gap', offset: at }
      if (bytes.length === 0 || bytes.length > limits.pieceBytes || at + bytes.length > upload.sizeBytes)
        return { kind: 'too-large' }
      if (upload.pieces.length >= limits.pieces) return { kind: 'too-many' }

      const n = upload.pieces.length
      const next = { ...upload, pieces: [...upload.pieces, bytes.length] }
      const require = [{ key, version: entry.version }]
      if (at + bytes.length < upload.sizeBytes) {
        const piece = await keepBody(ports, ownerOf(record), pieceKey(record, id, n), bytes)
        const parts = together({ require, put: [await sealed(record, key, next)] }, piece)
        return { kind: 'taken', upload: viewOf(id, next), parts }
      }
      const sha256 = await digestOf(record, id, n, bytes)
      const gone = await withoutPieces(record, id, n)
      if (upload.expected !== undefined && upload.expected !== sha256) {
        const del = [key, sweepKey(upload.dueAt, record, id)]
        return { kind: 'other-bytes', parts: together({ require, del }, gone) }
      }
      const blob = await finished(record, id, next, sha256)
      const isNew = blob.require?.[0]?.version === 'absent'
      const kept = isNew ? await keepBody(ports, ownerOf(record), pieceKey(record, id, n), bytes) : gone
      const done: StoredUpload = { ...next, sha256 }
      const sweep = await sealed(record, sweepKey(upload.dueAt, record, id), isNew ? { sha256 } : {})
      const parts = together({ require, put: [await sealed(record, key, done), sweep] }, blob, kept)
      return { kind: 'taken', upload: viewOf(id, done), parts }
    },

    async get(by, id) {
      const { record } = by
      if (!isId(record) || !isId(id)) return undefined
      const row = await rowOf<StoredUpload>(record, uploadKey(record, id))
      return row && isOf(row.value, by) ? viewOf(id, row.value) : undefined
    },

    async read(record, sha256, range) {
      if (!isId(record) || !isId(sha256)) return undefined
      const row = await rowOf<StoredBlob>(record, blobKey(record, sha256))
      return row && piecesOf(ports, record, row.value, range ?? { from: 0, to: row.value.sizeBytes })
    },

    async sweep(most = 100) {
      const { gte } = within(sweepPrefix)
      let swept = 0
      for (const { key, value } of await store.range({ gte, lt: sweepKey(clock.now(), '', ''), limit: most })) {
        const [, , owner = '', name = ''] = key.split('/')
        const [record, id] = [decodeURIComponent(owner), decodeURIComponent(name)]
        const { sha256 } = await openJson<{ readonly sha256?: string }>(vault, ownerOf(record), key, value)
        const upload = await rowOf<StoredUpload>(record, uploadKey(record, id))
        const blob = sha256 === undefined ? undefined : await rowOf<StoredBlob>(record, blobKey(record, sha256))
        const rows = [...(upload ? [upload.entry] : []), ...(blob ? [blob.entry] : [])]
        const count = Math.max(upload?.value.pieces.length ?? 0, blob?.value.pieces.length ?? 0)
        const { kind } = await store.commit(
          together(
            { require: rows.map((one) => ({ key: one.key, version: one.version })), del: [key] },
            { del: rows.map((one) => one.key) },
            await withoutPieces(record, id, count),
          ),
        )
        // Whoever wrote in between named it, or goes on with it: the next sweep sees.
        if (kind === 'committed') swept++
      }
      return swept
    },
  }
}

function isOf({ by }: StoredUpload, { actor, custodian }: Uploader): boolean {
  return custodian || by === authorOf(actor)
}

function viewOf(id: string, { sizeBytes, pieces, dueAt, sha256 }: StoredUpload): Upload {
  const offset = pieces.reduce((sum, one) => sum + one, 0)
  return { id, sizeBytes, offset, dueAt, ...(sha256 !== undefined && { sha256 }) }
}

/** The bytes of a range, piece by piece; pieces outside of it are not opened. */
async function* piecesOf(
  ports: BodyPorts,
  record: string,
  { id, pieces }: StoredBlob,
  { from, to }: { readonly from: number; readonly to: number },
): AsyncGenerator<Uint8Array> {
  let at = 0
  for (const [n, size] of pieces.entries()) {
    const begin = at
    at += size
    if (at <= from || begin >= to) continue
    const piece = await readBody(ports, ownerOf(record), pieceKey(record, id, n))
    if (!piece) throw new Error('A piece of a blob is gone')
    let place = begin
    for await (const chunk of piece) {
      const some = chunk.subarray(Math.max(0, from - place), Math.max(0, Math.min(chunk.length, to - place)))
      place += chunk.length
      if (some.length > 0) yield some
    }
  }
}
