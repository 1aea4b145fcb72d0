import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { oids } from '../../src/asn1/oids.js'
import { context, contextPrimitive, integer, sequenceOf } from '../../src/asn1/writer.js'
import { type Crl, crlLimits, entryOf, readCrl, reasonWord } from '../../src/x509/crl.js'
import { comparableName } from '../../src/x509/name.js'
import { type CrlOptions, extension, generalName, issueCrl, makeAuthority, pem } from '../fixtures/pki.js'

const root = makeAuthority()
const issuer = comparableName(root.subject)
const yes = Uint8Array.of(0xff)

function read(options: CrlOptions = {}): Crl {
  const list = readCrl(issueCrl(root, options))
  if (list.kind === 'malformed') throw new Error(list.detail)
  return list
}
const point = (...fields: readonly Uint8Array[]) => ({
  extensions: [extension(oids.issuingDistributionPoint, sequenceOf(...fields), true)],
})

describe('reading a revocation list', () => {
  it('gives its numbers, scope and where its delta lists are', () => {
    const url = generalName.uri('http://crl.test/Delta')
    const list = read({
      extensions: [
        extension(oids.crlNumber, integer(Uint8Array.from({ length: 20 }, () => 0x7f))),
        extension(oids.deltaCrlIndicator, integer(3), true),
        extension(oids.freshestCrl, sequenceOf(sequenceOf(context(0, context(0, url))))),
        extension(
          oids.issuingDistributionPoint,
          sequenceOf(
            context(0, context(0, url)),
            contextPrimitive(1, yes),
            contextPrimitive(3, Uint8Array.of(5, 0x60)),
            contextPrimitive(4, yes),
          ),
          true,
        ),
        extension(oids.authorityKeyIdentifier, sequenceOf(contextPrimitive(0, Uint8Array.of(1, 2)))),
      ],
    })
    expect(list.number).toBe(BigInt(`0x${'7f'.repeat(20)}`))
    expect(list.baseNumber).toBe(3n)
    expect(list.freshest).toMatchObject([{ urls: ['http://crl.test/Delta'], reasons: undefined, crlIssuers: [] }])
    expect(list.scope).toMatchObject({
      only: 'user',
      indirect: true,
      reasons: 6,
      points: ['134 http://crl.test/Delta'],
    })
    expect(list.authorityKeyIdentifier).toEqual(Buffer.of(1, 2))
    expect(list.unusable).toBeUndefined()
  })

  it('is done once for the same array', () => {
    const bytes = issueCrl(root)
    expect(readCrl(bytes)).toBe(readCrl(bytes))
    expect(readCrl(Uint8Array.from(bytes))).not.toBe(readCrl(bytes))
    expect(readCrl(Buffer.from(pem('X509 CRL', bytes))).kind).toBe('crl')
  })

  it('refuses two scopes, an extension twice, numbers that are none, and what stands behind', () => {
    const number = extension(oids.crlNumber, integer(1))
    const wrong: CrlOptions[] = [
      point(contextPrimitive(1, yes), contextPrimitive(2, yes)),
      { extensions: [number, number] },
      { extensions: [extension(oids.crlNumber, Uint8Array.of(2, 1, 0xff))] },
      { extensions: [extension(oids.crlNumber, integer(new Uint8Array(22).fill(1)))] },
    ]
    for (const options of wrong) expect(readCrl(issueCrl(root, options)).kind).toBe('malformed')
    expect(readCrl(Buffer.concat([issueCrl(root), Uint8Array.of(0)])).kind).toBe('malformed')
  })

  it('finds an entry by its serial number and whose certificate it is', () => {
    const other = makeAuthority()
    const named = (name: Uint8Array) => extension(oids.certificateIssuer, sequenceOf(generalName.directory(name)), true)
    const serial = Uint8Array.of(9, 9)
    const list = read({
      ...point(contextPrimitive(4, yes)),
      revoked: [
        { serial: Uint8Array.of(1) },
        { serial, reason: 1, extensions: [named(other.subject)] },
        { serial: Uint8Array.of(2) },
        { serial, reason: 4, extensions: [named(root.subject)] },
      ],
    })
    expect(entryOf(list, serial, comparableName(other.subject))?.reason).toBe(1)
    expect(entryOf(list, serial, issuer)?.reason).toBe(4)
    expect(entryOf(list, Uint8Array.of(2), issuer)).toBeUndefined()
    expect(entryOf(list, Uint8Array.of(1), issuer)?.reason).toBe(0)
    expect(['unspecified', 'reason 77']).toEqual([0, 77].map(reasonWord))
  })

  it('ends with a list of more issuers than there can be', () => {
    const named = [0, 1].map((i) =>
      extension(
        oids.certificateIssuer,
        sequenceOf(generalName.directory(i ? root.subject : makeAuthority().subject)),
        true,
      ),
    )
    const revoked = Array.from({ length: crlLimits.issuerRuns + 1 }, (_, i) => ({
      serial: Uint8Array.of(1, i >> 8, i & 255),
      extensions: [named[i % 2] as Uint8Array],
    }))
    expect(readCrl(issueCrl(root, { ...point(contextPrimitive(4, yes)), revoked }))).toMatchObject({
      kind: 'malformed',
      detail: 'a CRL of too many issuers',
    })
  })

  it('never throws', () => {
    const bytes = issueCrl(root, {
      revoked: [{ serial: Uint8Array.of(5), reason: 1 }],
      ...point(contextPrimitive(4, yes)),
    })
    const changes = fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(changes, (all) => {
        const damaged = Uint8Array.from(bytes)
        for (const [at, octet] of all) damaged[at] = octet
        readCrl(damaged)
      }),
      { numRuns: 5_000 },
    )
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (any) => readCrl(any).kind === 'malformed'))
  })
})
