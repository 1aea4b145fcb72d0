import { attribute, child, elements, type XmlNode } from '../../xml/node.js'

/** One narrative element that entries may point to. */
interface Target {
  readonly node: XmlNode
  /** The section whose text it stands in. */
  readonly section: XmlNode
  /** Header cells of the table, where the element is a row of one. */
  readonly headers: readonly string[]
}

/** Every narrative element with an ID, by that ID. IDs ought to be unique; where they are not, all are kept. */
export type NarrativeIndex = ReadonlyMap<string, readonly Target[]>

/** Indexes the narrative of every section below `root` (CDA R2 §4.3.5: `reference` points to an ID in the same document). */
export function indexNarrative(root: XmlNode): NarrativeIndex {
  const index = new Map<string, Target[]>()
  const visit = (node: XmlNode, section: XmlNode | undefined, headers: readonly string[]): void => {
    const id = attribute(node, 'ID') ?? attribute(node, 'id')
    if (id !== undefined && section !== undefined) {
      const target = { node, section, headers: node.local === 'tr' ? headers : [] }
      const same = index.get(id)
      if (same) same.push(target)
      else index.set(id, [target])
    }
    const inner = section !== undefined && node.local === 'table' ? headerCells(node) : headers
    for (const item of elements(node)) {
      if (node.local === 'section') {
        if (item.local === 'entry') continue
        visit(item, item.local === 'text' ? node : section, inner)
      } else visit(item, section, inner)
    }
  }
  visit(root, undefined, [])
  return index
}

function headerCells(table: XmlNode): string[] {
  const row = child(child(table, 'thead'), 'tr') ?? child(child(table, 'tbody'), 'tr') ?? child(table, 'tr')
  if (row === undefined) return []
  const cells = elements(row)
  return cells.every((cell) => cell.local === 'th') ? cells.map((cell) => renderNarrative(cell)) : []
}

/**
 * The words that a reference points to, markup stripped. The section's own narrative goes before another section's with
 * the same ID. Where the target is a table row and one header fits `column`, only that cell. Undefined where nothing has the ID.
 */
export function resolveReference(
  index: NarrativeIndex,
  reference: string,
  section: XmlNode | undefined,
  column?: RegExp,
): string | undefined {
  const id = reference.trim().replace(/^#/, '')
  const targets = index.get(id)
  const target = targets?.find((one) => one.section === section) ?? targets?.[0]
  if (target === undefined) return undefined
  if (column !== undefined && target.headers.length > 0) {
    const at = target.headers.findIndex((header) => column.test(header))
    const cell = at < 0 ? undefined : elements(target.node)[at]
    if (cell !== undefined) return renderNarrative(cell)
  }
  return renderNarrative(target.node)
}

const cell = new Set(['td', 'th'])
const inline = new Set(['content', 'sub', 'sup', 'linkHtml', 'a', 'b', 'i', 'span', 'em', 'strong'])

/** Narrative as one line: cells joined with ` | `, other blocks with a blank, white space folded, footnote marks dropped. */
export function renderNarrative(node: XmlNode): string {
  let text = ''
  const write = (from: XmlNode): void => {
    for (const item of from.children) {
      if (typeof item === 'string') text += item
      else if (item.local === 'footnoteRef') continue
      else if (cell.has(item.local)) {
        if (/\S/.test(text) && !/\|\s*$/.test(text)) text += ' | '
        write(item)
      } else if (inline.has(item.local)) write(item)
      else {
        text += ' '
        write(item)
        text += ' '
      }
    }
  }
  write(node)
  return text.replace(/[\s\u00a0]+/g, ' ').replace(/^[\s|]+|[\s|]+$/g, '')
}
