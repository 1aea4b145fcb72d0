import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { App } from '../../src/consent/consent.js'
import { from, type OauthWorld, openOauthWorld, serve, webApp } from '../oauth/world.js'

/** Installed beside the project: `npm ci --omit=optional --ignore-scripts` in test/clients. */
const folder = new URL('../clients/', import.meta.url)
const missing = !existsSync(new URL('node_modules/fhirclient/package.json', folder))

interface Smart {
  authorize(options: Readonly<Record<string, unknown>>): Promise<unknown>
  ready(): Promise<{ readonly patient: { readonly id: string }; readonly state: { readonly tokenResponse: object } }>
}
type OpenSmart = (request: object, response: object, storage: object) => Smart

describe.skipIf(missing)(`fhirclient, as it comes${missing ? ' (not installed in test/clients)' : ''}`, () => {
  let world: OauthWorld
  let app: App
  let server: Awaited<ReturnType<typeof serve>>

  beforeAll(async () => {
    const port = 20_000 + (randomBytes(2).readUInt16BE() % 20_000)
    world = await openOauthWorld({ issuer: `http://localhost:${port}` })
    server = await serve(world.oauth)
    await server.listen({ host: 'localhost', port })
    app = await world.register(webApp)
  })
  afterAll(async () => server?.close())

  it('finds the server by its SMART configuration, and learns whose record it may read', async () => {
    const smart = createRequire(folder)('fhirclient') as OpenSmart
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
      redirect: (url: string) => {
        sentTo = url
      },
    }
    const requestOf = (url: string) => ({ url, headers: { host: 'well.example' }, socket: {} })
    await smart(requestOf('/launch'), response, storage).authorize({
      clientId: app.id,
      scope: 'launch/patient openid fhirUser patient/Condition.rs',
      redirectUri: 'https://well.example/cb',
      iss: `${world.issuer}/fhir`,
      pkceMode: 'required',
    })
    const began = await fetch(sentTo, { redirect: 'manual' })
    const cookies = began.headers.getSetCookie().map((line) => line.split(';')[0])
    const cookie = cookies.join('; ')
    const uid = /^\/authorize\/([\w-]+)$/.exec(began.headers.get('location') ?? '')?.[1] ?? ''
    const choice = { session: world.session(), record: 'child', online: [], offline: [] }
    const decided = await world.oauth.decisions.allow(uid, cookie, choice, from)
    const location = decided.kind === 'done' ? (decided.location ?? '') : decided.kind
    const back = await fetch(location, { redirect: 'manual', headers: { cookie } })
    const { pathname, search } = new URL(back.headers.get('location') ?? '')
    const client = await smart(requestOf(`${pathname}${search}`), response, storage).ready()
    expect(client.patient.id).toBe(world.consents.pseudonyms.record(app.id, 'child'))
    expect(client.state.tokenResponse).toMatchObject({ need_patient_banner: true, token_type: 'Bearer' })
  })
})
