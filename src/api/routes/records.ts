import { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { accessTo } from '../access.js'
import type { Caller } from '../caller.js'
import { attachmentDisposition, safeMediaType } from '../download.js'
import type { ApiPorts } from '../ports.js'
import { Problem } from '../problem.js'
import { route } from '../route.js'
import { documentParams, pageQuery, recordsSchema } from '../schemas.js'
import { mustReadSome } from './items.js'

/** Records in which an application may come alone, oldest grant first; one with several grants may stand on several pages. */
async function recordsOfApp({ consents }: ApiPorts, app: string, query: { limit: number; after?: string }) {
  if (!consents) return { records: [] }
  const { grants, next } = await consents.ofApp(app, query)
  const reached = await Promise.all(grants.map(({ id }) => consents.access(id, 'offline')))
  const ids = new Set(reached.flatMap((access) => (access && access.rules.length > 0 ? [access.told] : [])))
  const records = [...ids].map((recordId) => ({ recordId, addresses: [] }))
  return { records, ...(next !== undefined && { next }) }
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
    description: 'A record may stand on several pages when it has several addresses, or grants.',
    tag,
    query: pageQuery,
    answers: recordsSchema,
    async handle({ caller, query }) {
      const after = query.cursor === undefined ? {} : { after: query.cursor }
      const { reach } = caller
      if (reach.kind === 'app')
        return reach.within ? recordsOfApp(ports, reach.app, { limit: query.limit, ...after }) : { records: [] }
      if (reach.kind !== 'gateway') return { records: await ownRecords(ports, caller) }
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
    path: `${base}/:recordId/documents/:sha256`,
    access: 'record:read',
    action: 'document.read',
    summary: 'The bytes of a document, exactly as they came',
    activity: 'download',
    tag,
    params: documentParams,
    answers: { description: 'The document', content: { 'application/octet-stream': { schema: z.string() } } },
    async handle({ caller, params: { recordId: named, sha256 }, subject, reply }) {
      const access = await accessTo(ports, caller, named)
      const { record: recordId } = access
      Object.assign(subject, { record: recordId, document: sha256 })
      mustReadSome(access, ['document'])
      const document = await ports.record.document(access, sha256)
      if (!document) throw new Problem('not-found')
      const bytes = await ports.record.documentBytes(access, sha256)
      if (!bytes) throw new Problem('unreadable')
      reply.header('content-type', safeMediaType(document.mediaType))
      reply.header('content-length', document.sizeBytes)
      reply.header('content-disposition', attachmentDisposition(document.name, `document-${sha256.slice(0, 8)}`))
      return Readable.from(bytes, { objectMode: false })
    },
  })
}
