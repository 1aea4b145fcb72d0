import type { DirectAddress } from './address.js'
import type { RefusalReason, Refused, UndecidedCause } from './refusal.js'

/** What was found about one certificate that might have spoken for the sender, for one recipient. */
export interface CandidateFinding {
  /** SHA-256 of the certificate, lower-case hex. */
  readonly fingerprint: string
  /** Subject in RFC 4514 form, for people. */
  readonly subject: string
  readonly outcome: 'trusted' | RefusalReason | UndecidedCause
  readonly detail: string
  /** SHA-256 of each certificate of the path found, leaf first, anchor last; empty when none was. */
  readonly path: readonly string[]
}

/** The trust decision for one recipient: three outcomes, with every candidate's own reason. */
export type RecipientVerdict = {
  readonly recipient: DirectAddress
  readonly candidates: readonly CandidateFinding[]
} & (
  | {
      readonly kind: 'trusted' /** DER of the certificate that won. */
      readonly signer: Uint8Array
      readonly warnings: readonly RefusalReason[]
    }
  | {
      readonly kind: 'refused'
      readonly reason: RefusalReason
      readonly detail: string
    }
  | {
      readonly kind: 'undecided'
      readonly cause: UndecidedCause
      readonly detail: string
    }
)

/** One step in the life of a message, as `direct-gateway trace` prints it. Never holds clinical content, and of the message neither its Subject nor people's names. */
export interface TrailStep {
  /** Unix milliseconds. */
  readonly at: number
  readonly step:
    | 'accepted'
    | 'opened'
    | 'verified'
    | 'trusted'
    | 'refused'
    | 'undecided'
    | 'delivered'
    | 'duplicate'
    | 'notice-owed'
    | 'notice-attempted'
    | 'notice-sent'
    | 'notice-failed'
    | 'judged-again'
    | 'queued'
    | 'attempted'
    | 'sent'
    | 'failed'
    | 'reported'
    | 'alarm'
  readonly recipient?: DirectAddress
  readonly detail: string
  readonly refusal?: Refused
  readonly candidates?: readonly CandidateFinding[]
}
