import type { Clock } from '../ports/world.js'
import type { ConnectLimits } from './limits.js'

/** How often somebody may ask for a code that is not there. */
export interface Allowance {
  /** Takes a miss out beforehand, as many may ask at once: 0, or the milliseconds to wait. */
  take(network: string): number
  /** The code was there: the miss is given back. */
  found(network: string): void
  /** All networks together are within their limit. */
  calm(): boolean
}

interface Bucket {
  level: number
  at: number
}

/**
 * Buckets of misses, by network and for all. Where all together miss too often, networks that missed nothing of late still
 * pass: nobody who guesses keeps out somebody who holds a code.
 */
export function openAllowance(
  clock: Clock,
  limits: Pick<ConnectLimits, 'misses' | 'missesOfAll' | 'networks'>,
): Allowance {
  const networks = new Map<string, Bucket>()
  const all: Bucket = { level: limits.missesOfAll.burst, at: clock.now() }

  function filled(
    bucket: Bucket,
    { perSecond, burst }: { readonly perSecond: number; readonly burst: number },
  ): Bucket {
    const now = clock.now()
    // A clock that was set back gives nothing, and takes nothing.
    bucket.level = Math.min(burst, bucket.level + (Math.max(0, now - bucket.at) / 1000) * perSecond)
    bucket.at = now
    return bucket
  }

  function bucketOf(network: string): Bucket {
    const bucket = filled(networks.get(network) ?? { level: limits.misses.burst, at: clock.now() }, limits.misses)
    networks.delete(network) // and to the end, so that the map is in order of last use
    networks.set(network, bucket)
    if (networks.size > limits.networks) networks.delete(networks.keys().next().value ?? '')
    return bucket
  }

  const waitMs = (level: number, perSecond: number) => Math.ceil(((1 - level) / perSecond) * 1000)

  return {
    take(network) {
      const own = bucketOf(network)
      const together = filled(all, limits.missesOfAll)
      if (own.level < 1) return waitMs(own.level, limits.misses.perSecond)
      const suspect = own.level < limits.misses.burst
      if (together.level < 1 && suspect) return waitMs(together.level, limits.missesOfAll.perSecond)
      own.level -= 1
      together.level -= 1
      return 0
    },
    found(network) {
      const own = bucketOf(network)
      own.level = Math.min(limits.misses.burst, own.level + 1)
      const together = filled(all, limits.missesOfAll)
      together.level = Math.min(limits.missesOfAll.burst, together.level + 1)
    },
    calm: () => filled(all, limits.missesOfAll).level >= 0,
  }
}
