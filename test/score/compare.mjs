/** Sets of facts against each other, section by section: what is missing, what is spurious, what agrees. */
import { factsOf } from './answer.mjs'

/** The innermost section of a path; `header` for what stands outside of all. */
export function sectionKeyOf(path) {
  const at = path.lastIndexOf('section[')
  if (at < 0) return 'header'
  const end = path.indexOf(']', at)
  return path.slice(0, end + 1)
}

/** In a CCR the section is a child of Body. */
export function ccrSectionKeyOf(path) {
  const match = /^(.*ContinuityOfCareRecord\[\d+\]\/Body\[\d+\]\/[^/]+)/.exec(path)
  return match?.[1] ?? 'header'
}

/**
 * Compares the sections of one document with what its items say. `part` is what the reader made of it. Facts of an entry
 * that says more of an item elsewhere (`merged`) are looked for where that item stands.
 */
export function compare(sections, part, { keyOf = sectionKeyOf, tell = factsOf, shared } = {}) {
  const answers = new Map()
  const unjudged = sections.flatMap((one) => one.unjudged)
  const open = (path) => unjudged.some((one) => path === one || path.startsWith(`${one}/`))
  for (const item of part.items) {
    if (open(item.provenance.entry)) continue
    const key = keyOf(item.provenance.entry)
    const set = answers.get(key) ?? new Map()
    answers.set(key, set)
    for (const fact of tell(item)) if (!set.has(fact.key)) set.set(fact.key, { ...fact, item })
  }
  const home = mergedHomes(part, keyOf)
  return sections.map((section) => compareOne(section, answers, home, shared))
}

/** Entry path to the section of the item that it was merged into. */
function mergedHomes(part, keyOf) {
  const byId = new Map(part.items.map((item) => [item.id, item]))
  return part.entries
    .filter((one) => one.kind === 'merged' && byId.has(one.into))
    .map((one) => [one.entry, keyOf(byId.get(one.into).provenance.entry)])
}

function compareOne(section, answers, merged, shared) {
  const own = answers.get(section.key) ?? new Map()
  const said = new Set()
  const found = new Map()
  const missing = []
  const seen = new Set()
  for (const fact of section.facts) {
    for (const key of fact.keys) said.add(key)
    if (fact.optional) continue
    const once = `${fact.cat} ${fact.keys[0]}`
    if (seen.has(once)) continue
    seen.add(once)
    const elsewhere = merged.filter(([entry]) => fact.path.startsWith(`${entry}/`)).map(([, key]) => answers.get(key))
    // Facts of the person stand with the person, wherever the source told them.
    if (shared !== undefined) elsewhere.push(answers.get(shared))
    const met = fact.keys.some((key) => own.has(key) || elsewhere.some((set) => set?.has(key)))
    if (met) found.set(once, fact)
    else missing.push(fact)
  }
  const spurious = section.unjudgedWhole ? [] : [...own.values()].filter((fact) => !said.has(fact.key) && !isFree(fact))
  return { key: section.key, kind: section.kind, found: [...found.values()], missing, spurious }
}

/** What the score does not judge from the items' side: whole notes, and what nobody can name. */
function isFree({ cat, item }) {
  const { type } = item.content
  // A reader may tell a status where the score expects none; a wrong one is missing.
  if (cat === 'status') return true
  return type === 'note' || cat === 'words' || (cat === 'detail' && type === 'family-history')
}
