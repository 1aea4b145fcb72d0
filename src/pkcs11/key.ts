import { createHash, ECDH, hash, type KeyObject } from 'node:crypto'
import { oids } from '../asn1/oids.js'
import { algorithmIdentifier, integer, nullValue, octetString, sequenceOf } from '../asn1/writer.js'
import { KeyUnavailable, type PrivateKey } from '../ports/keys.js'
import { cka, ckdNull, ckg, ckk, ckm, cko, ckr } from './codes.js'
import { CryptokiFailed, type Mechanism } from './cryptoki.js'
import type { FoundKey, WithKey } from './tokens.js'

type Digest = Parameters<PrivateKey['sign']>[0]

const digestBytes = { sha256: 32, sha384: 48, sha512: 64 } as const

/** What the token says of bytes that it cannot work with; everything else is a failure of its own. */
const dataCodes: readonly number[] = [
  ckr.dataInvalid,
  ckr.dataLenRange,
  ckr.encryptedDataInvalid,
  ckr.encryptedDataLenRange,
]

const curves: Readonly<Record<string, { readonly name: string; readonly fieldBytes: number }>> = {
  prime256v1: { name: 'prime256v1', fieldBytes: 32 },
  secp384r1: { name: 'secp384r1', fieldBytes: 48 },
  secp521r1: { name: 'secp521r1', fieldBytes: 66 },
}

/**
 * A private key that does its arithmetic in a token, with this public half: RSA, or EC on P-256, P-384 or P-521. Throws
 * KeyUnavailable for any other key, and wherever the token fails.
 */
export function tokenKey(publicKey: KeyObject, withKey: WithKey): PrivateKey {
  if (publicKey.asymmetricKeyType === 'rsa') return rsaKey(publicKey, withKey)
  const curve = curves[publicKey.asymmetricKeyDetails?.namedCurve ?? '']
  if (publicKey.asymmetricKeyType === 'ec' && curve) return ecKey(curve, withKey)
  throw new KeyUnavailable(`a key of type ${publicKey.asymmetricKeyType} is not used here`)
}

function rsaKey(publicKey: KeyObject, withKey: WithKey): PrivateKey {
  const modulus = Buffer.from(publicKey.export({ format: 'jwk' }).n ?? '', 'base64url')

  /** RFC 8017 §5.1.2: all octets of the modulus length; the padding is looked at elsewhere, in a time that tells nothing. */
  function rsaRaw(ciphertext: Uint8Array): Uint8Array {
    if (ciphertext.length !== modulus.length || Buffer.compare(ciphertext, modulus) >= 0)
      throw new RangeError('the ciphertext is not below the modulus')
    const block = withKey(({ cryptoki, session, object, authenticate }) =>
      passingData(() => cryptoki.decrypt(session, { type: ckm.rsaX509 }, object, ciphertext, authenticate)),
    )
    return widened(block, modulus.length)
  }

  const secret = once(() => rejectionSecret(rsaRaw(fixedInput(modulus.length))))
  return {
    type: 'rsa',
    rsaRaw,
    agree: () => {
      throw new Error('an RSA key agrees on nothing')
    },
    sign(digest, data, scheme) {
      if (scheme === 'ecdsa') throw new Error('an RSA key makes no ECDSA signature')
      const digested = createHash(digest).update(data).digest()
      return withKey((key) =>
        scheme === 'rsa-pss'
          ? signed(key, pss(key, digest), digested)
          : signed(key, { type: ckm.rsaPkcs }, digestInfo(digest, digested)),
      )
    },
    get rejectionSecret() {
      return secret()
    },
  }
}

function ecKey(
  { name, fieldBytes }: { readonly name: string; readonly fieldBytes: number },
  withKey: WithKey,
): PrivateKey {
  function agree(publicPoint: Uint8Array): Uint8Array {
    // Throws for a point off the curve, before the token could be asked to work with it.
    const point = ECDH.convertKey(publicPoint, name, undefined, undefined, 'uncompressed') as Buffer
    return withKey((key) => {
      try {
        return derived(key, point, fieldBytes)
      } catch (error) {
        // Some modules take the point in an OCTET STRING only, as CKA_EC_POINT has it.
        if (!(error instanceof CryptokiFailed) || error.code !== ckr.mechanismParamInvalid) throw error
        return derived(key, octetString(point), fieldBytes)
      }
    })
  }

  const secret = once(() => rejectionSecret(agree(fixedPoint(name, fieldBytes))))
  return {
    type: 'ec',
    rsaRaw: () => {
      throw new Error('an EC key has no RSA operation')
    },
    agree,
    sign(digest, data, scheme) {
      if (scheme !== 'ecdsa') throw new Error('an EC key makes ECDSA signatures only')
      // FIPS 186-4 §6.4: the leftmost bits, as many as the order has.
      const digested = createHash(digest).update(data).digest().subarray(0, fieldBytes)
      const both = withKey((key) => signed(key, { type: ckm.ecdsa }, digested))
      const half = both.length / 2
      return sequenceOf(integer(both.subarray(0, half)), integer(both.subarray(half)))
    },
    get rejectionSecret() {
      return secret()
    },
  }
}

function signed({ cryptoki, session, object, authenticate }: FoundKey, mechanism: Mechanism, data: Uint8Array) {
  return cryptoki.sign(session, mechanism, object, data, authenticate)
}

/** CK_RSA_PKCS_PSS_PARAMS: digest, mask generation by the same, salt as long as the digest. */
function pss({ cryptoki }: FoundKey, digest: Digest): Mechanism {
  return { type: ckm.rsaPkcsPss, parameter: cryptoki.structure(ckm[digest], ckg[digest], digestBytes[digest]) }
}

const digestOids = { sha256: oids.sha256, sha384: oids.sha384, sha512: oids.sha512 } as const

/** DigestInfo (RFC 8017 §9.2, step 2). */
function digestInfo(digest: Digest, digested: Uint8Array): Uint8Array {
  return sequenceOf(algorithmIdentifier(digestOids[digest], nullValue), octetString(digested))
}

/** The x coordinate of the shared point (CKM_ECDH1_DERIVE without key derivation), taken out of a session object. */
function derived({ cryptoki, session, object }: FoundKey, point: Uint8Array, fieldBytes: number): Uint8Array {
  const parameter = cryptoki.structure(ckdNull, 0, 0, point.length, point)
  const made = cryptoki.derive(session, { type: ckm.ecdh1Derive, parameter }, object, [
    [cka.class, cko.secretKey],
    [cka.keyType, ckk.genericSecret],
    [cka.token, false],
    [cka.sensitive, false],
    [cka.extractable, true],
    [cka.valueLen, fieldBytes],
  ])
  try {
    const value = cryptoki.attribute(session, made, cka.value)
    if (!value) throw new KeyUnavailable('the token keeps the agreed secret to itself')
    return widened(value, fieldBytes)
  } finally {
    cryptoki.destroy(session, made)
  }
}

/** Some modules leave leading zero octets out. */
function widened(bytes: Uint8Array, length: number): Uint8Array {
  if (bytes.length === length) return bytes
  if (bytes.length > length) throw new KeyUnavailable('the token answered with more octets than there are')
  const all = new Uint8Array(length)
  all.set(bytes, length - bytes.length)
  return all
}

function passingData<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (error instanceof CryptokiFailed && dataCodes.includes(error.code)) throw new RangeError(error.message)
    throw error
  }
}

const label = 'direct-gateway implicit rejection'

/** A number below every modulus of this length that no padding of a message or a signature makes. */
function fixedInput(length: number): Uint8Array {
  const input = Buffer.alloc(length)
  for (let at = 1, n = 0; at < length; at += 32, n++)
    input.set(hash('sha256', `${label} ${n}`, 'buffer').subarray(0, length - at), at)
  return input
}

/** A point whose discrete logarithm nobody knows, so that the agreement with it is a secret of the key. */
function fixedPoint(curve: string, fieldBytes: number): Uint8Array {
  for (let n = 0; ; n++) {
    const x = hash('sha512', `${label} ${curve} ${n}`, 'buffer')
    const point = Buffer.concat([
      Buffer.of(2),
      Buffer.alloc(Math.max(0, fieldBytes - x.length)),
      x.subarray(0, fieldBytes),
    ])
    try {
      return ECDH.convertKey(point, curve, undefined, undefined, 'uncompressed') as Buffer
    } catch {
      // About every second number is the x coordinate of no point.
    }
  }
}

function rejectionSecret(result: Uint8Array): Uint8Array {
  return createHash('sha256').update(label).update(result).digest()
}

function once<T>(make: () => T): () => T {
  let made: T | undefined
  return () => (made ??= make())
}
