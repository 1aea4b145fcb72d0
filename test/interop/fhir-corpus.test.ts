import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { writeJson } from '../../src/clinical/fhir/json.js'
import { type Mapped, provenancesOf, toFhir } from '../../src/clinical/fhir/map.js'
import { readDocument } from '../../src/clinical/read.js'
import { faultsOf } from '../clinical/fhir-judge.js'

const folder = new URL('../../../shared/corpus/clinical/', import.meta.url)
const present = existsSync(folder)
const place = { record: '11111111-1111-4111-8111-111111111111', base: 'https://gw.example/fhir' }

/** What must be seen of a resource whose item is denied. */
const denial =
  /"refuted"|"not-done"|"cancelled"|"revoked"|"rejected"|"inactive"|"doNotPerform":true|Absent|Denied|No |no known|None|716186003|409137002|429625007|428607008|160244002|160245001|787481004/i

/** Types that say that something took place. */
const performed = new Set([
  'Procedure',
  'Immunization',
  'Observation',
  'DiagnosticReport',
  'MedicationDispense',
  'Device',
])

describe.skipIf(!present)(`documents that exist publicly (skipped without ../shared: ${!present})`, () => {
  test('all of their items leave as sound FHIR; none denied as a finding, none planned as done', async () => {
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
      /\.(xml|zip)$/i.test(name),
    )
    const faults = new Map<string, string>()
    let made = 0
    for (const name of files) {
      const { documents } = await readDocument(
        readFileSync(new URL(encodeURI(name).replaceAll('#', '%23'), folder)),
        {},
      )
      for (const document of documents) {
        const items = [document.item, ...document.items].map((item) => ({ item, addedAt: 1_700_000_000_000 }))
        const { resources, context, skipped } = toFhir(items, place)
        const all = [...resources, ...provenancesOf(resources, context)]
        made += all.length
        const shown = new Set([
          ...resources.flatMap(({ of }) => of.map(({ item }) => item.id)),
          ...skipped.map(({ id }) => id),
        ])
        for (const { item } of items) {
          if (item.content.type !== 'demographics' && !shown.has(item.id)) faults.set('an item ended in silence', name)
        }
        for (const one of all) for (const fault of faultsIn(one)) faults.set(fault, name)
      }
    }
    expect(Object.fromEntries(faults)).toEqual({})
    expect(made).toBeGreaterThan(10_000)
  }, 300_000)
})

function faultsIn({ resource, of }: Mapped): string[] {
  const json = writeJson(resource)
  const type = resource.resourceType
  const faults = faultsOf(JSON.parse(json)).map((fault) => `${type}: ${fault}`)
  const [only] = of
  if (!only || of.length > 1 || type === 'Provenance' || type === 'DiagnosticReport') return faults
  const { negated, intent } = only.item
  if (negated && !denial.test(json)) faults.push(`${type}: denied, and not seen to be`)
  if (intent === 'planned' && performed.has(type)) faults.push(`${type}: planned, and told as done`)
  return faults
}
