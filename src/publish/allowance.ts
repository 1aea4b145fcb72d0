import { isIPv6 } from 'node:net'
import { recent } from '../x509/recent.js'
import type { NameServerLimits } from './limits.js'

/** How much a network may ask for a while. */
export interface Allowance {
  /** Takes one question out of it, as one for a name that is not there; false where either is used up. */
  take(client: string, nowMs: number): boolean
  /** Takes it back that the question was for a name that is not there. */
  found(client: string, nowMs: number): void
  /** Networks remembered. */
  size(): number
}

interface Bucket {
  answers: number
  misses: number
  at: number
}

/** Two token buckets per client network: one for questions, one for names that are not there. Who was not heard of for longest is forgotten first. */
export function openAllowance(perSecond: number, burst: number, limits: NameServerLimits): Allowance {
  const buckets = recent<Bucket>(limits.clients)

  function bucketOf(client: string, nowMs: number): Bucket {
    const found = buckets.get(client)
    if (!found) {
      const fresh = { answers: burst, misses: limits.missesBurst, at: nowMs }
      buckets.set(client, fresh)
      return fresh
    }
    // A clock that was set back gives nothing, and takes nothing.
    const seconds = Math.max(0, nowMs - found.at) / 1000
    found.answers = Math.min(burst, found.answers + seconds * perSecond)
    found.misses = Math.min(limits.missesBurst, found.misses + seconds * limits.missesPerSecond)
    found.at = nowMs
    return found
  }

  return {
    take(client, nowMs) {
      const bucket = bucketOf(client, nowMs)
      // Once its misses are used up a network gets no answer at all: else silence would be the answer.
      if (bucket.answers < 1 || bucket.misses < 1) return false
      bucket.answers--
      bucket.misses--
      return true
    },
    found(client, nowMs) {
      const bucket = bucketOf(client, nowMs)
      bucket.misses = Math.min(limits.missesBurst, bucket.misses + 1)
    },
    size: () => buckets.size,
  }
}

/**
 * The network of a client: /24 of IPv4, /56 of IPv6, which is what one customer has. An IPv4 peer of a dual-stack
 * socket counts as IPv4. Undefined for loopback.
 */
export function networkOf(address: string): string | undefined {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '')
  if (!isIPv6(plain)) return plain.startsWith('127.') ? undefined : plain.slice(0, plain.lastIndexOf('.'))
  if (plain === '::1') return undefined
  const [head = '', tail] = plain.toLowerCase().replace(/%.*$/, '').split('::')
  const groups = head === '' ? [] : head.split(':')
  const rest = tail ? tail.split(':') : []
  while (tail !== undefined && groups.length < 8 - rest.length) groups.push('0')
  const [a, b, c, d = '0'] = [...groups, ...rest].map((group) => group.padStart(4, '0'))
  return `${a}:${b}:${c}:${d.slice(0, 2)}`
}
