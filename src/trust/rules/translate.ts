import type { RuleText } from '../../direct/rule.js'
import { type Field, fieldNamed, type ScalarField, type SetField } from './fields.js'
import { type Binary, type Lexical, readLexicon } from './lexicon.js'
import { type RuleLimits, ruleLimits } from './limits.js'
import { readPattern } from './pattern.js'
import { placeOf, readRule, type UnreadableRule } from './read.js'
import { type Comparison, join, type List, printRule, type Rule } from './syntax.js'
import { RuleFault } from './tokens.js'
import { keyUsageNames } from './words.js'

export interface TranslatedRule {
  readonly kind: 'rule'
  readonly text: RuleText
  /** What the operator should know though it was translated. */
  readonly notes: readonly string[]
}

/**
 * Translates a policy of the reference implementation (SIMPLE_TEXT_V1) into a rule that lets the same certificates pass.
 * Refuses, with the place, what its engine would stumble over at run time (types that do not fit), what fetches (`@@`), and
 * policies that hold always or never.
 */
export function translateLexicon(text: string, limits: RuleLimits = ruleLimits): TranslatedRule | UnreadableRule {
  try {
    if (text.length > limits.characters) throw new RuleFault(0, `a policy has at most ${limits.characters} characters`)
    const translation = new Translation(limits)
    const body = translation.truth(readLexicon(text, limits.depth))
    const required = [...translation.required].map((field): Rule => ({ kind: 'exists', field }))
    const [first, ...rest] = body === true ? required : body === false ? [] : [...required, body]
    if (!first)
      throw new RuleFault(0, `the policy ${body === false ? 'never' : 'always'} holds, whatever the certificate`)
    const printed = printRule(join('and', [first, ...rest]))
    // What is written must be read again, within the limits.
    const read = readRule(printed, limits)
    if (read.kind === 'unreadable') throw new RuleFault(0, `as a rule it would be too large: ${read.detail}`)
    const marks = text.includes('\ufeff') ? ['invisible marks (U+FEFF) inside the policy were left out'] : []
    return { kind: 'rule', text: read.text, notes: [...marks, ...translation.notes] }
  } catch (error) {
    if (!(error instanceof RuleFault)) throw error
    return { kind: 'unreadable', ...placeOf(text, error.at), detail: error.message }
  }
}

/** A rule, or what is known without looking at a certificate. */
type Truth = Rule | boolean

/** A place of an integer: a bit of keyUsage, or always 0 or 1; highest first. */
type Bit = (typeof keyUsageNames)[number] | 0 | 1

type Value =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'scalar'; readonly field: ScalarField }
  | { readonly kind: 'set'; readonly field: SetField; readonly of?: List }
  | { readonly kind: 'size'; readonly field: SetField; readonly of?: List }
  | { readonly kind: 'bits'; readonly bits: readonly Bit[] }
  | { readonly kind: 'truth'; readonly truth: Truth }

const attributes: Readonly<Record<string, string>> = {
  E: 'emailAddress',
  DNQUALIFIER: 'dnQualifier',
  SERIALNUMBER: 'serialNumber',
  TITLE: 'title',
  GIVENNAME: 'givenName',
  INITIALS: 'initials',
  PSEUDONYM: 'pseudonym',
}

const names: Readonly<Record<string, string>> = {
  'X509.Algorithm': 'signatureAlgorithm',
  'X509.TBS.SerialNumber': 'serialNumber',
  'X509.TBS.SubjectPublicKeyInfo.Algorithm': 'subjectPublicKeyInfo.algorithm',
  'X509.TBS.SubjectPublicKeyInfo.Size': 'subjectPublicKeyInfo.size',
  'X509.TBS.EXTENSION.KeyUsage': 'keyUsage',
  'X509.TBS.EXTENSION.SubjectAltName': 'subjectAltName',
  'X509.TBS.EXTENSION.SubjectKeyIdentifier': 'subjectKeyIdentifier',
  'X509.TBS.EXTENSION.AuthorityKeyIdentifier.KeyId': 'authorityKeyIdentifier',
  'X509.TBS.EXTENSION.CertificatePolicies.PolicyOIDs': 'certificatePolicies',
  'X509.TBS.EXTENSION.CertificatePolicies.CPSUrls': 'certificatePolicies.cPSuri',
  'X509.TBS.EXTENSION.BasicConstraints.CA': 'basicConstraints.cA',
  'X509.TBS.EXTENSION.ExtKeyUsageSyntax': 'extKeyUsage',
  'X509.TBS.EXTENSION.CRLDistributionPoints.FullName': 'cRLDistributionPoints',
  'X509.TBS.EXTENSION.AuthorityInfoAccessSyntax.Url': 'authorityInfoAccess',
  'X509.TBS.EXTENSION.AuthorityInfoAccessSyntax.OCSPLocation': 'authorityInfoAccess.ocsp',
}

function ourName(theirs: string): string | undefined {
  const match = /^X509\.TBS\.(Issuer|Subject)\.(.+)$/.exec(theirs)
  if (!match) return names[theirs]
  const holder = match[1] === 'Issuer' ? 'issuer' : 'subject'
  return match[2] === 'DN' ? holder : `${holder}.${attributes[match[2] ?? ''] ?? match[2]}`
}

class Translation {
  readonly required = new Set<Field>()
  readonly notes: string[] = []
  private readonly limits: RuleLimits

  constructor(limits: RuleLimits) {
    this.limits = limits
  }

  /** An expression that is to be true or false. */
  truth(node: Lexical): Truth {
    const value = this.value(node)
    if (value.kind === 'truth') return value.truth
    // The reference implementation takes any text but "true" for false.
    if (value.kind === 'literal') return value.text.toLowerCase() === 'true'
    throw new RuleFault(node.at, 'this is neither true nor false')
  }

  private value(node: Lexical): Value {
    switch (node.kind) {
      case 'literal':
        return node
      case 'field':
        return this.field(node)
      case 'unary':
        return this.unary(node)
      case 'binary':
        return this.binary(node)
    }
  }

  private field(node: Lexical & { kind: 'field' }): Value {
    const field = fieldNamed(ourName(node.name) ?? '')
    if (!field) throw new RuleFault(node.at, `${node.name} has no counterpart`)
    if (node.required) this.required.add(field)
    if (field.name === 'keyUsage') return { kind: 'bits', bits: keyUsageValue }
    if (field.type === 'truth') return { kind: 'truth', truth: { kind: 'truth', field } }
    return field.type === 'set' ? { kind: 'set', field } : { kind: 'scalar', field }
  }

  private unary({ operator, operand, at }: Lexical & { kind: 'unary' }): Value {
    if (operator === '@@')
      throw new RuleFault(at, '@@ fetches a URL that the certificate names; certificates are judged without')
    if (operator === '!') return { kind: 'truth', truth: negated(this.truth(operand)) }
    const value = this.value(operand)
    if (value.kind !== 'set') throw new RuleFault(operand.at, `${operator} takes a collection`)
    if (operator === '^') return { ...value, kind: 'size' }
    const empty: Rule = value.of
      ? { kind: 'count', field: value.field, of: value.of, by: '=', number: 0 }
      : { kind: 'empty', field: value.field }
    return { kind: 'truth', truth: operator === '{}' ? empty : negated(empty) }
  }

  private binary({ operator, left, right, at }: Lexical & { kind: 'binary' }): Value {
    switch (operator) {
      case '&&':
      case '||':
        return { kind: 'truth', truth: joined(operator, this.truth(left), this.truth(right)) }
      case '&':
      case '|':
        return { kind: 'bits', bits: bitwise(operator, this.bits(left), this.bits(right)) }
      case '{}&':
        return this.intersection(left, right)
      case '{?}':
      case '{?}!': {
        const contains = this.contains(left, right)
        return { kind: 'truth', truth: operator === '{?}' ? contains : negated(contains) }
      }
      case '$':
      case '{}$':
        return { kind: 'truth', truth: this.matching(operator, left, right) }
      default:
        return { kind: 'truth', truth: this.compared(operator, left, right, at) }
    }
  }

  private bits(node: Lexical): readonly Bit[] {
    const value = this.value(node)
    if (value.kind === 'bits') return value.bits
    if (value.kind === 'literal') return bitsOf(integer(value.text, node.at))
    throw new RuleFault(node.at, 'only KeyUsage and numbers have bits')
  }

  private intersection(left: Lexical, right: Lexical): Value {
    const [one, other] = [this.value(left), this.value(right)]
    if (one.kind === 'literal' && other.kind === 'set') return this.intersection(right, left)
    if (one.kind !== 'set' || one.of)
      throw new RuleFault(left.at, '{}& takes a collection of the certificate and a list')
    const { field } = one
    if (other.kind === 'set' && !other.of) return { kind: 'set', field, of: { kind: 'field', field: other.field } }
    if (other.kind !== 'literal') throw new RuleFault(right.at, '{}& takes a list, or another collection')
    // What no certificate can have there is not among what they share.
    const values = other.text.split(',').flatMap((text) => field.words.read(text.trim()) ?? [])
    return { kind: 'set', field, of: { kind: 'values', values: [...new Set(values)] } }
  }

  private contains(left: Lexical, right: Lexical): Truth {
    const [holder, sought] = [this.value(left), this.value(right)]
    if (sought.kind !== 'literal') throw new RuleFault(right.at, '{?} looks for a value that is written down')
    // A distinguished name is a collection of one there.
    if (holder.kind === 'scalar' && isWholeName(holder.field)) return equality(holder.field, sought.text)
    if (holder.kind !== 'set' || holder.of)
      throw new RuleFault(left.at, '{?} looks into a collection of the certificate')
    const { field } = holder
    const value = field.words.read(sought.text)
    return value === undefined ? false : { kind: 'has', how: 'any', field, list: { kind: 'values', values: [value] } }
  }

  private matching(operator: '$' | '{}$', left: Lexical, right: Lexical): Truth {
    const [holder, source] = [this.value(left), this.value(right)]
    if (source.kind !== 'literal') throw new RuleFault(right.at, `${operator} takes a pattern that is written down`)
    const pattern = readPattern(source.text, this.limits)
    if ('kind' in pattern) throw new RuleFault(right.at, `the pattern has ${pattern.detail}`)
    if (holder.kind === 'set' && !holder.of) {
      if (operator === '$')
        this.notes.push(`$ on ${holder.field.name} matched all values as one text; here it matches each for itself`)
      return { kind: 'match', how: 'any', field: holder.field, pattern }
    }
    if (holder.kind !== 'scalar' || holder.field.type !== 'text')
      throw new RuleFault(left.at, `${operator} takes a text of the certificate`)
    if (operator === '{}$' && !isWholeName(holder.field)) throw new RuleFault(left.at, '{}$ takes a collection')
    return { kind: 'match', how: 'any', field: holder.field, pattern }
  }

  private compared(operator: Binary, left: Lexical, right: Lexical, at: number): Truth {
    const [one, other] = [this.value(left), this.value(right)]
    const by = operator as Comparison
    if (one.kind === 'literal' && other.kind !== 'literal') return this.against(other, mirrored(by), one.text, left.at)
    if (other.kind === 'literal') return this.against(one, by, other.text, right.at)
    if (
      one.kind === 'scalar' &&
      other.kind === 'scalar' &&
      one.field.type === other.field.type &&
      one.field.type === 'text'
    )
      if (by === '=' || by === '!=') return { kind: 'compare', field: one.field, by, with: other.field }
    throw new RuleFault(at, `${operator} cannot compare these two`)
  }

  private against(value: Value, by: Comparison, text: string, at: number): Truth {
    switch (value.kind) {
      case 'literal':
        return textsCompared(value.text, by, text, at)
      case 'truth':
        if (by !== '=' && by !== '!=') throw new RuleFault(at, `${by} takes numbers`)
        return truthCompared(value.truth, by, text)
      case 'bits':
        return bitsCompared(value.bits, by, text, at)
      case 'size': {
        const number = integer(text, at)
        if (number < 0) return by === '!=' || by === '>'
        const { field, of } = value
        return { kind: 'count', field, ...(of ? { of } : {}), by, number }
      }
      case 'set':
        throw new RuleFault(at, `${by} never compares a collection with a value; {?} does`)
      case 'scalar': {
        const { field } = value
        if (field.type === 'number') return { kind: 'compare', field, by, with: integer(text, at) }
        if (by === '=') return equality(field, text)
        if (by === '!=') return negated(equality(field, text))
        throw new RuleFault(at, `${field.name} is no number`)
      }
    }
  }
}

function isWholeName({ name }: Field): boolean {
  return name === 'issuer' || name === 'subject'
}

/** Where the certificate has no such value, there is an empty text in the reference implementation, equal to nothing. */
function equality(field: ScalarField, text: string): Truth {
  const value = field.type === 'text' ? field.words.read(text) : undefined
  if (value === undefined) return false
  const equal: Rule = { kind: 'compare', field, by: '=', with: value }
  return field.name.endsWith('KeyIdentifier') ? join('and', [{ kind: 'exists', field }, equal]) : equal
}

function negated(truth: Truth): Truth {
  if (typeof truth === 'boolean') return !truth
  return truth.kind === 'not' ? truth.part : { kind: 'not', part: truth }
}

function joined(operator: '&&' | '||', one: Truth, other: Truth): Truth {
  const deciding = operator === '||'
  if (one === deciding || other === deciding) return deciding
  if (typeof one === 'boolean') return other
  return typeof other === 'boolean' ? one : join(operator === '||' ? 'or' : 'and', [one, other])
}

function mirrored(by: Comparison): Comparison {
  return by === '<' ? '>' : by === '>' ? '<' : by
}

/** A number as the reference implementation reads it, a Java int. */
function integer(text: string, at: number): number {
  const number = /^[+-]?\d{1,10}$/.test(text) ? Number(text) : Number.NaN
  if (Number.isNaN(number) || Math.abs(number) >= 2 ** 31)
    throw new RuleFault(at, `${JSON.stringify(text)} is no number`)
  return number
}

function textsCompared(one: string, by: Comparison, other: string, at: number): boolean {
  if (by === '=') return one === other
  if (by === '!=') return one !== other
  return by === '>' ? integer(one, at) > integer(other, at) : integer(one, at) < integer(other, at)
}

function truthCompared(truth: Truth, by: '=' | '!=', text: string): Truth {
  const stated = text.toLowerCase()
  if (stated !== 'true' && stated !== 'false') return by === '!='
  return (stated === 'true') === (by === '=') ? truth : negated(truth)
}

// --- Integers made of keyUsage ---

const width = 31

/** The bits of keyUsage as published policies count them: digitalSignature 128 to encipherOnly 1, decipherOnly in the next octet. */
const keyUsageValue: readonly Bit[] = Array.from({ length: width }, (_, i) => {
  const place = width - 1 - i
  if (place === 15) return 'decipherOnly'
  return place < 8 ? (keyUsageNames[7 - place] as Bit) : 0
})

function bitsOf(number: number): readonly Bit[] {
  if (number < 0) throw new RuleFault(0, 'negative numbers have no bits here')
  return Array.from({ length: width }, (_, i) => (Math.floor(number / 2 ** (width - 1 - i)) % 2 === 1 ? 1 : 0))
}

function bitwise(operator: '&' | '|', left: readonly Bit[], right: readonly Bit[]): readonly Bit[] {
  const deciding = operator === '&' ? 0 : 1
  return left.map((one, i) => {
    const other = right[i] ?? 0
    if (one === deciding || other === deciding) return deciding
    if (one === 0 || one === 1) return other
    if (other === 0 || other === 1 || one === other) return one
    throw new RuleFault(0, 'two different bits of KeyUsage in one place')
  })
}

function has(names: readonly string[], how: 'any' | 'all'): Truth {
  const field = fieldNamed('keyUsage') as SetField
  if (names.length === 0) return how === 'all'
  return { kind: 'has', how: names.length === 1 ? 'any' : how, field, list: { kind: 'values', values: names } }
}

/** A comparison of such an integer with a number, said of the bits themselves: highest first, as numbers are compared. */
function bitsCompared(bits: readonly Bit[], by: Comparison, text: string, at: number): Truth {
  if (by === '!=') return negated(bitsCompared(bits, '=', text, at))
  if (by === '=' && !/^(?:0|[1-9]\d{0,9})$/.test(text)) return false
  const number = integer(text, at)
  if (number < 0) return by === '>'
  const goal = bitsOf(number)
  if (by === '=') {
    if (bits.some((bit, i) => (bit === 0 || bit === 1) && bit !== goal[i])) return false
    const named = bits.flatMap((bit, i) => (bit === 0 || bit === 1 ? [] : [{ bit, set: goal[i] === 1 }]))
    const [on, off] = [true, false].map((set) => named.filter((one) => one.set === set).map(({ bit }) => bit))
    return joined('&&', has(on ?? [], 'all'), negated(has(off ?? [], 'any')))
  }
  if (by === '>' && number === 0 && !bits.includes(1)) return has(named(bits), 'any')
  return ordered(bits, goal, by === '>' ? 1 : 0)
}

const named = (bits: readonly Bit[]) => bits.filter((bit): bit is Exclude<Bit, number> => bit !== 0 && bit !== 1)

/** Greater (`winning` 1): at the first place that differs, ours is 1; less: ours is 0. */
function ordered(bits: readonly Bit[], goal: readonly Bit[], winning: 0 | 1): Truth {
  let below: Truth = false
  for (let i = bits.length - 1; i >= 0; i--) {
    const bit = bits[i] ?? 0
    const isOne: Truth = bit === 1 ? true : bit === 0 ? false : has([bit], 'any')
    const isWinning = winning === 1 ? isOne : negated(isOne)
    // Where the number has the winning digit, ours must have it too and win below; else having it is enough.
    below = goal[i] === winning ? joined('&&', isWinning, below) : joined('||', isWinning, below)
  }
  return below
}
