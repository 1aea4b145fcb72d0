import type { RecordItem, RecordItemType } from '../direct/clinical.js'
import { recordItemTypes } from '../direct/clinical.js'
import { type Batch, type Store, within } from '../ports/store.js'
import type { Vault } from '../ports/vault.js'
import type { ItemSource } from './item.js'
import type { PatientMatch } from './match.js'
import { type Decision, type ReconcileMode, standing } from './reconcile/decision.js'
import { type DocumentFact, documentFact, supersededDocuments } from './reconcile/documents.js'
import { type Fact, factOf } from './reconcile/fact.js'
import type { DocumentStanding } from './reconcile/reconcile.js'
import { dayOf, headKey, itemPrefix, ledgerKey, openJson, ownerOf, sealJson } from './rows.js'

/** What the record remembers of a document for reconciliation. */
export interface HeadDocument extends DocumentFact {
  readonly seq: number
  readonly addedAt: number
  readonly source: ItemSource
  readonly match: PatientMatch
}

/** What stands for the record as a whole. */
export interface Head {
  /** Counts every change. */
  readonly revision: number
  readonly documents: readonly HeadDocument[]
  /** About documents and modes; those about items stand in the ledger of their type. */
  readonly decisions: readonly Decision[]
}

/** All statements of one type, and what was decided on them. */
export interface Ledger {
  readonly facts: readonly Fact[]
  readonly decisions: readonly Decision[]
}

/** The books of a record as they were read together; whoever writes requires that they still stand. */
export interface Books {
  readonly head: Head
  readonly headVersion: number | 'absent'
  ledger(type: RecordItemType): Promise<Ledger>
}

export interface BookPorts {
  readonly store: Store
  readonly vault: Vault
}

const emptyHead: Head = { revision: 0, documents: [], decisions: [] }
const emptyLedger: Ledger = { facts: [], decisions: [] }

/**
 * Opens the books of a record. The head is read first, and every change writes it: a ledger that changes in between makes
 * the commit fail. A record from before there were books gets them from its items. Throws VaultFailed.
 */
export async function openBooks({ store, vault }: BookPorts, recordId: string): Promise<Books> {
  const owner = ownerOf(recordId)
  const row = await store.get(headKey(recordId))
  if (!row) {
    const { head, ledgers } = await fromItems({ store, vault }, recordId)
    return { head, headVersion: 'absent', ledger: async (type) => ledgers.get(type) ?? emptyLedger }
  }
  const head = await openJson<Head>(vault, owner, row.key, row.value)
  const read = new Map<RecordItemType, Promise<Ledger>>()
  const open = async (type: RecordItemType) => {
    const key = ledgerKey(recordId, type)
    const found = await store.get(key)
    return found ? openJson<Ledger>(vault, owner, key, found.value) : emptyLedger
  }
  return {
    head,
    headVersion: row.version,
    ledger(type) {
      const ledger = read.get(type) ?? open(type)
      read.set(type, ledger)
      return ledger
    },
  }
}

/** What must be committed so that the books say this from now on. Where there were none, all ledgers are written. */
export async function bookParts(
  { vault }: Pick<BookPorts, 'vault'>,
  recordId: string,
  books: Books,
  head: Head,
  changed: ReadonlyMap<RecordItemType, Ledger>,
): Promise<Batch> {
  const owner = ownerOf(recordId)
  const ledgers = new Map(changed)
  if (books.headVersion === 'absent') {
    for (const type of recordItemTypes) {
      const ledger = await books.ledger(type)
      if (!ledgers.has(type) && ledger.facts.length > 0) ledgers.set(type, ledger)
    }
  }
  const rows = [...ledgers].map(([type, ledger]) => [ledgerKey(recordId, type), ledger] as const)
  const all = [[headKey(recordId), head] as const, ...rows]
  return {
    require: [{ key: headKey(recordId), version: books.headVersion }],
    put: await Promise.all(all.map(async ([key, value]) => ({ key, value: await sealJson(vault, owner, key, value) }))),
  }
}

/** How the documents of a record stand to one another, by what they say and what was decided. */
export function standingOf({ documents, decisions }: Head): DocumentStanding {
  const said = new Map<string, { readonly kind: 'release' | 'reject'; readonly seq: number }>()
  for (const { deed, seq } of standing(decisions)) {
    if (deed.kind === 'release' || deed.kind === 'reject') said.set(deed.document, { kind: deed.kind, seq })
  }
  const kinds = (kind: 'release' | 'reject') => [...said].filter(([, word]) => word.kind === kind)
  const held = documents.filter(({ sha256, match }) => match.kind === 'mismatch' && !said.has(sha256))
  const rejected = new Set(kinds('reject').map(([sha256]) => sha256))
  const outside = new Set([...held.map(({ sha256 }) => sha256), ...rejected])
  return {
    held: new Set(held.map(({ sha256 }) => sha256)),
    rejected,
    superseded: supersededDocuments(documents.filter(({ sha256 }) => !outside.has(sha256))),
    released: new Map(kinds('release').map(([sha256, { seq }]) => [sha256, seq])),
  }
}

/** The mode of a sender's documents: the last one set for them, else that of the house. */
export function modeOf({ decisions }: Head, sender: string, otherwise: ReconcileMode): ReconcileMode {
  const set = standing(decisions).flatMap(({ deed }) =>
    deed.kind === 'mode' && deed.sender === sender ? [deed.mode] : [],
  )
  return set.at(-1) ?? otherwise
}

/** Books for a record that has items and none yet, as releases before reconciliation left them. */
async function fromItems({ store, vault }: BookPorts, recordId: string) {
  const documents = new Map<string, HeadDocument>()
  const facts = new Map<RecordItemType, Fact[]>()
  const range = within(itemPrefix(recordId))
  for (let gte = range.gte; ; ) {
    const rows = await store.range({ ...range, gte, limit: 500 })
    for (const { key, value } of rows) {
      const stored = await openJson<{ item: RecordItem; addedAt: number; source: ItemSource }>(
        vault,
        ownerOf(recordId),
        key,
        value,
      )
      const { item, addedAt, source } = stored
      const fact = factOf(item, dayOf(item), 0, false)
      const known = facts.get(fact.type) ?? []
      facts.set(fact.type, known)
      known.push(fact)
      const match: PatientMatch = { kind: 'unknown', reasons: ['it came before documents were compared'] }
      if (item.content.type === 'document' || !documents.has(fact.document)) {
        const told = { ...documentFact(item, source.sender), seq: 0, addedAt, source, match }
        documents.set(fact.document, item.content.type === 'document' ? told : { ...told, ids: [], replaces: [] })
      }
    }
    const last = rows.at(-1)
    if (!last || rows.length < 500) break
    gte = `${last.key}\u0001`
  }
  // Which came first is not known of old rows but by the clock; ids of entries follow it.
  const order = [...documents.values()].sort((a, b) => a.addedAt - b.addedAt || (a.sha256 < b.sha256 ? -1 : 1))
  const seqs = new Map(order.map(({ sha256 }, index) => [sha256, index + 1]))
  const numbered = (fact: Fact): Fact => ({ ...fact, seq: seqs.get(fact.document) ?? 0 })
  const head: Head = {
    ...emptyHead,
    revision: order.length,
    documents: order.map((document) => ({ ...document, seq: seqs.get(document.sha256) ?? 0 })),
  }
  const ledgers = new Map([...facts].map(([type, all]) => [type, { facts: all.map(numbered), decisions: [] }]))
  return { head, ledgers }
}
