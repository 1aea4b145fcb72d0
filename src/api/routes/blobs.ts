import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { RecordAccess } from '../../direct/access.js'
import { together } from '../../ports/store.js'
import type { Upload } from '../../record/uploads.js'
import { accessTo, mustBeKnown } from '../access.js'
import { attachmentDisposition, safeMediaType } from '../download.js'
import { uploadBody, uploadSchema } from '../item-schema.js'
import type { ApiPorts, apiLimits } from '../ports.js'
import { Problem } from '../problem.js'
import { route } from '../route.js'
import { itemBlobParams, recordParams, uploadParams } from '../schemas.js'

/** Bytes that belong to items: uploaded piece by piece beforehand, read as part of their item. */
export function blobRoutes(app: FastifyInstance, ports: ApiPorts, limits: typeof apiLimits): void {
  uploadRoutes(app, ports, limits)

  route(app, ports, {
    method: 'GET',
    path: '/api/v1/records/:recordId/items/:id/blobs/:sha256',
    access: 'record:read',
    action: 'item.blob',
    summary: 'The bytes of a blob of an item',
    description: 'With `Range: bytes=a-b`, a part of them.',
    tag: 'records',
    params: itemBlobParams,
    activity: 'download',
    answers: { description: 'The bytes', content: { 'application/octet-stream': { schema: z.string() } } },
    async handle({ caller, params: { recordId: named, id, sha256 }, subject, request, reply }) {
      const access = await accessTo(ports, caller, named)
      Object.assign(subject, { record: access.record, item: id, blob: sha256 })
      const entry = await ports.record.get(access, id)
      const blob = entry?.blobs?.find((one) => one.sha256 === sha256)
      if (!blob || !ports.uploads) throw new Problem('not-found')
      const range = rangeOf(request.headers.range, blob.sizeBytes)
      const { from, to } = range ?? { from: 0, to: blob.sizeBytes }
      const bytes = await ports.uploads.read(access.record, sha256, { from, to })
      if (!bytes) throw new Problem('unreadable')
      reply.headers({
        ...{ 'content-type': safeMediaType(blob.mediaType), 'content-length': to - from, 'accept-ranges': 'bytes' },
        'content-disposition': attachmentDisposition(blob.name || undefined, `blob-${sha256.slice(0, 8)}`),
        ...(range && { 'content-range': `bytes ${from}-${to - 1}/${blob.sizeBytes}` }),
      })
      if (range) reply.code(206)
      return Readable.from(bytes, { objectMode: false })
    },
  })
}

function uploadRoutes(app: FastifyInstance, ports: ApiPorts, limits: typeof apiLimits): void {
  const path = '/api/v1/records/:recordId/blobs'
  const shared = { tag: 'records', answers: uploadSchema, activity: 'none' } as const
  const needed = () => {
    if (!ports.uploads) throw new Problem('unavailable')
    return ports.uploads
  }
  const view = ({ dueAt, ...upload }: Upload) => ({
    ...{ ...upload, pieceBytes: limits.pieceBytes },
    expiresAt: new Date(dueAt).toISOString(),
  })

  app.addContentTypeParser('application/octet-stream', { parseAs: 'buffer' }, (_, body, done) => done(null, body))

  route(app, ports, {
    ...shared,
    method: 'POST',
    path,
    access: 'record:write',
    action: 'blob.begin',
    summary: 'Begin to upload bytes that an item will name',
    description: 'What is neither finished nor named by an item within a day is deleted.',
    params: recordParams,
    body: uploadBody,
    creates: true,
    async handle({ caller, params, body, subject, entries }) {
      const access = await accessTo(ports, caller, params.recordId)
      subject['record'] = access.record
      mayWrite(access.rules)
      await mustBeKnown(ports, caller, access.record)
      const { sha256, sizeBytes } = body
      const begun = await needed().begin(access, {
        sizeBytes,
        ...(sha256 !== undefined && { sha256 }),
      })
      if (begun.kind !== 'begun') throw beginRefusals[begun.kind]()
      subject['upload'] = begun.upload.id
      const { kind } = await ports.store.commit(together(begun.parts, await entries()))
      if (kind !== 'committed') throw new Problem('conflict')
      return view(begun.upload)
    },
  })

  route(app, ports, {
    ...shared,
    method: 'PATCH',
    path: `${path}/:id`,
    access: 'record:write',
    action: 'blob.append',
    summary: 'Upload the next piece',
    description:
      'With `Upload-Offset`, or `Content-Range: bytes a-b/total`: where it begins. The last one finishes it.',
    params: uploadParams,
    body: z.instanceof(Buffer).meta({ type: 'string', format: 'binary' }) as z.ZodType<Buffer>,
    bodyBytes: limits.pieceBytes,
    consumes: ['application/octet-stream'],
    async handle({ caller, params, body, subject, request, reply, entries }) {
      const access = await accessTo(ports, caller, params.recordId)
      Object.assign(subject, { record: access.record, upload: params.id })
      mayWrite(access.rules)
      const offset = offsetOf(request)
      if (offset === undefined)
        throw new Problem('invalid-request', {}, [{ where: 'header.upload-offset', detail: 'say where it begins' }])
      const taken = await needed().append(access, params.id, offset, body)
      switch (taken.kind) {
        case 'missing':
          throw new Problem('not-found')
        case 'too-many':
        case 'too-large':
          throw new Problem('too-large')
        case 'gap':
          throw new Problem('upload-offset', { 'upload-offset': String(taken.offset) })
        case 'other-bytes':
          await ports.store.commit(taken.parts)
          throw new Problem('hash-mismatch', {}, undefined, 111)
        case 'taken': {
          const { kind } = await ports.store.commit(together(taken.parts, await entries()))
          if (kind !== 'committed') throw new Problem('conflict')
          reply.header('upload-offset', taken.upload.offset)
          return view(taken.upload)
        }
      }
    },
  })

  route(app, ports, {
    ...shared,
    method: 'GET',
    path: `${path}/:id`,
    access: 'record:write',
    action: 'blob.state',
    summary: 'How far an upload is',
    params: uploadParams,
    async handle({ caller, params, subject, reply }) {
      const access = await accessTo(ports, caller, params.recordId)
      Object.assign(subject, { record: access.record, upload: params.id })
      const upload = await needed().get(access, params.id)
      if (!upload) throw new Problem('not-found')
      reply.header('upload-offset', upload.offset)
      return view(upload)
    },
  })
}

const beginRefusals = {
  'too-large': () => new Problem('too-large'),
  'too-many': () => new Problem('too-many-requests', { 'retry-after': '3600' }),
  quota: () => new Problem('quota-exceeded', {}, undefined, 68),
} as const

/** Who may neither create nor update anything has nothing to upload for. */
function mayWrite(rules: RecordAccess['rules']): void {
  if (rules === 'all') return
  if (!rules.some(({ permissions: may }) => may.includes('create') || may.includes('update')))
    throw new Problem('access-denied', {}, undefined, 11)
}

/** Where a piece begins: tus' Upload-Offset, or the start of a Content-Range (RFC 9110 §14.4). */
function offsetOf({ headers }: FastifyRequest): number | undefined {
  const tus = /^\d{1,12}$/.exec(String(headers['upload-offset'] ?? ''))
  if (tus) return Number(tus[0])
  const range = /^bytes (\d{1,12})-\d{1,12}\/(\d{1,12}|\*)$/.exec(headers['content-range'] ?? '')
  return range ? Number(range[1]) : undefined
}

/** One range of bytes; undefined where none is asked for, several are, or it is none (RFC 9110 §14.2: the whole then). */
function rangeOf(header: string | undefined, sizeBytes: number) {
  const found = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? '')
  if (!found) return undefined
  const [first, last] = [found[1] ?? '', found[2] ?? '']
  if (first === '' && last === '') return undefined
  const from = first === '' ? Math.max(0, sizeBytes - Number(last)) : Number(first)
  const to = first === '' || last === '' ? sizeBytes : Math.min(Number(last) + 1, sizeBytes)
  return from < to ? { from, to } : undefined
}
