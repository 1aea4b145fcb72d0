import { constants, type KeyObject, verify } from 'node:crypto'
import { oids } from '../asn1/oids.js'
import * as asn1 from '../asn1/reader.js'

/** An AlgorithmIdentifier as certificates and CRLs name it. */
export interface Algorithm {
  readonly oid: string
  /** The whole parameters element, DER. */
  readonly parameters: Uint8Array | undefined
}

/** How a certificate or a CRL was signed. */
export interface SignatureScheme {
  readonly digest: 'md5' | 'sha1' | 'sha224' | 'sha256' | 'sha384' | 'sha512'
  readonly kind: 'rsa' | 'rsa-pss' | 'ecdsa'
  /** RSA-PSS only, in octets. */
  readonly saltLength?: number
}

const schemes: Readonly<Record<string, SignatureScheme>> = {
  [oids.md5WithRsa]: { digest: 'md5', kind: 'rsa' },
  [oids.sha1WithRsa]: { digest: 'sha1', kind: 'rsa' },
  [oids.sha224WithRsa]: { digest: 'sha224', kind: 'rsa' },
  [oids.sha256WithRsa]: { digest: 'sha256', kind: 'rsa' },
  [oids.sha384WithRsa]: { digest: 'sha384', kind: 'rsa' },
  [oids.sha512WithRsa]: { digest: 'sha512', kind: 'rsa' },
  [oids.ecdsaWithSha1]: { digest: 'sha1', kind: 'ecdsa' },
  [oids.ecdsaWithSha224]: { digest: 'sha224', kind: 'ecdsa' },
  [oids.ecdsaWithSha256]: { digest: 'sha256', kind: 'ecdsa' },
  [oids.ecdsaWithSha384]: { digest: 'sha384', kind: 'ecdsa' },
  [oids.ecdsaWithSha512]: { digest: 'sha512', kind: 'ecdsa' },
}

const digests: Readonly<Record<string, SignatureScheme['digest']>> = {
  [oids.md5]: 'md5',
  [oids.sha1]: 'sha1',
  [oids.sha224]: 'sha224',
  [oids.sha256]: 'sha256',
  [oids.sha384]: 'sha384',
  [oids.sha512]: 'sha512',
}

/**
 * Reads a signature algorithm: RSA PKCS#1 v1.5 and RSA-PSS (RFC 4055), ECDSA (RFC 5758). Answers undefined for others and
 * for parameters that do not belong there.
 */
export function schemeOf({ oid, parameters }: Algorithm): SignatureScheme | undefined {
  if (oid === oids.rsassaPss) return pssOf(parameters)
  const scheme = schemes[oid]
  if (!scheme || parameters === undefined) return scheme
  // RFC 4055 §5: NULL, though its absence is common too. RFC 5758 §3.2: absent.
  return scheme.kind === 'rsa' && parameters[0] === asn1.tags.null && parameters.length === 2 ? scheme : undefined
}

/** RSASSA-PSS-params (RFC 4055 §3.1): SHA-1 and a salt of 20 octets where it is silent; MGF1 must use the same digest. */
function pssOf(parameters: Uint8Array | undefined): SignatureScheme | undefined {
  if (!parameters) return undefined
  try {
    let digest: SignatureScheme['digest'] | undefined = 'sha1'
    let mask: SignatureScheme['digest'] | undefined = 'sha1'
    let saltLength = 20
    for (const field of asn1.sequence(asn1.onlyElement(parameters), 4)) {
      const [value] = asn1.children(field, 1)
      if (field.tag === 0xa0) digest = digests[asn1.oid(asn1.sequence(value)[0])]
      else if (field.tag === 0xa1) {
        const [generator, hash] = asn1.sequence(value)
        mask = asn1.oid(generator) === oids.mgf1 ? digests[asn1.oid(asn1.sequence(hash)[0])] : undefined
      } else if (field.tag === 0xa2) saltLength = asn1.smallInteger(value)
      else if (field.tag !== 0xa3 || asn1.smallInteger(value) !== 1) return undefined
    }
    return digest && digest === mask && saltLength <= 512 ? { digest, kind: 'rsa-pss', saltLength } : undefined
  } catch (error) {
    if (error instanceof asn1.Asn1Error) return undefined
    throw error
  }
}

/** Whether `signature` over `data` holds under `key`. A key of the wrong type, or a damaged signature, does not hold. */
export function signatureHolds(
  data: Uint8Array,
  signature: Uint8Array,
  { digest, kind, saltLength }: SignatureScheme,
  key: KeyObject,
): boolean {
  const type = key.asymmetricKeyType
  if (kind === 'ecdsa' ? type !== 'ec' : type !== 'rsa' && !(kind === 'rsa-pss' && type === 'rsa-pss')) return false
  try {
    if (kind !== 'rsa-pss') return verify(digest, data, key, signature)
    const padding = constants.RSA_PKCS1_PSS_PADDING
    return verify(digest, data, { key, padding, saltLength: saltLength ?? 20 }, signature)
  } catch {
    return false // OpenSSL throws where a key's own parameters forbid the digest or the salt.
  }
}

export const keyLimits = {
  /** NIST SP 800-131A; the Applicability Statement asks for 2048. */
  rsaBitsAtLeast: 2048,
  /** Beyond it one verification costs milliseconds, and a message can bring twenty certificates. */
  rsaBitsAtMost: 8192,
  /** Nearly all keys use 65537; a public exponent as long as the modulus makes verification as slow as signing. */
  rsaExponentBelow: 2n ** 33n,
  curves: ['prime256v1', 'secp384r1', 'secp521r1'] as readonly string[],
}

/** What is wrong with a public key, in words, or undefined for one that may be relied on. */
export function weaknessOf(key: KeyObject | undefined, limits = keyLimits): string | undefined {
  if (!key) return 'the public key cannot be loaded'
  const { modulusLength, publicExponent, namedCurve } = key.asymmetricKeyDetails ?? {}
  switch (key.asymmetricKeyType) {
    case 'rsa':
    case 'rsa-pss':
      if (!modulusLength || modulusLength < limits.rsaBitsAtLeast || modulusLength > limits.rsaBitsAtMost)
        return `an RSA key of ${modulusLength ?? 0} bits`
      if (
        !publicExponent ||
        publicExponent < 3n ||
        publicExponent % 2n === 0n ||
        publicExponent >= limits.rsaExponentBelow
      )
        return 'an RSA key with an unusual public exponent'
      return undefined
    case 'ec':
      return namedCurve && limits.curves.includes(namedCurve)
        ? undefined
        : `a key on ${namedCurve ?? 'an unnamed curve'}`
    default:
      return `a key of type ${key.asymmetricKeyType ?? 'unknown'}`
  }
}
