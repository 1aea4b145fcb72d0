import type { Certificate } from '../../x509/certificate.js'
import { recent } from '../../x509/recent.js'
import { evaluate, type RuleOutcome } from './evaluate.js'
import { ruleLimits } from './limits.js'
import { type ReadRule, readRule, type UnreadableRule } from './read.js'

/** A rule ready for judgement; one that could not be read excludes every certificate. */
export interface CompiledRule {
  readonly name: string
  readonly text: string
  readonly read: ReadRule | UnreadableRule
}

const known = recent<ReadRule | UnreadableRule>(ruleLimits.remembered)

/** Makes a rule ready; one text is read once. */
export function compiledRule({ name, text }: { readonly name: string; readonly text: string }): CompiledRule {
  let read = known.get(text)
  if (!read) {
    read = readRule(text)
    known.set(text, read)
  }
  return { name, text, read }
}

const outcomes = new WeakMap<ReadRule, WeakMap<Certificate, RuleOutcome>>()

/** What a rule says of a certificate; of an unreadable rule, that it cannot be answered. Asked again, it costs nothing. */
export function outcomeOf({ read }: CompiledRule, certificate: Certificate): RuleOutcome {
  if (read.kind === 'unreadable')
    return { kind: 'cannot', field: 'the rule', detail: `line ${read.line}, column ${read.column}: ${read.detail}` }
  const ofRule = outcomes.get(read) ?? new WeakMap<Certificate, RuleOutcome>()
  outcomes.set(read, ofRule)
  let outcome = ofRule.get(certificate)
  if (!outcome) {
    outcome = evaluate(read.rule, certificate)
    ofRule.set(certificate, outcome)
  }
  return outcome
}

/** Why rules exclude a certificate, in words that name the first such rule and its clause; undefined where all hold. */
export function exclusion(rules: readonly CompiledRule[], certificate: Certificate): string | undefined {
  for (const rule of rules) {
    const outcome = outcomeOf(rule, certificate)
    if (outcome.kind !== 'holds') return `rule ${rule.name}: ${outcomeWords(outcome)}`
  }
  return undefined
}

/** An outcome in words. */
export function outcomeWords(outcome: RuleOutcome): string {
  switch (outcome.kind) {
    case 'holds':
      return 'holds'
    case 'fails':
      return `does not hold: ${outcome.clause}`
    case 'cannot':
      return `cannot be evaluated: ${outcome.field}: ${outcome.detail}`
  }
}
