/**
 * Chance that comes again with its seed (Mulberry32 over a hash of the words).
 *
 * @typedef {ReturnType<typeof dice>} Dice
 * @param {readonly (string | number)[]} words
 */
export function dice(...words) {
  let state = 0x811c9dc5
  for (const byte of Buffer.from(words.join('/'))) state = Math.imul(state ^ byte, 0x01000193)
  const share = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  /** A whole number below `end`. */
  const below = (end) => Math.floor(share() * end)
  return {
    share,
    below,
    /** @template T @param {readonly T[]} from @returns {T} */
    pick: (from) => from[below(from.length)],
    bytes: (count) => Buffer.from(Uint8Array.from({ length: count }, () => below(256))),
  }
}
