import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { type QueueFilter, queueLimits } from '../../pipeline/queue.js'
import { type QueueAction, queueActions, queueNames } from '../../pipeline/queue-rules.js'
import { type QueuedMail, queueStates } from '../../pipeline/queued.js'
import type { ApiPorts } from '../ports.js'
import { Problem } from '../problem.js'
import { route } from '../route.js'
import { pageQuery, stepSchema } from '../schemas.js'
import { stepsView } from './trail.js'

const time = z.string().meta({ format: 'date-time', description: 'RFC 3339, UTC' })
const segment = z.string().min(1).max(200)
const params = z.object({ queue: segment.describe(`One of ${queueNames.join(', ')}`), id: segment })

const query = pageQuery.extend({
  queue: z.enum(queueNames as [string, ...string[]]).optional(),
  all: z.enum(['true', 'false']).optional().describe('Deadlines and upkeep too'),
  domain: z.string().min(1).max(255).optional().describe('What goes to this domain'),
  recipient: z.string().min(3).max(320).optional().describe('What goes to this Direct address'),
  state: z.enum(queueStates).optional(),
})

const reason = z
  .string()
  .max(queueLimits.reasonChars)
  .describe('Kept in the audit log and the trail; nothing about patients')

const mailSchema = z
  .object({
    queue: z.string(),
    id: z.string().describe('Unique in its queue'),
    kind: z
      .enum(['accepted', 'submitted', 'message', 'notice', 'edge', 'deadline', 'work', 'unreadable'])
      .describe(
        'accepted: to be judged; submitted: to be sealed; edge: to a system of ours; deadline: of a submission',
      ),
    state: z.enum(queueStates).describe('held: a worker has it now'),
    spoolId: z.string().optional().describe('Names the trail'),
    from: z.string().optional().describe('The reverse-path; empty for a notice'),
    recipients: z.array(z.string()).describe('Who still waits for it'),
    system: z.string().optional().describe('The system of ours that it goes to'),
    owedAt: time.optional(),
    dueAt: time.optional().describe('When it is tried next; on hold never'),
    tries: z.int(),
    trouble: z.string().optional().describe('What stood in its way the last time'),
  })
  .meta({ id: 'QueuedMail' })

const does: Readonly<Record<QueueAction, string>> = {
  hold: 'Puts one on hold: nothing is tried until it is released',
  release: 'Lets go of one that is on hold; it is tried at once',
  retry: 'Tries one now, on hold or not',
  cancel: 'Never tries one again: the sender of a message is told that it failed',
}

/** What waits in the queues, and what an operator may do to it; the same as `direct-gateway queue`. */
export function queueRoutes(app: FastifyInstance, ports: ApiPorts): void {
  const shared = { access: 'operator', tag: 'operator' } as const
  route(app, ports, {
    ...shared,
    method: 'GET',
    path: '/api/v1/queue',
    action: 'queue.list',
    summary: 'What waits, queue by queue, in order of due time',
    description: 'A page may be short and still have a next one.',
    query,
    answers: z.object({ mail: z.array(mailSchema), next: z.string().optional().describe('Cursor of the next page') }),
    async handle({ query: { limit, cursor, all, ...filter }, subject }) {
      const asked: QueueFilter = { ...filter, all: all === 'true' }
      const page = await ports.queues.list(asked, { limit, cursor })
      if (page.kind === 'bad-cursor') throw new Problem('invalid-cursor')
      subject['count'] = String(page.mail.length)
      return { mail: page.mail.map(mailView), ...(page.next === undefined ? {} : { next: page.next }) }
    },
  })

  route(app, ports, {
    ...shared,
    method: 'GET',
    path: '/api/v1/queue/:queue/:id',
    action: 'queue.read',
    summary: 'One that waits, with its life so far',
    params,
    answers: mailSchema.extend({ steps: z.array(stepSchema) }).meta({ id: 'QueuedMailWithSteps' }),
    async handle({ params: { queue, id }, subject }) {
      named(subject, queue, id)
      const shown = await ports.queues.show(queue, id)
      if (!shown) throw new Problem('not-found')
      return { ...mailView(shown.mail), steps: stepsView(shown.steps) }
    },
  })

  for (const action of queueActions) {
    const body = z.strictObject({ reason: action === 'cancel' ? reason.min(1) : reason.optional() })
    route(app, ports, {
      ...shared,
      method: 'POST',
      path: `/api/v1/queue/:queue/:id/${action}`,
      action: `queue.${action}`,
      summary: does[action],
      params,
      body,
      answers: z.object({ action: z.enum(queueActions), was: mailSchema.describe('As it was before') }),
      async handle({ params: { queue, id }, body, caller, subject, reply }) {
        named(subject, queue, id)
        const outcome = await ports.queues.act(action, queue, id, { by: caller.by, ...body })
        switch (outcome.kind) {
          case 'done':
            reply.code(202)
            return { action, was: mailView(outcome.mail) }
          case 'not-found':
            throw new Problem('not-found')
          case 'busy':
            throw new Problem('being-worked-on', { 'retry-after': '1' })
          case 'not-so':
            throw new Problem('not-possible', {}, [{ where: 'params.id', detail: outcome.detail }])
        }
      },
    })
  }
}

function named(subject: Record<string, string>, queue: string, id: string): void {
  if (!queueNames.includes(queue)) throw new Problem('not-found')
  subject['queue'] = queue
  subject['job'] = id
}

function mailView({ trail, from, to, since, dueAt, state, ...mail }: QueuedMail) {
  return {
    ...mail,
    state,
    ...(trail !== undefined && { spoolId: trail }),
    ...(from !== undefined && { from: from ?? '' }),
    recipients: to,
    ...(since !== undefined && { owedAt: isoOf(since) }),
    ...(state !== 'on-hold' && { dueAt: isoOf(dueAt) }),
  }
}

const isoOf = (at: number) => new Date(at).toISOString()
