import type {
  Agent,
  Coding,
  Concept,
  Identifier,
  PartialDate,
  PersonName,
  PostalAddress,
  Quantity,
  QuantityRange,
  Ratio,
  Telecom,
  Timing,
  Value,
  When,
} from './datatypes.js'

/** The kinds of record item that documents are read into. */
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
  'family-history',
  'social-history',
  'functional-status',
  'advance-directive',
  'insurance',
  'device',
  'goal',
  'plan',
  'care-team',
  'note',
  'document',
] as const

export type RecordItemType = (typeof recordItemTypes)[number]

/** Whether the thing happened, was asked for, or is a goal (HL7 v3 moodCode, folded). */
export type Intent = 'performed' | 'planned' | 'goal' | 'ordered'

/** Who the record is about (CDA recordTarget, CCR Patient), with what the social history says of the person. */
export interface Demographics {
  readonly type: 'demographics'
  readonly names: readonly PersonName[]
  readonly birthDate?: PartialDate
  readonly birthPlace?: PostalAddress
  readonly deceased?: boolean
  readonly deathDate?: PartialDate
  readonly gender?: Concept
  readonly birthSex?: Concept
  readonly genderIdentity?: Concept
  readonly maritalStatus?: Concept
  readonly religion?: Concept
  readonly races: readonly Concept[]
  readonly ethnicities: readonly Concept[]
  readonly languages: readonly string[]
  readonly preferredLanguage?: string
  readonly addresses: readonly PostalAddress[]
  readonly telecoms: readonly Telecom[]
  readonly identifiers: readonly Identifier[]
  /** Guardians, next of kin, emergency contacts; `role` is the relationship. */
  readonly contacts?: readonly Agent[]
  /** The organization whose patient this is (providerOrganization). */
  readonly provider?: Agent
}

export interface Reaction {
  readonly manifestation: Concept
  readonly severity?: Concept
  readonly when?: When
}

export interface Allergy {
  readonly type: 'allergy'
  /** The substance; with `negated`, the substance the patient is *not* allergic to, or the whole class ("no known"). */
  readonly substance: Concept
  readonly kind?: Concept
  readonly reactions: readonly Reaction[]
  readonly severity?: Concept
  readonly criticality?: Concept
}

export interface Problem {
  readonly type: 'problem'
  readonly problem: Concept
  readonly kind?: Concept
  readonly severity?: Concept
  readonly ageAtOnset?: Quantity
  /** Where in the body; laterality stands in the site's qualifiers. Sites keep problems apart. */
  readonly bodySites?: readonly Concept[]
  /** When the diagnosis was made (C-CDA 22.4.502), which is not when the problem began. */
  readonly diagnosedAt?: PartialDate
  readonly prognosis?: Value
  readonly causedDeath?: boolean
}

/** An order to supply, or a supply handed out. */
export interface Supply {
  readonly kind: 'order' | 'dispense'
  readonly product?: Concept
  readonly quantity?: Quantity
  /** Total fills, the first included (CDA repeatNumber); for a dispense, which fill it is. */
  readonly fills?: string
  readonly daysSupply?: Quantity
  readonly when?: When
  readonly status?: string
  readonly by?: Agent
  readonly instructions?: string
  readonly identifiers: readonly Identifier[]
}

/** One of several directions of a medication: a step of a taper, a line of a sliding scale. */
export interface Direction {
  readonly dose?: Quantity
  readonly doseRange?: QuantityRange
  readonly route?: Concept
  readonly timings: readonly Timing[]
  /** The whole direction in words, with its condition and what leads to the next one. */
  readonly text: string
}

export interface Medication {
  readonly type: 'medication'
  readonly product: Concept
  readonly brand?: Concept
  readonly strength?: Quantity
  /** All strengths, where the product holds several substances; none of them alone is its `strength`. */
  readonly strengths?: readonly Quantity[]
  readonly form?: Concept
  readonly manufacturer?: string
  readonly dose?: Quantity
  readonly doseRange?: QuantityRange
  readonly rate?: Quantity
  readonly maxDose?: Ratio
  readonly route?: Concept
  readonly site?: Concept
  /** What carries it: saline, aerosol (C-CDA 22.4.24). */
  readonly vehicles?: readonly Concept[]
  /** Each timing selected by its type, not its position (PIVL, EIVL, moments); the period is in `when`. */
  readonly timings: readonly Timing[]
  readonly asNeeded: boolean
  /** In their order, where the source has several; dose and route above stand only where all agree on them. */
  readonly directions?: readonly Direction[]
  /** What it is needed for, where it is taken as needed. */
  readonly preconditions?: readonly Concept[]
  readonly instructions?: string
  readonly indications: readonly Concept[]
  /** Why it was not taken. */
  readonly refusalReason?: Concept
  /** Refills allowed, the first fill not among them; as written. */
  readonly refills?: string
  readonly quantity?: Quantity
  readonly supplies?: readonly Supply[]
  readonly reactions?: readonly Reaction[]
  /** Whether the patient takes it as told (C-CDA 22.4.508). */
  readonly adherence?: Concept
}

export interface Immunization {
  readonly type: 'immunization'
  readonly vaccine: Concept
  readonly lot?: string
  readonly manufacturer?: string
  readonly expiresAt?: PartialDate
  readonly route?: Concept
  readonly site?: Concept
  readonly dose?: Quantity
  readonly doseNumber?: string
  /** Why it was not given. */
  readonly refusalReason?: Concept
  readonly indications?: readonly Concept[]
  readonly reactions?: readonly Reaction[]
  readonly instructions?: string
}

/** A battery of observations: a laboratory panel, a set of vital signs, a survey. */
export interface Panel {
  /** Path of the battery in the document; observations of one battery share it. */
  readonly entry: string
  readonly code?: Concept
  readonly when?: When
  readonly status?: string
  readonly identifiers: readonly Identifier[]
}

export interface ReferenceRange extends QuantityRange {
  readonly text?: string
  /** What it means to lie in the range; `N` where the source says nothing else. */
  readonly interpretation?: Concept
}

/** A question and its answer: a laboratory result, a vital sign, a habit, an ability. */
export interface Observation {
  readonly type: 'result' | 'vital-sign' | 'social-history' | 'functional-status'
  readonly test: Concept
  readonly panel?: Panel
  readonly value?: Value
  /** Further values, where the source gave the observation several. */
  readonly otherValues?: readonly Value[]
  readonly interpretations: readonly Concept[]
  readonly referenceRanges: readonly ReferenceRange[]
  readonly method?: Concept
  readonly specimen?: Concept
  readonly bodySites?: readonly Concept[]
  /** Observations inside this one: the scores of a scale, what an answer was narrowed to. */
  readonly components?: readonly { readonly test: Concept; readonly value?: Value }[]
}

export interface Procedure {
  readonly type: 'procedure'
  readonly procedure: Concept
  /** Where in the body; laterality stands in the site's qualifiers. */
  readonly bodySites: readonly Concept[]
  readonly devices: readonly Concept[]
  readonly indications?: readonly Concept[]
  readonly methods?: readonly Concept[]
  readonly approaches?: readonly Concept[]
  readonly specimens?: readonly Concept[]
  readonly locations?: readonly string[]
  readonly refusalReason?: Concept
  readonly instructions?: string
  /** What a procedure that is an observation found. */
  readonly value?: Value
  readonly complications?: readonly Concept[]
}

export interface Encounter {
  readonly type: 'encounter'
  readonly encounter: Concept
  /** Inpatient, ambulatory, emergency … where the source used the HL7 ActEncounterCode. */
  readonly class?: Concept
  readonly diagnoses: readonly Concept[]
  readonly indications?: readonly Concept[]
  readonly locations: readonly string[]
  readonly locationKinds?: readonly Concept[]
  readonly disposition?: Concept
}

/** One relative with everything said of that person's health. */
export interface FamilyHistory {
  readonly type: 'family-history'
  readonly relation: Concept
  readonly name?: PersonName
  readonly gender?: Concept
  readonly birthDate?: PartialDate
  readonly deceased?: boolean
  readonly deathDate?: PartialDate
  readonly ageAtDeath?: Quantity
  readonly conditions: readonly {
    readonly condition: Concept
    /** What sort of statement it is: a diagnosis, a finding, a symptom. */
    readonly kind?: Concept
    readonly when?: When
    readonly ageAtOnset?: Quantity
    readonly causedDeath?: boolean
    /** The relative does *not* have it. */
    readonly negated: boolean
    readonly status?: Concept
  }[]
}

export interface AdvanceDirective {
  readonly type: 'advance-directive'
  readonly directive: Concept
  readonly value?: Value
  readonly verifiers: readonly Agent[]
  /** Who keeps the paper, or speaks for the patient; `role` says which. */
  readonly agents: readonly Agent[]
  readonly documents: readonly {
    readonly identifiers: readonly Identifier[]
    readonly mediaType?: string
    /** Where it is, as the source wrote it; never fetched. */
    readonly reference?: string
  }[]
}

export interface Insurance {
  readonly type: 'insurance'
  /** Kind of coverage or programme. */
  readonly coverage: Concept
  readonly planName?: string
  readonly payer?: Agent
  /** Of the covered person with this payer. */
  readonly memberIdentifiers: readonly Identifier[]
  readonly groupNumber?: string
  /** What the covered person is to the holder: self, spouse, child. */
  readonly relationship?: Concept
  readonly subscriber?: Agent
  readonly subscriberBirthDate?: PartialDate
  readonly guarantor?: Agent
  /** 1 pays first. */
  readonly priority?: string
  readonly authorizations?: readonly Concept[]
}

export interface Device {
  readonly type: 'device'
  readonly device: Concept
  /** Unique device identifier as written, the parts the source took from it beside it. */
  readonly udi?: string
  readonly deviceIdentifier?: string
  readonly manufacturer?: string
  readonly model?: string
  readonly serial?: string
  readonly lot?: string
  readonly brand?: string
  /** Distinct identification code of donated tissue (21 CFR 1271.290). */
  readonly distinctIdentifier?: string
  /** What its labelling says of magnetic resonance and latex. */
  readonly safety?: readonly Concept[]
  readonly manufacturedAt?: PartialDate
  readonly expiresAt?: PartialDate
  readonly quantity?: Quantity
  readonly bodySites: readonly Concept[]
}

export interface Goal {
  readonly type: 'goal'
  readonly goal: Concept
  readonly target?: Value
  readonly priority?: Concept
  /** What the goal answers to: a problem, a risk. */
  readonly reasons?: readonly Concept[]
  readonly instructions?: string
}

/** Something planned that no other type stands for: an instruction, an intervention, a nutrition recommendation. */
export interface Plan {
  readonly type: 'plan'
  readonly activity: Concept
  readonly instructions?: string
  readonly indications: readonly Concept[]
  readonly value?: Value
}

export interface CareTeam {
  readonly type: 'care-team'
  readonly name?: string
  readonly kind?: Concept
  readonly members: readonly { readonly agent: Agent; readonly when?: When; readonly status?: string }[]
}

/** Words: a note activity, a comment, or a section that has nothing but its narrative. */
export interface Note {
  readonly type: 'note'
  readonly kind: Concept
  readonly title?: string
  /** Plain text with line breaks between blocks; the document keeps the markup. */
  readonly text: string
}

/**
 * What the package that brought a document says about it (IHE ITI TF-3 §4.2.3.2 DocumentEntry, §4.2.3.3 SubmissionSet):
 * kept beside what the document says itself, and never believed over it. `limited` where the sender labelled it so.
 */
export interface DocumentMetadata {
  readonly level: 'full' | 'limited'
  readonly title?: string
  readonly comments?: string
  readonly uniqueId?: string
  readonly mediaType?: string
  readonly language?: string
  readonly createdAt?: PartialDate
  readonly serviceStart?: PartialDate
  readonly serviceStop?: PartialDate
  readonly class?: Concept
  /** typeCode: what kind of document it is, more narrowly than its class. */
  readonly kind?: Concept
  readonly format?: Concept
  readonly practiceSetting?: Concept
  readonly facilityKind?: Concept
  readonly confidentiality?: readonly Concept[]
  readonly events?: readonly Concept[]
  readonly authors: readonly Agent[]
  readonly patient?: Identifier
  readonly sourcePatient?: Identifier
  readonly submission?: {
    readonly title?: string
    readonly uniqueId?: string
    readonly sourceId?: string
    readonly submittedAt?: PartialDate
    readonly contentType?: Concept
    readonly patient?: Identifier
    readonly authors: readonly Agent[]
    /** Direct addresses where they are such, else as written. */
    readonly recipients: readonly string[]
  }
}

/** A document as it came, whatever it is. */
export interface ClinicalDocument {
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
  readonly custodian?: Agent
  /** Of a document that is replaced or has versions (CDA setId, versionNumber). */
  readonly set?: Identifier
  readonly versionNumber?: string
  /** Documents that this one replaces, amends or transforms (CDA relatedDocument: RPLC, APND, XFRM). */
  readonly related?: readonly { readonly kind: string; readonly identifiers: readonly Identifier[] }[]
  readonly metadata?: DocumentMetadata
}

/** What an item says, by type. */
export type ItemContent =
  | Demographics
  | Allergy
  | Problem
  | Medication
  | Immunization
  | Observation
  | Procedure
  | Encounter
  | FamilyHistory
  | AdvanceDirective
  | Insurance
  | Device
  | Goal
  | Plan
  | CareTeam
  | Note
  | ClinicalDocument

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
    /** The source's coded status, where it had one: recurrence, remission … */
    readonly concept?: Concept
  }
  /** The source says that this is *not* so: an absent problem, an immunization not given, "no known allergies". */
  readonly negated: boolean
  readonly nullFlavor?: string
  readonly intent?: Intent
  /** The source's own word behind `intent`: an HL7 v3 moodCode. */
  readonly mood?: string
  /** Who did it; who wrote it down stands in the provenance. */
  readonly performers?: readonly Agent[]
  /** Comments upon it. */
  readonly notes?: readonly string[]
  /** Confidentiality and other security labels (HL7 DS4P), of the statement, else of its section, else of the document. */
  readonly labels?: readonly Coding[]
  /** Other statements that this one names by id (entryReference, CCR InternalCCRLink), and as what (typeCode). */
  readonly references?: readonly { readonly kind: string; readonly identifiers: readonly Identifier[] }[]
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
  /** Nearest first: of the statement, else of its section, else of the document (CDA R2 §4.4). */
  readonly authors: readonly Agent[]
  readonly informants?: readonly Agent[]
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
    | 'unknown-template'
    | 'unmapped-entry'
    | 'unresolved-reference'
    | 'unknown-code-system'
    | 'value-without-type'
    | 'unit-not-ucum'
    | 'time-unreadable'
    | 'time-without-offset'
    | 'contradictory-status'
    | 'id-reused'
    | 'patient-incomplete'
    | 'section-empty'
    | 'wrong-root'
    | 'unreadable-archive'
    | 'hash-mismatch'
    | 'size-mismatch'
    | 'metadata-unreadable'
    | 'missing-file'
    | 'unlisted-file'
    | 'not-parsed'
  /** Where: an entry path, a zip entry name, or empty. Never the clinical words themselves. */
  readonly where: string
  readonly detail: string
}

/** What became of one clinical statement of a document (CDA entry, CCR data object): nothing ends in silence. */
export type EntryOutcome =
  | { readonly entry: string; readonly kind: 'items'; readonly items: readonly string[] }
  /** It says more of an item that another entry made. */
  | { readonly entry: string; readonly kind: 'merged'; readonly into: string }
  | { readonly entry: string; readonly kind: 'unmapped'; readonly reason: string }
