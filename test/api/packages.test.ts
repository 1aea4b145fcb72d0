import { createHash } from 'node:crypto'
import { afterEach, describe, expect, it } from 'vitest'
import { blockBytes } from '../../src/connect/package/uploads.js'
import { allergy, openWays, patient, type Ways } from '../connect/ways.js'

const words = { friendlyName: 'Anna', question: 'What was your first dog called?', externalId: 'mrn-1' }
const answer = 'Rex the dog'
const open = (more: object = {}) => ({ kind: 'open', answer, items: [allergy], files: [], ...more })
const base = '/drop-off/packages'

let ways: Ways
afterEach(() => ways.gateway.app.close())

async function left(more: object = {}, content: object = {}) {
  const made = await ways.call('clinic', 'POST', base, { ...words, content: open(content), ...more })
  expect([made.status, JSON.stringify(made.body)]).toEqual([201, expect.any(String)])
  return made.body as { code: string; url: string; package: { id: string; state: string } }
}
async function ticketFor(code: string, who = 'mother') {
  const right = await ways.call(who, 'POST', '/pickup/answer', { code, answer: 'REX the  dog ' })
  expect(right.body).toMatchObject({ kind: 'package', friendlyName: 'Anna' })
  return right.body.ticket as string
}
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

describe('a clinic that drops off', () => {
  it('allocates a code, uploads in pieces through an interruption, leaves a package, and has its receipt', async () => {
    ways = await openWays()
    const { call } = ways
    const allocated = await call('clinic', 'POST', `${base}/allocate`)
    expect(allocated.status).toBe(201)
    const { code } = allocated.body
    // Open before create: HealthVault 95 for the sender, one answer for whoever has the code.
    expect((await call('mother', 'POST', '/pickup/open', { code })).status).toBe(404)
    expect((await call('clinic', 'GET', `${base}/${allocated.body.id}`)).body).toMatchObject({ state: 'allocated' })

    const bytes = Buffer.alloc(blockBytes + 1000, 'letter ')
    const begun = await call('clinic', 'POST', '/drop-off/uploads', { sizeBytes: bytes.length })
    const path = `/drop-off/uploads/${begun.body.id}`
    const piece = (from: number, to: number) =>
      call('clinic', 'PUT', path, bytes.subarray(from, to), {
        'content-range': `bytes ${from}-${to - 1}/${bytes.length}`,
      })
    expect((await piece(0, 1_000_000)).body).toMatchObject({ receivedBytes: 1_000_000 })
    expect((await piece(1_500_000, 1_600_000)).body).toMatchObject({
      errors: [{ detail: expect.stringContaining('go on at byte 1000000') }],
    })
    const digest = { method: 'sha256', value: sha256(bytes) }
    const complete = (body: object) => call('clinic', 'POST', `${path}/complete`, body)
    expect((await complete(digest)).body).toMatchObject({ healthvaultStatus: 102 })
    const file = { upload: begun.body.id, name: 'letter.txt', mediaType: 'text/plain' }
    const early = await call('clinic', 'POST', base, { ...words, code, content: open({ files: [file] }) })
    expect(early.body).toMatchObject({ healthvaultStatus: 112 })
    // The connection broke: where it was is asked, and the last piece may come twice.
    expect((await call('clinic', 'GET', path)).body).toMatchObject({ receivedBytes: 1_000_000, completed: false })
    expect((await piece(0, 1_000_000)).status).toBe(200)
    await piece(1_000_000, blockBytes)
    expect((await piece(blockBytes, bytes.length)).body).toMatchObject({ receivedBytes: bytes.length })
    expect((await complete({ method: 'sha256', value: '0'.repeat(64) })).body).toMatchObject({ healthvaultStatus: 111 })
    expect((await complete(digest)).body).toMatchObject({ completed: true })
    expect((await complete(digest)).body).toMatchObject({ healthvaultStatus: 101 })

    const made = await left({ code }, { files: [file] })
    expect(made).toMatchObject({ code, url: `https://gw.example/pickup?code=${code}`, package: { state: 'pending' } })
    const again = await call('clinic', 'POST', base, { ...words, code, content: open() })
    expect(again.body).toMatchObject({ status: 409, healthvaultStatus: 96 })

    const ticket = await ticketFor(code)
    const look = await call('mother', 'POST', '/pickup/package/review', { ticket, record: 'child' })
    expect(look.body).toMatchObject({
      things: [
        { type: 'allergy', title: 'Peanuts' },
        { kind: 'file', title: 'letter.txt', sizeBytes: bytes.length },
      ],
      match: { kind: 'unknown' },
    })
    const claim = () => call('mother', 'POST', '/pickup/package/claim', { ticket, record: 'child' })
    expect((await claim()).body).toMatchObject({ things: 2 })
    expect(await ways.current('child')).toEqual(['allergy', 'document', 'document'])
    // Claimed once: HealthVault 74, and the code is nothing any more.
    expect((await claim()).body).toMatchObject({ status: 404, healthvaultStatus: 74 })
    expect((await call('mother', 'POST', '/pickup/open', { code })).status).toBe(404)
    expect((await call('clinic', 'GET', `${base}/${made.package.id}`)).body).toMatchObject({
      ...{ state: 'claimed', endedAt: expect.any(String) },
    })
    expect(await ways.events()).toMatchObject([{ type: 'package.claimed', data: { request: made.package.id } }])
    expect(await ways.history('child')).toMatchObject([{ action: 'create', about: { app: ways.app.id } }])
  })

  it('has the letter written that brings the code, and nothing of question or answer', async () => {
    ways = await openWays()
    const { code } = await left({ email: 'anna@mail.example', language: 'de' })
    expect(ways.letters).toHaveLength(1)
    expect(JSON.parse(ways.letters[0] ?? '')).toEqual({
      to: { email: 'anna@mail.example', language: 'de' },
      letter: { kind: 'drop-off', clinic: ways.app.name, url: `https://gw.example/pickup?code=${code}`, code },
    })
    await left()
    expect(ways.letters).toHaveLength(1)
  })

  it('leaves several under one external id, renames them, and takes back what nobody came for', async () => {
    ways = await openWays()
    const { call } = ways
    const [one, two] = [await left(), await left()]
    const renamed = await call('clinic', 'POST', '/drop-off/external-ids', {
      ...{ externalId: 'mrn-1', newExternalId: 'mrn-2' },
    })
    expect(renamed.body).toEqual({ changed: 2 })
    expect((await call('clinic', 'GET', `${base}?externalId=mrn-2`)).body.packages).toHaveLength(2)
    const strange = { code: 'FFFF-FFFF-FFFF-FFFF-FFFF', newExternalId: 'x' }
    expect((await call('clinic', 'POST', '/drop-off/external-ids', strange)).body).toMatchObject({
      healthvaultStatus: 74,
    })
    // The key is bound to the id at the time of creation: it opens after the change.
    await ticketFor(one.code)
    expect((await call('clinic', 'DELETE', `${base}?externalId=mrn-2`)).body).toEqual({ withdrawn: 2 })
    for (const { code } of [one, two]) expect((await call('mother', 'POST', '/pickup/open', { code })).status).toBe(404)
  })

  it('is told what became of it: locked after three wrong answers, whoever gives them, and rejected', async () => {
    ways = await openWays()
    const { call } = ways
    const { code, package: locked } = await left()
    const guess = (who: string) => call(who, 'POST', '/pickup/answer', { code, answer: 'a wrong one' })
    expect((await guess('mother')).body).toMatchObject({
      code: 'wrong-answer',
      errors: [{ detail: '2 tries are left' }],
    })
    await guess('stranger')
    await guess('stranger')
    expect((await call('mother', 'POST', '/pickup/answer', { code, answer })).status).toBe(404)
    expect((await call('clinic', 'GET', `${base}/${locked.id}`)).body).toMatchObject({ state: 'locked' })

    const other = await left()
    const ticket = await ticketFor(other.code)
    expect((await call('stranger', 'POST', '/pickup/package/reject', { ticket })).status).toBe(404)
    expect((await call('mother', 'POST', '/pickup/package/reject', { ticket })).body).toEqual({ state: 'rejected' })
    const never = { ticket: await ticketFor(other.code), never: true }
    expect((await call('mother', 'POST', '/pickup/package/reject', never)).status).toBe(200)
    expect((await call('mother', 'POST', '/pickup/open', { code: other.code })).status).toBe(404)
    const told = (await ways.events()).map(({ type, data }) => [type, data['request'], data['final']])
    const both = [
      ['package.locked', locked.id, undefined],
      ['package.rejected', other.package.id, false],
      ['package.rejected', other.package.id, true],
    ]
    expect(told.toSorted()).toEqual(both.toSorted())
  })

  it('leaves what does not read: the person is told 120, and the code is not used up', async () => {
    ways = await openWays()
    const { call } = ways
    const bad = await call('clinic', 'POST', base, { ...words, content: open({ items: [{ content: 'x' }] }) })
    expect(bad.status).toBe(400)
    const empty = await call('clinic', 'POST', base, { ...words, content: open({ items: [] }) })
    expect(empty.body).toMatchObject({ healthvaultStatus: 120 })
    const made = await ways.packages.create(
      ways.app.id,
      { ...words, content: { kind: 'open', answer, items: [{ not: 'an item' }], files: [] } },
      'test',
    )
    if (made.kind !== 'created') throw new Error(made.kind)
    const ticket = await ticketFor(made.code)
    for (const path of ['review', 'claim'])
      expect((await call('mother', 'POST', `/pickup/package/${path}`, { ticket, record: 'child' })).body).toMatchObject(
        {
          ...{ code: 'not-possible', healthvaultStatus: 120 },
        },
      )
    await ticketFor(made.code)
  })

  it('is nobody any more once it is stopped or may not leave packages: its codes open nothing', async () => {
    ways = await openWays()
    const { code } = await left()
    await ways.apps.change(ways.app.id, { may: ['connect'] }, 'operator')
    expect((await ways.call('clinic', 'POST', `${base}/allocate`)).body).toMatchObject({ healthvaultStatus: 11 })
    expect((await ways.call('mother', 'POST', '/pickup/open', { code })).status).toBe(404)
  })
})

describe('a claim over the API', () => {
  it('of what seems to be of somebody else wants to be confirmed; into what one does not have it is not found', async () => {
    ways = await openWays()
    const { call } = ways
    const first = await ticketFor((await left({}, { items: [patient('Anna', '2015-02-03')] })).code)
    await call('mother', 'POST', '/pickup/package/claim', { ticket: first, record: 'child' })
    const ticket = await ticketFor((await left({}, { items: [patient('Berta', '2017-07-08'), allergy] })).code)
    const claim = (body: object, who = 'mother') => call(who, 'POST', '/pickup/package/claim', { ticket, ...body })
    const refused = await claim({ record: 'child' })
    expect(refused.body).toMatchObject({ status: 409, code: 'patient-mismatch' })
    expect(await ways.current('child')).not.toContain('allergy')
    expect((await claim({ record: 'other' })).status).toBe(404)
    expect((await claim({ record: 'other' }, 'stranger')).body).toMatchObject({ healthvaultStatus: 74 })
    expect((await claim({ record: 'child', confirmed: true })).status).toBe(200)
    expect(await ways.current('child')).toContain('allergy')
  })
})
