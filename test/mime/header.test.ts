import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Header, readHeader } from '../../src/mime/header.js'
import { contentTypeOf, dispositionOf, readParameters, transferEncodingOf } from '../../src/mime/parameters.js'

const bytes = (text: string) => Buffer.from(text, 'latin1')

function header(text: string, lineBreaks: 'crlf' | 'any' = 'crlf'): Header {
  const read = readHeader(bytes(text), { lineBreaks })
  if (read.kind !== 'header') throw new Error(read.detail)
  return read
}

function fault(text: string, options = {}) {
  const read = readHeader(bytes(text), options)
  return read.kind === 'unreadable' ? read.fault : read.kind
}

describe('readHeader', () => {
  it('keeps fields in order, lower-cases names, unfolds values and keeps the raw bytes', () => {
    const read = header('From: a@x.test\r\nX-Long: one\r\n\ttwo\r\n  three\r\nfrom: b@x.test\r\n\r\nbody')
    expect(read.fields.map((field) => [field.name, field.value])).toEqual([
      ['from', 'a@x.test'],
      ['x-long', 'one\ttwo  three'],
      ['from', 'b@x.test'],
    ])
    expect(read.fields[1]?.raw.toString()).toBe('X-Long: one\r\n\ttwo\r\n  three')
    expect(read.get('from')).toBe('a@x.test')
    expect(read.all('from')).toEqual(['a@x.test', 'b@x.test'])
    expect(read.bodyStart).toBe(read.bytes.length + 2)
  })

  it('reads an entity that begins with the empty line as one without fields', () => {
    expect(header('\r\nbody')).toMatchObject({ fields: [], bodyStart: 2 })
  })

  it('reads an entity without an empty line as all header', () => {
    expect(header('A: 1\r\nB: 2')).toMatchObject({ bodyStart: 10 })
    expect(header('')).toMatchObject({ fields: [], bodyStart: 0 })
  })

  it('reads UTF-8 values as UTF-8 and other bytes as Latin-1', () => {
    expect(header('S: \xc3\xa9\r\nT: \xe9\r\n\r\n').fields.map((field) => field.value)).toEqual(['é', 'é'])
  })

  it('reads space before the colon, so that no second From hides there', () => {
    expect(header('From : a@x.test\r\n\r\n').get('from')).toBe('a@x.test')
  })

  it.each([
    ['nul-in-header', 'A: 1\0\r\n\r\n'],
    ['bare-cr', 'A: 1\rB: 2\r\n\r\n'],
    ['bare-lf', 'A: 1\nB: 2\r\n\r\n'],
    ['bare-lf', 'A: 1\n\nB: 2\r\n\r\n'],
    ['not-a-field', 'A: 1\r\nno colon here\r\n\r\n'],
    ['not-a-field', ' starts folded: 1\r\n\r\n'],
    ['not-a-field', ': no name\r\n\r\n'],
    ['not-a-field', 'N\xe4me: 1\r\n\r\n'],
    ['not-a-field', 'two words: 1\r\n\r\n'],
  ])('refuses %s in %j', (expected, text) => {
    expect(fault(text)).toBe(expected)
  })

  it('takes a bare LF only when asked, and finds the same end with either break', () => {
    for (const text of [
      'A: 1\nB: 2\n\nbody',
      'A: 1\nB: 2\r\n\nbody',
      'A: 1\r\nB: 2\n\r\nbody',
      'A: 1\r\nB: 2\r\n\r\nbody',
    ]) {
      const read = header(text, 'any')
      expect(read.fields.map((field) => field.value)).toEqual(['1', '2'])
      expect(text.slice(read.bodyStart)).toBe('body')
    }
    expect(header('\nbody', 'any').bodyStart).toBe(1)
  })

  it('holds both limits to the byte and the field', () => {
    const exact = `A: ${'x'.repeat(1024)}\r\n\r\n`
    expect(fault(exact, { limits: { headerBytes: 1029 } })).toBe('header')
    expect(fault(exact, { limits: { headerBytes: 1028 } })).toBe('header-bytes')
    expect(fault('A: 1\r\n'.repeat(1_000))).toBe('header')
    expect(fault('A: 1\r\n'.repeat(1_001))).toBe('header-fields')
    expect(fault(`A: ${'x'.repeat(200_000)}`)).toBe('header-bytes')
  })

  it('gives back every byte it read, whatever the fields', () => {
    const name = fc.stringMatching(/^[A-Za-z][A-Za-z0-9-]{0,20}$/)
    const value = fc.stringMatching(/^[!-~]([ -~]{0,40}[!-~])?$/)
    fc.assert(
      fc.property(fc.array(fc.tuple(name, value), { maxLength: 20 }), (fields) => {
        const text = fields.map(([key, word]) => `${key}: ${word}\r\n`).join('')
        const read = header(`${text}\r\nbody`)
        expect(read.fields.map((field) => [field.name, field.value])).toEqual(
          fields.map(([key, word]) => [key.toLowerCase(), word]),
        )
        expect(read.fields.map((field) => `${field.raw.toString('latin1')}\r\n`).join('')).toBe(text)
      }),
    )
  })

  it('never throws for any bytes', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.constantFrom('crlf' as const, 'any' as const),
        (raw, lineBreaks) => {
          readHeader(raw, { lineBreaks })
        },
      ),
      { numRuns: 2_000 },
    )
  })
})

describe('readParameters', () => {
  const params = (text: string) => Object.fromEntries(readParameters(text).params)

  it.each([
    ['text/plain; charset=utf-8', { charset: 'utf-8' }],
    ['text/plain;CHARSET="utf-8"', { charset: 'utf-8' }],
    ['a/b (a comment; with x=y) ; (c) name (d) = (e) "f;g" (h)', { name: 'f;g' }],
    ['a/b; name="quote \\" and \\\\ slash"', { name: 'quote " and \\ slash' }],
    ['a/b; ; broken; =x; name=y', { name: 'y' }],
    ['a/b; name="never closed', { name: 'never closed' }],
    ["a/b; name*=utf-8'en'%e2%82%ac%20rates", { name: '€ rates' }],
    ["a/b; name*=iso-8859-1''caf%E9", { name: 'café' }],
    ['a/b; name*0="long ";name*1=name', { name: 'long name' }],
    ['a/b; name*1*=%AC; name*0*=utf-8\'\'%e2%82; name*2=" literal%20"', { name: '€ literal%20' }],
    ["a/b; name=plain; name*=utf-8''better", { name: 'better' }],
    ["a/b; name*=no-such-set''caf%C3%A9", { name: 'café' }],
    ['a/b; name*0=a; name*2=lost', { name: 'a' }],
    ['a/b; __proto__=x', Object.fromEntries([['__proto__', 'x']])],
  ])('reads %s', (text, expected) => {
    expect(params(text)).toEqual(expected)
  })

  it('tells a parameter that stands twice with different values', () => {
    expect([...readParameters('a/b; boundary=x; boundary=y').duplicates]).toEqual(['boundary'])
    expect([...readParameters('a/b; boundary=x; boundary=x').duplicates]).toEqual([])
  })

  it('takes linear time for hostile text', () => {
    const started = performance.now()
    for (const piece of [';a=b', ';a*1=b', '(', '"', ';"', ';a="\\', ';a*0*=%%', '=', ';a*=x', "'"])
      readParameters(`a/b${piece.repeat(100_000 / piece.length)}`)
    expect(performance.now() - started).toBeLessThan(2_000)
  })

  it('never throws and never loops', () => {
    const piece = fc.constantFrom(
      'a/b',
      ';',
      '=',
      '"',
      '(',
      ')',
      '\\',
      '*',
      '0',
      '1',
      "'",
      '%',
      'e2',
      'name',
      'utf-8',
      ' ',
      '\t',
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        readParameters(pieces.join(''))
      }),
      { numRuns: 3_000 },
    )
  })
})

describe('fields that say how to read a body', () => {
  it('reads a Content-Type without a space after the colon, in any case', () => {
    expect(contentTypeOf(header('Content-Type:Multipart/Signed;Boundary=X\r\n\r\n'))).toMatchObject({
      value: 'multipart/signed',
      type: 'multipart',
      subtype: 'signed',
    })
  })

  it('reads an unreadable Content-Type as octets and an absent one as plain text', () => {
    expect(contentTypeOf(header('Content-Type: text\r\n\r\n')).value).toBe('application/octet-stream')
    expect(contentTypeOf(header('Content-Type:\r\n\r\n')).value).toBe('application/octet-stream')
    expect(contentTypeOf(header('A: b\r\n\r\n')).value).toBe('text/plain')
  })

  it('reads Content-Disposition and Content-Transfer-Encoding', () => {
    expect(dispositionOf(header('Content-Disposition: Attachment; filename=a.txt\r\n\r\n'))?.value).toBe('attachment')
    expect(dispositionOf(header('A: b\r\n\r\n'))).toBeUndefined()
    expect(transferEncodingOf(header('Content-Transfer-Encoding: BASE64 (why)\r\n\r\n'))).toBe('base64')
    expect(transferEncodingOf(header('Content-Transfer-Encoding: "7bit"\r\n\r\n'))).toBe('7bit')
    expect(transferEncodingOf(header('A: b\r\n\r\n'))).toBe('7bit')
  })
})
