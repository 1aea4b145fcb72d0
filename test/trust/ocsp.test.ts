import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { oids } from '../../src/asn1/oids.js'
import { octetString, sequenceOf } from '../../src/asn1/writer.js'
import { type OcspQuestion, ocspRules, ocspVerdict } from '../../src/trust/ocsp.js'
import { type Certificate, readCertificate } from '../../src/x509/certificate.js'
import { ocspLimits, ocspRequest, readOcsp } from '../../src/x509/ocsp.js'
import { dayMs, type Identity, makeAuthority, makeIntermediate, makeLeaf } from '../fixtures/pki.js'
import { type Answer, hourMs, makeDelegate, noted, type ResponseOptions, respond, wrapped } from './responder.js'

const issuer = makeAuthority()
const leaf = makeLeaf(issuer, { keyType: 'p256' })
const { serial } = leaf

function parsed({ certificate }: Identity): Certificate {
  const read = readCertificate(certificate)
  if (read.kind === 'malformed') throw new Error(read.detail)
  return read
}

const verdictOf = (bytes: Uint8Array, question: Partial<OcspQuestion> = {}, by = issuer) =>
  ocspVerdict(bytes, {
    certificate: parsed(leaf),
    issuer: parsed(by),
    at: Date.now(),
    allowSha1: false,
    ...question,
  })

/** The verdict on one answer about the leaf, as `good`, `revoked`, or the reason why it proves nothing. */
function wordOf(answer: Partial<Answer>, options: Partial<ResponseOptions> = {}, question: Partial<OcspQuestion> = {}) {
  const verdict = verdictOf(respond(issuer, { answers: [{ serial, ...answer }], ...options }), question)
  return verdict.kind === 'no-proof' ? verdict.detail : verdict.kind
}

describe('an OCSP answer', () => {
  it.each<[string, Partial<Answer>, Partial<ResponseOptions>?]>([
    ['signed by the issuer', {}],
    ['of a responder named by its key', {}, { by: 'key' }],
    ['with SHA-256 in its identifier', { digest: 'sha256' }],
    ['with SHA-512 in its identifier', { digest: 'sha512' }],
    ['without nextUpdate, just made', { nextUpdate: null, thisUpdate: Date.now() - 60_000 }],
    ['of a clock four minutes ahead', { thisUpdate: Date.now() + 240_000 }, { producedAt: Date.now() + 240_000 }],
    ['with a nonce that nobody sent', {}, { extensions: [noted(oids.ocspNonce)] }],
    ['that tells how far its archive goes back', { extensions: [noted(oids.ocspArchiveCutoff, true)] }],
    ['with an extension nobody knows', { extensions: [noted('1.3.6.1.4.1.99999.2')] }],
  ])('is good: %s', (_, answer, options) => {
    expect(wordOf(answer, options)).toBe('good')
  })

  it('tells when and why a certificate was revoked', () => {
    const at = Math.floor(Date.now() / 1000) * 1000 - dayMs
    expect(verdictOf(respond(issuer, { answers: [{ serial, status: { at, reason: 1 } }] }))).toEqual({
      kind: 'revoked',
      at,
      reason: 'keyCompromise',
    })
    expect(verdictOf(respond(issuer, { answers: [{ serial, status: { at } }] }))).toMatchObject({
      reason: 'unspecified',
    })
  })

  const far = '1.3.6.1.4.1.99999.2'
  it.each<[string, RegExp, Partial<Answer>, Partial<ResponseOptions>?]>([
    ['that is unsigned', /not signed by the key of the issuer/, {}, { unsigned: true }],
    ['of the key of another', /not signed by the key of the issuer/, {}, { signWith: makeAuthority() }],
    ['that says unknown', /does not know/, { status: 'unknown' }],
    ['out of date', /out of date/, { thisUpdate: Date.now() - dayMs, nextUpdate: Date.now() - 1000 }],
    ['not in force yet', /not in force yet/, { thisUpdate: Date.now() + 400_000, nextUpdate: Date.now() + dayMs }],
    ['made in the future', /in the future/, {}, { producedAt: Date.now() + 400_000 }],
    ['that ends before it begins', /ends before/, { thisUpdate: Date.now() + 200_000, nextUpdate: Date.now() + 9000 }],
    [
      'without nextUpdate, from a while ago',
      /old and has no nextUpdate/,
      { nextUpdate: null, thisUpdate: Date.now() - ocspRules.withoutNextUpdateMs - 2000 },
    ],
    ['about another certificate', /another certificate/, { serial: Uint8Array.of(1, 2, 3) }],
    ['about the same number of another issuer', /another certificate/, { of: makeAuthority() }],
    ['with MD5 in its identifier', /another certificate/, { digest: 'md5' }],
    ['signed with SHA-1', /signed with sha1/, {}, { digest: 'sha1' }],
    ['with something critical that is not understood', /critical extension/, {}, { extensions: [noted(far, true)] }],
    ['about which something critical is not understood', /critical/, { extensions: [noted(far, true)] }],
  ])('proves nothing: one %s', (_, reason, answer, options) => {
    expect(wordOf(answer, options)).toMatch(reason)
  })

  it('signed with SHA-1 serves where the policy lets it', () => {
    expect(wordOf({}, { digest: 'sha1' }, { allowSha1: true })).toBe('good')
  })

  it('among several: revoked outweighs unsure, and unsure good; those out of time count for nothing', () => {
    const revoked: Answer = { serial, status: { at: Date.now() - dayMs } }
    const good: Answer = { serial }
    const unknown: Answer = { serial, status: 'unknown' }
    const stale: Answer = { ...revoked, thisUpdate: Date.now() - dayMs, nextUpdate: Date.now() - hourMs }
    const foreign: Answer = { ...revoked, serial: Uint8Array.of(7) }
    const word = (...answers: readonly Answer[]) => verdictOf(respond(issuer, { answers })).kind
    expect(word(good, revoked)).toBe('revoked')
    expect(word(unknown, revoked, good)).toBe('revoked')
    expect(word(good, unknown)).toBe('no-proof')
    expect(word(foreign, good, stale)).toBe('good')
    expect(word(foreign)).toBe('no-proof')
  })
})

describe('a delegate', () => {
  const signedBy = (delegate: Identity, options: Partial<ResponseOptions> = {}, question: Partial<OcspQuestion> = {}) =>
    verdictOf(
      respond(issuer, {
        answers: [{ serial }],
        signer: delegate,
        certificates: [delegate.certificate],
        ...options,
      }),
      question,
    )

  it('of the issuer may answer, named by name or key, wherever his certificate stands among those that came', () => {
    const delegate = makeDelegate(issuer)
    expect(signedBy(delegate)).toEqual({ kind: 'good' })
    expect(signedBy(delegate, { by: 'key' })).toEqual({ kind: 'good' })
    const certificates = [issuer.certificate, octetString(Uint8Array.of(1)), leaf.certificate, delegate.certificate]
    expect(signedBy(delegate, { certificates }).kind).toBe('good')
  })

  it('without nocheck is to be asked about first', () => {
    const delegate = makeDelegate(issuer, { noCheck: false })
    expect(signedBy(delegate)).toMatchObject({
      kind: 'good',
      unchecked: { fingerprint: delegate.fingerprint },
    })
  })

  const other = makeAuthority()
  const middle = makeIntermediate(issuer)
  it.each<[string, RegExp, () => Identity]>([
    ['whose purpose is another', /may not sign for OCSP/, () => makeDelegate(issuer, { eku: [oids.emailProtection] })],
    ['for any purpose', /may not sign for OCSP/, () => makeDelegate(issuer, { eku: [oids.anyExtendedKeyUsage] })],
    ['without purposes', /may not sign for OCSP/, () => makeLeaf(issuer, { keyType: 'p256', eku: undefined as never })],
    ['whose key may not sign', /may not sign/, () => makeDelegate(issuer, { keyUsage: ['keyAgreement'] })],
    ['of another authority', /not issued by the issuer/, () => makeDelegate(other)],
    ['of an authority below the issuer', /not issued by the issuer/, () => makeDelegate(middle)],
    [
      'who only says that the issuer certified him',
      /was not signed by the key/,
      () => makeDelegate(issuer, { signWith: other }),
    ],
    ['who expired', /expired/, () => makeDelegate(issuer, { notAfter: Date.now() - 1000 })],
    ['of tomorrow', /not valid yet/, () => makeDelegate(issuer, { notBefore: Date.now() + dayMs })],
    ['with something critical unknown', /critical extension/, () => makeDelegate(issuer, { unknownCritical: true })],
  ])('%s proves nothing', (_, reason, make) => {
    expect(signedBy(make())).toMatchObject({ kind: 'no-proof', detail: expect.stringMatching(reason) })
  })

  it('whose certificate is signed with SHA-1 serves only where the policy lets it', () => {
    const authority = makeAuthority({ keyType: 'rsa2048' })
    const delegate = makeDelegate(authority, { digest: 'sha1' })
    const own = makeLeaf(authority, { keyType: 'p256' })
    const bytes = respond(authority, {
      answers: [{ serial: own.serial }],
      signer: delegate,
      certificates: [delegate.certificate],
    })
    const certificate = parsed(own)
    expect(verdictOf(bytes, { certificate }, authority)).toMatchObject({ detail: expect.stringMatching(/sha1/) })
    expect(verdictOf(bytes, { certificate, allowSha1: true }, authority).kind).toBe('good')
  })

  it('whose certificate did not come, or came too late in a long row, proves nothing', () => {
    const delegate = makeDelegate(issuer)
    expect(signedBy(delegate, { certificates: [] })).toMatchObject({ detail: expect.stringMatching(/did not come/) })
    const crowd = [...Array(ocspRules.delegates)].map(() => leaf.certificate)
    expect(signedBy(delegate, { certificates: [...crowd, delegate.certificate] }).kind).toBe('no-proof')
  })

  it('is not whoever holds the certificate in question', () => {
    expect(signedBy(leaf)).toMatchObject({ kind: 'no-proof' })
  })
})

describe('what is no answer', () => {
  it.each([
    [1, 'malformedRequest'],
    [2, 'internalError'],
    [3, 'tryLater'],
    [5, 'sigRequired'],
    [6, 'unauthorized'],
    [4, 'status 4'],
    [77, 'status 77'],
  ])('status %i is told as %s, also where a signed answer goes with it', (status, word) => {
    expect(verdictOf(wrapped(status))).toEqual({ kind: 'no-proof', detail: `the responder answered ${word}` })
    const good = Buffer.from(respond(issuer, { answers: [{ serial }] }))
    expect(verdictOf(good).kind).toBe('good')
    good[good.indexOf(Uint8Array.of(0x0a, 1, 0)) + 2] = status
    expect(verdictOf(Uint8Array.from(good))).toMatchObject({ detail: `the responder answered ${word}` })
  })

  it.each<[string, Uint8Array]>([
    ['nothing', new Uint8Array()],
    ['a page', Buffer.from('<html>Please log in</html>')],
    ['success without an answer', wrapped(0)],
    ['another type', wrapped(0, sequenceOf(), oids.signedData)],
    ['an empty answer', wrapped(0, sequenceOf())],
    ['no answers at all', respond(issuer, { answers: [] })],
    ['too many answers', respond(issuer, { answers: Array(ocspLimits.answers + 1).fill({ serial }) })],
    [
      'too many certificates',
      respond(issuer, { answers: [{ serial }], certificates: Array(11).fill(leaf.certificate) }),
    ],
    ['too much', Buffer.concat([respond(issuer, { answers: [{ serial }] }), Buffer.alloc(ocspLimits.sizeBytes)])],
    ['bytes behind', Buffer.concat([respond(issuer, { answers: [{ serial }] }), Buffer.alloc(1)])],
    ['an extension twice', respond(issuer, { answers: [{ serial }], extensions: [noted('1.2.3'), noted('1.2.3')] })],
  ])('%s proves nothing', (_, bytes) => {
    expect(verdictOf(bytes)).toMatchObject({ kind: 'no-proof' })
  })
})

describe('a request', () => {
  it('is the same for the same certificate', () => {
    expect(ocspRequest(parsed(leaf), parsed(issuer))).toEqual(ocspRequest(parsed(leaf), parsed(issuer)))
  })

  it('names odd serial numbers by their own bytes', () => {
    for (const bytes of [Uint8Array.of(0), Uint8Array.of(0x7f), Uint8Array.of(0x80, 1), Buffer.alloc(20, 0x99)]) {
      const odd = makeLeaf(issuer, { keyType: 'p256', serial: bytes })
      const request = Buffer.from(ocspRequest(parsed(odd), parsed(issuer)))
      expect(request.includes(Buffer.from(odd.serial))).toBe(true)
      expect(wordOf({ serial: odd.serial }, {}, { certificate: parsed(odd) })).toBe('good')
    }
  })
})

describe('whatever is changed in a signed answer', () => {
  const delegate = makeDelegate(issuer)
  const signer = { signer: delegate, certificates: [delegate.certificate] }
  const bad: readonly [string, Uint8Array][] = [
    ['revoked', respond(issuer, { answers: [{ serial, status: { at: Date.now() - dayMs, reason: 1 } }] })],
    ['unknown', respond(issuer, { answers: [{ serial, status: 'unknown' }], ...signer })],
    ['stale', respond(issuer, { answers: [{ serial, thisUpdate: Date.now() - dayMs, nextUpdate: Date.now() - 1 }] })],
    ['foreign', respond(issuer, { answers: [{ serial: Uint8Array.of(5) }], ...signer })],
    ['good of a stranger', respond(issuer, { answers: [{ serial }], signWith: makeAuthority() })],
    ['declined', wrapped(3)],
  ]
  const changed = (bytes: Uint8Array, at: number, kind: number, value: number): Uint8Array => {
    const i = at % bytes.length
    const [head, tail] = [bytes.subarray(0, i), bytes.subarray(i)]
    if (kind === 0) return Buffer.concat([head, Uint8Array.of((tail[0] ?? 0) ^ (value || 1)), tail.subarray(1)])
    if (kind === 1) return Buffer.concat([head, tail.subarray(1 + (value % 40))])
    if (kind === 2) return Buffer.concat([head, Uint8Array.of(value), tail])
    return Buffer.concat([head, bytes.subarray(value, value + 60), tail.subarray(60)])
  }
  const change = fc.tuple(fc.nat(4000), fc.nat(3), fc.nat(255))

  it.each(bad)('one that is %s never becomes good', (_, bytes) => {
    expect(verdictOf(bytes).kind).not.toBe('good')
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
        const mutant = changes.reduce(
          (all, [at, kind, value]) => (all.length > 0 ? changed(all, at, kind, value) : all),
          bytes,
        )
        expect(verdictOf(Uint8Array.from(mutant)).kind).not.toBe('good')
      }),
      { numRuns: 600 },
    )
  })

  it.each(bad.slice(0, 3))('no single bit makes one that is %s good', (_, bytes) => {
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const mutant = Uint8Array.from(bytes)
      mutant[bit >> 3] = (mutant[bit >> 3] as number) ^ (1 << (bit & 7))
      if (verdictOf(mutant).kind === 'good') expect.fail(`bit ${bit}`)
    }
  })

  it('every single bit of a good answer counts, or it stays good', () => {
    const good = respond(issuer, { answers: [{ serial }], certificates: [] })
    for (let bit = 0; bit < good.length * 8; bit++) {
      const mutant = Uint8Array.from(good)
      mutant[bit >> 3] = (mutant[bit >> 3] as number) ^ (1 << (bit & 7))
      expect(['good', 'no-proof']).toContain(verdictOf(mutant).kind)
    }
  })

  it('a search that would find such a change finds one where signatures are not looked at', () => {
    // The seeded bug: a reader that believes what it reads. Turning tag a1 (revoked) into good is then within reach.
    const believed = (bytes: Uint8Array) => {
      const read = readOcsp(bytes)
      return read.kind === 'response' && read.answers[0]?.status.kind === 'good'
    }
    const bytes = respond(issuer, { answers: [{ serial, status: 'unknown' }] })
    let found = false
    for (let at = 0; at < bytes.length && !found; at++)
      for (const value of [1, 2, 4, 8]) found ||= believed(changed(bytes, at, 0, value))
    expect(found).toBe(true)
  })

  it('strange bytes never throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(verdictOf(bytes).kind).toBe('no-proof')
      }),
      { numRuns: 1500 },
    )
  })
})
