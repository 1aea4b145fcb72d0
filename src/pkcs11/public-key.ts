import { createPublicKey } from 'node:crypto'
import { oids } from '../asn1/oids.js'
import * as asn1 from '../asn1/reader.js'
import { algorithmIdentifier, bitString, integer, nullValue, sequenceOf } from '../asn1/writer.js'
import { cka, ckk, cko } from './codes.js'
import type { Cryptoki } from './cryptoki.js'

/**
 * SubjectPublicKeyInfo of a key in a token, DER, from its own attributes or those of the public key with the same CKA_ID.
 * Undefined where the token does not tell, or tells what is no key.
 */
export function publicKeyOfToken(cryptoki: Cryptoki, session: number, object: number): Uint8Array | undefined {
  const type = cryptoki.attribute(session, object, cka.keyType)
  const id = cryptoki.attribute(session, object, cka.id)
  const publicHalf =
    id &&
    cryptoki.find(
      session,
      [
        [cka.class, cko.publicKey],
        [cka.id, id],
      ],
      1,
    )[0]
  const told = (attribute: number) => {
    for (const one of [object, publicHalf]) {
      const value = one === undefined ? undefined : cryptoki.attribute(session, one, attribute)
      if (value && value.length > 0) return value
    }
    return undefined
  }
  const spki = type && written(Number(Buffer.from(type).readUIntLE(0, Math.min(6, type.length))), told)
  try {
    if (spki) createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' })
    return spki
  } catch {
    return undefined
  }
}

function written(type: number, told: (attribute: number) => Uint8Array | undefined): Uint8Array | undefined {
  if (type === ckk.rsa) {
    const [modulus, exponent] = [told(cka.modulus), told(cka.publicExponent)]
    if (!modulus || !exponent) return undefined
    return sequenceOf(
      algorithmIdentifier(oids.rsaEncryption, nullValue),
      bitString(sequenceOf(integer(modulus), integer(exponent))),
    )
  }
  const [parameters, point] = [told(cka.ecParams), told(cka.ecPoint)]
  if (type !== ckk.ec || !parameters || !point) return undefined
  return sequenceOf(algorithmIdentifier(oids.ecPublicKey, parameters), bitString(unwrapped(point)))
}

/** CKA_EC_POINT is an OCTET STRING around the point; some modules leave it out. */
function unwrapped(point: Uint8Array): Uint8Array {
  try {
    return asn1.content(asn1.expect(asn1.onlyElement(point), asn1.tags.octetString))
  } catch {
    return point
  }
}
