import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  contextActions,
  contextCategories,
  contextEncapsulations,
  contextPatientFields,
  contextPurposes,
  type MessageContext,
} from '../../src/direct/context.js'
import { buildLeaf, buildMessage, buildMultipart, type Entity, entityBytes } from '../../src/mime/build.js'
import { buildContext, contextLimits, type ReadContext, readContext } from '../../src/mime/context.js'
import type { UnsafeField } from '../../src/mime/fields.js'
import { readMime } from '../../src/mime/part.js'

const id = '7f3a@clinic.example'

/** Reads the context of a message that is written by hand. */
function contextOf(message: string | Uint8Array): ReadContext | undefined {
  const bytes = typeof message === 'string' ? Buffer.from(message.replaceAll('\n', '\r\n')) : message
  const tree = readMime(bytes)
  if (tree.kind === 'unreadable') throw new Error(tree.detail)
  return readContext(tree)
}

function mailOf(text: string, { header = `X-Direct-Context: <${id}>`, fields = '', cid = `<${id}>` } = {}): string {
  return `From: <a@x.example>\n${header}\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nSee below.\n--b\nContent-Type: text/plain; name=metadata.txt\nContent-ID: ${cid}\nContent-Disposition: attachment; filename=metadata.txt\n${fields}\n${text}\n--b--\n`
}

const whole = `version: 1.1
id: <2142@direct.example.com>
patient-id: 2.16.840.1.113883.19.999999:123456; 2.16.840.1.113883.19.888888:75774
type: radiology/report
purpose: research
patient: givenName=Maxime; surname=Testcase; dateOfBirth=1961-12-31; gender=M;
 postalCode=12345
encapsulation: hl7v2
`
const read: MessageContext = {
  version: '1.1',
  id: '<2142@direct.example.com>',
  patientIds: [
    { domain: '2.16.840.1.113883.19.999999', id: '123456' },
    { domain: '2.16.840.1.113883.19.888888', id: '75774' },
  ],
  type: { category: 'radiology', action: 'report' },
  purpose: 'research',
  patient: {
    givenName: 'Maxime',
    surname: 'Testcase',
    dateOfBirth: '1961-12-31',
    gender: 'M',
    postalCode: '12345',
  },
  encapsulation: 'hl7v2',
  others: [],
}

/** As the uuencode utility writes it. */
function uuencoded(text: string): string {
  const bytes = Buffer.from(text)
  const char = (six: number) => String.fromCharCode(six === 0 ? 96 : six + 32)
  const lines: string[] = []
  for (let at = 0; at < bytes.length; at += 45) {
    const line = bytes.subarray(at, at + 45)
    let out = char(line.length)
    for (let i = 0; i < line.length; i += 3) {
      const bits = ((line[i] ?? 0) << 16) | ((line[i + 1] ?? 0) << 8) | (line[i + 2] ?? 0)
      out += char(bits >> 18) + char((bits >> 12) & 63) + char((bits >> 6) & 63) + char(bits & 63)
    }
    lines.push(out)
  }
  return ['begin 644 metadata.txt', ...lines, '`', 'end'].join('\n')
}

describe('a context', () => {
  it.each([
    ['as it is', '', whole],
    [
      'in base64',
      'Content-Transfer-Encoding: BASE64\n',
      Buffer.from(whole).toString('base64').replace(/.{70}/g, '$&\n'),
    ],
    ['in quoted-printable', 'Content-Transfer-Encoding: quoted-printable\n', whole.replaceAll('=', '=3D')],
    ['in uuencode', 'Content-Transfer-Encoding: uuencode\n', uuencoded(whole)],
    ['in x-uuencode', 'Content-Transfer-Encoding: x-uuencode\n', uuencoded(whole)],
    ['in binary with CRLF', 'Content-Transfer-Encoding: binary\n', whole],
    [
      'in capitals',
      '',
      whole
        .replace(/^[a-z-]+:/gm, (name) => name.toUpperCase())
        .replace('radiology/report', 'Radiology/REPORT')
        .replace('givenName=', 'GIVENNAME='),
    ],
    [
      'with space everywhere',
      '',
      whole.replaceAll(':', ' : ').replace('<2142@direct.example.com>', ' <2142@direct.example.com> '),
    ],
    ['behind a byte order mark', '', `\ufeff${whole}`],
  ])('is read %s', (_, fields, text) => {
    expect(contextOf(mailOf(text, { fields }))).toEqual({ context: read, faults: [] })
  })

  it.each([
    ['bare', { header: `x-direct-context: ${id}` }],
    ['folded', { header: `X-Direct-Context:\n <${id}>` }],
    ['in another case', { header: `X-DIRECT-CONTEXT: <${id.toUpperCase()}>` }],
    ['as a URL', { header: `X-Direct-Context: cid:${id}` }],
    ['without brackets on the part', { cid: id }],
  ])('is found by its Content-ID %s', (_, how) => {
    expect(contextOf(mailOf(whole, how))?.context).toEqual(read)
  })

  it('is found deeper in the message, and not without the header', () => {
    const part = mailOf(whole).split('--b\n')[2] ?? ''
    const nested = (header: string) =>
      `From: <a@x.example>\n${header}Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/mixed; boundary=b\n\n--b\n${part}\n--o--\n`
    expect(contextOf(nested(`X-Direct-Context: <${id}>\n`))?.context).toEqual(read)
    expect(contextOf(nested(''))).toBeUndefined()
  })

  it('keeps words that no vocabulary has, and fields that nobody knows', () => {
    const text = `version: 2.0
type: dental/plan
purpose: public-health
encapsulation: fhir
patient: givenName=Ann; shoeSize=40
creation-time: 20260302100000+0000
format-code: dt-org:dsm:adt-en:1.0
type-code: notification
content-type-code: A01
X-Local: anything: at all
`
    expect(contextOf(mailOf(text))).toEqual({
      context: {
        version: '2.0',
        patientIds: [],
        type: { category: 'dental', action: 'plan' },
        purpose: 'public-health',
        encapsulation: 'fhir',
        patient: { givenName: 'Ann', others: [{ name: 'shoeSize', value: '40' }] },
        creationTime: '20260302100000+0000',
        formatCode: 'dt-org:dsm:adt-en:1.0',
        typeCode: 'notification',
        contentTypeCode: 'A01',
        others: [{ name: 'X-Local', value: 'anything: at all' }],
      },
      faults: [],
    })
  })

  it('reads quoted values, URNs, and numbers that have a colon', () => {
    const text = `version: 1.1
patient-id: urn:oid:2.16.1:a:b; 2.16.2:"c;d"
patient: streetAddress="1 Main St; Apt 4"; surname=O"Neil; middleName="open
`
    expect(contextOf(mailOf(text))?.context).toMatchObject({
      patientIds: [
        { domain: '2.16.1', id: 'a:b' },
        { domain: '2.16.2', id: 'c;d' },
      ],
      patient: { streetAddress: '1 Main St; Apt 4', surname: 'O"Neil', middleName: '"open' },
    })
  })

  it.each([
    ['no such part', mailOf(whole, { header: 'X-Direct-Context: <other@x>' }), /no part/],
    ['an empty reference', mailOf(whole, { header: 'X-Direct-Context: <>' }), /no part/],
    ['two references', mailOf(whole, { header: `X-Direct-Context: <${id}>\nX-Direct-Context: <z>` }), /more than once/],
    ['an unknown encoding', mailOf(whole, { fields: 'Content-Transfer-Encoding: rot13\n' }), /unknown/],
    ['too much', mailOf(`version: 1.1\n${'x: y\n'.repeat(4000)}`), /longer than/],
    [
      'too many fields',
      mailOf(`version: 1.1\n${Array.from({ length: 70 }, (_, i) => `x${i}: y\n`).join('')}`),
      /more than 64 fields/,
    ],
    ['too many numbers', mailOf(`version: 1.1\npatient-id: ${'1.2:3; '.repeat(70)}\n`), /more than 64 items/],
    ['a line that is none', mailOf('version: 1.1\nnothing\n'), /line 2 is no field/],
    ['a field twice', mailOf('version: 1.1\npurpose: research\nPurpose: payment\n'), /line 3 says again/],
    ['a type that is none', mailOf('version: 1.1\ntype: radiology\n'), /line 2 is no category/],
    ['a parameter that is none', mailOf('version: 1.1\npatient: givenName\n'), /an item that is none/],
    ['no version', mailOf('id: <1@x>\n'), /no version/],
  ])('with %s is told, not refused', (_, mail, fault) => {
    expect(contextOf(mail)?.faults.join('\n')).toMatch(fault)
  })

  it('says nothing of the patient in what is told', () => {
    const text = 'version: 1.1\npatient: SecretName\npatient: surname=SecretName; surname=SecretName\nSecretName\n'
    expect(contextOf(mailOf(text))?.faults.join()).not.toContain('SecretName')
  })
})

function entity(built: Entity | UnsafeField): Entity {
  if (built.kind === 'unsafe-field') throw new Error(built.detail)
  return built
}

const words = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
  .map((text) => text.replace(/[\p{Cc}\p{Cs}\u2028\u2029\ufeff]/gu, '').trim())
  .filter((text) => text !== '')
const oid = fc.array(fc.nat(999_999), { minLength: 2, maxLength: 8 }).map((arcs) => arcs.join('.'))
const optional = <T>(arb: fc.Arbitrary<T>) => fc.option(arb, { nil: undefined })
const contexts = fc.record({
  version: fc.constantFrom('1.0', '1.1'),
  id: words,
  patientIds: fc.array(fc.record({ domain: oid, id: words }), { maxLength: 4 }),
  type: optional(
    fc.record({ category: fc.constantFrom(...contextCategories), action: fc.constantFrom(...contextActions) }),
  ),
  purpose: optional(fc.constantFrom(...contextPurposes)),
  encapsulation: optional(fc.constantFrom(...contextEncapsulations)),
  patient: optional(fc.dictionary(fc.constantFrom(...contextPatientFields), words, { minKeys: 1 })),
  creationTime: optional(words),
  others: fc.constant([{ name: 'x-more', value: 'kept: as it is' }]),
})

describe('a context that is written', () => {
  it('is read again, whatever its words are', () => {
    fc.assert(
      fc.property(contexts, (drawn) => {
        const context = JSON.parse(JSON.stringify(drawn)) as MessageContext
        const text = entity(buildLeaf({ mediaType: 'text/plain', body: 'See the attachment.' }))
        const mixed = entity(buildMultipart('mixed', {}, [text, entity(buildContext(context, id))]))
        const message = entityBytes(entity(buildMessage([['X-Direct-Context', `<${id}>`]], mixed)))
        expect(contextOf(message)).toEqual({ context, faults: [] })
      }),
      { numRuns: 500 },
    )
  })

  it.each([
    ['a line break', { patientIds: [], others: [], patient: { surname: 'x\r\nid: y' } }],
    ['a line separator', { patientIds: [], others: [], purpose: 'x\u2028y' }],
    ['a list of numbers that is no OID', { patientIds: [{ domain: 'MRN', id: '1' }], others: [] }],
    ['a name with a colon', { patientIds: [], others: [{ name: 'a:b', value: 'c' }] }],
    [
      'a parameter with a semicolon',
      { patientIds: [], others: [], patient: { others: [{ name: 'a;b', value: 'c' }] } },
    ],
  ])('refuses %s', (_, context) => {
    expect(buildContext(context, id).kind).toBe('unsafe-field')
  })

  it('survives any damage without a throw, in bounded time', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 12 }), (changes) => {
        const bytes = Buffer.from(mailOf(whole).replaceAll('\n', '\r\n'))
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte
        const tree = readMime(bytes)
        if (tree.kind !== 'unreadable') readContext(tree)
      }),
      { numRuns: 3_000 },
    )
    for (const hostile of [' ', ';', '=', '"', '\\"', 'a="', 'a=";', 'urn:oid:', '\n ', 'a;\n'])
      for (const field of ['patient', 'patient-id', 'type']) {
        const text = `version: 1.1\n${field}: a${hostile.repeat(contextLimits.textBytes / hostile.length - 20)}b`
        expect(contextOf(mailOf(text))).toBeDefined()
      }
  })
})
