import type { FastifyInstance } from 'fastify'
import { readCode } from '../../connect/code.js'
import type { NewCode, PatientConnect } from '../../connect/patient-connect.js'
import {
  type ConnectRequest,
  type RequestName,
  type RequestProblem,
  requestProblems,
  stateNumbers,
} from '../../connect/request.js'
import type { Caller } from '../caller.js'
import {
  authorizedQuery,
  authorizedSchema,
  externalIdBody,
  newCodeSchema,
  newRequestBody,
  renamedSchema,
  requestParams,
  requestSchema,
  requestsQuery,
  requestsSchema,
  withdrawnSchema,
  withdrawQuery,
} from '../connect-schema.js'
import { defined } from '../defined.js'
import type { ApiPorts } from '../ports.js'
import { Problem } from '../problem.js'
import { type Asked, route } from '../route.js'

/** What a clinic's backend does with Patient Connect: for itself, and for nobody else's requests. */
export function connectRoutes(app: FastifyInstance, ports: ApiPorts): void {
  const shared = { access: 'connect', tag: 'connect', activity: 'none' } as const
  const base = '/api/v1/connect'
  const text = (at: number) => new Date(at).toISOString()

  function answerOf({ request, code, url }: { readonly request: ConnectRequest } & NewCode) {
    const sheet = ports.sheet?.({ code, url, friendlyName: request.friendlyName, expiresAt: request.expiresAt })
    return { request: viewOf(request), code, url, ...(sheet !== undefined && { sheet }) }
  }

  route(app, ports, {
    ...{ ...shared, method: 'POST', path: `${base}/requests`, action: 'connect.create', creates: true },
    summary: 'Ask a patient to connect',
    description: 'The answer has the pickup code, which is shown now and never again.',
    body: newRequestBody,
    answers: newCodeSchema,
    async handle(asked) {
      const [connect, owner] = await callerOf(ports, asked.caller)
      const { expiresInDays, ...given } = defined(asked.body)
      const term = expiresInDays === undefined ? {} : { expiresInMs: Math.round(expiresInDays * 86_400_000) }
      const made = await connect.create(owner, { ...given, ...term }, auditOf(asked))
      if (made.kind === 'refused') throw refusal(made.problem)
      return answerOf(made)
    },
  })

  route(app, ports, {
    ...{ ...shared, method: 'GET', path: `${base}/requests`, action: 'connect.list' },
    summary: 'Your requests, oldest first, and where each stands',
    query: requestsQuery,
    answers: requestsSchema,
    async handle({ caller, query: { limit, cursor, externalId } }) {
      const [connect, owner] = await callerOf(ports, caller)
      if (cursor !== undefined && !/^\d{15}-[0-9a-f]{32}$/.test(cursor)) throw new Problem('invalid-cursor')
      const asked = {
        limit,
        ...(cursor !== undefined && { after: cursor }),
        ...(externalId !== undefined && { externalId }),
      }
      const { requests, next } = await connect.list(owner, asked)
      return { requests: requests.map(viewOf), ...(next !== undefined && { next }) }
    },
  })

  route(app, ports, {
    ...{ ...shared, method: 'GET', path: `${base}/requests/:id`, action: 'connect.get' },
    summary: 'Where a request stands',
    params: requestParams,
    answers: requestSchema,
    async handle({ caller, params: { id }, subject }) {
      subject['request'] = id
      const [connect, owner] = await callerOf(ports, caller)
      const request = await connect.get(owner, { id })
      if (request?.kind !== 'connect') throw new Problem('not-found')
      return viewOf(request)
    },
  })

  route(app, ports, {
    ...{ ...shared, method: 'POST', path: `${base}/requests/:id/reissue`, action: 'connect.reissue', creates: true },
    summary: 'A new code in the place of a lost one',
    description: 'With all attempts and a new term; the old code is dead with it.',
    params: requestParams,
    answers: newCodeSchema,
    async handle(asked) {
      asked.subject['request'] = asked.params.id
      const [connect, owner] = await callerOf(ports, asked.caller)
      await mustBeConnect(connect, owner, asked.params)
      const made = await connect.reissue(owner, asked.params, auditOf(asked))
      if (made.kind === 'reissued') return answerOf(made)
      throw made.kind === 'unknown' ? new Problem('not-found') : notPossible(made.kind)
    },
  })

  async function withdrawn(asked: Asked<unknown, unknown, unknown>, name: RequestName) {
    const [connect, owner] = await callerOf(ports, asked.caller)
    const { id } = await mustBeConnect(connect, owner, name)
    asked.subject['request'] = id
    const { kind } = await connect.withdraw(owner, { id }, auditOf(asked))
    if (kind === 'withdrawn') return { id, state: kind }
    throw kind === 'unknown' ? new Problem('not-found') : notPossible(kind)
  }

  route(app, ports, {
    ...{ ...shared, method: 'DELETE', path: `${base}/requests/:id`, action: 'connect.withdraw' },
    summary: 'End a request that nobody picked up',
    params: requestParams,
    answers: withdrawnSchema,
    handle: (asked) => withdrawn(asked, asked.params),
  })

  route(app, ports, {
    ...{ ...shared, method: 'DELETE', path: `${base}/requests`, action: 'connect.withdraw-by-external-id' },
    summary: 'The same, by your own id of the patient',
    query: withdrawQuery,
    answers: withdrawnSchema,
    handle: (asked) => withdrawn(asked, { of: 'connect', externalId: asked.query.externalId }),
  })

  route(app, ports, {
    ...{ ...shared, method: 'POST', path: `${base}/external-ids`, action: 'connect.external-id', completes: true },
    summary: 'Another id of yours for a patient',
    description: 'By code, or by the old id: then of everything of that id, requests and packages.',
    body: externalIdBody,
    answers: renamedSchema,
    async handle(asked) {
      const [connect, owner] = await callerOf(ports, asked.caller)
      const { code: typed, externalId = '', newExternalId } = asked.body
      const code = typed === undefined ? undefined : readCode(typed)
      if (typed !== undefined && !code) throw unknownCode()
      const made = await connect.changeExternalId(
        owner,
        code ? { code } : { externalId },
        newExternalId,
        auditOf(asked),
      )
      if (made.kind === 'refused') throw refusal(made.problem)
      if (made.kind === 'unknown') throw code ? unknownCode() : new Problem('not-found')
      return { changed: made.count }
    },
  })

  route(app, ports, {
    ...{ ...shared, method: 'GET', path: `${base}/authorized`, action: 'connect.authorized' },
    summary: 'Who connected, oldest first',
    description:
      'Of your requests and those of applications that you registered. A code that was used for a second record gives a second row; rows go 90 days after the last pickup.',
    query: authorizedQuery,
    answers: authorizedSchema,
    async handle({ caller, query, subject }) {
      const [connect, owner] = await callerOf(ports, caller)
      const since = query.since === undefined ? undefined : momentOf(query.since)
      const page = await connect.authorized(owner, {
        limit: query.limit,
        ...(since !== undefined && { since }),
        ...(query.cursor !== undefined && { after: query.cursor }),
      })
      if ('kind' in page) throw new Problem('invalid-cursor')
      subject['count'] = String(page.rows.length)
      const authorized = page.rows.map((row) => ({ ...row, authorizedAt: text(row.authorizedAt) }))
      return { authorized, ...(page.next !== undefined && { next: page.next }), pollFrom: text(page.pollFrom) }
    },
  })
}

/** Patient Connect, and the application that calls for itself. One that may not is told as one that cannot see it. */
async function callerOf({ connect, apps }: ApiPorts, { reach }: Caller): Promise<readonly [PatientConnect, string]> {
  if (!connect || !apps) throw new Problem('unavailable')
  if (reach.kind !== 'app') throw new Problem('access-denied')
  const app = await apps.get(reach.app)
  if (app?.state !== 'active' || !app.may.includes('connect')) throw new Problem('access-denied', {}, undefined, 11)
  return [connect, app.id]
}

/** The audit entry of success as the part of a commit. */
function auditOf(asked: Pick<Asked<unknown, unknown, unknown>, 'entry'>) {
  return () => ({ append: [asked.entry()] })
}

async function mustBeConnect(connect: PatientConnect, owner: string, name: RequestName): Promise<ConnectRequest> {
  const request = await connect.get(owner, name)
  if (request?.kind !== 'connect') throw new Problem('not-found')
  return request
}

function viewOf(request: ConnectRequest) {
  const { id, state, rejectedAt, endedAt, createdAt, expiresAt, externalId, friendlyName, attemptsLeft, pickups } =
    request
  const text = (at: number) => new Date(at).toISOString()
  const healthvaultStatus = stateNumbers[state]
  return {
    ...{ id, state: state === 'pending' && rejectedAt !== undefined ? ('rejected' as const) : state },
    ...(externalId !== undefined && { externalId }),
    ...{ friendlyName, attemptsLeft, createdAt: text(createdAt), expiresAt: text(expiresAt), pickups: pickups.length },
    ...(rejectedAt !== undefined && { rejectedAt: text(rejectedAt) }),
    ...(endedAt !== undefined && { endedAt: text(endedAt) }),
    ...(healthvaultStatus !== undefined && { healthvaultStatus }),
  }
}

/** HealthVault took UTC only; any offset that RFC 3339 has will do. */
function momentOf(text: string): number {
  const at = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2}))?$/.test(text)
    ? Date.parse(text)
    : Number.NaN
  if (Number.isNaN(at) || at < 0) throw badDate()
  return at
}

const badDate = () =>
  new Problem('invalid-request', {}, [{ where: 'query.since', detail: 'A moment such as 2026-01-31T12:00:00Z' }], 69)

const unknownCode = () => new Problem('not-found', {}, undefined, 74)

const words: Readonly<Record<RequestProblem, readonly [where: string, detail: string]>> = {
  'bad-question': ['body.question', 'A line of 1 to 255 characters that is not blank'],
  'bad-answer': ['body.answer', 'At least 6 characters, white space at the ends not counted, and at most 255'],
  'bad-friendly-name': ['body.friendlyName', 'A line of 1 to 100 characters'],
  'bad-external-id': ['body.externalId', 'A line of 1 to 255 characters, without white space at its ends'],
  'bad-birth-date': ['body.birthDate', 'A day of the calendar such as 2019-05-31'],
  'bad-email': ['body.email', 'A plain e-mail address'],
  'bad-expiry': ['body.expiresInDays', 'More than nothing and at most 92'],
  'no-such-code': ['body.code', 'No code of yours that waits to be filled'],
  duplicate: ['body.externalId', 'There is a request for this id: reissue its code, or delete it'],
  exists: ['body.code', 'Filled already'],
}

const conflicts: readonly RequestProblem[] = ['duplicate', 'exists']

/** A request that was refused, with HealthVault's number. */
export function refusal(problem: RequestProblem): Problem {
  const [where, detail] = words[problem]
  const code = conflicts.includes(problem) ? 'not-possible' : 'invalid-request'
  return new Problem(code, {}, [{ where, detail }], requestProblems[problem])
}

function notPossible(state: string): Problem {
  const detail = {
    authorized: 'It was authorized already; the person or you may revoke that',
    claimed: 'It was claimed already',
    refused: 'The person wants no more of it',
  }[state]
  const number = state === 'authorized' ? 84 : undefined
  return new Problem('not-possible', {}, [{ where: 'path.id', detail: detail ?? 'Not in its present state' }], number)
}
