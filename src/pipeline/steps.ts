import type { DirectAddress } from '../direct/address.js'
import type { Diagnostic, EntryOutcome, RecordItem } from '../direct/clinical.js'
import type { MessageContext } from '../direct/context.js'
import type { EncryptionPreference, RsaTransport } from '../direct/encryption.js'
import type { Refused, Undecided } from '../direct/refusal.js'
import type { Digest, Signer } from '../direct/signer.js'
import type { UnsignedField } from '../mime/direct-fields.js'
import type { OwnedKey } from '../ports/keys.js'

/**
 * The three steps that cost real arithmetic or read a stranger's structure at length. They run in worker threads, which
 * alone unwrap private keys; everything that crosses the line is plain data. Each is safe to run again.
 */
export interface Steps {
  /** Decrypts, verifies, unwraps, and reads the fields that trust is decided on. Undecided where a key of ours cannot be unwrapped. */
  open(body: WireBody, keys: readonly OwnedKey[], policy: OpenPolicy): Promise<OpenedMail | Refused | Undecided>
  /** Reads a message that is already trusted, for people and for the record. */
  read(message: Uint8Array, depth: ReadingDepth): Promise<ReadMail>
  /** Wraps, signs and encrypts one message. */
  seal(request: SealRequest): Promise<{ readonly kind: 'sealed'; readonly wire: Uint8Array } | Refused | Undecided>
}

/** `documents`: attachments are read into record items. `attachments`: they are kept as they are, whatever they hold. */
export type ReadingDepth = 'documents' | 'attachments'

/** The message as it came over the wire: in memory, or in a file, from `offset` to its end, that a worker reads by itself. */
export type WireBody =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'file'; readonly path: string; readonly offset: number; readonly sizeBytes: number }

export interface OpenPolicy {
  /** Some recipient's domain accepts SHA-1; whether *this* recipient does is decided with trust. */
  readonly allowSha1: boolean
}

/** A step ended without an answer: its thread died or ran out of time or memory. The message may be at fault, or not. */
export class StepFailed extends Error {
  override readonly name = 'StepFailed'
}

/** A step did not begin, since too many wait already, or it was given up as the threads were closed. The message is not at fault. */
export class StepNotBegun extends Error {
  override readonly name = 'StepNotBegun'
}

/** A message whose signature arithmetic was checked, with the fields that say who it is from and for. Trusted by nobody yet. */
export interface OpenedMail {
  readonly kind: 'opened'
  readonly signers: readonly Signer[]
  /** Certificates that came in the CMS, DER. */
  readonly certificates: readonly Uint8Array[]
  /** For the trail: which of our keys opened it, and how it was encrypted. */
  readonly keyId: string
  readonly contentCipher: string
  readonly keyTransport: string
  /** True where the signed content was a whole message (RFC 8551 §3.1), so that From, To and Subject are signed. */
  readonly wrapped: boolean
  /** The RFC 5322 message: the wrapped one, or the outer address fields over the signed entity. */
  readonly message: Uint8Array
  readonly messageId?: string
  /** X-Direct-* fields of the envelope alone: nobody signed them. */
  readonly outerFields?: readonly UnsignedField[]
  readonly notice: MailNotice
  readonly request: NoticeRequest
}

/** Whether the message is itself a notice about another. */
export type MailNotice =
  | { readonly kind: 'none' }
  | {
      readonly kind: 'mdn' | 'dsn'
      readonly disposition: string
      readonly originalMessageId?: string
      readonly finalRecipient?: DirectAddress
      /** What it says of each recipient: one for an MDN, any number for a DSN. */
      readonly findings?: readonly NoticeFinding[]
    }

export interface NoticeFinding {
  readonly finalRecipient?: DirectAddress
  readonly originalRecipient?: DirectAddress
  /** Disposition of an MDN, `failed` where its modifier is `error` (RFC 8098 §3.2.6); action of a DSN. */
  readonly disposition: string
  /** RFC 3463, of a DSN. */
  readonly status?: string
  /** It carries X-DIRECT-FINAL-DESTINATION-DELIVERY (Delivery Notification IG §1.3). */
  readonly finalDelivery?: true
}

/** What the sender asks to be told. */
export interface NoticeRequest {
  /** Disposition-Notification-To, where it is one plain address. */
  readonly notifyTo?: DirectAddress
  /** X-DIRECT-FINAL-DESTINATION-DELIVERY was asked for correctly. */
  readonly finalDelivery: boolean
}

/** A trusted message as people and the record see it. */
export interface ReadMail {
  readonly subject: string
  readonly to: readonly string[]
  readonly cc: readonly string[]
  readonly date?: number
  readonly inReplyTo?: string
  readonly references: readonly string[]
  /** Start of the readable text. */
  readonly preview: string
  /** What the message says of itself for programs. */
  readonly context?: MessageContext
  readonly attachments: readonly ReadAttachment[]
  readonly diagnostics: readonly Diagnostic[]
}

export interface ReadAttachment {
  /** Part path in the message, `2.1`. */
  readonly path: string
  readonly name?: string
  readonly mediaType: string
  readonly sizeBytes: number
  readonly sha256: string
  /** The attachment itself, and documents found inside it. */
  readonly documents: readonly {
    readonly item: RecordItem
    readonly bytes: Uint8Array
    readonly items: readonly RecordItem[]
    readonly diagnostics: readonly Diagnostic[]
    readonly entries: readonly EntryOutcome[]
  }[]
}

/** A certificate to encrypt to; by default the content key goes there as the request has it. */
export interface SealRecipient {
  /** DER. */
  readonly certificate: Uint8Array
  readonly rsaTransport?: RsaTransport
}

export interface SealRequest {
  /** The whole inner RFC 5322 message. */
  readonly message: Uint8Array
  readonly signers: readonly OwnedKey[]
  /** Certificates to encrypt to, DER, where need be with the way their owner wants the content key. */
  readonly recipients: readonly (Uint8Array | SealRecipient)[]
  /** Other than the usual: OAEP with SHA-256 for whoever wants nothing else, AES-256-CBC. */
  readonly encryption?: EncryptionPreference
  /** Address fields of the wrapper: never Subject. */
  readonly outer: {
    readonly from: DirectAddress
    readonly to: readonly DirectAddress[]
    readonly messageId: string
    readonly date: number
  }
  /** Signing time, Unix milliseconds. */
  readonly at: number
  readonly digest?: Extract<Digest, 'sha256' | 'sha384' | 'sha512'>
}
