import type { ChainHead } from '../audit/audit.js'
import type { Blobs } from '../ports/blobs.js'
import type { RowFamily } from '../ports/rows.js'
import type { Store } from '../ports/store.js'
import { heldBlob } from './backup.js'
import { familyFinder, placeOf, rowBytes } from './families.js'

export interface FamilyFigures {
  readonly family: string
  readonly kind: 'entry' | 'job' | 'log'
  rows: number
  bytes: number
  /** Mailboxes, records, addresses: whose the rows are, where that is said. */
  owners?: number
}

export interface QueueFigures {
  readonly queue: string
  jobs: number
  bytes: number
  /** When the job that has waited longest became due, or will: Unix milliseconds. */
  oldestDueAt: number
  mostAttempts: number
}

export interface Figures {
  readonly families: readonly FamilyFigures[]
  readonly queues: readonly QueueFigures[]
  readonly blobs: {
    readonly held: number
    readonly stored: number
    readonly bytes: number
    /** Stored and held by nobody: from a message that is arriving now, or one to be swept. */
    readonly orphans: number
  }
  readonly rows: number
  readonly bytes: number
  readonly head: ChainHead
}

/** Beyond any clock: every blob is older than one from the year after next. */
const everyBlobMs = -2 * 366 * 86_400_000

/** Counts everything as it was at one moment. */
export async function figures(
  { store, blobs, families }: { readonly store: Store; readonly blobs: Blobs; readonly families: readonly RowFamily[] },
  progress: (rows: number) => void = () => {},
): Promise<Figures> {
  const byFamily = new Map<string, FamilyFigures>()
  const byQueue = new Map<string, QueueFigures>()
  const lastOwner = new Map<string, string>()
  const held = new Set<string>()
  const familyOf = familyFinder(families)
  let head: ChainHead = { sequence: 0, link: '0'.repeat(64) }
  let [rows, bytes] = [0, 0]
  for await (const row of store.snapshot()) {
    const size = rowBytes(row)
    const family = familyOf(row)
    const name = family?.name ?? 'unknown'
    const count = byFamily.get(name) ?? { family: name, kind: row.kind, rows: 0, bytes: 0 }
    byFamily.set(name, count)
    count.rows++
    count.bytes += size
    const owner = family?.form.exec(placeOf(row))?.groups?.['owner']
    if (owner !== undefined && lastOwner.get(name) !== owner) {
      lastOwner.set(name, owner)
      count.owners = (count.owners ?? 0) + 1
    }
    if (row.kind === 'job') countJob(byQueue, row, size)
    if (row.kind === 'log' && row.log === 'audit')
      head = { sequence: row.sequence, link: Buffer.from(row.link).toString('hex') }
    const blob = heldBlob(row)
    if (blob !== undefined) held.add(shortened(blob))
    bytes += size
    if (++rows % 1000 === 0) progress(rows)
  }
  const stored = await countBlobs(blobs, held)
  return { families: [...byFamily.values()], queues: [...byQueue.values()], blobs: stored, rows, bytes, head }
}

function countJob(
  queues: Map<string, QueueFigures>,
  { queue, dueAt, attempt }: { readonly queue: string; readonly dueAt: number; readonly attempt: number },
  size: number,
): void {
  const count = queues.get(queue) ?? { queue, jobs: 0, bytes: 0, oldestDueAt: dueAt, mostAttempts: 0 }
  queues.set(queue, count)
  count.jobs++
  count.bytes += size
  count.oldestDueAt = Math.min(count.oldestDueAt, dueAt)
  count.mostAttempts = Math.max(count.mostAttempts, attempt)
}

async function countBlobs(blobs: Blobs, held: ReadonlySet<string>): Promise<Figures['blobs']> {
  let [stored, bytes, orphans] = [0, 0, 0]
  for await (const name of blobs.olderThan(everyBlobMs)) {
    stored++
    bytes += (await blobs.size(name)) ?? 0
    if (!held.has(shortened(name))) orphans++
  }
  return { held: held.size, stored, bytes, orphans }
}

/** Enough of a digest to tell millions apart, at a third of the memory. */
function shortened(name: string): string {
  return name.slice(0, 20)
}
