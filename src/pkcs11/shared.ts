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
  /** A module is started anew at most so often: while a token is away, every message would ask for it. */
  restartMs: 5_000,
}

const saltBytes = 32
const { refused, sessions } = sharedLimits
const at = {
  lock: 0,
  epoch: 4,
  refused: 8,
  states: 8 + 4 * refused,
  restarted: 8 * Math.ceil((8 + 4 * refused + 4 * sessions) / 8),
  numbers: 8 * Math.ceil((8 + 4 * refused + 4 * sessions) / 8) + 8,
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

/** Changes when the module was started anew: sessions and objects from before are none any more, or others. */
export const epochOf = (shared: Shared): number => Atomics.load(new Int32Array(shared, at.epoch, 1), 0)

/** Lends a session at this slot: an open one, or one that `open` opens now. `close` closes one that there is no room for. */
export function lend(shared: Shared, slot: number, open: () => number, close: (session: number) => void): Lent {
  const { state, numbers } = tableOf(shared)
  const lent = (place: number): Lent => ({
    session: numbers[2 * place + 1] as number,
    giveBack: () => void Atomics.store(state, place, states.free),
    drop: () => void Atomics.store(state, place, states.none),
  })
  const take = (from: number, fits: (place: number) => boolean) => {
    const place = state.findIndex((is, i) => is === from && fits(i))
    if (place >= 0) state[place] = states.lent
    return place
  }
  const free = alone(shared, () => take(states.free, (place) => numbers[2 * place] === slot))
  if (free >= 0) return lent(free)
  return alone(shared, () => {
    const session = open()
    const place = take(states.none, () => true)
    if (place < 0) return { session, giveBack: () => close(session), drop: () => undefined }
    numbers[2 * place] = slot
    numbers[2 * place + 1] = session
    return lent(place)
  })
}

/**
 * Has `restart` start the module anew, for some find a token again only then. Not while any session is lent or could be
 * lent outside of the table, and not again so soon; answers whether it did.
 */
export function restartAlone(shared: Shared, epoch: number, now: number, restart: () => void): boolean {
  return alone(shared, () => {
    const { state } = tableOf(shared)
    const last = new Float64Array(shared, at.restarted, 1)
    if (epochOf(shared) !== epoch) return true
    const busy = state.includes(states.lent) || !state.includes(states.none)
    if (busy || now - (last[0] as number) < sharedLimits.restartMs) return false
    last[0] = now
    state.fill(states.none)
    Atomics.add(new Int32Array(shared, at.epoch, 1), 0, 1)
    restart()
    return true
  })
}

function tableOf(shared: Shared) {
  return {
    state: new Int32Array(shared, at.states, sessions),
    numbers: new Float64Array(shared, at.numbers, 2 * sessions),
  }
}
