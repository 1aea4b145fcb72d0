import type { DirectAddress } from '../direct/address.js'
import type { Envelope } from '../direct/envelope.js'
import type { Audit } from '../ports/audit.js'
import type { Blobs } from '../ports/blobs.js'
import type { Batch, ClaimedJob, Store } from '../ports/store.js'
import type { Clock } from '../ports/world.js'
import type { SpoolBody, SpooledJob } from './spooled.js'

export interface SpoolPorts {
  readonly store: Store
  readonly blobs: Blobs
  readonly clock: Clock
  readonly audit: Audit
}

/** The queue of messages that wait for their verdict. */
export const inboundQueue = 'inbound'

export interface Accepted {
  readonly kind: 'accepted'
  /** Derived from sender, recipients and content: the same message sent again answers the same id. */
  readonly id: string
  /** True when every recipient had these bytes already, so nothing new was queued. */
  readonly duplicate: boolean
}

/** What lies between 250 and the verdict. */
export interface Spool {
  /**
   * Makes a message durable and answers its id: after this the gateway owns it. Recipients that had the same bytes
   * within the horizon are not queued again (RFC 1047). When `data` throws, nothing is kept and its error is thrown on.
   * Throws StoreFailed when the message could not be made durable.
   */
  accept(envelope: Envelope, data: AsyncIterable<Uint8Array>): Promise<Accepted>
  /** Reads a claimed job of `inboundQueue`; undefined where the payload cannot be read, which only damage explains. */
  read(job: ClaimedJob): SpooledJob | undefined
  /** The bytes of a spooled message; undefined where its blob is gone. */
  bytes(body: SpoolBody): Promise<AsyncIterable<Uint8Array> | undefined>
  /** Parts that end the job: every recipient has its verdict. */
  finish(spooled: SpooledJob): Batch
  /** Parts that give the job back for the recipients still pending, due again at `dueAt`. */
  release(spooled: SpooledJob, pending: readonly DirectAddress[], dueAt: number): Batch
  /** Forgets duplicate-suppression rows beyond the horizon, at most `limit`; answers how many. */
  sweepSeen(limit?: number): Promise<number>
  /** Deletes blobs that no row has named for `spoolLimits.orphanMs`, at most `limit`; answers how many. */
  sweepBlobs(limit?: number): Promise<number>
}

export const spoolLimits = {
  /** Senders retry for 4 to 5 days (RFC 5321 §4.5.4.1); after this a re-send is a new message. */
  seenHorizonMs: 7 * 24 * 60 * 60 * 1000,
  /** Work of one sweep call. */
  sweepRows: 1000,
  /** Re-sends that leave a trail step; later ones are still answered, and not written down. */
  duplicateSteps: 10,
  /** A blob may be older than the batch that will name it by the time one message takes to arrive. */
  orphanMs: 24 * 60 * 60 * 1000,
  /** Two identical sends at once conflict once each; more rounds than this is a bug. */
  acceptRounds: 8,
}
