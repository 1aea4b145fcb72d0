import { createHmac } from 'node:crypto'
import { SignJWT, UnsecuredJWT } from 'jose'
import { beforeAll, describe, expect, it } from 'vitest'
import type { App } from '../../src/consent/consent.js'
import { rule } from '../consent/world.js'
import { assertion, issuer, type Key, newKey, type OauthWorld, openOauthWorld, post, proof } from './world.js'

let world: OauthWorld
let key: Key
let other: Key
let clinic: App

const offline = [rule('all', { permissions: ['create', 'read', 'update'], types: ['problem', 'document'] })]

beforeAll(async () => {
  world = await openOauthWorld()
  key = await newKey()
  other = await newKey()
  clinic = await world.register({
    kind: 'clinic',
    name: 'Elm Street Practice',
    jwks: { keys: [key.jwk] },
    may: ['connect', 'drop-off'],
    rules: { online: [], offline },
  })
})

async function token(form: Readonly<Record<string, string>>, headers: Readonly<Record<string, string>> = {}) {
  return post(world, '/oauth/token', { grant_type: 'client_credentials', scope: 'connect', ...form }, headers)
}

describe('a backend (SMART Backend Services)', () => {
  it('gets a token for five minutes by a key, for what the operator let it do', async () => {
    const scope = 'connect drop-off register system/Condition.rs system/Coverage.rs'
    const answer = await token({ ...(await assertion(clinic, key)), scope })
    expect(answer.json()).toMatchObject({ token_type: 'Bearer', expires_in: 300 })
    expect(answer.json().scope).toBe('connect drop-off system/Condition.rs')
    const presented = { scheme: 'Bearer' as const, method: 'GET', path: '/' }
    expect(await world.oauth.authenticate(answer.json().access_token, presented)).toMatchObject({
      by: `app:${clinic.id}`,
      scopes: ['connect', 'drop-off', 'record:read'],
      reach: { kind: 'app', app: clinic.id },
    })
  })

  it('gets as much of a wide scope as its rules have', async () => {
    const wide = async (scope: string) => (await token({ ...(await assertion(clinic, key)), scope })).json().scope
    expect(await wide('system/Condition.cruds')).toBe('system/Condition.crus')
    expect((await wide('system/*.rs connect')).split(' ')).toEqual(
      expect.arrayContaining(['connect', 'system/Condition.rs', 'system/Binary.rs']),
    )
    expect(await wide('system/Coverage.cruds')).toBeUndefined()
  })

  it('reaches nobody whom it would reach with the scopes of a person', async () => {
    const { scope } = (await token({ ...(await assertion(clinic, key)), scope: 'patient/*.rs connect' })).json()
    expect(scope).toBe('connect')
  })

  it('uses an assertion once', async () => {
    const one = await assertion(clinic, key)
    expect((await token(one)).statusCode).toBe(200)
    expect((await token(one)).json().error).toBe('invalid_client')
  })

  it('uses an assertion once of many at the same moment', async () => {
    const one = await assertion(clinic, key)
    const all = await Promise.all(Array.from({ length: 10 }, () => token(one)))
    expect(all.filter(({ statusCode }) => statusCode === 200)).toHaveLength(1)
  })

  it.each([
    ['another audience', async () => assertion(clinic, key, { aud: 'https://evil.example/token' })],
    ['another key', async () => assertion(clinic, other)],
    ['an end that is past', async () => assertion(clinic, key, { exp: Math.floor(Date.now() / 1000) - 60 })],
    ['an end that is far', async () => assertion(clinic, key, { exp: Math.floor(Date.now() / 1000) + 3600 })],
    ['no signature', async () => forged(new UnsecuredJWT(claims()).encode())],
    ['a signature of the public key as a secret', async () => forged(await confused())],
    ['something else', async () => forged('x.y.z')],
    ['nothing', async () => ({ client_id: clinic.id })],
    ['a secret', async () => ({ client_id: clinic.id, client_secret: 'x' })],
  ])('is refused with %s', async (_, made) => {
    const answer = await token(await made())
    expect(answer.statusCode).toBeGreaterThanOrEqual(400)
    expect(answer.statusCode).toBeLessThan(500)
    expect(answer.json()).not.toHaveProperty('access_token')
  })

  it('comes only from its networks, where it has some', async () => {
    const home = await world.register({
      kind: 'clinic',
      name: 'Home',
      jwks: { keys: [key.jwk] },
      may: ['connect'],
      networks: ['192.0.2.0/24'],
    })
    expect((await token(await assertion(home, key))).json().error).toBe('invalid_client')
    const form = { grant_type: 'client_credentials', scope: 'connect', ...(await assertion(home, key)) }
    const answer = await world.server.inject({
      ...{ method: 'POST', url: '/oauth/token', remoteAddress: '192.0.2.9' },
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      payload: new URLSearchParams(form).toString(),
    })
    const { access_token } = answer.json()
    const from = (address: string) =>
      world.oauth.authenticate(access_token, { scheme: 'Bearer', method: 'GET', path: '/', address })
    expect(await from('192.0.2.9')).toBeDefined()
    expect(await from('198.51.100.1')).toBeUndefined()
  })

  function forged(client_assertion: string) {
    return { client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer', client_assertion }
  }
  function claims() {
    const exp = Math.floor(Date.now() / 1000) + 60
    return { iss: clinic.id, sub: clinic.id, aud: `${issuer}/oauth/token`, exp, jti: String(Math.random()) }
  }
  async function confused() {
    const head = Buffer.from(JSON.stringify({ alg: 'HS256', kid: key.jwk.kid })).toString('base64url')
    const body = Buffer.from(JSON.stringify(claims())).toString('base64url')
    const secret = JSON.stringify(key.jwk)
    return `${head}.${body}.${createHmac('sha256', secret).update(`${head}.${body}`).digest('base64url')}`
  }
})

describe('keys of a client at its own place', () => {
  it('are asked for through the port alone, over https alone', async () => {
    const asked: string[] = []
    const keys = Buffer.from(JSON.stringify({ keys: [key.jwk] }))
    const away = await openOauthWorld({
      fetch: async (url) => {
        asked.push(url)
        return url.includes('good')
          ? { kind: 'fetched', bytes: keys, validators: {} }
          : { kind: 'failed', detail: 'not a public address' }
      },
    })
    const register = (jwksUri: string) =>
      away.register({ kind: 'clinic', name: 'Away', jwksUri, may: ['connect'], rules: { online: [], offline } })
    const good = await register('https://good.example/jwks')
    const bad = await register('https://localhost/jwks')
    const form = { grant_type: 'client_credentials', scope: 'connect' }
    expect((await post(away, '/oauth/token', { ...form, ...(await assertion(good, key)) })).statusCode).toBe(200)
    expect((await post(away, '/oauth/token', { ...form, ...(await assertion(bad, key)) })).statusCode).toBe(401)
    expect(asked).toEqual(['https://good.example/jwks', 'https://localhost/jwks'])
  })
})

describe('a token bound to a key (DPoP)', () => {
  const url = `${issuer}/fhir/Condition`
  let holder: Key
  let bound: string

  beforeAll(async () => {
    holder = await newKey('ES256')
    const dpop = await proof(holder, 'POST', `${issuer}/oauth/token`)
    const answer = (await token(await assertion(clinic, key), { dpop })).json()
    expect(answer.token_type).toBe('DPoP')
    bound = answer.access_token
  })

  const use = (made: string | undefined, scheme: 'Bearer' | 'DPoP' = 'DPoP') =>
    world.oauth.authenticate(bound, {
      scheme,
      method: 'GET',
      path: '/fhir/Condition?code=1',
      ...(made !== undefined && { proof: made }),
    })

  it('opens with a proof for this request', async () => {
    expect(await use(await proof(holder, 'GET', url, { token: bound }))).toBeDefined()
  })

  it('opens with a proof once', async () => {
    const made = await proof(holder, 'GET', url, { token: bound })
    const all = await Promise.all(Array.from({ length: 5 }, () => use(made)))
    expect(all.filter((one) => one !== undefined)).toHaveLength(1)
  })

  it.each([
    ['another method', async () => proof(holder, 'POST', url, { token: bound })],
    ['another place', async () => proof(holder, 'GET', `${issuer}/fhir/Patient`, { token: bound })],
    ['another host', async () => proof(holder, 'GET', 'https://evil.example/fhir/Condition', { token: bound })],
    ['another token', async () => proof(holder, 'GET', url, { token: 'x' })],
    ['no token', async () => proof(holder, 'GET', url)],
    ['another key', async () => proof(await newKey('ES256'), 'GET', url, { token: bound })],
    ['an old proof', async () => proof(holder, 'GET', url, { token: bound, iat: Date.now() / 1000 - 3600 })],
    ['an early proof', async () => proof(holder, 'GET', url, { token: bound, iat: Date.now() / 1000 + 3600 })],
    ['no proof', async () => undefined],
    ['two proofs', async () => `${await proof(holder, 'GET', url)}, ${await proof(holder, 'GET', url)}`],
    ['a huge proof', async () => 'x'.repeat(1_000_000)],
  ])('does not open with %s', async (_, made) => {
    expect(await use(await made())).toBeUndefined()
  })

  it('does not open as a bearer token, nor does a bearer token with a proof', async () => {
    expect(await use(await proof(holder, 'GET', url, { token: bound }), 'Bearer')).toBeUndefined()
    const { access_token } = (await token(await assertion(clinic, key))).json()
    const made = await proof(holder, 'GET', url, { token: access_token })
    const presented = { scheme: 'DPoP' as const, method: 'GET', path: '/fhir/Condition', proof: made }
    expect(await world.oauth.authenticate(access_token, presented)).toBeUndefined()
  })

  it('does not open with a private key in the proof', async () => {
    const made = await new SignJWT({ htm: 'GET', htu: url, jti: '1' })
      .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk: { ...holder.jwk, ...{ d: holder.jwk.x ?? '' } } })
      .setIssuedAt()
      .sign(holder.privateKey)
    expect(await use(made)).toBeUndefined()
  })
})
