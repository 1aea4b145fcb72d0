/** FHIR JSON as it stands: numbers in their own digits, which JSON.parse would round; objects without a prototype to trip over. */

/** A number as it was written. */
export interface Digits {
  readonly digits: string
}

export type Tree = string | boolean | null | Digits | readonly Tree[] | ReadonlyMap<string, Tree>

export const fhirJsonLimits = {
  /** Characters of one text: a Bundle of a whole record with its documents. */
  chars: 32 * 1024 * 1024,
  /** How deep objects and lists may lie in one another; resources of R4 need some 20, their extensions a few more. */
  depth: 60,
  /** Values of all kinds; each becomes some 100 bytes of objects. */
  values: 500_000,
}

export type ParsedJson =
  | { readonly kind: 'json'; readonly tree: Tree }
  /** `at` is the character where it stopped being JSON, or being small enough. */
  | { readonly kind: 'invalid'; readonly code: 'invalid' | 'too-costly'; readonly detail: string; readonly at: number }

const blank = /[ \t\n\r]*/y
const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const word = /true|false|null/y
const wordTrees: Readonly<Record<string, boolean | null>> = { true: true, false: false, null: null }

/** Reads JSON text (RFC 8259). Refuses a name that stands twice in one object: readers would disagree on what it says. */
export function parseJson(text: string, limits = fhirJsonLimits): ParsedJson {
  if (text.length > limits.chars) return { kind: 'invalid', code: 'too-costly', detail: 'The text is too long', at: 0 }
  let at = 0
  let left = limits.values
  let fault: Extract<ParsedJson, { kind: 'invalid' }> | undefined

  const fail = (detail: string, code: 'invalid' | 'too-costly' = 'invalid'): undefined => {
    fault ??= { kind: 'invalid', code, detail, at }
    return undefined
  }
  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at
    const found = pattern.exec(text)?.[0]
    if (found !== undefined) at += found.length
    return found
  }
  const take = (char: string): boolean => {
    match(blank)
    if (text[at] !== char) return false
    at++
    return true
  }

  function string(): string | undefined {
    match(blank)
    if (text[at] !== '"') return fail('A string is missing')
    let end = text.indexOf('"', at + 1)
    while (end > 0 && isEscaped(text, end)) end = text.indexOf('"', end + 1)
    if (end < 0) return fail('A string has no end')
    const raw = text.slice(at, end + 1)
    try {
      const value: unknown = JSON.parse(raw)
      at = end + 1
      return String(value)
    } catch {
      return fail('A string is not valid')
    }
  }

  function list(depth: number): Tree | undefined {
    const all: Tree[] = []
    if (take(']')) return all
    for (;;) {
      const one = value(depth + 1)
      if (one === undefined) return undefined
      all.push(one)
      if (take(']')) return all
      if (!take(',')) return fail('A comma is missing')
    }
  }

  function object(depth: number): Tree | undefined {
    const all = new Map<string, Tree>()
    if (take('}')) return all
    for (;;) {
      const name = string()
      if (name === undefined) return undefined
      if (all.has(name)) return fail('A name stands twice in one object')
      if (!take(':')) return fail('A colon is missing')
      const one = value(depth + 1)
      if (one === undefined) return undefined
      all.set(name, one)
      if (take('}')) return all
      if (!take(',')) return fail('A comma is missing')
    }
  }

  function value(depth: number): Tree | undefined {
    if (depth > limits.depth) return fail('It is nested too deeply', 'too-costly')
    if (--left < 0) return fail('It has too many values', 'too-costly')
    match(blank)
    if (text[at] === '"') return string()
    if (take('{')) return object(depth)
    if (take('[')) return list(depth)
    const known = match(word)
    if (known !== undefined) return wordTrees[known]
    const digits = match(number)
    return digits === undefined ? fail('A value is missing') : { digits }
  }

  const tree = value(0)
  if (tree !== undefined) {
    match(blank)
    if (at < text.length) fail('Something stands behind the end')
  }
  return fault ?? { kind: 'json', tree: tree ?? null }
}

/** Whether an odd number of backslashes stands before a character. */
function isEscaped(text: string, at: number): boolean {
  let first = at
  while (text[first - 1] === '\\') first--
  return (at - first) % 2 === 1
}
