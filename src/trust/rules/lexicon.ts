import { RuleFault } from './tokens.js'

/**
 * The simple text lexicon of the reference implementation's policy engine (SIMPLE_TEXT_V1) as a tree. Operators have no
 * precedence: each takes what stands to its left so far and the one operand to its right; one with a single operand takes
 * the next. Field names are longest first, as `Issuer.C` begins `Issuer.CN`.
 */
export type Lexical =
  | { readonly kind: 'literal'; readonly at: number; readonly text: string }
  | { readonly kind: 'field'; readonly at: number; readonly name: string; readonly required: boolean }
  | { readonly kind: 'unary'; readonly at: number; readonly operator: Unary; readonly operand: Lexical }
  | {
      readonly kind: 'binary'
      readonly at: number
      readonly operator: Binary
      readonly left: Lexical
      readonly right: Lexical
    }

const unary = ['{}!', '{}', '^', '!', '@@'] as const
const binary = ['{?}!', '{?}', '{}$', '{}&', '!=', '||', '&&', '=', '>', '<', '$', '&', '|'] as const
export type Unary = (typeof unary)[number]
export type Binary = (typeof binary)[number]

const operators: readonly string[] = [...unary, ...binary].sort((a, b) => b.length - a.length)
const attributeNames =
  'CN C O OU ST L E DC DNQUALIFIER SERIALNUMBER SN TITLE GIVENNAME INITIALS PSEUDONYM GERNERAL_QUALIFIER DN'.split(' ')

/** Fields that the reference implementation reads, by their names there; those it only lists are no fields here either. */
const fieldNames: readonly string[] = [
  'X509.Algorithm',
  'X509.TBS.SerialNumber',
  ...attributeNames.flatMap((name) => [`X509.TBS.Issuer.${name}`, `X509.TBS.Subject.${name}`]),
  'X509.TBS.SubjectPublicKeyInfo.Algorithm',
  'X509.TBS.SubjectPublicKeyInfo.Size',
  ...[
    'KeyUsage',
    'SubjectAltName',
    'SubjectKeyIdentifier',
    'AuthorityKeyIdentifier.KeyId',
    'CertificatePolicies.PolicyOIDs',
    'CertificatePolicies.CPSUrls',
    'BasicConstraints.CA',
    'BasicConstraints.MaxPathLength',
    'ExtKeyUsageSyntax',
    'CRLDistributionPoints.FullName',
    'AuthorityInfoAccessSyntax.Url',
    'AuthorityInfoAccessSyntax.OCSPLocation',
  ].map((name) => `X509.TBS.EXTENSION.${name}`),
].sort((a, b) => b.length - a.length)

type Token =
  | { readonly kind: 'operator' | 'parenthesis'; readonly at: number; readonly text: string }
  | (Lexical & { readonly kind: 'literal' | 'field' })

/** Reads a policy in the lexicon; invisible marks (U+FEFF), which published policies carry, are passed over. Throws RuleFault. */
export function readLexicon(text: string, depth: number): Lexical {
  const tokens = lexiconTokens(text)
  const end = text.length
  let index = 0

  function group(level: number): Lexical {
    if (level > depth) throw new RuleFault(tokens[index]?.at ?? end, `nested more than ${depth} levels deep`)
    let left: Lexical | undefined
    for (;;) {
      const token = tokens[index]
      if (!token || (token.kind === 'parenthesis' && token.text === ')')) {
        if (!left) throw new RuleFault(token?.at ?? end, 'expected an expression')
        return left
      }
      if (token.kind === 'operator' && isBinary(token.text)) {
        index++
        if (!left) throw new RuleFault(token.at, `${token.text} needs an operand to its left`)
        left = { kind: 'binary', at: token.at, operator: token.text, left, right: operand(level + 1) }
        continue
      }
      if (left) throw new RuleFault(token.at, 'expected an operator with two operands')
      left = operand(level + 1)
    }
  }

  /** What one operator takes: a group, a value, a field, or such an operator of its own. */
  function operand(level: number): Lexical {
    const token = tokens[index]
    if (level > depth * 2) throw new RuleFault(token?.at ?? end, 'nested too deeply')
    index++
    if (!token) throw new RuleFault(end, 'expected an operand')
    if (token.kind === 'literal' || token.kind === 'field') return token
    if (token.kind === 'operator') {
      if (isBinary(token.text)) throw new RuleFault(token.at, `${token.text} needs an operand to its left`)
      return { kind: 'unary', at: token.at, operator: token.text as Unary, operand: operand(level + 1) }
    }
    if (token.text === ')') throw new RuleFault(token.at, 'expected an operand')
    const inner = group(level + 1)
    if (!tokens[index]) throw new RuleFault(token.at, 'a ( that is not closed')
    index++
    return inner
  }

  const whole = group(0)
  if (tokens[index]) throw new RuleFault(tokens[index]?.at ?? end, 'a ) too many')
  return whole
}

function isBinary(text: string): text is Binary {
  return (binary as readonly string[]).includes(text)
}

/** What stands between operators, parentheses and fields is a literal, spaces inside it included. */
function lexiconTokens(text: string): readonly Token[] {
  const found: Token[] = []
  let literal = ''
  let literalAt = 0
  const endLiteral = () => {
    const value = literal.trim()
    if (value !== '') found.push({ kind: 'literal', at: literalAt, text: value })
    literal = ''
  }
  for (let at = 0; at < text.length; ) {
    if (text[at] === '"') {
      endLiteral()
      const quote = quotedLiteral(text, at)
      found.push({ kind: 'literal', at, text: quote.text })
      at = quote.end
      continue
    }
    const reserved = reservedAt(text, at)
    if (reserved) {
      endLiteral()
      found.push(reserved.token)
      at = reserved.end
      continue
    }
    if (literal.trim() === '') literalAt = at
    if (text[at] !== '\ufeff') literal += text[at]
    at++
  }
  endLiteral()
  return found
}

function quotedLiteral(text: string, start: number): { readonly text: string; readonly end: number } {
  let value = ''
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === '"') return { text: value, end: at + 1 }
    const escaped = text[at] === '\\' && (text[at + 1] === '"' || text[at + 1] === '\\')
    value += escaped ? text[++at] : text[at]
  }
  throw new RuleFault(start, 'a text in quotes that does not end')
}

function reservedAt(text: string, at: number): { readonly token: Token; readonly end: number } | undefined {
  const character = text[at] as string
  if (character === '(' || character === ')')
    return { token: { kind: 'parenthesis', at, text: character }, end: at + 1 }
  const operator = operators.find((one) => text.startsWith(one, at))
  if (operator) return { token: { kind: 'operator', at, text: operator }, end: at + operator.length }
  if (!text.startsWith('X509.', at)) return undefined
  const name = fieldNames.find((one) => text.startsWith(one, at))
  if (!name) {
    const unknown = /^[A-Za-z0-9._]+/.exec(text.slice(at, at + 100))?.[0]
    throw new RuleFault(at, `${unknown} is no field that policies can use`)
  }
  const end = at + name.length
  const required = text[end] === '+'
  return { token: { kind: 'field', at, name, required }, end: required ? end + 1 : end }
}
