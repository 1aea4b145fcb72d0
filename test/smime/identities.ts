import { type DecryptionKey, privateKeyFrom, type SigningKey } from '../../src/smime/key.js'
import { type Opened, openMessage } from '../../src/smime/open.js'
import { type SealInput, sealMessage } from '../../src/smime/seal.js'
import { readCertificate } from '../../src/x509/certificate.js'
import type { Identity } from '../fixtures/pki.js'

/** An identity with its key ready, to sign with and to open with. */
export function ready({
  certificate,
  pkcs8,
  fingerprint,
}: Pick<Identity, 'certificate' | 'pkcs8' | 'fingerprint'>): DecryptionKey & SigningKey {
  const read = readCertificate(certificate)
  const key = privateKeyFrom(pkcs8)
  if (read.kind === 'malformed' || 'kind' in key) throw new Error('the fixture made an unreadable identity')
  return { id: fingerprint, certificate: read, key, chain: [] }
}

/** Seals and expects success. */
export function sealed(
  message: Uint8Array,
  input: Partial<SealInput> & Pick<SealInput, 'signers' | 'recipients'>,
): Buffer {
  const outcome = sealMessage(message, { outerHeaders: [], at: Date.now(), ...input })
  if (outcome.kind === 'refused') throw new Error(`${outcome.reason}: ${outcome.detail}`)
  return Buffer.from(outcome.wire)
}

/** Opens and expects success. */
export function opened(...input: Parameters<typeof openMessage>): Opened {
  const outcome = openMessage(...input)
  if (outcome.kind === 'refused') throw new Error(`${outcome.reason}: ${outcome.detail}`)
  return outcome
}

/** The DER of the outer CMS structure of a message in base64. */
export function cmsOf(wire: Uint8Array): Buffer {
  const text = Buffer.from(wire).toString('latin1')
  return Buffer.from(text.slice(text.search(/\r?\n\r?\n/)), 'base64')
}

/** A message whose body is this CMS structure. */
export function envelopeOf(cms: Uint8Array): Buffer {
  const lines = Buffer.from(cms).toString('base64').replace(/.{76}/g, '$&\r\n')
  return Buffer.from(`Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: base64\r\n\r\n${lines}\r\n`)
}
