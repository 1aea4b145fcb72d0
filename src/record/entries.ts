import type { RecordItemType } from '../direct/clinical.js'
import { recordItemTypes } from '../direct/clinical.js'
import { VaultFailed } from '../ports/vault.js'
import type { RecordEntry, RecordPolicy, recordLimits, Stamp, StoredItem } from './item.js'
import {
  type BookPorts,
  type Books,
  booksAfter,
  type Head,
  type HeadDocument,
  type Ledger,
  openBooks,
  type RecordStanding,
  standingOf,
} from './ledger.js'
import { type Reconciled, reconcile, reconcileInTurns } from './reconcile/reconcile.js'
import { headKey, itemKey, openJson, ownerOf } from './rows.js'
import { lookOf } from './sight.js'

/** What a record says; entries are worked out type by type, when somebody asks. */
export interface Shown {
  readonly books: Books
  readonly documents: ReadonlyMap<string, HeadDocument>
  readonly standing: RecordStanding
  /** The entries of these types, of all where none is named, as `reconcile` gives them. */
  entries(types?: readonly RecordItemType[]): Promise<readonly Reconciled[]>
  /** The entry with this id, or with this statement; an id that a merge took away still finds the entry. */
  named(id: string): Promise<Reconciled | undefined>
  /**
   * What the record says once a commit of this head and these ledgers is there. Remembered, so that it is not read and
   * worked out again then.
   */
  after(next: Head, changed: ReadonlyMap<RecordItemType, Ledger>): Promise<Shown>
  /** Types whose entries another says otherwise: by what was touched, or because documents stand otherwise. */
  differs(other: Shown): readonly RecordItemType[]
  /** What the entries of all types depend on beside their ledgers. */
  readonly stands: string
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
async function shownBy(
  ports: BookPorts,
  recordId: string,
  books: Books,
  remembered: Remembered,
  foresee: (books: Books, types: Remembered) => void = () => {},
): Promise<Shown> {
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

  const shown: Shown = {
    ...{ books, documents, standing, entries, named, stands },
    async after(next, changed) {
      const later = booksAfter(books, next, changed)
      const types: Remembered = new Map(remembered)
      foresee(later, types)
      return shownBy(ports, recordId, later, types)
    },
    differs: (other) =>
      recordItemTypes.filter(
        (type) => other.stands !== stands || other.books.head.touched?.[type] !== books.head.touched?.[type],
      ),
  }
  return shown
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
  /** What the last write of a record would make of it, until somebody looks. */
  const foreseen = new Map<string, { readonly books: Books; readonly types: Remembered }>()
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
    const coming = foreseen.get(recordId)
    foreseen.delete(recordId)
    const books = await openBooks(ports, recordId, known?.shown.books, coming?.books)
    const came = coming !== undefined && coming.books.head.token === books.head.token
    const types: Remembered = new Map(came ? coming.types : known?.types)
    const shown = await shownBy(ports, recordId, books, types, (later, some) => {
      if (foreseen.size >= limits.rememberedRecords) foreseen.clear()
      foreseen.set(recordId, { books: later, types: some })
    })
    if (books.headVersion !== 'absent') records.set(recordId, { version: books.headVersion, shown, types })
    forget()
    return shown
  }
}

/** When an entry came, and who wrote it where nobody's document did. */
export function createdOf({ members }: Reconciled, documents: Shown['documents']): Stamp | undefined {
  const first = members[0]?.fact
  if (first?.written) return { at: first.written.at, actor: first.written.actor }
  const at = first && documents.get(first.document)?.addedAt
  return at === undefined ? undefined : { at }
}

/** The last that was done to an entry: written, deleted or restored, or told by another document. */
export function updatedOf({ members, stamp }: Reconciled, documents: Shown['documents']): Stamp | undefined {
  const told = members.map(({ fact }) => documents.get(fact.document)?.addedAt ?? 0)
  const at = told.reduce((last, one) => Math.max(last, one), 0)
  if (stamp && stamp.at >= at) return { at: stamp.at, actor: stamp.actor }
  return at === 0 ? undefined : { at }
}

/** Whether anybody may change or delete an entry: neither where its author said no, nor where a sender did. */
export function isReadOnly({ members }: Reconciled, documents: Shown['documents']): boolean {
  return members.some(
    ({ fact: { written, document } }) => written?.readOnly === true || documents.get(document)?.readOnly === true,
  )
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
  const stored = await openJson<StoredItem>(vault, ownerOf(recordId), row.key, row.value)
  const { item, addedAt, source, authored } = stored
  const { actor: _, flags: __, ...beside } = authored ?? {}
  const flags = {
    ...(lookOf(entry).personal && { personal: true }),
    ...(isReadOnly(entry, documents) && { readOnly: true }),
  }
  return {
    ...{ id, recordId, state, item, addedAt, ...(source && { source }) },
    appearances: members.flatMap(({ fact, standing }) => {
      const { written } = fact
      const told = written ? { addedAt: written.at } : (documents.get(fact.document) ?? { addedAt, source })
      const where = { statement: fact.id, document: fact.document, entry: fact.path, addedAt: told.addedAt }
      return [{ ...where, ...('source' in told && told.source && { source: told.source }), standing }]
    }),
    conflicts,
    review,
    withheld: shown.labels?.some((label) => withheldLabels.includes(label)) ?? false,
    version,
    created: createdOf(entry, documents) ?? { at: addedAt },
    updated: updatedOf(entry, documents) ?? { at: addedAt },
    ...(Object.keys(flags).length > 0 && { flags }),
    ...beside,
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
