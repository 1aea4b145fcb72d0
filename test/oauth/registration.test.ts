import fc from 'fast-check'
import { SignJWT, UnsecuredJWT } from 'jose'
import { beforeAll, describe, expect, it } from 'vitest'
import type { App } from '../../src/consent/consent.js'
import {
  assertion,
  codeFor,
  exchange,
  from,
  issuer,
  type Key,
  newKey,
  type OauthWorld,
  openOauthWorld,
  post,
  rules,
} from './world.js'

let world: OauthWorld
let key: Key
let master: App

beforeAll(async () => {
  world = await openOauthWorld({ limits: { registrations: { burst: 10_000, perHour: 1 }, installationsPerPerson: 2 } })
  key = await newKey('ES256')
  master = await world.register({ kind: 'master', name: 'Pocket', jwks: { keys: [key.jwk] }, may: ['register'], rules })
})

const redirect_uris = ['com.example.pocket:/cb', 'http://127.0.0.1/cb', 'https://pocket.example/cb']

async function statement(claims: object = {}, by = key, header: object = {}, iss = master.id) {
  return new SignJWT({ ...claims })
    .setProtectedHeader({ alg: by.alg, kid: by.jwk.kid ?? '', ...header })
    .setIssuer(iss)
    .setAudience(issuer)
    .sign(by.privateKey)
}

async function register(body: unknown, headers: Record<string, string> = {}) {
  return world.server.inject({
    method: 'POST',
    url: '/oauth/register',
    headers: { 'content-type': 'application/json', ...headers },
    payload: typeof body === 'string' ? body : JSON.stringify(body),
  })
}

const manage = (method: 'GET' | 'PUT' | 'DELETE', id: string, token: string, body?: object) =>
  world.server.inject({
    method,
    url: `/oauth/register/${id}`,
    headers: { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) },
    ...(body && { payload: JSON.stringify(body) }),
  })

describe('an installation', () => {
  it('is registered by a statement of its master, and has its rules', async () => {
    const answer = await register({ redirect_uris, client_name: 'On a phone', software_statement: await statement() })
    expect(answer.statusCode).toBe(201)
    const body = answer.json()
    expect(body).toMatchObject({ redirect_uris, token_endpoint_auth_method: 'none', application_type: 'native' })
    const app = await world.apps.get(body.client_id)
    expect(app).toMatchObject({ kind: 'native', master: master.id, rules, may: [] })
    expect((await world.apps.children(master.id)).map(({ id }) => id)).toContain(body.client_id)
    const { code } = await codeFor(world, app as App)
    expect((await exchange(world, app as App, code)).statusCode).toBe(200)
  })

  it('takes nothing beside what an installation may say of itself', async () => {
    const more = { may: ['register'], kind: 'master', rules: { online: 'all' }, scope: 'system/*.cruds', master: 'x' }
    const body = (await register({ redirect_uris, software_statement: await statement(), ...more })).json()
    expect(await world.apps.get(body.client_id)).toMatchObject({ kind: 'native', master: master.id, may: [], rules })
  })

  it('is registered by a ticket once', async () => {
    const form = { grant_type: 'client_credentials', scope: 'register', ...(await assertion(master, key)) }
    const { access_token } = (await post(world, '/oauth/token', form)).json()
    const made = await world.server.inject({
      method: 'POST',
      url: '/oauth/register/ticket',
      headers: { authorization: `Bearer ${access_token}` },
    })
    expect(made.statusCode).toBe(201)
    const headers = { authorization: `Bearer ${made.json().initial_access_token}` }
    const all = await Promise.all(Array.from({ length: 5 }, () => register({ redirect_uris }, headers)))
    expect(all.filter(({ statusCode }) => statusCode === 201)).toHaveLength(1)
    expect(all.filter(({ statusCode }) => statusCode === 401)).toHaveLength(4)
  })

  it('reads, changes and ends itself, and no other', async () => {
    const one = (await register({ redirect_uris, software_statement: await statement() })).json()
    const two = (await register({ redirect_uris, software_statement: await statement() })).json()
    const { client_id: id, registration_access_token: token } = one
    expect((await manage('GET', id, token)).json()).toMatchObject({ client_id: id, redirect_uris })
    expect((await manage('GET', two.client_id, token)).statusCode).toBe(401)
    const changed = await manage('PUT', id, token, { client_id: id, client_name: 'New', redirect_uris: ['com.a.b:/x'] })
    expect(changed.json()).toMatchObject({ client_name: 'New', redirect_uris: ['com.a.b:/x'] })
    expect((await manage('PUT', id, token, { client_id: two.client_id, redirect_uris })).statusCode).toBe(400)
    expect((await manage('DELETE', id, token)).statusCode).toBe(204)
    expect((await manage('GET', id, token)).statusCode).toBe(401)
    expect((await world.apps.get(id))?.state).toBe('disabled')
    expect((await world.apps.get(two.client_id))?.state).toBe('active')
  })

  it.each([
    ['another key', async () => statement({}, await newKey('ES256'))],
    ['another issuer', async () => statement({}, key, {}, 'nobody')],
    ['no signature', async () => new UnsecuredJWT({ iss: master.id, aud: issuer }).encode()],
    [
      'an algorithm that is none',
      async () => (await statement()).replace(/^[^.]+/, Buffer.from('{"alg":"none"}').toString('base64url')),
    ],
    ['an end that is past', async () => statement({ exp: 1 })],
    ['a huge one', async () => statement({ x: 'x'.repeat(100_000) })],
    ['a number', async () => 1],
    ['nothing', async () => undefined],
    ['null', async () => null],
  ])('is not registered by %s', async (_, made) => {
    const answer = await register({ redirect_uris, software_statement: await made() })
    expect(answer.statusCode).toBeGreaterThanOrEqual(400)
    expect(answer.statusCode).toBeLessThan(500)
  })

  it.each([
    [['https://evil.example/cb', 'javascript:alert(1)']],
    [['http://evil.example/cb']],
    [['app:/cb']],
    [['x'.repeat(5000)]],
    [Array.from({ length: 100 }, (_, at) => `com.a.b:/${at}`)],
    ['https://evil.example/cb'],
    [[1]],
  ])('is not registered with the redirects %j', async (uris) => {
    const answer = await register({ redirect_uris: uris, software_statement: await statement() })
    expect(answer.statusCode).toBe(400)
  })

  it('keeps to the redirects that its statement names', async () => {
    const software_statement = await statement({ redirect_uris: [redirect_uris[0]] })
    expect((await register({ redirect_uris, software_statement })).json().error).toBe('invalid_redirect_uri')
    expect((await register({ redirect_uris: [redirect_uris[0]], software_statement })).statusCode).toBe(201)
  })

  it('keeps to what its statement says when it is changed', async () => {
    const own = [redirect_uris[0]]
    const software_statement = await statement({ redirect_uris: own, client_name: 'Pocket' })
    const made = (await register({ redirect_uris: own, software_statement })).json()
    const change = (uris: unknown[], client_name = 'Pocket') =>
      manage('PUT', made.client_id, made.registration_access_token, {
        ...{ client_id: made.client_id, redirect_uris: uris, client_name },
      })
    expect((await change(['https://evil.example/cb'])).json().error).toBe('invalid_redirect_uri')
    expect((await change(own, 'Your bank')).json()).toMatchObject({ redirect_uris: own, client_name: 'Pocket' })
    expect((await world.apps.get(made.client_id))?.redirectUris).toEqual(own)
  })

  it('is one of few that a person holds of one maker', async () => {
    const kinds: string[] = []
    for (let made = 0; made < 4; made++) {
      const { client_id } = (await register({ redirect_uris, software_statement: await statement() })).json()
      const app = (await world.apps.get(client_id)) as App
      kinds.push(
        await codeFor(world, app, {}, { person: 'father' }).then(
          () => 'done',
          (error: Error) => error.message,
        ),
      )
    }
    expect(kinds).toEqual(['done', 'done', 'too-many', 'too-many'])
    expect(from.person).toBe('mother')
  })

  it('answers in order whatever a body is', async () => {
    const signed = await statement()
    await fc.assert(
      fc.asyncProperty(fc.jsonValue({ maxDepth: 3 }), fc.string(), async (value, text) => {
        const body = typeof value === 'object' && value !== null && !Array.isArray(value) ? value : { jwks: value }
        for (const one of [
          value,
          text,
          { ...body, software_statement: signed },
          { redirect_uris: value, software_statement: signed },
        ]) {
          expect((await register(one as object)).statusCode).toBeLessThan(500)
        }
      }),
      { numRuns: 150 },
    )
  })
})
