import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { ActivityAction, ActivityEntry } from '../consent/consent.js'
import type { AuditEntry } from '../ports/audit.js'
import { type Batch, together } from '../ports/store.js'
import { lastAccess } from './access.js'
import type { Caller, Scope } from './caller.js'
import type { ApiPorts } from './ports.js'
import { Problem } from './problem.js'
import { answer, outcome, refusal } from './schemas.js'

/** Who may call a route. There is no default: a route without it is not registered. */
export type Access = 'public' | 'metrics' | Scope

declare module 'fastify' {
  interface FastifySchema {
    /** The scope a route needs, for readers of the API description. */
    'x-scope'?: Scope
  }
  interface FastifyContextConfig {
    access?: Access
    /** The word of the audit log for what the route does. */
    action?: string
  }
  interface FastifyRequest {
    /** Set by authentication for every route that is not public. */
    caller: Caller | undefined
  }
}

/** A route in terms of what it needs, takes and answers. Paths are relative to the server's root. */
export interface RouteSpec<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType> {
  readonly method: 'DELETE' | 'GET' | 'PATCH' | 'POST' | 'PUT'
  readonly path: string
  readonly access: Scope
  readonly action: string
  readonly summary: string
  readonly description?: string
  readonly tag: string
  readonly params?: P
  readonly query?: Q
  readonly body?: B
  readonly headers?: z.ZodType
  /** Largest body; the limit of all others where absent. */
  readonly bodyBytes?: number
  /** Media types of the body, where it is no JSON. */
  readonly consumes?: readonly string[]
  /** A POST that only asks: its answer is complete. */
  readonly asks?: true
  /** A POST whose effect is there when it answers; it is refused where what it names changed. */
  readonly completes?: true
  /** A POST that made something, which is there when it answers: 201. `unless-there`: 200 where the handler found it instead. */
  readonly creates?: true | 'unless-there'
  /** What it did leaves nothing to tell: 204. */
  readonly empties?: true
  /**
   * The word of the activity history that the people of a record read, where the request reaches one; where absent, `view`
   * for what only asks and `update` for what changes. `none` for what a handler tells itself, and what is no deed.
   */
  readonly activity?: ActivityAction | 'none'
  /** The response, 202 to a POST and 200 to others: a schema, or media types of bytes. */
  readonly answers:
    | z.ZodType
    | { readonly description: string; readonly content: Readonly<Record<string, { schema: z.ZodType }>> }
  readonly handle: (request: Asked<z.output<P>, z.output<Q>, z.output<B>>) => Promise<unknown>
}

/** What a handler works with. */
export interface Asked<P, Q, B> {
  readonly params: P
  readonly query: Q
  readonly body: B
  readonly caller: Caller
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  /** Ids that the audit entry names; a handler adds what it learns. */
  readonly subject: Record<string, string>
  /** What the line of the activity history says beside who and when; a handler adds what it learns. */
  readonly deed: Deed
  /** The audit entry of success as a batch part, for a handler that commits it with its own change. */
  readonly entry: () => ReturnType<ApiPorts['audit']['entry']>
  /** The same with the line of the activity history, where a record was reached: for a handler that changes one. */
  readonly entries: () => Promise<Batch>
}

/** What a handler tells the activity history of. */
export type Deed = { -readonly [Name in keyof Omit<ActivityEntry, 'at' | 'from' | 'outcome'>]?: ActivityEntry[Name] }

/** Refusals that every route with a token may give. */
const refusals = {
  400: 'A value is not valid',
  401: 'No valid token',
  403: 'The token lacks the scope',
  404: 'No such thing, or not for this token',
  429: 'Too many requests',
  500: 'A fault on our side',
  503: 'Cannot answer now',
}

const sendRefusals = {
  409: 'Used for another message, or not possible as it is now',
  413: 'Too large',
  415: 'Neither JSON nor a message',
  422: 'The message cannot be sent as it is',
}

const statuses = { DELETE: 200, GET: 200, PATCH: 200, POST: 202, PUT: 200 } as const

const changeRefusals = { 409: 'Changed at the same moment', 412: 'Changed since it was read' }

/** FHIR R4 §3.1.0: errors are OperationOutcomes, and a change says which version it is of. */
const fhirRefusals = {
  409: 'Not possible as it is now',
  413: 'Too large',
  415: 'Not FHIR in JSON',
  422: 'The record cannot keep the resource as it is',
  428: 'Which version was read is not said',
}

/** All answers of a route by their status. */
function responsesOf(spec: RouteSpec<z.ZodType, z.ZodType, z.ZodType>) {
  const { method, completes, creates, empties, asks, answers, summary, tag } = spec
  const changes = method === 'PATCH' || method === 'PUT' || method === 'DELETE' || completes || creates
  const told = {
    ...refusals,
    ...(method === 'POST' && sendRefusals),
    ...(changes && changeRefusals),
    ...(tag === 'fhir' && changes && fhirRefusals),
  }
  const refused = Object.entries(told).map(([status, words]) => [
    status,
    tag === 'fhir' ? outcome(words) : refusal(words),
  ])
  const success = 'content' in answers ? answers : answer(summary, answers)
  const status = creates ? 201 : asks || completes ? 200 : statuses[method]
  return {
    ...(empties ? { 204: z.null().describe('Done') } : { [status]: success }),
    ...(creates === 'unless-there' && { 200: success }),
    ...Object.fromEntries(refused),
  }
}

/**
 * Registers a route that needs a token. Its audit entry is durable before the first byte of the answer leaves: reading
 * that cannot be audited does not happen (fail closed). Refusals are audited with their code.
 */
export function route<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType>(
  app: FastifyInstance,
  ports: ApiPorts,
  spec: RouteSpec<P, Q, B>,
): void {
  app.route({
    method: spec.method,
    url: spec.path,
    config: { access: spec.access, action: spec.action },
    ...(spec.bodyBytes !== undefined && { bodyLimit: spec.bodyBytes }),
    schema: {
      operationId: operationId(spec.action),
      summary: spec.summary,
      description: `${spec.description ? `${spec.description} ` : ''}Needs the scope \`${spec.access}\`.`,
      tags: [spec.tag],
      security: [{ bearer: [] }],
      ...(spec.params && { params: spec.params }),
      ...(spec.query && { querystring: spec.query }),
      ...(spec.body && { body: spec.body }),
      ...(spec.consumes && { consumes: [...spec.consumes] }),
      ...(spec.headers && { headers: spec.headers }),
      response: responsesOf(spec),
      'x-scope': spec.access,
    },
    async handler(request, reply) {
      if (!request.caller) throw new Problem('unauthenticated')
      // One of its own for every request: what it reached is remembered by it.
      const caller = { ...request.caller, changes: spec.method !== 'GET' && spec.asks !== true }
      const subject: Record<string, string> = {}
      const deed: Deed = {}
      const left = { audit: true, activity: true }
      const entry = () => {
        left.audit = false
        return ports.audit.entry(entryOf(ports, request, spec.action, subject, 'success'))
      }
      const history = (outcome: ActivityEntry['outcome']) => {
        left.activity = false
        return historyOf(ports, spec, { caller, request, subject, deed }, outcome)
      }
      const entries = async () => together(await history('success'), { append: [entry()] })
      const asked = {
        params: request.params as z.output<P>,
        query: request.query as z.output<Q>,
        body: request.body as z.output<B>,
        ...{ caller, request, reply, subject, deed, entry, entries },
      }
      try {
        const answer = await spec.handle(asked)
        if (left.audit) await ports.store.commit(await entries())
        else if (left.activity) await ports.store.commit(await history('success'))
        if (spec.empties) return reply.code(204).send()
        return spec.creates === true ? reply.code(201).send(answer) : answer
      } catch (error) {
        const reason = error instanceof Problem ? error.code : 'internal'
        const outcome = reason === 'internal' || reason === 'unreadable' ? 'failed' : 'refused'
        const refused = entryOf(ports, request, spec.action, subject, outcome, reason)
        // Who reached a record and was refused there is told to its people; who did not reach it is told to nobody.
        const told = reason === 'access-denied' ? await history('refused').catch(() => ({})) : {}
        await ports.store.commit(together(told, { append: [ports.audit.entry(refused)] })).catch(() => undefined)
        throw error
      }
    },
  })
}

/** The line of the activity history for a request that reached a record; an empty batch where it reached none. */
async function historyOf(
  { activity, clock }: Pick<ApiPorts, 'activity' | 'clock'>,
  { method, asks, activity: word }: Pick<RouteSpec<z.ZodType, z.ZodType, z.ZodType>, 'method' | 'asks' | 'activity'>,
  { caller, request, subject, deed }: Pick<Asked<unknown, unknown, unknown>, 'caller' | 'request' | 'subject' | 'deed'>,
  outcome: ActivityEntry['outcome'],
): Promise<Batch> {
  const access = lastAccess(caller)
  if (!activity || !access || word === 'none') return {}
  const { count = Number(subject['count'] ?? Number.NaN), action, ...more } = deed
  return activity.entry(access.record, {
    at: clock.now(),
    action: action ?? word ?? (method === 'GET' || asks ? 'view' : 'update'),
    from: { ...access.actor, address: request.ip },
    ...(Number.isFinite(count) && outcome === 'success' && { count }),
    ...more,
    outcome,
  })
}

/** Makes an audit entry durable by itself. Throws StoreFailed when it cannot. */
export async function record({ store, audit }: Pick<ApiPorts, 'store' | 'audit'>, entry: AuditEntry): Promise<void> {
  await store.commit({ append: [audit.entry(entry)] })
}

/** What the audit log says of a request: ids and addresses, never what was read. `request` is the id the client got. */
export function entryOf(
  { clock }: Pick<ApiPorts, 'clock'>,
  request: FastifyRequest,
  action: string,
  subject: Readonly<Record<string, string>>,
  outcome: AuditEntry['outcome'],
  reason?: string,
): AuditEntry {
  return {
    at: clock.now(),
    action: `api.${action}`,
    actor: request.caller?.by ?? 'anonymous',
    subject: { ...subject, request: request.id, client: request.ip },
    outcome,
    ...(reason === undefined ? {} : { reason }),
  }
}

function operationId(action: string): string {
  return action.replace(/[.-](\w)/g, (_, letter: string) => letter.toUpperCase())
}
