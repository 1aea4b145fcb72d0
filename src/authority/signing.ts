import { createPublicKey, hash, type KeyObject } from 'node:crypto'
import { oids } from '../asn1/oids.js'
import * as asn1 from '../asn1/reader.js'
import { algorithmIdentifier, bitString, nullValue, sequenceOf } from '../asn1/writer.js'
import type { Undecided } from '../direct/refusal.js'
import type { KeptKey, KeyArithmetic, SigningDigest } from '../ports/arithmetic.js'
import { algorithmOf } from '../x509/certificate.js'
import { weaknessOf } from '../x509/signature.js'

/** A public key that we certify or sign with. */
export interface PublicKey {
  readonly kind: 'key'
  readonly type: 'rsa' | 'ec'
  readonly object: KeyObject
  /** DER of SubjectPublicKeyInfo. */
  readonly spki: Uint8Array
  /** The leftmost 160 bits of the SHA-256 of the key (RFC 7093 §2 method 1). */
  readonly identifier: Uint8Array
  /** How this key signs: the digest as strong as the key, and its AlgorithmIdentifier (RFC 4055 §5, RFC 5758 §3.2). */
  readonly digest: SigningDigest
  readonly algorithm: Uint8Array
}

export interface Unfit {
  readonly kind: 'unfit'
  readonly detail: string
}

/**
 * Reads a SubjectPublicKeyInfo: RSA of 2048 to 8192 bits, or EC on P-256, P-384 or P-521 by name. Answers `unfit` for every
 * other key and for what is not one. Curves spelled out in numbers are never handed to the platform (CVE-2022-0778).
 */
export function readPublicKey(spki: Uint8Array): PublicKey | Unfit {
  try {
    const [algorithm, key] = asn1.sequence(asn1.onlyElement(spki), 2)
    const { oid, parameters } = algorithmOf(algorithm)
    const isEc = oid === oids.ecPublicKey && parameters?.[0] === asn1.tags.oid
    if (!isEc && oid !== oids.rsaEncryption) return unfit('a key of a kind that is not certified here')
    const object = loaded(spki)
    const weak = weaknessOf(object)
    if (!object || weak) return unfit(weak ?? 'a key that cannot be loaded')
    const strong = isEc && object.asymmetricKeyDetails?.namedCurve !== 'prime256v1'
    const ecAlgorithm = strong ? oids.ecdsaWithSha384 : oids.ecdsaWithSha256
    return {
      kind: 'key',
      type: isEc ? 'ec' : 'rsa',
      object,
      spki: Uint8Array.from(spki),
      identifier: hash('sha256', asn1.bitOctets(key), 'buffer').subarray(0, 20),
      digest: strong ? 'sha384' : 'sha256',
      algorithm: isEc ? algorithmIdentifier(ecAlgorithm) : algorithmIdentifier(oids.sha256WithRsa, nullValue),
    }
  } catch (error) {
    if (error instanceof asn1.Asn1Error) return unfit(error.message)
    throw error
  }
}

function loaded(spki: Uint8Array): KeyObject | undefined {
  try {
    return createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' })
  } catch {
    return undefined
  }
}

function unfit(detail: string): Unfit {
  return { kind: 'unfit', detail }
}

/** A private key of ours with its public half. */
export interface Signer {
  readonly key: KeptKey
  readonly publicKey: PublicKey
}

/**
 * SEQUENCE { what is signed, AlgorithmIdentifier, signature }: the shape of a certificate, a revocation list and a request
 * (RFC 5280 §4.1 and §5.1, RFC 2986 §4.2). Undecided where the key cannot be had now.
 */
export async function signed(
  toBeSigned: Uint8Array,
  { key, publicKey }: Signer,
  arithmetic: Pick<KeyArithmetic, 'signData'>,
): Promise<{ readonly kind: 'made'; readonly der: Uint8Array } | Undecided> {
  const answer = await arithmetic.signData(key, publicKey.digest, toBeSigned)
  if (answer.kind === 'undecided') return answer
  return { kind: 'made', der: sequenceOf(toBeSigned, publicKey.algorithm, bitString(answer.signature)) }
}
