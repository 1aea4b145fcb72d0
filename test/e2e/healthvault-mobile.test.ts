import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { asToken, type Backend, postForm, register, rule } from './healthvault/clinic.js'
import { type House, newAddress, openHouse, problem } from './healthvault/house.js'
import { type Person, postJson, signUp } from './healthvault/people.js'
import { refresh, type Tokens, tokensFor } from './healthvault/web.js'

/** HealthVault's applications on devices, behaviour by behaviour, against one built gateway. */

const redirect = 'com.example.pocket:/cb'
const scope = 'launch/patient patient/*.cruds offline_access'

let house: House
let master: Backend
let mother: Person
let child: string

beforeAll(async () => {
  house = await openHouse()
  const rules = { online: [], offline: [rule('sync', { types: ['problem'] })] }
  ;[master, mother] = await Promise.all([
    register(house, { kind: 'master', rules, may: ['register'], scope: 'register' }),
    signUp(house, 'Mother'),
  ])
  child = await mother.record('Anna', { relationship: 'parent' })
})
afterAll(() => house.close())

async function installed(name = 'On a phone'): Promise<string> {
  const body = { redirect_uris: [redirect], client_name: name, software_statement: await master.statement() }
  const answer = await postJson(house, '/oauth/register', body)
  if (answer.status !== 201) throw new Error(`register: ${answer.status} ${answer.bytes}`)
  return answer.json<{ client_id: string }>().client_id
}

const connect = (client: string) => tokensFor(house, mother, { client, redirect, scope }, { record: child })
const items = ({ patient }: Tokens, query = '') => `/api/v1/records/${patient}/items${query}`

describe('an application on a device', () => {
  it('registers with a token of its maker that works once', async () => {
    const made = await master.ask('POST', '/oauth/register/ticket')
    expect(made.status).toBe(201)
    const { initial_access_token: token } = made.json<{ initial_access_token: string }>()
    const from = newAddress()
    const body = { redirect_uris: [redirect] }
    const all = await Promise.all(
      [1, 2, 3, 4, 5].map(() => postJson(house, '/oauth/register', body, from, { authorization: `Bearer ${token}` })),
    )
    expect(all.map(({ status }) => status).sort()).toEqual([201, 401, 401, 401, 401])
  })

  it('takes nothing from a statement of somebody else, and nothing beside what an installation may say', async () => {
    const other = await register(house, { kind: 'master', may: ['register'] })
    const statement = (await other.statement()).replace(/\.[^.]+\./, `.${(await master.statement()).split('.')[1]}.`)
    const forged = await postJson(house, '/oauth/register', {
      redirect_uris: [redirect],
      software_statement: statement,
    })
    expect(forged.status).toBe(400)
    const more = { may: ['connect'], kind: 'master', rules: { online: 'all' }, scope: 'system/*.cruds' }
    const body = { redirect_uris: [redirect], software_statement: await master.statement(), ...more }
    const answer = await postJson(house, '/oauth/register', body)
    const { client_id: id } = answer.json<{ client_id: string }>()
    const shown = JSON.parse(await house.cli('app', 'show', id, '--json')) as object
    expect(shown).toMatchObject({ kind: 'native', master: master.id, may: [] })
  })

  it("has its master's rules, and a later change of them without being installed anew", async () => {
    const client = await installed()
    const before = await connect(client)
    expect((await asToken(house, before.access_token, 'GET', items(before, '?type=problem'))).status).toBe(200)
    expect(problem(await asToken(house, before.access_token, 'GET', items(before, '?type=allergy')))).toBe(
      '403 access-denied 11',
    )
    const wider = { online: [], offline: [rule('sync', { types: ['problem', 'allergy'] })] }
    const file = join(house.folder, 'wider.json')
    writeFileSync(file, JSON.stringify(wider))
    await house.cli('app', 'update', master.id, '--rules', file)
    const after = await connect(client)
    expect(after.patient).toBe(before.patient)
    expect((await asToken(house, after.access_token, 'GET', items(after, '?type=allergy'))).status).toBe(200)
  })

  it('is revoked alone: the other installation of the same person goes on', async () => {
    const [phone, tablet] = [await installed('Phone'), await installed('Tablet')]
    const [one, other] = [await connect(phone), await connect(tablet)]
    const { grants } = (await mother.ask('GET', `/api/v1/grants?record=${child}&limit=100`)).json<{
      grants: { id: string; app: { id: string; master?: string } }[]
    }>()
    const grant = grants.find(({ app }) => app.id === phone)
    expect(grant?.app.master).toBe(master.id)
    expect((await mother.ask('DELETE', `/api/v1/grants/${grant?.id}`)).status).toBe(200)
    expect((await asToken(house, one.access_token, 'GET', items(one))).status).toBe(401)
    expect((await refresh(house, phone, one.refresh_token ?? '')).json()).toMatchObject({ error: 'invalid_grant' })
    expect((await asToken(house, other.access_token, 'GET', items(other))).status).toBe(200)
  })

  it('whose access ended asks the person again, and is in again', async () => {
    const client = await installed()
    const first = await connect(client)
    const { grants } = (await mother.ask('GET', `/api/v1/grants?record=${child}&limit=100`)).json<{
      grants: { id: string; app: { id: string } }[]
    }>()
    await mother.ask('DELETE', `/api/v1/grants/${grants.find(({ app }) => app.id === client)?.id}`)
    const dead = await asToken(house, first.access_token, 'GET', items(first))
    expect([problem(dead), dead.headers.get('www-authenticate')]).toEqual([
      '401 unauthenticated',
      expect.stringContaining('invalid_token'),
    ])
    const again = await connect(client)
    expect(again.patient).toBe(first.patient)
    expect((await asToken(house, again.access_token, 'GET', items(again))).status).toBe(200)
  })

  it('comes back on any port of its loopback, and on no other host', async () => {
    const body = { redirect_uris: ['http://127.0.0.1/cb'], software_statement: await master.statement() }
    const { client_id: client } = (await postJson(house, '/oauth/register', body)).json<{ client_id: string }>()
    const tokens = await tokensFor(
      house,
      mother,
      { client, scope, redirect: 'http://127.0.0.1:51234/cb' },
      { record: child },
    )
    expect(tokens.patient).toBeTruthy()
    await expect(
      tokensFor(house, mother, { client, scope, redirect: 'http://127.0.0.2:51234/cb' }, { record: child }),
    ).rejects.toThrow('authorize: 400')
  })

  it('without a browser is allowed at another screen, by a code that is used once', async () => {
    const client = await installed('Television')
    const begun = await postForm(house, '/oauth/device-authorization', { client_id: client, scope })
    const { device_code: code, user_code: typed } = begun.json<{ device_code: string; user_code: string }>()
    const form = { grant_type: 'urn:ietf:params:oauth:grant-type:device_code', device_code: code, client_id: client }
    expect((await postForm(house, '/oauth/token', form)).json()).toMatchObject({ error: 'authorization_pending' })
    const allow = () =>
      house.ask('/device', {
        method: 'POST',
        headers: { cookie: mother.cookie, origin: house.url, 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({ csrf: mother.csrf, user_code: typed, record: child, decision: 'allow' }).toString(),
      })
    expect((await allow()).status).toBe(200)
    expect((await allow()).status).toBe(422)
    expect((await postForm(house, '/oauth/token', form)).json()).toMatchObject({ token_type: 'Bearer' })
    expect((await postForm(house, '/oauth/token', form)).json()).toMatchObject({ error: 'invalid_grant' })
  })
})
