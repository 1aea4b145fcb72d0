import { hash } from 'node:crypto'
import { type Certificate, publicKeyOf } from '../x509/certificate.js'
import { comparableName, nameText } from '../x509/name.js'
import { recent } from '../x509/recent.js'
import { schemeOf, signatureHolds, weaknessOf } from '../x509/signature.js'
import { type TrustPolicy, trustLimits } from './policy.js'
import { digestFlaw, type Flaw } from './validate.js'

/** What may still be spent on one decision; counts down. Shared by all searches of the decision. */
export interface PathBudget {
  signatureChecks: number
  steps: number
}

export function newPathBudget(limits = trustLimits): PathBudget {
  return { signatureChecks: limits.signatureChecks, steps: limits.steps }
}

/** A set of anchors made ready: by subject name, with one key for the whole set. */
export interface AnchorSet {
  readonly key: string
  readonly byFingerprint: ReadonlyMap<string, Certificate>
  readonly bySubject: ReadonlyMap<string, readonly Certificate[]>
}

/** Makes anchors ready for searching. The same certificates give the same `key`, in whatever order. */
export function anchorSet(certificates: readonly Certificate[]): AnchorSet {
  const byFingerprint = new Map(certificates.map((certificate) => [certificate.fingerprint, certificate]))
  return {
    key: hash('sha256', [...byFingerprint.keys()].sort().join(), 'base64'),
    byFingerprint,
    bySubject: bySubject(byFingerprint.values()),
  }
}

function bySubject(certificates: Iterable<Certificate>): Map<string, Certificate[]> {
  const found = new Map<string, Certificate[]>()
  for (const certificate of certificates) {
    const { subject } = identifiersOf(certificate)
    const others = found.get(subject)
    if (others) others.push(certificate)
    else found.set(subject, [certificate])
  }
  return found
}

/** One search for paths: what there is to search in, and afterwards what was seen on the way. */
export interface PathSearch {
  readonly anchors: AnchorSet
  /** Certificates that are not anchors: of the message, imported, fetched. */
  readonly others: readonly Certificate[]
  readonly at: number
  readonly policy: TrustPolicy
  readonly budget: PathBudget
  readonly depth: number
  /** Certificates reached, whose issuers might be worth asking for. */
  readonly reached: Map<string, Certificate>
  /** The link nearest to the leaf that no certificate with the issuer's name could have signed. */
  unsigned?: Flaw
  /** Why the search ended early. */
  cut?: Flaw
}

/**
 * Finds chains of name and signature from a leaf to an anchor, leaf first, likelier ones first (RFC 4158). An anchor is met
 * by its name *and* its key having signed; key identifiers only order the tries, as anyone can write them. Ends by itself:
 * each search is bounded in depth, steps and signature checks, and passes no name and key twice.
 */
export function* chainsOf(leaf: Certificate, search: PathSearch): Generator<readonly Certificate[]> {
  if (search.anchors.byFingerprint.has(leaf.fingerprint)) yield [leaf]
  const others = bySubject(search.others)
  const issuersOf = new Map<Certificate, readonly Certificate[]>()
  yield* extend([leaf])

  function* extend(path: Certificate[]): Generator<readonly Certificate[]> {
    const tip = path[path.length - 1] as Certificate
    search.reached.set(tip.fingerprint, tip)
    const candidates = issuersOf.get(tip) ?? candidatesFor(tip, search, others)
    issuersOf.set(tip, candidates)
    let signed = false
    for (const candidate of candidates) {
      if (search.budget.steps-- <= 0) {
        search.cut = endedAtLimit
        return
      }
      const link = linkOf(tip, candidate, search)
      if (link === 'broken') continue
      signed = true
      if (path.some((certificate) => isSameEntity(certificate, candidate))) continue
      if (path.length + 1 > search.depth) {
        search.cut ??= { reason: 'path-too-long', detail: `no path of up to ${search.depth} certificates` }
        continue
      }
      path.push(candidate)
      if (search.anchors.byFingerprint.has(candidate.fingerprint)) yield [...path]
      else yield* extend(path)
      path.pop()
    }
    if (!signed && candidates.length > 0)
      search.unsigned ??= {
        reason: 'path-signature',
        detail: `${nameText(tip.subject)} was not signed by the key of ${nameText(tip.issuer)} known here`,
      }
  }
}

/** Certificates with the issuer's name: matching key identifiers first, then anchors, then those next to one, then those valid now. */
function candidatesFor(
  tip: Certificate,
  { anchors, at }: PathSearch,
  pool: ReadonlyMap<string, readonly Certificate[]>,
): readonly Certificate[] {
  const name = identifiersOf(tip).issuer
  const known = anchors.bySubject.get(name) ?? []
  const others = (pool.get(name) ?? []).filter((other) => !anchors.byFingerprint.has(other.fingerprint))
  const all = [...known, ...others]
  if (all.length < 2) return all
  const aki = tip.authorityKeyIdentifier
  const score = (candidate: Certificate) => {
    const ski = candidate.subjectKeyIdentifier
    const identified = aki && ski ? (Buffer.compare(aki, ski) === 0 ? 16 : 0) : 8
    const anchored = anchors.byFingerprint.has(candidate.fingerprint)
    const nearness = anchored ? 4 : anchors.bySubject.has(identifiersOf(candidate).issuer) ? 2 : 0
    return identified + nearness + (at >= candidate.notBefore && at <= candidate.notAfter ? 1 : 0)
  }
  return all
    .map((candidate) => ({ candidate, rank: score(candidate) }))
    .sort((one, other) => other.rank - one.rank)
    .map(({ candidate }) => candidate)
}

/** Names in comparable form and the digest of the public key, made once for each certificate. */
interface Identifiers {
  readonly subject: string
  readonly issuer: string
  readonly key: string
}

const identifiers = new WeakMap<Certificate, Identifiers>()

function identifiersOf(certificate: Certificate): Identifiers {
  let known = identifiers.get(certificate)
  if (!known) {
    known = {
      subject: comparableName(certificate.subject),
      issuer: comparableName(certificate.issuer),
      key: hash('sha256', certificate.spki, 'base64'),
    }
    identifiers.set(certificate, known)
  }
  return known
}

function isSameEntity(one: Certificate, other: Certificate): boolean {
  const [first, second] = [identifiersOf(one), identifiersOf(other)]
  return first.key === second.key && first.subject === second.subject
}

const endedAtLimit: Flaw = { reason: 'path-too-long', detail: 'the search for a path was ended at its limit' }

const remembered = recent<boolean>(trustLimits.rememberedSignatures)

/**
 * Whether the key of `issuer` signed `certificate`. A signature that policy refuses is `refused` without being checked: it
 * still shows where a path would have gone, so that the refusal can name its reason. One with DSA is `unchecked` until the
 * whole path is known (see dsa.ts).
 */
function linkOf(
  certificate: Certificate,
  issuer: Certificate,
  search: PathSearch,
): 'holds' | 'refused' | 'unchecked' | 'broken' {
  const { policy, budget } = search
  if (digestFlaw(certificate, policy)) return 'refused'
  const scheme = schemeOf(certificate.signatureAlgorithm)
  if (!scheme) return 'unchecked'
  // By key, not by certificate: an authority that others certified twenty times has one key to check.
  const pair = certificate.fingerprint + identifiersOf(issuer).key
  let holds = remembered.get(pair)
  if (holds === undefined) {
    const key = publicKeyOf(issuer)
    if (!key || weaknessOf(key)) return 'refused'
    if (budget.signatureChecks-- <= 0) {
      search.cut = endedAtLimit
      budget.steps = 0 // What cannot be checked cannot be searched.
      return 'broken'
    }
    holds = signatureHolds(certificate.tbs, certificate.signature, scheme, key)
    remembered.set(pair, holds)
  }
  return holds ? 'holds' : 'broken'
}
