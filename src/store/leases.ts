import type { ClaimedJob } from '../ports/store.js'
import { type DueKeys, openDueKeys } from './due.js'
import { dueEnd, dueKey, readDueKey } from './keys.js'

/**
 * Who holds which job, and which jobs wait. Both live in memory: one process owns the store, so its death ends all leases,
 * and the due index is read once when the store opens. About 170 bytes a job.
 */
export interface Leases {
  /** The job's key in the due index while this token still ends it at `now`; undefined once the lease was lost. */
  leased(job: ClaimedJob, now: number): string | undefined
  /** Whether anybody holds the job at `now`. */
  held(queue: string, id: string, now: number): boolean
  /** Takes up to `n` jobs that are due at `now` out of the waiting ones, oldest due first; each must be given to `take`. */
  due(queue: string, n: number, now: number): readonly { readonly dueAt: number; readonly id: string }[]
  /** Takes this job out of the waiting ones, due or not; it must be given to `take`. `held` where somebody has it. */
  one(queue: string, id: string, now: number): { readonly dueAt: number; readonly id: string } | 'held' | undefined
  /** Where a job stands in the due index, held or not. */
  keyOf(queue: string, id: string): string | undefined
  take(job: ClaimedJob): void
  extend(job: ClaimedJob, leaseMs: number, now: number): boolean
  end(jobs: readonly ClaimedJob[]): void
  /** A job came to stand at this key of the due index. */
  appeared(queue: string, key: string): void
  /** When the first waiting job is due. */
  nextDue(queue: string, now: number): number | undefined
}

interface LeasedQueue {
  readonly waiting: DueKeys
  /** The key of each job by its id, held ones included. */
  readonly keys: Map<string, string>
  readonly held: Map<string, { readonly token: string; readonly dueKey: string; until: number }>
  /** No lease ends before this moment. */
  noneBefore: number
}

export function openLeases(): Leases {
  const queues = new Map<string, LeasedQueue>()

  function of(queue: string): LeasedQueue {
    let found = queues.get(queue)
    if (!found) {
      found = { waiting: openDueKeys(), keys: new Map(), held: new Map(), noneBefore: Number.POSITIVE_INFINITY }
      queues.set(queue, found)
    }
    return found
  }

  /** The queue as it is at `now`: jobs whose leases ran out wait again. */
  function at(queue: string, now: number): LeasedQueue {
    const found = of(queue)
    if (now < found.noneBefore) return found
    found.noneBefore = Number.POSITIVE_INFINITY
    for (const [id, { until, dueKey }] of found.held) {
      if (until > now) found.noneBefore = Math.min(found.noneBefore, until)
      else {
        found.held.delete(id)
        found.waiting.add(dueKey)
      }
    }
    return found
  }

  function lease(job: ClaimedJob, now: number) {
    const found = of(job.queue).held.get(job.id)
    return found?.token === job.token && now < found.until ? found : undefined
  }

  return {
    leased: (job, now) => lease(job, now)?.dueKey,
    held: (queue, id, now) => at(queue, now).held.has(id),
    due: (queue, n, now) =>
      at(queue, now)
        .waiting.take(dueEnd(queue, now), n)
        .map((key) => readDueKey(queue, key)),
    one(queue, id, now) {
      const found = at(queue, now)
      if (found.held.has(id)) return 'held'
      const key = found.keys.get(id)
      if (key === undefined) return undefined
      found.waiting.remove(key)
      return readDueKey(queue, key)
    },
    keyOf: (queue, id) => of(queue).keys.get(id),
    take(job) {
      const queue = of(job.queue)
      const key = dueKey(job.queue, job.dueAt, job.id)
      queue.held.set(job.id, { token: job.token, dueKey: key, until: job.leaseUntil })
      queue.noneBefore = Math.min(queue.noneBefore, job.leaseUntil)
    },
    extend(job, leaseMs, now) {
      const found = lease(job, now)
      if (found) found.until = Math.max(found.until, now + leaseMs)
      return found !== undefined
    },
    end(jobs) {
      for (const { queue, id } of jobs) {
        of(queue).held.delete(id)
        of(queue).keys.delete(id)
      }
    },
    appeared(queue, key) {
      of(queue).waiting.add(key)
      of(queue).keys.set(readDueKey(queue, key).id, key)
    },
    nextDue(queue, now) {
      const first = at(queue, now).waiting.first()
      return first === undefined ? undefined : readDueKey(queue, first).dueAt
    },
  }
}
