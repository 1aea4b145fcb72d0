import type { ItemProvenance } from '../../direct/clinical.js'
import type { Agent, Coding, PartialDate } from '../../direct/datatypes.js'
import { attribute, type XmlNode } from '../../xml/node.js'
import type { Place } from '../place.js'
import { type Code, note, type Reading } from '../reading.js'
import { indexNarrative, type NarrativeIndex } from './narrative.js'
import type { SectionKind } from './sections.js'

export const v3 = 'urn:hl7-org:v3'
export const sdtc = 'urn:hl7-org:sdtc'
export const xsi = 'http://www.w3.org/2001/XMLSchema-instance'

/** One CDA document being read. */
export interface Cda {
  readonly reading: Reading
  readonly root: Place
  /** Who is who by `root|extension` of their ids, for agents who are later named by id alone. */
  readonly people: Map<string, Agent>
  /** OIDs already reported as unknown: once a document is enough. */
  readonly unknownSystems: Set<string>
  /** The narrative index, made when the first reference asks for it. */
  narrative: NarrativeIndex | undefined
  /** Characters that references may still bring in: many entries may point to one long text. */
  narrativeChars: number
  /** IDs of narrative that entries refer to, gathered when the first section asks. */
  referred?: ReadonlySet<string>
  /** Id of the item that the entry being read says more of; set by `mergeInto`, reset with every entry. */
  mergedInto: string | undefined
  /** Whether the entry being read, or the header, already told of a time without zone. */
  localTimeTold: boolean
  /** Units already judged, so that each is parsed once. */
  readonly units: Map<string, boolean>
  /** Entries that made nothing of their own but name others by id, by their place among the outcomes. */
  readonly referring: Map<number, readonly string[]>
  /** Security labels of the whole document that stand in its body. */
  readonly documentLabels: Coding[]
}

/** Who wrote something and when: conducted from document to section to entry until someone nearer is named (CDA R2 §4.4). */
export interface Authorship {
  readonly authors: readonly Agent[]
  readonly informants?: readonly Agent[]
  readonly recordedAt?: PartialDate
}

export interface Section {
  readonly kind: SectionKind
  /** LOINC code, else title. */
  readonly label?: string
  readonly node: XmlNode
  readonly nullFlavor?: string
  /** Whether the section has a subject who is not the patient. */
  readonly aboutAnother: boolean
}

/** Where the reader stands: which statement, in which section, said by whom. */
export interface Scope {
  readonly cda: Cda
  readonly place: Place
  readonly section?: Section
  readonly authorship: Authorship
  /** Security labels of the section, else of the document. */
  readonly labels?: readonly Coding[]
  /** Entries and relations on the way here that deny or nullify what stands in them (CDA R2: negationInd, nullFlavor). */
  readonly through?: readonly XmlNode[]
}

/** The same scope at another element. */
export function at(scope: Scope, place: Place): Scope {
  return { ...scope, place }
}

/** The same scope inside an entry, relation or component, which may take back whatever stands in it. */
export function inside(scope: Scope, { node }: Place): Scope {
  const takesBack = attribute(node, 'negationInd') !== undefined || attribute(node, 'nullFlavor') !== undefined
  return takesBack ? { ...scope, through: [...(scope.through ?? []), node] } : scope
}

/** Reports something about the statement of this scope. */
export function remark(scope: Scope, code: Code, detail: string): void {
  note(scope.cda.reading, code, scope.place.path, detail)
}

export function narrativeOf(cda: Cda): NarrativeIndex {
  cda.narrative ??= indexNarrative(cda.root.node)
  return cda.narrative
}

/** Says that the entry being read makes no item of its own, but says more of the item `id`. */
export function mergeInto(scope: Scope, id: string): void {
  scope.cda.mergedInto = id
}

/** Provenance of an item made of the statement of this scope. */
export function provenance(scope: Scope): Omit<ItemProvenance, 'document'> {
  const label = scope.section?.label
  const { authors, informants } = scope.authorship
  return {
    entry: scope.place.path,
    ...(label === undefined ? {} : { section: label }),
    authors,
    ...(informants === undefined ? {} : { informants }),
  }
}
