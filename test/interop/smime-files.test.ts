import { execFileSync } from 'node:child_process'
import { createPrivateKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { certificatesFrom, privateKeysFrom } from '../../src/smime/pem.js'
import { readPkcs12 } from '../../src/smime/pkcs12.js'
import { type Identity, makeAuthority, makeIntermediate, makeLeaf, pemFiles, temporaryFile } from '../fixtures/pki.js'

/** Files of keys and certificates as openssl writes them. */

const openssl = (args: readonly string[], input?: Uint8Array): Buffer =>
  execFileSync('openssl', args, { ...(input && { input }), maxBuffer: 2 ** 26, stdio: ['pipe', 'pipe', 'pipe'] })

const root = makeAuthority()
const issuing = makeIntermediate(root)
const rsa = makeLeaf(issuing)
const ec = makeLeaf(issuing, { keyType: 'p384' })
const chain = temporaryFile('chain.pem', issuing.certificatePem + root.certificatePem)
const legacy = ['-legacy', '-provider', 'legacy', '-provider', 'default']
const equal = (a: Uint8Array | undefined, b: Uint8Array) => expect(Buffer.from(a ?? [])).toEqual(Buffer.from(b))

function exported(identity: Identity, passphrase: string, ...options: string[]): Buffer {
  const { certificate, key } = pemFiles(identity)
  return openssl([
    'pkcs12',
    '-export',
    '-in',
    certificate,
    '-inkey',
    key,
    '-certfile',
    chain,
    '-passout',
    `pass:${passphrase}`,
    ...options,
  ])
}

describe('PKCS #12 as openssl exports it', () => {
  const forms: Record<string, readonly string[]> = {
    'as it comes': [],
    'with AES-128': ['-keypbe', 'AES-128-CBC', '-certpbe', 'AES-128-CBC'],
    'with Triple DES under PBES2': ['-keypbe', 'DES-EDE3-CBC', '-certpbe', 'DES-EDE3-CBC'],
    'with Triple DES': ['-keypbe', 'PBE-SHA1-3DES', '-certpbe', 'PBE-SHA1-3DES', '-macalg', 'sha1'],
    'with two-key Triple DES': ['-keypbe', 'PBE-SHA1-2DES', '-certpbe', 'PBE-SHA1-2DES'],
    'with RC2-40 (legacy)': legacy,
    'with RC2-128': [...legacy, '-certpbe', 'PBE-SHA1-RC2-128', '-keypbe', 'PBE-SHA1-RC2-128'],
    'without encryption': ['-keypbe', 'NONE', '-certpbe', 'NONE'],
    'without a MAC': ['-nomac'],
    'with a MAC of SHA-512': ['-macalg', 'sha512'],
    'with one iteration': ['-iter', '1'],
    'with 100,000 iterations': ['-iter', '100000'],
  }
  it.each(Object.entries(forms))('%s opens', (_, options) => {
    for (const identity of [rsa, ec])
      for (const passphrase of ['correct horse', 'Grüße', '']) {
        const read = readPkcs12(exported(identity, passphrase, ...options), passphrase)
        if (read.kind === 'problem') throw new Error(`${read.problem}: ${read.detail}`)
        expect(read.entries).toHaveLength(1)
        equal(read.entries[0]?.certificate, identity.certificate)
        const key = createPrivateKey({ key: Buffer.from(read.entries[0]?.pkcs8 ?? []), format: 'der', type: 'pkcs8' })
        equal(key.export({ format: 'der', type: 'pkcs8' }), identity.pkcs8)
        expect(read.entries[0]?.chain.map((one) => Buffer.from(one))).toEqual([Buffer.from(issuing.certificate)])
      }
  })

  it('names a wrong passphrase', () => {
    for (const options of [[], ['-nomac'], legacy])
      expect(readPkcs12(exported(rsa, 'right', ...options), 'wrong')).toMatchObject({ problem: 'wrong-passphrase' })
  })

  it('names a changed file, and one without a key', () => {
    const file = exported(rsa, 'right')
    file[200] = (file[200] as number) ^ 1
    expect(readPkcs12(file, 'right')).toMatchObject({
      kind: 'problem',
      problem: expect.stringMatching(/wrong-passphrase|malformed/),
    })
    const bare = openssl(['pkcs12', '-export', '-nokeys', '-in', pemFiles(rsa).certificate, '-passout', 'pass:x'])
    expect(readPkcs12(bare, 'x')).toMatchObject({ problem: 'no-key' })
  })
})

describe('keys and certificates', () => {
  it('read from PEM in every form of key', () => {
    for (const identity of [rsa, ec]) {
      const { key } = pemFiles(identity)
      const traditional = openssl([
        identity === rsa ? 'rsa' : 'ec',
        '-in',
        key,
        ...(identity === rsa ? ['-traditional'] : []),
      ])
      const sealedKey = openssl(['pkcs8', '-topk8', '-in', key, '-passout', 'pass:p'])
      const oldStyle = openssl([
        identity === rsa ? 'rsa' : 'ec',
        '-in',
        key,
        '-aes128',
        ...(identity === rsa ? ['-traditional'] : []),
        '-passout',
        'pass:p',
      ])
      const derKey = openssl(['pkcs8', '-topk8', '-nocrypt', '-in', key, '-outform', 'DER'])
      for (const file of [
        traditional,
        sealedKey,
        oldStyle,
        derKey,
        Buffer.concat([Buffer.from('text\n'), readFileSync(key)]),
      ]) {
        const found = privateKeysFrom(file, 'p')
        if ('kind' in found) throw new Error(found.detail)
        equal(found[0], identity.pkcs8)
      }
      expect(privateKeysFrom(sealedKey)).toHaveProperty('kind', 'unusable')
      expect(privateKeysFrom(sealedKey, 'q')).toHaveProperty('kind', 'unusable')
    }
  })

  it('read from bundles, DER and PEM, and from many in one file', () => {
    const bundle = (...options: string[]) =>
      openssl(['crl2pkcs7', '-nocrl', '-certfile', chain, '-certfile', pemFiles(rsa).certificate, ...options])
    for (const file of [
      bundle(),
      bundle('-outform', 'DER'),
      Buffer.from(bundle('-outform', 'DER').toString('base64')),
    ]) {
      const found = certificatesFrom(file)
      if ('kind' in found) throw new Error(found.detail)
      expect(found).toHaveLength(3)
    }
    const text = openssl(['x509', '-in', pemFiles(rsa).certificate, '-text'])
    const trusted = openssl(['x509', '-in', pemFiles(rsa).certificate, '-trustout', '-addtrust', 'emailProtection'])
    for (const file of [text, trusted, Buffer.concat([text, readFileSync(chain)]), rsa.certificate]) {
      const found = certificatesFrom(file)
      if ('kind' in found) throw new Error(found.detail)
      equal(found[0], rsa.certificate)
    }
  })
})
