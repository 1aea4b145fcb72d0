import { createCipheriv, createDecipheriv } from 'node:crypto'

/** AES-256-GCM, its nonce and tag at full length (NIST SP 800-38D §5.2.1). */
export const nonceBytes = 12
export const tagBytes = 16

/** Seals bytes: ciphertext, then tag. A nonce must never come twice under one key. */
export function seal(key: Uint8Array, nonce: Uint8Array, context: Uint8Array, plaintext: Uint8Array): Uint8Array {
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes })
  cipher.setAAD(context)
  return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
}

/** Opens what `seal` made; undefined where key, nonce, context or any byte is another. */
export function open(
  key: Uint8Array,
  nonce: Uint8Array,
  context: Uint8Array,
  sealed: Uint8Array,
): Uint8Array | undefined {
  if (sealed.length < tagBytes) return undefined
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes })
  decipher.setAAD(context)
  decipher.setAuthTag(sealed.subarray(sealed.length - tagBytes))
  const plaintext = decipher.update(sealed.subarray(0, sealed.length - tagBytes))
  try {
    decipher.final()
    return plaintext
  } catch {
    return undefined
  }
}

/** Joins words so that no two different lists give the same bytes: each is led by its length. */
export function joined(...words: readonly (string | Uint8Array)[]): Uint8Array {
  return Buffer.concat(
    words.flatMap((word) => {
      const bytes = Buffer.from(word)
      const length = Buffer.alloc(4)
      length.writeUInt32BE(bytes.length)
      return [length, bytes]
    }),
  )
}
