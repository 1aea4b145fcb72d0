import type { DirectAddress, DirectDomain } from '../direct/address.js'

/** What a certificate allows its key to do: one certificate for both, or a pair of single-use ones (ANSI/DS 2019-01-100-2021 §1.4). */
export const keyUses = ['both', 'sign', 'encrypt'] as const
export type KeyUse = (typeof keyUses)[number]

export interface CertificateAsked {
  /** PKCS#10, DER (RFC 2986). */
  readonly request: Uint8Array
  readonly owner: DirectAddress | DirectDomain
  readonly use: KeyUse
}

export type RegistrarAnswer =
  | {
      readonly kind: 'issued'
      /** DER. */
      readonly certificate: Uint8Array
      /** Further certificates up to the anchor, DER. */
      readonly chain: readonly Uint8Array[]
    }
  /** A person or another machine decides; `poll` with the ticket tells. */
  | { readonly kind: 'pending'; readonly ticket: string }
  /** Asking again changes nothing. */
  | { readonly kind: 'refused'; readonly detail: string }
  /** No answer now: ask again later. */
  | { readonly kind: 'unavailable'; readonly detail: string }

/**
 * Whoever registers certificates for us: our own authority, a person who carries files, or an accredited authority behind
 * a protocol of its own. Never throws for what the other side does. `request` is safe to repeat: the same request gets
 * the same answer, not a second certificate.
 */
export interface Registrar {
  /** Stable, for rows and logs: `own`, `hand`. */
  readonly name: string
  /** How often it is polled; absent where nobody need ask, since the certificate will be brought. */
  readonly askAgainMs?: number
  request(asked: CertificateAsked): Promise<RegistrarAnswer>
  poll(ticket: string, asked: CertificateAsked): Promise<RegistrarAnswer>
}
