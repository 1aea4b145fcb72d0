import type { DirectAddress } from '../direct/address.js'
import type { Envelope } from '../direct/envelope.js'
import type { RefusalReason } from '../direct/refusal.js'
import type { Batch } from '../ports/store.js'
import type { SpoolBody, Spooled } from './spooled.js'

export interface RefusedRecipient {
  readonly recipient: DirectAddress
  readonly reason: RefusalReason
  readonly detail: string
}

/** A message we acknowledged and then refused for some recipients. The ciphertext is kept as it came. */
export interface Quarantined {
  readonly spoolId: string
  /** Unix milliseconds of the first refusal: the order of the list. */
  readonly at: number
  readonly envelope: Envelope
  readonly refused: readonly RefusedRecipient[]
  readonly sizeBytes: number
  readonly sha256: string
  readonly firstAcceptedAt: number
  readonly judgedAgain: number
}

export type QuarantinePage =
  | { readonly kind: 'page'; readonly entries: readonly Quarantined[]; readonly next?: string }
  | { readonly kind: 'bad-cursor' }

/** Refused mail, kept so that a wrong trust setting can be put right and the mail judged again. */
export interface Quarantine {
  /** Parts that keep the message for these recipients, added to those refused before. On a conflict call it again. */
  keep(spooled: Spooled, refused: readonly RefusedRecipient[]): Promise<Batch>
  get(spoolId: string): Promise<Quarantined | undefined>
  body(spoolId: string): Promise<SpoolBody | undefined>
  /** Newest first. */
  list(query: { readonly limit?: number; readonly cursor?: string }): Promise<QuarantinePage>
  /** Parts that take the message out and queue it again for its refused recipients; undefined where there is none. */
  judgeAgain(spoolId: string): Promise<Batch | undefined>
  /** Removes what was refused more than `olderThanMs` ago, at most `limit` messages, with an audit entry each; answers how many. */
  purge(olderThanMs: number, limit?: number): Promise<number>
}

export const quarantineLimits = {
  pageDefault: 50,
  pageMax: 200,
  /** Work of one purge call. */
  purgeMessages: 200,
}
