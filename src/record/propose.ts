import type { Demographics, Diagnostic, RecordItem, RecordItemType } from '../direct/clinical.js'
import { keepBody } from '../ports/body.js'
import { type Batch, together } from '../ports/store.js'
import { VaultFailed } from '../ports/vault.js'
import { openEntry, type Shown } from './entries.js'
import { changeParts, changesBetween } from './feed.js'
import type {
  ItemSource,
  ReadDocument,
  RecordPolicy,
  recordLimits,
  StatedFacts,
  StoredDocument,
  StoredItem,
} from './item.js'
import { type Books, bookParts, type HeadDocument, headAfter, type Ledger, modeOf } from './ledger.js'
import { matchPatient, type PatientMatch, strangersAmong } from './match.js'
import { documentFact } from './reconcile/documents.js'
import { digestOf, type Fact, factOf } from './reconcile/fact.js'
import { reusesId } from './reconcile/relate.js'
import type { Proposal, RecordPorts } from './record.js'
import { bytesKey, dayOf, documentKey, isId, itemKey, openJson, ownerOf, sealJson } from './rows.js'

/**
 * Seals documents and the statements in them and answers what must be committed: their rows, the ledgers that have them
 * now, and the head, whose version is required. What the record has already is left alone.
 */
export async function propose(
  ports: RecordPorts & { shownIn(recordId: string): Promise<Shown> },
  recordId: string,
  { documents, sender, mailbox, messageId, spoolId, readOnly, accepted, stated }: Proposal,
  policy: RecordPolicy,
  limits: typeof recordLimits,
) {
  if (!isId(recordId)) throw new Error('Not the id of a record')
  const shown = await ports.shownIn(recordId)
  const { books } = shown
  const { head } = books
  const told: Told = {
    ...{ seq: head.revision + 1, addedAt: ports.clock.now() },
    source: { messageId, spoolId, sender, mailbox },
    ...(stated && { stated }),
  }
  const { ids, kept } = withinLimit(documents, limits)
  const known = await knownPatient(ports, recordId, shown, policy)
  const patients = await toldPatients(ports, recordId, shown, limits)
  const heads = new Map(head.documents.map((document) => [document.sha256, document]))
  const fresh = new Map<RecordItemType, Fact[]>()
  const parts: Batch[] = []
  const added = new Set<string>()
  let brought = 0

  for (const [sha256, document] of new Map(kept.map((one) => [one.item.provenance.document, one]))) {
    const before = heads.get(sha256)
    const { patient, says } = patientOf(document)
    const found = before?.match ?? matchPatient(patient, known)
    const match = accepted && !before && found.kind === 'mismatch' ? ofPatientAllTheSame(found) : found
    const strangers = match.kind === 'unknown' && !accepted ? strangersAmong(patient, patients) : []
    const seen: HeadDocument = before ?? {
      ...documentFact(document.item, sender),
      ...{ ...told, match },
      ...(says !== undefined && { patient: says }),
      ...(strangers.length > 0 && { strangers }),
      ...(readOnly && { readOnly }),
    }
    heads.set(sha256, seen)
    if (patient && says !== undefined && patients.size < limits.patientsCompared) patients.set(says, patient)
    const auto = accepted || (seen.match.kind === 'match' && modeOf(head, sender, policy.mode) === 'automatic')
    const { items, diagnostics } = await newItems(
      books,
      document,
      fresh,
      (item) => factOf(item, dayOf(item), told.seq, auto),
      limits,
    )
    if (!before) {
      parts.push(await documentParts(ports, recordId, sha256, document, diagnostics, told, limits))
      brought += document.bytes.length
    }
    parts.push(...(await inOrder(items, (item) => itemParts(ports, recordId, item, told))))
    for (const { id } of items) added.add(id)
  }
  if (parts.length === 0) return { parts: {}, itemIds: ids, addedIds: [] }

  if (JSON.stringify({ ...head, documents: [...heads.values()] }).length > limits.headChars)
    return { parts: {}, itemIds: [], addedIds: [] }
  const changed = new Map<RecordItemType, Ledger>()
  for (const [type, facts] of fresh) {
    const ledger = await books.ledger(type)
    changed.set(type, { ...ledger, facts: [...ledger.facts, ...facts] })
  }
  const { items: written, bytes } = head.usage ?? { items: 0, bytes: 0 }
  const usage = { items: written, bytes: bytes + brought }
  const next = await headAfter(books, { documents: [...heads.values()], usage }, changed)
  const feed = await changesBetween(shown, await shown.after(next, changed))
  parts.push(await changeParts(ports, recordId, next.revision, told.addedAt, feed))
  parts.push(await bookParts(ports, recordId, books, next, changed))
  return { parts: together(...parts), itemIds: ids, addedIds: ids.filter((id) => added.has(id)) }
}

/** A person was told of the mismatch, and took it. */
function ofPatientAllTheSame({ reasons }: PatientMatch): PatientMatch {
  return { kind: 'unknown', reasons: [...reasons, 'a person says that it is about this patient'] }
}

interface Told {
  readonly seq: number
  readonly addedAt: number
  readonly source: ItemSource
  readonly stated?: StatedFacts
}

/** The documents with as many of their items as one batch may have, saying so where that is not all. */
function withinLimit(documents: readonly ReadDocument[], limits: typeof recordLimits) {
  const items = new Set<string>()
  for (const { item } of documents) items.add(item.id)
  const kept = documents.map((document) => {
    const fitting = document.items.slice(0, Math.max(0, limits.itemsPerProposal - items.size))
    for (const item of fitting) items.add(item.id)
    if (fitting.length === document.items.length) return document
    const detail = `${fitting.length} of ${document.items.length} items were taken`
    const note: Diagnostic = { code: 'limit-exceeded', where: '', detail }
    return { ...document, items: fitting, diagnostics: [note, ...document.diagnostics] }
  })
  return { ids: [...items], kept }
}

/** Whom a document tells of, and the digest of it. */
function patientOf({ items }: ReadDocument): { readonly patient?: Demographics; readonly says?: string } {
  for (const item of items) {
    if (item.content.type === 'demographics') return { patient: item.content, says: digestOf(item) }
  }
  return {}
}

/** Whom the record is about: its current demographics. */
async function knownPatient(ports: RecordPorts, recordId: string, { entries, documents }: Shown, policy: RecordPolicy) {
  const current = (await entries(['demographics'])).find(({ state }) => state === 'current')
  if (!current) return undefined
  const { item } = await openEntry(ports, recordId, current, documents, policy)
  return item.content.type === 'demographics' ? item.content : undefined
}

/** Whom the documents of the record tell of, held or not, by the digest of what they say; the first that came. */
async function toldPatients(
  { store, vault }: RecordPorts,
  recordId: string,
  { books, documents }: Shown,
  limits: typeof recordLimits,
): Promise<Map<string, Demographics>> {
  const { facts } = await books.ledger('demographics')
  const patients = new Map<string, Demographics>()
  for (const { id, says, document } of facts) {
    if (patients.has(says) || !documents.has(document)) continue
    if (patients.size >= limits.patientsCompared) break
    const row = await store.get(itemKey(recordId, id))
    const stored = row && (await openJson<StoredItem>(vault, ownerOf(recordId), row.key, row.value).catch(ifDamaged))
    if (stored?.item.content.type === 'demographics') patients.set(says, stored.item.content)
  }
  return patients
}

/** Whom a damaged row told of is not known: that is for whoever mends it, and no reason to take no more mail. */
function ifDamaged(error: unknown): undefined {
  if (!(error instanceof VaultFailed) && !(error instanceof SyntaxError)) throw error
}

/**
 * Those of a document's items that the record does not have yet, which is none or all of them, unless it was kept unread
 * or a better reader finds more; their facts go to `fresh`. Diagnostics are told of identifiers that name several things.
 */
async function newItems(
  books: Books,
  { item, items, diagnostics }: ReadDocument,
  fresh: Map<RecordItemType, Fact[]>,
  make: (item: RecordItem) => Fact,
  limits: typeof recordLimits,
): Promise<{ readonly items: readonly RecordItem[]; readonly diagnostics: readonly Diagnostic[] }> {
  const taken: RecordItem[] = []
  const notes: Diagnostic[] = []
  const shelves = new Map<RecordItemType, { readonly ids: Set<string>; readonly named: Map<string, Fact[]> }>()
  let full = false
  for (const one of [item, ...items]) {
    const { type } = one.content
    const shelf = shelves.get(type) ?? shelfOf([...(await books.ledger(type)).facts, ...(fresh.get(type) ?? [])])
    shelves.set(type, shelf)
    if (shelf.ids.has(one.id)) continue
    if (shelf.ids.size >= limits.statementsPerType) {
      full = true
      continue
    }
    const fact = make(one)
    const rival = fact.ids.flatMap((id) => shelf.named.get(id) ?? []).find((other) => reusesId(fact, other))
    if (rival) {
      const where = rival.document === fact.document ? 'this document' : 'another document'
      notes.push({ code: 'id-reused', where: fact.path, detail: `its identifier names something else in ${where}` })
    }
    addTo(shelf, fact)
    listed(fresh, type).push(fact)
    taken.push(one)
  }
  if (full) notes.unshift({ code: 'limit-exceeded', where: '', detail: 'the record has no room for more of a kind' })
  return { items: taken, diagnostics: [...notes, ...diagnostics] }
}

function shelfOf(facts: readonly Fact[]) {
  const shelf = { ids: new Set<string>(), named: new Map<string, Fact[]>() }
  for (const fact of facts) addTo(shelf, fact)
  return shelf
}

function addTo(shelf: { readonly ids: Set<string>; readonly named: Map<string, Fact[]> }, fact: Fact): void {
  shelf.ids.add(fact.id)
  for (const id of fact.ids) listed(shelf.named, id).push(fact)
}

/** The list under a name, there from now on. */
function listed<Name, One>(lists: Map<Name, One[]>, name: Name): One[] {
  const list = lists.get(name) ?? []
  lists.set(name, list)
  return list
}

/** Items sealed at once: enough to keep the disk busy, few enough that one document holds up nobody. */
const atOnce = 64

/** Works through all, `atOnce` at a time; the answers in their order. */
async function inOrder<From, To>(all: readonly From[], work: (one: From) => Promise<To>): Promise<To[]> {
  const done: To[] = []
  for (let at = 0; at < all.length; at += atOnce)
    done.push(...(await Promise.all(all.slice(at, at + atOnce).map(work))))
  return done
}

async function itemParts(
  { vault }: RecordPorts,
  recordId: string,
  item: RecordItem,
  { seq, addedAt, source }: Told,
): Promise<Batch> {
  const key = itemKey(recordId, item.id)
  const stored: StoredItem = { recordId, seq, addedAt, source, item }
  return { put: [{ key, value: await sealJson(vault, ownerOf(recordId), key, stored) }] }
}

/** The document's bytes and what is known of it. */
async function documentParts(
  ports: RecordPorts,
  recordId: string,
  sha256: string,
  { item, bytes, entries }: ReadDocument,
  diagnostics: readonly Diagnostic[],
  { addedAt, source, stated }: Told,
  limits: typeof recordLimits,
): Promise<Batch> {
  const key = documentKey(recordId, sha256)
  const { content } = item
  const stored: StoredDocument = {
    sha256,
    itemId: item.id,
    mediaType: content.type === 'document' ? content.mediaType : 'application/octet-stream',
    ...(content.type === 'document' && content.name !== undefined ? { name: content.name } : {}),
    sizeBytes: bytes.length,
    addedAt,
    source,
    ...(stated && { stated }),
    diagnostics: diagnostics.slice(0, limits.diagnosticsPerDocument),
    entries: entries.slice(0, limits.itemsPerProposal),
  }
  return together(await keepBody(ports, ownerOf(recordId), bytesKey(recordId, sha256), bytes), {
    require: [{ key, version: 'absent' }],
    put: [{ key, value: await sealJson(ports.vault, ownerOf(recordId), key, stored) }],
  })
}
