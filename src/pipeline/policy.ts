import type { DomainRule, RuleUse } from '../direct/rule.js'
import type { DomainPolicy } from '../directory/policy.js'
import type { OwnedKey } from '../ports/keys.js'
import { defaultTrustPolicy, type TrustPolicy } from '../trust/policy.js'
import { type CompiledRule, compiledRule, exclusion } from '../trust/rules/rule.js'
import { readCertificate } from '../x509/certificate.js'

/**
 * Whose certificate is judged: a `signer` of mail that came in, a `recipient` of mail that goes out, or the one whom a
 * `notice` answers.
 */
export type Judged = 'signer' | 'recipient' | 'notice'

/** What a domain of ours demands of these certificates, as the trust decision asks for it. */
export function trustPolicyOf(policy: DomainPolicy, judged: Judged): TrustPolicy {
  const { revocation, allowSha1, requirePublishedRevocation, requireEmailProtection, requiredPolicies } = policy
  return {
    ...defaultTrustPolicy,
    revocation,
    allowSha1InPaths: allowSha1,
    requirePublishedRevocation,
    requireEmailProtection,
    requiredPolicies,
    rules: rulesFor(policy, judged),
  }
}

/**
 * A notice is owed to whom the rules for incoming mail let pass, so that those for outgoing mail alone do not keep it back;
 * but it is encrypted to a certificate that need not be the one that signed, so that those for signers alone say nothing.
 */
function rulesFor(policy: DomainPolicy, judged: Judged): readonly CompiledRule[] {
  switch (judged) {
    case 'signer':
      return selected(policy, 'trust', ['in', 'both'])
    case 'recipient':
      return [...selected(policy, 'trust', ['out', 'both']), ...selected(policy, 'public', ['out', 'both'])]
    case 'notice':
      return [...selected(policy, 'trust', ['both']), ...selected(policy, 'public', ['out', 'both'])]
  }
}

function selected({ rules }: DomainPolicy, use: RuleUse, directions: readonly DomainRule['direction'][]) {
  return rules.filter((rule) => rule.use === use && directions.includes(rule.direction)).map(compiledRule)
}

/** Keys of ours that the rules of their domain let serve, and in words why the others may not. */
export interface AllowedKeys {
  readonly allowed: readonly OwnedKey[]
  readonly excluded: readonly { readonly id: string; readonly detail: string }[]
}

/** Sorts keys of ours by the rules for `private` use: to decrypt what comes `in`, to sign what goes `out`. */
export function allowedKeys(keys: readonly OwnedKey[], policy: DomainPolicy, direction: 'in' | 'out'): AllowedKeys {
  const rules = selected(policy, 'private', [direction, 'both'])
  const excluded: { id: string; detail: string }[] = []
  const allowed = keys.filter(({ id, certificate }) => {
    if (rules.length === 0) return true
    const read = readCertificate(certificate)
    const detail = read.kind === 'malformed' ? read.detail : exclusion(rules, read)
    if (detail !== undefined) excluded.push({ id, detail })
    return detail === undefined
  })
  return { allowed, excluded }
}
