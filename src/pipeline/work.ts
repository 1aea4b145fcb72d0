import { type ClaimedJob, type Store, StoreFailed } from '../ports/store.js'
import type { Clock } from '../ports/world.js'

export interface WorkOptions {
  readonly store: Store
  readonly queue: string
  /** Handlers at once. */
  readonly concurrency: number
  /** A worker silent for so long loses its job; a running handler has it lengthened three times within. */
  readonly leaseMs: number
  readonly clock: Clock
  /**
   * Does the job and ends it in a batch of its own (`ack` or `release`), so that the end becomes true with what was
   * done. May run twice for one job. When it throws, the job is given back with a growing wait.
   */
  readonly handle: (job: ClaimedJob) => Promise<void>
  /** Told of every error of a handler or of the store, with the job where there is one. */
  readonly onError: (error: unknown, job?: ClaimedJob) => void
  /** Looks for work at least this often, whatever `nextDue` said. Default: as `workLimits` says. */
  readonly idleMs?: number
}

export interface Work {
  /** Something was put into the queue: look now. */
  nudge(): void
  running(): number
  /**
   * Claims nothing more and waits for running handlers, at most `graceMs`; true when all came to their end. What is cut
   * off stays in the queue and is claimed again once its lease has run out.
   */
  stop(graceMs: number): Promise<boolean>
}

export const workLimits = {
  /** Where this process alone writes the store, it hears of everything; this is only against a lost wake-up. */
  idleMs: 30_000,
  /** Where others write it too: how long their jobs, and those of one that died, may lie unseen. */
  sharedIdleMs: 1_000,
  /** First and longest wait for a job whose handler threw; doubled each time. */
  handlerBackoffMs: 1000,
  handlerBackoffMaxMs: 300_000,
  /** First and longest wait after the store failed; doubled each time. */
  storeBackoffMs: 100,
  storeBackoffMaxMs: 10_000,
  /** Where a job seems due by our clock and not yet by the store's. */
  clockSkewMs: 20,
}

/** Works off one queue: claims what is due, runs up to `concurrency` handlers, keeps their leases, sleeps until the next is due. */
export function startWork(options: WorkOptions): Work {
  const { store, queue, concurrency, leaseMs, clock, onError } = options
  const idleMs = options.idleMs ?? (store.shared ? workLimits.sharedIdleMs : workLimits.idleMs)
  const running = new Set<Promise<void>>()
  let stopping = false
  let nudged = false
  let wake: () => void = () => undefined
  let storeFailures = 0

  function nudge(): void {
    nudged = true
    wake()
  }

  /** Waits until nudged, at most this long. A nudge since the last wait counts. */
  async function rest(ms: number): Promise<void> {
    if (!nudged && !stopping) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms)
        wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    nudged = false
  }

  async function run(job: ClaimedJob): Promise<void> {
    const lengthening = setInterval(() => {
      store.extend(job, leaseMs).catch((error: unknown) => onError(error, job))
    }, leaseMs / 3)
    try {
      await options.handle(job)
    } catch (error) {
      onError(error, job)
      // A store that failed says nothing about the job, however often it was begun.
      const failures = error instanceof StoreFailed ? 1 : job.attempt
      await giveBack(job, clock.now() + doubled(workLimits.handlerBackoffMs, failures, workLimits.handlerBackoffMaxMs))
    } finally {
      clearInterval(lengthening)
    }
  }

  async function giveBack(job: ClaimedJob, dueAt: number): Promise<void> {
    try {
      await store.commit({ release: [{ job, dueAt }] }) // lost leases need no giving back
    } catch (error) {
      onError(error, job)
    }
  }

  function start(job: ClaimedJob): void {
    const done = run(job).finally(() => {
      running.delete(done)
      nudge()
    })
    running.add(done)
  }

  /** Claims and starts what it can; answers how long there is nothing to do. */
  async function look(): Promise<number> {
    const free = concurrency - running.size
    if (free <= 0) return idleMs
    const jobs = await store.claim(queue, free, leaseMs)
    if (stopping) await Promise.all(jobs.map((job) => giveBack(job, job.dueAt)))
    else for (const job of jobs) start(job)
    if (jobs.length === free || stopping) return idleMs // woken when one of them ends
    const due = await store.nextDue(queue)
    if (due === undefined) return idleMs
    return Math.min(idleMs, Math.max(workLimits.clockSkewMs, due - clock.now()))
  }

  async function work(): Promise<void> {
    while (!stopping) {
      try {
        const restMs = await look()
        storeFailures = 0
        await rest(restMs)
      } catch (error) {
        onError(error)
        storeFailures++
        nudged = false // by whoever enqueued: the store comes first
        await rest(doubled(workLimits.storeBackoffMs, storeFailures, workLimits.storeBackoffMaxMs))
      }
    }
  }

  const loop = work()
  return {
    nudge,
    running: () => running.size,
    async stop(graceMs) {
      stopping = true
      wake()
      const ended = loop.then(() => Promise.all(running)).then(() => true)
      let timer: NodeJS.Timeout | undefined
      const expired = new Promise<boolean>((resolve) => {
        timer = setTimeout(() => resolve(false), graceMs)
      })
      const inTime = await Promise.race([ended, expired])
      clearTimeout(timer)
      return inTime
    },
  }
}

/** `first` doubled for each time after the first, at most `longest`. */
function doubled(first: number, times: number, longest: number): number {
  return Math.min(longest, first * 2 ** Math.min(times - 1, 30))
}
