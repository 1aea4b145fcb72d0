import { type DirectAddress, spellings } from '../direct/address.js'
import { type RefusalReason, type Refused, refused, type Undecided } from '../direct/refusal.js'
import type { CandidateFinding, TrustWitness } from '../direct/verdict.js'
import type { CertificateDirectory, DiscoveryStep } from '../ports/trust.js'
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
  /** Is told what each certificate of the recipient went through. */
  readonly witness?: TrustWitness | undefined
}

export const encryptionLimits = {
  /** Good certificates of one recipient that a message is encrypted to: the old and the new one of a renewal, of two providers at most. */
  perRecipient: 4,
} as const

export type EncryptionChoice = {
  readonly candidates: readonly CandidateFinding[]
  /** Where the directory looked; empty where nobody had to look. */
  readonly steps: readonly DiscoveryStep[]
} & (
  | {
      readonly kind: 'chosen'
      /** DER, never none: those of the first source that had a good one, the one that is valid longest first. */
      readonly certificates: readonly Uint8Array[]
      readonly warnings: readonly RefusalReason[]
    }
  | Refused
  | Undecided
)

/**
 * Chooses the certificates to encrypt to: the signer's own where it may encipher (keyEncipherment for RSA, keyAgreement for
 * EC), else those bound to the same address that came along, else those of the directory; each judged as a signer is, by
 * path and revocation. All good ones of one source serve, since nobody outside knows which of its keys a recipient has at
 * hand while it renews them. The directory stops at the first place that has any, so that an address certificate that is no
 * good is not passed over for one of its domain (Applicability Statement §5.3). Refused `no-recipient-certificate` where
 * there is none, or with its own reason where there was one.
 */
export async function certificatesToEncryptTo(
  { owner, address, purpose, signerCertificate, bag, at, witness }: EncryptionQuestion,
  ports: TrustPorts & { readonly directory: CertificateDirectory },
  policy: TrustPolicy = defaultTrustPolicy,
): Promise<EncryptionChoice> {
  const answered = await anchorsOf(owner, purpose === 'notice' ? 'notice' : 'out', ports.anchors)
  if ('kind' in answered) return { ...answered, candidates: [], steps: [] }
  const anchors = answered
  const budget = newPathBudget()
  const along = readCertificates(bag, trustLimits.bag)
  const findings = new Map<string, CandidateFinding>()
  let judged = 0

  /** The good ones of a list, judged in its order; `enough` of them end the search. */
  async function goodOf(list: readonly Certificate[], enough: number) {
    const good: Good[] = []
    for (const leaf of list) {
      if (findings.has(leaf.fingerprint)) continue
      const binding = speaksFor(leaf, address)
      if (!binding) {
        findings.set(leaf.fingerprint, findingOf(leaf, [], 'signer-not-bound', 'no name of it is the recipient'))
        continue
      }
      // Where the address has a good one of its own, its domain's are not asked to read along.
      const [first] = good
      if (first && speaksFor(first.leaf, address) !== binding) continue
      if (good.length >= enough || judged >= trustLimits.signers) break
      const question = { leaf, use: 'encrypt', anchors, bag: along, at, policy, budget, witness } as const
      const verdict = await judgeCertificate(question, ports)
      findings.set(leaf.fingerprint, findingOfVerdict(leaf, verdict))
      // One that is out of its time costs nothing to judge, and must not crowd out the one that replaced it.
      if (isCurrent(leaf, at)) judged++
      if (verdict.kind === 'trusted') good.push({ leaf, warnings: verdict.warnings })
    }
    return good
  }

  const signer = signerCertificate ? readCertificates([signerCertificate], 1) : []
  const bound = along.filter((certificate) => speaksFor(certificate, address))
  let good = await goodOf(signer, 1)
  if (good.length === 0) good = await goodOf(inOrder(bound, address, at), 1)
  if (good.length > 0) return chosen(good, [...findings.values()], [])

  /** Asks the directory, and judges what it has. */
  async function search(since?: number) {
    const found = await ports.directory.of(address, since)
    const listed = found.kind === 'found' ? readCertificates(found.certificates, trustLimits.bag) : []
    return { found, listed, good: await goodOf(inOrder(listed, address, at), encryptionLimits.perRecipient) }
  }
  let searched = await search()
  // What is remembered may have been replaced since: nobody is refused for a certificate that is not published any more.
  if (searched.found.kind === 'found' && searched.good.length === 0) searched = await search(at)
  const { found, listed } = searched
  const { steps } = found
  if (found.kind === 'undecided')
    return { kind: 'undecided', cause: found.cause, detail: found.detail, candidates: [...findings.values()], steps }
  const candidates = [...findings.values()]
  if (searched.good.length > 0) return chosen(searched.good, candidates, steps)
  const unread = found.kind === 'found' && listed.length === 0
  const none = unread
    ? { ...refused('malformed-certificate', `${found.certificates.length} published, none readable`), candidates }
    : noneOf(candidates, address)
  return { ...none, steps }
}

/** How a certificate is bound to a recipient: a tagged address may be written to under the name without its tag. */
function speaksFor(certificate: Certificate, address: DirectAddress): ReturnType<typeof bindsTo> {
  const [exact, ...others] = spellings(address).map((name) => bindsTo(certificate, name))
  return others.includes('address') ? 'address' : exact
}

/** A certificate that may be encrypted to. */
interface Good {
  readonly leaf: Certificate
  readonly warnings: readonly RefusalReason[]
}

function chosen(
  good: readonly Good[],
  candidates: readonly CandidateFinding[],
  steps: readonly DiscoveryStep[],
): EncryptionChoice {
  const warnings = [...new Set(good.flatMap((one) => one.warnings))]
  return { kind: 'chosen', certificates: good.map(({ leaf }) => leaf.der), warnings, candidates, steps }
}

function isCurrent({ notBefore, notAfter }: Certificate, at: number): boolean {
  return at >= notBefore && at <= notAfter
}

/** Bound to the address before bound to its domain, in their time before out of it, valid longest first. */
function inOrder(certificates: readonly Certificate[], address: DirectAddress, at: number): readonly Certificate[] {
  const rank = (one: Certificate) => (speaksFor(one, address) === 'address' ? 0 : 2) + (isCurrent(one, at) ? 0 : 1)
  return [...certificates].sort((a, b) => rank(a) - rank(b) || b.notAfter - a.notAfter)
}

function noneOf(
  candidates: readonly CandidateFinding[],
  address: DirectAddress,
): (Refused | Undecided) & Pick<EncryptionChoice, 'candidates'> {
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
