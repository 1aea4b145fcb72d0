import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { oids } from '../asn1/oids.js'
import { tags } from '../asn1/reader.js'
import {
  algorithmIdentifier,
  bitString,
  context,
  contextPrimitive,
  der,
  integer,
  nullValue,
  objectIdentifier,
  octetString,
  sequenceOf,
  setOf,
} from '../asn1/writer.js'
import type { DirectAddress, DirectDomain } from '../direct/address.js'
import type { MalformedKey } from './key.js'

export interface CertificateRequest {
  readonly kind: 'request'
  /** Unencrypted PKCS #8 of the key that asks. */
  readonly pkcs8: Uint8Array
  /** PKCS #10, DER. */
  readonly request: Uint8Array
  /** The same in PEM. */
  readonly pem: string
}

/** Makes an RSA key and asks for its certificate. */
export function newRequest(owner: DirectAddress | DirectDomain, bits: 2048 | 3072 = 2048): CertificateRequest {
  return requestBy(generateKeyPairSync('rsa', { modulusLength: bits }).privateKey, owner)
}

/** Asks for a certificate of a key that is already there (PKCS #8, RSA or EC): a renewal. */
export function requestFor(pkcs8: Uint8Array, owner: DirectAddress | DirectDomain): CertificateRequest | MalformedKey {
  let key: KeyObject
  try {
    key = createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' })
  } catch {
    return { kind: 'malformed', detail: 'not a PKCS#8 private key' }
  }
  if (key.asymmetricKeyType !== 'rsa' && key.asymmetricKeyType !== 'ec')
    return { kind: 'malformed', detail: `a key of type ${key.asymmetricKeyType} is not used here` }
  return requestBy(key, owner)
}

/**
 * CertificationRequest (RFC 2986 §4) with what a Direct certificate has: the address as rfc822Name or the domain as
 * dNSName, use for signatures and for keys, and e-mail protection.
 */
function requestBy(key: KeyObject, owner: DirectAddress | DirectDomain): CertificateRequest {
  const rsa = key.asymmetricKeyType === 'rsa'
  const name = Buffer.from(owner, 'latin1')
  const extensions = sequenceOf(
    extension(oids.subjectAltName, sequenceOf(contextPrimitive(owner.includes('@') ? 1 : 2, name))),
    // digitalSignature, and keyEncipherment for RSA or keyAgreement for EC (RFC 5280 §4.2.1.3)
    extension(oids.keyUsage, der(tags.bitString, rsa ? Uint8Array.of(5, 0xa0) : Uint8Array.of(3, 0x88)), true),
    extension(oids.extendedKeyUsage, sequenceOf(objectIdentifier(oids.emailProtection))),
  )
  const info = sequenceOf(
    integer(0),
    sequenceOf(setOf(sequenceOf(objectIdentifier('2.5.4.3'), der(tags.utf8String, name.subarray(0, 64))))),
    createPublicKey(key).export({ format: 'der', type: 'spki' }),
    context(0, sequenceOf(objectIdentifier('1.2.840.113549.1.9.14'), setOf(extensions))),
  )
  const algorithm = rsa ? algorithmIdentifier(oids.sha256WithRsa, nullValue) : algorithmIdentifier(oids.ecdsaWithSha256)
  const request = sequenceOf(info, algorithm, bitString(sign('sha256', info, key)))
  const lines = Buffer.from(request)
    .toString('base64')
    .replace(/.{64}(?=.)/g, '$&\n')
  return {
    kind: 'request',
    pkcs8: key.export({ format: 'der', type: 'pkcs8' }),
    request,
    pem: `-----BEGIN CERTIFICATE REQUEST-----\n${lines}\n-----END CERTIFICATE REQUEST-----\n`,
  }
}

function extension(oid: string, value: Uint8Array, critical = false): Uint8Array {
  const fields = [
    objectIdentifier(oid),
    ...(critical ? [der(tags.boolean, Uint8Array.of(0xff))] : []),
    octetString(value),
  ]
  return sequenceOf(...fields)
}
