import { oids } from '../asn1/oids.js'
import * as asn1 from '../asn1/reader.js'
import { context, integer, objectIdentifier, sequenceOf, setOf } from '../asn1/writer.js'
import type { DirectAddress, DirectDomain } from '../direct/address.js'
import type { Undecided } from '../direct/refusal.js'
import type { KeyArithmetic } from '../ports/arithmetic.js'
import type { KeyUse } from '../ports/registrar.js'
import { algorithmOf, readExtensions } from '../x509/certificate.js'
import { schemeOf, signatureHolds } from '../x509/signature.js'
import { emailProtection, keyUsageExtension, subjectAltName, usageBits } from './extensions.js'
import { ownerName } from './profile.js'
import { type PublicKey, readPublicKey, type Signer, signed } from './signing.js'

export const requestLimits = {
  /** A request for a key of 8192 bits with all its extensions stays below 4 KiB. */
  sizeBytes: 16 * 1024,
  /** Names that one request may ask for; ours ask for one. */
  names: 32,
}

/** PKCS#9 extensionRequest (RFC 2985 §5.4.2). */
const extensionRequest = '1.2.840.113549.1.9.14'

/**
 * CertificationRequest (RFC 2986 §4) for what a Direct certificate has: the address as rfc822Name or the domain as
 * dNSName, use as asked, and e-mail protection. DER.
 */
export function newRequest(
  signer: Signer,
  owner: DirectAddress | DirectDomain,
  use: KeyUse,
  arithmetic: Pick<KeyArithmetic, 'signData'>,
): Promise<{ readonly kind: 'made'; readonly der: Uint8Array } | Undecided> {
  const { spki, type } = signer.publicKey
  const extensions = sequenceOf(subjectAltName(owner), keyUsageExtension(usageBits(use, type)), emailProtection())
  const info = sequenceOf(
    integer(0),
    ownerName(owner),
    spki,
    context(0, sequenceOf(objectIdentifier(extensionRequest), setOf(extensions))),
  )
  return signed(info, signer, arithmetic)
}

/** A request whose signature shows that whoever made it has the private key. */
export interface ReadRequest {
  readonly kind: 'request'
  readonly key: PublicKey
  /** Names asked for in subjectAltName, lower-cased: addresses and domains. `others` counts names of other kinds. */
  readonly names: readonly string[]
  readonly others: number
}

export interface BadRequest {
  readonly kind: 'bad'
  readonly detail: string
}

/** Reads a PKCS#10 request, DER, and checks its signature. Answers `bad` for all else; never throws for what stands there. */
export function readRequest(der: Uint8Array): ReadRequest | BadRequest {
  if (der.length > requestLimits.sizeBytes) return bad('the request is too large')
  try {
    return parse(der)
  } catch (error) {
    if (error instanceof asn1.Asn1Error) return bad(error.message)
    throw error
  }
}

function parse(der: Uint8Array): ReadRequest | BadRequest {
  const outer = asn1.onlyElement(der)
  asn1.assertDer(outer)
  const [info, algorithm, signature, ...rest] = asn1.sequence(outer, 4)
  const [version, subject, spki, attributes, ...more] = asn1.sequence(info, 5)
  if (rest.length > 0 || more.length > 0) return bad('unknown fields in a request')
  if (asn1.smallInteger(version) !== 0) return bad('unknown version of a request')
  asn1.expect(subject, asn1.tags.sequence)
  const key = readPublicKey(asn1.whole(asn1.expect(spki, asn1.tags.sequence)))
  if (key.kind === 'unfit') return bad(key.detail)
  const scheme = schemeOf(algorithmOf(algorithm))
  if (!scheme || scheme.digest === 'md5' || scheme.digest === 'sha1')
    return bad('signed with an algorithm not relied on')
  if (!signatureHolds(asn1.whole(info as asn1.Element), asn1.bitOctets(signature), scheme, key.object))
    return bad('the signature is not of the key that asks')
  return { kind: 'request', key, ...namesOf(attributes) }
}

function namesOf(attributes: asn1.Element | undefined): { names: string[]; others: number } {
  const names: string[] = []
  let others = 0
  for (const attribute of attributes ? asn1.children(asn1.expect(attributes, 0xa0), 16) : []) {
    const [type, values] = asn1.sequence(attribute, 2)
    if (asn1.oid(type) !== extensionRequest) continue
    const [first] = asn1.children(asn1.expect(values, asn1.tags.set), 1)
    for (const { oid, value } of readExtensions(first)) {
      if (oid !== oids.subjectAltName) continue
      for (const name of asn1.sequence(asn1.onlyElement(value), requestLimits.names)) {
        if (name.tag === 0x81 || name.tag === 0x82)
          names.push(Buffer.from(asn1.content(name)).toString('latin1').toLowerCase())
        else others++
      }
    }
  }
  return { names, others }
}

function bad(detail: string): BadRequest {
  return { kind: 'bad', detail }
}
