import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import * as client from 'openid-client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Browser, openBrowser } from '../../src/demo/connections/browser.js'
import { type Estate, furnished, serve, start } from '../fixtures/process.js'
import { keyId, nativeRedirect, openSociety, type Society, webRedirect } from '../fixtures/society.js'

/** Clients of others through the built gateway: its pages in between, its sockets underneath. */

let society: Society
let browser: Browser
let conditions: (patient: unknown) => URL

beforeAll(async () => {
  society = await openSociety()
  browser = (await society.person('Sam')).browser
  conditions = (patient) => new URL(`${society.origin}/fhir/Condition?patient=${patient}`)
})
afterAll(async () => society?.close())

const plain = { execute: [client.allowInsecureRequests] }
const scope = 'openid launch/patient patient/Condition.rs offline_access'

const discover = (id: string, auth: client.ClientAuth = client.None()) =>
  client.discovery(new URL(society.origin), id, undefined, auth, plain)

/** The way of a code, with a person who reads the page and allows it. */
async function signedIn(
  config: client.Configuration,
  redirect: string,
  options: client.DPoPOptions = {},
  fields: Readonly<Record<string, string>> = {},
) {
  const pkceCodeVerifier = client.randomPKCECodeVerifier()
  const expectedState = client.randomState()
  const expectedNonce = client.randomNonce()
  const url = client.buildAuthorizationUrl(config, {
    ...{ redirect_uri: redirect, scope, state: expectedState, nonce: expectedNonce, aud: `${society.origin}/fhir` },
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
  })
  await browser.open(url.href)
  const { left } = await browser.press('Allow', fields)
  if (!left) throw new Error(`${browser.status} ${browser.at}: ${browser.text}`)
  const checks = { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true }
  return client.authorizationCodeGrant(config, left, checks, undefined, options)
}

const fetched = async (
  config: client.Configuration,
  tokens: { access_token: string; patient?: unknown },
  DPoP?: client.DPoPHandle,
) =>
  client.fetchProtectedResource(config, tokens.access_token, conditions(tokens.patient), 'GET', null, undefined, {
    ...(DPoP && { DPoP }),
  })

describe('openid-client, through the whole gateway', () => {
  it('gets a code with PKCE after the person allowed it, refreshes, and reads as FHIR', async () => {
    const config = await discover(society.native)
    const tokens = await signedIn(config, nativeRedirect)
    expect(await (await fetched(config, tokens)).text()).toContain('Hay fever of Sam')
    const again = await client.refreshTokenGrant(config, tokens.refresh_token ?? '')
    const read = await fetched(config, { ...again, patient: tokens['patient'] })
    expect(read.status).toBe(200)
    await expect(client.refreshTokenGrant(config, tokens.refresh_token ?? '')).rejects.toThrow()
    await expect(client.refreshTokenGrant(config, again.refresh_token ?? '')).rejects.toThrow()
  })

  it('holds its tokens with a key, and nobody reads with them without it', async () => {
    const config = await discover(society.native)
    const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair())
    const tokens = await signedIn(config, nativeRedirect, { DPoP })
    expect(tokens.token_type).toBe('dpop')
    expect((await fetched(config, tokens, DPoP)).status).toBe(200)
    const stolen = { headers: { authorization: `Bearer ${tokens.access_token}` } }
    expect((await fetch(conditions(tokens['patient']), stolen)).status).toBe(401)
    await expect(client.refreshTokenGrant(config, tokens.refresh_token ?? '')).rejects.toThrow()
  })

  it('connects a screen without a browser', async () => {
    const config = await discover(society.native)
    const begun = await client.initiateDeviceAuthorization(config, { scope })
    const polled = client.pollDeviceAuthorizationGrant(config, { ...begun, interval: 1 })
    await browser.open(begun.verification_uri)
    await browser.press('Continue', { user_code: begun.user_code.toLowerCase() })
    expect(browser.text).toContain(`Go on only if the device in front of you shows ${begun.user_code.toUpperCase()}`)
    await browser.press('Allow')
    expect(browser.text).toContain('go on at the device')
    expect((await fetched(config, await polled)).status).toBe(200)
  })

  it('comes as the program of a clinic by its key, introspects and revokes', async () => {
    const { clinic, key } = society
    const config = await discover(clinic, client.PrivateKeyJwt({ key: key.privateKey, kid: keyId }))
    const tokens = await client.clientCredentialsGrant(config, { scope: 'connect system/Condition.rs' })
    expect(tokens.scope).toBe('connect system/Condition.rs')
    const list = new URL(`${society.origin}/api/v1/connect/requests`)
    const asked = await client.fetchProtectedResource(config, tokens.access_token, list, 'GET')
    expect(await asked.json()).toEqual({ requests: [] })
    expect(await client.tokenIntrospection(config, tokens.access_token)).toMatchObject({ active: true })
    await client.tokenRevocation(config, tokens.access_token)
    expect(await client.tokenIntrospection(config, tokens.access_token)).toEqual({ active: false })
    const after = await fetch(list, { headers: { authorization: `Bearer ${tokens.access_token}` } })
    expect(after.status).toBe(401)
  })

  it('registers an installation with a ticket of its maker, which then comes by itself', async () => {
    const { master, key, origin } = society
    const config = await discover(master, client.PrivateKeyJwt({ key: key.privateKey, kid: keyId }))
    const { access_token } = await client.clientCredentialsGrant(config, { scope: 'register' })
    const authorization = `Bearer ${access_token}`
    const answer = await fetch(`${origin}/oauth/register/ticket`, { method: 'POST', headers: { authorization } })
    const { initial_access_token: initialAccessToken } = (await answer.json()) as { initial_access_token: string }
    const metadata = { redirect_uris: ['http://127.0.0.1/cb'], token_endpoint_auth_method: 'none' }
    const register = () =>
      client.dynamicClientRegistration(new URL(origin), metadata, client.None(), { ...plain, initialAccessToken })
    const tokens = await signedIn(await register(), nativeRedirect)
    expect(
      (await fetch(conditions(tokens['patient']), { headers: { authorization: `Bearer ${tokens.access_token}` } }))
        .status,
    ).toBe(200)
    await expect(register()).rejects.toThrow()
  })

  it('gets no more than the person left in, and nothing once the person ended it', async () => {
    const config = await discover(society.web)
    const tokens = await signedIn(config, webRedirect)
    expect(tokens.scope?.split(' ')).not.toContain('patient/Observation.rs')
    await browser.open('/account/apps')
    const path = /<h3>Well<\/h3>[\s\S]*?href="(\/account\/apps\/[^"]+)"/.exec(browser.html)?.[1] ?? ''
    await browser.open(path)
    await browser.press('End all access')
    const answer = await fetch(conditions(tokens['patient']), {
      headers: { authorization: `Bearer ${tokens.access_token}` },
    })
    expect([401, 403]).toContain(answer.status)
    await expect(client.refreshTokenGrant(config, tokens.refresh_token ?? 'none')).rejects.toThrow()
  })

  it('is not sent to a place that was never registered', async () => {
    const config = await discover(society.web)
    const url = client.buildAuthorizationUrl(config, {
      ...{ redirect_uri: 'https://evil.example/cb', scope, state: 's' },
      ...{ code_challenge: 'x'.repeat(43), code_challenge_method: 'S256' },
    })
    expect(await browser.open(url.href)).toEqual({ status: 400 })
    expect(browser.html).not.toContain('href="https://evil.example')
  })
})

describe('the pages around it', () => {
  it('run no script that is not theirs, stand in no frame, and send forms to us and to the application alone', async () => {
    const config = await discover(society.web)
    const url = client.buildAuthorizationUrl(config, {
      ...{ redirect_uri: webRedirect, scope, state: 's' },
      ...{ code_challenge: 'x'.repeat(43), code_challenge_method: 'S256' },
    })
    await browser.open(url.href)
    const policy = browser.headers.get('content-security-policy') ?? ''
    const parts = new Map(policy.split('; ').map((part) => part.split(/ (.*)/s) as [string, string]))
    expect(parts.get('default-src')).toBe("'none'")
    expect(parts.has('script-src')).toBe(false)
    expect(parts.get('form-action')).toBe("'self' https://well.example")
    expect(parts.get('frame-ancestors')).toBe("'none'")
    expect(parts.get('base-uri')).toBe("'none'")
    expect(policy).not.toContain('unsafe')
    expect(browser.headers.get('referrer-policy')).toBe('no-referrer')
    expect(browser.headers.get('cache-control')).toContain('no-store')
    await browser.press('Do not allow')
  })

  it('take no form that another page sends, and none without its token', async () => {
    const { status } = await browser.open('/records')
    expect(status).toBe(200)
    const form = new URLSearchParams({ name: 'Planted', relationship: 'self', csrf: 'x' })
    const cookie = `session=${browser.cookie('session')}`
    for (const headers of [
      { cookie },
      { cookie, origin: 'https://evil.example' },
      { cookie, 'sec-fetch-site': 'cross-site' },
    ]) {
      const answer = await fetch(`${society.origin}/records`, {
        method: 'POST',
        body: form,
        headers,
        redirect: 'manual',
      })
      expect(answer.status).toBe(403)
    }
    await browser.open('/records')
    expect(browser.text).not.toContain('Planted')
  })

  it('lead to the decision of nobody else: another browser finds nothing under the address of a request', async () => {
    const config = await discover(society.web)
    const url = client.buildAuthorizationUrl(config, {
      ...{ redirect_uri: webRedirect, scope, state: 's' },
      ...{ code_challenge: 'x'.repeat(43), code_challenge_method: 'S256' },
    })
    await browser.open(url.href)
    const path = browser.at
    const { browser: other } = await society.person('Otto')
    expect((await other.open(path)).status).toBe(404)
    await browser.open(path)
    await browser.press('Do not allow')
  })
})

describe('without TLS', () => {
  let estate: Estate
  beforeAll(async () => {
    estate = await furnished(1)
  })
  afterAll(() => estate?.remove())
  const serving = (env: Readonly<Record<string, string>>) =>
    start(['serve', '--config', 'gateway.yaml'], { cwd: estate.folder, env }).ended

  it('it listens to nobody outside this machine', async () => {
    const { code, err } = await serving({ DIRECT_GATEWAY_HTTP_HOST: '0.0.0.0' })
    expect(code, err).toBe(78)
    expect(err).toContain('does not speak plain HTTP on 0.0.0.0')
  })

  it('it names itself by no http address elsewhere', async () => {
    const { code, err } = await serving({ DIRECT_GATEWAY_HTTP_PUBLIC_URL: 'http://records.clinic.example' })
    expect(code, err).toBe(2)
    expect(err).toContain('publicUrl')
  })

  it('behind a proxy with TLS its cookies, links and tokens are for https alone', async () => {
    const publicUrl = 'https://records.clinic.example'
    const env = { DIRECT_GATEWAY_HTTP_BEHIND_TLS_PROXY: 'true', DIRECT_GATEWAY_HTTP_PUBLIC_URL: publicUrl }
    const gateway = await serve(estate.folder, { env })
    const page = await fetch(`${gateway.url}/sign-in`)
    const [cookie = ''] = page.headers.getSetCookie()
    expect(cookie).toMatch(/^__Host-visitor=/)
    expect(cookie).toMatch(/; Secure/)
    expect(cookie).toMatch(/; HttpOnly/)
    expect(page.headers.get('strict-transport-security')).toContain('max-age=')
    const told = await fetch(`${gateway.url}/.well-known/openid-configuration`)
    const places = Object.values((await told.json()) as Readonly<Record<string, unknown>>).filter(
      (one): one is string => typeof one === 'string' && one.startsWith('http'),
    )
    expect(places.length).toBeGreaterThan(5)
    expect(places.filter((place) => !place.startsWith(publicUrl))).toEqual([])
    await gateway.stop()
  })
})

/** Installed beside the project: `node test/setup/programs.mjs fhirclient`. */
const folder = new URL('../clients/', import.meta.url)
const missing = !existsSync(new URL('node_modules/fhirclient/package.json', folder))

interface Smart {
  authorize(options: Readonly<Record<string, unknown>>): Promise<unknown>
  ready(): Promise<{
    readonly patient: { readonly id: string }
    request(path: string): Promise<{ readonly entry?: readonly { readonly resource: object }[] }>
  }>
}

describe.skipIf(missing)(
  `fhirclient, through the whole gateway${missing ? ' (not installed in test/clients)' : ''}`,
  () => {
    it('launches by itself, and reads the conditions of the record that the person chose', async () => {
      const smart = createRequire(folder)('fhirclient') as (request: object, response: object, storage: object) => Smart
      const kept = new Map<string, unknown>()
      const storage = {
        get: async (key: string) => kept.get(key),
        set: async (key: string, value: unknown) => void kept.set(key, value),
        unset: async (key: string) => kept.delete(key),
      }
      let sentTo = ''
      const response = {
        headersSent: false,
        writeHead: (_: number, headers: { readonly location?: string; readonly Location?: string }) => {
          sentTo = headers.location ?? headers.Location ?? ''
        },
        end: () => undefined,
      }
      const requestOf = (url: string) => ({ url, headers: { host: 'well.example' }, socket: {} })
      await smart(requestOf('/launch'), response, storage).authorize({
        ...{ clientId: society.web, redirectUri: webRedirect, iss: `${society.origin}/fhir`, pkceMode: 'required' },
        scope: 'launch/patient openid fhirUser patient/Condition.rs',
      })
      await browser.open(sentTo)
      const { left } = await browser.press('Allow')
      const ready = await smart(requestOf(`${left?.pathname}${left?.search}`), response, storage).ready()
      const found = await ready.request(`Condition?patient=${ready.patient.id}`)
      expect(JSON.stringify(found)).toContain('Hay fever of Sam')
    })
  },
)

describe('limits, met last', () => {
  it('end guessing of the codes of devices, for the one who guesses alone', async () => {
    const { browser: guesser } = await society.person('Gus')
    let tries = 0
    await guesser.open('/device')
    while (!guesser.text.includes('Too many wrong codes') && tries < 30) {
      await guesser.press('Continue', { user_code: `BCDF-GHJ${'BCDFGHJKLMNPQRSTVWXZ'[tries % 20]}` })
      tries++
    }
    expect(tries).toBeLessThanOrEqual(11)
    const config = await discover(society.native)
    const begun = await client.initiateDeviceAuthorization(config, { scope })
    await browser.open('/device')
    await browser.press('Continue', { user_code: begun.user_code })
    expect(browser.text).toContain('Go on only if the device')
  })

  it('end registering after twenty from one network', async () => {
    const post = () => fetch(`${society.origin}/oauth/register`, { method: 'POST', body: '{}' })
    const statuses = []
    for (let round = 0; round < 22; round++) statuses.push((await post()).status)
    expect(statuses.at(0)).toBe(401)
    expect(statuses.at(-1)).toBe(429)
  })

  it('tell a flood from one address to wait, and let it in again afterwards', async () => {
    const ask = () => openBrowser(society.origin).open('/.well-known/openid-configuration')
    const all = await Promise.all(Array.from({ length: 400 }, ask))
    const statuses = new Set(all.map(({ status }) => status))
    expect([...statuses].sort()).toEqual([200, 429])
    const one = await fetch(`${society.origin}/.well-known/openid-configuration`)
    if (one.status === 429) expect(Number(one.headers.get('retry-after'))).toBeGreaterThan(0)
    await new Promise((resolve) => setTimeout(resolve, 1500))
    expect((await ask()).status).toBe(200)
  })
})
