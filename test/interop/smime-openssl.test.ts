import { execFileSync } from 'node:child_process'
import { afterAll, describe, expect, it } from 'vitest'
import { openMessage } from '../../src/smime/open.js'
import type { SmimePolicy } from '../../src/smime/policy.js'
import { type KeyType, makeAuthority, makeLeaf, pemFiles } from '../fixtures/pki.js'
import { cmsOf, opened, ready, sealed } from '../smime/identities.js'

/** OpenSSL as the judge, in both directions: what it makes must open here, what is made here must open there. */

const authority = makeAuthority()
const identity = (keyType: KeyType) => {
  const made = makeLeaf(authority, { keyType })
  return { ...ready(made), der: made.certificate, pem: pemFiles(made) }
}
const alice = identity('rsa2048')
const bob = identity('rsa2048')
const strangers = [identity('rsa2048'), identity('p256')]
const ecKeys = { p256: identity('p256'), p384: identity('p384'), p521: identity('p521') }
const anchors = pemFiles(authority)

const openssl = (args: readonly string[], input?: Uint8Array): Buffer =>
  execFileSync('openssl', ['cms', ...args], {
    ...(input && { input }),
    maxBuffer: 2 ** 28,
    stdio: ['pipe', 'pipe', 'pipe'],
  })

const entity = Buffer.from('Content-Type: text/plain\r\n\r\nThe quick brown fox.\r\n')
const signWith = ({ pem }: typeof alice, ...options: string[]) =>
  openssl(['-sign', '-signer', pem.certificate, '-inkey', pem.key, ...options], entity)
const encryptTo = ({ pem }: typeof alice, content: Uint8Array, ...options: string[]) =>
  openssl(['-encrypt', ...options, '-recip', pem.certificate], content)

let cells = 0
afterAll(() => process.stdout.write(`openssl cms matrix: ${cells} cells\n`))

/** One cell of the matrix: the message opens to exactly what was signed. */
function opens(wire: Uint8Array, key = bob, policy?: SmimePolicy) {
  cells++
  const outcome = opened(wire, [...strangers, key], policy)
  expect(Buffer.from(outcome.entity).equals(entity)).toBe(true)
  expect(outcome.keyId).toBe(key.id)
  return outcome
}

/** One cell of the matrix: the message is refused for this reason. */
function refuses(wire: Uint8Array, reason: string, key = bob, policy?: SmimePolicy) {
  cells++
  expect(openMessage(wire, [key], policy)).toMatchObject({ kind: 'refused', reason })
}

const ciphers = ['aes-128-cbc', 'aes-192-cbc', 'aes-256-cbc', 'aes-128-gcm', 'aes-192-gcm', 'aes-256-gcm'] as const
const digests = ['sha1', 'sha224', 'sha256', 'sha384', 'sha512'] as const
const signed = signWith(alice)

describe('what openssl encrypts opens', () => {
  const oaep = (digest?: string, mgf?: string, label?: string) => [
    '-keyopt',
    'rsa_padding_mode:oaep',
    ...(digest ? ['-keyopt', `rsa_oaep_md:${digest}`] : []),
    ...(mgf ? ['-keyopt', `rsa_mgf1_md:${mgf}`] : []),
    ...(label ? ['-keyopt', `rsa_oaep_label:${label}`] : []),
  ]
  const transports: Record<string, readonly string[]> = {
    'PKCS#1 v1.5': [],
    'OAEP as it comes': oaep(),
    ...Object.fromEntries(digests.map((digest) => [`OAEP ${digest}`, oaep(digest)])),
    'OAEP sha256 with MGF1 sha1': oaep('sha256', 'sha1'),
    'OAEP sha1 with MGF1 sha512': oaep('sha1', 'sha512'),
    'OAEP sha384 with a label': oaep('sha384', 'sha256', '00ff10'),
  }
  describe.each(ciphers)('%s', (cipher) => {
    it.each(Object.entries(transports))('to RSA by %s, DER and BER, named by issuer or key', (_, keyopt) => {
      for (const form of [[], ['-stream']])
        for (const rid of [[], ['-keyid']]) {
          const wire = openssl(
            ['-encrypt', `-${cipher}`, ...form, ...rid, '-recip', bob.pem.certificate, ...keyopt],
            signed,
          )
          const outcome = opens(wire)
          expect(outcome.contentCipher).toBe(cipher)
          expect(outcome.keyTransport).toBe(keyopt.length > 0 ? 'rsa-oaep' : 'rsa-pkcs1-v1.5')
        }
    })

    it.each(Object.entries(ecKeys))('to %s by every key derivation, standard and cofactor', (_, key) => {
      for (const digest of digests)
        for (const cofactor of ['0', '1']) {
          const keyopt = ['-keyopt', `ecdh_kdf_md:${digest}`, '-keyopt', `ecdh_cofactor_mode:${cofactor}`]
          const wire = openssl(['-encrypt', `-${cipher}`, '-recip', key.pem.certificate, ...keyopt], signed)
          expect(opens(wire, key).keyTransport).toBe('ecdh')
        }
      opens(encryptTo(key, signed, `-${cipher}`, '-keyid', '-stream'), key)
      for (const wrap of ['-aes128-wrap', '-aes192-wrap', '-aes256-wrap'])
        opens(encryptTo(key, signed, `-${cipher}`, wrap), key)
    })
  })

  it('to many recipients of every kind, wherever ours stands', () => {
    const all = [bob, ecKeys.p256, ecKeys.p384, ecKeys.p521, alice]
    for (let turn = 0; turn < all.length; turn++) {
      const order = [...all.slice(turn), ...all.slice(0, turn)].map((one) => one.pem.certificate)
      const wire = openssl(['-encrypt', '-aes-256-cbc', ...order], signed)
      for (const key of all) opens(wire, key)
    }
  })

  it('as x-pkcs7-mime, without smime-type, in quoted-printable, in binary, and with no label on the base64', () => {
    const cms = cmsOf(encryptTo(bob, signed, '-aes-128-cbc', '-outform', 'SMIME'))
    const base64 = cms.toString('base64').replace(/.{64}/g, '$&\r\n')
    const quoted = [...cms].map((octet) => `=${octet.toString(16).toUpperCase().padStart(2, '0')}`).join('')
    const bodies = {
      base64: Buffer.from(base64),
      BASE64: Buffer.from(base64.replaceAll('\r', '')),
      binary: cms,
      '8bit': cms,
      'quoted-printable': Buffer.from(quoted.replace(/.{72}/g, '$&=\r\n')),
      '': Buffer.from(base64),
      '7bit': Buffer.from(cms.toString('base64')),
    }
    for (const type of [
      'application/pkcs7-mime',
      'application/x-pkcs7-mime; smime-type=enveloped-data',
      'APPLICATION/PKCS7-MIME; name=smime.p7m',
    ])
      for (const [encoding, body] of Object.entries(bodies)) {
        const label = encoding ? `Content-Transfer-Encoding: ${encoding}\r\n` : ''
        opens(Buffer.concat([Buffer.from(`Subject: x\r\nContent-Type: ${type}\r\n${label}\r\n`), body]))
      }
  })

  it('with Triple DES only where policy says so, with RC2 and DES never', () => {
    const triple = encryptTo(bob, signed, '-des3')
    refuses(triple, 'weak-algorithm')
    opens(triple, bob, { tripleDes: true })
    const oaepTriple = openssl(['-encrypt', '-des3', '-recip', bob.pem.certificate, ...oaep('sha256')], signed)
    opens(oaepTriple, bob, { tripleDes: true })
    const legacy = ['-provider', 'legacy', '-provider', 'default']
    for (const cipher of ['-rc2-128', '-rc2-40', '-des'])
      refuses(encryptTo(bob, signed, cipher, ...legacy), 'weak-algorithm', bob, { tripleDes: true })
  })

  it('but not to an RSA key under 2048 bits, nor to a key that is not ours', () => {
    const small = identity('rsa1024')
    refuses(encryptTo(small, signed, '-aes-256-cbc'), 'weak-algorithm', small)
    refuses(encryptTo(alice, signed, '-aes-256-cbc'), 'no-key-for-recipient')
  })
})

describe('what openssl signs verifies', () => {
  const encrypted = (content: Uint8Array) => encryptTo(bob, content, '-aes-256-cbc')
  const forms = { detached: [], opaque: ['-nodetach'], 'opaque BER': ['-nodetach', '-stream'] }
  const attributes = {
    usual: [],
    bare: ['-noattr'],
    'key identifier': ['-keyid'],
    'no capabilities': ['-nosmimecap'],
    CAdES: ['-cades'],
  }
  const signers = { 'rsa v1.5': alice, ...ecKeys }

  describe.each(Object.entries(signers))('%s', (name, signer) => {
    it.each(Object.entries(forms))('%s, every digest and kind of attributes', (form, formOptions) => {
      for (const digest of ['sha224', 'sha256', 'sha384', 'sha512'])
        for (const options of Object.values(attributes)) {
          const outcome = opens(encrypted(signWith(signer, '-md', digest, ...formOptions, ...options)))
          expect(outcome.detached).toBe(form === 'detached')
          expect(outcome.certificates).toHaveLength(1)
          const expected = name.startsWith('rsa') ? 'rsa' : 'ecdsa'
          expect(outcome.signers).toMatchObject([{ kind: 'verified', digest, signature: expected }])
          if (!options.includes('-noattr' as never))
            expect(outcome.signers[0]).toHaveProperty('signingTime', expect.closeTo(Date.now(), -5))
        }
    })
  })

  it('RSASSA-PSS with every digest and salt', () => {
    for (const digest of ['sha224', 'sha256', 'sha384', 'sha512'])
      for (const salt of ['digest', 'max', '0', '20']) {
        const pss = ['-keyopt', 'rsa_padding_mode:pss', '-keyopt', `rsa_pss_saltlen:${salt}`]
        const outcome = opens(encrypted(signWith(alice, '-md', digest, ...pss)))
        expect(outcome.signers).toMatchObject([{ kind: 'verified', digest, signature: 'rsa-pss' }])
      }
    const differing = ['-keyopt', 'rsa_padding_mode:pss', '-keyopt', 'rsa_mgf1_md:sha1']
    refuses(encrypted(signWith(alice, '-md', 'sha256', ...differing)), 'unsupported-algorithm')
  })

  it('SHA-1 only where policy says so, MD5 never', () => {
    const weak = encrypted(signWith(alice, '-md', 'sha1'))
    refuses(weak, 'weak-digest')
    opens(weak, bob, { digests: ['sha1'] })
    refuses(encrypted(signWith(alice, '-md', 'md5')), 'weak-digest', bob, { digests: ['md5', 'sha1', 'sha256'] })
  })

  it('two signers in either order', () => {
    const both = (first: typeof alice, second: typeof alice, ...more: string[]) =>
      openssl(
        ['-sign', ...[first, second].flatMap(({ pem }) => ['-signer', pem.certificate, '-inkey', pem.key]), ...more],
        entity,
      )
    for (const [first, second] of [
      [alice, ecKeys.p256],
      [ecKeys.p256, alice],
    ] as const) {
      const outcome = opens(encrypted(both(first, second)))
      expect(outcome.signers).toHaveLength(2)
      expect(outcome.signers.every(({ kind }) => kind === 'verified')).toBe(true)
    }
  })

  it('another content type with signed attributes, and not without them', () => {
    opens(encrypted(signWith(alice, '-nodetach', '-econtent_type', '1.2.3.4')))
    opens(encrypted(signWith(alice, '-econtent_type', '1.2.3.4')))
  })

  it('nothing without the certificate of the signer, and nothing that is not signed', () => {
    refuses(encrypted(signWith(alice, '-nocerts')), 'signer-certificate-missing')
    refuses(encrypted(entity), 'not-signed')
    refuses(signed, 'not-encrypted')
    refuses(signWith(alice, '-nodetach'), 'not-encrypted')
  })

  it('a signature under the certificate of an authority, whose chain comes along', () => {
    const outcome = opens(encrypted(signWith(alice, '-certfile', anchors.certificate)))
    expect(outcome.certificates).toHaveLength(2)
  })
})

describe('what is sealed here opens in openssl', () => {
  const message = Buffer.from('From: a@a.example\r\nTo: b@b.example\r\nSubject: s\r\n\r\nGrüße\r\n')
  const expected = Buffer.concat([
    Buffer.from('Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n'),
    message,
  ])
  function judge(wire: Uint8Array, ...recipients: (typeof alice)[]) {
    for (const { pem } of recipients) {
      cells++
      const plain = openssl(['-decrypt', '-recip', pem.certificate, '-inkey', pem.key], wire)
      const verified = openssl(['-verify', '-CAfile', anchors.certificate], plain)
      expect(verified.equals(expected)).toBe(true)
    }
  }
  it.each(ciphers)('%s to RSA by every transport and to every curve', (contentCipher) => {
    for (const rsaTransport of ['oaep-sha256', 'oaep-sha1', 'pkcs1-v1.5'] as const)
      judge(sealed(message, { signers: [alice], recipients: [bob.der], policy: { contentCipher, rsaTransport } }), bob)
    for (const key of Object.values(ecKeys))
      judge(sealed(message, { signers: [alice], recipients: [key.der], policy: { contentCipher } }), key)
  })

  it('to several recipients of every kind at once', () => {
    const all = [bob, ...Object.values(ecKeys)]
    judge(sealed(message, { signers: [alice], recipients: all.map(({ der }) => der) }), ...all)
  })

  it.each(['sha256', 'sha384', 'sha512'] as const)('signed with %s by every kind of key, and by two', (digest) => {
    for (const signer of [alice, ...Object.values(ecKeys)])
      judge(sealed(message, { signers: [signer], recipients: [bob.der], policy: { digest } }), bob)
    const pss = { digest, rsaSignature: 'rsa-pss' } as const
    judge(sealed(message, { signers: [alice], recipients: [bob.der], policy: pss }), bob)
    judge(sealed(message, { signers: [alice, ecKeys.p384], recipients: [bob.der], policy: { digest } }), bob)
  })

  it('at every length around a block and around a line', () => {
    for (let pad = 0; pad < 60; pad += 7) {
      const body = Buffer.concat([message, Buffer.from(`${'x'.repeat(pad)}\r\n`)])
      const wire = sealed(body, { signers: [alice], recipients: [bob.der] })
      cells++
      const plain = openssl(['-decrypt', '-recip', bob.pem.certificate, '-inkey', bob.pem.key], wire)
      expect(openssl(['-verify', '-CAfile', anchors.certificate], plain).subarray(-body.length)).toEqual(body)
    }
  })
})
