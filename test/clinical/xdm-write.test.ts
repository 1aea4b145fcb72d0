import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { XMLParser } from 'fast-xml-parser'
import { describe, expect, it } from 'vitest'
import { clinicalLimits } from '../../src/clinical/limits.js'
import { readDocument } from '../../src/clinical/read.js'
import { unpack } from '../../src/clinical/xdm/archive.js'
import { asOid, oidOf } from '../../src/clinical/xdm/oid.js'
import { dtm } from '../../src/clinical/xdm/registry.js'
import { type Submission, writeXdm, type XdmRequest } from '../../src/clinical/xdm/write.js'
import { ccd21, ccr } from '../fixtures/clinical/documents.js'

const submission: Submission = {
  at: Date.UTC(2026, 2, 1, 10, 30),
  sourceId: '1.2.826.0.1.99',
  title: 'Summary & more <"quoted">',
  author: { address: 'doctor@north.test' },
  recipients: [{ address: 'erika@patients.test', name: 'Erika Muster' }, { address: 'office@south.test' }],
  patient: { root: '1.2.826.0.1.5', value: 'P^1&2' },
}
const cda = { bytes: Buffer.from(ccd21) }
const request = (given: Partial<XdmRequest> = {}): XdmRequest => ({
  documents: [cda],
  submission,
  level: 'full',
  ...given,
})

const written = (given: Partial<XdmRequest> = {}): Buffer => {
  const outcome = writeXdm(request(given))
  if (outcome.kind !== 'package') throw new Error(JSON.stringify(outcome))
  return outcome.bytes
}
const files = async (bytes: Uint8Array) =>
  new Map((await unpack(bytes, clinicalLimits)).files.map((one) => [one.name, one.bytes]))
const metadataIn = async (bytes: Uint8Array) =>
  Buffer.from((await files(bytes)).get('IHE_XDM/SUBSET01/METADATA.XML') ?? '').toString('utf8')

describe('a package of ours', () => {
  it('has the files of XDM, and the document in it byte for byte', async () => {
    const found = await files(written())
    expect([...found.keys()]).toEqual([
      'README.TXT',
      'INDEX.HTM',
      'IHE_XDM/SUBSET01/METADATA.XML',
      'IHE_XDM/SUBSET01/DOC00001.XML',
    ])
    expect(found.get('IHE_XDM/SUBSET01/DOC00001.XML')).toEqual(cda.bytes)
    expect(written().includes('IHE_XDM/SUBSET01/PK')).toBe(true)
  })

  it('is read back by our reader without a word, with what it was given', async () => {
    const metadata = {
      practiceSetting: {
        codings: [{ code: '394802001', sourceSystem: '2.16.840.1.113883.6.96', display: 'General medicine' }],
      },
    }
    const { documents, diagnostics } = await readDocument(
      written({ documents: [{ ...cda, metadata }, { bytes: Buffer.from(ccr) }, { bytes: Buffer.from('%PDF-1.7 x') }] }),
    )
    expect(diagnostics).toEqual([])
    expect(documents.map(({ item }) => (item.content.type === 'document' ? item.content.format : ''))).toEqual([
      'xdm',
      'c-cda',
      'ccr',
      'pdf',
    ])
    expect(documents[1]?.item.content).toMatchObject({
      metadata: {
        level: 'full',
        practiceSetting: { text: 'General medicine' },
        facilityKind: { text: 'Unknown' },
        format: { codings: [{ code: 'urn:hl7-org:sdwg:ccda-structuredBody:2.1' }] },
        submission: {
          title: submission.title,
          submittedAt: { text: '2026-03-01T10:30:00' },
          sourceId: submission.sourceId,
          patient: submission.patient,
          recipients: ['erika@patients.test', 'office@south.test'],
          authors: [{ text: 'doctor@north.test' }],
        },
      },
    })
    expect(documents[3]?.item.content).toMatchObject({
      metadata: {
        kind: { text: 'Unknown' },
        format: { codings: [{ code: 'urn:ihe:iti:xds:2017:mimeTypeSufficient' }] },
      },
    })
  })

  it('is the same for the same request, and another for another', () => {
    expect(written()).toEqual(written())
    expect(written({ submission: { ...submission, at: submission.at + 1000 } })).not.toEqual(written())
  })

  it('names size, hash and file of each document', async () => {
    const xml = await metadataIn(written({ documents: [cda, { bytes: Buffer.from('hello') }] }))
    const hash = (bytes: Uint8Array) => createHash('sha1').update(bytes).digest('hex')
    for (const value of [
      'DOC00001.XML',
      'DOC00002.TXT',
      String(cda.bytes.length),
      '5',
      hash(cda.bytes),
      hash(Buffer.from('hello')),
    ])
      expect(xml).toContain(`<Value>${value}</Value>`)
  })

  it('has ids that are there once, and names nothing else', async () => {
    const xml = await metadataIn(written({ documents: [cda, cda, { bytes: Buffer.from(ccr) }] }))
    const ids = [...xml.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id)
    expect(new Set(ids).size).toBe(ids.length)
    for (const [, id] of xml.matchAll(/ (?:classifiedObject|registryObject|sourceObject|targetObject)="([^"]+)"/g))
      expect(ids).toContain(id)
    const unique = [...xml.matchAll(/uuid:2e82c1f6-a085-4c72-9da3-8640a32e42ab" value="([^"]+)"/g)].map(([, id]) => id)
    expect(new Set(unique).size).toBe(3)
  })

  it('is labelled where its metadata are limited, and not else', async () => {
    const labels = /5003a9db-8d8d-49e6-bf0c-990e34ac7707|ab9b591b-83ab-4d03-8f5d-f93b1fb92e85/g
    expect((await metadataIn(written({ level: 'limited' }))).match(labels)).toHaveLength(2)
    expect(await metadataIn(written())).not.toMatch(labels)
  })

  it('needs no patient where its metadata are limited', () => {
    const { patient, ...without } = submission
    const pdf = { bytes: Buffer.from('%PDF-1.7 x') }
    expect(patient).toBeDefined()
    expect(writeXdm(request({ documents: [pdf], submission: without }))).toEqual({
      kind: 'incomplete',
      missing: ['submission.patient'],
    })
    expect(writeXdm(request({ documents: [pdf], submission: without, level: 'limited' })).kind).toBe('package')
    expect(writeXdm(request({ submission: { ...submission, sourceId: 'us' }, level: 'limited' })).kind).toBe(
      'incomplete',
    )
  })

  it('escapes what stands in names, in markup and in HL7 fields', async () => {
    const xml = await metadataIn(written())
    expect(xml).toContain('value="Summary &amp; more &lt;&quot;quoted&quot;&gt;"')
    expect(xml).toContain('value="P\\S\\1\\T\\2^^^&amp;1.2.826.0.1.5&amp;ISO"')
    expect(xml).toContain('<Value>|^Erika Muster|^^Internet^erika@patients.test</Value>')
    expect(xml).toContain('<Value>||^^Internet^office@south.test</Value>')
  })

  it('is no bomb to our own reader, however well its documents pack', async () => {
    const blank = Buffer.alloc(5_000_000, 0x20)
    const { documents, diagnostics } = await readDocument(written({ documents: [{ bytes: blank }] }))
    expect(diagnostics).toEqual([])
    expect(documents[1]?.bytes.length).toBe(blank.length)
  })

  it('has its limits', () => {
    const many = Array.from({ length: clinicalLimits.archiveEntries }, () => cda)
    expect(writeXdm(request({ documents: many })).kind).toBe('too-much')
    expect(writeXdm(request(), { ...clinicalLimits, archiveBytes: 1024 * 1024 }).kind).toBe('too-much')
    expect(writeXdm(request({ documents: [] }))).toEqual({ kind: 'incomplete', missing: ['documents'] })
  })

  it('is well-formed for another parser, whatever the words', async () => {
    const words = fc.string({ unit: 'binary', maxLength: 30 })
    await fc.assert(
      fc.asyncProperty(words, words, words, async (title, name, code) => {
        const bytes = written({
          submission: { ...submission, title, recipients: [{ address: 'a@b.test', name }] },
          documents: [{ ...cda, metadata: { title: name, kind: { codings: [{ code, display: title }] } } }],
          level: 'limited',
        })
        const found = await files(bytes)
        for (const file of ['INDEX.HTM', 'IHE_XDM/SUBSET01/METADATA.XML']) {
          const text = Buffer.from(found.get(file) ?? '').toString('utf8')
          expect(new XMLParser({ ignoreAttributes: false }).parse(text, true)).toBeTruthy()
        }
      }),
      { numRuns: 100 },
    )
  })
})

describe('an OID', () => {
  it.each([
    ['1.2.3', '1.2.3'],
    ['urn:oid:2.16.840', '2.16.840'],
    ['f81d4fae-7dec-11d0-a765-00a0c91e6bf6', '2.25.329800735698586629295641978511506172918'],
    ['1.02', undefined],
    ['Clinic', undefined],
    [`1.${'9'.repeat(64)}`, undefined],
  ])('of %j is %j', (text, oid) => {
    expect(asOid(text)).toBe(oid)
  })

  it('made of content is one that fits, and parts cannot be pushed together', () => {
    expect(asOid(oidOf('a', 'b'))).toBe(oidOf('a', 'b'))
    expect(oidOf('ab', 'c')).not.toBe(oidOf('a', 'bc'))
  })
})

describe('a moment of the metadata', () => {
  it.each([
    ['2026', 'year', null, '2026'],
    ['2026-03-01', 'day', -300, '20260301'],
    ['2026-03-01T23:30', 'minute', -300, '202603020430'],
    ['2026-03-01T23', 'hour', -300, '2026030204'],
    ['2026-03-01T23', 'hour', 330, '202603011730'],
    ['2026-03-01T10:30:15.25', 'second', 0, '20260301103015'],
    ['2026-03-01T10:30', 'minute', null, '202603011030'],
  ] as const)('%s to the %s at %s is %s', (text, precision, offsetMinutes, told) => {
    expect(dtm({ text, precision, offsetMinutes, source: '' })).toBe(told)
  })
})
