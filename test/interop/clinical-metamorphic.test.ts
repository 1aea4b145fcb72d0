import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { type ReadDocument, readDocument } from '../../src/clinical/read.js'
import { writeZip } from '../../src/clinical/xdm/zip.js'
import { meaning } from '../clinical/brief.js'
import { dressed } from '../clinical/dressed.js'
import { corpus, present } from '../score/corpus.mjs'
import { decode, parse, type TreeNode } from '../score/tree.mjs'

const absent = present ? '' : ' (skipped: ../shared/corpus/clinical is not there)'
/** Larger documents say the same over and over; with a dozen dresses each they would take minutes. */
const mostChars = 150_000

const partOf = async (bytes: Uint8Array): Promise<ReadDocument['documents'][number] | undefined> =>
  (await readDocument(bytes)).documents[0]

/** All that the entries and the header said; of the document itself only its bytes differ. */
const said = (part: Awaited<ReturnType<typeof partOf>>): string[] =>
  (part?.items ?? []).filter((one) => one.content.type !== 'document').map((one) => JSON.stringify(meaning(one)))

describe.skipIf(!present)(`every public document means the same in other clothes${absent}`, () => {
  it('whatever the prefixes, white space, comments, encodings and unknown parts', async () => {
    let seen = 0
    const wrong: string[] = []
    const counts = new Map<string, number>()
    for await (const { name, bytes } of corpus()) {
      const text = decode(bytes)
      if (text.length > mostChars || parse(text) === undefined) continue
      const plain = said(await partOf(Buffer.from(text)))
      // Each document wears every third dress, and each dress a third of the documents.
      const turn = seen++
      for (const [how, other] of [...dressed(text)].filter((_, at) => (at + turn) % 3 === 0)) {
        counts.set(how, (counts.get(how) ?? 0) + 1)
        const got = said(await partOf(other))
        const at = plain.findIndex((one, i) => one !== got[i])
        if (at >= 0 || got.length !== plain.length)
          wrong.push(`${name}, ${how}: ${plain.length} items, ${got.length}; ${plain[at]} / ${got[at]}`)
      }
    }
    process.stdout.write(`${[...counts].map(([how, count]) => `${how} ${count}`).join(', ')}\n`)
    expect(wrong).toEqual([])
    for (const [how, count] of counts) expect(count, how).toBeGreaterThan(100)
  }, 300_000)
})

describe.skipIf(!present)(`every public document means the same in a package${absent}`, () => {
  it('to the last id, however deep it lies', async () => {
    const wrong: string[] = []
    let packed = 0
    for await (const { name, bytes } of corpus()) {
      if (parse(decode(bytes)) === undefined) continue
      packed++
      const zip = writeZip([
        { name: 'INDEX.HTM', bytes: Buffer.from('<html><body>Index</body></html>') },
        { name: 'IHE_XDM/SUBSET01/DOC00001.XML', bytes },
      ])
      const alone = (await partOf(bytes))?.items.map((one) => one.id)
      const inside = (await readDocument(zip)).documents.map(({ items }) => items.map((one) => one.id))
      if (!inside.some((ids) => JSON.stringify(ids) === JSON.stringify(alone))) wrong.push(name)
    }
    expect(wrong).toEqual([])
    expect(packed).toBeGreaterThan(500)
  }, 120_000)

  it('and read twice gives the same twice', async () => {
    for await (const { name, bytes } of corpus())
      expect(JSON.stringify(await partOf(bytes)), name).toBe(JSON.stringify(await partOf(bytes)))
  }, 120_000)
})

interface Told {
  readonly text: string
  readonly precision: string
  readonly source: string
}

/** Every object inside a value, at any depth. */
function* objects(value: unknown): Generator<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return
  if (!Array.isArray(value)) yield value as Record<string, unknown>
  for (const inner of Object.values(value)) yield* objects(inner)
}

const isTold = (one: Record<string, unknown>): boolean =>
  typeof one['text'] === 'string' && typeof one['precision'] === 'string' && typeof one['source'] === 'string'

const isCoding = (one: Record<string, unknown>): boolean => typeof one['code'] === 'string'

/** Every attribute value and every text of a document, blanks around them cut. */
function wordsIn(root: TreeNode): ReadonlySet<string> {
  const found = new Set<string>()
  const visit = (node: TreeNode): void => {
    for (const value of node.attrs.values()) found.add(value.trim())
    const text = node.kids.filter((kid) => typeof kid === 'string').join('')
    if (text.trim() !== '') found.add(text.trim()).add(text.replace(/\s+/g, ' ').trim())
    for (const kid of node.kids) if (typeof kid !== 'string') visit(kid)
  }
  visit(root)
  return found
}

const digits = (text: string): string => text.replace(/\D/g, '')

/** Digits of a date without its zone; of one with slashes (CCR), each part filled up to two. */
function sourceDigits(source: string): string {
  const plain = source.trim().replace(/(?:Z|[+-]\d{2}:?\d{0,2})$/, (zone, at: number) => (at > 7 ? '' : zone))
  return digits(
    plain
      .split('/')
      .map((part) => (plain.includes('/') ? part.padStart(2, '0') : part))
      .join(''),
  )
}

/** Manufacturing and expiry inside a UDI have six digits, with the century left out (GS1 General Specifications §3.4). */
const inUdi = (source: string, words: ReadonlySet<string>): boolean =>
  /^\d{6}$/.test(source) && [...words].some((one) => one.includes(`(11)${source}`) || one.includes(`(17)${source}`))

describe.skipIf(!present)(`of every public document${absent}`, () => {
  it('no date is more precise than its source, no code is not in it, and nothing is left out without a reason', async () => {
    let dates = 0
    let codes = 0
    let unmapped = 0
    const wrong: string[] = []
    for await (const { name, bytes } of corpus()) {
      const tree = parse(decode(bytes))
      const part = await partOf(bytes)
      if (tree === undefined || part === undefined) continue
      const words = wordsIn(tree.root)
      const ids = new Set(part.items.map((one) => one.id)).add(part.item.id)
      for (const item of part.items)
        for (const one of objects({ ...item, provenance: item.provenance.authors })) {
          if (isTold(one)) {
            dates++
            const { text, source } = one as unknown as Told
            if (words.has(source.trim())) {
              if (digits(text).length > sourceDigits(source).length) wrong.push(`${name}: ${source} became ${text}`)
            } else if (!inUdi(source, words)) wrong.push(`${name}: ${source} is no word of it`)
          } else if (isCoding(one)) {
            codes++
            if (!words.has(String(one['code']))) wrong.push(`${name}: no code ${one['code']}`)
          }
        }
      for (const one of part.entries) {
        if (one.kind === 'unmapped') unmapped++
        if (one.kind === 'unmapped' && one.reason.trim() === '') wrong.push(`${name}: ${one.entry} without reason`)
        if (one.kind === 'merged' && !ids.has(one.into)) wrong.push(`${name}: ${one.entry} merged into nothing`)
        if (one.kind === 'items' && !one.items.every((id) => ids.has(id))) wrong.push(`${name}: ${one.entry} lost`)
      }
    }
    process.stdout.write(`${dates} dates, ${codes} codes, ${unmapped} unmapped entries\n`)
    expect(wrong).toEqual([])
    expect(dates).toBeGreaterThan(10_000)
    expect(codes).toBeGreaterThan(20_000)
  }, 120_000)
})
