import type { RuleText } from '../../direct/rule.js'
import type { Field, ScalarField, SetField, TruthField } from './fields.js'
import type { Pattern } from './pattern.js'
import type { Vocabulary } from './words.js'

export const comparisons = ['=', '!=', '<', '<=', '>', '>='] as const
export type Comparison = (typeof comparisons)[number]

/** Values written down, in the form that is compared, or those of another field. */
export type List =
  | { readonly kind: 'values'; readonly values: readonly string[] }
  | { readonly kind: 'field'; readonly field: SetField }

/** One question about one field. */
export type Clause =
  | { readonly kind: 'exists'; readonly field: Field }
  | { readonly kind: 'empty'; readonly field: SetField }
  | { readonly kind: 'truth'; readonly field: TruthField }
  | {
      readonly kind: 'compare'
      readonly field: ScalarField
      readonly by: Comparison
      readonly with: string | number | ScalarField
    }
  | { readonly kind: 'one of'; readonly field: ScalarField & { readonly type: 'text' }; readonly list: List }
  | {
      readonly kind: 'has'
      readonly how: 'any' | 'all' | 'only' | 'exactly'
      readonly field: SetField
      readonly list: List
    }
  | {
      readonly kind: 'count'
      readonly field: SetField
      readonly of?: List
      readonly by: Comparison
      readonly number: number
    }
  | {
      readonly kind: 'match'
      readonly how: 'any' | 'all'
      readonly field: ScalarField | SetField
      readonly pattern: Pattern
    }

/** A rule about a certificate. Parts of `and` are never `and`, parts of `or` never `or`, and there are two or more. */
export type Rule =
  | Clause
  | { readonly kind: 'not'; readonly part: Rule }
  | { readonly kind: 'and' | 'or'; readonly parts: readonly Rule[] }

/** Joins rules; one alone stays itself, and joined ones are taken apart first. There must be one. */
export function join(kind: 'and' | 'or', rules: readonly [Rule, ...Rule[]]): Rule {
  const parts = rules.flatMap((rule) => (rule.kind === kind ? rule.parts : [rule]))
  return parts.length === 1 ? (parts[0] as Rule) : { kind, parts }
}

const binding = { or: 0, and: 1, not: 2 } as const

/** A rule in its canonical spelling; reading that gives the same rule. */
export function printRule(rule: Rule): RuleText {
  return printed(rule, 0) as RuleText
}

function printed(rule: Rule, within: number): string {
  switch (rule.kind) {
    case 'not':
      return `not ${printed(rule.part, binding.not)}`
    case 'and':
    case 'or': {
      const text = rule.parts.map((part) => printed(part, binding[rule.kind] + 1)).join(` ${rule.kind} `)
      return binding[rule.kind] < within ? `(${text})` : text
    }
    default:
      return printClause(rule)
  }
}

const hows = { any: 'any of', all: 'all of', only: 'only', exactly: 'exactly' } as const

function printClause(clause: Clause): string {
  const { field } = clause
  switch (clause.kind) {
    case 'exists':
      return `${field.name} exists`
    case 'empty':
      return `${field.name} is empty`
    case 'truth':
      return field.name
    case 'compare':
      return `${field.name} ${clause.by} ${printOperand(clause.field, clause.with)}`
    case 'one of':
      return `${field.name} is one of ${printList(clause.list, clause.field.words)}`
    case 'has':
      return `${field.name} ${printHas(clause)}`
    case 'count': {
      const of = clause.of ? ` of ${printList(clause.of, clause.field.words)}` : ''
      return `${field.name} count${of} ${clause.by} ${clause.number}`
    }
    case 'match':
      return `${field.name} ${clause.how === 'any' ? 'matches' : 'all match'} ${quoted(clause.pattern.source)}`
  }
}

/** Of one value, any and all are the same; the reader makes no `all` of one. */
function printHas({ how, list, field }: Clause & { kind: 'has' }): string {
  const [only, ...others] = list.kind === 'values' ? list.values : []
  const alone = only !== undefined && others.length === 0 ? printValue(only, field.words) : undefined
  if (alone !== undefined && how === 'exactly') return `= ${alone}`
  if (alone !== undefined && how === 'any') return `has ${alone}`
  return `has ${hows[how]} ${printList(list, field.words)}`
}

function printList(list: List, words: Vocabulary): string {
  if (list.kind === 'field') return list.field.name
  return `(${list.values.map((value) => printValue(value, words)).join(', ')})`
}

function printOperand(field: ScalarField, operand: string | number | ScalarField): string {
  if (typeof operand === 'object') return operand.name
  if (typeof operand === 'string') return field.type === 'text' ? printValue(operand, field.words) : quoted(operand)
  return field.type === 'moment' ? printMoment(operand) : String(operand)
}

/** A day without quotes; a moment within one with them. */
function printMoment(at: number): string {
  const text = new Date(at).toISOString()
  return text.endsWith('T00:00:00.000Z') ? text.slice(0, 10) : quoted(text)
}

function printValue(value: string, words: Vocabulary): string {
  return words.isWord ? words.spell(value) : quoted(words.spell(value))
}

function quoted(text: string): string {
  return `"${text.replace(/[\\"]/g, '\\$&')}"`
}
