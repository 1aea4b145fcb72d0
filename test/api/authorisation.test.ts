import { beforeAll, describe, expect, it } from 'vitest'
import { type Caller, callerOfSession, ownScopes, type Scope } from '../../src/api/caller.js'
import { openapiDocument } from '../../src/api/openapi.js'
import { decodeEntry } from '../../src/audit/audit.js'
import { versionOfAll } from '../../src/clinical/fhir/make.js'
import type { RecordAccess } from '../../src/direct/access.js'
import { readScopes } from '../../src/direct/smart-scopes.js'
import type { TokenScope } from '../../src/directory/directory.js'
import { tokenScopes } from '../../src/directory/directory.js'
import type { Activation } from '../../src/pipeline/activation.js'
import type { Exports } from '../../src/pipeline/export.js'
import type { Queues } from '../../src/pipeline/queue.js'
import type { QueuedMail } from '../../src/pipeline/queued.js'
import type { Transmissions } from '../../src/pipeline/transmit.js'
import type { AuthoredItem, ItemChange } from '../../src/record/item.js'
import { rule, web } from '../consent/world.js'
import { openGateway } from './gateway.js'

/** Every route of the API description with every kind of caller, so that a new route cannot escape the table. */

interface Operation {
  readonly operationId: string
  readonly security?: readonly object[]
  readonly 'x-scope'?: TokenScope
  readonly responses: Readonly<Record<string, unknown>>
}

const document = (await openapiDocument()) as { paths: Record<string, Record<string, Operation>> }
const routes = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
)
const scoped = routes.filter(({ operation }) => operation['x-scope'] !== undefined)
const isOwn = ({ operation }: (typeof routes)[number]) =>
  (ownScopes as readonly string[]).includes(operation['x-scope'] ?? '')
const guarded = scoped.filter((route) => !isOwn(route))
/** For applications and people themselves: what they reach is driven beside their routes; no operator's token has the scope. */
const own = scoped.filter(isOwn)
const fast = { perToken: { perSecond: 1e6, burst: 1e6 }, perAddress: { perSecond: 1e6, burst: 1e6 } }

let gateway: Awaited<ReturnType<typeof openGateway>>
beforeAll(async () => {
  const explain = async () => ({ kind: 'explained', at: 0, decisions: [] }) as const
  gateway = await openGateway(
    { limits: fast },
    {
      explain,
      queues: oneWaits,
      views: { view: async () => '<!DOCTYPE html>' },
      exports: oneFile,
      activation: oneActivation,
      transmissions: oneTransmission,
    },
  )
  // FHIR and exports show only what somebody took into the record.
  for (const { recordId, itemId, sha256 } of Object.values(gateway.patients)) {
    const deeds = [
      { kind: 'add', entry: itemId },
      { kind: 'add-document', document: sha256 },
    ] as const
    const decided = await gateway.ports.record.decide(recordId, deeds, 'test')
    if (decided.kind !== 'decided') throw new Error(decided.kind)
    await gateway.store.commit(decided.parts)
  }
  for (const whose of ['alice', 'bob'] as const) {
    const { recordId, itemId } = gateway.patients[whose]
    const bytes = Buffer.from(whose.slice(0, 1))
    const taken = await gateway.ports.uploads?.append(houseIn(recordId), await upload(recordId, 1), 0, bytes)
    if (taken?.kind !== 'taken') throw new Error('no blob')
    await gateway.store.commit(taken.parts)
    uploads[whose] = { id: await upload(recordId, 1000), sha256: taken.upload.sha256 ?? '' }
    const { version = '' } = (await gateway.ports.record.get(recordId, itemId)) ?? {}
    const item = writtenItem(uploads[whose].sha256)
    await putAll(recordId, [{ kind: 'update', entry: itemId, version, item }])
  }
  await grantAll()
  await peopleAll()
})

/** An application, and what each patient's person granted it. */
const granted = { app: '', alice: '', bob: '' }

async function grantAll() {
  const made = await gateway.ports.apps?.register({ ...web, webhookUrl: 'https://well.example/hook' }, 'test')
  if (made?.kind !== 'registered') throw new Error('no app')
  granted.app = made.app.id
  for (const whose of ['alice', 'bob'] as const) {
    const { recordId: record } = gateway.patients[whose]
    gateway.held.hold(whose, record)
    const request = { app: granted.app, person: whose, record, via: 'web', online: [], offline: [] } as const
    const grant = await gateway.consents.authorize(request, { by: 'test', avenue: 'page' })
    if (grant.kind !== 'authorized') throw new Error(grant.kind)
    await gateway.store.commit(grant.parts)
    granted[whose] = grant.grant.id
  }
}

const waits: QueuedMail = { queue: 'outbound', id: 'job', kind: 'notice', state: 'waiting', to: [], dueAt: 1, tries: 0 }

/** One job that waits whatever is done to it. */
const oneWaits: Queues = {
  list: async () => ({ kind: 'page', mail: [waits] }),
  show: async (_, id) => (id === waits.id ? { mail: waits, steps: [] } : undefined),
  act: async (_, __, id) => (id === waits.id ? { kind: 'done', mail: waits } : { kind: 'not-found' }),
  actOnAll: async () => ({ done: [], busy: 0, not: 0, more: false }),
}

const oneAddress = { address: 'a@gw.example', standing: 'live', certificate: 'issued', createdAt: 1 } as never

/** Addresses are given to whoever may ask for them. */
const oneActivation: Activation = {
  domains: async () => [],
  suggest: async () => [],
  check: async () => ({ kind: 'free', address: 'a@gw.example' as never }),
  activate: async () => ({ kind: 'activated', address: oneAddress }),
  list: async () => [oneAddress],
  setDisabled: async () => ({ kind: 'changed', address: oneAddress }),
  prepare: async () => undefined,
}

/** Everything is sent. */
const oneTransmission: Transmissions = {
  transmit: async () => ({ kind: 'transmitted', id: 'x', items: 1 }),
  check: async () => undefined,
  list: async () => ({ transmissions: [] }),
}

/** Every record that there is can leave as a file. */
const oneFile: Exports = {
  export: async (recordId) =>
    recordId === 'nothing'
      ? { kind: 'nothing' }
      : {
          ...{ kind: 'document', bytes: Buffer.from('<x/>'), name: 'x.xml', mediaType: 'application/xml' },
          ...{ items: 1, inWords: [], notWritten: [] },
        },
}

/** The path that asks a question, by GET or POST, and so is answered in full. */
const asks = '/trust/explain'

/** The status that the description names for success: of two, that of a change. */
const successOf = ({ responses }: Operation) =>
  Number(Object.keys(responses).findLast((status) => status.startsWith('2')))

/** What must stand in the query: FHIR names the record there, where the token does not. */
const queryOf = (path: string, recordId: string) =>
  /^\/fhir(\/|$)/.test(path) && !path.includes('/Patient/')
    ? `?patient=${recordId}`
    : path.endsWith('/export')
      ? '?format=ccd'
      : path.endsWith('/v1/grants')
        ? `?record=${recordId}`
        : ''

/** The path with ids that nothing has. */
const nowhere = (path: string) =>
  path.replace('{type}', 'Condition').replace(/\{\w+\}/g, 'nothing') + queryOf(path, 'nothing')

/** The path with the ids of a patient, each of them right. */
function pathOf(path: string, whose: 'alice' | 'bob'): string {
  const { address, recordId, message, itemId, sha256, submission } = gateway.patients[whose]
  const ids: Record<string, string> = {
    ...{ items: itemId, blobs: uploads[whose].id, submissions: submission, queue: waits.id },
    ...{ '{type}': itemId, Patient: recordId, Binary: sha256 },
  }
  const id = Object.entries(ids).find(([part]) => path.includes(`/${part}/`))?.[1] ?? message
  const values: Record<string, string> = {
    ...{
      address,
      recordId,
      id,
      sha256: path.includes('/blobs/') ? uploads[whose].sha256 : sha256,
      index: '0',
      spoolId: gateway.quarantined,
      queue: waits.queue,
      sender: 'dr@far.example',
      type: 'Condition',
      version: 'current',
      app: granted.app,
      grant: granted[whose],
    },
  }
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(values[name] ?? 'missing'))
  return path.endsWith(asks) ? `${filled}?from=dr@far.example&to=${address}` : filled + queryOf(path, recordId)
}

async function call(method: string, url: string, headers: Record<string, string> = {}) {
  if (url.includes('/_history/')) url = await withVersion(url)
  const written = await beforeWriting(method, url)
  const payloads: Record<string, object> = { PATCH: { flagged: true }, POST: { to: ['dr@far.example'] } }
  const asked = { from: 'dr@far.example', to: ['a@gw.example'] }
  const decisions = [
    { kind: 'add', entry: gateway.patients[url.includes(gateway.patients.bob.recordId) ? 'bob' : 'alice'].itemId },
  ]
  const bodies: readonly (readonly [string, object])[] = [
    [asks, asked],
    ['/queue/', { reason: 'test' }],
    ['/decisions', { decisions }],
    ['/senders/', { mode: 'review' }],
    ['/apps/', { name: 'Well' }],
    ['/apps', { kind: 'web', name: 'Well' }],
    ['/grants/', { online: [], offline: [] }],
    ['/direct-addresses/', { disabled: true }],
    ['/direct-addresses', { address: 'new@gw.example' }],
    ['/transmissions', { to: 'dr@far.example', format: 'ccd' }],
    ['/links/accept', { link: 'shlink:/x' }],
    ['/links', { label: 'x' }],
    ['/pickup/message/', { ticket: 'x', record: 'nothing' }],
    ...written.bodies,
  ]
  headers = { ...written.headers, ...headers }
  if (url.includes('/_search')) headers = { ...headers, 'content-type': 'application/x-www-form-urlencoded' }
  const payload =
    method === 'GET' || method === 'DELETE' || url.includes('/_search') || url.endsWith('/restore')
      ? undefined
      : (bodies.find(([part]) => url.includes(part))?.[1] ?? payloads[method])
  const response = await gateway.app.inject({ method: method as 'GET', url, headers, ...(payload && { payload }) })
  if (method === 'DELETE') await beforeWriting('PUT', url)
  return { status: response.statusCode, code: response.json?.bind(response), response }
}

/** An upload of each patient that goes on, and a blob that their item has. */
const uploads = { alice: { id: '', sha256: '' }, bob: { id: '', sha256: '' } }

/** The house itself, in the record of a path. */
function houseIn(record: string): RecordAccess {
  return { record, told: record, rules: 'all', custodian: true, actor: { by: 'test', avenue: 'operator' } }
}

async function upload(record: string, sizeBytes: number): Promise<string> {
  const begun = await gateway.ports.uploads?.begin(houseIn(record), { sizeBytes })
  if (begun?.kind !== 'begun') throw new Error('no upload')
  await gateway.store.commit(begun.parts)
  return begun.upload.id
}

async function putAll(record: string, changes: readonly ItemChange[]) {
  const outcome = await gateway.ports.record.put(record, changes, { access: houseIn(record) })
  if (outcome.kind !== 'put') throw new Error(outcome.detail)
  await gateway.store.commit(outcome.parts)
}

/** What an item says once somebody wrote it: the words do not matter here, its blob does. */
function writtenItem(sha256: string): AuthoredItem {
  const blobs = [{ name: 'scan', mediaType: 'image/png', sha256, sizeBytes: 1 }]
  return {
    ...{
      content: { type: 'problem', problem: { codings: [], text: 'written' } },
      negated: false,
      identifiers: [],
      blobs,
    },
  }
}

/** Brings the item of a path into the state that a request changes, and says what must come with it. */
async function beforeWriting(method: string, url: string) {
  if (url.startsWith('/fhir')) return beforeWritingFhir(method, url)
  const [, record = '', kind, id = ''] = /^\/api\/v1\/records\/([^/]+)\/(items|blobs)(?:\/([^/]+))?/.exec(url) ?? []
  const whose = record === gateway.patients.bob.recordId ? 'bob' : 'alice'
  const item = writtenItem(uploads[whose].sha256)
  const bodies: (readonly [string, object])[] = []
  const headers: Record<string, string> = {}
  if (kind === 'blobs') {
    const known = await gateway.ports.uploads?.get(houseIn(record), id)
    if (method === 'PATCH') Object.assign(headers, { 'content-type': 'application/octet-stream' })
    headers['upload-offset'] = String(known?.offset ?? 0)
    bodies.push(['/blobs', method === 'PATCH' ? Buffer.alloc(1) : { sizeBytes: 1 }])
  }
  if (kind === 'items' && method !== 'GET') {
    headers['if-match'] = `"${await versionOnce(record, id, url.endsWith('/restore'))}"`
    bodies.push(['/items/', item], ['/items', { changes: [{ kind: 'create', item }] }])
  }
  return { bodies, headers }
}

/** The version of an item once it is deleted, or is not. */
async function versionOnce(record: string, id: string, deleted: boolean): Promise<string> {
  const entry = await gateway.ports.record.get(record, id)
  if (entry && (entry.state === 'deleted') !== deleted)
    await putAll(record, [{ kind: deleted ? 'delete' : 'restore', entry: id, version: entry.version }])
  return (await gateway.ports.record.get(record, id))?.version ?? 'none'
}

/** The same for a resource. */
async function beforeWritingFhir(method: string, url: string) {
  const { pathname, searchParams } = new URL(url, 'http://gw')
  const [, , type, id = ''] = pathname.split('/')
  const patient = searchParams.get('patient') ?? ''
  if (method === 'GET' || id === '_search') return { bodies: [], headers: {} }
  const resource = {
    resourceType: 'Condition',
    ...(id !== '' && { id }),
    clinicalStatus: { coding: [{ system: `${hl7}/condition-clinical`, code: 'active' }] },
    category: [{ coding: [{ system: `${hl7}/condition-category`, code: 'problem-list-item' }] }],
    code: { text: 'written' },
    subject: { reference: `Patient/${patient}` },
  }
  const request = { method: 'POST', url: 'Condition' }
  const body = type ? resource : { resourceType: 'Bundle', type: 'transaction', entry: [{ resource, request }] }
  const version = id === '' ? '' : versionOfAll([await versionOnce(patient, id, false)])
  return {
    bodies: [['/fhir', Buffer.from(JSON.stringify(body))]] as const,
    headers: {
      ...(method !== 'DELETE' && { 'content-type': 'application/fhir+json' }),
      ...(id !== '' && { 'if-match': `W/"${version}"` }),
    },
  }
}

/** The path of a version with the id of the one that is current. */
async function withVersion(url: string): Promise<string> {
  const { pathname, searchParams } = new URL(url, 'http://gw')
  const [, , , id = ''] = pathname.split('/')
  const { version = 'none' } = (await gateway.ports.record.get(searchParams.get('patient') ?? '', id)) ?? {}
  return url.replace('/_history/current', `/_history/${versionOfAll([version])}`)
}

const hl7 = 'http://terminology.hl7.org/CodeSystem'

/** What FHIR calls our problems (IssueType). */
const codesOfFhir: Readonly<Record<string, string>> = { login: 'unauthenticated', forbidden: 'missing-scope' }

function codeOf({ response }: Awaited<ReturnType<typeof call>>): string | undefined {
  const body = JSON.parse(response.body) as { code?: string; issue?: readonly { code: string }[] }
  return body.code ?? codesOfFhir[body.issue?.[0]?.code ?? '']
}

async function lastAudit() {
  const entries = await gateway.store.log('audit', 1, 10_000)
  return decodeEntry(entries.at(-1)?.value ?? new Uint8Array())
}

it('describes every route that the server has, HEAD with its GET, and but for preflights', () => {
  const printed = gateway.app.printRoutes({ commonPrefix: false })
  const served = [...printed.matchAll(/\((?<methods>[A-Z, ]+)\)/g)].flatMap((match) => match[1]?.split(', ') ?? [])
  expect(served.filter((method) => method !== 'HEAD' && method !== 'OPTIONS').toSorted()).toEqual(
    routes.map(({ method }) => method).toSorted(),
  )
  expect(guarded.length).toBeGreaterThanOrEqual(13)
})

/** Before anybody is signed in. */
const accountEntries = [
  ...['email/confirm', 'email/undo', 'recovery', 'recovery/finish', 'recovery/look', 'recovery/stop', 'recovery/wait'],
  ...['sign-in', 'sign-in/passkey', 'sign-in/passkey-options', 'sign-in/second-factor'],
  ...['sign-up', 'sign-up/confirm', 'sign-up/passkey-options'],
].map((path) => `/api/v1/account/${path}`)

it('leaves only probes, the description and the public files of our authorities without a token', () => {
  const open = routes.filter(({ operation }) => operation.security?.length === 0).map(({ path }) => path)
  expect([...new Set(open)].toSorted()).toEqual([
    ...accountEntries,
    '/api/v1/openapi.json',
    '/fhir/metadata',
    '/livez',
    '/pki/{name}',
    '/readyz',
    '/shl-file/{location}',
    '/shl/{id}',
  ])
  const others = routes.filter(
    ({ operation }) => operation.security?.length !== 0 && operation['x-scope'] === undefined,
  )
  expect(others.map(({ path }) => path)).toEqual(['/metrics'])
})

describe.each(own.map((route) => [`${route.method} ${route.path}`, route] as const))('%s', (_, { method, path }) => {
  it('is for nobody without a token, with an unknown one, or with every scope that an operator can give', async () => {
    const url = pathOf(path, 'alice')
    expect((await call(method, url)).status).toBe(401)
    expect((await call(method, url, { authorization: `Bearer dgt_${'A'.repeat(43)}` })).status).toBe(401)
    const { headers } = await gateway.token('*', tokenScopes)
    for (const one of [url, nowhere(path)]) {
      const answer = await call(method, one, headers)
      expect([answer.status, codeOf(answer)]).toEqual([403, 'missing-scope'])
    }
  })
})

describe.each(guarded.map((route) => [`${route.method} ${route.path}`, route] as const))('%s', (_, route) => {
  const { path, method } = route
  const scope = route.operation['x-scope'] as TokenScope
  const operator = scope === 'operator' || scope === 'apps'
  const holder = (whose: 'alice' | 'bob') => (operator ? '*' : gateway.patients[whose].address)

  it('tells 401 without a token, and how to bring one', async () => {
    const answer = await call(method, pathOf(path, 'alice'))
    expect([answer.status, codeOf(answer)]).toEqual([401, 'unauthenticated'])
    expect(answer.response.headers['www-authenticate']).toBe('Bearer realm="direct-gateway"')
  })

  it.each([
    ['unknown', `Bearer dgt_${'A'.repeat(43)}`],
    ['malformed', 'Bearer with spaces'],
    ['overlong', `Bearer ${'a'.repeat(5000)}`],
    ['basic', 'Basic YTpi'],
  ])('tells 401 to an %s credential', async (__, authorization) => {
    const answer = await call(method, pathOf(path, 'alice'), { authorization })
    expect([answer.status, codeOf(answer)]).toEqual([401, 'unauthenticated'])
    expect(answer.response.headers['www-authenticate']).toContain('error="invalid_token"')
  })

  it('tells 401 to a revoked and to an expired token', async () => {
    const revoked = await gateway.token(holder('alice'), [scope])
    await gateway.directory.tokens.revoke(revoked.id, 'test')
    expect((await call(method, pathOf(path, 'alice'), revoked.headers)).status).toBe(401)
    const expired = await gateway.token(holder('alice'), [scope], gateway.clock.now())
    expect((await call(method, pathOf(path, 'alice'), expired.headers)).status).toBe(401)
  })

  it('takes no token from the query', async () => {
    const { secret } = await gateway.token(holder('alice'), [scope])
    expect((await call(method, `${pathOf(path, 'alice')}?access_token=${secret}`)).status).toBe(401)
  })

  it('tells 403 to every other scope together, whether the thing exists or not', async () => {
    const others = tokenScopes.filter((one) => one !== scope)
    const { headers } = await gateway.token('*', others)
    for (const url of [pathOf(path, 'alice'), nowhere(path)]) {
      const answer = await call(method, url, headers)
      expect([answer.status, codeOf(answer)]).toEqual([403, 'missing-scope'])
    }
    expect(await lastAudit()).toMatchObject({ outcome: 'refused', reason: 'missing-scope' })
  })

  it('answers the right token, and audits it under the id the client got', async () => {
    const { headers, id } = await gateway.token(holder('alice'), [scope])
    const answer = await call(method, pathOf(path, 'alice'), headers)
    expect(answer.status).toBe(successOf(route.operation))
    const request = String(answer.response.headers['x-request-id'])
    expect(await lastAudit()).toMatchObject({ actor: `token:${id}`, outcome: 'success', subject: { request } })
  })

  it.skipIf(operator || !path.includes('{'))("tells the same of another's thing as of nothing at all", async () => {
    const { headers } = await gateway.token(holder('alice'), [scope])
    const theirs = await call(method, pathOf(path, 'bob'), headers)
    const nothing = await call(method, nowhere(path), headers)
    const { instance: _one, ...first } = JSON.parse(theirs.response.body)
    const { instance: _two, ...second } = JSON.parse(nothing.response.body)
    expect(theirs.status).toBe(404)
    expect(first).toEqual(second)
    const shape = ({ response }: typeof theirs) => Object.keys(response.headers).toSorted()
    expect(shape(theirs)).toEqual(shape(nothing))
    expect(await lastAudit()).toMatchObject({ outcome: 'refused', reason: 'not-found' })
  })

  it.skipIf(operator || path.includes('/Patient/') || (!path.includes('{id}') && !path.includes('{sha256}')))(
    "does not reach another's thing through one's own",
    async () => {
      const { headers } = await gateway.token(holder('alice'), [scope])
      const { message, itemId, sha256, submission } = gateway.patients.bob
      const mixed = pathOf(path, 'alice')
        .replace(gateway.patients.alice.message, message)
        .replace(gateway.patients.alice.submission, submission)
        .replace(gateway.patients.alice.itemId, itemId)
        .replace(gateway.patients.alice.sha256, sha256)
        .replace(uploads.alice.id, uploads.bob.id)
        .replace(uploads.alice.sha256, uploads.bob.sha256)
      expect((await call(method, mixed, headers)).status).toBe(404)
    },
  )

  it('lets a token of the whole gateway in with the scope', async () => {
    const { headers } = await gateway.token('*', [scope])
    expect((await call(method, pathOf(path, 'bob'), headers)).status).toBe(successOf(route.operation))
    if (path.includes('{')) {
      expect((await call(method, nowhere(path), headers)).status).toBe(404)
    }
  })
})

/** What a route is about: it decides what each kind of caller is told. Parameters that are not known here fail the table. */
const kindsOfPath: readonly (readonly [kind: string, form: RegExp])[] = [
  ['record', /^\/api\/v1\/records\/\{recordId\}(\/|$)/],
  ['record', /^\/fhir(\/(\{type\}|Patient|Binary)(\/|$)|$)/],
  ['mailbox', /^\/api\/v1\/mailboxes(\/|$)/],
  ['own', /^\/api\/v1\/(account|apps|consents|grants|invitations|connect|drop-off|pickup|packages|records|shl)(\/|$)/],
  ['own', /^\/api\/v1\/[a-z-]+(\/|$)/],
]
const kindOf = ({ path, operation }: (typeof routes)[number]) =>
  ['operator', 'apps'].includes(operation['x-scope'] ?? '')
    ? 'house'
    : kindsOfPath.find(([, form]) => form.test(path))?.[0]

it('knows of every route what it is about', () => {
  expect(scoped.filter((route) => kindOf(route) === undefined).map(({ path }) => path)).toEqual([])
  const public_ = routes.filter(({ operation }) => operation['x-scope'] === undefined)
  expect(scoped.length + public_.length).toBe(routes.length)
})

/** Callers who reach nothing of Alice's, or may only read some of it; each with every scope that their kind can have. */
const outsiders: Readonly<Record<string, () => Promise<Caller>>> = {
  'a person with a record of their own': async () => person('stranger'),
  'an app that nobody granted anything': async () => ({
    ...{ by: 'app:none', scopes: ofRecords, reach: { kind: 'app', app: 'none', within } },
  }),
  'an app whose grant is for another record': async () => holder(granted.app, granted.bob),
  'an app whose grant was revoked': async () => holder(revoked.app, revoked.grant),
}

const ofRecords = ['record:read', 'record:write'] as const
const { scopes: within } = readScopes('system/*.cruds')

const person = (id: string): Caller => {
  const times = { authenticatedAt: gateway.clock.now(), endsAt: 1e15 }
  return callerOfSession({ id: 's', person: id, level: 'two-factors', csrf: 'c', ...times })
}

const holder = (app: string, grant: string): Caller => ({
  ...{ by: `app:${app}`, scopes: ofRecords },
  reach: { kind: 'grant', grant, app, person: 'x', record: 'x', avenue: 'online' },
})

const revoked = { app: '', grant: '' }

/** Others, and what they may not do. */
async function peopleAll() {
  const { recordId } = gateway.patients.alice
  gateway.held.hold('stranger', 'elsewhere')
  gateway.held.hold('reader', recordId, [rule('see')])
  const made = await gateway.ports.apps?.register({ ...web, name: 'Ended' }, 'test')
  if (made?.kind !== 'registered') throw new Error('no app')
  const request = { app: made.app.id, person: 'alice', record: recordId, via: 'web', online: [], offline: [] } as const
  const grant = await gateway.consents.authorize(request, { by: 'test', avenue: 'page' })
  if (grant.kind !== 'authorized') throw new Error(grant.kind)
  await gateway.store.commit(grant.parts)
  Object.assign(revoked, { app: made.app.id, grant: grant.grant.id })
  await gateway.consents.revoke(revoked.grant, 'person', { by: 'test', avenue: 'page' })
}

/** What names Alice's things: none of it may stand in what others are told. */
const tellsOfAlice = ({ response }: Awaited<ReturnType<typeof call>>, asked: string) =>
  Object.values(gateway.patients.alice).filter((one) => !asked.includes(one) && response.body.includes(one))

describe.each(Object.keys(outsiders))('%s', (who) => {
  it.each(scoped.map((route) => [`${route.method} ${route.path}`, route] as const))('%s', async (_, route) => {
    const caller = await outsiders[who]?.()
    if (!caller) throw new Error('nobody')
    const headers = gateway.as(caller)
    const { method, path, operation } = route
    const url = pathOf(path, 'alice')
    const answer = await call(method, url, headers)
    expect(tellsOfAlice(answer, url)).toEqual([])
    const scope = operation['x-scope'] ?? ''
    if (!caller.scopes.includes(scope as Scope)) {
      expect([answer.status, codeOf(answer)]).toEqual([403, 'missing-scope'])
      expect((await call(method, nowhere(path), headers)).status).toBe(403)
    } else if (kindOf(route) === 'record') {
      // Where the house has nothing to do it with, nobody is told anything.
      expect(isOwn(route) ? [404, 503] : [404]).toContain(answer.status)
    } else if (kindOf(route) === 'mailbox' && path.includes('{')) {
      expect(answer.status).toBe(404)
    }
  })
})

describe('a person who may read some of a record', () => {
  it.each(
    scoped
      .filter((route) => kindOf(route) === 'record' && route.method !== 'GET')
      .map((route) => [`${route.method} ${route.path}`, route] as const),
  )('%s', async (_, route) => {
    const { method, path } = route
    if (path.endsWith('/_search')) return
    const { recordId } = gateway.patients.alice
    await beforeWriting(method, pathOf(path, 'alice'))
    const before = await gateway.store.range({ gte: `record/${recordId}`, lt: `record/${recordId}~`, limit: 1000 })
    const answer = await call(method, pathOf(path, 'alice'), gateway.as(person('reader')))
    expect(isOwn(route) ? [403, 404, 503] : [403, 404]).toContain(answer.status)
    const after = await gateway.store.range({ gte: `record/${recordId}`, lt: `record/${recordId}~`, limit: 1000 })
    if (method !== 'DELETE') expect(after.map(({ key }) => key)).toEqual(before.map(({ key }) => key))
  })
})

it('refuses to register a route that does not say who may call it', async () => {
  const { app } = await openGateway()
  await app.close()
  const { fastify } = await import('fastify')
  const { guard } = await import('../../src/api/authentication.js')
  const { apiLimits } = await import('../../src/api/ports.js')
  const bare = fastify()
  guard(bare, gateway.ports, apiLimits, 'loopback')
  expect(() => bare.get('/open', async () => 'anything')).toThrow('/open does not say who may call it')
})
