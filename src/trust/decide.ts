import { hash } from 'node:crypto'
import type { DirectAddress } from '../direct/address.js'
import {
  type RefusalReason,
  type Refused,
  refused,
  type Undecided,
  type UndecidedCause,
  undecided,
} from '../direct/refusal.js'
import type { Signer } from '../direct/signer.js'
import type { CandidateFinding, RecipientVerdict, TrustWitness } from '../direct/verdict.js'
import type { Anchor, Anchors, Issuers, Revocation } from '../ports/trust.js'
import { type Certificate, readCertificate } from '../x509/certificate.js'
import { nameText } from '../x509/name.js'
import { bindsTo } from './binding.js'
import { type CertificateVerdict, judgeCertificate, readCertificates } from './judge.js'
import { type AnchorSet, anchorSet, newPathBudget } from './path.js'
import { defaultTrustPolicy, type TrustPolicy, trustLimits } from './policy.js'

/** Whose anchors judge: those for incoming mail, for outgoing mail, or for a verified notice (MDN, DSN) both. */
export type TrustDirection = 'in' | 'out' | 'notice'

export interface TrustQuestion {
  /** The address of ours for whom is decided: per recipient inbound, the sender outbound. */
  readonly recipient: DirectAddress
  /** The address that the message says it is from. */
  readonly sender: DirectAddress
  readonly signers: readonly Signer[]
  /** Certificates that came with the message, DER. */
  readonly bag: readonly Uint8Array[]
  /** Unix milliseconds. */
  readonly at: number
  /**
   * `in` by default. `notice` for a verified MDN or DSN: whoever we send to may answer, so that the outgoing anchors judge
   * it as well.
   */
  readonly direction?: TrustDirection
  /** Is told what each certificate bound to the sender went through. */
  readonly witness?: TrustWitness | undefined
}

export interface TrustPorts {
  readonly anchors: Anchors
  readonly revocation: Revocation
  readonly issuers: Issuers
}

/**
 * Decides for one recipient whether a message may be believed to be from its sender (Applicability Statement §4): some
 * signer whose signature was verified is bound to the sender, and its path ends at an anchor of this recipient. One good
 * signer is enough, in any order. Every signer gets its finding. Without a trusted one, a cause that may pass makes the
 * verdict `undecided`; only then it is `refused`: with the signer's own reason where a single one was bound to the sender,
 * else `no-trusted-signer`.
 */
export async function decideTrust(
  question: TrustQuestion,
  ports: TrustPorts,
  policy: TrustPolicy = defaultTrustPolicy,
): Promise<RecipientVerdict> {
  const { recipient, sender, signers, at, direction = 'in', witness } = question
  const anchors = await anchorsOf(recipient, direction, ports.anchors)
  if ('kind' in anchors) return { ...anchors, recipient, candidates: [] }
  const budget = newPathBudget()
  const candidates: CandidateFinding[] = []
  const bound = new Map<string, CandidateFinding>()
  let bag: readonly Certificate[] | undefined
  let best: { signer: Uint8Array; warnings: readonly RefusalReason[] } | undefined
  for (const signer of signers) {
    const leaf = boundLeaf(signer, sender)
    if (leaf.kind === 'finding') {
      candidates.push(leaf.finding)
      continue
    }
    if (bound.has(leaf.fingerprint)) continue
    if (bound.size >= trustLimits.signers) {
      candidates.push(findingOf(leaf, [], 'no-trusted-signer', `not judged: more than ${trustLimits.signers} signers`))
      continue
    }
    bag ??= readCertificates(question.bag, trustLimits.bag)
    const verdict = await judgeCertificate({ leaf, use: 'sign', anchors, bag, at, policy, budget, witness }, ports)
    const finding = findingOfVerdict(leaf, verdict)
    candidates.push(finding)
    bound.set(leaf.fingerprint, finding)
    if (verdict.kind === 'trusted' && (!best || verdict.warnings.length < best.warnings.length))
      best = { signer: leaf.der, warnings: verdict.warnings }
  }
  if (best) return { kind: 'trusted', recipient, candidates, ...best }
  return { recipient, candidates, ...withoutTrusted(candidates, [...bound.values()], sender) }
}

/** The parsed certificate of a verified signer that is bound to the sender; for any other, the finding that says why not. */
function boundLeaf(
  signer: Signer,
  sender: DirectAddress,
): Certificate | { readonly kind: 'finding'; readonly finding: CandidateFinding } {
  const finding = (
    certificate: Certificate | Uint8Array | undefined,
    outcome: RefusalReason,
    detail: string,
  ): { readonly kind: 'finding'; readonly finding: CandidateFinding } => ({
    kind: 'finding',
    finding: findingOf(certificate, [], outcome, detail),
  })
  const leaf = signer.certificate && readCertificate(signer.certificate)
  const known = leaf?.kind === 'certificate' ? leaf : signer.certificate
  if (signer.kind === 'unverified') return finding(known, signer.reason, signer.detail)
  if (!leaf || leaf.kind === 'malformed') return finding(known, 'malformed-certificate', leaf?.detail ?? '')
  if (bindsTo(leaf, sender)) return leaf
  const { rfc822, dns } = leaf.names
  const detail =
    rfc822.length + dns.length === 0
      ? 'no e-mail or DNS name in subjectAltName'
      : `${rfc822.length} e-mail and ${dns.length} DNS names in subjectAltName, none of them the sender's`
  return finding(leaf, 'signer-not-bound', detail)
}

/** A finding in the words of the trail. `certificate` undefined: the message does not carry it. */
export function findingOf(
  certificate: Certificate | Uint8Array | undefined,
  path: readonly Certificate[],
  outcome: CandidateFinding['outcome'],
  detail: string,
): CandidateFinding {
  const named = certificate && 'kind' in certificate
  return {
    fingerprint: named ? certificate.fingerprint : certificate ? hash('sha256', certificate, 'hex') : '',
    subject: named ? nameText(certificate.subject) : certificate ? '(unreadable)' : '(not in the message)',
    outcome,
    detail,
    path: path.map(({ fingerprint }) => fingerprint),
  }
}

/** The finding that a verdict on a certificate amounts to. */
export function findingOfVerdict(leaf: Certificate, verdict: CertificateVerdict): CandidateFinding {
  switch (verdict.kind) {
    case 'trusted': {
      const detail = verdict.warnings.length > 0 ? `with ${verdict.warnings.join(', ')}` : ''
      return findingOf(leaf, verdict.path, 'trusted', detail)
    }
    case 'refused':
      return findingOf(leaf, verdict.path, verdict.reason, verdict.detail)
    case 'undecided':
      return findingOf(leaf, verdict.path, verdict.cause, verdict.detail)
  }
}

const causes = new Set<string>([
  'revocation-unavailable',
  'issuer-unavailable',
  'certificate-discovery-unavailable',
  'key-store-unavailable',
  'store-unavailable',
] satisfies UndecidedCause[])

/** Whether an outcome is a cause that may pass. */
export function isCause(outcome: CandidateFinding['outcome']): outcome is UndecidedCause {
  return causes.has(outcome)
}

/** What findings without a trusted one add up to. */
export function withoutTrusted(
  candidates: readonly CandidateFinding[],
  bound: readonly CandidateFinding[],
  sender: DirectAddress,
): Refused | Undecided {
  for (const { outcome, detail } of bound) if (isCause(outcome)) return undecided(outcome, detail)
  // Where some signer is bound to the sender, what is wrong with the others tells nothing.
  const telling = bound.length > 0 ? bound : candidates
  const [first] = telling
  if (!first) return refused('not-signed', 'the message has no signer')
  const sameReason = bound.length === 0 && telling.every(({ outcome }) => outcome === first.outcome)
  if ((telling.length === 1 || sameReason) && first.outcome !== 'trusted' && !isCause(first.outcome))
    return refused(first.outcome, first.detail)
  return refused('no-trusted-signer', `${telling.length} signers, none of them trusted for ${sender}`)
}

const sets = new WeakMap<readonly Anchor[], AnchorSet>()
const unions = new WeakMap<AnchorSet, WeakMap<AnchorSet, AnchorSet>>()

/**
 * The anchors of one of our addresses that serve a direction, made ready; for a notice, those of both. A list that the port
 * hands out again is not read again, so it must not be changed in place.
 */
export async function anchorsOf(
  owner: DirectAddress,
  direction: TrustDirection,
  anchors: Anchors,
): Promise<AnchorSet | Undecided> {
  const [first, second] = await Promise.all([
    anchors.of(owner, direction === 'out' ? 'out' : 'in'),
    direction === 'notice' ? anchors.of(owner, 'out') : undefined,
  ])
  if ('kind' in first) return first
  if (second && 'kind' in second) return second
  return second ? union(ready(first), ready(second)) : ready(first)
}

function ready(list: readonly Anchor[]): AnchorSet {
  let set = sets.get(list)
  if (!set) {
    set = anchorSet(
      readCertificates(
        list.map(({ certificate }) => certificate),
        list.length,
      ),
    )
    sets.set(list, set)
  }
  return set
}

function union(one: AnchorSet, other: AnchorSet): AnchorSet {
  const withOne = unions.get(one) ?? new WeakMap<AnchorSet, AnchorSet>()
  unions.set(one, withOne)
  const known = withOne.get(other)
  if (known) return known
  const both = anchorSet([...one.byFingerprint.values(), ...other.byFingerprint.values()])
  withOne.set(other, both)
  return both
}
