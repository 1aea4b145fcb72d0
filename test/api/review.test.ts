import { describe, expect, it } from 'vitest'
import type { DirectAddress } from '../../src/direct/address.js'
import type { RecordItem } from '../../src/direct/clinical.js'
import { readDocument } from '../record/read-document.js'
import { allergy, concept, date, medication, statement } from '../record/statements.js'
import { alice, openGateway } from './gateway.js'

const tylenol = concept('rxnorm:209459', 'Tylenol')

async function setUp() {
  const gateway = await openGateway()
  const { recordId } = gateway.patients.alice
  const { headers } = await gateway.token(alice, ['record:read', 'record:write'])
  const call = async (method: 'GET' | 'POST' | 'PATCH', path: string, payload?: object) => {
    const url = `/api/v1/records/${recordId}/${path}`
    const response = await gateway.app.inject({ method, url, headers, ...(payload && { payload }) })
    return { status: response.statusCode, body: response.json(), headers: response.headers }
  }
  const decide = (...decisions: readonly object[]) => call('POST', 'decisions', { decisions })
  async function bring(name: string, ...items: readonly RecordItem[]) {
    const document = readDocument(name, items)
    const own = { sender: 'dr@far.example' as DirectAddress, mailbox: alice, messageId: name, spoolId: 's' }
    const sha256 = document.item.provenance.document
    const placed = items.map((item) => ({ ...item, provenance: { ...item.provenance, document: sha256 } }))
    const { parts } = await gateway.ports.record.proposal(recordId, {
      documents: [{ ...document, items: placed }],
      ...own,
    })
    expect(await gateway.store.commit(parts)).toEqual({ kind: 'committed' })
    return sha256
  }
  return { ...gateway, call, decide, bring, recordId }
}

describe('reviewing a record', () => {
  it('lists what waits by document, and adds all of one', async () => {
    const { call, decide, bring } = await setUp()
    const one = statement(allergy(concept('rxnorm:7980')))
    const sha256 = await bring('one', one)
    const waiting = await call('GET', 'review')
    expect(waiting.body.documents[0]).toMatchObject({
      document: { sha256, standing: 'live', match: { kind: 'unknown' } },
      entries: expect.arrayContaining([{ id: one.id, type: 'allergy', state: 'proposed', review: ['new'] }]),
    })
    expect(await decide({ kind: 'add-document', document: sha256 })).toMatchObject({ status: 200 })
    expect((await call('GET', `items/${one.id}`)).body).toMatchObject({ state: 'current', entryId: one.id, review: [] })
    const listed = await call('GET', 'items?type=allergy&state=current')
    expect(listed.body.items).toMatchObject([{ appearances: [{ document: sha256, standing: 'shown' }] }])
  })

  it('lets a person choose between two doses, and take it back', async () => {
    const { call, decide, bring } = await setUp()
    const old = statement(medication(tylenol, '1'), { recordedAt: date('2015') })
    const newer = statement(medication(tylenol, '2'), { recordedAt: date('2016') })
    await bring('one', old)
    await decide({ kind: 'add', entry: old.id })
    await bring('two', newer)
    const waiting = (await call('GET', `items/${newer.id}`)).body
    expect(waiting).toMatchObject({ id: old.id, entryId: old.id, review: ['version', 'conflict'] })
    const chosen = await decide({ kind: 'choose', entry: old.id, statement: newer.id, version: waiting.version })
    expect((await call('GET', `items/${old.id}`)).body).toMatchObject({ id: newer.id, entryId: old.id, review: [] })
    expect(
      await decide({ kind: 'choose', entry: old.id, statement: newer.id, version: waiting.version }),
    ).toMatchObject({
      status: 412,
      body: { code: 'version-mismatch' },
    })
    await decide({ kind: 'undo', decision: chosen.body.decisions[0] })
    expect((await call('GET', `items/${old.id}`)).body).toMatchObject({ id: old.id, version: waiting.version })
    const log = (await call('GET', `decisions?entry=${old.id}`)).body.decisions
    expect(
      log.map(({ deed, undone }: { deed: { kind: string }; undone: boolean }) => `${deed.kind} ${undone}`),
    ).toEqual(['undo false', 'choose true', 'add false'])
  })

  it('splits what was merged and merges what was not', async () => {
    const { call, decide, bring } = await setUp()
    const [one, two] = [
      statement(medication(tylenol)),
      statement(medication(tylenol), { status: { folded: 'completed' } }),
    ]
    await bring('one', one)
    await bring('two', two)
    expect((await call('GET', 'items?type=medication')).body.items).toHaveLength(1)
    const split = await decide({ kind: 'split', entry: one.id, statements: [two.id] })
    expect((await call('GET', 'items?type=medication')).body.items).toHaveLength(2)
    await decide({ kind: 'undo', decision: split.body.decisions[0] })
    const other = statement(medication(concept('acetaminophen')))
    await bring('three', other)
    await decide({ kind: 'merge', entry: other.id, with: one.id })
    const items = (await call('GET', 'items?type=medication')).body.items
    expect(items).toMatchObject([{ entryId: one.id, appearances: [{}, {}, {}] }])
  })

  it.each([
    [{ kind: 'add', entry: 'nothing' }, 404, 'not-found'],
    [{ kind: 'undo', decision: 'nothing' }, 404, 'not-found'],
    [{ kind: 'release', document: 'nothing' }, 404, 'not-found'],
    [{ kind: 'split', entry: 'item-of-alice', statements: ['item-of-alice'] }, 409, 'not-possible'],
    [{ kind: 'merge', entry: 'item-of-alice', with: 'item-of-alice' }, 409, 'not-possible'],
    [{ kind: 'add', entry: 'item-of-alice', version: 'another' }, 412, 'version-mismatch'],
    [{ kind: 'forget', entry: 'item-of-alice' }, 400, 'invalid-request'],
    [{ kind: 'add' }, 400, 'invalid-request'],
  ])('refuses %o with %d', async (deed, status, code) => {
    const { decide, call } = await setUp()
    const before = await call('GET', 'decisions')
    expect(await decide({ kind: 'add', entry: 'item-of-alice' }, deed)).toMatchObject({ status, body: { code } })
    expect((await call('GET', 'decisions')).body).toEqual(before.body)
  })

  it('keeps the mode of a sender, and tells what was found in a document', async () => {
    const { call, bring } = await setUp()
    expect(await call('PATCH', 'senders/dr@far.example', { mode: 'automatic' })).toMatchObject({ status: 200 })
    expect((await call('GET', 'senders')).body).toEqual({
      otherwise: 'review',
      senders: [{ sender: 'dr@far.example', mode: 'automatic' }],
    })
    expect((await call('PATCH', 'senders/nobody', { mode: 'automatic' })).status).toBe(400)
    const sha256 = await bring('one', statement(medication(tylenol)))
    expect((await call('GET', `documents/${sha256}/reading`)).body).toMatchObject({
      diagnostics: [],
      entries: [],
      sha256,
    })
    expect((await call('GET', 'documents')).body.documents).toHaveLength(2)
  })

  it('decides nothing with a token that may only read', async () => {
    const gateway = await openGateway()
    const { recordId, itemId } = gateway.patients.alice
    const { headers } = await gateway.token(alice, ['record:read'])
    const payload = { decisions: [{ kind: 'add', entry: itemId }] }
    const answer = await gateway.app.inject({
      method: 'POST',
      url: `/api/v1/records/${recordId}/decisions`,
      headers,
      payload,
    })
    expect(answer.statusCode).toBe(403)
  })
})
