import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { oids } from '../../src/asn1/oids.js'
import { context, contextPrimitive, integer, nullValue, sequenceOf } from '../../src/asn1/writer.js'
import { type Certificate, readCertificate } from '../../src/x509/certificate.js'
import { crlAnswer, readCrl } from '../../src/x509/crl.js'
import {
  type CertificateOptions,
  type CrlOptions,
  dayMs,
  extension,
  generalName,
  type Identity,
  issueCrl,
  makeAuthority,
  makeIntermediate,
  makeLeaf,
  nameOf,
  pem,
} from '../fixtures/pki.js'

const now = Date.now()
const root = makeAuthority()
const url = 'http://crl.test/a.crl'

function parsed(identity: Identity): Certificate {
  const certificate = readCertificate(identity.certificate)
  if (certificate.kind === 'malformed') throw new Error(certificate.detail)
  return certificate
}

function leafOf(issuer = root, options: CertificateOptions = {}): Identity {
  return makeLeaf(issuer, { keyType: 'p256', crlUrls: [url], ...options })
}

const leaf = leafOf()

/** `good`, `revoked <reason>` or why there is no proof. */
function word(crl: Uint8Array, subject = leaf, issuer = root, options = {}): string {
  const list = readCrl(crl)
  if (list.kind === 'malformed') return `malformed: ${list.detail}`
  const answer = crlAnswer(list, parsed(subject), parsed(issuer), now, options)
  return answer.kind === 'good' ? 'good' : answer.kind === 'revoked' ? `revoked ${answer.reason}` : answer.detail
}
const issued = (options: CrlOptions = {}, ...rest: [Identity?, Identity?, object?]) =>
  word(issueCrl(root, options), ...rest)

/** An issuingDistributionPoint extension. */
const point = (...fields: readonly Uint8Array[]) => ({
  extensions: [extension(oids.issuingDistributionPoint, sequenceOf(...fields), true)],
})
const yes = Uint8Array.of(0xff)

describe('a CRL', () => {
  it('tells who is revoked and why', () => {
    expect(issued()).toBe('good')
    expect(issued({ revoked: [{ serial: leaf.serial }] })).toBe('revoked unspecified')
    expect(issued({ revoked: [{ serial: leaf.serial, reason: 1 }] })).toBe('revoked keyCompromise')
    expect(issued({ revoked: [{ serial: leaf.serial, reason: 6 }] })).toBe('revoked certificateHold')
    expect(issued({ revoked: [{ serial: leaf.serial, reason: 8 }] })).toBe('good')
    expect(issued({ revoked: [{ serial: leaf.serial, reason: 8 }, { serial: leaf.serial }] })).toBe(
      'revoked unspecified',
    )
    const others = Array.from({ length: 300 }, (_, i) => ({ serial: Uint8Array.of(1, i >> 8, i & 255), reason: 4 }))
    expect(issued({ revoked: others })).toBe('good')
    expect(issued({ revoked: [...others, { serial: leaf.serial, reason: 5 }] })).toBe('revoked cessationOfOperation')
  })

  it('does not take a longer or shorter serial number for the same', () => {
    const short = leafOf(root, { serial: Uint8Array.of(1, 2, 3) })
    const other = [Uint8Array.of(1, 2), Uint8Array.of(1, 2, 3, 4), Uint8Array.of(2, 3)]
    expect(issued({ revoked: other.map((serial) => ({ serial })) }, short)).toBe('good')
    expect(issued({ revoked: [{ serial: Uint8Array.of(1, 2, 3) }] }, short)).toBe('revoked unspecified')
  })

  it('may come as PEM', () => {
    expect(word(Buffer.from(pem('X509 CRL', issueCrl(root))))).toBe('good')
  })

  it('proves nothing unless the issuer itself signed it and may do so', () => {
    expect(issued({ signWith: makeAuthority() })).toBe('the CRL was not signed by the key of the issuer')
    expect(word(issueCrl(makeAuthority()))).toBe('the CRL is of another issuer')
    const twin = makeAuthority({ subject: root.subject })
    expect(word(issueCrl(twin))).toBe('the CRL was not signed by the key of the issuer')
    const silent = makeAuthority({ keyUsage: ['keyCertSign'] })
    expect(word(issueCrl(silent), leafOf(silent), silent)).toBe('the issuer may not sign CRLs')
    const unsigned = Uint8Array.from(issueCrl(root))
    unsigned[unsigned.length - 1] = (unsigned[unsigned.length - 1] ?? 0) ^ 1
    expect(word(unsigned)).toMatch(/not signed/)
    const old = makeAuthority({ keyType: 'rsa2048' })
    for (const digest of ['md5', 'sha1'] as const)
      expect(word(issueCrl(old, { digest }), leafOf(old), old)).toBe(`the CRL is signed with ${digest}`)
    expect(word(issueCrl(old, { digest: 'sha1' }), leafOf(old), old, { allowSha1: true })).toBe('good')
    expect(word(issueCrl(old, { digest: 'sha512', pss: true }), leafOf(old), old)).toBe('good')
  })

  it('proves nothing out of its time', () => {
    expect(issued({ thisUpdate: now - 2 * dayMs, nextUpdate: now - dayMs })).toBe('the CRL is out of date')
    expect(issued({ thisUpdate: now + dayMs, nextUpdate: now + 2 * dayMs })).toBe('the CRL is not in force yet')
    expect(issued({ nextUpdate: null })).toBe('the CRL has no nextUpdate')
  })

  it('proves nothing with critical extensions that are not understood, in the list or in any entry', () => {
    const unknown = '1.3.6.1.4.1.99999.3'
    expect(issued({ extensions: [extension(unknown, nullValue, true)] })).toBe(`the critical extension ${unknown}`)
    expect(issued({ extensions: [extension(unknown, nullValue)] })).toBe('good')
    expect(issued({ extensions: [extension(oids.deltaCrlIndicator, integer(1), true)] })).toBe('a delta CRL')
    const entry = (critical: boolean) => ({
      revoked: [{ serial: Uint8Array.of(5), extensions: [extension(unknown, nullValue, critical)] }],
    })
    expect(issued(entry(true))).toBe('a critical extension in an entry')
    expect(issued(entry(false))).toBe('good')
  })

  it('speaks only of what its issuingDistributionPoint covers', () => {
    const middle = makeIntermediate(root, { crlUrls: [url] })
    const out = 'the CRL does not speak of such certificates'
    expect(issued(point(contextPrimitive(1, yes)))).toBe('good')
    expect(issued(point(contextPrimitive(1, yes)), middle)).toBe(out)
    expect(issued(point(contextPrimitive(2, yes)))).toBe(out)
    expect(issued(point(contextPrimitive(2, yes)), middle)).toBe('good')
    expect(issued(point(contextPrimitive(4, yes)))).toBe('an indirect CRL')
    expect(issued(point(contextPrimitive(5, yes)))).toBe('a CRL of attribute certificates')
    const full = (...names: Uint8Array[]) => point(context(0, context(0, ...names)))
    expect(issued(full(generalName.uri(url)))).toBe('good')
    expect(issued(full(generalName.uri('http://crl.test/b.crl'), generalName.uri(url)))).toBe('good')
    expect(issued(full(generalName.uri('http://crl.test/b.crl')))).toBe(out)
    expect(issued(full(generalName.directory(nameOf('Point'))))).toBe(out)
  })

  it('with some reasons proves revocation only', () => {
    const some = point(contextPrimitive(3, Uint8Array.of(6, 0x40)))
    expect(issued(some)).toBe('the CRL covers some reasons only')
    expect(issued({ ...some, revoked: [{ serial: leaf.serial, reason: 1 }] })).toBe('revoked keyCompromise')
  })

  it('never throws, and never says good of a revoked certificate, when bytes are damaged', () => {
    const crl = issueCrl(root, {
      revoked: Array.from({ length: 20 }, (_, i) => ({
        serial: i === 10 ? leaf.serial : Uint8Array.of(i + 1),
        reason: 1,
      })),
    })
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(crl.length - 1), fc.nat(255)), { minLength: 1, maxLength: 3 }),
        (changes) => {
          const damaged = Uint8Array.from(crl)
          for (const [at, octet] of changes) damaged[at] = octet
          expect(word(damaged)).not.toBe('good')
        },
      ),
      { numRuns: 2_000 },
    )
    fc.assert(fc.property(fc.nat(crl.length - 1), (size) => word(crl.subarray(0, size)).startsWith('malformed')))
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => word(bytes).startsWith('malformed')))
  })

  it('of 100,000 entries is searched quickly', () => {
    const revoked = Array.from({ length: 100_000 }, (_, i) => ({
      serial: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, i >> 16, (i >> 8) & 255, i & 255),
      reason: 1,
    }))
    const crl = issueCrl(root, { revoked })
    word(issueCrl(root))
    const began = performance.now()
    expect(word(crl)).toBe('good')
    expect(performance.now() - began).toBeLessThan(500)
  })
})
