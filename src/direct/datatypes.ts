/**
 * The datatypes of record items, after HL7 v3 (CDA R2), ASTM E2369 and FHIR R4: what a source said, in its own characters.
 * Fields that the source did not have are absent, never guessed.
 */

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
  /** What narrows the concept (CD.qualifier): laterality, course, severity; `name` says which. */
  readonly qualifiers?: readonly { readonly name?: Coding; readonly value: Coding }[]
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

/** An interval of quantities; a bound that the source left out is absent. */
export interface QuantityRange {
  readonly low?: Quantity
  readonly high?: Quantity
}

/** A ratio, as in "2 tablets per day"; `denominator` is absent where the source had none. */
export interface Ratio {
  readonly numerator: Quantity
  readonly denominator?: Quantity
}

/** An observed value in whichever form the source had it. */
export type Value =
  | { readonly kind: 'quantity'; readonly quantity: Quantity }
  | ({ readonly kind: 'range' } & QuantityRange)
  | { readonly kind: 'ratio'; readonly ratio: Ratio }
  | { readonly kind: 'concept'; readonly concept: Concept }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'boolean'; readonly value: boolean }
  | { readonly kind: 'date'; readonly date: PartialDate }
  | { readonly kind: 'period'; readonly when: When }
  /** The source says that there is no value, and why (HL7 v3 nullFlavor); never a finding. */
  | { readonly kind: 'absent'; readonly nullFlavor: string }

export interface Identifier {
  /** An OID, a UUID or the CCR's issuer. */
  readonly root?: string
  readonly value?: string
}

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

/** Somebody or something that took part: a clinician, an organization, a relative, a device or its software. */
export interface Agent {
  readonly kind: 'person' | 'organization' | 'device'
  /** The name as people write it; always there: an agent that nobody can name is left out. */
  readonly text: string
  readonly name?: PersonName
  /** The organization a person acts for. */
  readonly organization?: string
  /** What the agent is or does: the code of the role, or of the function (CDA functionCode, CCR ActorRole). */
  readonly role?: Concept
  readonly identifiers: readonly Identifier[]
  readonly telecoms?: readonly Telecom[]
  readonly addresses?: readonly PostalAddress[]
  /** When the agent acted, where the source says so. */
  readonly at?: PartialDate
}

/** When a medication is taken. */
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
