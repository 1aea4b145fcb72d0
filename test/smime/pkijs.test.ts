import {
  constants,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  privateDecrypt,
  publicEncrypt,
  type webcrypto,
} from 'node:crypto'
import * as pkijs from 'pkijs'
import { describe, expect, it } from 'vitest'
import { usualSealing } from '../../src/smime/policy.js'
import { unpadPkcs1 } from '../../src/smime/rsa.js'
import { signDetached } from '../../src/smime/sign.js'
import { makeAuthority, makeLeaf } from '../fixtures/pki.js'
import { multipart, signedData, signerInfo } from './craft.js'
import { cmsOf, envelopeOf, opened, ready, sealed } from './identities.js'

/** A second implementation of CMS, written by others, reads what is written here and writes what is read here. */

/** PKI.js knows RSAES-PKCS1-v1_5 by name and WebCrypto does not have it: this adds it. */
class WithPkcs1 extends pkijs.CryptoEngine {
  override async importKey(...args: Parameters<pkijs.CryptoEngine['importKey']>): Promise<webcrypto.CryptoKey> {
    const [format, data, algorithm] = args
    const name = typeof algorithm === 'string' ? algorithm : algorithm.name
    if (name.toUpperCase() !== 'RSAES-PKCS1-V1_5') return super.importKey(...args)
    const key = Buffer.from(data as ArrayBuffer)
    const node =
      format === 'pkcs8'
        ? createPrivateKey({ key, format: 'der', type: 'pkcs8' })
        : createPublicKey({ key, format: 'der', type: 'spki' })
    return {
      algorithm: { name: 'RSAES-PKCS1-v1_5' },
      node,
      usages: args[4],
      extractable: true,
      type: 'public',
    } as never
  }
  override async decrypt(...args: Parameters<pkijs.CryptoEngine['decrypt']>): Promise<ArrayBuffer> {
    const { node } = args[1] as unknown as { node?: KeyObject }
    if (!node) return super.decrypt(...args)
    const block = privateDecrypt({ key: node, padding: constants.RSA_NO_PADDING }, Buffer.from(args[2] as ArrayBuffer))
    return Uint8Array.from(unpadPkcs1(block, Buffer.alloc(32))).buffer as ArrayBuffer
  }
  override async encrypt(...args: Parameters<pkijs.CryptoEngine['encrypt']>): Promise<ArrayBuffer> {
    const { node } = args[1] as unknown as { node?: KeyObject }
    if (!node) return super.encrypt(...args)
    const out = publicEncrypt({ key: node, padding: constants.RSA_PKCS1_PADDING }, Buffer.from(args[2] as ArrayBuffer))
    return Uint8Array.from(out).buffer as ArrayBuffer
  }
}
pkijs.setEngine('node', new WithPkcs1({ name: 'node', crypto: globalThis.crypto }))

const authority = makeAuthority()
const aliceIdentity = makeLeaf(authority, { keyType: 'rsa2048' })
const alice = ready(aliceIdentity)
const entity = Buffer.from('Content-Type: text/plain\r\n\r\nhello\r\n')
const arrayBuffer = (bytes: Uint8Array) => Uint8Array.from(bytes).buffer as ArrayBuffer
const theirs = (der: Uint8Array) => pkijs.Certificate.fromBER(arrayBuffer(der))

describe.each(['rsa2048', 'p256', 'p384', 'p521'] as const)('PKI.js and a key on %s', (keyType) => {
  const bobIdentity = makeLeaf(authority, { keyType })
  const bob = ready(bobIdentity)

  it.each(['AES-CBC', 'AES-CBC 128'])(
    'encrypts with %s what opens here (ECDH with user keying material)',
    async (name) => {
      const signed = multipart(entity, signedData([signerInfo(entity, alice)], [alice.certificate.der]))
      for (const oaep of keyType === 'rsa2048' ? [true, false] : [true]) {
        const envelope = new pkijs.EnvelopedData()
        envelope.addRecipientByCertificate(theirs(bobIdentity.certificate), {
          oaepHashAlgorithm: 'SHA-384',
          useOAEP: oaep,
          kdfAlgorithm: 'SHA-384',
          kekEncryptionLength: 128,
        })
        const length = name.endsWith('128') ? 128 : 256
        await envelope.encrypt({ name: 'AES-CBC', length } as never, arrayBuffer(signed))
        const content = new pkijs.ContentInfo({
          contentType: pkijs.ContentInfo.ENVELOPED_DATA,
          content: envelope.toSchema(),
        })
        const wire = envelopeOf(Buffer.from(content.toSchema().toBER()))
        const outcome = opened(wire, [bob])
        expect(Buffer.from(outcome.entity)).toEqual(entity)
        expect(outcome.keyTransport).toBe(keyType !== 'rsa2048' ? 'ecdh' : oaep ? 'rsa-oaep' : 'rsa-pkcs1-v1.5')
      }
    },
  )

  it('verifies what is signed here', async () => {
    const cms = signDetached([entity], [bob], Date.now(), usualSealing)
    const content = pkijs.ContentInfo.fromBER(arrayBuffer(cms))
    const signed = new pkijs.SignedData({ schema: content.content })
    await expect(signed.verify({ signer: 0, data: arrayBuffer(entity) })).resolves.toBe(true)
    await expect(signed.verify({ signer: 0, data: arrayBuffer(Buffer.from('other')) })).rejects.toThrow('digest')
  })

  // PKI.js derives another key where there is no user keying material, so that only RSA can be compared this way.
  it.runIf(keyType === 'rsa2048')('decrypts what is encrypted here', async () => {
    for (const rsaTransport of ['oaep-sha256', 'oaep-sha1', 'pkcs1-v1.5'] as const) {
      const wire = sealed(entity, { signers: [alice], recipients: [bobIdentity.certificate], policy: { rsaTransport } })
      const content = pkijs.ContentInfo.fromBER(arrayBuffer(cmsOf(wire)))
      const envelope = new pkijs.EnvelopedData({ schema: content.content })
      const plain = await envelope.decrypt(0, {
        recipientCertificate: theirs(bobIdentity.certificate),
        recipientPrivateKey: arrayBuffer(bobIdentity.pkcs8),
      })
      expect(Buffer.from(plain).includes(entity)).toBe(true)
    }
  })
})
