import type { DomainPolicy } from '../directory/policy.js'
import { defaultTrustPolicy, type TrustPolicy } from '../trust/policy.js'

/** What a domain of ours demands, as the trust decision asks for it. */
export function trustPolicyOf({ revocation, allowSha1 }: DomainPolicy): TrustPolicy {
  return { ...defaultTrustPolicy, revocation, allowSha1InPaths: allowSha1 }
}
