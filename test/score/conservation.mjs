/** Nothing ends in silence: one outcome an entry, and each narrative row that no entry names is kept as words. */
import { sectionsOf } from './cda.mjs'
import { isStatement } from './facts.mjs'
import { attr, kids, walk, words } from './tree.mjs'

/** Breaches of conservation of one CDA document: entries without or with two outcomes, outcomes that name nothing. */
export function cdaConservation(document, part) {
  const wanted = sectionsOf(document)
    .flatMap((section) => kids(section, 'entry'))
    .map((one) => one.path)
  return [...outcomesAgainst(wanted, part), ...lostRows(document, part)]
}

/** Each wanted path has exactly one outcome; what outcomes name exists. */
export function outcomesAgainst(wanted, part) {
  const breaches = []
  const counts = new Map()
  const ids = new Set(part.items.map(({ id }) => id))
  for (const outcome of part.entries) {
    counts.set(outcome.entry, (counts.get(outcome.entry) ?? 0) + 1)
    const tell = (detail) => breaches.push({ name: 'outcome', path: outcome.entry, detail })
    if (outcome.kind === 'items' && outcome.items.length === 0) tell('items, but none')
    if (outcome.kind === 'items' && outcome.items.some((id) => !ids.has(id))) tell('names an item that is not there')
    if (outcome.kind === 'merged' && !ids.has(outcome.into)) tell('merged into an item that is not there')
    if (outcome.kind === 'unmapped' && !outcome.reason) tell('unmapped without a reason')
  }
  for (const path of wanted) {
    const count = counts.get(path) ?? 0
    if (count !== 1) breaches.push({ name: 'entry', path, detail: `${count} outcomes` })
    counts.delete(path)
  }
  for (const path of counts.keys()) breaches.push({ name: 'outcome', path, detail: 'for no entry' })
  return breaches
}

const squeeze = (text) => text.replace(/[\s|]+/g, '').toLowerCase()

/** Rows of narrative with an ID that no entry of the section names, and that no note of the section repeats. */
function lostRows(document, part) {
  const breaches = []
  for (const section of sectionsOf(document)) {
    const text = kids(section, 'text')[0]
    if (text === undefined) continue
    const rows = [...walk(text)].filter(
      (one) => ['tr', 'item', 'paragraph'].includes(one.local) && [...walk(one)].some((inner) => attr(inner, 'ID')),
    )
    if (rows.length === 0) continue
    const named = referencesOf(section)
    const notes = squeeze(
      part.items
        .filter(({ content, provenance }) => content.type === 'note' && provenance.entry.startsWith(section.path))
        .map(({ content }) => content.text)
        .join('\n'),
    )
    for (const row of rows) {
      if (row.parent.local === 'thead' || words(row) === '') continue
      if ([...walk(row)].some((one) => named.has(attr(one, 'ID')))) continue
      if (ancestors(row).some((one) => named.has(attr(one, 'ID')))) continue
      if (!notes.includes(squeeze(words(row))))
        breaches.push({ name: 'row', path: row.path, detail: 'named by no entry, in no note' })
    }
  }
  return breaches
}

function ancestors(node) {
  const found = []
  for (let at = node.parent; at !== undefined && at.local !== 'text'; at = at.parent) found.push(at)
  return found
}

function referencesOf(section) {
  const named = new Set()
  for (const entry of kids(section, 'entry'))
    for (const one of walk(entry))
      if (one.local === 'reference' && attr(one, 'value')) named.add(attr(one, 'value').replace(/^#/, ''))
  return named
}

export const statementCount = (document) =>
  sectionsOf(document)
    .flatMap((section) => kids(section, 'entry'))
    .filter((entry) => kids(entry).some(isStatement)).length
