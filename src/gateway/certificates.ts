import { X509Certificate } from 'node:crypto'
import { startFiles } from '../api/files.js'
import type { Config } from '../config/settings.js'
import { clock, type House, random } from '../house.js'
import { type BundlePorts, type Bundles, openBundles, startBundleRefresh } from '../pipeline/bundles.js'
import { type Certificates, openCertificates, startCertificates } from '../pipeline/certificates.js'
import type { Ending } from '../pipeline/expiry.js'
import type { KeyArithmetic } from '../ports/arithmetic.js'
import type { Log, Metrics } from '../ports/observe.js'
import { causeOf, certificateOf, every, listening, type Parts } from './parts.js'
import type { Reach } from './reach.js'

/** Where keys in tokens are reached; undefined where none are. */
export function tokenPlace({ pkcs11: { module, pinFile } }: Config): { module: string; pinFile: string } | undefined {
  return module === undefined || pinFile === undefined ? undefined : { module, pinFile }
}

const measureEveryMs = 3_600_000

/** Our own certificates from the request to the end, over an open house. */
export function certificatesOf(
  { store, directory, audit }: Pick<House, 'store' | 'directory' | 'audit'>,
  config: Config,
  told: { readonly arithmetic: KeyArithmetic; readonly log: Log; readonly metrics: Metrics },
): Certificates {
  const { publicUrl, ownerDays, listDays, policies } = config.authority
  return openCertificates(
    { ...{ store, directory, audit, clock, random }, ...told, outside: async () => listenerEndings(config) },
    { authority: { ...(publicUrl !== undefined && { publicUrl }), ownerDays, listDays, policies } },
  )
}

/** Certificates of our listeners, which stand in files. One that cannot be read has no end that could be told. */
function listenerEndings({ smtp, http, edge }: Config): readonly Ending[] {
  return Object.entries({ smtp, http, submission: edge.submission }).flatMap(
    ([listener, { tls }]): readonly Ending[] => {
      try {
        const files = certificateOf(tls)
        if (!files) return []
        const { subject, validTo } = new X509Certificate(files.cert)
        const notAfter = Date.parse(validTo)
        return [{ kind: 'tls', id: listener, owner: listener, subject, notAfter, replaced: false }]
      } catch {
        return [] // The listener itself says that its files do not load.
      }
    },
  )
}

/** Renews and warns from now on, and serves the files of our authorities where a listener for them is configured. */
export async function startOwnCertificates(parts: Parts, certificates: Certificates): Promise<void> {
  const { house, config, log, metrics, closers } = parts
  const work = await startCertificates(certificates, { store: house.store, clock, log })
  closers.push((graceMs) => work.close(graceMs))
  every(parts, measureEveryMs, 'certificates.not-measured', () => certificates.measure())
  void certificates
    .measure()
    .catch((error: unknown) => log.error('certificates.not-measured', { cause: causeOf(error) }))
  const { host, port } = config.authority.files
  if (port === undefined) return
  const files = await listening('authority.files', { host, port }, () =>
    startFiles({ files: certificates.authority, clock, log, metrics }, { host, port }),
  )
  log.info('authority.files', { url: files.url })
  closers.push(() => files.close())
}

/** Trust bundles: loading one when asked to, and all of them when they are due. */
export function startBundles(
  { house, log, metrics, closers }: Parts,
  { revocation, issuers, bundleFetch }: Reach,
): Bundles {
  const { store, directory, audit } = house
  const ports: BundlePorts = {
    store,
    directory,
    audit,
    clock,
    random,
    log,
    metrics,
    fetch: bundleFetch,
    revocation,
    issuers,
  }
  const work = startBundleRefresh(ports)
  closers.push((graceMs) => work.stop(graceMs))
  return openBundles(ports)
}
