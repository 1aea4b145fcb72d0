/** How the content key of a message is encrypted to RSA keys. OAEP with SHA-256 is what accreditation validators demand; the others are for older peers. */
export const rsaTransports = ['oaep-sha256', 'oaep-sha1', 'pkcs1-v1.5'] as const
export type RsaTransport = (typeof rsaTransports)[number]

/** What the content of a message is encrypted with. Every Direct gateway reads AES-CBC of 128 and 256 bits; few read GCM. */
export const sealingCiphers = [
  'aes-128-cbc',
  'aes-192-cbc',
  'aes-256-cbc',
  'aes-128-gcm',
  'aes-192-gcm',
  'aes-256-gcm',
] as const
export type SealingCipher = (typeof sealingCiphers)[number]

/** What one recipient's system can read, as far as somebody said. */
export interface EncryptionPreference {
  readonly rsaTransport?: RsaTransport
  readonly contentCipher?: SealingCipher
}
