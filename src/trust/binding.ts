import { type DirectAddress, domainOf } from '../direct/address.js'
import type { Certificate } from '../x509/certificate.js'

/**
 * How a certificate is bound to an address: `address` when a subjectAltName rfc822Name is it, `domain` when a dNSName is
 * its domain, else undefined (Applicability Statement §1.4 and §4.1). Every name is looked at; case is folded, the local
 * part's too; wildcards, parent domains and the subject's emailAddress bind nothing.
 */
export function bindsTo(certificate: Certificate, address: DirectAddress): 'address' | 'domain' | undefined {
  if (certificate.names.rfc822.includes(address)) return 'address'
  if (certificate.names.dns.includes(domainOf(address))) return 'domain'
  return undefined
}
