import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { ReadItem } from '../../src/clinical/fhir/read/resource.js'
import type { RecordItem } from '../../src/direct/clinical.js'
import { merged } from '../../src/pipeline/fhir-merge.js'

const words = fc.constantFrom('a', 'b', 'c')
const concept = words.map((text) => ({ codings: [], text }))
const maybe = <T>(one: fc.Arbitrary<T>) => fc.option(one, { nil: undefined })
const content = fc.record({
  type: fc.constant('problem' as const),
  problem: concept,
  severity: maybe(concept),
  kind: maybe(concept),
  bodySites: maybe(fc.array(concept, { minLength: 1, maxLength: 3 })),
})
const said = fc.record({
  content,
  negated: fc.boolean(),
  identifiers: fc.constant([]),
  notes: maybe(fc.array(words, { minLength: 1, maxLength: 3 })),
  mood: maybe(words),
})
const provenance = { document: '', entry: '', authors: [] }
const item = said.map((one) => ({ ...one, id: 'x', provenance }) as unknown as RecordItem)
const read = said.map((one) => ({ ...one, authors: [] }) as unknown as ReadItem)
const asked = (one: ReadItem): ReadItem => structuredClone(one)

it('leaves an item as it is that is written back as it was shown, whatever that left out or put otherwise', () => {
  fc.assert(
    fc.property(item, read, (before, seen) => {
      const next = merged({ before, seen }, asked(seen))
      expect(next.kind).toBe('merged')
      const { id: _, provenance: __, ...kept } = before
      expect(next).toEqual({ kind: 'merged', item: { ...kept, authors: [] } })
    }),
  )
})

it('loses nothing that was not shown, but refuses by its name', () => {
  fc.assert(
    fc.property(item, read, read, (before, seen, wanted) => {
      const next = merged({ before, seen }, wanted)
      if (before.mood === undefined || seen.mood !== undefined) return
      if (next.kind === 'merged') expect(next.item.mood).toBe(before.mood)
      else expect(next.lost.length).toBeGreaterThan(0)
    }),
  )
})

it('takes what the client says where all was shown', () => {
  fc.assert(
    fc.property(item, read, (before, wanted) => {
      const seen = { ...before, authors: [] } as unknown as ReadItem
      const next = merged({ before, seen }, wanted)
      expect(next).toEqual({ kind: 'merged', item: wanted })
    }),
  )
})

it('refuses what would go where nobody can tell what was shown', () => {
  const problem = { type: 'problem' as const, problem: { codings: [], text: 'a' } }
  const before: RecordItem = {
    ...{ id: 'x', provenance, negated: false, identifiers: [] },
    content: { ...problem, causedDeath: true },
  }
  const next: ReadItem = { content: problem, negated: false, identifiers: [], authors: [] }
  expect(merged({ before }, next)).toEqual({ kind: 'lossy', lost: ['content.causedDeath'] })
})
