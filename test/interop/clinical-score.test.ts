import { Buffer } from 'node:buffer'
import { beforeAll, describe, expect, it } from 'vitest'
import { readDocument } from '../../src/clinical/read.js'
import type { DirectAddress } from '../../src/direct/address.js'
import { openRecord } from '../../src/record/record.js'
import { present } from '../score/corpus.mjs'
import { sample } from '../score/sample.mjs'
import { judge } from '../score/score.mjs'
import { scoreCorpus } from '../score/whole.mjs'
import { openRoom } from '../spool/room.js'

const absent = present ? '' : ' (skipped: ../shared/corpus/clinical is not there)'

describe.skipIf(!present)(`the clinical reader, judged by an extraction of its own${absent}`, () => {
  let outcome: Awaited<ReturnType<typeof scoreCorpus>>
  beforeAll(async () => {
    outcome = await scoreCorpus(readDocument)
  })

  it('scores some hundred documents, and crashes on none', () => {
    expect(outcome.scored.length).toBeGreaterThan(500)
    expect(outcome.crashes).toEqual([])
    // One sample is not well-formed: there is nothing to judge it by.
    expect(outcome.unreadable).toEqual(['hl7-cda-ccda/replacement_document.xml'])
  })

  it('meets every bar of every standard', () => {
    const missed = judge(outcome.tally).filter(({ met }) => !met)
    expect(missed).toEqual([])
  })

  it('tells nothing that would harm', () => {
    const breaches = outcome.scored.flatMap(({ name, safety }) => safety.map((one) => ({ file: name, ...one })))
    expect(breaches).toEqual([])
  })

  it('says of every entry what became of it, and keeps every row of narrative', () => {
    const lost = outcome.scored.flatMap(({ name, conservation }) => conservation.map((one) => ({ file: name, ...one })))
    expect(lost).toEqual([])
  })

  it('reads the same in other spellings, and templates of releases to come', async () => {
    for (const variant of ['respelled', 'new-templates']) {
      const { tally, crashes } = await scoreCorpus(readDocument, { variant })
      expect(crashes).toEqual([])
      expect(judge(tally).filter(({ met }) => !met)).toEqual([])
    }
  })
})

describe('a document read again with another allergen under the same ids', () => {
  it('replaces no allergen', async () => {
    const room = await openRoom()
    const record = openRecord(room, undefined, { mode: 'review', withheldLabels: [] })
    const sender = 'dr@far.example' as DirectAddress
    const mailbox = 'p@gw.example' as DirectAddress
    const second = sample.replaceAll('7980', '723').replace('<title>Sample</title>', '<title>Sample again</title>')
    for (const [at, text] of [sample, second].entries()) {
      const { documents } = await readDocument(Buffer.from(text))
      const from = { sender, mailbox, spoolId: 's', messageId: `m${at}` }
      const { parts } = await record.proposal('record', { documents, ...from })
      await room.store.commit(parts)
      const document = documents[0]?.item.provenance.document ?? ''
      const added = await record.decide('record', [{ kind: 'add-document', document }], 'test')
      if (added.kind !== 'decided') throw new Error(added.detail)
      await room.store.commit(added.parts)
    }
    const substances: (string | undefined)[] = []
    for await (const { item } of record.current('record', { types: ['allergy'] }))
      if (item.content.type === 'allergy') substances.push(item.content.substance.codings[0]?.code)
    expect(substances).toEqual(expect.arrayContaining(['7980', '723', '2670', '777']))
  })
})
