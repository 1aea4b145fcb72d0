import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Log, Metrics } from '../ports/observe.js'

export const eventLoopLimits = {
  intervalMs: 10_000,
  /** Sockets of well-behaved peers begin to time out long after this; people notice before. */
  warnMs: 500,
}

/** Measures how late the main loop runs: a gauge each interval, a warning for a stall. Answers how to stop it. */
export function watchEventLoop(
  { log, metrics }: { readonly log: Log; readonly metrics: Metrics },
  { intervalMs, warnMs } = eventLoopLimits,
): () => void {
  const resolutionMs = 10
  const delay = monitorEventLoopDelay({ resolution: resolutionMs })
  delay.enable()
  // The histogram measures the whole wait between two ticks; what exceeds the tick is the delay.
  const seconds = (nanoseconds: number) => Math.max(0, nanoseconds / 1e9 - resolutionMs / 1e3)
  const timer = setInterval(() => {
    metrics.gauge('event_loop_delay_seconds', seconds(delay.percentile(50)), { quantile: '0.5' })
    metrics.gauge('event_loop_delay_seconds', seconds(delay.percentile(99)), { quantile: '0.99' })
    metrics.gauge('event_loop_delay_seconds', seconds(delay.max), { quantile: '1' })
    const stalledMs = Math.round(seconds(delay.max) * 1e3)
    if (stalledMs >= warnMs) log.warn('event-loop.stalled', { stalledMs })
    delay.reset()
  }, intervalMs)
  timer.unref()
  return () => {
    clearInterval(timer)
    delay.disable()
  }
}
