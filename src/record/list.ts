import type { Store } from '../ports/store.js'
import { within } from '../ports/store.js'
import type { Vault } from '../ports/vault.js'
import { VaultFailed } from '../ports/vault.js'
import type { ItemPage, ItemQuery, recordLimits, StoredItem } from './item.js'
import { indexPrefix, isId, openJson, ownerOf } from './rows.js'

/**
 * One page, newest clinical date first. The cursor is a position in the index, so items that are added meanwhile neither
 * repeat nor hide one; it is validated, and the scan stays inside the record whatever it says.
 */
export async function listItems(
  { store, vault }: { readonly store: Store; readonly vault: Vault },
  recordId: string,
  query: ItemQuery,
  limits: typeof recordLimits,
): Promise<ItemPage> {
  if (!isId(recordId)) return { kind: 'page', items: [], unreadable: [] }
  const prefix = indexPrefix(recordId, query.type)
  const position = query.cursor === undefined ? undefined : readCursor(query.cursor)
  if (query.cursor !== undefined && position === undefined) return { kind: 'bad-cursor' }

  const size = Math.min(Math.max(1, Math.trunc(query.limit ?? limits.pageDefault)), limits.pageMax)
  const ids: string[] = []
  let lt = position === undefined ? within(prefix).lt : prefix + position
  let more = false
  let budget = limits.rowsPerPage
  scan: for (;;) {
    const asked = Math.min(budget, query.state ? limits.pageMax : size - ids.length + 1)
    const rows = await store.range({ gte: prefix, lt, limit: asked, reverse: true })
    for (const { key, value } of rows) {
      const passes = query.state === undefined || Buffer.from(value).toString() === query.state
      if (passes && ids.length === size) {
        more = true
        break scan
      }
      if (passes) ids.push(key.slice(key.lastIndexOf('/') + 1))
      lt = key
    }
    budget -= rows.length
    more = rows.length === asked
    if (!more || budget === 0) break
  }
  const { items, unreadable } = await openItems(store, vault, recordId, ids)
  const page = { kind: 'page', items, unreadable } as const
  return more ? { ...page, next: Buffer.from(lt.slice(prefix.length)).toString('base64url') } : page
}

/** The items of these ids in their order; those whose rows are damaged are named, never skipped in silence. */
async function openItems(store: Store, vault: Vault, recordId: string, ids: readonly string[]) {
  const items: StoredItem[] = []
  const unreadable: string[] = []
  const keys = ids.map((id) => `${ownerOf(recordId)}/item/${id}`)
  const rows = await Promise.all(keys.map((key) => store.get(key)))
  for (const [index, row] of rows.entries()) {
    try {
      if (!row) throw new VaultFailed('An indexed item has no row')
      items.push(await openJson<StoredItem>(vault, ownerOf(recordId), row.key, row.value))
    } catch (error) {
      if (!(error instanceof VaultFailed || error instanceof SyntaxError)) throw error
      unreadable.push(decodeURIComponent(ids[index] ?? ''))
    }
  }
  return { items, unreadable }
}

function readCursor(text: string): string | undefined {
  const position = Buffer.from(text, 'base64url').toString('latin1')
  return /^\d{4}-\d\d-\d\dT\d\d:\d\d\/[\w.~%!'()*-]{1,600}$/.test(position) ? position : undefined
}
