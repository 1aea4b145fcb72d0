import { type Undecided, undecided } from '../direct/refusal.js'
import type { Issuers } from '../ports/trust.js'
import { type Certificate, publicKeyOf, readCertificate } from '../x509/certificate.js'
import { sameName } from '../x509/name.js'
import { schemeOf, signatureHolds } from '../x509/signature.js'
import type { Evidence } from './evidence.js'

export const issuerLimits = {
  /** caIssuers URLs tried for one certificate; with the fetch's own deadline this bounds the wait. */
  urls: 3,
}

export interface IssuerOptions {
  /** Issuers that the operator imported; they come first, and nothing is fetched where one of them signed. */
  readonly imported: Issuers
  readonly evidence: Pick<Evidence, 'certificates'>
  readonly limits?: typeof issuerLimits
}

/**
 * Issuers from authorityInfoAccess (RFC 5280 §4.2.2.1) behind the imported ones: place after place until one gave who signed.
 * What is fetched is only a candidate; whether it may be believed, the path decides. `issuer-unavailable` when nobody who
 * signed was found and some place did not give certificates, or was one too many to be asked.
 */
export function aiaIssuers({ imported, evidence, limits = issuerLimits }: IssuerOptions): Issuers {
  return {
    async of(der): Promise<readonly Uint8Array[] | Undecided> {
      const certificate = readCertificate(der)
      const own = await imported.of(der)
      if (certificate.kind === 'malformed' || 'kind' in own) return own
      if (certificate.caIssuers.length === 0 || own.some((candidate) => signed(candidate, certificate))) return own
      const all = [...own]
      const failures: string[] = []
      for (const url of certificate.caIssuers.slice(0, limits.urls)) {
        const found = await evidence.certificates(url)
        if (found.kind === 'unavailable') {
          failures.push(found.detail)
          continue
        }
        all.push(...found.certificates)
        if (found.certificates.some((candidate) => signed(candidate, certificate))) return all
      }
      const more = certificate.caIssuers.length - limits.urls
      if (more > 0) failures.push(`${more} more places were not asked`)
      return failures.length > 0 ? undecided('issuer-unavailable', failures.join('; ')) : all
    },
  }
}

function signed(candidate: Uint8Array, certificate: Certificate): boolean {
  const issuer = readCertificate(candidate)
  if (issuer.kind === 'malformed' || !sameName(issuer.subject, certificate.issuer)) return false
  const scheme = schemeOf(certificate.signatureAlgorithm)
  const key = publicKeyOf(issuer)
  return !!scheme && !!key && signatureHolds(certificate.tbs, certificate.signature, scheme, key)
}
