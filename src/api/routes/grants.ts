import type { FastifyInstance } from 'fastify'
import type { ActivityFrom, Consents, Grant } from '../../consent/consent.js'
import { recordItemTypes } from '../../direct/clinical.js'
import { accessTo, mustBeCustodian } from '../access.js'
import type { Caller } from '../caller.js'
import {
  consentBody,
  consentQuery,
  grantParams,
  grantSchema,
  grantsQuery,
  grantsSchema,
  narrowBody,
  permissionsQuery,
  permissionsSchema,
  questionSchema,
} from '../consent-schema.js'
import type { ApiPorts, apiLimits } from '../ports.js'
import { Problem } from '../problem.js'
import { type Asked, route } from '../route.js'
import { itemTypes } from '../schemas.js'

type Ports = Pick<ApiPorts, 'addresses' | 'people' | 'consents' | 'apps'>

/** Which side of a grant a caller is on: the people of the record, the application, or the operator. */
type Side = 'person' | 'app' | 'operator'

function consentsOf({ consents }: Ports): Consents {
  if (!consents) throw new Problem('unavailable')
  return consents
}

/** A grant as one side sees it: an application knows people and records by ids of its own. */
export async function grantView(ports: Ports, grant: Grant, side: Side) {
  const app = await ports.apps?.get(grant.app)
  const { pseudonyms } = consentsOf(ports)
  const { id, person, record, rules, via, grantedAt, changedAt, revoked } = grant
  return {
    id,
    app: { id: grant.app, ...(app && { name: app.name }), ...(app?.master !== undefined && { master: app.master }) },
    person: side === 'app' ? pseudonyms.person(grant.app, person) : person,
    record: side === 'app' ? pseudonyms.record(grant.app, record) : record,
    ...{ rules, via },
    grantedAt: new Date(grantedAt).toISOString(),
    changedAt: new Date(changedAt).toISOString(),
    ...(revoked && { revoked: { ...revoked, at: new Date(revoked.at).toISOString() } }),
  }
}

/** The grant with the caller's side of it; what the caller has no part in is not found. */
async function reachedGrant(ports: Ports, caller: Caller, id: string): Promise<{ grant: Grant; side: Side }> {
  const grant = await consentsOf(ports).get(id)
  const side = grant && (await sideOf(ports, caller, grant))
  if (!grant || !side) throw new Problem('not-found')
  return { grant, side }
}

async function sideOf(ports: Ports, caller: Caller, grant: Grant): Promise<Side | undefined> {
  const { reach } = caller
  switch (reach.kind) {
    case 'gateway':
      return 'operator'
    case 'app':
      return reach.app === grant.app || (await ports.apps?.get(grant.app))?.master === reach.app ? 'app' : undefined
    case 'grant':
      return reach.grant === grant.id ? 'app' : undefined
    case 'person':
      if (reach.person === grant.person) return 'person'
  }
  // Custodians see and end what others granted in their record.
  const access = await accessTo(ports, caller, grant.record).catch(missing)
  return access?.custodian ? 'person' : undefined
}

function missing(error: unknown): undefined {
  if (error instanceof Problem && error.code === 'not-found') return undefined
  throw error
}

function actorOf({ caller: { by, reach }, request }: Pick<Asked<unknown, unknown, unknown>, 'caller' | 'request'>) {
  const from: ActivityFrom = {
    ...{ by, address: request.ip, avenue: 'page' },
    ...(reach.kind === 'gateway' && { avenue: 'operator' }),
    ...(reach.kind === 'app' && { avenue: 'offline', app: reach.app }),
    ...(reach.kind === 'grant' && { avenue: reach.avenue, app: reach.app, person: reach.person }),
    ...(reach.kind === 'person' && { person: reach.person }),
  }
  return from
}

/** What people granted to applications, seen and ended from both sides. */
export function grantRoutes(
  app: FastifyInstance,
  ports: ApiPorts,
  limits: Pick<typeof apiLimits, 'changeRounds'>,
): void {
  const base = '/api/v1/grants'
  const shared = { tag: 'grants', activity: 'none' } as const

  route(app, ports, {
    ...shared,
    method: 'GET',
    path: base,
    access: 'record:read',
    action: 'grants.list',
    summary: 'Standing grants',
    description:
      'Those of the signed-in person; with `record` all in that record, for its custodians. To an application those that people gave it, in the order of their changes: asking again with `since` or with the last cursor tells what is new.',
    query: grantsQuery,
    answers: grantsSchema,
    async handle({ caller, query, subject }) {
      const { grants, next, side } = await listed(ports, caller, query)
      subject['count'] = String(grants.length)
      const views = await Promise.all(grants.map((grant) => grantView(ports, grant, side)))
      return { grants: views, ...(next !== undefined && { next }) }
    },
  })

  route(app, ports, {
    ...shared,
    method: 'GET',
    path: `${base}/:grant`,
    access: 'record:read',
    action: 'grants.read',
    summary: 'One grant, also after it ended',
    params: grantParams,
    answers: grantSchema,
    async handle({ caller, params, subject }) {
      subject['grant'] = params.grant
      const { grant, side } = await reachedGrant(ports, caller, params.grant)
      return grantView(ports, grant, side)
    },
  })

  route(app, ports, {
    ...shared,
    method: 'GET',
    path: `${base}/:grant/permissions`,
    access: 'record:read',
    action: 'grants.permissions',
    summary: 'What a grant allows now, by kind of item',
    params: grantParams,
    query: permissionsQuery,
    answers: permissionsSchema,
    async handle({ caller, params, query, subject }) {
      subject['grant'] = params.grant
      const { grant } = await reachedGrant(ports, caller, params.grant)
      const types =
        query.types === undefined ? { data: recordItemTypes } : itemTypes.array().safeParse(query.types.split(','))
      if (!types.data) throw new Problem('invalid-request', {}, [{ where: 'query.types', detail: 'Not kinds of item' }])
      return { permissions: (await consentsOf(ports).permissions(grant.id, types.data)) ?? [] }
    },
  })

  route(app, ports, {
    ...shared,
    method: 'PATCH',
    path: `${base}/:grant`,
    access: 'record:write',
    action: 'grants.narrow',
    summary: 'Take optional rules back',
    params: grantParams,
    body: narrowBody,
    answers: grantSchema,
    async handle(asked) {
      const { caller, params, body, subject } = asked
      subject['grant'] = params.grant
      const { grant, side } = await reachedGrant(ports, caller, params.grant)
      if (side === 'app') throw new Problem('access-denied')
      const done = await consentsOf(ports).narrow(grant.id, body, actorOf(asked))
      if (done.kind === 'no-such-grant')
        throw new Problem('not-possible', {}, [{ where: 'path.grant', detail: 'It ended' }])
      if (done.kind !== 'narrowed') throw unknownRule()
      return grantView(ports, done.grant, side)
    },
  })

  route(app, ports, {
    ...shared,
    method: 'DELETE',
    path: `${base}/:grant`,
    access: 'record:write',
    action: 'grants.revoke',
    summary: 'End a grant, from either side, with the next request',
    description: 'Answers the grant as it ended; the same where it had ended before.',
    params: grantParams,
    answers: grantSchema,
    async handle(asked) {
      const { caller, params, subject } = asked
      subject['grant'] = params.grant
      const { grant, side } = await reachedGrant(ports, caller, params.grant)
      const consents = consentsOf(ports)
      await consents.revoke(grant.id, side, actorOf(asked))
      return grantView(ports, (await consents.get(grant.id)) ?? grant, side)
    },
  })

  consentRoutes(app, ports, limits)
}

function consentRoutes(
  app: FastifyInstance,
  ports: ApiPorts,
  { changeRounds }: Pick<typeof apiLimits, 'changeRounds'>,
): void {
  const shared = { tag: 'grants', activity: 'none' } as const

  route(app, ports, {
    ...shared,
    method: 'GET',
    path: '/api/v1/consents/question',
    access: 'consents',
    action: 'consents.question',
    summary: 'What a signed-in person is asked for an application in a record',
    query: consentQuery,
    answers: questionSchema,
    async handle({ caller, query, subject }) {
      Object.assign(subject, query)
      const asked = await consentsOf(ports).question(query.app, personOf(caller), query.record)
      if (!asked) throw new Problem('not-found')
      const { granted, ...question } = asked
      return { ...question, ...(granted && { granted: await grantView(ports, granted, 'person') }) }
    },
  })

  route(app, ports, {
    ...shared,
    method: 'POST',
    path: '/api/v1/consents',
    access: 'consents',
    action: 'consents.authorize',
    summary: 'Grant an application what it requires in a record, and what is ticked',
    body: consentBody,
    creates: true,
    answers: grantSchema,
    async handle(asked) {
      const { caller, body, subject, entry } = asked
      const { app: id, record, online, offline } = body
      Object.assign(subject, { app: id, record })
      const request = { app: id, person: personOf(caller), record, via: 'web', online, offline } as const
      for (let round = 0; round < changeRounds; round++) {
        const made = await consentsOf(ports).authorize(request, actorOf(asked))
        if (made.kind === 'no-such-app' || made.kind === 'no-such-record') throw new Problem('not-found')
        if (made.kind === 'unknown-rule') throw unknownRule()
        if (made.kind !== 'authorized')
          throw new Problem('not-possible', {}, [{ where: 'body', detail: whyNot[made.kind] }])
        subject['grant'] = made.grant.id
        const { append = [], ...parts } = made.parts
        const done = await ports.store.commit({ ...parts, append: [...append, entry()] })
        if (done.kind === 'committed') return grantView(ports, made.grant, 'person')
      }
      throw new Problem('conflict')
    },
  })
}

const whyNot = {
  'not-possible': 'You may not give in this record what the application requires',
  'nothing-granted': 'Choose at least one rule',
  'too-many': 'You have granted access to as many applications as is possible; end one first',
} as const

function unknownRule(): Problem {
  return new Problem('invalid-request', {}, [{ where: 'body', detail: 'A name is of no rule' }])
}

function personOf({ reach }: Caller): string {
  if (reach.kind !== 'person') throw new Problem('access-denied')
  return reach.person
}

interface GrantsQuery {
  readonly limit: number
  readonly cursor?: string | undefined
  readonly app?: string | undefined
  readonly record?: string | undefined
  readonly since?: string | undefined
}

interface Listed {
  readonly grants: readonly Grant[]
  readonly next?: string
  readonly side: Side
}

async function listed(ports: Ports, caller: Caller, query: GrantsQuery): Promise<Listed> {
  const { reach } = caller
  const consents = consentsOf(ports)
  if (reach.kind === 'grant') {
    const grant = await consents.get(reach.grant)
    return { grants: grant && !grant.revoked ? [grant] : [], side: 'app' }
  }
  if (reach.kind === 'app' || (reach.kind === 'gateway' && query.app !== undefined)) {
    const app = query.app ?? (reach.kind === 'app' ? reach.app : '')
    const own = reach.kind === 'gateway' || app === reach.app || (await ports.apps?.get(app))?.master === reach.app
    if (!own || !(await ports.apps?.get(app))) throw new Problem('not-found')
    const since = query.since === undefined ? {} : { since: Date.parse(query.since) }
    const after = query.cursor === undefined ? {} : { after: query.cursor }
    const page = await consents.ofApp(app, { limit: query.limit, ...since, ...after })
    return { ...page, side: reach.kind === 'app' ? 'app' : 'operator' }
  }
  if (query.record !== undefined) {
    const access = await accessTo(ports, caller, query.record)
    mustBeCustodian(access)
    return paged(await consents.ofRecord(access.record), query, reach.kind === 'gateway' ? 'operator' : 'person')
  }
  if (reach.kind === 'person') return paged(await consents.ofPerson(reach.person), query, 'person')
  throw new Problem('invalid-request', {}, [{ where: 'query.record', detail: 'Name the record' }])
}

/** A page of a list that is read whole: its order is by id, so that a grant that ends moves no other one. */
function paged(all: readonly Grant[], { limit, cursor }: GrantsQuery, side: Side): Listed {
  const rest = all
    .toSorted((one, other) => (one.id < other.id ? -1 : 1))
    .filter(({ id }) => cursor === undefined || id > cursor)
  const grants = rest.slice(0, limit)
  const last = rest.length > limit ? grants.at(-1) : undefined
  return { grants, side, ...(last && { next: last.id }) }
}
