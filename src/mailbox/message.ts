import type { DirectAddress } from '../direct/address.js'
import type { MessageContext } from '../direct/context.js'
import type { RefusalReason } from '../direct/refusal.js'

/** One attachment of a message, found again in the original by its MIME part path. */
export interface MessageAttachment {
  /** Position in the list, from 0. */
  readonly index: number
  /** Part path in the original, `2.1` for the first part of the second part. */
  readonly path: string
  /** The file name as the sender gave it; never trusted as a path. */
  readonly name?: string
  readonly mediaType: string
  /** Size of the decoded bytes. */
  readonly sizeBytes: number
  /** SHA-256 of the decoded bytes, lower-case hex. */
  readonly sha256?: string
  /** Record items that were read from it. */
  readonly documentItemIds?: readonly string[]
}

/** Who vouched for the message, as it was verified and trusted for this mailbox. */
export interface MessageProtection {
  /** SHA-256 of the signer's certificate, lower-case hex. */
  readonly signerFingerprint: string
  /** Its subject in RFC 4514 form. */
  readonly signerSubject: string
  readonly anchorFingerprint: string
  /** SHA-256 of each certificate, leaf first, anchor last. */
  readonly path: readonly string[]
  readonly digest: string
  /** The signed content was a message/rfc822 that wraps the headers, so they are signed too. */
  readonly wrapped: boolean
  readonly warnings: readonly RefusalReason[]
}

/** What a notice (MDN or DSN) in the mailbox says about a message we sent. */
export interface MessageNotice {
  readonly kind: 'mdn' | 'dsn'
  /** The disposition or action word: processed, dispatched, failed, delivered, denied … */
  readonly disposition: string
  /** Message-ID of what it reports on. */
  readonly originalMessageId?: string
  readonly finalRecipient?: DirectAddress
}

export interface MessageFlags {
  readonly seen: boolean
  readonly flagged: boolean
  readonly answered: boolean
  readonly archived: boolean
}

/** What the pipeline hands over: one verified, trusted message for one mailbox. */
export interface NewMessage {
  /** The id that the directory gave the recipient's mailbox. */
  readonly mailbox: string
  readonly spoolId: string
  /** When the last byte of DATA had arrived, Unix milliseconds: the order of the mailbox. */
  readonly receivedAt: number
  readonly from: DirectAddress
  readonly to: readonly string[]
  readonly cc: readonly string[]
  readonly subject: string
  /** The Date field in Unix milliseconds: the sender's word. */
  readonly date?: number
  readonly messageId?: string
  readonly inReplyTo?: string
  readonly references: readonly string[]
  /** Start of the readable text; the mailbox keeps `mailboxLimits.previewChars` of it. */
  readonly preview: string
  /** What the message says of itself for programs; of the patient too. */
  readonly context?: MessageContext
  /** X-Direct-* fields that stood outside the protection alone: anybody on the way could have written them. */
  readonly outerFields?: readonly { readonly name: string; readonly value: string }[]
  readonly attachments: readonly MessageAttachment[]
  readonly protection: MessageProtection
  readonly notice?: MessageNotice
  /** What readers of the message should know; codes and places, never clinical words. */
  readonly diagnostics: readonly { readonly code: string; readonly where: string; readonly detail: string }[]
  /** The verified message itself, decrypted, header and body. */
  readonly original: Uint8Array
}

/** A message as the mailbox keeps it. */
export interface Message extends Omit<NewMessage, 'original'> {
  /** Derived from mailbox and content, so that a second delivery of the same bytes is recognised. */
  readonly id: string
  /** Size of the original. */
  readonly sizeBytes: number
  readonly flags: MessageFlags
}

/** A message with the version that `changeFlags` takes as its precondition. */
export interface StoredMessage {
  readonly message: Message
  readonly version: number
}

export const mailboxLimits = {
  /** A list shows about two lines of text. */
  previewChars: 200,
  /** Page size when none is asked for, and at most. */
  pageDefault: 50,
  pageMax: 200,
  /** Rows opened for one page when a filter passes few of them; the page then ends early with a cursor. */
  rowsPerPage: 2000,
  /** Longer lists in To, Cc and References are cut: the original still has them, and rows stay small. */
  addresses: 500,
  references: 100,
  attachments: 500,
  diagnostics: 200,
  /** RFC 5322 §2.1.1 folds at 998; longer subjects are cut in the list, not in the original. */
  subjectChars: 998,
}
