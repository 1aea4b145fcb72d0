import type { Audit } from '../ports/audit.js'
import { bodyRows } from '../ports/body.js'
import { type Batch, type Store, together } from '../ports/store.js'
import type { Clock } from '../ports/world.js'
import { timeKey } from './payload.js'
import {
  answerKey,
  bodyKey,
  isOpen,
  type StoredSubmission,
  type Submission,
  type Submissions,
  stateKey,
  submissionQueue,
  timeRowKey,
  trackingQueue,
} from './submission.js'

export const sentSweepLimits = {
  /** Submissions that one commit forgets: half a dozen rows each. */
  together: 50,
} as const

export interface SentSweepPorts {
  readonly store: Store
  readonly submissions: Pick<Submissions, 'get'>
  readonly audit: Audit
  readonly clock: Clock
  /** The mailboxes whose sent mail is not kept for ever: asked anew on each walk. */
  mailboxes(): AsyncIterable<string>
}

/**
 * Opens the sweep of what was sent long ago and is at its end for every recipient: the message, what became of it, and the
 * rows it is found by; its trail stays. Each call looks at no more than `limit` submissions taken in before `before` (Unix
 * milliseconds), going on where the call before ended, and answers how many it forgot. What somebody changes meanwhile stays
 * until the next walk. Any number of processes may sweep at once. A blob goes with the sweep of blobs, once nothing names it.
 */
export function openSentSweep(ports: SentSweepPorts): (before: number, limit: number) => Promise<number> {
  const { store, submissions, audit, clock } = ports
  let walk: AsyncIterator<Named> | undefined

  async function* named(before: number): AsyncGenerator<Named> {
    for await (const mailbox of ports.mailboxes()) {
      const prefix = `submission/${mailbox}/time/`
      const lt = prefix + timeKey(before)
      for (let gte = prefix; ; ) {
        const page = await store.range({ gte, lt, limit: sentSweepLimits.together })
        for (const { key } of page) yield { mailbox, id: key.slice(key.lastIndexOf('/') + 1) }
        const last = page.at(-1)
        if (!last || page.length < sentSweepLimits.together) break
        gte = `${last.key}\0`
      }
    }
  }

  async function next(before: number): Promise<Named | undefined> {
    walk ??= named(before)
    try {
      const { done, value } = await walk.next()
      if (!done) return value
    } catch (error) {
      walk = undefined
      throw error
    }
    walk = undefined
    return undefined
  }

  async function forget(ended: readonly StoredSubmission[]): Promise<number> {
    if (ended.length === 0) return 0
    const at = clock.now()
    const subject = { count: String(ended.length) }
    const told = audit.entry({ at, action: 'sent.swept', actor: 'system', subject, outcome: 'success' })
    const parts = await Promise.all(ended.map((one) => goneOf(one, store)))
    const outcome = await store.commit(together(...parts, { append: [told] }))
    return outcome.kind === 'committed' ? ended.length : 0
  }

  return async (before, limit) => {
    let forgotten = 0
    let ended: StoredSubmission[] = []
    for (let looked = 0; looked < limit; looked++) {
      const one = await next(before)
      if (!one) break
      const stored = await submissions.get(one.mailbox, one.id)
      if (!stored || !isAtItsEnd(stored.submission) || (await isInHand(one.id, store))) continue
      ended.push(stored)
      if (ended.length < sentSweepLimits.together) continue
      forgotten += await forget(ended)
      ended = []
    }
    return forgotten + (await forget(ended))
  }
}

interface Named {
  readonly mailbox: string
  readonly id: string
}

/** Nobody waits for anything any more. Who is not tracked is told nothing after his gateway took it. */
function isAtItsEnd(submission: Submission): boolean {
  return submission.recipients.every(
    (one) => !isOpen(submission, one) || (one.state === 'sent' && submission.tracked === undefined),
  )
}

/** A job still looks after it; it will find that there is nothing left to do. */
async function isInHand(id: string, store: Pick<Store, 'job'>): Promise<boolean> {
  return (await store.job(submissionQueue, id)) !== undefined || (await store.job(trackingQueue, id)) !== undefined
}

/** Parts that take a submission away as it is now, with every row that belongs to it. */
async function goneOf({ submission, version }: StoredSubmission, store: Pick<Store, 'get'>): Promise<Batch> {
  const { mailbox, id, messageId, answersTo = [] } = submission
  const state = stateKey(mailbox, id)
  const body = bodyKey(mailbox, id)
  const kept = await store.get(body)
  return {
    require: [{ key: state, version }],
    del: [
      ...[state, timeRowKey(submission)],
      ...[...new Set([mailbox, ...answersTo])].map((to) => answerKey(to, messageId, id)),
      ...(kept ? bodyRows(kept) : []),
    ],
  }
}
