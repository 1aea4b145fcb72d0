import { decodeJwt } from 'jose'
import { beforeAll, describe, expect, it } from 'vitest'
import type { App } from '../../src/consent/consent.js'
import {
  authorizeUrl,
  browserOf,
  codeFor,
  exchange,
  from,
  issuer,
  nativeApp,
  type OauthWorld,
  openOauthWorld,
  post,
  refresh,
  webApp,
} from './world.js'

let world: OauthWorld
let app: App
let native: App

beforeAll(async () => {
  world = await openOauthWorld()
  app = await world.register(webApp)
  native = await world.register(nativeApp)
})

const caller = (token: string) =>
  world.oauth.authenticate(token, { scheme: 'Bearer', method: 'GET', path: '/fhir/Condition' })

describe('a code with PKCE', () => {
  it('gives a token for the record that the person chose, under its pseudonym', async () => {
    const { code, location } = await codeFor(world, app)
    expect(location.origin + location.pathname).toBe('https://well.example/cb')
    expect(location.searchParams.get('state')).toBe('state-of-the-client')
    expect(location.searchParams.get('iss')).toBe(issuer)
    const answer = await exchange(world, app, code)
    const body = answer.json()
    expect(body).toMatchObject({
      token_type: 'Bearer',
      expires_in: 900,
      scope: 'launch/patient patient/Condition.rs',
      patient: world.consents.pseudonyms.record(app.id, 'child'),
      need_patient_banner: true,
    })
    expect(body).not.toHaveProperty('refresh_token')
    expect(answer.body).not.toContain('mother')
    expect(await caller(body.access_token)).toMatchObject({
      by: `app:${app.id}`,
      scopes: ['record:read'],
      reach: { kind: 'grant', app: app.id, person: 'mother', record: 'child', avenue: 'online' },
    })
  })

  it('is told who the person is by a pseudonym, in the id_token and by userinfo', async () => {
    const { code } = await codeFor(world, app, { scope: 'openid fhirUser launch/patient patient/*.rs', nonce: 'n1' })
    const { id_token, access_token } = (await exchange(world, app, code)).json()
    const sub = world.consents.pseudonyms.person(app.id, 'mother')
    const claims = decodeJwt(id_token)
    expect(claims).toMatchObject({
      iss: issuer,
      aud: app.id,
      sub,
      nonce: 'n1',
      fhirUser: `${issuer}/fhir/Person/${sub}`,
    })
    const told = await world.server.inject({
      url: '/oauth/userinfo',
      headers: { authorization: `Bearer ${access_token}` },
    })
    expect(told.json()).toEqual({ sub, fhirUser: `${issuer}/fhir/Person/${sub}` })
  })

  it('narrows what is asked to what was granted, and says so', async () => {
    const { code } = await codeFor(world, app, { scope: 'patient/*.cruds patient/Observation.rs' })
    const { scope, access_token } = (await exchange(world, app, code)).json()
    expect(scope.split(' ')).toContain('patient/Condition.rs')
    expect(scope).not.toContain('Observation')
    expect(scope).not.toMatch(/\.c|\.u|\.d/)
    expect((await caller(access_token))?.scopes).toEqual(['record:read'])
  })

  it('gives an optional rule only where it was ticked', async () => {
    const scope = 'patient/Condition.rs patient/Observation.rs?category=vital-signs'
    const { code } = await codeFor(world, app, { scope }, { online: ['vitals'] })
    expect((await exchange(world, app, code)).json().scope).toContain('Observation')
  })

  it('keeps the spelling of version 1 where all of it was granted', async () => {
    const { code } = await codeFor(world, app, { scope: 'patient/Condition.read' })
    expect((await exchange(world, app, code)).json().scope).toBe('patient/Condition.read')
  })

  it('is refused where no scope could ever be granted', async () => {
    const answer = await browserOf(world).get(authorizeUrl(app, { scope: 'patient/Coverage.rs' }))
    expect(new URL(String(answer.headers.location)).searchParams.get('error')).toBe('invalid_scope')
  })

  it('comes by a form as well (authorize-post), however long', async () => {
    const url = new URL(authorizeUrl(app, { state: 's'.repeat(20_000) }), issuer)
    const answer = await post(world, '/oauth/authorize', Object.fromEntries(url.searchParams))
    expect(answer.statusCode).toBe(303)
    expect(answer.headers.location).toMatch(/^\/authorize\//)
  })

  it('comes by a pushed request as well, offline_access included', async () => {
    const url = new URL(authorizeUrl(app, { scope: 'patient/Condition.rs offline_access' }), issuer)
    const pushed = await post(world, '/oauth/par', Object.fromEntries(url.searchParams))
    expect(pushed.statusCode).toBe(201)
    const { request_uri } = pushed.json()
    const browser = browserOf(world)
    const query = new URLSearchParams({ client_id: app.id, request_uri })
    const began = await browser.get(`/oauth/authorize?${query}`)
    const request = await world.oauth.decisions.request(browser.uidIn(began.headers.location), browser.cookie())
    expect(request).toMatchObject({ avenue: 'offline', words: ['patient/Condition.rs', 'offline_access'] })
  })

  it.each([
    ['no challenge', { code_challenge: undefined, code_challenge_method: undefined }],
    ['a plain challenge', { code_challenge_method: 'plain' }],
    ['a challenge without its method', { code_challenge_method: undefined }],
    ['an implicit grant', { response_type: 'token' }],
    ['a hybrid grant', { response_type: 'code id_token', nonce: 'x', scope: 'openid' }],
    ['an answer in the fragment', { response_mode: 'fragment' }],
    ['another audience', { aud: 'https://evil.example/fhir' }],
    ['another resource', { resource: 'https://evil.example/' }],
    ['a launch from elsewhere', { launch: 'abc' }],
    ['a request object', { request: 'eyJhbGciOiJub25lIn0.e30.' }],
    ['a question without a person', { prompt: 'none' }],
  ])('is refused for %s', async (_, more) => {
    const answer = await browserOf(world).get(authorizeUrl(app, more))
    expect(answer.headers.location).not.toMatch(/^\/authorize\//)
    const { searchParams, hash } = new URL(String(answer.headers.location))
    expect((searchParams.get('error') ?? hash) !== '').toBe(true)
    expect(searchParams.get('code')).toBeNull()
  })

  it('is never given by a form', async () => {
    const answer = await browserOf(world).get(authorizeUrl(app, { response_mode: 'form_post' }))
    expect(answer.headers.location).toBeUndefined()
    expect(answer.body).toContain('invalid_request')
  })

  it.each([
    'https://well.example/cb/',
    'https://well.example/cb?x=1',
    'https://well.example/cb/../cb',
    'https://well.example.evil.example/cb',
    'https://well.example@evil.example/cb',
    'https://WELL.example/cb',
    'https://well.example:443/cb',
    'http://well.example/cb',
    '//well.example/cb',
    'javascript:alert(1)',
    'https://well.example/cb#x',
    'https://well.example/%63b',
    '',
  ])('never redirects to %s', async (redirect_uri) => {
    const answer = await browserOf(world).get(authorizeUrl(app, { redirect_uri }))
    expect(answer.headers.location).toBeUndefined()
    expect(answer.statusCode).toBe(400)
  })

  it('goes back to any port of a loopback redirect of a native application (RFC 8252 §7.3)', async () => {
    const redirect_uri = 'http://127.0.0.1:51234/cb'
    const { code, location } = await codeFor(world, native, { redirect_uri })
    expect(location.host).toBe('127.0.0.1:51234')
    expect((await exchange(world, native, code, { redirect_uri })).statusCode).toBe(200)
  })

  it('is good once: a second use ends what the first one gave', async () => {
    const { code } = await codeFor(world, app)
    const first = (await exchange(world, app, code)).json()
    expect((await exchange(world, app, code)).json().error).toBe('invalid_grant')
    expect(await caller(first.access_token)).toBeUndefined()
  })

  it('is good once for many that use it at the same moment', async () => {
    const { code } = await codeFor(world, app)
    const answers = await Promise.all(Array.from({ length: 10 }, () => exchange(world, app, code)))
    expect(answers.filter(({ statusCode }) => statusCode === 200).length).toBeLessThanOrEqual(1)
  })

  it.each([
    ['another verifier', { code_verifier: 'x'.repeat(43) }],
    ['no verifier', { code_verifier: '' }],
    ['another redirect', { redirect_uri: 'https://well.example/other' }],
  ])('is not exchanged with %s', async (_, more) => {
    const { code } = await codeFor(world, app)
    expect((await exchange(world, app, code, more)).statusCode).toBe(400)
  })

  it('is not exchanged by another application', async () => {
    const { code } = await codeFor(world, app)
    expect((await exchange(world, native, code, { redirect_uri: 'https://well.example/cb' })).statusCode).toBe(400)
  })
})

describe('a refresh token', () => {
  const offline = { scope: 'patient/Condition.rs offline_access' }

  it('is given for offline_access where there are rules for it, and works without the person', async () => {
    const { code, session } = await codeFor(world, app, offline)
    const first = (await exchange(world, app, code)).json()
    expect(first.scope).toBe('patient/Condition.rs offline_access')
    world.live.delete(session.id)
    const second = (await refresh(world, app, first.refresh_token)).json()
    expect(second).toMatchObject({ patient: first.patient, scope: first.scope })
    expect(await caller(second.access_token)).toMatchObject({ reach: { avenue: 'offline' } })
  })

  it('is rotated; an old one used again ends the family, the new one included', async () => {
    const { code } = await codeFor(world, app, offline)
    const first = (await exchange(world, app, code)).json()
    const second = (await refresh(world, app, first.refresh_token)).json()
    expect(second.refresh_token).not.toBe(first.refresh_token)
    expect((await refresh(world, app, first.refresh_token)).json().error).toBe('invalid_grant')
    expect((await refresh(world, app, second.refresh_token)).json().error).toBe('invalid_grant')
    expect(await caller(second.access_token)).toBeUndefined()
  })

  it('never gives more than the person granted', async () => {
    const { code } = await codeFor(world, app, offline)
    const { refresh_token } = (await exchange(world, app, code)).json()
    const more = await refresh(world, app, refresh_token, { scope: 'patient/*.cruds offline_access' })
    expect(more.json().error).toBe('invalid_scope')
  })

  it('ends with the session where the application only comes with the person', async () => {
    const { code, session } = await codeFor(world, app, { scope: 'patient/Condition.rs online_access' })
    const { refresh_token, access_token } = (await exchange(world, app, code)).json()
    const again = (await refresh(world, app, refresh_token)).json()
    expect(await caller(again.access_token)).toBeDefined()
    world.live.delete(session.id)
    expect(await caller(access_token)).toBeUndefined()
    expect(await caller(again.access_token)).toBeUndefined()
    expect((await refresh(world, app, again.refresh_token)).json().error).toBe('invalid_grant')
  })

  it('ends at once with the consent, by either side', async () => {
    const { code } = await codeFor(world, native, offline)
    const { refresh_token, access_token } = (await exchange(world, native, code)).json()
    const grant = await world.consents.find(native.id, 'mother', 'child')
    await world.consents.revoke(grant?.id ?? '', 'person', from)
    expect(await caller(access_token)).toBeUndefined()
    expect((await refresh(world, native, refresh_token)).json().error).toBe('invalid_grant')
  })

  it('ends when the application revokes it, with its access tokens (RFC 7009 §2.1)', async () => {
    const { code } = await codeFor(world, app, offline)
    const { refresh_token, access_token } = (await exchange(world, app, code)).json()
    const revoked = await post(world, '/oauth/revoke', { token: refresh_token, client_id: app.id })
    expect(revoked.statusCode).toBe(200)
    expect(await caller(access_token)).toBeUndefined()
    expect((await refresh(world, app, refresh_token)).json().error).toBe('invalid_grant')
  })

  it('is not revoked by another application', async () => {
    const { code } = await codeFor(world, app, offline)
    const { refresh_token } = (await exchange(world, app, code)).json()
    await post(world, '/oauth/revoke', { token: refresh_token, client_id: native.id })
    expect((await refresh(world, app, refresh_token)).statusCode).toBe(200)
  })
})

describe('introspection', () => {
  it('tells an application of its own tokens, and nobody else', async () => {
    const { code } = await codeFor(world, app)
    const { access_token, patient } = (await exchange(world, app, code)).json()
    const own = (await post(world, '/oauth/introspect', { token: access_token, client_id: app.id })).json()
    expect(own).toMatchObject({
      active: true,
      client_id: app.id,
      scope: 'launch/patient patient/Condition.rs',
      patient,
    })
    expect(JSON.stringify(own)).not.toContain('mother')
    const other = (await post(world, '/oauth/introspect', { token: access_token, client_id: native.id })).json()
    expect(other).toEqual({ active: false })
  })

  it('calls a token of an ended session inactive', async () => {
    const { code, session } = await codeFor(world, app)
    const { access_token } = (await exchange(world, app, code)).json()
    world.live.delete(session.id)
    const told = (await post(world, '/oauth/introspect', { token: access_token, client_id: app.id })).json()
    expect(told).toEqual({ active: false })
  })
})

describe('the decision of a person', () => {
  it('is taken only in the browser in which the request began', async () => {
    const began = browserOf(world)
    const uid = began.uidIn((await began.get(authorizeUrl(app))).headers.location)
    const victim = browserOf(world)
    expect(await world.oauth.decisions.request(uid, victim.cookie())).toBeUndefined()
    const choice = { session: world.session(), record: 'child', online: [], offline: [] }
    expect(await world.oauth.decisions.allow(uid, victim.cookie(), choice, from)).toEqual({ kind: 'gone' })
    expect(await world.oauth.decisions.request(uid, began.cookie())).toBeDefined()
  })

  it('is taken once', async () => {
    const browser = browserOf(world)
    const uid = browser.uidIn((await browser.get(authorizeUrl(app))).headers.location)
    const choice = { session: world.session(), record: 'child', online: [], offline: [] }
    const all = await Promise.all(
      Array.from({ length: 5 }, () => world.oauth.decisions.allow(uid, browser.cookie(), choice, from)),
    )
    expect(all.filter(({ kind }) => kind === 'done')).toHaveLength(1)
    expect(await world.oauth.decisions.deny(uid, browser.cookie())).toEqual({ kind: 'gone' })
  })

  it('against it is told to the application, with its state', async () => {
    const browser = browserOf(world)
    const uid = browser.uidIn((await browser.get(authorizeUrl(app))).headers.location)
    const decided = await world.oauth.decisions.deny(uid, browser.cookie())
    const back = await browser.get(new URL((decided as { location: string }).location).pathname)
    const { searchParams } = new URL(String(back.headers.location))
    expect(Object.fromEntries(searchParams)).toMatchObject({
      error: 'access_denied',
      state: 'state-of-the-client',
      iss: issuer,
    })
  })

  it('cannot be for a record of somebody else', async () => {
    const browser = browserOf(world)
    const uid = browser.uidIn((await browser.get(authorizeUrl(app))).headers.location)
    const choice = { session: world.session(), record: 'neighbour', online: [], offline: [] }
    expect((await world.oauth.decisions.allow(uid, browser.cookie(), choice, from)).kind).toBe('no-such-record')
  })

  it('serves two applications after one another in the same browser', async () => {
    const browser = browserOf(world)
    for (const one of [app, native, app]) {
      const uid = browser.uidIn((await browser.get(authorizeUrl(one))).headers.location)
      const choice = { session: world.session(), record: 'child', online: [], offline: [] }
      const decided = await world.oauth.decisions.allow(uid, browser.cookie(), choice, from)
      const back = await browser.get(new URL((decided as { location: string }).location).pathname)
      expect(new URL(String(back.headers.location)).searchParams.get('code')).toMatch(/^[\w-]{43}$/)
    }
  })
})

describe('an access token', () => {
  it('is taken from no query', async () => {
    const { code } = await codeFor(world, app, { scope: 'openid' })
    const { access_token } = (await exchange(world, app, code)).json()
    const answer = await world.server.inject({ url: `/oauth/userinfo?access_token=${access_token}` })
    expect(answer.statusCode).toBe(400)
  })

  it('that only says who somebody is opens no record', async () => {
    const { code } = await codeFor(world, app, { scope: 'openid' })
    const body = (await exchange(world, app, code)).json()
    expect(body).not.toHaveProperty('patient')
    expect(await caller(body.access_token)).toBeUndefined()
  })

  it('ends with the application', async () => {
    const { code } = await codeFor(world, app)
    const { access_token } = (await exchange(world, app, code)).json()
    await world.apps.setState(app.id, 'disabled', 'operator')
    expect(await caller(access_token)).toBeUndefined()
    await world.apps.setState(app.id, 'active', 'operator')
    expect(await caller(access_token)).toBeDefined()
  })

  it('ends with its time', async () => {
    const { code } = await codeFor(world, app)
    const { access_token } = (await exchange(world, app, code)).json()
    world.skew.ms = 901_000
    expect(await caller(access_token)).toBeUndefined()
    world.skew.ms = 0
  })

  it.each(['', 'x', `${'x'.repeat(42)}é`, `dgt_${'x'.repeat(43)}`, 'x'.repeat(100_000)])(
    'is not %j',
    async (secret) => {
      expect(await caller(secret)).toBeUndefined()
    },
  )
})

describe('an application in a browser', () => {
  it('is answered at the token endpoint where it comes back to, and at no other place', async () => {
    const url = '/oauth/token'
    const form = {
      grant_type: 'authorization_code',
      client_id: app.id,
      code: 'x',
      redirect_uri: 'https://well.example/cb',
    }
    const at = async (origin: string, client_id = app.id) => {
      const { headers } = await post(world, url, { ...form, client_id, code_verifier: 'v'.repeat(43) }, { origin })
      return [headers['access-control-allow-origin'], headers['access-control-allow-credentials']]
    }
    expect(await at('https://well.example')).toEqual(['https://well.example', undefined])
    for (const origin of ['https://evil.example', 'http://well.example', 'https://well.example.evil.example', 'null'])
      expect(await at(origin)).toEqual([undefined, undefined])
    expect(await at('null', native.id)).toEqual([undefined, undefined])
    const asks = { origin: 'https://well.example', 'access-control-request-method': 'POST' }
    const preflight = await world.server.inject({ method: 'OPTIONS', url, headers: asks })
    expect([preflight.statusCode, preflight.headers['access-control-allow-credentials']]).toEqual([204, undefined])
  })
})
