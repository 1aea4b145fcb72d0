import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { oids } from '../../src/asn1/oids.js'
import * as asn1 from '../../src/asn1/reader.js'
import { type SealInput, sealMessage } from '../../src/smime/seal.js'
import { makeAuthority, makeIntermediate, makeLeaf } from '../fixtures/pki.js'
import { cmsOf, opened, ready, sealed } from './identities.js'

const authority = makeAuthority()
const issuing = makeIntermediate(authority)
const alice = { ...ready(makeLeaf(issuing, { keyType: 'rsa2048' })), chain: [issuing.certificate] }
const carol = ready(makeLeaf(authority, { keyType: 'p256' }))
const bob = ready(makeLeaf(authority, { keyType: 'rsa2048' }))
const dave = ready(makeLeaf(authority, { keyType: 'p521' }))
const message = Buffer.from('From: alice@a.example\r\nSubject: secret\r\n\r\nHello\r\n')
const usual = {
  signers: [alice],
  recipients: [bob.certificate.der],
  outerHeaders: [{ name: 'From', value: 'alice@a.example' }],
  at: Date.UTC(2024, 4, 6, 7, 8, 9),
} satisfies SealInput
const seal = (input: Partial<SealInput> = {}) => sealMessage(message, { ...usual, ...input })
const headerOf = (wire: Uint8Array) => Buffer.from(wire).toString('latin1').split('\r\n\r\n')[0] ?? ''

describe('a sealed message', () => {
  const wire = sealed(message, usual)
  const text = wire.toString('latin1')

  it('has the header that validators ask for, and nothing of the message', () => {
    expect(headerOf(wire).split('\r\n')).toEqual([
      'From: alice@a.example',
      'MIME-Version: 1.0',
      'Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name="smime.p7m"',
      'Content-Transfer-Encoding: base64',
      'Content-Disposition: attachment; filename="smime.p7m"',
      'Content-Description: S/MIME Encrypted Message',
    ])
    expect(text).not.toContain('secret')
  })

  it('is CRLF lines of at most 76 characters of base64', () => {
    const lines = text.split('\r\n\r\n')[1]?.split('\r\n') ?? []
    expect(lines.pop()).toBe('')
    const last = lines.pop() ?? ''
    expect(lines.every((line) => /^[A-Za-z0-9+/]{76}$/.test(line))).toBe(true)
    expect(last).toMatch(/^[A-Za-z0-9+/]{1,76}={0,2}$/)
    expect(text.replaceAll('\r\n', '')).not.toMatch(/[\r\n]/)
  })

  it('is DER that names the recipient by issuer and serial', () => {
    const cms = asn1.onlyElement(cmsOf(wire))
    asn1.assertDer(cms)
    const [type, wrapped] = asn1.sequence(cms)
    expect(asn1.oid(type)).toBe(oids.envelopedData)
    const [version, recipients] = asn1.sequence(asn1.children(wrapped as asn1.Element)[0])
    expect(asn1.smallInteger(version)).toBe(0)
    const [, rid] = asn1.sequence(asn1.children(recipients as asn1.Element)[0])
    expect(rid?.tag).toBe(asn1.tags.sequence)
  })

  it('opens to the wrapped message, signed at the time given, with the chain of the signer', () => {
    const outcome = opened(wire, [bob])
    expect(Buffer.from(outcome.entity).toString()).toBe(`Content-Type: message/rfc822\r\n\r\n${message}`)
    expect(outcome.signers).toMatchObject([
      { kind: 'verified', certificate: alice.certificate.der, signingTime: usual.at, digest: 'sha256' },
    ])
    expect(outcome.certificates.map((one) => Buffer.from(one).toString('hex')).sort()).toEqual(
      [alice.certificate.der, issuing.certificate].map((one) => Buffer.from(one).toString('hex')).sort(),
    )
  })

  it('is encrypted to everyone once, and signed by everyone', () => {
    const recipients = [bob.certificate.der, dave.certificate.der, bob.certificate.der]
    const several = sealed(message, { ...usual, signers: [alice, carol], recipients })
    for (const key of [bob, dave])
      expect(opened(several, [key]).signers.map((one) => one.kind)).toEqual(['verified', 'verified'])
    const [, wrapped] = asn1.sequence(asn1.onlyElement(cmsOf(several)))
    const [version, infos] = asn1.sequence(asn1.children(wrapped as asn1.Element)[0])
    expect(asn1.smallInteger(version)).toBe(2)
    expect(asn1.children(infos as asn1.Element)).toHaveLength(2)
  })

  it('has lines in CRLF whatever they were, and says so when it is not ASCII', () => {
    const loose = sealed(Buffer.from('Subject: x\nX: y\r\n\nGrüße\n'), usual)
    expect(Buffer.from(opened(loose, [bob]).entity).toString()).toBe(
      'Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSubject: x\r\nX: y\r\n\r\nGrüße\r\n',
    )
  })

  it('says authEnveloped-data when it is, and uses what policy says', () => {
    const gcm = sealed(message, { ...usual, policy: { contentCipher: 'aes-128-gcm', rsaTransport: 'pkcs1-v1.5' } })
    expect(headerOf(gcm)).toContain('smime-type=authEnveloped-data; name="smime.p7m"')
    expect(opened(gcm, [bob])).toMatchObject({ contentCipher: 'aes-128-gcm', keyTransport: 'rsa-pkcs1-v1.5' })
    const strong = sealed(message, { ...usual, policy: { digest: 'sha512', rsaSignature: 'rsa-pss' } })
    expect(opened(strong, [bob]).signers).toMatchObject([{ digest: 'sha512', signature: 'rsa-pss' }])
  })

  it('survives every size around the block of the encoder', () => {
    for (const size of [0, 1, 56, 57, 58, 58_000, 58_368, 58_369, 65_536, 131_072, 200_000]) {
      const body = Buffer.from(`${'x'.repeat(size)}\r\n`)
      for (const contentCipher of ['aes-256-cbc', 'aes-256-gcm'] as const) {
        const { entity } = opened(sealed(body, { ...usual, policy: { contentCipher } }), [bob])
        expect(Buffer.from(entity).subarray(-body.length).equals(body)).toBe(true)
      }
    }
  })
})

describe('what is refused', () => {
  it.each<[string, Partial<SealInput>, string]>([
    ['no recipient', { recipients: [] }, 'no-key-for-recipient'],
    ['too many recipients', { recipients: Array(2_001).fill(bob.certificate.der) }, 'too-many-recipients'],
    ['a recipient that is no certificate', { recipients: [Buffer.from('no')] }, 'malformed-certificate'],
    ['a small RSA recipient', { recipients: [makeLeaf(authority, { keyType: 'rsa1024' }).certificate] }, 'weak-key'],
    ['nobody to sign', { signers: [] }, 'not-signed'],
    ['a small RSA signer', { signers: [ready(makeLeaf(authority, { keyType: 'rsa1024' }))] }, 'weak-key'],
  ])('%s', (_, input, reason) => {
    expect(seal(input)).toMatchObject({ kind: 'refused', reason })
  })

  it.each([
    ['a line break in a value', 'To', 'a@b.example\r\nBcc: c@d.example'],
    ['a bare LF', 'To', 'a\nb'],
    ['a bare CR', 'To', 'a\rb'],
    ['a NUL', 'To', 'a\0b'],
    ['a line separator of another kind', 'To', 'a\u0085b'],
    ['a name with a colon', 'To: x', 'y'],
    ['a name with a line break', 'To\r\nX', 'y'],
    ['an empty name', '', 'y'],
    ['a field of the envelope', 'Content-Type', 'text/plain'],
    ['another of its fields', 'mime-version', '1.0'],
    ['a Bcc', 'Bcc', 'c@d.example'],
    ['a word that fills more than a line', 'Subject', 'x'.repeat(999)],
  ])('%s in a header field', (_, name, value) => {
    expect(seal({ outerHeaders: [{ name, value }] })).toMatchObject({ kind: 'refused', reason: 'malformed-message' })
  })

  it('no header value can add or change a field, whatever it holds', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (value) => {
        const outcome = seal({ outerHeaders: [{ name: 'To', value }] })
        if (outcome.kind === 'refused') return outcome.reason === 'malformed-message'
        const names = headerOf(outcome.wire)
          .split(/\r\n(?![ \t])|\r|\n(?![ \t])/)
          .map((line) => line.split(':')[0])
        return (
          names.join() ===
          'To,MIME-Version,Content-Type,Content-Transfer-Encoding,Content-Disposition,Content-Description'
        )
      }),
      { numRuns: 300 },
    )
  })

  it('long values are folded, and unfold to what they were', () => {
    const value = Array.from({ length: 100 }, (_, n) => `person${n}@direct.example.org`).join(', ')
    const wire = sealed(message, { ...usual, outerHeaders: [{ name: 'To', value }] })
    const lines = headerOf(wire).split('\r\n')
    expect(lines.slice(0, 20).every((line) => line.length <= 78)).toBe(true)
    expect(headerOf(wire).replaceAll('\r\n ', ' ')).toContain(`To: ${value}\r\n`)
  })
})
