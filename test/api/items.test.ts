import { createHash } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import type { AccessRule, Actor, RecordAccess } from '../../src/direct/access.js'
import { openGateway } from './gateway.js'

/** Items over HTTP: a patient's own token, and applications with a grant, which a table of the test stands for. */

const fast = { perToken: { perSecond: 1e6, burst: 1e6 }, perAddress: { perSecond: 1e6, burst: 1e6 } }
const vital = (value: string, more: object = {}) => ({
  content: {
    ...{ type: 'vital-sign', test: { codings: [{ system: 'http://loinc.org', code: '29463-7' }] } },
    ...{ interpretations: [], referenceRanges: [], value: { kind: 'quantity', quantity: { value, unit: 'kg' } } },
  },
  when: { value: { text: '2026-01-05', precision: 'day', offsetMinutes: null, source: '2026-01-05' } },
  ...more,
})
const problem = (text: string, more: object = {}) => ({
  content: { type: 'problem', problem: { codings: [], text } },
  ...more,
})
const rule = (permissions: AccessRule['permissions'], given: Partial<AccessRule> = {}): AccessRule => ({
  ...{ name: 'r', reason: { en: 'to test' }, permissions },
  ...given,
})

async function setUp() {
  const accesses = new Map<string, RecordAccess>()
  const gateway = await openGateway(
    { limits: fast },
    {
      authenticate: async (secret) => {
        if (secret !== 'patient' && secret !== 'reader' && secret !== 'gateway' && !accesses.has(secret))
          return undefined
        const scopes = ['record:read', 'record:write'] as const
        if (secret === 'gateway') return { by: 'token:g', scopes, reach: { kind: 'gateway' } }
        if (secret === 'patient') return { by: 'token:p', scopes, reach: { kind: 'address', address: alice } }
        const app = secret
        const reach = { kind: 'grant', grant: secret, app, person: 'p', record: 'r', avenue: 'offline' } as const
        return { by: `app:${app}`, scopes, reach }
      },
      consents: { access: async (grant: string) => accesses.get(grant) } as never,
    },
  )
  const alice = gateway.patients.alice.address
  const record = gateway.patients.alice.recordId
  /** An application that was granted these rules; it knows the record as `told-<name>`. */
  function grant(name: string, rules: readonly AccessRule[]) {
    const actor: Actor = { by: `app:${name}`, avenue: 'offline', app: name, person: 'p' }
    accesses.set(name, { record, told: `told-${name}`, rules, custodian: false, actor })
  }
  async function call(who: string, method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
    const named = accesses.get(who)?.told ?? record
    const response = await gateway.app.inject({
      ...{ method: method as 'GET', url: `/api/v1/records/${named}${path}` },
      headers: { authorization: `Bearer ${who}`, ...headers },
      ...(body !== undefined && { payload: body as object }),
    })
    const json = String(response.headers['content-type']).includes('json') ? response.json() : undefined
    return { status: response.statusCode, json, response }
  }
  async function create(who: string, item: object) {
    const { status, json } = await call(who, 'POST', '/items', { changes: [{ kind: 'create', item }] })
    expect(status, JSON.stringify(json)).toBe(200)
    return json.items[0] as { id: string; version: string }
  }
  async function upload(who: string, bytes: Buffer, announced: object = {}) {
    const begun = await call(who, 'POST', '/blobs', { sizeBytes: bytes.length, ...announced })
    expect(begun.status, JSON.stringify(begun.json)).toBe(201)
    return begun.json.id as string
  }
  const append = (who: string, id: string, offset: number, bytes: Buffer) =>
    call(who, 'PATCH', `/blobs/${id}`, bytes, {
      ...{ 'content-type': 'application/octet-stream', 'upload-offset': String(offset) },
    })
  return { ...gateway, accesses, record, grant, call, create, upload, append }
}

let room: Awaited<ReturnType<typeof setUp>>
beforeAll(async () => {
  room = await setUp()
})

const ifMatch = (version: string) => ({ 'if-match': `"${version}"` })

describe('items', () => {
  it('are created, read with their version, updated under it and deleted, and custodians restore them', async () => {
    const { call, create } = room
    const made = await create('patient', problem('first words'))
    const read = await call('patient', 'GET', `/items/${made.id}`)
    expect(read.response.headers.etag).toBe(`"${made.version}"`)
    expect(read.json).toMatchObject({ state: 'current', version: made.version, created: { actor: { by: 'token:p' } } })

    const next = await call('patient', 'PUT', `/items/${made.id}`, problem('second words'), ifMatch(made.version))
    expect(next.status).toBe(200)
    expect(next.json.id).toBe(made.id)
    const gone = await call('patient', 'DELETE', `/items/${made.id}`, undefined, ifMatch(next.json.version))
    expect(gone.status).toBe(200)
    const lists = await call('patient', 'GET', '/items?type=problem')
    expect(JSON.stringify(lists.json)).not.toContain('second words')
    const back = await call('patient', 'POST', `/items/${made.id}/restore`, undefined, ifMatch(gone.json.version))
    expect(back.status).toBe(200)
    expect((await call('patient', 'GET', `/items/${made.id}`)).json.content.problem.text).toBe('second words')

    const history = await call('patient', 'GET', `/items/${made.id}/history`)
    const words = history.json.versions.map((one: { operation: string }) => one.operation)
    expect(words).toEqual(['restore', 'delete', 'update', 'create'])
  })

  it('are refused without a version (60), with a stale one (61), and all changes of a put with one that fails', async () => {
    const { call, create } = room
    const made = await create('patient', problem('versions'))
    const none = await call('patient', 'PUT', `/items/${made.id}`, problem('x'))
    expect([none.status, none.json.code, none.json.healthvaultStatus]).toEqual([428, 'version-missing', 60])
    const stale = await call('patient', 'PUT', `/items/${made.id}`, problem('x'), ifMatch('other'))
    expect([stale.status, stale.json.code, stale.json.healthvaultStatus]).toEqual([412, 'version-mismatch', 61])
    const changes = [
      { kind: 'create', item: problem('never there') },
      { kind: 'delete', entry: made.id, version: 'other' },
    ]
    const batch = await call('patient', 'POST', '/items', { changes })
    expect([batch.status, batch.json.errors[0].where]).toEqual([412, 'body.changes.1'])
    expect(JSON.stringify((await call('patient', 'GET', '/items?limit=200')).json)).not.toContain('never there')
  })

  it.each([
    ['provenance', { provenance: { document: 'x', entry: '', authors: [] } }],
    ['version', { version: 'x' }],
    ['recordId', { recordId: 'x' }],
    ['state', { state: 'current' }],
    ['created', { created: { at: '2020-01-01T00:00:00Z' } }],
    ['id', { id: 'x' }],
    ['__proto__', JSON.parse('{"__proto__": {"custodian": true}}')],
    ['a field in the depth', { content: { type: 'problem', problem: { codings: [], text: 'x', extra: 1 } } }],
    [
      'a date out of the calendar',
      { recordedAt: { text: '2026-02-30', precision: 'day', offsetMinutes: null, source: '' } },
    ],
  ])('take no %s from whoever writes them', async (name, more) => {
    const item =
      name === '__proto__'
        ? `{"content":{"type":"problem","problem":{"codings":[],"text":"x"}},"__proto__":{"a":1}}`
        : undefined
    const body = item
      ? `{"changes":[{"kind":"create","item":${item}}]}`
      : { changes: [{ kind: 'create', item: { ...problem('x'), ...more } }] }
    const { status } = await room.call('patient', 'POST', '/items', body, { 'content-type': 'application/json' })
    expect(status).toBe(400)
  })

  it('are, for an application, what its rules name and nothing else, under its own name of the record', async () => {
    const { grant, call, create, record } = room
    grant('weights', [rule(['create', 'read', 'update', 'delete'], { types: ['vital-sign'] })])
    grant('late', [rule(['read'], { types: ['vital-sign'], from: '2026-02-01' })])
    const secret = await create('patient', problem('not for weights'))
    const made = await create('weights', vital('80', { clientId: 'w1' }))
    const list = await call('weights', 'GET', '/items')
    expect(list.json.items.every((one: { content: { type: string } }) => one.content.type === 'vital-sign')).toBe(true)
    expect(list.json.items[0].recordId).toBe('told-weights')
    expect(JSON.stringify(list.json)).not.toContain(record)
    expect((await call('weights', 'GET', `/items/${secret.id}`)).status).toBe(404)
    expect((await call('late', 'GET', `/items/${made.id}`)).status).toBe(404)
    const other = await call('weights', 'GET', '/items?type=problem')
    expect([other.status, other.json.healthvaultStatus]).toEqual([403, 11])
    const denied = await call('weights', 'POST', '/items', { changes: [{ kind: 'create', item: problem('x') }] })
    expect([denied.status, denied.json.code, denied.json.healthvaultStatus]).toEqual([403, 'access-denied', 11])
    const theirs = await call('weights', 'DELETE', `/items/${secret.id}`, undefined, ifMatch(secret.version))
    const nothing = await call('weights', 'DELETE', '/items/nothing', undefined, ifMatch(secret.version))
    const { instance: _, ...one } = theirs.json
    const { instance: __, ...two } = nothing.json
    expect(theirs.status).toBe(404)
    expect(one).toEqual(two)
    expect((await call('late', 'GET', '/changes')).json.changes).toEqual([])
    for (const path of [`/items/${made.id}/history`, '/decisions', '/review', '/documents'])
      expect((await call('weights', 'GET', path)).status, path).toBeGreaterThanOrEqual(403)
    const again = await call('weights', 'POST', '/items', {
      changes: [{ kind: 'create', item: vital('80', { clientId: 'w1' }) }],
    })
    expect(again.json.items).toEqual([{ id: made.id, version: made.version, repeated: true }])
    const found = await call('weights', 'GET', '/items?clientId=w1&createdByApp=self')
    expect(found.json.items.map((item: { entryId: string }) => item.entryId)).toEqual([made.id])
    expect((await call('late', 'GET', '/items?clientId=w1')).json.items).toEqual([])
  })

  it('tell an application nothing of what a person flagged personal, and of it no more once it is', async () => {
    const { grant, call, create } = room
    grant('reader', [rule(['read'], { types: ['problem'] })])
    const made = await create('patient', problem('soon personal'))
    expect((await call('reader', 'GET', `/items/${made.id}`)).status).toBe(200)
    const { json: before } = await call('reader', 'GET', '/changes?limit=200')
    const body = problem('soon personal', { flags: { personal: true } })
    const { status } = await call('patient', 'PUT', `/items/${made.id}`, body, ifMatch(made.version))
    expect(status).toBe(200)
    expect((await call('reader', 'GET', `/items/${made.id}`)).status).toBe(404)
    const { json: after } = await call('reader', 'GET', `/changes?cursor=${before.next}`)
    expect(after.changes).toMatchObject([{ operation: 'delete', id: made.id }])
    expect((await call('patient', 'GET', `/items/${made.id}`)).json.flags).toEqual({ personal: true })
    grant('writer', [rule(['create', 'read'])])
    const refused = await call('writer', 'POST', '/items', { changes: [{ kind: 'create', item: body }] })
    expect(refused.status).toBe(403)
  })

  it('of an unknown record are not found, for whoever reaches every record', async () => {
    const answer = await room.app.inject({
      ...{ method: 'POST', url: '/api/v1/records/nothing/items', headers: { authorization: 'Bearer gateway' } },
      payload: { changes: [{ kind: 'create', item: problem('x') }] },
    })
    expect(answer.statusCode).toBe(404)
  })
})

describe('blobs', () => {
  const bytes = Buffer.from('0123456789'.repeat(40_000))
  const sha256 = createHash('sha256').update(bytes).digest('hex')

  it('come in pieces, go on where they stopped, and are read in parts as what they belong to', async () => {
    const { upload, append, call, create, grant } = room
    const id = await upload('patient', bytes, { sha256 })
    expect((await append('patient', id, 0, bytes.subarray(0, 250_000))).json).toMatchObject({ offset: 250_000 })
    const gap = await append('patient', id, 0, bytes.subarray(0, 10))
    expect([gap.status, gap.json.code, gap.response.headers['upload-offset']]).toEqual([409, 'upload-offset', '250000'])
    expect((await call('patient', 'GET', `/blobs/${id}`)).json.offset).toBe(250_000)
    const done = await call('patient', 'PATCH', `/blobs/${id}`, bytes.subarray(250_000), {
      ...{ 'content-type': 'application/octet-stream', 'content-range': `bytes 250000-399999/${bytes.length}` },
    })
    expect(done.json).toMatchObject({ offset: bytes.length, sha256 })

    const blobs = [{ name: 'scan.pdf', mediaType: 'application/pdf', sha256, sizeBytes: bytes.length }]
    grant('thief', [rule(['create', 'read'])])
    const stolen = await call('thief', 'POST', '/items', {
      changes: [{ kind: 'create', item: problem('x', { blobs }) }],
    })
    expect([stolen.status, stolen.json.code]).toEqual([409, 'blob-missing'])
    const made = await create('patient', problem('with a scan', { blobs }))
    const whole = await call('patient', 'GET', `/items/${made.id}/blobs/${sha256}`)
    expect(whole.response.rawPayload.equals(bytes)).toBe(true)
    const part = await call('patient', 'GET', `/items/${made.id}/blobs/${sha256}`, undefined, {
      range: 'bytes=249995-250004',
    })
    expect([part.status, part.response.payload]).toEqual([206, bytes.toString('latin1', 249_995, 250_005)])
    expect(part.response.headers['content-range']).toBe('bytes 249995-250004/400000')
  })

  it('that are not what was announced, larger than announced, or of somebody else leave nothing', async () => {
    const { upload, append, call, store, grant } = room
    const rows = async () => (await store.range({ gte: 'record/', lt: 'record0', limit: 10_000 })).length
    const before = await rows()
    const id = await upload('patient', Buffer.alloc(10), { sha256 })
    grant('stranger', [rule(['create'])])
    expect((await append('stranger', id, 0, Buffer.alloc(10))).status).toBe(404)
    expect((await append('patient', id, 0, Buffer.alloc(11))).status).toBe(413)
    const wrong = await append('patient', id, 0, Buffer.alloc(10))
    expect([wrong.status, wrong.json.code, wrong.json.healthvaultStatus]).toEqual([422, 'hash-mismatch', 111])
    expect((await call('patient', 'GET', `/blobs/${id}`)).status).toBe(404)
    expect(await rows()).toBe(before)
    grant('onlooker', [rule(['read'])])
    expect((await call('onlooker', 'POST', '/blobs', { sizeBytes: 1 })).status).toBe(403)
  })
})
