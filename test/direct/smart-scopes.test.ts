import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type AccessRule, permissions, permits } from '../../src/direct/access.js'
import type { RecordItem, RecordItemType } from '../../src/direct/clinical.js'
import {
  grantedScopes,
  narrowed,
  readScope,
  readScopes,
  type SmartScope,
  scopesOf,
  shapesOf,
  writeScope,
} from '../../src/direct/smart-scopes.js'
import { item } from '../record/read-document.js'

const laboratory = 'http://terminology.hl7.org/CodeSystem/observation-category|laboratory'

function scopes(text: string): readonly SmartScope[] {
  return readScopes(text).scopes
}

function rule(types: readonly RecordItemType[] | undefined, may = permissions.slice(), more: Partial<AccessRule> = {}) {
  return { name: 'r', reason: { en: 'why' }, permissions: may, ...(types && { types }), ...more } satisfies AccessRule
}

function observed(type: 'result' | 'vital-sign' | 'social-history', more: Partial<RecordItem> = {}): RecordItem {
  return item('1'.repeat(32), {
    content: { type, test: { codings: [], text: 'x' }, interpretations: [], referenceRanges: [] },
    ...more,
  })
}

/** Whether a token of these scopes over these rules may read an item. */
function reads(
  text: string,
  of: RecordItem,
  rules: readonly AccessRule[] | 'all' = 'all',
  by: 'by-id' | 'by-search' = 'by-id',
) {
  const day = of.when?.value?.text
  return permits(narrowed(rules, scopes(text)), 'read', of.content.type, day, { shapes: shapesOf(of), reading: by })
}

describe('reading scopes', () => {
  test('version 2 in its order, version 1 as what it means', () => {
    const told = (text: string) => readScope(text)?.interactions.join('')
    expect(told('patient/Observation.rs')).toBe('rs')
    expect(told('patient/Observation.cruds')).toBe('cruds')
    expect(told('patient/*.rs')).toBe('rs')
    expect(told('user/Patient.read')).toBe('rs')
    expect(told('system/Patient.write')).toBe('cud')
    expect(told('patient/Patient.*')).toBe('cruds')
    for (const wrong of ['sr', 'rr', '', 'x', 'reads', 'READ', '**'])
      expect(told(`patient/Patient.${wrong}`)).toBeUndefined()
  })

  test('what this server does not have, or cannot narrow by, is dropped; what is no scope for resources is told apart', () => {
    const read = readScopes(
      `openid launch/patient offline_access patient/Slot.rs patient/Observation.rs?code=1 patient/Observation.rs?category=x patient/__proto__.rs patient/Observation.rs?category=${laboratory} patient/Condition.rs?category=encounter-diagnosis&x=1 patient/Condition.rs?category=encounter-diagnosis`,
    )
    expect(read.others).toEqual(['openid', 'launch/patient', 'offline_access'])
    expect(read.scopes.map(writeScope)).toEqual([
      `patient/Observation.rs?category=${laboratory}`,
      'patient/Condition.rs?category=encounter-diagnosis',
    ])
    expect(read.dropped.length).toBe(5)
  })

  test('hostile text is never a throw, and a scope written reads back', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), (text) => {
        for (const scope of readScopes(`patient/Observation.${text} ${text}`).scopes)
          expect(readScope(writeScope(scope))).toEqual(scope)
      }),
      { numRuns: 2000 },
    )
    expect(readScopes('patient/Patient.rs '.repeat(1000)).scopes).toEqual([])
    expect(scopes(Array.from({ length: 300 }, (_, n) => `o${n}`).join(' '))).toEqual([])
  })
})

describe('scopes over rules', () => {
  test('give no more than either', () => {
    const result = observed('result')
    expect(reads('patient/Observation.rs', result)).toBe(true)
    expect(reads('patient/Condition.rs', result)).toBe(false)
    expect(reads('', result)).toBe(false)
    expect(reads('patient/*.rs', result, [rule(['problem'])])).toBe(false)
    expect(reads('patient/*.cud', result)).toBe(false)
    expect(reads('patient/*.rs', result, [rule(['result'], ['create'])])).toBe(false)
    expect(narrowed('all', scopes('patient/Observation.c')).flatMap((one) => one.permissions)).toEqual(['create'])
  })

  test('dates of a rule stay', () => {
    const dated = observed('result', {
      when: { value: { text: '2020-01-01', precision: 'day', offsetMinutes: null, source: '' } },
    })
    expect(reads('patient/*.rs', dated, [rule(['result'], ['read'], { from: '2020-01-01' })])).toBe(true)
    expect(reads('patient/*.rs', dated, [rule(['result'], ['read'], { from: '2020-01-02' })])).toBe(false)
  })

  test('a category narrows to its kind of item, and a kind to its section', () => {
    const narrow = `patient/Observation.rs?category=${laboratory}`
    expect(reads(narrow, observed('result'))).toBe(true)
    expect(reads(narrow, observed('vital-sign'))).toBe(false)
    expect(reads('patient/Observation.rs?category=vital-signs', observed('vital-sign'))).toBe(true)
    const imaging = observed('result')
    const picture = {
      ...imaging,
      content: { ...imaging.content, test: { codings: [{ system: 'http://loinc.org', code: '18748-4' }] } },
    } as RecordItem
    expect(reads(narrow, picture)).toBe(false)
    const problem = item('2'.repeat(32), {})
    const diagnosis = item('3'.repeat(32), { provenance: { ...problem.provenance, section: '46240-8' } })
    const only = 'patient/Condition.rs?category=encounter-diagnosis'
    expect([reads(only, diagnosis), reads(only, problem)]).toEqual([true, false])
  })

  test('what is planned is no Observation, and what is one is no Goal', () => {
    const planned = observed('result', { intent: 'planned' })
    expect(reads('patient/Observation.rs', planned)).toBe(false)
    expect(reads('patient/ServiceRequest.rs', planned)).toBe(true)
    expect(reads('patient/Goal.rs', observed('result'))).toBe(false)
    expect(reads('patient/Goal.rs', observed('result', { intent: 'goal' }))).toBe(true)
  })

  test('r alone finds nothing, s alone reads nothing by id', () => {
    const one = observed('result')
    expect(reads('patient/Observation.r', one, 'all', 'by-search')).toBe(false)
    expect(reads('patient/Observation.r', one, 'all', 'by-id')).toBe(true)
    expect(reads('patient/Observation.s', one, 'all', 'by-id')).toBe(false)
    expect(reads('patient/Observation.s', one, 'all', 'by-search')).toBe(true)
  })

  test('narrowing twice gives what both give', () => {
    const twice = narrowed(
      narrowed('all', scopes('patient/Observation.rs patient/Condition.rs')),
      scopes('patient/*.r'),
    )
    const one = observed('result')
    expect(permits(twice, 'read', 'result', undefined, { shapes: shapesOf(one), reading: 'by-id' })).toBe(true)
    expect(permits(twice, 'read', 'result', undefined, { shapes: shapesOf(one), reading: 'by-search' })).toBe(false)
    expect(narrowed(narrowed('all', scopes('patient/Observation.rs')), scopes('patient/Condition.rs'))).toEqual([])
  })

  test('who does not say as what an item is seen is not let in by a scope', () => {
    expect(permits(narrowed('all', scopes('patient/Observation.rs')), 'read', 'result')).toBe(false)
    expect(permits(narrowed('all', scopes('patient/*.rs')), 'read', 'result')).toBe(true)
  })
})

describe('scopes that rules give', () => {
  const told = (asked: string, rules: readonly AccessRule[] | 'all') =>
    grantedScopes(scopes(asked), rules).map(writeScope)

  test('whole where the rules are, else by type, interaction and category', () => {
    expect(told('patient/*.rs', 'all')).toEqual(['patient/*.rs'])
    expect(told('patient/*.rs', [rule(undefined, ['read'])])).toEqual(['patient/*.rs'])
    expect(told('patient/AllergyIntolerance.cruds', [rule(['allergy'], ['read'])])).toEqual([
      'patient/AllergyIntolerance.rs',
    ])
    expect(told('patient/*.rs', [rule(['allergy'], ['read'])])).toEqual([
      'patient/AllergyIntolerance.rs',
      'patient/Provenance.rs',
    ])
    expect(told('patient/Observation.rs', [rule(['vital-sign'], ['read'])])).toEqual([
      'patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|vital-signs',
    ])
    expect(told('patient/Goal.rs patient/Observation.rs', [rule(['goal'], ['read'])])).toEqual(['patient/Goal.rs'])
    expect(told('patient/*.cruds', [])).toEqual([])
  })

  test('a rule set as scopes lets through what the rules do', () => {
    const rules = [rule(['result', 'problem'], ['read', 'create'])]
    const granted = scopesOf(rules)
    expect(granted.map(writeScope)).toContain('patient/Condition.crs')
    expect(
      permits(narrowed(rules, granted), 'read', 'result', undefined, { shapes: shapesOf(observed('result')) }),
    ).toBe(true)
    expect(grantedScopes(granted, rules)).toEqual(granted)
  })

  test('of any rules and any asking, what is granted is allowed by both', () => {
    const types = fc.subarray(['result', 'vital-sign', 'problem', 'allergy', 'demographics'] as RecordItemType[], {
      minLength: 1,
    })
    const any = fc.record({ types, may: fc.subarray([...permissions], { minLength: 1 }) })
    const asked = fc.subarray(
      [
        'patient/*.rs',
        'patient/*.cruds',
        'patient/Observation.cs',
        `patient/Observation.r?category=${laboratory}`,
        'patient/Condition.u',
        'patient/Patient.r',
      ],
      { minLength: 1 },
    )
    fc.assert(
      fc.property(fc.array(any, { maxLength: 3 }), asked, (all, texts) => {
        const rules = all.map(({ types: some, may }) => rule(some, may))
        const granted = grantedScopes(scopes(texts.join(' ')), rules)
        for (const of of [observed('result'), observed('vital-sign'), item('2'.repeat(32), {})]) {
          for (const permission of permissions) {
            for (const reading of ['by-id', 'by-search'] as const) {
              const seen = { shapes: shapesOf(of), reading }
              const through = permits(narrowed('all', granted), permission, of.content.type, undefined, seen)
              const both =
                permits(rules, permission, of.content.type) &&
                permits(narrowed('all', scopes(texts.join(' '))), permission, of.content.type, undefined, seen)
              expect(through, `${texts} over ${JSON.stringify(rules)}`).toBe(both)
            }
          }
        }
      }),
      { numRuns: 1000 },
    )
  })
})
