import type { DirectAddress } from '../direct/address.js'
import type { BodyPorts } from '../ports/body.js'
import type { Batch } from '../ports/store.js'
import type { MessageFlags, NewMessage, StoredMessage } from './message.js'

export interface MailboxPorts extends BodyPorts {
  /** Decoded bytes of one part of a message, by its path; mime/ knows how. Undefined where there is no such part. */
  readPart(message: Uint8Array, path: string): Promise<Uint8Array | undefined>
}

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
      /** Where the next page starts; absent at the end. A filtered page may be short and still have one. */
      readonly next?: string
    }
  | { readonly kind: 'bad-cursor' }

/** One line of a mailbox's change log; its sequence number is the mailbox's state. */
export interface MailboxChange {
  readonly state: number
  readonly id: string
  readonly change: 'created' | 'flags'
}

export type FlagChange =
  /** Nothing is changed yet: the parts are for the caller's batch. */
  | { readonly kind: 'change'; readonly stored: StoredMessage; readonly parts: Batch }
  | { readonly kind: 'missing' }
  /** The version asked for is not the message's any more. */
  | { readonly kind: 'stale'; readonly version: number }

/** The Message Center's store: messages per Direct address, newest first. */
export interface Mailbox {
  /**
   * Seals a message and answers what must be committed to deliver it. Its id comes from mailbox and content; the parts
   * require the id to be absent, so a second delivery is a conflict on `deliveryKey(mailbox, id)`. Durable as soon as
   * the caller's batch is.
   */
  delivery(message: NewMessage): Promise<{ readonly id: string; readonly parts: Batch }>
  /** True when the message is there already: the pipeline then leaves `delivery` out of its batch. */
  has(mailbox: DirectAddress, id: string): Promise<boolean>
  /** Newest first; stable while messages arrive. Opens at most `mailboxLimits.rowsPerPage` rows. */
  list(mailbox: DirectAddress, query: MessageQuery): Promise<MessagePage>
  get(mailbox: DirectAddress, id: string): Promise<StoredMessage | undefined>
  /** The parts that set the given flags, fenced by `version` (the current one when not given). */
  changeFlags(mailbox: DirectAddress, id: string, flags: Partial<MessageFlags>, version?: number): Promise<FlagChange>
  /** The verified message, byte for byte. */
  original(mailbox: DirectAddress, id: string): Promise<AsyncIterable<Uint8Array> | undefined>
  /** The decoded bytes of one attachment, read again from the sealed original. */
  attachment(mailbox: DirectAddress, id: string, index: number): Promise<Uint8Array | undefined>
  /** The state of the mailbox: the number of changes it has seen. */
  state(mailbox: DirectAddress): Promise<number>
  /** Changes after `since`, oldest first. */
  changes(mailbox: DirectAddress, since: number, limit: number): Promise<readonly MailboxChange[]>
}
