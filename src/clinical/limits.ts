import { type XmlLimits, xmlLimits } from '../xml/parse.js'

/** What a stranger's clinical document or archive may grow to. */
export interface ClinicalLimits {
  readonly xml: XmlLimits
  readonly items: number
  readonly diagnostics: number
  readonly entries: number
  readonly agents: number
  readonly textChars: number
  readonly noteChars: number
  readonly narrativeChars: number
  readonly archiveEntries: number
  readonly archiveBytes: number
  readonly archiveRatio: number
}

export const clinicalLimits: ClinicalLimits = {
  xml: { ...xmlLimits, bytes: 64 * 1024 * 1024 },
  /** Items of one document; the largest real one seen has 2,600 entries. */
  items: 10_000,
  /** Diagnostics of one document; the last one says that there were more. */
  diagnostics: 10_000,
  /** Clinical statements of one document whose outcome is kept; more than items, since some statements make none. */
  entries: 50_000,
  /** Authors, performers or informants of one statement; real ones have a handful. */
  agents: 64,
  /** Characters of one text of an item: a paragraph, not a book; the document keeps the rest. */
  textChars: 20_000,
  /** Characters of one note, which is a whole section or letter. */
  noteChars: 256 * 1024,
  /** Characters that all references of one document may copy from its narrative into items. */
  narrativeChars: 8 * 1024 * 1024,
  /** Files in one archive; real ones have fewer than 20. */
  archiveEntries: 200,
  /** Bytes of one archive when unpacked. */
  archiveBytes: 100 * 1024 * 1024,
  /** Unpacked to packed size of one file beyond its first 64 KiB; clinical XML packs to about a tenth. */
  archiveRatio: 100,
}
