import { importJWK, jwtVerify } from 'jose'
import type { App, Apps, Consents, KeySet } from '../consent/consent.js'
import { isInNetworks } from '../consent/networks.js'
import type { AppRefusal } from '../consent/problem.js'
import { networkOf } from '../direct/network.js'
import type { ConditionalFetch } from '../ports/fetch.js'
import type { Store } from '../ports/store.js'
import { type Batch, together } from '../ports/store.js'
import type { Clock, Random } from '../ports/world.js'
import { clientOf } from './clients.js'
import type { OauthLimits } from './limits.js'
import { type Rows, rowKey } from './rows.js'
import { wordsOf } from './scopes.js'

/** A request about an installation, whatever it brings. */
export interface RegistrationRequest {
  readonly id: string
  readonly authorization: string | undefined
  /** Parsed JSON, or undefined for what is none. */
  readonly body: unknown
  readonly address: string
}

export interface RegistrationAnswer {
  readonly status: number
  readonly body?: Readonly<Record<string, unknown>>
}

type Handle = (request: RegistrationRequest) => Promise<RegistrationAnswer>

/**
 * Installations of an application (RFC 7591, RFC 7592): each is an application of its own under its master, whose rules it
 * has, listed and ended one by one.
 */
export interface Registration {
  register: Handle
  read: Handle
  update: Handle
  remove: Handle
  /** A single-use initial access token, for a master's own server to give to one application. */
  ticket: Handle
}

export interface RegistrationPorts {
  readonly issuer: string
  readonly rows: Rows
  readonly store: Pick<Store, 'commit'>
  readonly clock: Clock
  readonly random: Random
  readonly apps: Pick<Apps, 'get' | 'registration' | 'change' | 'setState'>
  readonly consents: Pick<Consents, 'ofApp' | 'revoke'>
  readonly fetch: ConditionalFetch
  readonly limits: OauthLimits
}

const statementAlgorithms = ['RS256', 'RS384', 'PS256', 'PS384', 'ES256', 'ES384', 'EdDSA', 'Ed25519']

/** RFC 7591 §3.2.2. */
function fault(error: string, error_description: string, status = 400): RegistrationAnswer {
  return { status, body: { error, error_description } }
}

const noToken: RegistrationAnswer = fault('invalid_token', 'no valid token for this', 401)

export function openRegistration(ports: RegistrationPorts): Registration {
  const { rows, store, clock, random, apps, consents, limits, issuer } = ports
  const mayRegister = allowance(clock, limits.registrations)
  const secret = () => Buffer.from(random.bytes(32)).toString('base64url')

  /** The installation whose management token a request brings, and what its master says of it for good. */
  async function managed({
    id,
    authorization,
  }: RegistrationRequest): Promise<{ app: App; key: string; claims: Vouched['claims'] } | undefined> {
    const token = bearerOf(authorization)
    if (token === undefined) return undefined
    const key = rowKey('registration', token)
    const row = await rows.get(key)
    const app = row?.payload['client'] === id ? await apps.get(id) : undefined
    return app?.state === 'active' ? { app, key, claims: objectOf(row?.payload['claims']) ?? {} } : undefined
  }

  /** Who vouches for a new installation: a statement that its master signed, or a ticket that it gave out. */
  async function vouched(
    { authorization }: RegistrationRequest,
    { software_statement: statement }: Readonly<Record<string, unknown>>,
  ): Promise<Vouched | RegistrationAnswer> {
    if (statement !== undefined) return statedBy(ports, statement)
    const token = bearerOf(authorization)
    const key = token === undefined ? undefined : rowKey('ticket', token)
    const row = key === undefined ? undefined : await rows.get(key)
    const master = row && (await masterOf(ports, row.payload['master']))
    if (!row || !master) return noToken
    const used = { require: [{ key: row.key, version: row.version }], del: [row.key] }
    return { master, claims: {}, used }
  }

  return {
    async register(request) {
      const body = objectOf(request.body)
      if (!body) return fault('invalid_client_metadata', 'the body is no JSON object')
      if (!mayRegister(networkOf(request.address)))
        return fault('temporarily_unavailable', 'too many installations', 429)
      const by = await vouched(request, body)
      if ('status' in by) return by
      const wanted = wantedOf(body, by.claims, limits)
      if ('status' in wanted) return wanted
      const made = await apps.registration({ kind: 'native', master: by.master.id, ...wanted }, `app:${by.master.id}`)
      if (made.kind !== 'registered') return refusal(made)
      const token = secret()
      const kept = await rows.put(
        rowKey('registration', token),
        { client: made.app.id, claims: metadataIn(by.claims) },
        clock.now() + limits.grantSeconds * 1000,
      )
      const { kind } = await store.commit(together(by.used, made.parts, kept))
      // The ticket was used by somebody else at the same moment.
      if (kind !== 'committed') return by.used.require ? noToken : fault('temporarily_unavailable', 'try again', 503)
      return { status: 201, body: { ...told(issuer, made.app, token), ...statementOf(body) } }
    },

    async read(request) {
      const found = await managed(request)
      return found ? { status: 200, body: told(issuer, found.app, bearerOf(request.authorization)) } : noToken
    },

    async update(request) {
      const found = await managed(request)
      if (!found) return noToken
      const body = objectOf(request.body)
      if (!body) return fault('invalid_client_metadata', 'the body is no JSON object')
      const forbidden = ['registration_access_token', 'registration_client_uri', 'client_id_issued_at', 'client_secret']
      if (body['client_id'] !== found.app.id || forbidden.some((name) => body[name] !== undefined))
        return fault('invalid_client_metadata', 'client_id is another one, or what only we say was said') // RFC 7592 §2.2
      const wanted = wantedOf(body, found.claims, limits)
      if ('status' in wanted) return wanted
      const { jwks = null, ...rest } = wanted
      const changed = await apps.change(found.app.id, { ...rest, jwks }, `app:${found.app.id}`)
      if (changed.kind !== 'changed') return refusal(changed)
      return { status: 200, body: told(issuer, changed.app, bearerOf(request.authorization)) }
    },

    async remove(request) {
      const found = await managed(request)
      if (!found) return noToken
      const by = `app:${found.app.id}`
      await apps.setState(found.app.id, 'disabled', by)
      await store.commit({ del: [found.key] })
      const from = { by, avenue: 'offline' as const, app: found.app.id, address: request.address }
      const { grants } = await consents.ofApp(found.app.id, { limit: 100 })
      for (const grant of grants) await consents.revoke(grant.id, 'app', from)
      return { status: 204 }
    },

    async ticket({ authorization, address }) {
      const token = bearerOf(authorization)
      const row = token === undefined ? undefined : await rows.get(rowKey('ClientCredentials', token))
      const master = row?.payload['jkt'] === undefined && (await masterOf(ports, row?.payload['clientId']))
      if (!master || (master.networks && !isInNetworks(master.networks, address))) return noToken
      if (!wordsOf(row?.payload['scope']).includes('register')) return noToken
      const ticket = secret()
      const endsAt = clock.now() + limits.ticketSeconds * 1000
      await store.commit(await rows.put(rowKey('ticket', ticket), { master: master.id }, endsAt))
      return { status: 201, body: { initial_access_token: ticket, expires_in: limits.ticketSeconds } }
    },
  }
}

interface Vouched {
  readonly master: App
  /** What the master says of all its installations: it wins over what one says of itself (RFC 7591 §2.3). */
  readonly claims: Readonly<Record<string, unknown>>
  /** Uses up what may be used once. */
  readonly used: Batch
}

async function masterOf({ apps }: Pick<RegistrationPorts, 'apps'>, id: unknown): Promise<App | undefined> {
  const app = typeof id === 'string' ? await apps.get(id) : undefined
  return app?.state === 'active' && app.kind === 'master' && app.may.includes('register') ? app : undefined
}

/** Reads a software statement: signed by a key of its issuer, for us, by a master that may register. */
async function statedBy(ports: RegistrationPorts, statement: unknown): Promise<Vouched | RegistrationAnswer> {
  const bad = (why: string) => fault('invalid_software_statement', why)
  if (typeof statement !== 'string' || statement.length > ports.limits.registrationBytes)
    return bad('it is no statement')
  const issuer = objectOf(claimsOf(statement))?.['iss']
  const master = await masterOf(ports, issuer)
  if (!master) return fault('unapproved_software_statement', 'its issuer does not register installations here')
  for (const key of (await keysOf(ports, master)).slice(0, 20)) {
    const read = await verified(statement, key, master.id, ports).catch(() => undefined)
    if (read) return { master, claims: read, used: {} }
  }
  return bad('it is not signed by its issuer, not for this server, or over')
}

async function verified(
  statement: string,
  key: Readonly<Record<string, unknown>>,
  master: string,
  { issuer, clock }: RegistrationPorts,
): Promise<Readonly<Record<string, unknown>>> {
  const { alg } = JSON.parse(Buffer.from(statement.split('.')[0] ?? '', 'base64url').toString()) as { alg?: unknown }
  if (typeof alg !== 'string' || !statementAlgorithms.includes(alg)) throw new Error('algorithm')
  const { payload } = await jwtVerify(statement, await importJWK({ ...key }, alg), {
    algorithms: statementAlgorithms,
    issuer: master,
    audience: issuer,
    currentDate: new Date(clock.now()),
  })
  return payload
}

/** What a statement says of itself, unverified: only to know whose key to ask. */
function claimsOf(statement: string): unknown {
  try {
    return JSON.parse(Buffer.from(statement.split('.')[1] ?? '', 'base64url').toString())
  } catch {
    return undefined
  }
}

async function keysOf({ fetch, limits }: RegistrationPorts, { jwks, jwksUri }: App): Promise<KeySet['keys']> {
  if (jwks) return jwks.keys
  if (!jwksUri?.startsWith('https://')) return []
  const got = await fetch(jwksUri)
  if (got.kind !== 'fetched' || got.bytes.length > limits.jwksBytes) return []
  try {
    const keys = objectOf(JSON.parse(Buffer.from(got.bytes).toString()))?.['keys']
    return Array.isArray(keys) ? keys.map(objectOf).filter((key) => key !== undefined) : []
  } catch {
    return []
  }
}

/** Of a statement what speaks of the installation: it holds for its changes too (RFC 7591 §2.3). */
function metadataIn(claims: Vouched['claims']): Vouched['claims'] {
  const names = ['redirect_uris', 'client_name', 'jwks', 'token_endpoint_auth_method']
  return Object.fromEntries(Object.entries(claims).filter(([name]) => names.includes(name)))
}

interface Wanted {
  readonly name: string
  readonly redirectUris: readonly string[]
  readonly jwks?: KeySet
}

/** What of a request is taken: nothing beside these, whatever else it says. */
function wantedOf(
  body: Readonly<Record<string, unknown>>,
  claims: Readonly<Record<string, unknown>>,
  limits: OauthLimits,
): Wanted | RegistrationAnswer {
  const said = { ...body, ...claims }
  const { redirect_uris: redirects = [], client_name: name = 'Installation', jwks } = said
  const bad = (why: string) => fault('invalid_client_metadata', why)
  if (typeof name !== 'string' || name === '' || name.length > limits.nameChars) return bad('client_name')
  if (!isTexts(redirects, limits)) return fault('invalid_redirect_uri', 'redirect_uris')
  const own = body['redirect_uris']
  if (Array.isArray(claims['redirect_uris']) && Array.isArray(own) && !own.every((one) => redirects.includes(one)))
    return fault('invalid_redirect_uri', 'the software statement has other redirect_uris')
  const method = said['token_endpoint_auth_method'] ?? (jwks === undefined ? 'none' : 'private_key_jwt')
  if (method !== (jwks === undefined ? 'none' : 'private_key_jwt')) return bad('token_endpoint_auth_method')
  const { application_type: type = 'native', jwks_uri: uri } = said
  if (type !== 'native' || uri !== undefined) return bad('an installation is native, and brings its own keys')
  const responses: unknown = said['response_types'] ?? ['code']
  if (!Array.isArray(responses) || responses.some((one) => one !== 'code')) return bad('response_types')
  if (jwks === undefined) return { name, redirectUris: redirects }
  const keys = objectOf(jwks)?.['keys']
  if (!Array.isArray(keys) || keys.length === 0 || keys.length > limits.keys) return bad('jwks')
  const objects = keys.map(objectOf).filter((key) => key !== undefined)
  if (objects.length !== keys.length) return bad('jwks')
  return { name, redirectUris: redirects, jwks: { keys: objects } }
}

function isTexts(value: unknown, { redirects, uriChars }: OauthLimits): value is readonly string[] {
  return (
    Array.isArray(value) &&
    value.length <= redirects &&
    value.every((one) => typeof one === 'string' && one.length <= uriChars)
  )
}

/** The installation as it stands (RFC 7591 §3.2.1). */
function told(issuer: string, app: App, token: string | undefined): Readonly<Record<string, unknown>> {
  return {
    ...clientOf(app),
    client_id_issued_at: Math.floor(app.createdAt / 1000),
    registration_client_uri: `${issuer}/oauth/register/${app.id}`,
    registration_access_token: token,
  }
}

function statementOf({ software_statement: statement }: Readonly<Record<string, unknown>>) {
  return statement === undefined ? {} : { software_statement: statement }
}

function refusal({ problem, faults }: AppRefusal): RegistrationAnswer {
  const isRedirect = faults.some(({ where }) => where.startsWith('redirectUris'))
  const words = faults.map(({ where, detail }) => `${where}: ${detail}`).join('; ')
  return fault(isRedirect ? 'invalid_redirect_uri' : 'invalid_client_metadata', words || problem)
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : undefined
}

function bearerOf(header: string | undefined): string | undefined {
  return /^Bearer +([\w-]{43}) *$/i.exec(header ?? '')?.[1]
}

/** So many at once from one network, and so many an hour: a statement that leaked out of an application costs little. */
function allowance(clock: Clock, { burst, perHour }: OauthLimits['registrations']): (network: string) => boolean {
  const left = new Map<string, { level: number; at: number }>()
  return (network) => {
    const now = clock.now()
    const known = left.get(network) ?? { level: burst, at: now }
    const level = Math.min(burst, known.level + (Math.max(0, now - known.at) / 3_600_000) * perHour)
    left.delete(network)
    left.set(network, { level: Math.max(0, level - 1), at: now })
    if (left.size > 10_000) left.delete(left.keys().next().value ?? '')
    return level >= 1
  }
}
