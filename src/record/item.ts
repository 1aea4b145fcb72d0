import type { Actor, Reading, RecordAccess } from '../direct/access.js'
import type { DirectAddress } from '../direct/address.js'
import type { Diagnostic, EntryOutcome, RecordItem, RecordItemType } from '../direct/clinical.js'
import type { Agent } from '../direct/datatypes.js'
import type { Batch } from '../ports/store.js'
import type { PatientMatch } from './match.js'
import type { Decision, ReconcileMode } from './reconcile/decision.js'
import type { EntryState, ReviewReason } from './reconcile/reconcile.js'

/** How an entry stands in the record. Import proposes; a person, or a mode that a person set, makes it current. */
export type ItemState = EntryState

/**
 * Whose view of which record: what a caller may see of it, or the id of a record for rooms of this house, which see all of
 * it. What an access does not reach is as if it were not there, and records are named as the access was told.
 */
export type Whose = RecordAccess | string

/** Where an item came from, beyond the document that its own provenance names. */
export interface ItemSource {
  readonly messageId: string
  readonly spoolId: string
  readonly sender: DirectAddress
  readonly mailbox: DirectAddress
}

/** One place where the record has been told what an entry says. */
export interface Appearance {
  /** Id of the statement: the record item as that document has it. */
  readonly statement: string
  /** SHA-256 of the document, and the path of the entry in it; both empty where somebody wrote it here. */
  readonly document: string
  readonly entry: string
  /** Unix milliseconds. */
  readonly addedAt: number
  /** Absent where somebody wrote it here, and for whoever is no custodian. */
  readonly source?: ItemSource
  /** `shown`: it is what the entry shows; `waits`: a person is asked first; `superseded`: its document was replaced. */
  readonly standing: 'shown' | 'same' | 'waits' | 'superseded'
}

/** Statements of one entry, or of two, do not agree on something that matters. */
export interface Conflict {
  /** What they differ in: `dose`, `route`, `status`, `value`, `negation` … */
  readonly field: string
  /** One statement for each thing said. */
  readonly statements: readonly string[]
}

/** What the record shows: one whole statement, and everybody who said the same. */
export interface RecordEntry {
  /** Stable while documents are added: the id of the statement that came first. */
  readonly id: string
  readonly recordId: string
  readonly state: ItemState
  /** The statement shown, as its document has it; never put together from two. */
  readonly item: RecordItem
  /** When that statement came, Unix milliseconds, and what brought it; nothing did where somebody wrote it here. */
  readonly addedAt: number
  readonly source?: ItemSource
  /** All statements of the entry, the shown one among them. */
  readonly appearances: readonly Appearance[]
  readonly conflicts: readonly Conflict[]
  /** Why a person should look at it; empty where nothing waits. */
  readonly review: readonly ReviewReason[]
  /** It carries a security label for which it leaves only when picked by itself. */
  readonly withheld: boolean
  /** Changes whenever anything of the entry does (HealthVault's version stamp). */
  readonly version: string
  readonly created: Stamp
  /** The last writing, deleting or restoring; of what documents told, the last that came. */
  readonly updated: Stamp
  readonly flags?: ItemFlags
  /** Told to the application that gave it, and to custodians. */
  readonly clientId?: string
  readonly tags?: readonly string[]
  readonly related?: readonly RelatedItem[]
  readonly blobs?: readonly ItemBlob[]
  /** Day, ISO 8601, on which it ends or ended, as its author says. */
  readonly endsAt?: string
}

/** When something was done to an entry, and by whom. */
export interface Stamp {
  /** Unix milliseconds. */
  readonly at: number
  /** Absent where a document brought it. */
  readonly actor?: Actor
}

export interface ItemFlags {
  /** Custodians see it, nobody else; only they set it. */
  readonly personal?: boolean
  /** Neither updated (but for `endsAt`) nor deleted, by anybody; only set when it is created. */
  readonly readOnly?: boolean
}

/** A loose relation: that the other item is there is nobody's promise. */
export interface RelatedItem {
  /** Id of an entry of the same record. */
  readonly item: string
  /** What it is to this one, the author's own word. */
  readonly kind: string
}

/** Bytes that belong to an item, uploaded before. */
export interface ItemBlob {
  /** Unique in its item, at most 255 characters; empty for the one that is the content. */
  readonly name: string
  readonly mediaType: string
  /** SHA-256 of its bytes, lower-case hex. */
  readonly sha256: string
  readonly sizeBytes: number
}

/** An item as somebody writes it: what it says, without anything that the record gives it. */
export interface AuthoredItem extends Omit<RecordItem, 'id' | 'provenance'> {
  /** Who wrote it down, where it names somebody; else whoever puts it. */
  readonly authors?: readonly Agent[]
  /**
   * The application's own id for it, at most 255 characters, unique among what that application wrote in the record.
   * Creating the same again under it answers what was created first; creating something else is refused.
   */
  readonly clientId?: string
  /** On an update, flags that are not named stay. */
  readonly flags?: ItemFlags
  readonly related?: readonly RelatedItem[]
  readonly tags?: readonly string[]
  /** `sha256` is that of a finished upload to this record, or of a blob that the item has already. */
  readonly blobs?: readonly ItemBlob[]
  readonly endsAt?: string
}

/** What a put asks for; `version` is that of the entry as it was read. An update is the whole item anew. */
export type ItemChange =
  | { readonly kind: 'create'; readonly item: AuthoredItem }
  | { readonly kind: 'update'; readonly entry: string; readonly version?: string; readonly item: AuthoredItem }
  | { readonly kind: 'delete'; readonly entry: string; readonly version?: string }
  | { readonly kind: 'restore'; readonly entry: string; readonly version?: string }

/** Who puts: what they may do, and the names under which what they write is shown. */
export interface Author {
  readonly access: RecordAccess
  readonly authors?: readonly Agent[]
}

export type PutProblem =
  /** Nothing there that this caller may see. */
  | 'missing'
  /** It changed since it was read (61), or the request does not say what was read (60). */
  | 'stale'
  | 'version-missing'
  /** No rule allows it (11). */
  | 'denied'
  /** 154 to 156 and 161. */
  | 'read-only'
  /** The record has one of these and no more. */
  | 'singleton'
  /** Documents are never changed. */
  | 'immutable'
  /** The record is full (68). */
  | 'quota'
  /** The application created something else under this id before. */
  | 'client-id-used'
  /** No finished upload of this record has these bytes (112). */
  | 'blob-missing'
  /** It is deleted, or is not. */
  | 'not-possible'
  | 'bad-item'

export type PutOutcome =
  | {
      readonly kind: 'put'
      readonly parts: Batch
      /** Revision of the record, shared by all changes; that of before where nothing changed. */
      readonly sequence: number
      /** In the order of the changes. `repeated`: it was created before, under the same client id. */
      readonly items: readonly { readonly id: string; readonly version: string; readonly repeated?: true }[]
    }
  /** Nothing is changed: the change at `index` cannot be done. */
  | { readonly kind: 'refused'; readonly index: number; readonly problem: PutProblem; readonly detail: string }

/** One thing that happened to an entry, as whoever follows the record is told. */
export interface RecordChange {
  /** Of the commit that did it; ascending, shared by all that was done together. */
  readonly sequence: number
  readonly operation: 'create' | 'update' | 'delete' | 'restore'
  readonly entry: string
  readonly type: RecordItemType
  /** Unix milliseconds. */
  readonly at: number
}

export interface RecordChanges {
  readonly kind: 'changes'
  readonly changes: readonly RecordChange[]
  /** Sequence number of the record's last commit. */
  readonly latest: number
  /** The cursor of what comes next, also where there is nothing yet. */
  readonly next: string
  /** There is more already. */
  readonly more: boolean
}

export interface ChangesQuery {
  /** Sequence number that is known already. */
  readonly after?: number
  /** `next` of the page before; goes over `after`. */
  readonly cursor?: string
  /** 1 to 200, default 50. */
  readonly limit?: number
}

/** One version of an entry, for custodians. */
export interface ItemVersion {
  readonly operation: 'create' | 'update' | 'delete' | 'restore'
  /** That of the entry then, as far as it can be told from what the record knows now. */
  readonly version: string
  readonly by: Stamp
  /** The statement of that version; a deletion and a restoration have none of their own. */
  readonly item?: RecordItem
  /** What was decided, where a person decided on what documents told. */
  readonly decision?: string
}

export interface CurrentQuery {
  readonly types?: readonly RecordItemType[]
  /** ISO 8601 dates, inclusive; undated entries are always among them. */
  readonly from?: string
  readonly to?: string
  /** What FHIR does, where rules tell reading from finding; finding where absent. */
  readonly reading?: Reading
}

/** An item as it lies in its row, as it was read; what the record makes of it is worked out from the ledgers. */
export interface StoredItem {
  readonly recordId: string
  /** Revision of the record that brought it; absent in rows from before reconciliation. */
  readonly seq?: number
  /** Unix milliseconds. */
  readonly addedAt: number
  /** What brought it; absent where somebody wrote it here. */
  readonly source?: ItemSource
  readonly item: RecordItem
  /** Present where somebody wrote it here. */
  readonly authored?: Authored
}

/** What was written beside the item itself. */
export type Authored = Pick<AuthoredItem, 'clientId' | 'flags' | 'related' | 'tags' | 'blobs' | 'endsAt'> & {
  readonly actor: Actor
}

/** A document as clinical/ read it: its own item, its bytes, and the items in it. */
export interface ReadDocument {
  /** Of type `document`; its `sha256` is that of `bytes`. */
  readonly item: RecordItem
  readonly bytes: Uint8Array
  readonly items: readonly RecordItem[]
  readonly diagnostics: readonly Diagnostic[]
  readonly entries: readonly EntryOutcome[]
}

/** What the sender of a document stated beside it, for whom its own words are not the ones to report. */
export interface StatedFacts {
  /** When the visit or the discharge was: ISO 8601. */
  readonly eventDate?: string
  /** The patient's number with the sender. */
  readonly patientId?: string
}

/** A document as the record keeps it, once per content. */
export interface StoredDocument {
  readonly sha256: string
  readonly itemId: string
  readonly mediaType: string
  readonly name?: string
  readonly sizeBytes: number
  readonly addedAt: number
  readonly source: ItemSource
  /** What its sender stated beside it, in place of what stands in it. */
  readonly stated?: StatedFacts
  readonly diagnostics: readonly Diagnostic[]
  /** What became of each of its clinical statements; absent in rows from before this was told. */
  readonly entries?: readonly EntryOutcome[]
}

/** A document with how it stands in the record. */
export interface DocumentView extends Omit<StoredDocument, 'entries'> {
  readonly entries: readonly EntryOutcome[]
  /** Whether it is about the patient of the record. */
  readonly match: PatientMatch
  /** `held`: about somebody else as it seems, until a person decides; `rejected`: a person said so. */
  readonly standing: 'live' | 'held' | 'rejected' | 'superseded'
}

/** What waits for a person in one document; the words themselves come with the entries. */
export interface DocumentReview {
  readonly document: DocumentSummary
  readonly entries: readonly {
    readonly id: string
    readonly type: RecordItemType
    readonly state: ItemState
    readonly review: readonly ReviewReason[]
  }[]
}

/** A document without what was found in it. */
export type DocumentSummary = Omit<DocumentView, 'diagnostics' | 'entries'>

/** How documents become part of records, where nobody said otherwise. */
export interface RecordPolicy {
  readonly mode: ReconcileMode
  /** Codes of security labels whose items leave only when picked one by one. */
  readonly withheldLabels: readonly string[]
}

export type { Decision, ReconcileMode } from './reconcile/decision.js'

/** What a person asks for. `version` is that of the entry as it was seen: the request fails where it changed since. */
export type DeedRequest =
  | { readonly kind: 'add' | 'ignore'; readonly entry: string; readonly version?: string }
  | { readonly kind: 'replace'; readonly entry: string; readonly replaces: string; readonly version?: string }
  | { readonly kind: 'merge'; readonly entry: string; readonly with: string; readonly version?: string }
  | {
      readonly kind: 'split'
      readonly entry: string
      readonly statements: readonly string[]
      readonly version?: string
    }
  | { readonly kind: 'choose'; readonly entry: string; readonly statement: string; readonly version?: string }
  /** Adds every proposed entry that the document has a part in. */
  | { readonly kind: 'add-document' | 'release' | 'reject'; readonly document: string }
  | { readonly kind: 'mode'; readonly sender: string; readonly mode: ReconcileMode }
  | { readonly kind: 'undo'; readonly decision: string }

export type DecideOutcome =
  /** `decisions` are the ids, one for each that was made. */
  | { readonly kind: 'decided'; readonly parts: Batch; readonly decisions: readonly string[] }
  /** Nothing is decided: the request at `index` names nothing, or what it names changed, or it cannot be done. */
  | { readonly kind: 'missing' | 'stale' | 'not-possible'; readonly index: number; readonly detail: string }

/** A decision as people are told of it; it is undone by its id. */
export interface DecisionView extends Decision {
  readonly undone: boolean
}

export interface ItemQuery {
  readonly type?: RecordItemType
  /** Any of these. */
  readonly types?: readonly RecordItemType[]
  readonly ids?: readonly string[]
  /** Given by the application that asks. */
  readonly clientIds?: readonly string[]
  /** ISO 8601, inclusive, by clinical date; undated entries are outside. */
  readonly from?: string
  readonly to?: string
  /** Unix milliseconds: `from` inclusive, `to` exclusive. */
  readonly created?: { readonly from?: number; readonly to?: number }
  readonly updated?: { readonly from?: number; readonly to?: number }
  /** True ids. */
  readonly createdByApp?: string
  readonly updatedByApp?: string
  readonly createdByPerson?: string
  readonly updatedByPerson?: string
  /** `day`: newest clinical date first (default); `updated`: last changed first. */
  readonly order?: 'day' | 'updated'
  /** What FHIR does, where rules tell reading from finding; finding where absent. */
  readonly reading?: Reading
  /** Without it every state but `held` and `rejected`: what is about somebody else is nobody's business here. */
  readonly state?: ItemState
  /** Only what a person should look at. */
  readonly review?: boolean
  /** Only entries whose statements do not agree. */
  readonly conflicts?: boolean
  /** Only entries with a statement of this document. */
  readonly document?: string
  /** 1 to 200, default 50. */
  readonly limit?: number
  /** `next` of the page before. */
  readonly cursor?: string
}

export type ItemPage =
  | {
      readonly kind: 'page'
      readonly items: readonly RecordEntry[]
      /** Ids of items whose rows are damaged: named, never skipped in silence. */
      readonly unreadable: readonly string[]
      /** Where the next page starts; absent at the end. */
      readonly next?: string
    }
  | { readonly kind: 'bad-cursor' }

export const recordLimits = {
  /** Changes in one put: a device that was offline for weeks. */
  changesPerPut: 200,
  /** One item without its blobs: a long note with its codes; larger things are blobs or documents. */
  itemBytes: 128 * 1024,
  /** HealthVault's own limits: 255 for names and client ids, 512 for tags. */
  nameChars: 255,
  tagChars: 512,
  tagsPerItem: 50,
  relatedPerItem: 100,
  blobsPerItem: 50,
  /** Statements that people and applications write in one record, old versions among them; HealthVault had none such. */
  itemsPerRecord: 200_000,
  /** All that is kept of one record: HealthVault's own 4 GiB. */
  bytesPerRecord: 4 * 1024 ** 3,
  /** One page of changes, and the rows looked through for it where a caller may see few. */
  changesPage: 200,
  changeRowsPerPage: 2000,
  pageDefault: 50,
  pageMax: 200,
  /** Deeds in one request: all proposals of a large document at once. */
  deedsPerRequest: 500,
  /** Decisions on one type: some forty years of deciding daily; beyond it the ledger would no longer be quick to open. */
  decisionsPerType: 15_000,
  /** Statements of one type: beyond it the ledger would no longer be quick to open, and documents are kept without items. */
  statementsPerType: 60_000,
  /** Records whose entries are remembered, and the statements that they may have together: some 2 kB each. */
  rememberedRecords: 8,
  rememberedStatements: 60_000,
  /** Different descriptions of a patient that a new document is compared with, the first that came; kept with it. */
  patientsCompared: 30,
  /** The head names every document, some 700 characters each, and is one row: what comes later stays in the mailbox only. */
  headChars: 12_000_000,
  /** One batch must stay small enough to commit; the largest C-CDA seen has some 3,000 entries. */
  itemsPerProposal: 20_000,
  /** Kept per document; the reader has its own, lower limit. */
  diagnosticsPerDocument: 1000,
}
