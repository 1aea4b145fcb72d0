import type { RefusalReason } from '../direct/refusal.js'
import { type Confirmation, isOpen, type RecipientState, type Submission } from '../spool/submission.js'

/** What senders here are told of silence, and when (Implementation Guide for Delivery Notification in Direct §1.2). */
export interface TrackingPolicy {
  /** From submission until each recipient must have said `processed`. */
  readonly processedMs: number
  /** The same for `dispatched`, where it was asked for. */
  readonly dispatchedMs: number
  /** Messages in a row that a domain leaves without a word before an alarm is raised. */
  readonly alarmAfter: number
}

export const trackingPolicy: TrackingPolicy = { processedMs: 60 * 60_000, dispatchedMs: 60 * 60_000, alarmAfter: 3 }

/** The first moment at which a recipient may have failed by silence, counted from submission. */
export function firstDeadlineMs(asks: Confirmation | undefined, policy: TrackingPolicy): number {
  return asks === 'dispatched' ? Math.min(policy.processedMs, policy.dispatchedMs) : policy.processedMs
}

/** When a recipient fails by silence, Unix milliseconds, and as what; undefined where he is at an end. */
export function deadlineOf(
  submission: Pick<Submission, 'submittedAt' | 'asks'>,
  recipient: Pick<RecipientState, 'state'>,
  policy: TrackingPolicy,
): { readonly at: number; readonly reason: Extract<RefusalReason, 'not-processed' | 'not-dispatched'> } | undefined {
  if (!isOpen(submission, recipient)) return undefined
  const { submittedAt, asks } = submission
  const processed = { at: submittedAt + policy.processedMs, reason: 'not-processed' } as const
  const dispatched = { at: submittedAt + policy.dispatchedMs, reason: 'not-dispatched' } as const
  if (recipient.state === 'processed') return dispatched
  return asks === 'dispatched' && dispatched.at < processed.at ? dispatched : processed
}
