import { type DirectAddress, domainOf } from '../direct/address.js'
import { type Refused, refused, type Undecided } from '../direct/refusal.js'
import type { CandidateFinding, TrustWitness } from '../direct/verdict.js'
import type { Directory } from '../directory/directory.js'
import type { CertificateDirectory, Discovered, DiscoveryStep, Issuers, Revocation } from '../ports/trust.js'
import type { Clock } from '../ports/world.js'
import { certificatesToEncryptTo } from '../trust/encryption.js'
import { trustPolicyOf } from './policy.js'

export interface RecipientPorts {
  readonly directory: Directory
  /** Certificates of others: imported, else discovered. */
  readonly discovery: CertificateDirectory
  readonly revocation: Revocation
  readonly issuers: Issuers
  readonly clock: Clock
}

/** What was found for one recipient: certificates to encrypt to, a refusal, or nothing yet. */
export type RecipientFinding = {
  readonly recipient: DirectAddress
  readonly candidates: readonly CandidateFinding[]
  readonly steps: readonly DiscoveryStep[]
} & (
  | { readonly kind: 'good'; readonly certificates: readonly Uint8Array[]; readonly warnings: readonly string[] }
  | Refused
  | Undecided
)

/**
 * Finds the certificates of one recipient that its sender trusts (Applicability Statement §4, §5.3): what was imported,
 * else what is published; for an address of ours, our own. The first place that has any decides. An address of ours that is
 * not served is refused at once. `witness` is told what each certificate went through.
 */
export async function certificatesOf(
  recipient: DirectAddress,
  sender: DirectAddress,
  ports: RecipientPorts,
  witness?: TrustWitness,
): Promise<RecipientFinding> {
  const { directory, revocation, issuers, clock } = ports
  const ours = (await directory.domains.get(domainOf(recipient))) !== undefined
  if (ours && !(await directory.addresses.isServed(recipient)))
    return { ...refused('unknown-recipient', recipient), recipient, candidates: [], steps: [] }
  const of: CertificateDirectory['of'] = (address, since) =>
    ours ? own(address, ports) : ports.discovery.of(address, since)
  const choice = await certificatesToEncryptTo(
    { owner: sender, address: recipient, purpose: 'message', bag: [], at: clock.now(), witness },
    { anchors: directory.anchors, revocation, issuers, directory: { of } },
    trustPolicyOf(await directory.domains.policyOf(sender), 'recipient'),
  )
  return choice.kind === 'chosen' ? { ...choice, kind: 'good', recipient } : { ...choice, recipient }
}

/** Certificates of our own that may be encrypted to now: what outsiders would find published. */
async function own(address: DirectAddress, { directory, clock }: RecipientPorts): Promise<Discovered> {
  const at = clock.now()
  const steps: DiscoveryStep[] = []
  for (const binding of ['address', 'domain'] as const) {
    const owner = binding === 'address' ? address : domainOf(address)
    const keys = await directory.keys.list(owner)
    const usable = keys.filter((key) => key.mayEncrypt && !key.retired && key.notBefore <= at && at <= key.notAfter)
    const outcome = usable.length > 0 ? 'found' : 'none'
    steps.push({ source: 'own', binding, place: `key of ${owner}`, outcome, detail: '' })
    if (usable.length > 0)
      return {
        kind: 'found',
        source: 'own',
        binding,
        certificates: usable.map(({ certificate }) => certificate),
        steps,
      }
  }
  return { kind: 'none', steps }
}
