import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { readDocument } from '../../src/clinical/read.js'
import { cd, codesIn, document, loinc, of, read, sct, section, t } from './cda-document.js'

/** Shapes that the standard allows, or that senders write all the same, away from the usual ones. */

const observation = (inner: string, more = 'moodCode="EVN"'): string =>
  `<observation classCode="OBS" ${more}>${inner}</observation>`
const relation = (typeCode: string, inner: string, more = ''): string =>
  `<entryRelationship typeCode="${typeCode}" ${more}>${inner}</entryRelationship>`
const act = (template: string, inner: string, more = ''): string =>
  `<act classCode="ACT" moodCode="EVN" ${more}>${t(template)}<code code="CONC"/><statusCode code="active"/>${inner}</act>`
const rxnorm = 'codeSystem="2.16.840.1.113883.6.88"'
const allergen = (inner: string): string =>
  `<participant typeCode="CSM"><participantRole classCode="MANU"><playingEntity classCode="MMAT">${inner}</playingEntity></participantRole></participant>`
const penicillin = allergen(`<code code="70618" ${rxnorm}/>`)
const allergy = (inner: string, more?: string): string =>
  observation(`${t('4.7')}<value ${cd('419199007', 'Allergy to substance')}/>${inner}`, more)
const problem = (value: string): string => observation(`${t('4.4')}<value ${value}/>`)
const test = `<code code="2345-7" ${loinc} displayName="Glucose"/>`
const drug = (code: string): string =>
  `<consumable><manufacturedProduct><manufacturedMaterial>${code}</manufacturedMaterial></manufacturedProduct></consumable>`

describe('what stands around a statement', () => {
  it.each([
    ['the relation', 'negationInd="true"', ''],
    ['the concern', '', 'negationInd="true"'],
  ])('denies it where %s is negated', async (_, onRelation, onAct) => {
    const part = await read(
      section('48765-2', 'x', [act('4.30', relation('SUBJ', allergy(penicillin), onRelation), onAct)]),
    )
    expect(of(part, 'allergy')).toMatchObject([{ negated: true }])
  })

  it.each([
    ['the relation', 'nullFlavor="NI"', '', ''],
    ['the concern', '', 'nullFlavor="NI"', ''],
    ['the entry', '', '', 'nullFlavor="NI"'],
  ])('nullifies it where %s has a nullFlavor', async (_, onRelation, onAct, onEntry) => {
    const one = act('4.3', relation('SUBJ', problem(cd('38341003', 'Hypertension')), onRelation), onAct)
    const part = await read(section('11450-4', 'x', [one]).replace('<entry>', `<entry ${onEntry}>`))
    expect(of(part, 'problem')).toMatchObject([{ negated: false, nullFlavor: 'NI' }])
  })

  it('denies the member of a battery by its component', async () => {
    const member = observation(`${t('4.2')}${test}<value xsi:type="PQ" value="5" unit="mg/dL"/>`)
    const battery = `<organizer classCode="BATTERY" moodCode="EVN">${t('4.1')}<component negationInd="true">${member}</component></organizer>`
    expect(of(await read(section('30954-2', 'x', [battery])), 'result')).toMatchObject([{ negated: true }])
  })

  it('leaves out a reaction that is denied', async () => {
    const reaction = observation(`${t('4.9')}<value ${cd('247472004', 'Hives')}/>`)
    const part = await read(
      section('48765-2', 'x', [allergy(`${penicillin}${relation('MFST', reaction, 'negationInd="true"')}`)]),
    )
    expect(of(part, 'allergy')[0]?.content.reactions).toEqual([])
  })

  it('may be an organizer inside the concern, or around it', async () => {
    const cluster = (inner: string): string =>
      `<organizer classCode="CLUSTER" moodCode="EVN"><statusCode code="completed"/><component>${inner}</component></organizer>`
    const part = await read(
      section('11450-4', 'x', [
        act('4.3', relation('SUBJ', cluster(problem(cd('38341003', 'Hypertension'))))),
        cluster(act('4.3', relation('SUBJ', problem(cd('195967001', 'Asthma'))))),
      ]),
    )
    expect(of(part, 'problem').map(({ content }) => codesIn(content.problem))).toEqual([['38341003'], ['195967001']])
  })
})

describe('what is denied or taken back inside a statement', () => {
  const relatedTo = (inner: string, onComponent = ''): string =>
    `<organizer classCode="CLUSTER" moodCode="EVN">${t('4.45')}<subject><relatedSubject classCode="PRS"><code code="FTH"/></relatedSubject></subject><component ${onComponent}>${inner}</component></organizer>`

  it('is no disease of a relative', async () => {
    const disease = observation(`${t('4.46')}<value ${cd('38341003', 'Hypertension')}/>`)
    const part = await read(
      section('10157-6', 'x', [relatedTo(disease, 'negationInd="true"'), relatedTo(disease, 'nullFlavor="NI"')]),
    )
    expect(of(part, 'family-history').map(({ content }) => content.conditions)).toMatchObject([
      [{ negated: true }],
      [{ negated: false, condition: { nullFlavor: 'NI' } }],
    ])
  })

  it('is no indication and no dose', async () => {
    const reason = observation(`${t('4.19')}<value ${cd('195967001', 'Asthma')}/>`, 'moodCode="EVN" negationInd="true"')
    const one = `<substanceAdministration classCode="SBADM" moodCode="EVN">${t('4.16')}<doseQuantity nullFlavor="UNK" value="1"/>${drug(`<code code="5640" ${rxnorm}/>`)}${relation('RSON', reason)}</substanceAdministration>`
    const [found] = of(await read(section('10160-0', 'x', [one])), 'medication')
    expect(found?.content.indications).toEqual([])
    expect(found?.content.dose).toBeUndefined()
  })

  it('is a problem that was taken back, whatever the concern says', async () => {
    const inError = observation(`${t('4.4')}<statusCode code="nullified"/><value ${cd('195967001', 'Asthma')}/>`)
    const part = await read(section('11450-4', 'x', [act('4.3', relation('SUBJ', inError))]))
    expect(of(part, 'problem')).toMatchObject([{ status: { folded: 'cancelled', source: 'nullified' } }])
  })
})

describe('a problem right in an encounter', () => {
  it('is its diagnosis, unless it is denied there', async () => {
    const visit = (more: string): string =>
      `<encounter classCode="ENC" moodCode="EVN">${t('4.49')}<code code="99213" codeSystem="2.16.840.1.113883.6.12"/>${relation('SUBJ', problem(cd('38341003', 'Hypertension')), more)}</encounter>`
    const part = await read(section('46240-8', 'x', [visit(''), visit('negationInd="true"')]))
    expect(of(part, 'encounter').map(({ content }) => codesIn(content.diagnoses))).toEqual([['38341003'], []])
    expect(of(part, 'problem').map(({ negated }) => negated)).toEqual([false, true])
  })
})

describe('a status in words alone', () => {
  it.each([
    ['Inactive', 'inactive'],
    ['A long story of a status that was active once and may be so again', 'active'],
  ])('counts where it is no more than a status: %s', async (words, folded) => {
    const stated = observation(
      '<code code="33999-4"/><text><reference value="#st"/></text><value xsi:type="CD" nullFlavor="UNK"/>',
    )
    const one = observation(`${t('4.4')}<value ${cd('90560007', 'Gout')}/>${relation('REFR', stated)}`)
    const part = await read(
      section('11450-4', `<content ID="st">${words}</content>`, [act('4.3', relation('SUBJ', one))]),
    )
    expect(of(part, 'problem')).toMatchObject([{ status: { folded } }])
  })
})

describe('a mood', () => {
  it.each([
    'INT',
    'RQO',
    'PRMS',
    'PRP',
    'ARQ',
    'OPT',
    'APT',
    'SLOT',
    'DEF',
    'PERM',
    'RSK',
    'EXPEC',
    'EVN.CRT',
    'rqo',
    'xyz',
  ])('that is no event is never read as something done: %s', async (mood) => {
    const procedure = `<procedure classCode="PROC" moodCode="${mood}">${t('4.14')}<code code="80146002" ${sct}/><statusCode code="completed"/></procedure>`
    expect(of(await read(section('47519-4', 'x', [procedure])), 'procedure')).toMatchObject([
      { intent: 'planned', mood },
    ])
  })

  it.each(['EVN', 'evn', ''])('of an event, or none, is something done: %j', async (mood) => {
    const procedure = `<procedure classCode="PROC" moodCode="${mood}">${t('4.14')}<code code="80146002" ${sct}/></procedure>`
    expect(of(await read(section('47519-4', 'x', [procedure])), 'procedure')).toMatchObject([{ intent: 'performed' }])
  })
})

describe('a code', () => {
  it('that is a null flavor beside a nullFlavor is none: the name counts', async () => {
    const unknown = allergen('<code code="UNK" nullFlavor="UNK"/><name>Oats</name>')
    const [found] = of(await read(section('48765-2', 'x', [allergy(unknown)])), 'allergy')
    expect(found?.content.substance).toEqual({ codings: [], nullFlavor: 'UNK', text: 'Oats' })
  })

  it('stays as written beside a nullFlavor where it is a code, and without one whatever it looks like', async () => {
    const refusal = observation(`${t('4.53')}<code nullFlavor="NA" code="PATOBJ" codeSystem="2.16.840.1.113883.5.8"/>`)
    const dose = `<substanceAdministration classCode="SBADM" moodCode="EVN" negationInd="true">${t('4.52')}${drug(
      '<code code="88" codeSystem="2.16.840.1.113883.12.292"/>',
    )}${relation('RSON', refusal)}</substanceAdministration>`
    const [given] = of(await read(section('11369-6', 'x', [dose])), 'immunization')
    expect(codesIn(given?.content.refusalReason)).toEqual(['PATOBJ'])
    const glucose = observation(
      `${t('4.2')}<code code="UNKNOWN" ${loinc} displayName="Glucose"/><value xsi:type="ST">5</value>`,
    )
    const [result] = of(await read(section('30954-2', 'x', [glucose])), 'result')
    expect(result?.content.test).toMatchObject({ codings: [{ code: 'UNKNOWN' }], text: 'Glucose' })
  })

  it('has the words of its translation, where nothing else has any', async () => {
    const code =
      '<code nullFlavor="UNK"><translation nullFlavor="NA"><originalText><reference value="#m"/></originalText></translation></code>'
    const text = '<content ID="m">Sample 50 mg tablet</content><content ID="s">take two</content>'
    const one = `<substanceAdministration classCode="SBADM" moodCode="EVN">${t('4.16')}<text><reference value="#s"/></text>${drug(code)}</substanceAdministration>`
    const [found] = of(await read(section('10160-0', text, [one])), 'medication')
    expect(found?.content).toMatchObject({ product: { text: 'Sample 50 mg tablet' }, instructions: 'take two' })
  })
})

describe('a severity', () => {
  const severity = observation('<code code="SEV"/><text><reference value="#g"/></text><value xsi:type="CD"/>')
  it('in words alone is told of an allergy, its reaction and a problem', async () => {
    const reaction = observation(`${t('4.9')}<value ${cd('247472004', 'Hives')}/>${relation('SUBJ', severity)}`)
    const text = '<content ID="g">Moderate</content>'
    const part = await read(
      section('48765-2', text, [allergy(`${penicillin}${relation('SUBJ', severity)}${relation('MFST', reaction)}`)]),
      section('11450-4', 'x', [
        observation(`${t('4.4')}<value ${cd('38341003', 'Hypertension')}/>${relation('SUBJ', severity)}`),
      ]),
    )
    expect(of(part, 'allergy')[0]?.content).toMatchObject({
      severity: { text: 'Moderate' },
      reactions: [{ severity: { text: 'Moderate' } }],
    })
    expect(of(part, 'problem')[0]?.content.severity).toMatchObject({ text: 'Moderate' })
  })
})

describe('a value', () => {
  const answerTo = async (value: string): Promise<unknown> =>
    of(await read(section('30954-2', 'x', [observation(`${t('4.2')}${test}${value}`)])), 'result')[0]?.content.value

  it('that its nullFlavor takes back is no measurement', async () => {
    expect(await answerTo('<value xsi:type="PQ" nullFlavor="UNK" value="5" unit="mg/dL"/>')).toEqual({
      kind: 'absent',
      nullFlavor: 'UNK',
    })
  })

  it('is never made another number: decimal commas, digits of other scripts, groups and NaN are words', async () => {
    for (const value of ['5,3', '1 000', '\uff15', 'NaN', '0x10', '1e', '--5']) {
      expect(await answerTo(`<value xsi:type="PQ" value="${value}" unit="mg/dL"/>`)).toEqual({
        kind: 'text',
        text: `${value} mg/dL`,
      })
    }
  })

  it('is known by its type under any prefix', async () => {
    expect(await answerTo('<value xsi:type="hl7:PQ" value="5.30" unit="mg/dL"/>')).toEqual({
      kind: 'quantity',
      quantity: { value: '5.30', unit: 'mg/dL' },
    })
  })
})

describe('a time', () => {
  const whenOf = async (time: string): Promise<unknown> =>
    of(
      await read(
        section('47519-4', 'x', [
          `<procedure moodCode="EVN">${t('4.14')}<code code="80146002" ${sct}/>${time}</procedure>`,
        ]),
      ),
      'procedure',
    )[0]?.when

  it('may be a set of times, of which the first counts', async () => {
    const set =
      '<effectiveTime xsi:type="SXPR_TS"><comp xsi:type="IVL_TS"><low value="2012"/></comp><comp xsi:type="PIVL_TS"><period value="1" unit="d"/></comp></effectiveTime>'
    expect(await whenOf(set)).toMatchObject({ low: { text: '2012', precision: 'year' } })
  })

  it.each(['201203051', '20120305123', '20120230', '2012-03-05', '00000000', '20120305240000', '201203051260'])(
    'that is none stays as written and becomes no other: %s',
    async (value) => {
      expect(await whenOf(`<effectiveTime value="${value}"/>`)).toEqual({ text: value })
    },
  )

  it('is never longer or more precise than written: a width adds no end', async () => {
    expect(await whenOf('<effectiveTime><low value="201203"/><width value="3" unit="d"/></effectiveTime>')).toEqual({
      low: expect.objectContaining({ text: '2012-03', precision: 'month' }),
    })
  })

  it('so many times in so long is kept in words', async () => {
    const often =
      '<effectiveTime xsi:type="PIVL_TS"><frequency><numerator value="3"/><denominator value="1" unit="d"/></frequency></effectiveTime>'
    const one = `<substanceAdministration classCode="SBADM" moodCode="EVN">${t('4.16')}${often}${drug(`<code code="5640" ${rxnorm}/>`)}</substanceAdministration>`
    expect(of(await read(section('10160-0', 'x', [one])), 'medication')[0]?.content.timings).toEqual([
      { text: '3 per 1 d' },
    ])
  })
})

describe('a section', () => {
  it('of a laboratory is known by its specialty, its specimen by the procedure that took it (IHE XD-LAB)', async () => {
    const battery = `<organizer classCode="BATTERY" moodCode="EVN"><statusCode code="completed"/><component>${observation(
      `<code code="6075-6" ${loinc}/><value xsi:type="PQ" value="0.35" unit="k[IU]/L"/>`,
    )}</component></organizer>`
    const taking =
      '<procedure classCode="PROC" moodCode="EVN"><code code="28520004" codeSystem="2.16.840.1.113883.6.96"/><participant typeCode="PRD"><participantRole classCode="SPEC"><playingEntity><code code="BLD" displayName="Blood"/></playingEntity></participantRole></participant></procedure>'
    const item = `<act classCode="ACT" moodCode="EVN"><code code="18716-1" ${loinc}/>${relation('COMP', battery)}${relation('COMP', taking)}</act>`
    const part = await read(section('18716-1', 'x', [item]).replace('Title 18716-1', 'Allergy studies'))
    expect(of(part, 'allergy')).toEqual([])
    expect(of(part, 'result')).toHaveLength(1)
    expect(of(part, 'procedure')).toMatchObject([{ content: { devices: [], specimens: [{ text: 'Blood' }] } }])
  })

  it('of pregnancies is social history (IHE PCC)', async () => {
    const pregnant = observation(
      `${t('1.3.6.1.4.1.19376.1.5.3.1.4.13.5')}<code code="11449-6" ${loinc}/><value ${cd('77386006', 'Pregnant')}/>`,
    )
    const part = await read(section('10162-6', 'x', [pregnant]))
    expect(of(part, 'social-history')).toHaveLength(1)
    expect(part.diagnostics.map(({ code }) => code)).not.toContain('unknown-section')
  })

  it('with an unknown code is known by its template, its entries by the section', async () => {
    const unknown = section('99999-9', 'x', [act('1.2', relation('SUBJ', allergy(penicillin)))])
    const part = await read(unknown.replace('<section>', `<section>${t('2.6.1')}`))
    expect(of(part, 'allergy')).toHaveLength(1)
  })
})

describe('a document', () => {
  it('of two patients is read as that of the first, and nothing of the second is taken for the first', async () => {
    const one = document(section('11450-4', 'x', [problem(cd('38341003', 'Hypertension'))]))
    const [, patient = ''] = /(<recordTarget>[\s\S]*<\/recordTarget>)/.exec(one) ?? []
    const other = patient.replace('Sam', 'Other').replace('19700101', '19800101').replace('value="p"', 'value="q"')
    const [part] = (await readDocument(Buffer.from(one.replace(patient, `${patient}${other}`)))).documents
    const [first, ...more] = part === undefined ? [] : of(part, 'demographics')
    expect(more).toEqual([])
    expect(first?.content).toMatchObject({ birthDate: { text: '1970-01-01' }, names: [{ given: ['Sam'] }] })
    expect(JSON.stringify(part?.items)).not.toContain('Other')
  })
})
