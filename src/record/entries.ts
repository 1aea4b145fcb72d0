import type { RecordItemType } from '../direct/clinical.js'
import { recordItemTypes } from '../direct/clinical.js'
import { VaultFailed } from '../ports/vault.js'
import type { RecordEntry, RecordPolicy, recordLimits, StoredItem } from './item.js'
import { type BookPorts, type Books, type HeadDocument, openBooks, standingOf } from './ledger.js'
import { type Reconciled, reconcile } from './reconcile/reconcile.js'
import { headKey, itemKey, openJson, ownerOf } from './rows.js'

/** Everything that a record says, worked out; the entries of a type as `reconcile` gives them. */
export interface Shown {
  readonly books: Books
  readonly documents: ReadonlyMap<string, HeadDocument>
  readonly entries: readonly Reconciled[]
}

/** Works out the entries of these types, of all where none is named. */
export async function entriesOf(books: Books, types: readonly RecordItemType[] = recordItemTypes): Promise<Shown> {
  const standing = standingOf(books.head)
  const entries: Reconciled[] = []
  for (const type of types) {
    const { facts, decisions } = await books.ledger(type)
    entries.push(...reconcile(facts, decisions, standing))
  }
  return { books, documents: new Map(books.head.documents.map((document) => [document.sha256, document])), entries }
}

/** The entry with this id, or with this statement; an id that a merge took away still finds the entry. */
export function entryNamed({ entries }: Pick<Shown, 'entries'>, id: string): Reconciled | undefined {
  return (
    entries.find((entry) => entry.id === id) ??
    entries.find(({ members }) => members.some(({ fact }) => fact.id === id))
  )
}

/** Remembers what was worked out for as long as the record does not change. */
export function rememberedEntries(ports: BookPorts, limits: typeof recordLimits) {
  const remembered = new Map<string, { readonly version: number; readonly shown: Shown }>()
  return async function shownIn(recordId: string): Promise<Shown> {
    const head = await ports.store.get(headKey(recordId))
    const known = remembered.get(recordId)
    if (known && known.version === head?.version) return known.shown
    const shown = await entriesOf(await openBooks(ports, recordId))
    remembered.delete(recordId)
    const statements = shown.entries.reduce((sum, { members }) => sum + members.length, 0)
    const { headVersion } = shown.books
    if (headVersion !== 'absent' && statements <= limits.rememberedStatements) {
      remembered.set(recordId, { version: headVersion, shown })
      for (const oldest of remembered.keys()) {
        if (remembered.size <= limits.rememberedRecords) break
        remembered.delete(oldest)
      }
    }
    return shown
  }
}

/** An entry with the statement that it shows, opened. Throws VaultFailed or SyntaxError where its row is damaged. */
export async function openEntry(
  { store, vault }: BookPorts,
  recordId: string,
  entry: Reconciled,
  documents: Shown['documents'],
  { withheldLabels }: RecordPolicy,
): Promise<RecordEntry> {
  const { id, state, shown, members, conflicts, review, version } = entry
  const row = await store.get(itemKey(recordId, shown.id))
  if (!row) throw new VaultFailed('A statement has no row')
  const { item, addedAt, source } = await openJson<StoredItem>(vault, ownerOf(recordId), row.key, row.value)
  return {
    ...{ id, recordId, state, item, addedAt, source },
    appearances: members.flatMap(({ fact, standing }) => {
      const document = documents.get(fact.document)
      const told = document ?? { addedAt, source }
      const where = { statement: fact.id, document: fact.document, entry: fact.path }
      return [{ ...where, addedAt: told.addedAt, source: told.source, standing }]
    }),
    conflicts,
    review,
    withheld: shown.labels?.some((label) => withheldLabels.includes(label)) ?? false,
    version,
  }
}

/** Opens many, in their order; those whose rows are damaged are named, never skipped in silence. */
export async function openEntries(
  ports: BookPorts,
  recordId: string,
  entries: readonly Reconciled[],
  documents: Shown['documents'],
  policy: RecordPolicy,
) {
  const items: RecordEntry[] = []
  const unreadable: string[] = []
  const opened = await Promise.all(
    entries.map((entry) =>
      openEntry(ports, recordId, entry, documents, policy).catch((error: unknown) => {
        if (error instanceof VaultFailed || error instanceof SyntaxError) return undefined
        throw error
      }),
    ),
  )
  for (const [index, entry] of opened.entries()) {
    if (entry) items.push(entry)
    else unreadable.push(entries[index]?.id ?? '')
  }
  return { items, unreadable }
}
