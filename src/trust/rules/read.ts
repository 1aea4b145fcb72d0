import type { RuleText } from '../../direct/rule.js'
import { type Field, fieldNamed, likeName, type ScalarField, type SetField } from './fields.js'
import { type RuleLimits, ruleLimits } from './limits.js'
import { readPattern } from './pattern.js'
import { type Clause, type Comparison, comparisons, join, type List, printRule, type Rule } from './syntax.js'
import { RuleFault, type Token, tokensOf } from './tokens.js'

/** Why a text is no rule: where (both counted from 1) and what was expected there. */
export interface UnreadableRule {
  readonly kind: 'unreadable'
  readonly line: number
  readonly column: number
  readonly detail: string
}

export interface ReadRule {
  readonly kind: 'rule'
  readonly rule: Rule
  /** The canonical spelling. */
  readonly text: RuleText
}

/**
 * Reads a rule about a certificate: clauses over fields as RFC 5280 names them, joined by `not`, `and`, `or` (binding in this
 * order) and parentheses. Refuses, with the place, whatever is not wholly understood, values that no certificate can have,
 * and what is over the limits.
 */
export function readRule(text: string, limits: RuleLimits = ruleLimits): ReadRule | UnreadableRule {
  try {
    if (text.length > limits.characters) throw new RuleFault(0, `a rule has at most ${limits.characters} characters`)
    const reader = new RuleReader(tokensOf(text, limits), limits)
    const rule = reader.whole()
    return { kind: 'rule', rule, text: printRule(rule) }
  } catch (error) {
    if (!(error instanceof RuleFault)) throw error
    return { kind: 'unreadable', ...placeOf(text, error.at), detail: error.message }
  }
}

/** Line and column of an offset. */
export function placeOf(text: string, at: number): { readonly line: number; readonly column: number } {
  const lines = text.slice(0, at).split('\n')
  return { line: lines.length, column: (lines.at(-1)?.length ?? 0) + 1 }
}

const reserved = new Set(['and', 'or', 'not', 'exists', 'is', 'has', 'count', 'of', 'matches', 'all'])

class RuleReader {
  private readonly tokens: readonly Token[]
  private readonly limits: RuleLimits
  private index = 0
  private nodes = 0

  constructor(tokens: readonly Token[], limits: RuleLimits) {
    this.tokens = tokens
    this.limits = limits
  }

  whole(): Rule {
    const rule = this.either(0)
    if (this.token.kind !== 'end') this.expected('and, or, or the end of the rule')
    return rule
  }

  private get token(): Token {
    return this.tokens[this.index] as Token
  }

  private expected(what: string, token = this.token): never {
    const found = token.kind === 'end' ? 'the end of the rule' : JSON.stringify(token.text)
    throw new RuleFault(token.at, `expected ${what}, found ${found}`)
  }

  private takes(text: string): boolean {
    if (this.token.kind === 'text' || this.token.text !== text || this.token.kind === 'end') return false
    this.index++
    return true
  }

  private needs(text: string): void {
    if (!this.takes(text)) this.expected(text)
  }

  private either(depth: number): Rule {
    const rules: [Rule, ...Rule[]] = [this.both(depth)]
    while (this.takes('or')) rules.push(this.both(depth))
    return join('or', rules)
  }

  private both(depth: number): Rule {
    const rules: [Rule, ...Rule[]] = [this.negated(depth)]
    while (this.takes('and')) rules.push(this.negated(depth))
    return join('and', rules)
  }

  private negated(depth: number): Rule {
    if (depth > this.limits.depth)
      throw new RuleFault(this.token.at, `nested more than ${this.limits.depth} levels deep`)
    if (++this.nodes > this.limits.nodes) throw new RuleFault(this.token.at, `more than ${this.limits.nodes} clauses`)
    if (this.takes('not')) return { kind: 'not', part: this.negated(depth + 1) }
    if (!this.takes('(')) return this.clause()
    const inner = this.either(depth + 1)
    this.needs(')')
    return inner
  }

  private clause(): Rule {
    const field = this.field('a field, not, or (')
    if (this.takes('exists')) return { kind: 'exists', field }
    switch (field.type) {
      case 'truth':
        return this.truthClause(field)
      case 'set':
        return this.setClause(field)
      default:
        return this.scalarClause(field)
    }
  }

  private field(what: string): Field {
    const { token } = this
    const field = token.kind === 'word' ? fieldNamed(token.text) : undefined
    if (field) {
      this.index++
      return field
    }
    const like = token.kind === 'word' ? likeName(token.text) : undefined
    if (like) throw new RuleFault(token.at, `no field ${token.text}; ${like} is one`)
    if (token.kind !== 'word' || reserved.has(token.text)) this.expected(what)
    throw new RuleFault(token.at, `no field ${token.text}`)
  }

  private truthClause(field: Field & { readonly type: 'truth' }): Rule {
    const truth: Rule = { kind: 'truth', field }
    const opposite = this.takes('!=')
    if (!opposite && !this.takes('=')) return truth
    const stated = this.takes('true')
    if (!stated && !this.takes('false')) this.expected('true or false')
    return stated === opposite ? { kind: 'not', part: truth } : truth
  }

  private scalarClause(field: ScalarField): Clause {
    const { token } = this
    if (this.takes('matches')) {
      if (field.type !== 'text') throw new RuleFault(token.at, `${field.name} is no text to match`)
      return { kind: 'match', how: 'any', field, pattern: this.pattern() }
    }
    if (this.takes('is')) {
      this.needs('one')
      this.needs('of')
      if (field.type !== 'text') throw new RuleFault(token.at, `${field.name} is compared with one value`)
      return { kind: 'one of', field, list: this.list(field.words) }
    }
    const by = this.comparison(`a comparison, matches, is one of, or exists after ${field.name}`)
    if (field.type === 'text' && by !== '=' && by !== '!=')
      throw new RuleFault(token.at, `${field.name} has no order; compare it with = or !=`)
    return { kind: 'compare', field, by, with: this.operand(field) }
  }

  private setClause(field: SetField): Clause {
    const { token } = this
    if (this.takes('matches')) return { kind: 'match', how: 'any', field, pattern: this.pattern() }
    if (this.takes('all')) {
      this.needs('match')
      return { kind: 'match', how: 'all', field, pattern: this.pattern() }
    }
    if (this.takes('is')) {
      this.needs('empty')
      return { kind: 'empty', field }
    }
    if (this.takes('has')) return this.hasClause(field)
    if (this.takes('count')) {
      const of = this.takes('of') ? { of: this.list(field.words) } : {}
      return { kind: 'count', field, ...of, by: this.comparison('of, or a comparison'), number: this.number() }
    }
    if (this.takes('=')) return { kind: 'has', how: 'exactly', field, list: this.single(field) }
    if (token.kind === 'symbol' && token.text !== ')' && token.text !== ',')
      throw new RuleFault(token.at, `${field.name} has many values; say has, count, matches, is empty or =`)
    return this.expected(`has, count, matches, all match, is empty, = or exists after ${field.name}`)
  }

  private hasClause(field: SetField): Clause {
    for (const how of ['any', 'all'] as const)
      if (this.takes(how)) {
        this.needs('of')
        const list = this.list(field.words)
        const alone = list.kind === 'values' && list.values.length === 1
        return { kind: 'has', how: alone ? 'any' : how, field, list }
      }
    for (const how of ['only', 'exactly'] as const)
      if (this.takes(how)) return { kind: 'has', how, field, list: this.list(field.words) }
    return { kind: 'has', how: 'any', field, list: this.single(field) }
  }

  private single({ words }: SetField): List {
    return { kind: 'values', values: [this.value(words)] }
  }

  private list(words: SetField['words']): List {
    if (!this.takes('(')) {
      const { token } = this
      const field = this.field('( or a field with many values')
      if (field.type !== 'set') throw new RuleFault(token.at, `${field.name} has one value only`)
      return { kind: 'field', field }
    }
    const values = new Set<string>()
    do {
      if (values.size >= this.limits.values)
        throw new RuleFault(this.token.at, `a list has at most ${this.limits.values} values`)
      values.add(this.value(words))
    } while (this.takes(','))
    if (!this.takes(')')) this.expected(', or )')
    return { kind: 'values', values: [...values] }
  }

  private value(words: SetField['words']): string {
    const { token } = this
    const value = token.kind === 'text' || token.kind === 'word' ? words.read(token.text) : undefined
    if (value === undefined || (token.kind === 'word' && !words.isWord)) this.expected(words.expected)
    this.index++
    return value
  }

  private operand(field: ScalarField): string | number | ScalarField {
    const other = this.token.kind === 'word' ? fieldNamed(this.token.text) : undefined
    if (other) {
      if (other.type !== field.type) this.expected(`a field of the same type as ${field.name}`)
      this.index++
      return other as ScalarField
    }
    if (field.type === 'text') return this.value(field.words)
    return field.type === 'number' ? this.number() : this.moment()
  }

  private comparison(what: string): Comparison {
    const by = comparisons.find((one) => this.token.kind === 'symbol' && this.token.text === one)
    if (!by) this.expected(what)
    this.index++
    return by
  }

  private number(): number {
    const { token } = this
    if (token.kind !== 'word' || !/^\d{1,12}(?:\.\d{1,3})?$/.test(token.text)) this.expected('a number')
    this.index++
    return Number(token.text)
  }

  /** A day, or a moment in quotes; always in UTC. */
  private moment(): number {
    const { token } = this
    const form = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:\.\d{3})?Z)?$/
    const at = token.kind !== 'symbol' && form.test(token.text) ? Date.parse(token.text) : Number.NaN
    if (Number.isNaN(at)) this.expected('a date such as 2026-12-31')
    this.index++
    return at
  }

  private pattern() {
    const { token } = this
    if (token.kind !== 'text') this.expected('a pattern in quotes')
    const pattern = readPattern(token.text, this.limits)
    if ('kind' in pattern)
      throw new RuleFault(token.at, `the pattern has ${pattern.detail}, at its character ${pattern.at + 1}`)
    this.index++
    return pattern
  }
}
