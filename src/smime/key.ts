import {
  constants,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  type KeyObject,
  privateDecrypt,
  sign,
} from 'node:crypto'
import { oids } from '../asn1/oids.js'
import { algorithmIdentifier, bitString, objectIdentifier, sequenceOf } from '../asn1/writer.js'
import type { PrivateKey } from '../ports/keys.js'
import type { Certificate } from '../x509/certificate.js'
import { type Curve, curves } from './agreement.js'

/** A key that mail may be encrypted to, ready for use. */
export interface DecryptionKey {
  readonly id: string
  readonly certificate: Certificate
  readonly key: PrivateKey
}

/** A key that signs, with what is sent along. */
export interface SigningKey {
  readonly certificate: Certificate
  /** Further certificates up to, not including, the anchor; DER. */
  readonly chain: readonly Uint8Array[]
  readonly key: PrivateKey
}

export interface MalformedKey {
  readonly kind: 'malformed'
  readonly detail: string
}

/**
 * Loads an unencrypted PKCS#8 key (RFC 5958): RSA, or EC on P-256, P-384 or P-521. Answers `malformed` for anything
 * else. The key stays inside node:crypto.
 */
export function privateKeyFrom(pkcs8: Uint8Array): PrivateKey | MalformedKey {
  let key: KeyObject
  try {
    key = createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' })
  } catch {
    return { kind: 'malformed', detail: 'not a PKCS#8 private key' }
  }
  // Stable for a key however it is stored, so that the same bad ciphertext fails the same way every time.
  const rejectionSecret = createHmac('sha256', 'direct-gateway implicit rejection').update(pkcs8).digest()
  const type = key.asymmetricKeyType
  if (type === 'rsa') return rsaKey(key, rejectionSecret)
  const curve = curves.find(({ openssl }) => openssl === key.asymmetricKeyDetails?.namedCurve)
  if (type === 'ec' && curve) return ecKey(key, curve, rejectionSecret)
  return { kind: 'malformed', detail: `a key of type ${type} is not used here` }
}

function rsaKey(key: KeyObject, rejectionSecret: Uint8Array): PrivateKey {
  const raw = { key, padding: constants.RSA_NO_PADDING }
  const pss = { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
  return {
    type: 'rsa',
    rsaRaw: (ciphertext) => privateDecrypt(raw, ciphertext),
    agree: () => {
      throw new Error('an RSA key agrees on nothing')
    },
    sign: (digest, data, scheme) => {
      if (scheme === 'ecdsa') throw new Error('an RSA key makes no ECDSA signature')
      return sign(digest, data, scheme === 'rsa-pss' ? pss : key)
    },
    rejectionSecret,
  }
}

function ecKey(key: KeyObject, curve: Curve, rejectionSecret: Uint8Array): PrivateKey {
  return {
    type: 'ec',
    rsaRaw: () => {
      throw new Error('an EC key has no RSA operation')
    },
    agree: (publicPoint) =>
      diffieHellman({
        privateKey: key,
        publicKey: createPublicKey({
          key: Buffer.from(publicKeyInfo(curve, publicPoint)),
          format: 'der',
          type: 'spki',
        }),
      }),
    sign: (digest, data, scheme) => {
      if (scheme !== 'ecdsa') throw new Error('an EC key makes ECDSA signatures only')
      return sign(digest, data, key)
    },
    rejectionSecret,
  }
}

/** SubjectPublicKeyInfo of a point (RFC 5480 §2). */
export function publicKeyInfo(curve: Curve, point: Uint8Array): Uint8Array {
  return sequenceOf(algorithmIdentifier(oids.ecPublicKey, objectIdentifier(curve.oid)), bitString(point))
}
