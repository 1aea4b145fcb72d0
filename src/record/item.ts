import type { DirectAddress } from '../direct/address.js'
import type { Diagnostic, EntryOutcome, RecordItem, RecordItemType } from '../direct/clinical.js'

/** How an item stands in the record. Import only proposes; a person makes it current or ignores it. */
export type ItemState = 'proposed' | 'current' | 'ignored'

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

/** An item with what the record knows about it. */
export interface StoredItem {
  readonly recordId: string
  readonly state: ItemState
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
}

export interface ItemQuery {
  readonly type?: RecordItemType
  readonly state?: ItemState
  /** 1 to 200, default 50. */
  readonly limit?: number
  /** `next` of the page before. */
  readonly cursor?: string
}

export type ItemPage =
  | {
      readonly kind: 'page'
      readonly items: readonly StoredItem[]
      /** Ids of items whose rows are damaged: named, never skipped in silence. */
      readonly unreadable: readonly string[]
      /** Where the next page starts; absent at the end. A page filtered by state may be short and still have one. */
      readonly next?: string
    }
  | { readonly kind: 'bad-cursor' }

export const recordLimits = {
  pageDefault: 50,
  pageMax: 200,
  /** Index rows read for one page when the state filter passes few of them. */
  rowsPerPage: 2000,
  /** One batch must stay small enough to commit; the largest C-CDA seen has some 3,000 entries. */
  itemsPerProposal: 20_000,
  /** Kept per document; the reader has its own, lower limit. */
  diagnosticsPerDocument: 1000,
}
