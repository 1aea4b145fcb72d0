import { type FastifyInstance, fastify } from 'fastify'
import { beforeAll, describe, expect, it } from 'vitest'
import type { App } from '../../src/consent/consent.js'
import { authorizationError, authorizePages } from '../../src/pages/authorize.js'
import { mountPages } from '../../src/pages/session.js'
import type { Session } from '../../src/people/people.js'
import {
  authorizeUrl,
  exchange,
  issuer,
  nativeApp,
  type OauthWorld,
  openOauthWorld,
  post,
  webApp,
} from '../oauth/world.js'

let world: OauthWorld
let server: FastifyInstance
let app: App
let session: Session

beforeAll(async () => {
  world = await openOauthWorld()
  world.hold('mother', 'child')
  app = await world.register({ ...webApp, name: 'Well <b>', privacyUrl: 'https://well.example/privacy' })
  session = world.session()
  const sessions = { current: async (secret: string) => (secret === 'mother' ? session : undefined) }
  const records = {
    of: async (person: string) => [...world.memberships.values()].filter((one) => one.person === person),
  }
  server = fastify()
  await server.register(world.oauth.plugin)
  await server.register(
    mountPages({ sessions, clock: world.clock, log: { error: () => undefined } }, { origin: issuer, house: 'House' }, [
      authorizePages({ decisions: world.oauth.decisions, consents: world.consents, records }),
    ]),
  )
})

function open(signedIn = true) {
  const jar = new Map<string, string>(signedIn ? [['session', 'mother']] : [])
  async function ask(method: 'GET' | 'POST', url: string, form?: Record<string, string | string[]>, headers = {}) {
    const body = new URLSearchParams()
    for (const [name, value] of Object.entries(form ?? {})) for (const one of [value].flat()) body.append(name, one)
    const answer = await server.inject({
      ...{ method, url },
      headers: {
        cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; '),
        accept: 'text/html',
        ...(form && { 'content-type': 'application/x-www-form-urlencoded' }),
        ...headers,
      },
      ...(form && { payload: body.toString() }),
    })
    for (const line of [answer.headers['set-cookie'] ?? []].flat()) {
      const [name = '', value = ''] = (line.split(';')[0] ?? '').split(/=(.*)/s)
      jar.set(name, value)
    }
    return answer
  }
  return { jar, ask }
}

const begin = async (browser: ReturnType<typeof open>, more = {}) =>
  String((await browser.ask('GET', authorizeUrl(app, more))).headers.location)

describe('the page on which a person decides', () => {
  it('tells what is asked and why, escaped, and leads back with a code', async () => {
    const browser = open()
    const path = await begin(browser)
    const page = await browser.ask('GET', path)
    expect(page.statusCode).toBe(200)
    expect(page.body).toContain('Well &lt;b&gt;')
    expect(page.body).toContain('Because of read')
    expect(page.body).toContain('See: conditions, medications')
    expect(page.body).toContain('https://well.example/privacy')
    expect(page.body).toMatch(/type="checkbox"[^>]*name="online"[^>]*value="vitals"/)
    expect(page.headers['content-security-policy']).toContain("form-action 'self' https://well.example;")
    const decided = await browser.ask('POST', path, { csrf: session.csrf, decision: 'allow', record: 'child' })
    expect(decided.statusCode).toBe(303)
    const back = await browser.ask('GET', new URL(String(decided.headers.location)).pathname)
    const code = new URL(String(back.headers.location)).searchParams.get('code') ?? ''
    expect((await exchange(world, app, code)).statusCode).toBe(200)
  })

  it('sends whoever is not signed in to sign in, and back', async () => {
    const browser = open(false)
    const path = await begin(browser)
    expect((await browser.ask('GET', path)).headers.location).toBe(`/sign-in?next=${encodeURIComponent(path)}`)
  })

  it('asks again who has not just signed in, where the application wants that', async () => {
    const browser = open()
    const path = await begin(browser, { scope: 'openid launch/patient patient/Condition.rs', max_age: '0' })
    const later = { ...session, authenticatedAt: Date.now() - 60_000 }
    const kept = session
    session = later
    expect((await browser.ask('GET', path)).headers.location).toContain('/sign-in/again')
    const posted = await browser.ask('POST', path, { csrf: session.csrf, decision: 'allow', record: 'child' })
    expect(posted.headers.location).toContain('/sign-in/again')
    session = kept
  })

  it.each([
    ['without the token of the visit', {}, {}],
    ['with another one', { csrf: 'y' }, {}],
    ['from another site', { csrf: 'x' }, { origin: 'https://evil.example' }],
    ['from another site, as browsers say', { csrf: 'x' }, { 'sec-fetch-site': 'cross-site' }],
  ])('decides nothing %s', async (_, form, headers) => {
    const browser = open()
    const path = await begin(browser)
    const answer = await browser.ask('POST', path, { decision: 'allow', record: 'child', ...form }, headers)
    expect(answer.statusCode).toBe(403)
    expect((await browser.ask('GET', path)).statusCode).toBe(200)
  })

  it('is not there for a browser in which the request did not begin', async () => {
    const path = await begin(open())
    const other = open()
    expect((await other.ask('GET', path)).statusCode).toBe(404)
    const posted = await other.ask('POST', path, { csrf: session.csrf, decision: 'allow', record: 'child' })
    expect(posted.statusCode).toBe(404)
  })

  it('asks which record where there are several', async () => {
    world.hold('mother', 'second')
    const browser = open()
    const path = await begin(browser)
    expect((await browser.ask('GET', path)).body).toContain('Which record?')
    const chosen = await browser.ask('POST', path, { csrf: session.csrf, decision: 'choose', record: 'second' })
    expect(chosen.headers.location).toBe(`${path}?record=second`)
    expect((await browser.ask('GET', String(chosen.headers.location))).body).toContain('value="second"')
    world.memberships.delete('mother second')
  })

  it('leads back with a refusal', async () => {
    const browser = open()
    const path = await begin(browser)
    const decided = await browser.ask('POST', path, { csrf: session.csrf, decision: 'deny' })
    const back = await browser.ask('GET', new URL(String(decided.headers.location)).pathname)
    expect(String(back.headers.location)).toContain('error=access_denied')
  })

  it('shows an error to people, without a script', async () => {
    const said = authorizationError('House')({ error: 'x', detail: '<script>' })
    expect(said.html).toContain('&lt;script&gt;')
    expect(said.policy).toContain("default-src 'none'")
  })
})

describe('the page for another screen', () => {
  it('takes the code that a device shows, and tells the device', async () => {
    const native = await world.register(nativeApp)
    const form = { client_id: native.id, scope: 'patient/Condition.rs' }
    const { user_code } = (await post(world, '/oauth/device-authorization', form)).json()
    const browser = open()
    expect((await browser.ask('GET', `/device?user_code=${user_code}`)).body).toContain(`value="${user_code}"`)
    const wrong = await browser.ask('POST', '/device', { csrf: session.csrf, user_code: 'BBBB-BBBB' })
    expect(wrong.statusCode).toBe(422)
    const asked = await browser.ask('POST', '/device', { csrf: session.csrf, user_code })
    expect(asked.body).toContain(`Go on only if the device in front of you shows ${user_code}`)
    const done = await browser.ask('POST', '/device', {
      ...{ csrf: session.csrf, user_code, decision: 'allow', record: 'child' },
    })
    expect(done.body).toContain('go on at the device')
  })
})
