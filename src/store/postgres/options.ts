import process from 'node:process'
import type { ConnectionOptions } from 'node:tls'
import type { Clock } from '../../ports/world.js'

/** What a gateway waits for its database, with reasons beside the numbers. */
export const postgresTimeouts = {
  /** One address: resolving, connecting, TLS and authentication. */
  connectMs: 5_000,
  /** A server that has not ended a statement by then is taken for broken. */
  statementMs: 30_000,
  /** Waiting for rows that another node holds; its own transaction ends long before. */
  lockMs: 10_000,
  /** A node that stops in the middle of a transaction holds the end of a log no longer than this. */
  idleInTransactionMs: 5_000,
  /** By our own clock, for servers and networks that swallow what we send: no answer by then, and the connection is dropped. */
  answerMs: 35_000,
  /** How often an idle store asks whether its server is still there, still takes writes and is still set as at opening. */
  heartbeatMs: 5_000,
  /** How long the first opening waits for a server that cannot be reached or is starting. */
  openMs: 10_000,
  /** First and longest wait between attempts to come back; doubled each time, and spread by up to a half. */
  reconnectMs: 50,
  reconnectMaxMs: 2_000,
  /** How long a server may refuse us (password, database, settings) after it worked, before only a new opening helps. */
  refusedMs: 300_000,
  /** A backup that takes no row for so long lets go of its snapshot, which keeps the server from cleaning up. */
  snapshotIdleMs: 600_000,
} as const

export type PostgresTimeouts = { readonly [name in keyof typeof postgresTimeouts]: number }

export const postgresLimits = {
  /** Transactions tried for one group of commits when other nodes are faster: each failure is another's success. */
  attempts: 50,
  /** Gets joined in one query. */
  gets: 256,
  /** What one page of a snapshot may carry, beside its first row. */
  pageBytes: 4 * 1024 * 1024,
  pageRows: 256,
  /** What one transaction of `load` carries. */
  loadBytes: 4 * 1024 * 1024,
  loadRows: 4096,
} as const

export interface PostgresTls {
  /**
   * `verify-full` (the chain and the host's name), `verify-ca` (the chain only), `off`. Default: `verify-full`, and `off`
   * where the host is this machine. Anything weaker would be taken for safe and is not offered.
   */
  readonly mode?: 'verify-full' | 'verify-ca' | 'off'
  /** PEM certificates that may vouch for the server. Default: those Node brings along. */
  readonly ca?: string
}

export interface PostgresOptions {
  /**
   * `postgresql://user@host:5432/database`; several hosts with commas between them, or several URLs. They are tried in
   * order until one takes writes.
   */
  readonly urls: readonly string[]
  /** Asked at every connection where it is a function, so that it may change. Default: of the URL, PGPASSWORD, PGPASSFILE. */
  readonly password?: string | (() => Promise<string>)
  readonly tls?: PostgresTls
  readonly schema?: string
  /** Connections for reading; one more writes and one claims. */
  readonly poolSize?: number
  /** Refuses a server that would acknowledge a commit which no other machine has. */
  readonly requireStandby?: boolean
  readonly timeouts?: Partial<PostgresTimeouts>
  /** In place of the server's clock; for tests only, since nodes would disagree. */
  readonly clock?: Clock
  /** Told of lost and regained connections; texts carry no values and no password. */
  readonly onChange?: (change: { readonly kind: 'connected' | 'away'; readonly text: string }) => void
}

/** One server as it is connected to. */
export interface Address {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly database: string
  readonly password: string | (() => Promise<string>) | undefined
  readonly tls: false | ConnectionOptions
}

const form =
  /^postgres(?:ql)?:\/\/(?:(?<user>[^\s:@/]+)(?::(?<password>[^\s@/]*))?@)?(?<hosts>[^\s@/?]*)\/(?<database>[^\s/?]+)(?:\?(?<query>\S*))?$/

/**
 * Reads the addresses out of the URLs. Refuses (throws RangeError, never showing the URL, which may hold a password) what is
 * no PostgreSQL URL with user and database, and parameters other than `host` (a socket folder) and `sslmode`.
 */
export function readAddresses(options: PostgresOptions): readonly Address[] {
  const addresses = options.urls.flatMap((url, i) => readUrl(url, i + 1, options))
  if (addresses.length === 0) throw new RangeError('No PostgreSQL URL was given')
  return addresses
}

function readUrl(url: string, n: number, { password, tls = {} }: PostgresOptions): readonly Address[] {
  const found = form.exec(url)?.groups
  if (!found) throw new RangeError(`PostgreSQL URL ${n} is not of the form postgresql://user@host:5432/database`)
  const query = new URLSearchParams(found['query'] ?? '')
  for (const name of query.keys())
    if (name !== 'host' && name !== 'sslmode')
      throw new RangeError(
        `PostgreSQL URL ${n} has the parameter ${JSON.stringify(name.slice(0, 40))}: set it elsewhere`,
      )
  const mode = tls.mode ?? readMode(query.get('sslmode'), n)
  const user = found['user'] ?? process.env['PGUSER']
  if (!user) throw new RangeError(`PostgreSQL URL ${n} names no user`)
  const hosts = query.get('host') ?? found['hosts'] ?? ''
  return hosts.split(',').map((text) => {
    const { host, port } = readHost(decoded(text, n), n)
    return {
      host,
      port,
      user: decoded(user, n),
      database: decoded(found['database'] ?? '', n),
      password: password ?? (found['password'] === undefined ? undefined : decoded(found['password'], n)),
      tls: tlsFor(host, mode, tls.ca),
    }
  })
}

function decoded(text: string, n: number): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new RangeError(`PostgreSQL URL ${n} has a % that escapes nothing`)
  }
}

function readMode(sslmode: string | null, n: number): PostgresTls['mode'] {
  if (sslmode === null) return undefined
  if (sslmode === 'disable') return 'off'
  if (sslmode === 'verify-full' || sslmode === 'verify-ca') return sslmode
  throw new RangeError(`PostgreSQL URL ${n} has an sslmode that is none of verify-full, verify-ca, disable`)
}

function readHost(text: string, n: number): { readonly host: string; readonly port: number } {
  if (text.startsWith('/')) return { host: text, port: 5432 }
  const found = /^(?:\[(?<v6>[0-9a-fA-F:.]+)\]|(?<name>[^:[\]]+))(?::(?<port>\d{1,5}))?$/.exec(text)?.groups
  const host = found?.['v6'] ?? found?.['name']
  const port = Number(found?.['port'] ?? 5432)
  if (!host || port < 1 || port > 65_535)
    throw new RangeError(`PostgreSQL URL ${n} names no host that could be connected to`)
  return { host, port }
}

const thisMachine = /^(?:\/.*|localhost|127(?:\.\d{1,3}){3}|::1)$/

function tlsFor(host: string, mode: PostgresTls['mode'], ca: string | undefined): false | ConnectionOptions {
  const wanted = mode ?? (thisMachine.test(host) ? 'off' : 'verify-full')
  if (wanted === 'off') return false
  return {
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
    ...(ca === undefined ? {} : { ca }),
    ...(wanted === 'verify-ca' ? { checkServerIdentity: () => undefined } : {}),
  }
}
