import { createHash } from 'node:crypto'
import type { Blobs } from '../ports/blobs.js'
import { type RowChange, type Store, type StoredRow, StoreFailed } from '../ports/store.js'
import type { Clock } from '../ports/world.js'
import { heldBlob } from './backup.js'
import { rowName } from './families.js'
import { loadFrom } from './load.js'
import { encodeMark, isOfHome, type Mark, markKey, markRow, readMark } from './mark.js'

/** A place where an installation lives. */
export interface Home {
  readonly store: Store
  readonly blobs: Blobs
}

export interface MoveCounts {
  readonly rows: number
  readonly changes: number
  readonly blobs: number
}

export type MoveTold = (told: MoveCounts & { readonly phase: 'copying' | 'catching up' | 'comparing' }) => void

export type MoveOutcome =
  | { readonly kind: 'moved'; readonly rows: number; readonly blobs: number }
  /** All that there was is copied; the rest follows when the gateway has stopped and this is run again. */
  | { readonly kind: 'copied'; readonly rows: number; readonly blobs: number }
  /** The target holds an installation that is no copy of this one's beginning: it is left alone. */
  | { readonly kind: 'target-in-use' }
  | { readonly kind: 'already-moved'; readonly mark: Mark }
  /** Something still writes to the source, or the target did not keep what it was given. The source is still the truth. */
  | { readonly kind: 'differs'; readonly detail: string }

export interface MovePorts {
  readonly source: Home
  readonly target: Home
  readonly clock: Clock
  /** Where the target is, for whoever starts the old one. */
  readonly targetName: string
  /** The gateway works on the source. */
  readonly running?: boolean
  /** Resolves once nobody works on the source any more: what lets one run do it all beside a running gateway. */
  readonly drain?: () => Promise<void>
}

/**
 * Moves an installation to another home: copies while it runs, lets it drain, copies what changed meanwhile, compares
 * every row and every blob, and marks the source as moved. Until that mark the source is the truth, whatever happens;
 * run again, it goes on with what differs. The target must be opened anew afterwards.
 */
export async function move(ports: MovePorts, told: MoveTold = () => {}): Promise<MoveOutcome> {
  const { source, target, clock, running = false, drain, targetName } = ports
  const mark = await readMark(source.store)
  if (mark) return { kind: 'already-moved', mark }
  if (!(await mayReceive(target.store))) return { kind: 'target-in-use' }
  await target.store.load([{ kind: 'put', row: markRow({ state: 'moving-in', at: clock.now() }) }])

  // While mail moves on, a blob may be gone that the snapshot names: the second round is the one that counts.
  const first = await copy(source, target, 'lenient', (counts) => told({ ...counts, phase: 'copying' }))
  if (running && !drain) return { kind: 'copied', rows: first.rows, blobs: first.blobs }
  await drain?.()
  await copy(source, target, 'strict', (counts) => told({ ...counts, phase: 'catching up' }))

  const tell: Tell = (counts) => told({ ...counts, phase: 'comparing' })
  const compared = await compare(source, target, 'with blobs', tell)
  if (compared.kind === 'differs') return compared
  // Once more, after the time that blobs take: who was not stopped has written by now.
  const still = await compare(source, target, 'rows alone', tell)
  if (still.kind === 'differs') return still
  const moved: Mark = { state: 'moved', at: clock.now(), to: targetName }
  const outcome = await source.store.commit({
    require: [{ key: markKey, version: 'absent' }],
    put: [{ key: markKey, value: encodeMark(moved) }],
  })
  if (outcome.kind !== 'committed') return { kind: 'differs', detail: 'another marked the source meanwhile' }
  // Only now may the target be served: never both.
  await target.store.load([{ kind: 'del', row: markRow(moved) }])
  return { ...compared, kind: 'moved' }
}

/** Makes a home that was moved away the truth again; answers false where it was not marked. */
export async function undoMark(store: Store): Promise<boolean> {
  const row = await store.get(markKey)
  if ((await readMark(store))?.state !== 'moved' || !row) return false
  const outcome = await store.commit({ require: [{ key: markKey, version: row.version }], del: [markKey] })
  return outcome.kind === 'committed'
}

/** A home that is empty, or was being filled when that was interrupted. */
async function mayReceive(store: Store): Promise<boolean> {
  if ((await readMark(store))?.state === 'moving-in') return true
  for await (const row of store.snapshot()) if (!isOfHome(row)) return false
  return true
}

type Tell = (counts: MoveCounts) => void

/** Makes the rows of the target those of the source, and copies the blobs that they name before them. */
async function copy(source: Home, target: Home, blobs: 'lenient' | 'strict', tell: Tell): Promise<MoveCounts> {
  const counts = { rows: 0, changes: 0, blobs: 0 }
  async function* changes(): AsyncGenerator<RowChange> {
    let lastBlob = ''
    for await (const [here, there] of pairs(source.store.snapshot(), target.store.snapshot())) {
      if (++counts.rows % 1000 === 0) tell(counts)
      const blob = here && heldBlob(here)
      if (blob !== undefined && blob !== lastBlob) {
        lastBlob = blob
        if (await copyBlob(source.blobs, target.blobs, blob, blobs)) counts.blobs++
      }
      if (here && there && same(here, there)) continue
      counts.changes++
      // A job lies under its due time too, so that the old one goes before the new one comes.
      if (there && (!here || here.kind === 'job')) yield { kind: 'del', row: there }
      if (here) yield { kind: 'put', row: here }
    }
  }
  await loadFrom(target.store, changes())
  tell(counts)
  return counts
}

/** True where it had to be copied. A blob of the right length was once put whole, for that is how blobs come to be. */
async function copyBlob(from: Blobs, to: Blobs, name: string, missing: 'lenient' | 'strict'): Promise<boolean> {
  const size = await from.size(name)
  if (size !== undefined && (await to.size(name)) === size) return false
  const chunks = size === undefined ? undefined : await from.get(name)
  if (!chunks) {
    if (missing === 'lenient') return false
    throw new StoreFailed(`The blob ${name} is named by a row and is not there; see \`direct-gateway verify\``)
  }
  if ((await to.put(chunks)) !== name)
    throw new StoreFailed(`The blob ${name} is not what its name says; see \`direct-gateway verify\``)
  return true
}

type Compared =
  | { readonly kind: 'equal'; readonly rows: number; readonly blobs: number }
  | { readonly kind: 'differs'; readonly detail: string }

/** Every row equal on both sides, chains to their heads with them, and every held blob hashed where it is now. */
async function compare(source: Home, target: Home, what: 'with blobs' | 'rows alone', tell: Tell): Promise<Compared> {
  const counts = { rows: 0, changes: 0, blobs: 0 }
  let lastBlob = ''
  for await (const [here, there] of pairs(source.store.snapshot(), target.store.snapshot())) {
    const row = here ?? there
    if (!row) continue
    if (!here || !there || !same(here, there))
      return {
        kind: 'differs',
        detail: `${rowName(row)} is ${here ? (there ? 'another' : 'missing') : 'left over'} in the target`,
      }
    if (++counts.rows % 1000 === 0) tell(counts)
    const blob = heldBlob(row)
    if (what === 'rows alone' || blob === undefined || blob === lastBlob) continue
    lastBlob = blob
    const chunks = await target.blobs.get(blob)
    if (!chunks) return { kind: 'differs', detail: `the blob ${blob} is not in the target` }
    const hash = createHash('sha256')
    for await (const chunk of chunks) hash.update(chunk)
    if (hash.digest('hex') !== blob) return { kind: 'differs', detail: `the blob ${blob} is not what its name says` }
    counts.blobs++
  }
  return { kind: 'equal', rows: counts.rows, blobs: counts.blobs }
}

/** Two homes row by row, in their common order: what each has under a name, or undefined where it has nothing. */
async function* pairs(
  left: AsyncIterable<StoredRow>,
  right: AsyncIterable<StoredRow>,
): AsyncGenerator<readonly [StoredRow | undefined, StoredRow | undefined]> {
  const [a, b] = [moving(left), moving(right)]
  try {
    let [here, there] = [await a.next(), await b.next()]
    while (!here.done || !there.done) {
      const order = here.done ? 1 : there.done ? -1 : orderOf(here.value, there.value)
      yield [order <= 0 ? here.value : undefined, order >= 0 ? there.value : undefined] as const
      if (order <= 0) here = await a.next()
      if (order >= 0) there = await b.next()
    }
  } finally {
    await a.return(undefined)
    await b.return(undefined)
  }
}

async function* moving(rows: AsyncIterable<StoredRow>): AsyncGenerator<StoredRow, undefined> {
  for await (const row of rows) if (!isOfHome(row)) yield row
}

const kinds: Readonly<Record<StoredRow['kind'], number>> = { entry: 0, job: 1, log: 2 }

/** Names are unique within a home; the order is that of `Store.snapshot`. */
function orderOf(a: StoredRow, b: StoredRow): number {
  if (a.kind === 'entry' && b.kind === 'entry') return textOrder(a.key, b.key)
  if (a.kind === 'job' && b.kind === 'job') return textOrder(a.queue, b.queue) || textOrder(a.id, b.id)
  if (a.kind === 'log' && b.kind === 'log') return textOrder(a.log, b.log) || a.sequence - b.sequence
  return kinds[a.kind] - kinds[b.kind]
}

function textOrder(a: string, b: string): number {
  return a === b ? 0 : Buffer.compare(Buffer.from(a), Buffer.from(b))
}

function same(a: StoredRow, b: StoredRow): boolean {
  if (a.kind === 'entry' && b.kind === 'entry') return a.version === b.version && equal(a.value, b.value)
  if (a.kind === 'job' && b.kind === 'job')
    return a.dueAt === b.dueAt && a.attempt === b.attempt && equal(a.payload, b.payload)
  return a.kind === 'log' && b.kind === 'log' && equal(a.link, b.link) && equal(a.value, b.value)
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}
