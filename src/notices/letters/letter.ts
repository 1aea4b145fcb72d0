import type { Letter, WrittenLetter } from '../../ports/letters.js'
import { en } from './en.js'
import { es } from './es.js'
import type { Language, LetterWords } from './words.js'

const languages: Readonly<Record<string, Language>> = { en, es }

/**
 * Writes a letter in the language of its reader, in English where there are no words in it. `service` is what the operator
 * calls the place. Names that others chose stand on one line, without controls, and are escaped.
 */
export function writeLetter(letter: Letter, wanted: string, service: string): WrittenLetter {
  const primary = wanted.toLowerCase().split('-')[0] ?? ''
  const language = Object.hasOwn(languages, primary) ? primary : 'en'
  const words = languages[language] ?? en
  const { subject, paragraphs, action } = wordsOf(words, plain(letter), oneLine(service))
  const code = 'code' in letter ? [`${words.code}: ${oneLine(letter.code)}`] : []
  const { url } = letter
  const lines = [...paragraphs, ...code]
  const foot = words.foot(oneLine(service))
  return {
    subject,
    language,
    text: [...lines, `${action}:\n${url}`, `-- \n${foot}`].join('\n\n'),
    html: page(language, subject, [
      ...lines.map((line) => `<p>${escaped(line)}</p>`),
      `<p><a href="${escaped(url)}">${escaped(action)}</a></p>`,
      `<p style="color:#555">${escaped(foot)}</p>`,
    ]),
  }
}

function wordsOf<One extends Letter>(words: Language, letter: One, service: string): LetterWords {
  const write = words[letter.kind] as (letter: One, service: string) => LetterWords
  return write(letter, service)
}

/** The letter with each of its words on one line. */
function plain<One extends Letter>(letter: One): One {
  return Object.fromEntries(
    Object.entries(letter).map(([name, value]) => [name, typeof value === 'string' ? oneLine(value) : value]),
  ) as unknown as One
}

function oneLine(text: string): string {
  return text
    .replace(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}\s]+/gu, ' ')
    .trim()
    .slice(0, 1024)
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`)
}

function page(language: string, title: string, body: readonly string[]): string {
  return `<!doctype html><html lang="${language}"><head><meta charset="utf-8"><title>${escaped(title)}</title></head><body style="font:16px/1.5 sans-serif;max-width:36em">${body.join('')}</body></html>`
}
