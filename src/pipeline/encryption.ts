import type { DirectAddress } from '../direct/address.js'
import type { EncryptionPreference, SealingCipher } from '../direct/encryption.js'
import type { Directory } from '../directory/directory.js'
import type { SealRequest } from './steps.js'

export interface EncryptionPorts {
  readonly directory: Pick<Directory, 'encryption'>
  /** For all of whom nothing else is said; by default OAEP with SHA-256 and AES-256-CBC. */
  readonly encryption?: EncryptionPreference
}

/** One recipient with the certificates that a message is encrypted to for him, DER. */
export interface EncryptedTo {
  readonly recipient: DirectAddress
  readonly certificates: readonly Uint8Array[]
}

/** The part of a request to seal that says to whom, and in which way. */
export type Encryption = Pick<SealRequest, 'recipients' | 'encryption'>

/**
 * Reads what is said of these recipients, and answers how to encrypt to any of them together: the content key to each in
 * his own way, the content in one cipher that all of them read.
 */
export async function encryptionOf(
  recipients: readonly DirectAddress[],
  { directory, encryption: usual = {} }: EncryptionPorts,
): Promise<(to: readonly EncryptedTo[]) => Encryption> {
  const preferences = new Map<DirectAddress, EncryptionPreference>()
  for (const one of recipients) preferences.set(one, { ...usual, ...(await directory.encryption.of(one)) })
  const preferenceOf = (one: DirectAddress) => preferences.get(one) ?? usual
  return (to) => ({
    recipients: to.flatMap(({ recipient, certificates }) => {
      const { rsaTransport } = preferenceOf(recipient)
      return certificates.map((certificate) => ({ certificate, ...(rsaTransport && { rsaTransport }) }))
    }),
    encryption: {
      ...usual,
      contentCipher: cipherFor(to.map(({ recipient }) => preferenceOf(recipient).contentCipher)),
    },
  })
}

const usualCipher: SealingCipher = 'aes-256-cbc'

/**
 * The one cipher for recipients who each want theirs (RFC 5652 §6.1: a message has one): the one that all want; else CBC,
 * unless all want GCM, and 128 bits, unless all want the same: no other is sure to be read by everybody (Applicability
 * Statement §2.7).
 */
export function cipherFor(wanted: readonly (SealingCipher | undefined)[]): SealingCipher {
  const ciphers = wanted.map((one = usualCipher) => one)
  const [first = usualCipher, ...others] = ciphers
  if (others.every((one) => one === first)) return first
  const isSameSize = others.every((one) => one.slice(0, -4) === first.slice(0, -4))
  const size = isSameSize ? (first.slice(0, -4) as 'aes-128' | 'aes-192' | 'aes-256') : 'aes-128'
  return ciphers.every((one) => one.endsWith('-gcm')) ? `${size}-gcm` : `${size}-cbc`
}
