import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { readDocument } from '../../src/clinical/read.js'
import { sample, sampleCcr } from './sample.mjs'
import { scoreDocument } from './score.mjs'
import { ccrSeeds, seeds } from './seeds.mjs'

/** What the real reader makes of a document, in a copy that may be spoilt. */
async function read(text) {
  const [part] = (await readDocument(Buffer.from(text))).documents
  if (part === undefined) throw new Error('no document')
  const { bytes, ...rest } = part
  return { bytes, ...structuredClone(rest) }
}
for (const [standard, text, wrong] of [
  ['a C-CDA', sample, seeds],
  ['a CCR', sampleCcr, ccrSeeds],
]) {
  describe(`the score of ${standard}`, () => {
    const bytes = Buffer.from(text)
    it('finds nothing to say against the reader as it is', async () => {
      const score = scoreDocument(bytes, await read(text))
      expect(score?.safety).toEqual([])
      expect(score?.conservation).toEqual([])
      expect(score?.sections.flatMap(({ missing, spurious }) => [...missing, ...spurious])).toEqual([])
      expect(score?.sections.flatMap(({ found }) => found).length).toBeGreaterThan(5)
    })
    it.each(wrong.map((seed) => [seed.name, seed]))('sees a reader that %s', async (_, { spoil, seen }) => {
      const part = await read(text)
      spoil(part)
      const score = scoreDocument(bytes, part)
      for (const sees of seen) expect(score && sees(score)).toBe(true)
    })
  })
}
