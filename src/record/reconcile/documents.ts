import type { RecordItem } from '../../direct/clinical.js'
import type { Identifier } from '../../direct/datatypes.js'
import { plainWords } from './concept.js'
import { byMoment, type Moment, momentOf } from './moment.js'

/** What tells one document from others, and from earlier versions of itself. */
export interface DocumentFact {
  readonly sha256: string
  readonly ids: readonly string[]
  /** Who keeps the original: its identifiers and its name; else whoever sent it. */
  readonly house: readonly string[]
  readonly set?: string
  readonly versionNumber?: string
  /** Identifiers of documents that this one says it replaces. */
  readonly replaces: readonly string[]
  readonly made?: Moment
}

/** The fact of a document's own item. */
export function documentFact({ content, identifiers, when, provenance }: RecordItem, sender: string): DocumentFact {
  const made = momentOf(when?.value) ?? momentOf(when?.high)
  const base = { sha256: provenance.document, ids: identifiers.flatMap(nameOf), ...(made && { made }) }
  if (content.type !== 'document') return { ...base, house: [sender], replaces: [] }
  const { custodian, set, versionNumber, related = [] } = content
  const house = custodian
    ? [...custodian.identifiers.flatMap(nameOf), plainWords(custodian.text)].filter(Boolean)
    : [`from ${sender}`]
  const setName = set && nameOf(set)[0]
  return {
    ...base,
    house,
    ...(setName !== undefined && { set: setName }),
    ...(versionNumber !== undefined && { versionNumber }),
    replaces: related.filter(({ kind }) => kind === 'RPLC').flatMap(({ identifiers: named }) => named.flatMap(nameOf)),
  }
}

function nameOf({ root = '', value = '' }: Identifier): readonly string[] {
  const name = `${root.trim().toLowerCase()}^${value.trim()}`
  return name === '^' ? [] : [name]
}

/**
 * The documents of one patient that another of them took the place of: it says so (relatedDocument RPLC), it is a later
 * version of one set, or it carries the same identifier and was made later. Only the same custodian replaces (CDA R2
 * §4.2.3), and nothing made earlier replaces what was made later.
 */
export function supersededDocuments(documents: readonly DocumentFact[]): ReadonlySet<string> {
  const named = new Map<string, DocumentFact[]>()
  for (const document of documents) {
    for (const name of new Set([...document.ids, ...(document.set === undefined ? [] : [document.set])])) {
      const others = named.get(name)
      if (others) others.push(document)
      else named.set(name, [document])
    }
  }
  const gone = new Set<string>()
  for (const newer of documents) {
    const names = new Set([...newer.replaces, ...newer.ids, ...(newer.set === undefined ? [] : [newer.set])])
    for (const older of [...names].flatMap((name) => named.get(name) ?? [])) {
      if (older.sha256 !== newer.sha256 && replaces(newer, older)) gone.add(older.sha256)
    }
  }
  return gone
}

function replaces(newer: DocumentFact, older: DocumentFact): boolean {
  if (!newer.house.some((name) => older.house.includes(name))) return false
  const order = byMoment(newer.made, older.made)
  const says = newer.replaces.some((name) => older.ids.includes(name) || name === older.set)
  // Two that each claim to replace the other replace nothing.
  const backwards = older.replaces.some((name) => newer.ids.includes(name) || name === newer.set)
  if (says && !(backwards && order === 0)) return order >= 0 || newer.made === undefined
  if (backwards) return false
  if (newer.set !== undefined && newer.set === older.set) {
    const versions = byNumber(newer.versionNumber, older.versionNumber)
    if (versions !== undefined) return versions > 0
  }
  return (
    newer.ids.some((name) => older.ids.includes(name)) &&
    newer.made !== undefined &&
    older.made !== undefined &&
    order > 0
  )
}

function byNumber(one: string | undefined, other: string | undefined): number | undefined {
  if (one === undefined || other === undefined || !/^\d{1,15}$/.test(one) || !/^\d{1,15}$/.test(other)) return undefined
  return one === other ? undefined : Number(one) - Number(other)
}
