import type { FastifyInstance, FastifyRequest } from 'fastify'
import { readCode } from '../../connect/code.js'
import { packageLimits } from '../../connect/package/limits.js'
import { type NewContent, type PackageRefused, packageProblems } from '../../connect/package/packages.js'
import { type UploadRefused, type UploadStanding, uploadProblems } from '../../connect/package/uploads.js'
import { type ConnectRequest, type RequestName, requestProblems, stateNumbers } from '../../connect/request.js'
import { together } from '../../ports/store.js'
import { accessTo } from '../access.js'
import type { Caller } from '../caller.js'
import { externalIdBody, rejectBody, rejectedSchema, renamedSchema } from '../connect-schema.js'
import { defined } from '../defined.js'
import {
  allocatedSchema,
  claimBody,
  claimedSchema,
  completeBody,
  contentsSchema,
  createdPackageSchema,
  lookBody,
  newPackageBody,
  newUploadBody,
  packageSchema,
  packagesQuery,
  packagesSchema,
  rangeHeaders,
  uploadIdParams,
  uploadStanding,
  withdrawnPackages,
  withdrawnQuery,
} from '../package-schema.js'
import type { ApiPorts } from '../ports.js'
import { Problem } from '../problem.js'
import { route } from '../route.js'

/** What a clinic leaves for a patient, and what a patient takes with a ticket. */
export function packageRoutes(app: FastifyInstance, ports: ApiPorts): void {
  uploadRoutes(app, ports)
  sendingRoutes(app, ports)
  renamingRoute(app, ports)
  claimRoutes(app, ports)
  rejectionRoute(app, ports)
}

const iso = (at: number) => new Date(at).toISOString()

function uploadRoutes(app: FastifyInstance, ports: ApiPorts): void {
  const shared = { access: 'drop-off', tag: 'drop-off', activity: 'none', answers: uploadStanding } as const
  const base = '/api/v1/drop-off/uploads'
  const view = ({ keptUntil, ...upload }: UploadStanding) => ({
    ...{ ...upload, keptUntil: iso(keptUntil), chunkBytes: packageLimits.chunkBytes, hash: 'sha256' as const },
  })

  route(app, ports, {
    ...{ ...shared, method: 'POST', path: base, action: 'upload.begin', creates: true },
    summary: 'Begin to upload a file that a package will name',
    description: 'What no package names within a day is deleted.',
    body: newUploadBody,
    async handle({ caller, body: { sizeBytes }, subject }) {
      const { uploads, owner } = await senderOf(ports, caller)
      const begun = await uploads.begin(owner, sizeBytes, caller.by)
      if (begun.kind === 'refused') throw uploadProblem(begun)
      subject['upload'] = begun.upload.id
      return view(begun.upload)
    },
  })

  route(app, ports, {
    ...{ ...shared, method: 'GET', path: `${base}/:id`, action: 'upload.get' },
    summary: 'How far an upload is',
    params: uploadIdParams,
    async handle({ caller, params: { id }, subject }) {
      subject['upload'] = id
      const { uploads, owner } = await senderOf(ports, caller)
      const upload = await uploads.get(owner, id)
      if (!upload) throw new Problem('not-found')
      return view(upload)
    },
  })

  route(app, ports, {
    ...{ ...shared, method: 'PUT', path: `${base}/:id`, action: 'upload.append' },
    summary: 'A piece of an upload',
    description: 'In order; the same piece again changes nothing. `errors` says where to go on from.',
    params: uploadIdParams,
    headers: rangeHeaders,
    bodyBytes: packageLimits.chunkBytes,
    consumes: ['application/octet-stream'],
    async handle({ caller, params: { id }, request, subject }) {
      subject['upload'] = id
      const { uploads, owner } = await senderOf(ports, caller)
      const bytes = request.body
      if (!Buffer.isBuffer(bytes)) throw new Problem('unsupported-media-type')
      const place = placeOf(request.headers['content-range'], bytes.length)
      const received = await uploads.append(owner, id, place, bytes)
      if (received.kind === 'refused') throw uploadProblem(received)
      return view(received.upload)
    },
  })

  route(app, ports, {
    ...{ ...shared, method: 'POST', path: `${base}/:id/complete`, action: 'upload.complete', completes: true },
    summary: 'All of it is there: check it against a digest',
    params: uploadIdParams,
    body: completeBody,
    async handle({ caller, params: { id }, body, subject }) {
      subject['upload'] = id
      const { uploads, owner } = await senderOf(ports, caller)
      const completed = await uploads.complete(owner, id, body)
      if (completed.kind === 'refused') throw uploadProblem(completed)
      return view(completed.upload)
    },
  })
}

function placeOf(header: string | string[] | undefined, sizeBytes: number) {
  const [, first, last, total] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(String(header)) ?? []
  if (Number(last) - Number(first) + 1 !== sizeBytes)
    throw new Problem('invalid-request', {}, [
      { where: 'header.content-range', detail: 'It does not say the length of the body' },
    ])
  return { from: Number(first), ...(total !== '*' && { total: Number(total) }) }
}

function sendingRoutes(app: FastifyInstance, ports: ApiPorts): void {
  const shared = { access: 'drop-off', tag: 'drop-off', activity: 'none' } as const
  const base = '/api/v1/drop-off/packages'

  route(app, ports, {
    ...{ ...shared, method: 'POST', path: `${base}/allocate`, action: 'package.allocate', creates: true },
    summary: 'A pickup code before what it opens',
    answers: allocatedSchema,
    async handle({ caller, subject }) {
      const { packages, owner } = await senderOf(ports, caller)
      const made = await packages.allocate(owner, caller.by)
      if (made.kind === 'refused') throw packageProblem(made)
      subject['request'] = made.id
      return { id: made.id, code: made.code }
    },
  })

  route(app, ports, {
    ...{ ...shared, method: 'POST', path: base, action: 'package.create', creates: true },
    summary: 'Leave a package for a patient',
    description: 'It is never changed afterwards. The code is shown now and never again.',
    body: newPackageBody,
    bodyBytes: 2 * packageLimits.manifestBytes,
    answers: createdPackageSchema,
    async handle({ caller, body, subject }) {
      const { packages, owner } = await senderOf(ports, caller)
      const { expiresInDays, content, ...given } = defined(body)
      const term = expiresInDays === undefined ? {} : { expiresInMs: Math.round(expiresInDays * 86_400_000) }
      const made = await packages.create(owner, { ...given, ...term, content: contentOf(content) }, caller.by)
      if (made.kind === 'busy') throw new Problem('unavailable', { 'retry-after': '5' })
      if (made.kind === 'refused') throw packageProblem(made)
      subject['request'] = made.request.id
      const { request, code, url } = made
      const { friendlyName, expiresAt } = request
      const sheet = url === undefined ? undefined : ports.sheet?.({ code, url, friendlyName, expiresAt })
      return { package: packageView(request), code, ...defined({ url, sheet }) }
    },
  })

  route(app, ports, {
    ...{ ...shared, method: 'GET', path: base, action: 'packages.list' },
    summary: 'Your packages, oldest first, and where each stands',
    query: packagesQuery,
    answers: packagesSchema,
    async handle({ caller, query: { limit, cursor, externalId } }) {
      const { requests, owner } = await senderOf(ports, caller)
      const asked = { of: 'package', limit, ...defined({ after: cursor, externalId }) } as const
      const { requests: page, next } = await requests.list(owner, asked)
      return { packages: page.map(packageView), ...(next !== undefined && { next }) }
    },
  })

  route(app, ports, {
    ...{ ...shared, method: 'GET', path: `${base}/:id`, action: 'package.get' },
    summary: 'Where a package stands: the receipt, once it is claimed',
    params: uploadIdParams,
    answers: packageSchema,
    async handle({ caller, params: { id }, subject }) {
      subject['request'] = id
      const { requests, owner } = await senderOf(ports, caller)
      const found = await requests.get(owner, { id })
      if (found?.kind !== 'package') throw new Problem('not-found')
      return packageView(found)
    },
  })

  route(app, ports, {
    ...{ ...shared, method: 'DELETE', path: base, action: 'package.withdraw' },
    summary: 'Take back what nobody picked up: by code, or everything of an external id',
    query: withdrawnQuery,
    answers: withdrawnPackages,
    async handle({ caller, query: { code, externalId }, entry }) {
      const { requests, owner } = await senderOf(ports, caller)
      const names = await namesOf(requests, owner, defined({ code, externalId }))
      let withdrawn = 0
      for (const name of names) {
        const gone = await requests.withdraw(owner, name)
        if (gone.kind !== 'changed') continue
        const audited = { append: [entry()] }
        if ((await ports.store.commit(together(gone.parts, audited))).kind !== 'committed')
          throw new Problem('conflict')
        withdrawn++
      }
      if (withdrawn === 0) throw new Problem('not-found', {}, undefined, 74)
      return { withdrawn }
    },
  })
}

/** UpdateExternalId, as for requests of Patient Connect. */
function renamingRoute(app: FastifyInstance, ports: ApiPorts): void {
  route(app, ports, {
    ...{ access: 'drop-off', tag: 'drop-off', activity: 'none', method: 'POST', completes: true },
    ...{ path: '/api/v1/drop-off/external-ids', action: 'package.external-id' },
    summary: 'Another id of yours for a patient',
    description: 'By code, or by the old id: then of everything of that id, packages and requests.',
    body: externalIdBody,
    answers: renamedSchema,
    async handle({ caller, body: { code: typed, externalId = '', newExternalId }, entry }) {
      const { requests, owner } = await senderOf(ports, caller)
      const code = typed === undefined ? undefined : readCode(typed)
      if (typed !== undefined && !code) throw new Problem('not-found', {}, undefined, 74)
      const made = await requests.changeExternalId(owner, code ? { code } : { externalId }, newExternalId)
      if (made.kind === 'refused') throw packageProblem(made)
      if (made.kind === 'unknown') throw new Problem('not-found', {}, undefined, code ? 74 : undefined)
      const done = await ports.store.commit(together(made.parts, { append: [entry()] }))
      if (done.kind !== 'committed') throw new Problem('conflict')
      return { changed: made.count }
    },
  })
}

type Sender = Awaited<ReturnType<typeof senderOf>>

async function namesOf(
  requests: Sender['requests'],
  owner: string,
  { code, externalId }: { readonly code?: string; readonly externalId?: string },
): Promise<readonly RequestName[]> {
  const letters = code === undefined ? undefined : readCode(code)
  if (letters) {
    const found = await requests.get(owner, { code: letters })
    return found?.kind === 'package' ? [{ id: found.id }] : []
  }
  if (code !== undefined || externalId === undefined) return []
  const { requests: all } = await requests.list(owner, { of: 'package', externalId, limit: 200 })
  return all.map(({ id }) => ({ id }))
}

function claimRoutes(app: FastifyInstance, ports: ApiPorts): void {
  const shared = { method: 'POST', access: 'pickup', tag: 'pickup', activity: 'none' } as const
  const base = '/api/v1/pickup/package'

  route(app, ports, {
    ...{ ...shared, path: `${base}/review`, action: 'pickup.contents', asks: true },
    summary: 'What is inside, of whom it tells, and whether that is the patient of a record',
    body: lookBody,
    answers: contentsSchema,
    async handle({ caller, body: { ticket, record } }) {
      const { claims, holder } = personOf(ports, caller)
      const access = record === undefined ? undefined : await accessTo(ports, caller, record)
      const found = await claims.contents(ticket, holder, access)
      if (found.kind !== 'contents') throw notRead(found)
      const { app: sender, friendlyName, createdAt, things, about, match } = found
      return {
        ...{ app: sender, friendlyName, createdAt: iso(createdAt) },
        ...{ things: [...things], about: [...about] },
        ...(match && { match: { kind: match.kind, reasons: [...match.reasons] } }),
      }
    },
  })

  route(app, ports, {
    ...{ ...shared, path: `${base}/claim`, action: 'pickup.claim', completes: true },
    summary: 'Take all of it into a record',
    description: 'Once. What seems to be of somebody else is taken only where `confirmed` says that it is right.',
    body: claimBody,
    answers: claimedSchema,
    async handle({ caller, body: { ticket, record, confirmed }, subject, request }) {
      const { claims, holder } = personOf(ports, caller)
      const access = await accessTo(ports, caller, record)
      subject['record'] = access.record
      const from = { ...access.actor, address: addressOf(request) }
      const outcome = await claims.claim(ticket, holder, access, from, { confirmedMismatch: confirmed })
      switch (outcome.kind) {
        case 'claimed':
          return { things: outcome.things, items: outcome.items, documents: [...outcome.documents] }
        case 'mismatch': {
          const reasons = outcome.match.reasons.map((detail) => ({ where: 'body.record', detail }))
          throw new Problem('patient-mismatch', {}, reasons)
        }
        case 'denied':
          throw new Problem('access-denied', {}, undefined, 11)
        default:
          throw notRead(outcome)
      }
    },
  })
}

/** Whoever looked and does not want it. */
function rejectionRoute(app: FastifyInstance, ports: ApiPorts): void {
  route(app, ports, {
    ...{ method: 'POST', access: 'pickup', tag: 'pickup', activity: 'none', completes: true },
    ...{ path: '/api/v1/pickup/package/reject', action: 'pickup.reject-package' },
    summary: 'Do not take the package',
    description: 'The sender sees that. The code works on until it ends, unless `never`.',
    body: rejectBody,
    answers: rejectedSchema,
    async handle({ caller, body: { ticket, never } }) {
      const { claims, holder } = personOf(ports, caller)
      if (!(await claims.reject(ticket, holder, never, caller.by))) throw new Problem('not-found', {}, undefined, 74)
      return { state: 'rejected' as const }
    },
  })
}

const addressOf = ({ ip }: FastifyRequest) => ip

function notRead(
  outcome: { readonly kind: 'gone' } | { readonly kind: 'malformed'; readonly detail: string },
): Problem {
  if (outcome.kind === 'gone') return new Problem('not-found', {}, undefined, 74)
  const detail = `The package does not read: ${outcome.detail}. Its sender has to leave another one`
  return new Problem('not-possible', {}, [{ where: 'body.ticket', detail }], 120)
}

/** The application that calls for itself, as long as it may leave packages. */
async function senderOf({ dropOff, apps }: ApiPorts, { reach }: Caller) {
  if (!dropOff || !apps) throw new Problem('unavailable')
  if (reach.kind !== 'app') throw new Problem('access-denied')
  const app = await apps.get(reach.app)
  if (app?.state !== 'active' || !app.may.includes('drop-off')) throw new Problem('access-denied', {}, undefined, 11)
  return { ...dropOff, owner: app.id }
}

function personOf({ claims }: ApiPorts, { reach }: Caller) {
  if (!claims) throw new Problem('unavailable')
  if (reach.kind !== 'person') throw new Problem('access-denied')
  return { claims, holder: `session:${reach.session}` }
}

type SentContent = ReturnType<typeof newPackageBody.parse>['content']

function contentOf(content: SentContent): NewContent {
  if (content.kind !== 'legacy') return content
  const { kind, ciphertext, ...envelope } = content
  return { kind, envelope: { ...envelope, ciphertext: Buffer.from(ciphertext, 'base64') } }
}

function packageView(request: ConnectRequest) {
  const { id, state, externalId, friendlyName, attemptsLeft, createdAt, expiresAt, endedAt } = request
  const healthvaultStatus = stateNumbers[state]
  return {
    ...{ id, state, friendlyName, attemptsLeft, createdAt: iso(createdAt), expiresAt: iso(expiresAt) },
    ...(healthvaultStatus !== undefined && { healthvaultStatus }),
    ...(externalId !== undefined && { externalId }),
    ...(endedAt !== undefined && { endedAt: iso(endedAt) }),
  }
}

function uploadProblem({ problem, receivedBytes }: UploadRefused): Problem {
  const number = uploadProblems[problem]
  if (problem === 'unknown') return new Problem('not-found', {}, undefined, number)
  const at = receivedBytes === undefined ? '' : `; go on at byte ${receivedBytes}`
  const code = problem === 'too-large' || problem === 'bad-range' ? 'invalid-request' : 'not-possible'
  return new Problem(code, {}, [{ where: 'upload', detail: `${problem}${at}` }], number)
}

function packageProblem({
  problem,
  detail,
}: PackageRefused | { readonly problem: PackageRefused['problem']; readonly detail?: string }): Problem {
  const numbers: Readonly<Record<string, number | undefined>> = { ...requestProblems, ...packageProblems }
  const code = problem === 'exists' || problem === 'duplicate' ? 'not-possible' : 'invalid-request'
  return new Problem(
    code,
    {},
    [{ where: 'body', detail: detail === undefined ? problem : `${problem}: ${detail}` }],
    numbers[problem],
  )
}
