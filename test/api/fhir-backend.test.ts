import { describe, expect, test } from 'vitest'
import type { Scope } from '../../src/api/caller.js'
import { readScopes } from '../../src/direct/smart-scopes.js'
import { rule } from '../consent/world.js'
import { openGateway } from './gateway.js'

const clinic = {
  kind: 'clinic' as const,
  name: 'Clinic',
  rules: {
    online: [],
    offline: [
      rule('problems', { permissions: ['read', 'create', 'update'] }),
      rule('doses', { types: ['medication'], optional: true }),
    ],
  },
}

/** A clinic that a person granted its rules in the records of both patients, and its callers. */
async function setUp() {
  const gateway = await openGateway()
  const { app, as, held, ports, consents, store, patients } = gateway
  const made = await ports.apps?.register(clinic, 'test')
  if (made?.kind !== 'registered') throw new Error('no app')
  const { id } = made.app
  async function grant(person: string, record: string, offline: string[] = []) {
    held.hold(person, record)
    const request = { app: id, person, record, via: 'patient-connect', online: [], offline } as const
    const done = await consents.authorize(request, { by: 'test', avenue: 'page' })
    if (done.kind !== 'authorized') throw new Error(done.kind)
    await store.commit(done.parts)
    return done.grant.id
  }
  const backend = (words: string | undefined, scopes: readonly Scope[] = ['record:read', 'record:write']) => {
    const within = words === undefined ? {} : { within: readScopes(words).scopes }
    return as({ by: `app:${id}`, scopes, reach: { kind: 'app', app: id, ...within } })
  }
  const told = (whose: 'alice' | 'bob') => consents.pseudonyms.record(id, patients[whose].recordId)
  async function call(headers: Record<string, string>, method: string, url: string, body?: object) {
    const answer = await app.inject({
      ...{ method: method as 'GET', url },
      headers: { ...headers, ...(body && { 'content-type': 'application/fhir+json' }) },
      ...(body && { payload: JSON.stringify(body) }),
    })
    return { status: answer.statusCode, body: answer.body, json: answer.body === '' ? undefined : answer.json() }
  }
  const condition = (patient: string) => ({
    resourceType: 'Condition',
    clinicalStatus: {
      coding: [{ system: 'http://terminology.hl7.org/CodeSystem/condition-clinical', code: 'active' }],
    },
    code: { text: 'Asthma' },
    subject: { reference: `Patient/${patient}` },
  })
  return { ...gateway, grant, backend, told, call, condition }
}

describe('a backend that comes alone', () => {
  test('lists the records that it was given, page by page, by the names it knows', async () => {
    const { grant, backend, told, call, patients } = await setUp()
    const headers = backend('system/*.cruds')
    expect((await call(headers, 'GET', '/api/v1/records')).json).toEqual({ records: [] })
    await grant('mother', patients.alice.recordId)
    await grant('father', patients.bob.recordId)
    const first = (await call(headers, 'GET', '/api/v1/records?limit=1')).json
    const second = (await call(headers, 'GET', `/api/v1/records?limit=1&cursor=${first.next}`)).json
    const listed = [...first.records, ...second.records].map(({ recordId }) => recordId)
    expect([listed.toSorted(), second.next]).toEqual([[told('alice'), told('bob')].toSorted(), undefined])
  })

  test('reads and writes what was granted in the record it names, until that ends', async () => {
    const { grant, backend, told, call, condition, consents, patients, activity } = await setUp()
    const headers = backend('system/*.cruds')
    const id = await grant('mother', patients.alice.recordId)
    const patient = told('alice')
    const made = await call(headers, 'POST', '/fhir/Condition', condition(patient))
    expect(made.status, made.body).toBe(201)
    const found = await call(headers, 'GET', `/fhir/Condition?patient=${patient}`)
    expect([found.status, found.json.total]).toEqual([200, 1])
    expect(found.body).not.toContain(patients.alice.recordId)
    expect((await call(headers, 'GET', `/api/v1/records/${patient}/items`)).json.items).toHaveLength(1)
    expect((await call(headers, 'GET', `/fhir/MedicationRequest?patient=${patient}`)).status).toBe(403)
    expect((await call(headers, 'DELETE', `/fhir/Condition/${made.json.id}?patient=${patient}`)).status).toBe(403)
    expect((await call(headers, 'GET', '/fhir/Condition')).status).toBe(400)
    const told1 = await activity.list(patients.alice.recordId, { limit: 10 })
    expect(told1?.entries.some(({ action, from }) => action === 'create' && from.avenue === 'offline')).toBe(true)
    for (const other of [told('bob'), patients.alice.recordId, patients.bob.recordId])
      expect((await call(headers, 'GET', `/fhir/Condition?patient=${other}`)).status).toBe(404)
    await consents.revoke(id, 'person', { by: 'test', avenue: 'page' })
    expect((await call(headers, 'GET', `/fhir/Condition?patient=${patient}`)).status).toBe(404)
    expect((await call(headers, 'POST', '/fhir/Condition', condition(patient))).status).toBe(404)
  })

  test('is held to the scopes of its token, and reaches no record with one for its own requests', async () => {
    const { grant, backend, told, call, condition, patients } = await setUp()
    await grant('mother', patients.alice.recordId, ['doses'])
    const patient = told('alice')
    const narrow = backend('system/MedicationRequest.rs')
    expect((await call(narrow, 'GET', `/fhir/MedicationRequest?patient=${patient}`)).status).toBe(200)
    expect((await call(narrow, 'GET', `/fhir/Condition?patient=${patient}`)).status).toBe(403)
    expect((await call(narrow, 'POST', '/fhir/Condition', condition(patient))).status).toBe(403)
    for (const headers of [backend(undefined), backend('')]) {
      expect((await call(headers, 'GET', `/fhir/Condition?patient=${patient}`)).status).toBeGreaterThanOrEqual(403)
      expect((await call(headers, 'POST', '/fhir/Condition', condition(patient))).status).toBeGreaterThanOrEqual(403)
    }
    expect((await call(backend(undefined), 'GET', '/api/v1/records')).json).toEqual({ records: [] })
  })
})
