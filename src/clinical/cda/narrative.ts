import { attribute, child, elements, type XmlNode } from '../../xml/node.js'

/** One narrative element that entries may point to. */
interface Target {
  readonly node: XmlNode
  /** Header cells of the table, where the element is a row of one. */
  readonly headers: readonly string[]
  /** Words by the column asked for: a row may be referred to a thousand times. */
  readonly rendered: Map<string, string>
}

/** Every narrative element with an ID, by that ID and its section. IDs ought to be unique; of equals the first counts. */
export type NarrativeIndex = ReadonlyMap<string, ReadonlyMap<XmlNode, Target>>

/** Columns beyond these are not looked at. */
const mostColumns = 64

/** Indexes the narrative of every section below `root` (CDA R2 §4.3.5: `reference` points to an ID in the same document). */
export function indexNarrative(root: XmlNode): NarrativeIndex {
  const index = new Map<string, Map<XmlNode, Target>>()
  const visit = (node: XmlNode, section: XmlNode | undefined, headers: readonly string[]): void => {
    const id = attribute(node, 'ID') ?? attribute(node, 'id')
    if (id !== undefined && section !== undefined) {
      const target: Target = { node, headers: node.local === 'tr' ? headers : [], rendered: new Map() }
      const same = index.get(id)
      if (same === undefined) index.set(id, new Map([[section, target]]))
      else if (!same.has(section)) same.set(section, target)
    }
    const inner = section !== undefined && node.local === 'table' ? headerCells(node) : headers
    for (const item of elements(node)) {
      if (node.local === 'section') {
        if (item.local === 'entry') continue
        // The title is not narrative, but some refer to it all the same.
        visit(item, item.local === 'text' || item.local === 'title' ? node : section, inner)
      } else visit(item, section, inner)
    }
  }
  visit(root, undefined, [])
  return index
}

function headerCells(table: XmlNode): string[] {
  const row = child(child(table, 'thead'), 'tr') ?? child(child(table, 'tbody'), 'tr') ?? child(table, 'tr')
  if (row === undefined) return []
  const cells = elements(row).slice(0, mostColumns)
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
  const targets = index.get(reference.trim().replace(/^#/, ''))
  const target = (section && targets?.get(section)) ?? targets?.values().next().value
  if (target === undefined) return undefined
  // By its source: a literal in a function is another object each time.
  const key = column?.source ?? ''
  const known = target.rendered.get(key)
  if (known !== undefined) return known
  const at = column === undefined ? -1 : target.headers.findIndex((header) => column.test(header))
  const cell = at < 0 ? undefined : elements(target.node)[at]
  const text = renderNarrative(cell ?? target.node)
  target.rendered.set(key, text)
  return text
}

const cells = new Set(['td', 'th'])
const inline = new Set(['content', 'sub', 'sup', 'linkHtml', 'a', 'b', 'i', 'span', 'em', 'strong'])
/** Stands between cells until the end; a character that XML does not allow. */
const border = '\u0000'

/** Narrative as one line: cells joined with ` | `, other blocks with a blank, white space folded, footnote marks dropped. */
export function renderNarrative(node: XmlNode): string {
  let text = ''
  const write = (from: XmlNode): void => {
    for (const item of from.children) {
      if (typeof item === 'string') text += item
      else if (item.local === 'footnoteRef') continue
      else if (inline.has(item.local)) write(item)
      else {
        const edge = cells.has(item.local) ? border : ' '
        text += edge
        write(item)
        text += edge
      }
    }
  }
  write(node)
  return text
    .split(border)
    .map((part) => part.replace(/[\s\u00a0]+/g, ' ').trim())
    .filter((part) => part !== '')
    .join(' | ')
}
