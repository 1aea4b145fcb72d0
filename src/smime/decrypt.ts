import { createDecipheriv, type DecipherGCM } from 'node:crypto'
import * as asn1 from '../asn1/reader.js'
import { type Refused, refused } from '../direct/refusal.js'
import type { Enveloped } from './enveloped.js'
import type { DecryptionKey } from './key.js'
import type { OpenPolicy } from './policy.js'
import { type KeyTransport, matchesOf, type Unwrapped } from './recipient.js'

export interface Decrypted {
  readonly kind: 'decrypted'
  /** A view of the buffer that held the ciphertext. */
  readonly plaintext: Buffer
  readonly keyId: string
  readonly transport: KeyTransport
}

/** Larger buffers lose to page faults, smaller ones to calls. */
const chunkBytes = 64 * 1024

/**
 * Decrypts the content over itself: `enveloped` is useless afterwards. One answer for every failure of key, padding and
 * tag, `decrypt-failed`, because the difference would be an oracle.
 */
export function decrypt(enveloped: Enveloped, keys: readonly DecryptionKey[], policy: OpenPolicy): Decrypted | Refused {
  const matches = matchesOf(enveloped.recipients, keys)
  if (matches.length === 0) return refused('no-key-for-recipient')
  const ciphertext = joined(enveloped.content)
  if (enveloped.cipher.mode === 'cbc' && (ciphertext.length === 0 || ciphertext.length % enveloped.cipher.blockBytes))
    return refused('malformed-cms', 'the ciphertext is not whole blocks')
  let first: Refused | undefined
  for (const { key, unwrap } of matches) {
    const unwrapped = unwrap(enveloped.cipher.keyBytes, policy)
    if (unwrapped.kind === 'refused') first ??= unwrapped
    else if (matches.length === 1 || plausible(enveloped, ciphertext, unwrapped)) {
      const plaintext = decryptInPlace(enveloped, ciphertext, unwrapped.contentKey)
      if (!plaintext) return refused('decrypt-failed')
      return { kind: 'decrypted', plaintext, keyId: key.id, transport: unwrapped.transport }
    }
  }
  return first ?? refused('decrypt-failed')
}

/** The ciphertext in one piece: segments move together within the buffer they stand in. */
function joined(content: asn1.Element): Buffer {
  const segments = asn1.octetSegments(content)
  const [first] = segments
  if (!first) return Buffer.alloc(0)
  const all = Buffer.from(first.buffer, first.byteOffset, content.to - (first.byteOffset - content.bytes.byteOffset))
  let end = first.length
  for (const segment of segments.slice(1)) {
    all.set(segment, end)
    end += segment.length
  }
  return all.subarray(0, end)
}

function decryptInPlace(enveloped: Enveloped, ciphertext: Buffer, contentKey: Uint8Array): Buffer | undefined {
  try {
    const decipher = decipherOf(enveloped, contentKey)
    let written = 0
    for (let at = 0; at < ciphertext.length; at += chunkBytes) {
      const plain = decipher.update(ciphertext.subarray(at, at + chunkBytes))
      ciphertext.set(plain, written)
      written += plain.length
    }
    const last = decipher.final()
    ciphertext.set(last, written)
    return ciphertext.subarray(0, written + last.length)
  } catch {
    return undefined
  }
}

function decipherOf({ cipher, iv, authentication }: Enveloped, contentKey: Uint8Array) {
  if (!authentication) return createDecipheriv(cipher.name, contentKey, iv)
  const options = { authTagLength: authentication.tag.length }
  const decipher = createDecipheriv(cipher.name as 'aes-256-gcm', contentKey, iv, options) as DecipherGCM
  decipher.setAuthTag(authentication.tag)
  if (authentication.associated) decipher.setAAD(authentication.associated)
  return decipher
}

/**
 * Whether a content key gives text, judged without touching the ciphertext: the beginning reads as text, and the end of
 * CBC has its padding. Only asked where several RecipientInfos name our keys.
 */
function plausible(enveloped: Enveloped, ciphertext: Buffer, { contentKey }: Unwrapped): boolean {
  try {
    const start = decipherOf(enveloped, contentKey)
    if (enveloped.cipher.mode === 'cbc') (start as ReturnType<typeof createDecipheriv>).setAutoPadding(false)
    if (looksBinary(start.update(ciphertext.subarray(0, 64)))) return false
    if (enveloped.cipher.mode === 'gcm') return true
    const { blockBytes, name } = enveloped.cipher
    const before = ciphertext.length - 2 * blockBytes
    const iv = before >= 0 ? ciphertext.subarray(before, before + blockBytes) : enveloped.iv
    const end = createDecipheriv(name, contentKey, iv)
    end.update(ciphertext.subarray(ciphertext.length - blockBytes))
    end.final()
    return true
  } catch {
    return false
  }
}

/** Control bytes that the header of no MIME entity has: the plaintext of a wrong key. */
export function looksBinary(plaintext: Buffer): boolean {
  const start = plaintext.subarray(0, 512)
  const headerEnd = start.indexOf('\r\n\r\n')
  return start
    .subarray(0, headerEnd < 0 ? start.length : headerEnd)
    .some((byte) => (byte < 32 && byte !== 9 && byte !== 10 && byte !== 13) || byte === 127)
}
