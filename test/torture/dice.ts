/** Chance that comes again with its seed: what a harness draws, though not when the operating system runs whom. */
export interface Dice {
  /** From 0 to below 1. */
  share(): number
  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number
  pick<T>(from: readonly T[]): T
  /** So many bytes. */
  bytes(count: number): Buffer
}

/** Mulberry32 over a hash of the words: every harness and round has dice of its own, whatever ran before. */
export function dice(...words: readonly (string | number)[]): Dice {
  let state = 0x811c9dc5
  for (const byte of Buffer.from(words.join('/'))) state = Math.imul(state ^ byte, 0x01000193)
  function share(): number {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const between = (low: number, high: number) => low + Math.floor(share() * (high - low + 1))
  return {
    share,
    between,
    pick<T>(from: readonly T[]): T {
      const chosen = from[between(0, from.length - 1)]
      if (chosen === undefined) throw new Error('nothing to pick from')
      return chosen
    },
    bytes: (count) => Buffer.from(Uint8Array.from({ length: count }, () => between(0, 255))),
  }
}
