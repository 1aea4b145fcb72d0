import { type DirectAddress, domainOf, spellings } from '../direct/address.js'
import {
  type RefusalReason,
  type Refused,
  refusals,
  refused,
  type Undecided,
  type UndecidedCause,
} from '../direct/refusal.js'
import type { Signer } from '../direct/signer.js'
import type { CandidateFinding, TrustStep, WitnessedCertificate } from '../direct/verdict.js'
import type { DomainPolicy } from '../directory/policy.js'
import type { Anchor, CertificateDirectory, Discovered, DiscoveryStep } from '../ports/trust.js'
import { bindsTo } from '../trust/binding.js'
import { decideTrust } from '../trust/decide.js'
import type { TrustPolicy } from '../trust/policy.js'
import { type Certificate, readCertificate } from '../x509/certificate.js'
import { nameText } from '../x509/name.js'
import { eachOf } from './each.js'
import { keysToSign } from './keys.js'
import { allowedKeys, trustPolicyOf } from './policy.js'
import { certificatesOf, type RecipientPorts } from './recipients.js'

export const explainLimits = {
  /** Recipients of one question: each may take its own time on the network. */
  recipients: 20,
  /** Recipients looked at at the same time: silent hosts must not add up. */
  atOnce: 5,
  /** Certificates given along: a signer and more than any chain has. */
  certificates: 20,
}

export interface ExplainQuestion {
  readonly from: DirectAddress
  readonly to: readonly DirectAddress[]
  /** Certificates of a message from `from`, DER: the one that signed first. Empty: what is known or published of him. */
  readonly certificates: readonly Uint8Array[]
}

/** What a decision would be, in the words of the refusal table. */
export type ExplainedVerdict =
  | { readonly kind: 'trusted'; readonly detail: string }
  | { readonly kind: 'refused'; readonly reason: RefusalReason; readonly detail: string; readonly help: string }
  | { readonly kind: 'undecided'; readonly cause: UndecidedCause; readonly detail: string; readonly help: string }
  /** There is no certificate to judge. */
  | { readonly kind: 'unknown'; readonly detail: string; readonly help: string }

/** An anchor that a path ends at, and by whose word it is one. */
export interface ExplainedAnchor {
  /** The address or domain that trusts it by itself; absent where it came in a bundle. */
  readonly owner?: string
  readonly bundle?: string
  readonly direction: Anchor['direction']
}

export interface ExplainedPath {
  /** Leaf first, anchor last. */
  readonly certificates: readonly WitnessedCertificate[]
  /** Absent where the last certificate is no anchor any more. */
  readonly anchor?: ExplainedAnchor
  readonly remembered: boolean
  readonly flaw?: { readonly reason: RefusalReason; readonly detail: string }
  readonly revocation: readonly Omit<Extract<TrustStep, { kind: 'revocation' }>, 'kind' | 'leaf'>[]
}

export interface ExplainedCertificate {
  readonly fingerprint: string
  readonly subject: string
  /** Absent for a certificate that does not parse. */
  readonly issuer?: string
  readonly serial?: string
  readonly notBefore?: number
  readonly notAfter?: number
  /** Which kind of name in it is the address asked about; absent where none is. */
  readonly binding?: 'address' | 'domain'
  readonly outcome: CandidateFinding['outcome']
  readonly detail: string
  /** What the outcome means; empty for a trusted one. */
  readonly help: string
  readonly paths: readonly ExplainedPath[]
  /** Whose issuers were asked for, and what came of it. */
  readonly issuers: readonly { readonly fingerprint: string; readonly found: number; readonly detail: string }[]
  /** Why no path, or no other one, was looked for. */
  readonly searchEnded?: { readonly reason: RefusalReason; readonly detail: string }
}

/** A key of ours, and why the rules of its domain keep it from serving. */
export interface ExplainedKey {
  readonly id: string
  readonly owner: string
  readonly subject: string
  readonly excluded?: string
}

/** The decision about one recipient, from one side. */
export interface ExplainedDecision {
  /** `sending`: we would encrypt to `to`. `receiving`: we would believe a message of `from`. */
  readonly direction: 'sending' | 'receiving'
  readonly from: DirectAddress
  readonly to: DirectAddress
  readonly verdict: ExplainedVerdict
  /** What our domain demands. */
  readonly policy: Pick<
    DomainPolicy,
    'revocation' | 'allowSha1' | 'requirePublishedRevocation' | 'requireEmailProtection'
  > & {
    readonly requiredPolicies: readonly string[]
    readonly rules: readonly { readonly name: string; readonly text: string }[]
  }
  /** How many anchors there are to end at. */
  readonly anchors: number
  /** Keys of ours that may sign what goes out, or decrypt what comes in. */
  readonly keys: readonly ExplainedKey[]
  /** Where certificates were looked for, in this order. */
  readonly discovery: readonly DiscoveryStep[]
  readonly certificates: readonly ExplainedCertificate[]
}

export type Explained =
  | { readonly kind: 'explained'; readonly at: number; readonly decisions: readonly ExplainedDecision[] }
  /** Neither side is ours, or too much was asked. */
  | { readonly kind: 'refused'; readonly detail: string }

/**
 * Tells how the gateway decides about mail from one address to others, and why: for a sender of ours whom it would encrypt
 * to, for a recipient of ours whether it would believe a signer. It asks what a message would ask, of the same caches, and
 * changes nothing. What only a message has, its signature and its envelope, is not looked at.
 */
export async function explain(question: ExplainQuestion, ports: RecipientPorts): Promise<Explained> {
  const { from, to, certificates } = question
  if (to.length === 0 || to.length > explainLimits.recipients)
    return { kind: 'refused', detail: `1 to ${explainLimits.recipients} recipients can be asked about at once` }
  if (certificates.length > explainLimits.certificates)
    return { kind: 'refused', detail: `${explainLimits.certificates} certificates can be given at most` }
  const isOurs = async (address: DirectAddress) => (await ports.directory.domains.get(domainOf(address))) !== undefined
  const fromOurs = await isOurs(from)
  const recipients: { readonly address: DirectAddress; readonly ours: boolean }[] = []
  for (const address of new Set(to)) {
    const ours = await isOurs(address)
    if (!fromOurs && !ours)
      return { kind: 'refused', detail: `neither ${from} nor ${address} is of a domain that is served here` }
    recipients.push({ address, ours })
  }
  const about = async ({ address, ours }: (typeof recipients)[number]) => [
    ...(fromOurs ? [await sending(from, address, ports)] : []),
    ...(ours ? [await receiving(from, address, question, fromOurs, ports)] : []),
  ]
  const decisions = await eachOf(recipients, explainLimits.atOnce, about)
  return { kind: 'explained', at: ports.clock.now(), decisions: decisions.flat() }
}

async function sending(from: DirectAddress, to: DirectAddress, ports: RecipientPorts): Promise<ExplainedDecision> {
  const { directory, clock } = ports
  const policy = await directory.domains.policyOf(from)
  const witness = collect()
  const published: Uint8Array[] = []
  const found = await certificatesOf(to, from, { ...ports, discovery: noting(ports.discovery, published) }, witness)
  if (found.kind === 'good') published.push(...found.certificates)
  const keys = await directory.keys.toSign(from, clock.now())
  const { excluded } = allowedKeys('kind' in keys ? [] : keys, policy, 'out')
  return {
    direction: 'sending',
    from,
    to,
    verdict: await sendingVerdict(),
    ...(await framed(from, 'out', policy, trustPolicyOf(policy, 'recipient'), ports)),
    keys: 'kind' in keys ? [] : keys.map((key) => explainedKey(key, excluded)),
    discovery: found.steps,
    certificates: await explained(
      found.candidates,
      { steps: witness.steps, known: published },
      { owner: from, direction: 'out', bound: to },
      ports,
    ),
  }

  /** In the order of sending: the sender, then his keys, then the recipient. */
  async function sendingVerdict(): Promise<ExplainedVerdict> {
    if (!(await directory.addresses.isServed(from))) return withheld(refused('unknown-sender', from))
    const signing = await keysToSign(from, clock.now(), directory)
    if ('kind' in signing) return withheld(signing)
    if (found.kind !== 'good') return withheld(found)
    const to = `${found.certificates.length} certificate${found.certificates.length === 1 ? '' : 's'} to encrypt to`
    return { kind: 'trusted', detail: [to, ...found.warnings].join(', ') }
  }
}

async function receiving(
  from: DirectAddress,
  to: DirectAddress,
  { certificates }: ExplainQuestion,
  fromOurs: boolean,
  ports: RecipientPorts,
): Promise<ExplainedDecision> {
  const { directory, revocation, issuers, clock } = ports
  const policy = await directory.domains.policyOf(to)
  const trustPolicy = trustPolicyOf(policy, 'signer')
  const keys = await directory.keys.toDecrypt(to)
  const { allowed, excluded } = allowedKeys('kind' in keys ? [] : keys, policy, 'in')
  const claimed = certificates.length > 0 ? given(certificates) : await signersOf(from, fromOurs, ports)
  const witness = collect()
  const verdict = await decideTrust(
    {
      recipient: to,
      sender: from,
      signers: claimed.signers.map(asSigner),
      bag: claimed.bag,
      at: clock.now(),
      direction: 'in',
      witness,
    },
    { anchors: directory.anchors, revocation, issuers },
    trustPolicy,
  )
  return {
    direction: 'receiving',
    from,
    to,
    verdict: await receivingVerdict(),
    ...(await framed(to, 'in', policy, trustPolicy, ports)),
    keys: 'kind' in keys ? [] : keys.map((key) => explainedKey(key, excluded)),
    discovery: claimed.steps,
    certificates: await explained(
      verdict.candidates,
      { steps: witness.steps, known: claimed.signers },
      { owner: to, direction: 'in', bound: from },
      ports,
    ),
  }

  /** In the order of receiving: the recipient, then his keys, then who signed. */
  async function receivingVerdict(): Promise<ExplainedVerdict> {
    if (!(await directory.addresses.isServed(to))) return withheld(refused('unknown-recipient', to))
    if ('kind' in keys) return withheld(keys)
    if (allowed.length === 0)
      return withheld(refused('no-key-for-recipient', excluded[0]?.detail ?? `${to} has no key`))
    if (claimed.undecided) return withheld(claimed.undecided)
    if (claimed.signers.length === 0)
      return { kind: 'unknown', detail: `no certificate of ${from} is known`, help: giveOne }
    if (verdict.kind !== 'trusted') return withheld(verdict)
    return { kind: 'trusted', detail: verdict.warnings.join(', ') }
  }
}

const giveOne =
  'Nothing was imported or published; give the certificate that signed (`--cert`), as the message brought it.'

/** What would stand in a message as signers, and beside them. */
interface Claimed {
  readonly signers: readonly Uint8Array[]
  readonly bag: readonly Uint8Array[]
  readonly steps: readonly DiscoveryStep[]
  readonly undecided?: Extract<Discovered, { kind: 'undecided' }>
}

function given(certificates: readonly Uint8Array[]): Claimed {
  return { signers: certificates.slice(0, 1), bag: certificates, steps: [] }
}

/** Without a message: of ours what would sign, of others what is imported or published. */
async function signersOf(from: DirectAddress, ours: boolean, ports: RecipientPorts): Promise<Claimed> {
  if (!ours) {
    const found = await ports.discovery.of(from)
    const { steps } = found
    if (found.kind === 'undecided') return { signers: [], bag: [], steps, undecided: found }
    const certificates = found.kind === 'found' ? found.certificates : []
    return { signers: certificates, bag: certificates, steps }
  }
  const keys = await keysToSign(from, ports.clock.now(), ports.directory)
  const step = { source: 'own', binding: 'address', place: `keys of ${from}` } as const
  if (!('kind' in keys))
    return {
      signers: keys.map(({ certificate }) => certificate),
      bag: keys.flatMap(({ chain }) => chain),
      steps: [{ ...step, outcome: 'found', detail: '' }],
    }
  if (keys.kind === 'undecided') return { signers: [], bag: [], steps: [], undecided: { ...keys, steps: [] } }
  return { signers: [], bag: [], steps: [{ ...step, outcome: 'none', detail: keys.detail }] }
}

/** A certificate in the place of one whose signature holds: what is asked is whether it would be believed. */
function asSigner(certificate: Uint8Array): Signer {
  return { kind: 'verified', certificate, digest: 'sha256', signature: 'rsa' }
}

/** The same directory; what it finds is kept in `into`. */
function noting(directory: CertificateDirectory, into: Uint8Array[]): CertificateDirectory {
  return {
    async of(address, since) {
      const found = await directory.of(address, since)
      if (found.kind === 'found') into.push(...found.certificates)
      return found
    },
  }
}

function collect() {
  const steps: TrustStep[] = []
  return { steps, tell: (step: TrustStep) => void steps.push(step) }
}

/** What our side brings to the decision. */
async function framed(
  owner: DirectAddress,
  direction: 'in' | 'out',
  { revocation, allowSha1, requirePublishedRevocation, requireEmailProtection, requiredPolicies }: DomainPolicy,
  { rules }: TrustPolicy,
  { directory }: RecipientPorts,
): Promise<Pick<ExplainedDecision, 'policy' | 'anchors'>> {
  const anchors = await directory.anchors.of(owner, direction)
  return {
    policy: {
      revocation,
      allowSha1,
      requirePublishedRevocation,
      requireEmailProtection,
      requiredPolicies,
      rules: rules.map(({ name, text }) => ({ name, text })),
    },
    anchors: 'kind' in anchors ? 0 : anchors.length,
  }
}

function explainedKey(
  { id, owner, certificate }: { readonly id: string; readonly owner: string; readonly certificate: Uint8Array },
  excluded: readonly { readonly id: string; readonly detail: string }[],
): ExplainedKey {
  const read = readCertificate(certificate)
  const why = excluded.find((one) => one.id === id)?.detail
  const subject = read.kind === 'certificate' ? nameText(read.subject) : '(unreadable)'
  return { id, owner, subject, ...(why !== undefined && { excluded: why }) }
}

/** Findings with what the witness was told of each, and with what the certificates themselves say. */
async function explained(
  findings: readonly CandidateFinding[],
  { steps, known }: { readonly steps: readonly TrustStep[]; readonly known: readonly Uint8Array[] },
  side: { readonly owner: DirectAddress; readonly direction: 'in' | 'out'; readonly bound: DirectAddress },
  { directory }: RecipientPorts,
): Promise<readonly ExplainedCertificate[]> {
  const anchors = new Map<string, ExplainedAnchor>()
  const list = await directory.anchors.of(side.owner, side.direction)
  for (const { certificate, owner, bundle, direction } of 'kind' in list ? [] : list) {
    const read = readCertificate(certificate)
    if (read.kind !== 'certificate' || anchors.has(read.fingerprint)) continue
    anchors.set(read.fingerprint, { ...(owner && { owner }), ...(bundle !== undefined && { bundle }), direction })
  }
  const certificates = new Map<string, Certificate>()
  for (const read of known.map(readCertificate))
    if (read.kind === 'certificate') certificates.set(read.fingerprint, read)
  return findings.map((finding) => {
    const own = steps.filter(({ leaf }) => leaf === finding.fingerprint)
    return explainedCertificate(finding, own, certificates.get(finding.fingerprint), side.bound, anchors)
  })
}

function explainedCertificate(
  { fingerprint, subject, outcome, detail }: CandidateFinding,
  steps: readonly TrustStep[],
  certificate: Certificate | undefined,
  bound: DirectAddress,
  anchors: ReadonlyMap<string, ExplainedAnchor>,
): ExplainedCertificate {
  const ended = steps.findLast((step) => step.kind === 'search-ended')
  const bindings = spellings(bound).map((spelling) => certificate && bindsTo(certificate, spelling))
  const binding = bindings.find((one) => one === 'address') ?? bindings[0]
  return {
    fingerprint,
    subject,
    ...(certificate && described(certificate)),
    ...(binding && { binding }),
    outcome,
    detail,
    help: outcome === 'trusted' ? '' : helpOf(outcome),
    paths: pathsOf(steps, anchors),
    issuers: steps.flatMap((step) =>
      step.kind === 'issuers' ? [{ fingerprint: step.fingerprint, found: step.found, detail: step.detail }] : [],
    ),
    ...(ended && { searchEnded: { reason: ended.reason, detail: ended.detail } }),
  }
}

function described({ issuer, serial, notBefore, notAfter }: Certificate) {
  return { issuer: nameText(issuer), serial: Buffer.from(serial).toString('hex'), notBefore, notAfter }
}

/** Paths as they were tried; what was learnt of revocation belongs to the path told last. */
function pathsOf(steps: readonly TrustStep[], anchors: ReadonlyMap<string, ExplainedAnchor>): readonly ExplainedPath[] {
  const paths: (ExplainedPath & { readonly revocation: ExplainedPath['revocation'][number][] })[] = []
  for (const step of steps) {
    if (step.kind === 'path') {
      const { certificates, remembered, flaw } = step
      const anchor = anchors.get(certificates.at(-1)?.fingerprint ?? '')
      paths.push({ certificates, ...(anchor && { anchor }), remembered, ...(flaw && { flaw }), revocation: [] })
    } else if (step.kind === 'revocation') {
      const { fingerprint, answer, detail, sources } = step
      paths.at(-1)?.revocation.push({ fingerprint, answer, detail, sources })
    }
  }
  return paths
}

/** What a cause that may pass means, for people. */
const causes: Readonly<Record<UndecidedCause, string>> = {
  'revocation-unavailable':
    'Whether a certificate was revoked could not be learnt now: a message waits and is decided again until its deadline.',
  'issuer-unavailable': 'The server that has a missing issuer certificate did not answer: a message waits.',
  'certificate-discovery-unavailable':
    'A place where certificates are published did not answer, so nothing weaker is asked: a message waits.',
  'key-store-unavailable': 'Our own keys cannot be had now: a message waits.',
  'store-unavailable': 'The store does not answer now: a message waits.',
}

function helpOf(outcome: RefusalReason | UndecidedCause): string {
  return outcome in causes ? causes[outcome as UndecidedCause] : refusals[outcome as RefusalReason].help
}

function withheld(outcome: Refused | Undecided): ExplainedVerdict {
  const { detail } = outcome
  return outcome.kind === 'refused'
    ? { kind: 'refused', reason: outcome.reason, detail, help: helpOf(outcome.reason) }
    : { kind: 'undecided', cause: outcome.cause, detail, help: helpOf(outcome.cause) }
}
