import { createPublicKey, type KeyObject, verify } from 'node:crypto'
import { oids } from '../asn1/oids.js'
import * as asn1 from '../asn1/reader.js'
import { algorithmIdentifier, bitString, sequenceOf } from '../asn1/writer.js'
import type { Certificate } from '../x509/certificate.js'
import type { Algorithm } from '../x509/signature.js'

/**
 * DSA with SHA-1, for NIST's path validation suite alone (`TrustPolicy.allowDsa`): no policy of a gateway sets it, nothing
 * else loads such keys, and FIPS 186-5 withdrew the algorithm.
 */
export function isDsa(certificate: Certificate): boolean {
  return certificate.publicKeyAlgorithm === oids.dsa
}

export function isDsaSignature({ oid }: Algorithm): boolean {
  return oid === oids.dsaWithSha1
}

/** Whether a DSA signature holds under the key of the first certificate of a path. */
export function dsaSignatureHolds(data: Uint8Array, signature: Uint8Array, path: readonly Certificate[]): boolean {
  const key = dsaKeyOf(path)
  try {
    return !!key && verify('sha1', data, key, signature)
  } catch {
    return false
  }
}

/** RFC 5280 §6.1.4 f: a DSA key without parameters has those of the key that issued its certificate. */
function dsaKeyOf(path: readonly Certificate[]): KeyObject | undefined {
  const [holder] = path
  if (!holder || !isDsa(holder)) return undefined
  try {
    const [, bits] = asn1.sequence(asn1.onlyElement(holder.spki))
    for (const certificate of path) {
      if (!isDsa(certificate)) return undefined
      const [, parameters] = asn1.sequence(asn1.sequence(asn1.onlyElement(certificate.spki))[0])
      if (!parameters || parameters.tag === asn1.tags.null) continue
      const spki = sequenceOf(algorithmIdentifier(oids.dsa, asn1.whole(parameters)), bitString(asn1.bitOctets(bits)))
      return createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' })
    }
  } catch {
    return undefined // What OpenSSL cannot load, or what does not parse.
  }
  return undefined
}
