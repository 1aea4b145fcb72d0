import type { FastifyInstance } from 'fastify'
import { refusals } from '../../direct/refusal.js'
import type { TrailStep } from '../../direct/verdict.js'
import type { ApiPorts } from '../ports.js'
import { Problem } from '../problem.js'
import { route } from '../route.js'
import { pageQuery, quarantineSchema, trailParams, trailSchema } from '../schemas.js'

export function trailView(spoolId: string, steps: readonly TrailStep[]) {
  return { spoolId, steps: stepsView(steps) }
}

/** Steps as clients read them, each refusal with its help text: the same words as in log and CLI. */
export function stepsView(steps: readonly TrailStep[]) {
  return steps.map(({ at, refusal, ...step }) => ({
    ...step,
    at: new Date(at).toISOString(),
    ...(refusal && {
      refusal: { reason: refusal.reason, detail: refusal.detail, help: refusals[refusal.reason].help },
    }),
  }))
}

export function operatorRoutes(app: FastifyInstance, ports: ApiPorts): void {
  route(app, ports, {
    method: 'GET',
    path: '/api/v1/trail/:spoolId',
    access: 'operator',
    action: 'trail.read',
    summary: 'The life of a message, for every recipient',
    tag: 'operator',
    params: trailParams,
    answers: trailSchema,
    async handle({ params, subject }) {
      subject['spool'] = params.spoolId
      const steps = /^[a-z2-7]{26}$/.test(params.spoolId) ? await ports.trail.read(params.spoolId) : []
      if (steps.length === 0) throw new Problem('not-found')
      return trailView(params.spoolId, steps)
    },
  })

  route(app, ports, {
    method: 'GET',
    path: '/api/v1/quarantine',
    access: 'operator',
    action: 'quarantine.list',
    summary: 'Messages that were refused after they were taken in, newest first',
    tag: 'operator',
    query: pageQuery,
    answers: quarantineSchema,
    async handle({ query: { limit, cursor }, subject }) {
      const page = await ports.quarantine.list({ limit, ...(cursor === undefined ? {} : { cursor }) })
      if (page.kind === 'bad-cursor') throw new Problem('invalid-cursor')
      subject['count'] = String(page.entries.length)
      const messages = page.entries.map(({ spoolId, at, envelope, refused, sizeBytes, judgedAgain }) => ({
        spoolId,
        refusedAt: new Date(at).toISOString(),
        receivedAt: new Date(envelope.receivedAt).toISOString(),
        from: envelope.mailFrom ?? '',
        recipients: envelope.rcptTo,
        refused: refused.map((one) => ({ ...one, help: refusals[one.reason].help })),
        peer: envelope.peer.address,
        sizeBytes,
        judgedAgain,
      }))
      return { messages, ...(page.next === undefined ? {} : { next: page.next }) }
    },
  })
}
