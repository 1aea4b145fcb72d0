import { describe, expect, test } from 'vitest'
import type { AuthoredItem } from '../../src/record/item.js'
import { faultsOf } from '../clinical/fhir-judge.js'
import { alice, bob, openGateway } from './gateway.js'

const loinc = 'http://loinc.org'

async function open() {
  const gateway = await openGateway({})
  const { headers } = await gateway.token(alice, ['record:read', 'record:write'])
  const foreign = await gateway.token(bob, ['record:read', 'record:write'])
  const patient = gateway.patients.alice.recordId
  const ask = async (
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    path: string,
    body?: object | string,
    more: Record<string, string> = {},
  ) => {
    const payload = typeof body === 'object' ? JSON.stringify(body) : body
    const answer = await gateway.app.inject({
      method,
      url: `/fhir${path === '' ? '' : `/${path}`}`,
      headers: { ...headers, ...(payload !== undefined && { 'content-type': 'application/fhir+json' }), ...more },
      ...(payload !== undefined && { payload }),
    })
    const json = answer.body === '' ? undefined : JSON.parse(answer.body)
    return { status: answer.statusCode, headers: answer.headers, json, body: answer.body }
  }
  const condition = (text = 'Asthma', more: object = {}) => ({
    resourceType: 'Condition',
    clinicalStatus: {
      coding: [{ system: 'http://terminology.hl7.org/CodeSystem/condition-clinical', code: 'active' }],
    },
    verificationStatus: {
      coding: [{ system: 'http://terminology.hl7.org/CodeSystem/condition-ver-status', code: 'confirmed' }],
    },
    category: [
      { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/condition-category', code: 'encounter-diagnosis' }] },
    ],
    code: { coding: [{ system: 'http://snomed.info/sct', code: '195967001' }], text },
    subject: { reference: `Patient/${patient}` },
    ...more,
  })
  return { ...gateway, ask, patient, condition, foreign }
}

describe('writing FHIR', () => {
  test('creates, reads, updates and deletes, each version by its tag', async () => {
    const { ask, condition, foreign } = await open()
    const made = await ask('POST', 'Condition', condition())
    expect(made.status, made.body).toBe(201)
    expect(faultsOf(made.json)).toEqual([])
    expect(made.json).toMatchObject({ code: { text: 'Asthma' }, category: condition().category })
    const { id } = made.json
    expect(made.headers['location']).toMatch(new RegExp(`/fhir/Condition/${id}/_history/${made.json.meta.versionId}$`))
    expect(made.headers['etag']).toBe(`W/"${made.json.meta.versionId}"`)
    const etag = String(made.headers['etag'])
    const next = condition('Severe asthma', { id })
    expect((await ask('PUT', `Condition/${id}`, next)).status).toBe(428)
    expect((await ask('PUT', `Condition/${id}`, next, { 'if-match': 'W/"other"' })).status).toBe(412)
    expect((await ask('PUT', `Condition/${id}`, condition('x'), { 'if-match': etag })).status).toBe(422)
    const changed = await ask('PUT', `Condition/${id}`, next, { 'if-match': etag })
    expect([changed.status, changed.json?.code.text]).toEqual([200, 'Severe asthma'])
    expect(changed.headers['etag']).not.toBe(etag)
    expect((await ask('PUT', `Condition/${id}`, next, { 'if-match': etag })).status).toBe(412)
    const history = await ask('GET', `Condition/${id}/_history`)
    expect([history.status, history.json?.entry.length]).toEqual([200, 2])
    expect(faultsOf(history.json)).toEqual([])
    const tags = history.json.entry.map((one: { response: { etag: string } }) => one.response.etag)
    expect(tags).toEqual([changed.headers['etag'], etag])
    const first = await ask('GET', `Condition/${id}/_history/${etag.slice(3, -1)}`)
    expect([first.status, first.headers['etag'], first.json.code.text]).toEqual([200, etag, 'Asthma'])
    expect(first.json.meta.versionId).toBe(made.json.meta.versionId)
    const second = await ask('GET', `Condition/${id}/_history/${changed.json.meta.versionId}`)
    expect([second.status, second.json]).toEqual([200, changed.json])
    expect((await ask('GET', `Condition/${id}/_history/none`)).status).toBe(404)
    expect((await ask('GET', `Condition/${id}/_history/${etag.slice(3, -1)}`, undefined, foreign.headers)).status).toBe(
      404,
    )
    expect((await ask('DELETE', `Condition/${id}`, undefined, { 'if-match': etag })).status).toBe(412)
    expect((await ask('DELETE', `Condition/${id}`)).status).toBe(204)
    expect((await ask('GET', `Condition/${id}`)).status).toBe(404)
    expect((await ask('DELETE', `Condition/${id}`)).status).toBe(404)
  })

  test('another record is as if it were not there', async () => {
    const { ask, condition, foreign } = await open()
    const { id } = (await ask('POST', 'Condition', condition())).json
    for (const method of ['PUT', 'DELETE'] as const) {
      const body = method === 'PUT' ? condition('x', { id }) : undefined
      expect((await ask(method, `Condition/${id}`, body, { ...foreign.headers, 'if-match': 'W/"1"' })).status).toBe(404)
    }
    expect((await ask('GET', `Condition/${id}`)).status).toBe(200)
    expect((await ask('POST', 'Condition', condition(), foreign.headers)).status).toBe(422)
  })

  test('what cannot be kept is refused with its place, and nothing is written', async () => {
    const { ask, condition } = await open()
    const refused = await ask(
      'POST',
      'Condition',
      condition('x', { stage: [{ summary: { text: 'II' } }], onsetDateTime: 'soon' }),
    )
    expect(refused.status).toBe(422)
    expect(faultsOf(refused.json)).toEqual([])
    expect(refused.json.issue.map((one: { expression: string[] }) => one.expression[0])).toContain(
      'Condition.onsetDateTime',
    )
    const strict = await ask('POST', 'Condition', condition('x', { stage: [{ summary: { text: 'II' } }] }))
    expect(strict.json.issue[0].expression).toEqual(['Condition.stage'])
    for (const body of [
      '{',
      '[]',
      'null',
      '"x"',
      '{"resourceType":"Condition","resourceType":"Condition"}',
      `${'['.repeat(500)}${']'.repeat(500)}`,
    ]) {
      const answer = await ask('POST', 'Condition', body)
      expect([answer.status, answer.json.resourceType]).toEqual([422, 'OperationOutcome'])
    }
    expect((await ask('GET', 'Condition')).json.total).toBe(0)
    for (const type of ['Provenance', 'DiagnosticReport', 'MedicationDispense', 'Binary']) {
      const made = await ask('POST', type, { resourceType: type })
      expect([made.status, made.json.issue[0].diagnostics]).toEqual([
        409,
        expect.stringContaining(`A ${type} is made of`),
      ])
    }
    expect((await ask('POST', 'Appointment', { resourceType: 'Appointment' })).status).toBe(404)
    expect((await ask('POST', 'Patient', { resourceType: 'Patient' })).status).toBe(409)
    expect((await ask('POST', 'Observation', condition())).status).toBe(422)
  })

  test('If-None-Exist finds what is there', async () => {
    const { ask, condition } = await open()
    const none = { 'if-none-exist': 'code=http://snomed.info/sct|195967001' }
    const first = await ask('POST', 'Condition', condition(), none)
    const second = await ask('POST', 'Condition', condition(), none)
    expect([first.status, second.status, second.json.id]).toEqual([201, 200, first.json.id])
    await ask('POST', 'Condition', condition('again'))
    expect((await ask('POST', 'Condition', condition(), none)).status).toBe(412)
  })

  test('a transaction is all or nothing', async () => {
    const { ask, condition, patient } = await open()
    const pressure = {
      resourceType: 'Observation',
      status: 'final',
      category: [
        { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/observation-category', code: 'vital-signs' }] },
      ],
      code: { coding: [{ system: loinc, code: '85354-9' }] },
      subject: { reference: `Patient/${patient}` },
      effectiveDateTime: '2026-02-03T08:00:00Z',
      component: ['8480-6', '8462-4'].map((code) => ({
        code: { coding: [{ system: loinc, code }] },
        valueQuantity: { value: 80, unit: 'mm[Hg]', system: 'http://unitsofmeasure.org', code: 'mm[Hg]' },
      })),
    }
    const entry = (method: string, url: string, resource?: object) => ({ resource, request: { method, url } })
    const bundle = (...entries: object[]) => ({ resourceType: 'Bundle', type: 'transaction', entry: entries })
    const bad = await ask(
      'POST',
      '',
      bundle(
        entry('POST', 'Condition', condition()),
        entry('POST', 'Condition', condition('x', { stage: [] as object[], onsetDateTime: 'x' })),
      ),
    )
    expect(bad.status).toBe(422)
    expect((await ask('GET', 'Condition')).json.total).toBe(0)
    const done = await ask(
      'POST',
      '',
      bundle(entry('POST', 'Condition', condition()), entry('POST', 'Observation', pressure)),
    )
    expect(done.status, done.body).toBe(200)
    expect(faultsOf(done.json)).toEqual([])
    const [first, second] = done.json.entry.map(
      (one: { response: { location: string } }) =>
        one.response.location.split('/fhir/')[1]?.split('/_history')[0] ?? '',
    )
    expect((await ask('GET', first)).status).toBe(200)
    const read = await ask('GET', second)
    expect(read.json).toMatchObject({ code: pressure.code, component: pressure.component })
    expect((await ask('DELETE', second)).status).toBe(204)
    expect((await ask('GET', 'Observation?code=8480-6')).json.total).toBe(0)
    expect((await ask('POST', '', bundle(entry('DELETE', first), entry('DELETE', 'Condition/none')))).status).toBe(404)
    expect((await ask('GET', first)).status).toBe(200)
  })

  test('a number keeps its digits all the way', async () => {
    const { ask, patient } = await open()
    const text = `{"resourceType":"Observation","status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs"}]}],"code":{"coding":[{"system":"${loinc}","code":"29463-7"}]},"subject":{"reference":"Patient/${patient}"},"valueQuantity":{"value":70.500,"unit":"kg","system":"http://unitsofmeasure.org","code":"kg"}}`
    const made = await ask('POST', 'Observation', text)
    expect([made.status, made.body.includes('"value":70.500,')]).toEqual([201, true])
  })
})

describe('what FHIR does not show', () => {
  const concept = (text: string, code?: string) => ({
    codings: code === undefined ? [] : [{ system: 'http://snomed.info/sct', code, display: text }],
    text,
  })
  const problem = {
    type: 'problem',
    problem: concept('Asthma', '195967001'),
    prognosis: { kind: 'text', text: 'good' },
    causedDeath: false,
    bodySites: [
      {
        ...concept('Lung', '39607008'),
        qualifiers: [{ value: { system: 'http://snomed.info/sct', code: '7771000', display: 'Left' } }],
      },
    ],
  }

  async function told(item: object) {
    const opened = await open()
    const { ports, patient, store } = opened
    const actor = { by: 'test', avenue: 'operator' } as const
    const access = { record: patient, told: patient, rules: 'all', custodian: true, actor } as const
    const made = await ports.record.put(patient, [{ kind: 'create', item: item as AuthoredItem }], { access })
    if (made.kind !== 'put') throw new Error(made.detail)
    await store.commit(made.parts)
    const id = made.items[0]?.id ?? ''
    return { ...opened, id, stored: async () => ports.record.get(patient, id) }
  }

  const item = {
    content: problem,
    negated: false,
    identifiers: [],
    status: { folded: 'active', source: 'aktiv' },
    references: [{ kind: 'REFR', identifiers: [{ root: '1.2.3', value: 'x' }] }],
    tags: ['mine'],
    related: [{ item: 'none', kind: 'because' }],
    endsAt: '2030-01-01',
    labels: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-Confidentiality', code: 'R' }],
  }

  test('stays as it was when something else of it changes', async () => {
    const { ask, id, stored } = await told(item)
    const before = await stored()
    const read = await ask('GET', `Condition/${id}`)
    const { meta: _, ...unlabelled } = read.json
    const tag = { 'if-match': String(read.headers['etag']) }
    const changed = await ask('PUT', `Condition/${id}`, { ...unlabelled, onsetDateTime: '2020-05' }, tag)
    expect(changed.status, changed.body).toBe(200)
    const after = await stored()
    expect(after?.item.content).toEqual(before?.item.content)
    expect(after).toMatchObject({ tags: item.tags, related: item.related, endsAt: item.endsAt })
    const { status, references, labels } = item
    expect(after?.item).toMatchObject({ status, references, labels, when: { low: { text: '2020-05' } } })
    expect(changed.json).toMatchObject({ ...unlabelled, text: changed.json.text, onsetDateTime: '2020-05' })
  })

  test('is never told of something else: that is refused, and says what would be lost', async () => {
    const { ask, id, stored } = await told(item)
    const read = await ask('GET', `Condition/${id}`)
    const tag = { 'if-match': String(read.headers['etag']) }
    const other = { ...read.json, code: { text: 'Migraine' } }
    const refused = await ask('PUT', `Condition/${id}`, other, tag)
    expect([refused.status, refused.json?.issue[0].diagnostics]).toEqual([
      422,
      expect.stringContaining('content.prognosis'),
    ])
    expect((await stored())?.version).toBe((await stored())?.version)
    expect((await stored())?.item.content).toEqual(problem)
  })

  test('an item keeps its type', async () => {
    const { ask, patient } = await open()
    const observation = (category: string) => ({
      resourceType: 'Observation',
      status: 'final',
      category: [
        { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/observation-category', code: category }] },
      ],
      code: { coding: [{ system: loinc, code: '29463-7' }] },
      subject: { reference: `Patient/${patient}` },
      valueQuantity: { value: 70, unit: 'kg', system: 'http://unitsofmeasure.org', code: 'kg' },
    })
    const made = await ask('POST', 'Observation', observation('vital-signs'))
    const { id } = made.json
    const tag = { 'if-match': String(made.headers['etag']) }
    const refused = await ask('PUT', `Observation/${id}`, { ...observation('laboratory'), id }, tag)
    expect([refused.status, refused.json.issue[0].diagnostics]).toEqual([
      422,
      expect.stringContaining('an item keeps its type'),
    ])
  })

  test('components are known by their codes, in whatever order they come', async () => {
    const { ask, patient, ports } = await open()
    const part = (code: string, value: number) => ({
      code: { coding: [{ system: loinc, code }] },
      valueQuantity: { value, unit: 'mm[Hg]', system: 'http://unitsofmeasure.org', code: 'mm[Hg]' },
    })
    const pressure = (...component: object[]) => ({
      resourceType: 'Observation',
      status: 'final',
      category: [
        { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/observation-category', code: 'vital-signs' }] },
      ],
      code: { coding: [{ system: loinc, code: '85354-9' }] },
      subject: { reference: `Patient/${patient}` },
      effectiveDateTime: '2026-02-03T08:00:00Z',
      component,
    })
    const made = await ask('POST', 'Observation', pressure(part('8480-6', 120), part('8462-4', 80)))
    const { id } = made.json
    const tests = async () => {
      const page = await ports.record.list(patient, { type: 'vital-sign', limit: 10 })
      const items = page.kind === 'page' ? page.items : []
      return new Map(items.map((one) => [one.id, JSON.stringify(one.item.content)]))
    }
    const before = await tests()
    const tag = { 'if-match': String(made.headers['etag']) }
    const body = { ...pressure(part('8462-4', 85), part('8480-6', 130)), id }
    const changed = await ask('PUT', `Observation/${id}`, body, tag)
    expect(changed.status, changed.body).toBe(200)
    const after = await tests()
    expect([...after.keys()].toSorted()).toEqual([...before.keys()].toSorted())
    for (const [one, content] of after) {
      const code = before.get(one)?.includes('8480-6') ? '8480-6' : '8462-4'
      expect(content).toContain(code)
      expect(content).toContain(code === '8480-6' ? '"130"' : '"85"')
    }
  })
})
