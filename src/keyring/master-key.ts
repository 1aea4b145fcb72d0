import { hkdfSync, timingSafeEqual } from 'node:crypto'
import type { Random } from '../ports/world.js'

/** The key under which every other key of the gateway is wrapped. There is no default one. */
export interface MasterKey {
  /** 8 bytes derived from the key, which wrapped bytes carry to say what they are wrapped under; tells nothing of the key. */
  readonly id: Uint8Array
  /** 32 bytes. */
  readonly secret: Uint8Array
}

const secretBytes = 32

/** Makes a new master key, as the text to be kept in a file or an environment variable: base64 of 32 random bytes. */
export function createMasterKey(random: Random): string {
  return Buffer.from(random.bytes(secretBytes)).toString('base64')
}

export type MasterKeyOutcome =
  | { readonly kind: 'master-key'; readonly key: MasterKey }
  | { readonly kind: 'refused'; readonly detail: string }

/**
 * Reads a master key from a file's bytes or a variable's text: 32 raw bytes, 64 hex digits, or base64 of 32 bytes, with
 * white space around the text. Refuses any other length, and a key whose bytes are all the same, which is a placeholder.
 */
export function readMasterKey(source: Uint8Array | string): MasterKeyOutcome {
  const secret = typeof source === 'string' ? decoded(source) : (raw(source) ?? decoded(Buffer.from(source).toString()))
  if (!secret) return { kind: 'refused', detail: 'A master key is 32 bytes: raw, as 64 hex digits, or as base64' }
  if (secret.every((byte) => byte === secret[0]))
    return { kind: 'refused', detail: 'The master key is one byte repeated; make one with `direct-gateway init`' }
  return { kind: 'master-key', key: { id: derived(secret, 'master-key-id').subarray(0, 8), secret } }
}

/**
 * Says why a master key file is not guarded well enough: it must belong to the user the gateway runs as (or to root) and
 * give nobody else any right (mode 0600 or 0400). Root's may be readable for one of our groups, which is how Kubernetes
 * mounts a secret for a user other than root (0440). Answers undefined where all is well.
 */
export function unguarded(
  file: { readonly mode: number; readonly uid: number; readonly gid: number },
  ourUid: number | undefined,
  ourGroups: readonly number[],
): string | undefined {
  const lent = file.uid === 0 && ourGroups.includes(file.gid) ? 0o040 : 0
  if (file.mode & 0o077 & ~lent)
    return `The master key file has mode 0${(file.mode & 0o777).toString(8)}, readable by others: chmod 600 it`
  if (ourUid !== undefined && file.uid !== ourUid && file.uid !== 0)
    return `The master key file belongs to user ${file.uid}, not to user ${ourUid} who runs the gateway`
  return undefined
}

/** Derives 32 bytes for one purpose (HKDF-SHA256, RFC 5869); `salt` where one purpose needs many keys. */
export function derived(secret: Uint8Array, purpose: string, salt: Uint8Array = new Uint8Array()): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, salt, `direct-gateway/1/${purpose}`, 32))
}

/** Whether two secrets are the same, in a time that tells only their lengths. */
export function sameSecret(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b)
}

function raw(bytes: Uint8Array): Uint8Array | undefined {
  return bytes.length === secretBytes ? Uint8Array.from(bytes) : undefined
}

function decoded(source: string): Uint8Array | undefined {
  const text = source.trim()
  if (/^[0-9a-f]{64}$/i.test(text)) return raw(Buffer.from(text, 'hex'))
  return /^[A-Za-z0-9+/_-]{43}=?$/.test(text) ? raw(Buffer.from(text, 'base64')) : undefined
}
