import { randomBytes } from 'node:crypto'
import type { ClaimedJob } from '../../ports/store.js'
import { leases } from './group.js'
import type { Link, Stay } from './link.js'
import { rowsOf } from './session.js'
import { claimAsked, claimJobs, extendLeases } from './statements.js'
import { int8Array, textBytes, textBytesArray } from './wire.js'

interface WaitingClaim {
  readonly queue: string
  readonly n: number
  readonly leaseMs: number
  readonly settle: (jobs: readonly ClaimedJob[]) => void
  readonly fail: (error: Error) => void
}

interface AskedClaim extends Pick<ClaimedJob, 'queue' | 'id'> {
  readonly leaseMs: number
  readonly settle: (job: ClaimedJob | 'held' | undefined) => void
  readonly fail: (error: Error) => void
}

interface WaitingExtension {
  readonly job: ClaimedJob
  readonly leaseMs: number
  readonly settle: (held: boolean) => void
  readonly fail: (error: Error) => void
}

/** Leases, over a connection of their own. What waits while the server is busy goes together in its next transaction. */
export interface Claims {
  claim(queue: string, n: number, leaseMs: number): Promise<readonly ClaimedJob[]>
  claimJob(queue: string, id: string, leaseMs: number): Promise<ClaimedJob | 'held' | undefined>
  extend(job: ClaimedJob, leaseMs: number): Promise<boolean>
  /** Resolves when nothing is under way. */
  quiet(): Promise<void>
}

/** Claims that one transaction serves: each is a statement, and a lease begins when its statement runs. */
const claimsTogether = 16
/** Claims by id that one statement serves. */
const askedTogether = 256
/** Longer than anything runs; added to a clock it is still a number we can read. */
const longestMs = 2 ** 52

export function openClaims(link: Link, now: () => string | null): Claims {
  const claims: WaitingClaim[] = []
  const asked: AskedClaim[] = []
  const extensions: WaitingExtension[] = []
  let turning = false
  let turns: Promise<void> = Promise.resolve()

  function turn() {
    if (turning) return
    turning = true
    turns = takeTurns()
  }

  async function takeTurns() {
    // What one tick asks for goes together.
    await undefined
    while (claims.length + asked.length + extensions.length > 0) {
      if (extensions.length > 0) await serve(extensions.splice(0), lengthen)
      if (asked.length > 0) await serve(asked.splice(0, askedTogether), takeAsked)
      if (claims.length > 0) await serve(takeAlike(claims), take)
    }
    turning = false
  }

  async function serve<T extends { readonly fail: (error: Error) => void }>(
    waiting: readonly T[],
    how: (stay: Stay, waiting: readonly T[]) => Promise<void>,
  ) {
    let stay: Stay | undefined
    try {
      stay = link.stay()
      await how(stay, waiting)
    } catch (error) {
      const failure = stay ? link.leave(stay, error) : (error as Error)
      for (const { fail } of waiting) fail(failure)
    }
  }

  /** One statement a queue and lease, shared out among those who asked, first come first served. */
  async function take(stay: Stay, waiting: readonly WaitingClaim[]) {
    const groups = new Map<string, WaitingClaim[]>()
    for (const claim of waiting) groups.set(kindOf(claim), [...(groups.get(kindOf(claim)) ?? []), claim])
    const asked = [...groups.values()].map((group) => ({ group, fence: randomBytes(16).toString('base64url') }))
    const answers = await stay.claimer.run(
      asked.map(({ group, fence }) => ({
        statement: claimJobs,
        values: [
          now(),
          textBytes(group[0]?.queue ?? ''),
          String(group.reduce((sum, { n }) => sum + n, 0)),
          String(group[0]?.leaseMs ?? 0),
          textBytes(fence),
        ],
      })),
    )
    for (const [i, { group, fence }] of asked.entries()) {
      const jobs = rowsOf(claimJobs, answers[i])
        .map(({ heldUntil, ...job }, place) => ({ ...job, token: `${fence}.${place}`, leaseUntil: heldUntil }))
        .sort((a, b) => a.dueAt - b.dueAt)
      for (const { n, settle } of group) settle(jobs.splice(0, n))
    }
  }

  async function takeAsked(stay: Stay, waiting: readonly AskedClaim[]) {
    const fence = randomBytes(16).toString('base64url')
    const [rows] = await stay.claimer.run([
      {
        statement: claimAsked,
        values: [
          now(),
          textBytesArray(waiting.map(({ queue }) => queue)),
          textBytesArray(waiting.map(({ id }) => id)),
          int8Array(waiting.map(({ leaseMs }) => leaseMs)),
          textBytes(fence),
        ],
      },
    ])
    const found = new Map(rowsOf(claimAsked, rows).map(({ place, taken = 'held' as const }) => [place, taken]))
    for (const [i, { queue, id, settle }] of waiting.entries()) {
      const one = found.get(i + 1)
      if (one === undefined || one === 'held') settle(one)
      else {
        const { heldUntil, ...job } = one
        settle({ queue, id, ...job, token: `${fence}.${i}`, leaseUntil: heldUntil })
      }
    }
  }

  async function lengthen(stay: Stay, waiting: readonly WaitingExtension[]) {
    const lengths = int8Array(waiting.map(({ leaseMs }) => leaseMs))
    const [places] = await stay.claimer.run([
      { statement: extendLeases, values: [now(), ...leases(waiting.map(({ job }) => job)), lengths] },
    ])
    const held = new Set(rowsOf(extendLeases, places))
    for (const [i, { settle }] of waiting.entries()) settle(held.has(i + 1))
  }

  return {
    claim: (queue, n, leaseMs) =>
      new Promise((settle, fail) => {
        claims.push({ queue, n, leaseMs: Math.min(Math.ceil(leaseMs), longestMs), settle, fail })
        turn()
      }),
    claimJob: (queue, id, leaseMs) =>
      new Promise((settle, fail) => {
        asked.push({ queue, id, leaseMs: Math.min(Math.ceil(leaseMs), longestMs), settle, fail })
        turn()
      }),
    extend: (job, leaseMs) =>
      new Promise((settle, fail) => {
        extensions.push({ job, leaseMs: Math.min(Math.ceil(leaseMs), longestMs), settle, fail })
        turn()
      }),
    quiet: () => turns,
  }
}

/** Claims that one statement serves. */
const kindOf = ({ queue, leaseMs }: WaitingClaim) => `${leaseMs} ${queue}`

/** Takes from the front of the line what a few statements serve. */
function takeAlike(claims: WaitingClaim[]): WaitingClaim[] {
  const queues = new Set<string>()
  let count = 0
  for (const claim of claims) {
    queues.add(kindOf(claim))
    if (queues.size > claimsTogether) break
    count++
  }
  return claims.splice(0, count)
}
