import type { Random } from '../ports/world.js'

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour

export interface Schedule {
  /** Waits between attempts; the last one repeats. */
  readonly retryMs: readonly number[]
  /**
   * When to give up, counted from when the mail was owed: `edge` for what goes on from a mailbox, `asked` where its sender
   * waits to be told of its delivery.
   */
  readonly lifetimeMs: {
    readonly message: number
    readonly mdn: number
    readonly edge?: number
    readonly asked?: number
  }
  /** Share by which a wait is lengthened or shortened at random, so that a peer that comes back is not stormed. */
  readonly jitter: number
}

/**
 * The first waits are short because senders of Direct messages count an hour for the `processed` notice (Delivery
 * Notification IG §1.2) and most failures are a peer's restart; RFC 5321 §4.5.4.1 asks for 30 minutes after that, and
 * for 4 to 5 days. A notice that is a day late tells nobody anything: its sender reported a failure long ago.
 */
export const defaultSchedule: Schedule = {
  retryMs: [15_000, minute, 5 * minute, 15 * minute, 30 * minute, hour, 2 * hour],
  // Who asked to be told counts an hour too, and must have the answer by then.
  lifetimeMs: { message: 4 * day, mdn: day, edge: 4 * day, asked: 45 * minute },
  jitter: 0.1,
}

/** What lifetimes and waits depend on. */
export interface Timed {
  readonly kind: 'message' | 'mdn' | 'edge'
  readonly asked?: true
  readonly owedAt: number
  readonly tries: number
}

/** When the lifetime of mail ends, Unix milliseconds. */
export function endOf({ kind, asked, owedAt }: Timed, { lifetimeMs }: Schedule): number {
  if (kind !== 'edge') return owedAt + lifetimeMs[kind]
  const { edge = 4 * day, asked: told = edge } = lifetimeMs
  return owedAt + (asked ? Math.min(told, edge) : edge)
}

/** How long to wait after so many tries (at least one), in milliseconds: longer or shorter by chance, within `jitter`. */
export function waitAfter(
  tries: number,
  { retryMs, jitter }: Pick<Schedule, 'retryMs' | 'jitter'>,
  random: Random,
): number {
  const wait = retryMs[Math.min(tries, retryMs.length) - 1] ?? hour
  const chance = Buffer.from(random.bytes(4)).readUInt32BE() / 0xffffffff
  return wait * (1 + jitter * (2 * chance - 1))
}

/**
 * When to try again after `tries` attempts (at least one), Unix milliseconds; undefined once that would be beyond the
 * lifetime. The last attempt of all is made at its very end.
 */
export function nextAttemptAt(mail: Timed, now: number, schedule: Schedule, random: Random): number | undefined {
  const at = Math.round(now + waitAfter(mail.tries, schedule, random))
  const end = endOf(mail, schedule)
  return now < end ? Math.min(at, end) : undefined
}
