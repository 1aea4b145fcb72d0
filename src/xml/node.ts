/**
 * One element of a parsed document. Text and elements stand in `children` in document order, so mixed content keeps its
 * words where they were; adjacent text, CDATA sections and text around comments are one string.
 */
export interface XmlNode {
  /** Local name, without prefix. */
  readonly local: string
  /** Namespace URI; empty for none. */
  readonly ns: string
  /** Triples of namespace URI, local name and value, in document order; read them through `attribute`. Namespace declarations are not among them. */
  readonly attributes: readonly string[]
  readonly children: readonly (XmlNode | string)[]
}

/** The value of an attribute by local name and namespace URI (none by default); undefined where the element has no such attribute. */
export function attribute(node: XmlNode, local: string, ns = ''): string | undefined {
  const { attributes } = node
  for (let i = 0; i < attributes.length; i += 3) {
    if (attributes[i + 1] === local && attributes[i] === ns) return attributes[i + 2]
  }
  return undefined
}

/** Child elements in document order. */
export function elements(node: XmlNode): XmlNode[] {
  const found: XmlNode[] = []
  for (const item of node.children) if (typeof item !== 'string') found.push(item)
  return found
}

/** The first child element of this local name, in the namespace of its parent unless another is given. */
export function child(node: XmlNode | undefined, local: string, ns?: string): XmlNode | undefined {
  if (node === undefined) return undefined
  const wanted = ns ?? node.ns
  for (const item of node.children) {
    if (typeof item !== 'string' && item.local === local && item.ns === wanted) return item
  }
  return undefined
}

/** All child elements of this local name, in the namespace of their parent unless another is given. */
export function childrenOf(node: XmlNode | undefined, local: string, ns?: string): XmlNode[] {
  const found: XmlNode[] = []
  if (node === undefined) return found
  const wanted = ns ?? node.ns
  for (const item of node.children) {
    if (typeof item !== 'string' && item.local === local && item.ns === wanted) found.push(item)
  }
  return found
}

/** The element reached by taking the first child of each name in turn, each in the namespace of its parent. */
export function descend(node: XmlNode | undefined, ...path: readonly string[]): XmlNode | undefined {
  let at = node
  for (const local of path) at = child(at, local)
  return at
}

/** All text inside an element, in document order and exactly as it stands. Recursion is bounded by the depth limit of the parser. */
export function textOf(node: XmlNode | undefined): string {
  if (node === undefined) return ''
  const { children } = node
  if (children.length === 1 && typeof children[0] === 'string') return children[0]
  let text = ''
  for (const item of children) text += typeof item === 'string' ? item : textOf(item)
  return text
}
