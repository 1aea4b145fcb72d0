import { createHash } from 'node:crypto'
import type { Batch, ClaimedJob, CommitResult } from '../ports/store.js'
import { checkedMoment, dataKey, dueKey, jobKey, logKey, metaVersion, readVarint, tryKey, varint } from './keys.js'
import type { Leases } from './leases.js'
import type { Change } from './ordered.js'

/** The end of a log: what the next entry links to. */
export interface LogHead {
  readonly sequence: number
  readonly link: Uint8Array
}

/** What changes outside the ordered home once a group is durable. */
export interface GroupEffects {
  readonly heads: ReadonlyMap<string, LogHead>
  /** Jobs whose leases end. */
  readonly ended: readonly ClaimedJob[]
  /** Keys of the due index that came to be. */
  readonly due: readonly { readonly queue: string; readonly key: string }[]
  readonly version: number
}

/**
 * Batches that will become durable in one write. Each is judged against the home as it was and everything that earlier
 * batches of the group change; a refused one leaves no trace, not even a gap in a log.
 */
export interface Group {
  admit(batch: Batch): CommitResult
  changes(): Change[]
  effects(): GroupEffects
}

/** The keys whose present values a batch is judged by. */
export function keysToJudge(batch: Batch): string[] {
  return [
    ...(batch.require ?? []).map(({ key }) => dataKey(key)),
    ...(batch.enqueue ?? []).map(({ queue, id }) => jobKey(queue, id)),
  ]
}

/** Opens a group over the values `keysToJudge` asked for, the heads of all logs appended to, and the leases at `now`. */
export function openGroup(from: {
  readonly values: ReadonlyMap<string, Uint8Array | undefined>
  readonly heads: ReadonlyMap<string, LogHead>
  readonly leases: Leases
  readonly version: number
  readonly now: number
}): Group {
  const changed = new Map<string, Uint8Array | undefined>()
  const heads = new Map(from.heads)
  const ended = new Map<string, ClaimedJob>()
  const due: { queue: string; key: string }[] = []
  let version = from.version

  const current = (key: string) => (changed.has(key) ? changed.get(key) : from.values.get(key))

  function refusal(batch: Batch): CommitResult | undefined {
    for (const { key, version } of batch.require ?? []) {
      const value = current(dataKey(key))
      const found = value ? readVarint(value).value : 'absent'
      if (found !== version) return { kind: 'conflict', key }
    }
    const ending = new Set<string>()
    for (const { job } of [...(batch.ack ?? []), ...(batch.release ?? [])]) {
      const held = from.leases.leased(job, from.now) !== undefined
      if (!held || ended.has(job.token) || ending.has(job.token)) return { kind: 'lease-lost', id: job.id }
      ending.add(job.token)
    }
    return undefined
  }

  function endJobs(batch: Batch) {
    for (const { job } of batch.ack ?? []) {
      leaveQueue(job)
      changed.set(jobKey(job.queue, job.id), undefined)
      changed.set(tryKey(job.queue, job.id), undefined)
    }
    for (const { job, dueAt, payload } of batch.release ?? []) {
      leaveQueue(job)
      addDue(job.queue, dueAt, job.id)
      if (payload) changed.set(jobKey(job.queue, job.id), payload)
    }
  }

  function leaveQueue(job: ClaimedJob) {
    const key = from.leases.leased(job, from.now)
    if (key) changed.set(key, undefined)
    ended.set(job.token, job)
  }

  function addDue(queue: string, dueAt: number, id: string) {
    const key = dueKey(queue, checkedMoment(dueAt), id)
    changed.set(key, new Uint8Array())
    due.push({ queue, key })
  }

  function append(log: string, value: Uint8Array) {
    const head = heads.get(log) ?? { sequence: 0, link: new Uint8Array(32) }
    const link = createHash('sha256').update(head.link).update(value).digest()
    const sequence = head.sequence + 1
    changed.set(logKey(log, sequence), Buffer.concat([link, value]))
    heads.set(log, { sequence, link })
  }

  function admit(batch: Batch): CommitResult {
    const refused = refusal(batch)
    if (refused) return refused
    version++
    const prefix = varint(version)
    // Deleting comes first, so that a key which a batch both deletes and puts is there afterwards; ending jobs comes
    // before enqueueing, so that a job may be followed by one of the same id.
    for (const key of batch.del ?? []) changed.set(dataKey(key), undefined)
    for (const { key, value } of batch.put ?? []) changed.set(dataKey(key), Buffer.concat([prefix, value]))
    for (const { log, value } of batch.append ?? []) append(log, value)
    endJobs(batch)
    for (const { queue, id, payload, dueAt } of batch.enqueue ?? []) {
      if (current(jobKey(queue, id))) continue
      changed.set(jobKey(queue, id), payload)
      addDue(queue, dueAt, id)
    }
    return { kind: 'committed' }
  }

  function changes(): Change[] {
    const all: Change[] = []
    for (const [key, value] of changed) all.push(value ? { type: 'put', key, value } : { type: 'del', key })
    if (all.length > 0) all.push({ type: 'put', key: metaVersion, value: varint(version) })
    return all
  }

  return { admit, changes, effects: () => ({ heads, ended: [...ended.values()], due, version }) }
}
