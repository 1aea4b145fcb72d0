import type { Apps, Pseudonyms } from '../consent/consent.js'
import type { AppEvents } from '../ports/app-events.js'
import { type Batch, together } from '../ports/store.js'
import type { ConnectRequest, KindRules, Pickup, RequestEnd } from './request.js'
import { sha256, timeText } from './rows.js'

/** One record for which a code was used, as polling finds it: `connect/authorized/<app>/<place>`, with nothing in it. */
export interface AuthorizedPlace {
  readonly app: string
  /** Unix milliseconds. */
  readonly at: number
  readonly request: string
  /** Of person and record, 16 hex digits. */
  readonly pair: string
}

export const authorizedPrefix = (app: string) => `connect/authorized/${app}/`
export const pairOf = ({ person, record }: Omit<Pickup, 'at'>) => sha256(`${person} ${record}`).slice(0, 16)

export function placeText({ at, request, pair }: Omit<AuthorizedPlace, 'app'>): string {
  return `${timeText(at)}-${request}-${pair}`
}

/** Reads a place; undefined for what is none. */
export function readPlace(app: string, text: string): AuthorizedPlace | undefined {
  const [, at, request, pair] = /^(\d{15})-([0-9a-f]{32})-([0-9a-f]{16})$/.exec(text) ?? []
  if (at === undefined || request === undefined || pair === undefined) return undefined
  return { app, at: Number(at), request, pair }
}

const keysOf = ({ owner, id, pickups }: ConnectRequest) =>
  pickups.map((pickup) => authorizedPrefix(owner) + placeText({ ...pickup, request: id, pair: pairOf(pickup) }))

/** Rules of Patient Connect in the machine: its places for polling move with every pickup, and the clinic's backend is told. */
export function connectRules(ports: {
  readonly apps: Pick<Apps, 'get'>
  readonly events?: AppEvents
  readonly pseudonyms: Pseudonyms
}): KindRules {
  return {
    async opens({ owner }) {
      const app = await ports.apps.get(owner)
      return app?.state === 'active' && app.may.includes('connect')
    },
    async ended(request, end, before) {
      const [was, is] = [keysOf(before), end === 'purged' ? [] : keysOf(request)]
      const moved: Batch = {
        del: was.filter((key) => !is.includes(key)),
        put: is.filter((key) => !was.includes(key)).map((key) => ({ key, value: new Uint8Array() })),
      }
      return together(moved, await tell(ports, request, end))
    },
  }
}

async function tell(
  { events, pseudonyms }: { readonly events?: AppEvents; readonly pseudonyms: Pseudonyms },
  request: ConnectRequest,
  end: RequestEnd,
): Promise<Batch> {
  const { id, owner, pickups, rejectedAt, endedAt } = request
  const at = (end === 'rejected' ? rejectedAt : (endedAt ?? rejectedAt)) ?? 0
  const event = (type: string, data: Readonly<Record<string, string | boolean>>) =>
    events?.event(owner, { type, at, data: { request: id, ...data } }, `${type} ${id} ${at}`) ?? {}
  switch (end) {
    case 'authorized': {
      const last = pickups.at(-1)
      if (!last) return {}
      const person = pseudonyms.person(owner, last.person)
      return event('connect.authorized', { person, record: pseudonyms.record(owner, last.record) })
    }
    case 'rejected':
    case 'refused':
      return event('connect.rejected', { final: end === 'refused' })
    case 'locked':
    case 'expired':
      return event(`connect.${end}`, {})
    default:
      return {}
  }
}
