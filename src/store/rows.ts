import type { RowChange, StoredRow } from '../ports/store.js'
import {
  dataKey,
  dueIndex,
  dueIndexEnd,
  dueKey,
  jobKey,
  logKey,
  metaVersion,
  readDueKey,
  readDueQueue,
  readEntry,
  readSequence,
  readVarint,
  tryKey,
  varint,
} from './keys.js'
import type { Change, OrderedHome, OrderedReads } from './ordered.js'

const rowLimits = {
  /** Keys read in one step, at most and at least. */
  pageKeys: 256,
  pageKeysLeast: 4,
  /** What a page should weigh: where bodies of 192 KiB lie side by side, pages shrink, so that neither loop nor memory is held. */
  pageBytes: 2 * 1024 * 1024,
  /** What one synced write of `load` carries. */
  loadBytes: 4 * 1024 * 1024,
} as const

/** Everything of an ordered home as rows, in the order the port promises; closes the snapshot at the end, or when left early. */
export async function* rowsOf(reads: OrderedReads & { close(): Promise<void> }): AsyncGenerator<StoredRow> {
  try {
    for await (const [key, stored] of scanAll(reads, dataKey(''), 'data0'))
      yield { kind: 'entry', ...readEntry(key.slice(dataKey('').length), stored) }
    yield* jobsOf(reads)
    for await (const [key, stored] of scanAll(reads, 'log/', 'log0'))
      yield {
        kind: 'log',
        log: key.slice('log/'.length, key.indexOf('\0')),
        sequence: readSequence(key),
        value: stored.subarray(32),
        link: stored.subarray(0, 32),
      }
  } finally {
    await reads.close()
  }
}

async function* jobsOf(reads: OrderedReads): AsyncGenerator<StoredRow> {
  const due = new Map<string, number>()
  for await (const [key] of scanAll(reads, dueIndex, dueIndexEnd)) {
    const queue = readDueQueue(key)
    const { id, dueAt } = readDueKey(queue, key)
    due.set(jobKey(queue, id), dueAt)
  }
  for await (const [key, payload] of scanAll(reads, 'job/', 'job0')) {
    const end = key.indexOf('\0')
    const [queue, id] = [key.slice('job/'.length, end), key.slice(end + 1)]
    const tried = await reads.get(tryKey(queue, id))
    const attempt = tried ? readVarint(tried).value : 0
    yield { kind: 'job', queue, id, payload, attempt, dueAt: due.get(key) ?? 0 }
  }
}

async function* scanAll(reads: OrderedReads, gte: string, lt: string) {
  let limit: number = rowLimits.pageKeysLeast
  for (let from = gte; ; ) {
    const page = await reads.scan({ gte: from, lt, limit })
    yield* page
    const last = page.at(-1)
    if (!last || page.length < limit) return
    from = `${last[0]}\0`
    const weight = page.reduce((sum, [key, value]) => sum + key.length + value.length, 0)
    limit =
      weight > rowLimits.pageBytes
        ? Math.max(rowLimits.pageKeysLeast, limit >> 1)
        : Math.min(rowLimits.pageKeys, limit << 1)
  }
}

/**
 * Writes rows into a home in synced steps; versions given later are higher than all that were loaded. A job lies under its
 * due time too, so that whoever changes one deletes the old row before he puts the new one.
 */
export async function loadRows(
  home: OrderedHome,
  changes: AsyncIterable<RowChange> | Iterable<RowChange>,
): Promise<void> {
  const known = await home.get(metaVersion)
  let version = known ? readVarint(known).value : 0
  let pending: Change[] = []
  let bytes = 0
  const flush = async () => {
    pending.push({ type: 'put', key: metaVersion, value: varint(version) })
    await home.write(pending, true)
    pending = []
    bytes = 0
  }
  for await (const { kind, row } of changes) {
    const cells = cellsOf(row)
    for (const [key, value] of cells) {
      pending.push(kind === 'put' ? { type: 'put', key, value } : { type: 'del', key })
      bytes += key.length + value.length
    }
    if (kind === 'put' && row.kind === 'entry') version = Math.max(version, row.version)
    if (bytes >= rowLimits.loadBytes) await flush()
  }
  await flush()
}

/** The keys and values that a row is below the store. */
function cellsOf(row: StoredRow): readonly (readonly [string, Uint8Array])[] {
  if (row.kind === 'entry') return [[dataKey(row.key), Buffer.concat([varint(row.version), row.value])]]
  if (row.kind === 'log') return [[logKey(row.log, row.sequence), Buffer.concat([row.link, row.value])]]
  const { queue, id } = row
  return [
    [jobKey(queue, id), row.payload],
    [dueKey(queue, row.dueAt, id), new Uint8Array()],
    ...(row.attempt > 0 ? ([[tryKey(queue, id), varint(row.attempt)]] as const) : []),
  ]
}
