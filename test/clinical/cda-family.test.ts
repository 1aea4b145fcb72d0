import { describe, expect, it } from 'vitest'
import { cd, of, read, roleCode, sct, section, t } from './cda-document.js'

const condition = (code: string, name: string, more = '', negated = false) => `
  <observation classCode="OBS" moodCode="EVN"${negated ? ' negationInd="true"' : ''}>${t('4.46')}
    <code code="64572001" ${sct} displayName="Condition"/><statusCode code="completed"/>
    <effectiveTime value="1994"/><value ${cd(code, name)}/>${more}</observation>`
const age = (
  value: string,
) => `<entryRelationship typeCode="SUBJ" inversionInd="true"><observation classCode="OBS" moodCode="EVN">
  ${t('4.31')}<code code="445518008" ${sct}/><value xsi:type="PQ" value="${value}" unit="a"/></observation></entryRelationship>`
const death = (
  more = '',
) => `<entryRelationship typeCode="CAUS"><observation classCode="OBS" moodCode="EVN">${t('4.47')}
  <code code="ASSERTION" codeSystem="2.16.840.1.113883.5.4"/><value ${cd('419099009', 'Dead')}/>${more}</observation></entryRelationship>`
const relative = (code: string, person: string, observations: readonly string[]) => `
  <organizer classCode="CLUSTER" moodCode="EVN">${t('4.45')}<statusCode code="completed"/>
    <subject><relatedSubject classCode="PRS"><code code="${code}" ${roleCode} displayName="${code}"/>
      <subject>${person}</subject></relatedSubject></subject>
    ${observations.map((one) => `<component>${one}</component>`).join('')}</organizer>`

describe('family history', () => {
  it('is one item for each relative, with the conditions in it', async () => {
    const part = await read(
      section('10157-6', '', [
        relative(
          'FTH',
          `<administrativeGenderCode code="M" codeSystem="2.16.840.1.113883.5.1"/><birthTime value="1912"/>
           <sdtc:deceasedInd value="true"/><sdtc:deceasedTime value="196906"/>`,
          [
            condition('22298006', 'Myocardial infarction', age('40') + death(age('57'))),
            condition('195967001', 'Asthma', '', true),
          ],
        ),
        relative('MTH', '<sdtc:deceasedInd value="false"/>', [condition('44054006', 'Diabetes')]),
      ]),
    )
    const [father, mother] = of(part, 'family-history')
    expect(father?.content).toMatchObject({
      birthDate: { text: '1912', precision: 'year' },
      deceased: true,
      deathDate: { text: '1969-06', precision: 'month' },
      ageAtDeath: { value: '57', unit: 'a' },
    })
    expect(father?.content.relation.codings).toMatchObject([{ code: 'FTH' }])
    expect(father?.content.conditions).toMatchObject([
      {
        condition: { codings: [{ code: '22298006' }] },
        kind: { codings: [{ code: '64572001' }] },
        when: { value: { text: '1994', precision: 'year' } },
        ageAtOnset: { value: '40', unit: 'a' },
        causedDeath: true,
        negated: false,
      },
      { condition: { codings: [{ code: '195967001' }] }, negated: true },
    ])
    expect(father?.content.conditions[1]).not.toHaveProperty('causedDeath')
    expect(mother?.content).toMatchObject({ deceased: false, conditions: [{ negated: false }] })
    expect(part.entries.map((one) => one.kind)).toEqual(['items', 'items'])
  })

  it('says nothing of death where nobody did', async () => {
    const part = await read(section('10157-6', '', [relative('SIS', '', [condition('44054006', 'Diabetes')])]))
    expect(of(part, 'family-history')[0]?.content).not.toHaveProperty('deceased')
  })

  it('does not take a denied death for one', async () => {
    const alive = death().replace('moodCode="EVN"', 'moodCode="EVN" negationInd="true"')
    const part = await read(section('10157-6', '', [relative('SIS', '', [condition('44054006', 'Diabetes', alive)])]))
    expect(of(part, 'family-history')[0]?.content).not.toHaveProperty('deceased')
    expect(of(part, 'family-history')[0]?.content.conditions[0]).not.toHaveProperty('causedDeath')
  })

  it('reads an observation without an organizer, by section alone', async () => {
    const alone = `<observation classCode="OBS" moodCode="EVN"><subject><relatedSubject classCode="PRS">
      <code code="BRO" ${roleCode} displayName="Brother"/></relatedSubject></subject>
      <code code="ASSERTION" codeSystem="2.16.840.1.113883.5.4"/><value ${cd('195967001', 'Asthma')}/></observation>`
    const [item] = of(await read(section('10157-6', '', [alone])), 'family-history')
    expect(item?.content.relation.text).toBe('Brother')
    expect(item?.content.conditions).toMatchObject([{ condition: { text: 'Asthma' } }])
    expect(item?.content.conditions[0]).not.toHaveProperty('kind')
  })
})
