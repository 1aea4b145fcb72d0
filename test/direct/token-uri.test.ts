import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseTokenUri, tokenUriLimits } from '../../src/direct/token-uri.js'

const text = fc
  .string({ unit: 'binary', minLength: 1, maxLength: 20 })
  .filter((one) => Buffer.from(one).toString() === one)
const escaped = (one: string) =>
  [...Buffer.from(one)].map((octet) => `%${octet.toString(16).padStart(2, '0')}`).join('')

describe('the URI of a key in a token (RFC 7512)', () => {
  it('is read as tools of others write it, and written in one order', () => {
    const uri =
      'pkcs11:model=SoftHSM%20v2;manufacturer=SoftHSM%20project;serial=0a1b;token=mail;id=%01%ff;object=anna;type=private'
    expect(parseTokenUri(uri)).toEqual({
      kind: 'uri',
      uri: 'pkcs11:token=mail;manufacturer=SoftHSM%20project;model=SoftHSM%20v2;serial=0a1b;object=anna;id=%01%FF',
      name: {
        token: 'mail',
        manufacturer: 'SoftHSM project',
        model: 'SoftHSM v2',
        serial: '0a1b',
        object: 'anna',
        id: Uint8Array.of(1, 255),
      },
    })
  })

  it('is the same after it was written, whatever its values are', () => {
    const id = fc.uint8Array({ minLength: 1, maxLength: 20 })
    fc.assert(
      fc.property(text, text, id, (token, object, bytes) => {
        const escapedId = [...bytes].map((octet) => `%${octet.toString(16).padStart(2, '0')}`).join('')
        const read = parseTokenUri(`pkcs11:id=${escapedId};object=${escaped(object)};token=${escaped(token)}`)
        if (read.kind !== 'uri') throw new Error(read.detail)
        expect(read.name).toEqual({ token, object, id: bytes })
        expect(parseTokenUri(read.uri)).toEqual(read)
      }),
      { numRuns: 500 },
    )
  })

  it('is read or refused, whatever it is', () => {
    const pieces = fc.array(
      fc.constantFrom('pkcs11:', 'token=', 'id=%', '%0', 'f;', 'object', '=', ';', '?', 'pin-value=1', 'é', '\0'),
      { maxLength: 12 },
    )
    fc.assert(
      fc.property(
        fc.oneof(
          pieces.map((some) => `pkcs11:${some.join('')}`),
          fc.string(),
        ),
        (input) => {
          const read = parseTokenUri(input)
          if (read.kind === 'uri') expect(parseTokenUri(read.uri)).toEqual(read)
        },
      ),
      { numRuns: 3_000 },
    )
  })

  it.each([
    ['pkcs11:token=mail', 'names no key'],
    ['pkcs11:object=', 'names no key'],
    ['pkcs11:object=a?pin-value=1234', 'settings'],
    ['pkcs11:object=a?module-path=/x.so', 'settings'],
    ['pkcs11:object=a;object=b', 'twice'],
    ['pkcs11:object=a;type=cert', 'type is not'],
    ['pkcs11:object=a;library-version=2', 'library-version is not'],
    ['pkcs11:object=a;x-vendor=1', 'x-vendor is not'],
    ['pkcs11:object=%zz', 'badly written'],
    ['pkcs11:object=a b', 'badly written'],
    ['pkcs11:object=%ff', 'not text'],
    ['pkcs11:object', 'no value'],
    ['pkcs11:object=a;slot-id=x', 'slot-id is not'],
    ['https://example.test/', 'does not begin'],
    [`pkcs11:object=${'a'.repeat(tokenUriLimits.characters)}`, 'too long'],
  ])('is refused as %s', (uri, words) => {
    expect(parseTokenUri(uri)).toMatchObject({ kind: 'refused', detail: expect.stringContaining(words) })
  })

  it('never repeats what could be a PIN', () => {
    expect(JSON.stringify(parseTokenUri('pkcs11:object=a?pin-value=271828'))).not.toContain('271828')
  })
})
