import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { readDocument } from '../../src/clinical/read.js'
import { line } from './brief.js'

const home = '../shared/corpus/clinical'
const there = existsSync(home)
const absent = there ? '' : ' (skipped: ../shared/corpus/clinical is not there)'

/** Kind, codes, dates, status and polarity of an item: its words stay where they are. */
const codesOnly = (text: string) =>
  text.replace(/^(\S+) \| .*?(\{[^{}]*\}|) \| ([^|]* \| [^|]* \| [^|]*)$/, '$1 | $2 | $3')

/** Expectations were compared with their sources by eye, object by object; a change to one wants the same. */
describe.skipIf(!there)(`what the public CCRs are read to${absent}`, () => {
  it.each([
    ['healthvault-docs', 'healthvault-docs/1e1ccbfc-a55d-4d91-8940-fa2fbf73c195.xml'],
    ['ipf', 'ipf/SampleCCRDocument.xml'],
    ['onc-ett', 'onc-ett/CCR_Sample1.xml'],
    ['onc-ett', 'onc-ett/ccr.xml'],
    ['onc-ett', 'onc-ett/CCR_SAMPLE1_IN_XDM.ZIP'],
  ])('%s: %s', async (name, file) => {
    const part = (await readDocument(readFileSync(`${home}/${file}`))).documents.at(-1)
    const entries = part?.entries ?? []
    const counted = ['items', 'merged', 'unmapped'].map(
      (kind) => `${kind} ${entries.filter((one) => one.kind === kind).length}`,
    )
    const told = part?.diagnostics.map(({ code, detail }) => `! ${code} ${detail}`) ?? []
    const said = [...(part?.items.map((item) => codesOnly(line(item))) ?? []), ...told, counted.join(', ')]
    await expect(`${said.join('\n')}\n`).toMatchFileSnapshot(`../golden/corpus-ccr/${name}.txt`)
  })
})
