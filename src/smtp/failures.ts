import type { SubmissionListenerLimits } from './limits.js'
import { networkOf } from './network.js'

type Limits = Pick<
  SubmissionListenerLimits,
  'failuresPerAccount' | 'failuresPerNetwork' | 'failureWindowMs' | 'rememberedFailures'
>

/** One try that is under way; it counts as a failure until it is told otherwise. */
export interface Try {
  /** The credentials were right: the account begins anew here. */
  succeeded(): void
  /** It says nothing about the credentials. */
  undecided(): void
}

export interface Failures {
  /** Begins a try under a name from an address; undefined where there were too many. */
  begin(name: string, address: string, nowMs: number): Try | undefined
  /** Names and networks remembered. */
  size(): number
}

/**
 * Counts wrong credentials for each name within each network, and for each network, in windows that begin with the first
 * failure. An account is never locked for other networks: whoever knows its name could keep its owner out. A try counts
 * from its beginning, so that many at once do not slip through together.
 */
export function openFailures(limits: Limits): Failures {
  const counts = new Map<string, { count: number; readonly until: number }>()

  function countOf(key: string, nowMs: number): { count: number } {
    const known = counts.get(key)
    if (known && known.until > nowMs) return known
    counts.delete(key) // so that a new window is the youngest
    const fresh = { count: 0, until: nowMs + limits.failureWindowMs }
    counts.set(key, fresh)
    for (const oldest of counts.keys()) {
      if (counts.size <= limits.rememberedFailures) break
      counts.delete(oldest)
    }
    return fresh
  }

  return {
    begin(name, address, nowMs) {
      const network = networkOf(address)
      const all = countOf(network, nowMs)
      if (all.count >= limits.failuresPerNetwork) return undefined
      // A name that can be nobody's is cut, lest it be kept: what follows the space is at most as long as a name.
      const key = `${network} ${name.slice(0, 64)}`
      const own = countOf(key, nowMs)
      if (own.count >= limits.failuresPerAccount) return undefined
      all.count++
      own.count++
      return {
        succeeded() {
          all.count--
          counts.delete(key)
        },
        undecided() {
          all.count--
          own.count--
        },
      }
    },
    size: () => counts.size,
  }
}
