import { child, type XmlNode } from '../../xml/node.js'
import { type Place, placeAt, placesIn } from '../place.js'
import { type Code, note, type Reading } from '../reading.js'

export const ccrNamespace = 'urn:astm-org:CCR'

/** One ContinuityOfCareRecord being read, with its actors and objects by their ids, which mean nothing outside it. */
export interface Ccr {
  readonly reading: Reading
  readonly root: Place
  readonly actors: ReadonlyMap<string, Place>
  readonly objects: ReadonlyMap<string, XmlNode>
  readonly unknownSystems: Set<string>
}

/** Where the reader stands: one data object of one section. */
export interface CcrScope {
  readonly ccr: Ccr
  readonly place: Place
  readonly section: string
}

/** Indexes actors (ActorObjectID) and data objects of the body (CCRDataObjectID), which links and roles refer to. */
export function openCcr(root: Place, reading: Reading): Ccr {
  const actors = new Map<string, Place>()
  const list = placeAt(root, 'Actors')
  for (const actor of list ? placesIn(list, 'Actor') : []) {
    const id = textAt(actor.node, 'ActorObjectID')
    if (id !== undefined && !actors.has(id)) actors.set(id, actor)
  }
  const objects = new Map<string, XmlNode>()
  const body = child(root.node, 'Body')
  for (const section of body?.children ?? []) {
    if (typeof section === 'string') continue
    for (const object of section.children) {
      if (typeof object === 'string') continue
      const id = textAt(object, 'CCRDataObjectID')
      if (id !== undefined && !objects.has(id)) objects.set(id, object)
    }
  }
  return { reading, root, actors, objects, unknownSystems: new Set() }
}

export function remark(scope: CcrScope, code: Code, detail: string): void {
  note(scope.ccr.reading, code, scope.place.path, detail)
}

/** Folded text of the first child of that name; undefined for none. */
export function textAt(node: XmlNode | undefined, local: string): string | undefined {
  return textIn(child(node, local))
}

/** Folded text of an element that holds nothing but text; undefined for none. */
export function textIn(node: XmlNode | undefined): string | undefined {
  if (node === undefined) return undefined
  let text = ''
  for (const item of node.children) if (typeof item === 'string') text += item
  const folded = text.replace(/\s+/g, ' ').trim()
  return folded === '' ? undefined : folded
}
