import fc from 'fast-check'
import forge from 'node-forge'
import { describe, expect, it } from 'vitest'
import { oids } from '../../src/asn1/oids.js'
import * as asn1 from '../../src/asn1/reader.js'
import {
  algorithmIdentifier,
  context,
  contextPrimitive,
  der,
  integer,
  nullValue,
  objectIdentifier,
  octetString,
  sequenceOf,
  setOf,
} from '../../src/asn1/writer.js'
import { readPkcs12 } from '../../src/smime/pkcs12.js'
import { makeAuthority, makeLeaf } from '../fixtures/pki.js'

// node-forge writes certificates anew, and only RSA ones come out as they were.
const identity = makeLeaf(makeAuthority({ keyType: 'rsa2048' }))

/** A file that node-forge made. */
function forged(passphrase: string, options: { count?: number; algorithm?: 'aes256' | '3des' } = {}): Buffer {
  const made = forge.pkcs12.toPkcs12Asn1(
    forge.pki.privateKeyFromPem(identity.privateKeyPem),
    forge.pki.certificateFromPem(identity.certificatePem),
    passphrase,
    options,
  )
  return Buffer.from(forge.asn1.toDer(made).getBytes(), 'latin1')
}

const file = forged('right', { count: 10 })

/** A file whose one safe, or whose MAC, asks for this work. */
function costly(derivation: Uint8Array, mac?: Uint8Array): Uint8Array {
  const pbes2 = algorithmIdentifier(
    '1.2.840.113549.1.5.13',
    sequenceOf(derivation, algorithmIdentifier(oids.aes256Cbc, octetString(Buffer.alloc(16)))),
  )
  const encrypted = sequenceOf(
    integer(0),
    sequenceOf(objectIdentifier(oids.data), pbes2, contextPrimitive(0, Buffer.alloc(32))),
  )
  const safe = sequenceOf(objectIdentifier('1.2.840.113549.1.7.6'), context(0, encrypted))
  const content = sequenceOf(objectIdentifier(oids.data), context(0, octetString(sequenceOf(safe))))
  return sequenceOf(integer(3), content, ...(mac ? [mac] : []))
}
const pbkdf2 = (iterations: Uint8Array) =>
  algorithmIdentifier('1.2.840.113549.1.5.12', sequenceOf(octetString(Buffer.alloc(8)), iterations))
const scrypt = (cost: number, block: number, parallel: number) =>
  algorithmIdentifier(
    '1.3.6.1.4.1.11591.4.11',
    sequenceOf(octetString(Buffer.alloc(8)), integer(cost), integer(block), integer(parallel)),
  )
const mac = (iterations: Uint8Array) =>
  sequenceOf(
    sequenceOf(algorithmIdentifier(oids.sha1, nullValue), octetString(Buffer.alloc(20))),
    octetString(Buffer.alloc(8)),
    iterations,
  )

describe('a PKCS #12 file', () => {
  it.each(['aes256', '3des'] as const)('that node-forge made with %s opens', (algorithm) => {
    const read = readPkcs12(forged('a passphrase', { algorithm, count: 100 }), 'a passphrase')
    if (read.kind === 'problem') throw new Error(read.detail)
    expect(read.entries.map((entry) => Buffer.from(entry.certificate))).toEqual([Buffer.from(identity.certificate)])
  })

  it('with octet strings in pieces opens, as old exports have them', () => {
    const [version, safe, macData] = asn1.sequence(asn1.onlyElement(file))
    const [type, wrapped] = asn1.sequence(safe)
    const body = asn1.octets(asn1.children(wrapped as asn1.Element)[0] as asn1.Element)
    const pieces = Array.from({ length: Math.ceil(body.length / 100) }, (_, n) =>
      octetString(body.subarray(n * 100, n * 100 + 100)),
    )
    const indefinite = (tag: number, ...parts: Uint8Array[]) =>
      Buffer.concat([Uint8Array.of(tag, 0x80), ...parts, Uint8Array.of(0, 0)])
    const content = indefinite(0x30, asn1.whole(type as asn1.Element), indefinite(0xa0, indefinite(0x24, ...pieces)))
    const loose = indefinite(0x30, asn1.whole(version as asn1.Element), content, asn1.whole(macData as asn1.Element))
    expect(readPkcs12(loose, 'right')).toMatchObject({ kind: 'pkcs12' })
  })

  it.each<[string, Uint8Array, string]>([
    ['a MAC of two thousand million iterations', costly(pbkdf2(integer(1)), mac(integer(2 ** 31 - 1))), 'too-costly'],
    ['a MAC of more', costly(pbkdf2(integer(1)), mac(integer(2 ** 40))), 'malformed'],
    ['a MAC of none', costly(pbkdf2(integer(1)), mac(integer(0))), 'malformed'],
    ['a safe of two thousand million iterations', costly(pbkdf2(integer(2 ** 31 - 1))), 'too-costly'],
    ['a safe of a negative number', costly(pbkdf2(der(2, Uint8Array.of(0xff)))), 'malformed'],
    ['scrypt with much memory', costly(scrypt(2 ** 20, 8, 1)), 'too-costly'],
    ['scrypt with many threads', costly(scrypt(16, 8, 2 ** 20)), 'too-costly'],
    ['scrypt with a cost that is no power of two', costly(scrypt(17, 8, 1)), 'malformed'],
    [
      'an unknown derivation',
      costly(algorithmIdentifier('1.2.3', sequenceOf(octetString(Buffer.alloc(8))))),
      'unsupported',
    ],
  ])('with %s is answered at once', (_, hostile, problem) => {
    const start = performance.now()
    expect(readPkcs12(hostile, 'x')).toMatchObject({ kind: 'problem', problem })
    expect(performance.now() - start).toBeLessThan(200)
  })

  it('with one iteration count too many among many is answered in bounded time', () => {
    const [version, content] = asn1.sequence(asn1.onlyElement(costly(pbkdf2(integer(1_000_000)))))
    const [type, wrapped] = asn1.sequence(content)
    const safes = asn1.sequence(
      asn1.onlyElement(asn1.octets(asn1.children(wrapped as asn1.Element)[0] as asn1.Element)),
    )
    const many = sequenceOf(...Array(100).fill(asn1.whole(safes[0] as asn1.Element)))
    const whole = sequenceOf(
      asn1.whole(version as asn1.Element),
      sequenceOf(asn1.whole(type as asn1.Element), context(0, octetString(many))),
    )
    expect(readPkcs12(whole, 'x')).toMatchObject({ kind: 'problem' })
  })

  it('names what it is not', () => {
    expect(readPkcs12(file, 'wrong')).toMatchObject({ problem: 'wrong-passphrase' })
    expect(readPkcs12(Buffer.from('hello'), 'x')).toMatchObject({ problem: 'malformed' })
    expect(readPkcs12(Buffer.alloc(2 << 20), 'x')).toMatchObject({ problem: 'malformed' })
    expect(readPkcs12(identity.certificate, 'x')).toMatchObject({ kind: 'problem' })
    expect(
      readPkcs12(sequenceOf(integer(3), sequenceOf(objectIdentifier(oids.signedData), context(0, setOf()))), 'x'),
    ).toMatchObject({ problem: 'unsupported' })
  })

  it('answers a value whatever is changed in it', () => {
    const seen = new Set<string>()
    fc.assert(
      fc.property(fc.nat({ max: file.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const copy = Buffer.from(file)
        copy[at] = (copy[at] as number) ^ change
        const read = readPkcs12(copy, 'right')
        seen.add(read.kind)
        return (
          read.kind === 'problem' ||
          Buffer.from(read.entries[0]?.certificate ?? []).equals(Buffer.from(identity.certificate))
        )
      }),
      { numRuns: 1_000 },
    )
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => readPkcs12(bytes, '').kind === 'problem'),
      { numRuns: 1_000 },
    )
    expect(readPkcs12(file, 'right').kind).toBe('pkcs12')
    expect(seen).toContain('problem')
  })
})
