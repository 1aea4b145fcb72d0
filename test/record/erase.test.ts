import { randomBytes } from 'node:crypto'
import { expect, it } from 'vitest'
import type { DirectAddress } from '../../src/direct/address.js'
import { within } from '../../src/ports/store.js'
import { openRecord } from '../../src/record/record.js'
import { openRoom } from '../spool/room.js'
import { item, readDocument } from './read-document.js'
import { concept, problem } from './statements.js'

const source = {
  sender: 'dr@far.example' as DirectAddress,
  mailbox: 'a@gw.example' as DirectAddress,
  messageId: 'm',
  spoolId: 's',
}

/** Two records with a document too large for a row each, and some hundred items. */
async function setUp(hooks: Parameters<typeof openRoom>[0] = {}) {
  const room = await openRoom(hooks)
  const record = openRecord(room)
  for (const id of ['gone', 'stays']) {
    const items = Array.from({ length: 700 }, (_, index) =>
      item(`${id}${index}`, { content: problem(concept(`problem ${index}`)) }),
    )
    const documents = [readDocument(`<ClinicalDocument>${randomBytes(400_000).toString('hex')}`, items)]
    await room.store.commit((await record.proposal(id, { documents, ...source })).parts)
  }
  const rows = async (prefix: string) => (await room.store.range({ ...within(prefix), limit: 10_000 })).length
  return { ...room, record, rows }
}

it('takes away every row of a record, and what keeps its blobs, and nothing of another', async () => {
  const { record, rows } = await setUp()
  const before = [await rows('record/gone/'), await rows('record/stays/'), await rows('blob/')]
  expect(before[0]).toBeGreaterThan(700)
  expect(before[2]).toBe(2)
  await record.erase('gone')
  expect([await rows('record/gone/'), await rows('record/stays/'), await rows('blob/')]).toEqual([0, before[1], 1])
  expect((await record.list('gone', {})) as object).toMatchObject({ kind: 'page', items: [] })
  expect((await record.list('stays', {})) as object).toMatchObject({ items: { length: 50 } })
})

it('is ended by another, wherever the process dies', async () => {
  for (let k = 1; k <= 6; k++) {
    let [left, dead] = [Number.POSITIVE_INFINITY, false]
    const { record, rows } = await setUp({
      beforeCall() {
        if (dead || --left > 0) return
        dead = true
        throw new Error('dead')
      },
    })
    left = k
    await record.erase('gone').catch(() => undefined)
    left = Number.POSITIVE_INFINITY
    await record.erase('gone')
    expect([await rows('record/gone/'), await rows('blob/')]).toEqual([0, 1])
  }
})
