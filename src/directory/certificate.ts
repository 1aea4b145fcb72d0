import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { type DirectAddress, type DirectDomain, domainOf, parseAddress, parseDomain } from '../direct/address.js'
import { type Certificate, keyUsage, publicKeyOf, readCertificate } from '../x509/certificate.js'
import { nameText, sameName } from '../x509/name.js'
import type { Owner } from './directory.js'
import { type DirectoryRefusal, problem } from './problem.js'

export interface TestOnlyPolicy {
  /** Absent everywhere but in the demo: certificates marked TEST ONLY are refused. */
  readonly takesTestOnly?: boolean
}

/** An address or a domain from what a person typed; a problem that says which of the two it failed to be. */
export function readOwner(text: string): { readonly kind: 'owner'; readonly owner: Owner } | DirectoryRefusal {
  const owner = text.includes('@') ? parseAddress(text) : parseDomain(text)
  if (owner) return { kind: 'owner', owner }
  return problem(text.includes('@') ? 'bad-address' : 'bad-domain', text)
}

export function isAddress(owner: Owner): owner is DirectAddress {
  return owner.includes('@')
}

/** The domain an owner is or lies in. */
export function domainOfOwner(owner: Owner): DirectDomain {
  return isAddress(owner) ? domainOf(owner) : (owner as DirectDomain)
}

export function readOne(
  der: Uint8Array,
): { readonly kind: 'read'; readonly certificate: Certificate } | DirectoryRefusal {
  const certificate = readCertificate(der)
  return certificate.kind === 'certificate'
    ? { kind: 'read', certificate }
    : problem('not-a-certificate', certificate.detail)
}

/** What certificates made for trying out carry in their names: everybody can have their keys, so they vouch for nobody. */
export const testOnly = 'TEST ONLY'

/** Reads a certificate that is to be kept; one made for tests is refused unless the directory was opened to take such. */
export function readNew(der: Uint8Array, { takesTestOnly = false }: TestOnlyPolicy): ReturnType<typeof readOne> {
  const read = readOne(der)
  if (read.kind === 'refused' || takesTestOnly) return read
  const marked = [read.certificate.subject, read.certificate.issuer]
    .map(nameText)
    .find((name) => name.includes(testOnly))
  return marked === undefined ? read : problem('test-only', marked)
}

/**
 * Whether a certificate speaks for exactly this owner: an rfc822Name that is the address, or a dNSName that is the domain
 * (Applicability Statement for Secure Health Transport §1.4). Every name counts, not only the first.
 */
export function names(certificate: Certificate, owner: Owner): boolean {
  return (isAddress(owner) ? certificate.names.rfc822 : certificate.names.dns).includes(owner)
}

/** What people are told of any certificate. */
export function described(certificate: Certificate) {
  return {
    id: certificate.fingerprint,
    subject: nameText(certificate.subject),
    notBefore: certificate.notBefore,
    notAfter: certificate.notAfter,
    certificate: certificate.der,
  }
}

export function validityWarnings(certificate: Certificate, at: number): ('expired' | 'not-yet-valid')[] {
  if (at > certificate.notAfter) return ['expired']
  return at < certificate.notBefore ? ['not-yet-valid'] : []
}

export function isAuthority(certificate: Certificate): boolean {
  const signs = certificate.keyUsage === undefined || (certificate.keyUsage & keyUsage.keyCertSign) !== 0
  return certificate.basicConstraints?.ca === true && signs
}

export function isSelfIssued(certificate: Certificate): boolean {
  return sameName(certificate.subject, certificate.issuer)
}

/** What the key of a certificate may do; an absent keyUsage allows everything (RFC 5280 §4.2.1.3). */
export function usesOf(certificate: Certificate) {
  const type = publicKeyOf(certificate)?.asymmetricKeyType === 'ec' ? ('ec' as const) : ('rsa' as const)
  const usage = certificate.keyUsage ?? -1
  const encrypting = type === 'ec' ? keyUsage.keyAgreement : keyUsage.keyEncipherment | keyUsage.dataEncipherment
  return { type, maySign: (usage & keyUsage.digitalSignature) !== 0, mayEncrypt: (usage & encrypting) !== 0 }
}

const curves = ['prime256v1', 'secp384r1', 'secp521r1']

/** Why a key of ours would be too weak or of a kind that Direct does not use; undefined where it is fine. */
export function weakness(certificate: Certificate): string | undefined {
  const key = publicKeyOf(certificate)
  if (!key) return 'a key of a kind that is not supported'
  const { modulusLength = 0, namedCurve = '' } = key.asymmetricKeyDetails ?? {}
  if (key.asymmetricKeyType === 'rsa')
    return modulusLength >= 2048 && modulusLength <= 8192 ? undefined : `RSA with ${modulusLength} bits`
  if (key.asymmetricKeyType === 'ec')
    return curves.includes(namedCurve) ? undefined : `a key on the curve ${namedCurve || 'without a name'}`
  return `a key of type ${key.asymmetricKeyType ?? 'unknown'}`
}

/** Checks that unencrypted PKCS#8 is the private key of this certificate. */
export function checkPrivateKey(certificate: Certificate, pkcs8: Uint8Array): DirectoryRefusal | undefined {
  let key: KeyObject
  try {
    key = createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' })
  } catch {
    // The reason is not repeated: it could quote the key.
    return problem('bad-private-key')
  }
  return matches(key, certificate) ? undefined : problem('key-mismatch', certificate.fingerprint)
}

function matches(key: KeyObject, certificate: Certificate): boolean {
  const theirs = publicKeyOf(certificate)
  return theirs !== undefined && createPublicKey(key).equals(theirs)
}

/** A certificate that we read before we stored it, in base64. */
export function stored(text: string): { readonly certificate: Certificate } {
  const read = readOne(bytes(text))
  if (read.kind === 'refused') throw new Error(`A stored certificate does not read any more: ${read.detail}`)
  return read
}

export const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
export const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'base64'))

/** Computes something of a remembered list once, for as long as it is remembered: a bundle has hundreds of anchors. */
export function once<From extends object, To>(compute: (from: From) => To): (from: From) => To {
  const computed = new WeakMap<From, To>()
  return (from) => {
    const known = computed.get(from)
    if (known !== undefined) return known
    const to = compute(from)
    computed.set(from, to)
    return to
  }
}
