import type { Clock } from '../ports/world.js'

export const discoveryMemoryLimits = {
  /** Answers kept: two steps each for the addresses and domains that a gateway writes to in an hour. */
  answers: 20_000,
  /** What they may weigh together. */
  bytes: 32 * 1024 * 1024,
}

/** An answer, how long it serves, and what it weighs. */
export interface Remembered<Value> {
  readonly value: Value
  readonly keepMs: number
  readonly sizeBytes: number
}

/** Answers the value under a key: the one remembered, unless it is from before `since`, else what `load` gives. */
export type Memory<Value> = (key: string, load: () => Promise<Remembered<Value>>, since?: number) => Promise<Value>

/**
 * A memory of answers: each is loaded once however many ask meanwhile, serves for as long as its load said, and gives way to
 * newer ones where there are too many. Rests on the clock, so that a clock set back can only make it ask again.
 */
export function openMemory<Value>(clock: Clock, limits = discoveryMemoryLimits): Memory<Value> {
  const kept = new Map<
    string,
    { readonly value: Value; readonly since: number; readonly until: number; readonly sizeBytes: number }
  >()
  const running = new Map<string, Promise<Value>>()
  let bytes = 0

  const forget = (key: string) => {
    bytes -= kept.get(key)?.sizeBytes ?? 0
    kept.delete(key)
  }

  async function loaded(key: string, load: () => Promise<Remembered<Value>>): Promise<Value> {
    const { value, keepMs, sizeBytes } = await load()
    forget(key)
    const since = clock.now()
    kept.set(key, { value, since, until: since + keepMs, sizeBytes })
    bytes += sizeBytes
    // A Map gives its keys in the order in which they were set: the oldest go first.
    for (const oldest of kept.keys()) {
      if (bytes <= limits.bytes && kept.size <= limits.answers) break
      forget(oldest)
    }
    return value
  }

  return (key, load, since = 0) => {
    const known = kept.get(key)
    const now = clock.now()
    if (known && known.since >= since && now >= known.since && now < known.until) return Promise.resolve(known.value)
    const under = running.get(key)
    if (under) return under
    const started = loaded(key, load).finally(() => running.delete(key))
    running.set(key, started)
    return started
  }
}
