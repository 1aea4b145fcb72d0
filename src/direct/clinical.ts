/** The kinds of record item that documents are read into. */
export type RecordItemType =
  | 'demographics'
  | 'allergy'
  | 'problem'
  | 'medication'
  | 'immunization'
  | 'result'
  | 'vital-sign'
  | 'procedure'
  | 'encounter'
  | 'document'

export const recordItemTypes = [
  'demographics',
  'allergy',
  'problem',
  'medication',
  'immunization',
  'result',
  'vital-sign',
  'procedure',
  'encounter',
  'document',
] as const satisfies readonly RecordItemType[]

/** A code as its source gave it. `system` is a FHIR URI, `urn:oid:` for an OID without one, or the CCR's own system name. */
export interface Coding {
  readonly system?: string
  readonly code: string
  readonly display?: string
  /** The source's own word for the system, kept even when `system` is known: an OID or a CCR CodingSystem. */
  readonly sourceSystem?: string
}

/** A concept: all codings in source order (translations included) and the words a person wrote. */
export interface Concept {
  readonly codings: readonly Coding[]
  /** Original text resolved from the narrative, else the best display name. */
  readonly text?: string
  /** HL7 v3 nullFlavor where the source had one (UNK, NI, OTH …). */
  readonly nullFlavor?: string
}

/**
 * A moment at the precision of its source, never more. `text` is ISO 8601 cut at that precision: `2015`, `2015-06`,
 * `2015-06-22`, `2015-06-22T10:30`, `2015-06-22T10:30:15.5`; `offsetMinutes` is null when the source named no zone.
 */
export interface PartialDate {
  readonly text: string
  readonly precision: 'year' | 'month' | 'day' | 'hour' | 'minute' | 'second'
  readonly offsetMinutes: number | null
  /** The source's own characters. */
  readonly source: string
}

/** A period or a moment. `value` for a moment; `low`/`high` for a period; `text` when the source had only words. */
export interface When {
  readonly value?: PartialDate
  readonly low?: PartialDate
  readonly high?: PartialDate
  /** The period has ended, but the source does not know when (high nullFlavor=UNK). */
  readonly highUnknown?: boolean
  readonly text?: string
}

/** A number with its unit as written; `comparator` from an interval with one bound. The value is the source's characters, never recomputed. */
export interface Quantity {
  readonly value: string
  readonly unit?: string
  readonly comparator?: '<' | '<=' | '>' | '>='
}

/** A result's value in whichever form the source had it. */
export type Value =
  | { readonly kind: 'quantity'; readonly quantity: Quantity }
  | {
      readonly kind: 'range'
      readonly low?: Quantity
      readonly high?: Quantity
    }
  | { readonly kind: 'concept'; readonly concept: Concept }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'boolean'; readonly value: boolean }
  | { readonly kind: 'date'; readonly date: PartialDate }

export interface Identifier {
  /** An OID, a UUID or the CCR's issuer. */
  readonly root?: string
  readonly value?: string
}

/** Whether the thing happened, was asked for, or is a goal (HL7 v3 moodCode, folded). */
export type Intent = 'performed' | 'planned' | 'goal' | 'ordered'

export interface PersonName {
  readonly given: readonly string[]
  readonly family?: string
  readonly prefix?: string
  readonly suffix?: string
  readonly use?: string
  /** The whole name, where the source did not take it apart. */
  readonly text?: string
}

export interface PostalAddress {
  readonly lines: readonly string[]
  readonly city?: string
  readonly state?: string
  readonly postalCode?: string
  readonly country?: string
  readonly use?: string
}

export interface Telecom {
  readonly value: string
  readonly use?: string
}

/** What an item says, by type. Fields the source did not have are absent, never guessed. */
export type ItemContent =
  | {
      readonly type: 'demographics'
      readonly names: readonly PersonName[]
      readonly birthDate?: PartialDate
      readonly gender?: Concept
      readonly maritalStatus?: Concept
      readonly races: readonly Concept[]
      readonly ethnicities: readonly Concept[]
      readonly languages: readonly string[]
      readonly addresses: readonly PostalAddress[]
      readonly telecoms: readonly Telecom[]
      readonly identifiers: readonly Identifier[]
    }
  | {
      readonly type: 'allergy'
      /** The substance; with `negated`, the substance the patient is *not* allergic to, or the whole class ("no known"). */
      readonly substance: Concept
      readonly kind?: Concept
      readonly reactions: readonly {
        readonly manifestation: Concept
        readonly severity?: Concept
      }[]
      readonly severity?: Concept
      readonly criticality?: Concept
    }
  | {
      readonly type: 'problem'
      readonly problem: Concept
      readonly kind?: Concept
      readonly severity?: Concept
      readonly ageAtOnset?: Quantity
    }
  | {
      readonly type: 'medication'
      readonly product: Concept
      readonly brand?: Concept
      readonly strength?: Quantity
      readonly form?: Concept
      readonly dose?: Quantity
      readonly doseRange?: {
        readonly low?: Quantity
        readonly high?: Quantity
      }
      readonly rate?: Quantity
      readonly route?: Concept
      readonly site?: Concept
      /** Each timing selected by its type, not its position (PIVL, EIVL, moments); the period is in `when`. */
      readonly timings: readonly Timing[]
      readonly asNeeded: boolean
      readonly instructions?: string
      readonly indications: readonly Concept[]
      readonly refills?: string
      readonly quantity?: Quantity
    }
  | {
      readonly type: 'immunization'
      readonly vaccine: Concept
      readonly lot?: string
      readonly manufacturer?: string
      readonly route?: Concept
      readonly site?: Concept
      readonly dose?: Quantity
      readonly doseNumber?: string
      readonly refusalReason?: Concept
    }
  | {
      readonly type: 'result' | 'vital-sign'
      readonly test: Concept
      readonly panel?: Concept
      readonly value?: Value
      readonly interpretations: readonly Concept[]
      readonly referenceRanges: readonly {
        readonly low?: Quantity
        readonly high?: Quantity
        readonly text?: string
      }[]
      readonly method?: Concept
      readonly specimen?: Concept
    }
  | {
      readonly type: 'procedure'
      readonly procedure: Concept
      readonly bodySites: readonly Concept[]
      readonly devices: readonly Concept[]
    }
  | {
      readonly type: 'encounter'
      readonly encounter: Concept
      readonly diagnoses: readonly Concept[]
      readonly locations: readonly string[]
      readonly disposition?: Concept
    }
  | {
      readonly type: 'document'
      readonly mediaType: string
      readonly name?: string
      readonly sizeBytes: number
      /** SHA-256 of the bytes, lower-case hex. */
      readonly sha256: string
      /** What the bytes turned out to be, whatever they were called. */
      readonly format: DocumentFormat
      /** Version of the format, where the document names one: `1.1`, `2.1` … */
      readonly formatVersion?: string
      readonly title?: string
      readonly code?: Concept
    }

export interface Timing {
  /** Every `period` (PIVL): value and UCUM unit of time. */
  readonly period?: Quantity
  readonly periodHigh?: Quantity
  /** Tied to an event (EIVL): AC, PC, HS … with an offset. */
  readonly event?: string
  /** Distance from that event. */
  readonly offset?: Quantity
  readonly institutionSpecified?: boolean
  readonly moment?: PartialDate
  readonly text?: string
}

export type DocumentFormat =
  | 'ccr'
  | 'c32'
  | 'ccd'
  | 'c-cda'
  | 'cda'
  | 'xdm'
  | 'xml'
  | 'zip'
  | 'pdf'
  | 'image'
  | 'text'
  | 'html'
  | 'rtf'
  | 'other'

/** One entry of a document, or the document itself, as the record keeps it. */
export interface RecordItem {
  /** Derived from document hash, entry path and type, so that reading the same bytes twice gives the same ids. */
  readonly id: string
  readonly content: ItemContent
  readonly when?: When
  /** When the source wrote it down: the earliest author time that applies. */
  readonly recordedAt?: PartialDate
  readonly status?: {
    readonly folded: 'active' | 'inactive' | 'resolved' | 'completed' | 'planned' | 'cancelled' | 'unknown'
    readonly source?: string
  }
  /** The source says that this is *not* so: an absent problem, an immunization not given, "no known allergies". */
  readonly negated: boolean
  readonly nullFlavor?: string
  readonly intent?: Intent
  readonly identifiers: readonly Identifier[]
  readonly provenance: ItemProvenance
}

export interface ItemProvenance {
  /** SHA-256 of the document, lower-case hex; equals the document item's `sha256`. */
  readonly document: string
  /** Path of the entry in it: element names with 1-based positions from the root, or empty for the whole document. */
  readonly entry: string
  /** LOINC code or title of the section it stands in. */
  readonly section?: string
  readonly authors: readonly string[]
}

/** Something a reader of the document should know; it never stops the rest from being read. */
export interface Diagnostic {
  readonly code:
    | 'charset-guessed'
    | 'not-well-formed'
    | 'doctype-refused'
    | 'limit-exceeded'
    | 'encrypted-entry'
    | 'unsafe-entry'
    | 'unknown-section'
    | 'unmapped-entry'
    | 'unresolved-reference'
    | 'unknown-code-system'
    | 'value-without-type'
    | 'time-unreadable'
    | 'contradictory-status'
    | 'section-empty'
    | 'wrong-root'
    | 'unreadable-archive'
    | 'not-parsed'
  /** Where: an entry path, a zip entry name, or empty. Never the clinical words themselves. */
  readonly where: string
  readonly detail: string
}
