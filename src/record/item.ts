import type { DirectAddress } from '../direct/address.js'
import type { Diagnostic, EntryOutcome, RecordItem, RecordItemType } from '../direct/clinical.js'
import type { Batch } from '../ports/store.js'
import type { PatientMatch } from './match.js'
import type { Decision, ReconcileMode } from './reconcile/decision.js'
import type { EntryState, ReviewReason } from './reconcile/reconcile.js'

/** How an entry stands in the record. Import proposes; a person, or a mode that a person set, makes it current. */
export type ItemState = EntryState

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
  /** SHA-256 of the document, and the path of the entry in it. */
  readonly document: string
  readonly entry: string
  /** Unix milliseconds. */
  readonly addedAt: number
  readonly source: ItemSource
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
  /** When that statement came, Unix milliseconds, and what brought it. */
  readonly addedAt: number
  readonly source: ItemSource
  /** All statements of the entry, the shown one among them. */
  readonly appearances: readonly Appearance[]
  readonly conflicts: readonly Conflict[]
  /** Why a person should look at it; empty where nothing waits. */
  readonly review: readonly ReviewReason[]
  /** It carries a security label for which it leaves only when picked by itself. */
  readonly withheld: boolean
  /** Changes whenever anything of the entry does. */
  readonly version: string
}

export interface CurrentQuery {
  readonly types?: readonly RecordItemType[]
  /** ISO 8601 dates, inclusive; undated entries are always among them. */
  readonly from?: string
  readonly to?: string
}

/** An item as it lies in its row, as it was read; what the record makes of it is worked out from the ledgers. */
export interface StoredItem {
  readonly recordId: string
  /** Revision of the record that brought it; absent in rows from before reconciliation. */
  readonly seq?: number
  /** Unix milliseconds. */
  readonly addedAt: number
  readonly source: ItemSource
  readonly item: RecordItem
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

/** A document as the record keeps it, once per content. */
export interface StoredDocument {
  readonly sha256: string
  readonly itemId: string
  readonly mediaType: string
  readonly name?: string
  readonly sizeBytes: number
  readonly addedAt: number
  readonly source: ItemSource
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
