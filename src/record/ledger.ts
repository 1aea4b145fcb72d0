import { createHash } from 'node:crypto'
import type { RecordItem, RecordItemType } from '../direct/clinical.js'
import { recordItemTypes } from '../direct/clinical.js'
import { type Batch, type Store, within } from '../ports/store.js'
import { type Vault, VaultFailed } from '../ports/vault.js'
import type { ItemSource } from './item.js'
import type { PatientMatch, Stranger } from './match.js'
import { type Decision, type ReconcileMode, standing } from './reconcile/decision.js'
import { type DocumentFact, documentFact, heldDocuments, supersededDocuments } from './reconcile/documents.js'
import { type Fact, factOf } from './reconcile/fact.js'
import { type DocumentStanding, lastWords } from './reconcile/reconcile.js'
import { dayOf, headKey, itemPrefix, ledgerKey, openJson, ownerOf, sealJson } from './rows.js'

/** What the record remembers of a document for reconciliation. */
export interface HeadDocument extends DocumentFact {
  readonly seq: number
  readonly addedAt: number
  readonly source: ItemSource
  readonly match: PatientMatch
  /** Documents before it that tell of somebody else; asked where the record could not say whose it is. */
  readonly strangers?: readonly Stranger[]
  /** What was read from it is neither changed nor deleted: whoever sent it said so. */
  readonly readOnly?: true
}

/** How the documents of a record stand, and against which others those that are held. */
export interface RecordStanding extends DocumentStanding {
  readonly against: ReadonlyMap<string, readonly string[]>
}

/** What stands for the record as a whole. */
export interface Head {
  /** Counts every change. */
  readonly revision: number
  readonly documents: readonly HeadDocument[]
  /** About documents and modes; those about items stand in the ledger of their type. */
  readonly decisions: readonly Decision[]
  /** Revision that last changed the ledger of a type; rows from before this was kept are as old as their record. */
  readonly touched?: Readonly<Partial<Record<RecordItemType, number>>>
  /** How many pages the ledger of a type has. */
  readonly pages?: Readonly<Partial<Record<RecordItemType, number>>>
  /** What was written here takes up; absent where nobody wrote since this was counted. */
  readonly usage?: Usage
  /** Tells this head from every other one of its revision: whoever made it knows what the ledgers say. */
  readonly token?: string
}

/** Statements that people and applications wrote, old versions among them, and all bytes: theirs, blobs, documents. */
export interface Usage {
  readonly items: number
  readonly bytes: number
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
  /** The ledger of a type, where it was read already. */
  known(type: RecordItemType): Promise<Ledger> | undefined
}

export interface BookPorts {
  readonly store: Store
  readonly vault: Vault
  /** Lets everybody else have the event loop; without it large records are worked out in one go. */
  readonly pause?: () => Promise<void>
}

const emptyHead: Head = { revision: 0, documents: [], decisions: [] }
const emptyLedger: Ledger = { facts: [], decisions: [] }

/**
 * Opens the books of a record. The head is read first, and every change writes it: a ledger that changes in between makes
 * the commit fail. A record from before there were books gets them from its items. What `before` has of ledgers that did
 * not change since is not opened again, nor what `foreseen` has where that is what was committed. Throws VaultFailed.
 */
export async function openBooks(
  { store, vault }: BookPorts,
  recordId: string,
  before?: Books,
  foreseen?: Books,
): Promise<Books> {
  const owner = ownerOf(recordId)
  const row = await store.get(headKey(recordId))
  if (!row) {
    const { head, ledgers } = await fromItems({ store, vault }, recordId)
    const ledger = async (type: RecordItemType) => ledgers.get(type) ?? emptyLedger
    return { head, headVersion: 'absent', ledger, known: ledger }
  }
  const head = await openJson<Head>(vault, owner, row.key, row.value)
  const read = new Map<RecordItemType, Promise<Ledger>>()
  const came = head.token !== undefined && head.token === foreseen?.head.token
  for (const type of recordItemTypes) {
    const unchanged = before?.headVersion !== 'absent' && before?.head.touched?.[type] === head.touched?.[type]
    const known = came ? foreseen?.known(type) : unchanged ? before?.known(type) : undefined
    if (known) read.set(type, known)
  }
  const open = async (type: RecordItemType) => {
    const pages: Ledger[] = []
    for (let page = 0; page < (head.pages?.[type] ?? 0); page++) {
      const key = ledgerKey(recordId, type, page)
      const found = await store.get(key)
      if (!found) throw new VaultFailed('A page of a ledger is gone')
      pages.push(await openJson<Ledger>(vault, owner, key, found.value))
    }
    return { facts: pages.flatMap(({ facts }) => facts), decisions: pages.flatMap(({ decisions }) => decisions) }
  }
  return {
    head,
    headVersion: row.version,
    ledger(type) {
      const ledger = read.get(type) ?? open(type)
      read.set(type, ledger)
      ledger.catch(() => read.delete(type))
      return ledger
    },
    known: (type) => read.get(type),
  }
}

/** The books as they will be once what `bookParts` answers for the same head and ledgers is committed. */
export function booksAfter(books: Books, next: Head, changed: ReadonlyMap<RecordItemType, Ledger>): Books {
  const touched = { ...next.touched }
  for (const type of changed.keys()) touched[type] = next.revision
  const known = new Map([...changed].map(([type, ledger]) => [type, Promise.resolve(ledger)]))
  return {
    head: { ...next, touched },
    headVersion: books.headVersion,
    ledger: (type) => known.get(type) ?? books.ledger(type),
    known: (type) => known.get(type) ?? books.known(type),
  }
}

/** The head that follows: one revision later, with a token that no other head of any record has but one that says the same. */
export async function headAfter(
  { head, ledger }: Books,
  next: Partial<Pick<Head, 'documents' | 'decisions' | 'usage'>>,
  changed: ReadonlyMap<RecordItemType, Ledger>,
): Promise<Head> {
  const revision = head.revision + 1
  const hash = createHash('sha256').update(JSON.stringify([head.token ?? '', revision, next.usage ?? 0]))
  for (const [type, { facts, decisions }] of changed) {
    const before = await ledger(type)
    const added = [facts.slice(before.facts.length), decisions.slice(before.decisions.length)]
    hash.update(JSON.stringify([type, ...added]))
  }
  const { documents = head.documents, decisions = head.decisions } = next
  const told = documents.slice(head.documents.length).map(({ sha256, seq, addedAt }) => [sha256, seq, addedAt])
  hash.update(JSON.stringify([told, decisions.slice(head.decisions.length)]))
  return { ...head, ...next, revision, token: hash.digest('base64url').slice(0, 22) }
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
  const rows: (readonly [string, Ledger])[] = []
  const touched = { ...head.touched }
  const pages = { ...head.pages }
  for (const [type, ledger] of ledgers) {
    const before = books.headVersion === 'absent' ? emptyLedger : await books.ledger(type)
    const count = pageCount(ledger)
    for (let page = 0; page < count; page++) {
      if (pageStands(before, ledger, page)) continue
      rows.push([ledgerKey(recordId, type, page), pageOf(ledger, page)])
    }
    touched[type] = head.revision
    pages[type] = count
  }
  const all = [[headKey(recordId), { ...head, touched, pages }] as const, ...rows]
  return {
    require: [{ key: headKey(recordId), version: books.headVersion }],
    put: await Promise.all(all.map(async ([key, value]) => ({ key, value: await sealJson(vault, owner, key, value) }))),
  }
}

/**
 * What one page of a ledger has: statements of some 500 bytes and at most 24 kB, decisions of at most 40 kB, so that no
 * page outgrows a row. Both only ever grow at their end: full pages are never written again.
 */
const pageHas = { facts: 500, decisions: 100 }

function pageCount({ facts, decisions }: Ledger): number {
  return Math.max(Math.ceil(facts.length / pageHas.facts), Math.ceil(decisions.length / pageHas.decisions))
}

/** Whether a page is as it was: nothing was added to the ledger where it ends. */
function pageStands(before: Ledger, { facts, decisions }: Ledger, page: number): boolean {
  const factsStand = before.facts.length >= Math.min(facts.length, (page + 1) * pageHas.facts)
  const decisionsStand = before.decisions.length >= Math.min(decisions.length, (page + 1) * pageHas.decisions)
  return page < pageCount(before) && factsStand && decisionsStand
}

function pageOf({ facts, decisions }: Ledger, page: number): Ledger {
  return {
    facts: facts.slice(page * pageHas.facts, (page + 1) * pageHas.facts),
    decisions: decisions.slice(page * pageHas.decisions, (page + 1) * pageHas.decisions),
  }
}

/** How the documents of a record stand to one another, by what they say and what was decided. */
export async function standingOf({ head, ledger }: Books): Promise<RecordStanding> {
  const { documents, decisions } = head
  const { facts, decisions: onPatients } = await ledger('demographics')
  const said = new Map<string, { readonly kind: 'release' | 'reject'; readonly seq: number }>()
  for (const { deed, seq } of standing(decisions)) {
    if (deed.kind === 'release' || deed.kind === 'reject') said.set(deed.document, { kind: deed.kind, seq })
  }
  const of = (kind: 'release' | 'reject') =>
    new Map([...said].flatMap(([sha256, word]) => (word.kind === kind ? [[sha256, word.seq] as const] : [])))
  const [released, rejected] = [of('release'), of('reject')]
  const words = lastWords(standing(onPatients), facts)
  const sayings = new Set(facts.flatMap(({ id, says }) => (words.get(id)?.kind === 'add' ? [says] : [])))
  const taken = new Set(facts.flatMap(({ says, document }) => (sayings.has(says) ? [document] : [])))
  const against = heldDocuments(documents, { released, rejected, taken })
  const inside = documents.filter(({ sha256 }) => !against.has(sha256) && !rejected.has(sha256))
  return {
    held: new Set(against.keys()),
    rejected: new Set(rejected.keys()),
    superseded: supersededDocuments(
      inside.map((document) => ({ ...document, seq: Math.max(document.seq, released.get(document.sha256) ?? 0) })),
    ),
    released,
    against,
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
