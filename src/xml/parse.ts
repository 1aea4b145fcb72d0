import { SaxesParser } from 'saxes'
import { decodeXml } from './charset.js'
import { htmlEntities, xmlEntities } from './entities.js'
import { openNamespaces } from './namespaces.js'
import type { XmlNode } from './node.js'

/** What a stranger's XML may grow to. */
export interface XmlLimits {
  readonly bytes: number
  readonly depth: number
  readonly elements: number
  readonly attributes: number
  readonly namespaces: number
}

export const xmlLimits: XmlLimits = {
  /** The largest real clinical document seen has 10 MB; the tree costs about ten times its source. */
  bytes: 64 * 1024 * 1024,
  /** Real documents nest at most 20 deep; recursive readers rely on this bound. */
  depth: 64,
  /** The largest real document seen has 150,000 elements. */
  elements: 500_000,
  /** No real element has more than 30. */
  attributes: 256,
  /** Bindings in scope at one element, searched for each prefix; real documents have fewer than ten. */
  namespaces: 64,
}

/** Something that was mended or guessed on the way to a tree. */
export interface XmlNote {
  readonly kind: 'charset-guessed' | 'entities-repaired' | 'leading-space' | 'prefix-assumed'
  readonly detail: string
}

export type XmlOutcome =
  | { readonly kind: 'tree'; readonly root: XmlNode; readonly charset: string; readonly notes: readonly XmlNote[] }
  | {
      readonly kind: 'refused'
      readonly reason: 'not-well-formed' | 'doctype' | 'limit'
      /** What is wrong and at which line and column; never the content. */
      readonly detail: string
      readonly notes: readonly XmlNote[]
    }

/** The first fault ends the parse: whatever follows it cannot be trusted. */
class XmlFault extends Error {
  readonly reason: 'not-well-formed' | 'doctype' | 'limit' | 'entity'
  constructor(reason: XmlFault['reason'], message: string) {
    super(message)
    this.reason = reason
  }
}

/**
 * Parses the bytes of an XML document (XML 1.0, Namespaces in XML 1.0) into a tree. Answers `refused`, and never throws,
 * for anything that is not well-formed, declares a document type, or goes beyond a limit. Comments and processing
 * instructions are dropped. HTML entity names, white space before the declaration and a wrong charset are mended with a
 * note; so is a prefix that the document forgot to declare, where `assumedPrefixes` knows it.
 */
export function parseXml(
  bytes: Uint8Array,
  limits: XmlLimits = xmlLimits,
  assumedPrefixes: Readonly<Record<string, string>> = {},
): XmlOutcome {
  if (bytes.length > limits.bytes)
    return { kind: 'refused', reason: 'limit', detail: `more than ${limits.bytes} bytes`, notes: [] }
  const notes: XmlNote[] = []
  const decoded = decodeXml(bytes)
  if (decoded.guessed !== undefined) notes.push({ kind: 'charset-guessed', detail: decoded.guessed })

  const start = decoded.text.search(/[^\s\ufeff]/)
  if (start > 0) notes.push({ kind: 'leading-space', detail: 'white space before the document was removed' })
  const text = start > 0 ? decoded.text.slice(start) : decoded.text
  if (declaresDoctype(text)) return { kind: 'refused', reason: 'doctype', detail: 'a document type declaration', notes }

  try {
    return {
      kind: 'tree',
      root: treeOf(text, limits, xmlEntities, assumedPrefixes, notes),
      charset: decoded.charset,
      notes,
    }
  } catch (fault) {
    if (!(fault instanceof XmlFault)) throw fault
    if (fault.reason !== 'entity') return { kind: 'refused', reason: fault.reason, detail: fault.message, notes }
  }
  try {
    const root = treeOf(text, limits, htmlEntities, assumedPrefixes, notes)
    notes.push({ kind: 'entities-repaired', detail: 'HTML entity names were read as the characters they mean' })
    return { kind: 'tree', root, charset: decoded.charset, notes }
  } catch (fault) {
    if (!(fault instanceof XmlFault)) throw fault
    const reason = fault.reason === 'entity' ? 'not-well-formed' : fault.reason
    return { kind: 'refused', reason, detail: fault.message, notes }
  }
}

/** Looks past comments and processing instructions of the prolog, so that a declaration is refused before any of it is read. */
function declaresDoctype(text: string): boolean {
  let at = 0
  for (;;) {
    while (/\s/.test(text.charAt(at))) at++
    const end = text.startsWith('<?', at) ? '?>' : text.startsWith('<!--', at) ? '-->' : undefined
    if (end === undefined) return text.startsWith('<!DOCTYPE', at)
    const close = text.indexOf(end, at + 2)
    if (close < 0) return false
    at = close + end.length
  }
}

type OpenNode = { local: string; ns: string; attributes: readonly string[]; children: (XmlNode | string)[] }

/** Throws XmlFault at the first fault. Namespaces are resolved by us: the parser's own look-up is quadratic in depth. */
function treeOf(
  text: string,
  limits: XmlLimits,
  entities: Record<string, string>,
  assumedPrefixes: Readonly<Record<string, string>>,
  notes: XmlNote[],
): XmlNode {
  const parser = new SaxesParser({ xmlns: false, position: false })
  parser.ENTITIES = entities
  const fault = (reason: XmlFault['reason'], what: string): never => {
    throw new XmlFault(reason, `${what} at line ${parser.line}, column ${parser.column}`)
  }
  const assumed = (prefix: string): void => {
    const detail = `the prefix ${prefix} is not declared`
    if (!notes.some((note) => note.detail === detail)) notes.push({ kind: 'prefix-assumed', detail })
  }
  const namespaces = openNamespaces(limits.namespaces, assumedPrefixes, fault, assumed)

  const document: OpenNode = { local: '', ns: '', attributes: [], children: [] }
  const open: OpenNode[] = [document]
  let current = document
  /** Names and values of the tag being read. */
  let names: string[] = []
  let values: string[] = []
  let count = 0

  parser.on('error', (error) => {
    if (error.message === 'undefined entity.') fault('entity', 'undefined entity')
    fault('not-well-formed', error.message)
  })
  parser.on('doctype', () => fault('doctype', 'a document type declaration'))
  parser.on('attribute', ({ name, value }) => {
    if (names.length >= limits.attributes) fault('limit', `more than ${limits.attributes} attributes`)
    names.push(name)
    values.push(value)
  })
  parser.on('opentag', ({ name }) => {
    if (++count > limits.elements) fault('limit', `more than ${limits.elements} elements`)
    if (open.length > limits.depth) fault('limit', `more than ${limits.depth} levels`)
    const attributes = namespaces.enter(names, values)
    if (names.length > 0) {
      names = []
      values = []
    }
    const colon = name.indexOf(':')
    const node: OpenNode = {
      local: colon < 0 ? name : name.slice(colon + 1),
      ns: namespaces.uriOf(name, colon),
      attributes,
      children: [],
    }
    current.children.push(node)
    open.push(node)
    current = node
  })
  parser.on('closetag', () => {
    open.pop()
    current = open[open.length - 1] as OpenNode
    namespaces.leave()
  })
  const push = (content: string): void => {
    const { children } = current
    const last = children.length - 1
    const before = children[last]
    if (typeof before === 'string') children[last] = before + content
    else children.push(content)
  }
  parser.on('text', (content) => {
    if (current !== document) push(content)
  })
  parser.on('cdata', push)

  parser.write(text).close()
  const root = document.children[0]
  if (root === undefined || typeof root === 'string') return fault('not-well-formed', 'no root element')
  return root
}
