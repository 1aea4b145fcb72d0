import type { Caller } from '../../src/api/caller.js'
import { authoredSchema } from '../../src/api/item-schema.js'
import { openAppEvents } from '../../src/connect/app-events.js'
import { openPackages } from '../../src/connect/package/packages.js'
import { openUploads } from '../../src/connect/package/uploads.js'
import { openLinks } from '../../src/connect/shl/links.js'
import { claimPages } from '../../src/pages/claim.js'
import { pickupPages } from '../../src/pages/pickup.js'
import { mountPages } from '../../src/pages/session.js'
import type { Session } from '../../src/people/people.js'
import { openClaims } from '../../src/pipeline/claim.js'
import { openFhir } from '../../src/pipeline/fhir.js'
import type { Newcomers } from '../../src/pipeline/newuser.js'
import { openShares } from '../../src/pipeline/share.js'
import type { LinkFetch } from '../../src/ports/fetch.js'
import type { AuthoredItem } from '../../src/record/item.js'
import { openRecord } from '../../src/record/record.js'
import { openGateway } from '../api/gateway.js'
import { openClinic } from './clinic.js'

export const origin = 'http://127.0.0.1:8080'
const none: LinkFetch = async () => ({ kind: 'failed', detail: 'nobody answers' })
const nobody: Pick<Newcomers, 'claim' | 'decline'> = {
  claim: async () => ({ kind: 'nothing' }),
  decline: async () => false,
}

/** Everything that begins with a code or a link, over HTTP: a clinic, a mother with a child and herself, a stranger. */
export async function openWays({
  fetch = none,
  newcomers = nobody,
  base = 'https://gw.example',
}: {
  fetch?: LinkFetch
  newcomers?: Pick<Newcomers, 'claim' | 'decline'>
  base?: string
} = {}) {
  const clinic = await openClinic({ may: ['drop-off'] })
  const { app, apps, consents, connect, store, clock, audit, requests, rules, slowHash, ports: held, activity } = clinic
  clock.at = Date.now()
  clinic.hold('mother', 'herself')
  clinic.hold('stranger', 'other')
  const letters: string[] = []
  const port = {
    letter: (to: object, letter: object) => {
      letters.push(JSON.stringify({ to, letter }))
      return {}
    },
  }
  const uploads = openUploads(clinic)
  const packages = openPackages(
    { ...clinic, uploads, requests, slowHash, letters: port, events: openAppEvents({ apps }) },
    { pickupUrl: `${base}/pickup` },
  )
  rules.package = packages.rules
  const record = openRecord(clinic)
  const claims = openClaims({
    ...{ ...clinic, record, packages },
    nameOf: async (id) => (await apps.get(id))?.name,
    items: (sent) => {
      const read = authoredSchema.array().safeParse(sent)
      return read.success ? (read.data as readonly AuthoredItem[]) : undefined
    },
  })
  const links = openLinks({ ...clinic, slowHash, indexKey: Buffer.alloc(32, 5), base })
  const shares = openShares({ ...clinic, links, record, fetch, base, house: 'Test house' })

  const callers: Record<string, Caller> = {
    clinic: { by: `app:${app.id}`, scopes: ['drop-off'], reach: { kind: 'app', app: app.id } },
  }
  for (const person of ['mother', 'stranger'])
    callers[person] = {
      by: `person:${person}`,
      scopes: ['record:read', 'record:write', 'pickup', 'sharing'],
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
  const people = { ...held, sessions }
  const claiming = claimPages({ claims, newcomers, apps, records: held.records, store })
  const pages = mountPages({ sessions, clock, log: { error: () => undefined } }, { origin, house: 'Test house' }, [
    pickupPages({ ...clinic, connect, records: held.records, others: claiming.others }),
    claiming.routes,
  ])
  const fast = { perSecond: 1e6, burst: 1e6 }
  const gateway = await openGateway(
    { also: pages, origin, limits: { perToken: fast, perAddress: fast } },
    {
      ...{ store, clock, audit, apps, consents, activity, people, connect, record, claims, shares },
      fhir: openFhir({ record }),
      dropOff: { packages, uploads, requests },
      authenticate: async (secret) => callers[secret],
    },
  )
  const url = await gateway.app.listen({ host: '127.0.0.1', port: 0 })

  /** Over a socket, as a program of theirs. */
  async function call(who: string | undefined, method: string, path: string, body?: object | Uint8Array, more = {}) {
    const raw = body instanceof Uint8Array
    const response = await globalThis.fetch(`${url}/api/v1${path}`, {
      method,
      headers: {
        ...(who !== undefined && { authorization: `Bearer ${who}` }),
        ...(body && { 'content-type': raw ? 'application/octet-stream' : 'application/json' }),
        ...more,
      },
      ...(body && { body: raw ? Buffer.from(body) : JSON.stringify(body) }),
    })
    return { status: response.status, body: JSON.parse(await response.text()), headers: response.headers }
  }
  /** A page, as the browser of somebody asks for it; with fields it is posted as a form of ours. */
  async function browse(who: string, path: string, fields?: Record<string, string>) {
    const response = await gateway.app.inject({
      ...{ method: fields ? 'POST' : 'GET', url: path, remoteAddress: '192.0.2.9' },
      headers: {
        cookie: `session=${who}`,
        ...(fields && { 'content-type': 'application/x-www-form-urlencoded', origin, 'sec-fetch-site': 'same-origin' }),
      },
      ...(fields && { payload: new URLSearchParams({ csrf: `csrf-of-${who}`, ...fields }).toString() }),
    })
    return { status: response.statusCode, body: response.body, location: String(response.headers.location ?? '') }
  }
  const history = async (of: string) => (await activity.list(of, { limit: 100 }))?.entries ?? []
  async function current(of: string) {
    const types: string[] = []
    for await (const { item } of record.current(of)) types.push(item.content.type)
    return types.toSorted()
  }
  return { ...clinic, packages, record, links, shares, letters, gateway, url, call, browse, history, current }
}
export type Ways = Awaited<ReturnType<typeof openWays>>

const nothing = { names: [], races: [], ethnicities: [], languages: [], addresses: [], telecoms: [], identifiers: [] }
const date = (text: string) => ({ text, precision: 'day' as const, offsetMinutes: null, source: text })
export const patient = (given: string, birth: string) => ({
  content: { type: 'demographics', ...nothing, names: [{ given: [given], family: 'Muster' }], birthDate: date(birth) },
  negated: false,
  identifiers: [],
})
export const allergy = {
  content: { type: 'allergy', substance: { codings: [], text: 'Peanuts' }, reactions: [] },
  when: { low: date('2020-05-01') },
  negated: false,
  identifiers: [],
}
