import type { RsaTransport, SealingCipher } from '../direct/encryption.js'
import type { Digest } from '../direct/signer.js'

/** What an incoming message may use. */
export interface OpenPolicy {
  /** Take content encrypted with Triple DES: broken by birthday bounds, and still sent by old systems. */
  readonly tripleDes: boolean
  /** Digests a signature may use. MD5 is refused even when listed: it has collisions for anyone. */
  readonly digests: readonly Digest[]
  /** Smallest RSA modulus of ours that mail may be encrypted to. */
  readonly rsaBits: number
}

/** Applicability Statement for Secure Health Transport §2: SHA-2 digests, AES, RSA of at least 2048 bits. */
export const strictOpening: OpenPolicy = {
  tripleDes: false,
  digests: ['sha224', 'sha256', 'sha384', 'sha512'],
  rsaBits: 2048,
}

/** What an outgoing message uses. */
export interface SealPolicy {
  /** For recipients of whom nothing else is said. */
  readonly rsaTransport: RsaTransport
  readonly contentCipher: SealingCipher
  readonly digest: 'sha256' | 'sha384' | 'sha512'
  /** How RSA signers sign. Validators know PKCS#1 v1.5 only. */
  readonly rsaSignature: 'rsa' | 'rsa-pss'
  readonly rsaBits: number
}

export const usualSealing: SealPolicy = {
  rsaTransport: 'oaep-sha256',
  contentCipher: 'aes-256-cbc',
  digest: 'sha256',
  rsaSignature: 'rsa',
  rsaBits: 2048,
}

/** What a caller changes of `strictOpening`. */
export type SmimePolicy = Partial<OpenPolicy>

/** What a stranger can make grow in CMS. */
export const smimeLimits = {
  /** RecipientInfos and encrypted keys together: the largest honest lists are in the hundreds; a look at each costs a microsecond. */
  recipients: 2_000,
  /** All RecipientInfos together: 2,000 RSA-4096 ones take 1.4 MB. */
  recipientBytes: 4 * 1024 * 1024,
  /** RecipientInfos that name one of our keys and are tried: each may cost a private-key operation. */
  attempts: 4,
  /** SignerInfos: accreditation sends two; each costs a signature check. */
  signers: 8,
  /** Certificates of one message looked at and handed on: chains of several signers stay below. */
  certificates: 20,
  /** Certificates that match one SignerInfo and are tried. */
  matches: 3,
  /** Attributes of one signer: real ones have under ten. */
  attributes: 32,
  /** A detached signature with its certificates, decoded; one with 20 large certificates fits. */
  signatureBytes: 1024 * 1024,
  /** The message as a whole: what SMTP lets in, with room above. */
  messageBytes: 256 * 1024 * 1024,
  /** Recipients of one outgoing message: the same figure that an incoming one may have. */
  sealRecipients: 2_000,
}
