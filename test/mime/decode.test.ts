import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeBase64, decodeBody, decodeQuotedPrintable } from '../../src/mime/decode.js'

function decode(transferEncoding: string, body: string | Buffer) {
  const decoded = decodeBody({ transferEncoding, body: Buffer.from(body as string, 'latin1') })
  if (decoded.kind !== 'decoded') throw new Error(decoded.detail)
  return decoded
}

const lines = (text: string, width: number, lineBreak: string) =>
  text.replace(new RegExp(`.{1,${width}}`, 'g'), (line) => line + lineBreak)

describe('decodeBody', () => {
  it('hands 7bit, 8bit and binary on without a copy', () => {
    for (const transferEncoding of ['7bit', '8bit', 'binary']) {
      const body = Buffer.from('a\r\n\0\xff')
      const decoded = decodeBody({ transferEncoding, body })
      expect(decoded.kind === 'decoded' && decoded.bytes).toBe(body)
    }
  })

  it('refuses an unknown encoding and a body over the limit', () => {
    expect(decodeBody({ transferEncoding: 'rot13', body: Buffer.from('x') })).toMatchObject({
      kind: 'unreadable',
      fault: 'transfer-encoding',
    })
    const body = Buffer.from('AAAA')
    expect(decodeBody({ transferEncoding: 'base64', body }, { decodedBytes: 3 }).kind).toBe('decoded')
    expect(decodeBody({ transferEncoding: 'base64', body }, { decodedBytes: 2 })).toMatchObject({
      fault: 'decoded-bytes',
    })
  })

  it('decodes uuencode, as some senders of context documents still use', () => {
    expect(decode('x-uuencode', 'begin 644 metadata.txt\n#0V%T\n`\nend\n')).toMatchObject({
      bytes: Buffer.from('Cat'),
      diagnostics: [],
    })
    expect(decode('x-uuencode', 'begin 644 a b.txt\r\n+:&5L;&\\@=V]R;&0 \r\n \r\nend\r\n').bytes.toString()).toBe(
      'hello world',
    )
    expect(decode('uuencode', 'begin 644 x\n#0V').diagnostics).toEqual(['uuencode-garbage'])
    expect(decode('uuencode', 'nothing here')).toMatchObject({
      bytes: Buffer.alloc(0),
      diagnostics: ['uuencode-garbage'],
    })
  })
})

describe('base64', () => {
  it('decodes what was encoded, whatever the size, line length and line break', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 700 }),
        fc.constantFrom(4, 7, 60, 64, 72, 76, 1000),
        fc.constantFrom('\r\n', '\n', ' \r\n', '\r\n\r\n'),
        (bytes, width, lineBreak) => {
          const decoded = decodeBase64(Buffer.from(lines(Buffer.from(bytes).toString('base64'), width, lineBreak)))
          expect(decoded.bytes.equals(bytes)).toBe(true)
          expect(decoded.diagnostics).toEqual([])
        },
      ),
      { numRuns: 500 },
    )
  })

  it('finds every kind of damage, in the first block and far behind it', () => {
    const good = lines(Buffer.alloc(200_000, 'abc').toString('base64'), 76, '\r\n')
    for (const at of [10, 150_000, good.length - 10]) {
      const damage = (text: string) => decode('base64', good.slice(0, at) + text + good.slice(at))
      for (const byte of ['!', '-', '_', '\0', '\xff']) {
        const decoded = damage(byte)
        expect(decoded.diagnostics).toEqual(['base64-garbage'])
        expect(decoded.bytes.equals(Buffer.alloc(200_000, 'abc'))).toBe(true)
      }
      expect(damage('\r\n').diagnostics).toEqual([])
      expect(damage('A').diagnostics).toContain('base64-padding')
      expect(damage('=').diagnostics).toContain('base64-after-padding')
    }
  })

  it('stops at padding, and tells what was left behind it', () => {
    expect(decode('base64', 'QQ==\r\nQQ==\r\n')).toMatchObject({
      bytes: Buffer.from('A'),
      diagnostics: ['base64-after-padding'],
    })
    expect(decode('base64', 'QQ')).toMatchObject({ bytes: Buffer.from('A'), diagnostics: ['base64-padding'] })
    expect(decode('base64', 'QUI')).toMatchObject({ bytes: Buffer.from('AB'), diagnostics: ['base64-padding'] })
    expect(decode('base64', 'Q')).toMatchObject({ bytes: Buffer.alloc(0), diagnostics: ['base64-padding'] })
    expect(decode('base64', '')).toMatchObject({ bytes: Buffer.alloc(0), diagnostics: [] })
  })

  it('never throws for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(decodeBase64(Buffer.from(bytes)).bytes.length).toBeLessThanOrEqual(bytes.length)
      }),
      { numRuns: 2_000 },
    )
  })
})

describe('quoted-printable', () => {
  const qp = (text: string) => decodeQuotedPrintable(Buffer.from(text, 'latin1'))

  it.each([
    ['caf=C3=A9=', 'café'],
    ['soft=\r\nbreak', 'softbreak'],
    ['soft= \t\r\nbreak', 'softbreak'],
    ['bare=\nbreak\nkept\n', 'barebreak\nkept\n'],
    ['trailing  \t\r\nspace=20\r\n', 'trailing\r\nspace \r\n'],
    ['lower=c3=a9', 'loweré'],
    ['=3D=3D\r\n', '==\r\n'],
    ['', ''],
    ['\r\n\r\n', '\r\n\r\n'],
  ])('decodes %j', (text, expected) => {
    expect(qp(text)).toMatchObject({ bytes: Buffer.from(expected), diagnostics: [] })
  })

  it.each(['a=b', 'a=4', 'a=G1', '=\rx', 'a==\r\nb'])('keeps the broken escape of %j and tells it', (text) => {
    const decoded = qp(text)
    expect(decoded.diagnostics).toEqual(['quoted-printable-garbage'])
    expect(decoded.bytes.includes(61)).toBe(true)
  })

  it('never throws for any bytes', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(61, 13, 10, 32, 9, 65, 48, 255), { maxLength: 60 }), (bytes) => {
        expect(decodeQuotedPrintable(Buffer.from(bytes)).bytes.length).toBeLessThanOrEqual(bytes.length)
      }),
      { numRuns: 3_000 },
    )
  })
})
