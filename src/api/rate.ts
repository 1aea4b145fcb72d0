import { isIPv6 } from 'node:net'
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

/** Who shares a bucket by address: an IPv4 address, or the /64 that one IPv6 subscriber has (RFC 6177 §2). */
export function networkOf(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '')
  if (!isIPv6(plain)) return plain
  const [head = '', tail] = plain.split('::')
  const groups = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? 0 : tail.split(':').length
  const missing = tail === undefined ? 0 : 8 - groups.length - after
  const all = [...groups, ...Array<string>(Math.max(0, missing)).fill('0'), ...(tail ? tail.split(':') : [])]
  return `${all
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`
}
