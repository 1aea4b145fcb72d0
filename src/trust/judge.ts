import type { RefusalReason, UndecidedCause } from '../direct/refusal.js'
import type { CandidateFinding, TrustWitness, WitnessedCertificate } from '../direct/verdict.js'
import type { Issuers, Revocation, RevocationAnswer } from '../ports/trust.js'
import { type Certificate, readCertificate } from '../x509/certificate.js'
import { nameText } from '../x509/name.js'
import { recent } from '../x509/recent.js'
import { schemeOf } from '../x509/signature.js'
import { type AnchorSet, chainsOf, type PathBudget, type PathSearch } from './path.js'
import { type TrustPolicy, trustLimits } from './policy.js'
import { type CertificateUse, type Flaw, isLegacyDigest, leafFlaw, pathFlaw } from './validate.js'

/** One certificate to be judged, and the material to judge it with. */
export interface CertificateQuestion {
  readonly leaf: Certificate
  readonly use: CertificateUse
  readonly anchors: AnchorSet
  /** Certificates that came along; DER already parsed. */
  readonly bag: readonly Certificate[]
  /** Unix milliseconds. */
  readonly at: number
  readonly policy: TrustPolicy
  readonly budget: PathBudget
  /** Is told every path, flaw and answer; nobody by default, which costs nothing. */
  readonly witness?: TrustWitness | undefined
}

/** Whether a certificate may be relied on, with the path that says so or comes nearest to it: leaf first, anchor last. */
export type CertificateVerdict = { readonly path: readonly Certificate[] } & (
  | { readonly kind: 'trusted'; readonly warnings: readonly RefusalReason[] }
  | { readonly kind: 'refused'; readonly reason: RefusalReason; readonly detail: string }
  | { readonly kind: 'undecided'; readonly cause: UndecidedCause; readonly detail: string }
)

interface ProvenPath {
  readonly path: readonly Certificate[]
  /** The path is valid at every moment between these two, inclusive. */
  readonly from: number
  readonly until: number
}

const provenPaths = recent<ProvenPath>(trustLimits.rememberedPaths)

/**
 * Judges one certificate: itself, then paths to an anchor (RFC 5280 §6.1) from what came along, then with what `issuers`
 * knows, each asked for revocation. A path once found valid is remembered with the anchors and the policy it was found
 * under; its revocation is asked for every time. Missing issuers are fetched only when nothing at hand gives a path, so that
 * a slow authority delays nobody who did not need it.
 */
export async function judgeCertificate(
  question: CertificateQuestion,
  ports: { readonly revocation: Revocation; readonly issuers: Issuers },
): Promise<CertificateVerdict> {
  const { leaf, use, anchors, witness } = question
  witness?.tell({
    leaf: leaf.fingerprint,
    kind: 'judging',
    certificate: witnessed(leaf),
    use,
    anchors: anchors.byFingerprint.size,
  })
  const verdict = await judge(question, ports)
  witness?.tell({ leaf: leaf.fingerprint, kind: 'verdict', ...outcomeOf(verdict) })
  return verdict
}

async function judge(
  question: CertificateQuestion,
  ports: { readonly revocation: Revocation; readonly issuers: Issuers },
): Promise<CertificateVerdict> {
  const { leaf, use, at, policy, anchors, witness } = question
  const memory = `${leaf.fingerprint}${use}${anchors.key}${policyKey(policy)}`
  const proven = provenPaths.get(memory)
  if (proven && at >= proven.from && at <= proven.until) {
    tellPath(question, proven.path, true)
    const verdict = await askRevocation(proven.path, question, ports.revocation)
    if (verdict.kind === 'trusted') return verdict
  }
  const own = leafFlaw(leaf, use, at, policy)
  if (own) {
    witness?.tell({ leaf: leaf.fingerprint, kind: 'flaw', ...own })
    return { kind: 'refused', ...own, path: [] }
  }

  const others = [...question.bag]
  const asked = new Set<string>()
  let missing: CertificateVerdict | undefined
  for (;;) {
    const search: PathSearch = {
      anchors,
      others,
      at,
      policy,
      budget: question.budget,
      depth: trustLimits.depth,
      reached: new Map(),
    }
    const found = await bestPath(question, search, ports.revocation)
    if (found.verdict.kind === 'trusted') provenPaths.set(memory, provenOf(found.verdict.path))
    if (found.complete) return found.verdict
    const more = await askIssuers(question, search, asked, ports.issuers)
    missing ??= more.undecided && { kind: 'undecided', ...more.undecided, path: found.verdict.path }
    const added = withoutKnown(more.certificates, others).slice(0, trustLimits.issuers)
    if (added.length === 0) return missing ?? found.verdict
    others.push(...added)
  }
}

/** Goes through the chains of one search; `complete` when asking for more issuers could not change the verdict. */
async function bestPath(
  question: CertificateQuestion,
  search: PathSearch,
  revocation: Revocation,
): Promise<{ verdict: CertificateVerdict; complete: boolean }> {
  const { leaf, use, at, policy } = question
  let invalid: CertificateVerdict | undefined
  let held: CertificateVerdict | undefined
  let valid = 0
  let judged = 0
  for (const path of chainsOf(leaf, search)) {
    if (++judged > trustLimits.judgedPaths) break
    const flaw = pathFlaw(path, use, at, policy)
    tellPath(question, path, false, flaw)
    if (flaw) {
      invalid ??= { kind: 'refused', ...flaw, path }
      continue
    }
    const verdict = await askRevocation(path, question, revocation)
    if (verdict.kind === 'trusted' || isFinal(verdict, leaf)) return { verdict, complete: true }
    // A path that waits outweighs one that was revoked further up: another authority may vouch for the same key.
    if (!held || (held.kind === 'refused' && verdict.kind === 'undecided')) held = verdict
    if (++valid >= trustLimits.paths) break
  }
  if (held) return { verdict: held, complete: true }
  const flaw: Flaw = search.cut ??
    search.unsigned ?? {
      reason: 'no-anchor',
      detail:
        search.anchors.byFingerprint.size === 0
          ? 'no anchor is configured'
          : `no path from ${nameText(leaf.subject)}, issued by ${nameText(leaf.issuer)}, ends at an anchor`,
    }
  question.witness?.tell({ leaf: leaf.fingerprint, kind: 'search-ended', ...flaw })
  return { verdict: invalid ?? { kind: 'refused', ...flaw, path: [] }, complete: false }
}

function tellPath(
  { witness, leaf }: CertificateQuestion,
  path: readonly Certificate[],
  remembered: boolean,
  flaw?: Flaw,
) {
  witness?.tell({
    leaf: leaf.fingerprint,
    kind: 'path',
    certificates: path.map(witnessed),
    remembered,
    ...(flaw ? { flaw } : {}),
  })
}

function witnessed({ fingerprint, subject, issuer, serial, notBefore, notAfter }: Certificate): WitnessedCertificate {
  return {
    fingerprint,
    subject: nameText(subject),
    issuer: nameText(issuer),
    serial: Buffer.from(serial).toString('hex'),
    notBefore,
    notAfter,
  }
}

function outcomeOf(verdict: CertificateVerdict): { outcome: CandidateFinding['outcome']; detail: string } {
  switch (verdict.kind) {
    case 'trusted':
      return { outcome: 'trusted', detail: verdict.warnings.join(', ') }
    case 'refused':
      return { outcome: verdict.reason, detail: verdict.detail }
    case 'undecided':
      return { outcome: verdict.cause, detail: verdict.detail }
  }
}

/** Asks for every certificate of a valid path but the anchor, all at once. */
async function askRevocation(
  path: readonly Certificate[],
  { policy, at, bag, leaf, witness }: CertificateQuestion,
  revocation: Revocation,
): Promise<CertificateVerdict> {
  const warnings = warningsOf(path)
  if (policy.revocation === 'off') return { kind: 'trusted', path, warnings: [...warnings] }
  const ders = path.map(({ der }) => der)
  const others = bag.map(({ der }) => der)
  const allowSha1 = policy.allowSha1InPaths
  const sources = path.map(() => new Set<string>())
  const answers = await Promise.all(
    path.slice(0, -1).map((_, i) => {
      const told = witness && { onSource: (url: string) => void sources[i]?.add(url) }
      return revocation.status({ path: ders.slice(i), others, at, allowSha1, ...told })
    }),
  )
  if (witness)
    for (const [i, answer] of answers.entries())
      witness.tell({
        leaf: leaf.fingerprint,
        kind: 'revocation',
        fingerprint: (path[i] as Certificate).fingerprint,
        answer: answer.kind,
        detail: wordsOf(answer),
        sources: [...(sources[i] ?? [])],
      })
  let waits: CertificateVerdict | undefined
  for (const [i, answer] of answers.entries()) {
    if (answer.kind === 'good') continue
    const who = nameText((path[i] as Certificate).subject)
    if (answer.kind === 'revoked')
      return {
        kind: 'refused',
        reason: 'revoked',
        detail: `${who} was revoked ${new Date(answer.at).toISOString()}: ${answer.reason}`,
        path: path.slice(i),
      }
    if (answer.kind === 'not-published' && policy.requirePublishedRevocation && policy.revocation === 'hard')
      return {
        kind: 'refused',
        reason: 'revocation-unknown',
        detail: `nobody publishes whether ${who} is revoked`,
        path,
      }
    if (answer.kind !== 'unavailable') continue
    if (policy.revocation === 'soft') warnings.add('revocation-unknown')
    else waits ??= { kind: 'undecided', cause: 'revocation-unavailable', detail: `for ${who}: ${answer.detail}`, path }
  }
  return waits ?? { kind: 'trusted', path, warnings: [...warnings] }
}

function wordsOf(answer: RevocationAnswer): string {
  if (answer.kind === 'revoked') return `${new Date(answer.at).toISOString()}: ${answer.reason}`
  return answer.kind === 'unavailable' ? answer.detail : ''
}

/** A leaf that its own authority revoked is revoked on every path. */
function isFinal(verdict: CertificateVerdict, leaf: Certificate): boolean {
  return verdict.kind === 'refused' && verdict.reason === 'revoked' && verdict.path[0] === leaf
}

/** Asks for issuers of the certificates reached that were not asked for yet, within `trustLimits.issuerQuestions`. */
async function askIssuers(
  { leaf, witness }: CertificateQuestion,
  search: PathSearch,
  asked: Set<string>,
  issuers: Issuers,
): Promise<{ certificates: readonly Certificate[]; undecided?: { cause: UndecidedCause; detail: string } }> {
  const questions = [...search.reached.values()]
    .filter(({ fingerprint }) => !asked.has(fingerprint))
    .slice(0, trustLimits.issuerQuestions - asked.size)
  for (const { fingerprint } of questions) asked.add(fingerprint)
  const certificates: Certificate[] = []
  let undecided: { cause: UndecidedCause; detail: string } | undefined
  const answers = await Promise.all(questions.map(({ der }) => issuers.of(der)))
  for (const [i, answer] of answers.entries()) {
    const found = 'kind' in answer ? [] : readCertificates(answer, trustLimits.issuers)
    if ('kind' in answer) undecided ??= { cause: answer.cause, detail: answer.detail }
    certificates.push(...found)
    witness?.tell({
      leaf: leaf.fingerprint,
      kind: 'issuers',
      fingerprint: (questions[i] as Certificate).fingerprint,
      found: found.length,
      detail: 'kind' in answer ? answer.detail : '',
    })
  }
  return undecided ? { certificates, undecided } : { certificates }
}

/** Parses the first `limit` certificates of a list, each once; those that do not parse are left out. */
export function readCertificates(list: readonly Uint8Array[], limit: number): Certificate[] {
  const found = new Map<string, Certificate>()
  for (const der of list.slice(0, limit)) {
    const certificate = readCertificate(der)
    if (certificate.kind === 'certificate') found.set(certificate.fingerprint, certificate)
  }
  return [...found.values()]
}

function withoutKnown(certificates: readonly Certificate[], known: readonly Certificate[]): Certificate[] {
  const fingerprints = new Set(known.map(({ fingerprint }) => fingerprint))
  return certificates.filter(({ fingerprint }) => !fingerprints.has(fingerprint) && fingerprints.add(fingerprint))
}

function provenOf(path: readonly Certificate[]): ProvenPath {
  return {
    path,
    from: Math.max(...path.map(({ notBefore }) => notBefore)),
    until: Math.min(...path.map(({ notAfter }) => notAfter)),
  }
}

function warningsOf(path: readonly Certificate[]): Set<RefusalReason> {
  const legacy = path
    .slice(0, -1)
    .some(({ signatureAlgorithm }) => isLegacyDigest(schemeOf(signatureAlgorithm)?.digest ?? ''))
  return new Set<RefusalReason>(legacy ? ['weak-digest'] : [])
}

const policyKeys = new WeakMap<TrustPolicy, string>()

function policyKey(policy: TrustPolicy): string {
  let key = policyKeys.get(policy)
  if (key === undefined) {
    // Whatever is not about revocation, which is asked for every time, decides which paths are valid.
    const { revocation, requirePublishedRevocation, rules, ...others } = policy
    key = JSON.stringify([others, rules.map(({ name, text }) => [name, text])])
    policyKeys.set(policy, key)
  }
  return key
}
