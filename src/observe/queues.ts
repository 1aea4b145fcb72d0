import type { Log, Metrics } from '../ports/observe.js'
import type { Store } from '../ports/store.js'
import type { Clock } from '../ports/world.js'

export const queueWatchLimits = {
  intervalMs: 15_000,
  /** Work that is due for so long is stuck: a worker takes what is due within a second. */
  warnSeconds: 300,
}

/** Tells how long the most overdue job of each queue has waited, and warns when it is stuck. Answers how to stop it. */
export function watchQueues(
  {
    store,
    metrics,
    log,
    clock,
  }: {
    readonly store: Pick<Store, 'nextDue'>
    readonly metrics: Metrics
    readonly log: Log
    readonly clock: Clock
  },
  queues: readonly string[],
  { intervalMs, warnSeconds } = queueWatchLimits,
): () => void {
  async function look(): Promise<void> {
    for (const queue of queues) {
      const due = await store.nextDue(queue)
      const seconds = due === undefined ? 0 : Math.max(0, clock.now() - due) / 1_000
      metrics.gauge('queue_oldest_seconds', seconds, { queue })
      if (seconds >= warnSeconds) log.warn('queue.stuck', { queue, seconds: Math.round(seconds) })
    }
  }
  const timer = setInterval(
    () => void look().catch((error: unknown) => log.error('queue.watch-failed', { cause: String(error) })),
    intervalMs,
  )
  timer.unref()
  return () => clearInterval(timer)
}
