import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { writeJson } from '../../src/clinical/fhir/json.js'
import type { Sourced } from '../../src/clinical/fhir/make.js'
import { toFhir } from '../../src/clinical/fhir/map.js'
import { readFhirBundle } from '../../src/clinical/fhir/read/bundle.js'
import { parseJson } from '../../src/clinical/fhir/read/json.js'
import { type ReadItem, readFhirResource } from '../../src/clinical/fhir/read/resource.js'
import { faultsOf } from './fhir-judge.js'

const place = { record: '11111111-1111-4111-8111-111111111111', base: 'https://gw.example/fhir' }
const options = { patient: place.record, base: place.base }
const types = [
  ...['AllergyIntolerance', 'CarePlan', 'CareTeam', 'Condition', 'Coverage', 'Device', 'DeviceRequest', 'Encounter'],
  ...[
    'FamilyMemberHistory',
    'Goal',
    'Immunization',
    'MedicationDispense',
    'MedicationRequest',
    'Observation',
    'Patient',
  ],
  ...['Procedure', 'ServiceRequest'],
]

type Node = Record<string, unknown>

/** A resource as it left once, in its own digits. */
function golden(type: string): string {
  return readFileSync(new URL(`../golden/fhir/${type}.txt`, import.meta.url), 'utf8')
}

function sourced(item: ReadItem, at = 0): Sourced {
  const { authors, ...said } = item
  const id = `${at}`.padStart(32, '0')
  return { item: { ...said, id, provenance: { document: '', entry: '', authors } }, version: '1' }
}

/** A resource without what is the record's own to say. */
function bare(resource: Node): Node {
  const { id: _, meta, text: __, ...more } = resource
  const { versionId: ___, lastUpdated: ____, profile: _____, ...kept } = (meta ?? {}) as Node
  return { ...more, ...(Object.keys(kept).length > 0 && { meta: kept }) }
}

/** What comes of a resource that is read and written again. */
function again(text: string): Node[] {
  const read = readFhirResource(text, options)
  expect(read.issues.filter(({ severity }) => severity === 'error')).toEqual([])
  const written = toFhir(read.items.map(sourced), place).resources.map(
    ({ resource }) => JSON.parse(writeJson(resource)) as Node,
  )
  for (const one of written) expect(faultsOf(one)).toEqual([])
  return written.filter((one) => one['resourceType'] === read.type && one['hasMember'] === undefined).map(bare)
}

describe('what was written reads back', () => {
  test.each(types)('%s', (type) => {
    const { authorizingPrescription: _, ...wanted } = bare(JSON.parse(golden(type)) as Node)
    const [{ authorizingPrescription: __, ...found } = {}, ...others] = again(golden(type))
    expect([found, ...others]).toEqual([wanted])
  })
})

describe('hostile text', () => {
  test('never throws, whatever a golden resource is turned into', () => {
    const texts = [...types, 'DocumentReference'].map(golden)
    const junk = ['null', '[]', '{}', '"x"', '1e999', 'true', '[null]', '{"extension":[{}]}', '""']
    const values = /"(?:[^"\\]|\\.)*"(?!\s*:)|-?\d+(?:\.\d+)?|true|false/g
    fc.assert(
      fc.property(fc.nat(), fc.nat(), fc.constantFrom(...junk), fc.boolean(), (which, where, by, cut) => {
        const text = texts[which % texts.length] ?? ''
        const places = [...text.matchAll(values)]
        const at = places[where % places.length]
        const end = (at?.index ?? 0) + (at?.[0].length ?? 0)
        const turned = cut ? text.slice(0, where % text.length) : `${text.slice(0, at?.index)}${by}${text.slice(end)}`
        const read = readFhirResource(turned, options)
        expect(read.items.length === 0 || read.issues.every(({ severity }) => severity === 'warning')).toBe(true)
        readFhirBundle(turned)
      }),
      { numRuns: 2000 },
    )
  })

  test('depth, size and names that stand twice are refused', () => {
    expect(parseJson(`${'['.repeat(1000)}`).kind).toBe('invalid')
    expect(parseJson('{"a":1,"a":2}').kind).toBe('invalid')
    expect(parseJson('[1,2', { chars: 10, depth: 5, values: 10 }).kind).toBe('invalid')
    expect(parseJson('[1,2,3,4]', { chars: 10, depth: 5, values: 3 }).kind).toBe('invalid')
    expect(parseJson('[1.50]')).toEqual({ kind: 'json', tree: [{ digits: '1.50' }] })
  })

  test('a Bundle gives its items, its patient and what was not kept; one about two people gives nothing', () => {
    const entry = ['Patient', 'Condition', 'Immunization'].map((type) => `{"resource":${golden(type)}}`).join(',')
    const read = readFhirBundle(`{"resourceType":"Bundle","type":"collection","entry":[${entry}]}`)
    expect(read.items.map(({ content }) => content.type)).toEqual(['problem', 'immunization'])
    expect(read.patient?.content.type).toBe('demographics')
    const other = golden('Patient').replace(/"id": "1{8}[^"]*"/, '"id": "other"')
    expect(readFhirBundle(`{"resourceType":"Bundle","entry":[${entry},{"resource":${other}}]}`).items).toEqual([])
    const foreign = golden('Condition').replaceAll(place.record, 'somebody-else')
    expect(readFhirBundle(`{"resourceType":"Bundle","entry":[${entry},{"resource":${foreign}}]}`).items.length).toBe(2)
  })
})
