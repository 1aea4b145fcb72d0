import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import type { AppKind } from '../../../src/consent/consent.js'
import type { AccessRule, RuleSets } from '../../../src/direct/access.js'
import type { Asked } from '../../fixtures/process.js'
import { type House, newAddress, unique } from './house.js'

/** An application that an operator registered, and what it asks as itself. */
export interface Backend {
  readonly id: string
  readonly name: string
  /** A signed statement of who it is, for one use (RFC 7523 §3). */
  assertion(): Promise<Readonly<Record<string, string>>>
  /** A token for itself (SMART Backend Services). */
  token(scope?: string): Promise<string>
  /** Asks with such a token. */
  ask(
    method: string,
    path: string,
    body?: object | Uint8Array,
    headers?: Readonly<Record<string, string>>,
  ): Promise<Asked>
  /** A statement of a master for an installation (RFC 7591 §2.3). */
  statement(claims?: object): Promise<string>
}

export const rule = (name: string, more: Partial<AccessRule> = {}): AccessRule => ({
  name,
  reason: { en: `So that ${name} is done` },
  permissions: ['create', 'read', 'update', 'delete'],
  types: ['problem', 'document', 'note'],
  ...more,
})

export const offline: RuleSets = { online: [], offline: [rule('care')] }

export interface Registration {
  readonly kind?: AppKind
  readonly rules?: RuleSets
  readonly may?: readonly string[]
  readonly redirect?: readonly string[]
  readonly master?: string
  readonly more?: readonly string[]
  /** What its tokens are for where nothing is said. */
  readonly scope?: string
}

/** Registers an application by the command line. */
export async function register(house: House, registration: Registration = {}): Promise<Backend> {
  const {
    kind = 'clinic',
    rules = offline,
    may = ['connect', 'drop-off'],
    redirect = [],
    master,
    more = [],
  } = registration
  const { scope = may.join(' ') } = registration
  const name = unique('Elm Street')
  const { publicKey, privateKey } = await generateKeyPair('ES384', { extractable: true })
  const jwk = { ...(await exportJWK(publicKey)), alg: 'ES384', kid: randomBytes(4).toString('hex'), use: 'sig' }
  const signs = kind === 'clinic' || kind === 'master'
  const path = (what: string) => join(house.folder, `${name}-${what}.json`)
  writeFileSync(path('rules'), JSON.stringify(rules))
  writeFileSync(path('jwks'), JSON.stringify({ keys: [jwk] }))
  const said = await house.cli(
    ...['app', 'add', kind, name, '--rules', path('rules'), '--json', ...more],
    ...(signs ? ['--jwks', path('jwks')] : []),
    ...(signs && may.length > 0 ? ['--may', ...may] : []),
    ...(redirect.length > 0 ? ['--redirect', ...redirect] : []),
    ...(master === undefined ? [] : ['--master', master]),
  )
  const { id } = JSON.parse(said) as { id: string }
  const address = newAddress()
  const signed = (claims: object, audience: string, seconds: number) =>
    new SignJWT({ ...claims })
      .setProtectedHeader({ alg: 'ES384', kid: jwk.kid, typ: 'JWT' })
      .setIssuer(id)
      .setAudience(audience)
      .setIssuedAt()
      .setExpirationTime(`${seconds}s`)
      .sign(privateKey)
  const assertion = async () => ({
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: await signed({ sub: id, jti: randomBytes(8).toString('hex') }, `${house.url}/oauth/token`, 240),
  })
  async function token(asked = scope) {
    const form = { grant_type: 'client_credentials', scope: asked, ...(await assertion()) }
    const answer = await postForm(house, '/oauth/token', form, address)
    if (answer.status !== 200) throw new Error(`token: ${answer.status} ${answer.bytes}`)
    return answer.json<{ access_token: string }>().access_token
  }
  let kept: { readonly text: string; readonly until: number } | undefined
  return {
    ...{ id, name, assertion, token },
    async ask(method, path, body, headers) {
      if (!kept || kept.until < Date.now()) kept = { text: await token(), until: Date.now() + 200_000 }
      return asToken(house, kept.text, method, path, body, { headers: headers ?? {}, from: address })
    },
    statement: (claims = {}) => signed(claims, house.url, 600),
  }
}

/** Asks with an access token. */
export function asToken(
  house: House,
  token: string,
  method: string,
  path: string,
  body?: object | Uint8Array,
  {
    headers = {},
    from = newAddress(),
  }: { readonly headers?: Readonly<Record<string, string>>; readonly from?: string } = {},
): Promise<Asked> {
  const bytes = body instanceof Uint8Array
  return house.ask(path, {
    ...{ method, from },
    headers: {
      authorization: `Bearer ${token}`,
      ...(body && { 'content-type': bytes ? 'application/octet-stream' : 'application/json' }),
      ...headers,
    },
    ...(body && { body: bytes ? new Uint8Array(body) : JSON.stringify(body) }),
  })
}

export function postForm(house: House, path: string, fields: Readonly<Record<string, string>>, from?: string) {
  const headers = { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' }
  const init = { method: 'POST', headers, body: new URLSearchParams(fields).toString() }
  return house.ask(path, from === undefined ? init : { ...init, from })
}
