import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readMailboxes } from '../../src/mime/addresses.js'
import { buildLeaf, buildMessage, buildMultipart, type Entity, entityBytes } from '../../src/mime/build.js'
import { decodeBody, decodeQuotedPrintable } from '../../src/mime/decode.js'
import { encodeBase64, encodeQuotedPrintable } from '../../src/mime/encode.js'
import { type UnsafeField, writeDate, writeFields, writeMailbox, writeParameters } from '../../src/mime/fields.js'
import { readHeader } from '../../src/mime/header.js'
import { dispositionOf, readParameters } from '../../src/mime/parameters.js'
import { type Part, readMime } from '../../src/mime/part.js'
import { decodeWords, encodeWords } from '../../src/mime/words.js'

function built(entity: Entity | UnsafeField): Entity {
  if (entity.kind !== 'entity') throw new Error(entity.detail)
  return entity
}

function tree(entity: Entity): Part {
  const read = readMime(entityBytes(entity))
  if (read.kind !== 'part') throw new Error(read.detail)
  return read
}

describe('encodeBase64', () => {
  it('writes lines of 76 characters that every decoder reads', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        const text = encodeBase64(bytes).toString()
        expect(text === '' || text.endsWith('\r\n')).toBe(true)
        const lines = text.split('\r\n').slice(0, -1)
        expect(lines.slice(0, -1).every((line) => line.length === 76)).toBe(true)
        expect(Buffer.from(lines.join(''), 'base64').equals(bytes)).toBe(true)
      }),
    )
    const large = Buffer.alloc(57 * 512 * 2 + 5, 'x')
    expect(encodeBase64(large).toString()).toBe(large.toString('base64').replace(/.{1,76}/g, '$&\r\n'))
  })
})

describe('encodeQuotedPrintable', () => {
  it('writes short lines that decode to the same bytes', () => {
    const piece = fc.constantFrom('a', '=', ' ', '\t', '\r\n', '\r', '\n', 'é', '.', 'x'.repeat(74), '€'.repeat(9))
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const bytes = Buffer.from(pieces.join(''))
        const encoded = encodeQuotedPrintable(bytes)
        expect(decodeQuotedPrintable(encoded)).toMatchObject({ bytes, diagnostics: [] })
        for (const line of encoded.toString('latin1').split('\r\n')) {
          expect(line.length).toBeLessThanOrEqual(76)
          expect(line).toMatch(/^[\t -~]*$/)
          expect(line).not.toMatch(/[\t ]$/)
        }
      }),
      { numRuns: 1_000 },
    )
  })
})

describe('writeFields', () => {
  it.each(['a\r\nBcc: b@y.test', 'a\nb', 'a\rb', 'a\0b', 'a\x0bb', 'é', 'a\x7f', `x${'y'.repeat(1_000)}`])(
    'refuses the value %j',
    (value) => {
      expect(writeFields([['Subject', value]])).toMatchObject({ kind: 'unsafe-field', field: 'Subject' })
    },
  )

  it.each(['Sub ject', 'Subject:', '', 'S\r\nX', 'é'])('refuses the name %j', (name) => {
    expect(writeFields([[name, 'x']]).kind).toBe('unsafe-field')
  })

  it('folds so that reading gives the same value, within 78 characters where the words allow', () => {
    const word = fc.stringMatching(/^[!-~]{1,50}$/)
    fc.assert(
      fc.property(fc.array(word, { minLength: 1, maxLength: 40 }), fc.constantFrom(' ', '  '), (words, gap) => {
        const value = words.join(gap)
        const written = writeFields([['X-Words', value]])
        if (written.kind !== 'fields') throw new Error(written.detail)
        const read = readHeader(Buffer.concat([written.bytes, Buffer.from('\r\n')]))
        expect(read.kind === 'header' && read.get('x-words')).toBe(value)
        for (const line of written.bytes.toString().split('\r\n').slice(0, -1)) {
          expect(line.trim()).not.toBe('')
          if (gap === ' ') expect(line.length).toBeLessThanOrEqual(78)
        }
      }),
    )
  })
})

describe('header values', () => {
  it('carries any parameter value through', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 150 }), (text) => {
        const clean = text.replace(/\p{Cc}/gu, '').trim()
        expect(readParameters(writeParameters('attachment', { filename: clean })).params.get('filename')).toBe(clean)
      }),
    )
  })

  it('carries any text through encoded words, none longer than 75 characters', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 120 }), (text) => {
        const encoded = encodeWords(text)
        expect(encoded).toMatch(/^[ -~]*$/)
        expect(decodeWords(encoded)).toBe(text)
        if (encoded !== text) expect(encoded.split(' ').every((word) => word.length <= 75)).toBe(true)
      }),
    )
  })

  it.each([
    ['=?utf-8?Q?caf=C3=A9_au?= lait', 'café au lait'],
    ['=?utf-8?B?w6k=?= =?utf-8?Q?=C3=A9?=', 'éé'],
    ['=?utf-8?B?4oI=?= =?UTF-8?B?rA==?=', '€'],
    ['=?iso-8859-1*en?q?=E9?= x', 'é x'],
    ['=?no-such-set?q?abc?=', 'abc'],
    ['=?utf-8?X?abc?=', '=?utf-8?X?abc?='],
    ['a =?utf-8?q?b?= c =?utf-8?q?d?=', 'a b c d'],
    ['=?', '=?'],
  ])('decodes the words of %j', (text, expected) => {
    expect(decodeWords(text)).toBe(expected)
  })

  it('writes mailboxes that read back with nothing but their own address', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 60 }), (text) => {
        const display = text.replace(/\p{Cc}/gu, '')
        const read = readMailboxes(writeMailbox('a@x.test', display))
        if (read.kind !== 'mailboxes') throw new Error(read.detail)
        expect(read.mailboxes.map((mailbox) => mailbox.address)).toEqual(['a@x.test'])
        expect(decodeWords(read.mailboxes[0]?.display ?? '')).toBe(display)
      }),
    )
  })

  it('writes dates in UTC', () => {
    expect(writeDate(0)).toBe('Thu, 01 Jan 1970 00:00:00 +0000')
  })
})

describe('building entities', () => {
  it('builds a message that reads back to the byte', () => {
    const bytes = Buffer.from([...Array(1_000).keys()].map((i) => i % 256))
    const text = built(buildLeaf({ mediaType: 'text/plain', params: { charset: 'utf-8' }, body: 'Grüße\nzwei' }))
    const file = built(
      buildLeaf({
        mediaType: 'application/xml',
        disposition: 'attachment',
        fileName: 'Überblick "1".xml',
        contentId: 'c@x.test',
        body: bytes,
      }),
    )
    const message = built(
      buildMessage(
        [
          ['From', 'a@x.test'],
          ['Subject', encodeWords('Grüße')],
        ],
        built(buildMultipart('mixed', {}, [text, file])),
      ),
    )
    const root = tree(message)
    expect(root.header.fields.map((field) => field.name)).toEqual(['from', 'subject', 'mime-version', 'content-type'])
    const [first, second] = root.children
    if (!first || !second) throw new Error('two parts')
    expect(decodeBody(first)).toMatchObject({ bytes: Buffer.from('Grüße\r\nzwei'), diagnostics: [] })
    expect(decodeBody(second)).toMatchObject({ bytes, diagnostics: [] })
    expect(dispositionOf(second.header)?.params.get('filename')).toBe('Überblick "1".xml')
  })

  it('gives the same bytes for the same parts, and other boundaries for others', () => {
    const leaf = (body: string) => built(buildLeaf({ mediaType: 'text/plain', body }))
    const whole = (body: string) => entityBytes(built(buildMultipart('mixed', {}, [leaf(body)])))
    expect(whole('a').equals(whole('a'))).toBe(true)
    expect(tree(built(buildMultipart('mixed', {}, [leaf('a')]))).multipart?.boundary).not.toBe(
      tree(built(buildMultipart('mixed', {}, [leaf('b')]))).multipart?.boundary,
    )
  })

  it('never takes a boundary that stands in the content, even where the content knows the first ones', () => {
    // Content of one length and one beginning has the same cheap boundaries; put the first of them into it.
    const filler = 'x\r\n'.repeat(1_000)
    const leaf = (end: string) =>
      built(buildLeaf({ mediaType: 'text/plain', body: `${filler}${end.padEnd(400, '.')}`, transferEncoding: '7bit' }))
    let known = ''
    const seen = new Set<string>()
    for (let i = 0; i < 6; i += 1) {
      const root = tree(built(buildMultipart('mixed', {}, [leaf(known)])))
      expect(root.children).toHaveLength(1)
      const boundary = root.multipart?.boundary ?? ''
      expect(seen.has(boundary)).toBe(false)
      seen.add(boundary)
      known += `\r\n--${boundary}--\r\n`
    }
  })

  it('refuses names that would break the header, as a value', () => {
    expect(buildLeaf({ mediaType: 'text/plain\r\nX: y', body: '' }).kind).toBe('unsafe-field')
    expect(buildLeaf({ mediaType: 'text/plain', contentId: 'a\r\nX: y', body: '' }).kind).toBe('unsafe-field')
    const file = built(
      buildLeaf({ mediaType: 'text/plain', disposition: 'attachment', fileName: 'a\r\nX: y', body: '' }),
    )
    expect(file.header.toString()).not.toContain('\nX:')
  })

  it('chooses the encoding by the body', () => {
    const encoding = (body: string | Uint8Array) =>
      tree(built(buildLeaf({ mediaType: 'text/plain', body }))).transferEncoding
    expect(encoding('short\nlines')).toBe('7bit')
    expect(encoding('x'.repeat(79))).toBe('quoted-printable')
    expect(encoding('é')).toBe('quoted-printable')
    expect(encoding('a\rb')).toBe('quoted-printable')
    expect(encoding(Buffer.from('abc'))).toBe('base64')
  })
})
