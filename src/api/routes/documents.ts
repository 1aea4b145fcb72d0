import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { viewOfDocument } from '../../pipeline/view.js'
import { accessTo, mustPermit } from '../access.js'
import type { ApiPorts } from '../ports.js'
import { Problem } from '../problem.js'
import { route } from '../route.js'
import { documentParams } from '../schemas.js'

/**
 * Beside the page's own policy, which names its one style by hash: nobody frames it, and where it is opened by itself it
 * is a sandbox. Files may be saved, which a sandbox else forbids.
 */
const around = "sandbox allow-downloads; frame-ancestors 'none'"

export function documentRoutes(app: FastifyInstance, ports: ApiPorts): void {
  const base = '/api/v1/records/:recordId/documents'

  route(app, ports, {
    method: 'GET',
    path: `${base}/:sha256/view`,
    access: 'record:read',
    action: 'document.view',
    summary: 'A document as a page for people',
    description:
      'One HTML page that runs nothing and loads nothing, whatever the document: clinical documents in full, text and pictures as they are, other files told of.',
    tag: 'records',
    params: documentParams,
    answers: { description: 'The page', content: { 'text/html': { schema: z.string() } } },
    async handle({ caller, params: { recordId: named, sha256 }, subject, reply }) {
      const access = await accessTo(ports, caller, named)
      const { record: recordId } = access
      Object.assign(subject, { record: recordId, document: sha256 })
      mustPermit(access, 'read', 'document')
      const { record, views } = ports
      if (!views) throw new Problem('unavailable')
      const documents = `/api/v1/records/${encodeURIComponent(named)}/documents/`
      const outcome = await viewOfDocument({ whose: access, sha256, documents }, { record, views })
      if (outcome.kind === 'missing') throw new Problem('not-found')
      if (outcome.kind === 'unreadable') throw new Problem('unreadable')
      if (outcome.kind === 'busy') throw new Problem('unavailable', { 'retry-after': '5' })
      reply.header('content-type', 'text/html; charset=utf-8')
      reply.header('content-security-policy', `${outcome.policy}; ${around}`)
      return Buffer.from(outcome.html, 'utf8')
    },
  })
}
