import type { RuleLimits } from './limits.js'

export interface Token {
  readonly kind: 'word' | 'text' | 'symbol' | 'end'
  readonly text: string
  /** Offset in the rule. */
  readonly at: number
}

/** Why a rule cannot be read. Thrown inside the reader only; `readRule` answers it as a value. */
export class RuleFault extends Error {
  override readonly name = 'RuleFault'
  readonly at: number

  constructor(at: number, detail: string) {
    super(detail)
    this.at = at
  }
}

/** Spaces, marks that editors leave, and comments to the end of their line. */
const blank = /(?:\s|\ufeff|#[^\n]*)*/y
const word = /[A-Za-z0-9][A-Za-z0-9._-]*/y
const symbol = /[(),]|!=|[<>]=?|=/y
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused.
const control = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/

/** Cuts a rule into words, quoted texts and symbols; the last token is the end. Throws RuleFault. */
export function tokensOf(rule: string, limits: RuleLimits): readonly Token[] {
  const found: Token[] = []
  let at = 0
  const take = (form: RegExp): string | undefined => {
    form.lastIndex = at
    return form.exec(rule)?.[0]
  }
  for (;;) {
    at += take(blank)?.length ?? 0
    if (at >= rule.length) break
    if (rule[at] === '"') {
      const { text, length } = quotedAt(rule, at, limits)
      found.push({ kind: 'text', text, at })
      at += length
      continue
    }
    const [kind, text] = take(word) ? (['word', take(word)] as const) : (['symbol', take(symbol)] as const)
    if (!text)
      throw new RuleFault(at, `${JSON.stringify(String.fromCodePoint(rule.codePointAt(at) ?? 0))} means nothing here`)
    if (text.length > limits.valueCharacters) throw new RuleFault(at, 'a word that is too long')
    found.push({ kind, text, at })
    at += text.length
  }
  found.push({ kind: 'end', text: '', at: rule.length })
  return found
}

/** A quoted text; `\"` and `\\` are the only escapes, so that a pattern may be written with single backslashes. */
function quotedAt(rule: string, start: number, limits: RuleLimits): { text: string; length: number } {
  let text = ''
  for (let at = start + 1; at < rule.length; at++) {
    const character = rule[at] as string
    if (character === '"') {
      if (text.length > limits.valueCharacters)
        throw new RuleFault(start, `a text of more than ${limits.valueCharacters} characters`)
      return { text, length: at + 1 - start }
    }
    if (control.test(character)) throw new RuleFault(at, 'a control character in a text')
    const escaped = character === '\\' && (rule[at + 1] === '"' || rule[at + 1] === '\\')
    text += escaped ? rule[++at] : character
  }
  throw new RuleFault(start, 'a text in quotes that does not end')
}
