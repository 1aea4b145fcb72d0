import { createHash } from 'node:crypto'
import { oids } from '../asn1/oids.js'
import {
  algorithmIdentifier,
  context,
  der,
  integer,
  nullValue,
  objectIdentifier,
  octetString,
  sequenceOf,
  setOf,
  timeOf,
} from '../asn1/writer.js'
import type { SigningKey } from './key.js'
import type { SealPolicy } from './policy.js'

const version1 = integer(1)

/** RFC 5754 §2: the parameters of SHA-2 digests are absent. */
const digestAlgorithms = {
  sha256: algorithmIdentifier(oids.sha256),
  sha384: algorithmIdentifier(oids.sha384),
  sha512: algorithmIdentifier(oids.sha512),
}

const ecdsaAlgorithms = {
  sha256: algorithmIdentifier(oids.ecdsaWithSha256),
  sha384: algorithmIdentifier(oids.ecdsaWithSha384),
  sha512: algorithmIdentifier(oids.ecdsaWithSha512),
}

const rsaAlgorithm = algorithmIdentifier(oids.rsaEncryption, nullValue)

function pssAlgorithm(digest: SealPolicy['digest']): Uint8Array {
  const hash = algorithmIdentifier(oids[digest])
  const saltBytes = { sha256: 32, sha384: 48, sha512: 64 }[digest]
  return algorithmIdentifier(
    oids.rsassaPss,
    sequenceOf(context(0, hash), context(1, algorithmIdentifier(oids.mgf1, hash)), context(2, integer(saltBytes))),
  )
}

/**
 * A detached SignedData over `entity`, given in pieces, by every signer (RFC 5652 §5), with the certificates of all of them and their
 * chains. Signed attributes: content type, signing time, digest, and the algorithms themselves (RFC 6211).
 */
export function signDetached(
  entity: readonly Uint8Array[],
  signers: readonly SigningKey[],
  at: number,
  policy: Pick<SealPolicy, 'digest' | 'rsaSignature'>,
): Uint8Array {
  const digest = createHash(policy.digest)
  for (const piece of entity)
    for (let from = 0; from < piece.length; from += chunkBytes) digest.update(piece.subarray(from, from + chunkBytes))
  const messageDigest = digest.digest()
  const infos = signers.map((signer) => signerInfo(messageDigest, signer, at, policy))
  const certificates = new Map<string, Uint8Array>()
  for (const { certificate, chain } of signers)
    for (const one of [certificate.der, ...chain]) certificates.set(Buffer.from(one).toString('latin1'), one)
  return sequenceOf(
    objectIdentifier(oids.signedData),
    context(
      0,
      sequenceOf(
        version1,
        setOf(digestAlgorithms[policy.digest]),
        sequenceOf(objectIdentifier(oids.data)),
        context(0, ...[...certificates.values()].sort(Buffer.compare)),
        setOf(...infos),
      ),
    ),
  )
}

const chunkBytes = 64 * 1024

function signerInfo(
  messageDigest: Uint8Array,
  { certificate, key }: SigningKey,
  at: number,
  { digest, rsaSignature }: Pick<SealPolicy, 'digest' | 'rsaSignature'>,
): Uint8Array {
  const scheme = key.type === 'ec' ? 'ecdsa' : rsaSignature
  const algorithm =
    scheme === 'ecdsa' ? ecdsaAlgorithms[digest] : scheme === 'rsa-pss' ? pssAlgorithm(digest) : rsaAlgorithm
  const attributes = setOf(
    attribute(oids.contentType, objectIdentifier(oids.data)),
    attribute(oids.signingTime, timeOf(at)),
    attribute(oids.messageDigest, octetString(messageDigest)),
    attribute(
      oids.cmsAlgorithmProtection,
      // SEQUENCE { digestAlgorithm, [1] IMPLICIT signatureAlgorithm } (RFC 6211 §2)
      sequenceOf(digestAlgorithms[digest], retagged(algorithm, 0xa1)),
    ),
  )
  const signature = key.sign(digest, attributes, scheme)
  return sequenceOf(
    version1,
    sequenceOf(certificate.issuer, der(0x02, certificate.serial)),
    digestAlgorithms[digest],
    retagged(attributes, 0xa0),
    algorithm,
    octetString(signature),
  )
}

function attribute(type: string, value: Uint8Array): Uint8Array {
  return sequenceOf(objectIdentifier(type), setOf(value))
}

/** The same element under an implicit tag. */
function retagged(element: Uint8Array, tag: number): Uint8Array {
  const copy = Uint8Array.from(element)
  copy[0] = tag
  return copy
}
