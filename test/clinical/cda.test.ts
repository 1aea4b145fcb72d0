import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { readDocument } from '../../src/clinical/read.js'
import { c32, ccd21 } from '../fixtures/clinical/documents.js'
import { concept, line } from './brief.js'

const read = async (text: string) => {
  const [part] = (await readDocument(Buffer.from(text))).documents
  if (part === undefined) throw new Error('no document')
  return part
}

/** The same, without the demographics, which every document has. */
const readEntries = async (text: string) => {
  const part = await read(text)
  return { ...part, items: part.items.filter((one) => one.content.type !== 'demographics') }
}

const { item, items, diagnostics } = await read(ccd21)
const of = <T extends string>(type: T) => items.filter((one) => one.content.type === type)
const lines = (type: string) => of(type).map(line)
const content = (type: string, at: number) => of(type)[at]?.content

describe('a Continuity of Care Document, C-CDA R2.1', () => {
  it('is an item itself, with its header', () => {
    expect(item).toMatchObject({
      content: {
        type: 'document',
        format: 'c-cda',
        formatVersion: '2.1',
        mediaType: 'text/xml',
        title: 'Continuity of Care Document',
      },
      when: {
        value: { text: '2015-06-22T10:15:00', offsetMinutes: -300, precision: 'second', source: '20150622101500-0500' },
      },
      identifiers: [{ root: 'db734647-fc99-424c-a864-7e3cda82e703' }],
      provenance: { entry: '', authors: [{ kind: 'person', text: 'Dr. Pat Specimen' }] },
    })
  })

  it('tells who the patient is', () => {
    expect(of('demographics')).toHaveLength(1)
    expect(content('demographics', 0)).toEqual({
      type: 'demographics',
      names: [
        { given: ['Zoë', 'Q'], family: 'Sample-Müller', suffix: 'Jr.', use: 'L' },
        { given: ['Zoe'], family: 'Placeholder' },
      ],
      birthDate: { text: '1970-06-01', precision: 'day', offsetMinutes: null, source: '19700601' },
      gender: expect.objectContaining({ text: 'Female' }),
      maritalStatus: expect.objectContaining({ text: 'Married' }),
      races: [expect.objectContaining({ text: 'White' }), expect.objectContaining({ text: 'Asian' })],
      ethnicities: [expect.objectContaining({ text: 'Not Hispanic or Latino' })],
      languages: ['en-US'],
      addresses: [
        {
          lines: ['12 Example Lane', 'Unit 3'],
          city: 'Sampleton',
          state: 'OR',
          postalCode: '01234',
          country: 'US',
          use: 'HP',
        },
      ],
      telecoms: [{ value: 'tel:+1(555)555-0100', use: 'HP' }],
      // The social security number is null: an unknown number is no identifier.
      identifiers: [{ root: '1.2.840.114350.1.13.99998', value: 'MRN-42' }],
    })
  })

  it('keeps what the patient is allergic to apart from what not', () => {
    expect(lines('allergy')).toEqual([
      'allergy | Penicillin G benzathine {rxnorm|7980} | 1980-05-01.. | active | ',
      'allergy | Peanut {sct|762952008} | 2006.. | active | negated',
      'allergy | {} NA |  | active | negated',
    ])
    expect(content('allergy', 0)).toMatchObject({
      kind: { codings: [{ code: '416098002' }] },
      reactions: [{ manifestation: { text: 'Hives' }, severity: { text: 'Moderate' } }],
      criticality: { codings: [{ code: 'CRITH' }] },
    })
    // No known food allergies: no substance, and the kind says which.
    expect(content('allergy', 2)).toMatchObject({ kind: { codings: [{ code: '414285001' }] } })
  })

  it('dates problems by their observation and folds their status in order', () => {
    expect(lines('problem')).toEqual([
      'problem | High blood pressure (essential) {sct|59621000 icd10cm|I10} | 2011.. | active | ',
      'problem | Pneumonia {sct|233604007} | 2014-03-12..2014-04-05 | resolved | ',
      'problem | Asthma {sct|195967001} | 2012-01..? | resolved | ',
      'problem | Type 2 diabetes mellitus {sct|44054006} | 2015-12-01.. | inactive | negated',
      'problem | Café au lait spot {icd10cm|L81.3 urn:oid:1.2.3.4.5.6.7|X-77} OTH | 2016-02-29T08:30:15.125@60.. | active | ',
      'problem | Fever {sct|386661006} | 2015-06-22.. | active | ',
    ])
    expect(content('problem', 0)).toMatchObject({ ageAtOnset: { value: '41', unit: 'a' } })
    expect(of('problem')[2]?.status).toEqual({ folded: 'resolved', source: 'active' })
  })

  it('conducts authorship from entry, section and document', () => {
    expect(of('problem')[0]).toMatchObject({
      recordedAt: { text: '2015-06-22T10:30', precision: 'minute' },
      // Named by id alone in the entry; the name stands in the header.
      provenance: { authors: [{ kind: 'person', text: 'Dr. Pat Specimen' }], section: '11450-4' },
    })
    expect(of('problem')[1]?.recordedAt?.text).toBe('2015-06-22T10:15:00')
    expect(of('allergy')[0]?.recordedAt?.text).toBe('2015-06-22')
  })

  it('names each entry by its path, and derives the id from it', () => {
    expect(of('problem')[0]?.provenance.entry).toBe(
      'ClinicalDocument[1]/component[1]/structuredBody[1]/component[2]/section[1]/entry[1]/act[1]/entryRelationship[1]/observation[1]',
    )
    expect(new Set(items.map((one) => one.id)).size).toBe(items.length)
    for (const one of items) {
      expect(one.id).toMatch(/^[0-9a-f]{32}$/)
      expect(one.provenance.document).toBe(item.content.type === 'document' && item.content.sha256)
    }
  })

  it('sorts the timing of medications by type', () => {
    expect(lines('medication')).toEqual([
      'medication | Lisinopril 10 MG Oral Tablet, one tablet every day {rxnorm|314076 ndc|00093111201} | 2012-08-06.. | active | ',
      'medication | Insulin glargine at bedtime {rxnorm|847232} | 2009-01-09.. | active | ordered',
      'medication | ibuprofen 600 MG Oral Tablet {rxnorm|197806} | 2014-01-18..2014-01-25 | active | ordered',
      'medication | aspirin 81 MG Oral Tablet {rxnorm|243670} | 2013-09-11T16:03@-420 | completed | ',
      'medication | atorvastatin 20 MG Oral Tablet {rxnorm|617310} | 2018-03-15 | completed | negated',
      'medication | clindamycin 300 MG {rxnorm|284215} | 2015-07-01.. | planned | planned',
    ])
    expect(content('medication', 0)).toMatchObject({
      dose: { value: '1' },
      timings: [{ period: { value: '24', unit: 'h' }, institutionSpecified: true }],
      form: { text: 'Tablet' },
      route: { text: 'ORAL' },
      instructions: 'one tablet every day',
      indications: [{ text: 'Essential hypertension' }],
      // Three fills are the first and two refills.
      refills: '2',
      quantity: { value: '30', unit: '{tbl}' },
      asNeeded: false,
    })
    expect(content('medication', 1)).toMatchObject({
      timings: [{ event: 'HS' }, { event: 'ACM', offset: { value: '30', unit: 'min' } }],
      brand: { text: 'Lantus' },
      dose: { value: '40', unit: '[IU]' },
    })
    expect(content('medication', 2)).toMatchObject({
      timings: [{ period: { value: '4', unit: 'h' }, periodHigh: { value: '6', unit: 'h' } }],
      doseRange: { low: { value: '1' }, high: { value: '2' } },
      rate: { value: '3', unit: 'mL/min' },
      asNeeded: true,
    })
    expect(content('medication', 3)).toMatchObject({ timings: [{ moment: { text: '2013-09-11T16:03' } }] })
    // A dose without unit stays without one.
    expect(content('medication', 3)).toMatchObject({ dose: { value: '2' } })
    expect(JSON.stringify(content('medication', 3))).not.toContain('"unit"')
  })

  it('tells given from refused immunizations', () => {
    expect(lines('immunization')).toEqual([
      'immunization | Influenza virus vaccine {cvx|88} | 2014-10-15 | completed | ',
      'immunization | Tdap {cvx|115} | 2015-06-22 | completed | negated',
    ])
    expect(content('immunization', 0)).toMatchObject({
      lot: 'A-117',
      manufacturer: 'Sample Vaccines Inc.',
      doseNumber: '2',
    })
    expect(content('immunization', 1)).toMatchObject({ refusalReason: { codings: [{ code: 'PATOBJ' }] } })
  })

  it('reads every form of a result without touching a digit', () => {
    expect(of('result').map((one) => one.content.type === 'result' && one.content.value)).toEqual([
      { kind: 'quantity', quantity: { value: '13.20', unit: 'g/dL' } },
      { kind: 'quantity', quantity: { value: '500', unit: 'mg/dL', comparator: '>' } },
      { kind: 'quantity', quantity: { value: '5', unit: 'pg/mL', comparator: '<=' } },
      { kind: 'text', text: 'Amber' },
      { kind: 'concept', concept: expect.objectContaining({ text: 'Negative' }) },
      { kind: 'quantity', quantity: { value: '152', unit: 'THOUS/MCL' } },
      { kind: 'absent', nullFlavor: 'NA' },
      { kind: 'quantity', quantity: { value: '7.1', unit: 'mmol/L' } },
    ])
    // The first has a time of its own; the others take that of their battery.
    expect(lines('result').slice(0, 2)).toEqual([
      'result | Hemoglobin {loinc|718-7} | 2012-03-20 | completed | ',
      'result | Glucose {loinc|30313-1} | 2012-03-19T12:30@-480 | completed | ',
    ])
    expect(lines('result')[6]).toBe('result | Leukocytes {loinc|804-5} | 2012-03-19T12:30@-480 | active | NA')
    expect(content('result', 0)).toMatchObject({
      panel: { code: { codings: [{ code: '57021-8' }] } },
      specimen: { text: 'Blood specimen' },
      interpretations: [{ codings: [{ code: 'N' }] }],
      referenceRanges: [
        { low: { value: '12.0', unit: 'g/dL' }, high: { value: '15.5', unit: 'g/dL' }, text: '12.0 to 15.5 g/dL' },
      ],
    })
  })

  it('reads each vital sign of each visit', () => {
    expect(of('vital-sign')).toHaveLength(4 * 8)
    expect(lines('vital-sign')[0]).toBe(
      'vital-sign | Systolic blood pressure {loinc|8480-6} | 2014-05-21T19:36@-360 | completed | ',
    )
    expect(content('vital-sign', 12)).toMatchObject({ value: { quantity: { value: '36.2', unit: 'Cel' } } })
  })

  it('tells what was done from what was not and what is planned', () => {
    expect(lines('procedure')).toEqual([
      'procedure | Introduction of cardiac pacemaker {sct|175135009} | 2011-10-05..2011-10-06 | completed | ',
      'procedure | Laparoscopic appendectomy {sct|6025007} | 2014-02-03 | completed | negated',
      'procedure | Nutrition education {sct|61310001} | 2014-03 | cancelled | ',
      'procedure | 12 lead ECG {sct|268400002} | 2014-03-29 | completed | ',
      'procedure | Colonoscopy {sct|73761001} | 2015-07-22 | planned | planned',
    ])
    expect(content('procedure', 0)).toMatchObject({
      bodySites: [{ text: 'Subclavian vein' }],
      devices: [{ text: 'Pacemaker' }],
    })
  })

  it('merges the encounter of the header into the entry with the same id', () => {
    expect(of('encounter')).toHaveLength(1)
    expect(content('encounter', 0)).toMatchObject({
      encounter: { text: 'Office outpatient visit', codings: [{ code: '99213' }, { code: 'AMB' }] },
      locations: ['Sample Family Practice'],
      diagnoses: [{ text: 'Fever' }],
      disposition: { text: 'Discharged to home' },
    })
  })

  it('says what it did not read, and where', () => {
    const told = diagnostics.map(
      ({ code, where }) => `${code} ${where.replace('ClinicalDocument[1]/component[1]/structuredBody[1]/', '')}`,
    )
    expect(told).toEqual([
      'contradictory-status component[2]/section[1]/entry[3]/act[1]/entryRelationship[1]/observation[1]',
      'unknown-code-system component[2]/section[1]/entry[5]/act[1]/entryRelationship[1]/observation[1]',
      'time-unreadable component[2]/section[1]/entry[6]/act[1]/entryRelationship[1]/observation[1]',
      'unmapped-entry component[2]/section[1]/entry[6]/act[1]/entryRelationship[1]/observation[1]',
      'unit-not-ucum component[5]/section[1]/entry[1]/organizer[1]/component[6]/observation[1]',
      'value-without-type component[5]/section[1]/entry[1]/organizer[1]/component[8]/observation[1]',
      'section-empty component[11]/section[1]',
      'unknown-section component[12]/section[1]',
    ])
  })

  it('reads the same bytes to the same items', async () => {
    const again = await read(ccd21)
    expect(again.items).toEqual(items)
    expect(again.item).toEqual(item)
  })
})

describe('a C32 with prefixes and the templates of 2007', async () => {
  const old = await read(c32)

  it('is read like any other', () => {
    expect(old.item.content).toMatchObject({ format: 'c32' })
    expect(old.diagnostics).toEqual([])
    expect(old.items.slice(1).map(line)).toEqual([
      'problem | Myocardial infarction {sct|22298006} | 1997-01..? | resolved | ',
      'allergy | Aspirin {} UNK |  | inactive | ',
      'medication | Metoprolol {rxnorm|430618} | 2007-11-21.. | active | ',
    ])
    expect(old.items[0]?.content).toMatchObject({
      names: [{ given: [], text: 'Kim Invented' }],
      birthDate: { text: '1932', precision: 'year' },
    })
    expect(old.items[3]?.content).toMatchObject({
      brand: { text: 'Sample Brand' },
      instructions: 'Metoprolol twice a day',
      timings: [{ period: { value: '12', unit: 'h' } }],
    })
  })

  it('falls back to the organization where an author has no person', () => {
    expect(old.item.provenance.authors).toMatchObject([{ kind: 'organization', text: 'Old Clinic' }])
  })
})

describe('what a document may say in other ways', () => {
  const patient =
    '<recordTarget><patientRole><id root="1.2.3" extension="P1"/><patient><name>Kim Invented</name><administrativeGenderCode code="F"/><birthTime value="1970"/></patient></patientRole></recordTarget>'
  const inSection = (loinc: string, entry: string, text = '') =>
    `<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:sdtc="urn:hl7-org:sdtc">${patient}<component><structuredBody><component><section><code code="${loinc}"/><text>${text}</text><entry>${entry}</entry></section></component></structuredBody></component></ClinicalDocument>`
  const sct = 'codeSystem="2.16.840.1.113883.6.96"'
  const problem = (attributes: string, time: string, value: string, more = '') =>
    inSection(
      '11450-4',
      `<observation classCode="OBS" moodCode="EVN" ${attributes}><code code="55607006" ${sct}/><effectiveTime>${time}</effectiveTime>${value}${more}</observation>`,
    )
  const status = (code: string) =>
    `<entryRelationship typeCode="REFR"><observation classCode="OBS" moodCode="EVN"><code code="33999-4"/><value xsi:type="CD" code="${code}" ${sct}/></observation></entryRelationship>`
  const asthma = `<value xsi:type="CD" code="195967001" ${sct}/>`

  it.each([
    ['the status observation goes first', '<low value="2010"/><high value="2011"/>', status('73425007'), 'inactive'],
    ['an end date comes second', '<low value="2010"/><high value="2011"/>', '', 'resolved'],
    ['an unknown end comes third', '<high nullFlavor="UNK"/>', '', 'resolved'],
    ['another null end says nothing', '<high nullFlavor="NI"/>', '', 'active'],
    ['nothing at all is active', '', '', 'active'],
    ['chronic is active', '', status('90734009'), 'active'],
    ['remission is not', '', status('277022003'), 'inactive'],
  ])('status of a problem: %s', async (_, time, more, folded) => {
    const { items } = await readEntries(problem('', time, asthma, more))
    expect(items[0]?.status?.folded).toBe(folded)
  })

  it('never makes a code of a null flavor', async () => {
    const { items, diagnostics } = await readEntries(
      problem('', '', '<value xsi:type="CD" code="UNK" codeSystem="2.16.840.1.113883.5.1008"/>'),
    )
    expect(items).toEqual([])
    expect(diagnostics.map((one) => one.code)).toEqual(['unmapped-entry'])
  })

  it('keeps the null flavor of a statement on its item', async () => {
    const { items } = await readEntries(problem('nullFlavor="NI"', '', asthma))
    expect(items[0]?.nullFlavor).toBe('NI')
  })

  it('takes a code for "no known" as a denial', async () => {
    const { items } = await readEntries(problem('', '', `<value xsi:type="CD" code="160245001" ${sct}/>`))
    expect(items[0]?.negated).toBe(true)
    const nka = await readEntries(
      inSection(
        '48765-2',
        `<observation classCode="OBS" moodCode="EVN"><value xsi:type="CD" code="716186003" ${sct}/></observation>`,
      ),
    )
    expect(nka.items.map(line)).toEqual(['allergy | {sct|716186003} |  | active | negated'])
  })

  it('denies what a negated concern act wraps', async () => {
    const { items } = await readEntries(
      inSection(
        '11450-4',
        `<act negationInd="true"><entryRelationship typeCode="SUBJ"><observation>${asthma}</observation></entryRelationship></act>`,
      ),
    )
    expect(items[0]?.negated).toBe(true)
  })

  it('never turns a goal into a finding', async () => {
    const { items, diagnostics } = await readEntries(
      inSection(
        '18776-5',
        `<observation moodCode="GOL"><code code="29463-7"/><value xsi:type="PQ" value="70" unit="kg"/></observation>`,
      ),
    )
    expect(items.map(line)).toEqual(['goal | {undefined|29463-7} |  | planned | goal'])
    expect(diagnostics).toEqual([])
  })

  it.each(['INT', 'RQO', 'PRMS', 'PRP', 'ARQ'])('takes the mood %s of a procedure for a plan', async (mood) => {
    const { items } = await readEntries(
      inSection(
        '47519-4',
        `<procedure moodCode="${mood}"><code code="73761001" ${sct}/><statusCode code="active"/></procedure>`,
      ),
    )
    expect(items.map(line)).toEqual(['procedure | {sct|73761001} |  | planned | planned'])
  })

  it('resolves a reference to the column of a row that fits, with or without a hash sign', async () => {
    const table =
      '<table><thead><tr><th>Date</th><th>Problem</th></tr></thead><tbody><tr ID="r1"><td>2010</td><td>Asthma<br/>(mild)</td></tr></tbody></table>'
    for (const reference of ['#r1', 'r1']) {
      const { items } = await readEntries(
        inSection(
          '11450-4',
          `<observation><value xsi:type="CD" nullFlavor="OTH"><originalText><reference value="${reference}"/></originalText></value></observation>`,
          table,
        ),
      )
      expect(items[0]?.content).toMatchObject({ problem: { text: 'Asthma (mild)' } })
    }
  })

  it('says that a reference leads nowhere, and falls back to the display name', async () => {
    const { items, diagnostics } = await readEntries(
      problem(
        '',
        '',
        `<value xsi:type="CD" code="195967001" displayName="Asthma" ${sct}><originalText><reference value="#gone"/></originalText></value>`,
      ),
    )
    expect(items[0]?.content).toMatchObject({ problem: { text: 'Asthma' } })
    expect(diagnostics.map((one) => one.code)).toEqual(['unresolved-reference'])
  })

  it('keeps a time that nobody can read as it stands', async () => {
    for (const time of ['201502301', '2015-02-03', '20151301', '2015023', 'yesterday']) {
      const { items, diagnostics } = await readEntries(problem('', `<low value="${time}"/>`, asthma))
      expect(items[0]?.when).toEqual({ text: time })
      expect(diagnostics.map((one) => one.code)).toEqual(['time-unreadable'])
    }
  })

  it('reads sections by LOINC, then template, then title', async () => {
    const bare = (head: string) =>
      `<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">${patient}<component><structuredBody><component><section>${head}<entry><observation>${asthma}</observation></entry></section></component></structuredBody></component></ClinicalDocument>`
    for (const head of [
      '<code code="11450-4"/>',
      '<templateId root="1.1.1"/><templateId root="2.16.840.1.113883.10.20.1.11"/>',
      '<templateId root="1.3.6.1.4.1.19376.1.5.3.1.3.6" extension="2031-01-01"/><code code="99999-1"/>',
      '<title>Problem list</title>',
    ]) {
      expect((await readEntries(bare(head))).items.map(line)).toEqual(['problem | {sct|195967001} |  | active | '])
    }
    const { items } = await readEntries(bare('<title>Poems</title>'))
    expect(items.filter((one) => one.content.type === 'problem')).toEqual([])
  })

  it('reads sections inside sections', async () => {
    const { items } = await readEntries(
      inSection('10164-2', '').replace(
        '<entry></entry>',
        `<component><section><code code="11450-4"/><entry><observation>${asthma}</observation></entry></section></component>`,
      ),
    )
    expect(items[0]?.provenance.entry).toContain('/section[1]/component[1]/section[1]/entry[1]/')
  })

  it('puts security labels on the results beside them', async () => {
    const { items, diagnostics } = await readEntries(
      inSection(
        '30954-2',
        `<organizer><code code="57021-8"/><component><observation><code code="SECCONOBS"/><value xsi:type="CD" code="NOPAT"/></observation></component><component><observation><code code="718-7"/><value xsi:type="PQ" value="13"/></observation></component></organizer>`,
      ),
    )
    expect(items.map((one) => one.content.type === 'result' && concept(one.content.test))).toEqual([
      '{undefined|718-7}',
    ])
    expect(diagnostics).toEqual([])
    expect(items[0]?.labels).toEqual([{ code: 'NOPAT' }])
  })

  it('keeps what an unstructured document holds', async () => {
    const pdf = Buffer.from('%PDF-1.7 a very short report')
    const { documents } = await readDocument(
      Buffer.from(
        `<ClinicalDocument xmlns="urn:hl7-org:v3"><title>Report</title><component><nonXMLBody><text mediaType="application/pdf" representation="B64">${pdf.toString('base64')}</text></nonXMLBody></component></ClinicalDocument>`,
      ),
    )
    expect(documents.map((one) => one.item.content.type === 'document' && one.item.content.format)).toEqual([
      'cda',
      'pdf',
    ])
    expect(Buffer.from(documents[1]?.bytes ?? [])).toEqual(pdf)
  })

  it('stops at its limit of items and says so once', async () => {
    const { clinicalLimits } = await import('../../src/clinical/limits.js')
    const { documents } = await readDocument(Buffer.from(ccd21), {}, { ...clinicalLimits, items: 5, diagnostics: 100 })
    expect(documents[0]?.items).toHaveLength(5)
    expect(documents[0]?.diagnostics.filter((one) => one.code === 'limit-exceeded')).toHaveLength(1)
  })
})
