import type { DirectAddress } from '../direct/address.js'
import type { Envelope } from '../direct/envelope.js'
import type { ClaimedJob } from '../ports/store.js'

/** Where the bytes of a spooled message are: in the job itself, or in a blob, `sizeBytes` of them from `offset` to its end. */
export type SpoolBody =
  | { readonly kind: 'inline'; readonly bytes: Uint8Array }
  | { readonly kind: 'blob'; readonly name: string; readonly offset: number; readonly sizeBytes: number }

/** A message we acknowledged, with the recipients that still wait for a verdict. */
export interface Spooled {
  /** The spool id: in the 250 reply, the trail, the log and the audit. */
  readonly id: string
  readonly envelope: Envelope
  /** Recipients without a verdict; a subset of `envelope.rcptTo`. */
  readonly pending: readonly DirectAddress[]
  readonly body: SpoolBody
  readonly sizeBytes: number
  /** SHA-256 of the DATA bytes, lower-case hex. */
  readonly sha256: string
  /** When we first acknowledged it, Unix milliseconds. */
  readonly firstAcceptedAt: number
  /** When an operator put it back, Unix milliseconds: from then on it waits anew. */
  readonly judgedAgainAt?: number
  /** How often it was put back by an operator (`judgeAgain`). */
  readonly judgedAgain: number
  /** How often a step of judging it ended without an answer. */
  readonly stepFailures?: { readonly open?: number; readonly read?: number }
}

/** A spooled message in the hands of one worker. */
export interface SpooledJob extends Spooled {
  readonly job: ClaimedJob
  /** How often it was claimed, this time included. */
  readonly attempt: number
}
