import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readIso } from '../../src/clinical/ccr/moments.js'
import { readTimestamp } from '../../src/clinical/cda/timestamp.js'
import { codeSystemOfName, codeSystemOfOid } from '../../src/clinical/codesystems.js'
import { isUcum } from '../../src/clinical/ucum.js'

describe('a point in time of HL7 v3', () => {
  it.each([
    ['2015', '2015', 'year', null],
    ['201506', '2015-06', 'month', null],
    ['20150622', '2015-06-22', 'day', null],
    ['20150622-0500', '2015-06-22', 'day', -300],
    ['2015062210', '2015-06-22T10', 'hour', null],
    ['201506221030', '2015-06-22T10:30', 'minute', null],
    ['201506221030+0545', '2015-06-22T10:30', 'minute', 345],
    ['201506221030+00', '2015-06-22T10:30', 'minute', 0],
    ['201506221030-0000', '2015-06-22T10:30', 'minute', null],
    ['20150622103015', '2015-06-22T10:30:15', 'second', null],
    ['20150622103015.5Z', '2015-06-22T10:30:15.5', 'second', 0],
    ['20160229', '2016-02-29', 'day', null],
    ['20150622235960', '2015-06-22T23:59:60', 'second', null],
  ])('%s', (source, text, precision, offsetMinutes) => {
    expect(readTimestamp(source)).toEqual({ text, precision, offsetMinutes, source })
  })

  it.each(
    [
      '',
      '0',
      '15',
      '201',
      '20150',
      '2015062',
      '201506221',
      '20150622103',
      '2015062210301',
      '201506',
      '20151301',
      '20150230',
      '19000229',
      '00000101',
      '2015062224',
      '201506221060',
      '20150622103061',
      '201506221030+1500',
      '20150622 1030',
      '2015-06-22',
      'abcd',
    ].filter((one) => one !== '201506'),
  )('refuses %j', (source) => {
    expect(readTimestamp(source)).toBeUndefined()
  })

  it('never has more digits than its source', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^\d{4,14}(\.\d{1,4})?([+-]\d{4})?$/), (source) => {
        const read = readTimestamp(source)
        if (read) expect(read.text.replace(/\D/g, '')).toBe(source.replace(/[+-]\d{4}$/, '').replace(/\D/g, ''))
      }),
    )
  })
})

describe('a date of a CCR', () => {
  it.each([
    ['1999', '1999', 'year', null],
    ['1999-04', '1999-04', 'month', null],
    ['1999-04-01', '1999-04-01', 'day', null],
    ['19990401', '1999-04-01', 'day', null],
    ['2000-04-07T14:30Z', '2000-04-07T14:30', 'minute', 0],
    ['2010-03-25T13:15:00-05:00', '2010-03-25T13:15:00', 'second', -300],
  ])('%s', (source, text, precision, offsetMinutes) => {
    expect(readIso(source)).toEqual({ text, precision, offsetMinutes, source })
  })

  it.each(['5/6/06', '1999-13', '1999-02-30', '2 years ago', '199904', ''])('refuses %j', (source) => {
    expect(readIso(source)).toBeUndefined()
  })
})

describe('code systems', () => {
  it('have FHIR URIs, or keep their OID', () => {
    expect(codeSystemOfOid('2.16.840.1.113883.6.96')).toEqual({ uri: 'http://snomed.info/sct', known: true })
    expect(codeSystemOfOid('2.16.840.1.113883.6.59')).toEqual({ uri: 'http://hl7.org/fhir/sid/cvx', known: true })
    expect(codeSystemOfOid('1.2.3')).toEqual({ uri: 'urn:oid:1.2.3', known: false })
    expect(codeSystemOfOid('DB734647-FC99-424C-A864-7E3CDA82E703')).toEqual({
      uri: 'urn:uuid:db734647-fc99-424c-a864-7e3cda82e703',
      known: false,
    })
    for (const wrong of ['ICD9', 'Example', '2.16.', 'constructor', '__proto__']) {
      expect(codeSystemOfOid(wrong)).toEqual({ known: false })
    }
  })

  it('are found by the names that a CCR gives them', () => {
    for (const name of ['SNOMED CT', 'snomed-ct', 'SNOMED', '2.16.840.1.113883.6.96']) {
      expect(codeSystemOfName(name)).toEqual({ uri: 'http://snomed.info/sct', known: true })
    }
    expect(codeSystemOfName('ICD9-CM').uri).toBe('http://hl7.org/fhir/sid/icd-9-cm')
    expect(codeSystemOfName('FDB Allergy')).toEqual({ uri: 'FDB Allergy', known: false })
    expect(codeSystemOfName('constructor')).toEqual({ uri: 'constructor', known: false })
  })
})

describe('units of UCUM', () => {
  it.each(
    "mg mm[Hg] 10*3/uL 10*9/L /min {breaths}/min % [in_i] [lb_av] kg/m2 Cel [degF] mL/min/{1.73_m2} [IU]/L m[IU]/mL ug/dL meq/L mosm/kg {INR} U/L 1 {tbl} h wk mL/h [USP'U] [pH] g/(24.h) /[HPF] 10*6/mm3 cm fL pg s mmol/L kU/L L/min mg/kg/d [oz_av] ng/mL{FEU} [arb'U] 10^3/uL /100{WBC} [CFU]/mL mm/h a mo d min m[H2O] dam um3 nmol/mmol{creat}".split(
      ' ',
    ),
  )('%s', (unit) => {
    expect(isUcum(unit)).toBe(true)
  })

  it.each([
    ...'MG Tablet puff cap(s) milliliter TOILET bpm lbs in thou/uL mmHg lb IU x10E3 { } (( m..s mg/ Units beats/min Pounds inches THOUS/MCL tbl {a{b}} mg{'.split(
      ' ',
    ),
    'mm Hg',
    'deg F',
    '',
    'µg',
    '('.repeat(50),
  ])('refuses %j', (unit) => {
    expect(isUcum(unit)).toBe(false)
  })

  it('never throws', () => {
    fc.assert(fc.property(fc.string(), (unit) => typeof isUcum(unit) === 'boolean'))
    fc.assert(
      fc.property(fc.stringMatching(/^[mgLh./(){}[\]%0-9*^]{0,30}$/), (unit) => typeof isUcum(unit) === 'boolean'),
    )
  })
})
