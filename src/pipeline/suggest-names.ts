import type { Random } from '../ports/world.js'

/** Letters that do not come apart into a plain one and a mark (Unicode NFKD), as they are usually written without. */
const plain: Readonly<Record<string, string>> = {
  ...{ ß: 'ss', æ: 'ae', œ: 'oe', ø: 'o', ł: 'l', đ: 'd', ð: 'd', þ: 'th', ı: 'i', ħ: 'h' },
}

/** Where nothing of the name is free, or it has no letter that an address may have: words that say nothing of anybody. */
const first = 'amber blue calm clear early gentle green kind light mild quiet silver soft still sunny swift'.split(' ')
const second = 'birch brook cedar cloud dune fern harbor hill lake maple meadow pine reed river stone wren'.split(' ')

/** Longest name that is made of what somebody is called; the rest is room for digits. */
const mostCharacters = 40

/**
 * Local parts to suggest for a name, the plainest first, then with digits of chance: never a birth year, nor anything else
 * that was not told. Words that say nothing come last. Some two dozen, of which the taken ones fall away.
 */
export function suggestNames(name: string, random: Random): readonly string[] {
  const words = wordsOf(name)
  const [given = ''] = words
  const family = words.length > 1 ? (words.at(-1) ?? '') : ''
  const said =
    given === ''
      ? []
      : family === ''
        ? [given]
        : [`${given}.${family}`, `${given}${family}`, `${given.charAt(0)}.${family}`, `${family}.${given}`]
  const fitting = said.map((base) => base.slice(0, mostCharacters).replace(/[._-]+$/, ''))
  const numbered = Array.from({ length: 4 }, () => fitting.map((base) => `${base}${digits(random)}`)).flat()
  const neutral = Array.from({ length: 8 }, () => `${pick(first, random)}.${pick(second, random)}${digits(random)}`)
  return [...new Set([...fitting, ...numbered, ...neutral])].filter((local) => local.length >= 3)
}

function wordsOf(name: string): readonly string[] {
  return name
    .slice(0, 200)
    .toLowerCase()
    .replace(/./gu, (letter) => plain[letter] ?? letter)
    .normalize('NFKD')
    .replace(/\p{M}|['’.]/gu, '')
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => /^[a-z]+$/.test(word))
}

function pick(words: readonly string[], random: Random): string {
  return words[(random.bytes(1)[0] ?? 0) % words.length] ?? ''
}

/** Two or four digits, beginning with neither 0 nor what years of births begin with. */
function digits(random: Random): string {
  const [one = 0, other = 0, length = 0] = random.bytes(3)
  const leading = 3 + (one % 7)
  return length % 2 === 0 ? `${leading}${other % 10}` : `${leading}${String(other % 1000).padStart(3, '0')}`
}
