import { hash } from 'node:crypto'
import { oids } from '../asn1/oids.js'
import { Asn1Error } from '../asn1/reader.js'
import { type Certificate, keyUsage, publicKeyOf, readCertificate } from '../x509/certificate.js'
import { reasonWord } from '../x509/crl.js'
import { nameText, sameName } from '../x509/name.js'
import { isAbout, type OcspResponse, publicKeyBits, readOcsp, type SingleAnswer } from '../x509/ocsp.js'
import { type Algorithm, schemeOf, signatureHolds, weaknessOf } from '../x509/signature.js'
import { isLegacyDigest } from './validate.js'

export const ocspRules = {
  /** How far ahead a responder's clock may be; the same as for certificates. What is past its nextUpdate is past. */
  skewMs: 300_000,
  /**
   * How old an answer without nextUpdate may be: the responder says that newer is always to be had (RFC 6960 §4.2.2.1), so
   * that it must have been made for us, give or take the skew.
   */
  withoutNextUpdateMs: 600_000,
  /** Certificates that came along with an answer and are tried as its signer. */
  delegates: 5,
}

export interface OcspQuestion {
  readonly certificate: Certificate
  /** Whose key signed the certificate. */
  readonly issuer: Certificate
  /** Unix milliseconds. */
  readonly at: number
  readonly allowSha1: boolean
}

/** What an OCSP response proves about a certificate. */
export type OcspVerdict =
  | ({ readonly kind: 'good' } & Proven)
  | ({ readonly kind: 'revoked'; readonly at: number; readonly reason: string } & Proven)
  | { readonly kind: 'no-proof'; readonly detail: string }

interface Proven {
  /** The delegate who signed, where his own certificate is to be asked about first: it does not excuse us from it. */
  readonly unchecked?: Certificate
}

const noProof = (detail: string): OcspVerdict => ({ kind: 'no-proof', detail })

/**
 * What a response proves about a certificate at a moment (RFC 6960 §3.2): it answers, about this certificate, signed by the
 * issuer's key or by a delegate whom this very issuer certified for OCSP signing, at a time near enough. Anything less
 * proves nothing: neither unsigned, stale and foreign answers nor `unknown` and `tryLater` make a certificate good.
 */
export function ocspVerdict(bytes: Uint8Array, question: OcspQuestion, rules = ocspRules): OcspVerdict {
  const { certificate, issuer, at } = question
  const response = readOcsp(bytes)
  if (response.kind === 'malformed') return noProof(`not an OCSP response: ${response.detail}`)
  if (response.kind === 'declined') return noProof(`the responder answered ${response.status}`)
  try {
    const about = response.answers.filter(({ id }) => isAbout(id, certificate, issuer))
    if (about.length === 0) return noProof('the answer is about another certificate')
    const strange = strangeIn(response.extensions)
    if (strange) return noProof(`the answer has the critical extension ${strange}`)
    const digest = digestDoubt(response.signatureAlgorithm, question.allowSha1)
    if (digest) return noProof(`the answer ${digest}`)
    if (response.producedAt > at + rules.skewMs) return noProof('the answer was made in the future')
    const signer = signerOf(response, question, rules)
    if (signer.kind === 'none') return noProof(signer.detail)
    return statusOf(about, at, signer.unchecked ? { unchecked: signer.unchecked } : {}, rules)
  } catch (error) {
    if (error instanceof Asn1Error) return noProof(error.message)
    throw error
  }
}

/**
 * One status from the answers about one certificate, nearly always one: those out of their time count for nothing; of the
 * rest one that revokes outweighs one that is unsure, and that one all that are good.
 */
function statusOf(about: readonly SingleAnswer[], at: number, proven: Proven, rules: typeof ocspRules): OcspVerdict {
  const doubts = about.map((answer) => timeDoubt(answer, at, rules))
  const inTime = about.filter((_, i) => doubts[i] === undefined)
  if (inTime.length === 0) return noProof(doubts[0] ?? 'there is no answer')
  for (const { status } of inTime)
    if (status.kind === 'revoked')
      return { kind: 'revoked', at: status.at, reason: reasonWord(status.reason), ...proven }
  if (inTime.some(({ status }) => status.kind === 'unknown'))
    return noProof('the responder does not know the certificate')
  const strange = inTime.map(({ extensions }) => strangeIn(extensions)).find((oid) => oid !== undefined)
  return strange ? noProof(`the answer has the critical extension ${strange}`) : { kind: 'good', ...proven }
}

function timeDoubt({ thisUpdate, nextUpdate }: SingleAnswer, at: number, rules: typeof ocspRules): string | undefined {
  if (thisUpdate > at + rules.skewMs) return 'the answer is not in force yet'
  if (nextUpdate === undefined)
    return thisUpdate + rules.withoutNextUpdateMs < at ? 'the answer is old and has no nextUpdate' : undefined
  if (nextUpdate < at) return 'the answer is out of date'
  return nextUpdate < thisUpdate ? 'the answer ends before it begins' : undefined
}

/** A nonce that we did not send and how far back an archive goes change nothing; other critical ones are not understood. */
const processed = new Set<string>([oids.ocspNonce, oids.ocspArchiveCutoff])

function strangeIn(extensions: OcspResponse['extensions']): string | undefined {
  return extensions.find(({ oid, critical }) => critical && !processed.has(oid))?.oid
}

function digestDoubt(algorithm: Algorithm, allowSha1: boolean): string | undefined {
  const scheme = schemeOf(algorithm)
  if (!scheme) return `is signed with ${algorithm.oid}`
  if (scheme.digest === 'md5' || (isLegacyDigest(scheme.digest) && !allowSha1)) return `is signed with ${scheme.digest}`
  return undefined
}

type SignerFound =
  | { readonly kind: 'signer'; readonly unchecked?: Certificate }
  | { readonly kind: 'none'; readonly detail: string }

/** Who signed, if he may (RFC 6960 §4.2.2.2): the issuer, else a delegate among the certificates that came along. */
function signerOf(response: OcspResponse, question: OcspQuestion, rules: typeof ocspRules): SignerFound {
  const byIssuer = isNamed(response, question.issuer)
  if (byIssuer && isSignedBy(response, question.issuer)) return { kind: 'signer' }
  let detail = byIssuer
    ? 'the answer was not signed by the key of the issuer'
    : 'the answer names a responder whose certificate did not come along'
  for (const der of response.certificates.slice(0, rules.delegates)) {
    const delegate = readCertificate(der)
    if (delegate.kind === 'malformed' || !isNamed(response, delegate)) continue
    const doubt = delegateDoubt(delegate, question, rules)
    if (doubt) detail = `the responder ${nameText(delegate.subject)} ${doubt}`
    else if (!isSignedBy(response, delegate)) detail = 'the answer was not signed by the key of its responder'
    else if (delegate.extensions.some(({ oid }) => oid === oids.ocspNoCheck)) return { kind: 'signer' }
    else return { kind: 'signer', unchecked: delegate }
  }
  return { kind: 'none', detail }
}

/** Whether the responder identifier is this certificate's: its subject, or the SHA-1 of its key. It says who, not whether he may. */
function isNamed({ responder }: OcspResponse, certificate: Certificate): boolean {
  if ('name' in responder) return sameName(responder.name, certificate.subject)
  return Buffer.compare(responder.keyHash, hash('sha1', publicKeyBits(certificate), 'buffer')) === 0
}

/** Extensions of a delegate that are processed here; any other one that is critical refuses him (RFC 5280 §4.2). */
const processedInDelegates = new Set<string>([
  oids.subjectKeyIdentifier,
  oids.authorityKeyIdentifier,
  oids.keyUsage,
  oids.extendedKeyUsage,
  oids.basicConstraints,
  oids.subjectAltName,
  oids.certificatePolicies,
  oids.crlDistributionPoints,
  oids.authorityInfoAccess,
  oids.ocspNoCheck,
])

/** Why a certificate may not sign answers for this issuer, in words; undefined where it may. */
function delegateDoubt(
  delegate: Certificate,
  { issuer, at, allowSha1 }: OcspQuestion,
  rules: typeof ocspRules,
): string | undefined {
  // Issued directly by the authority that issued the certificate in question: any other is none of its delegates.
  if (!sameName(delegate.issuer, issuer.subject)) return 'was not issued by the issuer of the certificate'
  // anyExtendedKeyUsage does not delegate: RFC 6960 §4.2.2.2 asks for this purpose by name.
  if (!delegate.extendedKeyUsage?.includes(oids.ocspSigning)) return 'may not sign for OCSP'
  if (delegate.keyUsage !== undefined && !(delegate.keyUsage & keyUsage.digitalSignature)) return 'may not sign'
  if (at > delegate.notAfter) return 'has an expired certificate'
  if (at + rules.skewMs < delegate.notBefore) return 'has a certificate that is not valid yet'
  const strange = delegate.extensions.find(({ oid, critical }) => critical && !processedInDelegates.has(oid))
  if (strange) return `has the critical extension ${strange.oid}`
  const digest = digestDoubt(delegate.signatureAlgorithm, allowSha1)
  if (digest) return digest
  const scheme = schemeOf(delegate.signatureAlgorithm)
  const key = publicKeyOf(issuer)
  if (!scheme || !key || weaknessOf(key) || !signatureHolds(delegate.tbs, delegate.signature, scheme, key))
    return 'was not signed by the key of the issuer'
  return undefined
}

const signed = new WeakMap<OcspResponse, Map<string, boolean>>()

/** Checked once for each response and key. */
function isSignedBy(response: OcspResponse, signer: Certificate): boolean {
  const results = signed.get(response) ?? new Map<string, boolean>()
  signed.set(response, results)
  const known = results.get(signer.fingerprint)
  if (known !== undefined) return known
  const scheme = schemeOf(response.signatureAlgorithm)
  const key = publicKeyOf(signer)
  const holds = !!scheme && !!key && !weaknessOf(key) && signatureHolds(response.tbs, response.signature, scheme, key)
  if (results.size < 16) results.set(signer.fingerprint, holds)
  return holds
}
