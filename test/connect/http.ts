import type { Caller } from '../../src/api/caller.js'
import { audit } from '../../src/audit/audit.js'
import { pickupPages } from '../../src/pages/pickup.js'
import { mountPages } from '../../src/pages/session.js'
import { sheetOf } from '../../src/pages/sheet.js'
import type { Session } from '../../src/people/people.js'
import { openGateway } from '../api/gateway.js'
import { openClinic } from './clinic.js'

export const origin = 'http://127.0.0.1:8080'

/** The API and the pages of pickup over a clinic, a mother, a stranger, and tokens named after whose they are. */
export async function openHttp() {
  const clinic = await openClinic()
  const { app, apps, consents, connect, store, clock } = clinic
  clinic.hold('stranger', 'other')
  const callers: Record<string, Caller> = {
    clinic: { by: `app:${app.id}`, scopes: ['connect'], reach: { kind: 'app', app: app.id } },
    operator: { by: 'token:1', scopes: ['operator', 'record:read', 'record:write'], reach: { kind: 'gateway' } },
    grant: {
      by: `app:${app.id}`,
      scopes: ['record:read', 'record:write', 'connect'],
      reach: { kind: 'grant', grant: 'g', app: app.id, person: 'mother', record: 'child', avenue: 'offline' },
    },
  }
  for (const person of ['mother', 'stranger'])
    callers[person] = {
      by: `person:${person}`,
      scopes: ['record:read', 'record:write', 'pickup'],
      reach: { kind: 'person', person, session: `of-${person}`, csrf: 'x' },
    }
  const session = (person: string): Session => ({
    ...{ id: `of-${person}`, person, level: 'two-factors', authenticatedAt: clock.at, endsAt: clock.at + 1e6 },
    csrf: `csrf-of-${person}`,
  })
  const sessions = {
    current: async (secret: string) => (secret in callers ? session(secret) : undefined),
    isLive: async () => true,
    end: async () => undefined,
  }
  const records = {
    ...clinic.records,
    create: async () => ({ kind: 'too-many' }) as const,
    get: async () => undefined,
    holders: async () => [],
  }
  const log = { error: () => undefined }
  const pages = mountPages({ sessions, clock, log }, { origin, house: 'Test house' }, [
    pickupPages({ connect, apps, records, store, audit, clock }),
  ])
  const gateway = await openGateway(
    {
      also: pages,
      origin,
      limits: { perToken: { perSecond: 1e6, burst: 1e6 }, perAddress: { perSecond: 1e6, burst: 1e6 } },
    },
    {
      ...{ store, clock, consents, apps, connect, audit },
      authenticate: async (secret) => callers[secret],
      sheet: (code) => sheetOf(code, 'Test house'),
    },
  )
  async function call(who: string | undefined, method: string, url: string, payload?: object, address = '192.0.2.9') {
    const response = await gateway.app.inject({
      ...{ method: method as 'GET', url: `/api/v1${url}`, remoteAddress: address },
      ...(who !== undefined && { headers: { authorization: `Bearer ${who}` } }),
      ...(payload && { payload }),
    })
    return { status: response.statusCode, body: response.json(), headers: response.headers }
  }
  /** A page, as the browser of somebody asks for it; with fields it is posted as a form of ours. */
  async function browse(who: string | undefined, url: string, fields?: Record<string, string>) {
    const response = await gateway.app.inject({
      ...{ method: fields ? 'POST' : 'GET', url, remoteAddress: '192.0.2.9' },
      headers: {
        ...(who !== undefined && { cookie: `session=${who}` }),
        ...(fields && { 'content-type': 'application/x-www-form-urlencoded', origin, 'sec-fetch-site': 'same-origin' }),
      },
      ...(fields && { payload: new URLSearchParams({ csrf: `csrf-of-${who}`, ...fields }).toString() }),
    })
    return { status: response.statusCode, body: response.body, headers: response.headers }
  }
  return { ...clinic, gateway, call, browse }
}
