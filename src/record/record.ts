import type { Actor, Reading } from '../direct/access.js'
import type { DirectAddress } from '../direct/address.js'
import type { BodyPorts } from '../ports/body.js'
import { readBody } from '../ports/body.js'
import type { Batch } from '../ports/store.js'
import type { Clock } from '../ports/world.js'
import { decide, decisionsOn } from './decide.js'
import { openEntry, rememberedEntries } from './entries.js'
import { eraseRecordContent } from './erase.js'
import { listChanges } from './feed.js'
import { historyOf } from './history.js'
import type {
  Author,
  ChangesQuery,
  CurrentQuery,
  DecideOutcome,
  DecisionView,
  DeedRequest,
  DocumentReview,
  DocumentSummary,
  DocumentView,
  ItemChange,
  ItemPage,
  ItemQuery,
  ItemVersion,
  PutOutcome,
  ReadDocument,
  RecordChanges,
  RecordEntry,
  RecordPolicy,
  StatedFacts,
  StoredDocument,
  Whose,
} from './item.js'
import { recordLimits } from './item.js'
import { type HeadDocument, modeOf, openBooks, type Usage } from './ledger.js'
import { currentEntries, listItems } from './list.js'
import type { PatientMatch } from './match.js'
import { propose } from './propose.js'
import { putItems } from './put.js'
import { type ReconcileMode, standing } from './reconcile/decision.js'
import type { Reconciled } from './reconcile/reconcile.js'
import { bytesKey, documentKey, isId, openJson, ownerOf } from './rows.js'
import { lookOf, mayBeSeen, opensTo, recordOf, toldTo } from './sight.js'

export interface RecordPorts extends BodyPorts {
  readonly clock: Clock
  /** Lets everybody else have the event loop; without it large records are worked out in one go. */
  readonly pause?: () => Promise<void>
}

export interface Proposal {
  readonly documents: readonly ReadDocument[]
  readonly sender: DirectAddress
  readonly mailbox: DirectAddress
  /** The mailbox's id of the message that brought them. */
  readonly messageId: string
  readonly spoolId: string
  /** Nothing that is read from these documents may be changed or deleted. */
  readonly readOnly?: true
  /** A person looked through them and takes them: they count at once, and are of this patient whatever they tell. */
  readonly accepted?: true
  readonly stated?: StatedFacts
}

/** Patients' records: what documents said, reconciled, and the documents themselves, sealed per record. */
export interface PatientRecord {
  /**
   * Seals the documents and their items and answers what must be committed. Items and documents that the record has
   * already are left as they are, so importing the same bytes again adds nothing. `itemIds` are all ids of the proposal in
   * document order, `addedIds` those that are new. Reads first, then requires that the record did not change: on a
   * conflict call it again.
   */
  proposal(
    recordId: string,
    proposal: Proposal,
  ): Promise<{
    readonly parts: Batch
    readonly itemIds: readonly string[]
    readonly addedIds: readonly string[]
  }>
  /**
   * What the record shows today, newest clinical date first, undated last. Throws VaultFailed at an entry whose row is
   * damaged: whoever hands a record on must not hand on less without a word.
   */
  current(whose: Whose, query?: CurrentQuery): AsyncIterable<RecordEntry>
  /**
   * Entries, newest clinical date first, undated last; stable while documents are added. Whoever is no custodian sees what
   * is current and which documents there are, as far as rules go.
   */
  list(whose: Whose, query: ItemQuery): Promise<ItemPage>
  /** One entry, by its id or by that of any of its statements. */
  get(whose: Whose, id: string, reading?: Reading): Promise<RecordEntry | undefined>
  /**
   * Writes items as people and applications ask, all of the changes or none, and answers what must be committed. Judged by
   * the author's access, the record as it is, and its quota. On a conflict call it again.
   */
  put(recordId: string, changes: readonly ItemChange[], by: Author): Promise<PutOutcome>
  /** Every version of an entry, newest first. For custodians: callers check. */
  history(recordId: string, entry: string): Promise<readonly ItemVersion[]>
  /**
   * What was done to the record after a revision or a cursor, oldest first; as far as the caller may see it, an entry that
   * comes into sight is created and one that goes out of it is deleted.
   */
  changes(whose: Whose, query: ChangesQuery): Promise<RecordChanges | { readonly kind: 'bad-cursor' }>
  /** What is kept of the record: statements that were written here, and all bytes. */
  usage(recordId: string): Promise<Usage>
  /** Decides, and answers what must be committed; `by` as the audit log names who did. On a conflict call it again. */
  decide(recordId: string, requests: readonly DeedRequest[], by: string | Actor): Promise<DecideOutcome>
  /** Every decision on the record, or on one entry, newest first. */
  decisions(recordId: string, entryId?: string): Promise<readonly DecisionView[]>
  /** Senders with a mode of their own, and what holds for all others. */
  modes(recordId: string): Promise<{
    readonly otherwise: ReconcileMode
    readonly senders: Readonly<Record<string, ReconcileMode>>
  }>
  /** What is known of a document, by the SHA-256 of its bytes in lower-case hex. */
  document(whose: Whose, sha256: string): Promise<DocumentView | undefined>
  /** All documents, newest first as they came. */
  documents(whose: Whose): Promise<readonly DocumentSummary[]>
  /**
   * The documents that a person should look at, newest first: those that are held, and those with entries that are new or
   * changed. An entry stands under the newest document that speaks of it.
   */
  review(recordId: string): Promise<readonly DocumentReview[]>
  /** Takes away everything of a record that nobody has any more (see erase.ts). */
  erase(recordId: string): Promise<void>
  /** Its bytes, exactly as they came. */
  documentBytes(whose: Whose, sha256: string): Promise<AsyncIterable<Uint8Array> | undefined>
}

/** What custodians alone are told of a document: what became of each of its statements, and what was compared. */
const plain = { diagnostics: [], entries: [], match: { kind: 'unknown', reasons: [] } } as const

/** What holds where the operator said nothing: a person looks at everything. */
export const recordPolicy: RecordPolicy = { mode: 'review', withheldLabels: [] }

/** Opens the records over a store and a vault. */
export function openRecord(
  ports: RecordPorts,
  limits = recordLimits,
  policy: RecordPolicy = recordPolicy,
): PatientRecord {
  const { store, vault } = ports
  const shownIn = rememberedEntries(ports, limits)
  const lists = { store, vault, limits, policy, shownIn }

  async function stored(recordId: string, sha256: string): Promise<StoredDocument | undefined> {
    if (!isId(recordId) || !isId(sha256)) return undefined
    const key = documentKey(recordId, sha256)
    const row = await store.get(key)
    return row && openJson<StoredDocument>(vault, ownerOf(recordId), key, row.value)
  }

  async function view(recordId: string, { entries = [], ...document }: StoredDocument): Promise<DocumentView> {
    const { documents, standing: stands } = await shownIn(recordId)
    const { sha256 } = document
    const match = matchOf(documents.get(sha256), stands.against.get(sha256) ?? [])
    const kinds = (['held', 'rejected', 'superseded'] as const).filter((kind) => stands[kind].has(sha256))
    return { ...document, entries, match, standing: kinds[0] ?? 'live' }
  }

  /** Whether the document's own entry is there for whoever looks; what of it is told by others is another question. */
  async function isSeen(whose: Whose, { itemId }: StoredDocument): Promise<boolean> {
    return typeof whose === 'string' || (await record.get(whose, itemId)) !== undefined
  }

  const record: PatientRecord = {
    proposal: (recordId, proposal) => propose({ ...ports, shownIn }, recordId, proposal, policy, limits),
    current: (whose, query = {}) => currentEntries(lists, whose, query),
    list: (whose, query) => listItems(lists, whose, query),
    async get(whose, id, reading = 'by-id') {
      const { record: recordId, access } = recordOf(whose)
      if (!isId(recordId) || !isId(id)) return undefined
      const shown = await shownIn(recordId)
      const entry = await shown.named(id)
      if (!entry || !mayBeSeen(lookOf(entry), access)) return undefined
      const opened = await openEntry(ports, recordId, entry, shown.documents, policy)
      return opensTo(opened.item, entry.shown.day, access, reading) ? toldTo(access, opened) : undefined
    },
    put: (recordId, changes, by) => putItems({ ...ports, shownIn }, recordId, changes, by, limits),
    async history(recordId, entry) {
      return isId(recordId) ? historyOf(ports, recordId, entry, await shownIn(recordId)) : []
    },
    async usage(recordId) {
      const { head } = await openBooks(ports, recordId)
      return head.usage ?? { items: 0, bytes: 0 }
    },
    changes: (whose, query) => listChanges({ ...ports, shownIn }, whose, query, limits),
    decide: (recordId, requests, by) => decide({ ...ports, shownIn }, recordId, requests, by, limits),
    async decisions(recordId, entryId) {
      if (!isId(recordId)) return []
      const shown = await shownIn(recordId)
      const entry = entryId === undefined ? undefined : await shown.named(entryId)
      return entryId !== undefined && !entry ? [] : decisionsOn(shown.books, entry)
    },
    async modes(recordId) {
      if (!isId(recordId)) return { otherwise: policy.mode, senders: {} }
      const { head } = await openBooks(ports, recordId)
      const named = standing(head.decisions).flatMap(({ deed }) => (deed.kind === 'mode' ? [deed.sender] : []))
      const senders = [...new Set(named)].map((sender) => [sender, modeOf(head, sender, policy.mode)] as const)
      return { otherwise: policy.mode, senders: Object.fromEntries(senders) }
    },
    async document(whose, sha256) {
      const { record: recordId, access } = recordOf(whose)
      const document = await stored(recordId, sha256)
      if (!document || !(await isSeen(whose, document))) return undefined
      return { ...(await view(recordId, document)), ...(access && !access.custodian && plain) }
    },
    async review(recordId) {
      if (!isId(recordId)) return []
      const shown = await shownIn(recordId)
      const entries = await shown.entries()
      const all = await record.documents(recordId)
      const order = new Map(all.map(({ sha256 }, index) => [sha256, index]))
      const waiting = new Map<string, Reconciled[]>()
      for (const entry of entries) {
        if (entry.review.length === 0 && entry.state !== 'held') continue
        const places = entry.members.map(({ fact }) => order.get(fact.document) ?? all.length)
        const { sha256 } = all[Math.min(...places)] ?? { sha256: '' }
        waiting.set(sha256, [...(waiting.get(sha256) ?? []), entry])
      }
      return all
        .filter(({ sha256 }) => waiting.has(sha256))
        .map((document) => {
          const some = waiting.get(document.sha256) ?? []
          return { document, entries: some.map(({ id, type, state, review }) => ({ id, type, state, review })) }
        })
    },
    async documents(whose) {
      const { record: recordId } = recordOf(whose)
      if (!isId(recordId)) return []
      const { books } = await shownIn(recordId)
      const newest = [...books.head.documents].sort((a, b) => b.seq - a.seq || (a.sha256 < b.sha256 ? -1 : 1))
      const views = await Promise.all(
        newest.map(async ({ sha256 }) => {
          const document = await stored(recordId, sha256)
          return document && (await isSeen(whose, document)) ? [await view(recordId, document)] : []
        }),
      )
      return views.flat().map(({ diagnostics: _, entries: __, ...told }) => told)
    },
    erase: (recordId) => eraseRecordContent(store, recordId),
    async documentBytes(whose, sha256) {
      const { record: recordId, access } = recordOf(whose)
      if (!isId(recordId) || !isId(sha256)) return undefined
      if (access && !(await record.document(whose, sha256))) return undefined
      return readBody(ports, ownerOf(recordId), bytesKey(recordId, sha256))
    },
  }
  return record
}

/** Whose a document is: as it was found out when it came, and against what it is held today. */
function matchOf(document: HeadDocument | undefined, against: readonly string[]): PatientMatch {
  const { kind, reasons } = document?.match ?? { kind: 'unknown' as const, reasons: [] }
  if (against.length === 0) return { kind, reasons }
  const told = document?.strangers?.flatMap((stranger) => stranger.reasons) ?? []
  const more = [...new Set(told)].map((reason) => `${reason} from another document`)
  return { kind: 'mismatch', reasons: [...reasons, ...more, 'another document tells of somebody else'], against }
}
