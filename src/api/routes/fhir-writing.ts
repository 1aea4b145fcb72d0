import type { FastifyInstance, FastifyReply } from 'fastify'
import { z } from 'zod'
import type { RecordAccess } from '../../direct/access.js'
import { type FhirLocated, fhirHistory, fhirVersion } from '../../pipeline/fhir.js'
import {
  type FhirPlanned,
  type FhirRefusal,
  type FhirRequest,
  fhirWritingLimits,
  patientNamed,
  planFhir,
  readOneResource,
  readTransaction,
  type Tree,
  transactionResponse,
  versionAfter,
  versionIn,
} from '../../pipeline/fhir-writing.js'
import { together } from '../../ports/store.js'
import type { PutOutcome, PutProblem } from '../../record/item.js'
import { mustBeCustodian, mustBeKnown } from '../access.js'
import type { ApiPorts } from '../ports.js'
import { Problem, type ProblemCode } from '../problem.js'
import { type Asked, route } from '../route.js'
import {
  accessFor,
  answers,
  baseOf,
  FhirIssues,
  namesPatient,
  patientIn,
  queryOf,
  readParams,
  told,
  typeParams,
} from './fhir.js'

/** Tries of one write while others write the same record. */
const rounds = 10

const body = z.string().max(fhirWritingLimits.bodyBytes)
const tag = 'fhir'
const writes = { access: 'record:write', tag, answers } as const
const consumes = ['application/fhir+json', 'application/json']

type Writing = Pick<Asked<unknown, unknown, unknown>, 'caller' | 'subject' | 'deed' | 'entries' | 'request' | 'reply'>

/** FHIR R4, for writing: the same items, under the same rules and versions as everywhere. */
export function fhirWritingRoutes(app: FastifyInstance, ports: ApiPorts): void {
  historyRoutes(app, ports)
  // Bodies stay text: JSON.parse would round their numbers.
  void app.register(async (texts) => {
    texts.removeContentTypeParser('application/json')
    texts.addContentTypeParser(
      consumes,
      { parseAs: 'string', bodyLimit: fhirWritingLimits.bodyBytes },
      (_, text, done) => done(null, String(text)),
    )
    writingRoutes(texts, ports)
  })
}

function writingRoutes(app: FastifyInstance, ports: ApiPorts): void {
  const taking = { ...writes, body, bodyBytes: fhirWritingLimits.bodyBytes, consumes }

  route(app, ports, {
    ...taking,
    method: 'POST',
    path: '/fhir/:type',
    action: 'fhir.create',
    summary: 'Create a resource',
    description:
      '201 with `Location` and `ETag`; with `If-None-Exist`, 200 where the search finds one. What the record cannot keep is refused with 422, each thing at its place.',
    params: typeParams,
    creates: 'unless-there',
    async handle(asked) {
      const { type } = asked.params
      const resource = parsed(asked.body)
      const none = asked.request.headers['if-none-exist']
      const request: FhirRequest = {
        method: 'POST',
        type,
        resource,
        ...(typeof none === 'string' && { ifNoneExist: none }),
      }
      const access = await accessFor(ports, asked.caller, patientIn(queryOf(asked.request)) ?? namedBy(asked, resource))
      const { results, outcome, changes } = await write(ports, asked, access, [request])
      const [result] = results
      const at = result?.at
      const id = result?.id ?? (at === undefined ? undefined : outcome?.items[at]?.id) ?? ''
      if (result && at !== undefined) {
        const version = versionAfter(result, outcome?.items ?? [], changes)
        asked.reply.code(201).header('location', `${baseOf(asked.request)}/${type}/${id}/_history/${version}`)
      }
      return shown(ports, asked, access, { type, id })
    },
  })

  route(app, ports, {
    ...taking,
    method: 'PUT',
    path: '/fhir/:type/:id',
    action: 'fhir.update',
    summary: 'Update a resource: all of it anew',
    description: 'With `If-Match`, the version that was read: without it 428, with another one 412.',
    params: readParams,
    async handle(asked) {
      const { type, id } = asked.params
      const { ifMatch } = matchOf(asked.request.headers['if-match'])
      const resource = parsed(asked.body)
      const request: FhirRequest = { method: 'PUT', type, id, resource, ...(ifMatch !== undefined && { ifMatch }) }
      const patient = type === 'Patient' ? id : (patientIn(queryOf(asked.request)) ?? namedBy(asked, resource))
      const access = await accessFor(ports, asked.caller, patient)
      await write(ports, asked, access, [request])
      return shown(ports, asked, access, { type, id })
    },
  })

  route(app, ports, {
    ...writes,
    method: 'DELETE',
    path: '/fhir/:type/:id',
    action: 'fhir.delete',
    summary: 'Delete a resource',
    description: 'With `If-Match` only where it did not change since; custodians can restore it.',
    params: readParams,
    empties: true,
    async handle(asked) {
      const { type, id } = asked.params
      const { ifMatch } = matchOf(asked.request.headers['if-match'])
      const access = await accessFor(ports, asked.caller, type === 'Patient' ? id : patientIn(queryOf(asked.request)))
      await write(ports, asked, access, [{ method: 'DELETE', type, id, ...(ifMatch !== undefined && { ifMatch }) }])
    },
  })

  route(app, ports, {
    ...taking,
    method: 'POST',
    path: '/fhir',
    action: 'fhir.transaction',
    summary: 'Create, update and delete resources, all of them or none',
    description: 'A transaction Bundle for one patient.',
    completes: true,
    async handle(asked) {
      const read = readTransaction(asked.body)
      if (read.kind === 'invalid') throw new FhirIssues(read.issues)
      const first = read.requests.map(({ resource }) => patientNamed(resource)).find((one) => one !== undefined)
      const own = namesPatient(asked.caller) ? first : undefined
      const access = await accessFor(ports, asked.caller, patientIn(queryOf(asked.request)) ?? own)
      const { results, outcome, changes } = await write(ports, asked, access, read.requests)
      const base = baseOf(asked.request)
      const entries = results.map((result) => {
        const { request, at, id: found } = result
        const { method, type, id } = request
        const item = at === undefined ? undefined : outcome?.items[at]
        if (method === 'DELETE') return { status: '204' }
        if (!item) return { status: '200', location: `${base}/${type}/${found ?? ''}` }
        const version = versionAfter(result, outcome?.items ?? [], changes)
        const location = `${base}/${type}/${id ?? item.id}/_history/${version}`
        return { status: method === 'POST' ? '201' : '200', location, etag: `W/"${version}"` }
      })
      return told(asked.reply, transactionResponse(entries))
    },
  })
}

function historyRoutes(app: FastifyInstance, ports: ApiPorts): void {
  const shared = { method: 'GET', access: 'record:read', tag, answers } as const

  /** The one entry that a resource is made of, for custodians. */
  async function entryOf(access: RecordAccess, located: FhirLocated): Promise<string> {
    if (located.kind === 'denied') throw new Problem('access-denied')
    if (located.kind !== 'located') throw new Problem('not-found')
    mustBeCustodian(access)
    const [entry, ...others] = located.of
    if (!entry || others.length > 0 || located.derived) throw new Problem('not-possible')
    return entry.id
  }

  route(app, ports, {
    ...shared,
    path: '/fhir/:type/:id/_history',
    action: 'fhir.history',
    summary: 'Every version of a resource, newest first',
    description: 'For custodians, as the history of items is.',
    params: readParams,
    async handle({ caller, params: { type, id }, request, reply, subject }) {
      const access = await accessFor(ports, caller, type === 'Patient' ? id : patientIn(queryOf(request)))
      Object.assign(subject, { record: access.record, type, item: id })
      const place = { access, base: baseOf(request) }
      const entry = await entryOf(access, await ports.fhir.locate(place, type, id))
      return told(reply, fhirHistory(place, type, id, await ports.record.history(access.record, entry)))
    },
  })

  route(app, ports, {
    ...shared,
    path: '/fhir/:type/:id/_history/:version',
    action: 'fhir.vread',
    summary: 'One version of a resource',
    description: 'The one that is current for whoever may read it, others for custodians.',
    params: readParams.extend({ version: readParams.shape.id }),
    async handle({ caller, params: { type, id, version }, request, reply, subject }) {
      const access = await accessFor(ports, caller, type === 'Patient' ? id : patientIn(queryOf(request)))
      Object.assign(subject, { record: access.record, type, item: id })
      const place = { access, base: baseOf(request) }
      const located = await ports.fhir.locate(place, type, id)
      const current = located.kind === 'located' && located.version === version
      const then = async () =>
        fhirVersion(
          place,
          { type, id, version },
          await ports.record.history(access.record, await entryOf(access, located)),
        )
      const read = current ? await ports.fhir.read(place, type, id) : undefined
      const json = current ? (read?.kind === 'resource' ? read.json : undefined) : await then()
      if (json === undefined) throw new Problem('not-found')
      reply.header('etag', `W/"${version}"`)
      return told(reply, json)
    },
  })
}

/** The patient that a resource names, for callers who have several; others have their own. */
function namedBy({ caller }: Writing, resource: FhirRequest['resource']): string | undefined {
  return namesPatient(caller) ? patientNamed(resource) : undefined
}

function parsed(text: string): Tree {
  const read = readOneResource(text)
  if (read.kind === 'invalid') throw new FhirIssues(read.issues)
  return read.resource
}

/** An If-Match that names one version; any other says nothing of what was read, and is refused as if it were stale. */
function matchOf(header: string | undefined): { readonly ifMatch?: string } {
  if (header === undefined) return {}
  const version = versionIn(header)
  if (version === undefined) throw new Problem('version-mismatch')
  return { ifMatch: version }
}

const refusals: Readonly<Record<Exclude<FhirRefusal['kind'], 'invalid'>, ProblemCode>> = {
  missing: 'not-found',
  denied: 'access-denied',
  stale: 'version-mismatch',
  'version-missing': 'version-missing',
  derived: 'not-possible',
  several: 'version-mismatch',
  'too-many': 'not-possible',
}

const putRefusals: Readonly<Record<PutProblem, ProblemCode>> = {
  missing: 'not-found',
  stale: 'version-mismatch',
  'version-missing': 'version-missing',
  denied: 'access-denied',
  'read-only': 'read-only',
  singleton: 'singleton',
  immutable: 'not-possible',
  quota: 'quota-exceeded',
  'client-id-used': 'conflict',
  'blob-missing': 'not-possible',
  'not-possible': 'not-possible',
  'bad-item': 'unprocessable',
}

type Written = Extract<FhirPlanned, { kind: 'planned' }> & {
  readonly outcome?: Extract<PutOutcome, { kind: 'put' }>
}

/** Plans and puts, with the audit entry and the line of the history in one commit; again where somebody else wrote first. */
async function write(
  ports: ApiPorts,
  asked: Writing,
  access: RecordAccess,
  requests: readonly FhirRequest[],
): Promise<Written> {
  const { caller, subject, deed, entries, request } = asked
  const methods = [...new Set(requests.map(({ method }) => method))]
  const words = { POST: 'create', PUT: 'update', DELETE: 'delete' } as const
  Object.assign(subject, {
    record: access.record,
    type: [...new Set(requests.map(({ type }) => type))].slice(0, 5).join(' '),
  })
  await mustBeKnown(ports, caller, access.record)
  for (let round = 0; round < rounds; round++) {
    const planned = await planFhir(ports.fhir, { access, base: baseOf(request) }, requests)
    if (planned.kind === 'refused') throw refusalOf(planned, requests[planned.index]?.type ?? 'Resource')
    if (planned.changes.length === 0) return planned
    const outcome = await ports.record.put(access.record, planned.changes, { access })
    if (outcome.kind === 'refused') throw new Problem(putRefusals[outcome.problem])
    Object.assign(deed, {
      action: methods.length === 1 && methods[0] ? words[methods[0]] : 'update',
      count: planned.changes.length,
    })
    subject['items'] = outcome.items
      .map(({ id }) => id)
      .slice(0, 10)
      .join(' ')
    const { kind } = await ports.store.commit(together(outcome.parts, await entries()))
    if (kind === 'committed') return { ...planned, outcome }
  }
  throw new Problem('conflict')
}

/** What a resource that is not written by itself is made of. */
const madeOf: Readonly<Record<string, string>> = {
  DiagnosticReport: 'the results that came together: write the Observations',
  Observation: 'the results that came together: write each of them',
  MedicationDispense: 'what a MedicationRequest says of it: write that one',
  Provenance: 'who wrote what: it comes with every write',
  Patient: 'the record itself: it is there already, and cannot be deleted',
  Binary: 'a document as it came: documents are not brought this way',
}

function refusalOf({ index, refusal }: Extract<FhirPlanned, { kind: 'refused' }>, type: string): Problem {
  if (refusal.kind === 'invalid') return new FhirIssues(refusal.issues)
  const code = refusals[refusal.kind]
  if (refusal.kind !== 'derived') return new Problem(code)
  const detail = `A ${type} is made of ${madeOf[type] ?? 'what other resources say'}`
  return new Problem(code, {}, [{ where: `entry.${index}`, detail }])
}

/** The resource as it is now, unless the client wants nothing of it, or may not read it (FHIR R4 §3.1.0.5). */
async function shown(
  ports: ApiPorts,
  { request, reply }: { readonly request: Writing['request']; readonly reply: FastifyReply },
  access: RecordAccess,
  { type, id }: { readonly type: string; readonly id: string },
): Promise<string> {
  const found = await ports.fhir.locate({ access, base: baseOf(request) }, type, id)
  if (found.kind === 'located' && found.version !== undefined) reply.header('etag', `W/"${found.version}"`)
  if (/return\s*=\s*minimal/i.test(String(request.headers['prefer'] ?? ''))) return told(reply, '')
  const read = await ports.fhir.read({ access, base: baseOf(request) }, type, id)
  return told(reply, read.kind === 'resource' ? read.json : '')
}
