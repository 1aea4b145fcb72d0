import { createPublicKey, sign } from 'node:crypto'
import { bitString, sequenceOf } from '../../src/asn1/writer.js'
import { ownerCertificate } from '../../src/authority/profile.js'
import { readRequest } from '../../src/authority/request.js'
import { readPublicKey } from '../../src/authority/signing.js'
import type { DirectAddress } from '../../src/direct/address.js'
import { random } from '../directory/worlds.js'
import { dayMs, makeAuthority, makeLeaf } from '../fixtures/pki.js'
import { anna } from './worlds.js'

/**
 * An authority outside that certifies whatever it is asked for, for whomever the test says; without a request it makes
 * the key, too.
 */
export async function requestOwner(request: Uint8Array | undefined, owner: DirectAddress = anna) {
  const root = makeAuthority({ name: 'Outside Root' })
  if (!request) {
    const { certificate, pkcs8 } = makeLeaf(root, { san: { email: [owner] } })
    return { certificate, pkcs8, root: root.certificate }
  }
  const asked = readRequest(request)
  const key = readPublicKey(createPublicKey(root.privateKey).export({ format: 'der', type: 'spki' }))
  if (asked.kind === 'bad' || key.kind === 'unfit') throw new Error('a bad request')
  const now = Date.now()
  const tbs = ownerCertificate({
    serial: Uint8Array.of(1, ...random.bytes(8)),
    owner,
    use: 'both',
    key: asked.key,
    issuer: { name: root.subject, key },
    notBefore: now - dayMs,
    notAfter: now + 365 * dayMs,
  })
  const certificate = sequenceOf(tbs, key.algorithm, bitString(sign(key.digest, tbs, root.privateKey)))
  return { certificate, pkcs8: new Uint8Array(), root: root.certificate }
}
