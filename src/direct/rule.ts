/** A certificate rule in its canonical spelling; only reading one makes it (trust/rules). */
export type RuleText = string & { readonly __brand: 'RuleText' }

/** Which certificates a rule of a domain is about. */
export const ruleUses = ['trust', 'private', 'public'] as const
/**
 * `trust`: whom we believe: the signer's certificate of mail that comes in, the recipients' of mail that goes out.
 * `private`: which of our own keys serve: to decrypt (in), to sign (out).
 * `public`: which certificates of others we encrypt to (out).
 */
export type RuleUse = (typeof ruleUses)[number]

export const ruleDirections = ['in', 'out', 'both'] as const
export type RuleDirection = (typeof ruleDirections)[number]

/** A rule of a domain. */
export interface DomainRule {
  /** Unique in its domain; findings and the operator call it by this. */
  readonly name: string
  readonly use: RuleUse
  readonly direction: RuleDirection
  readonly text: RuleText
}
