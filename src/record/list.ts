import type { Reading, RecordAccess } from '../direct/access.js'
import { VaultFailed } from '../ports/vault.js'
import { createdOf, openEntries, type Shown, updatedOf } from './entries.js'
import type {
  CurrentQuery,
  ItemPage,
  ItemQuery,
  RecordEntry,
  RecordPolicy,
  recordLimits,
  Stamp,
  Whose,
} from './item.js'
import type { BookPorts } from './ledger.js'
import { isOfAnother, type Reconciled } from './reconcile/reconcile.js'
import { clientKey, isId, openJson, ownerOf } from './rows.js'
import { authorOf, clinicalDay, lookOf, mayBeSeen, needsShape, opensTo, recordOf, toldTo } from './sight.js'

/** What a list is made from. */
export interface Lists extends BookPorts {
  readonly policy: RecordPolicy
  readonly limits: typeof recordLimits
  shownIn(recordId: string): Promise<Shown>
}

/**
 * One page of what this caller may see, newest clinical date first, or last changed first. The cursor is a position in that
 * order, so entries that are added meanwhile neither repeat nor hide one.
 */
export async function listItems(lists: Lists, whose: Whose, query: ItemQuery): Promise<ItemPage> {
  const { record, access } = recordOf(whose)
  if (!isId(record)) return { kind: 'page', items: [], unreadable: [] }
  const position = query.cursor === undefined ? undefined : readCursor(query.cursor, query.order)
  if (query.cursor !== undefined && position === undefined) return { kind: 'bad-cursor' }

  const { limits } = lists
  const size = Math.min(Math.max(1, Math.trunc(query.limit ?? limits.pageDefault)), limits.pageMax)
  const shown = await lists.shownIn(record)
  const wanted = query.types ?? (query.type && [query.type])
  const named = await namedBy(lists, record, shown, query, access)
  const all = named ?? (await shown.entries(wanted))
  // What else said the same, and what waits for a decision, is for custodians.
  const { review: _, conflicts: __, document, ...plain } = query
  const narrowed = !access || access.custodian ? query : plain
  const own = narrowed === query ? undefined : document
  const fits = (entry: Reconciled) =>
    (!wanted || wanted.includes(entry.type)) &&
    mayBeSeen(lookOf(entry), access) &&
    passes(entry, narrowed, shown) &&
    (own === undefined || entry.shown.document === own)
  const placed = all.filter(fits).map((entry) => ({ entry, place: placeIn(query.order, entry, shown) }))
  placed.sort((a, b) => (a.place < b.place ? 1 : -1))
  const rest = position === undefined ? placed : placed.filter(({ place }) => place < position)
  const { items, unreadable, last } = await openPage(lists, { record, access, shown }, rest, size, query.reading)
  return {
    ...{ kind: 'page', items, unreadable },
    ...(last !== undefined && { next: Buffer.from(last).toString('base64url') }),
  }
}

interface PlacedEntry {
  readonly entry: Reconciled
  readonly place: string
}

interface Looking {
  readonly record: string
  readonly access: RecordAccess | undefined
  readonly shown: Shown
}

/** Opens entries until a page is full; where the words of an item decide whether it is seen, more than one page is opened. */
async function openPage(
  lists: Lists,
  { record, access, shown }: Looking,
  placed: readonly PlacedEntry[],
  size: number,
  reading: Reading = 'by-search',
) {
  const items: RecordEntry[] = []
  const unreadable: string[] = []
  let at = 0
  let last: string | undefined
  while (at < placed.length && items.length + unreadable.length < size) {
    const some = placed.slice(at, at + (needsShape(access) ? size : size - items.length))
    const opened = await openEntries(
      lists,
      record,
      some.map(({ entry }) => entry),
      shown.documents,
      lists.policy,
    )
    const byId = new Map(opened.items.map((one) => [one.id, one]))
    for (const { entry, place } of some) {
      if (items.length + unreadable.length >= size) break
      at++
      last = place
      const one = byId.get(entry.id)
      if (!one) unreadable.push(entry.id)
      else if (opensTo(one.item, entry.shown.day, access, reading)) items.push(toldTo(access, one))
    }
  }
  return { items, unreadable, last: at < placed.length ? last : undefined }
}

/** The entries that a query names by their ids or by client ids; undefined where it names none. */
async function namedBy(
  { store, vault }: Lists,
  record: string,
  shown: Shown,
  { ids, clientIds }: ItemQuery,
  access: RecordAccess | undefined,
): Promise<readonly Reconciled[] | undefined> {
  if (!ids && !clientIds) return undefined
  const found = new Map<string, Reconciled>()
  const wanted =
    ids && new Set(await Promise.all(ids.filter(isId).map(async (id) => (await shown.named(id))?.id ?? '')))
  const own = access && authorOf(access.actor)
  const called: string[] = []
  for (const clientId of clientIds ?? []) {
    if (own === undefined) break
    const row = await store.get(clientKey(record, own, clientId))
    if (row) called.push((await openJson<{ readonly entry: string }>(vault, ownerOf(record), row.key, row.value)).entry)
  }
  for (const id of clientIds ? called : (wanted ?? [])) {
    const entry = await shown.named(id)
    if (entry && (!wanted || wanted.has(entry.id))) found.set(entry.id, entry)
  }
  return [...found.values()]
}

/** What the record shows today. Throws VaultFailed at an entry whose row is damaged: a list without it would be a lie. */
export async function* currentEntries(
  lists: Lists,
  whose: Whose,
  { types, from = '', to, reading = 'by-search' }: CurrentQuery,
): AsyncIterable<RecordEntry> {
  const { record, access } = recordOf(whose)
  if (!isId(record)) return
  const { entries, documents } = await lists.shownIn(record)
  const inside = ({ shown: { day } }: Reconciled) =>
    day.startsWith('0000') || (day >= from && (to === undefined || day.slice(0, to.length) <= to))
  const wanted = (await entries(types)).filter(
    (entry) => entry.state === 'current' && inside(entry) && mayBeSeen(lookOf(entry), access),
  )
  const ordered = [...wanted].sort((a, b) => (placeOf(a) < placeOf(b) ? 1 : -1))
  for (let at = 0; at < ordered.length; at += lists.limits.pageMax) {
    const some = ordered.slice(at, at + lists.limits.pageMax)
    const { items, unreadable } = await openEntries(lists, record, some, documents, lists.policy)
    if (unreadable.length > 0) throw new VaultFailed('An entry of the record cannot be read')
    for (const [index, one] of items.entries()) {
      if (opensTo(one.item, some[index]?.shown.day ?? '', access, reading)) yield toldTo(access, one)
    }
  }
}

function passes(entry: Reconciled, query: ItemQuery, { documents }: Shown): boolean {
  const { state, review, conflicts, document, from, to } = query
  if (state === undefined ? isHidden(entry) : entry.state !== state) return false
  if (review === true && entry.review.length === 0) return false
  if (conflicts === true && entry.conflicts.length === 0) return false
  if (document !== undefined && !entry.members.some(({ fact }) => fact.document === document)) return false
  if (from !== undefined || to !== undefined) {
    const day = clinicalDay(entry.shown.day)
    if (day === undefined || (from !== undefined && day < from.slice(0, day.length))) return false
    if (to !== undefined && day.slice(0, to.length) > to) return false
  }
  const { created, updated, createdByApp, createdByPerson, updatedByApp, updatedByPerson } = query
  const asks = [created, updated, createdByApp, createdByPerson, updatedByApp, updatedByPerson]
  if (asks.every((one) => one === undefined)) return true
  const by = (stamp: Stamp | undefined, app: string | undefined, person: string | undefined) =>
    (app === undefined || stamp?.actor?.app === app) && (person === undefined || stamp?.actor?.person === person)
  return (
    isWithin(createdOf(entry, documents), created) &&
    isWithin(updatedOf(entry, documents), updated) &&
    by(createdOf(entry, documents), createdByApp, createdByPerson) &&
    by(updatedOf(entry, documents), updatedByApp, updatedByPerson)
  )
}

/** What is about somebody else, and what was deleted, is listed only when asked for. */
function isHidden({ state }: Reconciled): boolean {
  return isOfAnother(state) || state === 'deleted'
}

function isWithin(
  stamp: Stamp | undefined,
  { from, to }: { readonly from?: number; readonly to?: number } = {},
): boolean {
  if (from === undefined && to === undefined) return true
  return stamp !== undefined && (from === undefined || stamp.at >= from) && (to === undefined || stamp.at < to)
}

/** Where an entry stands in a list: its day, and its id between those of one day. */
function placeOf({ shown, id }: Reconciled): string {
  return `${shown.day}/${id}`
}

function placeIn(order: ItemQuery['order'], entry: Reconciled, { documents }: Shown): string {
  if (order !== 'updated') return placeOf(entry)
  return `${String(updatedOf(entry, documents)?.at ?? 0).padStart(15, '0')}/${entry.id}`
}

function readCursor(text: string, order: ItemQuery['order'] = 'day'): string | undefined {
  const position = Buffer.from(text, 'base64url').toString('latin1')
  const form = order === 'day' ? /^\d{4}-\d\d-\d\dT\d\d:\d\d\/[\x21-\x7e]{1,600}$/ : /^\d{15}\/[\x21-\x7e]{1,600}$/
  return form.test(position) ? position : undefined
}
