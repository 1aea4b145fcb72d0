import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readDocument } from '../../src/clinical/read.js'
import { c32, ccd21, ccr, metadata, zip } from '../fixtures/clinical/documents.js'

/** Reads, and asserts that the reader neither threw nor swallowed a failure of its own. */
async function survive(bytes: Uint8Array): Promise<void> {
  const { documents } = await readDocument(bytes, { name: 'x' })
  expect(documents[0]?.item.content.type).toBe('document')
  for (const one of documents) {
    if (one.diagnostics.some(({ detail }) => detail === 'the reader failed')) throw new Error('the reader failed')
  }
}

/** A part of the long document that keeps every kind of section but few vital signs, so that many runs fit. */
const shorter = ccd21.replace(
  /<component>\s*<section>\s*<templateId root="2\.16\.840\.1\.113883\.10\.20\.22\.2\.4\.1"\/>[\s\S]*?<\/section>\s*<\/component>/,
  '',
)
const corpus = [shorter, c32, ccr]

describe('whatever happens to a document on its way', () => {
  it('flipped bits, cuts and splices are survived', async () => {
    const archive = await zip({
      'IHE_XDM/SUBSET01/METADATA.XML': metadata('A.XML', 'x', 1, 'ff'),
      'IHE_XDM/SUBSET01/A.XML': c32,
    })
    const seeds = [...corpus.map((text) => Buffer.from(text)), archive]
    await fc.assert(
      fc.asyncProperty(
        fc.nat(seeds.length - 1),
        fc.nat(),
        fc.nat(),
        fc.nat(255),
        fc.nat(3),
        async (which, a, b, byte, how) => {
          const seed = seeds[which] as Buffer
          const from = a % seed.length
          const to = b % seed.length
          if (how === 0) {
            const flipped = Buffer.from(seed)
            flipped[from] = byte
            flipped[to] = byte ^ 0xff
            await survive(flipped)
          } else if (how === 1) await survive(seed.subarray(0, from))
          else if (how === 2) await survive(seed.subarray(from))
          else await survive(Buffer.concat([seed.subarray(0, from), seed.subarray(to)]))
        },
      ),
      { numRuns: 1500 },
    )
  }, 30_000)

  it('elements that go missing, come twice or change places are survived', async () => {
    // Mutations that stay well-formed reach further into the readers than flipped bits do.
    const leaf = /<([A-Za-z:]+)((?: [\w:]+="[^"]*")*)\/>/g
    await fc.assert(
      fc.asyncProperty(fc.nat(corpus.length - 1), fc.nat(), fc.nat(), fc.nat(4), async (which, a, b, how) => {
        const text = corpus[which] as string
        const leaves = [...text.matchAll(leaf)]
        const one = leaves[a % Math.max(1, leaves.length)]
        const other = leaves[b % Math.max(1, leaves.length)]
        const tag = one?.[0] ?? '<CCRDataObjectID>P1</CCRDataObjectID>'
        const replaced = [
          '',
          tag.repeat(3),
          other?.[0] ?? '<Code/>',
          tag.replace(/="[^"]*"/, '=""'),
          tag.replace(/ (code|value|root)="[^"]*"/, ' nullFlavor="UNK"'),
        ][how] as string
        await survive(Buffer.from(text.replace(tag, replaced)))
      }),
      { numRuns: 500 },
    )
  }, 30_000)

  it('a whole statement that loses one part after another is survived', async () => {
    for (const name of [
      'value',
      'effectiveTime',
      'code',
      'participant',
      'consumable',
      'act',
      'observation',
      'entryRelationship',
      'text',
      'patient',
      'Description',
      'DateTime',
      'Product',
      'Actors',
      'TestResult',
    ]) {
      for (const text of corpus) {
        await survive(
          Buffer.from(text.replace(new RegExp(`<${name}[ >][\\s\\S]*?</${name}>|<${name}[^>]*/>`, 'g'), '')),
        )
        await survive(
          Buffer.from(
            text.replace(new RegExp(`<${name}( [^>]*)?/?>`, 'g'), (tag) =>
              tag.endsWith('/>') ? `<${name}/>` : `<${name}>`,
            ),
          ),
        )
      }
    }
  })
})

describe('documents made to take long', () => {
  const inSection = (text: string, entries: string, code = '11450-4') =>
    Buffer.from(
      `<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><component><structuredBody><component><section><code code="${code}"/><text>${text}</text>${entries}</section></component></structuredBody></component></ClinicalDocument>`,
    )
  const problem = (inner: string) =>
    `<entry><observation>${inner}<value xsi:type="CD"><originalText><reference value="#a"/></originalText></value></observation></entry>`

  const quick = async (bytes: Buffer) => {
    const start = performance.now()
    await survive(bytes)
    expect(performance.now() - start).toBeLessThan(4000)
  }

  it.each([
    [
      'many entries that refer to one long text',
      inSection(`<content ID="a">${'long words '.repeat(20_000)}</content>`, problem('').repeat(20_000)),
    ],
    ['many equal ids', inSection('<content ID="a">x</content>'.repeat(50_000), problem('').repeat(20_000))],
    [
      'a row of very many cells',
      inSection(
        `<table><thead><tr>${'<th>x</th>'.repeat(50_000)}</tr></thead><tbody><tr ID="a">${'<td>y</td>'.repeat(50_000)}</tr></tbody></table>`,
        problem('').repeat(10_000),
      ),
    ],
    [
      'a statement with very many relations',
      inSection(
        '',
        `<entry><observation>${'<entryRelationship typeCode="MFST"><observation><code code="x"/></observation></entryRelationship>'.repeat(40_000)}<value xsi:type="CD" code="1"/></observation></entry>`,
        '48765-2',
      ),
    ],
    [
      'a statement by very many authors',
      inSection('', problem('<author><time value="2015"/></author>'.repeat(60_000))),
    ],
    [
      'very many entries',
      inSection('', '<entry><observation><value xsi:type="CD" code="1"/></observation></entry>'.repeat(60_000)),
    ],
    ['very many entries of no use', inSection('', '<entry/>'.repeat(200_000))],
    [
      'very many translations',
      inSection(
        '',
        `<entry><observation><value xsi:type="CD">${'<translation code="1" codeSystem="1.2.3"/>'.repeat(100_000)}</value></observation></entry>`,
      ),
    ],
  ])('%s', async (_, bytes) => {
    await quick(bytes)
  })
})
