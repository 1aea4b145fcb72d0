import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { Events, LoggedEvent } from '../../spool/events.js'
import type { ApiPorts } from '../ports.js'
import { Problem } from '../problem.js'
import { route } from '../route.js'

export const eventLimits = {
  /** Page size when none is asked for, and at most. */
  pageDefault: 100,
  pageMax: 1000,
  /** Entries looked at for one page of certain steps; `next` leads on from there. */
  looked: 10_000,
}

const sequence = z.number().int().min(1).describe('1, 2, 3 … in the order in which things became true')

const eventSchema = z
  .object({
    sequence,
    id: z.string().describe('The same wherever this step is told: events may come more than once'),
    at: z.string().meta({ format: 'date-time', description: 'RFC 3339, UTC' }),
    message: z.string().describe('Id of the trail; of a submission its own id'),
    step: z.string(),
    recipient: z.string().optional(),
    mailboxMessageId: z.string().optional().describe('Of a delivered message: its id in the mailbox'),
    reason: z.string().optional().describe('Of a refusal or a failure'),
    detail: z.string().describe('A line for people: its words may change'),
  })
  .meta({ id: 'Event' })

const eventsSchema = z
  .object({
    events: z.array(eventSchema),
    next: z.number().int().min(0).describe('`after` of the next page, also where this one is empty'),
  })
  .meta({ id: 'Events' })

const eventsQuery = z.strictObject({
  after: z.coerce.number().int().min(0).default(0).describe('Sequence number behind which the page begins'),
  limit: z.coerce.number().int().min(1).max(eventLimits.pageMax).default(eventLimits.pageDefault).describe('Page size'),
  step: z.string().min(1).max(64).optional().describe('Only this step'),
})

/** The log of events, for programs that would rather ask than be told. */
export function eventRoutes(app: FastifyInstance, ports: ApiPorts): void {
  route(app, ports, {
    method: 'GET',
    path: '/api/v1/events',
    access: 'operator',
    action: 'events.read',
    summary: 'What happened to messages, step by step, in order',
    description: 'The events that webhooks tell. `unavailable` where the gateway keeps none.',
    tag: 'operator',
    query: eventsQuery,
    answers: eventsSchema,
    async handle({ query: { after, limit, step }, subject }) {
      if (!ports.events) throw new Problem('unavailable')
      const { found, next } = await pageOf(ports.events, after, limit, step)
      subject['count'] = String(found.length)
      return { events: found.map(eventView), next }
    },
  })
}

/** A page of events, and the last sequence number that was looked at for it. What is damaged is left out. */
async function pageOf(events: Events, after: number, limit: number, step?: string) {
  const found: Required<LoggedEvent>[] = []
  let next = after
  while (next - after < eventLimits.looked) {
    const size = step === undefined ? limit : eventLimits.pageMax
    const page = await events.read(next, size)
    for (const { sequence, event } of page) {
      if (found.length === limit) return { found, next }
      next = sequence
      if (event && (step === undefined || event.step === step)) found.push({ sequence, event })
    }
    if (page.length < size || found.length === limit) break
  }
  return { found, next }
}

function eventView({ sequence, event }: Required<LoggedEvent>) {
  const { id, at, message, step, recipient, mailboxMessageId, reason, detail } = event
  return {
    ...{ sequence, id, at: new Date(at).toISOString(), message, step },
    ...(recipient !== undefined && { recipient }),
    ...(mailboxMessageId !== undefined && { mailboxMessageId }),
    ...(reason !== undefined && { reason }),
    detail,
  }
}
