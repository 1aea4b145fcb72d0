import type { ActivityFrom, App, Apps, Consents, Grant } from '../consent/consent.js'
import type { Choice, Decided, Decisions, Request } from '../consent/decisions.js'
import type { People } from '../people/people.js'
import type { Batch, Store } from '../ports/store.js'
import { together } from '../ports/store.js'
import type { Clock, Random } from '../ports/world.js'
import type { Binding } from './binding.js'
import type { OauthLimits } from './limits.js'
import { cookieNames, resourceOf } from './places.js'
import { type Row, type Rows, rowKey } from './rows.js'
import { askable, avenueOf, grantedWords, plainScopes, wantsRecord, wordsOf } from './scopes.js'

export interface DecisionPorts {
  readonly issuer: string
  readonly rows: Rows
  readonly store: Pick<Store, 'commit' | 'get'>
  readonly clock: Clock
  readonly random: Random
  readonly apps: Pick<Apps, 'get'>
  readonly consents: Pick<Consents, 'authorize' | 'ofPerson' | 'find' | 'pseudonyms'>
  readonly people: Pick<People, 'records'>
  readonly limits: OauthLimits
  /** Where the code of a device is found. */
  userCodeRow(userCode: string): string
}

export function openDecisions(ports: DecisionPorts): Decisions {
  const { rows, store, limits } = ports

  async function waiting(uid: string, cookie: string | undefined): Promise<Row | undefined> {
    if (!/^[\w-]{20,64}$/.test(uid) || !isOwn(uid, cookie)) return undefined
    const row = await rows.get(rowKey('Interaction', uid))
    return row && row.payload['result'] === undefined ? row : undefined
  }

  async function deviceRow(userCode: string): Promise<Row | undefined> {
    const text = userCode.toUpperCase().replace(/[^A-Z0-9]/g, '')
    const found = text.length > 20 ? undefined : await rows.get(ports.userCodeRow(text))
    const code = found?.payload['deviceCode']
    const row = typeof code === 'string' ? await rows.get(rowKey('DeviceCode', code)) : undefined
    const { accountId, error, consumed } = row?.payload ?? {}
    return accountId === undefined && error === undefined && consumed === undefined ? row : undefined
  }

  /** Makes a decision true: the consent, the grant for its tokens, and that the request was decided, or none of them. */
  async function decide(
    row: Row,
    request: Request,
    choice: Choice,
    via: Grant['via'],
    from: ActivityFrom,
    ended: (decided: {
      readonly grantId: string
      readonly accountId: string
      readonly words: readonly string[]
    }) => object,
  ): Promise<Decided> {
    for (let round = 0; round < limits.rounds; round++) {
      const given = await consented(ports, request, choice, via, from)
      if (given.kind !== 'given') return given
      const grantId = Buffer.from(ports.random.bytes(32)).toString('base64url')
      const accountId = ports.consents.pseudonyms.person(request.app.id, choice.session.person)
      const { words, binding } = given
      const granted = await grantRow(ports, { grantId, accountId, app: request.app.id, words, binding })
      const over = await rows.put(row.key, { ...row.payload, ...ended({ grantId, accountId, words }) }, row.endsAt)
      const require = [{ key: row.key, version: row.version }]
      const outcome = await store.commit(together({ require }, given.parts, granted, over))
      if (outcome.kind === 'committed') return { kind: 'done' }
      if (outcome.kind === 'conflict' && outcome.key === row.key) return { kind: 'gone' }
    }
    return { kind: 'busy' }
  }

  async function refuse(row: Row | undefined, ended: object): Promise<Decided> {
    if (!row) return { kind: 'gone' }
    const over = await rows.put(row.key, { ...row.payload, ...ended }, row.endsAt)
    const { kind } = await store.commit(together({ require: [{ key: row.key, version: row.version }] }, over))
    return { kind: kind === 'committed' ? 'done' : 'gone' }
  }

  /** Counts a wrong code; false after too many of them. */
  async function mayTry(person: string, wrong: boolean): Promise<boolean> {
    const key = rowKey('user-code-tries', person)
    for (;;) {
      const row = await rows.get(key)
      const tries = Number(row?.payload['tries'] ?? 0)
      if (tries >= limits.userCodeTries) return false
      if (!wrong) return true
      const endsAt = row?.endsAt ?? ports.clock.now() + limits.deviceSeconds * 1000
      const counted = await rows.put(key, { tries: tries + 1 }, endsAt)
      // A row that ended is still there until it is swept: its version is what must hold.
      const version = (await store.get(key))?.version ?? 'absent'
      if (row && version !== row.version) continue
      if ((await store.commit(together({ require: [{ key, version }] }, counted))).kind === 'committed') return true
    }
  }

  /** The request behind a code that a person typed; a wrong one is counted, however it comes. */
  async function typed(userCode: string, person: string): Promise<Row | 'too-many-tries' | undefined> {
    if (!(await mayTry(person, false))) return 'too-many-tries'
    const row = await deviceRow(userCode)
    if (row && (await requestOf(ports, row))) return row
    return (await mayTry(person, true)) ? undefined : 'too-many-tries'
  }

  const withLocation = (decided: Decided, row: Row): Decided =>
    decided.kind === 'done' ? { kind: 'done', location: String(row.payload['returnTo']) } : decided

  return {
    async request(uid, cookie) {
      const row = await waiting(uid, cookie)
      return row && requestOf(ports, row)
    },

    async allow(uid, cookie, choice, from) {
      const row = await waiting(uid, cookie)
      const request = row && (await requestOf(ports, row))
      if (!row || !request) return { kind: 'gone' }
      const via = request.app.kind === 'native' ? 'native' : 'web'
      const decided = await decide(row, request, choice, via, from, ({ grantId, accountId, words }) => ({
        params: { ...paramsOf(row), scope: words.join(' ') },
        result: {
          login: { accountId, ts: Math.floor(choice.session.authenticatedAt / 1000), remember: false },
          consent: { grantId },
          select_account: {},
        },
      }))
      return withLocation(decided, row)
    },

    async deny(uid, cookie) {
      const row = await waiting(uid, cookie)
      const error_description = 'the person did not allow it'
      const decided = await refuse(row, { result: { error: 'access_denied', error_description } })
      return row ? withLocation(decided, row) : decided
    },

    async device(userCode, person) {
      const row = await typed(userCode, person)
      return row === 'too-many-tries' ? row : row && requestOf(ports, row)
    },

    async allowDevice(userCode, choice, from) {
      const row = await typed(userCode, choice.session.person)
      const request = row === undefined || row === 'too-many-tries' ? undefined : await requestOf(ports, row)
      if (!row || row === 'too-many-tries' || !request) return { kind: 'gone' }
      return decide(row, request, choice, 'device', from, ({ grantId, accountId, words }) => ({
        ...{ grantId, accountId, scope: words.join(' '), resource: resourceOf(ports.issuer), claims: {} },
        authTime: Math.floor(choice.session.authenticatedAt / 1000),
      }))
    },

    async denyDevice(userCode, person) {
      const row = await typed(userCode, person)
      return refuse(row === 'too-many-tries' ? undefined : row, {
        error: 'access_denied',
        errorDescription: 'the person did not allow it',
      })
    },
  }
}

/** Whether a browser brings the cookie of a request: a link to somebody else's request leads nowhere. */
function isOwn(uid: string, cookie: string | undefined): boolean {
  const pairs = (cookie ?? '').split(';').map((pair) => pair.trim())
  return pairs.includes(`${cookieNames.interaction}=${uid}`)
}

function paramsOf({ payload }: Row): Readonly<Record<string, unknown>> {
  const { params } = payload
  return typeof params === 'object' && params !== null ? (params as Record<string, unknown>) : {}
}

async function requestOf({ apps }: DecisionPorts, row: Row): Promise<Request | undefined> {
  const params = paramsOf(row)
  const app = await apps.get(String(params['client_id'] ?? row.payload['clientId']))
  if (app?.state !== 'active') return undefined
  const words = askable(app, wordsOf(params['scope']))
  const since = sinceOf(params, Number(row.payload['iat']))
  const { login_hint: hint, redirect_uri: redirectUri } = params
  return {
    ...{ app, words, avenue: avenueOf(app, words), wantsRecord: wantsRecord(words) },
    ...(since !== undefined && { since }),
    ...(typeof hint === 'string' && { hint: hint.slice(0, 100) }),
    ...(typeof redirectUri === 'string' && { redirectUri }),
  }
}

/** `prompt=login` and `max_age` (OpenID Connect Core §3.1.2.1): since when the person must have signed in. */
function sinceOf({ prompt, max_age: maxAge }: Readonly<Record<string, unknown>>, at: number): number | undefined {
  if (wordsOf(prompt).includes('login')) return at * 1000
  return maxAge === undefined ? undefined : (at - Number(maxAge)) * 1000
}

type Given =
  | {
      readonly kind: 'given'
      readonly words: readonly string[]
      readonly binding: Binding
      readonly parts: Batch
    }
  | Exclude<Decided, { readonly kind: 'done' }>

/** What a choice gives: the consent where a record is asked for, and what tokens of it will say. */
async function consented(
  { apps, consents, people, limits, issuer }: DecisionPorts,
  { app, words, avenue, wantsRecord: wanted }: Request,
  { session, record, online, offline }: Choice,
  via: Grant['via'],
  from: ActivityFrom,
): Promise<Given> {
  const { person, id } = session
  const own = { type: 'record-access' as const, person, session: id, avenue }
  const self = (path: string) => `${issuer}/fhir/${path}`
  if (!wanted) {
    const fhirUser = self(`Person/${consents.pseudonyms.person(app.id, person)}`)
    return { kind: 'given', words: words.filter(isPlain), binding: { ...own, fhirUser }, parts: {} }
  }
  if (record === undefined) return { kind: 'no-such-record' }
  if (await isOneTooMany({ apps, consents, limits }, app, person, record)) return { kind: 'too-many' }
  const given = await consents.authorize({ app: app.id, person, record, via, online, offline }, from)
  if (given.kind !== 'authorized') return given
  const membership = await people.records.membership(person, record)
  const told = consents.pseudonyms.record(app.id, record)
  const fhirUser =
    membership?.relationship === 'self'
      ? self(`Patient/${told}`)
      : self(`Person/${consents.pseudonyms.person(app.id, person)}`)
  return {
    kind: 'given',
    words: grantedWords(app, words, given.grant.rules[avenue]),
    binding: { ...own, access: { grant: given.grant.id, record, told }, fhirUser },
    parts: given.parts,
  }
}

const isPlain = (word: string) => (plainScopes as readonly string[]).includes(word)

/** One person does not hold more installations of one maker than devices could be (HealthVault's 93). */
async function isOneTooMany(
  { apps, consents, limits }: Pick<DecisionPorts, 'apps' | 'limits'> & { consents: Pick<Consents, 'ofPerson'> },
  { id, master, kind }: App,
  person: string,
  record: string,
): Promise<boolean> {
  if (kind !== 'native' || master === undefined) return false
  const grants = await consents.ofPerson(person)
  if (grants.some((grant) => grant.app === id && grant.record === record)) return false
  const others = new Set(grants.map((grant) => grant.app).filter((app) => app !== id))
  const known = await Promise.all([...others].map((app) => apps.get(app)))
  return known.filter((app) => app?.master === master).length >= limits.installationsPerPerson
}

/** The provider's grant: what its tokens may say, and what stands behind them. */
async function grantRow(
  { rows, clock, limits, issuer }: DecisionPorts,
  {
    grantId,
    accountId,
    app,
    words,
    binding,
  }: {
    readonly grantId: string
    readonly accountId: string
    readonly app: string
    readonly words: readonly string[]
    readonly binding: Binding
  },
): Promise<Batch> {
  const at = Math.floor(clock.now() / 1000)
  const scope = words.join(' ')
  return rows.put(
    rowKey('Grant', grantId),
    {
      ...{ kind: 'Grant', accountId, clientId: app, iat: at, exp: at + limits.grantSeconds },
      openid: { scope: words.filter(isPlain).join(' ') },
      resources: { [resourceOf(issuer)]: scope },
      rar: [binding],
    },
    clock.now() + limits.grantSeconds * 1000,
  )
}
