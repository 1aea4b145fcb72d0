import { Asn1Error } from '../../asn1/reader.js'
import type { Certificate } from '../../x509/certificate.js'
import type { Field, SetField } from './fields.js'
import { type RuleLimits, ruleLimits } from './limits.js'
import { isFound, type Steps } from './pattern.js'
import { type Clause, type Comparison, type List, printRule, type Rule } from './syntax.js'

/** What a rule says of a certificate. Only `holds` lets it pass. */
export type RuleOutcome =
  | { readonly kind: 'holds' }
  /** `clause` is the part that does not hold, in the words of the rule. */
  | { readonly kind: 'fails'; readonly clause: string }
  | { readonly kind: 'cannot'; readonly field: string; readonly detail: string }

type Answer = { readonly kind: 'holds' } | { readonly kind: 'fails'; readonly rule: Rule } | Cannot

interface Cannot {
  readonly kind: 'cannot'
  readonly field: string
  readonly detail: string
}

const holds = { kind: 'holds' } as const

/**
 * Evaluates a rule. A question about a value that the certificate does not have cannot be answered, whatever it is; sets are
 * empty where their extension is absent. What cannot be answered decides nothing: `or` holds by another part, `and` fails by
 * another part, in any order; else the whole cannot be answered, which excludes the certificate as failing does.
 */
export function evaluate(rule: Rule, certificate: Certificate, limits: RuleLimits = ruleLimits): RuleOutcome {
  const answer = answerOf(rule, { certificate, steps: { left: limits.matchSteps }, limits })
  return answer.kind === 'fails' ? { kind: 'fails', clause: printRule(answer.rule) } : answer
}

interface Question {
  readonly certificate: Certificate
  readonly steps: Steps
  readonly limits: RuleLimits
}

function answerOf(rule: Rule, question: Question): Answer {
  switch (rule.kind) {
    case 'not': {
      const inner = answerOf(rule.part, question)
      if (inner.kind === 'cannot') return inner
      return inner.kind === 'fails' ? holds : { kind: 'fails', rule }
    }
    case 'and':
      return joined(rule, question, 'fails')
    case 'or':
      return joined(rule, question, 'holds')
    default:
      return clauseAnswer(rule, question)
  }
}

/** Kleene's logic: the deciding answer of any part decides; of an `or` that fails, every part is the clause that failed. */
function joined(rule: Rule & { kind: 'and' | 'or' }, question: Question, deciding: 'holds' | 'fails'): Answer {
  let unanswered: Cannot | undefined
  for (const part of rule.parts) {
    const answer = answerOf(part, question)
    if (answer.kind === deciding) return answer
    if (answer.kind === 'cannot') unanswered ??= answer
  }
  return unanswered ?? (deciding === 'fails' ? holds : { kind: 'fails', rule })
}

class Unanswered extends Error {
  readonly detail: string
  constructor(detail: string) {
    super(detail)
    this.detail = detail
  }
}

function clauseAnswer(clause: Clause, question: Question): Answer {
  try {
    return clauseHolds(clause, question) ? holds : { kind: 'fails', rule: clause }
  } catch (error) {
    const field = clause.field.name
    if (error instanceof Unanswered) return { kind: 'cannot', field, detail: error.detail }
    if (error instanceof Asn1Error) return { kind: 'cannot', field, detail: `unreadable: ${error.message}` }
    throw error
  }
}

function clauseHolds(clause: Clause, question: Question): boolean {
  const { certificate } = question
  switch (clause.kind) {
    case 'exists':
      return existing(clause.field, certificate)
    case 'empty':
      return clause.field.read(certificate).length === 0
    case 'truth':
      return clause.field.read(certificate)
    case 'compare': {
      const other = clause.with
      return compared(
        present(clause.field, certificate),
        clause.by,
        typeof other === 'object' ? present(other, certificate) : other,
      )
    }
    case 'one of':
      return valuesOf(clause.list, certificate).has(String(present(clause.field, certificate)))
    case 'has':
      return hasValues(clause, certificate)
    case 'count': {
      const listed = clause.of && valuesOf(clause.of, certificate)
      // Published policies count what a list and a certificate share, each value once; without a list, as often as it is there.
      const values = clause.field.read(certificate)
      const size = listed ? common(folded(clause.field, values), listed) : values.length
      return compared(size, clause.by, clause.number)
    }
    case 'match': {
      const { field } = clause
      const values = field.type === 'set' ? field.read(certificate) : [String(present(field, certificate))]
      return clause.how === 'any'
        ? values.some((value) => matched(clause, value, question))
        : values.every((value) => matched(clause, value, question))
    }
  }
}

function existing(field: Field, certificate: Certificate): boolean {
  const value = field.read(certificate)
  return typeof value === 'object' ? value.length > 0 : value !== undefined
}

function present(field: Field & { type: 'text' | 'number' | 'moment' }, certificate: Certificate): string | number {
  const value = field.read(certificate)
  if (value === undefined) throw new Unanswered(`the certificate has no ${field.name}`)
  return value
}

function compared(one: string | number, by: Comparison, other: string | number): boolean {
  switch (by) {
    case '=':
      return one === other
    case '!=':
      return one !== other
    case '<':
      return one < other
    case '<=':
      return one <= other
    case '>':
      return one > other
    case '>=':
      return one >= other
  }
}

/** Values in the form that is compared; one that a rule could not name, such as a damaged one, stays as it is. */
function folded({ words }: SetField, values: readonly string[]): ReadonlySet<string> {
  return new Set(values.map((value) => words.read(value) ?? value))
}

function valuesOf(list: List, certificate: Certificate): ReadonlySet<string> {
  return list.kind === 'values' ? new Set(list.values) : folded(list.field, list.field.read(certificate))
}

function common(one: ReadonlySet<string>, other: ReadonlySet<string>): number {
  let found = 0
  for (const value of one) if (other.has(value)) found++
  return found
}

function hasValues({ how, field, list }: Clause & { kind: 'has' }, certificate: Certificate): boolean {
  const values = folded(field, field.read(certificate))
  const listed = valuesOf(list, certificate)
  const shared = common(values, listed)
  switch (how) {
    case 'any':
      return shared > 0
    case 'all':
      return shared === listed.size
    case 'only':
      return shared === values.size
    case 'exactly':
      return shared === values.size && shared === listed.size
  }
}

function matched({ pattern }: Clause & { kind: 'match' }, value: string, { steps, limits }: Question): boolean {
  if (value.length > limits.matchedCharacters)
    throw new Unanswered(`a value of more than ${limits.matchedCharacters} characters is not matched`)
  const found = isFound(pattern, value, steps)
  if (found === undefined) throw new Unanswered('matching takes too long')
  return found
}
