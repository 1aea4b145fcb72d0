import { oids } from '../asn1/oids.js'
import type { Digest } from '../direct/signer.js'

/** Octets of each digest. */
export const digestBytes: Readonly<Record<Digest, number>> = {
  md5: 16,
  sha1: 20,
  sha224: 28,
  sha256: 32,
  sha384: 48,
  sha512: 64,
}

const digests = new Map<string, Digest>([
  [oids.md5, 'md5'],
  [oids.sha1, 'sha1'],
  [oids.sha224, 'sha224'],
  [oids.sha256, 'sha256'],
  [oids.sha384, 'sha384'],
  [oids.sha512, 'sha512'],
])

/** The digest of an AlgorithmIdentifier's OID, where this gateway knows it. */
export function digestOf(oid: string): Digest | undefined {
  return digests.get(oid)
}

export type ContentCipher =
  | 'aes-128-cbc'
  | 'aes-192-cbc'
  | 'aes-256-cbc'
  | 'aes-128-gcm'
  | 'aes-192-gcm'
  | 'aes-256-gcm'
  | 'des-ede3-cbc'

export interface CipherShape {
  readonly name: ContentCipher
  readonly oid: string
  readonly keyBytes: number
  readonly blockBytes: number
  readonly mode: 'cbc' | 'gcm'
}

const shape = (name: ContentCipher, oid: string, keyBytes: number, blockBytes: number): CipherShape => ({
  name,
  oid,
  keyBytes,
  blockBytes,
  mode: name.endsWith('gcm') ? 'gcm' : 'cbc',
})

/** Content ciphers: RFC 3565 §2.1, RFC 5084 §1.5, RFC 3370 §5.1. Names are those of node:crypto. */
export const contentCiphers: Readonly<Record<ContentCipher, CipherShape>> = {
  'aes-128-cbc': shape('aes-128-cbc', oids.aes128Cbc, 16, 16),
  'aes-192-cbc': shape('aes-192-cbc', oids.aes192Cbc, 24, 16),
  'aes-256-cbc': shape('aes-256-cbc', oids.aes256Cbc, 32, 16),
  'aes-128-gcm': shape('aes-128-gcm', oids.aes128Gcm, 16, 16),
  'aes-192-gcm': shape('aes-192-gcm', oids.aes192Gcm, 24, 16),
  'aes-256-gcm': shape('aes-256-gcm', oids.aes256Gcm, 32, 16),
  'des-ede3-cbc': shape('des-ede3-cbc', oids.desEde3Cbc, 24, 8),
}

const ciphersByOid = new Map(Object.values(contentCiphers).map((cipher) => [cipher.oid, cipher]))

/** The content cipher of an OID, where this gateway implements it. */
export function contentCipherOf(oid: string): CipherShape | undefined {
  return ciphersByOid.get(oid)
}

/** Ciphers known only to be refused by name: each is broken, or too short to matter. */
export const brokenCiphers: ReadonlyMap<string, string> = new Map([
  [oids.rc2Cbc, 'RC2'],
  ['1.3.14.3.2.7', 'DES'],
  ['1.2.840.113549.3.4', 'RC4'],
  ['1.2.840.113533.7.66.10', 'CAST5'],
])

const named = new Map<string, string>(Object.entries(oids).map(([name, oid]) => [oid, name]))

/** An OID for people: its name where it has one here, otherwise its digits. */
export function oidName(oid: string): string {
  return named.get(oid) ?? oid
}
