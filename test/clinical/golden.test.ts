import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { readDocument } from '../../src/clinical/read.js'
import { sampleCcda, sampleCcr, sampleXdm } from '../../src/demo/documents.js'
import { c32, ccr } from '../fixtures/clinical/documents.js'
import { line, meaning } from './brief.js'

/** Golden files were compared with their sources by eye; a change to one wants the same. */
describe('what documents are read to', () => {
  it.each([
    ['c32', Buffer.from(c32)],
    ['ccr', Buffer.from(ccr)],
    ['sample-ccda', sampleCcda()],
    ['sample-ccr', sampleCcr()],
  ])('%s', async (name, bytes) => {
    const { documents } = await readDocument(bytes)
    const said = documents.flatMap(({ items, diagnostics }) => [...items.map(meaning), ...diagnostics])
    await expect(`${JSON.stringify(said, null, 1)}\n`).toMatchFileSnapshot(`../golden/clinical/${name}.txt`)
  })
})

describe('the documents of the demo', () => {
  it('tell the same story in both formats, as far as both can tell it', async () => {
    const items = async (bytes: Uint8Array) => (await readDocument(bytes)).documents.at(-1)?.items ?? []
    const ccda = await items(sampleCcda())
    const codes = (all: typeof ccda) =>
      new Set(
        all
          .map(line)
          .map((one) => /^(\S+ \| [^|]*\{[^}]*\})/.exec(one)?.[1])
          .filter(Boolean),
      )
    const shared = [...codes(await items(sampleCcr()))]
    expect(shared.length).toBeGreaterThan(10)
    for (const one of shared) expect(codes(ccda)).toContain(one)
    expect((await items(await sampleXdm())).map((one) => one.id)).toEqual(ccda.map((one) => one.id))
  })

  it('are read without a diagnostic', async () => {
    for (const bytes of [sampleCcda(), sampleCcr(), await sampleXdm()]) {
      const { documents, diagnostics } = await readDocument(bytes)
      expect([...diagnostics, ...documents.flatMap((one) => one.diagnostics)]).toEqual([])
    }
  })
})
