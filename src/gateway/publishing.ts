import { clock } from '../house.js'
import { publicationsOf } from '../pipeline/publications.js'
import type { Publications } from '../ports/publish.js'
import { startDovecotPublishing } from '../publish/dovecot.js'
import { startLdapPublishing } from '../publish/ldap.js'
import { startNameServer } from '../publish/name-server.js'
import { alarm, listening, type Parts, textOf } from './parts.js'

/** Starts telling others our certificates, by DNS and by LDAP, and a Dovecot our accounts, as far as the configuration asks for it. */
export async function startPublishing(parts: Parts): Promise<void> {
  const { dns, ldap } = parts.config.publish
  const publications = publicationsOf({ directory: parts.house.directory, clock })
  if (dns.zones.length > 0) await startZones(parts, publications)
  if (ldap.url !== undefined) startLdap(parts, publications)
  const { usersFile } = parts.config.edge.dovecot
  if (usersFile !== undefined) startDovecot(parts, usersFile)
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
    password: textOf(passwordFile, 'publish.ldap.passwordFile').replace(/\r?\n$/, ''),
    ...(caFile !== undefined && { ca: textOf(caFile, 'publish.ldap.caFile') }),
    everyMs: everySeconds * 1000,
    onReport(report) {
      // Once when it begins: what others find grows old from then on.
      if (report.kind === 'failed' && !failing) alarm(parts, 'ldap-not-published', {}, report.detail)
      failing = report.kind === 'failed'
    },
  })
  closers.push(() => publishing.close())
}

/** Keeps the accounts that read mail where a Dovecot beside the gateway looks for them. */
function startDovecot(parts: Parts, usersFile: string): void {
  const { house, log, metrics, closers } = parts
  let failing = false
  const publishing = startDovecotPublishing({
    ...{ usersFile, log, metrics },
    accounts: house.directory.accounts.logins,
    onReport(report) {
      // Once when it begins: from then on an account that was disabled still reads.
      if (report.kind === 'failed' && !failing) alarm(parts, 'accounts-not-published', {}, report.detail)
      failing = report.kind === 'failed'
    },
  })
  closers.push(() => publishing.close())
}
