import { createHash } from 'node:crypto'
import type { Audit } from '../../ports/audit.js'
import type { Blobs } from '../../ports/blobs.js'
import { type Batch, type Entry, type Store, together, within } from '../../ports/store.js'
import type { Vault } from '../../ports/vault.js'
import type { Clock, Random } from '../../ports/world.js'
import { type PackageLimits, packageLimits } from './limits.js'
import { forgetPieces, keepPiece, macOf, readPieces } from './pieces.js'
import {
  type ChunkRow,
  chunkKey,
  jsonIn,
  type LedgerRow,
  ledgerKey,
  ledgerPrefix,
  openJson,
  ownerOf,
  sealJson,
  type UploadRow,
  uploadKey,
} from './rows.js'

export interface UploadPorts {
  readonly store: Store
  readonly blobs: Blobs
  readonly vault: Vault
  readonly clock: Clock
  readonly random: Random
  readonly audit: Audit
}

/** What a sender is told of an upload. */
export interface UploadStanding {
  readonly id: string
  readonly sizeBytes: number
  /** Where the next piece begins. */
  readonly receivedBytes: number
  readonly completed: boolean
  /** Unix milliseconds; not swept before. */
  readonly keptUntil: number
}

/** A digest of all of it: SHA-256, or HealthVault's SHA256Block, the digest of the digests of blocks of 2 MiB; lower-case hex. */
export type UploadHash =
  | { readonly method: 'sha256'; readonly value: string }
  | { readonly method: 'sha256-block'; readonly value: string }
  | { readonly method: 'sha256-blocks'; readonly values: readonly string[] }

export const blockBytes = 2 * 1024 * 1024

/** What is wrong with a step, with HealthVault's number. */
export const uploadProblems = {
  /** No such upload of this application, or swept. */
  unknown: 112,
  'too-large': undefined,
  'too-many': undefined,
  /** The piece does not begin where the last one ended: `receivedBytes` says where. */
  'out-of-order': undefined,
  /** Other bytes came at this place before. */
  'not-the-same': undefined,
  'bad-range': undefined,
  'hash-mismatch': 111,
  completed: 101,
  incomplete: 102,
} as const satisfies Record<string, number | undefined>
export type UploadProblem = keyof typeof uploadProblems

export interface UploadRefused {
  readonly kind: 'refused'
  readonly problem: UploadProblem
  /** How far it is, where that helps. */
  readonly receivedBytes?: number
}

/** An upload that a package takes over: what opens it, and what must be committed so that nobody else takes it. */
export interface TakenUpload {
  readonly kind: 'taken'
  readonly file: { readonly upload: string; readonly key: string; readonly sizeBytes: number; readonly sha256: string }
  readonly parts: Batch
}

/** Files on their way into packages: in pieces, resumable, sealed from the first piece on under a key of each upload's own. */
export interface Uploads {
  begin(
    app: string,
    sizeBytes: number,
    by: string,
  ): Promise<{ readonly kind: 'begun'; readonly upload: UploadStanding } | UploadRefused>
  get(app: string, id: string): Promise<UploadStanding | undefined>
  /** A piece at a place; the same piece again changes nothing. `total` where the sender said it. */
  append(
    app: string,
    id: string,
    place: { readonly from: number; readonly total?: number },
    bytes: Uint8Array,
  ): Promise<{ readonly kind: 'received'; readonly upload: UploadStanding } | UploadRefused>
  /** Checks all of it against the sender's digest, by reading it back. */
  complete(
    app: string,
    id: string,
    hash: UploadHash,
  ): Promise<{ readonly kind: 'completed'; readonly upload: UploadStanding; readonly sha256: string } | UploadRefused>
  remove(app: string, id: string, by: string): Promise<boolean>
  /** For a package of the same application; several are taken in one commit. */
  take(app: string, ids: readonly string[]): Promise<readonly TakenUpload[] | UploadRefused>
  /** The bytes of a file that a package took. Throws VaultFailed where they are not as they came. */
  read(file: TakenUpload['file']): AsyncIterable<Uint8Array>
  /** What must be committed so that a package's file is gone. */
  forget(id: string): Promise<Batch>
  /** Forgets uploads that no package named in time; answers how many. */
  sweep(): Promise<number>
}

/** Opens uploads over a store. Every change of an upload is one commit, fenced by its row. */
export function openUploads(ports: UploadPorts, limits: PackageLimits = packageLimits): Uploads {
  const { store, vault, clock, random, audit } = ports

  async function load(app: string, id: string) {
    if (!/^[0-9a-f]{32}$/.test(id)) return undefined
    const entry = await store.get(uploadKey(id))
    if (!entry) return undefined
    const row = await openJson<UploadRow>(vault, ownerOf(app), entry.key, entry.value).catch(() => undefined)
    return row?.app === app ? { entry, row } : undefined
  }

  /** Rewrites the row of an upload in one commit with `more`; false where somebody else wrote it meanwhile. */
  async function save(entry: Entry, row: UploadRow, more: Batch): Promise<boolean> {
    const value = await sealJson(vault, ownerOf(row.app), entry.key, row)
    const fence = { require: [{ key: entry.key, version: entry.version }], put: [{ key: entry.key, value }] }
    return (await store.commit(together(fence, more))).kind === 'committed'
  }

  const standing = (id: string, row: UploadRow): UploadStanding => ({
    ...{ id, sizeBytes: row.sizeBytes, receivedBytes: row.receivedBytes },
    ...{ completed: row.sha256 !== undefined, keptUntil: row.begunAt + limits.orphanMs },
  })

  const begin: Uploads['begin'] = async (app, sizeBytes, by) => {
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0 || sizeBytes > limits.uploadBytes) return refused('too-large')
    const id = Buffer.from(random.bytes(16)).toString('hex')
    for (;;) {
      const ledger = await ledgerOf(store, app)
      const held = ledger.uploads.reduce((sum, one) => sum + one.sizeBytes, sizeBytes)
      if (ledger.uploads.length >= limits.uploadsPerApp || held > limits.uploadedBytesPerApp) return refused('too-many')
      const begunAt = clock.now()
      const key = Buffer.from(random.bytes(32)).toString('base64url')
      const row: UploadRow = { app, sizeBytes, receivedBytes: 0, chunks: 0, begunAt, key }
      const at = uploadKey(id)
      const outcome = await store.commit(
        together(ledgerParts(app, ledger, [...ledger.uploads, { id, sizeBytes, begunAt }]), {
          put: [{ key: at, value: await sealJson(vault, ownerOf(app), at, row) }],
          append: [
            audit.entry({
              at: begunAt,
              action: 'upload.begun',
              actor: by,
              subject: { app, upload: id },
              outcome: 'success',
            }),
          ],
        }),
      )
      if (outcome.kind === 'committed') return { kind: 'begun', upload: standing(id, row) }
    }
  }

  const append: Uploads['append'] = async (app, id, { from, total }, bytes) => {
    for (;;) {
      const found = await load(app, id)
      if (!found) return refused('unknown')
      const { entry, row } = found
      const { receivedBytes } = row
      if (total !== undefined && total !== row.sizeBytes) return { ...refused('bad-range'), receivedBytes }
      if (bytes.length === 0 || bytes.length > limits.chunkBytes) return { ...refused('bad-range'), receivedBytes }
      const key = Buffer.from(row.key, 'base64url')
      if (from < receivedBytes) {
        // A sender who did not hear our answer sends the piece again.
        const again = await isKept(store, id, row, from, bytes.length, () => macOf(key, bytes))
        return again ? { kind: 'received', upload: standing(id, row) } : { ...refused('not-the-same'), receivedBytes }
      }
      if (row.sha256 !== undefined) return { ...refused('completed'), receivedBytes }
      if (from > receivedBytes) return { ...refused('out-of-order'), receivedBytes }
      if (from + bytes.length > row.sizeBytes) return { ...refused('bad-range'), receivedBytes }
      if (row.chunks >= limits.chunksPerUpload) return { ...refused('too-many'), receivedBytes }
      const kept = await keepPiece(ports, id, key, { index: row.chunks, offset: from }, bytes)
      const next = { ...row, receivedBytes: from + bytes.length, chunks: row.chunks + 1 }
      if (await save(entry, next, kept)) return { kind: 'received', upload: standing(id, next) }
    }
  }

  const complete: Uploads['complete'] = async (app, id, hash) => {
    const found = await load(app, id)
    if (!found) return refused('unknown')
    const { entry, row } = found
    const { receivedBytes } = row
    if (row.sha256 !== undefined) return { ...refused('completed'), receivedBytes }
    if (receivedBytes !== row.sizeBytes) return { ...refused('incomplete'), receivedBytes }
    const digests = await digestsOf(readPieces(ports, id, Buffer.from(row.key, 'base64url'), row.sizeBytes))
    if (!isSame(hash, digests)) return { ...refused('hash-mismatch'), receivedBytes }
    const next = { ...row, sha256: digests.sha256 }
    if (!(await save(entry, next, {}))) return refused((await load(app, id)) ? 'completed' : 'unknown')
    return { kind: 'completed', upload: standing(id, next), sha256: digests.sha256 }
  }

  const take: Uploads['take'] = async (app, ids) => {
    if (new Set(ids).size !== ids.length) return refused('unknown')
    const taken: TakenUpload[] = []
    for (const id of ids) {
      const found = await load(app, id)
      if (!found) return refused('unknown')
      const { entry, row } = found
      if (row.sha256 === undefined) return { ...refused('incomplete'), receivedBytes: row.receivedBytes }
      taken.push({
        kind: 'taken',
        file: { upload: id, key: row.key, sizeBytes: row.sizeBytes, sha256: row.sha256 },
        parts: { require: [{ key: entry.key, version: entry.version }], del: [entry.key] },
      })
    }
    const [first] = taken
    if (!first) return taken
    const ledger = await ledgerOf(store, app)
    const left = ledger.uploads.filter((one) => !ids.includes(one.id))
    return [{ ...first, parts: together(first.parts, ledgerParts(app, ledger, left)) }, ...taken.slice(1)]
  }

  /** Everything of an upload that no package has, out of the ledger too; false where somebody was quicker. */
  async function drop(app: string, id: string, entry: Entry | undefined, more: Batch): Promise<boolean> {
    const ledger = await ledgerOf(store, app)
    const out = ledgerParts(
      app,
      ledger,
      ledger.uploads.filter((one) => one.id !== id),
    )
    const head = entry ? { require: [{ key: entry.key, version: entry.version }], del: [entry.key] } : {}
    const parts = together(out, head, await forgetPieces(store, id), more)
    return (await store.commit(parts)).kind === 'committed'
  }

  return {
    begin,
    append,
    complete,
    take,
    async get(app, id) {
      const found = await load(app, id)
      return found && standing(id, found.row)
    },
    async remove(app, id, by) {
      for (;;) {
        const found = await load(app, id)
        if (!found) return false
        const told = { at: clock.now(), action: 'upload.removed', actor: by, subject: { app, upload: id } }
        const entry = audit.entry({ ...told, outcome: 'success' })
        if (await drop(app, id, found.entry, { append: [entry] })) return true
      }
    },
    read: ({ upload, key, sizeBytes }) => readPieces(ports, upload, Buffer.from(key, 'base64url'), sizeBytes),
    forget: (id) => forgetPieces(store, id),
    async sweep() {
      let swept = 0
      const before = clock.now() - limits.orphanMs
      for await (const [app, { uploads }] of ledgers(store)) {
        for (const { id } of uploads.filter(({ begunAt }) => begunAt < before)) {
          if (swept >= limits.sweptAtOnce) return swept
          if (await drop(app, id, await store.get(uploadKey(id)), {})) swept++
        }
      }
      return swept
    },
  }
}

function refused(problem: UploadProblem): UploadRefused {
  return { kind: 'refused', problem }
}

interface Ledger extends LedgerRow {
  readonly version: number | 'absent'
}

async function ledgerOf(store: Store, app: string): Promise<Ledger> {
  const entry = await store.get(ledgerKey(app))
  return entry ? { ...jsonIn<LedgerRow>(entry.value), version: entry.version } : { uploads: [], version: 'absent' }
}

function ledgerParts(app: string, { version }: Ledger, uploads: LedgerRow['uploads']): Batch {
  const key = ledgerKey(app)
  const put = { put: [{ key, value: Buffer.from(JSON.stringify({ uploads })) }] }
  return { require: [{ key, version }], ...(uploads.length > 0 ? put : { del: [key] }) }
}

async function* ledgers(store: Store): AsyncGenerator<readonly [string, LedgerRow]> {
  const { gte, lt } = within(ledgerPrefix)
  for (let from = gte; ; ) {
    const [entry] = await store.range({ gte: from, lt, limit: 1 })
    if (!entry) return
    yield [decodeURIComponent(entry.key.slice(ledgerPrefix.length)), jsonIn<LedgerRow>(entry.value)]
    from = `${entry.key}\0`
  }
}

/** Whether the piece at this place is this one. Pieces are found from the last one back: it is the last that comes again. */
async function isKept(
  store: Store,
  id: string,
  { chunks }: UploadRow,
  from: number,
  sizeBytes: number,
  mac: () => string,
): Promise<boolean> {
  for (let index = chunks - 1; index >= 0; index--) {
    const entry = await store.get(chunkKey(id, index))
    const row = entry && jsonIn<ChunkRow>(entry.value)
    if (!row || row.offset < from) return false
    if (row.offset === from) return row.sizeBytes === sizeBytes && row.mac === mac()
  }
  return false
}

interface Digests {
  readonly sha256: string
  /** Of each block of 2 MiB. */
  readonly blocks: readonly string[]
}

async function digestsOf(chunks: AsyncIterable<Uint8Array>): Promise<Digests> {
  const whole = createHash('sha256')
  const blocks: string[] = []
  let block = createHash('sha256')
  let room = blockBytes
  for await (const chunk of chunks) {
    whole.update(chunk)
    for (let at = 0; at < chunk.length; ) {
      const part = chunk.subarray(at, at + room)
      block.update(part)
      at += part.length
      room -= part.length
      if (room > 0) continue
      blocks.push(block.digest('hex'))
      block = createHash('sha256')
      room = blockBytes
    }
  }
  if (room < blockBytes || blocks.length === 0) blocks.push(block.digest('hex'))
  return { sha256: whole.digest('hex'), blocks }
}

function isSame(hash: UploadHash, { sha256, blocks }: Digests): boolean {
  switch (hash.method) {
    case 'sha256':
      return hash.value === sha256
    case 'sha256-block':
      return (
        hash.value ===
        createHash('sha256')
          .update(Buffer.from(blocks.join(''), 'hex'))
          .digest('hex')
      )
    case 'sha256-blocks':
      return hash.values.join() === blocks.join()
  }
}
