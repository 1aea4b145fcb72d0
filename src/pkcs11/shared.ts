import { randomFillSync } from 'node:crypto'

/**
 * What all threads of a process hold together, because a token does: a lock, PINs that it refused, since it counts them
 * for all, and sessions, since a thread that is ended closes none. Made once (`newShared`), handed to every thread.
 */
export type Shared = SharedArrayBuffer

export const sharedLimits = {
  /** Pairs of PIN and token remembered as refused; there is one PIN, and some few tokens. */
  refused: 16,
  /** Sessions kept open, over all tokens: one for each thread at work, and small tokens have no more. */
  sessions: 64,
  /** A thread waits so long for another that prepares the module or logs in; one that died there left the lock behind. */
  lockMs: 15_000,
}

const saltBytes = 32
const { refused, sessions } = sharedLimits
const at = {
  lock: 0,
  refused: 4,
  states: 4 + 4 * refused,
  numbers: 8 * Math.ceil((4 + 4 * refused + 4 * sessions) / 8),
}
const saltAt = at.numbers + 16 * sessions

export function newShared(): Shared {
  const shared = new SharedArrayBuffer(saltAt + saltBytes)
  randomFillSync(new Uint8Array(shared, saltAt))
  return shared
}

/** Random bytes of this process. */
export const saltOf = (shared: Shared): Uint8Array => Uint8Array.from(new Uint8Array(shared, saltAt))

/** Marks of what was refused; zero where there is none. */
export const refusedOf = (shared: Shared): Int32Array => new Int32Array(shared, at.refused, refused)

/** Runs `work` while no other thread of this process does. */
export function alone<T>(shared: Shared, work: () => T): T {
  const lock = new Int32Array(shared, at.lock, 1)
  const until = Date.now() + sharedLimits.lockMs
  while (Atomics.compareExchange(lock, 0, 0, 1) !== 0) {
    const left = until - Date.now()
    if (left <= 0) break
    Atomics.wait(lock, 0, 1, left)
  }
  try {
    return work()
  } finally {
    Atomics.store(lock, 0, 0)
    Atomics.notify(lock, 0)
  }
}

/** A session that this thread has alone until it gives it back. */
export interface Lent {
  readonly session: number
  /** Keeps it open for the next who asks. */
  giveBack(): void
  /** It is closed, or lost. */
  drop(): void
}

const states = { none: 0, lent: 1, free: 2 } as const

/** Lends a session at this slot: an open one, or one that `open` opens now. `close` closes one that there is no room for. */
export function lend(shared: Shared, slot: number, open: () => number, close: (session: number) => void): Lent {
  const state = new Int32Array(shared, at.states, sessions)
  const numbers = new Float64Array(shared, at.numbers, 2 * sessions)
  const lent = (place: number, session: number): Lent => ({
    session,
    giveBack: () => void Atomics.store(state, place, states.free),
    drop: () => void Atomics.store(state, place, states.none),
  })
  for (let place = 0; place < sessions; place++) {
    if (Atomics.compareExchange(state, place, states.free, states.lent) !== states.free) continue
    if (numbers[2 * place] === slot) return lent(place, numbers[2 * place + 1] as number)
    Atomics.store(state, place, states.free)
  }
  const session = open()
  for (let place = 0; place < sessions; place++) {
    if (Atomics.compareExchange(state, place, states.none, states.lent) !== states.none) continue
    numbers[2 * place] = slot
    numbers[2 * place + 1] = session
    return lent(place, session)
  }
  return { session, giveBack: () => close(session), drop: () => undefined }
}
