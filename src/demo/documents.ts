import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { XMLBuilder } from 'fast-xml-parser'
import { writeZip } from '../clinical/xdm/zip.js'
import type { RecordItemType } from '../direct/clinical.js'
import { buildCcda } from './documents/ccda.js'
import { buildCcr } from './documents/ccr.js'
import { type SamplePatient, samplePatient } from './documents/patient.js'

/** The kinds of item that the documents have. */
export const sampleTypes: readonly RecordItemType[] = [
  ...(['demographics', 'allergy', 'problem', 'medication', 'immunization'] as const),
  ...(['result', 'vital-sign', 'procedure', 'encounter', 'document'] as const),
]

/** A C-CDA R2.1 Continuity of Care Document about an invented patient. */
export function sampleCcda(patient: SamplePatient = samplePatient): Uint8Array {
  return buildCcda(patient)
}

/** A Continuity of Care Record about the same patient. */
export function sampleCcr(patient: SamplePatient = samplePatient): Uint8Array {
  return buildCcr(patient)
}

/** An XDM package with the C-CDA in it (IHE ITI TF-2 §3.32; names in 8.3, as on the media it was made for). */
export async function sampleXdm(patient: SamplePatient = samplePatient): Promise<Uint8Array> {
  const document = buildCcda(patient)
  return writeZip([
    {
      name: 'INDEX.HTM',
      bytes: Buffer.from('<html><body><a href="IHE_XDM/SUBSET01/DOC0001.XML">Visit summary</a></body></html>\n'),
    },
    { name: 'README.TXT', bytes: Buffer.from('Documents about an invented patient.\r\n') },
    { name: 'IHE_XDM/SUBSET01/METADATA.XML', bytes: metadata(patient, document) },
    { name: 'IHE_XDM/SUBSET01/DOC0001.XML', bytes: document },
  ])
}

/** Submission metadata of one document entry (IHE ITI TF-3 §4.2.3.2), with what is needed to find and check the file. */
function metadata(patient: SamplePatient, document: Uint8Array): Buffer {
  const slot = (name: string, value: string) => ({ '@name': name, ValueList: { Value: value } })
  const builder = new XMLBuilder({
    ignoreAttributes: false,
    attributeNamePrefix: '@',
    format: true,
    suppressEmptyNode: true,
  })
  const xml = builder.build({
    '?xml': { '@version': '1.0', '@encoding': 'UTF-8' },
    'lcm:SubmitObjectsRequest': {
      '@xmlns:lcm': 'urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0',
      '@xmlns': 'urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0',
      RegistryObjectList: {
        ExtrinsicObject: {
          '@id': 'Document01',
          '@mimeType': 'text/xml',
          '@objectType': 'urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1',
          Slot: [
            slot('URI', 'DOC0001.XML'),
            slot('creationTime', patient.writtenAt.slice(0, 10).replaceAll('-', '')),
            slot('hash', createHash('sha1').update(document).digest('hex')),
            slot('languageCode', 'en-US'),
            slot('size', String(document.length)),
          ],
          Name: { LocalizedString: { '@value': 'Visit summary' } },
        },
      },
    },
  })
  return Buffer.from(xml, 'utf8')
}
