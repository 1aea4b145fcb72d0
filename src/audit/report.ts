import {
  type AuditEntry,
  type AuditField,
  type AuditPage,
  type AuditQuery,
  type AuditReport,
  auditSubjects,
} from '../ports/audit.js'
import type { Store } from '../ports/store.js'
import { readAudit } from './audit.js'

export const reportLimits = {
  /** Entries sorted at once, some 300 bytes each. */
  sorted: 10_000,
  /** Read from the store at once. */
  page: 1000,
  /** Entries looked at for one page of an unsorted report; the page then ends early, with a `next`. */
  looked: 200_000,
  /** Clocks of several processes, and batches that were tried again, put entries out of order by no more than this. */
  skewMs: 3_600_000,
}

type Told = { readonly sequence: number } & AuditEntry

/** Opens reports over the audit log. Holds no state. */
export function openAuditReport(store: Pick<Store, 'log'>, limits = reportLimits): AuditReport {
  return {
    async report(query) {
      const { sort = 'at', descending = false } = query
      const start = Math.max(query.after ?? 0, await before(store, (query.from ?? 0) - limits.skewMs)) + 1
      if (sort === 'at' && !descending) return inOrder(store, query, start, limits)
      const found: Told[] = []
      for await (const entry of matching(store, query, start, limits)) {
        if (found.push(entry) > limits.sorted) return { kind: 'too-many', most: limits.sorted }
      }
      found.sort((a, b) => compared(a, b, sort) * (descending ? -1 : 1))
      return { kind: 'page', entries: found.slice(0, query.limit) }
    },
  }
}

async function inOrder(
  store: Pick<Store, 'log'>,
  query: AuditQuery,
  start: number,
  limits: typeof reportLimits,
): Promise<AuditPage> {
  const entries: Told[] = []
  const looked = { at: start - 1, count: 0 }
  for await (const entry of matching(store, query, start, limits, looked)) {
    entries.push(entry)
    if (entries.length === query.limit) return { kind: 'page', entries, next: entry.sequence }
  }
  return { kind: 'page', entries, ...(looked.count >= limits.looked && { next: looked.at }) }
}

/** Entries that match, as they were written. With `looked` it ends after so many, and says where. */
async function* matching(
  store: Pick<Store, 'log'>,
  query: AuditQuery,
  start: number,
  limits: typeof reportLimits,
  looked?: { at: number; count: number },
): AsyncIterable<Told> {
  for (let from = start; ; ) {
    const page = await readAudit(store, from, limits.page)
    for (const { sequence, entry } of page) {
      if (entry && query.to !== undefined && entry.at > query.to + limits.skewMs) return
      if (entry && matches(entry, query)) yield { sequence, ...entry }
      if (!looked) continue
      looked.at = sequence
      looked.count++
      if (looked.count >= limits.looked) return
    }
    if (page.length < limits.page) return
    from += page.length
  }
}

function matches(entry: AuditEntry, { from, to, action, actor, outcome, subject }: AuditQuery): boolean {
  if (from !== undefined && entry.at < from) return false
  if (to !== undefined && entry.at >= to) return false
  if (action !== undefined && !isNamed(entry.action, action)) return false
  if (actor !== undefined && !isNamed(entry.actor, actor)) return false
  if (outcome !== undefined && entry.outcome !== outcome) return false
  return subject === undefined || Object.values(entry.subject).includes(subject)
}

function isNamed(word: string, wanted: string): boolean {
  return wanted.endsWith('*') ? word.startsWith(wanted.slice(0, -1)) : word === wanted
}

function compared(a: Told, b: Told, field: AuditField): number {
  const [one, other] = [datumOf(a, field), datumOf(b, field)]
  if (one === other) return a.sequence - b.sequence
  return one < other ? -1 : 1
}

/** Empty where an entry has none: those come first. */
function datumOf(entry: Told, field: AuditField): string | number {
  const named = auditSubjects.find((one) => one === field)
  return (named === undefined ? entry[field as keyof AuditEntry & AuditField] : entry.subject[named]) ?? ''
}

/** The last sequence number before which every entry is older than `at`, found by halving; 0 at the beginning. */
async function before(store: Pick<Store, 'log'>, at: number): Promise<number> {
  if (at <= 0) return 0
  const isOlder = async (sequence: number) => {
    const [one] = await readAudit(store, sequence, 1)
    return one !== undefined && (one.entry?.at ?? 0) < at
  }
  let low = 0
  let high = 1
  while (await isOlder(high)) {
    low = high
    high *= 2
  }
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (await isOlder(middle)) low = middle
    else high = middle
  }
  return low
}
