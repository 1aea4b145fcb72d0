import { readFileSync } from 'node:fs'
import { clock } from '../house.js'
import { publicationsOf } from '../pipeline/publications.js'
import type { Publications } from '../ports/publish.js'
import { startLdapPublishing } from '../publish/ldap.js'
import { startNameServer } from '../publish/name-server.js'
import { alarm, CannotStart, listening, type Parts } from './parts.js'

/** Starts telling others our certificates, by DNS and by LDAP, as far as the configuration asks for it. */
export async function startPublishing(parts: Parts): Promise<void> {
  const { dns, ldap } = parts.config.publish
  const publications = publicationsOf({ directory: parts.house.directory, clock })
  if (dns.zones.length > 0) await startZones(parts, publications)
  if (ldap.url !== undefined) startLdap(parts, publications)
}

async function startZones({ config, log, metrics, closers }: Parts, publications: Publications): Promise<void> {
  const { host, port, zones } = config.publish.dns
  const server = await listening('publish.dns', { host, port }, () =>
    startNameServer({ host, port, zones, publications, clock, log, metrics }),
  )
  log.info('publish.dns', { host, port: server.port, zones: zones.length })
  closers.push(() => server.close())
}

function startLdap(parts: Parts, publications: Publications): void {
  const { config, log, metrics, closers } = parts
  const { url = '', bindDn = '', baseDn = '', passwordFile = '', caFile, startTls, everySeconds } = config.publish.ldap
  let failing = false
  const publishing = startLdapPublishing({
    ...{ url, bindDn, baseDn, startTls, publications, log, metrics },
    password: secretOf(passwordFile),
    ...(caFile !== undefined && { ca: readFileSync(caFile, 'utf8') }),
    everyMs: everySeconds * 1000,
    onReport(report) {
      // Once when it begins: what others find grows old from then on.
      if (report.kind === 'failed' && !failing) alarm(parts, 'ldap-not-published', {}, report.detail)
      failing = report.kind === 'failed'
    },
  })
  closers.push(() => publishing.close())
}

function secretOf(file: string): string {
  try {
    return readFileSync(file, 'utf8').replace(/\r?\n$/, '')
  } catch (error) {
    throw new CannotStart(`publish.ldap.passwordFile cannot be read: ${(error as NodeJS.ErrnoException).code ?? error}`)
  }
}
