import { hash } from 'node:crypto'
import type { Validators } from '../ports/fetch.js'
import type { Metrics } from '../ports/observe.js'
import { isMoment } from '../ports/rows.js'
import { type Entry, type Store, StoreFailed, within } from '../ports/store.js'
import type { Clock } from '../ports/world.js'
import type { Copy, Shelf } from './copies.js'

/** Revocation lists, OCSP answers, and certificates of issuers: what is fetched on the word of a certificate. */
export type EvidenceKind = 'list' | 'ocsp' | 'issuer'

export interface ShelfRules {
  /** Copies of one kind in the store, and their bytes; the oldest go first. */
  readonly kept: number
  readonly keptBytes: number
}

export const shelfLimits = {
  /** A list of megabytes as rows that no commit and no reader stumbles over. */
  chunkBytes: 512 * 1024,
  /** No copy is larger: far above what is ever fetched. */
  copyBytes: 64 * 1024 * 1024,
  /** What is out of date or too much goes at most so often, and at once when a quarter of what may be kept was added. */
  sweepEveryMs: 10 * 60_000,
  /** Rows looked at in one step of a sweep, and copies deleted in one commit. */
  sweepRows: 1_000,
  sweepCopies: 50,
}

/** The row of a copy, JSON; its bytes stand in rows of their own. */
export interface CopyRow {
  /** What was asked, for people: the URL. */
  readonly place: string
  readonly fetchedAt: number
  readonly madeAt: number
  readonly validUntil: number
  readonly sizeBytes: number
  /** SHA-256 of the bytes, lower-case hex: rows of two writers never pass for one copy. */
  readonly digest: string
  readonly validators: Validators
}

export const rowPrefix = 'evidence/'
export const bytesPrefix = 'evidence-bytes/'
const chunkKey = (id: string, n: number) => `${bytesPrefix}${id}/${String(n).padStart(4, '0')}`

/** Keys of the rows of bytes that go with the copy `kind/digest`. */
export function chunkKeys(id: string, sizeBytes: number, chunkBytes = shelfLimits.chunkBytes): string[] {
  return Array.from({ length: Math.ceil(sizeBytes / chunkBytes) }, (_, n) => chunkKey(id, n))
}

/** The row of a copy; undefined for anything else. */
export function readCopyRow(value: Uint8Array): CopyRow | undefined {
  let row: Partial<Record<keyof CopyRow, unknown>>
  try {
    row = JSON.parse(Buffer.from(value).toString()) as typeof row
  } catch {
    return undefined
  }
  const { place, fetchedAt, madeAt, validUntil, sizeBytes, digest, validators } = row ?? {}
  const sound =
    typeof place === 'string' &&
    [fetchedAt, madeAt, validUntil].every(isMoment) &&
    Number.isInteger(sizeBytes) &&
    (sizeBytes as number) >= 0 &&
    (sizeBytes as number) <= shelfLimits.copyBytes &&
    typeof digest === 'string' &&
    typeof validators === 'object' &&
    validators !== null
  return sound ? (row as CopyRow) : undefined
}

export interface ShelfParts<Place> {
  readonly store: Store
  readonly clock: Clock
  readonly metrics?: Pick<Metrics, 'count'>
  readonly kind: EvidenceKind
  readonly keyOf: (place: Place) => string
  /** Of a place, for people. */
  readonly wordsOf: (place: Place) => string
  readonly rules: ShelfRules
  readonly limits?: typeof shelfLimits
}

/**
 * Copies in the store, so that they survive the process and serve every node. The store is a convenience here: where it
 * fails, the memory goes on without it, and the failure is counted. What is read is what was written, or nothing.
 */
export function openShelf<Place>(parts: ShelfParts<Place>): Shelf<Place> {
  const { store, clock, metrics, kind, keyOf, wordsOf, rules, limits = shelfLimits } = parts
  const idOf = (place: Place) => `${kind}/${hash('sha256', keyOf(place), 'hex')}`
  let sweptAt = Number.NEGATIVE_INFINITY
  let addedBytes = 0
  let sweeping = false

  /** What happens with the store, or undefined where it fails. */
  async function attempt<Result>(work: () => Promise<Result>): Promise<Result | undefined> {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof StoreFailed)) throw error
      metrics?.count('evidence_store_failures_total', { kind })
      return undefined
    }
  }

  async function write(place: Place, copy: Copy, withBytes: boolean): Promise<void> {
    const id = idOf(place)
    const key = rowPrefix + id
    const before = await store.get(key)
    const known = before && readCopyRow(before.value)
    const { bytes, ...facts } = copy
    const digest = hash('sha256', bytes, 'hex')
    const row: CopyRow = { ...facts, place: wordsOf(place), sizeBytes: bytes.length, digest }
    const same = !withBytes && known?.digest === digest && known.sizeBytes === bytes.length
    const keys = chunkKeys(id, bytes.length, limits.chunkBytes)
    const chunks = keys.map((chunk, n) => ({
      key: chunk,
      value: bytes.subarray(n * limits.chunkBytes, (n + 1) * limits.chunkBytes),
    }))
    // A conflict means that another node wrote just now: its copy is as new.
    await store.commit({
      require: [{ key, version: before?.version ?? 'absent' }],
      put: [{ key, value: Buffer.from(JSON.stringify(row)) }, ...(same ? [] : chunks)],
      del: known && !same ? chunkKeys(id, known.sizeBytes, limits.chunkBytes).filter((old) => !keys.includes(old)) : [],
    })
    addedBytes += same ? 0 : bytes.length
    const now = clock.now()
    const due = now - sweptAt >= limits.sweepEveryMs || addedBytes > rules.keptBytes / 4
    if (!due || sweeping) return
    sweeping = true
    sweptAt = now
    addedBytes = 0
    try {
      await sweepShelf(store, kind, now, rules, limits)
    } finally {
      sweeping = false
    }
  }

  return {
    shared: store.shared,
    async read(place) {
      const id = idOf(place)
      return attempt(async () => {
        const found = await store.get(rowPrefix + id)
        const row = found && readCopyRow(found.value)
        if (!row) return undefined
        const keys = chunkKeys(id, row.sizeBytes, limits.chunkBytes)
        const chunks = await Promise.all(keys.map((key) => store.get(key)))
        const bytes = Buffer.concat(chunks.map((chunk) => chunk?.value ?? new Uint8Array()))
        if (hash('sha256', bytes, 'hex') !== row.digest) return undefined
        const { fetchedAt, madeAt, validUntil, validators } = row
        return { bytes, fetchedAt, madeAt, validUntil, validators }
      })
    },
    async write(place, copy, withBytes) {
      await attempt(() => write(place, copy, withBytes))
    },
  }
}

/** Deletes copies that are out of date or do not read, then the oldest until the rest is within the rules; answers how many. */
export async function sweepShelf(
  store: Store,
  kind: EvidenceKind,
  now: number,
  rules: ShelfRules,
  limits = shelfLimits,
): Promise<number> {
  const doomed: Found[] = []
  const valid: Found[] = []
  for await (const found of copiesOf(store, kind, limits)) (found.validUntil < now ? doomed : valid).push(found)
  valid.sort((one, other) => other.fetchedAt - one.fetchedAt)
  let bytes = 0
  for (const [i, found] of valid.entries()) {
    bytes += found.sizeBytes
    if (i >= rules.kept || bytes > rules.keptBytes) doomed.push(found)
  }
  let deleted = 0
  for (let i = 0; i < doomed.length; i += limits.sweepCopies) {
    const some = doomed.slice(i, i + limits.sweepCopies)
    const outcome = await store.commit({
      require: some.map(({ key, version }) => ({ key, version })),
      del: some.flatMap(({ key, id, sizeBytes }) => [key, ...chunkKeys(id, sizeBytes, limits.chunkBytes)]),
    })
    if (outcome.kind === 'committed') deleted += some.length
  }
  return deleted
}

interface Found {
  readonly key: string
  readonly version: number
  readonly id: string
  readonly fetchedAt: number
  readonly validUntil: number
  readonly sizeBytes: number
}

async function* copiesOf(store: Store, kind: EvidenceKind, limits: typeof shelfLimits): AsyncGenerator<Found> {
  const all = within(`${rowPrefix}${kind}/`)
  for (let gte = all.gte; ; ) {
    const page: readonly Entry[] = await store.range({ ...all, gte, limit: limits.sweepRows })
    for (const { key, version, value } of page) {
      const { fetchedAt = 0, validUntil = -1, sizeBytes = 0 } = readCopyRow(value) ?? {}
      yield { key, version, id: key.slice(rowPrefix.length), fetchedAt, validUntil, sizeBytes }
    }
    const last = page.at(-1)
    if (!last || page.length < limits.sweepRows) return
    gte = `${last.key}\0`
  }
}
