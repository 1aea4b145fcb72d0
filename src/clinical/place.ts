import type { XmlNode } from '../xml/node.js'

/** An element with its path from the root: local names with 1-based positions among siblings of the same name. */
export interface Place {
  readonly node: XmlNode
  readonly path: string
}

/** The root element as a place. */
export function rootPlace(root: XmlNode): Place {
  return { node: root, path: `${root.local}[1]` }
}

/** All child elements in the namespace of their parent, each with its path; only those of one name where `local` is given. */
export function placesIn(parent: Place, local?: string): Place[] {
  const found: Place[] = []
  const counts = new Map<string, number>()
  for (const item of parent.node.children) {
    if (typeof item === 'string' || item.ns !== parent.node.ns) continue
    if (local !== undefined && item.local !== local) continue
    const position = (counts.get(item.local) ?? 0) + 1
    counts.set(item.local, position)
    found.push({ node: item, path: `${parent.path}/${item.local}[${position}]` })
  }
  return found
}

/** The first child of each name in turn. */
export function placeAt(parent: Place | undefined, ...path: readonly string[]): Place | undefined {
  let at = parent
  for (const local of path) at = at && placesIn(at, local)[0]
  return at
}
