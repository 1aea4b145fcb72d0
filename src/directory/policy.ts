import { type DomainRule, ruleDirections, ruleUses } from '../direct/rule.js'

/** What a domain of ours demands of the mail it receives and sends, beyond what the standards fix. */
export interface DomainPolicy {
  /**
   * Whether the envelope must agree with the signed header (ANSI/DS 2019-01-100-2021): `strict` refuses a message that
   * was re-enveloped on the way, `warn` accepts it and says so in the trail.
   */
  readonly routingTamper: 'strict' | 'warn'
  /** Accepts signatures over SHA-1. Only for a partner that cannot do better, and only as long as it lasts. */
  readonly allowSha1: boolean
  /**
   * Where revocation is published but cannot be learnt now: `hard` waits, and refuses at the deadline; `soft` accepts at
   * once, with a warning; `off` never asks. A certificate known to be revoked is refused under `hard` and `soft` alike.
   */
  readonly revocation: 'hard' | 'soft' | 'off'
  /** Under `hard`, also refuses certificates of which nobody publishes whether they are revoked. */
  readonly requirePublishedRevocation: boolean
  /** Refuses certificates that name their purposes without e-mail among them (RFC 8550 §4.4.4). */
  readonly requireEmailProtection: boolean
  /** Policy OIDs of which the path must be valid for one (RFC 5280 §6.1.1 c); empty: any, and none too. */
  readonly requiredPolicies: readonly string[]
  /** Proof of identity (NIST SP 800-63A) without which an address of the domain takes no mail. */
  readonly identityProofing: 'none' | 'ial1' | 'ial2' | 'ial3'
  /**
   * Whether people who sign in may take addresses of this domain for their records, and `newuser@` takes mail for those who
   * have none yet. Only for domains whose addresses are patients'.
   */
  readonly activation: 'open' | 'closed'
  /** Rules about certificates; names are unique. A domain that has its own keeps none of the defaults. */
  readonly rules: readonly DomainRule[]
}

/** The settings with a few values each. */
export type PolicyChoices = Omit<DomainPolicy, 'requiredPolicies' | 'rules'>

/**
 * The policy of a domain nobody configured. `strict`, because a re-enveloped message is what the routing rule exists to
 * stop; no SHA-1, because collisions are affordable; `soft`, because certificate authorities' lists fail more often than
 * certificates are revoked, and a clinic's mail waiting on a third party's web server harms patients too. Publication of
 * revocation is not demanded, as certificates of many small authorities have no distribution point; emailProtection is, as
 * a key that was certified for web servers alone is no mail key. An operator who adds an address vouches for it; that
 * others may, an operator says.
 */
export const defaultPolicy: DomainPolicy = {
  routingTamper: 'strict',
  allowSha1: false,
  revocation: 'soft',
  requirePublishedRevocation: false,
  requireEmailProtection: true,
  requiredPolicies: [],
  identityProofing: 'none',
  activation: 'closed',
  rules: [],
}

export const policyLimits = {
  /** Rules of one domain; all of them together, in characters: the row is read for every message. */
  rules: 40,
  ruleCharacters: 4_000,
  charactersOfRules: 40_000,
  /** A path is valid for a handful of policies at most. */
  requiredPolicies: 32,
} as const

const choices = {
  routingTamper: ['strict', 'warn'],
  allowSha1: [true, false],
  revocation: ['hard', 'soft', 'off'],
  requirePublishedRevocation: [true, false],
  requireEmailProtection: [true, false],
  identityProofing: ['none', 'ial1', 'ial2', 'ial3'],
  activation: ['open', 'closed'],
} as const satisfies { readonly [K in keyof PolicyChoices]: readonly PolicyChoices[K][] }

/** Lays changes over a policy; answers the name of the first setting whose value does not exist. */
export function changedPolicy(
  base: DomainPolicy,
  change: Partial<DomainPolicy>,
): { readonly kind: 'policy'; readonly policy: DomainPolicy } | { readonly kind: 'bad'; readonly setting: string } {
  for (const [setting, value] of Object.entries(change)) if (!isAllowed(setting, value)) return { kind: 'bad', setting }
  return { kind: 'policy', policy: { ...base, ...change } }
}

function isAllowed(setting: string, value: unknown): boolean {
  if (setting === 'requiredPolicies') return isPolicyList(value)
  if (setting === 'rules') return Array.isArray(value) && areRules(value)
  const allowed: readonly unknown[] | undefined = Object.hasOwn(choices, setting)
    ? choices[setting as keyof PolicyChoices]
    : undefined
  return allowed?.includes(value) ?? false
}

const oid = /^[0-2](?:\.(?:0|[1-9][0-9]{0,14})){1,31}$/

function isPolicyList(value: unknown): boolean {
  if (!Array.isArray(value) || value.length > policyLimits.requiredPolicies) return false
  return value.every((one) => typeof one === 'string' && oid.test(one)) && new Set(value).size === value.length
}

function areRules(rules: readonly unknown[]): boolean {
  if (rules.length > policyLimits.rules || !rules.every(isRule)) return false
  const found = rules as readonly DomainRule[]
  const characters = found.reduce((sum, { text }) => sum + text.length, 0)
  return characters <= policyLimits.charactersOfRules && new Set(found.map(({ name }) => name)).size === found.length
}

const ruleName = /^[a-z0-9][a-z0-9.-]{0,63}$/

/** Whether this is a rule in form: whether its text can be read is known by its type. */
export function isRule(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const { name, use, direction, text } = value as Readonly<Record<string, unknown>>
  if (typeof name !== 'string' || !ruleName.test(name)) return false
  if (typeof text !== 'string' || text === '' || text.length > policyLimits.ruleCharacters) return false
  const isKnown = (known: readonly unknown[], one: unknown) => known.includes(one)
  // Certificates of others are encrypted to on the way out only: a rule for the way in would never be asked.
  return isKnown(ruleUses, use) && isKnown(ruleDirections, direction) && !(use === 'public' && direction === 'in')
}
