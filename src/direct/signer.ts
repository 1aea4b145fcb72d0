/** Digest algorithms by their usual names; `md5` is known so that it can be refused by name. */
export type Digest = 'md5' | 'sha1' | 'sha224' | 'sha256' | 'sha384' | 'sha512'

/**
 * One SignerInfo of a signed message after its arithmetic was checked (RFC 5652 §5.6).
 * Whether the certificate may speak for the sender is not decided here: that is trust.
 */
export type Signer =
  | {
      readonly kind: 'verified'
      /** The signer's certificate, DER, as it came in the message. */
      readonly certificate: Uint8Array
      readonly digest: Digest
      readonly signature: 'rsa' | 'rsa-pss' | 'ecdsa'
      /** The signing-time attribute in Unix milliseconds: the signer's word, never a proof. */
      readonly signingTime?: number
    }
  | {
      readonly kind: 'unverified'
      /** The certificate the SignerInfo names, where the message carries it. */
      readonly certificate?: Uint8Array
      readonly reason:
        | 'signer-certificate-missing'
        | 'signature-invalid'
        | 'weak-digest'
        | 'unsupported-algorithm'
        | 'malformed-signature'
      /** For the trail: which step failed. */
      readonly detail: string
    }
