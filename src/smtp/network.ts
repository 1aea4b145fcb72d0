import { isIPv6 } from 'node:net'

/** Whether the address is this machine's own. */
export function isLoopback(address: string): boolean {
  return address === '::1' || plain(address).startsWith('127.')
}

/** Whoever an address stands for: itself, or for IPv6 its /64, since one customer owns all of it. */
export function clientOf(address: string): string {
  const text = plain(address)
  return isIPv6(text) ? firstGroups(text, 4) : text
}

/** The neighbourhood of an address: its /24, or for IPv6 its /64. */
export function networkOf(address: string): string {
  const text = plain(address)
  return isIPv6(text) ? firstGroups(text, 4) : text.split('.', 3).join('.')
}

/** A dual-stack listener reports an IPv4 peer as `::ffff:a.b.c.d`. */
function plain(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, '')
}

function firstGroups(address: string, count: number): string {
  const [head = '', tail] = address.toLowerCase().replace(/%.*$/, '').split('::')
  const groups = head === '' ? [] : head.split(':')
  const rest = tail ? tail.split(':').length : 0
  while (tail !== undefined && groups.length < 8 - rest) groups.push('0')
  return groups.slice(0, count).join(':')
}
