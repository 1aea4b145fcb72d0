/** What a domain of ours demands of the mail it receives, beyond what the standards fix. */
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
}

/**
 * The policy of a domain nobody configured. `strict`, because a re-enveloped message is what the routing rule exists to
 * stop; no SHA-1, because collisions are affordable; `soft`, because certificate authorities' lists fail more often than
 * certificates are revoked, and a clinic's mail waiting on a third party's web server harms patients too.
 */
export const defaultPolicy: DomainPolicy = { routingTamper: 'strict', allowSha1: false, revocation: 'soft' }

const choices = {
  routingTamper: ['strict', 'warn'],
  allowSha1: [true, false],
  revocation: ['hard', 'soft', 'off'],
} as const satisfies { readonly [K in keyof DomainPolicy]: readonly DomainPolicy[K][] }

/** Lays changes over a policy; answers the name of the first setting whose value does not exist. */
export function changedPolicy(
  base: DomainPolicy,
  change: Partial<DomainPolicy>,
): { readonly kind: 'policy'; readonly policy: DomainPolicy } | { readonly kind: 'bad'; readonly setting: string } {
  for (const [setting, value] of Object.entries(change)) {
    const allowed: readonly unknown[] | undefined = Object.hasOwn(choices, setting)
      ? choices[setting as keyof DomainPolicy]
      : undefined
    if (!allowed?.includes(value)) return { kind: 'bad', setting }
  }
  return { kind: 'policy', policy: { ...base, ...change } }
}
