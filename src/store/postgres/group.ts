import { createHash, randomInt } from 'node:crypto'
import type { Batch, ClaimedJob, CommitResult, NewJob } from '../../ports/store.js'
import { compareUtf8 } from '../compare.js'
import { checkedMoment } from '../keys.js'
import type { Call } from './session.js'
import {
  appendLogs,
  deleteEntries,
  endJobs,
  enqueueJobs,
  type FoundHead,
  guardEntries,
  insertEntries,
  moveHeads,
  putEntries,
  releaseJobs,
} from './statements.js'
import { byteaArray, int8Array, textBytesArray } from './wire.js'

/** What was read, and locked, of the store before judging. */
export interface Known {
  version(key: string): number | 'absent'
  leased(job: ClaimedJob): boolean
}

export interface LogHead {
  readonly sequence: number
  readonly link: Uint8Array
}

/** Batches that will become durable in one transaction. */
export interface Group {
  /** Judges the next batch against the store and all that earlier batches of the group change; a refused one leaves no trace. */
  admit(batch: Batch): CommitResult
  /** Nothing is to be written: every batch was refused, or empty. */
  isEmpty(): boolean
  /** The logs that are appended to. */
  logs(): readonly string[]
  /** What writes entries and jobs; `now` as the store's clock has it, null for the server's. */
  calls(now: string | null): Call[]
  /** What appends to the logs, given their heads, and where the heads are afterwards. */
  appends(heads: ReadonlyMap<string, LogHead>): { readonly calls: Call[]; readonly heads: readonly FoundHead[] }
}

interface Release {
  readonly job: ClaimedJob
  readonly dueAt: number
  readonly payload: Uint8Array | null
}

/**
 * Opens a group. Without `known` it takes every batch at its word: what the first batch requires of a key is assumed, later
 * batches are judged by it, and the calls carry guards that end the transaction where an assumption was wrong. So most
 * groups need no reading before they are written.
 */
export function openGroup(known?: Known): Group {
  /** What must be so of entries when the transaction writes. */
  const expected = new Map<string, number | 'absent'>()
  const changed = new Map<string, { readonly version: number; readonly value: Uint8Array } | 'deleted'>()
  const ended = new Map<string, ClaimedJob>()
  const released = new Map<string, Release>()
  const enqueued = new Map<string, NewJob>()
  const appended: { readonly log: string; readonly value: Uint8Array }[] = []

  function current(key: string): number | 'absent' | undefined {
    const change = changed.get(key)
    if (change) return change === 'deleted' ? 'absent' : change.version
    return known ? known.version(key) : expected.get(key)
  }

  function refusal(batch: Batch): CommitResult | undefined {
    const assumed = new Map<string, number | 'absent'>()
    const refused = firstFault(batch, assumed)
    // Also of a batch that is refused for another reason: only where it was right so far is that the reason to name.
    if (!refused || !known) for (const [key, version] of assumed) expected.set(key, version)
    return refused
  }

  function firstFault(batch: Batch, assumed: Map<string, number | 'absent'>): CommitResult | undefined {
    for (const { key, version } of batch.require ?? []) {
      const found = current(key) ?? assumed.get(key) ?? version
      if (found !== version) return { kind: 'conflict', key }
      if (!changed.has(key)) assumed.set(key, version)
    }
    const ending = new Set<string>()
    for (const { job } of [...(batch.ack ?? []), ...(batch.release ?? [])]) {
      const name = nameOf(job)
      const lost = ended.has(name) || released.has(name) || ending.has(name) || (known && !known.leased(job))
      if (lost) return { kind: 'lease-lost', id: job.id }
      ending.add(name)
    }
    return undefined
  }

  function admit(batch: Batch): CommitResult {
    const refused = refusal(batch)
    if (refused) return refused
    const version = newVersion()
    // Deleting comes first, so that a key which a batch both deletes and puts is there afterwards; ending jobs comes
    // before enqueueing, so that a job may be followed by one of the same id.
    for (const key of batch.del ?? []) changed.set(key, 'deleted')
    for (const { key, value } of batch.put ?? []) changed.set(key, { version, value })
    for (const entry of batch.append ?? []) appended.push(entry)
    for (const { job } of batch.ack ?? []) end(job)
    for (const { job, dueAt, payload } of batch.release ?? []) {
      end(job)
      ended.delete(nameOf(job))
      released.set(nameOf(job), { job, dueAt: checkedMoment(dueAt), payload: payload ?? null })
    }
    for (const job of batch.enqueue ?? []) if (!enqueued.has(nameOf(job))) enqueued.set(nameOf(job), job)
    return { kind: 'committed' }
  }

  /** The job was there all the time, so that an earlier batch of this group which enqueued its twin changed nothing. */
  function end(job: ClaimedJob) {
    ended.set(nameOf(job), job)
    enqueued.delete(nameOf(job))
  }

  function entryCalls(): Call[] {
    const absent: [string, { readonly version: number; readonly value: Uint8Array }][] = []
    const puts: typeof absent = []
    const deletes: string[] = []
    const locks: [string, number | null][] = []
    for (const [key, version] of expected) {
      if (version !== 'absent') locks.push([key, version])
      else {
        // Where nothing is put, a row that is gone again before the commit: whoever puts the key meanwhile waits for us, or we for him.
        const change = changed.get(key) ?? 'deleted'
        absent.push([key, change === 'deleted' ? { version: 0, value: new Uint8Array() } : change])
        if (change === 'deleted') deletes.push(key)
      }
    }
    const guarded = locks.length
    for (const [key, change] of changed) {
      if (expected.get(key) === 'absent') continue
      if (change === 'deleted') deletes.push(key)
      else puts.push([key, change])
      if (!expected.has(key)) locks.push([key, null])
    }
    const calls: Call[] = []
    // Several statements that lock rows could meet those of another node crosswise; one that locks all in order does not.
    if (guarded > 0 || deletes.length > 0) {
      locks.sort(byKey)
      const values = [textBytesArray(locks.map(([key]) => key)), int8Array(locks.map(([, version]) => version))]
      calls.push({ statement: guardEntries, values: [...values, String(guarded)] })
    }
    if (absent.length > 0) calls.push({ statement: insertEntries, values: columns(absent) })
    if (puts.length > 0) calls.push({ statement: putEntries, values: columns(puts) })
    if (deletes.length > 0) calls.push({ statement: deleteEntries, values: [textBytesArray(deletes)] })
    return calls
  }

  function jobCalls(now: string | null): Call[] {
    const calls: Call[] = []
    if (ended.size > 0) calls.push({ statement: endJobs, values: [now, ...leases([...ended.values()])] })
    if (released.size > 0) {
      const back = [...released.values()]
      const dueAt = int8Array(back.map(({ dueAt }) => dueAt))
      const payload = byteaArray(back.map(({ payload }) => payload))
      calls.push({ statement: releaseJobs, values: [now, ...leases(back.map(({ job }) => job)), dueAt, payload] })
    }
    if (enqueued.size > 0) {
      const jobs = [...enqueued.values()].sort((a, b) => compareUtf8(a.queue, b.queue) || compareUtf8(a.id, b.id))
      calls.push({
        statement: enqueueJobs,
        values: [
          textBytesArray(jobs.map(({ queue }) => queue)),
          textBytesArray(jobs.map(({ id }) => id)),
          int8Array(jobs.map(({ dueAt }) => checkedMoment(dueAt))),
          byteaArray(jobs.map(({ payload }) => payload)),
        ],
      })
    }
    return calls
  }

  return {
    admit,
    isEmpty: () => expected.size + changed.size + appended.length + ended.size + released.size + enqueued.size === 0,
    logs: () => [...new Set(appended.map(({ log }) => log))],
    calls: (now) => [...entryCalls(), ...jobCalls(now)],
    appends: (heads) => chain(appended, heads),
  }
}

/** Links each entry to the one before; the guard on the heads comes first, so that a fork never gets as far as the log. */
function chain(
  appended: readonly { readonly log: string; readonly value: Uint8Array }[],
  heads: ReadonlyMap<string, LogHead>,
): { readonly calls: Call[]; readonly heads: readonly FoundHead[] } {
  if (appended.length === 0) return { calls: [], heads: [] }
  const ends = new Map<string, LogHead>()
  const rows = appended.map(({ log, value }) => {
    const head = ends.get(log) ?? heads.get(log)
    if (!head) throw new Error('The head of a log that is appended to was not read')
    const link = createHash('sha256').update(head.link).update(value).digest()
    const sequence = head.sequence + 1
    ends.set(log, { sequence, link })
    return { log, sequence, link, value }
  })
  const moved = [...ends].map(([log, head]) => ({ log, ...head })).sort((a, b) => compareUtf8(a.log, b.log))
  const move = {
    statement: moveHeads,
    values: [
      textBytesArray(moved.map(({ log }) => log)),
      int8Array(moved.map(({ log }) => heads.get(log)?.sequence ?? 0)),
      int8Array(moved.map(({ sequence }) => sequence)),
      byteaArray(moved.map(({ link }) => link)),
    ],
  }
  const append = {
    statement: appendLogs,
    values: [
      textBytesArray(rows.map(({ log }) => log)),
      int8Array(rows.map(({ sequence }) => sequence)),
      byteaArray(rows.map(({ link }) => link)),
      byteaArray(rows.map(({ value }) => value)),
    ],
  }
  return { calls: [move, append], heads: moved }
}

/** The lease columns of jobs that are held: what fences every end of one. */
export function leases(jobs: readonly ClaimedJob[]): [Buffer, Buffer, Buffer] {
  return [
    textBytesArray(jobs.map(({ queue }) => queue)),
    textBytesArray(jobs.map(({ id }) => id)),
    textBytesArray(jobs.map(({ token }) => fenceOf(token))),
  ]
}

/** The part of a token that the row holds: jobs taken in one statement share it. */
export function fenceOf(token: string): string {
  return token.split('.', 1)[0] ?? ''
}

const nameOf = ({ queue, id }: { readonly queue: string; readonly id: string }) => `${queue}\0${id}`

/** Never given before, also to a key that was deleted meanwhile, whichever node writes: by chance, below 2^48. */
const newVersion = () => randomInt(1, 2 ** 48 - 1)

const byKey = (a: readonly [string, unknown], b: readonly [string, unknown]) => compareUtf8(a[0], b[0])

function columns(rows: [string, { readonly version: number; readonly value: Uint8Array }][]): [Buffer, Buffer, Buffer] {
  rows.sort(byKey)
  return [
    textBytesArray(rows.map(([key]) => key)),
    int8Array(rows.map(([, { version }]) => version)),
    byteaArray(rows.map(([, { value }]) => value)),
  ]
}
