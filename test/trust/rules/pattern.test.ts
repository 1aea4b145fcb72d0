import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ruleLimits } from '../../../src/trust/rules/limits.js'
import { isFound, readPattern } from '../../../src/trust/rules/pattern.js'

function found(source: string, text: string, left = 1e9): boolean | undefined {
  const pattern = readPattern(source)
  if ('kind' in pattern) throw new Error(`${source}: ${pattern.detail}`)
  return isFound(pattern, text, { left })
}

describe('a pattern', () => {
  it('finds what the expressions of the language find', () => {
    const atom = fc.constantFrom(
      'a',
      'b',
      '.',
      '[ab]',
      '[^a]',
      '[a-c]',
      '\\d',
      '\\w',
      '\\S',
      '(?:a|b)',
      '(ab|)',
      '(a|bc)',
      '\\.',
      '',
    )
    const times = fc.constantFrom('', '', '*', '+', '?', '{2}', '{1,3}', '{2,}', '*?')
    const part = fc.tuple(atom, times).map(([one, many]) => (one === '' ? '' : `${one}${many}`))
    const source = fc
      .tuple(fc.constantFrom('', '^'), fc.array(part, { maxLength: 5 }), fc.constantFrom('', '$', '|b+'))
      .map(([start, parts, end]) => `${start}${parts.join('')}${end}`)
    fc.assert(
      fc.property(
        source,
        fc.string({ unit: fc.constantFrom('a', 'b', 'c', '1', '.', ' ', '\n', 'é') }),
        (pattern, text) => {
          expect([pattern, found(pattern, text)]).toEqual([pattern, new RegExp(pattern, 'u').test(text)])
        },
      ),
      { numRuns: 5_000 },
    )
  })

  it('reads letters of either case where it says so', () => {
    expect(found('(?i)^HTTPS?://[a-z]', 'hTtP://X')).toBe(true)
    expect(found('^HTTP', 'http')).toBe(false)
  })

  it.each([
    ['(a+)+$', `${'a'.repeat(1_900)}b`],
    ['^(a|a)*$', `${'a'.repeat(1_900)}b`],
    ['(.*)*x', 'a'.repeat(1_900)],
    ['(a?){60}a{60}', 'a'.repeat(59)],
    ['^(([a-z])+.)+[A-Z]([a-z])+$', 'a'.repeat(1_900)],
  ])('takes no longer for %s than its length times its size', (source, text) => {
    const pattern = readPattern(source)
    if ('kind' in pattern) throw new Error(pattern.detail)
    const steps = { left: 1e9 }
    expect(isFound(pattern, text, steps)).toBe(false)
    expect(1e9 - steps.left).toBeLessThanOrEqual((text.length + 1) * pattern.program.length)
  })

  it('gives up where the steps run out', () => {
    expect(found('(a|b)*c', 'ab'.repeat(900), 1_000)).toBeUndefined()
  })

  it.each([
    '(',
    ')',
    '[',
    '[a',
    'a{',
    '*',
    '+a',
    'a**+',
    'a++',
    '\\',
    '\\1',
    '\\b',
    '\\p{L}',
    '(?=a)',
    '(?<n>a)',
    '[z-a]',
    '[a&&b]',
    '[[:alpha:]]',
    'a{3,1}',
    '(?i',
  ])('is refused: %s', (source) => {
    expect(readPattern(source)).toMatchObject({ kind: 'fault' })
  })

  it('is refused where it grows beyond its limits', () => {
    for (const source of [
      'a{1001}',
      '((a{100}){100}){100}',
      '('.repeat(17) + ')'.repeat(17),
      '(((a{0,99}){0,99}){0,99}){0,99}',
    ])
      expect(readPattern(source)).toMatchObject({ kind: 'fault' })
    expect(readPattern(`a{${ruleLimits.patternStates}}`)).toMatchObject({ source: 'a{1000}' })
  })

  it('answers for any text, and finds as the language does wherever both know it', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...'ab()[]{}|*+?^$.\\-,1dwi:'), maxLength: 14 }),
        fc.string({ unit: fc.constantFrom(...'ab1-'), maxLength: 8 }),
        (source, text) => {
          const pattern = readPattern(source)
          if ('kind' in pattern || source.includes('(?i')) return
          expect([source, isFound(pattern, text, { left: 1e7 })]).toEqual([source, new RegExp(source).test(text)])
        },
      ),
      { numRuns: 5_000 },
    )
  })
})
