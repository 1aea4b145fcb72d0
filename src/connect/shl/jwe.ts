import { createCipheriv, createDecipheriv } from 'node:crypto'
import { promisify } from 'node:util'
import { deflateRaw, inflateRaw } from 'node:zlib'

const deflate = promisify<Uint8Array, Buffer>(deflateRaw)
const inflate = promisify<Uint8Array, { maxOutputLength: number }, Buffer>(inflateRaw)

const ivBytes = 12
const tagBytes = 16

export const jweLimits = {
  /** Longest compact text that is read: a file of 16 MiB in base64. */
  textChars: 24 * 1024 * 1024,
  /** A header names a content type and a handful of short values. */
  headerChars: 4096,
  /** What a file may become when it is inflated: a small one must not fill the memory. */
  plaintextBytes: 32 * 1024 * 1024,
}

/** The protected header: authenticated with the content, readable by everybody. */
export type JweHeader = Readonly<Record<string, unknown>>

export type JweOutcome =
  | { readonly kind: 'opened'; readonly header: JweHeader; readonly plaintext: Uint8Array }
  /** Not such a JWE, or too large; nothing is said of the key. */
  | { readonly kind: 'malformed'; readonly detail: string }
  /** Another key, or other bytes. */
  | { readonly kind: 'wrong-key' }

/**
 * Encrypts to a compact JWE under a key of 32 bytes (RFC 7516 §7.1; `dir` and `A256GCM` of RFC 7518). `iv` are 12 bytes
 * that were never used with this key. With `zip` the content is deflated first (RFC 7516 §4.1.3).
 */
export async function sealJwe(
  key: Uint8Array,
  iv: Uint8Array,
  header: JweHeader,
  plaintext: Uint8Array,
  zip = false,
): Promise<string> {
  const told = { alg: 'dir', enc: 'A256GCM', ...header, ...(zip && { zip: 'DEF' }) }
  const protectedText = Buffer.from(JSON.stringify(told)).toString('base64url')
  const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength: tagBytes })
  cipher.setAAD(Buffer.from(protectedText, 'latin1')) // RFC 7516 §5.1, step 14
  const ciphertext = Buffer.concat([cipher.update(zip ? await deflate(plaintext) : plaintext), cipher.final()])
  const parts = [Buffer.from(iv), ciphertext, cipher.getAuthTag()].map((part) => part.toString('base64url'))
  return [protectedText, '', ...parts].join('.')
}

/** Reads the protected header without a key; undefined where the text is no compact JWE with `dir` and `A256GCM`. */
export function jweHeader(text: string, limits = jweLimits): JweHeader | undefined {
  const parts = partsOf(text, limits)
  return typeof parts === 'string' ? undefined : parts.header
}

/** Decrypts a compact JWE under a key of 32 bytes. Refuses other algorithms, critical headers and what inflates too far. */
export async function openJwe(key: Uint8Array, text: string, limits = jweLimits): Promise<JweOutcome> {
  const parts = partsOf(text, limits)
  if (typeof parts === 'string') return { kind: 'malformed', detail: parts }
  const { protectedText, header, iv, ciphertext, tag } = parts
  const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: tagBytes })
  decipher.setAAD(Buffer.from(protectedText, 'latin1'))
  decipher.setAuthTag(tag)
  let plaintext: Buffer
  try {
    plaintext = Buffer.concat([decipher.update(ciphertext), decipher.final()])
  } catch {
    return { kind: 'wrong-key' }
  }
  if (header['zip'] === undefined) return { kind: 'opened', header, plaintext }
  const inflated = await inflate(plaintext, { maxOutputLength: limits.plaintextBytes }).catch(() => undefined)
  return inflated
    ? { kind: 'opened', header, plaintext: inflated }
    : { kind: 'malformed', detail: 'the content does not inflate within its limit' }
}

function partsOf(text: string, limits: typeof jweLimits) {
  if (text.length > limits.textChars) return 'it is too large'
  const parts = text.split('.', 6)
  const [protectedText = '', encryptedKey, iv = '', ciphertext = '', tag = ''] = parts
  if (parts.length !== 5 || encryptedKey !== '') return 'it is no compact JWE with a direct key'
  if (protectedText.length > limits.headerChars) return 'its header is too large'
  if (!parts.every((part) => /^[A-Za-z0-9_-]*$/.test(part))) return 'it is not base64url'
  const header = objectOf(Buffer.from(protectedText, 'base64url'))
  if (!header) return 'its header is no JSON object'
  if (header['alg'] !== 'dir' || header['enc'] !== 'A256GCM') return 'its algorithms are not dir and A256GCM'
  if (header['crit'] !== undefined) return 'it has a critical header' // RFC 7515 §4.1.11: none is understood
  if (header['zip'] !== undefined && header['zip'] !== 'DEF') return 'its compression is not DEF'
  const bytes = [iv, ciphertext, tag].map((part) => Buffer.from(part, 'base64url'))
  const [ivPart = Buffer.alloc(0), body = Buffer.alloc(0), tagPart = Buffer.alloc(0)] = bytes
  if (ivPart.length !== ivBytes || tagPart.length !== tagBytes) return 'its nonce or tag has another length'
  return { protectedText, header, iv: ivPart, ciphertext: body, tag: tagPart }
}

function objectOf(bytes: Uint8Array): JweHeader | undefined {
  try {
    const read: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    return typeof read === 'object' && read !== null && !Array.isArray(read) ? (read as JweHeader) : undefined
  } catch {
    return undefined
  }
}
