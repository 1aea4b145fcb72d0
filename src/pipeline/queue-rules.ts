import { bundleQueue } from '../directory/bundle-rows.js'
import { edgeQueue, outboundQueue } from '../spool/outbound.js'
import { inboundQueue } from '../spool/spool.js'
import { submissionQueue, trackingQueue } from '../spool/submission.js'
import { certificateQueue } from './registration.js'

/** What an operator may do to what waits. */
export const queueActions = ['hold', 'release', 'retry', 'cancel'] as const
export type QueueAction = (typeof queueActions)[number]

type Rules = Readonly<Record<QueueAction, true | string>>

/** Mail that goes out: everything may be done to it. */
const outgoing: Rules = { hold: true, release: true, retry: true, cancel: true }

/** Work that nobody outside waits for: it is done again in its time. */
const upkeep = (instead: string): Rules => ({
  hold: instead,
  release: 'it is never on hold',
  retry: true,
  cancel: instead,
})

/** Each queue, in the order in which mail passes them, with what may be done to its jobs, or what to do instead. */
const rules: Readonly<Record<string, Rules>> = {
  [inboundQueue]: {
    hold: 'mail that was accepted is judged: nobody else knows that it came',
    release: 'accepted mail is never on hold',
    retry: true,
    cancel:
      'mail that was accepted ends in a mailbox or in quarantine, never in silence; add a rule to refuse its sender',
  },
  [submissionQueue]: outgoing,
  [outboundQueue]: outgoing,
  [edgeQueue]: outgoing,
  [trackingQueue]: {
    hold: 'it is the promise to its sender that he is told in time; hold the message itself in the queue outbound',
    release: 'a deadline is never on hold',
    retry: 'a deadline is kept at its time; retry the message itself in the queue outbound',
    cancel: 'it is the promise to its sender that he is told in time; cancel the message itself in the queue outbound',
  },
  [bundleQueue]: upkeep('see the commands under `bundle`'),
  [certificateQueue]: upkeep('see the commands under `certificate`'),
  // Of src/delivery: one job for each endpoint.
  webhook: upkeep('see the commands under `webhook`'),
}

/** The queues that operators see. */
export const queueNames: readonly string[] = Object.keys(rules)

/** Those whose jobs are a message on its way: empty once nothing is. */
export const mailQueues: readonly string[] = [inboundQueue, submissionQueue, outboundQueue, edgeQueue]

/** Why this may not be done to a job of the queue in its state, and what to do instead; undefined where it may. */
export function mayNot(action: QueueAction, queue: string, state: 'held' | 'waiting' | 'on-hold'): string | undefined {
  const rule = rules[queue]?.[action] ?? 'there is no such queue'
  if (rule !== true) return rule
  // A worker may set it back at any moment: what it is then is looked at again.
  if (state === 'held') return undefined
  if (action === 'release' && state !== 'on-hold') return 'it is not on hold'
  return action === 'hold' && state === 'on-hold' ? 'it is on hold already' : undefined
}
