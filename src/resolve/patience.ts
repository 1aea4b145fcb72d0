/** How long something may still take: handed down from one question to the next, so that the whole has one end. */
export interface Patience {
  /** Milliseconds left, never below zero. */
  leftMs(): number
}

/** Patience that ends `ms` from now. Measured by the steady clock of the process: it speaks of waiting, not of dates. */
export function patienceOf(ms: number): Patience {
  const end = performance.now() + ms
  return { leftMs: () => Math.max(0, end - performance.now()) }
}

/** What is left of another patience, at most `ms` of it. */
export function within(patience: Patience, ms: number): number {
  return Math.min(ms, patience.leftMs())
}
