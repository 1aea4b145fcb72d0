import { createCipheriv, createDecipheriv, createHash, ECDH } from 'node:crypto'
import { oids } from '../asn1/oids.js'
import { algorithmIdentifier, context, octetString, sequenceOf } from '../asn1/writer.js'
import type { Digest } from '../direct/signer.js'

/** A NIST curve as Direct certificates use them (RFC 5480 §2.1.1.1); `openssl` is the name node:crypto knows. */
export interface Curve {
  readonly oid: string
  readonly openssl: string
  readonly fieldBytes: number
  /** The digest of matching strength (RFC 5753 §8). */
  readonly digest: 'sha256' | 'sha384' | 'sha512'
  readonly kdfOid: string
}

export const curves: readonly Curve[] = [
  {
    oid: oids.p256,
    openssl: 'prime256v1',
    fieldBytes: 32,
    digest: 'sha256',
    kdfOid: oids.dhSinglePassStdSha256,
  },
  {
    oid: oids.p384,
    openssl: 'secp384r1',
    fieldBytes: 48,
    digest: 'sha384',
    kdfOid: oids.dhSinglePassStdSha384,
  },
  {
    oid: oids.p521,
    openssl: 'secp521r1',
    fieldBytes: 66,
    digest: 'sha512',
    kdfOid: oids.dhSinglePassStdSha512,
  },
]

/**
 * Key agreement schemes (RFC 5753 §7.1.4) by the digest of their key derivation. The cofactor of the NIST prime curves
 * is one, so that both families give the same secret.
 */
export const agreements: ReadonlyMap<string, Digest> = new Map([
  [oids.dhSinglePassStdSha1, 'sha1'],
  [oids.dhSinglePassStdSha224, 'sha224'],
  [oids.dhSinglePassStdSha256, 'sha256'],
  [oids.dhSinglePassStdSha384, 'sha384'],
  [oids.dhSinglePassStdSha512, 'sha512'],
  [oids.dhSinglePassCofactorSha1, 'sha1'],
  [oids.dhSinglePassCofactorSha224, 'sha224'],
  [oids.dhSinglePassCofactorSha256, 'sha256'],
  [oids.dhSinglePassCofactorSha384, 'sha384'],
  [oids.dhSinglePassCofactorSha512, 'sha512'],
])

/** AES key wrap (RFC 3565 §2.3.2): octets of the key-encryption key. */
export const keyWraps: ReadonlyMap<string, number> = new Map([
  [oids.aes128Wrap, 16],
  [oids.aes192Wrap, 24],
  [oids.aes256Wrap, 32],
])

/** The same point without compression (SEC 1 §2.3.3); undefined for one that is not on the curve. */
export function uncompressed(point: Uint8Array, curve: Curve): Uint8Array | undefined {
  if (point[0] === 4) return point.length === 1 + 2 * curve.fieldBytes ? point : undefined
  if (point.length !== 1 + curve.fieldBytes || (point[0] !== 2 && point[0] !== 3)) return undefined
  try {
    return ECDH.convertKey(point, curve.openssl, undefined, undefined, 'uncompressed') as Buffer
  } catch {
    return undefined
  }
}

/**
 * The key-encryption key from a shared secret: X9.63 key derivation over ECC-CMS-SharedInfo (RFC 5753 §7.2).
 * `wrapAlgorithm` is the AlgorithmIdentifier of the key wrap as the message has it.
 */
export function keyEncryptionKey(
  secret: Uint8Array,
  digest: Digest,
  wrapAlgorithm: Uint8Array,
  length: number,
  ukm?: Uint8Array,
): Uint8Array {
  const bits = Buffer.alloc(4)
  bits.writeUInt32BE(length * 8)
  const parts = ukm ? [wrapAlgorithm, context(0, octetString(ukm))] : [wrapAlgorithm]
  const shared = sequenceOf(...parts, context(2, octetString(bits)))
  const blocks: Uint8Array[] = []
  const counter = Buffer.alloc(4)
  for (let made = 0, n = 1; made < length; n++) {
    counter.writeUInt32BE(n)
    const block = createHash(digest).update(secret).update(counter).update(shared).digest()
    blocks.push(block)
    made += block.length
  }
  return Buffer.concat(blocks).subarray(0, length)
}

const wrapIv = Buffer.alloc(8, 0xa6) // RFC 3394 §2.2.3.1

/** RFC 3394 §2.2.1. */
export function wrapKey(kek: Uint8Array, key: Uint8Array): Uint8Array {
  const cipher = createCipheriv(`id-aes${kek.length * 8}-wrap`, kek, wrapIv)
  return Buffer.concat([cipher.update(key), cipher.final()])
}

/** RFC 3394 §2.2.2; undefined where the integrity check fails. */
export function unwrapKey(kek: Uint8Array, wrapped: Uint8Array): Uint8Array | undefined {
  try {
    const decipher = createDecipheriv(`id-aes${kek.length * 8}-wrap`, kek, wrapIv)
    return Buffer.concat([decipher.update(wrapped), decipher.final()])
  } catch {
    return undefined
  }
}

/** AlgorithmIdentifier of AES key wrap: parameters absent (RFC 3565 §2.3.2). */
export const aes256WrapAlgorithm: Uint8Array = algorithmIdentifier(oids.aes256Wrap)
