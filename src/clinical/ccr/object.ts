import type { Intent, ItemContent } from '../../direct/clinical.js'
import type { Agent, Concept, Identifier, When } from '../../direct/datatypes.js'
import { child } from '../../xml/node.js'
import { add, note } from '../reading.js'
import type { Status } from '../status.js'
import { readIdentifiers, readSources, type Sources } from './actors.js'
import { readWritten } from './dates.js'
import { attributeNotes, notesOf, referencesOf } from './links.js'
import { type CcrScope, ccrLimits, textAt } from './scope.js'
import { nearestStatus } from './status.js'
import { saying } from './types.js'

/** What a reader found in a data object. */
export interface Finding {
  readonly content: ItemContent
  /** What the item is about; an item about nothing is not made. Left out where the content itself says enough. */
  readonly subject?: Concept
  readonly when?: When | undefined
  readonly status?: Status | undefined
  readonly intent?: Intent
  readonly negated?: boolean
  readonly performers?: readonly Agent[]
  /** Words that no field stands for, each under its own name. */
  readonly notes?: readonly string[]
  readonly identifiers?: readonly Identifier[]
  /** The attributes of the description stand in the content already. */
  readonly attributed?: boolean
}

/**
 * Makes the item of a data object and answers its id, in a list that is empty for an object about nothing. CCRDataObjectID is
 * an identifier without root, since it means nothing outside the document (ASTM E2369 §5.1.1).
 */
export function emit(scope: CcrScope, finding: Finding): string[] {
  const { ccr, place, section } = scope
  if (finding.subject !== undefined && !saying(finding.subject)) return []
  if (ccr.spentChars > ccrLimits.itemChars) return tooMuch(scope)
  const recordedAt = readWritten(scope) ?? (scope.outer && readWritten(scope.outer))
  const status = finding.status ?? nearestStatus(scope)
  const { authors, informants } = sourcesOf(scope)
  const notes = [
    ...(finding.notes ?? []),
    ...(finding.attributed ? [] : attributeNotes(child(place.node, 'Description'))),
    ...notesOf(scope, place.node),
  ].map((text) => text.slice(0, ccr.reading.limits.textChars))
  const references = referencesOf(scope, place.node)
  const performers = finding.performers ?? []
  const added = add(ccr.reading, {
    content: finding.content,
    ...(finding.when === undefined ? {} : { when: finding.when }),
    ...(recordedAt === undefined ? {} : { recordedAt }),
    ...(status === undefined ? {} : { status }),
    negated: finding.negated ?? false,
    intent: finding.intent ?? scope.intent ?? 'performed',
    ...(performers.length === 0 ? {} : { performers }),
    ...(notes.length === 0 ? {} : { notes: [...new Set(notes)] }),
    ...(references.length === 0 ? {} : { references }),
    identifiers: [...objectId(scope), ...(finding.identifiers ?? readIdentifiers(scope, place.node))],
    provenance: {
      entry: place.path,
      section,
      authors,
      ...(informants.length === 0 ? {} : { informants }),
    },
  })
  const made = ccr.reading.items.at(-1)
  if (!added || made === undefined) return []
  ccr.spentChars += JSON.stringify(made).length
  return [made.id]
}

/** Leaves the rest of the document out, and says so once. */
function tooMuch({ ccr, place }: CcrScope): string[] {
  if (!ccr.reading.full)
    note(ccr.reading, 'limit-exceeded', place.path, `more than ${ccrLimits.itemChars} characters of items`)
  ccr.reading.full = true
  return []
}

function objectId(scope: CcrScope): Identifier[] {
  const id = textAt(scope.place.node, 'CCRDataObjectID')
  return id === undefined ? [] : [{ value: id }]
}

/** Sources of the object, else of the one that it is part of, else of the document: nearest first. */
export function sourcesOf(scope: CcrScope): Sources {
  let authors: readonly Agent[] = []
  let informants: readonly Agent[] = []
  for (let at: CcrScope | undefined = scope; at !== undefined && authors.length === 0; at = at.outer) {
    const said = readSources(at, at.place.node)
    authors = said.authors
    if (informants.length === 0) informants = said.informants
  }
  return { authors: authors.length > 0 ? authors : scope.ccr.senders, informants }
}
