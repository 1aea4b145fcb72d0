import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { ExportRequest } from '../../pipeline/export.js'
import { accessTo, mustBeCustodian } from '../access.js'
import { attachmentDisposition } from '../download.js'
import type { ApiPorts } from '../ports.js'
import { Problem } from '../problem.js'
import { route } from '../route.js'
import { itemTypes, recordParams } from '../schemas.js'

/** Entries picked one by one in one request: what fits into the longest request line that servers take. */
const mostPicked = 200

/** One value or several of the same name. */
function several<T extends z.ZodType>(one: T) {
  return z
    .union([one, z.array(one).max(mostPicked)])
    .transform((value) => (Array.isArray(value) ? value : [value]) as z.output<T>[])
}

const date = z.string().regex(/^\d{4}(-\d{2}(-\d{2})?)?$/)

const exportQuery = z.strictObject({
  format: z.enum(['ccd', 'ccr', 'xdm']).describe('C-CDA R2.1 CCD, ASTM CCR, or the CCD in an XDM package'),
  type: several(itemTypes).optional().describe('Only these types; may be repeated'),
  from: date.optional().describe('Only what was so on this day, month or year, or later'),
  to: date.optional().describe('Only what was so on this day, month or year, or earlier'),
  item: several(z.string().min(1).max(128))
    .optional()
    .describe('Entries picked by id, withheld ones too; may be repeated'),
})

export function exportRoutes(app: FastifyInstance, ports: ApiPorts): void {
  route(app, ports, {
    method: 'GET',
    path: '/api/v1/records/:recordId/export',
    access: 'record:read',
    action: 'record.export',
    summary: 'The record, or a part of it, as a document',
    description:
      'What the record shows today. Sections that were not chosen say so in the document. What a security label holds back leaves only when picked by its id.',
    tag: 'records',
    activity: 'download',
    params: recordParams,
    query: exportQuery,
    answers: {
      description: 'The document',
      content: { 'application/xml': { schema: z.string() }, 'application/zip': { schema: z.string() } },
    },
    async handle({ caller, params: { recordId: named }, query, subject, reply }) {
      const access = await accessTo(ports, caller, named)
      const { record: recordId } = access
      subject['record'] = recordId
      subject['format'] = query.format
      mustBeCustodian(access)
      if (!ports.exports) throw new Problem('unavailable')
      const outcome = await ports.exports.export(recordId, requestOf(query))
      switch (outcome.kind) {
        case 'nothing':
          throw new Problem('not-found')
        case 'too-many':
          throw new Problem('invalid-request', {}, [
            { where: 'query', detail: `more than ${outcome.most} entries; choose types or dates` },
          ])
        case 'too-large':
          throw new Problem('invalid-request', {}, [
            { where: 'query', detail: `more than ${outcome.mostBytes} bytes; choose types or dates` },
          ])
        case 'busy':
          throw new Problem('unavailable', { 'retry-after': '5' })
        case 'failed':
          throw new Problem('unavailable')
        case 'document':
          subject['count'] = String(outcome.items)
          reply.header('content-type', outcome.mediaType)
          reply.header('content-disposition', attachmentDisposition(outcome.name, 'health-summary'))
          return outcome.bytes
      }
    },
  })
}

function requestOf({ format, type, from, to, item }: z.output<typeof exportQuery>): ExportRequest {
  return {
    format,
    ...(type === undefined ? {} : { types: type }),
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
    ...(item === undefined ? {} : { ids: item }),
  }
}
