import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readDocument } from '../../src/clinical/read.js'
import { metadataLimits, readMetadata } from '../../src/clinical/xdm/metadata.js'
import { writeZip } from '../../src/clinical/xdm/zip.js'
import { parseXml } from '../../src/xml/parse.js'
import { ccr } from '../fixtures/clinical/documents.js'

const slot = (name: string, ...values: string[]) =>
  `<Slot name="${name}"><ValueList>${values.map((one) => `<Value>${one}</Value>`).join('')}</ValueList></Slot>`
const coded = (scheme: string, code: string, system: string, name: string) =>
  `<Classification classificationScheme="urn:uuid:${scheme}" nodeRepresentation="${code}" classifiedObject="D">${slot('codingScheme', system)}<Name><LocalizedString value="${name}"/></Name></Classification>`
const named = (scheme: string, value: string) =>
  `<ExternalIdentifier identificationScheme="urn:uuid:${scheme}" value="${value}"/>`
const request = (inner: string) =>
  `<lcm:SubmitObjectsRequest xmlns:lcm="urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0" xmlns="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"><RegistryObjectList>${inner}</RegistryObjectList></lcm:SubmitObjectsRequest>`

const entry = (inner: string, id = 'D') =>
  `<ExtrinsicObject id="${id}" mimeType="text/xml" objectType="urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1">${inner}</ExtrinsicObject>`

const read = (xml: string, folder = 'IHE_XDM/SUBSET01/') => {
  const parsed = parseXml(Buffer.from(xml))
  return parsed.kind === 'tree' ? readMetadata(parsed.root, folder) : undefined
}

const whole = request(
  entry(
    slot('URI', 'A.XML') +
      slot('creationTime', '20260301') +
      slot('languageCode', 'en-US') +
      slot('serviceStartTime', '202602') +
      slot('sourcePatientId', 'MRN-7^^^&amp;1.2.3&amp;ISO') +
      '<Name><LocalizedString value="A summary"/></Name><Description><LocalizedString value="As asked"/></Description>' +
      `<Classification classificationScheme="urn:uuid:93606bcf-9494-43ec-9b4e-a7748d1a838d" classifiedObject="D">${slot('authorPerson', '77^Muster^Erika^M^MD^Dr^^^&amp;1.2.9&amp;ISO')}${slot('authorInstitution', 'Clinic of Examples^^^^^^^^^1.2.4')}${slot('authorRole', 'Attending')}</Classification>` +
      coded('41a5887f-8865-4c09-adf7-e362475b143a', '34133-9', '2.16.840.1.113883.6.1', 'Summary') +
      coded('f0306f51-975f-434e-a61c-c59651d33983', '34133-9', 'LOINC', 'Summary of episode') +
      coded('f4f85eac-e6cb-4883-b524-f2705394840f', 'N', '2.16.840.1.113883.5.25', 'Normal') +
      coded('f4f85eac-e6cb-4883-b524-f2705394840f', 'R', '2.16.840.1.113883.5.25', 'Restricted') +
      coded('a09d5840-386c-46f2-b5ad-9c3699a4309d', 'urn:ihe:pcc:xphr:2007', '1.3.6.1.4.1.19376.1.2.3', 'XPHR') +
      coded('cccf5598-8b07-4b77-a05e-ae952c785ead', '394802001', '2.16.840.1.113883.6.96', 'General medicine') +
      coded('f33fb8ac-18af-42cc-ae0e-ed0b0bdb91e1', '22232009', '2.16.840.1.113883.6.96', 'Hospital') +
      named('58a6f841-87b3-4a3e-92fd-a8ffeff98427', 'P1^^^&amp;1.2.5&amp;ISO') +
      named('2e82c1f6-a085-4c72-9da3-8640a32e42ab', '1.2.3^doc1'),
  ) +
    `<RegistryPackage id="S">${slot('submissionTime', '20260302101500')}${slot('intendedRecipient', '|^Muster^Max|^^Internet^max@clinic.example', 'An office')}${coded('aa543740-bdda-424e-8c96-df4873be8500', '34133-9', 'LOINC', 'Summary')}${named('96fdda7c-d067-4183-912e-bf5ee74998a8', '1.2.6')}${named('554ac39e-e3fe-47fe-b233-965d2a147832', '1.2.7')}</RegistryPackage>` +
    '<Association associationType="urn:oasis:names:tc:ebxml-regrep:AssociationType:HasMember" sourceObject="S" targetObject="D"/>',
)

describe('metadata of a package', () => {
  it('is kept whole on the document that it is about', async () => {
    const bytes = writeZip([
      { name: 'IHE_XDM/SUBSET01/METADATA.XML', bytes: Buffer.from(whole) },
      { name: 'IHE_XDM/SUBSET01/A.XML', bytes: Buffer.from(ccr) },
    ])
    const { documents, diagnostics } = await readDocument(bytes)
    expect(diagnostics).toEqual([])
    const summary = {
      codings: [{ code: '34133-9', system: 'http://loinc.org', display: 'Summary', sourceSystem: 'LOINC' }],
    }
    expect(documents[1]?.item.content).toMatchObject({
      metadata: {
        level: 'full',
        title: 'A summary',
        comments: 'As asked',
        uniqueId: '1.2.3^doc1',
        mediaType: 'text/xml',
        language: 'en-US',
        createdAt: { text: '2026-03-01', precision: 'day' },
        serviceStart: { text: '2026-02', precision: 'month' },
        class: { codings: [{ code: '34133-9', sourceSystem: '2.16.840.1.113883.6.1' }] },
        kind: { text: 'Summary of episode' },
        confidentiality: [{ text: 'Normal' }, { text: 'Restricted' }],
        format: { codings: [{ system: 'urn:oid:1.3.6.1.4.1.19376.1.2.3' }] },
        practiceSetting: { text: 'General medicine' },
        facilityKind: { text: 'Hospital' },
        patient: { root: '1.2.5', value: 'P1' },
        sourcePatient: { root: '1.2.3', value: 'MRN-7' },
        authors: [
          {
            kind: 'person',
            text: 'Dr Erika M Muster MD',
            organization: 'Clinic of Examples',
            identifiers: [{ root: '1.2.9', value: '77' }],
          },
        ],
        submission: {
          uniqueId: '1.2.6',
          sourceId: '1.2.7',
          submittedAt: { text: '2026-03-02T10:15:00' },
          contentType: summary,
          recipients: ['max@clinic.example', 'An office'],
        },
      },
    })
  })

  it.each([
    ['the document', '', 'ab9b591b-83ab-4d03-8f5d-f93b1fb92e85'],
    ['the submission', '5003a9db-8d8d-49e6-bf0c-990e34ac7707', ''],
  ])('is limited by the label of %s', (_, submission, document) => {
    const label = (node: string, id: string) =>
      node && `<Classification classifiedObject="${id}" classificationNode="urn:uuid:${node}"/>`
    const xml = request(
      `${entry(slot('URI', 'A.XML') + label(document, 'D'))}<RegistryPackage id="S"/>${label(submission, 'S')}`,
    )
    expect(read(xml)?.[0]?.metadata.level).toBe('limited')
    expect(read(request(entry(slot('URI', 'A.XML'))))?.[0]?.metadata.level).toBe('full')
  })

  it.each([
    [['A.XML'], 'IHE_XDM/SUBSET01/A.XML'],
    [['./A.XML'], 'IHE_XDM/SUBSET01/A.XML'],
    [['file:///A.XML'], 'IHE_XDM/SUBSET01/A.XML'],
    [['DOCS\\A%20B.XML'], 'IHE_XDM/SUBSET01/DOCS/A B.XML'],
    [['IHE_XDM/SUBSET02/A.XML'], 'IHE_XDM/SUBSET02/A.XML'],
    [['2|LL.XML', '1|SMA'], 'IHE_XDM/SUBSET01/SMALL.XML'],
    [['100%.XML'], 'IHE_XDM/SUBSET01/100%.XML'],
  ])('names the file of %j', (written, path) => {
    expect(read(request(entry(slot('URI', ...written))))?.[0]?.path).toBe(path)
  })

  it('belongs to the submission that has the document as a member', () => {
    const package_ = (id: string, title: string) =>
      `<RegistryPackage id="${id}"><Name><LocalizedString value="${title}"/></Name></RegistryPackage>`
    const member = (id: string, of: string) => `<Association sourceObject="${of}" targetObject="${id}"/>`
    const xml = request(
      entry(slot('URI', 'A.XML'), 'A') +
        entry(slot('URI', 'B.XML'), 'B') +
        package_('S1', 'one') +
        package_('S2', 'two') +
        member('A', 'S2') +
        member('B', 'S1'),
    )
    expect(read(xml)?.map(({ metadata }) => metadata.submission?.title)).toEqual(['two', 'one'])
  })

  it('of several subsets is read of each', async () => {
    const subset = (n: number) => [
      {
        name: `IHE_XDM/SUBSET0${n}/METADATA.XML`,
        bytes: Buffer.from(request(entry(`${slot('URI', 'A.XML')}<Name><LocalizedString value="no ${n}"/></Name>`))),
      },
      { name: `IHE_XDM/SUBSET0${n}/A.XML`, bytes: Buffer.from(ccr.replace('</', `<!-- ${n} --></`)) },
    ]
    const { documents, diagnostics } = await readDocument(writeZip([...subset(1), ...subset(2)]))
    expect(diagnostics).toEqual([])
    expect(documents.slice(1).map(({ item }) => item.content)).toMatchObject([
      { metadata: { title: 'no 1' } },
      { metadata: { title: 'no 2' } },
    ])
  })

  it.each(['', '<not xml', '<html/>', '<!DOCTYPE x [<!ENTITY e "e">]><x>&e;</x>'])(
    'that cannot be read keeps the documents, and says so: %j',
    async (xml) => {
      const { documents, diagnostics } = await readDocument(
        writeZip([
          { name: 'IHE_XDM/SUBSET01/METADATA.XML', bytes: Buffer.from(xml) },
          { name: 'IHE_XDM/SUBSET01/A.XML', bytes: Buffer.from(ccr) },
          { name: 'INDEX.HTM', bytes: Buffer.from('<html><body><p></b></body>') },
        ]),
      )
      expect(documents).toHaveLength(2)
      expect(diagnostics.map(({ code }) => code)).toEqual(['metadata-unreadable', 'unlisted-file'])
    },
  )

  it('is read within limits, and never throws, whatever it is', () => {
    const many = request(
      Array.from({ length: metadataLimits.documents + 5 }, (_, n) => entry(slot('URI', `${n}.XML`), `D${n}`)).join(''),
    )
    expect(read(many)).toHaveLength(metadataLimits.documents)
    const pieces = whole.split(/(?<=>)/)
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 6 }), (swaps) => {
        const mixed = [...pieces]
        for (const [a, b] of swaps) {
          const [x, y] = [a % mixed.length, b % mixed.length]
          ;[mixed[x], mixed[y]] = [mixed[y] ?? '', mixed[x] ?? '']
        }
        read(mixed.join(''))
      }),
      { numRuns: 1000 },
    )
  })
})

describe('a hostile archive', () => {
  it('has no links, and no two files of one name', async () => {
    const bytes = writeZip([
      { name: 'IHE_XDM/SUBSET01/A.XML', bytes: Buffer.from(ccr) },
      { name: 'IHE_XDM/SUBSET01/a.xml', bytes: Buffer.from(ccr.replace('</', ' </')) },
      { name: 'IHE_XDM/SUBSET01/LINK.XML', bytes: Buffer.from('/etc/passwd') },
    ])
    bytes.writeUInt32LE((0o120777 << 16) >>> 0, bytes.lastIndexOf('PK\x01\x02', undefined, 'latin1') + 38)
    const { documents, diagnostics } = await readDocument(bytes)
    expect(documents).toHaveLength(2)
    expect(diagnostics.map(({ code, detail }) => `${code}: ${detail}`)).toEqual([
      'unsafe-entry: another file of this name',
      'unsafe-entry: a link, not a file',
      'unlisted-file: a document that no metadata names',
    ])
  })
})
