import type { ServiceRecord } from './dns-message.js'

export const serviceLimits = {
  /** Servers of one domain that are tried: people run two, and a spare. */
  servers: 4,
}

/**
 * Servers of a service in the order in which to try them (RFC 2782): lowest priority first; among equals the greatest weight
 * first, always, where the RFC would draw lots: certification asks for it, and what was found can be found again. A
 * target that is the root says that there is no such service; what is no host name is left out, and so are repetitions.
 */
export function inOrder(records: readonly ServiceRecord[], limits = serviceLimits): readonly ServiceRecord[] {
  const sorted = records
    .filter(({ target, port }) => target.length <= 253 && hostName.test(target) && port > 0)
    .sort((a, b) => a.priority - b.priority || b.weight - a.weight || Buffer.compare(placeOf(a), placeOf(b)))
  const once = new Map<string, ServiceRecord>()
  for (const record of sorted) {
    const place = `${record.target}:${record.port}`
    if (!once.has(place)) once.set(place, record)
  }
  return [...once.values()].slice(0, limits.servers)
}

/** Equal in priority and weight: by name, so that the order does not hang on that of the answer. */
function placeOf({ target, port }: ServiceRecord): Buffer {
  return Buffer.from(`${target}:${port}`)
}

const hostName = /^[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*$/
