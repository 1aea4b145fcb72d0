import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bundleLimits, readBundle } from '../../src/x509/bundle.js'
import { p7b, p7m } from '../fixtures/bundles.js'
import { makeAuthority, makeLeaf, pem } from '../fixtures/pki.js'

const [one, two, three] = [makeAuthority(), makeAuthority(), makeAuthority()]
const all = [one, two, three]
const ids = all.map(({ fingerprint }) => fingerprint)
const text = (label: string, der: Uint8Array) => pem(label, der)

function fingerprints(bytes: Uint8Array | string): readonly string[] {
  const read = readBundle(typeof bytes === 'string' ? Buffer.from(bytes) : bytes)
  if (read.kind !== 'bundle') throw new Error(JSON.stringify(read))
  return read.certificates.map(({ fingerprint }) => fingerprint)
}

function fault(bytes: Uint8Array | string): string {
  const read = readBundle(typeof bytes === 'string' ? Buffer.from(bytes) : bytes)
  return read.kind === 'no-bundle' ? read.fault : read.kind
}

/** BER with indefinite lengths on the levels that writers stream. */
function indefinite(der: Uint8Array, levels: number): Uint8Array {
  if (levels === 0) return der
  const long = (der[1] as number) & 0x80 ? ((der[1] as number) & 0x7f) + 2 : 2
  const inner = Buffer.from(der.subarray(long))
  const parts: Uint8Array[] = []
  for (let at = 0; at < inner.length; ) {
    const first = inner[at + 1] as number
    const octets = first & 0x80 ? first & 0x7f : 0
    const length = octets ? inner.readUIntBE(at + 2, octets) : first
    const end = at + 2 + octets + length
    const part = inner.subarray(at, end)
    parts.push((part[0] as number) & 0x20 && part[0] !== 0x31 ? indefinite(part, levels - 1) : part)
    at = end
  }
  return Buffer.concat([der.subarray(0, 1), Uint8Array.of(0x80), ...parts, Uint8Array.of(0, 0)])
}

describe('a trust bundle', () => {
  const bundle = p7b(all)

  it('reads in DER, BER, PEM and bare base64, whatever the line ends and the mark in front', () => {
    const base64 = Buffer.from(bundle).toString('base64')
    const lines = base64.replace(/(.{64})/g, '$1\n')
    const forms: (Uint8Array | string)[] = [
      bundle,
      indefinite(bundle, 3),
      Buffer.concat([bundle, Buffer.from('\r\n')]),
      text('PKCS7', bundle),
      text('CMS', bundle),
      text('PKCS #7 SIGNED DATA', bundle),
      text('PKCS7', bundle).replaceAll('\n', '\r\n'),
      `\u00ef\u00bb\u00bf${text('PKCS7', bundle)}`,
      `A community\n\n${text('PKCS7', bundle)}and its seal\n`,
      base64,
      lines,
      `\n\n${lines.replaceAll('\n', '\r\n')}\n`,
      `MIME-Version: 1.0\nContent-Type: application/pkcs7-mime;\n name="smime.p7b"\n\n${lines}`,
      all.map(({ certificatePem }) => certificatePem).join(''),
      all.map(({ certificatePem }) => certificatePem.replaceAll('\n', '\r\n')).join('# next\r\n'),
      text('PKCS7', p7b([one])) + text('PKCS7', p7b([two])) + three.certificatePem,
    ]
    for (const [i, form] of forms.entries())
      expect(fingerprints(typeof form === 'string' ? Buffer.from(form, 'latin1') : form), `form ${i}`).toEqual(ids)
  })

  it('has each certificate once, in order, those of end entities too', () => {
    const leaf = makeLeaf(one, { keyType: 'p256' })
    expect(fingerprints(p7b([two, one, two, leaf, one]))).toEqual([two.fingerprint, one.fingerprint, leaf.fingerprint])
    expect(fingerprints(one.certificate)).toEqual([one.fingerprint])
  })

  it('leaves out what does not parse and counts it', () => {
    const damaged = { certificate: Uint8Array.from(one.certificate) }
    damaged.certificate[4] = 0x31
    const read = readBundle(p7b([damaged, two]))
    expect(read).toMatchObject({ kind: 'bundle', unreadable: 1 })
    expect(fault(p7b([damaged]))).toBe('empty')
  })

  it('hands out its content beside the certificates', () => {
    const read = readBundle(p7b(all, '<TrustBundle/>'))
    expect(read.kind === 'bundle' && Buffer.from(read.content ?? []).toString()).toBe('<TrustBundle/>')
  })

  it('that somebody signed is what he signed, and never what lies beside it', () => {
    const read = readBundle(p7m(p7b([two]), one, { beside: [one, three] }))
    expect(read).toMatchObject({ kind: 'wrapped', signers: 1 })
    expect(read.kind === 'wrapped' && fingerprints(read.content)).toEqual([two.fingerprint])
    // The signature torn off: the certificate of the signer is still no anchor.
    expect(readBundle(p7b([one], p7b([two])))).toMatchObject({ kind: 'wrapped', signers: 0 })
    expect(readBundle(p7b([one], text('PKCS7', p7b([two]))))).toMatchObject({ kind: 'wrapped', signers: 0 })
    expect(fault(text('CMS', p7m(p7b([two]), one)) + three.certificatePem)).toBe('unreadable')
  })

  it('is refused by name when there is none', () => {
    expect(fault(new Uint8Array())).toBe('unreadable')
    expect(fault('<html>sign in first</html>')).toBe('unreadable')
    expect(fault(p7b([]))).toBe('empty')
    expect(fault(bundle.subarray(0, -9))).toBe('unreadable')
    expect(fault(text('PRIVATE KEY', one.pkcs8))).toBe('unreadable')
    expect(fault(one.pkcs8)).toBe('empty')
    expect(fault(new Uint8Array(bundleLimits.sizeBytes + 1))).toBe('too-large')
    const few = readBundle(bundle, { ...bundleLimits, certificates: 2 })
    expect(few).toMatchObject({ kind: 'no-bundle', fault: 'too-many' })
  })

  it('ends in an outcome however it was bent, and in time', () => {
    const sources = [bundle, p7m(bundle, one), Buffer.from(text('PKCS7', bundle)), Buffer.from(p7b(all, '<a/>'))]
    const kinds = new Set<string>()
    fc.assert(
      fc.property(
        fc.constantFrom(...sources),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        fc.nat(3),
        (source, changes, cut) => {
          const bent = Buffer.from(source)
          for (const [at, value] of changes) bent[at % bent.length] = value
          const read = readBundle(cut === 0 ? bent.subarray(0, (changes[0]?.[0] ?? 0) % bent.length) : bent)
          kinds.add(read.kind)
          return read.kind !== 'bundle' || read.certificates.length > 0
        },
      ),
      { numRuns: 3_000 },
    )
    expect([...kinds].sort()).toEqual(['bundle', 'no-bundle', 'wrapped'])
  })

  it('costs little where eight megabytes were made to cost much', () => {
    const size = bundleLimits.sizeBytes
    const fill = (text: string) => Buffer.from(text.repeat(Math.floor(size / text.length)), 'latin1')
    const open = '-----BEGIN CMS-----'
    const shapes = [
      fill('A'),
      fill(open),
      fill(`${open}\nMIIA\n`),
      Buffer.concat([Buffer.from(open), fill('A').subarray(64)]),
      fill('a:\n'),
      fill('0'),
      fill('0\u0080'),
      fill(' '),
      fill(' !'),
    ]
    for (const shape of shapes) {
      const begun = performance.now()
      expect(fault(shape)).toMatch(/unreadable|empty|too-many/)
      expect(performance.now() - begun).toBeLessThan(1_500)
    }
  })
})
