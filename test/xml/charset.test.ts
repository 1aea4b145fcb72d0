import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { decodeXml } from '../../src/xml/charset.js'
import { textOf } from '../../src/xml/node.js'
import { parseXml } from '../../src/xml/parse.js'

const swap = (text: string) => Buffer.from(text, 'utf16le').swap16()

describe('the charset of a document', () => {
  it.each([
    ['UTF-8 without a word', Buffer.from('<a>é</a>'), 'utf-8', undefined],
    ['UTF-8 with a mark', Buffer.from('\ufeff<a>é</a>'), 'utf-8', undefined],
    ['UTF-8 with two marks', Buffer.from('\ufeff\ufeff<a>é</a>'), 'utf-8', undefined],
    [
      'UTF-16 little endian with a mark',
      Buffer.from('\ufeff<?xml version="1.0" encoding="UTF-16"?><a>é</a>', 'utf16le'),
      'utf-16le',
      undefined,
    ],
    [
      'UTF-16 big endian with a mark',
      swap('\ufeff<?xml version="1.0" encoding="UTF-16"?><a>é</a>'),
      'utf-16be',
      undefined,
    ],
    ['UTF-16 little endian without a mark', Buffer.from('<a>é</a>', 'utf16le'), 'utf-16le', undefined],
    ['UTF-16 big endian without a mark', swap('<a>é</a>'), 'utf-16be', undefined],
    [
      'declared ISO-8859-1',
      Buffer.from('<?xml version="1.0" encoding="ISO-8859-1"?><a>é</a>', 'latin1'),
      'windows-1252',
      undefined,
    ],
    [
      'declared windows-1252, in apostrophes',
      Buffer.from("<?xml version='1.0' encoding='windows-1252'?><a>é</a>", 'latin1'),
      'windows-1252',
      undefined,
    ],
    ['declared UTF-16 but UTF-8', Buffer.from('<?xml version="1.0" encoding="UTF-16"?><a>é</a>'), 'utf-8', undefined],
    [
      'declared UTF-8 but not',
      Buffer.from('<?xml version="1.0" encoding="UTF-8"?><a>é</a>', 'latin1'),
      'windows-1252',
      'the bytes are not valid UTF-8',
    ],
    [
      'an unknown name',
      Buffer.from('<?xml version="1.0" encoding="klingon-8"?><a>é</a>'),
      'utf-8',
      'the declared charset klingon-8 is not known',
    ],
  ])('%s', (_, bytes, charset, guessed) => {
    const decoded = decodeXml(bytes)
    expect([decoded.charset, decoded.guessed]).toEqual([charset, guessed])
    const parsed = parseXml(bytes)
    expect(parsed.kind === 'tree' && textOf(parsed.root)).toBe('é')
    expect(parsed.notes.map((one) => one.kind)).toEqual(guessed === undefined ? [] : ['charset-guessed'])
  })

  it('reads the characters that windows-1252 has and latin-1 has not', () => {
    expect(decodeXml(Buffer.from([0x3c, 0x61, 0x3e, 0x93, 0x80, 0x3c])).text).toBe('<a>“€<')
  })

  it('says so when UTF-16 is damaged, and goes on', () => {
    const decoded = decodeXml(Buffer.from([0xff, 0xfe, 0x3c, 0x00, 0x61]))
    expect(decoded.guessed).toBe('the bytes are not valid utf-16le')
  })
})
