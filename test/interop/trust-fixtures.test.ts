import { execFileSync, spawnSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import {
  generalName,
  issueCrl,
  type KeyType,
  makeAuthority,
  makeIntermediate,
  makeLeaf,
  nameConstraints,
  pem,
  pemFiles,
  type SignatureDigest,
  temporaryFile,
} from '../fixtures/pki.js'

/** OpenSSL judges the test PKI, so that our reader is never the only witness of our writer. */
describe('the test PKI', () => {
  const text = (certificate: Uint8Array) =>
    execFileSync('openssl', ['x509', '-inform', 'DER', '-noout', '-text'], { input: certificate }).toString()

  it.each<KeyType>(['rsa2048', 'rsa3072', 'p256', 'p384', 'p521'])('has %s paths that OpenSSL verifies', (keyType) => {
    const root = makeAuthority({ keyType })
    const middle = makeIntermediate(root, { keyType, pathLen: 0 })
    const leaf = makeLeaf(middle, { keyType, san: { email: ['a@hisp.test'], dns: ['hisp.test'] } })
    const run = spawnSync('openssl', [
      'verify',
      '-x509_strict',
      '-purpose',
      'smimesign',
      '-CAfile',
      pemFiles(root).certificate,
      '-untrusted',
      pemFiles(middle).certificate,
      pemFiles(leaf).certificate,
    ])
    expect(run.stderr.toString() + run.stdout.toString()).toMatch(/: OK\n$/)
    expect(new X509Certificate(leaf.certificate).checkPrivateKey(leaf.privateKey)).toBe(true)
  })

  it.each<[SignatureDigest, boolean, string]>([
    ['md5', false, 'md5WithRSAEncryption'],
    ['sha1', false, 'sha1WithRSAEncryption'],
    ['sha384', false, 'sha384WithRSAEncryption'],
    ['sha512', true, 'rsassaPss'],
  ])('signs with %s (PSS %s)', (digest, pss, word) => {
    const root = makeAuthority({ keyType: 'rsa2048', digest, pss })
    expect(text(root.certificate)).toContain(`Signature Algorithm: ${word}`)
    expect(new X509Certificate(root.certificate).verify(new X509Certificate(root.certificate).publicKey)).toBe(true)
  })

  it('writes the extensions that it was asked for', () => {
    const root = makeAuthority({
      pathLen: 3,
      extensions: [{ oid: '2.5.29.30', critical: true, value: nameConstraints([generalName.dns('hisp.test')]) }],
    })
    const leaf = makeLeaf(root, {
      san: { email: ['a@hisp.test'], dns: ['one.test', 'two.test'] },
      crlUrls: ['http://crl.test/a.crl'],
      caIssuers: ['http://aia.test/a.p7c'],
      unknownCritical: true,
    })
    expect(text(root.certificate)).toMatch(/CA:TRUE, pathlen:3[\s\S]*Permitted:\s+DNS:hisp.test/)
    const words = text(leaf.certificate)
    for (const expected of [
      'email:a@hisp.test, DNS:one.test, DNS:two.test',
      'URI:http://crl.test/a.crl',
      'CA Issuers - URI:http://aia.test/a.p7c',
      'Digital Signature, Key Encipherment',
      'E-mail Protection',
      '1.3.6.1.4.1.99999.1: critical',
    ])
      expect(words).toContain(expected)
  })

  it('issues CRLs that OpenSSL reads and verifies', () => {
    const root = makeAuthority()
    const leaf = makeLeaf(root, { keyType: 'p256' })
    const crl = issueCrl(root, { revoked: [{ serial: leaf.serial, reason: 1 }] })
    const file = temporaryFile('list.pem', pem('X509 CRL', crl))
    const run = spawnSync('openssl', ['crl', '-in', file, '-CAfile', pemFiles(root).certificate, '-noout', '-text'])
    expect(run.stderr.toString()).toContain('verify OK')
    expect(run.stdout.toString()).toContain('Key Compromise')
    expect(run.stdout.toString().toLowerCase()).toContain(
      Buffer.from(leaf.serial)
        .toString('hex')
        .replace(/^(00)+/, ''),
    )
  })
})
