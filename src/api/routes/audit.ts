import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { auditFields } from '../../ports/audit.js'
import { defined } from '../defined.js'
import type { ApiPorts } from '../ports.js'
import { Problem } from '../problem.js'
import { route } from '../route.js'

const moment = z.iso.datetime({ offset: true }).transform((text) => Date.parse(text))

const auditQuery = z.strictObject({
  from: moment.optional().describe('RFC 3339, inclusive'),
  to: moment.optional().describe('RFC 3339, exclusive'),
  action: z.string().min(1).max(64).optional().describe('A whole word, or a beginning with * behind: `api.*`'),
  actor: z
    .string()
    .min(1)
    .max(200)
    .optional()
    .describe('`system`, `operator`, `token:…`, `person:…`, `app:…`; or with *'),
  outcome: z.enum(['success', 'refused', 'failed']).optional(),
  subject: z.string().min(1).max(400).optional().describe('An id or an address that an entry names'),
  sort: z.enum(auditFields).default('at'),
  order: z.enum(['ascending', 'descending']).default('ascending'),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
  after: z.coerce.number().int().min(0).optional().describe('`next` of the page before; only sorted as it was written'),
})

const auditSchema = z
  .object({
    entries: z.array(
      z.object({
        sequence: z.number().int(),
        at: z.string().meta({ format: 'date-time' }),
        action: z.string(),
        actor: z.string(),
        outcome: z.string(),
        reason: z.string().optional(),
        subject: z.record(z.string(), z.string()),
      }),
    ),
    next: z.number().int().optional().describe('`after` of the next page; absent at the end'),
  })
  .meta({ id: 'AuditEntries' })

/** The audit log, for the operator: who did what, when, and how it ended (45 CFR 170.315(d)(3)). */
export function auditRoutes(app: FastifyInstance, ports: ApiPorts): void {
  route(app, ports, {
    method: 'GET',
    path: '/api/v1/audit',
    access: 'operator',
    action: 'audit.read',
    summary: 'What happened: by time, by whom, to what, sorted by any of its fields',
    description: 'Sorted otherwise than as it was written, more than 10,000 matches are refused: narrow the times.',
    tag: 'operator',
    query: auditQuery,
    answers: auditSchema,
    async handle({ query: { order, ...query }, subject }) {
      if (!ports.auditReport) throw new Problem('unavailable')
      const page = await ports.auditReport.report({ ...defined(query), descending: order === 'descending' })
      if (page.kind === 'too-many')
        throw new Problem('invalid-request', {}, [
          { where: 'query.from', detail: `More than ${page.most} entries match; narrow the times` },
        ])
      subject['count'] = String(page.entries.length)
      const entries = page.entries.map((entry) => ({ ...entry, at: new Date(entry.at).toISOString() }))
      return { entries, ...(page.next !== undefined && { next: page.next }) }
    },
  })
}
