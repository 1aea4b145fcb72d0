import { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { Principal } from '../../directory/directory.js'
import type { RecordEntry } from '../../record/item.js'
import { attachmentDisposition, safeMediaType } from '../download.js'
import { itemSchema, itemsSchema } from '../item-schema.js'
import type { ApiPorts } from '../ports.js'
import { Problem } from '../problem.js'
import { route } from '../route.js'
import { documentParams, itemParams, itemsQuery, pageQuery, recordParams, recordsSchema } from '../schemas.js'

/** Refuses a record that the principal may not see exactly as one that does not exist. */
export async function mustSee({ addresses }: ApiPorts, principal: Principal, recordId: string): Promise<void> {
  if (principal.address === '*') return
  const own = await addresses.get(principal.address)
  if (own?.record === undefined || own.record !== recordId) throw new Problem('not-found')
}

/** Whether some address has this record: a walk over the directory, for tokens of the whole gateway and empty answers only. */
export async function isKnown({ addresses }: ApiPorts, recordId: string): Promise<boolean> {
  for (let after: string | undefined; ; ) {
    const { items, next } = await addresses.list({ limit: 1000, ...(after === undefined ? {} : { after }) })
    if (items.some(({ record }) => record === recordId)) return true
    if (next === undefined) return false
    after = next
  }
}

/** An entry as clients read it: the statement it shows, under the entry's own id beside the statement's. */
export function entryView({ id, item, addedAt, appearances, ...entry }: RecordEntry) {
  return {
    ...item,
    ...entry,
    entryId: id,
    addedAt: new Date(addedAt).toISOString(),
    appearances: appearances.map((one) => ({ ...one, addedAt: new Date(one.addedAt).toISOString() })),
  }
}

export function recordRoutes(app: FastifyInstance, ports: ApiPorts): void {
  const base = '/api/v1/records'
  const tag = 'records'

  route(app, ports, {
    method: 'GET',
    path: base,
    access: 'record:read',
    action: 'records.list',
    summary: 'Records that the token may see',
    description: 'A record may stand on several pages when it has several addresses.',
    tag,
    query: pageQuery,
    answers: recordsSchema,
    async handle({ principal, query }) {
      const after = query.cursor === undefined ? {} : { after: query.cursor }
      const page =
        principal.address === '*'
          ? await ports.addresses.list({ limit: query.limit, ...after })
          : { items: [await ports.addresses.get(principal.address)], next: undefined }
      const records = new Map<string, string[]>()
      for (const one of page.items) {
        if (one?.record !== undefined) records.set(one.record, [...(records.get(one.record) ?? []), one.address])
      }
      const listed = [...records].map(([recordId, addresses]) => ({ recordId, addresses }))
      return { records: listed, ...(page.next === undefined ? {} : { next: page.next }) }
    },
  })

  route(app, ports, {
    method: 'GET',
    path: `${base}/:recordId/items`,
    access: 'record:read',
    action: 'items.list',
    summary: 'Items of a record, newest clinical date first',
    description:
      'Each is one entry: one whole statement, and every document that says the same in `appearances`. Without `state`, every state but `held`.',
    tag,
    params: recordParams,
    query: itemsQuery,
    answers: itemsSchema,
    async handle({ principal, params: { recordId }, query, subject }) {
      subject['record'] = recordId
      await mustSee(ports, principal, recordId)
      const { limit, cursor, type, state, document, review, conflicts } = query
      const page = await ports.record.list(recordId, {
        limit,
        ...(cursor === undefined ? {} : { cursor }),
        ...(type === undefined ? {} : { type }),
        ...(state === undefined ? {} : { state }),
        ...(document === undefined ? {} : { document }),
        ...(review === 'true' ? { review: true } : {}),
        ...(conflicts === 'true' ? { conflicts: true } : {}),
      })
      if (page.kind === 'bad-cursor') throw new Problem('invalid-cursor')
      if (page.items.length === 0 && principal.address === '*' && !(await isKnown(ports, recordId))) {
        throw new Problem('not-found')
      }
      subject['count'] = String(page.items.length)
      const items = page.items.map(entryView)
      return { items, unreadable: page.unreadable, ...(page.next === undefined ? {} : { next: page.next }) }
    },
  })

  route(app, ports, {
    method: 'GET',
    path: `${base}/:recordId/items/:id`,
    access: 'record:read',
    action: 'item.read',
    summary: 'One item',
    description: 'By the id of the entry or of any statement in it: a merge leaves no id behind.',
    tag,
    params: itemParams,
    answers: itemSchema,
    async handle({ principal, params: { recordId, id }, subject, reply }) {
      Object.assign(subject, { record: recordId, item: id })
      await mustSee(ports, principal, recordId)
      const stored = await ports.record.get(recordId, id)
      if (!stored) throw new Problem('not-found')
      reply.header('etag', `"${stored.version}"`)
      return entryView(stored)
    },
  })

  route(app, ports, {
    method: 'GET',
    path: `${base}/:recordId/documents/:sha256`,
    access: 'record:read',
    action: 'document.read',
    summary: 'The bytes of a document, exactly as they came',
    tag,
    params: documentParams,
    answers: { description: 'The document', content: { 'application/octet-stream': { schema: z.string() } } },
    async handle({ principal, params: { recordId, sha256 }, subject, reply }) {
      Object.assign(subject, { record: recordId, document: sha256 })
      await mustSee(ports, principal, recordId)
      const document = await ports.record.document(recordId, sha256)
      if (!document) throw new Problem('not-found')
      const bytes = await ports.record.documentBytes(recordId, sha256)
      if (!bytes) throw new Problem('unreadable')
      reply.header('content-type', safeMediaType(document.mediaType))
      reply.header('content-length', document.sizeBytes)
      reply.header('content-disposition', attachmentDisposition(document.name, `document-${sha256.slice(0, 8)}`))
      return Readable.from(bytes, { objectMode: false })
    },
  })
}
