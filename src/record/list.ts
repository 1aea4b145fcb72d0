import { VaultFailed } from '../ports/vault.js'
import { openEntries, type Shown } from './entries.js'
import type { CurrentQuery, ItemPage, ItemQuery, RecordEntry, RecordPolicy, recordLimits } from './item.js'
import type { BookPorts } from './ledger.js'
import { isOfAnother, type Reconciled } from './reconcile/reconcile.js'
import { isId } from './rows.js'

/** What a list is made from. */
export interface Lists extends BookPorts {
  readonly policy: RecordPolicy
  readonly limits: typeof recordLimits
  shownIn(recordId: string): Promise<Shown>
}

/**
 * One page, newest clinical date first. The cursor is a position in that order, so entries that are added meanwhile neither
 * repeat nor hide one.
 */
export async function listItems(lists: Lists, recordId: string, query: ItemQuery): Promise<ItemPage> {
  if (!isId(recordId)) return { kind: 'page', items: [], unreadable: [] }
  const position = query.cursor === undefined ? undefined : readCursor(query.cursor)
  if (query.cursor !== undefined && position === undefined) return { kind: 'bad-cursor' }

  const { limits, policy } = lists
  const size = Math.min(Math.max(1, Math.trunc(query.limit ?? limits.pageDefault)), limits.pageMax)
  const { entries, documents } = await lists.shownIn(recordId)
  const all = await entries(query.type && [query.type])
  const passing = newestFirst(all.filter((entry) => passes(entry, query)))
  const rest = position === undefined ? passing : passing.filter((entry) => placeOf(entry) < position)
  const page = rest.slice(0, size)
  const answer = { kind: 'page' as const, ...(await openEntries(lists, recordId, page, documents, policy)) }
  const last = page.at(-1)
  if (!last || rest.length <= size) return answer
  return { ...answer, next: Buffer.from(placeOf(last)).toString('base64url') }
}

/** What the record shows today. Throws VaultFailed at an entry whose row is damaged: a list without it would be a lie. */
export async function* currentEntries(
  lists: Lists,
  recordId: string,
  { types, from = '', to }: CurrentQuery,
): AsyncIterable<RecordEntry> {
  if (!isId(recordId)) return
  const { entries, documents } = await lists.shownIn(recordId)
  const inside = ({ shown: { day } }: Reconciled) =>
    day.startsWith('0000') || (day >= from && (to === undefined || day.slice(0, to.length) <= to))
  const wanted = (await entries(types)).filter((entry) => entry.state === 'current' && inside(entry))
  const ordered = newestFirst(wanted)
  for (let at = 0; at < ordered.length; at += lists.limits.pageMax) {
    const some = ordered.slice(at, at + lists.limits.pageMax)
    const { items, unreadable } = await openEntries(lists, recordId, some, documents, lists.policy)
    if (unreadable.length > 0) throw new VaultFailed('An entry of the record cannot be read')
    yield* items
  }
}

function passes(entry: Reconciled, { type, state, review, conflicts, document }: ItemQuery): boolean {
  if (type !== undefined && entry.type !== type) return false
  if (state === undefined ? isOfAnother(entry.state) : entry.state !== state) return false
  if (review === true && entry.review.length === 0) return false
  if (conflicts === true && entry.conflicts.length === 0) return false
  return document === undefined || entry.members.some(({ fact }) => fact.document === document)
}

/** Where an entry stands in a list: its day, and its id between those of one day. */
function placeOf({ shown, id }: Reconciled): string {
  return `${shown.day}/${id}`
}

function newestFirst(entries: readonly Reconciled[]): readonly Reconciled[] {
  return [...entries].sort((a, b) => (placeOf(a) < placeOf(b) ? 1 : -1))
}

function readCursor(text: string): string | undefined {
  const position = Buffer.from(text, 'base64url').toString('latin1')
  return /^\d{4}-\d\d-\d\dT\d\d:\d\d\/[\x21-\x7e]{1,600}$/.test(position) ? position : undefined
}
