import { attribute, elements, textOf, type XmlNode } from '../../xml/node.js'
import { type Attributes, br, el, type Html, hr, type Inner, linkOut, linkWithin } from './html.js'
import { embeddedBytes, ownId, pageId, pictureOf, room, type Sheet } from './sheet.js'

/**
 * The narrative block of a section (CDA R2 §4.3.5) as HTML: every word in its order, with lists, tables and styles. What
 * senders write in XHTML in its place is understood too; of elements that nobody knows the words are shown. Struck out
 * words stay, struck out: leaving them out, or showing them as the others, would each change what was said.
 */
export function narrative(node: XmlNode, sheet: Sheet): Html {
  return el('div', { class: 'narrative', id: idOf(node, sheet) }, flow(node, sheet))
}

const blocks = new Set(
  'paragraph list table caption renderMultiMedia p div ul ol dl h1 h2 h3 h4 h5 h6 pre hr blockquote section item li tr td th tbody thead tfoot'.split(
    ' ',
  ),
)
const known = new WeakMap<XmlNode, boolean>()

/** Whether an element has words and inline elements only, so that it may stand in a paragraph. */
function isPhrasing(node: XmlNode): boolean {
  const before = known.get(node)
  if (before !== undefined) return before
  const answer = elements(node).every((item) => !blocks.has(item.local) && isPhrasing(item))
  known.set(node, answer)
  return answer
}

/** Children in their order. Inside a link there are no others: HTML has none. */
function flow(node: XmlNode, sheet: Sheet, inLink = false): Inner[] {
  const inner: Inner[] = []
  for (const item of node.children) {
    if (sheet.cut) break
    if (typeof item !== 'string') {
      if (room(sheet, 24)) inner.push(shown(item, sheet, inLink))
    } else if (room(sheet, item.length)) inner.push(item)
  }
  return styled(node, inner)
}

function shown(node: XmlNode, sheet: Sheet, inLink: boolean): Inner {
  const id = idOf(node, sheet)
  switch (node.local) {
    case 'br':
      return [id && el('span', { id }), br, flow(node, sheet, inLink)]
    case 'hr':
      return [hr, flow(node, sheet, inLink)]
    case 'table':
      return table(node, sheet, id)
    case 'list':
    case 'ul':
    case 'ol':
      return list(node, sheet, id)
    case 'linkHtml':
    case 'a':
      return inLink ? el('span', { id }, flow(node, sheet, true)) : link(node, sheet, id)
    case 'renderMultiMedia':
      return multimedia(node, sheet, id)
    case 'footnote':
      return el(isPhrasing(node) ? 'span' : 'div', { class: 'footnote', role: 'note', id }, flow(node, sheet, inLink))
    case 'footnoteRef':
      return [
        !inLink && el('sup', { id }, linkWithin(pageId(attribute(node, 'IDREF') ?? ''), '[note]')),
        flow(node, sheet, inLink),
      ]
    case 'img':
      return [
        el('span', { id, class: 'missing' }, `[Picture not shown: ${alternative(node)}]`),
        flow(node, sheet, inLink),
      ]
    case 'pre':
      return el('pre', { id }, flow(node, sheet, inLink))
    case 'sub':
    case 'sup':
      return isPhrasing(node)
        ? el(node.local, { id }, flow(node, sheet, inLink))
        : el('div', { id }, flow(node, sheet, inLink))
    case 'caption':
      return el('div', { class: 'caption', id }, flow(node, sheet, inLink))
    default:
      return plain(node, sheet, id, inLink)
  }
}

function alternative(node: XmlNode): string {
  return attribute(node, 'alt')?.trim().slice(0, 500) || 'it is not in the document'
}

const headings = /^h[1-6]$/

function plain(node: XmlNode, sheet: Sheet, id: string | undefined, inLink: boolean): Html {
  const inner = flow(node, sheet, inLink)
  if (headings.test(node.local)) return el('div', { class: 'heading', id }, inner)
  if (!blocks.has(node.local) && isPhrasing(node)) return el('span', { id, class: lined(node) }, inner)
  const block = node.local === 'paragraph' || node.local === 'p'
  return el(
    block && isPhrasing(node) && !inLink ? 'p' : 'div',
    { id, class: lined(node) ?? (block ? 'paragraph' : undefined) },
    inner,
  )
}

/** Words broken into lines by nothing but line ends keep them. */
function lined(node: XmlNode): string | undefined {
  const [only] = node.children
  return node.children.length === 1 && typeof only === 'string' && /\S[^\S\n]*\n.*\S/s.test(only) ? 'lined' : undefined
}

const bold = (inner: Inner) => el('strong', {}, inner)
const italic = (inner: Inner) => el('em', {}, inner)
const under = (inner: Inner) => el('u', {}, inner)
const struck = (inner: Inner) => el('s', {}, inner)
const removed = (inner: Inner) => el('del', {}, inner)
const added = (inner: Inner) => el('ins', {}, inner)

/** By styleCode (CDA R2 §4.3.5.11) or by the element of XHTML. */
const styles = new Map<string, (inner: Inner) => Html>([
  ['bold', bold],
  ['emphasis', italic],
  ['italics', italic],
  ['italic', italic],
  ['underline', under],
  ['strikethrough', struck],
  ['strike', struck],
  ['xstrike', struck],
  ['linethrough', struck],
])
const styledElements = new Map<string, (inner: Inner) => Html>([
  ['b', bold],
  ['strong', bold],
  ['i', italic],
  ['em', italic],
  ['u', under],
  ['s', struck],
  ['strike', struck],
  ['del', removed],
  ['ins', added],
])

/** The inner words in their styles; `revised` marks what was struck out or put in since (CDA R2 §4.3.5.1). */
function styled(node: XmlNode, inner: Inner[]): Inner[] {
  const wraps = (attribute(node, 'styleCode') ?? '').split(/\s+/, 20).map((code) => styles.get(code.toLowerCase()))
  const revised = attribute(node, 'revised')?.trim().toLowerCase()
  const all = [
    ...new Set([
      ...wraps,
      styledElements.get(node.local),
      revised === 'delete' ? removed : revised === 'insert' ? added : undefined,
    ]),
  ]
  return all.reduce<Inner[]>((whole, wrap) => (wrap ? [wrap(whole)] : whole), inner)
}

function link(node: XmlNode, sheet: Sheet, id: string | undefined): Inner {
  const inner = flow(node, sheet, true)
  const address = attribute(node, 'href')?.trim() ?? ''
  // The address is told again in words where it leads out.
  if (!room(sheet, 2 * address.length)) return undefined
  const made = address.startsWith('#') ? linkWithin(pageId(address.slice(1)), inner) : linkOut(address, inner)
  return id ? el('span', { id }, made) : made
}

const counters = new Map([
  ['arabic', 'arabic'],
  ['littleroman', 'little-roman'],
  ['bigroman', 'big-roman'],
  ['littlealpha', 'little-alpha'],
  ['bigalpha', 'big-alpha'],
  ['disc', 'disc'],
  ['circle', 'circle'],
  ['square', 'square'],
])

function list(node: XmlNode, sheet: Sheet, id: string | undefined): Html {
  const captions: Inner[] = []
  const items: Inner[] = []
  for (const item of node.children) {
    if (sheet.cut) break
    if (typeof item === 'string') {
      if (item.trim() !== '' && room(sheet, item.length)) items.push(el('li', {}, item))
    } else if (!room(sheet, 24)) break
    else if (item.local === 'caption')
      captions.push(el('div', { class: 'caption', id: idOf(item, sheet) }, flow(item, sheet)))
    else if (item.local === 'item' || item.local === 'li')
      items.push(el('li', { id: idOf(item, sheet), class: lined(item) }, flow(item, sheet)))
    else items.push(el('li', {}, shown(item, sheet, false)))
  }
  const ordered = node.local === 'ol' || attribute(node, 'listType')?.trim().toLowerCase() === 'ordered'
  const codes = (attribute(node, 'styleCode') ?? '').toLowerCase().split(/\s+/, 20)
  const made = el(ordered ? 'ol' : 'ul', { class: codes.map((code) => counters.get(code)).find(Boolean) }, items)
  return el('div', { class: 'list', id }, captions, made)
}

const rowGroups = new Map([
  ['thead', 'thead'],
  ['tbody', 'tbody'],
  ['tfoot', 'tfoot'],
] as const)

/**
 * A table of nothing but rows and cells: a browser would put what is not in a cell before the table. Words between rows
 * become rows of their own.
 */
function table(node: XmlNode, sheet: Sheet, id: string | undefined): Html {
  const captions: Inner[] = []
  const groups: Inner[] = []
  let rows: Inner[] = []
  const end = (): void => {
    if (rows.length > 0) groups.push(el('tbody', {}, rows))
    rows = []
  }
  for (const item of node.children) {
    if (sheet.cut) break
    if (typeof item === 'string') {
      if (item.trim() !== '' && room(sheet, item.length)) rows.push(el('tr', {}, el('td', {}, item)))
      continue
    }
    if (!room(sheet, 24)) break
    const group = rowGroups.get(item.local as 'thead')
    if (group !== undefined) {
      end()
      groups.push(el(group, { id: idOf(item, sheet) }, rowsOf(item, sheet, group === 'thead')))
    } else if (item.local === 'caption') captions.push(flow(item, sheet), br)
    else if (item.local === 'col' || item.local === 'colgroup') {
      if (textOf(item).trim() !== '') rows.push(strayRow(item, sheet))
    } else rows.push(item.local === 'tr' ? row(item, sheet, false) : strayRow(item, sheet))
  }
  end()
  const caption = captions.length > 0 && el('caption', {}, captions.slice(0, -1))
  return el('div', { class: 'table' }, el('table', { id, class: rules(node) }, caption, groups))
}

function rowsOf(group: XmlNode, sheet: Sheet, head: boolean): Inner[] {
  const rows: Inner[] = []
  for (const item of group.children) {
    if (sheet.cut) break
    if (typeof item === 'string') {
      if (item.trim() !== '' && room(sheet, item.length)) rows.push(el('tr', {}, el('td', {}, item)))
    } else if (room(sheet, 24)) rows.push(item.local === 'tr' ? row(item, sheet, head) : strayRow(item, sheet))
  }
  return rows
}

function strayRow(node: XmlNode, sheet: Sheet): Html {
  return el('tr', {}, el('td', {}, shown(node, sheet, false)))
}

function row(node: XmlNode, sheet: Sheet, head: boolean): Html {
  const cells: Inner[] = []
  for (const item of node.children) {
    if (sheet.cut) break
    if (typeof item === 'string') {
      if (item.trim() !== '' && room(sheet, item.length)) cells.push(el('td', {}, item))
    } else if (room(sheet, 40)) cells.push(cell(item, sheet, head))
  }
  return el('tr', { id: idOf(node, sheet), class: rules(node) }, cells)
}

function cell(node: XmlNode, sheet: Sheet, head: boolean): Html {
  if (node.local !== 'td' && node.local !== 'th') return el('td', {}, shown(node, sheet, false))
  const attributes: Attributes = {
    id: idOf(node, sheet),
    class: [rules(node), lined(node)].filter(Boolean).join(' ') || undefined,
    colspan: span(attribute(node, 'colspan'), sheet),
    rowspan: span(attribute(node, 'rowspan'), sheet),
    ...(node.local === 'th' && { scope: scopeOf(node) ?? (head ? 'col' : 'row') }),
  }
  return el(node.local, attributes, flow(node, sheet))
}

function scopeOf(node: XmlNode): Attributes['scope'] {
  const scope = attribute(node, 'scope')?.trim().toLowerCase()
  return scope === 'col' || scope === 'row' || scope === 'colgroup' || scope === 'rowgroup' ? scope : undefined
}

function span(written: string | undefined, { limits }: Sheet): string | undefined {
  if (written === undefined || !/^\s*\d{1,5}\s*$/.test(written)) return undefined
  const count = Math.min(Number(written), limits.span)
  return count > 1 ? String(count) : undefined
}

const ruleClasses = new Map([
  ['lrule', 'rule-left'],
  ['rrule', 'rule-right'],
  ['toprule', 'rule-top'],
  ['botrule', 'rule-bottom'],
])
const alignments = new Set(['left', 'center', 'right', 'justify'])

function rules(node: XmlNode): string | undefined {
  const found = (attribute(node, 'styleCode') ?? '')
    .toLowerCase()
    .split(/\s+/, 20)
    .map((code) => ruleClasses.get(code))
  const align = attribute(node, 'align')?.trim().toLowerCase()
  if (align !== undefined && alignments.has(align)) found.push(align)
  return found.filter((one) => one !== undefined).join(' ') || undefined
}

/** Pictures that the narrative names, each where it is named first (CDA R2 §4.3.5.6). */
function multimedia(node: XmlNode, sheet: Sheet, id: string | undefined): Html {
  const words = flow(node, sheet)
  const names = (attribute(node, 'referencedObject') ?? '').trim().split(/\s+/, 20)
  const shownHere: Inner[] = names.map((name) => {
    const value = sheet.pictures.get(name)
    const before = value && sheet.shown.get(value)
    if (before) return linkWithin(before, '[Picture above]')
    // What could not be shown once is not decoded again: a page may name it a thousand times.
    const bytes = before === undefined ? value && embeddedBytes(value) : undefined
    const made = bytes && pictureOf(bytes, 'Picture of the document', sheet)
    if (value === undefined || made === undefined) {
      if (value) sheet.shown.set(value, '')
      const type = value && attribute(value, 'mediaType')
      return el('span', { class: 'missing' }, `[Picture not shown${type ? `: ${type.slice(0, 100)}` : ''}]`)
    }
    const own = `p-${sheet.shown.size + 1}`
    sheet.shown.set(value, own)
    return el('span', { id: own }, made)
  })
  return el('figure', { id }, shownHere, el('figcaption', {}, words))
}

function idOf(node: XmlNode, sheet: Sheet): string | undefined {
  return ownId(sheet, attribute(node, 'ID') ?? attribute(node, 'id'))
}

/** Text of an element without markup, with a line end for each block. */
export function narrativeText(node: XmlNode): string {
  let text = ''
  const visit = (from: XmlNode): void => {
    for (const item of from.children) {
      if (typeof item === 'string') text += item.replace(/\s+/g, ' ')
      else if (item.local === 'br') text += '\n'
      else if (item.local === 'td' || item.local === 'th') {
        visit(item)
        text += ' | '
      } else {
        const block = blocks.has(item.local)
        if (block) text += '\n'
        visit(item)
        if (block) text += '\n'
      }
    }
  }
  visit(node)
  return text
    .split('\n')
    .map((line) =>
      line
        .replace(/ +/g, ' ')
        .replace(/(?: \|)+ *$/, '')
        .trim(),
    )
    .filter((line) => line !== '')
    .join('\n')
}
