import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { asToken, type Backend, register, rule } from './healthvault/clinic.js'
import { type House, openHouse, problem } from './healthvault/house.js'
import { noteItem, problemItem } from './healthvault/items.js'
import { type Person, signIn, signUp } from './healthvault/people.js'
import {
  authorizePath,
  browserOf,
  decide,
  exchange,
  locationOf,
  redirectUri,
  refresh,
  tokensFor,
} from './healthvault/web.js'

/** HealthVault's web authorization, behaviour by behaviour, against one built gateway. */

const rules = {
  online: [rule('see'), rule('vitals', { types: ['vital-sign'], optional: true as const })],
  offline: [rule('sync', { types: ['problem'], optional: true as const })],
}

let house: House
let app: Backend
let mother: Person
let stranger: Person
let child: string

const registerWeb = (more: Parameters<typeof register>[1] = {}) =>
  register(house, { kind: 'web', rules, may: [], redirect: [redirectUri], ...more })

beforeAll(async () => {
  house = await openHouse()
  ;[app, mother, stranger] = await Promise.all([registerWeb(), signUp(house, 'Mother'), signUp(house, 'Stranger')])
  child = await mother.record('Anna', { relationship: 'parent' })
})
afterAll(() => house.close())

const items = (record: string, query = '') => `/api/v1/records/${record}/items${query}`

describe('web authorization', () => {
  it('goes from the page of the application to a record and back with its state', async () => {
    const back = await decide(house, mother, { client: app.id }, { record: child })
    expect(back.origin + back.pathname).toBe(redirectUri)
    expect(back.searchParams.get('state')).toBe('its-own-state')
    const answer = await exchange(house, app.id, back.searchParams.get('code') ?? '')
    const { access_token: token, patient } = answer.json<{ access_token: string; patient: string }>()
    expect(patient).not.toBe(child)
    const put = { changes: [{ kind: 'create', item: problemItem('Fever') }] }
    expect((await asToken(house, token, 'POST', items(patient), put)).status).toBe(200)
    expect((await asToken(house, token, 'GET', items(patient))).json()).toMatchObject({
      items: [{ recordId: patient }],
    })
  })

  it('leads to no redirect but one that is registered, letter by letter', async () => {
    const evil = [
      `${redirectUri}/`,
      `${redirectUri}?x=1`,
      `${redirectUri}#x`,
      'https://well.example.evil.example/cb',
      'https://well.example@evil.example/cb',
      'https://evil.example/cb',
      'http://well.example/cb',
      'HTTPS://WELL.EXAMPLE/cb',
      '//well.example/cb',
      'javascript:alert(1)',
    ]
    for (const redirect of evil) {
      const answer = await browserOf(house, mother).go(authorizePath(house, { client: app.id, redirect }))
      expect([redirect, answer.status, locationOf(answer)]).toEqual([redirect, 400, ''])
    }
  })

  it('after signing in leads to no page but our own', async () => {
    for (const next of ['https://evil.example/', '//evil.example', '/\\evil.example', 'javascript:alert(1)']) {
      const browser = browserOf(house)
      const page = await browser.go(`/sign-in?next=${encodeURIComponent(next)}`)
      const csrf = /name="csrf" value="([^"]+)"/.exec(page.bytes.toString())?.[1] ?? ''
      const { email, password } = mother
      const entered = await browser.go('/sign-in', { csrf, next, email, password })
      expect([entered.status, locationOf(entered)]).toEqual([303, '/records'])
    }
  })

  it('a no is told to the application with its state, and nothing is granted', async () => {
    const back = await decide(house, mother, { client: app.id, state: 'mine' }, { record: child, decision: 'deny' })
    expect(back.origin + back.pathname).toBe(redirectUri)
    expect(back.searchParams.get('error')).toBe('access_denied')
    expect(back.searchParams.get('state')).toBe('mine')
    expect(back.searchParams.get('code')).toBeNull()
  })

  it('without PKCE, or with the plain kind, nothing is asked', async () => {
    for (const more of [{ code_challenge: '', code_challenge_method: '' }, { code_challenge_method: 'plain' }]) {
      const answer = await browserOf(house, mother).go(authorizePath(house, { client: app.id, more }))
      expect(locationOf(answer)).toContain('error=invalid_request')
    }
  })

  it('an optional rule that was not ticked is no scope, and 403 (11) on its kind of item alone', async () => {
    const other = await registerWeb()
    const scope = 'launch/patient patient/Condition.cruds patient/Observation.cruds'
    const {
      scope: given,
      access_token: token,
      patient,
    } = await tokensFor(house, mother, { client: other.id, scope }, { record: child })
    expect(given).toContain('patient/Condition.cruds')
    expect(given).not.toContain('Observation')
    expect((await asToken(house, token, 'GET', items(patient, '?type=problem'))).status).toBe(200)
    expect(problem(await asToken(house, token, 'GET', items(patient, '?type=vital-sign')))).toBe('403 access-denied 11')
    const ticked = await tokensFor(house, mother, { client: other.id, scope }, { record: child, online: ['vitals'] })
    expect(ticked.scope).toContain('Observation')
    expect((await asToken(house, ticked.access_token, 'GET', items(patient, '?type=vital-sign'))).status).toBe(200)
  })

  it('an online token is dead after signing out, an offline one lives', async () => {
    const other = await registerWeb()
    const visit = await signIn(house, mother)
    const online = await tokensFor(house, visit, { client: other.id }, { record: child, offline: ['sync'] })
    const scope = 'launch/patient patient/*.cruds offline_access'
    const offline = await tokensFor(house, visit, { client: other.id, scope }, { record: child, offline: ['sync'] })
    const reads = async (token: string) => (await asToken(house, token, 'GET', items(online.patient))).status
    expect([await reads(online.access_token), await reads(offline.access_token)]).toEqual([200, 200])
    const out = await browserOf(house, visit).go('/sign-out', { csrf: visit.csrf })
    expect(out.status).toBe(303)
    expect([await reads(online.access_token), await reads(offline.access_token)]).toEqual([401, 200])
  })

  it('another record that is chosen later gives another patient, and each token keeps to its own', async () => {
    const sibling = await mother.record('Ben', { relationship: 'parent' })
    const one = await tokensFor(house, mother, { client: app.id }, { record: child })
    const two = await tokensFor(house, mother, { client: app.id }, { record: sibling })
    expect(one.patient).not.toBe(two.patient)
    for (const [token, own, other] of [
      [one.access_token, one.patient, two.patient],
      [two.access_token, two.patient, one.patient],
    ] as const) {
      expect((await asToken(house, token, 'GET', items(own))).status).toBe(200)
      expect(problem(await asToken(house, token, 'GET', items(other)))).toBe('404 not-found')
    }
  })

  it('ids of one person and record are others for every application', async () => {
    const other = await registerWeb()
    const [one, two] = [
      await tokensFor(house, mother, { client: app.id }, { record: child }),
      await tokensFor(house, mother, { client: other.id }, { record: child }),
    ]
    expect(one.patient).not.toBe(two.patient)
    expect(problem(await asToken(house, one.access_token, 'GET', items(two.patient)))).toBe('404 not-found')
    expect(problem(await asToken(house, one.access_token, 'GET', items(child)))).toBe('404 not-found')
  })

  it('rules that grew are asked again, and what was granted goes on meanwhile', async () => {
    const other = await registerWeb()
    const { access_token: token, patient } = await tokensFor(house, mother, { client: other.id }, { record: child })
    const question = async () =>
      (await mother.ask('GET', `/api/v1/consents/question?app=${other.id}&record=${child}`)).json<{ action: string }>()
        .action
    expect(await question()).toBe('none')
    const wider = { ...rules, online: [rule('see', { types: ['problem', 'document', 'note', 'allergy'] })] }
    const file = join(house.folder, 'wider.json')
    writeFileSync(file, JSON.stringify(wider))
    await house.cli('app', 'update', other.id, '--rules', file)
    expect(await question()).toBe('reauthorization-required')
    expect((await asToken(house, token, 'GET', items(patient, '?type=problem'))).status).toBe(200)
    expect(problem(await asToken(house, token, 'GET', items(patient, '?type=allergy')))).toBe('403 access-denied 11')
    await tokensFor(house, mother, { client: other.id }, { record: child })
    expect(await question()).toBe('none')
  })

  it('a token says no more than was asked for, whatever is asked for later', async () => {
    const scope = 'launch/patient patient/Condition.rs'
    const {
      access_token: token,
      patient,
      scope: given,
    } = await tokensFor(house, mother, { client: app.id, scope }, { record: child })
    expect(given.split(' ').sort()).toEqual(['launch/patient', 'patient/Condition.rs'])
    const put = { changes: [{ kind: 'create', item: noteItem('x') }] }
    expect((await asToken(house, token, 'POST', items(patient), put)).status).toBe(403)
    for (const more of ['system/*.cruds', 'user/*.cruds', 'connect', 'operator'])
      await expect(tokensFor(house, mother, { client: app.id, scope: more }, { record: child })).rejects.toThrow()
  })

  it("a person cannot grant what is somebody else's", async () => {
    await expect(tokensFor(house, stranger, { client: app.id }, { record: child })).rejects.toThrow()
    const body = { app: app.id, record: child }
    expect(problem(await stranger.ask('POST', '/api/v1/consents', body))).toBe('404 not-found')
  })

  it('a code is used once, and used twice it ends what it gave', async () => {
    const back = await decide(house, mother, { client: app.id }, { record: child })
    const code = back.searchParams.get('code') ?? ''
    const first = (await exchange(house, app.id, code)).json<{ access_token: string; patient: string }>()
    expect((await exchange(house, app.id, code)).json()).toMatchObject({ error: 'invalid_grant' })
    expect((await asToken(house, first.access_token, 'GET', items(first.patient))).status).toBe(401)
  })

  it('a refresh token that was stolen and used twice ends the whole line', async () => {
    const scope = 'launch/patient patient/*.cruds offline_access'
    const other = await registerWeb()
    const { refresh_token: old = '' } = await tokensFor(
      house,
      mother,
      { client: other.id, scope },
      { record: child, offline: ['sync'] },
    )
    const next = (await refresh(house, other.id, old)).json<{
      refresh_token: string
      access_token: string
      patient: string
    }>()
    expect(next.refresh_token).not.toBe(old)
    expect((await refresh(house, other.id, old)).json()).toMatchObject({ error: 'invalid_grant' })
    expect((await refresh(house, other.id, next.refresh_token)).json()).toMatchObject({ error: 'invalid_grant' })
    expect((await asToken(house, next.access_token, 'GET', items(next.patient))).status).toBe(401)
  })

  it('a grant that was revoked ends its tokens with the next request', async () => {
    const other = await registerWeb()
    const { access_token: token, patient } = await tokensFor(house, mother, { client: other.id }, { record: child })
    const listed = (await mother.ask('GET', `/api/v1/grants?record=${child}`)).json<{
      grants: { id: string; app: { id: string } }[]
    }>()
    const grant = listed.grants.find((one) => one.app.id === other.id)?.id
    expect((await mother.ask('DELETE', `/api/v1/grants/${grant}`)).status).toBe(200)
    expect((await asToken(house, token, 'GET', items(patient))).status).toBeGreaterThanOrEqual(401)
  })
})
