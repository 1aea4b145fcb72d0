import { oids } from '../asn1/oids.js'
import { Asn1Error } from '../asn1/reader.js'
import type { RefusalReason } from '../direct/refusal.js'
import { type Certificate, keyUsage, publicKeyOf } from '../x509/certificate.js'
import { isEmptyName, nameText, sameName } from '../x509/name.js'
import { type NameConstraints, nameConstraintsOf } from '../x509/names.js'
import { schemeOf, weaknessOf } from '../x509/signature.js'
import { constraintViolation } from './constraints.js'
import { dsaSignatureHolds, isDsa, isDsaSignature } from './dsa.js'
import { policyViolation } from './policies.js'
import type { TrustPolicy } from './policy.js'
import { exclusion } from './rules/rule.js'

/** What an end-entity certificate is to be used for. */
export type CertificateUse = 'sign' | 'encrypt'

/** The uses of end-entity certificates, and signing revocation lists. */
export type PathUse = CertificateUse | 'list'

/** Why a certificate, or the path it stands on, does not hold. */
export interface Flaw {
  readonly reason: RefusalReason
  readonly detail: string
}

/** Extensions that are processed here; any other one that is critical refuses its certificate (RFC 5280 §4.2). */
const processed = new Set<string>([
  oids.subjectKeyIdentifier,
  oids.authorityKeyIdentifier,
  oids.keyUsage,
  oids.subjectAltName,
  oids.issuerAltName,
  oids.basicConstraints,
  oids.nameConstraints,
  oids.extendedKeyUsage,
  oids.certificatePolicies,
  oids.policyMappings,
  oids.policyConstraints,
  oids.inhibitAnyPolicy,
  oids.crlDistributionPoints,
  oids.freshestCrl,
  oids.authorityInfoAccess,
])

/** What is wrong with an end-entity certificate by itself, whoever issued it; undefined for a sound one. */
export function leafFlaw(leaf: Certificate, use: PathUse, at: number, policy: TrustPolicy): Flaw | undefined {
  return (
    usageFlaw(leaf, use, policy) ??
    commonFlaw(leaf, at, policy) ??
    (use === 'list' ? undefined : ruleFlaw(leaf, policy))
  )
}

/** The rules that a domain of ours has for certificates of others. */
function ruleFlaw(leaf: Certificate, { rules }: TrustPolicy): Flaw | undefined {
  const excluded = exclusion(rules, leaf)
  return excluded === undefined
    ? undefined
    : { reason: 'certificate-policy', detail: `${nameText(leaf.subject)}: ${excluded}` }
}

/**
 * What is wrong with a path whose links were already followed by name and signature: leaf first, anchor last; undefined
 * for a valid one (RFC 5280 §6.1). The anchor is judged as a certificate of the path, its own signature apart, so that an
 * expired anchor ends trust and its constraints hold (RFC 5937 §3).
 */
export function pathFlaw(
  path: readonly Certificate[],
  use: PathUse,
  at: number,
  policy: TrustPolicy,
): Flaw | undefined {
  try {
    const constraints: NameConstraints[] = []
    for (let i = path.length - 1; i >= 0; i--) {
      const certificate = path[i] as Certificate
      const isAnchor = i === path.length - 1
      const found =
        (i === 0 ? leafFlaw(certificate, use, at, policy) : issuerFlaw(path, i, at, policy)) ??
        (isAnchor ? undefined : (digestFlaw(certificate, policy) ?? dsaFlaw(path, i, policy))) ??
        namesFlaw(certificate, i, isAnchor, constraints)
      if (found) return found
      const own = i === 0 ? undefined : nameConstraintsOf(certificate)
      if (own) constraints.push(own)
    }
    const violation = policyViolation(path, policy.requiredPolicies, policy.policyInputs)
    return violation ? { reason: 'certificate-policy', detail: `the path has ${violation}` } : undefined
  } catch (error) {
    if (!(error instanceof Asn1Error)) throw error
    return { reason: 'malformed-certificate', detail: `an extension on the path: ${error.message}` }
  }
}

/** Validity, key and critical extensions: what holds for every certificate. */
function commonFlaw(certificate: Certificate, at: number, policy: TrustPolicy): Flaw | undefined {
  const who = nameText(certificate.subject)
  if (at > certificate.notAfter)
    return { reason: 'certificate-expired', detail: `${who} expired ${new Date(certificate.notAfter).toISOString()}` }
  if (at + policy.clockSkewMs < certificate.notBefore)
    return {
      reason: 'certificate-not-yet-valid',
      detail: `${who} is valid from ${new Date(certificate.notBefore).toISOString()}`,
    }
  const weakness = policy.allowDsa && isDsa(certificate) ? undefined : weaknessOf(publicKeyOf(certificate))
  if (weakness) return { reason: 'weak-key', detail: `${who} has ${weakness}` }
  const unknown = certificate.extensions.find(({ critical, oid }) => critical && !processed.has(oid))
  if (unknown) return { reason: 'critical-extension', detail: `${who} has the critical extension ${unknown.oid}` }
  return undefined
}

function usageFlaw(leaf: Certificate, use: PathUse, policy: TrustPolicy): Flaw | undefined {
  const who = nameText(leaf.subject)
  if (use === 'list')
    return maySignLists(leaf)
      ? undefined
      : { reason: 'key-usage', detail: `${who} may not sign revocation lists: keyUsage does not allow it` }
  if (use === 'encrypt' && leaf.publicKeyAlgorithm === oids.rsassaPss)
    return { reason: 'key-usage', detail: `${who} has a key that only signs` }
  if (leaf.keyUsage !== undefined && !(leaf.keyUsage & usageBits(leaf, use)))
    return { reason: 'key-usage', detail: `${who} may not ${use}: keyUsage does not allow it` }
  return extendedUsageFlaw(leaf, policy)
}

/** RFC 5280 §6.3.3 f: where keyUsage is there, it has cRLSign. */
export function maySignLists(certificate: Certificate): boolean {
  return certificate.keyUsage === undefined || (certificate.keyUsage & keyUsage.crlSign) !== 0
}

/** Direct asks for digitalSignature to sign and keyEncipherment to encrypt; an EC key encrypts by keyAgreement (RFC 5753 §7). */
function usageBits(leaf: Certificate, use: CertificateUse): number {
  if (use === 'sign') return keyUsage.digitalSignature
  return leaf.publicKeyAlgorithm === oids.ecPublicKey ? keyUsage.keyAgreement : keyUsage.keyEncipherment
}

function extendedUsageFlaw(certificate: Certificate, policy: TrustPolicy): Flaw | undefined {
  const purposes = certificate.extendedKeyUsage
  if (!policy.requireEmailProtection || !purposes) return undefined
  if (purposes.includes(oids.emailProtection) || purposes.includes(oids.anyExtendedKeyUsage)) return undefined
  return {
    reason: 'key-usage',
    detail: `${nameText(certificate.subject)} has an extendedKeyUsage without emailProtection`,
  }
}

/** RFC 5280 §6.1.4 k to n for the certificate at `i`, which issued the one before it on the path. */
function issuerFlaw(path: readonly Certificate[], i: number, at: number, policy: TrustPolicy): Flaw | undefined {
  const issuer = path[i] as Certificate
  const isAnchor = i === path.length - 1
  const who = nameText(issuer.subject)
  const common = commonFlaw(issuer, at, policy)
  if (common) return common
  // RFC 5280 §4.1.2.4: without a name nobody can be named as an issuer, and every unnamed authority would be the same.
  if (isEmptyName(issuer.subject)) return { reason: 'path-not-authority', detail: 'an authority without a name' }
  if (!isAuthority(issuer, isAnchor))
    return { reason: 'path-not-authority', detail: `${who} is not a certification authority` }
  if (issuer.keyUsage !== undefined && !(issuer.keyUsage & keyUsage.keyCertSign))
    return { reason: 'key-usage', detail: `${who} may not issue certificates: keyUsage does not allow it` }
  const pathLength = issuer.basicConstraints?.pathLength
  const below = path.slice(1, i).filter((certificate) => !isSelfIssued(certificate)).length
  if (pathLength !== undefined && below > pathLength)
    return { reason: 'path-too-long', detail: `${below} authorities below ${who}, which allows ${pathLength}` }
  // RFC 5280 gives the extension no meaning in authorities; in practice it limits what they may issue. The operator chose the anchor.
  return isAnchor ? undefined : extendedUsageFlaw(issuer, policy)
}

/** An anchor may be of the days before basicConstraints: version 1, or keyCertSign alone says what it is. */
function isAuthority(issuer: Certificate, isAnchor: boolean): boolean {
  if (issuer.basicConstraints) return issuer.basicConstraints.ca
  return isAnchor && (issuer.version === 1 || !!((issuer.keyUsage ?? 0) & keyUsage.keyCertSign))
}

/** Whether subject and issuer are the same name: key roll-over and renewals, which path lengths and constraints pass over. */
export function isSelfIssued(certificate: Certificate): boolean {
  return sameName(certificate.subject, certificate.issuer)
}

/** MD5 is never accepted, SHA-1 and SHA-224 by policy only. */
export function digestFlaw(certificate: Certificate, policy: TrustPolicy): Flaw | undefined {
  const who = nameText(certificate.subject)
  if (policy.allowDsa && isDsaSignature(certificate.signatureAlgorithm)) return undefined
  const scheme = schemeOf(certificate.signatureAlgorithm)
  if (!scheme)
    return { reason: 'unsupported-algorithm', detail: `${who} is signed with ${certificate.signatureAlgorithm.oid}` }
  if (scheme.digest === 'md5' || (isLegacyDigest(scheme.digest) && !policy.allowSha1InPaths))
    return { reason: 'weak-digest', detail: `${who} is signed with ${scheme.digest}` }
  return undefined
}

/** Digests below 128 bits of strength that the policy switch lets pass. */
export function isLegacyDigest(digest: string): boolean {
  return digest === 'sha1' || digest === 'sha224'
}

/** Links signed with DSA are not checked while a path is searched, as the key may inherit what its issuer says. */
function dsaFlaw(path: readonly Certificate[], i: number, policy: TrustPolicy): Flaw | undefined {
  const { signatureAlgorithm, tbs, signature, subject, issuer } = path[i] as Certificate
  if (!policy.allowDsa || !isDsaSignature(signatureAlgorithm)) return undefined
  if (dsaSignatureHolds(tbs, signature, path.slice(i + 1))) return undefined
  return { reason: 'path-signature', detail: `${nameText(subject)} was not signed by the key of ${nameText(issuer)}` }
}

function namesFlaw(
  certificate: Certificate,
  i: number,
  isAnchor: boolean,
  constraints: readonly NameConstraints[],
): Flaw | undefined {
  // RFC 5280 §6.1.3 b: self-issued certificates other than the last are passed over.
  if (isAnchor || (i > 0 && isSelfIssued(certificate))) return undefined
  const violation = constraintViolation(certificate, constraints)
  return violation
    ? { reason: 'name-constraints', detail: `${nameText(certificate.subject)} has ${violation}` }
    : undefined
}
