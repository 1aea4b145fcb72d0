import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type DocumentPatient, heldDocuments, type Vouched } from '../../src/record/reconcile/documents.js'

const nobody: Vouched = { released: new Set(), rejected: new Set(), taken: new Set() }

/** Documents of these patients in the order in which they came, each knowing those before it that are about others. */
function came(...patients: readonly string[]): readonly DocumentPatient[] {
  return patients.map((patient, at) => ({
    sha256: `${patient}${at}`,
    match: { kind: 'unknown' },
    patient,
    strangers: patients
      .slice(0, at)
      .filter((other) => other !== patient)
      .map((other) => ({ patient: other })),
  }))
}

const heldOf = (documents: readonly DocumentPatient[], vouched: Partial<Vouched> = {}) =>
  [...heldDocuments(documents, { ...nobody, ...vouched }).keys()].sort()

describe('documents that nobody spoke for', () => {
  it('are about whoever came first; what tells of somebody else is held against it', () => {
    expect(heldOf(came('nora', 'berg', 'nora'))).toEqual(['berg1'])
    expect(heldOf(came('berg', 'nora', 'nora'))).toEqual(['nora1', 'nora2'])
    expect(heldDocuments(came('nora', 'berg'), nobody).get('berg1')).toEqual(['nora0'])
  })

  it('hold nothing once somebody rejects them, and hold again when that is taken back', () => {
    expect(heldOf(came('berg', 'nora', 'nora'), { rejected: new Set(['berg0']) })).toEqual([])
    expect(heldOf(came('berg', 'nora', 'ola'), { rejected: new Set(['berg0']) })).toEqual(['ola2'])
  })

  it('are held themselves where somebody released what they are against, unless somebody spoke for them too', () => {
    const documents = came('nora', 'berg')
    expect(heldOf(documents, { released: new Set(['berg1']) })).toEqual(['nora0'])
    expect(heldOf(documents, { released: new Set(['berg1']), taken: new Set(['nora0']) })).toEqual([])
    expect(heldOf(documents, { released: new Set(['berg1', 'nora0']) })).toEqual([])
  })

  it('are held where the record knows another patient, until they are released', () => {
    const other: DocumentPatient = { sha256: 'x', match: { kind: 'mismatch' } }
    expect(heldOf([other])).toEqual(['x'])
    expect(heldOf([other], { taken: new Set(['x']) })).toEqual(['x'])
    expect(heldOf([other], { released: new Set(['x']) })).toEqual([])
  })

  it('never stand beside a document of somebody else that nobody spoke for, in any order', () => {
    const patients = fc.array(fc.constantFrom('nora', 'berg', 'ola'), { minLength: 1, maxLength: 8 })
    const some = fc.array(fc.nat({ max: 7 }), { maxLength: 3 })
    fc.assert(
      fc.property(patients, some, some, (all, released, rejected) => {
        const documents = came(...all)
        const pick = (places: readonly number[]) => new Set(places.flatMap((at) => documents[at]?.sha256 ?? []))
        const vouched = { ...nobody, released: pick(released), rejected: pick(rejected) }
        const held = heldDocuments(documents, vouched)
        const live = documents.filter(
          ({ sha256 }) => !held.has(sha256) && !(vouched.rejected.has(sha256) && !vouched.released.has(sha256)),
        )
        const unasked = live.filter(({ sha256 }) => !vouched.released.has(sha256))
        for (const one of unasked) {
          for (const other of live) {
            expect(one.sha256.replace(/\d/, '')).toBe(other.sha256.replace(/\d/, ''))
          }
        }
        expect(live.length).toBeGreaterThanOrEqual(
          documents.every(({ sha256 }) => vouched.rejected.has(sha256)) ? 0 : 1,
        )
      }),
      { numRuns: 2000 },
    )
  })
})
