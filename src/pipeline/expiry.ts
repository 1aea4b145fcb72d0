import type { Directory } from '../directory/directory.js'
import type { Audit } from '../ports/audit.js'
import type { CertificateAuthority } from '../ports/authority.js'
import type { Log, Metrics } from '../ports/observe.js'
import { type Store, within } from '../ports/store.js'
import type { Clock } from '../ports/world.js'
import { readCertificate } from '../x509/certificate.js'
import { nameText } from '../x509/name.js'
import { keysByOwner, successorOf } from './renewal.js'

export const endingKinds = ['key', 'chain', 'authority', 'list', 'anchor', 'peer', 'issuer', 'tls'] as const
export type EndingKind = (typeof endingKinds)[number]

/** Something that ends at a moment, after which mail stops or an answer is no longer believed. */
export interface Ending {
  readonly kind: EndingKind
  /** Stable: the fingerprint of a certificate, the id of an authority, the listener of TLS files. */
  readonly id: string
  /** Whose it is, or where it stands. */
  readonly owner: string
  readonly subject: string
  /** Unix milliseconds. */
  readonly notAfter: number
  /** Something newer has taken its place, or it is retired: its end is told to nobody. */
  readonly replaced: boolean
}

export interface ExpiryPorts {
  readonly directory: Pick<Directory, 'domains' | 'addresses' | 'keys' | 'anchors' | 'bundles' | 'peers' | 'issuers'>
  readonly authority: Pick<CertificateAuthority, 'list'>
  /** What ends outside the store: TLS files of listeners. */
  readonly outside: () => Promise<readonly Ending[]>
  readonly store: Pick<Store, 'get' | 'range' | 'commit'>
  readonly audit: Audit
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
}

const dayMs = 86_400_000

/** Days before the end at which people are told, once each; 0 is the end itself. */
export const warningDays = [30, 7, 1, 0] as const
type Stage = (typeof warningDays)[number]

export const expiryLimits = {
  /** Warnings of what ended so long ago are forgotten. */
  memoryMs: 92 * dayMs,
  rowsPerRead: 1_000,
}

export const expiryPrefix = 'expiry/'

/** What was told of one ending. */
export interface ToldRow {
  readonly notAfter: number
  readonly stage: Stage
}

/** Everything that ends, in no order. One certificate in several places comes once for each. */
export async function* endings(ports: Omit<ExpiryPorts, 'store' | 'audit' | 'log' | 'metrics'>): AsyncIterable<Ending> {
  const { directory, authority, outside } = ports
  for await (const keys of keysByOwner(directory)) {
    for (const key of keys) {
      const { id, owner, subject, notAfter } = key
      const replaced = key.retired || successorOf(key, keys) !== undefined
      yield { kind: 'key', id, owner, subject, notAfter, replaced }
      for (const der of key.chain) yield* chainEnding(der, owner, replaced)
    }
  }
  for (const { id, subject, notAfter, list } of await authority.list()) {
    yield { kind: 'authority', id, owner: id, subject, notAfter, replaced: false }
    // The list of an authority that ended is signed no more, and needed no more.
    const replaced = notAfter <= ports.clock.now()
    yield { kind: 'list', id, owner: id, subject: `revocation list of ${subject}`, notAfter: list.nextUpdate, replaced }
  }
  for (const record of await directory.anchors.list()) yield ending('anchor', record)
  for (const { name } of await directory.bundles.list())
    for (const record of await directory.bundles.anchorsOf(name)) yield ending('anchor', { ...record, owner: name })
  for (const record of await directory.peers.list()) yield ending('peer', record)
  for (const record of await directory.issuers.list()) yield ending('issuer', record)
  yield* await outside()
}

function ending(
  kind: EndingKind,
  { id, owner, subject, notAfter }: Pick<Ending, 'id' | 'owner' | 'subject' | 'notAfter'>,
): Ending {
  return { kind, id, owner, subject, notAfter, replaced: false }
}

function* chainEnding(der: Uint8Array, owner: string, replaced: boolean): Iterable<Ending> {
  const read = readCertificate(der)
  if (read.kind === 'malformed') return
  const { fingerprint: id, notAfter } = read
  yield { kind: 'chain', id, owner, subject: nameText(read.subject), notAfter, replaced }
}

/** Seconds until the next end of each kind, as a gauge; for every process, since each shows its own. */
export async function measureEndings(ports: ExpiryPorts): Promise<void> {
  const soonest = new Map<EndingKind, number>()
  for await (const { kind, notAfter, replaced } of endings(ports))
    if (!replaced) soonest.set(kind, Math.min(soonest.get(kind) ?? notAfter, notAfter))
  const now = ports.clock.now()
  for (const [kind, notAfter] of soonest)
    ports.metrics.gauge('certificate_expires_seconds', Math.round((notAfter - now) / 1_000), { kind })
}

/**
 * Warns of what ends within 30, 7 and 1 days and of what ended, in log and audit log, once each: what was told is
 * remembered in the store, so that neither a restart nor another node tells it again. Answers how many warnings.
 */
export async function warnOfEndings(ports: ExpiryPorts): Promise<number> {
  const seen = new Set<string>()
  let told = 0
  for await (const one of endings(ports)) {
    const stage = stageOf(one, ports.clock.now())
    const name = `${one.kind}/${one.id}`
    if (stage === undefined || one.replaced || seen.has(name)) continue
    seen.add(name)
    if (await tell(ports, one, stage)) told++
  }
  await forgetOld(ports)
  return told
}

/** The nearest threshold that was passed. */
function stageOf({ kind, notAfter }: Ending, now: number): Stage | undefined {
  const left = notAfter - now
  // Lists are made anew every day and live a week: only one that nobody renews comes near its end.
  const days = kind === 'list' ? warningDays.filter((limit) => limit <= 1) : warningDays
  return days.findLast((limit) => (limit === 0 ? left < 0 : left <= limit * dayMs))
}

async function tell({ store, audit, clock, log, metrics }: ExpiryPorts, one: Ending, stage: Stage): Promise<boolean> {
  const key = `${expiryPrefix}${one.kind}/${one.id}`
  const row = await store.get(key)
  const before = row && (JSON.parse(Buffer.from(row.value).toString()) as ToldRow)
  // A list keeps its id with every new end.
  if (before && before.notAfter === one.notAfter && before.stage <= stage) return false
  const action = stage === 0 ? 'certificate.expired' : 'certificate.expires-soon'
  const subject = { kind: one.kind, owner: one.owner, certificate: one.id, days: String(stage) }
  const outcome = await store.commit({
    require: [{ key, version: row?.version ?? 'absent' }],
    put: [{ key, value: Buffer.from(JSON.stringify({ notAfter: one.notAfter, stage } satisfies ToldRow)) }],
    append: [audit.entry({ at: clock.now(), action, actor: 'system', subject, outcome: 'failed' })],
  })
  if (outcome.kind !== 'committed') return false // another node told it
  const fields = { kind: one.kind, owner: one.owner, certificate: one.id, ends: new Date(one.notAfter).toISOString() }
  if (stage <= 1) log.error(action, fields)
  else log.warn(action, fields)
  metrics.count('certificate_warnings_total', { kind: one.kind, days: String(stage) })
  return true
}

async function forgetOld({ store, clock }: ExpiryPorts): Promise<void> {
  const before = clock.now() - expiryLimits.memoryMs
  const { gte, lt } = within(expiryPrefix)
  for (let from = gte; ; ) {
    const page = await store.range({ gte: from, lt, limit: expiryLimits.rowsPerRead })
    const old = page.filter(({ value }) => (JSON.parse(Buffer.from(value).toString()) as ToldRow).notAfter < before)
    if (old.length > 0) await store.commit({ del: old.map(({ key }) => key) })
    const last = page.at(-1)
    if (!last || page.length < expiryLimits.rowsPerRead) return
    from = `${last.key}\0`
  }
}
