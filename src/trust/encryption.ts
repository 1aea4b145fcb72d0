import type { DirectAddress } from '../direct/address.js'
import { type RefusalReason, type Refused, refused, type Undecided } from '../direct/refusal.js'
import type { CandidateFinding } from '../direct/verdict.js'
import type { CertificateDirectory } from '../ports/trust.js'
import type { Certificate } from '../x509/certificate.js'
import { bindsTo } from './binding.js'
import { anchorsOf, findingOf, findingOfVerdict, isCause, type TrustPorts } from './decide.js'
import { judgeCertificate, readCertificates } from './judge.js'
import { newPathBudget } from './path.js'
import { defaultTrustPolicy, type TrustPolicy, trustLimits } from './policy.js'

export interface EncryptionQuestion {
  /** The address of ours that sends, whose anchors judge. */
  readonly owner: DirectAddress
  /** To whom is to be encrypted. */
  readonly address: DirectAddress
  /**
   * A `message` goes to whom the outgoing anchors trust. A `notice` answers someone whom the incoming anchors trusted already
   * and tells him nothing that he did not send, so that those serve as well: a `processed` MDN is owed for every message
   * accepted, also where mail is only received.
   */
  readonly purpose: 'message' | 'notice'
  /** The certificate that signed what is answered, DER. */
  readonly signerCertificate?: Uint8Array
  /** Certificates that came with it, DER. */
  readonly bag: readonly Uint8Array[]
  /** Unix milliseconds. */
  readonly at: number
}

export type EncryptionChoice = { readonly candidates: readonly CandidateFinding[] } & (
  | { readonly kind: 'chosen'; readonly certificate: Uint8Array; readonly warnings: readonly RefusalReason[] }
  | Refused
  | Undecided
)

/**
 * Chooses the certificate to encrypt to: the signer's own where it may encipher (keyEncipherment for RSA, keyAgreement for
 * EC), else one bound to the same address that came along, else one of the directory; each judged as a signer is, by path
 * and revocation. The directory stops at the first place that has any, so that an address certificate that is no good is not
 * passed over for one of its domain. Refused `no-recipient-certificate` where there is none, or
 * with its own reason where there was one.
 */
export async function certificateToEncryptTo(
  { owner, address, purpose, signerCertificate, bag, at }: EncryptionQuestion,
  ports: TrustPorts & { readonly directory: CertificateDirectory },
  policy: TrustPolicy = defaultTrustPolicy,
): Promise<EncryptionChoice> {
  const anchors = await anchorsOf(owner, purpose === 'notice' ? 'notice' : 'out', ports.anchors)
  if ('kind' in anchors) return { ...anchors, candidates: [] }
  const budget = newPathBudget()
  const along = readCertificates(bag, trustLimits.bag)
  const candidates = new Map<string, CandidateFinding>()

  const firstGood = async (list: readonly Certificate[]): Promise<EncryptionChoice | undefined> => {
    for (const leaf of list) {
      if (candidates.has(leaf.fingerprint) || candidates.size >= trustLimits.signers) continue
      if (!bindsTo(leaf, address)) {
        candidates.set(leaf.fingerprint, findingOf(leaf, [], 'signer-not-bound', 'no name of it is the recipient'))
        continue
      }
      const verdict = await judgeCertificate({ leaf, use: 'encrypt', anchors, bag: along, at, policy, budget }, ports)
      candidates.set(leaf.fingerprint, findingOfVerdict(leaf, verdict))
      if (verdict.kind === 'trusted')
        return {
          kind: 'chosen',
          certificate: leaf.der,
          warnings: verdict.warnings,
          candidates: [...candidates.values()],
        }
    }
    return undefined
  }

  const signer = signerCertificate ? readCertificates([signerCertificate], 1) : []
  const bound = along.filter((certificate) => bindsTo(certificate, address))
  const chosen = (await firstGood(signer)) ?? (await firstGood(addressFirst(bound, address)))
  if (chosen) return chosen
  const found = await ports.directory.of(address)
  if (found.kind === 'undecided')
    return { kind: 'undecided', cause: found.cause, detail: found.detail, candidates: [...candidates.values()] }
  const listed = found.kind === 'found' ? readCertificates(found.certificates, trustLimits.bag) : []
  return (await firstGood(addressFirst(listed, address))) ?? noneOf([...candidates.values()], address)
}

function addressFirst(certificates: readonly Certificate[], address: DirectAddress): readonly Certificate[] {
  const own = certificates.filter((certificate) => bindsTo(certificate, address) === 'address')
  return [...own, ...certificates.filter((certificate) => !own.includes(certificate))]
}

function noneOf(candidates: readonly CandidateFinding[], address: DirectAddress): EncryptionChoice {
  const [first] = candidates
  const waiting = candidates.find(({ outcome }) => isCause(outcome))
  if (waiting && isCause(waiting.outcome))
    return { kind: 'undecided', cause: waiting.outcome, detail: waiting.detail, candidates }
  // A signing-only certificate is no fault: what is missing is its companion for encryption.
  const telling = first && candidates.length === 1 && first.outcome !== 'key-usage' ? first.outcome : undefined
  if (first && telling && telling !== 'trusted' && !isCause(telling))
    return { ...refused(telling, first.detail), candidates }
  const detail = first ? `${candidates.length} certificates, none usable for ${address}` : `none found for ${address}`
  return { ...refused('no-recipient-certificate', detail), candidates }
}
