import type { DirectAddress, DirectDomain } from '../direct/address.js'
import type { Undecided } from '../direct/refusal.js'
import type { TokenUri } from '../direct/token-uri.js'

/** Where a private key is: PKCS#8 sealed under the master key, or in a PKCS#11 token that does the arithmetic itself. */
export type KeyPlace =
  | { readonly wrapped: Uint8Array; readonly token?: never }
  | { readonly token: TokenUri; readonly wrapped?: never }

/** A private key of ours with its certificate. The key itself stays wrapped, or in its token; only a worker uses it. */
export type OwnedKey = KeyPlace & {
  /** SHA-256 of the certificate, lower-case hex. */
  readonly id: string
  /** The address or domain it speaks for. */
  readonly owner: DirectAddress | DirectDomain
  /** DER. */
  readonly certificate: Uint8Array
  /** Further certificates up to, not including, the anchor; DER; sent along with signatures. */
  readonly chain: readonly Uint8Array[]
}

/** Our own keys, by what they are for. Address-bound keys come before domain-bound ones. */
export interface Keys {
  /** Every key that could open mail to this address, expired ones included: old mail must stay readable. */
  toDecrypt(address: DirectAddress): Promise<readonly OwnedKey[] | Undecided>
  /** Keys whose certificate allows digitalSignature and is valid at `at`. */
  toSign(address: DirectAddress, at: number): Promise<readonly OwnedKey[] | Undecided>
}

/**
 * A private key ready for arithmetic: in memory, or in a PKCS#11 token. Synchronous: called in worker threads only. Any
 * operation throws KeyUnavailable where its token does not answer: nothing is known of the message then.
 */
export interface PrivateKey {
  readonly type: 'rsa' | 'ec'
  /** RSA: ciphertext^d mod n, all bytes of the modulus length, no unpadding. Throws for an input of the wrong size. */
  rsaRaw(ciphertext: Uint8Array): Uint8Array
  /** ECDH shared secret (the x coordinate, field size) with an uncompressed public point of the same curve. Throws for a point off the curve. */
  agree(publicPoint: Uint8Array): Uint8Array
  /** RSA PKCS#1 v1.5, RSA-PSS (salt as long as the digest) or ECDSA in DER form. */
  sign(digest: 'sha256' | 'sha384' | 'sha512', data: Uint8Array, scheme: 'rsa' | 'rsa-pss' | 'ecdsa'): Uint8Array
  /** Stable secret derived from the key, 32 bytes, for implicit rejection. */
  readonly rejectionSecret: Uint8Array
}

/** A private key cannot be had now, through no fault of the message: its token is away, locked, or not to be opened. */
export class KeyUnavailable extends Error {
  override readonly name = 'KeyUnavailable'
}
