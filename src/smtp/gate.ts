import type { SmtpLimits } from './limits.js'
import { clientOf, isLoopback } from './network.js'

export interface Gate {
  /** Counts a connection in and answers how to count it out; undefined: too many at once, or within this second. */
  enter(address: string, nowMs: number): (() => void) | undefined
  open(): number
}

/** Counts connections in total, per address and per second. IPv6 is counted by /64: one customer owns all of it. */
export function connectionGate(limits: SmtpLimits): Gate {
  let total = 0
  const openByClient = new Map<string, number>()
  let second = 0
  let newByClient = new Map<string, number>()

  return {
    enter(address, nowMs) {
      if (total >= limits.connections) return undefined
      const client = clientOf(address)
      if (limits.limitLoopback || !isLoopback(address)) {
        const thisSecond = Math.floor(nowMs / 1000)
        if (thisSecond !== second) {
          second = thisSecond
          newByClient = new Map()
        }
        const recent = (newByClient.get(client) ?? 0) + 1
        newByClient.set(client, recent)
        if (recent > limits.newPerAddressPerSecond) return undefined
        if ((openByClient.get(client) ?? 0) >= limits.connectionsPerAddress) return undefined
      }
      total++
      openByClient.set(client, (openByClient.get(client) ?? 0) + 1)
      return () => {
        const left = (openByClient.get(client) ?? 1) - 1
        total--
        if (left > 0) openByClient.set(client, left)
        else openByClient.delete(client)
      }
    },
    open: () => total,
  }
}
