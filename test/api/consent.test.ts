import { describe, expect, it } from 'vitest'
import type { Caller, Scope } from '../../src/api/caller.js'
import type { AppRequest } from '../../src/consent/consent.js'
import { rule, web } from '../consent/world.js'
import { alice, openGateway } from './gateway.js'

const all: readonly Scope[] = ['record:read', 'record:write', 'consents']

async function setUp() {
  const gateway = await openGateway()
  const { app, as, held, ports, token, store, consents, patients } = gateway
  held.hold('mother', 'child')
  held.hold('father', 'child')
  held.hold('friend', 'child', [rule('see')])
  held.hold('stranger', 'neighbour')
  const person = (id: string, scopes = all) =>
    as({ by: `person:${id}`, scopes, reach: { kind: 'person', person: id, session: 's', csrf: 'c' } })
  const server = (id: string, scopes: Caller['scopes'] = ['apps', ...all]) =>
    as({ by: `app:${id}`, scopes, reach: { kind: 'app', app: id } })
  const holder = (grant: string, id: string, avenue: 'online' | 'offline' = 'online') =>
    as({ by: `app:${id}`, scopes: all, reach: { kind: 'grant', grant, app: id, person: 'x', record: 'x', avenue } })
  const operator = (await token('*', ['apps', 'operator', 'record:read', 'record:write'])).headers

  async function call(headers: Record<string, string>, method: string, path: string, payload?: object) {
    const url = `/api/v1/${path}`
    const answer = await app.inject({ method: method as 'GET', url, headers, ...(payload && { payload }) })
    const json = String(answer.headers['content-type']).includes('json')
    return { status: answer.statusCode, body: json ? answer.json() : answer.body, headers: answer.headers }
  }
  async function register(request: AppRequest) {
    const made = await call(operator, 'POST', 'apps', request)
    if (made.status !== 201) throw new Error(JSON.stringify(made.body))
    return made.body.app.id as string
  }
  async function grant(id: string, who = 'mother', names: object = {}) {
    const made = await call(person(who), 'POST', 'consents', { app: id, record: 'child', ...names })
    if (made.status !== 201) throw new Error(JSON.stringify(made.body))
    return made.body.id as string
  }
  return {
    ...{ call, person, server, holder, operator, register, grant, ports, store, consents, as, token, patients },
    gateway,
  }
}

describe('applications over the API', () => {
  it('are registered by an operator, shown without their secret, changed, disabled and enabled', async () => {
    const { call, operator, register } = await setUp()
    const made = await call(operator, 'POST', 'apps', { ...web, webhookUrl: 'https://well.example/hook' })
    expect(made).toMatchObject({
      status: 201,
      body: { app: { name: 'Well', state: 'active', webhookUrl: 'https://well.example/hook' } },
    })
    expect(made.body.webhookSecret).toMatch(/^whsec_/)
    const { id } = made.body.app
    expect(JSON.stringify((await call(operator, 'GET', `apps/${id}`)).body)).not.toContain('whsec_')
    const rotated = await call(operator, 'POST', `apps/${id}/webhook-secret`)
    expect(rotated.body.webhookSecret).not.toBe(made.body.webhookSecret)
    const changed = await call(operator, 'PATCH', `apps/${id}`, { name: 'Weller', webhookUrl: null })
    expect(changed).toMatchObject({ status: 200, body: { app: { name: 'Weller', redirectUris: web.redirectUris } } })
    expect(changed.body.app).not.toHaveProperty('webhookUrl')
    expect((await call(operator, 'POST', `apps/${id}/webhook-secret`)).status).toBe(409)
    expect((await call(operator, 'POST', `apps/${id}/disable`)).body.state).toBe('disabled')
    expect((await call(operator, 'POST', `apps/${id}/enable`)).body.state).toBe('active')
    await register({ kind: 'web', name: 'Another' })
    const page = await call(operator, 'GET', 'apps?limit=1')
    const rest = await call(operator, 'GET', `apps?limit=1&cursor=${page.body.next}`)
    expect([page.body.apps.length, rest.body.apps.length, rest.body.next]).toEqual([1, 1, undefined])
  })

  it.each([
    [{ kind: 'web', name: 'x', state: 'active' }, 'mass assignment of a state'],
    [{ kind: 'web', name: 'x', id: 'mine' }, 'mass assignment of an id'],
    [{ kind: 'web', name: 'x', webhook: { url: 'https://a.example', secret: 'x' } }, 'a secret of its own'],
    [{ kind: 'web', name: 'x', redirectUris: ['http://evil.example/cb'] }, 'an open redirect'],
    [{ kind: 'web', name: 'x', rules: { online: [rule('a'), rule('a')], offline: [] } }, 'two rules of a name'],
    [{ kind: 'web', name: 'x', rules: { online: [{ ...rule('a'), within: {} }], offline: [] } }, 'a scope in a rule'],
    [{ kind: 'native', name: 'x', master: 'nothing' }, 'no such master'],
  ] as readonly (readonly [object, string])[])('refuses %j: %s', async (body) => {
    const { call, operator } = await setUp()
    expect(await call(operator, 'POST', 'apps', body)).toMatchObject({ status: 400, body: { code: 'invalid-request' } })
  })

  it('are registered by a master under itself only, within what it has', async () => {
    const { call, server, register, operator } = await setUp()
    const jwksUri = 'https://maker.example/jwks'
    const rules = { online: [rule('see')], offline: [] }
    const master = await register({ kind: 'master', name: 'Maker', rules, jwksUri, may: ['connect', 'register'] })
    const other = await register({ kind: 'master', name: 'Other', rules, jwksUri, may: ['register'] })
    const barred = await register({ kind: 'master', name: 'Barred', rules })
    const maker = server(master)
    const clinic = await call(maker, 'POST', 'apps', { kind: 'clinic', name: 'Clinic', may: ['connect'] })
    expect(clinic).toMatchObject({ status: 201, body: { app: { master, rules } } })
    const denied = { status: 403, body: { code: 'access-denied' } }
    const child = { kind: 'native', name: 'Phone' }
    expect(await call(maker, 'POST', 'apps', { ...child, master: other })).toMatchObject(denied)
    expect(await call(server(barred), 'POST', 'apps', child)).toMatchObject(denied)
    expect(await call(server(clinic.body.app.id), 'POST', 'apps', child)).toMatchObject(denied)
    const wide = { online: [rule('see', { permissions: ['read', 'delete'] })], offline: [] }
    expect(await call(maker, 'POST', 'apps', { kind: 'clinic', name: 'Wide', rules: wide })).toMatchObject(denied)
    expect(await call(maker, 'PATCH', `apps/${clinic.body.app.id}`, { rules: wide })).toMatchObject(denied)
    expect(await call(maker, 'PATCH', `apps/${master}`, { name: 'Bank' })).toMatchObject(denied)
    for (const path of [`apps/${other}`, 'apps/nothing'])
      for (const method of ['GET', 'PATCH'])
        expect((await call(maker, method, path, method === 'GET' ? undefined : { name: 'x' })).status).toBe(404)
    expect((await call(maker, 'GET', 'apps')).body.apps.map(({ id }: { id: string }) => id)).toEqual([
      clinic.body.app.id,
    ])
    expect((await call(maker, 'GET', `apps?master=${other}`)).status).toBe(404)
    expect((await call(maker, 'POST', `apps/${clinic.body.app.id}/disable`)).status).toBe(200)
    expect((await call(operator, 'GET', `apps?master=${master}`)).body.apps).toHaveLength(1)
  })
})

describe('consent over the API', () => {
  it('asks, grants, narrows and revokes, and the history tells of it', async () => {
    const { call, person, register } = await setUp()
    const app = await register(web)
    const mother = person('mother')
    const question = `consents/question?app=${app}&record=child`
    expect((await call(mother, 'GET', question)).body).toMatchObject({
      action: 'authorization-required',
      app: { name: 'Well' },
    })
    const made = await call(mother, 'POST', 'consents', { app, record: 'child', online: ['vitals'] })
    expect(made).toMatchObject({
      status: 201,
      body: { record: 'child', person: 'mother', rules: { online: [{}, {}], offline: [] } },
    })
    expect((await call(mother, 'GET', question)).body).toMatchObject({ action: 'none', granted: { id: made.body.id } })
    const narrowed = await call(mother, 'PATCH', `grants/${made.body.id}`, { online: [], offline: [] })
    expect(narrowed.body.rules.online).toHaveLength(1)
    expect((await call(mother, 'GET', 'grants')).body.grants).toHaveLength(1)
    expect((await call(mother, 'DELETE', `grants/${made.body.id}`)).body.revoked).toMatchObject({ by: 'person' })
    expect((await call(mother, 'DELETE', `grants/${made.body.id}`)).status).toBe(200)
    expect((await call(mother, 'PATCH', `grants/${made.body.id}`, { online: [], offline: [] })).status).toBe(409)
    expect((await call(mother, 'GET', 'grants')).body.grants).toEqual([])
    const history = (await call(mother, 'GET', 'records/child/activity')).body
    expect(history.entries).toMatchObject(
      ['revoke', 'narrow', 'grant'].map((action) => ({
        ...{ action, person: { id: 'mother', name: 'mother' }, about: { app: { id: app, name: 'Well' } } },
        address: '127.0.0.1',
      })),
    )
  })

  it('is of signed-in persons only, for their own records only', async () => {
    const { call, person, server, operator, register, grant, holder } = await setUp()
    const app = await register(web)
    const body = { app, record: 'child' }
    expect((await call(operator, 'POST', 'consents', body)).status).toBe(403)
    expect((await call(server(app), 'POST', 'consents', body)).status).toBe(403)
    expect((await call(holder(await grant(app), app), 'POST', 'consents', body)).status).toBe(403)
    expect((await call(person('mother', ['record:read', 'record:write']), 'POST', 'consents', body)).status).toBe(403)
    const nothing = await call(person('stranger'), 'POST', 'consents', { app, record: 'nothing' })
    const theirs = await call(person('stranger'), 'POST', 'consents', body)
    expect([theirs.status, theirs.body.code, theirs.body.detail]).toEqual([404, nothing.body.code, nothing.body.detail])
    expect((await call(person('stranger'), 'GET', `consents/question?app=${app}&record=child`)).status).toBe(404)
    const sent = { ...body, person: 'father', via: 'device', id: 'x' }
    expect((await call(person('mother'), 'POST', 'consents', sent)).status).toBe(400)
  })

  it('says why it is not possible', async () => {
    const { call, person, register } = await setUp()
    const app = await register({ ...web, rules: { online: [rule('all', { permissions: ['delete'] })], offline: [] } })
    expect(await call(person('friend'), 'POST', 'consents', { app, record: 'child' })).toMatchObject({
      status: 409,
      body: { code: 'not-possible', errors: [{ detail: expect.stringContaining('requires') }] },
    })
    expect((await call(person('mother'), 'POST', 'consents', { app, record: 'child', online: ['more'] })).status).toBe(
      400,
    )
  })
})

describe('grants over the API', () => {
  it('are seen by who gave them, custodians, the app and its master; by others not', async () => {
    const { call, person, server, holder, operator, register, grant } = await setUp()
    const master = await register({ kind: 'master', name: 'Maker', ...(web.rules && { rules: web.rules }) })
    const app = await register({ kind: 'native', name: 'Phone', master })
    const other = await register(web)
    const id = await grant(app, 'friend')
    const second = await grant(app)
    for (const who of [person('friend'), person('mother'), server(app), server(master), operator, holder(id, app)])
      expect((await call(who, 'GET', `grants/${id}`)).status).toBe(200)
    for (const who of [person('stranger'), server(other), holder(second, app)])
      for (const [method, path, body] of [
        ['GET', `grants/${id}`],
        ['GET', `grants/${id}/permissions`],
        ['PATCH', `grants/${id}`, { online: [], offline: [] }],
        ['DELETE', `grants/${id}`],
      ] as const) {
        const [theirs, nothing] = [
          await call(who, method, path, body),
          await call(who, method, path.replace(id, 'nothing'), body),
        ]
        expect([theirs.status, theirs.body.detail]).toEqual([404, nothing.body.detail])
      }
    expect((await call(person('friend'), 'GET', `grants/${second}`)).status).toBe(404)
    expect((await call(person('friend'), 'GET', 'grants?record=child')).status).toBe(403)
    expect((await call(person('mother'), 'GET', 'grants?record=child')).body.grants).toHaveLength(2)
    expect((await call(operator, 'GET', 'grants?record=child&limit=1')).body.next).toBeDefined()
    expect((await call(operator, 'GET', 'grants')).status).toBe(400)
    expect((await call(server(master), 'GET', `grants?app=${app}`)).body.grants).toHaveLength(2)
    expect((await call(server(other), 'GET', `grants?app=${app}`)).status).toBe(404)
    expect((await call(server(app), 'PATCH', `grants/${id}`, { online: [], offline: [] })).status).toBe(403)
  })

  it('name people and records to an app by ids of its own: two parents, one child', async () => {
    const { call, server, register, grant, person } = await setUp()
    const app = await register(web)
    const ids = [await grant(app), await grant(app, 'father')]
    const { grants } = (await call(server(app), 'GET', 'grants')).body
    expect(grants.map(({ id }: { id: string }) => id).toSorted()).toEqual(ids.toSorted())
    expect(new Set(grants.map((one: { record: string }) => one.record)).size).toBe(1)
    expect(new Set(grants.map((one: { person: string }) => one.person)).size).toBe(2)
    expect(JSON.stringify(grants)).not.toMatch(/mother|father|child/)
    expect(JSON.stringify((await call(person('mother'), 'GET', 'grants')).body)).toContain('child')
  })

  it('tell an app what it may do now, kinds without anything left out', async () => {
    const { call, server, register, grant } = await setUp()
    const app = await register(web)
    const id = await grant(app, 'mother', { online: ['vitals'], offline: ['sync'] })
    const asked = await call(server(app), 'GET', `grants/${id}/permissions?types=problem,allergy,vital-sign`)
    expect(asked.body.permissions).toEqual([
      { type: 'problem', online: ['read'], offline: ['read'] },
      { type: 'vital-sign', online: ['read'], offline: [] },
    ])
    expect((await call(server(app), 'GET', `grants/${id}/permissions?types=secrets`)).status).toBe(400)
  })

  it('revoked by the app end at once, also what it was just doing', async () => {
    const { call, server, holder, register, grant, consents } = await setUp()
    const app = await register(web)
    const id = await grant(app)
    const told = (await consents.access(id, 'online'))?.told
    const online = holder(id, app)
    expect((await call(online, 'GET', `records/${told}/items`)).status).toBe(200)
    expect((await call(server(app), 'DELETE', `grants/${id}`)).body.revoked.by).toBe('app')
    expect((await call(online, 'GET', `records/${told}/items`)).status).toBe(404)
    expect((await call(online, 'GET', 'grants')).body.grants).toEqual([])
  })
})

describe('the history of a record', () => {
  it('tells of everything that reached it, and of nothing that did not', async () => {
    const { call, holder, operator, register, grant, consents, person, activity } = await setUp().then((world) => ({
      ...world,
      activity: world.gateway.activity,
    }))
    const app = await register(web)
    const id = await grant(app)
    const told = (await consents.access(id, 'online'))?.told ?? ''
    const online = holder(id, app)
    await call(online, 'GET', `records/${told}/items`)
    await call(online, 'GET', `records/${told}/review`) // not for applications
    await call(online, 'GET', 'records/child/items') // the true id is not told, and not known
    await call(person('stranger'), 'GET', 'records/child/items')
    await call(operator, 'GET', 'records/child/items')
    await call(person('mother'), 'GET', 'records/child/items')
    const { entries } = (await call(person('father'), 'GET', 'records/child/activity')).body
    const shown = entries.map((one: { action: string; outcome: string; avenue: string; by: string }) => [
      one.action,
      one.outcome,
      one.avenue,
      one.by.split(':')[0],
    ])
    expect(shown).toEqual([
      ['view', 'success', 'page', 'person'],
      ['view', 'success', 'operator', 'token'],
      ['view', 'refused', 'online', 'app'],
      ['view', 'success', 'online', 'app'],
      ['grant', 'success', 'page', 'person'],
    ])
    expect((await activity.list(told, { limit: 10 }))?.entries).toEqual([])
    expect((await call(person('friend'), 'GET', 'records/child/activity')).status).toBe(403)
    expect((await call(person('stranger'), 'GET', 'records/child/activity')).status).toBe(404)
    expect((await call(operator, 'GET', 'records/nothing/activity')).status).toBe(404)
  })

  it('is written in one commit with the audit entry', async () => {
    const { call, person, store } = await setUp()
    await call(person('mother'), 'GET', 'records/child/items') // makes the data key of the record
    const commits: string[][] = []
    const { commit } = store
    store.commit = (batch) => {
      commits.push([
        ...(batch.append ?? []).map(({ log }) => log),
        ...(batch.put ?? []).map(({ key }) => key.split('/')[1] ?? ''),
      ])
      return commit.call(store, batch)
    }
    await call(person('mother'), 'GET', 'records/child/items')
    expect(commits).toEqual([['audit', 'activity']])
  })

  it('pages, filters and leaves as a file', async () => {
    const { call, person, register, grant, gateway } = await setUp()
    const app = await register({ ...web, name: '=cmd|"x",y' })
    const mother = person('mother')
    for (let i = 0; i < 5; i++) {
      gateway.clock.at += 60_000
      await call(mother, 'GET', 'records/child/items')
    }
    const from = new Date(gateway.clock.at).toISOString()
    await grant(app)
    const path = 'records/child/activity'
    const seen = []
    for (let cursor = ''; ; ) {
      const { body } = await call(mother, 'GET', `${path}?limit=2${cursor}`)
      seen.push(...body.entries)
      if (!body.next) break
      cursor = `&cursor=${body.next}`
    }
    expect(seen).toHaveLength(6)
    expect((await call(mother, 'GET', `${path}?limit=2&cursor=xx`)).body.code).toBe('invalid-cursor')
    expect((await call(mother, 'GET', `${path}?from=${from}`)).body.entries).toHaveLength(2)
    expect((await call(mother, 'GET', `${path}?to=${from}`)).body.entries).toHaveLength(4)
    expect((await call(mother, 'GET', `${path}?action=grant`)).body.entries).toHaveLength(1)
    expect((await call(mother, 'GET', `${path}?app=${app}`)).body.entries).toHaveLength(1)
    const csv = await call(mother, 'GET', `${path}/download?format=csv`)
    expect(csv.headers['content-disposition']).toContain('attachment')
    const lines = csv.body.split('\r\n')
    expect(lines).toHaveLength(9) // the heading, the download itself
    expect(lines[2]).toContain(`,"'=cmd|""x"",y",`)
    const json = await call(mother, 'GET', `${path}/download`)
    expect(json.body.entries).toHaveLength(8)
    expect(json.body.entries[0]).toMatchObject({ action: 'download', person: { name: 'mother' } })
  })

  it('is there for a patient with an address too', async () => {
    const { call, token, patients } = await setUp()
    const { headers } = await token(alice, ['record:read', 'record:write'])
    const { recordId } = patients.alice
    await call(headers, 'GET', `records/${recordId}/items`)
    expect((await call(headers, 'GET', `records/${recordId}/activity`)).body.entries).toMatchObject([
      { action: 'view', count: 2 },
    ])
    expect((await call(headers, 'GET', `grants?record=${recordId}`)).body.grants).toEqual([])
    expect((await call(headers, 'GET', 'grants?record=child')).status).toBe(404)
  })
})
