import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { viewDocument } from '../../src/clinical/view/document.js'
import { attribute, type XmlNode } from '../../src/xml/node.js'
import { parseXml } from '../../src/xml/parse.js'
import { parseHtml } from '../clinical/parsed-html.js'

const corpus = fileURLToPath(new URL('../../../shared/corpus/clinical', import.meta.url))
const files = existsSync(corpus)
  ? readdirSync(corpus, { recursive: true, encoding: 'utf8' }).filter((name) => /\.(?:xml|ccda|zip)$/i.test(name))
  : []

const squeezed = (text: string) => text.replace(/[\s\ufffd]+/g, '')

/** Words of sections and titles, or of the whole body of a CCR but the ids that the page tells by name. */
function words(root: XmlNode): string[] {
  const found: string[] = []
  const visit = (node: XmlNode, inside: boolean): void => {
    if (attribute(node, 'representation') === 'B64') return
    if (node.local === 'ActorID' || node.local === 'entry' || node.local === 'ActorObjectID') return
    const told =
      inside ||
      ((node.local === 'text' || node.local === 'title') && node.ns === 'urn:hl7-org:v3') ||
      node.local === 'Body'
    for (const item of node.children) {
      if (typeof item !== 'string') visit(item, told)
      else if (told && item.trim() !== '') found.push(item)
    }
  }
  visit(root, false)
  return found
}

describe.skipIf(files.length === 0)(
  'views of the sample documents (SKIPPED where they are not beside the project)',
  () => {
    it('hold nothing that runs, are well formed, and have every word of every narrative', async () => {
      const faults: string[] = []
      let count = 0
      let texts = 0
      for (const name of files) {
        const bytes = readFileSync(`${corpus}/${name}`)
        const { errors, active, text } = parseHtml(await viewDocument(bytes, { name: 'document' }))
        faults.push(...[...errors, ...active].map((fault) => `${name}: ${fault}`))
        const parsed = parseXml(bytes)
        if (parsed.kind !== 'tree') continue
        count++
        const whole = squeezed(text)
        for (const one of words(parsed.root)) {
          texts++
          if (!whole.includes(squeezed(one))) faults.push(`${name}: ${one.slice(0, 80)}`)
        }
      }
      expect(faults.slice(0, 20)).toEqual([])
      expect(count).toBeGreaterThan(100)
      expect(texts).toBeGreaterThan(10_000)
    }, 300_000)
  },
)
