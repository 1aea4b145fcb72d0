import { createHash, randomBytes } from 'node:crypto'
import type { Asked } from '../../fixtures/process.js'
import { postForm } from './clinic.js'
import { type House, newAddress } from './house.js'
import type { Person } from './people.js'

/** An application at a person's browser, by hand, so that a test can do it wrongly. */

export const redirectUri = 'https://well.example/cb'

const verifier = randomBytes(32).toString('base64url')
const challenge = createHash('sha256').update(verifier).digest('base64url')

export interface Asking {
  readonly client: string
  readonly scope?: string
  readonly redirect?: string
  readonly state?: string
  /** Parameters in the place of ours; an empty one is left out. */
  readonly more?: Readonly<Record<string, string>>
}

/** What the application sends the browser to. */
export function authorizePath(house: House, { client, scope, redirect, state = 'its-own-state', more = {} }: Asking) {
  const fields = {
    ...{ response_type: 'code', client_id: client, redirect_uri: redirect ?? redirectUri, state },
    ...{ scope: scope ?? 'launch/patient patient/*.cruds', aud: `${house.url}/fhir` },
    ...{ code_challenge: challenge, code_challenge_method: 'S256', ...more },
  }
  return `/oauth/authorize?${new URLSearchParams(Object.entries(fields).filter(([, value]) => value !== ''))}`
}

/** A browser with a person's session that keeps what it is told to keep. */
export function browserOf(house: House, person?: Person) {
  const jar = new Map(person?.cookie.split('; ').map((pair) => pair.split(/=(.*)/s).slice(0, 2) as [string, string]))
  const from = newAddress()
  async function go(
    path: string,
    form?: Readonly<Record<string, string>> | URLSearchParams,
    more = {},
  ): Promise<Asked> {
    const answer = await house.ask(path.replace(house.url, ''), {
      ...{ from, method: form ? 'POST' : 'GET' },
      headers: {
        cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; '),
        accept: 'text/html',
        ...(form && { 'content-type': 'application/x-www-form-urlencoded', origin: house.url }),
        ...more,
      },
      ...(form && { body: new URLSearchParams(form).toString() }),
    })
    for (const line of answer.headers.getSetCookie()) {
      const [name = '', value = ''] = (line.split(';')[0] ?? '').split(/=(.*)/s)
      if (value === '' || /max-age=0|expires=Thu, 01 Jan 1970/i.test(line)) jar.delete(name)
      else jar.set(name, value)
    }
    return answer
  }
  return { jar, go }
}

export const locationOf = ({ headers }: Asked) => headers.get('location') ?? ''

export interface Decision {
  readonly record: string
  readonly online?: readonly string[]
  readonly offline?: readonly string[]
  readonly decision?: 'allow' | 'deny'
}

/** From the application to the decision and back: where the browser is sent in the end. */
export async function decide(house: House, person: Person, asking: Asking, decision: Decision): Promise<URL> {
  const { go } = browserOf(house, person)
  const begun = await go(authorizePath(house, asking))
  const path = locationOf(begun)
  if (!path.includes('/authorize/')) throw new Error(`authorize: ${begun.status} ${path} ${begun.bytes}`)
  const { record, online = [], offline = [], decision: word = 'allow' } = decision
  const fields = new URLSearchParams({ csrf: person.csrf, decision: word, record })
  for (const name of online) fields.append('online', name)
  for (const name of offline) fields.append('offline', name)
  let answer = await go(path, fields)
  for (let hops = 0; hops < 5 && locationOf(answer).startsWith('/') === true; hops++)
    answer = await go(locationOf(answer))
  for (let hops = 0; hops < 5 && locationOf(answer).startsWith(house.url); hops++) answer = await go(locationOf(answer))
  const location = locationOf(answer)
  if (location === '') throw new Error(`decide: ${answer.status} ${answer.bytes.toString().slice(-800)}`)
  return new URL(location)
}

export interface Tokens {
  readonly access_token: string
  readonly refresh_token?: string
  readonly scope: string
  readonly patient: string
}

export function exchange(house: House, client: string, code: string, more: Readonly<Record<string, string>> = {}) {
  const form = { grant_type: 'authorization_code', code, client_id: client, redirect_uri: redirectUri }
  return postForm(house, '/oauth/token', { ...form, code_verifier: verifier, ...more })
}

export function refresh(house: House, client: string, token: string) {
  return postForm(house, '/oauth/token', { grant_type: 'refresh_token', refresh_token: token, client_id: client })
}

/** The whole way to tokens. */
export async function tokensFor(house: House, person: Person, asking: Asking, decision: Decision): Promise<Tokens> {
  const back = await decide(house, person, asking, decision)
  const redirect = asking.redirect ?? redirectUri
  const answer = await exchange(house, asking.client, back.searchParams.get('code') ?? '', { redirect_uri: redirect })
  if (answer.status !== 200) throw new Error(`token: ${back.href} ${answer.status} ${answer.bytes}`)
  return answer.json<Tokens>()
}
