import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { z } from 'zod'
import type { TokenScope } from '../directory/directory.js'
import type { AuditEntry } from '../ports/audit.js'
import type { Caller } from './caller.js'
import type { ApiPorts } from './ports.js'
import { Problem } from './problem.js'
import { answer, refusal } from './schemas.js'

/** Who may call a route. There is no default: a route without it is not registered. */
export type Access = 'public' | 'metrics' | TokenScope

declare module 'fastify' {
  interface FastifySchema {
    /** The scope a route needs, for readers of the API description. */
    'x-scope'?: TokenScope
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
  readonly method: 'GET' | 'PATCH' | 'POST'
  readonly path: string
  readonly access: TokenScope
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
  /** The audit entry of success as a batch part, for a handler that commits it with its own change. */
  readonly entry: () => ReturnType<ApiPorts['audit']['entry']>
}

/** Refusals that every route with a token may give. */
const refusals = {
  400: refusal('A value is not valid'),
  401: refusal('No valid token'),
  403: refusal('The token lacks the scope'),
  404: refusal('No such thing, or not for this token'),
  429: refusal('Too many requests'),
  500: refusal('A fault on our side'),
  503: refusal('Cannot answer now'),
}

const sendRefusals = {
  409: refusal('Used for another message, or not possible as it is now'),
  413: refusal('Too large'),
  415: refusal('Neither JSON nor a message'),
  422: refusal('The message cannot be sent as it is'),
}

const changeRefusals = { 409: refusal('Changed at the same moment'), 412: refusal('Changed since it was read') }

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
      response: {
        [spec.method === 'POST' && !spec.asks && !spec.completes ? 202 : 200]:
          'content' in spec.answers ? spec.answers : answer(spec.summary, spec.answers),
        ...refusals,
        ...(spec.method === 'POST' && sendRefusals),
        ...((spec.method === 'PATCH' || spec.completes) && changeRefusals),
      },
      'x-scope': spec.access,
    },
    async handler(request, reply) {
      const { caller } = request
      if (!caller) throw new Problem('unauthenticated')
      const subject: Record<string, string> = {}
      let committed = false
      const asked = {
        params: request.params as z.output<P>,
        query: request.query as z.output<Q>,
        body: request.body as z.output<B>,
        caller,
        request,
        reply,
        subject,
        entry: () => {
          committed = true
          return ports.audit.entry(entryOf(ports, request, spec.action, subject, 'success'))
        },
      }
      try {
        const answer = await spec.handle(asked)
        if (!committed) await record(ports, entryOf(ports, request, spec.action, subject, 'success'))
        return answer
      } catch (error) {
        const reason = error instanceof Problem ? error.code : 'internal'
        const outcome = reason === 'internal' || reason === 'unreadable' ? 'failed' : 'refused'
        await record(ports, entryOf(ports, request, spec.action, subject, outcome, reason)).catch(() => undefined)
        throw error
      }
    },
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
