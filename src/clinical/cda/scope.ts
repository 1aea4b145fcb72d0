import type { ItemProvenance } from '../../direct/clinical.js'
import type { PartialDate } from '../../direct/datatypes.js'
import type { XmlNode } from '../../xml/node.js'
import type { Place } from '../place.js'
import { byName, type Code, note, type Reading } from '../reading.js'
import { indexNarrative, type NarrativeIndex } from './narrative.js'
import type { SectionKind } from './sections.js'

export const v3 = 'urn:hl7-org:v3'
export const sdtc = 'urn:hl7-org:sdtc'
export const xsi = 'http://www.w3.org/2001/XMLSchema-instance'

/** One CDA document being read. */
export interface Cda {
  readonly reading: Reading
  readonly root: Place
  /** Full names of people by `root|extension` of their ids, for authors who are later named by id alone. */
  readonly people: Map<string, string>
  /** OIDs already reported as unknown: once a document is enough. */
  readonly unknownSystems: Set<string>
  /** The narrative index, made when the first reference asks for it. */
  narrative: NarrativeIndex | undefined
  /** Characters that references may still bring in: many entries may point to one long text. */
  narrativeChars: number
}

/** Who wrote something and when: conducted from document to section to entry until someone nearer is named (CDA R2 §4.4). */
export interface Authorship {
  readonly authors: readonly string[]
  readonly recordedAt?: PartialDate
}

export interface Section {
  readonly kind: SectionKind
  /** LOINC code, else title. */
  readonly label?: string
  readonly node: XmlNode
  readonly nullFlavor?: string
}

/** Where the reader stands: which statement, in which section, said by whom. */
export interface Scope {
  readonly cda: Cda
  readonly place: Place
  readonly section?: Section
  readonly authorship: Authorship
}

/** The same scope at another element. */
export function at(scope: Scope, place: Place): Scope {
  return { ...scope, place }
}

/** Reports something about the statement of this scope. */
export function remark(scope: Scope, code: Code, detail: string): void {
  note(scope.cda.reading, code, scope.place.path, detail)
}

export function narrativeOf(cda: Cda): NarrativeIndex {
  cda.narrative ??= indexNarrative(cda.root.node)
  return cda.narrative
}

/** Provenance of an item made of the statement of this scope. */
export function provenance(scope: Scope): Omit<ItemProvenance, 'document'> {
  const label = scope.section?.label
  return {
    entry: scope.place.path,
    ...(label === undefined ? {} : { section: label }),
    authors: scope.authorship.authors.map(byName),
  }
}
