import { hash } from 'node:crypto'
import { Asn1Error, type Element, octets } from '../asn1/reader.js'
import type { Signer } from '../direct/signer.js'
import type { BundleContent } from '../directory/directory.js'
import type { Issuers, Revocation } from '../ports/trust.js'
import { strictOpening } from '../smime/policy.js'
import { readSignedData, type SignedData } from '../smime/signed.js'
import { judgeSigner, signedContent } from '../smime/signer.js'
import { judgeCertificate } from '../trust/judge.js'
import { anchorSet, newPathBudget } from '../trust/path.js'
import { defaultTrustPolicy, type TrustPolicy } from '../trust/policy.js'
import {
  type Bundle,
  type BundleLimits,
  bundleLimits,
  type NoBundle,
  readBundle,
  type WrappedBundle,
} from '../x509/bundle.js'
import { type Certificate, readCertificate } from '../x509/certificate.js'
import { nameText } from '../x509/name.js'
import { readMetadata } from './bundle-metadata.js'

/** Why a bundle was not loaded; the same words in status, log, audit and metrics. */
export type BundleFault =
  | NoBundle['fault']
  /** A signer is configured, and nobody signed. */
  | 'unsigned'
  /** The arithmetic of every signature fails, or uses what is too weak. */
  | 'signature-invalid'
  /** Somebody signed, and not who should have, or with a certificate that does not hold. */
  | 'signer-not-trusted'
  /** Whether the signer may be believed cannot be learnt now. */
  | 'signer-undecided'
  /** Signed before the copy in force was: somebody hands out what the community took back. */
  | 'older'
  | 'not-fetched'
  /** The directory would not take it. */
  | 'not-kept'

export interface BundleRefused {
  readonly kind: 'refused'
  readonly fault: BundleFault
  readonly detail: string
}

export interface SoundBundle {
  readonly kind: 'sound'
  readonly content: BundleContent
  readonly warnings: readonly BundleWarning[]
}

export type BundleWarning = 'signature-not-checked' | 'certificates-unreadable' | 'metadata-unreadable'

/**
 * How the signer of a bundle is judged. `soft`: a revoked signer is refused, and a dead list of his authority does not keep
 * removed anchors trusted. No purpose is asked for: the operator said what this certificate is for.
 */
export const bundleSignerPolicy: TrustPolicy = {
  ...defaultTrustPolicy,
  revocation: 'soft',
  requireEmailProtection: false,
}

export interface BundleQuestion {
  readonly bytes: Uint8Array
  /** Certificate of who must have signed, or of an authority above him, DER; undefined where the operator named none. */
  readonly signer: Uint8Array | undefined
  /** Unix milliseconds. */
  readonly at: number
}

export interface BundleTrustPorts {
  readonly revocation: Revocation
  readonly issuers: Issuers
  readonly bundlePolicy?: TrustPolicy
}

/**
 * Judges a bundle as it was fetched (Trust Bundle Distribution IG; RFC 5652 §5.6). Where a signer is configured, the bundle
 * is what he signed and nothing else: no certificate that merely lies in the file, his own included. Where none is, a
 * bundle is taken as it stands, and a signature around it must at least hold. Refuses with one reason; never throws for
 * what the bytes are.
 */
export async function judgeBundle(
  { bytes, signer, at }: BundleQuestion,
  ports: BundleTrustPorts,
  limits: BundleLimits = bundleLimits,
): Promise<SoundBundle | BundleRefused> {
  const outer = readBundle(bytes, limits)
  if (outer.kind === 'no-bundle') return refusal(outer.fault, outer.detail)
  const pinned = signer && readCertificate(signer)
  if (pinned?.kind === 'malformed') return refusal('signer-not-trusted', 'the certificate of the signer does not read')
  if (outer.kind === 'bundle')
    return pinned ? refusal('unsigned', `${nameText(pinned.subject)} should have signed`) : sound(bytes, outer, [])

  let signedBy: BundleSigner | undefined
  if (outer.signers > 0 || pinned) {
    const verified = verifiedSigners(outer, pinned)
    if ('fault' in verified) return verified
    if (pinned) {
      const believed = await believedSigner(verified, pinned, at, ports)
      if ('fault' in believed) return believed
      signedBy = believed
    }
  }
  const inner = readBundle(outer.content, limits)
  if (inner.kind === 'no-bundle') return refusal(inner.fault, `in what was signed: ${inner.detail}`)
  if (inner.kind === 'wrapped') return refusal('unreadable', 'a signed bundle inside of a signed bundle')
  return sound(bytes, inner, signedBy ? [] : ['signature-not-checked'], signedBy)
}

function refusal(fault: BundleFault, detail: string): BundleRefused {
  return { kind: 'refused', fault, detail }
}

function sound(
  bytes: Uint8Array,
  { certificates, unreadable, content }: Bundle,
  warnings: readonly BundleWarning[],
  signer?: BundleSigner,
): SoundBundle {
  const metadata = content && readMetadata(content)
  return {
    kind: 'sound',
    content: {
      certificates: certificates.map(({ der }) => der),
      digest: hash('sha256', bytes, 'hex'),
      ...(signer && { signedBy: signer.certificate.fingerprint }),
      ...(signer?.at !== undefined && { signedAt: signer.at }),
      ...(metadata && { metadata }),
      unreadable,
    },
    warnings: [
      ...warnings,
      ...(unreadable > 0 ? ['certificates-unreadable' as const] : []),
      ...(content && !metadata ? ['metadata-unreadable' as const] : []),
    ],
  }
}

interface BundleSigner {
  readonly certificate: Certificate
  /** The signing-time attribute, Unix milliseconds. */
  readonly at: number | undefined
}

interface Verified {
  readonly signers: readonly BundleSigner[]
  /** Certificates that lie beside the signature: steps of a path, never anchors. */
  readonly bag: readonly Certificate[]
}

/** Every signer whose signature over the content holds (RFC 5652 §5.4, §5.6). The pinned certificate may be missing from the file. */
function verifiedSigners({ cms, content }: WrappedBundle, pinned: Certificate | undefined): Verified | BundleRefused {
  let signed: SignedData | undefined
  try {
    signed = readSignedData(cms)
    if (!signed?.content || signed.signers.length === 0) return refusal('unsigned', 'no signature is left around it')
    // What the signature covers is read by the room that verifies; it must be what the anchors are taken from.
    if (Buffer.compare(octets(signed.content), content) !== 0)
      return refusal('unreadable', 'the content reads in two ways')
  } catch (error) {
    if (error instanceof Asn1Error) return refusal('unreadable', error.message)
    throw error
  }
  const bag = new Map<string, Certificate>()
  for (const one of [...(pinned ? [pinned.der] : []), ...signed.certificates].map(readCertificate))
    if (one.kind === 'certificate') bag.set(one.fingerprint, one)
  const outcomes = judged(signed.signers, content, signed.contentType, [...bag.values()])
  const signers = new Map<string, BundleSigner>()
  for (const outcome of outcomes) {
    if (outcome.kind === 'unverified') continue
    const certificate = readCertificate(outcome.certificate)
    if (certificate.kind === 'certificate')
      signers.set(certificate.fingerprint, { certificate, at: outcome.signingTime })
  }
  if (signers.size > 0) return { signers: [...signers.values()], bag: [...bag.values()] }
  const words = outcomes.map((outcome) => (outcome.kind === 'unverified' ? `${outcome.reason}: ${outcome.detail}` : ''))
  return refusal('signature-invalid', words.join('; '))
}

function judged(
  infos: readonly Element[],
  content: Uint8Array,
  contentType: string,
  bag: readonly Certificate[],
): readonly Signer[] {
  const signed = signedContent(content, contentType)
  return infos.flatMap((info) => judgeSigner(info, signed, bag, strictOpening))
}

/** The first signer that is the pinned certificate or chains to it, valid now and for signing (RFC 5280 §6.1). */
async function believedSigner(
  { signers, bag }: Verified,
  pinned: Certificate,
  at: number,
  { revocation, issuers, bundlePolicy = bundleSignerPolicy }: BundleTrustPorts,
): Promise<BundleSigner | BundleRefused> {
  const anchors = anchorSet([pinned])
  const budget = newPathBudget()
  const others: string[] = []
  let undecided: BundleRefused | undefined
  for (const signer of signers) {
    const leaf = signer.certificate
    const question = { leaf, use: 'sign' as const, anchors, bag, at, policy: bundlePolicy, budget }
    const verdict = await judgeCertificate(question, { revocation, issuers })
    if (verdict.kind === 'trusted') return signer
    if (verdict.kind === 'undecided') undecided ??= refusal('signer-undecided', `${verdict.cause}: ${verdict.detail}`)
    else others.push(`${nameText(leaf.subject)}: ${verdict.reason}: ${verdict.detail}`)
  }
  return undecided ?? refusal('signer-not-trusted', others.join('; '))
}
