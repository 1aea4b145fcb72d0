import { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { RecordEntry } from '../../record/item.js'
import { accessTo, mustBeKnown, mustPermit } from '../access.js'
import type { Caller } from '../caller.js'
import { attachmentDisposition, safeMediaType } from '../download.js'
import { itemSchema, itemsSchema } from '../item-schema.js'
import type { ApiPorts } from '../ports.js'
import { Problem } from '../problem.js'
import { route } from '../route.js'
import { documentParams, itemParams, itemsQuery, pageQuery, recordParams, recordsSchema } from '../schemas.js'

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

/** Records that one caller reaches, by the ids that it knows them by. */
async function ownRecords(ports: ApiPorts, { reach }: Caller) {
  if (reach.kind === 'address') {
    const { record, address } = (await ports.addresses.get(reach.address)) ?? {}
    return record === undefined || address === undefined ? [] : [{ recordId: record, addresses: [address] }]
  }
  if (reach.kind === 'person') {
    const held = (await ports.people?.records.of(reach.person)) ?? []
    return held.map(({ record }) => ({ recordId: record.id, addresses: [] }))
  }
  if (reach.kind !== 'grant') return []
  const access = await ports.consents?.access(reach.grant, reach.avenue)
  return access ? [{ recordId: access.told, addresses: [] }] : []
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
    async handle({ caller, query }) {
      const after = query.cursor === undefined ? {} : { after: query.cursor }
      if (caller.reach.kind !== 'gateway') return { records: await ownRecords(ports, caller) }
      const page = await ports.addresses.list({ limit: query.limit, ...after })
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
    async handle({ caller, params: { recordId: named }, query, subject }) {
      const { record: recordId } = await accessTo(ports, caller, named)
      subject['record'] = recordId
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
      if (page.items.length === 0) await mustBeKnown(ports, caller, recordId)
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
    async handle({ caller, params: { recordId: named, id }, subject, reply }) {
      const { record: recordId } = await accessTo(ports, caller, named)
      Object.assign(subject, { record: recordId, item: id })
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
    async handle({ caller, params: { recordId: named, sha256 }, subject, reply }) {
      const access = await accessTo(ports, caller, named)
      const { record: recordId } = access
      Object.assign(subject, { record: recordId, document: sha256 })
      mustPermit(access, 'read', 'document')
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
