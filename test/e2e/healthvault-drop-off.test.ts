import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { envelopeOf, answer as legacyAnswer } from '../connect/package/envelope.js'
import { tell } from '../fixtures/process.js'
import { type Backend, register } from './healthvault/clinic.js'
import { answer, guess, ticketFor } from './healthvault/connect.js'
import { type House, openHouse, problem, unique } from './healthvault/house.js'
import { problemItem } from './healthvault/items.js'
import {
  begin,
  claim,
  itemsOf,
  leave,
  packages,
  packed,
  piece,
  sha256,
  upload,
  uploads,
} from './healthvault/packages.js'
import { type Person, signUp } from './healthvault/people.js'

/** HealthVault's drop-off and pick-up, behaviour by behaviour, against one built gateway. */

let house: House
let clinic: Backend
let mother: Person
let stranger: Person
let child: string

beforeAll(async () => {
  house = await openHouse({ more: 'connect: { legacyEnvelope: true }' })
  ;[clinic, mother, stranger] = await Promise.all([register(house), signUp(house, 'Mother'), signUp(house, 'Stranger')])
  child = await mother.record('Anna', { relationship: 'parent', birthDate: '2019-05-31' })
})
afterAll(() => house.close())

const standing = async (id: string) => (await clinic.ask('GET', `${packages}/${id}`)).json<{ state: string }>()

describe('drop-off and pick-up', () => {
  it('a code is allocated first, and the package created with it', async () => {
    const allocated = (await clinic.ask('POST', `${packages}/allocate`)).json<{ id: string; code: string }>()
    const left = await leave(clinic, { code: allocated.code })
    expect(left).toEqual(allocated)
    const claimed = await claim(mother, await ticketFor(mother, left.code), child)
    expect(claimed.json()).toMatchObject({ things: 1, items: expect.any(Number) })
    expect(await standing(left.id)).toMatchObject({ state: 'claimed' })
  })

  it('a code opened before its package was created is nothing to its holder, and allocated (95) to its clinic', async () => {
    const { id, code } = (await clinic.ask('POST', `${packages}/allocate`)).json<{ id: string; code: string }>()
    expect(problem(await mother.ask('POST', '/api/v1/pickup/open', { code }))).toBe('404 not-found')
    expect(await standing(id)).toMatchObject({ state: 'allocated', healthvaultStatus: 95 })
  })

  it('a code that has its package answers 96', async () => {
    const { code } = await leave(clinic)
    expect(problem(await clinic.ask('POST', packages, packed({ code })))).toBe('409 not-possible 96')
  })

  it("another clinic's code is not filled: 74", async () => {
    const other = await register(house, { may: ['drop-off'] })
    const { code } = (await clinic.ask('POST', `${packages}/allocate`)).json<{ code: string }>()
    expect(problem(await other.ask('POST', packages, packed({ code })))).toBe('400 invalid-request 74')
  })

  it('two packages of one external id are both there, and both are withdrawn by it', async () => {
    const externalId = unique('MRN')
    const [one, two] = [await leave(clinic, { externalId }), await leave(clinic, { externalId })]
    expect(one.code).not.toBe(two.code)
    const listed = await clinic.ask('GET', `${packages}?externalId=${externalId}`)
    expect(listed.json<{ packages: object[] }>().packages).toHaveLength(2)
    expect((await clinic.ask('DELETE', `${packages}?externalId=${externalId}`)).json()).toEqual({ withdrawn: 2 })
    expect(problem(await guess(mother, one.code, answer))).toBe('404 not-found')
  })

  it('a package is claimed once: the second claim and the code answer that there is nothing', async () => {
    const { id, code } = await leave(clinic)
    const ticket = await ticketFor(mother, code)
    expect((await claim(mother, ticket, child)).status).toBe(200)
    expect(problem(await claim(mother, ticket, child))).toBe('404 not-found 74')
    expect(problem(await guess(mother, code, answer))).toBe('404 not-found')
    expect(problem(await clinic.ask('DELETE', `${packages}?code=${code}`))).toBe('404 not-found 74')
    expect(await standing(id)).toMatchObject({ state: 'claimed', endedAt: expect.any(String) })
  })

  it('of ten claims at the same moment one takes it', async () => {
    const { code } = await leave(clinic, {}, { items: [problemItem('Cough')] })
    const ticket = await ticketFor(mother, code)
    const all = await Promise.all(Array.from({ length: 10 }, () => claim(mother, ticket, child)))
    expect(all.filter(({ status }) => status === 200)).toHaveLength(1)
    expect(new Set(all.filter(({ status }) => status !== 200).map(problem))).toEqual(new Set(['404 not-found 74']))
  })

  it('a wrong answer leaves the package as it is', async () => {
    const { id, code } = await leave(clinic)
    for (let at = 0; at < 2; at++) expect(problem(await guess(stranger, code, 'wrong bird'))).toBe('403 wrong-answer')
    expect(await standing(id)).toMatchObject({ state: 'pending', attemptsLeft: 1 })
    const ticket = await ticketFor(mother, code)
    const contents = await mother.ask('POST', '/api/v1/pickup/package/review', { ticket, record: child })
    expect(contents.json()).toMatchObject({ things: [{ kind: 'item', type: 'problem', title: 'Fever' }] })
  })

  it('of fifty guesses at the same moment three are judged, and the package is gone for the right answer too', async () => {
    const { id, code } = await leave(clinic)
    const guesses = Array.from({ length: 50 }, (_, at) => guess(at % 2 ? mother : stranger, code, `wrong bird ${at}`))
    const begun = performance.now()
    const answers = await Promise.all(guesses)
    tell(`fifty guesses at a package: ${(performance.now() - begun).toFixed(0)} ms`)
    expect(answers.map(problem).filter((text) => text === '403 wrong-answer')).toHaveLength(3)
    expect(problem(await guess(mother, code, answer))).toBe('404 not-found')
    expect(await standing(id)).toMatchObject({ state: 'locked', attemptsLeft: 0 })
  })

  it('a package that nobody came for ends when its time is over', async () => {
    const { id, code } = await leave(clinic, { expiresInDays: 1.2 / 86_400 })
    await sleep(1300)
    expect(problem(await guess(mother, code, answer))).toBe('404 not-found')
    expect(await standing(id)).toMatchObject({ state: 'expired' })
  })

  it('a question that is blank answers 72, a package with nothing in it 120', async () => {
    expect(problem(await clinic.ask('POST', packages, packed({ question: '  ' })))).toBe('400 invalid-request 72')
    expect(problem(await clinic.ask('POST', packages, packed({}, { items: [] })))).toBe('400 invalid-request 120')
  })

  it('the wrong sibling is asked about before anything is taken', async () => {
    const { id, code } = await leave(clinic, { birthDate: '2015-01-01' })
    const ticket = await ticketFor(mother, code)
    expect(problem(await claim(mother, ticket, child))).toBe('409 patient-mismatch')
    expect(await standing(id)).toMatchObject({ state: 'pending' })
    expect((await claim(mother, ticket, child, { confirmed: true })).status).toBe(200)
  })

  it("a ticket is nobody else's, and opens nobody else's record", async () => {
    const { code } = await leave(clinic)
    const ticket = await ticketFor(mother, code)
    const theirs = await stranger.record('Other')
    expect(problem(await claim(stranger, ticket, theirs))).toBe('404 not-found 74')
    expect((await claim(mother, ticket, theirs)).status).toBe(404)
    expect((await claim(mother, ticket, child)).status).toBe(200)
  })
})

describe('a file of a package', () => {
  const bytes = randomBytes(2_500_000)

  it('comes in pieces with Content-Range, goes on where it was cut, and is byte for byte the same', async () => {
    const id = await begin(clinic, bytes.length)
    expect((await piece(clinic, id, 0, bytes.subarray(0, 1_000_000), bytes.length)).status).toBe(200)
    const gap = await piece(clinic, id, 2_000_000, bytes.subarray(2_000_000), bytes.length)
    expect(gap.json()).toMatchObject({ errors: [{ detail: 'out-of-order; go on at byte 1000000' }] })
    expect((await piece(clinic, id, 0, bytes.subarray(0, 1_000_000), bytes.length)).status).toBe(200)
    expect((await clinic.ask('GET', `${uploads}/${id}`)).json()).toMatchObject({ receivedBytes: 1_000_000 })
    expect((await piece(clinic, id, 1_000_000, bytes.subarray(1_000_000), bytes.length)).status).toBe(200)
    const done = { method: 'sha256', value: sha256(bytes) }
    expect((await clinic.ask('POST', `${uploads}/${id}/complete`, done)).json()).toMatchObject({ completed: true })
    expect(problem(await clinic.ask('POST', `${uploads}/${id}/complete`, done))).toBe('409 not-possible 101')

    const files = [{ upload: id, name: 'scan.bin', mediaType: 'application/octet-stream' }]
    const { code } = await leave(clinic, {}, { items: [], files })
    const claimed = await claim(mother, await ticketFor(mother, code), child)
    expect(claimed.json()).toMatchObject({ documents: [sha256(bytes)] })
    const read = await mother.ask('GET', `/api/v1/records/${child}/documents/${sha256(bytes)}`)
    expect(read.bytes.equals(bytes)).toBe(true)
  })

  it('is not named before all of it is there: 102, and then 112', async () => {
    const id = await begin(clinic, 10)
    await piece(clinic, id, 0, randomBytes(5), 10)
    const value = sha256(randomBytes(1))
    const done = await clinic.ask('POST', `${uploads}/${id}/complete`, { method: 'sha256', value })
    expect(problem(done)).toBe('409 not-possible 102')
    const files = [{ upload: id, name: 'a.bin', mediaType: 'application/octet-stream' }]
    expect(problem(await clinic.ask('POST', packages, packed({}, { files })))).toBe('400 invalid-request 112')
  })

  it('with another digest answers 111', async () => {
    const id = await begin(clinic, 10)
    await piece(clinic, id, 0, randomBytes(10), 10)
    const value = sha256(randomBytes(1))
    const done = await clinic.ask('POST', `${uploads}/${id}/complete`, { method: 'sha256', value })
    expect(problem(done)).toBe('409 not-possible 111')
  })

  it('that is too large is refused before a byte of it came, and a piece that is too large too', async () => {
    expect((await clinic.ask('POST', uploads, { sizeBytes: 33 * 1024 * 1024 })).status).toBe(400)
    const id = await begin(clinic, 4 * 1024 * 1024)
    expect((await piece(clinic, id, 0, randomBytes(3 * 1024 * 1024))).status).toBe(413)
    expect((await clinic.ask('GET', `${uploads}/${id}`)).json()).toMatchObject({ receivedBytes: 0 })
  })

  it("of one clinic is not another's", async () => {
    const other = await register(house, { may: ['drop-off'] })
    const id = await upload(clinic, randomBytes(100))
    expect(problem(await other.ask('GET', `${uploads}/${id}`))).toBe('404 not-found')
    const files = [{ upload: id, name: 'a.bin', mediaType: 'application/octet-stream' }]
    expect(problem(await other.ask('POST', packages, packed({}, { files })))).toBe('400 invalid-request 112')
  })
})

describe("HealthVault's own envelope", () => {
  const ccr = `<ContinuityOfCareRecord xmlns="urn:astm-org:CCR"><CCRDocumentObjectID>x1</CCRDocumentObjectID><Language><Text>English</Text></Language><Version>V1.0</Version><DateTime><ExactDateTime>2010-01-01</ExactDateTime></DateTime><Patient><ActorID>P1</ActorID></Patient><From><ActorLink><ActorID>P1</ActorID></ActorLink></From><Body><Problems><Problem><CCRDataObjectID>p1</CCRDataObjectID><Description><Text>Hay fever</Text></Description><Source><Actor><ActorID>P1</ActorID></Actor></Source></Problem></Problems></Body><Actors><Actor><ActorObjectID>P1</ActorObjectID><Person><Name><CurrentName><Given>Anna</Given><Family>Sample</Family></CurrentName></Name></Person><Source><Actor><ActorID>P1</ActorID></Actor></Source></Actor></Actors></ContinuityOfCareRecord>`
  const thing = (xml: string) =>
    `<thing><type-id name="CCR">1e1ccbfc-a55d-4d91-8940-fa2fbf73c195</type-id><data-xml>${xml}<common/></data-xml></thing>`

  async function left(things: string) {
    const { ciphertext, ...envelope } = await envelopeOf(things)
    const content = { kind: 'legacy', ...envelope, ciphertext: Buffer.from(ciphertext).toString('base64') }
    const made = await clinic.ask('POST', packages, { ...packed(), content })
    expect(made.status).toBe(201)
    const { package: kept, code } = made.json<{ package: { id: string }; code: string }>()
    return { id: kept.id, code }
  }

  it('with the published vector is opened by its answer, and the record has what was in it', async () => {
    const { id, code } = await left(thing(ccr))
    const ticket = await ticketFor(mother, code, legacyAnswer.toUpperCase())
    expect((await claim(mother, ticket, child, { confirmed: true })).status).toBe(200)
    expect(await standing(id)).toMatchObject({ state: 'claimed' })
    expect(JSON.stringify(await itemsOf(mother, child))).toContain('Hay fever')
  })

  it('with malformed XML inside answers 120, and the code is not consumed', async () => {
    const { id, code } = await left(
      '<thing><type-id>1e1ccbfc-a55d-4d91-8940-fa2fbf73c195</type-id><data-xml><a></data-xml>',
    )
    const ticket = await ticketFor(mother, code, legacyAnswer)
    expect(problem(await claim(mother, ticket, child))).toBe('409 not-possible 120')
    expect(await standing(id)).toMatchObject({ state: 'pending', attemptsLeft: 3 })
    expect((await guess(mother, code, legacyAnswer)).status).toBe(200)
  })
})
