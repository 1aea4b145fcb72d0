import { createHash } from 'node:crypto'
import { type ChainHead, chainBreak } from '../audit/audit.js'
import type { Blobs } from '../ports/blobs.js'
import { type Need, RowDamaged, type RowFamily, type RowReader, someRange } from '../ports/rows.js'
import { type Store, type StoredRow, StoreFailed } from '../ports/store.js'
import { VaultFailed } from '../ports/vault.js'
import { familyFinder, rowBytes, rowName } from './families.js'

export const verifyLimits = {
  /** Rows looked at together: enough to keep a database or a disk busy. */
  windowRows: 64,
  /** What those may weigh: values have up to 16 MiB. */
  windowBytes: 8 * 1024 * 1024,
  /** How often progress is told. */
  progressRows: 1000,
} as const

export interface VerifyPorts {
  readonly store: Store
  readonly blobs: Blobs
  readonly vault: RowReader['vault']
  readonly unwrap: RowReader['unwrap']
  readonly families: readonly RowFamily[]
}

/** Something that is not as it should be. */
export interface Finding {
  readonly kind: /** The row does not read, or is another one than its key says. */
    | 'damaged'
    /** What was written together with the row is not there. */
    | 'missing'
    /** No room of this build knows such rows. */
    | 'unknown'
    /** A log entry does not follow from the one before. */
    | 'chain'
    /** A blob is gone, or not what its name says. */
    | 'blob'
  /** Name of the row. */
  readonly row: string
  readonly family?: string
  readonly detail: string
  /** Of a damaged entry: enough to move it out of the way. */
  readonly entry?: { readonly key: string; readonly version: number }
}

export interface Progress {
  readonly rows: number
  readonly bytes: number
  readonly blobs: number
}

export interface Verified extends Progress {
  readonly findings: number
  /** The end of the audit log: written down elsewhere, it proves later that nothing was cut off. */
  readonly head: ChainHead
}

/**
 * Walks everything as it was at one moment, while the gateway goes on: every row must read, be of a known family and have
 * its partners, every blob must be what its name says, every log must be one chain and contain the `known` heads. Tells
 * each finding as it comes; no row, however damaged, ends the walk. Throws StoreFailed where the store itself failed.
 */
export async function verify(
  ports: VerifyPorts,
  tell: {
    readonly finding: (finding: Finding) => void
    readonly progress?: (progress: Progress) => void
  },
  known: readonly ChainHead[] = [],
): Promise<Verified> {
  let [rows, bytes, findings] = [0, 0, 0]
  const find = (finding: Finding) => {
    findings++
    tell.finding(finding)
  }
  const familyOf = familyFinder(ports.families)
  const partners = openPartners(ports, find)
  const chains = openChains(known, find)

  async function checkRow(row: StoredRow, family: RowFamily | undefined) {
    const name = rowName(row)
    if (!family) return find({ kind: 'unknown', row: name, detail: 'no room of this build keeps such rows' })
    const checked = await read(ports, family, row)
    if (checked.kind === 'damaged') {
      const entry = row.kind === 'entry' ? { entry: { key: row.key, version: row.version } } : {}
      return find({ kind: 'damaged', row: name, family: family.name, detail: checked.detail, ...entry })
    }
    for (const need of checked.needs) await partners.expect(row, need, family.name)
  }

  for await (const window of windows(ports.store.snapshot())) {
    for (const row of window) if (row.kind === 'log') chains.follow(row)
    // Jobs after the entries of their window: what a job belongs to has said so by then.
    for (const jobs of [false, true])
      await Promise.all(
        window.filter(({ kind }) => (kind === 'job') === jobs).map((row) => checkRow(row, familyOf(row))),
      )
    for (const row of window) {
      if (row.kind === 'job') partners.met(row)
      bytes += rowBytes(row)
      if (++rows % verifyLimits.progressRows === 0) tell.progress?.({ rows, bytes, blobs: partners.blobs() })
    }
  }
  partners.end()
  const head = chains.end()
  return { rows, bytes, blobs: partners.blobs(), findings, head }
}

type Checked =
  | { readonly kind: 'sound'; readonly needs: readonly Need[] }
  | { readonly kind: 'damaged'; readonly detail: string }

async function read(ports: VerifyPorts, family: RowFamily, row: StoredRow): Promise<Checked> {
  try {
    // The finder has paired them: the row is of the family's kind.
    const check = family.check as (row: StoredRow, by: RowReader) => Promise<readonly Need[]> | readonly Need[]
    return { kind: 'sound', needs: await check(row, ports) }
  } catch (error) {
    if (error instanceof StoreFailed && !ports.store.healthy()) throw error
    // Words of other errors may repeat what the row says, and that may be clinical.
    const ours = error instanceof RowDamaged || error instanceof VaultFailed || error instanceof StoreFailed
    return { kind: 'damaged', detail: ours ? error.message : `the row does not read (${nameOf(error)})` }
  }
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : 'unknown'
}

/** Rows in small groups, in order. */
async function* windows(rows: AsyncIterable<StoredRow>): AsyncGenerator<readonly StoredRow[]> {
  let window: StoredRow[] = []
  let bytes = 0
  for await (const row of rows) {
    window.push(row)
    bytes += rowBytes(row)
    if (window.length < verifyLimits.windowRows && bytes < verifyLimits.windowBytes) continue
    yield window
    window = []
    bytes = 0
  }
  if (window.length > 0) yield window
}

/**
 * Looks for what must be there with a row. Entries and blobs are looked for in the store as it is now, which may be ahead
 * of the snapshot: where one is missing, the row itself is looked at again afterwards, and only if it is unchanged, and
 * so was there all the time, is its partner really missing. Jobs are looked for in the snapshot itself, which has them
 * after the entries.
 */
function openPartners({ store, blobs }: VerifyPorts, find: (finding: Finding) => void) {
  /** Jobs that entries belong to, with those entries: a row for each large message in the queue. */
  const awaited = new Map<string, Map<string, string>>()
  const jobName = (queue: string, id: string) => `${queue}\0${id}`
  /** Those that hold one blob lie beside one another, so that the last answers are enough. */
  const hashed = new Map<string, Promise<string | undefined>>()
  let counted = 0

  async function unchanged(row: StoredRow): Promise<boolean> {
    return row.kind !== 'entry' || (await store.get(row.key))?.version === row.version
  }

  function blobFault(name: string): Promise<string | undefined> {
    const known = hashed.get(name) ?? faultOf(blobs, name)
    if (!hashed.has(name)) counted++
    hashed.set(name, known)
    for (const oldest of hashed.keys()) {
      if (hashed.size <= verifyLimits.windowRows) break
      hashed.delete(oldest)
    }
    return known
  }

  async function absent(row: StoredRow, need: Exclude<Need, { kind: 'blob' | 'job' }>): Promise<string | undefined> {
    if (need.kind === 'some')
      return (await store.range(someRange(need.prefix))).length > 0 ? undefined : `anything under ${need.prefix}`
    if (row.kind === 'job') return awaited.get(jobName(row.queue, row.id))?.has(need.key) ? undefined : need.key
    return (await store.get(need.key)) ? undefined : need.key
  }

  return {
    blobs: () => counted,
    async expect(row: StoredRow, need: Need, family: string): Promise<void> {
      if (need.kind === 'job') {
        const job = jobName(need.queue, need.id)
        awaited.set(job, (awaited.get(job) ?? new Map<string, string>()).set(rowName(row), family))
      } else if (need.kind === 'blob') {
        const fault = await blobFault(need.name)
        if (fault && (await unchanged(row)))
          find({ kind: 'blob', row: rowName(row), family, detail: `the blob ${need.name} ${fault}` })
      } else {
        const missing = await absent(row, need)
        if (missing !== undefined && (await unchanged(row)))
          find({ kind: 'missing', row: rowName(row), family, detail: `there is no ${missing}` })
      }
    },
    met({ queue, id }: { readonly queue: string; readonly id: string }): void {
      awaited.delete(jobName(queue, id))
    },
    end(): void {
      for (const [job, rows] of awaited)
        for (const [row, family] of rows)
          find({ kind: 'missing', row, family, detail: `there is no job ${job.replace('\0', ' ')}` })
    },
  }
}

async function faultOf(blobs: Blobs, name: string): Promise<string | undefined> {
  const chunks = await blobs.get(name)
  if (!chunks) return 'is not there'
  try {
    const hash = createHash('sha256')
    for await (const chunk of chunks) hash.update(chunk)
    return hash.digest('hex') === name ? undefined : 'is not what its name says'
  } catch (error) {
    return `cannot be read (${nameOf(error)})`
  }
}

/** Follows logs entry by entry; after a break it goes on from what is there, so that one break is told once. */
function openChains(known: readonly ChainHead[], find: (finding: Finding) => void) {
  const links = new Map(known.map((head) => [head.sequence, head.link]))
  const start = { log: '', sequence: 0, link: new Uint8Array(32) as Uint8Array }
  let last = start
  let head: ChainHead = { sequence: 0, link: '0'.repeat(64) }
  return {
    follow(row: Extract<StoredRow, { kind: 'log' }>): void {
      const before = last.log === row.log ? last : start
      const isAudit = row.log === 'audit'
      const fault = chainBreak(before, row, isAudit ? links.get(row.sequence) : undefined)
      if (fault) find({ kind: 'chain', row: rowName(row), detail: fault })
      if (isAudit) head = { sequence: row.sequence, link: Buffer.from(row.link).toString('hex') }
      last = row
    },
    end(): ChainHead {
      for (const sequence of links.keys())
        if (sequence > head.sequence)
          find({
            kind: 'chain',
            row: `log audit ${sequence}`,
            detail: `the log ends before entry ${sequence}, which was there`,
          })
      return head
    },
  }
}
