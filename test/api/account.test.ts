import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openSlowHash, slowHashLimits } from '../../src/keyring/slow-hash.js'
import { openPeople } from '../../src/people/open.js'
import { codeAt, goodPassword, keptLetters } from '../people/world.js'
import { openRoom } from '../spool/room.js'
import { openGateway } from './gateway.js'

/** Over a real socket: cookies, tokens and origins as a browser sends them. */
const origin = 'http://localhost'

async function open() {
  const room = await openRoom()
  const kept = keptLetters()
  const slowHash = openSlowHash({ ...slowHashLimits, memoryKiB: 64, passes: 2, lanes: 1 })
  const people = openPeople(
    { ...room, slowHash, letters: kept.letters, indexKey: randomBytes(32) },
    { origin, house: 'Test House', secondFactor: 'required' },
  )
  const fast = { perSecond: 1e6, burst: 1e6 }
  const gateway = await openGateway(
    { origin, limits: { perAddress: fast, perToken: fast } },
    { ...room, people, accounts: people },
  )
  const url = await gateway.app.listen({ host: '127.0.0.1', port: 0 })

  function client() {
    let cookie = ''
    let csrf = ''
    async function ask(method: string, path: string, body?: object, headers: Record<string, string> = {}) {
      const response = await fetch(url + path, {
        method,
        headers: {
          ...(cookie && { cookie }),
          ...(csrf && { 'x-csrf-token': csrf }),
          ...(body && { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body && { body: JSON.stringify(body) }),
      })
      const set = response.headers.getSetCookie().map((one) => one.split(';')[0])
      if (set.length > 0) cookie = set.join('; ')
      const json = (await response.json()) as Record<string, unknown>
      if (typeof json['csrf'] === 'string') csrf = json['csrf']
      return { status: response.status, json, set: response.headers.getSetCookie() }
    }
    return { ask, cookie: () => cookie }
  }
  const last = (kind: string) => {
    const letter = [...kept.byName.values()].findLast((one) => one.letter.kind === kind)?.letter
    return letter && 'url' in letter ? (new URL(letter.url).searchParams.get('code') ?? '') : ''
  }
  async function person(email: string) {
    const one = client()
    await one.ask('POST', '/api/v1/account/sign-up', { email, name: 'Ada' })
    const factor = { kind: 'password', password: goodPassword }
    await one.ask('POST', '/api/v1/account/sign-up/confirm', { code: last('confirm-email'), factor })
    const limited = await one.ask('GET', '/api/v1/account/records')
    const begun = await one.ask('POST', '/api/v1/account/totp')
    const { ticket, secret } = begun.json as { ticket: string; secret: string }
    const code = codeAt(secret, room.clock.at)
    await one.ask('POST', '/api/v1/account/totp/confirm', { ticket, code })
    return { ...one, limited }
  }
  return { gateway, room, client, last, person }
}

let world: Awaited<ReturnType<typeof open>>
beforeAll(async () => {
  world = await open()
})
afterAll(async () => {
  await world.gateway.app.close()
})

describe('people at the API', () => {
  it('reach nothing but the account with one factor, and their own records with two', async () => {
    const [ada, ben] = [await world.person('ada@mail.example'), await world.person('ben@mail.example')]
    expect(ada.limited).toMatchObject({ status: 403, json: { code: 'missing-scope' } })
    const made = await ada.ask('POST', '/api/v1/account/records', { name: 'Anna', relationship: 'parent' })
    expect(made.status).toBe(201)
    const { recordId } = made.json as { recordId: string }
    const path = `/api/v1/account/records/${recordId}`
    expect((await ada.ask('GET', `${path}/sharing`)).status).toBe(200)
    for (const [method, to, body] of [
      ['GET', `${path}/sharing`],
      ['PATCH', path, { name: 'Mine' }],
      ['DELETE', path],
      ['POST', `${path}/restore`],
      ['GET', `${path}/invitations`],
      ['PUT', `${path}/privacy`, { personal: true, types: [] }],
    ] as const) {
      const theirs = await ben.ask(method, to, body)
      const nothing = await ben.ask(method, to.replace(recordId, '00000000-0000-4000-8000-000000000000'), body)
      const told = ({ status, json: { instance: _, ...json } }: typeof theirs) => ({ status, json })
      expect(theirs.status).toBe(404)
      expect(told(theirs)).toEqual(told(nothing))
    }
    const alone = await ada.ask('GET', '/api/v1/account')
    const last = await ada.ask('DELETE', `${path}/members/${alone.json['id']}`)
    expect(last).toMatchObject({ status: 409, json: { healthvaultStatus: 47 } })
  })

  it('change nothing without the token of their session, or from another origin', async () => {
    const ada = await world.person('cleo@mail.example')
    const without = (headers: Record<string, string>) =>
      ada.ask('POST', '/api/v1/account/records', { name: 'x' }, headers)
    expect(await without({ 'x-csrf-token': 'wrong' })).toMatchObject({ status: 403, json: { code: 'csrf' } })
    expect(await without({ origin: 'https://evil.example' })).toMatchObject({ status: 403, json: { code: 'csrf' } })
    expect(await without({ 'sec-fetch-site': 'cross-site' })).toMatchObject({ status: 403, json: { code: 'csrf' } })
    expect((await without({ origin })).status).toBe(201)
    const foreign = await world
      .client()
      .ask(
        'POST',
        '/api/v1/account/sign-in',
        { email: 'x@y.example', password: 'x' },
        { origin: 'https://evil.example' },
      )
    expect(foreign.json['code']).toBe('csrf')
  })

  it('take no field that is not theirs to set, and prove themselves anew for what is dangerous', async () => {
    const ada = await world.person('dora@mail.example')
    const mass = await ada.ask('PATCH', '/api/v1/account', { name: 'Dora', state: 'closed', epoch: 99 })
    expect(mass).toMatchObject({ status: 400, json: { code: 'invalid-request' } })
    world.room.clock.at += 11 * 60_000
    const late = await ada.ask('POST', '/api/v1/account/recovery-codes')
    expect(late).toMatchObject({ status: 403, json: { code: 'prove-again' } })
    const record = '/api/v1/account/records/00000000-0000-4000-8000-000000000000'
    const rules = [{ name: 'read', reason: { en: 'x' }, permissions: ['read'] }]
    const invitation = { email: 'eve@mail.example', relationship: 'aunt', custodian: false, rules }
    for (const [method, path, body] of [
      ['DELETE', record],
      ['POST', `${record}/invitations`, invitation],
      ['POST', `${record}/guardian`],
      ['POST', `${record}/members/00000000-0000-4000-8000-000000000000/confirm`],
    ] as const)
      expect(await ada.ask(method, path, body), path).toMatchObject({ status: 403, json: { code: 'prove-again' } })
  })

  it('are out with the end of their session', async () => {
    const ada = await world.person('edna@mail.example')
    const { json } = await ada.ask('GET', '/api/v1/account/sessions')
    const { sessions } = json as { sessions: { id: string; current: boolean }[] }
    expect(sessions.filter(({ current }) => current).length).toBe(1)
    await ada.ask('DELETE', `/api/v1/account/sessions/${sessions.find(({ current }) => current)?.id}`)
    expect((await ada.ask('GET', '/api/v1/account')).status).toBe(401)
  })
})
