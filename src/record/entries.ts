import type { RecordItemType } from '../direct/clinical.js'
import { recordItemTypes } from '../direct/clinical.js'
import { VaultFailed } from '../ports/vault.js'
import type { RecordEntry, RecordPolicy, recordLimits, StoredItem } from './item.js'
import { type BookPorts, type Books, type HeadDocument, openBooks, type RecordStanding, standingOf } from './ledger.js'
import { type Reconciled, reconcile, reconcileInTurns } from './reconcile/reconcile.js'
import { headKey, itemKey, openJson, ownerOf } from './rows.js'

/** What a record says; entries are worked out type by type, when somebody asks. */
export interface Shown {
  readonly books: Books
  readonly documents: ReadonlyMap<string, HeadDocument>
  readonly standing: RecordStanding
  /** The entries of these types, of all where none is named, as `reconcile` gives them. */
  entries(types?: readonly RecordItemType[]): Promise<readonly Reconciled[]>
  /** The entry with this id, or with this statement; an id that a merge took away still finds the entry. */
  named(id: string): Promise<Reconciled | undefined>
}

/** The entries of one type, and what they were worked out from. */
interface Worked {
  readonly touched: number | undefined
  readonly standing: string
  readonly entries: Promise<readonly Reconciled[]>
  /** By entry and by statement, once worked out. */
  byId?: ReadonlyMap<string, Reconciled>
}

type Remembered = Map<RecordItemType, Worked>

/** What a record says by its books. What `remembered` has of types that nothing touched is not worked out again. */
async function shownBy(ports: BookPorts, recordId: string, books: Books, remembered: Remembered): Promise<Shown> {
  const { pause } = ports
  const standing = await standingOf(books)
  const documents = new Map(books.head.documents.map((document) => [document.sha256, document]))
  const stands = JSON.stringify([standing.held, standing.rejected, standing.superseded, standing.released].map(sorted))

  async function work(type: RecordItemType): Promise<readonly Reconciled[]> {
    const { facts, decisions } = await books.ledger(type)
    // What came after the head was read is not part of it: nobody knows yet whose it is.
    const known = facts.filter(({ seq }) => seq <= books.head.revision)
    return pause ? reconcileInTurns(pause, known, decisions, standing) : reconcile(known, decisions, standing)
  }

  function worked(type: RecordItemType): Worked {
    const touched = books.head.touched?.[type]
    const known = remembered.get(type)
    if (known && known.touched === touched && known.standing === stands) return known
    const fresh: Worked = { touched, standing: stands, entries: work(type) }
    remembered.set(type, fresh)
    fresh.entries.then(
      (entries) => {
        const ofMembers = entries.flatMap((entry) => entry.members.map(({ fact }) => [fact.id, entry] as const))
        fresh.byId = new Map(ofMembers)
      },
      () => remembered.get(type) === fresh && remembered.delete(type),
    )
    return fresh
  }

  async function entries(types: readonly RecordItemType[] = recordItemTypes) {
    const all: Reconciled[] = []
    for (const type of types) for (const entry of await worked(type).entries) all.push(entry)
    return all
  }

  /** Of the type that the row of the statement tells; a damaged row tells none, and all are looked through. */
  async function typesOf(id: string): Promise<readonly RecordItemType[]> {
    const key = itemKey(recordId, id)
    const row = await ports.store.get(key)
    if (!row) return []
    try {
      const { item } = await openJson<StoredItem>(ports.vault, ownerOf(recordId), key, row.value)
      return [item.content.type]
    } catch (error) {
      if (error instanceof VaultFailed || error instanceof SyntaxError) return recordItemTypes
      throw error
    }
  }

  async function named(id: string): Promise<Reconciled | undefined> {
    const at = recordItemTypes.find((type) => remembered.get(type)?.byId?.has(id))
    for (const type of at ? [at] : await typesOf(id)) {
      await worked(type).entries
      const found = worked(type).byId?.get(id)
      if (found) return found
    }
    return undefined
  }

  return { books, documents, standing, entries, named }
}

function sorted(some: ReadonlySet<string> | ReadonlyMap<string, number>): readonly unknown[] {
  return [...some].map(String).sort()
}

/**
 * Remembers what was worked out of the records that were asked for last. A change works out only the types that it touched,
 * unless it changes how documents stand.
 */
export function rememberedEntries(ports: BookPorts, limits: typeof recordLimits) {
  const records = new Map<string, { readonly version: number; readonly shown: Shown; readonly types: Remembered }>()
  const statements = ({ types, shown }: { readonly types: Remembered; readonly shown: Shown }) =>
    types.size === 0
      ? 0
      : shown.books.head.documents.length + [...types.values()].reduce((sum, { byId }) => sum + (byId?.size ?? 0), 0)

  /** Forgets the records asked for longest ago, until what is left fits. */
  function forget(): void {
    let sum = [...records.values()].reduce((all, one) => all + statements(one), 0)
    for (const [oldest, one] of records) {
      if (records.size <= limits.rememberedRecords && sum <= limits.rememberedStatements) break
      records.delete(oldest)
      sum -= statements(one)
    }
  }

  return async function shownIn(recordId: string): Promise<Shown> {
    const head = await ports.store.get(headKey(recordId))
    const known = records.get(recordId)
    records.delete(recordId)
    if (known && known.version === head?.version) {
      records.set(recordId, known)
      forget()
      return known.shown
    }
    const types: Remembered = new Map(known?.types)
    const books = await openBooks(ports, recordId, known?.shown.books)
    const shown = await shownBy(ports, recordId, books, types)
    if (books.headVersion !== 'absent') records.set(recordId, { version: books.headVersion, shown, types })
    forget()
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
