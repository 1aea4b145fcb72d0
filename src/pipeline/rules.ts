import type { DirectDomain } from '../direct/address.js'
import type { DomainRule, RuleDirection, RuleUse } from '../direct/rule.js'
import type { Domains } from '../directory/directory.js'
import { evaluate, type RuleOutcome } from '../trust/rules/evaluate.js'
import { fields } from '../trust/rules/fields.js'
import { type Preset, presets } from '../trust/rules/presets.js'
import { readRule, type UnreadableRule } from '../trust/rules/read.js'
import { outcomeWords } from '../trust/rules/rule.js'
import { type TranslatedRule, translateLexicon } from '../trust/rules/translate.js'
import { readCertificate } from '../x509/certificate.js'
import { nameText } from '../x509/name.js'

/** A rule as somebody writes it. */
export interface WrittenRule {
  readonly name: string
  readonly use: RuleUse
  readonly direction: RuleDirection
  readonly text: string
}

/** Reads written rules, and adds them to a domain, all or none; the first that cannot be read keeps all of them out. */
export async function addRules(
  domains: Domains,
  domain: DirectDomain,
  written: readonly WrittenRule[],
  by: string,
): Promise<Awaited<ReturnType<Domains['addRules']>> | (UnreadableRule & { readonly name: string })> {
  const rules: DomainRule[] = []
  for (const { name, use, direction, text } of written) {
    const read = readRule(text)
    if (read.kind === 'unreadable') return { ...read, name }
    rules.push({ name, use, direction, text: read.text })
  }
  return domains.addRules(domain, rules, by)
}

export type RuleTrial =
  | UnreadableRule
  | { readonly kind: 'malformed'; readonly detail: string }
  | { readonly kind: 'tried'; readonly subject: string; readonly outcome: RuleOutcome; readonly words: string }

/** What a rule says of a certificate (DER). */
export function tryRule(text: string, der: Uint8Array): RuleTrial {
  const read = readRule(text)
  if (read.kind === 'unreadable') return read
  const certificate = readCertificate(der)
  if (certificate.kind === 'malformed') return certificate
  const outcome = evaluate(read.rule, certificate)
  return { kind: 'tried', subject: nameText(certificate.subject), outcome, words: outcomeWords(outcome) }
}

/** A policy of the reference implementation (SIMPLE_TEXT_V1) as a rule. */
export function translatedRule(text: string): TranslatedRule | UnreadableRule {
  return translateLexicon(text)
}

/** Rules that need not be written anew. */
export function rulePresets(): readonly Preset[] {
  return presets
}

/** The fields that rules may ask about, with what is compared with them. */
export function ruleFields(): readonly {
  readonly field: string
  readonly type: string
  readonly values: string
  readonly about: string
}[] {
  const expected = { number: 'a number', moment: 'a date, such as 2026-12-31', truth: '' }
  return fields.map((field) => ({
    field: field.name,
    type: field.type === 'moment' ? 'date' : field.type,
    values: 'words' in field ? field.words.expected : expected[field.type],
    about: field.about,
  }))
}
