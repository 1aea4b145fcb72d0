import type { DirectAddress, DirectDomain } from '../direct/address.js'

/** What may be told to anybody who asks by exact name: certificates to encrypt to, and nothing else. */
export interface Publications {
  /** Domains that we publish for. */
  domains(): Promise<readonly DirectDomain[]>
  /**
   * Certificates (DER) to encrypt to for exactly this address or domain: valid now, allowed to encipher, not retired, of an
   * address that is live. Empty for all others, so that what is not published cannot be told from what does not exist.
   */
  certificatesOf(owner: DirectAddress | DirectDomain): Promise<readonly Uint8Array[]>
  /** Every owner with what is published for it, in pages: for pushing to a directory server, never to answer strangers. */
  all(after?: DirectAddress | DirectDomain): Promise<readonly Publication[]>
}

export interface Publication {
  readonly owner: DirectAddress | DirectDomain
  /** DER, never none. */
  readonly certificates: readonly Uint8Array[]
}
