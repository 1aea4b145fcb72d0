/** Scores a reader over the visible corpus. */
import { corpus, standardOf } from './corpus.mjs'
import { scoreDocument, Tally } from './score.mjs'
import { decode, parse } from './tree.mjs'
import { variants } from './variants.mjs'

/**
 * Reads and scores every document whose name and standard hold the words asked for; `variant` dresses it otherwise before
 * the reader sees it. Answers the counts, each document's score, crashes, and files that are not well-formed.
 */
export async function scoreCorpus(readDocument, { file = '', standard: wanted = '', variant } = {}) {
  const tally = new Tally()
  const scored = []
  const crashes = []
  const unreadable = []
  for await (const { name, standard: told, bytes } of corpus()) {
    const tree = parse(decode(bytes))
    const standard = told ?? (tree && standardOf(tree)) ?? 'unreadable'
    if (!name.includes(file) || !standard.includes(wanted)) continue
    let read
    try {
      const given = variant === undefined || tree === undefined ? bytes : variants[variant](decode(bytes), tree)
      read = await readDocument(given, { name: name.split('/').at(-1) })
    } catch (error) {
      crashes.push(`${name}: ${error}`)
      continue
    }
    const [part] = read.documents
    if (part.diagnostics.some(({ detail }) => detail === 'the reader failed'))
      crashes.push(`${name}: the reader failed`)
    const score = scoreDocument(bytes, part)
    if (score === undefined) {
      unreadable.push(name)
      continue
    }
    tally.add(standard, score)
    scored.push({ name, standard, part, ...score })
  }
  return { tally, scored, crashes, unreadable }
}
