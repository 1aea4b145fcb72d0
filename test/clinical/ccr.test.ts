import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { readDocument } from '../../src/clinical/read.js'
import { ccr } from '../fixtures/clinical/documents.js'
import { line } from './brief.js'

const read = async (text: string) => {
  const [part] = (await readDocument(Buffer.from(text))).documents
  if (part === undefined) throw new Error('no document')
  return part
}

const { item, items, diagnostics, entries } = await read(ccr)
const content = (type: string, at: number) => items.filter((one) => one.content.type === type)[at]?.content

describe('a Continuity of Care Record', () => {
  it('is an item itself, from its sender', () => {
    expect(item).toMatchObject({
      content: { format: 'ccr', title: 'Transfer of care' },
      when: { value: { text: '2010-03-25T13:15:00', offsetMinutes: -300 } },
      provenance: { authors: [{ kind: 'person', text: 'Dr. Pat Specimen' }] },
    })
  })

  it('tells what its body says', () => {
    expect(items.slice(1).map(line)).toEqual([
      'insurance | Primary Health Insurance {} |  |  | ',
      'problem | Congestive heart failure {icd9cm|428.0 sct|42343007} | 1999-04.. | active | ',
      'problem | Pneumonia {sct|233604007} | 2001..2002-02-03 | resolved | ',
      'problem | Migraine {} | "41 Years" | inactive | ',
      'social-history | Tobacco Use {} |  |  | ',
      'allergy | Codeine {rxnorm|2670 sct|293597001} | "2 years ago" | active | ',
      'note | Fall risk {} |  |  | ',
      'allergy | No known food allergies {} |  |  | negated',
      'medication | metformin {rxnorm|6809} | 2005-04-01.. | active | ',
      'immunization | Influenza virus vaccine {cvx|88} | 1999-11 |  | ',
      'vital-sign | Body height {sct|50373000} | 1999-11-14 |  | ',
      'result | Potassium {loinc|2823-3} | 2000-04-07T14:30@0 | completed | ',
      'result | CRP {} | 2000-04-07T14:30@0 |  | ',
      'result | Pregnancy test {} | 2000-04-07T14:30@0 |  | ',
      'procedure | Total hip replacement {sct|52734007} | 1998 | completed | ',
      'encounter | Emergency {} | 2005-09-24 |  | ',
      'encounter | Outpatient {} | 2031-01-01 | planned | planned',
    ])
  })

  it('finds the patient among the actors', () => {
    expect(content('demographics', 0)).toMatchObject({
      names: [{ given: ['Jo', 'B'], family: 'Sample' }],
      birthDate: { text: '1948-01-16' },
      gender: { text: 'Female' },
      maritalStatus: { text: 'Married' },
      addresses: [{ lines: ['1 Example Road'], city: 'Sampleton', state: 'FL', postalCode: '03301', use: 'Home' }],
      identifiers: [{ root: 'MRN', value: '4711' }],
    })
  })

  it('keeps doses, frequencies and results in the words of the source', () => {
    expect(content('medication', 0)).toMatchObject({
      brand: { text: 'Samplophage' },
      strength: { value: '500', unit: 'mg' },
      dose: { value: '1', unit: 'tablet' },
      timings: [{ text: 'bid' }],
      instructions: 'With meals',
      indications: [{ text: 'Congestive heart failure' }],
      refills: '2',
    })
    expect(content('result', 0)).toMatchObject({
      value: { quantity: { value: '4.30', unit: 'mmol/L' } },
      referenceRanges: [{ text: '3.5 - 5.3 mmol/L' }],
    })
    expect(content('result', 1)).toMatchObject({
      value: { quantity: { value: '5', unit: 'mg/L', comparator: '<' } },
      referenceRanges: [{ low: { value: '0' }, high: { value: '5' } }],
      interpretations: [{ text: 'Normal' }],
    })
    expect(content('result', 2)).toMatchObject({ value: { kind: 'text', text: 'No' } })
    expect(content('allergy', 0)).toMatchObject({
      reactions: [{ manifestation: { text: 'Hives' }, severity: { text: 'Severe' } }],
    })
    expect(content('problem', 2)).toMatchObject({ ageAtOnset: { value: '41', unit: 'Years' } })
    expect(content('encounter', 0)).toMatchObject({
      locations: ['Sample Medical Center'],
      indications: [{ text: 'Chest pain' }, { text: 'Congestive heart failure' }],
      diagnoses: [],
    })
  })

  it('names the source, the object and the place of each item', () => {
    expect(items.find((one) => one.content.type === 'problem')).toMatchObject({
      identifiers: [{ value: 'P1' }],
      provenance: {
        entry: 'ContinuityOfCareRecord[1]/Body[1]/Problems[1]/Problem[1]',
        section: 'Problems',
        authors: [
          { kind: 'person', text: 'Dr. Pat Specimen', name: { prefix: 'Dr.', given: ['Pat'], family: 'Specimen' } },
        ],
      },
    })
    expect(items.find((one) => one.content.type === 'medication')?.recordedAt?.text).toBe('2005-03-29')
  })

  it('says what became of every object', () => {
    const at = (path: string) => path.replace('ContinuityOfCareRecord[1]/Body[1]/', '')
    expect(diagnostics).toEqual([])
    expect(entries.map((one) => `${one.kind} ${at(one.entry)}`)).toEqual([
      'items Payers[1]/Payer[1]',
      'items Problems[1]/Problem[1]',
      'items Problems[1]/Problem[2]',
      'items Problems[1]/Problem[3]',
      'merged SocialHistory[1]/SocialHistoryElement[1]',
      'items SocialHistory[1]/SocialHistoryElement[2]',
      'items Alerts[1]/Alert[1]',
      'items Alerts[1]/Alert[2]',
      'items Alerts[1]/Alert[3]',
      'items Medications[1]/Medication[1]',
      'items Immunizations[1]/Immunization[1]',
      'items VitalSigns[1]/Result[1]',
      'items Results[1]/Result[1]',
      'items Procedures[1]/Procedure[1]',
      'items Encounters[1]/Encounter[1]',
      'items Encounters[1]/Encounter[2]',
    ])
    const said = entries.flatMap((one) => (one.kind === 'items' ? one.items : one.kind === 'merged' ? [one.into] : []))
    expect(new Set(said)).toEqual(new Set(items.map(({ id }) => id)))
  })
})

describe('a CCR in other clothes', () => {
  it('may wear a prefix, or stand in an Atom feed', async () => {
    const plain = items.map(line)
    const prefixed = ccr
      .replace(/<(\/?)([A-Z])/g, '<$1ccr:$2')
      .replace('xmlns="urn:astm-org:CCR"', 'xmlns:ccr="urn:astm-org:CCR"')
    expect((await read(prefixed)).items.map(line)).toEqual(plain)
    const feed = `<feed xmlns="http://www.w3.org/2005/Atom"><entry><title>x</title><content type="application/xml">${ccr.replace(/<\?.*?\?>/g, '')}</content></entry></feed>`
    const wrapped = await read(feed)
    expect(wrapped.item.content).toMatchObject({ format: 'ccr' })
    expect(wrapped.items.map(line)).toEqual(plain)
    expect(wrapped.items.find((one) => one.content.type === 'problem')?.provenance.entry).toBe(
      'feed[1]/entry[1]/content[1]/ContinuityOfCareRecord[1]/Body[1]/Problems[1]/Problem[1]',
    )
  })

  it('makes an item of each episode of a problem', async () => {
    const { items } = await read(
      '<ContinuityOfCareRecord xmlns="urn:astm-org:CCR"><Body><Problems><Problem><Description><Text>Pneumonia</Text></Description><Episodes><Episode><DateTime><ExactDateTime>1997-01</ExactDateTime></DateTime><Status><Text>Resolved</Text></Status></Episode><Episode><DateTime><ExactDateTime>1999</ExactDateTime></DateTime></Episode></Episodes></Problem></Problems></Body></ContinuityOfCareRecord>',
    )
    expect(items.map(line)).toEqual([
      'problem | Pneumonia {} | 1997-01.. | resolved | ',
      'problem | Pneumonia {} | 1999.. |  | ',
    ])
  })

  it('does not guess at a date with slashes', async () => {
    const { items } = await read(
      '<ContinuityOfCareRecord xmlns="urn:astm-org:CCR"><Body><Procedures><Procedure><DateTime><ApproximateDateTime><Text>5/6/06</Text></ApproximateDateTime></DateTime><Description><Text>X-ray</Text></Description></Procedure></Procedures></Body></ContinuityOfCareRecord>',
    )
    expect(items[0]?.when).toEqual({ text: '5/6/06' })
  })
})
