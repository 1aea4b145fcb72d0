import type { Clock } from '../../src/ports/world.js'

/** A clock that stands still until a test moves it. */
export function standingClock(at = 1_700_000_000_000): Clock & { advance(ms: number): void; set(at: number): void } {
  let now = at
  return {
    now: () => now,
    advance(ms) {
      now += ms
    },
    set(at) {
      now = at
    },
  }
}
