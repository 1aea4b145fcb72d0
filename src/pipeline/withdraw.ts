import type { DirectAddress } from '../direct/address.js'
import { type Batch, type ClaimedJob, type Store, together } from '../ports/store.js'
import { begunKey, decodeOutbound, encodeOutbound, outboundQueue, releaseHold } from '../spool/outbound.js'
import type { RecipientState, Submission } from '../spool/submission.js'

export const withdrawLimits = {
  /** For the commit that follows at once; if we die before it, the delivery worker takes the copy again soon. */
  leaseMs: 30_000,
} as const

/** Copies on their way out that were taken from the delivery worker, by the id of their job. */
export type Withdrawn = ReadonlyMap<string, ClaimedJob>

/**
 * Takes the queued copies of a message for these recipients, beside those taken before. `held` are the recipients whose copy
 * is in a dialogue now: it may arrive, so nobody can say that it will not.
 */
export async function withdraw(
  recipients: readonly RecipientState[],
  before: Withdrawn,
  store: Pick<Store, 'claimJob'>,
): Promise<{ readonly taken: Withdrawn; readonly held: ReadonlySet<DirectAddress> }> {
  const taken = new Map(before)
  const held = new Set<string>()
  const jobs = new Set(recipients.flatMap(({ state, job }) => (state === 'queued' && job !== undefined ? [job] : [])))
  for (const id of jobs) {
    if (taken.has(id)) continue
    const claimed = await store.claimJob(outboundQueue, id, withdrawLimits.leaseMs)
    if (claimed === 'held') held.add(id)
    else if (claimed) taken.set(id, claimed)
  }
  const waits = recipients.filter(({ state, job }) => state === 'queued' && job !== undefined && held.has(job))
  return { taken, held: new Set(waits.map(({ recipient }) => recipient)) }
}

/** Parts that give each copy back for those who still wait for it, or end it where nobody does. */
export function putBack(taken: Withdrawn, { recipients }: Pick<Submission, 'recipients'>): Batch {
  return together(
    ...[...taken.values()].map((job): Batch => {
      const mail = decodeOutbound(job.payload)
      if (!mail) return { release: [{ job, dueAt: job.dueAt }] } // kept for people, as the delivery worker does
      const waits = new Set(
        recipients.filter((one) => one.state === 'queued' && one.job === job.id).map(({ recipient }) => recipient),
      )
      const to = mail.to.filter((one) => waits.has(one))
      return to.length > 0
        ? { release: [{ job, dueAt: job.dueAt, payload: encodeOutbound({ ...mail, to }) }] }
        : together({ ack: [{ job }], del: [begunKey(mail)] }, releaseHold(mail))
    }),
  )
}
