import { randomBytes } from 'node:crypto'
import * as client from 'openid-client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { App } from '../../src/consent/consent.js'
import { from, type Key, nativeApp, newKey, type OauthWorld, openOauthWorld, rules, serve } from '../oauth/world.js'

let world: OauthWorld
let app: App
let clinic: App
let key: Key
let server: Awaited<ReturnType<typeof serve>>
let origin: URL

beforeAll(async () => {
  const port = 20_000 + (randomBytes(2).readUInt16BE() % 20_000)
  world = await openOauthWorld({ issuer: `http://127.0.0.1:${port}` })
  server = await serve(world.oauth)
  await server.listen({ host: '127.0.0.1', port })
  origin = new URL(world.issuer)
  app = await world.register(nativeApp)
  key = await newKey('ES384')
  clinic = await world.register({
    kind: 'clinic',
    name: 'Elm Street Practice',
    jwks: { keys: [key.jwk] },
    may: ['connect'],
    rules: { online: [], offline: rules.offline },
  })
})

afterAll(async () => server.close())

const plain = { execute: [client.allowInsecureRequests] }
const discover = (id: string, auth: client.ClientAuth = client.None()) =>
  client.discovery(origin, id, undefined, auth, plain)

/** The browser of a person who allows it, over real sockets. */
async function allowed(url: URL): Promise<URL> {
  const jar = new Map<string, string>()
  const get = async (at: URL | string) => {
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
    const answer = await fetch(at, { redirect: 'manual', headers: { cookie } })
    for (const line of answer.headers.getSetCookie()) {
      const [name = '', value = ''] = (line.split(';')[0] ?? '').split(/=(.*)/s)
      jar.set(name, value)
    }
    return answer.headers.get('location') ?? ''
  }
  const uid = /^\/authorize\/([\w-]+)$/.exec(await get(url))?.[1] ?? ''
  const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
  const choice = { session: world.session(), record: 'child', online: [], offline: [] }
  const decided = await world.oauth.decisions.allow(uid, cookie, choice, from)
  if (decided.kind !== 'done') throw new Error(decided.kind)
  return new URL(await get(decided.location ?? ''))
}

async function signedIn(config: client.Configuration, scope: string, options: client.DPoPOptions = {}) {
  const pkceCodeVerifier = client.randomPKCECodeVerifier()
  const expectedState = client.randomState()
  const expectedNonce = client.randomNonce()
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: 'http://127.0.0.1:7777/cb',
    scope,
    state: expectedState,
    nonce: expectedNonce,
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
    aud: `${world.issuer}/fhir`,
  })
  const back = await allowed(url)
  const checks = { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true }
  return client.authorizationCodeGrant(config, back, checks, undefined, options)
}

const scope = 'openid fhirUser launch/patient patient/Condition.rs offline_access'

describe('openid-client, as it comes', () => {
  it('goes the way of a code with PKCE, and reads who came', async () => {
    const config = await discover(app.id)
    expect(config.serverMetadata().supportsPKCE()).toBe(true)
    const tokens = await signedIn(config, scope)
    expect(tokens.scope).toBe(scope)
    expect(tokens['patient']).toBe(world.consents.pseudonyms.record(app.id, 'child'))
    const { sub = '' } = tokens.claims() ?? {}
    expect(await client.fetchUserInfo(config, tokens.access_token, sub)).toMatchObject({ sub })
  })

  it('refreshes, and its old refresh token ends the family', async () => {
    const config = await discover(app.id)
    const first = await signedIn(config, scope)
    const second = await client.refreshTokenGrant(config, first.refresh_token ?? '')
    await expect(client.refreshTokenGrant(config, first.refresh_token ?? '')).rejects.toThrow()
    await expect(client.refreshTokenGrant(config, second.refresh_token ?? '')).rejects.toThrow()
  })

  it('binds its tokens to a key, refreshes with it, and nobody else does', async () => {
    const config = await discover(app.id)
    const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair())
    const tokens = await signedIn(config, scope, { DPoP })
    expect(tokens.token_type).toBe('dpop')
    const { sub = '' } = tokens.claims() ?? {}
    expect(await client.fetchUserInfo(config, tokens.access_token, sub, { DPoP })).toMatchObject({ sub })
    await expect(client.fetchUserInfo(config, tokens.access_token, sub)).rejects.toThrow()
    await expect(client.refreshTokenGrant(config, tokens.refresh_token ?? '')).rejects.toThrow()
    const again = await client.refreshTokenGrant(config, tokens.refresh_token ?? '', undefined, { DPoP })
    expect(again.token_type).toBe('dpop')
  })

  it('pushes its request first', async () => {
    const config = await discover(app.id)
    const pkceCodeVerifier = client.randomPKCECodeVerifier()
    const url = await client.buildAuthorizationUrlWithPAR(config, {
      redirect_uri: 'http://127.0.0.1:7777/cb',
      scope: 'patient/Condition.rs',
      code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
      code_challenge_method: 'S256',
    })
    const tokens = await client.authorizationCodeGrant(config, await allowed(url), { pkceCodeVerifier })
    expect(tokens.scope).toBe('patient/Condition.rs')
  })

  it('connects a device', async () => {
    const config = await discover(app.id)
    const begun = await client.initiateDeviceAuthorization(config, { scope: 'patient/Condition.rs' })
    const polled = client.pollDeviceAuthorizationGrant(config, { ...begun, interval: 1 })
    const choice = { session: world.session(), record: 'child', online: [], offline: [] }
    expect((await world.oauth.decisions.allowDevice(begun.user_code, choice, from)).kind).toBe('done')
    expect((await polled).scope).toBe('patient/Condition.rs')
  })

  it('comes as a backend by its key, introspects and revokes', async () => {
    const config = await discover(clinic.id, client.PrivateKeyJwt({ key: key.privateKey, kid: key.jwk.kid ?? '' }))
    const tokens = await client.clientCredentialsGrant(config, { scope: 'connect system/Condition.rs' })
    expect(tokens.scope).toBe('connect system/Condition.rs')
    expect(await client.tokenIntrospection(config, tokens.access_token)).toMatchObject({ active: true })
    await client.tokenRevocation(config, tokens.access_token)
    expect(await client.tokenIntrospection(config, tokens.access_token)).toEqual({ active: false })
    const presented = { scheme: 'Bearer' as const, method: 'GET', path: '/' }
    expect(await world.oauth.authenticate(tokens.access_token, presented)).toBeUndefined()
  })

  it('registers an installation, which then comes by itself', async () => {
    const master = await world.register({
      ...{ kind: 'master', name: 'Maker', jwks: { keys: [key.jwk] }, may: ['register'], rules },
    })
    const config = await discover(master.id, client.PrivateKeyJwt({ key: key.privateKey, kid: key.jwk.kid ?? '' }))
    const { access_token } = await client.clientCredentialsGrant(config, { scope: 'register' })
    const authorization = `Bearer ${access_token}`
    const answer = await fetch(`${world.issuer}/oauth/register/ticket`, { method: 'POST', headers: { authorization } })
    const ticket = (await answer.json()) as { initial_access_token: string }
    const metadata = { redirect_uris: ['http://127.0.0.1/cb'], token_endpoint_auth_method: 'none' }
    const made = await client.dynamicClientRegistration(origin, metadata, client.None(), {
      ...plain,
      initialAccessToken: ticket.initial_access_token,
    })
    const tokens = await signedIn(made, 'openid patient/Condition.rs')
    expect(tokens.scope).toBe('openid patient/Condition.rs')
  })
})
