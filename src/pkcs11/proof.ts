import { constants, createECDH, type KeyObject, publicEncrypt, randomBytes, verify } from 'node:crypto'
import * as asn1 from '../asn1/reader.js'
import type { PrivateKey } from '../ports/keys.js'

/** What a key is to show that it does. */
export interface Proof {
  readonly signs: boolean
  readonly opens: boolean
}

/**
 * Has a private key sign and open what the public key is then asked about. Answers in words what it did not do;
 * undefined where it did all. Throws KeyUnavailable where the key does.
 */
export function unproven(key: PrivateKey, publicKey: KeyObject, { signs, opens }: Proof): string | undefined {
  if (signs && !signsWell(key, publicKey)) return 'what the token signs does not verify under the certificate'
  if (opens && !opensWell(key, publicKey)) return 'the token does not open what is encrypted to the certificate'
  return undefined
}

function signsWell(key: PrivateKey, publicKey: KeyObject): boolean {
  const challenge = randomBytes(32)
  return verify('sha256', challenge, publicKey, key.sign('sha256', challenge, key.type === 'ec' ? 'ecdsa' : 'rsa'))
}

function opensWell(key: PrivateKey, publicKey: KeyObject): boolean {
  return key.type === 'rsa' ? opensRaw(key, publicKey) : agreesWell(key, publicKey)
}

function opensRaw(key: PrivateKey, publicKey: KeyObject): boolean {
  const bytes = Math.ceil((publicKey.asymmetricKeyDetails?.modulusLength ?? 0) / 8)
  const challenge = randomBytes(bytes)
  challenge[0] = 0
  const ciphertext = publicEncrypt({ key: publicKey, padding: constants.RSA_NO_PADDING }, challenge)
  return Buffer.compare(key.rsaRaw(ciphertext), challenge) === 0
}

function agreesWell(key: PrivateKey, publicKey: KeyObject): boolean {
  const spki = asn1.onlyElement(publicKey.export({ format: 'der', type: 'spki' }))
  const point = asn1.bitOctets(asn1.sequence(spki)[1])
  const ours = createECDH(publicKey.asymmetricKeyDetails?.namedCurve ?? '')
  return Buffer.compare(key.agree(ours.generateKeys()), ours.computeSecret(point)) === 0
}
