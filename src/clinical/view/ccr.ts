import { child, childrenOf, elements, type XmlNode } from '../../xml/node.js'
import { actorName } from '../ccr/actors.js'
import { textAt, textIn } from '../ccr/scope.js'
import { el, type Html, type Inner, linkWithin } from './html.js'
import { contents, facts, type Page, type Part, part } from './page.js'
import { room, type Sheet } from './sheet.js'
import { folded } from './words.js'

/** Actors of a CCR by their ids, which mean nothing outside it. */
type Actors = ReadonlyMap<string, { readonly node: XmlNode; readonly name: string; readonly id: string }>

/**
 * A CCR (ASTM E2369) as a page: each section a table of its data objects, whose parts stand in the order of the document
 * under the names that the standard gives them. Actors are told by name where they are referred to, and whole at the end.
 */
export function ccrPage(root: XmlNode, sheet: Sheet): Page {
  const actors = actorsOf(root)
  const patients = childrenOf(root, 'Patient').map((node) => actors.get(textAt(node, 'ActorID') ?? ''))
  const told: Part[] = []
  const add = (title: string, body: Inner): void =>
    void told.push({ id: `s-${told.length + 1}`, title, depth: 0, body })
  for (const section of elements(child(root, 'Body') ?? empty)) {
    add(spaced(section.local), objects(section, actors, sheet))
  }
  for (const more of elements(root)) {
    if (!headed.has(more.local)) add(spaced(more.local), objects(more, actors, sheet))
  }
  if (actors.size > 0) add('People and organizations', actorTable(actors, sheet))
  const [patient] = patients
  const language = textAt(child(root, 'Language'), 'Text')
  return {
    title: textAt(child(child(root, 'Purpose'), 'Description'), 'Text') ?? 'Continuity of Care Record',
    ...(patient && { patient: patient.name }),
    head: facts(
      ['Patient', patients.map((one) => one && el('strong', {}, one.name))],
      ['Born', patients.map((one) => one && whole(child(child(one.node, 'Person'), 'DateOfBirth'), actors, sheet))],
      ['Gender', patients.map((one) => one && whole(child(child(one.node, 'Person'), 'Gender'), actors, sheet))],
      ['Written', [whole(child(root, 'DateTime'), actors, sheet)]],
      ['From', [linked(child(root, 'From'), actors, sheet)]],
      ['For', [linked(child(root, 'To'), actors, sheet)]],
      ['Purpose', childrenOf(root, 'Purpose').map((one) => whole(one, actors, sheet))],
      ['Language', [language]],
      ['Version', [textAt(root, 'Version')]],
      ['Identifier', [textAt(root, 'CCRDocumentObjectID')]],
    ),
    contents: contents(told, sheet),
    body: told.map(part),
  }
}

const empty: XmlNode = { local: '', ns: '', attributes: [], children: [] }
const headed = new Set([
  'CCRDocumentObjectID',
  'Language',
  'Version',
  'DateTime',
  'Patient',
  'From',
  'To',
  'Purpose',
  'Body',
  'Actors',
])

function actorsOf(root: XmlNode): Actors {
  const found = new Map<string, { node: XmlNode; name: string; id: string }>()
  for (const node of childrenOf(child(root, 'Actors'), 'Actor')) {
    const id = textAt(node, 'ActorObjectID')
    if (id !== undefined && !found.has(id))
      found.set(id, { node, name: actorName(node) ?? id, id: `a-${found.size + 1}` })
  }
  return found
}

/** One row for each data object: what it is, when, in which state, and all else. */
function objects(section: XmlNode, actors: Actors, sheet: Sheet): Inner {
  const rows: Html[] = []
  for (const object of elements(section)) {
    if (!room(sheet, 200)) break
    const first = elements(object).filter(({ local }) => leading.has(local))
    const at = elements(object).filter(({ local }) => local === 'DateTime')
    const state = elements(object).filter(({ local }) => local === 'Status')
    const rest = elements(object).filter((one) => !first.includes(one) && !at.includes(one) && !state.includes(one))
    const cells = [at, state, rest].map((nodes) => el('td', {}, parts(nodes, actors, sheet)))
    const bare =
      first.length > 0 || elements(object).length > 0 ? parts(first, actors, sheet) : words(textIn(object), sheet)
    rows.push(el('tr', {}, el('th', { scope: 'row' }, bare), cells))
  }
  const loose = words(textIn(section), sheet)
  if (rows.length === 0) return loose ?? el('p', { class: 'about' }, 'The section is empty.')
  const head = ['What', 'When', 'Status', 'Details'].map((one) => el('th', { scope: 'col' }, one))
  const table = el('table', {}, el('thead', {}, el('tr', {}, head)), el('tbody', {}, rows))
  return [loose && el('p', {}, loose), el('div', { class: 'table' }, table)]
}

/** What an object is, in the sections of the standard. */
const leading = new Set(['Type', 'Description', 'Product', 'Agent', 'Test', 'Procedure', 'FamilyMember'])

function parts(nodes: readonly XmlNode[], actors: Actors, sheet: Sheet): Inner[] {
  return nodes.map((node) => el('div', {}, labelled(node, actors, sheet)))
}

/** `Label: words`, where the label says more than the column does. */
function labelled(node: XmlNode, actors: Actors, sheet: Sheet): Inner {
  const told = whole(node, actors, sheet)
  return plainLabels.has(node.local) ? told : [el('span', { class: 'about' }, `${spaced(node.local)}: `), told]
}

const plainLabels = new Set(['Type', 'Description', 'Text', 'Status', 'DateTime', 'Value', 'Code'])

/** All words below an element in their order; ids of actors are told by name. */
function whole(node: XmlNode | undefined, actors: Actors, sheet: Sheet): Inner {
  if (node === undefined || sheet.cut) return undefined
  if (node.local === 'ActorID') return actorLink(textIn(node), actors, sheet)
  const inner = elements(node)
  const own = words(textIn(node), sheet)
  if (inner.length === 0) return own
  if (node.local === 'Code') return el('span', { class: 'about' }, own, codeWords(node, sheet))
  const told = inner.map((one, at) => {
    const simple = plainLabels.has(one.local) || elements(one).length === 0
    const label = !plainLabels.has(one.local) && one.local !== 'ActorID' && `${spaced(one.local)}: `
    const separator = at > 0 && (simple ? ' ' : '; ')
    return room(sheet, 60) && [separator, label && el('span', { class: 'about' }, label), whole(one, actors, sheet)]
  })
  return [own, own && ' ', told]
}

/** `(code, system version)`. */
function codeWords(node: XmlNode, sheet: Sheet): Inner {
  const told = elements(node).flatMap((one) => folded(deepText(one)) ?? [])
  return words(`(${told.join(', ')})`, sheet)
}

function deepText(node: XmlNode): string {
  return node.children.map((item) => (typeof item === 'string' ? item : ` ${deepText(item)}`)).join('')
}

function linked(node: XmlNode | undefined, actors: Actors, sheet: Sheet): Inner {
  return node && childrenOf(node, 'ActorLink').map((link, at) => [at > 0 && '; ', whole(link, actors, sheet)])
}

function actorLink(id: string | undefined, actors: Actors, sheet: Sheet): Inner {
  const actor = actors.get(id ?? '')
  return actor ? room(sheet, actor.name.length + 30) && linkWithin(actor.id, actor.name) : words(id, sheet)
}

function actorTable(actors: Actors, sheet: Sheet): Html {
  const rows = [...actors.values()].map(({ node, name, id }) => {
    const rest = elements(node).filter(({ local }) => local !== 'ActorObjectID')
    return (
      room(sheet, name.length + 100) &&
      el('tr', { id }, el('th', { scope: 'row' }, name), el('td', {}, parts(rest, actors, sheet)))
    )
  })
  const head = ['Name', 'Details'].map((one) => el('th', { scope: 'col' }, one))
  return el('div', { class: 'table' }, el('table', {}, el('thead', {}, el('tr', {}, head)), el('tbody', {}, rows)))
}

function words(text: string | undefined, sheet: Sheet): string | undefined {
  return text !== undefined && room(sheet, text.length) ? text : undefined
}

/** `ProductName` as `Product name`. */
function spaced(name: string): string {
  const apart = name
    .slice(0, 100)
    .replace(/([a-z])([A-Z])/g, '$1 $2')
    .replace(/([A-Z]+)([A-Z][a-z])/g, '$1 $2')
  return (
    apart.charAt(0).toUpperCase() +
    apart.slice(1).replace(/ ([A-Z])(?=[a-z])/g, (_, letter: string) => ` ${letter.toLowerCase()}`)
  )
}
