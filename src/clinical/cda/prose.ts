import { attribute, elements, type XmlNode } from '../../xml/node.js'
import { renderNarrative } from './narrative.js'

const inline = new Set([
  'content',
  'sub',
  'sup',
  'linkHtml',
  'a',
  'b',
  'i',
  'u',
  'span',
  'em',
  'strong',
  'renderMultiMedia',
])

/**
 * Narrative as plain text: one line for each paragraph, list item, caption and table row, cells joined with ` | `, white
 * space folded, footnote marks dropped (CDA R2 §4.3.5).
 */
export function renderProse(nodes: readonly XmlNode[]): string {
  const lines: string[] = []
  let line = ''
  const flush = (): void => {
    const folded = line.replace(/[\s\u00a0]+/g, ' ').trim()
    if (folded !== '') lines.push(folded)
    line = ''
  }
  const write = (from: XmlNode): void => {
    for (const item of from.children) {
      if (typeof item === 'string') line += item
      else writeElement(item)
    }
  }
  const writeElement = (item: XmlNode): void => {
    if (item.local === 'footnoteRef') return
    if (inline.has(item.local)) {
      write(item)
      return
    }
    flush()
    if (item.local === 'tr') line = renderNarrative(item)
    else if (item.local !== 'br') write(item)
    flush()
  }
  for (const node of nodes) {
    writeElement(node)
    flush()
  }
  return lines.join('\n')
}

/** The ID of a narrative element; `id` is what a few producers write. */
function idOf(node: XmlNode): string | undefined {
  return attribute(node, 'ID') ?? attribute(node, 'id')
}

interface Ids {
  readonly any: boolean
  readonly referred: boolean
}

/**
 * The largest parts of a narrative that carry IDs of which no entry refers to one. A row counts as referred to with any of
 * its cells, and an element with everything around it; parts without any ID are taken for what the entries say already.
 */
export function unreferred(text: XmlNode, referred: ReadonlySet<string>): XmlNode[] {
  const ids = new Map<XmlNode, Ids>()
  const count = (node: XmlNode): Ids => {
    const own = idOf(node)
    const all = { any: own !== undefined, referred: own !== undefined && referred.has(own) }
    for (const inner of elements(node)) {
      const below = count(inner)
      all.any ||= below.any
      all.referred ||= below.referred
    }
    ids.set(node, all)
    return all
  }
  count(text)
  const found: XmlNode[] = []
  const visit = (node: XmlNode): void => {
    const all = ids.get(node)
    if (!all?.any || referred.has(idOf(node) ?? '')) return
    if (!all.referred && node !== text && node.local !== 'thead') found.push(node)
    else if (node.local !== 'tr') for (const inner of elements(node)) visit(inner)
  }
  visit(text)
  return found
}
