import type { Intent } from '../../direct/clinical.js'
import type { Agent } from '../../direct/datatypes.js'
import { child, childrenOf, elements, type XmlNode } from '../../xml/node.js'
import { type Place, placeAt, placesIn } from '../place.js'
import { type Code, note, type Reading } from '../reading.js'

export const ccrNamespace = 'urn:astm-org:CCR'

/** What a stranger's CCR may grow to beyond the limits of all clinical documents. */
export const ccrLimits = {
  /** Characters of all items, as JSON: each of many tests tells its panel and its sources again, so items may outgrow the document. */
  itemChars: 64 * 1024 * 1024,
  /** Agents of one list: the sources of an object, the senders of a document; real ones have fewer than five. */
  agents: 50,
  /** Other products that an item of a compound medication names. */
  products: 10,
} as const

/** One ContinuityOfCareRecord being read, with what its objects refer to by ids that mean nothing outside it. */
export interface Ccr {
  readonly reading: Reading
  readonly root: Place
  readonly actors: ReadonlyMap<string, Place>
  readonly objects: ReadonlyMap<string, Place>
  readonly comments: ReadonlyMap<string, Place>
  readonly references: ReadonlyMap<string, Place>
  /** ActorIDs of the patients: a CCR is about one, or about two where one is the child of the other (ASTM E2369 §5.2.5). */
  readonly patientIds: readonly string[]
  /** Ids of the demographics items made, in the order of `patientIds`. */
  readonly patientItems: string[]
  /** Authors of the document: of every statement that names no source of its own. */
  readonly senders: Agent[]
  /** Comments that stand with an item already; the others become notes. */
  readonly usedComments: Set<string>
  readonly unknownSystems: Set<string>
  /** CommentObjectIDs by the id of the object that the comment links to. */
  readonly commentsUpon: ReadonlyMap<string, readonly string[]>
  /** What has been read of a node already, since many parts of one object ask for the same. */
  readonly known: WeakMap<XmlNode, Map<string, unknown>>
  /** Characters of the items made so far. */
  spentChars: number
}

/** Where the reader stands: one data object of one section. */
export interface CcrScope {
  readonly ccr: Ccr
  readonly place: Place
  readonly section: string
  /** The object that this one is part of: its dates, status and sources hold where there are none nearer. */
  readonly outer?: CcrScope
  /** What everything inside a plan is. */
  readonly intent?: Intent
}

const mostPatients = 2

/** Indexes actors, references, comments and the data objects of the body by their ids, which links and roles refer to. */
export function openCcr(root: Place, reading: Reading): Ccr {
  const objects = new Map<string, Place>()
  const body = placeAt(root, 'Body')
  if (body !== undefined) indexObjects(body, objects, reading)
  const patientIds = placesIn(root, 'Patient')
    .map(({ node }) => textAt(node, 'ActorID'))
    .filter((id) => id !== undefined)
  const comments = indexed(root, 'Comments', 'CommentObjectID')
  return {
    reading,
    root,
    actors: indexed(root, 'Actors', 'ActorObjectID'),
    objects,
    comments,
    references: indexed(root, 'References', 'ReferenceObjectID'),
    patientIds: [...new Set(patientIds)].slice(0, mostPatients),
    patientItems: [],
    senders: [],
    usedComments: new Set(),
    unknownSystems: new Set(),
    commentsUpon: linksOfComments(comments),
    known: new WeakMap(),
    spentChars: 0,
  }
}

function linksOfComments(comments: ReadonlyMap<string, Place>): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (const [id, { node }] of comments) {
    for (const link of childrenOf(node, 'InternalCCRLink')) {
      const object = textAt(link, 'LinkID')
      if (object !== undefined) found.set(object, [...(found.get(object) ?? []).slice(0, 99), id])
    }
  }
  return found
}

/** Reads something of a node once. `what` names it; the same name must stand for the same reader. */
export function once<T>(scope: CcrScope, node: XmlNode, what: string, read: () => T): T {
  const { known } = scope.ccr
  const already = known.get(node) ?? new Map<string, unknown>()
  known.set(node, already)
  if (!already.has(what)) already.set(what, read())
  return already.get(what) as T
}

function indexed(root: Place, list: string, id: string): Map<string, Place> {
  const found = new Map<string, Place>()
  const at = placeAt(root, list)
  for (const place of at === undefined ? [] : placesIn(at)) {
    const key = textAt(place.node, id)
    if (key !== undefined && !found.has(key)) found.set(key, place)
  }
  return found
}

/** Recursion is bounded by the depth limit of the parser. */
function indexObjects(parent: Place, objects: Map<string, Place>, reading: Reading): void {
  for (const place of placesIn(parent)) {
    if (elements(place.node).length === 0) continue
    const id = textAt(place.node, 'CCRDataObjectID')
    if (id !== undefined) {
      if (objects.has(id)) note(reading, 'id-reused', place.path, 'another data object has the same CCRDataObjectID')
      else objects.set(id, place)
    }
    indexObjects(place, objects, reading)
  }
}

export function remark(scope: CcrScope, code: Code, detail: string): void {
  note(scope.ccr.reading, code, scope.place.path, detail)
}

/** Folded text of the first child of that name, or of the Text in it where a sender wraps its words once too often; undefined for none. */
export function textAt(node: XmlNode | undefined, local: string): string | undefined {
  const found = child(node, local)
  return textIn(found) ?? textIn(child(found, 'Text'))
}

/** Folded text of an element, without that of elements in it; undefined for none. */
export function textIn(node: XmlNode | undefined): string | undefined {
  if (node === undefined) return undefined
  let text = ''
  for (const item of node.children) if (typeof item === 'string') text += item
  const folded = text.replace(/\s+/g, ' ').trim()
  return folded === '' ? undefined : folded
}
