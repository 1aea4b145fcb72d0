import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'

/** An application of somebody else, written by the standards alone: its keys, its requests for tokens, its proofs. */

export interface ApplicationKey {
  readonly private: KeyObject
  /** RFC 7517, with `kid`, `alg` and `use`. */
  readonly jwk: Readonly<Record<string, unknown>>
}

export function newKey(): ApplicationKey {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid: randomBytes(6).toString('hex'), alg: 'ES256', use: 'sig' }
  return { private: privateKey, jwk }
}

const base64url = (text: string) => Buffer.from(text).toString('base64url')
const sha256 = (text: string) => createHash('sha256').update(text).digest('base64url')
const nonce = () => randomBytes(16).toString('base64url')

/** A JSON Web Token under ES256 (RFC 7519, RFC 7518 §3.4). */
export function signed(claims: object, key: ApplicationKey, header: object = {}): string {
  const text = [{ alg: 'ES256', ...header }, claims].map((part) => base64url(JSON.stringify(part))).join('.')
  const signature = sign('sha256', Buffer.from(text), { key: key.private, dsaEncoding: 'ieee-p1363' })
  return `${text}.${signature.toString('base64url')}`
}

const now = () => Math.floor(Date.now() / 1000)

/** What a request for tokens, or for data, is answered. */
export interface Answer {
  readonly status: number
  readonly json: Readonly<Record<string, unknown>>
}

async function answerOf(response: Response): Promise<Answer> {
  const text = await response.text()
  return {
    status: response.status,
    json: /json/.test(response.headers.get('content-type') ?? '') ? JSON.parse(text) : {},
  }
}

/** A proof of the key that a token is bound to (RFC 9449 §4.2). */
function proof(key: ApplicationKey, method: string, url: string, token?: string): string {
  const { kty, crv, x, y } = key.jwk
  const claims = {
    ...{ jti: nonce(), htm: method, htu: url.split('?')[0], iat: now() },
    ...(token !== undefined && { ath: sha256(token) }),
  }
  return signed(claims, key, { typ: 'dpop+jwt', jwk: { kty, crv, x, y } })
}

/** A secret of one authorization, and what is shown of it (RFC 7636 §4). */
export function newVerifier() {
  const verifier = randomBytes(32).toString('base64url')
  return { verifier, state: nonce(), challenge: sha256(verifier) }
}

/** The address at which a person is asked (RFC 6749 §4.1.1). */
export function authorizationUrl(
  issuer: string,
  app: { readonly id: string; readonly redirect: string; readonly scope: string },
  { challenge, state }: { readonly challenge: string; readonly state: string },
): string {
  const query = new URLSearchParams({
    ...{ response_type: 'code', client_id: app.id, redirect_uri: app.redirect, scope: app.scope, state },
    ...{ code_challenge: challenge, code_challenge_method: 'S256', aud: `${issuer}/fhir` },
  })
  return `${issuer}/oauth/authorize?${query}`
}

/** Asks for tokens; with a key they are bound to it. */
export async function tokens(
  issuer: string,
  form: Readonly<Record<string, string>>,
  bound?: ApplicationKey,
): Promise<Answer> {
  const url = `${issuer}/oauth/token`
  const headers = bound ? { dpop: proof(bound, 'POST', url) } : {}
  return answerOf(await fetch(url, { method: 'POST', body: new URLSearchParams(form), headers }))
}

/** A token of a clinic's own program (SMART Backend Services). */
export async function backendToken(issuer: string, id: string, key: ApplicationKey, scope: string): Promise<string> {
  const claims = { iss: id, sub: id, aud: `${issuer}/oauth/token`, exp: now() + 120, iat: now(), jti: nonce() }
  const { status, json } = await tokens(issuer, {
    ...{ grant_type: 'client_credentials', scope },
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: signed(claims, key, { kid: key.jwk['kid'] }),
  })
  if (status !== 200) throw new Error(`no token for the clinic's program: ${status} ${JSON.stringify(json)}`)
  return String(json['access_token'])
}

export interface Call {
  readonly method?: string
  readonly body?: unknown
  readonly bound?: ApplicationKey
  readonly headers?: Readonly<Record<string, string>>
}

/** Asks for data with a token; with the key that it is bound to, with a proof as well. */
export async function call(
  url: string,
  token: string,
  { method = 'GET', body, bound, headers }: Call = {},
): Promise<Answer> {
  const isBytes = body instanceof Uint8Array
  return answerOf(
    await fetch(url, {
      method,
      headers: {
        authorization: `${bound ? 'DPoP' : 'Bearer'} ${token}`,
        ...(bound && { dpop: proof(bound, method, url, token) }),
        ...(body !== undefined && { 'content-type': isBytes ? 'application/octet-stream' : 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: isBytes ? Buffer.from(body) : JSON.stringify(body) }),
    }),
  )
}

/** The same where it must succeed. */
export async function mustCall<T>(url: string, token: string, options: Call = {}): Promise<T> {
  const { status, json } = await call(url, token, options)
  if (status >= 300)
    throw new Error(`${options.method ?? 'GET'} ${new URL(url).pathname}: ${status} ${JSON.stringify(json)}`)
  return json as T
}
