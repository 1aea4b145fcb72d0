import { isIP } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client, InvalidCredentialsError } from 'ldapts'
import type { Log, Metrics } from '../ports/observe.js'
import type { Publication, Publications } from '../ports/publish.js'
import { type Kept, openUnit, type Unit } from './ldap-unit.js'

export const ldapPublishingLimits = {
  /** Changes of one round, one after the other; what is left comes in the next, soon. */
  changesPerRound: 5000,
  /** Entries compared in one round, some 300 bytes each. More addresses need a directory of their own kind. */
  entries: 500_000,
  /** Entries of one read. */
  pageEntries: 500,
  connectMs: 5_000,
  /** One operation. */
  operationMs: 15_000,
  /** Pause before another try after a failure, doubled each time up to the usual interval. */
  retryMs: 5_000,
  /** Pause before the next round where changes are left. */
  soonMs: 1_000,
}

export interface LdapPublishingOptions {
  /** `ldaps://host[:port]` or `ldap://host[:port]`. */
  readonly url: string
  /** Encrypts an `ldap:` connection before anything is said (RFC 4511 §4.14). */
  readonly startTls?: boolean
  /** PEM of the authorities that vouch for the server; those of the system where absent. */
  readonly ca?: string
  readonly bindDn: string
  readonly password: string
  /** An organizational unit that is ours: made where it is missing and what is above it is there. */
  readonly baseDn: string
  readonly publications: Publications
  /** Between two rounds. */
  readonly everyMs: number
  readonly log: Log
  readonly metrics: Metrics
  /** Hears of each round: for health and alarms. */
  readonly onReport?: (report: LdapReport) => void
  readonly limits?: Partial<typeof ldapPublishingLimits>
}

export type LdapReport =
  | {
      readonly kind: 'synced'
      /** Entries of ours in the directory now. */
      readonly entries: number
      readonly added: number
      readonly changed: number
      readonly removed: number
      /** Names that somebody else's entry has: not touched, and not published. */
      readonly taken: readonly string[]
      /** There was more to change than one round does. */
      readonly more: boolean
    }
  | { readonly kind: 'failed'; readonly detail: string }

export interface LdapPublishing {
  /** A round now, or the one under way. Never throws: the directory's failures are an answer. */
  sync(): Promise<LdapReport>
  /** Ends after the operation under way. What is published stays. */
  close(): Promise<void>
}

/**
 * Keeps entries with our certificates in an LDAP directory (RFC 4523, Certificate Discovery for Direct): one for each
 * address and domain, found by `mail`. Only differences are written. Throws for a URL that would carry the
 * password in the clear.
 */
export function startLdapPublishing(options: LdapPublishingOptions): LdapPublishing {
  const { everyMs, log, metrics, onReport } = options
  const limits = { ...ldapPublishingLimits, ...options.limits }
  checkUrl(options)
  const closed = new AbortController()
  let underWay: Promise<LdapReport> | undefined
  let failures = 0

  async function round(): Promise<LdapReport> {
    const report = await once(options, limits, closed.signal)
    if (report.kind === 'failed') {
      failures++
      metrics.count('ldap_publishing_failures_total')
      log.warn('ldap.publishing-failed', { reason: report.detail, failures })
    } else {
      failures = 0
      metrics.gauge('ldap_published_entries', report.entries)
      const { added, changed, removed, taken } = report
      if (added + changed + removed + taken.length > 0)
        log.info('ldap.published', { added, changed, removed, taken: taken.length })
    }
    onReport?.(report)
    return report
  }

  function sync(): Promise<LdapReport> {
    underWay ??= round().finally(() => {
      underWay = undefined
    })
    return underWay
  }

  function pauseMs(report: LdapReport): number {
    if (report.kind === 'failed') return Math.min(everyMs, limits.retryMs * 2 ** Math.min(failures - 1, 16))
    return report.more ? Math.min(everyMs, limits.soonMs) : everyMs
  }

  async function go(): Promise<void> {
    while (!closed.signal.aborted) {
      const report = await sync()
      await sleep(pauseMs(report), undefined, { signal: closed.signal, ref: false }).catch(() => undefined)
    }
  }

  const ended = go()
  return {
    sync,
    async close() {
      closed.abort()
      await Promise.all([ended, underWay])
    },
  }
}

function checkUrl({ url, startTls }: LdapPublishingOptions): void {
  const { protocol, hostname } = new URL(url)
  const here = hostname === 'localhost' || hostname === '[::1]' || (isIP(hostname) === 4 && hostname.startsWith('127.'))
  if (protocol !== 'ldap:' && protocol !== 'ldaps:') throw new Error(`${url} is no LDAP URL`)
  if (protocol === 'ldap:' && !startTls && !here)
    throw new Error(`${url} would carry the password in the clear: take ldaps:// or startTls`)
}

type Limits = typeof ldapPublishingLimits

async function once(options: LdapPublishingOptions, limits: Limits, signal: AbortSignal): Promise<LdapReport> {
  const secure = options.url.startsWith('ldaps:')
  const tls = { ...(options.ca !== undefined && { ca: options.ca }), minVersion: 'TLSv1.2' as const }
  const client = new Client({
    url: options.url,
    timeout: limits.operationMs,
    connectTimeout: limits.connectMs,
    ...(secure && { tlsOptions: tls }),
  })
  try {
    if (options.startTls && !secure) await client.startTLS({ ...tls, host: new URL(options.url).hostname })
    await client.bind(options.bindDn, options.password)
    return await reconcile(openUnit(client, options.baseDn, limits.pageEntries), options.publications, limits, signal)
  } catch (error) {
    // Not the server's words here: they may quote what was sent.
    const detail = error instanceof InvalidCredentialsError ? 'name or password is wrong' : String(error)
    return { kind: 'failed', detail }
  } finally {
    await client.unbind().catch(() => undefined)
  }
}

/** Makes the unit hold what is published, no more and no less. Safe to break off anywhere: the next round sees what is there. */
async function reconcile(
  unit: Unit,
  publications: Publications,
  limits: Limits,
  signal: AbortSignal,
): Promise<LdapReport> {
  const done = { added: 0, changed: 0, removed: 0 }
  const taken: string[] = []
  const changes = () => done.added + done.changed + done.removed
  const more = () => signal.aborted || changes() >= limits.changesPerRound
  await unit.make()
  const { found, surplus } = await unit.read(limits.entries)
  const unseen = new Map<string, Kept>(found)
  const report = (): LdapReport => {
    const entries = found.size + done.added - done.removed
    return { kind: 'synced', entries: Math.max(0, entries), ...done, taken, more: more() }
  }

  for (const dn of surplus) await unit.remove(dn)
  for await (const publication of everything(publications)) {
    const { owner } = publication
    const kept = unseen.get(owner)
    unseen.delete(owner)
    if (kept && unit.says(kept, publication)) continue
    if (more()) return report()
    if (kept) {
      await unit.change(kept.dn, publication)
      done.changed++
    } else if (await unit.add(publication)) done.added++
    else taken.push(owner)
  }
  // Only what all of the publications do not name goes: had reading them failed, we would not be here.
  for (const { dn } of unseen.values()) {
    if (more()) return report()
    await unit.remove(dn)
    done.removed++
  }
  return { ...report(), more: false } as LdapReport
}

async function* everything(publications: Publications): AsyncGenerator<Publication> {
  let page = await publications.all()
  while (page.length > 0) {
    yield* page
    page = await publications.all(page.at(-1)?.owner)
  }
}
