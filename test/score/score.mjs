/** Scores what a reader made of documents: facts found, missing and spurious by standard and section, and what must never happen. */
import { factsOf } from './answer.mjs'
import { ccrConservation, ccrFacts, ccrItemFacts, ccrSafety } from './ccr.mjs'
import { cdaFacts } from './cda.mjs'
import { ccrSectionKeyOf, compare } from './compare.mjs'
import { cdaConservation } from './conservation.mjs'
import { cdaSafety } from './safety.mjs'
import { decode, parse } from './tree.mjs'

export const categories = [
  'code',
  'date',
  'value',
  'dose',
  'detail',
  'negation',
  'intent',
  'status',
  'author',
  'patient',
]

/**
 * Scores one document: `bytes`, and `part`, which the reader made of them. Undefined where the text is not well-formed:
 * there is nothing to judge by.
 */
export function scoreDocument(bytes, part) {
  const document = parse(decode(bytes))
  if (document === undefined) return undefined
  const isCda = document.root.local === 'ClinicalDocument'
  const sections = isCda ? cdaFacts(document) : ccrFacts(document)
  return {
    document,
    sections: compare(
      sections,
      part,
      isCda ? {} : { keyOf: ccrSectionKeyOf, tell: (item) => ccrItemFacts(item, factsOf), shared: 'header' },
    ),
    safety: isCda ? cdaSafety(document, part) : ccrSafety(document, part),
    conservation: isCda ? cdaConservation(document, part) : ccrConservation(document, part),
    unjudged: sections.flatMap((one) => one.unjudged),
  }
}

/** Counts by standard, section kind and category. */
export class Tally {
  rows = new Map()

  add(standard, { sections }) {
    for (const section of sections)
      for (const [outcome, facts] of [
        ['found', section.found],
        ['missing', section.missing],
        ['spurious', section.spurious],
      ])
        for (const { cat } of facts) this.#count(standard, section.kind, cat)[outcome]++
  }

  #count(standard, kind, cat) {
    const key = JSON.stringify([standard, kind, cat])
    const row = this.rows.get(key) ?? { found: 0, missing: 0, spurious: 0 }
    this.rows.set(key, row)
    return row
  }

  /** Sum of the rows that a test of standard, section kind and category accepts. */
  sum(test) {
    const total = { found: 0, missing: 0, spurious: 0 }
    for (const [key, row] of this.rows) {
      if (!test(...JSON.parse(key))) continue
      for (const name of Object.keys(total)) total[name] += row[name]
    }
    return total
  }

  values(at) {
    return [...new Set([...this.rows.keys()].map((key) => JSON.parse(key)[at]))]
  }
}

export const recall = ({ found, missing }) => (found + missing === 0 ? 1 : found / (found + missing))
export const precision = ({ found, spurious }) => (found + spurious === 0 ? 1 : found / (found + spurious))

/** What a standard's documents must reach, recall by category; precision over all of them. */
export const bars = {
  code: { default: 0.99, 'C-CDA 1.1': 0.98, C32: 0.97, 'CCD R1': 0.97, CCR: 0.97 },
  date: { default: 0.98 },
  value: { default: 0.99 },
  dose: { default: 0.99 },
  precision: { default: 0.99 },
}

const grouped = { value: ['value'], dose: ['dose'], code: ['code'], date: ['date'] }

/** Every bar with the figure that stands against it. */
export function judge(tally) {
  const verdicts = []
  for (const standard of tally.values(0)) {
    for (const [bar, cats] of Object.entries(grouped)) {
      const counts = tally.sum((a, _, cat) => a === standard && cats.includes(cat))
      const wanted = bars[bar][standard] ?? bars[bar].default
      verdicts.push({ standard, bar, wanted, got: recall(counts), of: counts.found + counts.missing })
    }
    const counts = tally.sum((a, _, cat) => a === standard && ['code', 'date', 'value', 'dose'].includes(cat))
    verdicts.push({
      standard,
      bar: 'precision',
      wanted: bars.precision[standard] ?? bars.precision.default,
      got: precision(counts),
      of: counts.found + counts.spurious,
    })
  }
  return verdicts.map((one) => ({ ...one, met: one.got >= one.wanted }))
}
