import { Buffer } from 'node:buffer'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { readDocument } from '../../src/clinical/read.js'
import type { RecordItem } from '../../src/direct/clinical.js'
import { disagreements, type Expected, expectations } from '../clinical/said.js'
import { home, present, wrap } from '../score/corpus.mjs'
import { decode } from '../score/tree.mjs'

const examples = join(home, 'hl7-ccda-examples/sections')
const absent = present ? '' : ' (skipped: ../shared/corpus/clinical is not there)'
const golden = fileURLToPath(new URL('../golden/examples', import.meta.url))

interface Case {
  readonly name: string
  readonly wanted: readonly Expected[]
}

/** What each example must say, written from its readme and its source before the reader saw it. */
const cases: readonly Case[] = readdirSync(golden).flatMap((file) =>
  [...expectations(readFileSync(join(golden, file), 'utf8'))].map(([name, wanted]) => ({
    name: `${file.replace('.txt', '')}/${name}`,
    wanted,
  })),
)

async function itemsOf(name: string): Promise<readonly RecordItem[]> {
  const file = name.endsWith('.xml')
    ? name
    : `${name}/${readdirSync(join(examples, name)).find((one) => one.endsWith('.xml'))}`
  const text = wrap(decode(readFileSync(join(examples, file))), file.split('/')[0] ?? '', { header: true })
  if (text === undefined || !existsSync(join(examples, file))) throw new Error(`no document: ${name}`)
  return (await readDocument(Buffer.from(text))).documents[0]?.items ?? []
}

describe.skipIf(!present)(`the HL7 examples say what their readme says${absent}`, () => {
  it.each(cases)('$name', async ({ name, wanted }) => {
    expect(disagreements(await itemsOf(name), wanted)).toEqual([])
  })

  it('and there are many of them', () => {
    expect(cases.length).toBeGreaterThan(110)
  })
})

describe.skipIf(!present)(`a reader with a mistake would be caught${absent}`, () => {
  /** How many examples a reader fails that changes every item in this way. */
  async function caught(spoil: (item: RecordItem) => RecordItem): Promise<number> {
    let failed = 0
    for (const { name, wanted } of cases)
      if (disagreements((await itemsOf(name)).map(spoil), wanted).length > 0) failed++
    return failed
  }

  it.each<[string, number, (item: RecordItem) => RecordItem]>([
    ['that ignores negationInd', 12, (item) => ({ ...item, negated: false })],
    ['that takes what is null for what is so', 3, ({ nullFlavor: _, ...item }) => item],
    ['that takes plans, orders and goals for what was done', 14, (item) => ({ ...item, intent: 'performed' })],
    [
      'that makes the first of January of a year',
      8,
      (item) => {
        const low = item.when?.low
        if (low?.precision !== 'year') return item
        return { ...item, when: { ...item.when, low: { ...low, text: `${low.text}-01-01`, precision: 'day' } } }
      },
    ],
    [
      'that drops units',
      12,
      (item) => {
        const { content } = item
        if (!('value' in content) || content.value?.kind !== 'quantity') return item
        const { unit: _, ...quantity } = content.value.quantity
        return { ...item, content: { ...content, value: { kind: 'quantity', quantity } } as typeof content }
      },
    ],
  ])('%s', async (_, least, spoil) => {
    expect(await caught(spoil)).toBeGreaterThanOrEqual(least)
  })
})
