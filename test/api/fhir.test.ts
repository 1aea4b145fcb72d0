import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { type AccessRule, permissions, type RecordAccess } from '../../src/direct/access.js'
import type { DirectAddress } from '../../src/direct/address.js'
import type { RecordItem } from '../../src/direct/clinical.js'
import { narrowed, readScopes } from '../../src/direct/smart-scopes.js'
import { fhirLimits, openFhir } from '../../src/pipeline/fhir.js'
import type { RecordEntry } from '../../src/record/item.js'
import { dayOf } from '../../src/record/rows.js'
import { faultsOf } from '../clinical/fhir-judge.js'
import { item } from '../record/read-document.js'
import { alice, bob, openGateway } from './gateway.js'

const sha256 = 'ab'.repeat(32)
const document: RecordItem = item('d'.repeat(32), {
  content: { type: 'document', mediaType: 'text/xml', name: 'ccd.xml', sizeBytes: 12, sha256, format: 'c-cda' },
  provenance: { document: sha256, entry: '', authors: [] },
})
const at = (text: string) => ({ value: { text, precision: 'day' as const, offsetMinutes: null, source: text } })
const from = { document: sha256, entry: '/x[1]', authors: [] }
const problem = item('1'.repeat(32), { when: at('2015-06-22'), provenance: from })
const weights = ['2020-01-01', '2021-01-01', '2022-01-01'].map((day, index) =>
  item(String(index + 2).repeat(32), {
    content: {
      type: 'vital-sign',
      test: { codings: [{ system: 'http://loinc.org', code: '29463-7' }] },
      value: { kind: 'quantity', quantity: { value: '70.50', unit: 'kg' } },
      interpretations: [],
      referenceRanges: [],
    },
    when: at(day),
    provenance: from,
  }),
)
const secret = item('9'.repeat(32), {
  content: { type: 'problem', problem: { codings: [], text: 'withheld words' } },
  provenance: { ...from, document: 'cd'.repeat(32) },
})

function entry(of: RecordItem, withheld = false): RecordEntry {
  const source = { messageId: 'm', spoolId: 's', sender: 'dr@far.example' as DirectAddress, mailbox: alice }
  const appearance = {
    statement: of.id,
    document: of.provenance.document,
    entry: of.provenance.entry,
    addedAt: 0,
    source,
    standing: 'shown' as const,
  }
  return {
    ...{ id: of.id, recordId: 'r', state: 'current', item: of, addedAt: 1_700_000_000_000, source },
    ...{ appearances: [appearance], conflicts: [], review: [], withheld, version: '1' },
    ...{ created: { at: 1_700_000_000_000 }, updated: { at: 1_700_000_000_000 } },
  }
}

/** A gateway whose records all show the same few entries. */
async function open(
  entries: readonly RecordEntry[] = [document, problem, ...weights].map((one) => entry(one)),
  limits: Partial<typeof fhirLimits> = {},
) {
  const asked: string[] = []
  const fhir = openFhir(
    {
      record: {
        async *current(record, { types, to } = {}) {
          asked.push(String(record))
          const place = ({ id, item: one }: RecordEntry) => `${dayOf(one)}/${id}`
          const all = [...entries].sort((a, b) => (place(a) < place(b) ? 1 : -1))
          const until = (day: string) => to === undefined || day.startsWith('0000') || day.slice(0, to.length) <= to
          yield* all.filter(({ item: one }) => (!types || types.includes(one.content.type)) && until(dayOf(one)))
        },
        get: async (_, id) => entries.find((one) => one.id === id),
        list: async (_, { document: named }) => ({
          kind: 'page',
          items: entries.filter(({ appearances }) => appearances.some((one) => one.document === named)),
          unreadable: [],
        }),
        document: async () => ({ sha256, mediaType: 'text/xml', name: 'ccd.xml', sizeBytes: 12 }),
        documentBytes: async () =>
          (async function* () {
            yield Buffer.from('<Clinical/>\n')
          })(),
      },
    },
    { ...fhirLimits, ...limits },
  )
  const gateway = await openGateway({}, { fhir })
  const own = await gateway.token(alice, ['record:read'])
  const all = await gateway.token('*', ['record:read'])
  const told = (response: Awaited<ReturnType<typeof gateway.app.inject>>) => {
    return {
      status: response.statusCode,
      type: response.headers['content-type'],
      body: response.body,
      json: () => JSON.parse(response.body),
    }
  }
  const get = async (path: string, headers: Record<string, string> = own.headers) =>
    told(await gateway.app.inject({ method: 'GET', url: `/fhir/${path}`, headers }))
  const post = async (path: string, payload: string, type = 'application/x-www-form-urlencoded') =>
    told(
      await gateway.app.inject({
        method: 'POST',
        url: `/fhir/${path}`,
        headers: { ...own.headers, 'content-type': type },
        payload,
      }),
    )
  return {
    ...gateway,
    fhir,
    asked,
    get,
    post,
    own,
    all,
    recordId: gateway.patients.alice.recordId,
    other: gateway.patients.bob.recordId,
  }
}

describe('the FHIR side of the API', () => {
  test('says what it does, to anybody, and says it in sound FHIR', async () => {
    const { get } = await open()
    const { status, type, json } = await get('metadata', {})
    expect(status).toBe(200)
    expect(type).toBe('application/fhir+json; charset=utf-8')
    expect(faultsOf(json())).toEqual([])
  })

  test('reads the patient of the record, and no other', async () => {
    const { get, recordId, other } = await open()
    const mine = await get(`Patient/${recordId}`)
    expect(mine.json()).toMatchObject({ resourceType: 'Patient', id: recordId })
    expect((await get(`Patient/${other}`)).status).toBe(404)
    expect((await get(`Patient/${other}/$everything`)).status).toBe(404)
    expect((await get(`Condition?patient=${other}`)).status).toBe(404)
    expect((await get(`Condition?patient=${recordId}&patient=${other}`)).status).toBe(404)
    expect((await get(`Condition/${problem.id}?patient=${other}`)).status).toBe(404)
  })

  test('a token of the whole gateway names the patient', async () => {
    const { get, all, asked, other } = await open()
    expect((await get('Condition', all.headers)).status).toBe(400)
    expect((await get(`Condition?patient=Patient/${other}`, all.headers)).status).toBe(200)
    expect((await get(`Patient/${other}`, all.headers)).status).toBe(200)
    expect(new Set(asked)).toEqual(new Set([other]))
  })

  test('every error is an OperationOutcome, and sound', async () => {
    const { get, token } = await open()
    const weak = await token(bob, ['messages:read'])
    const errors = [
      await get('Condition', {}),
      await get('Condition', { authorization: 'Bearer nobody' }),
      await get('Condition', weak.headers),
      await get(`Condition/${'0'.repeat(32)}`),
      await get('Nothing'),
      await get('no/such/thing/at/all'),
      await get('Observation?date=yesterday'),
      await get('Observation?code:above=1'),
      await get('Observation?_count=many'),
      await get('Observation?_cursor=x'),
      await get('Observation?_format=xml'),
      await get('Observation/%00'),
    ]
    expect(errors.map(({ status }) => status)).toEqual([401, 401, 403, 404, 404, 404, 400, 400, 400, 400, 400, 400])
    for (const { type, json } of errors) {
      expect(type).toBe('application/fhir+json; charset=utf-8')
      expect(json().resourceType).toBe('OperationOutcome')
      expect(faultsOf(json())).toEqual([])
    }
  })

  test('pages are joined by links, newest first, each resource once', async () => {
    const { get, recordId } = await open()
    const dates: string[] = []
    let path: string | undefined = `Observation?patient=${recordId}&category=vital-signs&_count=2`
    for (let pages = 0; path !== undefined && pages < 5; pages++) {
      const bundle = (await get(path)).json()
      expect(faultsOf({ ...bundle, entry: undefined })).toEqual(['Bundle.entry is nothing'])
      expect(bundle.total).toBe(3)
      dates.push(
        ...bundle.entry.map((one: { resource: { effectiveDateTime: string } }) => one.resource.effectiveDateTime),
      )
      path = bundle.link.find((one: { relation: string }) => one.relation === 'next')?.url.split('/fhir/')[1]
    }
    expect(dates).toEqual(['2022-01-01', '2021-01-01', '2020-01-01'])
  })

  test('searches by code, date and id; a decimal leaves as it was written', async () => {
    const { get } = await open()
    const ids = async (query: string) =>
      ((await get(`Observation?${query}`)).json().entry ?? []).map(
        (one: { resource: { id: string } }) => one.resource.id[0],
      )
    expect(await ids('code=http://loinc.org|29463-7')).toEqual(['4', '3', '2'])
    expect(await ids('code=http://snomed.info/sct|29463-7')).toEqual([])
    expect(await ids('code=1234-5,29463-7&date=ge2021-01-01')).toEqual(['4', '3'])
    expect(await ids('date=ge2021&date=lt2022')).toEqual(['3'])
    expect(await ids('date=2020')).toEqual(['2'])
    expect(await ids(`_id=${'3'.repeat(32)}`)).toEqual(['3'])
    expect(await ids('status:not=final')).toEqual([])
    expect(await ids('_lastUpdated=ge2030')).toEqual([])
    expect((await get('Observation')).body).toContain('"value":70.50,')
  })

  test('what is not supported is said, or refused where the client wants it strict', async () => {
    const { get, own } = await open()
    const lenient = (await get('Condition?nonsense=1')).json()
    expect(lenient.entry.at(-1)).toMatchObject({
      search: { mode: 'outcome' },
      resource: { resourceType: 'OperationOutcome' },
    })
    expect(lenient.link[0].url).not.toContain('nonsense')
    expect((await get('Condition?nonsense=1', { ...own.headers, prefer: 'handling=strict' })).status).toBe(400)
  })

  test('brings the sources when asked, and all of a patient at once', async () => {
    const { get, recordId } = await open()
    const found = (await get('Condition?_revinclude=Provenance:target')).json()
    expect(found.entry.map((one: { search: { mode: string } }) => one.search.mode)).toEqual(['match', 'include'])
    const provenance = found.entry[1].resource
    expect(provenance.target[0].reference).toBe(`Condition/${problem.id}`)
    expect((await get(`Provenance/${provenance.id}`)).json()).toEqual(provenance)
    const everything = (await get(`Patient/${recordId}/$everything`)).json()
    const types = everything.entry.map((one: { resource: { resourceType: string } }) => one.resource.resourceType)
    expect(new Set(types)).toEqual(new Set(['Patient', 'Condition', 'Observation', 'DocumentReference', 'Provenance']))
    for (const { resource } of everything.entry) expect(faultsOf(resource)).toEqual([])
  })

  test('a form asks as an address does, and only a search takes one', async () => {
    const { get, post, recordId, other } = await open()
    const query = `patient=${recordId}&date=ge2021-01-01`
    const asked = await post('Observation/_search', query)
    expect([asked.status, asked.json().total]).toEqual([200, 2])
    expect(asked.json()).toEqual((await get(`Observation?${query}`)).json())
    expect((await post('Observation/_search?date=ge2022', query)).json().total).toBe(1)
    expect((await post('Observation/_search', `patient=${other}`)).status).toBe(404)
    expect((await post('Observation/_search', '{}', 'application/json')).status).toBe(400)
    expect((await post('Observation/_search', 'x'.repeat(20_000))).status).toBe(413)
    expect((await post('Observation', query)).status).toBe(403)
  })

  test('sorts by a date either way, page by page, and counts', async () => {
    const { get } = await open()
    for (const sort of ['date', '-date']) {
      const found: string[] = []
      let path: string | undefined = `Observation?_sort=${sort}&_count=1`
      for (let pages = 0; path !== undefined && pages < 5; pages++) {
        const bundle = (await get(path)).json()
        found.push(bundle.entry[0].resource.effectiveDateTime)
        path = bundle.link[1]?.url.split('/fhir/')[1]
      }
      const sorted = ['2020-01-01', '2021-01-01', '2022-01-01']
      expect(found).toEqual(sort === 'date' ? sorted : sorted.reverse())
    }
    expect((await get('Observation?_sort=nonsense')).json().entry.at(-1).search.mode).toBe('outcome')
    const counted = (await get('Observation?_summary=count')).json()
    expect([counted.total, counted.entry, counted.link.length]).toEqual([3, undefined, 1])
    expect((await get('Observation?_count=0')).json().entry).toBeUndefined()
  })

  test('a Provenance brings what it is the source of', async () => {
    const { get } = await open()
    const found = (await get(`Provenance?target=Condition/${problem.id}&_include=Provenance:target`)).json()
    const types = found.entry.map((one: { resource: { resourceType: string } }) => one.resource.resourceType)
    expect([found.total, types]).toEqual([1, ['Provenance', 'Condition']])
  })

  test('all of a patient comes in pages, each resource once, whatever the size of a page', async () => {
    const undated = item('7'.repeat(32), { provenance: from })
    const readings = ['8480-6', '8462-4'].map((code, index) =>
      item(`${index}f`.repeat(16), {
        content: {
          type: 'vital-sign',
          test: { codings: [{ system: 'http://loinc.org', code }] },
          value: { kind: 'quantity', quantity: { value: '80', unit: 'mm[Hg]' } },
          panel: { entry: '/p', identifiers: [] },
          interpretations: [],
          referenceRanges: [],
        },
        when: at('2021-01-01'),
        provenance: from,
      }),
    )
    const all = [document, problem, undated, ...weights, ...readings].map((one) => entry(one))
    const { get, recordId } = await open(all)
    const whole = (await get(`Patient/${recordId}/$everything?_count=200`)).json()
    const names = (bundle: { entry: { resource: { resourceType: string; id: string }; search: { mode: string } }[] }) =>
      bundle.entry
        .filter(({ search }) => search.mode === 'match')
        .map(({ resource }) => `${resource.resourceType}/${resource.id}`)
    expect(names(whole).length).toBe(9)
    for (const count of [1, 2, 3, 8]) {
      const found: string[] = []
      let path: string | undefined = `Patient/${recordId}/$everything?_count=${count}`
      for (let pages = 0; path !== undefined && pages < 12; pages++) {
        const bundle = (await get(path)).json()
        found.push(...names(bundle))
        path = bundle.link[1]?.url.split('/fhir/')[1]
      }
      expect(found).toEqual(names(whole))
    }
    const some = (await get(`Patient/${recordId}/$everything?_type=Condition,DocumentReference&_since=2001`)).json()
    expect(names(some).length).toBe(3)
    expect((await get(`Patient/${recordId}/$everything?_cursor=x`)).status).toBe(400)
  })

  test('a record beyond what one answer may cost says so, and never gives less in silence', async () => {
    const { get, recordId } = await open(undefined, { entries: 2 })
    const refused = await get('Observation')
    expect([refused.status, refused.json().issue[0].code]).toEqual([400, 'too-costly'])
    expect((await get(`Observation/${'0'.repeat(32)}`)).json().issue[0].code).toBe('too-costly')
    expect((await get('Condition')).status).toBe(200)
    const everything = (await get(`Patient/${recordId}/$everything`)).json()
    expect(everything.entry.at(-1)).toMatchObject({
      search: { mode: 'outcome' },
      resource: { issue: [{ code: 'too-costly', diagnostics: expect.stringContaining('vital-sign') }] },
    })
  })

  test('gives the bytes of a document, or a Binary to who asks for FHIR', async () => {
    const { get, own } = await open()
    const [{ resource }] = (await get('DocumentReference')).json().entry
    const { attachment } = resource.content[0]
    expect(attachment.hash).toBe(createHash('sha1').update('<Clinical/>\n').digest('base64'))
    const bytes = await get(attachment.url.split('/fhir/')[1])
    expect([bytes.status, bytes.type, bytes.body]).toEqual([200, 'text/xml', '<Clinical/>\n'])
    const binary = await get(`Binary/${sha256}`, { ...own.headers, accept: 'application/fhir+json' })
    expect(faultsOf(binary.json())).toEqual([])
    expect(Buffer.from(binary.json().data, 'base64').toString()).toBe('<Clinical/>\n')
    expect((await get(`Binary/${'00'.repeat(32)}`)).status).toBe(404)
  })

  test('what is withheld does not leave, and neither does the document that holds it', async () => {
    const holder = {
      ...document,
      id: 'e'.repeat(32),
      content: { ...document.content, sha256: 'cd'.repeat(32) },
    } as RecordItem
    const { get, recordId } = await open([entry(problem), entry(holder), entry(secret, true)])
    const everything = await get(`Patient/${recordId}/$everything`)
    expect(everything.body).not.toContain('withheld words')
    expect(everything.body).not.toContain(holder.id)
    expect((await get(`Condition/${secret.id}`)).status).toBe(404)
    expect((await get(`Binary/${'cd'.repeat(32)}`)).status).toBe(404)
    expect((await get('DocumentReference')).json().total).toBe(0)
    expect((await get(`DocumentReference/${holder.id}`)).status).toBe(404)
    expect((await get(`Provenance?_count=200`)).body).not.toContain(holder.id)
  })

  test('a record without anything current still has its patient', async () => {
    const { get, recordId } = await open([])
    expect(faultsOf((await get(`Patient/${recordId}`)).json())).toEqual([])
    expect((await get('Condition')).json()).toMatchObject({ total: 0 })
  })
})

describe('the FHIR side gives what rules give', () => {
  const person = '55555555-5555-4555-8555-555555555555'
  const base = 'https://gw.example/fhir'
  const seenBy = (rules: RecordAccess['rules'], custodian = false) => ({
    access: {
      record: 'true-record',
      told: person,
      rules,
      custodian,
      actor: { by: 'app:x', avenue: 'online' },
    } as const,
    base,
  })
  const only = (types: AccessRule['types'], more: Partial<AccessRule> = {}): AccessRule => ({
    ...{ name: 'r', reason: { en: '' }, permissions: permissions.slice(), ...(types && { types }) },
    ...more,
  })
  const scoped = (scope: string) => narrowed('all', readScopes(scope).scopes)

  async function everything(rules: RecordAccess['rules'], entries?: readonly RecordEntry[]) {
    const { fhir } = await open(entries)
    const found = await fhir.everything(seenBy(rules), [['_count', '200']])
    if (found.kind !== 'bundle') return { kinds: found.kind, json: '' }
    const { entry: all = [] } = JSON.parse(found.json)
    const kinds = all.map((one: { resource: { resourceType: string } }) => one.resource.resourceType)
    return { kinds: [...new Set(kinds)].sort(), json: found.json }
  }

  test('one type and no other, wherever it would stand', async () => {
    expect((await everything([only(['problem'])])).kinds).toEqual(['Condition', 'Provenance'])
    expect((await everything([only(['demographics'])])).kinds).toEqual(['Patient'])
    expect((await everything(scoped('patient/Observation.rs'))).kinds).toEqual(['Observation'])
    expect((await everything(scoped('patient/Provenance.rs patient/Condition.rs'))).kinds).toEqual([
      'Condition',
      'Provenance',
    ])
    expect((await everything(scoped('patient/Provenance.rs'))).kinds).toEqual('denied')
    expect((await everything([only(['problem'], { permissions: ['create'] })])).kinds).toEqual('denied')
    expect((await everything([])).kinds).toEqual('denied')
  })

  test('a type that no rule gives is refused, the others answer', async () => {
    const { fhir } = await open()
    const place = seenBy([only(['problem'])])
    expect((await fhir.search(place, 'Observation', [], false)).kind).toBe('denied')
    expect((await fhir.read(place, 'Observation', weights[0]?.id ?? '')).kind).toBe('denied')
    expect((await fhir.read(place, 'Patient', person)).kind).toBe('denied')
    expect((await fhir.read(place, 'DocumentReference', document.id)).kind).toBe('denied')
    expect((await fhir.binary(place, sha256)).kind).toBe('denied')
    expect((await fhir.search(place, 'Condition', [], false)).kind).toBe('bundle')
    const found = await fhir.search(place, 'Condition', [['_revinclude', 'Provenance:target']], false)
    expect(found.kind === 'bundle' && found.json).not.toContain(document.id)
  })

  test('dates of a rule hold for each item', async () => {
    const { fhir } = await open()
    const place = seenBy([only(['vital-sign'], { from: '2021-01-01', to: '2021-12-31' })])
    const found = await fhir.search(place, 'Observation', [], false)
    expect(found.kind === 'bundle' && JSON.parse(found.json).total).toBe(1)
    expect((await fhir.read(place, 'Observation', weights[0]?.id ?? '')).kind).toBe('missing')
    expect((await fhir.read(place, 'Observation', weights[1]?.id ?? '')).kind).toBe('resource')
  })

  test('a scope that only reads finds nothing, one that only searches reads nothing by id', async () => {
    const { fhir } = await open()
    const id = problem.id
    const reading = seenBy(scoped('patient/Condition.r'))
    expect((await fhir.search(reading, 'Condition', [], false)).kind).toBe('denied')
    expect((await fhir.read(reading, 'Condition', id)).kind).toBe('resource')
    const searching = seenBy(scoped('patient/Condition.s'))
    expect((await fhir.read(searching, 'Condition', id)).kind).toBe('denied')
    expect((await fhir.search(searching, 'Condition', [], false)).kind).toBe('bundle')
  })

  test('a category narrows what is found', async () => {
    const { fhir } = await open()
    const total = async (scope: string) => {
      const found = await fhir.search(seenBy(scoped(scope)), 'Observation', [], false)
      return found.kind === 'bundle' ? JSON.parse(found.json).total : found.kind
    }
    expect(await total('patient/Observation.rs?category=vital-signs')).toBe(3)
    expect(await total('patient/Observation.rs?category=laboratory')).toBe(0)
  })

  test('the patient is named as the caller knows it, and the record never', async () => {
    const { json } = await everything('all')
    expect(json).toContain(`Patient/${person}`)
    expect(json).not.toContain('true-record')
    expect(json.match(/Patient\/[^"?]*/g)?.every((one) => one.startsWith(`Patient/${person}`))).toBe(true)
  })

  test('what is personal, and who sent what, is for custodians', async () => {
    const { fhir } = await open([{ ...entry(problem), flags: { personal: true } }, entry(document)])
    const total = async (custodian: boolean) => {
      const found = await fhir.search(seenBy('all', custodian), 'Condition', [], false)
      return found.kind === 'bundle' && JSON.parse(found.json).total
    }
    expect([await total(true), await total(false)]).toEqual([1, 0])
    expect((await everything('all')).json).not.toContain('far.example')
  })

  test('bytes of a document go where its DocumentReference goes', async () => {
    const { fhir } = await open()
    expect((await fhir.binary(seenBy(scoped('patient/DocumentReference.rs')), sha256)).kind).toBe('binary')
    expect((await fhir.binary(seenBy(scoped('patient/Binary.r')), sha256)).kind).toBe('binary')
    expect((await fhir.binary(seenBy(scoped('patient/DocumentReference.s')), sha256)).kind).toBe('denied')
  })
})
