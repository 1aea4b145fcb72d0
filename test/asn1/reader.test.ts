import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { oids } from '../../src/asn1/oids.js'
import * as asn1 from '../../src/asn1/reader.js'
import * as writer from '../../src/asn1/writer.js'

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')

describe('elements', () => {
  it('are windows on the bytes', () => {
    const bytes = hex('ff 30 03 02 01 05 ff')
    const found = asn1.element(bytes, 1)
    expect(found).toMatchObject({ tag: 0x30, start: 1, from: 3, to: 6, next: 6 })
    expect(asn1.content(found).buffer).toBe(bytes.buffer)
    expect(asn1.smallInteger(asn1.children(found)[0])).toBe(5)
  })

  it('of indefinite length end at their own end-of-contents', () => {
    const found = asn1.onlyElement(hex('30 80 24 80 04 01 61 04 01 62 00 00 02 01 07 00 00'))
    const [text, number] = asn1.children(found)
    expect(Buffer.from(asn1.octets(text as asn1.Element)).toString()).toBe('ab')
    expect(asn1.smallInteger(number)).toBe(7)
  })

  it.each([
    ['nothing', ''],
    ['a lone identifier', '30'],
    ['a length beyond the end', '04 05 61'],
    ['a length of length beyond the end', '04 82 01'],
    ['a length of seven octets', '04 87 00 00 00 00 00 00 01 61'],
    ['an indefinite primitive', '04 80 61 00 00'],
    ['an indefinite length without its end', '30 80 02 01 05'],
    ['a high tag number', '1f 81 01 00'],
  ])('refuse %s', (_, text) => {
    expect(() => asn1.onlyElement(hex(text))).toThrow(asn1.Asn1Error)
  })

  it('refuse bytes behind the only one', () => {
    expect(() => asn1.onlyElement(hex('05 00 00'))).toThrow(asn1.Asn1Error)
  })
})

describe('bombs', () => {
  const within = (milliseconds: number, step: () => unknown) => {
    const start = performance.now()
    expect(step).toThrow(asn1.Asn1Error)
    expect(performance.now() - start).toBeLessThan(milliseconds)
  }
  it('of nested indefinite lengths end early', () => {
    within(200, () => asn1.onlyElement(Buffer.alloc(8 << 20, hex('30 80'))))
  })
  it('of four million NULLs end early, indefinite or as children', () => {
    const nulls = Buffer.alloc(8 << 20, hex('05 00'))
    within(500, () => asn1.onlyElement(Buffer.concat([hex('30 80'), nulls, hex('00 00')])))
    within(500, () => asn1.children(asn1.onlyElement(writer.sequenceOf(nulls))))
  })
  it('of octet strings inside octet strings end early', () => {
    let nested: Uint8Array = writer.octetString(hex('61'))
    for (let depth = 0; depth < 20; depth++) nested = writer.der(0x24, nested)
    within(100, () => asn1.octets(asn1.onlyElement(nested)))
  })
  it('of deep definite nesting are not DER', () => {
    let nested: Uint8Array = writer.nullValue
    for (let depth = 0; depth < 100; depth++) nested = writer.sequenceOf(nested)
    within(100, () => asn1.assertDer(asn1.onlyElement(nested)))
  })
})

describe('values', () => {
  it.each([
    ['2a 86 48 86 f7 0d 01 07 02', oids.signedData],
    ['55 1d 11', oids.subjectAltName],
    ['88 37 03', '2.999.3'],
    ['00', '0.0'],
  ])('object identifier %s is %s', (octets, dotted) => {
    expect(asn1.oid(asn1.onlyElement(writer.der(0x06, hex(octets))))).toBe(dotted)
  })

  it.each(['', '80 01', '2a 80', `2a ${'ff '.repeat(9)}7f`])(
    'object identifier of octets "%s" is refused',
    (octets) => {
      expect(() => asn1.oid(asn1.onlyElement(writer.der(0x06, hex(octets))))).toThrow(asn1.Asn1Error)
    },
  )

  it.each([
    [0x17, '231231235959Z', '2023-12-31T23:59:59.000Z'],
    [0x17, '500101000000Z', '1950-01-01T00:00:00.000Z'],
    [0x17, '491231000000Z', '2049-12-31T00:00:00.000Z'],
    [0x18, '20500101000000Z', '2050-01-01T00:00:00.000Z'],
    [0x18, '99991231235959Z', '9999-12-31T23:59:59.000Z'],
  ])('time %i %s is %s', (tag, text, iso) => {
    const at = asn1.time(asn1.onlyElement(writer.der(tag, Buffer.from(text))))
    expect(new Date(at).toISOString()).toBe(iso)
  })

  it.each([
    [0x17, '230231000000Z'],
    [0x17, '231301000000Z'],
    [0x17, '2312310000Z'],
    [0x17, '231231000000+0100'],
    [0x18, '20231231000000.5Z'],
    [0x18, '20231231250000Z'],
    [0x16, '231231000000Z'],
  ])('time %i %s is refused', (tag, text) => {
    expect(() => asn1.time(asn1.onlyElement(writer.der(tag, Buffer.from(text))))).toThrow(asn1.Asn1Error)
  })

  it('integers beyond 2^31, negative or empty are refused as small ones', () => {
    for (const octets of ['00 80 00 00 00', 'ff', ''])
      expect(() => asn1.smallInteger(asn1.onlyElement(writer.der(2, hex(octets))))).toThrow(asn1.Asn1Error)
  })

  it('named bits count from the left', () => {
    expect(asn1.namedBits(asn1.onlyElement(hex('03 02 05 a0')))).toBe(0b101)
    expect(asn1.namedBits(asn1.onlyElement(hex('03 03 07 80 80')))).toBe(0b1_0000_0001)
    expect(() => asn1.bitOctets(asn1.onlyElement(hex('03 02 05 a0')))).toThrow(asn1.Asn1Error)
  })
})

describe('DER', () => {
  it.each([
    ['an indefinite length', '30 80 05 00 00 00'],
    ['a long form where the short one would do', '30 81 02 05 00'],
    ['a leading zero in a length', `04 82 00 80 ${'00'.repeat(128)}`],
    ['the same inside', '30 04 04 81 01 61'],
  ])('is not %s', (_, text) => {
    expect(() => asn1.assertDer(asn1.onlyElement(hex(text)))).toThrow(asn1.Asn1Error)
  })
})

const tree: fc.Memo<Uint8Array> = fc.memo((depth) =>
  depth <= 1
    ? fc.uint8Array({ maxLength: 300 }).map(writer.octetString)
    : fc.oneof(
        fc.uint8Array({ maxLength: 300 }).map(writer.octetString),
        fc.nat().map((value) => writer.integer(value)),
        fc.array(tree(), { maxLength: 5 }).map((parts) => writer.sequenceOf(...parts)),
      ),
)

/** The same with indefinite lengths wherever BER allows them. */
function loosened(found: asn1.Element): Uint8Array {
  if (found.tag & 0x20)
    return Buffer.concat([Uint8Array.of(found.tag, 0x80), ...asn1.children(found).map(loosened), Uint8Array.of(0, 0)])
  if (found.tag !== 0x04) return asn1.whole(found)
  const body = asn1.content(found)
  const half = body.length >> 1
  const pieces = [writer.octetString(body.subarray(0, half)), writer.octetString(body.subarray(half))]
  return Buffer.concat([Uint8Array.of(0x24, 0x80), ...pieces, Uint8Array.of(0, 0)])
}

/** Reads all of it back into DER. */
function strict(found: asn1.Element): Uint8Array {
  if ((found.tag & ~0x20) === 0x04) return writer.octetString(asn1.octets(found))
  return found.tag & 0x20 ? writer.der(found.tag, ...asn1.children(found).map(strict)) : asn1.whole(found)
}

describe('reader and writer', () => {
  it('agree on every tree, in DER and in BER', () => {
    fc.assert(
      fc.property(tree(6), (der) => {
        const found = asn1.onlyElement(der)
        asn1.assertDer(found)
        expect(Buffer.from(strict(asn1.onlyElement(loosened(found)))).equals(Buffer.from(der))).toBe(true)
      }),
    )
  })

  it('agree on object identifiers and times', () => {
    const arcs = fc.array(fc.nat({ max: 2 ** 31 - 1 }), { minLength: 1, maxLength: 8 })
    fc.assert(
      fc.property(fc.nat({ max: 2 }), fc.nat({ max: 39 }), arcs, (first, second, rest) => {
        const dotted = [first, second, ...rest].join('.')
        expect(asn1.oid(asn1.onlyElement(writer.objectIdentifier(dotted)))).toBe(dotted)
      }),
    )
    fc.assert(
      fc.property(fc.integer({ min: -631_152_000, max: 253_402_300_799 }), (seconds) => {
        expect(asn1.time(asn1.onlyElement(writer.timeOf(seconds * 1000)))).toBe(seconds * 1000)
      }),
    )
  })

  it('answer nothing but an element or Asn1Error for any bytes', () => {
    const walk = (found: asn1.Element, depth: number): void => {
      if (found.tag & 0x20 && depth < 6) for (const child of asn1.children(found)) walk(child, depth + 1)
    }
    const attempt = (bytes: Uint8Array) => {
      try {
        walk(asn1.onlyElement(bytes), 0)
      } catch (error) {
        expect(error).toBeInstanceOf(asn1.Asn1Error)
      }
    }
    fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), attempt), { numRuns: 3_000 })
    fc.assert(
      fc.property(tree(5), fc.nat(), fc.nat({ max: 255 }), (der, at, octet) => {
        const changed = Uint8Array.from(der)
        changed[at % changed.length] = octet
        attempt(changed)
      }),
      { numRuns: 3_000 },
    )
  })

  it('sort a SET OF', () => {
    const set = writer.setOf(writer.integer(300), writer.integer(2), writer.octetString(hex('61')))
    expect(asn1.children(asn1.onlyElement(set)).map((one) => one.tag)).toEqual([2, 2, 4])
    expect(Buffer.from(set).toString('hex')).toBe('310a0201020202012c040161')
  })
})
