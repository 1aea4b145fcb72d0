import type { Undecided } from '../direct/refusal.js'
import type { TokenUri } from '../direct/token-uri.js'

/** Keys that we make: RSA by the bits of its modulus, or an elliptic curve. Peers of this network need not know curves. */
export const keyKinds = ['rsa-2048', 'rsa-3072', 'rsa-4096', 'p256', 'p384'] as const
export type KeyKind = (typeof keyKinds)[number]

/** Where a private key is. */
export type KeptKey = WrappedKey | TokenKey

/** Sealed under the master key. */
export interface WrappedKey {
  readonly kind: 'wrapped'
  /** What the keyring wrapped it for, and under which id. */
  readonly purpose: string
  readonly id: string
  readonly wrapped: Uint8Array
}

/** In a PKCS#11 token, which never lets it out. */
export interface TokenKey {
  readonly kind: 'token'
  readonly uri: TokenUri
}

export interface NewKey {
  /** DER of SubjectPublicKeyInfo. */
  readonly spki: Uint8Array
  readonly key: WrappedKey
}

/** What is done with private keys besides opening and sealing mail. The keys themselves never leave a worker thread. */
export interface KeyArithmetic {
  /** Makes a key, wrapped for `purpose` under the SHA-256 of its SubjectPublicKeyInfo. */
  newKey(kind: KeyKind, purpose: string): Promise<NewKey>
  /** Signs with RSA PKCS#1 v1.5 or ECDSA in DER form, as the key is. Undecided where it cannot be unwrapped. */
  signData(key: KeptKey, digest: SigningDigest, data: Uint8Array): Promise<Signed | Undecided>
  /** Wraps a key anew for mail, under the fingerprint of its certificate (DER), after checking that they belong together. */
  bindKey(key: WrappedKey, certificate: Uint8Array): Promise<BoundKey | KeyMismatch | Undecided>
  /** Has a token's key do all that its certificate (DER) is for, and checks the outcomes with the public key. */
  checkToken(uri: TokenUri, certificate: Uint8Array): Promise<TokenHolds | KeyMismatch | Undecided>
  /** The public half of a token's key, for a certificate request. */
  tokenPublicKey(uri: TokenUri): Promise<TokenPublicKey | KeyMismatch | Undecided>
}

export type SigningDigest = 'sha256' | 'sha384'

export interface Signed {
  readonly kind: 'signed'
  readonly signature: Uint8Array
}

export interface BoundKey {
  readonly kind: 'bound'
  readonly wrapped: Uint8Array
}

export interface KeyMismatch {
  readonly kind: 'mismatch'
  readonly detail: string
}

/** The token holds the key of the certificate. */
export interface TokenHolds {
  readonly kind: 'holds'
  /** The token would hand the key out, if only wrapped: it was not made to stay there. */
  readonly extractable: boolean
}

export interface TokenPublicKey {
  readonly kind: 'public-key'
  /** DER of SubjectPublicKeyInfo. */
  readonly spki: Uint8Array
}
