import { createHash, randomBytes } from 'node:crypto'
import { type FastifyInstance, fastify } from 'fastify'
import { exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'
import type { App, AppRequest } from '../../src/consent/consent.js'
import type { OauthLimits } from '../../src/oauth/limits.js'
import { type Oauth, openOauth } from '../../src/oauth/oauth.js'
import type { Session } from '../../src/people/people.js'
import type { ConditionalFetch } from '../../src/ports/fetch.js'
import { openWorld as openConsentWorld, rule } from '../consent/world.js'

export const issuer = 'http://localhost:8080'

export const rules = {
  online: [
    rule('read', { types: ['problem', 'medication'] }),
    rule('vitals', { types: ['vital-sign'], optional: true }),
  ],
  offline: [rule('sync', { types: ['problem'] })],
}

export const webApp: AppRequest = { kind: 'web', name: 'Well', redirectUris: ['https://well.example/cb'], rules }
export const nativeApp: AppRequest = {
  kind: 'native',
  name: 'Pocket',
  redirectUris: ['com.example.pocket:/cb', 'http://127.0.0.1/cb'],
  rules,
}

/** The authorization server over a store in memory, with real applications and consents, and people as a test says. */
export async function openOauthWorld(
  options: { limits?: Partial<OauthLimits>; fetch?: ConditionalFetch; issuer?: string } = {},
) {
  const world = await openConsentWorld()
  const skew = { ms: 0 }
  world.clock.now = () => Date.now() + skew.ms
  const live = new Set<string>()
  const logged: string[] = []
  const records = {
    ...world.ports.records,
    of: async () => [],
    get: async () => undefined,
    holders: async () => [],
    create: async () => ({ kind: 'too-many' as const }),
  }
  const people = {
    person: world.ports.person,
    records,
    sessions: {
      current: async () => undefined,
      isLive: async (id: string) => live.has(id),
      end: async (id: string) => void live.delete(id),
    },
  }
  const ports = {
    ...world,
    people,
    fetch: options.fetch ?? (async () => ({ kind: 'failed' as const, detail: 'no network' })),
    log: { error: (event: string, fields: object) => void logged.push(`${event} ${JSON.stringify(fields)}`) },
  }
  const at = options.issuer ?? issuer
  const open = () => openOauth(ports, { issuer: at, ...(options.limits && { limits: options.limits }) })
  const oauth = await open()
  const server = await serve(oauth)

  function session(person = 'mother'): Session {
    const id = randomBytes(8).toString('hex')
    live.add(id)
    const authenticatedAt = Date.now()
    return { id, person, level: 'two-factors', authenticatedAt, endsAt: authenticatedAt + 3_600_000, csrf: 'x' }
  }
  return { ...world, ports, people, oauth, server, open, live, logged, skew, session, issuer: at }
}

export type OauthWorld = Awaited<ReturnType<typeof openOauthWorld>>

export async function serve(oauth: Oauth): Promise<FastifyInstance> {
  const app = fastify({ logger: false })
  await app.register(oauth.plugin)
  return app
}

/** A client at one browser: what a stock library does, by hand, so that a test can do it wrongly. */
export function browserOf({ server, oauth }: Pick<OauthWorld, 'server' | 'oauth'>) {
  const jar = new Map<string, string>()
  const cookie = () => [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
  async function get(url: string) {
    const answer = await server.inject({
      method: 'GET',
      url,
      headers: { cookie: cookie(), accept: 'application/json' },
    })
    for (const line of [answer.headers['set-cookie'] ?? []].flat()) {
      const [name = '', value = ''] = (line.split(';')[0] ?? '').split(/=(.*)/s)
      if (value === '' || /expires=Thu, 01 Jan 1970/.test(line)) jar.delete(name)
      else jar.set(name, value)
    }
    return answer
  }
  const uidIn = (location: unknown) => /^\/authorize\/([\w-]+)$/.exec(String(location))?.[1] ?? ''
  return { jar, cookie, get, uidIn, oauth }
}

export const verifier = randomBytes(32).toString('base64url')
export const challenge = createHash('sha256').update(verifier).digest('base64url')

export function authorizeUrl(app: App, more: Readonly<Record<string, string | undefined>> = {}): string {
  const params = {
    response_type: 'code',
    client_id: app.id,
    redirect_uri: app.redirectUris[0],
    scope: 'launch/patient patient/Condition.rs',
    state: 'state-of-the-client',
    code_challenge: challenge,
    code_challenge_method: 'S256',
    aud: `${issuer}/fhir`,
    ...more,
  }
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(params)) if (value !== undefined) query.set(name, value)
  return `/oauth/authorize?${query}`
}

export const from = { by: 'person:mother', avenue: 'page' as const, person: 'mother' }

/** The whole way to a code: request, decision of a person, and back. */
export async function codeFor(
  world: OauthWorld,
  app: App,
  more: Readonly<Record<string, string | undefined>> = {},
  choice: { online?: string[]; offline?: string[]; person?: string; session?: Session } = {},
) {
  const browser = browserOf(world)
  const began = await browser.get(authorizeUrl(app, more))
  const uid = browser.uidIn(began.headers.location)
  if (uid === '') throw new Error(`${began.statusCode} ${began.headers.location} ${began.body}`)
  const session = choice.session ?? world.session(choice.person)
  const decided = await world.oauth.decisions.allow(
    uid,
    browser.cookie(),
    { session, record: 'child', online: choice.online ?? [], offline: choice.offline ?? [] },
    from,
  )
  if (decided.kind !== 'done') throw new Error(decided.kind)
  const back = await browser.get(new URL(decided.location ?? '').pathname)
  const location = new URL(String(back.headers.location))
  return { browser, uid, session, location, code: location.searchParams.get('code') ?? '' }
}

export async function post(
  { server }: Pick<OauthWorld, 'server'>,
  url: string,
  form: Readonly<Record<string, string | undefined>>,
  headers: Readonly<Record<string, string>> = {},
) {
  const body = new URLSearchParams()
  for (const [name, value] of Object.entries(form)) if (value !== undefined) body.set(name, value)
  return server.inject({
    method: 'POST',
    url,
    headers: { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json', ...headers },
    payload: body.toString(),
  })
}

export function exchange(world: OauthWorld, app: App, code: string, more: Readonly<Record<string, string>> = {}) {
  return post(world, '/oauth/token', {
    grant_type: 'authorization_code',
    code,
    client_id: app.id,
    redirect_uri: app.redirectUris[0],
    code_verifier: verifier,
    ...more,
  })
}

export function refresh(world: OauthWorld, app: App, token: string, more: Readonly<Record<string, string>> = {}) {
  return post(world, '/oauth/token', { grant_type: 'refresh_token', refresh_token: token, client_id: app.id, ...more })
}

export interface Key {
  readonly jwk: JWK
  readonly privateKey: Awaited<ReturnType<typeof generateKeyPair>>['privateKey']
  readonly alg: string
}

export async function newKey(alg = 'ES384', kid = randomBytes(4).toString('hex')): Promise<Key> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true })
  return { jwk: { ...(await exportJWK(publicKey)), alg, kid, use: 'sig' }, privateKey, alg }
}

/** A client assertion (RFC 7523 §3), as a test wants it. */
export async function assertion(app: App, key: Key, more: { aud?: string; exp?: number; jti?: string } = {}) {
  const now = Math.floor(Date.now() / 1000)
  return {
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: await new SignJWT({ jti: more.jti ?? randomBytes(8).toString('hex') })
      .setProtectedHeader({ alg: key.alg, kid: key.jwk.kid ?? '', typ: 'JWT' })
      .setIssuer(app.id)
      .setSubject(app.id)
      .setAudience(more.aud ?? `${issuer}/oauth/token`)
      .setIssuedAt(now)
      .setExpirationTime(more.exp ?? now + 240)
      .sign(key.privateKey),
  }
}

/** A proof of possession (RFC 9449 §4.2). */
export async function proof(
  key: Key,
  htm: string,
  htu: string,
  more: { token?: string; jti?: string; iat?: number } = {},
): Promise<string> {
  const { kid: _, use: __, ...jwk } = key.jwk
  return new SignJWT({
    ...{ htm, htu, jti: more.jti ?? randomBytes(8).toString('hex') },
    ...(more.token !== undefined && { ath: createHash('sha256').update(more.token).digest('base64url') }),
  })
    .setProtectedHeader({ alg: key.alg, typ: 'dpop+jwt', jwk })
    .setIssuedAt(more.iat ?? Math.floor(Date.now() / 1000))
    .sign(key.privateKey)
}
