import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseUdi } from '../../src/clinical/cda/udi.js'
import { codesIn, of, read, sct, section, t } from './cda-document.js'

const fda = '2.16.840.1.113883.3.3719'
const udi = '(01)00848486001048(11)181015(10)ABC999(21)bi12342222(17)221000'
const instance = (
  id: string,
  code: string,
  type = 'PRD',
) => `<participant typeCode="${type}"><participantRole classCode="MANU">${t('4.37')}
  <id root="${fda}" extension="${id}"/><playingDevice><code code="${code}" ${sct} displayName="Device ${code}"/></playingDevice>
  <scopingEntity><desc>Sample Devices</desc></scopingEntity></participantRole></participant>`
const part = (code: string, value: string) => `<component><observation classCode="OBS" moodCode="EVN">
  <code code="${code}" codeSystem="2.16.840.1.113883.3.26.1.1"/>${value}</observation></component>`
const supply = (
  participants: string,
  attributes = 'moodCode="EVN"',
) => `<supply classCode="SPLY" ${attributes}>${t('4.50')}<id root="1.2" extension="s"/>
  <statusCode code="active"/><effectiveTime><low value="200001"/></effectiveTime><quantity value="2"/>${participants}</supply>`

describe('devices', () => {
  it('are what a supply supplies', async () => {
    const [item] = of(await read(section('46264-8', '', [supply(instance('x', '50121007'))])), 'device')
    expect(item?.content).toMatchObject({
      device: { codings: [{ code: '50121007' }] },
      manufacturer: 'Sample Devices',
      quantity: { value: '2' },
    })
    expect(item?.identifiers).toEqual([{ root: '1.2', value: 's' }])
    expect(item?.when).toMatchObject({ low: { text: '2000-01', precision: 'month' } })
  })

  it('are one item each where a supply holds several, and planned where it is', async () => {
    const two = supply(instance('x', '1') + instance('y', '2'), 'moodCode="RQO"')
    const items = of(await read(section('46264-8', '', [two])), 'device')
    expect(items.map((one) => [codesIn(one.content)[0], one.intent])).toEqual([
      ['1', 'planned'],
      ['2', 'planned'],
    ])
    expect(new Set(items.map((one) => one.id)).size).toBe(2)
  })

  it('of a procedure stand beside it, told apart by their UDI organizers', async () => {
    const organizer = `<entryRelationship typeCode="COMP"><organizer classCode="CLUSTER" moodCode="EVN">${t('4.311')}<id root="${fda}" extension="${udi}"/>
      ${part('C101722', '<value xsi:type="II" root="1.3.160" extension="00848486001048"/>')}${part('C101672', '<value xsi:type="ST">LOT-1</value>')}
      ${part('C71898', '<value xsi:type="ED">Brand</value>')}${part('C101669', '<value xsi:type="TS" value="201810"/>')}
      ${part('C106044', `<value xsi:type="CD" code="C113844" codeSystem="2.16.840.1.113883.3.26.1.1"/>`)}
      ${part('C160939', `<value xsi:type="CD" code="C45329" codeSystem="2.16.840.1.113883.3.26.1.1" displayName="Active"/>`)}</organizer></entryRelationship>`
    const procedure = `<procedure classCode="PROC" moodCode="EVN">${t('4.14')}<code code="73" ${sct} displayName="Implanting"/><statusCode code="completed"/>
      ${instance(udi, '2282003', 'DEV')}${instance('(01)00848486000400', '14106009', 'DEV')}${organizer}</procedure>`
    const read1 = await read(section('47519-4', '', [procedure]))
    const [first, second] = of(read1, 'device')
    expect(first?.content).toMatchObject({
      udi,
      deviceIdentifier: '00848486001048',
      lot: 'LOT-1',
      serial: 'bi12342222',
      brand: 'Brand',
      manufacturedAt: { text: '2018-10', precision: 'month' },
      expiresAt: { text: '2022-10', precision: 'month', source: '221000' },
      safety: [{ codings: [{ code: 'C113844' }] }],
    })
    expect(first?.status).toMatchObject({ folded: 'active', concept: { codings: [{ code: 'C45329' }] } })
    expect(second?.content).toMatchObject({ deviceIdentifier: '00848486000400' })
    expect(second?.content).not.toHaveProperty('lot')
    expect(of(read1, 'procedure')[0]?.content.devices.map((one) => one.codings[0]?.code)).toEqual([
      '2282003',
      '14106009',
    ])
  })

  it('that were not implanted are denied with their procedure', async () => {
    const none = `<procedure classCode="PROC" moodCode="EVN" negationInd="true">${t('4.14')}<code code="71388002" ${sct}/>${instance('x', '40388003', 'DEV')}</procedure>`
    expect(of(await read(section('46264-8', '', [none])), 'device').map((one) => one.negated)).toEqual([true])
  })
})

describe('unique device identifiers', () => {
  it.each([
    [
      '(01)51022222233336(11)141231(17)150707(10)A213B1(21)1234',
      { deviceIdentifier: '51022222233336', lot: 'A213B1', serial: '1234' },
    ],
    ['0151022222233336', { deviceIdentifier: '51022222233336' }],
    ['=/A9999XYZ100T0944=,000025=A99971312345600=>014032=}013032', { deviceIdentifier: 'A9999XYZ100T0944' }],
    ['+H123PARTNO1234567890120/$$420020216LOT123456789012345', { deviceIdentifier: 'H123PARTNO1234567890120' }],
  ])('are taken apart: %s', (text, parts) => expect(parseUdi(text)).toMatchObject(parts))

  it.each(['', 'nonsense', '(01)', '(11)999999', '+', '=/A', '('.repeat(400), '(01'.repeat(2000)])(
    'are left alone: %s',
    (text) => expect(parseUdi(text)).toEqual({}),
  )

  it('keep the characters of their dates, and invent no day', () => {
    expect(parseUdi('(11)160300').manufacturedAt).toEqual({
      text: '2016-03',
      precision: 'month',
      offsetMinutes: null,
      source: '160300',
    })
    expect(parseUdi('(17)160542')).toEqual({})
  })

  it('are never thrown at', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^\((01|10|11|17|21)\)[\d()A-Z]{0,40}$/)), (text) => {
        parseUdi(text)
      }),
    )
  })
})
