import type { DirectAddress, DirectDomain } from '../direct/address.js'
import type { Undecided } from '../direct/refusal.js'

export type Direction = 'in' | 'out' | 'both'

/** A trust anchor: a certificate that an address or a domain of ours chose to trust, in one direction or both. */
export interface Anchor {
  readonly owner: DirectAddress | DirectDomain
  /** DER. */
  readonly certificate: Uint8Array
  readonly direction: Direction
}

export interface Anchors {
  /** Anchors of the address and of its domain that serve this direction (`both` serves each). */
  of(address: DirectAddress, direction: 'in' | 'out'): Promise<readonly Anchor[] | Undecided>
}

export type RevocationAnswer =
  | { readonly kind: 'good' }
  | { readonly kind: 'revoked'; readonly at: number; readonly reason: string }
  /** Nobody publishes revocation for this certificate (no distribution point), so there is nothing to learn. */
  | { readonly kind: 'not-published' }
  /** The source did not answer, or answered something that proves nothing: try again later. */
  | { readonly kind: 'unavailable'; readonly detail: string }

export interface Revocation {
  /** Status of a certificate at `at`, given its issuer's certificate; both DER. Never throws for what the far side does. */
  status(certificate: Uint8Array, issuer: Uint8Array, at: number): Promise<RevocationAnswer>
}

/** Finds certificates that issued others, where the message did not bring them (AIA caIssuers, or imported ones). */
export interface Issuers {
  of(certificate: Uint8Array): Promise<readonly Uint8Array[] | Undecided>
}

/** Certificates of others, to encrypt to: imported by the operator, or discovered. DER. */
export interface CertificateDirectory {
  of(address: DirectAddress): Promise<readonly Uint8Array[] | Undecided>
}
