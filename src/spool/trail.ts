import type { TrailStep } from '../direct/verdict.js'
import type { Batch } from '../ports/store.js'

/** Other names under which a message's trail is found. */
export interface TrailNames {
  /** The mailbox's id of a delivered message. */
  readonly mailboxMessageId?: string
  /** The RFC 5322 Message-ID as written; kept only as a hash. */
  readonly messageId?: string
}

/** The life of each message, step by step, for people: `direct-gateway trace`. */
export interface Trail {
  /** Parts that append steps in order. Writing the same steps twice keeps one. */
  steps(spoolId: string, steps: readonly TrailStep[]): Batch
  /** Parts that make the trail found under further names. */
  names(spoolId: string, names: TrailNames): Batch
  /** Steps in order of time, at most `limit` (default 1,000). */
  read(spoolId: string, limit?: number): Promise<readonly TrailStep[]>
  /** Spool ids known under this name, at most 100. */
  find(name: TrailNames): Promise<readonly string[]>
}
