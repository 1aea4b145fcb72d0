import type { DirectAddress } from '../direct/address.js'
import type { BodyPorts } from '../ports/body.js'
import type { Batch } from '../ports/store.js'
import type { Clock } from '../ports/world.js'
import type { ItemPage, ItemQuery, ReadDocument, StoredDocument, StoredItem } from './item.js'

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
  /** Newest clinical date first, undated last; stable while items are added. */
  list(recordId: string, query: ItemQuery): Promise<ItemPage>
  get(recordId: string, itemId: string): Promise<StoredItem | undefined>
  /** What is known of a document, by the SHA-256 of its bytes in lower-case hex. */
  document(recordId: string, sha256: string): Promise<StoredDocument | undefined>
  /** Its bytes, exactly as they came. */
  documentBytes(recordId: string, sha256: string): Promise<AsyncIterable<Uint8Array> | undefined>
}
