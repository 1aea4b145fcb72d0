import type { DirectAddress } from '../direct/address.js'
import type { RecordItem } from '../direct/clinical.js'
import type { BodyPorts } from '../ports/body.js'
import { keepBody, readBody } from '../ports/body.js'
import type { Batch } from '../ports/store.js'
import { together } from '../ports/store.js'
import type { Clock } from '../ports/world.js'
import type {
  CurrentQuery,
  ItemPage,
  ItemQuery,
  ItemSource,
  ReadDocument,
  RecordEntry,
  StoredDocument,
  StoredItem,
} from './item.js'
import { recordLimits } from './item.js'
import { listItems } from './list.js'
import { bytesKey, dayOf, documentKey, indexKeys, isId, itemKey, openJson, ownerOf, sealJson } from './rows.js'

export interface RecordPorts extends BodyPorts {
  readonly clock: Clock
}

export interface Proposal {
  readonly documents: readonly ReadDocument[]
  readonly sender: DirectAddress
  readonly mailbox: DirectAddress
  /** The mailbox's id of the message that brought them. */
  readonly messageId: string
  readonly spoolId: string
}

/** Patients' records: items and the documents they were read from, sealed per record. */
export interface PatientRecord {
  /**
   * Seals the documents and their items as proposed and answers what must be committed. Items and documents that the
   * record has already are left as they are, so importing the same bytes again adds nothing. `itemIds` are all ids of
   * the proposal in document order, `addedIds` those that are new. Reads first, then requires absence: on a conflict
   * call it again.
   */
  proposal(
    recordId: string,
    proposal: Proposal,
  ): Promise<{
    readonly parts: Batch
    readonly itemIds: readonly string[]
    readonly addedIds: readonly string[]
  }>
  /** What the record shows today, newest clinical date first, undated last. Entries whose rows are damaged are left out. */
  current(recordId: string, query?: CurrentQuery): AsyncIterable<RecordEntry>
  /** Newest clinical date first, undated last; stable while items are added. */
  list(recordId: string, query: ItemQuery): Promise<ItemPage>
  get(recordId: string, itemId: string): Promise<StoredItem | undefined>
  /** What is known of a document, by the SHA-256 of its bytes in lower-case hex. */
  document(recordId: string, sha256: string): Promise<StoredDocument | undefined>
  /** Its bytes, exactly as they came. */
  documentBytes(recordId: string, sha256: string): Promise<AsyncIterable<Uint8Array> | undefined>
}

export function openRecord(ports: RecordPorts, limits = recordLimits): PatientRecord {
  const { store, vault } = ports
  async function read<T>(recordId: string, id: string, keyOf: typeof itemKey): Promise<T | undefined> {
    if (!isId(recordId) || !isId(id)) return undefined
    const key = keyOf(recordId, id)
    const row = await store.get(key)
    return row && openJson<T>(vault, ownerOf(recordId), key, row.value)
  }
  return {
    proposal: (recordId, proposal) => propose(ports, recordId, proposal, limits),
    current: (recordId, query = {}) => currentEntries(ports, recordId, query, limits),
    list: (recordId, query) => listItems(ports, recordId, query, limits),
    get: (recordId, itemId) => read<StoredItem>(recordId, itemId, itemKey),
    document: (recordId, sha256) => read<StoredDocument>(recordId, sha256, documentKey),
    async documentBytes(recordId, sha256) {
      if (!isId(recordId) || !isId(sha256)) return undefined
      return readBody(ports, ownerOf(recordId), bytesKey(recordId, sha256))
    },
  }
}

async function* currentEntries(
  ports: RecordPorts,
  recordId: string,
  { types, from = '', to = '9999' }: CurrentQuery,
  limits: typeof recordLimits,
): AsyncIterable<RecordEntry> {
  for (let cursor: string | undefined; ; ) {
    const query: ItemQuery = { state: 'current', limit: limits.pageMax, ...(cursor === undefined ? {} : { cursor }) }
    const page = await listItems(ports, recordId, query, limits)
    if (page.kind !== 'page') return
    for (const { item, addedAt, source, state } of page.items) {
      const day = dayOf(item)
      const inside = day.startsWith('0000') || (day >= from && day.slice(0, to.length) <= to)
      if (!inside || (types && !types.includes(item.content.type))) continue
      const { document, entry } = item.provenance
      const appearance = { statement: item.id, document, entry, addedAt, source, standing: 'shown' as const }
      const shown = { item, addedAt, source, appearances: [appearance], conflicts: [] }
      yield { id: item.id, recordId, state, ...shown, withheld: false, version: '1' }
    }
    if (page.next === undefined) return
    cursor = page.next
  }
}

async function propose(ports: RecordPorts, recordId: string, proposal: Proposal, limits: typeof recordLimits) {
  const { documents, sender, mailbox, messageId, spoolId } = proposal
  const told = { addedAt: ports.clock.now(), source: { messageId, spoolId, sender, mailbox } }
  if (!isId(recordId)) throw new Error('Not the id of a record')
  const items = new Map<string, RecordItem>()
  for (const { item } of documents) items.set(item.id, item)
  const kept = documents.map((document) => {
    const fitting = document.items.slice(0, Math.max(0, limits.itemsPerProposal - items.size))
    for (const item of fitting) items.set(item.id, item)
    return fitting.length === document.items.length ? document : withNote({ ...document, items: fitting }, document)
  })

  const parts: Batch[] = []
  const added = new Set<string>()
  for (const [sha256, document] of new Map(kept.map((one) => [one.item.provenance.document, one]))) {
    const stored = await ports.store.get(documentKey(recordId, sha256))
    const all = [document.item, ...document.items]
    // Ids of items come from the bytes of their document, and both are written together: a new document has new items.
    const fresh = stored ? await unknownItems(ports, recordId, all) : all
    if (!stored) parts.push(await documentParts(ports, recordId, sha256, document, told, limits))
    parts.push(...(await inOrder(fresh, (item) => itemParts(ports, recordId, item, told, stored !== undefined))))
    for (const { id } of fresh) added.add(id)
  }
  const ids = [...items.keys()]
  return { parts: together(...parts), itemIds: ids, addedIds: ids.filter((id) => added.has(id)) }
}

/** Says in the document itself that only its first items were taken. */
function withNote(taken: ReadDocument, whole: ReadDocument): ReadDocument {
  const detail = `${taken.items.length} of ${whole.items.length} items were taken`
  return { ...taken, diagnostics: [{ code: 'limit-exceeded', where: '', detail }, ...whole.diagnostics] }
}

/** Those of a document's items that the record does not have: all were written with it, unless it was kept unread. */
async function unknownItems(
  { store }: RecordPorts,
  recordId: string,
  items: readonly RecordItem[],
): Promise<readonly RecordItem[]> {
  const rows = await inOrder(items, (item) => store.get(itemKey(recordId, item.id)))
  return items.filter((_, index) => rows[index] === undefined)
}

interface Told {
  readonly addedAt: number
  readonly source: ItemSource
}

/** Items read or sealed at once: enough to keep the disk busy, few enough that one document holds up nobody. */
const atOnce = 64

/** Works through all, `atOnce` at a time; the answers in their order. */
async function inOrder<From, To>(all: readonly From[], work: (one: From) => Promise<To>): Promise<To[]> {
  const done: To[] = []
  for (let at = 0; at < all.length; at += atOnce)
    done.push(...(await Promise.all(all.slice(at, at + atOnce).map(work))))
  return done
}

/** The item as proposed with its two index rows. `alone`: its document is there already, and vouches for nothing. */
async function itemParts(
  { vault }: RecordPorts,
  recordId: string,
  item: RecordItem,
  told: Told,
  alone: boolean,
): Promise<Batch> {
  const key = itemKey(recordId, item.id)
  const stored: StoredItem = { recordId, state: 'proposed', ...told, item }
  return {
    ...(alone && { require: [{ key, version: 'absent' as const }] }),
    put: [
      { key, value: await sealJson(vault, ownerOf(recordId), key, stored) },
      ...indexKeys(recordId, item).map((index) => ({ key: index, value: Buffer.from(stored.state) })),
    ],
  }
}

/** The document's bytes and what is known of it. A second one of the same bytes is a conflict. */
async function documentParts(
  ports: RecordPorts,
  recordId: string,
  sha256: string,
  { item, bytes, diagnostics }: ReadDocument,
  told: Told,
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
    ...told,
    diagnostics: diagnostics.slice(0, limits.diagnosticsPerDocument),
  }
  return together(await keepBody(ports, ownerOf(recordId), bytesKey(recordId, sha256), bytes), {
    require: [{ key, version: 'absent' }],
    put: [{ key, value: await sealJson(ports.vault, ownerOf(recordId), key, stored) }],
  })
}
