import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { readDocument } from '../../src/clinical/read.js'
import type { DirectAddress } from '../../src/direct/address.js'
import type { RecordItemType } from '../../src/direct/clinical.js'
import { openRecord } from '../../src/record/record.js'
import { openRoom } from '../spool/room.js'

const corpus = '../shared/corpus/clinical/onc-cures-update'
const recordId = 'record'

/** Reads both documents of a pair into one record, in the order given, and adds everything. */
async function reconciled(names: readonly string[], mode: 'review' | 'automatic' = 'review') {
  const room = await openRoom()
  const record = openRecord(room, undefined, { mode, withheldLabels: [] })
  const sender = 'dr@far.example' as DirectAddress
  const from = { sender, mailbox: 'p@gw.example' as DirectAddress, spoolId: 's' }
  for (const [index, name] of names.entries()) {
    const { documents } = await readDocument(readFileSync(`${corpus}/${name}`))
    const { parts } = await record.proposal(recordId, { documents, ...from, messageId: `m${index}` })
    expect(await room.store.commit(parts)).toEqual({ kind: 'committed' })
    if (mode === 'automatic' && index > 0) continue
    const sha256 = documents[0]?.item.provenance.document ?? ''
    const added = await record.decide(recordId, [{ kind: 'add-document', document: sha256 }], 'test')
    if (added.kind !== 'decided') throw new Error(added.detail)
    await room.store.commit(added.parts)
  }
  async function list(type: RecordItemType) {
    const shown: string[] = []
    for await (const { item, appearances } of record.current(recordId, { types: [type] })) {
      const { content } = item
      const subject =
        content.type === 'allergy'
          ? content.substance
          : content.type === 'problem'
            ? content.problem
            : content.type === 'medication'
              ? content.product
              : undefined
      const from = new Set(appearances.map(({ document }) => document)).size
      shown.push(`${subject?.codings[0]?.code} ${item.status?.folded} from ${from}`)
    }
    return shown.sort()
  }
  return { record, room, list }
}

/** What the instructions of 170.315(b)(2) call for: additions added, duplicates one, what the other has not retained. */
const pairs = {
  'C-CDA 2.1 CCD': {
    files: ['170.315_b2_ciri__r21_sample1_ccd_v12.xml', '170.315_b2_ciri__r21_sample1_ccd_recon_v12.xml'],
    allergy: ['16047007 active from 1', '733 active from 1', '7980 active from 2'],
    medication: ['209459 active from 2', '309090 active from 1', '731241 active from 1'],
    problem: [
      '236578006 active from 1',
      '238131007 resolved from 1',
      '386661006 active from 2',
      '59621000 active from 1',
      '83986005 active from 1',
    ],
  },
  'C-CDA 2.1 Referral Note': {
    files: ['170.315_b2_ciri__r21_sample1_rn_v12.xml', '170.315_b2_ciri__r21_sample1_rn_recon_v12.xml'],
    allergy: ['16047007 active from 1', '733 active from 1', '7980 active from 2'],
    medication: ['209459 active from 2', '309090 active from 1', '731241 active from 1'],
    problem: [
      '236578006 active from 1',
      '238131007 resolved from 1',
      '386661006 active from 2',
      '59621000 active from 1',
      '83986005 active from 1',
    ],
  },
  'C-CDA 1.1 CCD': {
    files: ['170.315_b2_ciri__r11_sample1_v10.xml', '170.315_b2_ciri__r11_sample1_recon_v10.xml'],
    allergy: ['1191 active from 1', '2670 active from 1'],
    medication: ['1649560 completed from 2', '896001 completed from 2'],
    problem: ['195967001 active from 1', '233604007 active from 2'],
  },
} as const

describe.skipIf(!existsSync(corpus))('clinical information reconciliation of ONC (skipped without ../shared)', () => {
  for (const [name, { files, allergy, medication, problem }] of Object.entries(pairs)) {
    for (const order of [files, [...files].reverse()]) {
      it(`merges ${name} as the instructions say, ${order === files ? 'first' : 'second'} document first`, async () => {
        const { list } = await reconciled(order)
        expect(await list('allergy')).toEqual(allergy)
        expect(await list('medication')).toEqual(medication)
        expect(await list('problem')).toEqual(problem)
      })
    }

    it(`recognises the patient of ${name}, and takes the second document without a person`, async () => {
      const { list, record } = await reconciled(files, 'automatic')
      expect((await record.documents(recordId)).map(({ match }) => match.kind)).toEqual(['match', 'unknown'])
      expect(await list('allergy')).toEqual(allergy)
      expect(await list('medication')).toEqual(medication)
      expect(await list('problem')).toEqual(problem)
    })
  }

  it('holds a document of somebody else', async () => {
    const { list, record } = await reconciled(
      [pairs['C-CDA 1.1 CCD'].files[0], pairs['C-CDA 2.1 CCD'].files[0]],
      'automatic',
    )
    expect((await record.documents(recordId)).map(({ standing }) => standing)).toEqual(['held', 'live'])
    expect(await list('allergy')).toEqual(['2670 active from 1'])
  })
})
