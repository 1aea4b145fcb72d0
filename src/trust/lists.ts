import { oids } from '../asn1/oids.js'
import { Asn1Error } from '../asn1/reader.js'
import type { Issuers, RevocationAnswer, RevocationQuestion, RevocationSources } from '../ports/trust.js'
import { type Certificate, publicKeyOf } from '../x509/certificate.js'
import { type Crl, type CrlEntry, entryOf, readCrl, reasonWord, removeFromCrl } from '../x509/crl.js'
import { comparableName, nameText, sameName } from '../x509/name.js'
import { type DistributionPoint, directoryForm, distributionPointsOf } from '../x509/points.js'
import { schemeOf, signatureHolds, weaknessOf } from '../x509/signature.js'
import { dsaSignatureHolds, isDsaSignature } from './dsa.js'
import { readCertificates } from './judge.js'
import { anchorSet, chainsOf, newPathBudget, type PathBudget } from './path.js'
import { defaultTrustPolicy, type TrustPolicy, trustLimits } from './policy.js'
import { isLegacyDigest, maySignLists, pathFlaw } from './validate.js'

export const listLimits = {
  /** Distribution points of one certificate that are looked at; real ones have one or two. */
  points: 8,
  /** URLs tried for one point: the same list by several ways. */
  urls: 4,
  /** Lists judged for one question, so that a certificate cannot make us fetch without end. */
  lists: 16,
  /** Further certificates that are looked through by name for the signer of a list. */
  others: 500,
  /** Certificates of one name that are tried as the signer of a list, and paths to each of them. */
  signers: 4,
  paths: 2,
  /** How often a list signer that is not on the path may in turn need a list of a signer that is not. */
  depth: 2,
  /** How far ahead the clock of an authority may be. */
  skewMs: 300_000,
}

/** What else helps with lists. */
export interface ListMaterial {
  /** Asked for certificates that may have signed a list, where neither the path nor `others` has one. */
  readonly issuers: Issuers
  /**
   * Lists known here that the given authority (Name, DER) signed, complete and delta; they serve certificates without
   * distribution points as well. The same arrays each time, as parsing is remembered by them.
   */
  readonly known?: (issuer: Uint8Array) => readonly Uint8Array[]
  /** As in `TrustPolicy`. */
  readonly allowDsa?: boolean
}

/** One question, and what its sub-questions about list signers share. */
interface Inquiry {
  readonly question: RevocationQuestion
  readonly sources: Pick<RevocationSources, 'list'>
  readonly material: ListMaterial
  readonly policy: TrustPolicy
  readonly limits: typeof listLimits
  readonly anchor: Certificate
  /** Certificates of the path asked about: each of them is asked about by the caller. */
  readonly given: readonly Certificate[]
  readonly others: readonly Certificate[]
  readonly budget: PathBudget & { lists: number }
  /** Fingerprints of certificates whose status is being found out, so that no list proves itself. */
  readonly asking: Set<string>
}

/** Bits 1 to 8 of ReasonFlags: a certificate is good when lists for all of them do not name it. */
const allReasons = 0x1fe

/**
 * Status of the first certificate of a path by revocation lists (RFC 5280 §6.3.3): every distribution point is tried, lists
 * for some reasons are added up, indirect and delta lists are processed, and who signed a list must have a valid path to
 * the same anchor, and not be revoked. Revoked wins over everything; `not-published` where no list is spoken of;
 * `unavailable`, with the reason of each list that proves nothing, for anything less than proof. A list that is not in
 * force, has no nextUpdate or has something critical that is not understood proves nothing. A delta list that cannot be had
 * leaves the list it goes with as it is.
 */
export async function listStatus(
  question: RevocationQuestion,
  sources: Pick<RevocationSources, 'list'>,
  material: ListMaterial,
  limits = listLimits,
): Promise<RevocationAnswer> {
  const path = readCertificates(question.path, trustLimits.depth)
  const anchor = path.at(-1)
  if (path.length !== question.path.length || path.length < 2 || !anchor)
    return { kind: 'unavailable', detail: 'a path that does not read' }
  const policy: TrustPolicy = {
    ...defaultTrustPolicy,
    requireEmailProtection: false,
    allowSha1InPaths: question.allowSha1,
    clockSkewMs: limits.skewMs,
    ...(material.allowDsa ? { allowDsa: true } : {}),
  }
  return statusOf(path, {
    question,
    sources,
    material,
    policy,
    limits,
    anchor,
    given: path,
    others: readCertificates(question.others, limits.others),
    budget: { ...newPathBudget(), lists: limits.lists },
    asking: new Set(),
  })
}

/** What one list proves for a certificate at one distribution point. */
type ListProof =
  | Extract<RevocationAnswer, { kind: 'revoked' }>
  /** Not revoked for these reasons (bits). */
  | { readonly kind: 'covers'; readonly reasons: number }
  | { readonly kind: 'no-proof'; readonly detail: string }

async function statusOf(path: readonly Certificate[], inquiry: Inquiry): Promise<RevocationAnswer> {
  const [certificate, issuer] = path
  if (!certificate || !issuer) return { kind: 'unavailable', detail: 'a path without an issuer' }
  if (inquiry.asking.has(certificate.fingerprint))
    return { kind: 'unavailable', detail: `${nameText(certificate.subject)} would vouch for itself` }
  inquiry.asking.add(certificate.fingerprint)
  try {
    const points = distributionPointsOf(certificate).slice(0, inquiry.limits.points)
    const own: DistributionPoint = {
      names: [directoryForm(certificate.issuer)],
      urls: [],
      reasons: undefined,
      crlIssuers: [],
    }
    const failures: string[] = []
    let covered = 0
    let looked = points.length > 0
    // RFC 5280 §6.3.3, end: lists that no point tells of are taken as those of the issuer.
    for (const point of inquiry.material.known ? [...points, own] : points)
      for await (const list of listsAt(point, certificate, inquiry, failures)) {
        looked = true
        const proof = await proofOf(list, point, path, covered, inquiry)
        if (proof.kind === 'revoked') return proof
        if (proof.kind === 'no-proof') {
          failures.push(proof.detail)
          continue
        }
        covered |= proof.reasons
        if (covered === allReasons) return { kind: 'good' }
        if (point.urls.length > 0) break // The other URLs of a point give the same list.
      }
    if (!looked) return { kind: 'not-published' }
    if (covered !== 0) failures.push('the lists cover some reasons only')
    const told = [...new Set(failures)].join('; ')
    return { kind: 'unavailable', detail: told || 'its distribution points have no URL' }
  } catch (error) {
    if (!(error instanceof Asn1Error)) throw error
    return { kind: 'unavailable', detail: `its distribution points: ${error.message}` }
  } finally {
    inquiry.asking.delete(certificate.fingerprint)
  }
}

/** The lists to be had at a point, fetched one by one as they are needed, then those known here. */
async function* listsAt(
  point: DistributionPoint,
  certificate: Certificate,
  inquiry: Inquiry,
  failures: string[],
): AsyncGenerator<Crl> {
  for (const url of point.urls.slice(0, inquiry.limits.urls)) {
    const list = await fetched(url, inquiry)
    if (typeof list === 'string') failures.push(list)
    else yield list
  }
  const signers = point.crlIssuers.length > 0 ? point.crlIssuers : [certificate.issuer]
  for (const signer of inquiry.material.known ? signers : [])
    for (const list of listsOf(signer, inquiry)) if (list.baseNumber === undefined) yield list
}

function listsOf(signer: Uint8Array, { material, limits }: Inquiry): Crl[] {
  const lists = (material.known?.(signer) ?? []).slice(0, limits.lists).map(readCrl)
  return lists.filter((list) => list.kind === 'crl' && sameName(list.issuer, signer)) as Crl[]
}

/** The list at a URL; in words, why there is none. */
async function fetched(url: string, { sources, budget }: Inquiry): Promise<Crl | string> {
  if (budget.lists-- <= 0) return 'more lists than are asked for'
  const answer = await sources.list(url)
  if (answer.kind === 'unavailable') return answer.detail
  const list = readCrl(answer.bytes)
  return list.kind === 'malformed' ? `${url}: not a CRL: ${list.detail}` : list
}

/** RFC 5280 §6.3.3 b to l for one list at one distribution point; `covered` are the reasons that others covered. */
async function proofOf(
  list: Crl,
  point: DistributionPoint,
  path: readonly Certificate[],
  covered: number,
  inquiry: Inquiry,
): Promise<ListProof> {
  const [certificate] = path as [Certificate]
  const doubt =
    forceDoubt(list, inquiry) ??
    (list.baseNumber === undefined ? undefined : 'a delta CRL in place of a complete one') ??
    scopeDoubt(list, point, certificate)
  if (doubt) return { kind: 'no-proof', detail: doubt }
  const reasons = (point.reasons ?? allReasons) & (list.scope.reasons ?? allReasons) & allReasons // d
  if ((reasons & ~covered) === 0) return { kind: 'covers', reasons: 0 } // e
  const signer = await signerOf(list, point, path, inquiry) // f and g
  if (!signer.path) return { kind: 'no-proof', detail: signer.detail }
  try {
    const entry = await currentEntry(list, signer.path, certificate, inquiry)
    if (entry) return { kind: 'revoked', at: entry.at, reason: reasonWord(entry.reason) }
    return { kind: 'covers', reasons }
  } catch (error) {
    if (!(error instanceof Asn1Error)) throw error
    return { kind: 'no-proof', detail: `the CRL: ${error.message}` }
  }
}

/** Why a list, whatever it speaks of, is not to be relied on now. An entry on a list out of date proves nothing either. */
function forceDoubt(list: Crl, { question: { at }, limits }: Inquiry): string | undefined {
  if (list.unusable) return list.unusable
  if (list.thisUpdate > at + limits.skewMs) return 'the CRL is not in force yet'
  if (list.nextUpdate === undefined) return 'the CRL has no nextUpdate'
  return list.nextUpdate < at ? 'the CRL is out of date' : undefined
}

/** RFC 5280 §6.3.3 b: whether a list of this issuer and scope speaks of the certificate at this point. */
function scopeDoubt({ issuer, scope }: Crl, point: DistributionPoint, certificate: Certificate): string | undefined {
  const { crlIssuers } = point
  if (crlIssuers.length === 0 && !sameName(issuer, certificate.issuer)) return 'the CRL is of another issuer'
  if (crlIssuers.length > 0) {
    if (!crlIssuers.some((name) => sameName(name, issuer))) return 'the CRL is of another issuer'
    if (!scope.indirect && !sameName(issuer, certificate.issuer)) return 'the CRL of another issuer is not indirect'
  }
  const names = point.names ?? crlIssuers.map(directoryForm)
  if (scope.points && !scope.points.some((name) => names.includes(name)))
    return 'the CRL is for another distribution point'
  if (scope.only === 'attribute') return 'the CRL is of attribute certificates'
  if (scope.only && (scope.only === 'authority') !== (certificate.basicConstraints?.ca === true))
    return `the CRL is of ${scope.only === 'user' ? 'users' : 'authorities'} only`
  return undefined
}

/** The entry that revokes a certificate, the newest delta list applied (RFC 5280 §6.3.3 c and h to k). */
async function currentEntry(
  list: Crl,
  signer: readonly Certificate[],
  certificate: Certificate,
  inquiry: Inquiry,
): Promise<CrlEntry | undefined> {
  const issuer = comparableName(certificate.issuer)
  const delta = await deltaOf(list, signer, certificate, inquiry)
  const changed = delta && entryOf(delta, certificate.serial, issuer)
  if (changed) return changed.reason === removeFromCrl ? undefined : changed
  const entry = entryOf(list, certificate.serial, issuer)
  return entry && entry.reason !== removeFromCrl ? entry : undefined
}

/** The newest delta list that goes with a complete one, by freshestCRL of the certificate or of the list, or known here. */
async function deltaOf(
  list: Crl,
  signer: readonly Certificate[],
  certificate: Certificate,
  inquiry: Inquiry,
): Promise<Crl | undefined> {
  const points = [...distributionPointsOf(certificate, oids.freshestCrl), ...list.freshest]
  const found = listsOf(list.issuer, inquiry)
  for (const url of new Set(points.flatMap(({ urls }) => urls).slice(0, inquiry.limits.urls))) {
    const delta = await fetched(url, inquiry)
    if (typeof delta !== 'string') found.push(delta)
  }
  return found
    .filter(
      (delta) => goesWith(delta, list) && !forceDoubt(delta, inquiry) && isSignedBy(delta, signer, inquiry.policy),
    )
    .reduce<Crl | undefined>(
      (best, delta) => (best && (best.number ?? 0n) >= (delta.number ?? 0n) ? best : delta),
      undefined,
    )
}

/** RFC 5280 §5.2.4 and §6.3.3 c: of the same issuer and scope, beginning no later than the list, and newer than it. */
function goesWith(delta: Crl, list: Crl): boolean {
  if (delta.baseNumber === undefined || delta.number === undefined || list.number === undefined) return false
  const [one, other] = [delta.authorityKeyIdentifier, list.authorityKeyIdentifier]
  return (
    sameName(delta.issuer, list.issuer) &&
    delta.scope.form === list.scope.form &&
    (!one || !other || Buffer.compare(one, other) === 0) &&
    list.number >= delta.baseNumber &&
    list.number < delta.number
  )
}

/**
 * The path of who signed a list (RFC 5280 §6.3.3 f and g): certificates of the path in question first, which is valid, then
 * others of the list's issuer with a valid path to the same anchor that are not revoked themselves. Key identifiers are not
 * asked: whether the key signed the list decides.
 */
async function signerOf(
  list: Crl,
  point: DistributionPoint,
  path: readonly Certificate[],
  inquiry: Inquiry,
): Promise<{ readonly path?: readonly Certificate[]; readonly detail: string }> {
  const { policy, given, others, material, question, limits } = inquiry
  const weak = digestDoubt(list, policy)
  if (weak) return { detail: weak }
  const tried = new Set<string>()
  const failures: string[] = []
  const signs = (candidate: Certificate, below: readonly Certificate[]) => {
    tried.add(candidate.fingerprint)
    if (!isSignedBy(list, below, policy)) return false
    if (maySignLists(candidate)) return true
    failures.push(`${nameText(candidate.subject)} may not sign CRLs`)
    return false
  }
  for (const [i, candidate] of path.entries())
    if (i > 0 && sameName(candidate.subject, list.issuer) && signs(candidate, path.slice(i)))
      return { path: path.slice(i), detail: '' }

  const pools = [
    async () => [...given, ...others],
    async () => issuersFrom(await material.issuers.of(question.path[0] as Uint8Array)),
  ]
  let left = limits.signers
  for (const pool of pools) {
    const certificates = await pool()
    for (const candidate of certificates) {
      if (tried.has(candidate.fingerprint) || !sameName(candidate.subject, list.issuer) || left-- <= 0) continue
      // A key that inherits its parameters (DSA) would need its path first; list signers off the path with one are not found.
      if (!signs(candidate, [candidate])) continue
      // Its own authority named it as the signer of the list that tells of it: there is nobody else to ask.
      if (candidate.fingerprint === path[0]?.fingerprint && point.crlIssuers.length > 0) return { path, detail: '' }
      const found = await soundPath(candidate, certificates, inquiry)
      if (found.path) return found
      failures.push(found.detail)
    }
  }
  return { detail: failures[0] ?? 'the CRL was not signed by a key of its issuer that is known here' }
}

function issuersFrom(answer: Awaited<ReturnType<Issuers['of']>>): Certificate[] {
  return 'kind' in answer ? [] : readCertificates(answer, trustLimits.issuers)
}

/** A valid path from a list signer to the anchor of the question, no certificate of which is revoked or unknown. */
async function soundPath(
  signer: Certificate,
  pool: readonly Certificate[],
  inquiry: Inquiry,
): Promise<{ readonly path?: readonly Certificate[]; readonly detail: string }> {
  const { anchor, given, others, policy, budget, limits, asking, question } = inquiry
  const who = nameText(signer.subject)
  if (asking.size > limits.depth) return { detail: `the CRL signer ${who} depends on too many others` }
  const search = {
    anchors: anchorSet([anchor]),
    others: [...given, ...others, ...pool],
    at: question.at,
    policy,
    budget,
    depth: trustLimits.depth,
    reached: new Map(),
  }
  let detail = `the CRL signer ${who} has no path to the same anchor`
  let left = limits.paths
  for (const path of chainsOf(signer, search)) {
    if (left-- <= 0) break
    const flaw = pathFlaw(path, 'list', question.at, policy)
    if (flaw) {
      detail = `the CRL signer: ${flaw.detail}`
      continue
    }
    const unsound = await unsoundOf(path, inquiry)
    if (!unsound) return { path, detail: '' }
    detail = `the CRL signer: ${unsound}`
  }
  return { detail }
}

/** Which certificate of a signer's path is revoked or cannot be told about; those of the path in question are asked about by the caller. */
async function unsoundOf(path: readonly Certificate[], inquiry: Inquiry): Promise<string | undefined> {
  for (const [i, certificate] of path.slice(0, -1).entries()) {
    if (inquiry.given.some(({ fingerprint }) => fingerprint === certificate.fingerprint)) continue
    const answer = await statusOf(path.slice(i), inquiry)
    if (answer.kind === 'revoked') return `${nameText(certificate.subject)} was revoked`
    if (answer.kind === 'unavailable') return answer.detail
  }
  return undefined
}

function digestDoubt({ signatureAlgorithm }: Crl, policy: TrustPolicy): string | undefined {
  if (policy.allowDsa && isDsaSignature(signatureAlgorithm)) return undefined
  const scheme = schemeOf(signatureAlgorithm)
  if (!scheme) return `the CRL is signed with ${signatureAlgorithm.oid}`
  return scheme.digest === 'md5' || (isLegacyDigest(scheme.digest) && !policy.allowSha1InPaths)
    ? `the CRL is signed with ${scheme.digest}`
    : undefined
}

const signed = new WeakMap<Crl, Map<string, boolean>>()

/** Whether the key of the first certificate of a path signed a list. Checked once per list and key: a digest over megabytes takes milliseconds. */
function isSignedBy(list: Crl, path: readonly Certificate[], policy: TrustPolicy): boolean {
  const [signer] = path
  if (!signer) return false
  const { tbs, signature, signatureAlgorithm } = list
  if (policy.allowDsa && isDsaSignature(signatureAlgorithm)) return dsaSignatureHolds(tbs, signature, path)
  const results = signed.get(list) ?? new Map<string, boolean>()
  signed.set(list, results)
  const known = results.get(signer.fingerprint)
  if (known !== undefined) return known
  const scheme = schemeOf(signatureAlgorithm)
  const key = publicKeyOf(signer)
  const holds = !!scheme && !!key && !weaknessOf(key) && signatureHolds(tbs, signature, scheme, key)
  if (results.size < 16) results.set(signer.fingerprint, holds)
  return holds
}
