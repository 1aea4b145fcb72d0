import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readDocument } from '../../src/clinical/read.js'
import type { RecordItem } from '../../src/direct/clinical.js'
import type { PartialDate } from '../../src/direct/datatypes.js'
import { subjectOf } from '../../src/direct/subject.js'
import { ccd21 } from '../fixtures/clinical/documents.js'

const sct = 'codeSystem="2.16.840.1.113883.6.96"'
const ccda = '2.16.840.1.113883.10.20.22.4'
const t = (root: string) => `<templateId root="${root}"/>`
const patient =
  '<recordTarget><patientRole><id root="1.2.3" extension="P1"/><patient><name>Kim Invented</name><administrativeGenderCode code="F"/><birthTime value="1970"/></patient></patientRole></recordTarget>'
const section = (loinc: string, entries: string, text = '', more = '') =>
  `<component><section><code code="${loinc}" codeSystem="2.16.840.1.113883.6.1"/>${more}<text>${text}</text>${entries}</section></component>`
const document = (sections: string, header = patient) =>
  `<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:sdtc="urn:hl7-org:sdtc">${header}<component><structuredBody>${sections}</structuredBody></component></ClinicalDocument>`

const read = async (text: string) => {
  const [part] = (await readDocument(Buffer.from(text))).documents
  if (part === undefined) throw new Error('no document')
  return part
}
const entry = (statement: string) => `<entry>${statement}</entry>`
const relation = (typeCode: string, statement: string) =>
  `<entryRelationship typeCode="${typeCode}">${statement}</entryRelationship>`
const first = async (loinc: string, statement: string, text = ''): Promise<RecordItem> => {
  const { items } = await read(document(section(loinc, entry(statement), text)))
  const found = items.find((one) => one.content.type !== 'demographics' && one.content.type !== 'note')
  if (found === undefined) throw new Error('no item')
  return found
}
const cd = (code: string, more = '') => `<value xsi:type="CD" code="${code}" ${sct}>${more}</value>`

describe('the header', async () => {
  const header = `<id root="1.1" extension="D2"/><code code="34133-9"/><title>Summary</title><confidentialityCode code="R" codeSystem="2.16.840.1.113883.5.25"/><setId root="1.1" extension="S"/><versionNumber value="2"/>
    <recordTarget><patientRole><id root="1.2.3" extension="P1"/><patient><name use="L"><given>Kim</given><family>Invented</family></name><administrativeGenderCode code="F" codeSystem="2.16.840.1.113883.5.1"/><birthTime value="1970"/><sdtc:deceasedInd value="true"/><sdtc:deceasedTime value="201502"/><religiousAffiliationCode code="1013" codeSystem="2.16.840.1.113883.5.1076" displayName="Invented"/><sdtc:raceCode code="2028-9"/><guardian><code code="MTH" codeSystem="2.16.840.1.113883.5.111"/><telecom value="tel:555-0101"/><guardianPerson><name>Mo Invented</name></guardianPerson></guardian><birthplace><place><addr><city>Sampleton</city></addr></place></birthplace><languageCommunication><languageCode code="en"/></languageCommunication><languageCommunication><languageCode code="es"/><preferenceInd value="true"/></languageCommunication></patient><providerOrganization><id root="2.16.840.1.113883.4.6" extension="1"/><name>Sample Clinic</name></providerOrganization></patientRole></recordTarget>
    <recordTarget><patientRole><id root="1.2.3" extension="P2"/><patient><name>Somebody Else</name><birthTime value="1980"/></patient></patientRole></recordTarget>
    <author><time value="201506221030-0500"/><assignedAuthor><id root="2.16.840.1.113883.4.6" extension="42"/><code code="207Q00000X" codeSystem="2.16.840.1.113883.6.101"/><assignedPerson><name><given>Pat</given><family>Specimen</family></name></assignedPerson><representedOrganization><name>Sample Clinic</name></representedOrganization></assignedAuthor></author>
    <author><time value="2015"/><assignedAuthor><id root="1.2.9" extension="dev"/><assignedAuthoringDevice><manufacturerModelName>Model</manufacturerModelName><softwareName>Chart 9</softwareName></assignedAuthoringDevice></assignedAuthor></author>
    <informant><relatedEntity classCode="PRS"><relatedPerson><name>Mo Invented</name></relatedPerson></relatedEntity></informant>
    <custodian><assignedCustodian><representedCustodianOrganization><id root="1.9"/><name>Sample Keeper</name></representedCustodianOrganization></assignedCustodian></custodian>
    <legalAuthenticator><time value="20150623"/><signatureCode code="S"/><assignedEntity><id root="2.16.840.1.113883.4.6" extension="42"/></assignedEntity></legalAuthenticator>
    <participant typeCode="IND"><associatedEntity classCode="ECON"><associatedPerson><name>Al Invented</name></associatedPerson></associatedEntity></participant>
    <documentationOf><serviceEvent classCode="PCPR"><effectiveTime><low value="2014"/><high value="2015"/></effectiveTime><performer typeCode="PRF"><functionCode code="PCP" codeSystem="2.16.840.1.113883.5.88"/><time><low value="2014"/></time><assignedEntity><id root="2.16.840.1.113883.4.6" extension="42"/></assignedEntity></performer></serviceEvent></documentationOf>
    <relatedDocument typeCode="RPLC"><parentDocument><id root="1.1" extension="D1"/></parentDocument></relatedDocument>
    <componentOf><encompassingEncounter><id root="1.3" extension="E"/><code code="AMB" codeSystem="2.16.840.1.113883.5.4"/><effectiveTime value="20150622"/><responsibleParty><assignedEntity><id root="2.16.840.1.113883.4.6" extension="42"/></assignedEntity></responsibleParty><location><healthCareFacility><code code="1160-1" displayName="Urgent Care"/><location><name>Sample Wing</name></location></healthCareFacility></location></encompassingEncounter></componentOf>`
  const { item, items, diagnostics } = await read(
    document(
      section(
        '46240-8',
        entry(
          `<encounter classCode="ENC" moodCode="EVN"><id root="1.3" extension="E"/><code code="99213" codeSystem="2.16.840.1.113883.6.12"/></encounter>`,
        ),
      ),
      header,
    ),
  )

  it('tells custodian, version, what it replaces, who wrote and who signed', () => {
    expect(item).toMatchObject({
      content: {
        custodian: { kind: 'organization', text: 'Sample Keeper' },
        set: { root: '1.1', value: 'S' },
        versionNumber: '2',
        related: [{ kind: 'RPLC', identifiers: [{ root: '1.1', value: 'D1' }] }],
      },
      recordedAt: { text: '2015' },
      labels: [{ code: 'R' }],
      performers: [{ text: 'Pat Specimen', role: { codings: [{ code: 'LA' }, { code: '207Q00000X' }] } }],
      provenance: {
        authors: [
          {
            kind: 'person',
            text: 'Pat Specimen',
            organization: 'Sample Clinic',
            role: { codings: [{ code: '207Q00000X' }] },
            identifiers: [{ root: '2.16.840.1.113883.4.6', value: '42' }],
            at: { text: '2015-06-22T10:30', offsetMinutes: -300 },
          },
          { kind: 'device', text: 'Chart 9', at: { text: '2015' } },
        ],
        informants: [{ kind: 'person', text: 'Mo Invented' }],
      },
    })
    expect(item.provenance.authors[0]).not.toHaveProperty('telecoms')
  })

  it('tells who the patient is, and reads no second one', () => {
    const people = items.filter((one) => one.content.type === 'demographics')
    expect(people).toHaveLength(1)
    expect(people[0]?.content).toMatchObject({
      deceased: true,
      deathDate: { text: '2015-02', precision: 'month' },
      religion: { text: 'Invented' },
      races: [{ codings: [{ code: '2028-9' }] }],
      languages: ['en', 'es'],
      preferredLanguage: 'es',
      birthPlace: { city: 'Sampleton' },
      provider: { text: 'Sample Clinic' },
      contacts: [
        { text: 'Mo Invented', role: { codings: [{ code: 'MTH' }] }, telecoms: [{ value: 'tel:555-0101' }] },
        { text: 'Al Invented', role: { codings: [{ code: 'ECON' }] } },
      ],
    })
    expect(JSON.stringify(items)).not.toContain('Somebody Else')
    expect(diagnostics.filter((one) => one.where === 'ClinicalDocument[1]/recordTarget[2]')).toHaveLength(1)
  })

  it('has a care team, and an encounter that its entry completes', () => {
    expect(items.find((one) => one.content.type === 'care-team')).toMatchObject({
      content: {
        members: [
          { agent: { text: 'Pat Specimen', role: { codings: [{ code: 'PCP' }] } }, when: { low: { text: '2014' } } },
        ],
      },
      when: { low: { text: '2014' }, high: { text: '2015' } },
    })
    const encounters = items.filter((one) => one.content.type === 'encounter')
    expect(encounters).toHaveLength(1)
    expect(encounters[0]).toMatchObject({
      content: {
        encounter: { codings: [{ code: '99213' }] },
        class: { codings: [{ code: 'AMB' }] },
        locations: ['Sample Wing'],
        locationKinds: [{ text: 'Urgent Care' }],
      },
      when: { value: { text: '2015-06-22' } },
      performers: [{ text: 'Pat Specimen' }],
    })
  })

  it('says what is missing to tell the patient apart', async () => {
    const bare = await read(
      document('', '<recordTarget><patientRole><patient><name>Kim</name></patient></patientRole></recordTarget>'),
    )
    expect(bare.diagnostics).toMatchObject([{ code: 'patient-incomplete', detail: 'missing: birth date, sex' }])
  })
})

describe('what any statement carries', () => {
  const problem = (inner: string, attributes = '') =>
    `<observation classCode="OBS" moodCode="EVN" ${attributes}>${t(`${ccda}.4`)}${inner}</observation>`

  it('performers, comments, references and qualifiers', async () => {
    const item = await first(
      '11450-4',
      problem(
        `<id root="1.5" extension="x"/>${cd('195967001', `<qualifier><name code="272741003" ${sct}/><value code="7771000" ${sct} displayName="Left"/></qualifier><translation code="J45" codeSystem="2.16.840.1.113883.6.90"><translation code="493" codeSystem="2.16.840.1.113883.6.103"/></translation>`)}
         <targetSiteCode code="39607008" ${sct}><qualifier><name code="272741003"/><value code="24028007"/></qualifier></targetSiteCode>
         <performer><assignedEntity><id root="1.7" extension="1"/><assignedPerson><name>Pat Specimen</name></assignedPerson></assignedEntity></performer>
         ${relation('SUBJ', `<act>${t(`${ccda}.64`)}<code code="48767-8"/><text>Watch this.</text></act>`)}
         ${relation('REFR', `<act>${t(`${ccda}.122`)}<id root="1.6" extension="other"/><code nullFlavor="NP"/></act>`)}
         ${relation('REFR', `<act>${t(`${ccda}.502`)}<code code="77975-1"/><effectiveTime value="201503"/></act>`)}
         ${relation('REFR', `<observation>${t(`${ccda}.113`)}<code code="75328-5"/><value xsi:type="ST">good</value></observation>`)}
         ${relation('CAUS', `<observation>${t(`${ccda}.47`)}<code code="ASSERTION"/>${cd('419099009')}</observation>`)}`,
      ),
    )
    expect(item).toMatchObject({
      content: {
        problem: {
          codings: [{ code: '195967001' }, { code: 'J45' }, { code: '493' }],
          qualifiers: [{ name: { code: '272741003' }, value: { code: '7771000', display: 'Left' } }],
        },
        bodySites: [{ codings: [{ code: '39607008' }], qualifiers: [{ value: { code: '24028007' } }] }],
        diagnosedAt: { text: '2015-03', precision: 'month' },
        prognosis: { kind: 'text', text: 'good' },
        causedDeath: true,
      },
      performers: [{ kind: 'person', text: 'Pat Specimen' }],
      notes: ['Watch this.'],
      references: [{ kind: 'REFR', identifiers: [{ root: '1.6', value: 'other' }] }],
    })
  })

  it('labels: its own, else of its section, else of the document', async () => {
    const label = `<observation>${t('2.16.840.1.113883.3.445.21')}<code code="SECCONOBS"/><value xsi:type="CE" code="NOPAT"/></observation>`
    const confidential = '<confidentialityCode code="R" codeSystem="2.16.840.1.113883.5.25"/>'
    const { items, entries } = await read(
      document(
        section(
          '11450-4',
          entry(problem(cd('1') + relation('COMP', label))) + entry(problem(cd('2'))),
          '',
          confidential,
        ) +
          section('11450-4', entry(problem(cd('3'))) + entry(label)) +
          section('11450-4', entry(problem(cd('4')))),
        `<confidentialityCode code="N" codeSystem="2.16.840.1.113883.5.25"/>${patient}`,
      ),
    )
    const labels = items
      .filter((one) => one.content.type === 'problem')
      .map((one) => one.labels?.map(({ code }) => code))
    expect(labels).toEqual([['NOPAT'], ['R'], ['NOPAT'], ['N']])
    expect(entries.map((one) => one.kind)).toEqual(['items', 'items', 'items', 'merged', 'items'])
  })

  it('nothing, where it is about somebody else', async () => {
    const subject = '<subject><relatedSubject classCode="PRS"><code code="FTH"/></relatedSubject></subject>'
    const { items, entries } = await read(document(section('11450-4', entry(problem(cd('195967001') + subject)))))
    expect(items.map((one) => one.content.type)).toEqual(['demographics'])
    expect(entries).toMatchObject([{ kind: 'unmapped', reason: 'about somebody else than the patient' }])
  })

  it('a repeated id is told where it means another thing', async () => {
    const same = (code: string) => entry(problem(`<id root="1.5" extension="x"/>${cd(code)}`))
    const told = async (a: string, b: string) =>
      (await read(document(section('11450-4', same(a) + same(b))))).diagnostics.map((one) => one.code)
    expect(await told('1', '2')).toEqual(['id-reused'])
    expect(await told('1', '1')).toEqual([])
  })

  it('a time of day without zone is told once an entry', async () => {
    const { diagnostics } = await read(
      document(
        section(
          '11450-4',
          entry(
            problem(`<effectiveTime><low value="201501011030"/><high value="201501021030"/></effectiveTime>${cd('1')}`),
          ) + entry(problem(`<effectiveTime><low value="201501011030-0500"/></effectiveTime>${cd('2')}`)),
        ),
      ),
    )
    expect(diagnostics.map((one) => one.code)).toEqual(['time-without-offset'])
  })

  it('its words from a title, and nothing from a reference that is bare', async () => {
    const { items, entries } = await read(
      document(
        section('11450-4', entry(problem(`<id root="1.6" extension="other"/>${cd('1')}`))) +
          section(
            '75310-3',
            entry(
              `<act classCode="ACT" moodCode="EVN">${t(`${ccda}.122`)}<id root="1.6" extension="other"/><code nullFlavor="NP"/></act>`,
            ),
          ),
      ),
    )
    expect(entries[1]).toMatchObject({ kind: 'merged', into: items[1]?.id })
  })

  it('the death of the patient joins the demographics', async () => {
    const dead = `<observation classCode="OBS" moodCode="EVN">${t(`${ccda}.79`)}<code code="ASSERTION"/><effectiveTime><low value="20150101"/></effectiveTime>${cd('419099009')}${relation('CAUS', problem(cd('22298006')))}</observation>`
    const { items, entries } = await read(document(section('11450-4', entry(dead))))
    expect(items[0]?.content).toMatchObject({ deceased: true, deathDate: { text: '2015-01-01' } })
    expect(items[1]?.content).toMatchObject({ type: 'problem', causedDeath: true })
    expect(entries[0]?.kind).toBe('items')
    const denied = await read(
      document(section('11450-4', entry(dead.replace('moodCode="EVN"', 'moodCode="EVN" negationInd="true"')))),
    )
    expect(denied.items[0]?.content).not.toHaveProperty('deceased')
  })
})

describe('medications', () => {
  const drug = `<consumable><manufacturedProduct><manufacturedMaterial><code code="314076" codeSystem="2.16.840.1.113883.6.88"/></manufacturedMaterial><manufacturerOrganization><name>Sample Labs</name></manufacturerOrganization></manufacturedProduct></consumable>`
  it('keep vehicles, preconditions, limits, supplies and reactions', async () => {
    const item = await first(
      '10160-0',
      `<substanceAdministration classCode="SBADM" moodCode="EVN">${t(`${ccda}.16`)}<statusCode code="active"/>
       <effectiveTime xsi:type="PIVL_TS" operator="A"><period value="6" unit="h"/></effectiveTime><effectiveTime xsi:type="IVL_TS"><low value="2015"/></effectiveTime>
       <rateQuantity><low value="3" unit="mL/h"/></rateQuantity><maxDoseQuantity><numerator value="4" unit="g"/><denominator value="1" unit="d"/></maxDoseQuantity>${drug}
       <participant typeCode="CSM"><participantRole classCode="MANU">${t(`${ccda}.24`)}<code code="412307009" ${sct}/><playingEntity><code code="324049" codeSystem="2.16.840.1.113883.6.88" displayName="Aerosol"/></playingEntity></participantRole></participant>
       ${relation('RSON', `<observation>${t(`${ccda}.19`)}<code code="404684003" ${sct}/><value xsi:type="CD" nullFlavor="UNK"/></observation>`)}
       ${relation('REFR', `<supply moodCode="INT">${t(`${ccda}.17`)}<id root="1.8"/><statusCode code="completed"/><repeatNumber value="3"/><quantity value="75"/></supply>`)}
       ${relation('REFR', `<supply moodCode="EVN">${t(`${ccda}.18`)}<effectiveTime value="20150104"/><repeatNumber value="1"/><quantity value="25"/><performer><assignedEntity><representedOrganization><name>Sample Pharmacy</name></representedOrganization></assignedEntity></performer></supply>`)}
       ${relation('MFST', `<observation>${t(`${ccda}.9`)}<effectiveTime><low value="2015"/></effectiveTime>${cd('422587007')}</observation>`)}
       ${relation('COMP', `<substanceAdministration classCode="SBADM" moodCode="EVN"><doseQuantity value="2"/><consumable><manufacturedProduct><manufacturedMaterial nullFlavor="NA"/></manufacturedProduct></consumable></substanceAdministration>`)}
       <precondition typeCode="PRCN"><criterion><value xsi:type="CD" code="56018004" ${sct} displayName="Wheezing"/></criterion></precondition>
       </substanceAdministration>`,
    )
    expect(item.content).toMatchObject({
      manufacturer: 'Sample Labs',
      rate: { value: '3', unit: 'mL/h' },
      maxDose: { numerator: { value: '4', unit: 'g' }, denominator: { value: '1', unit: 'd' } },
      vehicles: [{ text: 'Aerosol' }],
      asNeeded: true,
      preconditions: [{ text: 'Wheezing' }],
      indications: [],
      refills: '2',
      quantity: { value: '75' },
      supplies: [
        { kind: 'order', fills: '3', identifiers: [{ root: '1.8' }] },
        { kind: 'dispense', fills: '1', when: { value: { text: '2015-01-04' } }, by: { text: 'Sample Pharmacy' } },
      ],
      reactions: [{ manifestation: { codings: [{ code: '422587007' }] }, when: { low: { text: '2015' } } }],
    })
  })
})

describe('immunizations and procedures', () => {
  const vaccine = `<consumable><manufacturedProduct><manufacturedMaterial><code code="88" codeSystem="2.16.840.1.113883.12.292"><translation code="49281" codeSystem="2.16.840.1.113883.6.69"/></code><lotNumberText>A1</lotNumberText><sdtc:expirationTime value="201601"/></manufacturedMaterial></manufacturedProduct></consumable>`
  const shot = (attributes: string, more: string) =>
    first(
      '11369-6',
      `<substanceAdministration classCode="SBADM" moodCode="EVN" ${attributes}>${t(`${ccda}.52`)}${vaccine}${more}</substanceAdministration>`,
    )
  const series = `<entryRelationship typeCode="COMP" inversionInd="true"><sequenceNumber value="2"/><act>${t(`${ccda}.118`)}<code code="416118004" ${sct}/></act></entryRelationship>`

  it('tell the dose of a series, expiry and reactions', async () => {
    const { content } = await shot(
      '',
      series +
        relation('CAUS', `<observation>${t(`${ccda}.9`)}${cd('39579001')}</observation>`) +
        relation('RSON', `<observation>${t(`${ccda}.19`)}${cd('195967001')}</observation>`),
    )
    expect(content).toMatchObject({
      doseNumber: '2',
      expiresAt: { text: '2016-01', precision: 'month' },
      reactions: [{ manifestation: { codings: [{ code: '39579001' }] } }],
      indications: [{ codings: [{ code: '195967001' }] }],
    })
    expect(content).not.toHaveProperty('refusalReason')
  })

  it('take the reason for what was not done as why not', async () => {
    const reason = relation(
      'RSON',
      `<observation>${t(`${ccda}.53`)}<code code="IMMUNE" codeSystem="2.16.840.1.113883.5.8"/></observation>`,
    )
    const item = await shot('negationInd="true"', reason)
    expect(item).toMatchObject({ negated: true, content: { refusalReason: { codings: [{ code: 'IMMUNE' }] } } })
    expect(item.content).not.toHaveProperty('indications')
  })

  it('tell how, where and why', async () => {
    const { content } = await first(
      '47519-4',
      `<procedure classCode="PROC" moodCode="EVN">${t(`${ccda}.14`)}<code code="6025007" ${sct}/><methodCode code="1" ${sct}/><approachSiteCode code="2" ${sct}/><targetSiteCode code="3" ${sct}/><targetSiteCode code="4" ${sct}/>
       <specimen><specimenRole><specimenPlayingEntity><code code="5" ${sct}/></specimenPlayingEntity></specimenRole></specimen>
       <participant typeCode="LOC"><participantRole classCode="SDLOC"><playingEntity><name>Sample Theatre</name></playingEntity></participantRole></participant>
       ${relation('RSON', `<observation>${t(`${ccda}.19`)}${cd('74400008')}</observation>`)}${relation('CAUS', `<observation>${cd('131148009')}</observation>`)}</procedure>`,
    )
    expect(content).toMatchObject({
      methods: [{ codings: [{ code: '1' }] }],
      approaches: [{ codings: [{ code: '2' }] }],
      bodySites: [{ codings: [{ code: '3' }] }, { codings: [{ code: '4' }] }],
      specimens: [{ codings: [{ code: '5' }] }],
      locations: ['Sample Theatre'],
      indications: [{ codings: [{ code: '74400008' }] }],
      complications: [{ codings: [{ code: '131148009' }] }],
    })
  })
})

describe('values', () => {
  it.each([
    [
      '<value xsi:type="RTO_PQ_PQ"><numerator xsi:type="INT" value="1"/><denominator xsi:type="INT" value="128"/></value>',
      { kind: 'ratio', ratio: { numerator: { value: '1' }, denominator: { value: '128' } } },
    ],
    [
      '<value xsi:type="IVL_TS"><low value="2015"/><high value="201506"/></value>',
      { kind: 'period', when: { low: { text: '2015' }, high: { text: '2015-06' } } },
    ],
    ['<value xsi:type="TS" value="2015"/>', { kind: 'date', date: { text: '2015', precision: 'year' } }],
    ['<value xsi:type="PQ" nullFlavor="UNK"/>', { kind: 'absent', nullFlavor: 'UNK' }],
    [
      '<value xsi:type="PQ" nullFlavor="OTH"><translation value="5" code="x"><originalText>drops</originalText></translation></value>',
      { kind: 'quantity', quantity: { value: '5', unit: 'drops' } },
    ],
    [
      '<value xsi:type="IVL_PQ"><low value="5" unit="mg" inclusive="false"/><high value="9" unit="mg"/></value>',
      { kind: 'range', low: { value: '5', unit: 'mg', comparator: '>' }, high: { value: '9', unit: 'mg' } },
    ],
    [
      '<value xsi:type="IVL_PQ"><high value="9" unit="mg" inclusive="false"/></value>',
      { kind: 'quantity', quantity: { value: '9', unit: 'mg', comparator: '<' } },
    ],
    ['<value xsi:type="BL" value="false"/>', { kind: 'boolean', value: false }],
    ['<value xsi:type="INT" value="007"/>', { kind: 'quantity', quantity: { value: '007' } }],
    [
      '<value xsi:type="SC" code="1" codeSystem="1.2.3">words</value>',
      { kind: 'concept', concept: { codings: [{ code: '1' }], text: 'words' } },
    ],
    [
      '<value xsi:type="CO" code="LA1" codeSystem="2.16.840.1.113883.6.1"/>',
      { kind: 'concept', concept: { codings: [{ code: 'LA1' }] } },
    ],
    ['<value xsi:type="ED">long words</value>', { kind: 'text', text: 'long words' }],
    ['<value xsi:type="PQ" value="&lt;5" unit="mg"/>', { kind: 'text', text: '<5 mg' }],
    ['<value value="5.10" unit="mg"/>', { kind: 'quantity', quantity: { value: '5.10', unit: 'mg' } }],
  ])('%s', async (value, expected) => {
    const { content } = await first(
      '30954-2',
      `<observation classCode="OBS" moodCode="EVN">${t(`${ccda}.2`)}<code code="718-7"/>${value}</observation>`,
    )
    expect(content).toMatchObject({ type: 'result', value: expected })
  })

  it('keep every range with what it means, and further values', async () => {
    const { content } = await first(
      '30954-2',
      `<observation classCode="OBS" moodCode="EVN">${t(`${ccda}.2`)}<code code="718-7"/><value xsi:type="ST">a</value><value xsi:type="ST">b</value>
       <referenceRange><observationRange><interpretationCode code="H"/><value xsi:type="IVL_PQ"><low value="7" unit="mg"/></value></observationRange></referenceRange></observation>`,
    )
    expect(content).toMatchObject({
      value: { text: 'a' },
      otherValues: [{ text: 'b' }],
      referenceRanges: [{ low: { value: '7' }, interpretation: { codings: [{ code: 'H' }] } }],
    })
  })
})

/** Every partial date of an item. */
function dates(value: unknown): PartialDate[] {
  if (typeof value !== 'object' || value === null) return []
  if ('precision' in value && 'source' in value) return [value as PartialDate]
  return Object.values(value).flatMap(dates)
}

describe('whatever a document loses', () => {
  it('no item is about nothing, no date says more than its source, no entry ends in silence', async () => {
    const tags = [...ccd21.matchAll(/<[A-Za-z:]+(?: [\w:]+="[^"]*")+\/?>/g)]
      .map((one) => one[0])
      .filter((tag) => !tag.includes('xmlns'))
    const short = ccd21.replace(/<code code="8716-3"[\s\S]*?<\/section>/, '</section>')
    await fc.assert(
      fc.asyncProperty(fc.nat(tags.length - 1), fc.nat(tags.length - 1), fc.nat(3), async (a, b, how) => {
        const tag = tags[a] as string
        const changed = [
          tag.replace(/ (code|value|root|extension)="[^"]*"/, ''),
          tag.replace(/="[^"]*"/, '="x"'),
          tag.replace(/ (code|value)="[^"]*"/, ' nullFlavor="UNK"'),
          tag.endsWith('/>') && tags[b]?.endsWith('/>') ? (tags[b] as string) : tag,
        ][how] as string
        const part = await read(short.replace(tag, changed))
        for (const item of part.items) {
          const subject = subjectOf(item.content)
          const named = subject === undefined || subject.codings.length > 0 || subject.text !== undefined
          expect(named || item.negated, JSON.stringify(item.content)).toBe(true)
          for (const { text, source } of dates(item)) {
            expect(text.replace(/\D/g, '').length).toBeLessThanOrEqual(
              source.replace(/[+-]\d+$|Z$/, '').replace(/\D/g, '').length,
            )
          }
        }
        const entries = short.match(/<entry[ >]/g)?.length ?? 0
        expect(part.entries).toHaveLength(part.diagnostics.some((one) => one.code === 'not-well-formed') ? 0 : entries)
        expect(part.diagnostics.some((one) => one.detail === 'the reader failed')).toBe(false)
      }),
      { numRuns: 150 },
    )
  }, 20_000)
})
