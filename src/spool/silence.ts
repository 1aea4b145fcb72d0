import { type DirectDomain, parseDomain } from '../direct/address.js'
import type { Metrics } from '../ports/observe.js'
import { type Batch, type Store, together, within } from '../ports/store.js'
import { json, utf8 } from './payload.js'

export const silenceLimits = {
  /** Domains told of at once; a gateway has a few hundred peers. */
  domains: 1_000,
} as const

/** A domain whose gateway took messages and said nothing of them in time. */
export interface Silence {
  readonly domain: DirectDomain
  /** Messages in a row. */
  readonly missed: number
  /** Of the last of them, or of the answer that ended the silence; Unix milliseconds. */
  readonly at: number
  readonly answeredAt?: number
}

/** Parts of a change in what is known of a domain, fenced by its version, and what it is from then on. */
export interface SilenceChange {
  readonly parts: Batch
  readonly silence: Silence
}

type Row = Omit<Silence, 'domain'>

const prefix = 'tracking/domain/'

/** Counts one more message without a word. */
export async function missed(store: Pick<Store, 'get'>, domain: DirectDomain, at: number): Promise<SilenceChange> {
  const { row, version } = await rowOf(store, domain)
  return change(domain, version, { ...row, missed: (row?.missed ?? 0) + 1, at })
}

/** The domain spoke. Undefined where it never was silent: then there is nothing to write. */
export async function heard(
  store: Pick<Store, 'get'>,
  domain: DirectDomain,
  at: number,
): Promise<(SilenceChange & { readonly before: number }) | undefined> {
  const { row, version } = await rowOf(store, domain)
  if (!row || row.missed === 0) return undefined
  return { ...change(domain, version, { missed: 0, at, answeredAt: at }), before: row.missed }
}

/** Domains with at least so many messages in a row without a word, in order of their names. */
export async function silentDomains(store: Pick<Store, 'range'>, atLeast: number): Promise<readonly Silence[]> {
  const rows = await store.range({ ...within(prefix), limit: silenceLimits.domains })
  return rows.flatMap(({ key, value }) => {
    const domain = parseDomain(key.slice(prefix.length))
    const row = JSON.parse(utf8(value)) as Row
    return domain !== undefined && row.missed >= atLeast ? [{ ...row, domain }] : []
  })
}

/** How many domains left their last message without a word, as a metric; for after the commit of a change. */
export async function tellSilence(store: Pick<Store, 'range'>, metrics: Pick<Metrics, 'gauge'>): Promise<void> {
  metrics.gauge('tracking_silent_domains', (await silentDomains(store, 1)).length)
}

async function rowOf(store: Pick<Store, 'get'>, domain: DirectDomain) {
  const stored = await store.get(prefix + domain)
  if (!stored) return { version: 'absent' as const }
  return { row: JSON.parse(utf8(stored.value)) as Row, version: stored.version }
}

function change(domain: DirectDomain, version: number | 'absent', row: Row): SilenceChange {
  const key = prefix + domain
  return {
    parts: together({ require: [{ key, version }], put: [{ key, value: json(row) }] }),
    silence: { ...row, domain },
  }
}
