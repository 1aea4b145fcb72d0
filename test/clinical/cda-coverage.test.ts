import { describe, expect, it } from 'vitest'
import { cd, codesIn, loinc, of, read, roleCode, sct, section, t } from './cda-document.js'

const policy = (more = '') => `<act classCode="ACT" moodCode="EVN">${t('4.61')}<id root="1.2.3" extension="GRP-7"/>
  <code code="12" codeSystem="2.16.840.1.113883.6.255.1336" displayName="Medicare"><translation code="2" codeSystem="2.16.840.1.113883.3.221.5"/></code>
  <statusCode code="completed"/>
  <performer typeCode="PRF">${t('4.87')}<assignedEntity><id root="2.16.840.1.113883.6.300" extension="99"/>
    <code code="PAYOR" codeSystem="2.16.840.1.113883.5.110"/><telecom value="tel:+1-555-555-0100"/>
    <representedOrganization><name>Sample Insurance</name></representedOrganization></assignedEntity></performer>
  <performer typeCode="PRF">${t('4.88')}<assignedEntity><id root="1.2.3" extension="g"/><code code="GUAR" ${roleCode}/>
    <assignedPerson><name><given>Gus</given><family>Sample</family></name></assignedPerson></assignedEntity></performer>
  <participant typeCode="COV">${t('4.89')}<time><low value="2011"/></time><participantRole classCode="PAT">
    <id root="1.2.3.9" extension="M-1"/><code code="SPO" ${roleCode} displayName="Spouse"/></participantRole></participant>
  <participant typeCode="HLD">${t('4.90')}<participantRole><id root="1.2.3.9" extension="S-1"/>
    <playingEntity><name>Sid Sample</name><sdtc:birthTime value="197505"/></playingEntity></participantRole></participant>${more}</act>`
const coverage = (inner: string, sequence = '') => `<act classCode="ACT" moodCode="EVN">${t('4.60')}
  <code code="48768-6" ${loinc}/><statusCode code="completed"/><entryRelationship typeCode="COMP">${sequence}${inner}</entryRelationship></act>`

describe('insurance', () => {
  it('is one item for each policy, with its parties', async () => {
    const more = `<entryRelationship typeCode="REFR"><act classCode="ACT" moodCode="EVN">${t('2.16.840.1.113883.10.20.1.19')}<code nullFlavor="NA"/>
        <entryRelationship typeCode="SUBJ"><procedure classCode="PROC" moodCode="PRMS"><code code="73761001" ${sct}/></procedure></entryRelationship></act></entryRelationship>
      <entryRelationship typeCode="REFR"><act classCode="ACT" moodCode="DEF"><code nullFlavor="UNK"/><text>Gold Plan</text></act></entryRelationship>`
    const part = await read(section('48768-6', '', [coverage(policy(more), '<sequenceNumber value="2"/>')]))
    const [item] = of(part, 'insurance')
    expect(item?.content).toMatchObject({
      coverage: { codings: [{ code: '12' }, { code: '2' }] },
      planName: 'Gold Plan',
      payer: { kind: 'organization', text: 'Sample Insurance', telecoms: [{ value: 'tel:+1-555-555-0100' }] },
      memberIdentifiers: [{ root: '1.2.3.9', value: 'M-1' }],
      groupNumber: 'GRP-7',
      relationship: { codings: [{ code: 'SPO' }] },
      subscriber: { text: 'Sid Sample' },
      subscriberBirthDate: { text: '1975-05', precision: 'month' },
      guarantor: { text: 'Gus Sample' },
      priority: '2',
      authorizations: [{ codings: [{ code: '73761001' }] }],
    })
    expect(item?.when).toMatchObject({ low: { text: '2011', precision: 'year' } })
    expect(item).not.toHaveProperty('performers')
    expect(part.items).toHaveLength(2)
  })

  it('that is planned is no coverage yet', async () => {
    const planned = coverage(policy().replace('moodCode="EVN"', 'moodCode="INT"')).replace('4.60', '4.129')
    expect(of(await read(section('18776-5', '', [planned])), 'insurance')).toMatchObject([{ intent: 'planned' }])
  })
})

describe('advance directives', () => {
  const directive = (attributes = '') => `<observation classCode="OBS" moodCode="EVN"${attributes}>${t('4.48')}
    <code code="304251008" ${sct} displayName="Resuscitation"><translation code="75320-2" ${loinc}/></code><statusCode code="completed"/>
    <effectiveTime><low value="20110213"/><high nullFlavor="NA"/></effectiveTime><value ${cd('304253006', 'Do not resuscitate')}/>
    <participant typeCode="VRF">${t('2.16.840.1.113883.10.20.1.58')}<time value="20110214"/><participantRole><playingEntity><name>Vera Sample</name></playingEntity></participantRole></participant>
    <participant typeCode="CST"><participantRole classCode="AGNT"><telecom value="tel:+1-555-555-0101"/><playingEntity><name>Cas Sample</name></playingEntity></participantRole></participant>
    <reference typeCode="REFR"><externalDocument><id root="b50b7910-7ffb-4f4c-bbe4-177ed68cbbf3"/>
      <text mediaType="application/pdf"><reference value="AD.pdf"/></text></externalDocument></reference></observation>`

  it('name who verified and who keeps them, and the paper', async () => {
    const [item] = of(await read(section('42348-3', '', [directive()])), 'advance-directive')
    expect(codesIn(item?.content)).toEqual(['304251008', '75320-2', '304253006'])
    expect(item?.content).toMatchObject({
      verifiers: [{ text: 'Vera Sample', at: { text: '2011-02-14' } }],
      agents: [{ text: 'Cas Sample', telecoms: [{ value: 'tel:+1-555-555-0101' }] }],
      documents: [{ mediaType: 'application/pdf', reference: 'AD.pdf' }],
    })
    expect(item?.when).toMatchObject({ low: { text: '2011-02-13' } })
  })

  it('in an organizer are items each; the heading is none, a directive of its own is', async () => {
    const organizer = (code: string) => `<organizer classCode="CLUSTER" moodCode="EVN" negationInd="true">${t('4.108')}
      <code code="${code}" ${loinc}/><component>${directive()}</component><component>${directive(' negationInd="false"')}</component></organizer>`
    const heading = of(await read(section('42348-3', '', [organizer('42348-3')])), 'advance-directive')
    expect(heading.map((one) => one.negated)).toEqual([true, true])
    expect(of(await read(section('42348-3', '', [organizer('64298-3')])), 'advance-directive')).toHaveLength(3)
  })
})

describe('care teams', () => {
  it('have a name, a kind and members with their parts', async () => {
    const member = `<act classCode="PCPR" moodCode="EVN">${t('4.500.1')}<code code="85847-2" ${loinc}/><statusCode code="active"/>
      <effectiveTime><low value="201810"/></effectiveTime><performer typeCode="PRF"><sdtc:functionCode code="PCP" codeSystem="2.16.840.1.113883.5.88"/>
      <assignedEntity><id root="2.16.840.1.113883.4.6" extension="1999990001"/><telecom value="tel:+1-555-555-0102"/>
      <assignedPerson><name>Pat Specimen</name></assignedPerson></assignedEntity></performer></act>`
    const kind = `<observation classCode="OBS" moodCode="EVN">${t('4.500.2')}<code code="86744-0" ${loinc}/><value ${cd('LA27976-2', 'Episode', loinc)}/></observation>`
    const team = `<organizer classCode="CLUSTER" moodCode="EVN">${t('4.500')}<code code="86744-0" ${loinc}><originalText>My team</originalText></code>
      <statusCode code="active"/><component>${kind}</component><component>${member}</component></organizer>`
    const items = of(await read(section('85847-2', '', [team])), 'care-team')
    expect(items).toMatchObject([
      {
        content: {
          name: 'My team',
          kind: { codings: [{ code: 'LA27976-2' }] },
          members: [
            {
              agent: {
                text: 'Pat Specimen',
                role: { codings: [{ code: 'PCP' }] },
                telecoms: [{ value: 'tel:+1-555-555-0102' }],
              },
              when: { low: { text: '2018-10', precision: 'month' } },
              status: 'active',
            },
          ],
        },
        status: { folded: 'active' },
      },
    ])
  })
})
