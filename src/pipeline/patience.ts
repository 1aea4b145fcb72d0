import { type Refused, refused, type Undecided } from '../direct/refusal.js'
import type { OwnedKey } from '../ports/keys.js'
import type { Spooled } from '../spool/spooled.js'
import { type OpenedMail, type OpenPolicy, type ReadMail, StepFailed, type Steps, type WireBody } from './steps.js'

/** How long an undecided message waits, and how often it is looked at meanwhile. */
export interface UndecidedPolicy {
  /** From the 250 on, or from being judged again; less than the hour after which senders report failure (Delivery Notification IG §1.2). */
  readonly deadlineMs: number
  /** Waits between tries; the last one repeats. */
  readonly retryMs: readonly number[]
}

export const undecidedPolicy: UndecidedPolicy = {
  deadlineMs: 45 * 60_000,
  retryMs: [10_000, 30_000, 60_000, 120_000, 300_000],
}

/** The wait after the `times`-th try; the last of the schedule repeats. */
export function waitOf(retryMs: readonly number[], times: number): number {
  return retryMs[Math.min(Math.max(times, 1), retryMs.length) - 1] ?? 60_000
}

/**
 * How much a message may cost. A step that gave no answer is tried again, since the machine may have been at fault; a
 * message that does it again and again is taken for the cause, so that it cannot hold up the others for ever.
 */
export const patience = {
  /** Tries of opening; then the message is refused. */
  open: 3,
  /** Tries of reading documents; then attachments are kept as they are. */
  readDocuments: 3,
  /** Tries of reading in all; then the message is delivered unread. */
  read: 5,
}

/** A step failed, and the message has tries left. */
export class TryAgain extends Error {
  override readonly name = 'TryAgain'
  readonly step: 'open' | 'read'

  constructor(step: 'open' | 'read', failure: StepFailed) {
    super(failure.message)
    this.step = step
  }
}

/** Opens the message. Refuses one that failed to open too often; throws TryAgain while there are tries left. */
export async function openWithin(
  { stepFailures }: Spooled,
  steps: Steps,
  body: WireBody,
  keys: readonly OwnedKey[],
  policy: OpenPolicy,
): Promise<OpenedMail | Refused | Undecided> {
  try {
    return await steps.open(body, keys, policy)
  } catch (error) {
    if (!(error instanceof StepFailed)) throw error
    const tries = (stepFailures?.open ?? 0) + 1
    if (tries >= patience.open) return refused('opening-failed', `${tries} times: ${error.message}`)
    throw new TryAgain('open', error)
  }
}

/** Reads a trusted message, in less depth where more failed; it is delivered in the end. Throws TryAgain while there are tries left. */
export async function readWithin(
  { stepFailures }: Pick<Spooled, 'stepFailures'>,
  steps: Pick<Steps, 'read'>,
  message: Uint8Array,
): Promise<ReadMail> {
  const failures = stepFailures?.read ?? 0
  if (failures >= patience.read) return unread
  try {
    return await steps.read(message, failures < patience.readDocuments ? 'documents' : 'attachments')
  } catch (error) {
    if (error instanceof StepFailed) throw new TryAgain('read', error)
    throw error
  }
}

/** What is shown of a message that cannot be read: nothing but that it is there. Its original is kept. */
const unread: ReadMail = {
  subject: '',
  to: [],
  cc: [],
  references: [],
  preview: '',
  attachments: [],
  diagnostics: [{ code: 'not-parsed', where: '', detail: 'reading the message failed again and again' }],
}
