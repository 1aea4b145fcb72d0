import type { Config } from '../config/settings.js'
import { clock, type House, random } from '../house.js'
import { bundleFetchRules } from '../pipeline/bundles.js'
import type { ConditionalFetch } from '../ports/fetch.js'
import type { Metrics } from '../ports/observe.js'
import type { CertificateDirectory, Issuers, Revocation } from '../ports/trust.js'
import { aiaIssuers } from '../resolve/aia.js'
import { bundleFetch } from '../resolve/bundles.js'
import { firstOf, openDiscovery } from '../resolve/discovery.js'
import { certificateFetchRules } from '../resolve/discovery-steps.js'
import { lookupThrough, openNameServers } from '../resolve/dns.js'
import { evidenceLimits, openEvidence } from '../resolve/evidence.js'
import { fetchWithin } from '../resolve/fetch.js'
import { openLdap } from '../resolve/ldap.js'
import { openRevocation, type Unavailable } from '../trust/revocation.js'

/** What trust decisions ask of the network, all within the limits of the configuration. */
export interface Reach {
  readonly revocation: Revocation
  readonly issuers: Issuers
  /** Certificates of others: imported, else discovered. */
  readonly discovery: CertificateDirectory
  readonly bundleFetch: ConditionalFetch
  /** Waits for what is under way, so that the store may be closed. */
  close(): Promise<void>
}

/** Opens our ways to what others publish. `onUnavailable` hears of hosts that do not say whether certificates are revoked. */
export function openReach(
  { store, directory }: Pick<House, 'store' | 'directory'>,
  { dns, fetch, discovery }: Config,
  told: { readonly metrics?: Metrics; readonly onUnavailable?: (unavailable: Unavailable) => void } = {},
): Reach {
  const { metrics, onUnavailable } = told
  const allowPrivate = fetch.allowPrivateAddresses
  const nameServers = openNameServers({
    servers: dns.servers,
    random,
    allowPrivate,
    limits: { timeoutMs: dns.timeoutMs, attempts: dns.attempts },
  })
  const reach = {
    timeoutMs: fetch.timeoutMs,
    allowPrivate,
    // The system knows more ways than name servers; where the operator named some, they are the only one.
    ...(dns.servers.length > 0 && { lookup: lookupThrough(nameServers) }),
  }
  const evidence = openEvidence({
    ...{ reach, store, clock, limits: refreshedEvery(fetch.refreshSeconds * 1000) },
    ...(metrics && { metrics }),
  })
  const issuers = aiaIssuers({ imported: directory.issuers, evidence })
  return {
    issuers,
    revocation: openRevocation({
      sources: evidence.revocation,
      issuers,
      clock,
      ...(onUnavailable && { onUnavailable }),
    }),
    discovery: firstOf(
      directory.peers,
      openDiscovery({
        dns: nameServers,
        ldap: openLdap(),
        fetch: fetchWithin({ ...certificateFetchRules, ...reach }),
        clock,
        allowPrivate,
        limits: { deadlineMs: discovery.deadlineSeconds * 1000 },
      }),
    ),
    bundleFetch: bundleFetch({ ...reach, ...bundleFetchRules }),
    close: () => evidence.close(),
  }
}

/** Lists and answers are asked for anew at this age, and for the last quarter of it behind the question. */
function refreshedEvery(refreshMs: number): typeof evidenceLimits {
  const { list, ocsp } = evidenceLimits
  const when = { refreshMs, aheadMs: refreshMs / 4 }
  return { ...evidenceLimits, list: { ...list, ...when }, ocsp: { ...ocsp, ...when } }
}
