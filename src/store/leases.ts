import type { ClaimedJob } from '../ports/store.js'
import { compareUtf8 } from './compare.js'
import { dueKey, duePrefix, prefixEnd } from './keys.js'

/**
 * Who holds which job. Leases live in memory: one process owns the store, so its death ends them all and every job is
 * claimed again. Each queue also remembers a place in its due index before which every job is held or gone, so that
 * claiming costs what it claims and not what is held, nor what LevelDB has yet to forget of acknowledged jobs.
 */
export interface Leases {
  /** The job's key in the due index while this token still ends it at `now`; undefined once the lease was lost. */
  leased(job: ClaimedJob, now: number): string | undefined
  /** Whether anybody holds the job; call `expire` first. */
  held(queue: string, id: string): boolean
  take(job: ClaimedJob): void
  extend(job: ClaimedJob, leaseMs: number, now: number): boolean
  end(jobs: readonly ClaimedJob[]): void
  /** Ends the leases of a queue that ran out, so that their jobs are found again. */
  expire(queue: string, now: number): void
  /** Where to look for claimable jobs in the due index. */
  from(queue: string): string
  /** Every job of the queue before this key is held or gone. */
  passed(queue: string, key: string): void
  /** A job came to stand at this key of the due index. */
  appeared(queue: string, key: string): void
}

interface HeldQueue {
  readonly held: Map<string, { readonly token: string; readonly dueKey: string; until: number }>
  from: string
  /** No lease ends before this moment. */
  noneBefore: number
}

export function openLeases(): Leases {
  const queues = new Map<string, HeldQueue>()

  function of(queue: string): HeldQueue {
    let found = queues.get(queue)
    if (!found) {
      found = { held: new Map(), from: duePrefix(queue), noneBefore: Number.POSITIVE_INFINITY }
      queues.set(queue, found)
    }
    return found
  }

  function lease(job: ClaimedJob, now: number) {
    const found = of(job.queue).held.get(job.id)
    return found?.token === job.token && now < found.until ? found : undefined
  }

  function appeared(queue: string, key: string) {
    const at = of(queue)
    if (compareUtf8(key, at.from) < 0) at.from = key
  }

  return {
    leased: (job, now) => lease(job, now)?.dueKey,
    held: (queue, id) => of(queue).held.has(id),
    take(job) {
      const at = of(job.queue)
      const key = dueKey(job.queue, job.dueAt, job.id)
      at.held.set(job.id, { token: job.token, dueKey: key, until: job.leaseUntil })
      at.noneBefore = Math.min(at.noneBefore, job.leaseUntil)
    },
    extend(job, leaseMs, now) {
      const found = lease(job, now)
      if (found) found.until = Math.max(found.until, now + leaseMs)
      return found !== undefined
    },
    end(jobs) {
      for (const job of jobs) of(job.queue).held.delete(job.id)
    },
    expire(queue, now) {
      const at = of(queue)
      if (now < at.noneBefore) return
      at.noneBefore = Number.POSITIVE_INFINITY
      for (const [id, { until, dueKey }] of at.held) {
        if (until > now) at.noneBefore = Math.min(at.noneBefore, until)
        else {
          at.held.delete(id)
          appeared(queue, dueKey)
        }
      }
    },
    from: (queue) => of(queue).from,
    passed(queue, key) {
      // The key that follows immediately; never beyond the queue.
      of(queue).from = compareUtf8(key, prefixEnd(duePrefix(queue))) < 0 ? `${key}\0` : key
    },
    appeared,
  }
}
