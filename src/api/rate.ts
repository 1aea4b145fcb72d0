import type { Clock } from '../ports/world.js'

/** A bucket holds `burst` requests and gains `perSecond` of them a second. */
export interface Rate {
  readonly perSecond: number
  readonly burst: number
}

/** Callers remembered at once; beyond, the one quiet for longest is forgotten, which only ever favours a caller. */
const mostCallers = 20_000

/** Token buckets by caller. `take` answers 0 when the request may pass, else how many seconds to wait. */
export function rateLimiter(clock: Clock, rate: Rate): { take(caller: string): number } {
  const buckets = new Map<string, { level: number; at: number }>()
  return {
    take(caller) {
      const now = clock.now()
      const known = buckets.get(caller)
      // A clock set back earns nothing and costs nothing.
      const gained = known ? (Math.max(0, now - known.at) / 1000) * rate.perSecond : 0
      const level = Math.min(rate.burst, (known?.level ?? rate.burst) + gained)
      buckets.delete(caller) // and to the end, so that the map is in order of last use
      buckets.set(caller, { level: level >= 1 ? level - 1 : level, at: now })
      if (buckets.size > mostCallers) buckets.delete(buckets.keys().next().value ?? '')
      return level >= 1 ? 0 : Math.max(1, Math.ceil((1 - level) / rate.perSecond))
    },
  }
}
