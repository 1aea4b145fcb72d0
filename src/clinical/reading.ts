import { createHash } from 'node:crypto'
import type {
  Diagnostic,
  EntryOutcome,
  ItemContent,
  ItemProvenance,
  RecordItem,
  RecordItemType,
} from '../direct/clinical.js'
import type { Agent, Coding, Concept, Identifier, PartialDate, When } from '../direct/datatypes.js'
import type { ClinicalLimits } from './limits.js'

/** What has been read of one document so far. */
export interface Reading {
  /** SHA-256 of the document, lower-case hex. */
  readonly document: string
  readonly limits: ClinicalLimits
  readonly items: RecordItem[]
  readonly diagnostics: Diagnostic[]
  /** What became of each clinical statement, in document order. */
  readonly entries: EntryOutcome[]
  /** Set when an item was left out for there being too many. */
  full: boolean
}

export type Code = Diagnostic['code']

/** An item before it has its id and the document's hash. */
export type Draft = Omit<RecordItem, 'id' | 'provenance' | 'content'> & {
  readonly content: ItemContent
  readonly provenance: Omit<ItemProvenance, 'document'>
}

/** Somebody of whom the source told no more than a name. */
export function byName(text: string): Agent {
  return { kind: 'person', text, identifiers: [] }
}

/** What the header says about the document as a whole. */
export interface DocumentHead {
  readonly title?: string
  readonly code?: Concept
  readonly when?: When
  readonly recordedAt?: PartialDate
  readonly authors: readonly Agent[]
  readonly identifiers: readonly Identifier[]
  readonly informants?: readonly Agent[]
  readonly custodian?: Agent
  /** Of a document that has versions (CDA setId, versionNumber). */
  readonly set?: Identifier
  readonly versionNumber?: string
  readonly related?: readonly { readonly kind: string; readonly identifiers: readonly Identifier[] }[]
  /** Who signed for the document; `role` starts with the participation: LA or AUTHEN. */
  readonly authenticators?: readonly Agent[]
  readonly labels?: readonly Coding[]
}

/** SHA-256 in lower-case hex. */
export function sha256(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex')
}

export function startReading(document: string, limits: ClinicalLimits): Reading {
  return { document, limits, items: [], diagnostics: [], entries: [], full: false }
}

/** Adds a diagnostic; beyond the limit only one more, which says so. `detail` never holds clinical words. */
export function note(reading: Reading, code: Code, where: string, detail: string): void {
  const { diagnostics, limits } = reading
  if (diagnostics.length < limits.diagnostics) diagnostics.push({ code, where, detail })
  else if (diagnostics.length === limits.diagnostics) {
    diagnostics.push({ code: 'limit-exceeded', where: '', detail: `more than ${limits.diagnostics} diagnostics` })
  }
}

/** Records what became of one clinical statement; as many are kept as items, so that a flood of empty entries stays small. */
export function record(reading: Reading, outcome: EntryOutcome): void {
  if (reading.entries.length < reading.limits.entries) reading.entries.push(outcome)
}

/** Adds an item under an id made of document hash, path and type. False, with one diagnostic, when the document has too many. */
export function add(reading: Reading, draft: Draft): boolean {
  const { items, limits, document } = reading
  if (items.length >= limits.items) {
    if (!reading.full) note(reading, 'limit-exceeded', draft.provenance.entry, `more than ${limits.items} items`)
    reading.full = true
    return false
  }
  items.push(identified(draft, document))
  return true
}

/** The id of an item: the same document, path and type give the same one. The document itself has no path. */
export function itemId(document: string, entry: string, type: RecordItemType): string {
  return sha256(`${document}\n${entry}\n${type}`).slice(0, 32)
}

/** The finished item: the same document, path and type give the same id. */
export function identified(draft: Draft, document: string): RecordItem {
  const id = itemId(document, draft.provenance.entry, draft.content.type)
  return { id, ...draft, provenance: { document, ...draft.provenance } }
}
