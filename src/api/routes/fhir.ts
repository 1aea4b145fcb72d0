import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { RecordAccess } from '../../direct/access.js'
import {
  type FhirInvalid,
  type FhirQuery,
  type FhirSearch,
  fhirBinary,
  fhirCapability,
  fhirOutcome,
} from '../../pipeline/fhir.js'
import type { FhirIssue } from '../../pipeline/fhir-writing.js'
import { issuesOutcome } from '../../pipeline/fhir-writing.js'
import { accessTo, mustBeKnown, ownRecord } from '../access.js'
import type { Caller } from '../caller.js'
import { attachmentDisposition, safeMediaType } from '../download.js'
import type { ApiPorts } from '../ports.js'
import { Problem, type ProblemCode, problems } from '../problem.js'
import { type Asked, route } from '../route.js'

const fhirJson = 'application/fhir+json'
export const answers = { description: 'FHIR R4', content: { [fhirJson]: { schema: z.string() } } }
export const typeParams = z.object({ type: z.string().regex(/^[A-Z][A-Za-z]{2,40}$/) })
const idPattern = /^[A-Za-z0-9.-]{1,64}$/
export const readParams = typeParams.extend({ id: z.string().regex(idPattern) })
const idParams = z.object({ id: z.string().regex(idPattern) })

/** A Binary as JSON is held in memory whole, a third longer than the document. */
const binaryJsonBytes = 16 * 1024 * 1024

/** As much as an address of a GET may have. */
const formBytes = 16 * 1024
const formType = 'application/x-www-form-urlencoded'

const searching =
  'Parameters of FHIR R4 and US Core as the CapabilityStatement names them; `patient` is wanted of whoever reaches several records.'

/** IssueType of FHIR for each of our problems. */
const issues: Partial<Record<ProblemCode, string>> = {
  'invalid-request': 'invalid',
  'invalid-cursor': 'invalid',
  unauthenticated: 'login',
  'missing-scope': 'forbidden',
  'access-denied': 'forbidden',
  'tls-required': 'security',
  'not-found': 'not-found',
  'version-mismatch': 'conflict',
  'version-missing': 'required',
  conflict: 'conflict',
  'not-possible': 'business-rule',
  'read-only': 'business-rule',
  singleton: 'duplicate',
  'quota-exceeded': 'too-costly',
  unprocessable: 'processing',
  'too-large': 'too-long',
  'too-many-requests': 'throttled',
  unavailable: 'transient',
}

/** A request that cannot be answered, with the IssueType of FHIR that says why. */
class FhirProblem extends Problem {
  readonly issue: string
  constructor(issue: string, errors: NonNullable<Problem['errors']>) {
    super('invalid-request', {}, errors)
    this.issue = issue
  }
}

/** What is wrong with a resource, each issue at its place. */
export class FhirIssues extends Problem {
  readonly outcome: string
  constructor(issues: readonly FhirIssue[]) {
    super('unprocessable')
    this.outcome = issuesOutcome(issues)
  }
}

/** The body of a problem as FHIR tells it: an OperationOutcome. */
export function outcomeOf(problem: Problem): string {
  if (problem instanceof FhirIssues) return problem.outcome
  const said = problem.errors?.map(({ where, detail }) => `${where}: ${detail}`).join('; ')
  const { detail } = problems[problem.code]
  const issue = problem instanceof FhirProblem ? problem.issue : (issues[problem.code] ?? 'exception')
  return fhirOutcome('error', issue, said ? `${detail} ${said}` : detail)
}

/** Whether a request is one of the FHIR side, whose errors are OperationOutcomes. */
export function asksFhir({ url }: Pick<FastifyRequest, 'url'>): boolean {
  return /^\/fhir(\/|\?|$)/.test(url)
}

export const fhirType = `${fhirJson}; charset=utf-8`

/** What the caller may do in the record that a request is about: its own, where it has one and names none. */
export async function accessFor(ports: ApiPorts, caller: Caller, named: string | undefined): Promise<RecordAccess> {
  const meant = named ?? (await ownRecord(ports, caller))
  if (meant !== undefined) return accessTo(ports, caller, meant)
  if (!namesPatient(caller)) throw new Problem('not-found')
  throw invalid('patient', 'Who reaches several records names the patient: patient=<record>')
}

/** Whether a caller may reach several records, and so says which: others have their own. */
export function namesPatient({ reach }: Caller): boolean {
  return reach.kind === 'gateway' || reach.kind === 'person' || reach.kind === 'app'
}

function invalid(where: string, detail: string): Problem {
  return new Problem('invalid-request', {}, [{ where: `query.${where}`, detail }])
}

/** All parameters of the query in their order, as they repeat. */
export function queryOf({ url }: FastifyRequest): FhirQuery {
  const at = url.indexOf('?')
  return at < 0 ? [] : [...new URLSearchParams(url.slice(at + 1))]
}

/** The one patient that `patient`, `subject` or `patient:Patient` names; a full URL or a reference counts by its id. */
export function patientIn(query: FhirQuery): string | undefined {
  const named = query.filter(([name]) => /^(patient|subject)(:Patient)?$/.test(name)).map(([, value]) => value)
  const ids = new Set(named.map((value) => value.slice(value.lastIndexOf('/') + 1)))
  if (ids.size > 1) throw new Problem('not-found')
  const [id] = ids
  if (id !== undefined && !idPattern.test(id)) throw new Problem('not-found')
  return id
}

/** Only JSON is spoken; `_format` wins over Accept (FHIR R4 §3.1.0.1.11). */
function mustSpeakJson(query: FhirQuery): void {
  const format = query.find(([name]) => name === '_format')?.[1]
  if (format !== undefined && !/^(json|(application\/(fhir[+ ])?json)(;.*)?)$/i.test(format))
    throw invalid('_format', 'Only JSON is spoken')
}

export function baseOf({ protocol, host }: FastifyRequest): string {
  return `${protocol}://${/^[\w.:[\]-]{1,255}$/.test(host) ? host : 'localhost'}/fhir`
}

export function told(reply: FastifyReply, json: string): string {
  reply.header('content-type', fhirType)
  return json
}

function bundleOf(found: FhirSearch): Extract<FhirSearch, { kind: 'bundle' }> {
  if (found.kind === 'bundle') return found
  if (found.kind === 'unknown-type') throw new Problem('not-found')
  if (found.kind === 'denied') throw new Problem('access-denied')
  throw refusedBy(found)
}

function refusedBy({ code, detail }: FhirInvalid): FhirProblem {
  return new FhirProblem(code, [{ where: 'query', detail }])
}

/** FHIR R4: what is current in a record, read and written. Every error is an OperationOutcome. */
export function fhirRoutes(app: FastifyInstance, ports: ApiPorts): void {
  const tag = 'fhir'
  const shared = { method: 'GET', access: 'record:read', tag, answers } as const

  app.route({
    method: 'GET',
    url: '/fhir/metadata',
    config: { access: 'public' },
    schema: {
      operationId: 'fhirMetadata',
      summary: 'What the FHIR side does: its CapabilityStatement',
      tags: [tag],
      security: [],
      response: { 200: answers },
    },
    handler: async (request, reply) =>
      reply.type(fhirType).send(fhirCapability(baseOf(request), ports.clock.now(), ports.oauthUris)),
  })

  async function search(
    { caller, params: { type }, request, reply, subject }: Asked<z.output<typeof typeParams>, unknown, unknown>,
    query: FhirQuery,
  ): Promise<string> {
    mustSpeakJson(query)
    const own = type === 'Patient' ? query.find(([name]) => name === '_id')?.[1] : undefined
    const access = await accessFor(ports, caller, patientIn(query) ?? (namesPatient(caller) ? own : undefined))
    const { record } = access
    Object.assign(subject, { record, type })
    const strict = /handling\s*=\s*"?strict/i.test(String(request.headers['prefer'] ?? ''))
    const found = bundleOf(await ports.fhir.search({ access, base: baseOf(request) }, type, query, strict))
    if (found.count === 0) await mustBeKnown(ports, caller, record)
    subject['count'] = String(found.count)
    return told(reply, found.json)
  }

  route(app, ports, {
    ...shared,
    path: '/fhir/:type',
    action: 'fhir.search',
    summary: 'Resources of a type, newest first, as a Bundle',
    description: searching,
    params: typeParams,
    handle: (asked) => search(asked, queryOf(asked.request)),
  })

  // Only this route reads forms, so that no other takes one for its body.
  void app.register(async (forms) => {
    forms.addContentTypeParser(formType, { parseAs: 'string', bodyLimit: formBytes }, (_, body, done) =>
      done(null, String(body)),
    )
    route(forms, ports, {
      ...shared,
      method: 'POST',
      path: '/fhir/:type/_search',
      action: 'fhir.search-by-form',
      summary: 'The same search, its parameters in a form, so that they stand in no log of addresses',
      description: searching,
      params: typeParams,
      body: z.string().max(formBytes),
      bodyBytes: formBytes,
      consumes: [formType],
      asks: true,
      handle: (asked) => search(asked, [...queryOf(asked.request), ...new URLSearchParams(asked.body)]),
    })
  })

  route(app, ports, {
    ...shared,
    path: '/fhir/:type/:id',
    action: 'fhir.read',
    summary: 'One resource',
    params: readParams,
    async handle({ caller, params: { type, id }, request, reply, subject }) {
      const query = queryOf(request)
      mustSpeakJson(query)
      const access = await accessFor(ports, caller, type === 'Patient' ? id : patientIn(query))
      Object.assign(subject, { record: access.record, type, item: id })
      const found = await ports.fhir.read({ access, base: baseOf(request) }, type, id)
      if (found.kind === 'invalid') throw refusedBy(found)
      if (found.kind !== 'resource') throw new Problem(found.kind === 'denied' ? 'access-denied' : 'not-found')
      const version = /^\{"resourceType":"\w+","id":"[^"]+","meta":\{"versionId":"([^"]+)"/.exec(found.json)?.[1]
      if (version !== undefined) reply.header('etag', `W/"${version}"`)
      return told(reply, found.json)
    },
  })

  route(app, ports, {
    ...shared,
    path: '/fhir/Patient/:id/$everything',
    action: 'fhir.everything',
    summary: 'All resources of a patient with their sources, in pages',
    params: idParams,
    async handle({ caller, params: { id }, request, reply, subject }) {
      const query = queryOf(request)
      mustSpeakJson(query)
      const access = await accessFor(ports, caller, id)
      const { record } = access
      subject['record'] = record
      const found = bundleOf(await ports.fhir.everything({ access, base: baseOf(request) }, query))
      // The patient alone may be of a record that nobody has.
      if (found.count <= 1) await mustBeKnown(ports, caller, record)
      subject['count'] = String(found.count)
      return told(reply, found.json)
    },
  })

  route(app, ports, {
    ...shared,
    path: '/fhir/Binary/:id',
    action: 'fhir.binary',
    summary: 'The bytes of a document, exactly as they came, or a Binary for clients that accept only FHIR',
    params: idParams,
    answers: { ...answers, content: { ...answers.content, 'application/octet-stream': { schema: z.string() } } },
    async handle({ caller, params: { id }, request, reply, subject }) {
      const query = queryOf(request)
      const access = await accessFor(ports, caller, patientIn(query))
      Object.assign(subject, { record: access.record, document: id })
      const found = await ports.fhir.binary({ access, base: baseOf(request) }, id)
      if (found.kind !== 'binary') throw new Problem(found.kind === 'denied' ? 'access-denied' : 'not-found')
      const { document, bytes } = found
      const type = safeMediaType(document.mediaType)
      const wantsFhir =
        query.some(([name]) => name === '_format') ||
        /^application\/fhir\+json\s*(;|$)/i.test(request.headers.accept ?? '')
      if (wantsFhir && document.sizeBytes <= binaryJsonBytes) return told(reply, await fhirBinary(found, type))
      reply.header('content-type', type)
      reply.header('content-length', document.sizeBytes)
      reply.header('content-disposition', attachmentDisposition(document.name, `document-${id.slice(0, 8)}`))
      return Readable.from(bytes, { objectMode: false })
    },
  })
}
