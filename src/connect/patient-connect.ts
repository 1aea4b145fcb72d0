import type { ActivityFrom, App, Apps, ConsentQuestion, Consents } from '../consent/consent.js'
import type { Membership, People } from '../people/people.js'
import type { Letters } from '../ports/letters.js'
import { type Batch, type Store, together } from '../ports/store.js'
import type { Clock } from '../ports/world.js'
import { type AuthorizedPlace, authorizedPrefix, pairOf, placeText, readPlace } from './authorized.js'
import { connectLimits } from './limits.js'
import { matchRecord, type RecordMatch } from './match.js'
import type {
  Answered,
  ConnectRequest,
  NewRequest,
  NotOpened,
  Opened,
  PickupFrom,
  Redeemed,
  RequestName,
  RequestRefused,
  Requests,
} from './request.js'
import { timeText } from './rows.js'

export interface PatientConnectPorts {
  readonly requests: Requests
  readonly apps: Pick<Apps, 'get' | 'children'>
  readonly consents: Pick<Consents, 'question' | 'authorize' | 'find' | 'pseudonyms'>
  readonly records: Pick<People['records'], 'of' | 'membership'>
  readonly store: Pick<Store, 'range' | 'commit'>
  readonly letters?: Letters
  readonly clock: Clock
}

export interface PatientConnectOptions {
  /** Where people enter a code, `https://gw.example/pickup`. */
  readonly pickupUrl: string
  readonly limits?: typeof connectLimits
}

/** What else a commit holds: the audit entry of who asked. Made anew for every round. */
export type Told = () => Promise<Batch> | Batch

/** Of a row of GetAuthorizedConnectRequests, by the ids that the application knows. */
export interface AuthorizedRow {
  readonly app: string
  readonly request: string
  readonly externalId: string
  readonly person: string
  readonly record: string
  /** Unix milliseconds: of the last pickup for this record. */
  readonly authorizedAt: number
  /** The grant stands; the person may have taken it back. */
  readonly stands: boolean
}

/** A printable sheet, or what a letter says: shown once. Never the question or the answer. */
export interface NewCode {
  readonly code: string
  /** With the code in it: whoever follows it meets the question. */
  readonly url: string
}

/** A page before the decision: what the right answer showed. */
export interface PickupReview {
  readonly app: App
  readonly friendlyName: string
  /** Records that the person may share, with what speaks against each. */
  readonly records: readonly { readonly membership: Membership; readonly match: RecordMatch }[]
  /** Unix milliseconds. */
  readonly endsAt: number
}

export type Accepted =
  | { readonly kind: 'authorized'; readonly app: App; readonly record: string; readonly grant: string }
  /** It seems to be of somebody else: nothing was done, until the person confirms. */
  | { readonly kind: 'mismatch'; readonly match: RecordMatch }
  | { readonly kind: 'not-possible' | 'no-such-record' | 'unknown-rule' | 'nothing-granted' | 'too-many' | 'nothing' }

const rounds = 16

/** Commits what `make` answers, anew after each conflict; what has no parts is the answer. */
async function committed<T extends { readonly kind: string }>(
  store: Pick<Store, 'commit'>,
  make: () => Promise<T | { readonly parts: Batch; readonly value: T }>,
): Promise<T> {
  for (let round = 0; round < rounds; round++) {
    const made = await make()
    if (!('parts' in made)) return made
    if ((await store.commit(made.parts)).kind === 'committed') return made.value
  }
  throw new Error(`Somebody else was first ${rounds} times`)
}

/** What clinics do, and what people do with a clinic's code. Each change is one commit with its audit entry. */
export function openPatientConnect(ports: PatientConnectPorts, options: PatientConnectOptions) {
  return { ...clinicSide(ports, options), ...personSide(ports, options) }
}

export type PatientConnect = ReturnType<typeof openPatientConnect>

function clinicSide(ports: PatientConnectPorts, { pickupUrl, limits = connectLimits }: PatientConnectOptions) {
  const { requests, store, letters, clock } = ports
  const urlOf = (code: string) => `${pickupUrl}?code=${code}`

  /** The letter that brings the code: once for each code, and never the question. */
  async function letterOf({ owner, email, language, id }: ConnectRequest, code: string): Promise<Batch> {
    const app = await ports.apps.get(owner)
    if (!letters || email === undefined || !app) return {}
    const letter = { kind: 'connect-request', clinic: app.name, url: urlOf(code), code } as const
    return letters.letter({ email, language: language ?? 'en' }, letter, `connect ${id} ${clock.now()}`)
  }

  return {
    /** A request with its code, shown once. One for each external id (HealthVault 79). */
    create: (app: string, request: Omit<NewRequest, 'kind' | 'owner' | 'code' | 'allocated' | 'payload'>, told: Told) =>
      committed<({ readonly kind: 'created'; readonly request: ConnectRequest } & NewCode) | RequestRefused>(
        store,
        async () => {
          const made = await requests.create({ ...request, kind: 'connect', owner: app })
          if (made.kind === 'refused') return made
          const { code } = made
          const parts = together(made.parts, await letterOf(made.request, code), await told())
          return { parts, value: { kind: 'created', request: made.request, code, url: urlOf(code) } }
        },
      ),
    /** Another code in the place of a lost one, in one step. */
    reissue: (app: string, name: RequestName, told: Told) =>
      committed<
        | ({ readonly kind: 'reissued'; readonly request: ConnectRequest } & NewCode)
        | { readonly kind: 'unknown' | 'authorized' | 'claimed' | 'refused' | 'not-possible' }
      >(store, async () => {
        const made = await requests.reissue(app, name)
        if (made.kind !== 'changed') return made
        const { code, request } = made
        const parts = together(made.parts, await letterOf(request, code), await told())
        return { parts, value: { kind: 'reissued', request, code, url: urlOf(code) } }
      }),
    /** Ends a request that nobody picked up (DeletePendingConnectRequest; 84 where somebody did). */
    withdraw: (app: string, name: RequestName, told: Told) =>
      committed<{ readonly kind: 'withdrawn' | 'unknown' | 'authorized' | 'claimed' }>(store, async () => {
        const made = await requests.withdraw(app, name)
        if (made.kind !== 'changed') return made
        return { parts: together(made.parts, await told()), value: { kind: 'withdrawn' } }
      }),
    /** UpdateExternalId, for requests and packages alike. */
    changeExternalId: (app: string, name: Parameters<Requests['changeExternalId']>[1], next: string, told: Told) =>
      committed<{ readonly kind: 'renamed'; readonly count: number } | { readonly kind: 'unknown' } | RequestRefused>(
        store,
        async () => {
          const made = await requests.changeExternalId(app, name, next)
          if (made.kind !== 'changed') return made
          return { parts: together(made.parts, await told()), value: { kind: 'renamed', count: made.count } }
        },
      ),
    get: (app: string, name: RequestName) => requests.get(app, name),
    list: (app: string, query: Omit<Parameters<Requests['list']>[1], 'of'>) =>
      requests.list(app, { ...query, of: 'connect' }),
    authorized: (app: string, query: AuthorizedQuery) => authorized(ports, limits, app, query),
  }
}

export interface AuthorizedQuery {
  /** Unix milliseconds: at or after. */
  readonly since?: number
  /** `next` of the page before. */
  readonly after?: string
  readonly limit: number
}

/**
 * Rows of an application and of those under it, oldest first (GetAuthorizedConnectRequests). `pollFrom` is what to ask
 * with the next time: a little before now, as commits take their time; rows may come twice and none is missed.
 */
async function authorized(
  { store, apps, requests, consents, clock }: PatientConnectPorts,
  limits: typeof connectLimits,
  app: string,
  { since = 0, after, limit: asked }: AuthorizedQuery,
): Promise<
  | { readonly rows: readonly AuthorizedRow[]; readonly next?: string; readonly pollFrom: number }
  | { readonly kind: 'bad-cursor' }
> {
  const pollFrom = clock.now() - limits.pollOverlapMs
  const limit = Math.min(limits.page, Math.max(1, asked))
  const ids = [app, ...(await apps.children(app)).map(({ id }) => id)].toSorted()
  const [, cursorPlace = '', cursorApp = ''] = /^([0-9a-f-]+) (.+)$/.exec(after ?? '') ?? []
  if (after !== undefined && (!readPlace(cursorApp, cursorPlace) || !ids.includes(cursorApp)))
    return { kind: 'bad-cursor' }

  const found: AuthorizedPlace[] = []
  for (const id of ids) {
    const prefix = authorizedPrefix(id)
    const gte = after === undefined ? prefix + timeText(since) : `${prefix}${cursorPlace}${id > cursorApp ? '' : '\0'}`
    const keys = await store.range({ gte, lt: `${prefix}~`, limit: limit + 1 })
    found.push(...keys.flatMap(({ key }) => readPlace(id, key.slice(prefix.length)) ?? []))
  }
  const ordered = found.toSorted((a, b) => {
    const [one, other] = [placeText(a), placeText(b)]
    return one < other || (one === other && a.app < b.app) ? -1 : 1
  })
  const page = ordered.slice(0, limit)
  const rows: AuthorizedRow[] = []
  for (const place of page) {
    const request = await requests.get(place.app, { id: place.request })
    const pickup = request?.pickups.find((one) => pairOf(one) === place.pair && one.at === place.at)
    // Picked up again meanwhile, and then it comes further down; or over, and not swept yet.
    if (!request || !pickup || request.expiresAt <= clock.now()) continue
    rows.push({
      ...{ app: place.app, request: request.id, externalId: request.externalId ?? '', authorizedAt: pickup.at },
      person: consents.pseudonyms.person(place.app, pickup.person),
      record: consents.pseudonyms.record(place.app, pickup.record),
      stands: (await consents.find(place.app, pickup.person, pickup.record)) !== undefined,
    })
  }
  const last = page.at(-1)
  const more = ordered.length > limit && last !== undefined
  return { rows, pollFrom, ...(more && { next: `${placeText(last)} ${last.app}` }) }
}

function personSide(ports: PatientConnectPorts, { limits = connectLimits }: PatientConnectOptions) {
  const { requests, apps, consents, records, store } = ports

  /** The application behind a request, as long as it may do this. */
  async function appOf(owner: string): Promise<App | undefined> {
    const app = await apps.get(owner)
    return app?.state === 'active' && (app.may.includes('connect') || app.may.includes('drop-off')) ? app : undefined
  }

  async function redeemed(
    ticket: string,
    holder: string,
  ): Promise<{ readonly held: Redeemed; readonly app: App } | undefined> {
    const held = await requests.redeem(ticket, holder)
    if (held?.request.kind !== 'connect') return undefined
    const app = await appOf(held.request.owner)
    return app && { held, app }
  }

  async function heldBy(person: string): Promise<readonly Membership[]> {
    return (await records.of(person)).filter(({ record }) => record.state === 'active')
  }

  function matchIn(request: ConnectRequest, all: readonly Membership[], { record }: Membership): RecordMatch {
    const others = all.flatMap((one) => (one.record.id === record.id ? [] : [one.record]))
    return matchRecord(request, record, others)
  }

  return {
    /** The question of a code of any kind, and who asks it. Nothing where the application may do this no more. */
    async open(code: string, from: PickupFrom): Promise<(Opened & { readonly app?: App }) | NotOpened> {
      const opened = await requests.open(code, from)
      if (opened.kind !== 'question' || opened.of === 'message') return opened
      const app = await appOf(opened.owner)
      return app ? { ...opened, app } : { kind: 'nothing' }
    },
    /** An attempt at the answer; see Requests. */
    answer: (code: string, answer: string, from: PickupFrom): Promise<Answered> => requests.answer(code, answer, from),
    /** What the right answer opened for Patient Connect; undefined for a ticket that is over, or another's. */
    async review(ticket: string, holder: string, person: string): Promise<PickupReview | undefined> {
      const found = await redeemed(ticket, holder)
      if (!found) return undefined
      const { held, app } = found
      const all = await heldBy(person)
      const each = all.map((membership) => ({ membership, match: matchIn(held.request, all, membership) }))
      return { app, friendlyName: held.request.friendlyName, records: each, endsAt: held.endsAt }
    },
    /** What the application asks for in one record: its offline rules. */
    async question(
      ticket: string,
      holder: string,
      person: string,
      record: string,
    ): Promise<ConsentQuestion | undefined> {
      const found = await redeemed(ticket, holder)
      return found && consents.question(found.app.id, person, record)
    },
    /** Says yes: grant, request, history, letters and the clinic's notice are one commit. */
    accept: (
      ticket: string,
      holder: string,
      person: string,
      choice: { readonly record: string; readonly offline: readonly string[]; readonly confirmed?: boolean },
      from: ActivityFrom,
      told: Told,
    ) =>
      committed<Accepted>(store, async () => {
        const found = await redeemed(ticket, holder)
        if (!found) return { kind: 'nothing' }
        const { held, app } = found
        const all = await heldBy(person)
        const membership = all.find(({ record }) => record.id === choice.record)
        if (!membership) return { kind: 'no-such-record' }
        const match = matchIn(held.request, all, membership)
        if (match.kind === 'mismatch' && choice.confirmed !== true) return { kind: 'mismatch', match }
        const { record, offline } = choice
        const asked = { app: app.id, person, record, via: 'patient-connect', online: [], offline } as const
        const consent = await consents.authorize(asked, from)
        if (consent.kind === 'no-such-app') return { kind: 'nothing' }
        if (consent.kind !== 'authorized') return { kind: consent.kind }
        const done = await requests.finish(held, { person, record })
        if (done.kind === 'too-many') return done
        const parts = together(consent.parts, done.parts, await told())
        return { parts, value: { kind: 'authorized', app, record, grant: consent.grant.id } }
      }),
    /** Says no: the clinic sees it; the code works on, unless the person says never. */
    reject: (ticket: string, holder: string, never: boolean, told: Told) =>
      committed<{ readonly kind: 'rejected' | 'nothing' }>(store, async () => {
        const found = await redeemed(ticket, holder)
        if (!found) return { kind: 'nothing' }
        const done = await requests.reject(found.held, never)
        return { parts: together(done.parts, await told()), value: { kind: 'rejected' } }
      }),
    limits,
  }
}
