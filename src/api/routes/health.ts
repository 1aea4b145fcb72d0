import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { ApiPorts } from '../ports.js'
import { answer, refusal } from '../schemas.js'

const checksSchema = z
  .object({
    ready: z.boolean(),
    checks: z.array(z.object({ name: z.string(), ok: z.boolean(), detail: z.string().optional() })),
  })
  .meta({ id: 'Readiness' })

/** Probes, metrics and the API's own description. They read nothing of anybody, so they leave no audit entry. */
export function healthRoutes(app: FastifyInstance, ports: ApiPorts): void {
  const tags = ['health']
  app.route({
    method: 'GET',
    url: '/livez',
    config: { access: 'public' },
    schema: {
      operationId: 'livez',
      summary: 'The process answers',
      tags,
      security: [],
      response: { 200: answer('Alive', z.object({ alive: z.literal(true) })) },
    },
    handler: async () => ({ alive: true }),
  })

  app.route({
    method: 'GET',
    url: '/readyz',
    config: { access: 'public' },
    schema: {
      operationId: 'readyz',
      summary: 'The gateway takes work: each check by name, 503 when one fails',
      tags,
      security: [],
      response: { 200: answer('Ready', checksSchema), 503: answer('Not ready', checksSchema) },
    },
    async handler(_, reply) {
      const checks = await ports.checks().catch(() => [{ name: 'checks', ok: false }])
      const ready = checks.every(({ ok }) => ok)
      return reply.code(ready ? 200 : 503).send({ ready, checks })
    },
  })

  app.route({
    method: 'GET',
    url: '/metrics',
    config: { access: 'metrics' },
    schema: {
      operationId: 'metrics',
      summary: 'Metrics in the Prometheus text format',
      description: 'Answers loopback callers only, or holders of an operator token, as configured.',
      tags,
      security: [{ bearer: [] }],
      response: {
        200: { description: 'Metrics', content: { 'text/plain': { schema: z.string() } } },
        401: refusal('No valid token'),
        403: refusal('The token lacks the scope'),
        404: refusal('Not for callers from elsewhere'),
        429: refusal('Too many requests'),
      },
    },
    async handler(_, reply) {
      return reply.header('content-type', 'text/plain; version=0.0.4; charset=utf-8').send(await ports.exposition())
    },
  })

  app.route({
    method: 'GET',
    url: '/api/v1/openapi.json',
    config: { access: 'public' },
    schema: {
      operationId: 'openapi',
      summary: 'This description',
      tags,
      security: [],
      response: {
        200: answer('OpenAPI 3.1', z.record(z.string(), z.unknown())),
        429: refusal('Too many requests'),
      },
    },
    handler: async () => app.swagger(),
  })
}
