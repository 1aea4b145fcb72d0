import { describe, expect, it } from 'vitest'
import { cd, codesIn, loinc, of, read, sct, section, t } from './cda-document.js'

const observation = (templates: string, code: string, value: string, more = '', attributes = 'moodCode="EVN"') => `
  <observation classCode="OBS" ${attributes}>${templates}${code}<statusCode code="completed"/>
    <effectiveTime value="20150622"/>${value}${more}</observation>`
const assertion = '<code code="ASSERTION" codeSystem="2.16.840.1.113883.5.4"/>'
const inside = (statement: string, type = 'COMP') =>
  `<entryRelationship typeCode="${type}">${statement}</entryRelationship>`

describe('social history', () => {
  it('reads smoking status as question and answer', async () => {
    const part = await read(
      section('29762-2', '', [
        observation(
          t('4.78'),
          `<code code="72166-2" ${loinc} displayName="Smoking status"/>`,
          `<value ${cd('8517006', 'Ex-smoker')}/>`,
        ),
      ]),
    )
    expect(of(part, 'social-history')).toMatchObject([
      {
        content: {
          test: { codings: [{ code: '72166-2' }] },
          value: { kind: 'concept', concept: { codings: [{ code: '8517006' }] } },
        },
        when: { value: { text: '2015-06-22', precision: 'day' } },
        negated: false,
      },
    ])
  })

  it('takes an assertion for what it asserts, and its denial for a denial', async () => {
    const due = observation(
      t('2.16.840.1.113883.10.20.15.3.1'),
      `<code code="11778-8" ${loinc} displayName="Delivery date"/>`,
      '<value xsi:type="TS" value="20160107"/>',
    )
    const pregnant = `<value ${cd('77386006', 'Pregnant')}/>`
    const template = t('2.16.840.1.113883.10.20.15.3.8')
    const part = await read(
      section('29762-2', '', [
        observation(template, assertion, pregnant, inside(due, 'REFR')),
        observation(template, assertion, pregnant, '', 'moodCode="EVN" negationInd="true"'),
      ]),
    )
    const [is, isNot] = of(part, 'social-history')
    expect(is?.content.test.codings).toMatchObject([{ code: '77386006' }])
    expect(is?.content.components).toMatchObject([
      { test: { codings: [{ code: '11778-8' }] }, value: { kind: 'date', date: { text: '2016-01-07' } } },
    ])
    expect([is?.negated, isNot?.negated]).toEqual([false, true])
  })

  it('keeps a value that is null as null', async () => {
    const part = await read(
      section('29762-2', '', [
        observation(
          t('4.38'),
          `<code code="160573003" ${sct} displayName="Alcohol"/>`,
          '<value xsi:type="CD" nullFlavor="ASKU"/>',
        ),
      ]),
    )
    expect(of(part, 'social-history')).toMatchObject([
      { content: { value: { kind: 'absent', nullFlavor: 'ASKU' } }, nullFlavor: 'ASKU' },
    ])
  })

  it('tells birth sex and gender identity of the patient, too, but no denied ones', async () => {
    const birth = (attributes: string) =>
      observation(t('4.200'), `<code code="76689-9" ${loinc}/>`, `<value ${cd('F', 'Female')}/>`, '', attributes)
    const identity = observation(
      t('2.16.840.1.113883.10.20.34.3.45'),
      `<code code="76691-5" ${loinc}/>`,
      `<value ${cd('446141000124107', 'Identifies as female')}/>`,
    )
    const told = await read(section('29762-2', '', [birth('moodCode="EVN"'), identity]))
    expect(of(told, 'demographics')[0]?.content).toMatchObject({
      birthSex: { codings: [{ code: 'F' }] },
      genderIdentity: { codings: [{ code: '446141000124107' }] },
    })
    const denied = await read(section('29762-2', '', [birth('moodCode="EVN" negationInd="true"')]))
    expect(of(denied, 'demographics')[0]?.content).not.toHaveProperty('birthSex')
  })
})

describe('functional and mental status', () => {
  const score = (code: string, value: string) =>
    inside(observation(t('4.86'), `<code code="${code}" ${loinc}/>`, `<value xsi:type="INT" value="${value}"/>`))

  it('reads a scale with its answers as components', async () => {
    const scale = observation(
      t('4.69'),
      `<code code="35088-4" ${loinc} displayName="Glasgow coma scale"/>`,
      '<value xsi:type="INT" value="9"/>',
      score('9267-6', '3') + score('9268-4', '6'),
    )
    const [item] = of(await read(section('47420-5', '', [scale])), 'functional-status')
    expect(item?.content.value).toEqual({ kind: 'quantity', quantity: { value: '9' } })
    expect(item?.content.components?.map((one) => [codesIn(one.test), one.value])).toEqual([
      [['9267-6'], { kind: 'quantity', quantity: { value: '3' } }],
      [['9268-4'], { kind: 'quantity', quantity: { value: '6' } }],
    ])
    expect((await read(section('29762-2', '', [scale]))).items.at(-1)?.content.type).toBe('social-history')
  })

  it('never makes a component of what is denied or only meant', async () => {
    const denied = observation(
      t('4.67'),
      `<code code="54522-8" ${loinc}/>`,
      `<value ${cd('282145008', 'Unable to walk')}/>`,
      '',
      'moodCode="EVN" negationInd="true"',
    )
    const outer = observation(
      t('4.67'),
      `<code code="54522-8" ${loinc}/>`,
      `<value ${cd('105504002', 'Cane')}/>`,
      inside(denied),
    )
    const items = of(await read(section('47420-5', '', [outer])), 'functional-status')
    expect(items.map((one) => [one.negated, codesIn(one.content).includes('282145008')])).toEqual([
      [true, true],
      [false, false],
    ])
  })

  it('shares the panel of an organizer, and its denial', async () => {
    const organizer = `<organizer classCode="CLUSTER" moodCode="EVN" negationInd="true">${t('4.66')}
      <code code="d5" codeSystem="2.16.840.1.113883.6.254" displayName="Self-care"/><statusCode code="completed"/>
      <component>${observation(t('4.67'), `<code code="54522-8" ${loinc}/>`, `<value ${cd('284785009', 'Dressing')}/>`)}</component></organizer>`
    const [item] = of(await read(section('47420-5', '', [organizer])), 'functional-status')
    expect(item?.content.panel).toMatchObject({ code: { codings: [{ code: 'd5' }] }, status: 'completed' })
    expect(item?.negated).toBe(true)
  })

  it.each(['4.68', '4.73'])(
    'reads problem-shaped findings (%s) and problem acts of its section with their status',
    async (root) => {
      const shaped = observation(
        t(root),
        `<code code="248536006" ${sct} displayName="Finding"/>`,
        `<value ${cd('105504002', 'Dependence on cane')}/>`,
      )
      const tracked = `<act classCode="ACT" moodCode="EVN">${t('2.16.840.1.113883.10.20.1.27')}<code nullFlavor="NA"/><statusCode code="active"/>
      ${inside(observation(t('2.16.840.1.113883.10.20.1.28'), assertion, `<value ${cd('386807006', 'Memory impairment')}/>`), 'SUBJ')}</act>`
      const part = await read(section('47420-5', '', [shaped, tracked]))
      expect(part.items.map((one) => one.content.type)).toEqual([
        'demographics',
        'functional-status',
        'functional-status',
      ])
      const [first, second] = of(part, 'functional-status')
      expect(codesIn(first?.content)).toEqual(['248536006', '105504002'])
      expect(codesIn(second?.content)).toEqual(['386807006'])
      expect(second?.status?.folded).toBe('active')
    },
  )
})

describe('concerns and risks', () => {
  const problem = observation(t('4.4'), assertion, `<value ${cd('409623005', 'Respiratory insufficiency')}/>`)

  it('never reads a risk as a problem of the patient', async () => {
    const risk = `<act classCode="ACT" moodCode="EVN">${t('4.136')}<code code="281694009" ${sct} displayName="At risk for"/>
      <statusCode code="active"/>${inside(problem, 'REFR')}</act>`
    const part = await read(section('75310-3', '', [risk]))
    expect(of(part, 'problem')).toEqual([])
    const [item] = of(part, 'functional-status')
    expect(codesIn(item?.content.test)).toEqual(['281694009'])
    expect(codesIn(item?.content.value)).toEqual(['409623005'])
  })

  it('reads the problems of a health concern, and what else is in it', async () => {
    const priority = observation(
      t('4.143'),
      `<code code="225773000" ${sct} displayName="Preference"/>`,
      `<value ${cd('394849002', 'High priority')}/>`,
    )
    const concern = `<act classCode="ACT" moodCode="EVN">${t('4.132')}<code code="75310-3" ${loinc}/><statusCode code="active"/>
      ${inside(problem, 'REFR')}${inside(priority, 'REFR')}</act>`
    const part = await read(section('75310-3', '', [concern]))
    expect(codesIn(of(part, 'problem')[0]?.content.problem)).toEqual(['409623005'])
    expect(codesIn(of(part, 'functional-status')[0]?.content.value)).toEqual(['394849002'])
    expect(part.entries).toMatchObject([{ kind: 'items' }])
  })
})
