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
