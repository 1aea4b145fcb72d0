import type { RecordItem } from '../../direct/clinical.js'
import type { Identifier } from '../../direct/datatypes.js'
import { bounded, keyLimits, plainWords } from './concept.js'
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
  const ids = identifiers.flatMap(nameOf).slice(0, keyLimits.others)
  const base = { sha256: provenance.document, ids, ...(made && { made }) }
  if (content.type !== 'document') return { ...base, house: [sender], replaces: [] }
  const { custodian, set, versionNumber, related = [] } = content
  const house = custodian
    ? [bounded(plainWords(custodian.text)), ...custodian.identifiers.flatMap(nameOf)].filter(Boolean)
    : [`from ${sender}`]
  const setName = set && nameOf(set)[0]
  return {
    ...base,
    house: house.slice(0, keyLimits.others),
    ...(setName !== undefined && { set: setName }),
    ...(versionNumber !== undefined && { versionNumber: versionNumber.slice(0, keyLimits.textChars) }),
    replaces: related
      .filter(({ kind }) => kind === 'RPLC')
      .flatMap(({ identifiers: named }) => named.flatMap(nameOf))
      .slice(0, keyLimits.others),
  }
}

function nameOf({ root = '', value = '' }: Identifier): readonly string[] {
  const name = `${root.trim().toLowerCase()}^${value.trim()}`
  return name === '^' ? [] : [bounded(name)]
}

/** What was found out of a document's patient when it came. */
export interface DocumentPatient {
  readonly sha256: string
  readonly match: { readonly kind: 'match' | 'mismatch' | 'unknown' }
  /** Digest of what it says of its patient. */
  readonly patient?: string
  /** Digests of what documents before it said of somebody else. */
  readonly strangers?: readonly { readonly patient: string }[]
}

/** What people said of whose documents are. */
export interface Vouched {
  readonly released: { has(sha256: string): boolean }
  readonly rejected: { has(sha256: string): boolean }
  /** Documents whose demographics somebody took for those of the patient. */
  readonly taken: { has(sha256: string): boolean }
}

/**
 * The documents that are held, each with the documents that it is held against. Given in the order in which they came. One
 * is held where the patient of the record is another, or where a document before it that stands tells of another; a person's
 * word goes over both. What somebody released also holds what came before and tells of another, unless somebody spoke for
 * that too: of two patients only one stands unasked.
 */
export function heldDocuments(
  documents: readonly DocumentPatient[],
  { released, rejected, taken }: Vouched,
): ReadonlyMap<string, readonly string[]> {
  const held = new Map<string, readonly string[]>()
  const live = documents.filter(({ sha256 }) => released.has(sha256))
  const told = (one: DocumentPatient, other: DocumentPatient) =>
    one.strangers?.some(({ patient }) => patient === other.patient) ?? false
  for (const document of documents) {
    const { sha256, match } = document
    if (released.has(sha256) || rejected.has(sha256)) continue
    const against = live.filter((other) => told(document, other) || (!taken.has(sha256) && told(other, document)))
    if (match.kind === 'mismatch' || against.length > 0)
      held.set(
        sha256,
        against.slice(0, 10).map((other) => other.sha256),
      )
    else live.push(document)
  }
  return held
}

/**
 * The documents of one patient that another of them took the place of: it says so (relatedDocument RPLC), it is a later
 * version of one set, or it carries the same identifier and was made later. Only the same custodian replaces (CDA R2
 * §4.2.3), and nothing made earlier replaces what was made later. Each with the revision at which the first of those came.
 */
export function supersededDocuments<Came extends DocumentFact & { readonly seq: number }>(
  documents: readonly Came[],
): ReadonlyMap<string, number> {
  const named = new Map<string, Came[]>()
  for (const document of documents) {
    for (const name of new Set([...document.ids, ...(document.set === undefined ? [] : [document.set])])) {
      const others = named.get(name)
      if (others) others.push(document)
      else named.set(name, [document])
    }
  }
  const gone = new Map<string, number>()
  for (const newer of documents) {
    const names = new Set([...newer.replaces, ...newer.ids, ...(newer.set === undefined ? [] : [newer.set])])
    for (const older of [...names].flatMap((name) => named.get(name) ?? [])) {
      if (older.sha256 === newer.sha256 || !replaces(newer, older)) continue
      gone.set(older.sha256, Math.min(newer.seq, gone.get(older.sha256) ?? newer.seq))
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
