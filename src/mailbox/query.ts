import type { DirectAddress } from '../direct/address.js'
import type { StoredMessage } from './message.js'

/** Which messages a list shows; all that are given must hold. */
export interface MessageFilter {
  readonly unread?: boolean
  readonly flagged?: boolean
  /** Exact sender. */
  readonly from?: DirectAddress
  /** Received at or after, Unix milliseconds. */
  readonly since?: number
  /** Received before, Unix milliseconds. */
  readonly until?: number
  readonly hasAttachment?: boolean
  /** Words in the subject, case-insensitive. */
  readonly subject?: string
}

export interface MessageQuery extends MessageFilter {
  /** 1 to 200, default 50. */
  readonly limit?: number
  /** `next` of the page before. */
  readonly cursor?: string
}

export type MessagePage =
  | {
      readonly kind: 'page'
      readonly messages: readonly StoredMessage[]
      /** Ids of messages whose rows are damaged: named, never skipped in silence. */
      readonly unreadable: readonly string[]
      /** Where the next page starts; absent at the end. A filtered page may be short and still have one. */
      readonly next?: string
    }
  | { readonly kind: 'bad-cursor' }
