import { describe, expect, it } from 'vitest'
import { cd, codesIn, loinc, of, read, sct, section, t } from './cda-document.js'

const coded = (code: string, name: string) => `<code code="${code}" ${sct} displayName="${name}"/>`
const inside = (statement: string, type = 'REFR') =>
  `<entryRelationship typeCode="${type}">${statement}</entryRelationship>`

describe('goals', () => {
  const goal = (root: string, more = '') => `<observation classCode="OBS" moodCode="GOL">${t(root)}
    <code code="59408-5" ${loinc} displayName="Oxygen saturation"/><statusCode code="active"/><effectiveTime value="20130902"/>
    <value xsi:type="IVL_PQ"><low value="92" unit="%"/></value>${more}</observation>`

  it.each(['4.121', '4.44', '2.16.840.1.113883.10.20.1.25'])(
    'are told by their mood, whatever their template (%s)',
    async (root) => {
      const part = await read(section('18776-5', '', [goal(root)]))
      expect(part.items.slice(1)).toMatchObject([
        {
          content: {
            type: 'goal',
            target: { kind: 'quantity', quantity: { value: '92', unit: '%', comparator: '>=' } },
          },
          intent: 'goal',
          mood: 'GOL',
        },
      ])
    },
  )

  it('have a priority, a reason and instructions', async () => {
    const more = [
      inside(
        `<observation classCode="OBS" moodCode="EVN">${t('4.143')}${coded('225773000', 'Preference')}<value ${cd('394849002', 'High')}/></observation>`,
        'RSON',
      ),
      inside(
        `<observation classCode="OBS" moodCode="EVN">${t('2.16.840.1.113883.10.20.24.3.88')}<code code="77301-0" ${loinc}/><value ${cd('32911000', 'Homeless')}/></observation>`,
        'RSON',
      ),
      inside(
        `<act classCode="ACT" moodCode="INT">${t('4.20')}${coded('311401005', 'Education')}<text>Breathe.</text></act>`,
        'SUBJ',
      ),
    ].join('')
    const [item] = of(await read(section('61146-7', '', [goal('4.121', more)])), 'goal')
    expect(codesIn(item?.content)).toEqual(['59408-5', '394849002', '32911000'])
    expect(item?.content.instructions).toBe('Breathe.')
  })
})

describe('plans and interventions', () => {
  it('keep to the mood of each statement', async () => {
    const act = (mood: string, root: string) =>
      `<act classCode="ACT" moodCode="${mood}">${t(root)}${coded('61310001', 'Nutrition education')}<statusCode code="active"/></act>`
    const part = await read(
      section('18776-5', '', [act('INT', '4.130'), act('INT', '4.20'), act('RQO', '4.140'), act('EVN', '4.141')]),
    )
    expect(part.items.slice(1).map((one) => [one.content.type, one.intent, one.status?.folded])).toEqual([
      ['plan', 'planned', 'planned'],
      ['plan', 'planned', 'planned'],
      ['plan', 'planned', 'planned'],
      ['plan', 'performed', 'active'],
    ])
  })

  it('read what an intervention holds, each as what it is', async () => {
    const intervention = `<act classCode="ACT" moodCode="INT">${t('4.131')}${coded('362956003', 'Intervention')}<statusCode code="active"/>
      ${inside(`<act classCode="ACT" moodCode="INT">${t('4.12')}${coded('423171007', 'Elevate head of bed')}</act>`)}
      ${inside(`<procedure classCode="PROC" moodCode="INT">${t('4.14')}${coded('371907003', 'Oxygen')}</procedure>`)}
      ${inside(`<act classCode="ACT" moodCode="EVN">${t('4.122')}<id root="1.2"/><code nullFlavor="NP"/></act>`, 'RSON')}</act>`
    const part = await read(section('62387-6', '', [intervention]))
    expect(part.items.slice(1).map((one) => [one.content.type, one.intent, codesIn(one.content)[0]])).toEqual([
      ['procedure', 'planned', '423171007'],
      ['procedure', 'planned', '371907003'],
    ])
  })

  it('explain an entry that only refers to others', async () => {
    const reference = `<act classCode="ACT" moodCode="EVN">${t('4.122')}<id root="1.2"/><code nullFlavor="NP"/></act>`
    const part = await read(section('62387-6', '', [reference]))
    expect(part.entries).toMatchObject([{ kind: 'unmapped', reason: 'it only refers to another entry' }])
  })

  it('never take an observation among goals for a finding', async () => {
    const stray = `<observation classCode="OBS" moodCode="EVN">${coded('289169006', 'Weight loss')}</observation>`
    const part = await read(section('61146-7', '', [stray]))
    expect(part.items.slice(1).map((one) => one.content.type)).toEqual(['plan'])
  })
})
