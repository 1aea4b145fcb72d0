import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { foldAnswer, readAnswer, readLine, readQuestion } from '../../src/connect/answer.js'
import { codeDigest, newCode, readCode, showCode } from '../../src/connect/code.js'

/** Bytes in order. */
function counting() {
  let next = 0
  return { bytes: (size: number) => Uint8Array.from({ length: size }, () => next++ % 256) }
}

/** One byte, then zeros. */
function first(byte: number) {
  let left = 1
  return { bytes: (size: number) => Uint8Array.from({ length: size }, () => (left-- > 0 ? byte : 0)) }
}

describe('a pickup code', () => {
  it('has each of thirteen letters from as many bytes, as those that would favour some are thrown away', () => {
    const letters = Array.from({ length: 256 }, (_, byte) => newCode(first(byte)).charAt(0))
    const counts = new Map<string, number>()
    for (const letter of letters.slice(0, 247)) counts.set(letter, (counts.get(letter) ?? 0) + 1)
    expect([...counts.keys()].toSorted().join('')).toBe('FGHJKMNQRVXYZ')
    expect(new Set(counts.values())).toEqual(new Set([19]))
    expect(new Set(letters.slice(247))).toEqual(new Set(['F'])) // of the zero that came next
  })

  it('is shown in five groups of four, and read again however it is typed', () => {
    const code = newCode(counting())
    const shown = showCode(code)
    expect(shown).toMatch(/^([FGHJKMNQRVXYZ]{4}-){4}[FGHJKMNQRVXYZ]{4}$/)
    for (const typed of [
      shown,
      shown.toLowerCase(),
      code,
      ` ${shown.replaceAll('-', ' – ')}\r\n`,
      [...shown].join('.'),
    ])
      expect(readCode(typed)).toBe(code)
    const wide = [...shown].map((c) => (c === '-' ? c : String.fromCharCode(c.charCodeAt(0) + 0xfee0))).join('')
    expect(readCode(wide)).toBe(code)
  })

  it.each([
    ['nothing', ''],
    ['a letter too few', 'JKYZ-QNMN-VHRX-ZGNR-GZN'],
    ['a letter too many', 'JKYZ-QNMN-VHRX-ZGNR-GZNHH'],
    ['a digit for a letter', 'JKYZ-QNMN-VHRX-ZGNR-GZN0'],
    ['a digit beside the letters', 'JKYZ-QNMN-VHRX-ZGNR-GZNH-1'],
    ['a vowel', 'JKYZ-QNMN-VHRX-ZGNR-GZNA'],
    ['a letter that looks like one', 'JKYZ-QNMN-VHRX-ZGNR-GZNН'],
    ['a book', 'JKYZ-QNMN-VHRX-ZGNR-GZNH'.padEnd(10_000, ' ')],
  ])('is not read where it is %s', (_, text) => {
    expect(readCode(text)).toBeUndefined()
  })

  it('is kept by a digest that another key does not give', () => {
    const code = newCode(counting())
    expect(codeDigest(Buffer.alloc(32, 1), code)).not.toBe(codeDigest(Buffer.alloc(32, 2), code))
  })

  it('is read or refused, whatever is typed', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
        const code = readCode(text)
        expect(code === undefined || (code.length === 20 && readCode(showCode(code)) === code)).toBe(true)
      }),
      { numRuns: 3000 },
    )
  })
})

describe('an answer', () => {
  it('is the same however a telephone writes it', () => {
    const typed = ['parakeet joe', ' Parakeet  Joe ', 'PARAKEET\tJOE', 'ｐａｒａｋｅｅｔ joe', 'Parakeet\u00a0Joe\n']
    expect(new Set(typed.map((text) => foldAnswer(text)))).toEqual(new Set(['parakeet joe']))
    expect(foldAnswer('Straße')).toBe(foldAnswer('STRASSE'))
    expect(foldAnswer('e\u0301cole')).toBe(foldAnswer('École'))
  })

  it('is compared to the white space in the exact mode, to the case in none', () => {
    const exact = (text: string) => foldAnswer(text, 'exact')
    expect(exact('  Rex')).not.toBe(exact('rex'))
    expect(exact('REX')).toBe(exact('rex'))
    expect(foldAnswer('  Rex')).toBe(foldAnswer('rex'))
  })

  it('has six characters at least, of which white space at its ends is none', () => {
    expect(readAnswer('12345')).toBeUndefined()
    expect(readAnswer('   12345   ')).toBeUndefined()
    expect(readAnswer('   12345   ', 'exact')).toBeUndefined()
    expect(readAnswer('1     2')).toBeUndefined()
    expect(readAnswer('123456')).toBe('123456')
    expect(readAnswer('Rex', 'folded', { answerLeast: 3, answerMost: 10 })).toBe('rex')
    expect(readAnswer('x'.repeat(256))).toBeUndefined()
  })

  it('has one form, however its sharp s is written', () => {
    expect(['Straße', 'STRAẞE', 'STRASSE'].map((text) => foldAnswer(text))).toEqual(['strasse', 'strasse', 'strasse'])
  })

  it('is folded once: folding again changes nothing', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
        expect(foldAnswer(foldAnswer(text))).toBe(foldAnswer(text))
        expect(foldAnswer(text)).toBe(foldAnswer(`  ${text}\n`))
      }),
      { numRuns: 5000 },
    )
  })
})

it('has a question of one line that is not blank', () => {
  expect(readQuestion('  Which bird?  ')).toBe('Which bird?')
  for (const bad of ['', '   ', '\u3000', 'a\nb', 'x'.repeat(256), '\u202eabc', '\ud800'])
    expect(readQuestion(bad)).toBeUndefined()
  expect(readLine('x'.repeat(101), 100)).toBeUndefined()
})
