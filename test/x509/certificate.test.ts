import { createPublicKey, X509Certificate } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { tags } from '../../src/asn1/reader.js'
import { context, der, integer, sequenceOf } from '../../src/asn1/writer.js'
import { certificatesIn } from '../../src/x509/bundle.js'
import { type Certificate, keyUsage, publicKeyOf, readCertificate } from '../../src/x509/certificate.js'
import { componentsOf, nameText, sameName } from '../../src/x509/name.js'
import { keyLimits, schemeOf, weaknessOf } from '../../src/x509/signature.js'
import {
  type Identity,
  type KeyType,
  makeAuthority,
  makeIntermediate,
  makeKey,
  makeLeaf,
  nameOf,
  pem,
} from '../fixtures/pki.js'

function parsed(identity: Identity): Certificate {
  const certificate = readCertificate(identity.certificate)
  if (certificate.kind === 'malformed') throw new Error(certificate.detail)
  return certificate
}

const root = makeAuthority({ pathLen: 2 })
const leaf = makeLeaf(root, {
  san: { email: ['Alice@Hisp.test'], dns: ['One.test', 'two.test'] },
  crlUrls: ['http://crl.test/a', 'ldap://crl.test/b'],
  caIssuers: ['http://aia.test/a'],
  notAfter: Date.UTC(2051, 0, 1),
})

describe('a certificate', () => {
  it('is read as Node reads it', () => {
    const [mine, theirs] = [parsed(leaf), new X509Certificate(leaf.certificate)]
    expect(mine.fingerprint).toBe(theirs.fingerprint256.replaceAll(':', '').toLowerCase())
    expect(mine.notBefore).toBe(Date.parse(theirs.validFrom))
    expect(mine.notAfter).toBe(Date.parse(theirs.validTo))
    expect(Buffer.from(mine.serial).toString('hex').replace(/^00/, '')).toBe(theirs.serialNumber.toLowerCase())
    expect(publicKeyOf(mine)?.equals(theirs.publicKey)).toBe(true)
    expect(nameText(mine.issuer)).toBe(theirs.issuer)
  })

  it('tells its names, uses and places', () => {
    const mine = parsed(leaf)
    expect(mine.names).toEqual({ rfc822: ['alice@hisp.test'], dns: ['one.test', 'two.test'], others: 0 })
    expect(mine.keyUsage).toBe(keyUsage.digitalSignature | keyUsage.keyEncipherment)
    expect(mine.basicConstraints).toBeUndefined()
    expect(parsed(root).basicConstraints).toEqual({ ca: true, pathLength: 2 })
    expect(mine.crlUrls).toEqual(['http://crl.test/a', 'ldap://crl.test/b'])
    expect(mine.caIssuers).toEqual(['http://aia.test/a'])
    expect(Buffer.compare(mine.authorityKeyIdentifier ?? Buffer.of(), root.subjectKeyIdentifier)).toBe(0)
  })

  it('is the same object when read again, also from its own bytes', () => {
    expect(parsed(leaf)).toBe(parsed(leaf))
    expect(readCertificate(parsed(leaf).der)).toBe(parsed(leaf))
    const copy = Uint8Array.from(leaf.certificate)
    const read = readCertificate(copy)
    copy.fill(0)
    expect(read.kind === 'certificate' && new X509Certificate(read.der).serialNumber).toBeTruthy()
  })

  it('is malformed with anything behind it, in BER, or as a version that does not exist', () => {
    const bytes = Buffer.from(leaf.certificate)
    expect(readCertificate(Buffer.concat([bytes, Buffer.of(0)])).kind).toBe('malformed')
    const indefinite = Buffer.concat([Buffer.of(0x30, 0x80), bytes.subarray(4), Buffer.of(0, 0)])
    expect(readCertificate(indefinite).kind).toBe('malformed')
    const versions = [3, 4, 9].map((version) => {
      const changed = Buffer.from(bytes)
      changed[changed.indexOf(context(0, integer(2))) + 4] = version
      return readCertificate(changed).kind
    })
    expect(versions).toEqual(['malformed', 'malformed', 'malformed'])
    expect(readCertificate(Buffer.alloc(0)).kind).toBe('malformed')
    expect(readCertificate(Buffer.alloc(100_000, 0x30)).kind).toBe('malformed')
  })

  it('never throws on damaged bytes, and then is not what the issuer signed', () => {
    const bytes = leaf.certificate
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        (changes) => {
          const damaged = Uint8Array.from(bytes)
          for (const [at, octet] of changes) damaged[at] = octet
          const read = readCertificate(damaged)
          if (read.kind === 'certificate') {
            nameText(read.subject)
            weaknessOf(publicKeyOf(read))
            schemeOf(read.signatureAlgorithm)
          }
        },
      ),
      { numRuns: 3_000 },
    )
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (noise) => {
        readCertificate(noise)
        certificatesIn(noise)
      }),
    )
  })
})

describe('a public key', () => {
  it.each<[KeyType, string | undefined]>([
    ['rsa1024', 'an RSA key of 1024 bits'],
    ['rsa2048', undefined],
    ['rsa3072', undefined],
    ['p256', undefined],
    ['p384', undefined],
    ['p521', undefined],
  ])('of type %s: %s', (keyType, expected) => {
    expect(weaknessOf(createPublicKey(makeKey(keyType)))).toBe(expected)
  })

  it('over its limits is weak too, as checking with it would be slow', () => {
    const key = createPublicKey(makeKey('rsa3072'))
    expect(weaknessOf(key, { ...keyLimits, rsaBitsAtMost: 2048 })).toMatch(/3072/)
    expect(weaknessOf(key, { ...keyLimits, rsaExponentBelow: 65_537n })).toMatch(/exponent/)
    expect(weaknessOf(undefined)).toMatch(/cannot be loaded/)
  })
})

describe('a name', () => {
  it('is the same whatever its case, spaces and string type', () => {
    const printable = sequenceOf(
      der(tags.set, sequenceOf(Buffer.from('0603550403', 'hex'), der(0x13, Buffer.from(' test  CLINIC ')))),
    )
    expect(sameName(printable, nameOf('Test Clinic'))).toBe(true)
    expect(sameName(printable, nameOf('Test-Clinic'))).toBe(false)
    expect(sameName(nameOf('Straße'), nameOf('STRAẞE'))).toBe(true)
    expect(sameName(nameOf('a'), nameOf('a', [{ oid: '2.5.4.10', value: 'b' }]))).toBe(false)
  })

  it('has components, each in a form to compare', () => {
    const one = [{ oid: '2.5.4.10', value: 'Clinic' }]
    const [first, second] = componentsOf(nameOf('x  Y', one)) ?? []
    expect(componentsOf(nameOf('X y'))).toEqual([second])
    expect(componentsOf(nameOf('z', [{ oid: '2.5.4.10', value: 'CLINIC' }]))?.[0]).toBe(first)
    expect(componentsOf(Buffer.from('3003020101', 'hex'))).toBeUndefined()
  })

  it('is compared as RFC 4518 prepares strings', () => {
    const same = (one: string, other: string) => sameName(nameOf(one), nameOf(other))
    expect(same('Clin\u00adic\u200b', 'clinic')).toBe(true)
    expect(same('Ⅳ Clinic\u00a0 ﬁrst', 'iv clinic first')).toBe(true)
    expect(same('a\tb', 'a b')).toBe(true)
    expect(same('a\u0000b', 'ab')).toBe(true)
    expect(same('Ä', 'a\u0308')).toBe(true)
    expect(same('\ue000', '\ue001')).toBe(false)
    expect(same('ab', 'a b')).toBe(false)
  })

  it('with damaged text is like no other', () => {
    const [one, other] = [Uint8Array.from(nameOf('a!')), Uint8Array.from(nameOf('a!'))]
    one[one.length - 1] = 0xff
    other[other.length - 1] = 0xfe
    expect(sameName(one, other)).toBe(false)
    expect(sameName(one, Uint8Array.from(one))).toBe(true)
  })

  it('is shown without control characters', () => {
    expect(nameText(nameOf('a\r\nb,c"\u0000'))).toBe('CN=a\\0d\\0ab\\,c\\"\\00')
    expect(nameText(Buffer.from('3003020101', 'hex'))).toBe('(unreadable)')
  })
})

it('finds certificates in DER, PEM with several, and nothing in other things', () => {
  const middle = makeIntermediate(root)
  expect(certificatesIn(root.certificate)).toHaveLength(1)
  const text = `# ours\n${pem('CERTIFICATE', root.certificate)}\n${pem('CERTIFICATE', middle.certificate)}`
  expect(certificatesIn(Buffer.from(text)).map((found) => Buffer.from(found))).toEqual(
    [root, middle].map(({ certificate }) => Buffer.from(certificate)),
  )
  expect(certificatesIn(Buffer.from(text.repeat(50)), 7)).toHaveLength(7)
  expect(certificatesIn(Buffer.from(pem('PRIVATE KEY', root.certificate)))).toEqual([])
  expect(certificatesIn(Buffer.from('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----'))).toEqual([])
})
