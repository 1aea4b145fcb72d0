import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Demographics } from '../../src/direct/clinical.js'
import type { PersonName } from '../../src/direct/datatypes.js'
import { matchPatient } from '../../src/record/match.js'
import { date } from './statements.js'

const legal: PersonName = { given: ['Nora', 'Jane'], family: 'Öhman', use: 'L' }
const sex = (code: string) => ({
  codings: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-AdministrativeGender', code }],
})
const number = { root: '1.2.3', value: '4711' }
const home = { lines: ['1 Elm St.'], postalCode: '04101-1234' }

function person(given: Partial<Demographics> = {}): Demographics {
  return {
    type: 'demographics',
    names: [legal],
    birthDate: date('1970-08-01'),
    gender: sex('F'),
    races: [],
    ethnicities: [],
    languages: [],
    addresses: [],
    telecoms: [],
    identifiers: [],
    ...given,
  }
}

const named = (name: Partial<PersonName>) => person({ names: [{ given: ['Nora'], family: 'Ohman', ...name }] })

describe('matching a patient', () => {
  it.each([
    ['the same person', person(), 'match'],
    ['another spelling', named({ family: 'OHMAN' }), 'match'],
    ['an initial', named({ given: ['N.'] }), 'match'],
    ['her second name as the first', named({ given: ['Jane'] }), 'match'],
    ['a name not taken apart', person({ names: [{ given: [], text: 'Öhman, Nora' }] }), 'match'],
    ['a former name beside the new', person({ names: [{ given: ['Nora'], family: 'Berg' }, legal] }), 'match'],
    ['a new name alone', named({ family: 'Berg' }), 'unknown'],
    [
      'a new name with the same number',
      person({ names: [{ given: ['Nora'], family: 'Berg' }], identifiers: [number] }),
      'match',
    ],
    ['a year of birth alone', person({ birthDate: date('1970') }), 'unknown'],
    ['a year of birth at the same address', person({ birthDate: date('1970'), addresses: [home] }), 'match'],
    ['sex not told', person({ gender: sex('UN') }), 'match'],
    ['another birth date', person({ birthDate: date('1970-01-08') }), 'mismatch'],
    ['a slip in the birth date', person({ birthDate: date('1970-01-08'), identifiers: [number] }), 'unknown'],
    [
      'a twin at the same address',
      person({ names: [{ given: ['Vera'], family: 'Öhman' }], addresses: [home] }),
      'mismatch',
    ],
    ['another sex', person({ gender: sex('M') }), 'unknown'],
    ['a brother', person({ names: [{ given: ['Nils'], family: 'Öhman' }], gender: sex('M') }), 'mismatch'],
    [
      'somebody else with a copied number',
      person({ names: [{ given: ['Ola'], family: 'Berg' }], birthDate: date('1950-01-01'), identifiers: [number] }),
      'mismatch',
    ],
    ['a number alone', person({ names: [], birthDate: undefined as never, identifiers: [number] }), 'unknown'],
    ['nothing', person({ names: [] }), 'unknown'],
  ])('calls %s so', (_, document, kind) => {
    const known = person({ identifiers: [number], addresses: [home] })
    expect(matchPatient(document, known)).toMatchObject({ kind })
  })

  it('knows nobody before the record does', () => {
    expect(matchPatient(person(), undefined).kind).toBe('unknown')
    expect(matchPatient(undefined, person()).kind).toBe('unknown')
  })

  it('asks where two social security numbers differ', () => {
    const social = (value: string) => person({ identifiers: [{ root: '2.16.840.1.113883.4.1', value }] })
    expect(matchPatient(social('111-00-2222'), social('111002222')).kind).toBe('match')
    expect(matchPatient(social('111-00-2223'), social('111002222')).kind).toBe('unknown')
  })

  it('tells reasons without what was compared, both ways alike, whatever the names are', () => {
    const text = fc.string({ unit: 'binary', maxLength: 20 })
    const anyone = fc
      .record({
        given: fc.array(text, { maxLength: 3 }),
        family: text,
        birth: fc.constantFrom('1970', '1970-08-01', 'x'),
      })
      .map(({ given, family, birth }) => person({ names: [{ given, family }], birthDate: date(birth) }))
    fc.assert(
      fc.property(anyone, anyone, (one, other) => {
        const { kind, reasons } = matchPatient(one, other)
        expect(matchPatient(other, one).kind).toBe(kind)
        for (const reason of reasons)
          expect(reason).toMatch(
            /^(name|birth date|sex|identifier|home) (agrees|agrees in part|differs|cannot be compared)$/,
          )
      }),
      { numRuns: 1000 },
    )
  })
})
