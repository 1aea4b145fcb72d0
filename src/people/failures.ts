import { networkOf } from '../direct/network.js'
import type { Batch } from '../ports/store.js'
import { type Client, isSame, job, json, keyedDigest, type PeopleRoom, peopleKeys, plain, settle } from './rows.js'

/**
 * Failures are counted before what they are about is looked at, so that guesses side by side are counted as guesses one
 * after the other. Nobody is locked out by others: each count is of an account *and* where somebody comes from.
 */
interface FailuresRow {
  readonly failures: number
  /** Unix milliseconds of the last one. */
  readonly at: number
}

/** What is counted, and how many cost nothing. */
export interface Counted {
  readonly name: string
  readonly free: number
}

export type Turn =
  | { readonly kind: 'go'; readonly forgiven: Batch }
  | { readonly kind: 'wait'; readonly waitMs: number }

/**
 * Takes a turn: counted as a failure until `forgiven` is committed, which forgets the first count alone. Answers how long
 * to wait where one of the counts is over what is free; then nothing is counted, and nothing may be tried.
 */
export async function takeTurn(room: PeopleRoom, counts: readonly Counted[]): Promise<Turn> {
  const { store, clock, limits } = room
  return settle<Turn>(room, async () => {
    const now = clock.now()
    const rows = await Promise.all(
      counts.map(async ({ name, free }) => {
        const key = peopleKeys.failures(keyedDigest(room.indexKey, 'failures', name))
        const entry = await store.get(key)
        const known = entry && plain<FailuresRow>(entry.value)
        const failures = known && now - known.at < limits.failuresMs ? known.failures : 0
        const over = failures - free
        const growth = Math.min(limits.longestWaitMs, limits.firstWaitMs * 2 ** Math.min(over, 30))
        const waitMs = over < 0 || !known ? 0 : known.at + growth - now
        return { key, version: entry?.version ?? ('absent' as const), failures, waitMs }
      }),
    )
    const waitMs = Math.max(...rows.map((row) => row.waitMs))
    if (waitMs > 0) return { answer: { kind: 'wait', waitMs } }
    const parts = {
      require: rows.map(({ key, version }) => ({ key, version })),
      put: rows.map(({ key, failures }) => json(key, { failures: failures + 1, at: now } satisfies FailuresRow)),
      enqueue: rows.map(({ key }) => job('forget', key, now + limits.failuresMs)),
    }
    const first = rows[0]
    return { answer: { kind: 'go', forgiven: first ? { del: [first.key] } : {} }, parts }
  })
}

/** Whether a failures row may be forgotten, or from when. */
export function forgottenAt(value: Uint8Array, failuresMs: number): number {
  return plain<FailuresRow>(value).at + failuresMs
}

/** The counts of somebody who proves to be whoever has this account: his own browser is counted apart (device cookies, OWASP). */
export function countsOf(room: PeopleRoom, what: string, account: string, client: Client, known: boolean): Counted[] {
  const { limits } = room
  const network = networkOf(client.address)
  const mine = known ? `device ${client.device}` : `network ${network}`
  const account1 = { name: `${what} ${account} ${mine}`, free: limits.freeFailures }
  return known ? [account1] : [account1, { name: `${what} * ${network}`, free: limits.freeFailuresOfNetwork }]
}

/** The value of a device cookie: a random name, and that it is of somebody who signed in to this account. */
export function deviceCookie(room: PeopleRoom, person: string, epoch: number): string {
  const name = Buffer.from(room.random.bytes(12)).toString('base64url')
  return `${name}.${keyedDigest(room.indexKey, 'device', `${person} ${epoch} ${name}`)}`
}

export function isKnownDevice(room: PeopleRoom, person: string, epoch: number, device: string | undefined): boolean {
  const [name, digest, more] = device?.split('.') ?? []
  if (name === undefined || digest === undefined || more !== undefined) return false
  return isSame(keyedDigest(room.indexKey, 'device', `${person} ${epoch} ${name}`), digest)
}
