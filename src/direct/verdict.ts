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

/** A certificate as a witness is told of it. */
export interface WitnessedCertificate {
  /** SHA-256, lower-case hex. */
  readonly fingerprint: string
  /** RFC 4514 form, for people. */
  readonly subject: string
  readonly issuer: string
  /** Lower-case hex. */
  readonly serial: string
  /** Unix milliseconds, both inclusive. */
  readonly notBefore: number
  readonly notAfter: number
}

/** One thing that happened while a certificate was judged. `leaf` is the fingerprint of that certificate. */
export type TrustStep = { readonly leaf: string } & (
  | {
      readonly kind: 'judging'
      readonly certificate: WitnessedCertificate
      readonly use: 'sign' | 'encrypt'
      /** How many anchors there are to end at. */
      readonly anchors: number
    }
  /** What is wrong with the certificate by itself, policy rules included: no path is looked for. */
  | { readonly kind: 'flaw'; readonly reason: RefusalReason; readonly detail: string }
  /** A path that was tried: leaf first, anchor last; `remembered` from an earlier decision; without a flaw it is valid. */
  | {
      readonly kind: 'path'
      readonly certificates: readonly WitnessedCertificate[]
      readonly remembered: boolean
      readonly flaw?: { readonly reason: RefusalReason; readonly detail: string }
    }
  /** What was learnt about the revocation of one certificate of the path told last. */
  | {
      readonly kind: 'revocation'
      readonly fingerprint: string
      readonly answer: 'good' | 'revoked' | 'not-published' | 'unavailable'
      readonly detail: string
      /** URLs of the lists and answers that were looked at. */
      readonly sources: readonly string[]
    }
  /** Who issued a certificate was asked for: how many were found, or why nobody answered. */
  | { readonly kind: 'issuers'; readonly fingerprint: string; readonly found: number; readonly detail: string }
  /** No path was found, or no other one: why the search ended. */
  | { readonly kind: 'search-ended'; readonly reason: RefusalReason; readonly detail: string }
  | { readonly kind: 'verdict'; readonly outcome: CandidateFinding['outcome']; readonly detail: string }
)

/** Is told everything that a trust decision looked at, in order, as it happens. Changes nothing, and must not throw. */
export interface TrustWitness {
  tell(step: TrustStep): void
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

/** Every step that the trail of a message may have. */
export const trailSteps = [
  'accepted',
  'opened',
  'verified',
  'trusted',
  'refused',
  'undecided',
  'delivered',
  'held',
  'duplicate',
  'notice-owed',
  'notice-attempted',
  'notice-sent',
  'notice-failed',
  'judged-again',
  'queued',
  'attempted',
  'sent',
  'failed',
  'reported',
  'processed',
  'dispatched',
  'swallowed',
  'on-hold',
  'released',
  'retried',
  'cancelled',
  'edge-queued',
  'edge-attempted',
  'edge-delivered',
  'edge-failed',
  'alarm',
] as const

/** One step in the life of a message, as `direct-gateway trace` prints it. Never holds clinical content, and of the message neither its Subject nor people's names. */
export interface TrailStep {
  /** Unix milliseconds. */
  readonly at: number
  readonly step: (typeof trailSteps)[number]
  readonly recipient?: DirectAddress
  readonly detail: string
  /** The mailbox's id of a delivered message. */
  readonly mailboxMessageId?: string
  readonly refusal?: Refused
  readonly candidates?: readonly CandidateFinding[]
}
