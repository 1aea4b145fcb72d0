import { constants, type KeyObject, type VerifyKeyObjectInput, verify } from 'node:crypto'
import { oids } from '../asn1/oids.js'
import * as asn1 from '../asn1/reader.js'
import type { Digest } from '../direct/signer.js'
import { digestOf, oidName } from './algorithms.js'

/** How a signature is checked: by which kind of key, over which digest. */
export interface Scheme {
  readonly kind: 'scheme'
  readonly signature: 'rsa' | 'rsa-pss' | 'ecdsa'
  readonly digest: Digest
  /** Salt octets of RSASSA-PSS. */
  readonly saltBytes?: number
  /** ECDSA as plain r and s (BSI TR-03111 §5.2.1) rather than a SEQUENCE. */
  readonly plain?: boolean
}

export interface NoScheme {
  readonly kind: 'unsupported' | 'inconsistent'
  readonly detail: string
}

/** Signature algorithms that name their digest: RFC 8017 §A.2.4, RFC 5754 §3, BSI TR-03111. */
const combined: ReadonlyMap<string, { signature: 'rsa' | 'ecdsa'; digest: Digest; plain?: boolean }> = new Map([
  [oids.md5WithRsa, { signature: 'rsa', digest: 'md5' }],
  [oids.sha1WithRsa, { signature: 'rsa', digest: 'sha1' }],
  [oids.sha224WithRsa, { signature: 'rsa', digest: 'sha224' }],
  [oids.sha256WithRsa, { signature: 'rsa', digest: 'sha256' }],
  [oids.sha384WithRsa, { signature: 'rsa', digest: 'sha384' }],
  [oids.sha512WithRsa, { signature: 'rsa', digest: 'sha512' }],
  [oids.ecdsaWithSha1, { signature: 'ecdsa', digest: 'sha1' }],
  [oids.ecdsaWithSha224, { signature: 'ecdsa', digest: 'sha224' }],
  [oids.ecdsaWithSha256, { signature: 'ecdsa', digest: 'sha256' }],
  [oids.ecdsaWithSha384, { signature: 'ecdsa', digest: 'sha384' }],
  [oids.ecdsaWithSha512, { signature: 'ecdsa', digest: 'sha512' }],
  [oids.plainEcdsaSha224, { signature: 'ecdsa', digest: 'sha224', plain: true }],
  [oids.plainEcdsaSha256, { signature: 'ecdsa', digest: 'sha256', plain: true }],
  [oids.plainEcdsaSha384, { signature: 'ecdsa', digest: 'sha384', plain: true }],
  [oids.plainEcdsaSha512, { signature: 'ecdsa', digest: 'sha512', plain: true }],
])

/**
 * The scheme of a SignerInfo from its two algorithms. An algorithm that names another digest than digestAlgorithm is
 * `inconsistent` (RFC 8933 §3.1): which of the two was meant could be chosen by whoever changes the message.
 */
export function schemeOf(oid: string, parameters: Uint8Array | undefined, digest: Digest): Scheme | NoScheme {
  if (oid === oids.rsaEncryption) return { kind: 'scheme', signature: 'rsa', digest }
  if (oid === oids.ecPublicKey) return { kind: 'scheme', signature: 'ecdsa', digest }
  if (oid === oids.rsassaPss) return pssScheme(parameters, digest)
  const found = combined.get(oid)
  if (!found) return { kind: 'unsupported', detail: `signature algorithm ${oidName(oid)}` }
  if (found.digest !== digest) return { kind: 'inconsistent', detail: `${oidName(oid)} over ${digest}` }
  return { kind: 'scheme', ...found }
}

/** RSASSA-PSS-params (RFC 8017 §A.2.3). Absent fields mean SHA-1 and a salt of 20 octets. */
function pssScheme(parameters: Uint8Array | undefined, digest: Digest): Scheme | NoScheme {
  let hash: Digest | undefined = 'sha1'
  let mgfHash: Digest | undefined = 'sha1'
  let saltBytes = 20
  for (const field of parameters ? asn1.sequence(asn1.element(parameters)) : []) {
    const [value] = asn1.children(field)
    if (field.tag === 0xa0) hash = digestOf(asn1.oid(asn1.sequence(value)[0]))
    else if (field.tag === 0xa1) mgfHash = mgfDigest(value)
    else if (field.tag === 0xa2) saltBytes = asn1.smallInteger(value)
    else if (field.tag !== 0xa3 || asn1.smallInteger(value) !== 1)
      return { kind: 'inconsistent', detail: 'PSS trailer' }
  }
  if (!hash || !mgfHash || hash !== mgfHash)
    return { kind: 'unsupported', detail: 'PSS whose mask generation uses another digest' }
  if (hash !== digest) return { kind: 'inconsistent', detail: `PSS with ${hash} over ${digest}` }
  if (saltBytes > 512) return { kind: 'inconsistent', detail: 'PSS salt' }
  return { kind: 'scheme', signature: 'rsa-pss', digest, saltBytes }
}

function mgfDigest(value: asn1.Element | undefined): Digest | undefined {
  const [id, inner] = asn1.sequence(value)
  return asn1.oid(id) === oids.mgf1 ? digestOf(asn1.oid(asn1.sequence(inner)[0])) : undefined
}

/** Whether the signature over `data` is the key's. False for a key of another kind and for any damage; never throws. */
export function signatureHolds(scheme: Scheme, key: KeyObject, data: Uint8Array, signature: Uint8Array): boolean {
  const type = key.asymmetricKeyType
  const fits =
    scheme.signature === 'ecdsa'
      ? type === 'ec'
      : type === 'rsa' || (type === 'rsa-pss' && scheme.signature === 'rsa-pss')
  if (!fits) return false
  try {
    return verify(scheme.digest, data, keyInput(scheme, key), signature)
  } catch {
    return false
  }
}

function keyInput(scheme: Scheme, key: KeyObject): KeyObject | VerifyKeyObjectInput {
  if (scheme.signature === 'rsa-pss')
    return { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: scheme.saltBytes ?? 20 }
  return scheme.plain ? { key, dsaEncoding: 'ieee-p1363' } : key
}
