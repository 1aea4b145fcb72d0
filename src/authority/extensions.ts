import { oids } from '../asn1/oids.js'
import { tags } from '../asn1/reader.js'
import {
  context,
  contextPrimitive,
  der,
  integer,
  objectIdentifier,
  octetString,
  sequenceOf,
  setOf,
} from '../asn1/writer.js'
import type { DirectAddress, DirectDomain } from '../direct/address.js'
import type { KeyUse } from '../ports/registrar.js'
import { keyUsage } from '../x509/certificate.js'

/** Extension ::= SEQUENCE { extnID, critical DEFAULT FALSE, extnValue } (RFC 5280 §4.1). */
export function extension(oid: string, value: Uint8Array, critical = false): Uint8Array {
  const flag = critical ? [der(tags.boolean, Uint8Array.of(0xff))] : []
  return sequenceOf(objectIdentifier(oid), ...flag, octetString(value))
}

const latin = (text: string) => Buffer.from(text, 'latin1')
const rfc822Name = (text: string) => contextPrimitive(1, latin(text))
const dnsName = (text: string) => contextPrimitive(2, latin(text))
const uri = (text: string) => contextPrimitive(6, latin(text))

/** Exactly one name: the address as rfc822Name, or the domain as dNSName (ANSI/DS 2019-01-100-2021 §1.4). */
export function subjectAltName(owner: DirectAddress | DirectDomain): Uint8Array {
  return extension(oids.subjectAltName, sequenceOf(owner.includes('@') ? rfc822Name(owner) : dnsName(owner)))
}

/** Named bits, trailing zeros left out (X.690 §11.2.2); `bits` as `keyUsage` numbers them, bit 0 lowest. Never none. */
export function keyUsageExtension(bits: number): Uint8Array {
  const highest = 31 - Math.clz32(bits)
  const octets = new Uint8Array((highest >> 3) + 1)
  for (let bit = 0; bit <= highest; bit++)
    if (bits & (1 << bit)) octets[bit >> 3] = (octets[bit >> 3] as number) | (0x80 >> (bit & 7))
  return extension(oids.keyUsage, der(tags.bitString, Uint8Array.of(7 - (highest & 7)), octets), true)
}

/** What a use means for a key: RSA transports keys, an elliptic curve agrees on them (RFC 5280 §4.2.1.3, RFC 5480 §3). */
export function usageBits(use: KeyUse, type: 'rsa' | 'ec'): number {
  const encrypting = type === 'rsa' ? keyUsage.keyEncipherment : keyUsage.keyAgreement
  return (use === 'encrypt' ? 0 : keyUsage.digitalSignature) | (use === 'sign' ? 0 : encrypting)
}

/** For e-mail and nothing else (RFC 5280 §4.2.1.12). */
export function emailProtection(): Uint8Array {
  return extension(oids.extendedKeyUsage, sequenceOf(objectIdentifier(oids.emailProtection)))
}

/** `none` for those who issue nothing; an authority of ours issues no further authorities (RFC 5280 §4.2.1.9). */
export function basicConstraints(authority: boolean): Uint8Array {
  const value = authority ? [der(tags.boolean, Uint8Array.of(0xff)), integer(0)] : []
  return extension(oids.basicConstraints, sequenceOf(...value), true)
}

export function subjectKeyIdentifier(id: Uint8Array): Uint8Array {
  return extension(oids.subjectKeyIdentifier, octetString(id))
}

export function authorityKeyIdentifier(id: Uint8Array): Uint8Array {
  return extension(oids.authorityKeyIdentifier, sequenceOf(contextPrimitive(0, id)))
}

/** One distribution point with one URL: [0] distributionPoint { [0] fullName { [6] } } (RFC 5280 §4.2.1.13). */
export function distributionPoint(url: string): Uint8Array {
  return extension(oids.crlDistributionPoints, sequenceOf(sequenceOf(context(0, context(0, uri(url))))))
}

/** Where the issuer's certificate is (RFC 5280 §4.2.2.1). */
export function issuerAccess(url: string): Uint8Array {
  return extension(oids.authorityInfoAccess, sequenceOf(sequenceOf(objectIdentifier(oids.caIssuers), uri(url))))
}

export function certificatePolicies(policies: readonly string[]): Uint8Array {
  const known = policies.map((policy) => sequenceOf(objectIdentifier(policy)))
  return extension(oids.certificatePolicies, sequenceOf(...known))
}

/** Only addresses and names of these domains: rfc822Name and dNSName each (RFC 5280 §4.2.1.10). */
export function permittedDomains(domains: readonly DirectDomain[]): Uint8Array {
  const subtrees = domains.flatMap((domain) => [sequenceOf(rfc822Name(domain)), sequenceOf(dnsName(domain))])
  return extension(oids.nameConstraints, sequenceOf(context(0, ...subtrees)), true)
}

const commonNameOid = '2.5.4.3'
const commonNameCharacters = 64 // ub-common-name, RFC 5280 Appendix A.1

/** A Name of one commonName. A longer text keeps its beginning and ends in part of a digest, so that no two become one. */
export function commonName(text: string, digest: string): Uint8Array {
  const shown = text.length <= commonNameCharacters ? text : `${text.slice(0, 47)}~${digest.slice(0, 16)}`
  const value = der(tags.utf8String, Buffer.from(shown))
  return sequenceOf(setOf(sequenceOf(objectIdentifier(commonNameOid), value)))
}
