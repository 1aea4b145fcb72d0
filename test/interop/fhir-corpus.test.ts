import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { writeJson } from '../../src/clinical/fhir/json.js'
import { type Mapped, provenancesOf, toFhir } from '../../src/clinical/fhir/map.js'
import { readDocument } from '../../src/clinical/read.js'
import { faultsOf } from '../clinical/fhir-judge.js'
import { unsafe } from '../clinical/fhir-safety.js'

const folder = new URL('../../../shared/corpus/clinical/', import.meta.url)
const present = existsSync(folder)
const place = { record: '11111111-1111-4111-8111-111111111111', base: 'https://gw.example/fhir' }

describe.skipIf(!present)(`documents that exist publicly (skipped without ../shared: ${!present})`, () => {
  test('all of their items leave as sound FHIR; none denied as a finding, none planned as done', async () => {
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
      /\.(xml|zip)$/i.test(name),
    )
    const faults = new Map<string, string>()
    let made = 0
    const judged = { negated: 0, planned: 0, null: 0 }
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
          if (item.negated) judged.negated++
          if (item.intent === 'planned') judged.planned++
          if (item.nullFlavor !== undefined) judged.null++
          if (item.content.type !== 'demographics' && !shown.has(item.id)) faults.set('an item ended in silence', name)
        }
        for (const one of all) for (const fault of faultsIn(one)) faults.set(fault, name)
      }
    }
    expect(Object.fromEntries(faults)).toEqual({})
    expect(made).toBeGreaterThan(10_000)
    for (const count of Object.values(judged)) expect(count).toBeGreaterThan(25)
  }, 300_000)
})

function faultsIn(mapped: Mapped): string[] {
  const { resource } = mapped
  const faults = faultsOf(JSON.parse(writeJson(resource))).map((fault) => `${resource.resourceType}: ${fault}`)
  return [...faults, ...unsafe(mapped)]
}
