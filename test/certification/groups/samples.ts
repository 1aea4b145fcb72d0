import { createHash } from 'node:crypto'
import { writeZip } from '../../../src/clinical/xdm/zip.js'
import { sampleCcda } from '../../../src/demo/documents.js'
import { type Attached, cda, image, pdf } from './letters.js'

/** Documents as the suites attach them, all of them made up. */
export interface Sample extends Attached {
  /** The outermost element where it is XML. */
  readonly root?: string
}

const root = '{urn:hl7-org:v3}ClinicalDocument'
const clinical = Buffer.from(sampleCcda())

/** The C-CDA with a stylesheet named that is not there, as ETT's `ToC_Ambulatory_Bad_Stylesheet.xml`. */
function withStylesheet(document: Buffer): Buffer {
  const words = document.toString('utf8')
  const end = words.indexOf('?>') + 2
  return Buffer.from(
    `${words.slice(0, end)}\n<?xml-stylesheet type="text/xsl" href="no/such/CDA.xsl"?>${words.slice(end)}`,
  )
}

/** Its narrative in XHTML where C-CDA has its own elements, and one end tag too many in the page beside it: ETT's `BadXHTML.zip`. */
const badPage = '<html><body><p>Visit<br><a href="IHE_XDM/SUBSET01/DOC0001.XML">summary</b></p></div></body>\n'
const page = '<html><body><a href="IHE_XDM/SUBSET01/DOC0001.XML">Visit summary</a></body></html>\n'

export const xdmDocument = 'IHE_XDM/SUBSET01/DOC0001.XML'

/** An XDM package (IHE ITI TF-2 §3.32) of one document. */
function archiveOf(document: Buffer, { index = page, mimeType = 'text/xml' } = {}): Buffer {
  const slot = (name: string, value: string) =>
    `<Slot name="${name}"><ValueList><Value>${value}</Value></ValueList></Slot>`
  const hash = createHash('sha1').update(document).digest('hex')
  const metadata = [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<lcm:SubmitObjectsRequest xmlns:lcm="urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0" xmlns="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0">',
    `<RegistryObjectList><ExtrinsicObject id="Document01" mimeType="${mimeType}" objectType="urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1">`,
    slot('URI', 'DOC0001.XML') + slot('creationTime', '20260101') + slot('languageCode', 'en-US'),
    slot('hash', hash) + slot('size', String(document.length)),
    '</ExtrinsicObject></RegistryObjectList></lcm:SubmitObjectsRequest>',
    '',
  ].join('\n')
  return writeZip([
    { name: 'INDEX.HTM', bytes: Buffer.from(index) },
    { name: 'README.TXT', bytes: Buffer.from('Documents about an invented patient.\r\n') },
    { name: 'IHE_XDM/SUBSET01/METADATA.XML', bytes: Buffer.from(metadata) },
    { name: xdmDocument, bytes: document },
  ])
}

export const documents = {
  ccda: { name: 'summary.xml', type: 'text/xml', bytes: clinical, root },
  /** Line ends of both kinds. */
  oddCcda: { ...cda, root },
  badStylesheet: { name: 'bad stylesheet.xml', type: 'text/xml', bytes: withStylesheet(clinical), root },
  noStylesheet: { name: 'no-stylesheet.xml', type: 'application/xml', bytes: clinical, root },
  pdf,
  image,
  xdm: { name: 'XDM.ZIP', type: 'application/zip', bytes: archiveOf(clinical) },
  badPageXdm: { name: 'BadXHTML.zip', type: 'application/zip', bytes: archiveOf(clinical, { index: badPage }) },
  octetXdm: { name: 'CCDA.ZIP', type: 'application/octet-stream', bytes: archiveOf(clinical, { index: '' }) },
  applicationXmlXdm: {
    name: 'xdm-application-xml.zip',
    type: 'application/x-zip-compressed',
    bytes: archiveOf(clinical, { mimeType: 'application/xml' }),
  },
} as const satisfies Readonly<Record<string, Sample>>
