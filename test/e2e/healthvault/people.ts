import type { Asked } from '../../fixtures/process.js'
import { type House, newAddress, unique } from './house.js'

/** Somebody who signed up by the link of a letter, and is signed in. */
export interface Person {
  readonly name: string
  readonly email: string
  readonly password: string
  /** Where they sit. */
  readonly address: string
  /** As the browser sends them. */
  readonly cookie: string
  readonly csrf: string
  /** Asks the API with the cookie of the session, as a page of ours does: from another network each time, unless a header says which. */
  ask(method: string, path: string, body?: object, headers?: Readonly<Record<string, string>>): Promise<Asked>
  /** A new record of which they are custodian. */
  record(name: string, more?: { readonly relationship?: string; readonly birthDate?: string }): Promise<string>
}

const password = 'correct horse battery staple'

export async function postJson(
  house: House,
  path: string,
  body: object,
  from?: string,
  more: Readonly<Record<string, string>> = {},
) {
  const headers = { 'content-type': 'application/json', ...more }
  const init = { method: 'POST', body: JSON.stringify(body), headers }
  return house.ask(path, from === undefined ? init : { ...init, from })
}

/** Signs somebody up and in. */
export async function signUp(house: House, name: string): Promise<Person> {
  const email = `${unique(name.toLowerCase())}@mail.example`
  const address = newAddress()
  const sent = await postJson(house, '/api/v1/account/sign-up', { email, name }, address)
  if (sent.status !== 200) throw new Error(`sign-up: ${sent.status} ${sent.bytes}`)
  const { text } = await house.letterTo(email)
  const code = /code=([\w-]+)/.exec(text)?.[1] ?? ''
  const entered = await postJson(
    house,
    '/api/v1/account/sign-up/confirm',
    { code, factor: { kind: 'password', password } },
    address,
  )
  if (entered.status !== 200) throw new Error(`confirm: ${entered.status} ${entered.bytes}`)
  return personOf(house, { name, email, password, address }, entered)
}

/** Signs somebody in once more: another session. */
export async function signIn(house: House, { name, email, address }: Person): Promise<Person> {
  const entered = await postJson(house, '/api/v1/account/sign-in', { email, password }, address)
  if (entered.status !== 200) throw new Error(`sign-in: ${entered.status} ${entered.bytes}`)
  return personOf(house, { name, email, password, address }, entered)
}

export function cookiesIn(headers: Headers): string {
  return headers
    .getSetCookie()
    .map((line) => line.split(';')[0])
    .join('; ')
}

function personOf(house: House, who: Pick<Person, 'name' | 'email' | 'password' | 'address'>, entered: Asked): Person {
  const { csrf } = entered.json<{ csrf: string }>()
  const cookie = cookiesIn(entered.headers)
  const asking: Person['ask'] = (method, path, body, more = {}) =>
    house.ask(path, {
      method,
      headers: {
        ...{ cookie, 'x-csrf-token': csrf, origin: house.url },
        ...(body && { 'content-type': 'application/json' }),
        ...more,
      },
      ...(body && { body: JSON.stringify(body) }),
    })
  return {
    ...{ ...who, cookie, csrf },
    ask: asking,
    async record(name, more = {}) {
      const made = await asking('POST', '/api/v1/account/records', { name, ...more })
      if (made.status !== 201) throw new Error(`record: ${made.status} ${made.bytes}`)
      return made.json<{ recordId: string }>().recordId
    },
  }
}
