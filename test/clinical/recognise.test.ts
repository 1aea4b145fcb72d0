import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { clinicalLimits } from '../../src/clinical/limits.js'
import { readDocument } from '../../src/clinical/read.js'
import { recognise } from '../../src/clinical/recognise.js'
import { c32, ccd21, ccr } from '../fixtures/clinical/documents.js'

const of = (content: string | number[], hints = {}) => {
  const bytes = typeof content === 'string' ? Buffer.from(content, 'latin1') : Buffer.from(content)
  const { format, mediaType, version } = recognise(bytes, hints, clinicalLimits)
  return [format, mediaType, version].filter(Boolean).join(' ')
}

const cda = (templates: string) => `<ClinicalDocument xmlns="urn:hl7-org:v3">${templates}</ClinicalDocument>`
const ccda = (extension: string) =>
  `<templateId root="2.16.840.1.113883.10.20.22.1.2"${extension && ` extension="${extension}"`}/>`

describe('attachments are recognised by content', () => {
  it.each([
    ['C-CDA 1.1', cda(ccda('')), 'c-cda text/xml 1.1'],
    ['C-CDA 2.0', cda(ccda('2014-06-09')), 'c-cda text/xml 2.0'],
    ['C-CDA 2.1, which names 1.1 too', cda(ccda('') + ccda('2015-08-01')), 'c-cda text/xml 2.1'],
    ['C-CDA 3.0', cda(ccda('2024-05-01')), 'c-cda text/xml 3.0'],
    ['CCD', cda('<templateId root="2.16.840.1.113883.10.20.1"/>'), 'ccd text/xml'],
    [
      'C32, which is a CCD too',
      cda('<templateId root="2.16.840.1.113883.10.20.1"/><templateId root="2.16.840.1.113883.3.88.11.32.1"/>'),
      'c32 text/xml',
    ],
    ['another CDA', cda('<templateId root="1.2.3"/>'), 'cda text/xml'],
    ['a CDA without namespace', '<ClinicalDocument/>', 'cda text/xml'],
    ['CCR', '<ContinuityOfCareRecord xmlns="urn:astm-org:CCR"/>', 'ccr text/xml'],
    [
      'CCR in Atom',
      '<entry xmlns="http://www.w3.org/2005/Atom"><content><ContinuityOfCareRecord xmlns="urn:astm-org:CCR"/></content></entry>',
      'ccr text/xml',
    ],
    ['the right name in a foreign namespace', '<ClinicalDocument xmlns="urn:other"/>', 'xml application/xml'],
    ['other XML', '<?xml version="1.0"?><note/>', 'xml application/xml'],
    ['broken XML', '<?xml version="1.0"?><note>', 'xml application/xml'],
    ['XML with a document type', '<!DOCTYPE note><note/>', 'xml application/xml'],
    ['HTML', ' <!-- x --> <!DOCTYPE html><p>', 'html text/html'],
    ['XHTML', '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"/>', 'html text/html'],
    ['PDF', '%PDF-1.7\n', 'pdf application/pdf'],
    ['PDF after some litter', 'litter\n%PDF-1.4\n', 'pdf application/pdf'],
    ['RTF', '{\\rtf1\\ansi x}', 'rtf application/rtf'],
    ['PNG', [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a], 'image image/png'],
    ['JPEG', [0xff, 0xd8, 0xff, 0xe0], 'image image/jpeg'],
    ['GIF', 'GIF89a', 'image image/gif'],
    ['TIFF, little endian', [0x49, 0x49, 0x2a, 0x00], 'image image/tiff'],
    ['TIFF, big endian', [0x4d, 0x4d, 0x00, 0x2a], 'image image/tiff'],
    ['DICOM', `${'\0'.repeat(128)}DICM`, 'other application/dicom'],
    ['zip', [0x50, 0x4b, 0x03, 0x04], 'zip application/zip'],
    ['text', 'Dear Sam,\r\n\tall is well.', 'text text/plain'],
    ['text with an angle bracket', '< 5 mg is fine', 'text text/plain'],
    ['nothing', '', 'other application/octet-stream'],
    ['noise', [0, 1, 2, 3], 'other application/octet-stream'],
  ])('%s', (_, content, expected) => {
    expect(of(content)).toBe(expected)
  })

  it('believes a media type only about kinds of text, and only if it is one', () => {
    expect(of(ccr, { mediaType: 'application/pdf', name: 'x.pdf' })).toBe('ccr text/xml')
    expect(of('a,b\n1,2', { mediaType: 'text/csv; charset=x' })).toBe('text text/csv')
    expect(of('a,b\n1,2', { mediaType: 'application/pdf' })).toBe('text text/plain')
    expect(of([0, 1], { mediaType: 'application/x-thing' })).toBe('other application/x-thing')
    expect(of([0, 1], { mediaType: 'text/html\r\nX: y' })).toBe('other application/octet-stream')
  })

  it('looks past byte order marks, style sheets and comments', () => {
    for (const text of [ccd21, c32, ccr]) {
      const plain = of(text).split(' ')[0]
      expect(of(`\u00ef\u00bb\u00bf${text}`).split(' ')[0]).toBe(plain)
      expect(of(`\r\n ${text}`).split(' ')[0]).toBe(plain)
      expect(recognise(Buffer.from(text, 'utf16le'), {}, clinicalLimits).format).toBe(plain)
    }
  })

  it('judges thousands of comments in no time', () => {
    const start = performance.now()
    expect(of(`${'<!---->'.repeat(600)}<x`)).toContain('application/xml')
    expect(performance.now() - start).toBeLessThan(500)
  })
})

describe('every attachment becomes a document', () => {
  it.each([
    ['broken XML', '<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3"><title>x', 'not-well-formed'],
    [
      'a document type',
      '<!DOCTYPE ClinicalDocument [<!ENTITY a SYSTEM "file:///etc/passwd">]><ClinicalDocument>&a;</ClinicalDocument>',
      'doctype-refused',
    ],
    ['XML beyond its depth', `<?xml version="1.0"?>${'<a>'.repeat(100)}`, 'limit-exceeded'],
    ['XML about something else', '<?xml version="1.0"?><note/>', 'wrong-root'],
    [
      'guessed characters',
      '<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3"><title>caf\xe9</title></ClinicalDocument>',
      'charset-guessed',
    ],
    [
      'HTML entity names',
      '<ClinicalDocument xmlns="urn:hl7-org:v3"><title>a&nbsp;b</title></ClinicalDocument>',
      'not-well-formed',
    ],
  ])('%s', async (_, text, code) => {
    const bytes = Buffer.from(text, 'latin1')
    const { documents } = await readDocument(bytes, { name: 'x.xml' })
    expect(documents).toHaveLength(1)
    expect(documents[0]?.item.content).toMatchObject({ type: 'document', name: 'x.xml', sizeBytes: bytes.length })
    expect(documents[0]?.bytes).toBe(bytes)
    expect(documents[0]?.diagnostics.map((one) => one.code)).toContain(code)
  })

  it('never quotes the document in a diagnostic', async () => {
    const secret = 'Zebrafish'
    const text = ccd21.replaceAll('Penicillin', secret).replace('</ClinicalDocument>', `<${secret}`)
    for (const one of [text, ccd21.replaceAll('20170231', secret)]) {
      const { documents } = await readDocument(Buffer.from(one))
      expect(JSON.stringify(documents[0]?.diagnostics)).not.toContain(secret)
    }
  })
})
