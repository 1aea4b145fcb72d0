import { connect as connectTcp } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Asked, tell } from '../fixtures/process.js'
import { type Backend, register } from './healthvault/clinic.js'
import { newRequest } from './healthvault/connect.js'
import { type House, newAddress, openHouse, problem } from './healthvault/house.js'
import { noteItem } from './healthvault/items.js'
import { begin, piece, uploads } from './healthvault/packages.js'
import { cookiesIn, type Person, postJson, signIn, signUp } from './healthvault/people.js'
import { browserOf, locationOf } from './healthvault/web.js'

/** What strangers try against people, through the built gateway; nothing of it succeeds, and nothing is lost. */

let house: House
let clinic: Backend
let mother: Person
let stranger: Person
let child: string

beforeAll(async () => {
  house = await openHouse()
  ;[clinic, mother, stranger] = await Promise.all([register(house), signUp(house, 'Mother'), signUp(house, 'Stranger')])
  child = await mother.record('Anna', { relationship: 'parent' })
})
afterAll(() => house.close())

describe('guesses side by side', () => {
  it('of fifty at the PIN of an invitation three are judged, and the right one is too late', async () => {
    const invite = await mother.ask('POST', `/api/v1/account/records/${child}/invitations`, {
      ...{ email: stranger.email, relationship: 'uncle', pin: '2468' },
    })
    const { id } = invite.json<{ id: string }>()
    const pin = (text: string) => stranger.ask('POST', '/api/v1/account/invitations/accept', { id, pin: text })
    const all = await Promise.all(Array.from({ length: 50 }, (_, at) => pin(String(1000 + at))))
    expect(all.every(({ status }) => status !== 200)).toBe(true)
    const judged = all.map(problem).filter((text) => text === '403 wrong-answer 144')
    expect(judged.length).toBeLessThanOrEqual(3)
    expect((await pin('2468')).status).not.toBe(200)
    expect(problem(await stranger.ask('GET', `/api/v1/records/${child}/items`))).toBe('404 not-found')
  })

  it('of fifty at a password from one network a few are judged, and its owner signs in elsewhere', async () => {
    const { email } = mother
    const from = newAddress()
    const guess = (at: number) =>
      postJson(house, '/api/v1/account/sign-in', { email, password: `a wrong password ${at}` }, from)
    const all = await Promise.all(Array.from({ length: 50 }, (_, at) => guess(at)))
    const judged = all.filter(({ status }) => status !== 429 && status !== 503)
    tell(`of 50 guesses at a password ${judged.length} were judged`)
    expect(judged.every(({ status }) => status === 403)).toBe(true)
    expect(judged.length).toBeLessThanOrEqual(10)
    expect((await signIn(house, { ...mother, address: newAddress() })).cookie).toBeTruthy()
  })

  it('an address without an account is told as one with a wrong password is', async () => {
    const guess = (email: string) => postJson(house, '/api/v1/account/sign-in', { email, password: 'a wrong password' })
    const times: number[][] = [[], []]
    const told = new Set<string>()
    for (let round = 0; round < 3; round++) {
      for (const [at, email] of [stranger.email, `nobody-${round}@mail.example`].entries()) {
        const begun = performance.now()
        const { code, detail, status } = (await guess(email)).json<Record<string, string>>()
        times[at]?.push(performance.now() - begun)
        told.add(`${status} ${code} ${detail}`)
      }
    }
    expect([...told]).toHaveLength(1)
    const [known = 0, unknown = 1] = times.map((all) => all.sort((a, b) => a - b)[1] ?? 0)
    expect(Math.max(known, unknown) / Math.min(known, unknown)).toBeLessThan(2)
    const signed = await Promise.all(
      [stranger.email, 'fresh@mail.example'].map((email) =>
        postJson(house, '/api/v1/account/sign-up', { email, name: 'X' }),
      ),
    )
    expect(new Set(signed.map(({ status, bytes }) => `${status} ${bytes}`)).size).toBe(1)
  })
})

describe('forms and cookies of somebody else', () => {
  const body = () => JSON.stringify({ name: 'Made by another page', relationship: 'self' })
  const post = (headers: Record<string, string>) =>
    house.ask('/api/v1/account/records', {
      method: 'POST',
      headers: { 'content-type': 'application/json', cookie: mother.cookie, ...headers },
      body: body(),
    })

  it('change nothing over the API: without the token, with another one, from another page', async () => {
    const evil = { origin: 'https://evil.example', 'x-csrf-token': mother.csrf }
    const cases: Record<string, string>[] = [
      {},
      { origin: house.url },
      { origin: house.url, 'x-csrf-token': stranger.csrf },
      evil,
      { ...evil, origin: 'null' },
      { 'x-csrf-token': mother.csrf, 'sec-fetch-site': 'cross-site' },
    ]
    for (const headers of cases) expect(problem(await post(headers))).toBe('403 csrf')
    expect((await post({ origin: house.url, 'x-csrf-token': mother.csrf })).status).toBe(201)
  })

  it('change nothing at the pages', async () => {
    const before = (await mother.ask('GET', '/api/v1/account/records')).bytes.toString()
    const { go } = browserOf(house, mother)
    const fields = { name: 'Another', relationship: 'self' }
    for (const path of ['/records', '/sign-out', '/pickup', '/account/name']) {
      const without = await go(path, fields)
      const elsewhere = await go(path, { ...fields, csrf: mother.csrf }, { origin: 'https://evil.example' })
      for (const answer of [without, elsewhere]) expect([403, 404]).toContain(answer.status)
    }
    expect((await mother.ask('GET', '/api/v1/account/records')).bytes.toString()).toBe(before)
  })

  it('sign nobody in: a session is new at every sign-in, and one that was set beforehand is none', async () => {
    const planted = 'A'.repeat(43)
    const { email, password } = mother
    const entered = await postJson(house, '/api/v1/account/sign-in', { email, password }, newAddress(), {
      cookie: `session=${planted}; visitor=${planted}`,
    })
    const given = cookiesIn(entered.headers)
    expect(given).not.toContain(planted)
    const held = await house.ask('/api/v1/account', { headers: { cookie: `session=${planted}` } })
    expect(held.status).toBe(401)
    const [line = ''] = entered.headers.getSetCookie()
    for (const flag of ['HttpOnly', 'SameSite=Lax', 'Path=/']) expect(line).toContain(flag)
    const crossed = await postJson(house, '/api/v1/account/sign-in', { email, password }, newAddress(), {
      origin: 'https://evil.example',
    })
    expect(problem(crossed)).toBe('403 csrf')
  })

  it('a session that was ended is dead everywhere', async () => {
    const visit = await signIn(house, { ...mother, address: newAddress() })
    const answer = await browserOf(house, visit).go('/sign-out', { csrf: visit.csrf })
    expect(locationOf(answer)).toBe('/sign-in')
    expect((await visit.ask('GET', '/api/v1/account')).status).toBe(401)
  })
})

describe('bodies that are too large, too slow or cut off', () => {
  it('are refused whole, and nothing of them is kept', async () => {
    const changes = [{ kind: 'create', item: noteItem('x'.repeat(5 * 1024 * 1024)) }]
    const latest = async () =>
      (await mother.ask('GET', `/api/v1/records/${child}/changes`)).json<{ latest: number }>().latest
    // Who does not stop to listen is cut off before the answer is read.
    const told = (asking: Promise<Asked>) => asking.then(({ status }) => status).catch(() => 413)
    const before = await latest()
    expect(await told(mother.ask('POST', `/api/v1/records/${child}/items`, { changes }))).toBe(413)
    const huge = { email: 'x'.repeat(200_000), password: 'x' }
    expect(await told(postJson(house, '/api/v1/account/sign-in', huge))).toBe(413)
    expect(await latest()).toBe(before)
    expect((await house.ask('/readyz')).status).toBe(200)
  })

  it('a piece that was cut off is not there, and the upload goes on before it', async () => {
    const id = await begin(clinic, 2000)
    expect((await piece(clinic, id, 0, Buffer.alloc(1000, 1), 2000)).status).toBe(200)
    const token = await clinic.token()
    const { port } = new URL(house.url)
    const socket = connectTcp({ host: '127.0.0.1', port: Number(port) })
    const head = [
      `PUT ${uploads}/${id} HTTP/1.1`,
      'Host: localhost',
      `Authorization: Bearer ${token}`,
      'Content-Type: application/octet-stream',
      'Content-Range: bytes 1000-1999/2000',
      'Content-Length: 1000',
    ]
    socket.write(`${head.join('\r\n')}\r\n\r\n${'x'.repeat(500)}`)
    await sleep(200)
    socket.destroy()
    await sleep(100)
    expect((await clinic.ask('GET', `${uploads}/${id}`)).json()).toMatchObject({
      receivedBytes: 1000,
      completed: false,
    })
    expect((await piece(clinic, id, 1000, Buffer.alloc(1000, 2), 2000)).json()).toMatchObject({ receivedBytes: 2000 })
  })

  it("ids of another clinic's requests and packages are not found", async () => {
    const other = await register(house)
    const { id } = await newRequest(clinic)
    for (const [method, path] of [
      ['GET', `/api/v1/connect/requests/${id}`],
      ['DELETE', `/api/v1/connect/requests/${id}`],
      ['POST', `/api/v1/connect/requests/${id}/reissue`],
      ['GET', `/api/v1/drop-off/packages/${id}`],
    ] as const)
      expect([path, problem(await other.ask(method, path))]).toEqual([path, '404 not-found'])
  })
})
