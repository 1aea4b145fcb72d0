import { hash } from 'node:crypto'
import { context, integer, sequenceOf, timeOf } from '../asn1/writer.js'
import type { DirectAddress, DirectDomain } from '../direct/address.js'
import type { KeyUse } from '../ports/registrar.js'
import { keyUsage } from '../x509/certificate.js'
import {
  authorityKeyIdentifier,
  basicConstraints,
  certificatePolicies,
  commonName,
  distributionPoint,
  emailProtection,
  issuerAccess,
  keyUsageExtension,
  permittedDomains,
  subjectAltName,
  subjectKeyIdentifier,
  usageBits,
} from './extensions.js'
import type { PublicKey } from './signing.js'

export interface Validity {
  /** Unix milliseconds; the time of day is kept to the second. */
  readonly notBefore: number
  readonly notAfter: number
}

interface Frame extends Validity {
  /** Positive, as magnitude octets. */
  readonly serial: Uint8Array
  /** DER of the Names. */
  readonly issuer: Uint8Array
  readonly subject: Uint8Array
  /** AlgorithmIdentifier of the signature to come. */
  readonly algorithm: Uint8Array
  readonly spki: Uint8Array
}

/** TBSCertificate, version 3 (RFC 5280 §4.1.2). */
function toBeSigned(frame: Frame, extensions: readonly Uint8Array[]): Uint8Array {
  const { serial, issuer, subject, algorithm, spki, notBefore, notAfter } = frame
  return sequenceOf(
    context(0, integer(2)),
    integer(serial),
    algorithm,
    issuer,
    sequenceOf(timeOf(notBefore), timeOf(notAfter)),
    subject,
    spki,
    context(3, sequenceOf(...extensions)),
  )
}

/** The name of an owner, for people; what binds is subjectAltName. */
export function ownerName(owner: DirectAddress | DirectDomain): Uint8Array {
  return commonName(owner, hash('sha256', owner, 'hex'))
}

/** What is to be signed of a self-signed authority that issues for mail only to the end: no further authority below it. */
export function authorityCertificate(
  authority: Validity & {
    readonly serial: Uint8Array
    readonly name: Uint8Array
    readonly key: PublicKey
    readonly within: readonly DirectDomain[]
  },
): Uint8Array {
  const { name, key, within } = authority
  const { spki, algorithm } = key
  return toBeSigned({ ...authority, issuer: name, subject: name, algorithm, spki }, [
    basicConstraints(true),
    keyUsageExtension(keyUsage.keyCertSign | keyUsage.crlSign),
    subjectKeyIdentifier(key.identifier),
    ...(within.length > 0 ? [permittedDomains(within)] : []),
  ])
}

/**
 * What is to be signed of a certificate for an address or a domain: one name in subjectAltName, use as asked, e-mail
 * protection, and where to find the issuer and its list (ANSI/DS 2019-01-100-2021 §1.4, DirectTrust profile).
 */
export function ownerCertificate(
  certificate: Validity & {
    readonly serial: Uint8Array
    readonly owner: DirectAddress | DirectDomain
    readonly use: KeyUse
    readonly key: PublicKey
    readonly issuer: { readonly name: Uint8Array; readonly key: PublicKey }
    /** Absent where nothing is published: then nobody can learn of a revocation. */
    readonly urls?: { readonly list: string; readonly certificate: string }
    readonly policies?: readonly string[]
  },
): Uint8Array {
  const { owner, use, key, issuer, urls, policies = [] } = certificate
  const names = { issuer: issuer.name, subject: ownerName(owner), algorithm: issuer.key.algorithm, spki: key.spki }
  return toBeSigned({ ...certificate, ...names }, [
    basicConstraints(false),
    keyUsageExtension(usageBits(use, key.type)),
    emailProtection(),
    subjectAltName(owner),
    subjectKeyIdentifier(key.identifier),
    authorityKeyIdentifier(issuer.key.identifier),
    ...(urls ? [distributionPoint(urls.list), issuerAccess(urls.certificate)] : []),
    ...(policies.length > 0 ? [certificatePolicies(policies)] : []),
  ])
}
