import type { Revocation, RevocationAnswer } from '../ports/trust.js'
import type { Clock } from '../ports/world.js'
import { type Certificate, readCertificate } from '../x509/certificate.js'
import { type Crl, crlAnswer, readCrl } from '../x509/crl.js'
import { recent } from '../x509/recent.js'
import type { Fetch } from './fetch.js'
import { type Loaded, type LoadFailed, sources } from './sources.js'

export const revocationLimits = {
  /** A list is asked for again after an hour even if it promises to be valid for a month: revocations do not wait. */
  refreshMs: 3_600_000,
  /** Distribution points tried for one certificate; together with the fetch's own deadline this bounds the wait. */
  points: 4,
  /** Answers remembered; about 150 bytes each. */
  remembered: 20_000,
}

export interface RevocationOptions {
  readonly fetch: Fetch
  readonly clock: Clock
  /** Accept lists signed with SHA-1; never MD5. */
  readonly allowSha1?: boolean
  readonly limits?: typeof revocationLimits
}

/**
 * Revocation by CRLs over HTTP (RFC 5280 §6.3): every distribution point is tried in order until one proves something.
 * Fails closed: unreachable, out of date, of another issuer, unsigned or not about this certificate answers `unavailable`
 * with each point's reason. Lists and answers are remembered until the list is asked for again.
 */
export function crlRevocation({
  fetch,
  clock,
  allowSha1 = false,
  limits = revocationLimits,
}: RevocationOptions): Revocation {
  const listAt = sources<Crl>((url) => loadCrl(url, fetch, clock, limits), clock)
  const remembered = recent<{ readonly list: Loaded<Crl>; readonly answer: RevocationAnswer }>(limits.remembered)

  const judge = (list: Loaded<Crl>, certificate: Certificate, issuer: Certificate, moment: number) => {
    // The same list says the same about the same certificate until it is out of date, when it no longer comes from `listAt`.
    const key = certificate.fingerprint + issuer.fingerprint
    const known = remembered.get(key)
    if (known?.list === list && moment <= list.validUntil) return known.answer
    const found = crlAnswer(list.value, certificate, issuer, moment, { allowSha1 })
    if (found.kind !== 'no-proof') remembered.set(key, { list, answer: found })
    return found
  }

  return {
    async status({ path: [certificateDer, issuerDer], at }): Promise<RevocationAnswer> {
      const certificate = readCertificate(certificateDer ?? new Uint8Array())
      const issuer = readCertificate(issuerDer ?? new Uint8Array())
      if (certificate.kind === 'malformed' || issuer.kind === 'malformed')
        return { kind: 'unavailable', detail: 'a certificate that does not parse' }
      if (!certificate.hasCrlPoints) return { kind: 'not-published' }
      const moment = Math.max(at, clock.now())
      const failures: string[] = []
      for (const url of certificate.crlUrls.slice(0, limits.points)) {
        const list = await listAt(url)
        if (list.kind === 'failed') {
          failures.push(list.detail)
          continue
        }
        const answer = judge(list, certificate, issuer, moment)
        if (answer.kind !== 'no-proof') return answer
        failures.push(answer.detail)
      }
      return { kind: 'unavailable', detail: failures.join('; ') || 'its distribution points have no URL' }
    },
  }
}

async function loadCrl(
  url: string,
  fetch: Fetch,
  clock: Clock,
  limits: typeof revocationLimits,
): Promise<Loaded<Crl> | LoadFailed> {
  const fetched = await fetch(url)
  if (fetched.kind !== 'fetched') return { kind: 'failed', detail: fetched.detail }
  const crl = readCrl(fetched.body)
  if (crl.kind === 'malformed') return { kind: 'failed', detail: `not a CRL: ${crl.detail}` }
  const now = clock.now()
  // A list without an end, or past it, proves nothing; asking again soon is all that can be done.
  if (crl.nextUpdate === undefined) return { kind: 'failed', detail: 'the CRL has no nextUpdate' }
  if (crl.nextUpdate < now) return { kind: 'failed', detail: 'the CRL is out of date' }
  const freshUntil = Math.min(crl.nextUpdate, now + limits.refreshMs)
  return { kind: 'loaded', value: crl, sizeBytes: crl.sizeBytes, freshUntil, validUntil: crl.nextUpdate }
}
