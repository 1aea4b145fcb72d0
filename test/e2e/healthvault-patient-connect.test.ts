import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tell } from '../fixtures/process.js'
import { asToken, type Backend, offline, register } from './healthvault/clinic.js'
import { answer, asked, authorized, connect, guess, newRequest, requests, ticketFor } from './healthvault/connect.js'
import { type House, openHouse, problem } from './healthvault/house.js'
import { type Person, signUp } from './healthvault/people.js'

/** HealthVault's Patient Connect, behaviour by behaviour, against one built gateway whose 90 days are a minute. */

const keptMs = 60_000

let house: House
let clinic: Backend
let mother: Person
let stranger: Person
let child: string
/** Picked up at the start and looked at again at the end: one once, one twice. */
let early: { readonly once: string; readonly twice: string; readonly at: number; readonly again: Promise<number> }

beforeAll(async () => {
  house = await openHouse({ more: `connect: { keptSeconds: ${keptMs / 1000} }` })
  ;[clinic, mother, stranger] = await Promise.all([register(house), signUp(house, 'Mother'), signUp(house, 'Stranger')])
  child = await mother.record('Anna', { relationship: 'parent' })
  const [once, twice] = [await newRequest(clinic), await newRequest(clinic)]
  await connect(mother, once.code, child)
  await connect(mother, twice.code, child)
  const again = sleep(keptMs / 2).then(async () => (await connect(mother, twice.code, child)).status)
  early = { once: once.externalId, twice: twice.externalId, at: Date.now(), again: again.catch(() => 0) }
})
afterAll(() => house.close())

const standing = async (id: string) =>
  (await clinic.ask('GET', `${requests}/${id}`)).json<{ state: string; attemptsLeft: number }>()

describe('Patient Connect', () => {
  it('a second request for one external id answers 79', async () => {
    const { externalId } = await newRequest(clinic)
    expect(problem(await clinic.ask('POST', requests, asked({ externalId })))).toBe('409 not-possible 79')
    const [one, other] = await Promise.all(
      [1, 2].map(() => clinic.ask('POST', requests, asked({ externalId: `${externalId}-race` }))),
    )
    expect([one?.status, other?.status].sort()).toEqual([201, 409])
  })

  it('the code is twenty letters of thirteen consonants in five groups, and is told once', async () => {
    const { id, code } = await newRequest(clinic)
    expect(code).toMatch(/^([FGHJKMNQRVXYZ]{4}-){4}[FGHJKMNQRVXYZ]{4}$/)
    expect((await clinic.ask('GET', `${requests}/${id}`)).bytes.toString()).not.toContain(code)
    expect((await clinic.ask('GET', requests)).bytes.toString()).not.toContain(code)
  })

  it('the code is taken in any case, with and without its hyphens', async () => {
    const { code } = await newRequest(clinic)
    for (const typed of [code.toLowerCase(), code.replaceAll('-', ''), ` ${code.replaceAll('-', ' ')} `])
      expect((await mother.ask('POST', '/api/v1/pickup/open', { code: typed })).json()).toMatchObject({
        kind: 'connect',
      })
  })

  it('an answer is the same in any case and with stray spaces', async () => {
    const { code } = await newRequest(clinic, { answer: 'Rex the Dog' })
    for (const typed of ['REX THE DOG', '  rex  the dog ', 'Ｒｅｘ ｔｈｅ Ｄｏｇ'])
      expect((await guess(mother, code, typed)).status).toBe(200)
    expect(problem(await guess(mother, code, 'rexthedog'))).toBe('403 wrong-answer')
  })

  it('an answer of under six characters is refused with 73, a blank question with 72', async () => {
    expect(problem(await clinic.ask('POST', requests, asked({ answer: 'Rex' })))).toBe('400 invalid-request 73')
    expect(problem(await clinic.ask('POST', requests, asked({ answer: 'a    b' })))).toBe('400 invalid-request 73')
    expect(problem(await clinic.ask('POST', requests, asked({ question: '  ' })))).toBe('400 invalid-request 72')
  })

  it('three wrong answers end the code for everybody, with the right answer too', async () => {
    const { id, code } = await newRequest(clinic)
    for (const left of ['2 tries are left', '1 try is left', '0 tries are left'])
      expect((await guess(stranger, code, 'wrong bird')).json()).toMatchObject({ errors: [{ detail: left }] })
    for (const person of [mother, stranger]) expect(problem(await guess(person, code, answer))).toBe('404 not-found')
    expect(await standing(id)).toMatchObject({ state: 'locked', attemptsLeft: 0 })
  })

  it('of fifty guesses at the same moment three are judged, and none after them', async () => {
    const { id, code } = await newRequest(clinic)
    const guesses = Array.from({ length: 50 }, (_, at) => guess(at % 2 ? mother : stranger, code, `wrong bird ${at}`))
    const answers = await Promise.all(guesses)
    const judged = answers.map(problem).filter((text) => text === '403 wrong-answer')
    expect(judged).toHaveLength(3)
    expect(problem(await guess(mother, code, answer))).toBe('404 not-found')
    expect(await standing(id)).toMatchObject({ state: 'locked', attemptsLeft: 0 })
  })

  it('the right answer among fifty guesses at the same moment counts only where it was of the first three', async () => {
    const { code } = await newRequest(clinic)
    const words = Array.from({ length: 50 }, (_, at) => (at === 40 ? answer : `wrong bird ${at}`))
    const answers = await Promise.all(words.map((text) => guess(stranger, code, text)))
    expect(answers.filter((one) => problem(one) === '403 wrong-answer').length).toBeLessThanOrEqual(3)
  })

  it('a code that nobody used ends when its time is over, and says so to its clinic alone', async () => {
    const { id, code } = await newRequest(clinic, { expiresInDays: 1.2 / 86_400 })
    expect((await mother.ask('POST', '/api/v1/pickup/open', { code })).status).toBe(200)
    await sleep(1300)
    expect(problem(await mother.ask('POST', '/api/v1/pickup/open', { code }))).toBe('404 not-found')
    expect(problem(await guess(mother, code, answer))).toBe('404 not-found')
    expect(await standing(id)).toMatchObject({ state: 'expired' })
  })

  it('a code lives for 28 days where nobody says otherwise', async () => {
    const { id } = await newRequest(clinic)
    const { createdAt, expiresAt } = (await clinic.ask('GET', `${requests}/${id}`)).json<
      Record<'createdAt' | 'expiresAt', string>
    >()
    expect(Date.parse(expiresAt) - Date.parse(createdAt)).toBe(28 * 86_400_000)
  })

  it('a poll since a moment has what was authorized from then on, and nothing before', async () => {
    const [first, second] = [await newRequest(clinic), await newRequest(clinic)]
    await connect(mother, first.code, child)
    await sleep(20)
    await connect(mother, second.code, child)
    const rows = await authorized(clinic)
    const row = (externalId: string) => rows.find((one) => one.externalId === externalId)
    const since = row(second.externalId)?.authorizedAt ?? ''
    const later = (await authorized(clinic, { since, limit: '1' })).map(({ externalId }) => externalId)
    expect(later).toContain(second.externalId)
    expect(later).not.toContain(first.externalId)
    expect(problem(await clinic.ask('GET', '/api/v1/connect/authorized?since=yesterday'))).toBe(
      '400 invalid-request 69',
    )
  })

  it('picked up once more for a second record, there are two rows of one external id; the wrong sibling is asked about', async () => {
    const sibling = await mother.record('Ben', { relationship: 'parent' })
    const { code, externalId } = await newRequest(clinic)
    expect((await connect(mother, code, child)).status).toBe(200)
    expect(problem(await connect(mother, code, sibling))).toBe('409 patient-mismatch')
    expect((await connect(mother, code, sibling, { confirmed: true })).status).toBe(200)
    const rows = (await authorized(clinic)).filter((row) => row.externalId === externalId)
    expect(rows).toHaveLength(2)
    expect(new Set(rows.map(({ record }) => record)).size).toBe(2)
    expect(new Set(rows.map(({ person }) => person)).size).toBe(1)
  })

  it('mother and father who connect one child give the same record and two persons', async () => {
    const other = await register(house)
    const father = await signUp(house, 'Father')
    const record = await mother.record('Cleo', { relationship: 'parent' })
    const invited = await mother.ask('POST', `/api/v1/account/records/${record}/invitations`, {
      ...{ email: father.email, relationship: 'parent', custodian: true },
    })
    const { id } = invited.json<{ id: string }>()
    expect((await father.ask('POST', '/api/v1/account/invitations/accept', { id })).status).toBe(200)
    for (const parent of [mother, father])
      expect((await connect(parent, (await newRequest(other, { friendlyName: 'Cleo' })).code, record)).status).toBe(200)
    const rows = await authorized(other)
    expect([new Set(rows.map((row) => row.record)).size, new Set(rows.map((row) => row.person)).size]).toEqual([1, 2])
    expect(rows.map((row) => row.record)).not.toContain(record)
  })

  it('a request that was authorized is not deleted any more, and answers 84', async () => {
    const { id, code, externalId } = await newRequest(clinic)
    await connect(mother, code, child)
    expect(problem(await clinic.ask('DELETE', `${requests}/${id}`))).toBe('409 not-possible 84')
    expect(problem(await clinic.ask('DELETE', `${requests}?externalId=${externalId}`))).toBe('409 not-possible 84')
    expect((await authorized(clinic)).some((row) => row.externalId === externalId)).toBe(true)
  })

  it('a pending request is deleted, its code is dead, and its external id is free again', async () => {
    const { code, externalId } = await newRequest(clinic)
    expect((await clinic.ask('DELETE', `${requests}?externalId=${externalId}`)).status).toBe(200)
    expect(problem(await guess(mother, code, answer))).toBe('404 not-found')
    expect((await clinic.ask('POST', requests, asked({ externalId }))).status).toBe(201)
  })

  it('a lost code is issued anew in one step, and the old one is dead', async () => {
    const { id, code } = await newRequest(clinic)
    await guess(stranger, code, 'wrong bird')
    const again = (await clinic.ask('POST', `${requests}/${id}/reissue`)).json<{ code: string }>()
    expect(problem(await guess(mother, code, answer))).toBe('404 not-found')
    expect((await standing(id)).attemptsLeft).toBe(3)
    expect((await guess(mother, again.code, answer)).status).toBe(200)
  })

  it('an external id is changed by code and by the old id', async () => {
    const { code, externalId } = await newRequest(clinic)
    const ids = '/api/v1/connect/external-ids'
    expect((await clinic.ask('POST', ids, { code, newExternalId: `${externalId}-b` })).json()).toEqual({ changed: 1 })
    const next = { externalId: `${externalId}-b`, newExternalId: `${externalId}-c` }
    expect((await clinic.ask('POST', ids, next)).json()).toEqual({ changed: 1 })
    await connect(mother, code, child)
    expect((await authorized(clinic)).map((row) => row.externalId)).toContain(`${externalId}-c`)
  })

  it('the master application polls what its children connected', async () => {
    const master = await register(house, { kind: 'master', may: ['connect', 'drop-off', 'register'], scope: 'connect' })
    const practice = await register(house, { master: master.id, may: ['connect'] })
    const { code, externalId } = await newRequest(practice)
    await connect(mother, code, child)
    expect(await authorized(master)).toMatchObject([{ externalId, app: practice.id }])
    expect((await authorized(clinic)).map((row) => row.externalId)).not.toContain(externalId)
  })

  it('a no is told to the clinic, the code works on, and never ends it', async () => {
    const { id, code } = await newRequest(clinic)
    const reject = async (never: boolean) =>
      mother.ask('POST', '/api/v1/pickup/connect/reject', { ticket: await ticketFor(mother, code), never })
    expect((await reject(false)).status).toBe(200)
    expect(await standing(id)).toMatchObject({ state: 'rejected' })
    expect((await reject(true)).status).toBe(200)
    expect(await standing(id)).toMatchObject({ state: 'refused' })
    expect(problem(await guess(mother, code, answer))).toBe('404 not-found')
  })

  it('what was connected is read and written offline, and revoked by either side at once', async () => {
    const both = await register(house, { rules: offline })
    const { code } = await newRequest(both)
    const made = await connect(mother, code, child)
    const { grant } = made.json<{ grant: string }>()
    const [row] = await authorized(both)
    const token = await both.token('system/*.cruds')
    const items = `/api/v1/records/${row?.record}/items`
    const reads = () => house.ask(items, { headers: { authorization: `Bearer ${token}` } })
    expect((await reads()).status).toBe(200)
    expect((await mother.ask('DELETE', `/api/v1/grants/${grant}`)).status).toBe(200)
    expect(problem(await reads())).toBe('404 not-found')
  })

  it('another record of the same person is not found by the application that has one', async () => {
    const hidden = await mother.record('Dora', { relationship: 'parent' })
    const token = await clinic.token('system/*.cruds')
    for (const id of [hidden, child, 'nothing'])
      expect(
        problem(await house.ask(`/api/v1/records/${id}/items`, { headers: { authorization: `Bearer ${token}` } })),
      ).toBe('404 not-found')
  })

  it('the letter to the patient has address and code, never the question or the answer', async () => {
    const email = 'anna.sample@mail.example'
    const { code } = await newRequest(clinic, { email })
    const { text, subject } = await house.letterTo(email, code)
    expect(text).toContain(`${house.url}/pickup`)
    for (const secret of [answer, 'bird', 'Anna']) expect(`${subject} ${text}`).not.toContain(secret)
  })

  it('an application that was not let in may neither ask nor poll', async () => {
    const packagesOnly = await register(house, { may: ['drop-off'] })
    const token = await packagesOnly.token('connect')
    expect(problem(await asToken(house, token, 'POST', requests, asked()))).toBe('403 missing-scope')
    expect(problem(await packagesOnly.ask('GET', '/api/v1/connect/authorized'))).toBe('403 missing-scope')
  })

  it('whoever tries codes waits after ten, a holder of a right one does not', async () => {
    const { code } = await newRequest(clinic)
    const nothing = 'FFFF-GGGG-HHHH-JJJJ-KKKK'
    const nobody = await signUp(house, 'Nobody')
    const statuses = []
    for (let at = 0; at < 12; at++)
      statuses.push(
        (await nobody.ask('POST', '/api/v1/pickup/open', { code: nothing }, { 'x-forwarded-for': nobody.address }))
          .status,
      )
    expect(statuses).toEqual([...Array.from({ length: 10 }, () => 404), 429, 429])
    expect((await mother.ask('POST', '/api/v1/pickup/open', { code })).status).toBe(200)
  })

  it('an unknown code takes as long to refuse as a wrong answer, within a factor of two', async () => {
    const times = { unknown: [] as number[], wrong: [] as number[] }
    for (let at = 0; at < 4; at++) {
      const { code } = await newRequest(clinic)
      for (const [kind, typed] of [
        ['wrong', code],
        ['unknown', 'FFFF-GGGG-HHHH-JJJJ-KKKK'],
      ] as const) {
        const begun = performance.now()
        await guess(mother, typed, 'wrong bird')
        times[kind].push(performance.now() - begun)
      }
    }
    const middle = (all: number[]) => all.sort((a, b) => a - b)[Math.floor(all.length / 2)] ?? 0
    const [wrong, unknown] = [middle(times.wrong), middle(times.unknown)]
    tell(`wrong answer ${wrong.toFixed(0)} ms, unknown code ${unknown.toFixed(0)} ms`)
    expect(Math.max(wrong, unknown) / Math.min(wrong, unknown)).toBeLessThan(2)
  })

  it('what was authorized goes after its 90 days, which begin anew with each pickup', async () => {
    expect(await early.again).toBe(200)
    await sleep(Math.max(0, early.at + keptMs + 500 - Date.now()))
    const ids = (await authorized(clinic)).map((row) => row.externalId)
    expect(ids).not.toContain(early.once)
    expect(ids).toContain(early.twice)
  })
})

describe('Patient Connect with exact answers', () => {
  it('an answer with other spaces is another answer, with other capitals the same', async () => {
    const exact = await openHouse({ more: 'connect: { answers: exact }' })
    try {
      const [practice, person] = await Promise.all([register(exact), signUp(exact, 'Exact')])
      const { code } = await newRequest(practice, { answer: '  Rexrex' })
      expect(problem(await guess(person, code, 'rexrex'))).toBe('403 wrong-answer')
      expect((await guess(person, code, '  REXREX')).status).toBe(200)
    } finally {
      await exact.close()
    }
  })
})
