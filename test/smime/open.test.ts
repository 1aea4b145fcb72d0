import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { oids } from '../../src/asn1/oids.js'
import * as asn1 from '../../src/asn1/reader.js'
import {
  algorithmIdentifier,
  context,
  contextPrimitive,
  nullValue,
  objectIdentifier,
  octetString,
  sequenceOf,
} from '../../src/asn1/writer.js'
import type { RefusalReason } from '../../src/direct/refusal.js'
import { type Opened, openLarge, openMessage } from '../../src/smime/open.js'
import { readCertificate } from '../../src/x509/certificate.js'
import { makeAuthority, makeIntermediate, makeLeaf } from '../fixtures/pki.js'
import {
  attribute,
  attributeSet,
  type CraftedSigner,
  damaged,
  enveloped,
  envelopedCms,
  multipart,
  noise,
  opaque,
  signedData,
  signerInfo,
  withRecipients,
} from './craft.js'
import { cmsOf, envelopeOf, opened, ready, sealed } from './identities.js'

const authority = makeAuthority()
const aliceIdentity = makeLeaf(authority, { keyType: 'rsa2048' })
const alice = ready(aliceIdentity)
const carol = ready(makeLeaf(authority, { keyType: 'p256' }))
const bobIdentity = makeLeaf(authority, { keyType: 'rsa2048' })
const bob = ready(bobIdentity)
const daveIdentity = makeLeaf(authority, { keyType: 'p384' })
const dave = ready(daveIdentity)

const entity = Buffer.from('Content-Type: text/plain\r\n\r\nPay the bearer ten pounds.\r\n')
const certificates = [alice.certificate.der, carol.certificate.der]

/** A detached signature of alice, encrypted to bob. */
const detached = (options: CraftedSigner = {}, shown: Uint8Array = entity) =>
  enveloped(multipart(shown, signedData([signerInfo(entity, alice, options)], certificates)), [bobIdentity])
const open = (wire: Uint8Array) => openMessage(wire, [bob])
const expectRefused = (wire: Uint8Array, reason: RefusalReason) =>
  expect(open(wire)).toMatchObject({ kind: 'refused', reason })
const expectOpened = (wire: Uint8Array): Opened => {
  const outcome = opened(wire, [bob])
  expect(Buffer.from(outcome.entity)).toEqual(entity)
  return outcome
}

describe('a signed and encrypted message', () => {
  it('opens to exactly the signed bytes, with what was found on the way', () => {
    const outcome = expectOpened(detached())
    expect(outcome).toMatchObject({
      kind: 'opened',
      keyId: bob.id,
      contentCipher: 'aes-256-cbc',
      keyTransport: 'rsa-oaep',
      detached: true,
      signers: [{ kind: 'verified', digest: 'sha256', signature: 'rsa' }],
    })
    expect(outcome.certificates.map((one) => Buffer.from(one))).toEqual(certificates.map((one) => Buffer.from(one)))
  })

  it('leaves the bytes that were given as they are', () => {
    const cms = cmsOf(detached())
    const binary = Buffer.concat([
      Buffer.from('Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: binary\r\n\r\n'),
      cms,
    ])
    const before = Buffer.from(binary)
    expectOpened(binary)
    expect(binary).toEqual(before)
  })

  it('may have a short preamble, which is dropped', () => {
    const signature = signedData([signerInfo(entity, alice)], certificates)
    expectOpened(
      enveloped(multipart(entity, signature, { before: 'This is an S/MIME signed message\r\n\r\n' }), [bobIdentity]),
    )
  })
})

describe('the whole of what was decrypted must be signed', () => {
  const signature = signedData([signerInfo(entity, alice)], certificates)
  const signed = multipart(entity, signature)
  it.each<[string, Buffer, RefusalReason]>([
    ['plain text', entity, 'not-signed'],
    ['text without a header', Buffer.from('hello, world\r\n'), 'not-signed'],
    ['nothing', Buffer.alloc(0), 'not-signed'],
    ['text after the signature', multipart(entity, signature, { after: 'Pay him more.\r\n' }), 'malformed-signature'],
    [
      'another part after the signature',
      multipart(entity, signature, { after: '--b\r\n\r\nmore\r\n--b--\r\n' }),
      'malformed-signature',
    ],
    [
      'a long text before the signed part',
      multipart(entity, signature, { before: 'x'.repeat(5_000) }),
      'malformed-signature',
    ],
    [
      'a signed part beside an unsigned one',
      Buffer.concat([
        Buffer.from('Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n'),
        signed,
        Buffer.from('\r\n--o\r\n\r\nunsigned\r\n--o--\r\n'),
      ]),
      'not-signed',
    ],
    [
      'a signature that brings its own content',
      multipart(
        Buffer.from('Content-Type: text/plain\r\n\r\nother'),
        signedData([signerInfo(entity, alice)], certificates, { content: entity }),
      ),
      'malformed-signature',
    ],
    ['a second envelope', enveloped(signed, [bobIdentity]), 'not-signed'],
    ['an opaque signature without content', opaque(signature), 'malformed-signature'],
    ['a signature by nobody', multipart(entity, signedData([], certificates)), 'not-signed'],
    ['an opaque signature by nobody', opaque(signedData([], certificates, { content: entity })), 'not-signed'],
    ['noise for a signature', multipart(entity, noise(200)), 'malformed-signature'],
    [
      'no signature',
      Buffer.from(
        'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n',
      ),
      'malformed-signature',
    ],
    [
      'nine signers',
      multipart(entity, signedData(Array(9).fill(signerInfo(entity, alice)), certificates)),
      'malformed-signature',
    ],
    ['two Content-Types', Buffer.concat([Buffer.from('Content-Type: text/plain\r\n'), signed]), 'not-signed'],
  ])('refuses %s', (_, content, reason) => {
    expectRefused(enveloped(content, [bobIdentity]), reason)
  })

  it('opens an opaque signature to its content', () => {
    expect(
      expectOpened(
        enveloped(opaque(signedData([signerInfo(entity, alice)], certificates, { content: entity })), [bobIdentity]),
      ).detached,
    ).toBe(false)
  })

  it('decrypts nothing below the top level', () => {
    const inner = detached()
    expectRefused(
      Buffer.concat([
        Buffer.from('Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n'),
        inner,
        Buffer.from('\r\n--o--\r\n'),
      ]),
      'not-encrypted',
    )
    expectRefused(Buffer.concat([Buffer.from('Content-Type: text/html\r\n'), inner]), 'not-encrypted')
    expectRefused(Buffer.from('Subject: none\r\n\r\nhello\r\n'), 'not-encrypted')
    expectRefused(Buffer.alloc(0), 'not-encrypted')
  })
})

describe('a signature', () => {
  const set = (...attributes: CraftedSigner['attributes'] & object) => ({ attributes }) as CraftedSigner
  const protection = (digest: string, signature: string) =>
    [
      oids.cmsAlgorithmProtection,
      sequenceOf(algorithmIdentifier(digest), context(1, objectIdentifier(signature), nullValue)),
    ] as const
  const named = (hash: Buffer, ...more: Uint8Array[]) =>
    [oids.signingCertificateV2, sequenceOf(sequenceOf(sequenceOf(...more, octetString(hash))))] as const
  const sha = (name: string, bytes: Uint8Array) => createHash(name).update(bytes).digest()
  const usual = [attribute.contentType(), attribute.digest(entity)]

  it.each<[string, CraftedSigner]>([
    ['without signed attributes', { attributes: false }],
    ['with its own algorithms protected', set(...usual, protection(oids.sha256, oids.rsaEncryption))],
    ['that names its certificate', set(...usual, named(sha('sha256', alice.certificate.der)))],
    [
      'that names its certificate by another digest',
      set(...usual, named(sha('sha512', alice.certificate.der), algorithmIdentifier(oids.sha512))),
    ],
    [
      'with a signature algorithm that names the digest',
      { signatureAlgorithm: algorithmIdentifier(oids.sha256WithRsa, nullValue) },
    ],
    ['with NULL digest parameters', { digestAlgorithm: algorithmIdentifier(oids.sha256, nullValue) }],
    ['with an unreadable signing time', set(...usual, [oids.signingTime, octetString(Buffer.from('now'))])],
    ['whose attributes are signed and sent unsorted', { order: { signed: 'reversed', sent: 'reversed' } }],
    ['whose attributes are sent in another order than signed', { order: { signed: 'sorted', sent: 'reversed' } }],
    ['with attributes that nobody knows', set(...usual, ['1.2.3.4', nullValue, nullValue])],
  ])('%s verifies', (_, options) => {
    expectOpened(detached(options))
  })

  it.each<[string, RefusalReason, CraftedSigner]>([
    [
      'over another content type',
      'malformed-signature',
      set(attribute.contentType(oids.signedData), attribute.digest(entity)),
    ],
    ['without a content type', 'malformed-signature', set(attribute.digest(entity))],
    ['without a digest', 'malformed-signature', set(attribute.contentType())],
    [
      'with two content types',
      'malformed-signature',
      set(attribute.contentType(), attribute.contentType(), attribute.digest(entity)),
    ],
    [
      'with two digests in one attribute',
      'malformed-signature',
      set(attribute.contentType(), [...attribute.digest(entity), octetString(noise(32))]),
    ],
    [
      'with an empty digest',
      'signature-invalid',
      set(attribute.contentType(), [oids.messageDigest, octetString(Buffer.alloc(0))]),
    ],
    [
      'with the digest of something else',
      'signature-invalid',
      set(attribute.contentType(), attribute.digest(noise(3))),
    ],
    [
      'whose protected digest is another',
      'signature-invalid',
      set(...usual, protection(oids.sha512, oids.rsaEncryption)),
    ],
    [
      'whose protected algorithm is another',
      'signature-invalid',
      set(...usual, protection(oids.sha256, oids.rsassaPss)),
    ],
    ['that names another certificate', 'signature-invalid', set(...usual, named(sha('sha256', carol.certificate.der)))],
    [
      'by an algorithm for another digest',
      'malformed-signature',
      { signatureAlgorithm: algorithmIdentifier(oids.sha512WithRsa, nullValue) },
    ],
    ['by an algorithm nobody knows', 'unsupported-algorithm', { signatureAlgorithm: algorithmIdentifier('1.2.3.4') }],
    [
      'by ECDSA with an RSA key',
      'signature-invalid',
      { signatureAlgorithm: algorithmIdentifier(oids.ecdsaWithSha256) },
    ],
    ['by PSS that is PKCS#1 v1.5', 'malformed-signature', { signatureAlgorithm: algorithmIdentifier(oids.rsassaPss) }],
    [
      'with a digest nobody knows',
      'unsupported-algorithm',
      { digestAlgorithm: algorithmIdentifier('2.16.840.1.101.3.4.2.8') },
    ],
    ['with MD5', 'weak-digest', { digestAlgorithm: algorithmIdentifier(oids.md5) }],
    ['with SHA-1', 'weak-digest', { digestAlgorithm: algorithmIdentifier(oids.sha1) }],
    ['of noise', 'signature-invalid', { signature: () => noise(256) }],
    ['of nothing', 'signature-invalid', { signature: () => Buffer.alloc(0) }],
    ['of zeros', 'signature-invalid', { signature: () => Buffer.alloc(256) }],
    ['one bit off', 'signature-invalid', { signature: damaged }],
    ['by a certificate that is not there', 'signer-certificate-missing', { sid: contextPrimitive(0, noise(20)) }],
    ['by an identifier of no kind', 'signer-certificate-missing', { sid: contextPrimitive(5, noise(20)) }],
  ])('%s is %s', (_, reason, options) => {
    expectRefused(detached(options), reason)
  })

  it('over a message that got a header on the way is invalid', () => {
    expectRefused(detached({}, Buffer.concat([Buffer.from('X-Added: later\r\n'), entity])), 'signature-invalid')
  })

  it('over lines with CRLF does not hold for lines with LF', () => {
    expectRefused(detached({}, Buffer.from(entity.toString().replaceAll('\r\n', '\n'))), 'signature-invalid')
  })

  it('of signed attributes is not one of a content that looks like them', () => {
    const content = attributeSet([attribute.contentType(), attribute.digest(entity)])
    const bare = signerInfo(content, alice, { attributes: false })
    const outcome = open(enveloped(opaque(signedData([bare], certificates, { content })), [bobIdentity]))
    expect(outcome).toMatchObject({ kind: 'refused', reason: 'malformed-signature' })
  })

  it('needs signed attributes for any content but data', () => {
    const type = '1.2.3.4'
    const bare = signedData([signerInfo(entity, alice, { attributes: false })], certificates, { content: entity, type })
    expectRefused(enveloped(opaque(bare), [bobIdentity]), 'malformed-signature')
    const full = signerInfo(entity, alice, { attributes: [attribute.contentType(type), attribute.digest(entity)] })
    expectOpened(enveloped(opaque(signedData([full], certificates, { content: entity, type })), [bobIdentity]))
  })

  it('by a key on a curve that Direct does not use is not looked at', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'secp256k1' })
    const { certificate } = makeLeaf(authority, { keyType: 'p256', key: { privateKey } })
    const read = readCertificate(certificate)
    if (read.kind === 'malformed') throw new Error(read.detail)
    const key = { ...carol.key, sign: (digest: string, data: Uint8Array) => sign(digest, data, privateKey) }
    const info = signerInfo(entity, { certificate: read, chain: [], key })
    expectRefused(
      enveloped(multipart(entity, signedData([info], [certificate])), [bobIdentity]),
      'unsupported-algorithm',
    )
  })

  it('by plain ECDSA verifies', () => {
    const plain = (signature: Uint8Array) => {
      const rs = [signature.subarray(4, 4 + (signature[3] as number)), signature.subarray(6 + (signature[3] as number))]
      return Buffer.concat(rs.map((part) => Buffer.concat([Buffer.alloc(32), part]).subarray(-32)))
    }
    const info = signerInfo(entity, carol, {
      signature: plain,
      signatureAlgorithm: algorithmIdentifier(oids.plainEcdsaSha256),
    })
    expect(
      expectOpened(enveloped(multipart(entity, signedData([info], certificates)), [bobIdentity])).signers,
    ).toMatchObject([{ kind: 'verified', signature: 'ecdsa' }])
  })

  it('with exponent 3 cannot be forged by filling up with garbage', () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 3 })
    const signer = ready(makeLeaf(authority, { key: { privateKey } }))
    const forge = () => {
      const start = `0001ffffffffffffffff003031300d060960864801650304020105000420${sha('sha256', entity).toString('hex')}`
      const root = cubeRoot(BigInt(`0x${start.padEnd(512, 'f')}`))
      expect((root ** 3n).toString(16).padStart(512, '0').startsWith(start)).toBe(true)
      return Buffer.from(root.toString(16).padStart(512, '0'), 'hex')
    }
    const forged = signerInfo(entity, signer, { attributes: false, signature: forge })
    const honest = signerInfo(entity, signer, { attributes: false })
    const bag = [signer.certificate.der]
    expectRefused(enveloped(multipart(entity, signedData([forged], bag)), [bobIdentity]), 'signature-invalid')
    expectOpened(enveloped(multipart(entity, signedData([honest], bag)), [bobIdentity]))
  })
})

function cubeRoot(target: bigint): bigint {
  let low = 0n
  let high = 1n << 700n
  while (high - low > 1n) {
    const middle = (low + high) / 2n
    if (middle ** 3n <= target) low = middle
    else high = middle
  }
  return low
}

describe('several signers', () => {
  const wire = (infos: Uint8Array[], bag: readonly Uint8Array[] = certificates) =>
    enveloped(multipart(entity, signedData(infos, bag)), [bobIdentity])
  const good = signerInfo(entity, alice)
  const other = signerInfo(entity, carol)

  it.each<[string, Uint8Array, string]>([
    ['damaged', signerInfo(entity, carol, { signature: damaged }), 'signature-invalid'],
    ['unknown', signerInfo(entity, carol, { sid: contextPrimitive(0, noise(20)) }), 'signer-certificate-missing'],
    ['weak', signerInfo(entity, carol, { digestAlgorithm: algorithmIdentifier(oids.sha1) }), 'weak-digest'],
    ['unreadable', sequenceOf(nullValue), 'malformed-signature'],
    [
      'of an unknown kind',
      signerInfo(entity, carol, { signatureAlgorithm: algorithmIdentifier('1.2.3') }),
      'unsupported-algorithm',
    ],
  ])('are judged each on its own, in either order, when one is %s', (_, bad, reason) => {
    expect(expectOpened(wire([bad, good])).signers).toMatchObject([
      { kind: 'unverified', reason },
      { kind: 'verified' },
    ])
    expect(expectOpened(wire([good, bad])).signers).toMatchObject([
      { kind: 'verified' },
      { kind: 'unverified', reason },
    ])
    expectRefused(wire([bad, bad]), reason as RefusalReason)
  })

  it('tell the certificate of one that did not verify', () => {
    const { signers } = expectOpened(wire([signerInfo(entity, carol, { signature: damaged }), good]))
    expect(signers[0]?.certificate).toEqual(carol.certificate.der)
  })

  it('may be eight', () => {
    expect(expectOpened(wire([good, other, good, other, good, other, good, other])).signers).toHaveLength(8)
  })

  it('are found whatever else stands in the bag', () => {
    const imposter = makeLeaf(authority, { serial: alice.certificate.serial }).certificate
    for (const bag of [
      [imposter, alice.certificate.der],
      [alice.certificate.der, imposter],
      [sequenceOf(nullValue), noiseElement(), alice.certificate.der],
    ])
      expect(expectOpened(wire([good], bag)).signers).toMatchObject([
        { kind: 'verified', certificate: alice.certificate.der },
      ])
    expectRefused(wire([good], [imposter]), 'signature-invalid')
  })

  it('by key identifier are every certificate of that key, as after a renewal', () => {
    const renewed = makeLeaf(authority, { key: { privateKey: aliceIdentity.privateKey } }).certificate
    const byKey = signerInfo(entity, alice, { sid: contextPrimitive(0, aliceIdentity.subjectKeyIdentifier) })
    expect(expectOpened(wire([byKey], [alice.certificate.der, renewed])).signers.map((one) => one.kind)).toEqual([
      'verified',
      'verified',
    ])
  })

  it('bring at most 20 certificates along', () => {
    const crowd = Array.from(
      { length: 30 },
      (_, serial) => makeIntermediate(authority, { serial: serial + 1 }).certificate,
    )
    expect(expectOpened(wire([good], [alice.certificate.der, ...crowd])).certificates).toHaveLength(20)
  })
})

const noiseElement = () => sequenceOf(octetString(noise(300)))

describe('decryption', () => {
  const signed = multipart(entity, signedData([signerInfo(entity, alice)], certificates))
  const failure = { kind: 'refused', reason: 'decrypt-failed', detail: '' }

  it.each(['pkcs1-v1.5', 'oaep-sha1', 'oaep-sha256'] as const)(
    'fails the same way for a wrong key and a wrong padding, %s',
    (rsaTransport) => {
      for (let run = 0; run < 20; run++) {
        const cms = envelopedCms(signed, [bobIdentity], { rsaTransport })
        const wrongKey = withRecipients(cms, ([info]) => [damaged(info as Uint8Array)])
        expect(open(envelopeOf(wrongKey))).toEqual(failure)
      }
      // The block before the last: it garbles one and turns the padding.
      const cms = envelopedCms(Buffer.concat([signed, Buffer.alloc(16 - (signed.length % 16), 0x20)]), [bobIdentity], {
        rsaTransport,
      })
      const padding = Buffer.from(cms)
      padding[cms.length - 17] = (padding[cms.length - 17] as number) ^ 0xff
      expect(open(envelopeOf(padding))).toEqual(failure)
    },
  )

  it('fails the same way for ECDH: a wrong wrap, a point off the curve, a point of another curve', () => {
    const cms = envelopedCms(signed, [daveIdentity])
    const cases = [
      withRecipients(cms, ([info]) => [damaged(info as Uint8Array)]),
      withRecipients(cms, ([info]) => {
        const copy = Buffer.from(info as Uint8Array)
        const point = copy.indexOf(Buffer.from([0x03, 0x62, 0x00, 0x04]))
        copy[point + 20] = (copy[point + 20] as number) ^ 1
        return [copy]
      }),
    ]
    for (const one of cases) expect(openMessage(envelopeOf(one), [dave])).toEqual(failure)
  })

  it('finds the RecipientInfo that works when several name our key', () => {
    for (const contentCipher of ['aes-256-cbc', 'aes-256-gcm'] as const)
      for (const rsaTransport of ['pkcs1-v1.5', 'oaep-sha256'] as const) {
        const cms = envelopedCms(signed, [bobIdentity], { contentCipher, rsaTransport })
        const both = withRecipients(cms, ([info]) => [damaged(info as Uint8Array), info as Uint8Array])
        expectOpened(envelopeOf(both))
      }
  })

  it('tries a few RecipientInfos, not as many as a stranger lists', () => {
    const cms = envelopedCms(signed, [bobIdentity])
    const crowd = withRecipients(cms, ([info]) => Array(2_000).fill(damaged(info as Uint8Array)))
    const start = performance.now()
    expect(open(envelopeOf(crowd))).toEqual(failure)
    expect(performance.now() - start).toBeLessThan(500)
  })

  it('finds ours at the end of 2,000 recipients and refuses 100,000 quickly', () => {
    const cms = envelopedCms(signed, [
      makeLeaf(authority, { keyType: 'rsa2048', key: { privateKey: aliceIdentity.privateKey } }),
      bobIdentity,
    ])
    const many = (count: number) =>
      withRecipients(cms, (infos) => {
        const ours = infos.find((info) => Buffer.from(info).includes(Buffer.from(bob.certificate.serial))) as Uint8Array
        const theirs = infos.find((info) => info !== ours) as Uint8Array
        return [...Array(count - 1).fill(theirs), ours]
      })
    expectOpened(envelopeOf(many(2_000)))
    expectRefused(envelopeOf(many(2_001)), 'malformed-cms')
    const start = performance.now()
    const huge = envelopeOf(many(100_000))
    const made = performance.now()
    expectRefused(huge, 'malformed-cms')
    expect(performance.now() - made).toBeLessThan(Math.max(500, made - start))
  })

  it('authenticates with tags of 12 to 16 octets and no shorter ones', () => {
    const cms = envelopedCms(signed, [bobIdentity], { contentCipher: 'aes-256-gcm' })
    const shorter = (size: number) => {
      const copy = Buffer.from(cms)
      const at = copy.lastIndexOf(Buffer.from([0x02, 0x01, 0x10]))
      copy[at + 2] = size
      // The tag is the last element: cut it and mend the lengths by wrapping anew.
      return withTag(copy, size)
    }
    for (const size of [12, 13, 14, 15]) expectOpened(envelopeOf(shorter(size)))
    for (const size of [0, 4, 8, 11]) expectRefused(envelopeOf(shorter(size)), 'malformed-cms')
    expect(open(envelopeOf(damaged(cms)))).toEqual(failure)
  })
})

/** Cuts the tag of AuthEnvelopedData to `size` octets. */
function withTag(cms: Uint8Array, size: number): Uint8Array {
  const [type, wrapped] = asn1.sequence(asn1.onlyElement(cms))
  const fields = asn1.sequence(asn1.children(wrapped as asn1.Element)[0])
  const tag = asn1.content(fields.at(-1) as asn1.Element).subarray(0, size)
  return sequenceOf(
    asn1.whole(type as asn1.Element),
    context(0, sequenceOf(...fields.slice(0, -1).map(asn1.whole), octetString(tag))),
  )
}

describe('a message in chunks', () => {
  const wire = sealed(Buffer.from(`Subject: s\r\n\r\n${'lorem ipsum '.repeat(2_000)}\r\n`), {
    signers: [alice],
    recipients: [bobIdentity.certificate],
  })
  const whole = opened(wire, [bob])
  function* cut(bytes: Uint8Array, sizes: readonly number[]) {
    for (let at = 0, n = 0; at < bytes.length; n++) {
      const size = sizes[n % sizes.length] as number
      yield Buffer.from(bytes.subarray(at, at + size)) // the source may use its memory again
      at += size
    }
  }

  it('opens as it does in one piece, wherever it is cut and however its lines are broken', async () => {
    const text = cmsOf(wire).toString('base64')
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 50_000 }), { minLength: 1, maxLength: 8 }),
        fc.constantFrom(1, 4, 20, 60, 61, 64, 76, 77, 500),
        fc.constantFrom('\r\n', '\n', ' \r\n', '\r\n ', '\r\n\r\n'),
        fc.constantFrom('', '\r\n', '\r\n-- \r\nfooter of a list\r\n'),
        async (sizes, width, lineBreak, end) => {
          const lines = text.replace(new RegExp(`.{${width}}`, 'g'), (line) => line + lineBreak)
          const bytes = Buffer.from(
            `Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: base64\r\n\r\n${lines}${text.endsWith('=') ? end : ''}`,
          )
          const outcome = await openLarge(cut(bytes, sizes), bytes.length, [bob])
          expect(outcome.kind === 'opened' && Buffer.from(outcome.entity).equals(Buffer.from(whole.entity))).toBe(true)
          const inOne = openMessage(bytes, [bob])
          expect(inOne.kind).toBe('opened')
        },
      ),
      { numRuns: 60 },
    )
  })

  it('opens when no chunk behind the first has a line break, whatever the chunks hold', async () => {
    const text = cmsOf(wire).toString('base64')
    const header = 'Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: base64\r\n\r\n'
    for (const ahead of [0, 1, 2, 3])
      for (const size of [1, 2, 3, 4, 5, 1_000]) {
        const first = Buffer.from(`${header}${' '.repeat(170_000)}\r\n${text.slice(0, ahead)}`)
        const rest = Buffer.from(text.slice(ahead))
        const outcome = await openLarge([first, ...cut(rest, [size])], first.length + rest.length, [bob])
        expect(outcome.kind === 'opened' && Buffer.from(outcome.entity).equals(Buffer.from(whole.entity))).toBe(true)
      }
  })

  it('opens when nobody said that it is base64, whatever the end of its last line', () => {
    for (let length = 0; length < 80; length++) {
      const cms = envelopedCms(
        multipart(entity, signedData([signerInfo(entity, alice)], certificates), {
          before: `${'-'.repeat(length)}\r\n`,
        }),
        [bobIdentity],
      )
      const lines = cms.toString('base64').replace(/.{60}/g, '$&\r\n')
      expectOpened(Buffer.from(`Content-Type: application/pkcs7-mime\r\n\r\n${lines}\r\n`))
    }
  })

  it('is refused when it is longer or shorter than it was said to be', async () => {
    expect(await openLarge(cut(wire, [1_000]), wire.length - 1, [bob])).toMatchObject({ reason: 'malformed-cms' })
    expect(await openLarge(cut(wire.subarray(0, 100), [10]), wire.length, [bob])).toMatchObject({
      reason: 'malformed-cms',
    })
    expect(await openLarge([], 0, [bob])).toMatchObject({ kind: 'refused' })
    expect(await openLarge(cut(wire, [1_000]), 2 ** 40, [bob])).toMatchObject({ reason: 'message-too-large' })
  })

  it('is refused for the same reason as in one piece', async () => {
    for (const bytes of [
      wire.subarray(0, 5_000),
      Buffer.from('Subject: x\r\n\r\n'),
      Buffer.from('Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: uuencode\r\n\r\nx'),
    ])
      expect(await openLarge(cut(bytes, [333]), bytes.length, [bob])).toEqual(open(bytes))
  })
})

describe('hostile bytes', () => {
  const wire = sealed(Buffer.from('Subject: s\r\n\r\nsix drops twice a day\r\n'), {
    signers: [alice],
    recipients: [bobIdentity.certificate],
  })
  const cms = cmsOf(wire)
  const original = Buffer.from(opened(wire, [bob]).entity)
  const seen = { opened: 0, refused: 0 }
  const unchanged = (bytes: Uint8Array) => {
    const outcome = open(bytes)
    seen[outcome.kind]++
    return outcome.kind === 'refused' || Buffer.from(outcome.entity).equals(original)
  }
  // Changes that nothing covers (a preamble, an unused field) leave a message that opens: without both, nothing was tried.
  afterAll(() => expect(Math.min(seen.opened, seen.refused)).toBeGreaterThan(10))

  it('never give an altered content: random octets changed in the CMS', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat({ max: cms.length - 1 }), fc.integer({ min: 1, max: 255 })), {
          minLength: 1,
          maxLength: 3,
        }),
        (changes) => {
          const copy = Buffer.from(cms)
          for (const [at, change] of changes) copy[at] = (copy[at] as number) ^ change
          return unchanged(envelopeOf(copy))
        },
      ),
      { numRuns: 2_000 },
    )
  })

  it('never give an altered content: random octets changed in what was encrypted', () => {
    const inner = multipart(original, signedData([signerInfo(original, alice)], certificates))
    fc.assert(
      fc.property(fc.nat({ max: inner.length - 1 }), fc.nat({ max: 255 }), (at, octet) => {
        const copy = Buffer.from(inner)
        copy[at] = octet
        return unchanged(enveloped(copy, [bobIdentity]))
      }),
      { numRuns: 1_000 },
    )
  })

  it('never throw when they end early, or are noise', () => {
    for (let length = 0; length < cms.length; length += 7)
      expect(open(envelopeOf(cms.subarray(0, length))).kind).toBe('refused')
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => open(envelopeOf(bytes)).kind === 'refused'),
      { numRuns: 1_000 },
    )
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => open(bytes).kind === 'refused'),
      { numRuns: 1_000 },
    )
  })

  it('of ASN.1 bombs are refused in bounded time', () => {
    const nulls = Buffer.alloc(8 << 20, Buffer.from([5, 0]))
    const deep = Buffer.alloc(8 << 20, Buffer.from([0x30, 0x80]))
    const enclosed = (body: Uint8Array) =>
      sequenceOf(objectIdentifier(oids.envelopedData), context(0, sequenceOf(body)))
    for (const bomb of [
      sequenceOf(nulls),
      deep,
      enclosed(nulls),
      enclosed(deep),
      Buffer.concat([Buffer.from([0x30, 0x80]), nulls, Buffer.from([0, 0])]),
    ]) {
      const bytes = envelopeOf(bomb)
      const start = performance.now()
      expectRefused(bytes, 'malformed-cms')
      expect(performance.now() - start).toBeLessThan(1_500)
    }
  })
})
