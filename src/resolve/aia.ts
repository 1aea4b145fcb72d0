import { type Undecided, undecided } from '../direct/refusal.js'
import type { Issuers } from '../ports/trust.js'
import type { Clock } from '../ports/world.js'
import { certificatesIn } from '../x509/bundle.js'
import { type Certificate, publicKeyOf, readCertificate } from '../x509/certificate.js'
import { sameName } from '../x509/name.js'
import { schemeOf, signatureHolds } from '../x509/signature.js'
import type { Fetch, FetchRules } from './fetch.js'
import { type Loaded, type LoadFailed, sources } from './sources.js'

export const issuerLimits = {
  /** caIssuers URLs tried for one certificate. */
  urls: 3,
  /** Certificates taken from one answer. */
  certificates: 20,
  /** Issuer certificates change with their keys, every few years. */
  freshMs: 24 * 3_600_000,
}

/** Fetch rules for issuers: a .p7c of twenty certificates is 40 KB. */
export const issuerFetchRules: Partial<FetchRules> = { sizeBytes: 512 * 1024 }

export interface IssuerOptions {
  /** Issuers that the operator imported; they come first, and nothing is fetched where one of them signed. */
  readonly imported: Issuers
  readonly fetch: Fetch
  readonly clock: Clock
  readonly limits?: typeof issuerLimits
}

/**
 * Issuers from authorityInfoAccess (RFC 5280 §4.2.2.1) behind the imported ones: DER, PEM and certificates-only CMS. What
 * is fetched is only a candidate; whether it signed, and may be believed, the path decides. `issuer-unavailable` when
 * a certificate names places to fetch from and none gave certificates.
 */
export function aiaIssuers({ imported, fetch, clock, limits = issuerLimits }: IssuerOptions): Issuers {
  const certificatesAt = sources<readonly Uint8Array[]>((url) => loadIssuers(url, fetch, clock, limits), clock)
  return {
    async of(der): Promise<readonly Uint8Array[] | Undecided> {
      const certificate = readCertificate(der)
      const own = await imported.of(der)
      if (certificate.kind === 'malformed' || 'kind' in own) return own
      if (certificate.caIssuers.length === 0 || own.some((candidate) => signed(candidate, certificate))) return own
      const failures: string[] = []
      for (const url of certificate.caIssuers.slice(0, limits.urls)) {
        const found = await certificatesAt(url)
        if (found.kind === 'loaded') return [...own, ...found.value]
        failures.push(found.detail)
      }
      return undecided('issuer-unavailable', failures.join('; '))
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

async function loadIssuers(
  url: string,
  fetch: Fetch,
  clock: Clock,
  limits: typeof issuerLimits,
): Promise<Loaded<readonly Uint8Array[]> | LoadFailed> {
  const fetched = await fetch(url)
  if (fetched.kind !== 'fetched') return { kind: 'failed', detail: fetched.detail }
  const value = certificatesIn(fetched.body, limits.certificates)
  // A login page with status 200 is no answer either.
  if (value.length === 0) return { kind: 'failed', detail: 'the answer has no certificates' }
  const until = clock.now() + limits.freshMs
  return { kind: 'loaded', value, sizeBytes: fetched.body.length, freshUntil: until, validUntil: until }
}
