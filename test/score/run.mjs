/**
 * Scores the clinical reader against the visible corpus: `npm run clinical:score`.
 *
 *   --file WORDS       only documents whose name holds these words
 *   --standard WORDS   only documents of this standard: C-CDA 2.1, C32, CCD R1, CCR, examples …
 *   --missing [N]      lists the first N (200) missing and spurious facts with their paths
 *   --breaches [N]     lists the first N (50) of each safety and conservation breach
 *   --variant NAME     the reader gets the document in other clothes: no-templates, no-sections, new-templates, respelled
 *   --reader PATH      another build of clinical/read.js
 */
import process from 'node:process'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { home, present } from './corpus.mjs'
import { safetyNames } from './safety.mjs'
import { categories, judge, precision, recall } from './score.mjs'
import { scoreCorpus } from './whole.mjs'

const args = process.argv.slice(2)
/** `--missing` alone stands for its default. */
for (const [flag, value] of [
  ['--missing', '200'],
  ['--breaches', '50'],
]) {
  const at = args.indexOf(flag)
  if (at >= 0 && !/^\d+$/.test(args[at + 1] ?? '')) args.splice(at + 1, 0, value)
}
const { values: options } = parseArgs({
  args,
  options: {
    file: { type: 'string' },
    standard: { type: 'string' },
    missing: { type: 'string' },
    breaches: { type: 'string' },
    variant: { type: 'string' },
    reader: { type: 'string' },
  },
})

const say = (text = '') => process.stdout.write(`${text}\n`)

if (!present) {
  say(`SKIPPED: the corpus is not at ${home}`)
  process.exit(0)
}

const reader = options.reader ?? fileURLToPath(new URL('../../dist/clinical/read.js', import.meta.url))
const { readDocument } = await import(pathToFileURL(reader).href)

const percent = (share) => `${(100 * share).toFixed(1)}%`.padStart(7)

function table({ tally }) {
  const kinds = tally.values(1).sort()
  for (const standard of tally.values(0).sort()) {
    say(`\n${standard}`)
    say(`${''.padEnd(14)}${categories.map((cat) => cat.padStart(17)).join('')}`)
    for (const kind of [...kinds, 'all']) {
      const cells = categories.map((cat) => {
        const counts = tally.sum((a, b, c) => a === standard && (kind === 'all' || b === kind) && c === cat)
        const { found, missing, spurious } = counts
        if (found + missing + spurious === 0) return ''.padStart(17)
        return `${percent(recall(counts))}/${percent(precision(counts)).trim()}`.padStart(17)
      })
      if (cells.some((cell) => cell.trim() !== '')) say(`${kind.padEnd(14)}${cells.join('')}`)
    }
  }
}

/** Facts that many documents share are one line, the most frequent first, with the first place where it stands. */
function listFacts({ scored }, most) {
  for (const outcome of ['missing', 'spurious']) {
    const groups = new Map()
    let total = 0
    for (const { name, sections } of scored)
      for (const section of sections)
        for (const fact of section[outcome]) {
          total++
          const line = `${fact.cat.padEnd(9)}${section.kind.padEnd(14)}${fact.keys?.join('  or  ') ?? fact.key}`
          const group = groups.get(line) ?? { count: 0, where: `${name}  ${fact.path}` }
          groups.set(line, { ...group, count: group.count + 1 })
        }
    const sorted = [...groups].sort(([, a], [, b]) => b.count - a.count)
    say(`\n${outcome}: ${total} facts, ${sorted.length} different`)
    for (const [line, { count, where }] of sorted.slice(0, most))
      say(`${String(count).padStart(4)}x ${line}\n${''.padEnd(12)}${where}`)
  }
}

function listBreaches({ scored }, kind, names, most) {
  let total = 0
  for (const name of names) {
    const found = scored.flatMap((one) =>
      one[kind].filter((breach) => breach.name === name).map((breach) => ({ file: one.name, ...breach })),
    )
    total += found.length
    const files = new Set(found.map(({ file }) => file)).size
    say(`  ${name.padEnd(24)}${String(found.length).padStart(6)}${found.length > 0 ? ` in ${files} files` : ''}`)
    for (const one of found.slice(0, most)) say(`      ${one.detail}\n        ${one.file}  ${one.path}`)
  }
  return total
}

const outcome = await scoreCorpus(readDocument, options)
table(outcome)
if (options.missing !== undefined) listFacts(outcome, Number(options.missing))

const most = Number(options.breaches ?? 3)
say('\nsafety')
const unsafe = listBreaches(outcome, 'safety', safetyNames, most)
say('\nconservation')
const lost = listBreaches(outcome, 'conservation', ['entry', 'outcome', 'row'], most)

const count = (pick) => outcome.scored.reduce((sum, one) => sum + pick(one), 0)
say(
  `\n${outcome.scored.length} documents, ${count(({ part }) => part.items.length)} items, ${count(({ unjudged }) => unjudged.length)} entries without a rule`,
)
for (const name of outcome.unreadable) say(`not well-formed, not scored: ${name}`)
for (const crash of outcome.crashes) say(`CRASH ${crash}`)

say('\nbars')
const verdicts = judge(outcome.tally)
for (const { standard, bar, wanted, got, of, met } of verdicts)
  say(
    `  ${met ? 'met   ' : 'MISSED'} ${standard.padEnd(12)}${bar.padEnd(10)}${percent(got)} of ${String(of).padStart(6)}, wanted ${percent(wanted)}`,
  )

const failed = verdicts.some(({ met }) => !met) || unsafe > 0 || lost > 0 || outcome.crashes.length > 0
say(failed ? '\nFAILED' : '\nPASSED')
process.exit(failed ? 1 : 0)
