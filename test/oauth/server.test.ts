import { beforeAll, describe, expect, it } from 'vitest'
import type { App } from '../../src/consent/consent.js'
import { oauthFamilies } from '../../src/oauth/families.js'
import { openOauth } from '../../src/oauth/oauth.js'
import { openRows, rowKey } from '../../src/oauth/rows.js'
import { within } from '../../src/ports/store.js'
import {
  authorizeUrl,
  browserOf,
  codeFor,
  exchange,
  issuer,
  type OauthWorld,
  openOauthWorld,
  post,
  refresh,
  serve,
  webApp,
} from './world.js'

let world: OauthWorld
let app: App

beforeAll(async () => {
  world = await openOauthWorld()
  app = await world.register(webApp)
})

const rowsOf = (one: OauthWorld) => one.store.range({ ...within('oauth/'), limit: 10_000 })

describe('what is told of the server', () => {
  it.each(['/.well-known/smart-configuration', '/fhir/.well-known/smart-configuration'])('is at %s', async (url) => {
    const answer = await world.server.inject({ url })
    expect(answer.headers['content-type']).toContain('application/json')
    expect(answer.headers['access-control-allow-origin']).toBe('*')
    const told = answer.json()
    expect(told).toMatchObject({
      issuer,
      authorization_endpoint: `${issuer}/oauth/authorize`,
      token_endpoint: `${issuer}/oauth/token`,
      code_challenge_methods_supported: ['S256'],
    })
    expect(told.capabilities).toEqual(expect.arrayContaining(['launch-standalone', 'permission-v2', 'authorize-post']))
    expect(told.grant_types_supported).not.toContain('implicit')
  })

  it.each(['openid-configuration', 'oauth-authorization-server'])('agrees with %s', async (name) => {
    const told = (await world.server.inject({ url: `/.well-known/${name}`, headers: { host: 'evil.example' } })).json()
    const smart = world.oauth.smartConfiguration
    const shared = Object.keys(told).filter(
      (key) => key.endsWith('_endpoint') || key === 'jwks_uri' || key === 'issuer',
    )
    expect(shared.length).toBeGreaterThan(7)
    for (const key of shared) expect([key, told[key]]).toEqual([key, smart[key] ?? told[key]])
    for (const key of shared) expect(String(told[key])).toMatch(/^http:\/\/localhost:8080/)
    expect(told).toMatchObject({
      response_types_supported: ['code'],
      authorization_response_iss_parameter_supported: true,
    })
  })

  it('has public keys only', async () => {
    const { keys } = (await world.server.inject({ url: '/oauth/jwks' })).json()
    expect(keys.map(({ alg }: { alg: string }) => alg).sort()).toEqual(['ES256', 'RS256'])
    for (const key of keys) for (const secret of ['d', 'p', 'q', 'k']) expect(key).not.toHaveProperty(secret)
  })
})

describe('the server', () => {
  it('is known by its configuration, never by what a request says of its host', async () => {
    const away = await openOauthWorld({ issuer: 'https://gw.example' })
    const web = await away.register(webApp)
    const answer = await away.server.inject({
      url: authorizeUrl(web, { aud: undefined }),
      headers: { host: 'evil.example', 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'http' },
    })
    expect(answer.statusCode).toBe(303)
    const cookies = [answer.headers['set-cookie'] ?? []].flat()
    expect(cookies.length).toBeGreaterThan(1)
    for (const cookie of cookies) expect(cookie).toMatch(/; secure; httponly/i)
    expect(cookies.join()).not.toContain('evil')
  })

  it('opens for no issuer that sends tokens over plain HTTP', async () => {
    for (const bad of ['http://gw.example', 'https://gw.example/path', 'ftp://gw.example', 'https://gw.example/'])
      await expect(openOauth(world.ports, { issuer: bad })).rejects.toThrow(/issuer/)
  })

  it('goes on with codes and tokens of another process over the same store', async () => {
    const second = await world.open()
    const elsewhere = { ...world, oauth: second, server: await serve(second) }
    const { code } = await codeFor(world, app, { scope: 'patient/Condition.rs offline_access' })
    const first = (await exchange(elsewhere, app, code)).json()
    expect((await refresh(world, app, first.refresh_token)).statusCode).toBe(200)
    expect((await refresh(elsewhere, app, first.refresh_token)).json().error).toBe('invalid_grant')
  })

  it('keeps no secret in the clear', async () => {
    const one = await openOauthWorld()
    const web = await one.register(webApp)
    const { code, uid } = await codeFor(one, web, { scope: 'openid patient/Condition.rs offline_access' })
    const { access_token, refresh_token } = (await exchange(one, web, code)).json()
    const all = [...one.disk.contents].map(([key, value]) => `${key} ${Buffer.from(value).toString('latin1')}`).join()
    for (const secret of [code, uid, access_token, refresh_token, '"kty"']) expect(all).not.toContain(secret)
  })

  it('writes only rows that its families know', async () => {
    const form = { client_id: app.id, scope: 'patient/Condition.rs' }
    await post(world, '/oauth/device-authorization', form)
    const by = { vault: world.vault, blobs: { get: async () => undefined }, unwrap: () => new Uint8Array() }
    for (const { key, value, version } of await rowsOf(world)) {
      const family = oauthFamilies.find((one) => one.form.test(key))
      expect([key, family !== undefined]).toEqual([key, true])
      if (family?.kind === 'entry') await family.check({ kind: 'entry', key, value, version }, by)
      const changed = Buffer.from(value)
      changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1
      if (family?.kind === 'entry')
        await expect(async () => family.check({ kind: 'entry', key, value: changed, version }, by)).rejects.toThrow()
    }
  })

  it('forgets what ended, and only that', async () => {
    const one = await openOauthWorld()
    const web = await one.register(webApp)
    const { code } = await codeFor(one, web, { scope: 'patient/Condition.rs offline_access' })
    const { refresh_token } = (await exchange(one, web, code)).json()
    await browserOf(one).get(authorizeUrl(web))
    const before = (await rowsOf(one)).length
    one.skew.ms = 2 * 3_600_000
    expect((await one.oauth.sweep()).swept).toBeGreaterThan(2)
    const kept = (await rowsOf(one)).map(({ key }) => key.split('/')[1])
    expect(kept.length).toBeLessThan(before)
    expect(kept.sort()).toEqual(['Grant', 'RefreshToken', 'secrets'])
    expect((await refresh(one, web, refresh_token)).statusCode).toBe(200)
  })

  it('lets no row last longer than it was sealed for', async () => {
    const rows = openRows(world)
    const key = rowKey('Grant', 'x')
    await world.store.commit(await rows.put(key, { a: 1 }, Date.now() + 60_000))
    const entry = await world.store.get(key)
    const longer = Buffer.from(entry?.value ?? [])
    longer.writeBigUInt64BE(BigInt(Date.now() + 600_000))
    await world.store.commit({ put: [{ key, value: longer }] })
    await expect(rows.get(key)).rejects.toThrow()
    await world.store.commit({ del: [key] })
  })
})

describe('signing keys', () => {
  it('are replaced in time: published before they sign, and after', async () => {
    const one = await openOauthWorld()
    const kids = async () =>
      (await one.server.inject({ url: '/oauth/jwks' })).json().keys.map(({ kid }: { kid: string }) => kid) as string[]
    const day = 24 * 3_600_000
    const first = await kids()
    one.skew.ms = 91 * day
    const both = await kids()
    expect(both).toHaveLength(4)
    expect(both.slice(0, 2).sort()).toEqual([...first].sort())
    one.skew.ms = 92.5 * day
    const after = await kids()
    expect(first).not.toContain(after[0])
    expect(after).toHaveLength(4)
    one.skew.ms = 183 * day
    expect((await kids()).some((kid) => first.includes(kid))).toBe(false)
  })
})
