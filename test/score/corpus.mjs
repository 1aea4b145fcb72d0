/** The documents that are scored: every file of the corpus index, documents inside its archives, and the entry examples. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import yauzl from 'yauzl'
import { decode, kids, parse, templatesOf } from './tree.mjs'

export const home = fileURLToPath(new URL('../../../shared/corpus/clinical', import.meta.url))
export const present = existsSync(home)

const standards = { 'C32/HITSP': 'C32', 'CCD(R1)': 'CCD R1' }

/** Standard of a document by its own templates. */
export function standardOf({ root }) {
  if (root.local !== 'ClinicalDocument') return 'CCR'
  const templates = kids(root, 'templateId')
  const roots = templatesOf(root)
  const ccda = templates.filter((one) => one.attrs.get('root')?.startsWith('2.16.840.1.113883.10.20.22.1.'))
  if (ccda.length > 0) {
    const newest = ccda
      .map((one) => one.attrs.get('extension') ?? '')
      .sort()
      .at(-1)
    if (newest === '') return 'C-CDA 1.1'
    if (newest < '2015-08-01') return 'C-CDA 2.0'
    return newest < '2023-01-01' ? 'C-CDA 2.1' : 'C-CDA 3.0+'
  }
  if (roots.some((one) => one.startsWith('2.16.840.1.113883.3.88.11'))) return 'C32'
  return 'CCD R1'
}

/** Name, kind and bytes of every document, in the order of the index. */
export async function* corpus() {
  const rows = readFileSync(join(home, 'INDEX.tsv'), 'utf8').trim().split('\n').slice(1)
  for (const row of rows) {
    const [name = '', kind = ''] = row.split('\t')
    const path = join(home, name)
    if (kind === 'XDM zip') {
      for (const file of await unpack(readFileSync(path)))
        if (/\.(xml|ccda)$/i.test(file.name) && !/METADATA\.XML$/i.test(file.name))
          yield { name: `${name}!${file.name}`, bytes: file.bytes }
    } else if (kind !== '' && !/instructions|examples/.test(kind) && statSync(path).isFile())
      yield { name, standard: standards[kind] ?? kind, bytes: readFileSync(path) }
  }
  yield* examples()
}

function unpack(bytes) {
  return new Promise((resolve, reject) => {
    yauzl.fromBuffer(bytes, { lazyEntries: true }, (error, zip) => {
      if (error) return reject(error)
      const files = []
      zip.on('entry', (entry) => {
        if (entry.fileName.endsWith('/')) return zip.readEntry()
        zip.openReadStream(entry, (failure, stream) => {
          if (failure) return zip.readEntry()
          const chunks = []
          stream.on('data', (chunk) => chunks.push(chunk))
          stream.on('end', () => {
            files.push({ name: entry.fileName, bytes: Buffer.concat(chunks) })
            zip.readEntry()
          })
          stream.on('error', () => zip.readEntry())
        })
      })
      zip.on('end', () => resolve(files))
      zip.on('error', reject)
      zip.readEntry()
    })
  })
}

/** Section for entries that come without one, by the folder they lie in. */
const loincOfFolder = {
  Allergies: '48765-2',
  Care_Team: '85847-2',
  Encounters: '46240-8',
  Family_History: '10157-6',
  Functional_Status: '47420-5',
  Goals: '61146-7',
  Health_Concerns: '75310-3',
  Immunizations: '11369-6',
  Interventions: '62387-6',
  Medical_Equipment: '46264-8',
  Medications: '10160-0',
  Mental_Status: '10190-7',
  Notes: '34109-9',
  Plan_of_Treatment: '18776-5',
  Problems: '11450-4',
  Procedures: '47519-4',
  Results: '30954-2',
  Social_History: '29762-2',
  Vital_Signs: '8716-3',
}

const statements = ['act', 'observation', 'organizer', 'procedure', 'encounter', 'substanceAdministration', 'supply']

/** The entry examples of HL7, each wrapped into the least document that holds it. */
export function* examples() {
  const folder = join(home, 'hl7-ccda-examples/sections')
  const names = readdirSync(folder, { recursive: true })
    .map(String)
    .filter((name) => /\.xml$/i.test(name))
    .sort()
  for (const name of names) {
    const text = wrap(decode(readFileSync(join(folder, name))), name.split('/')[0])
    if (text === undefined || parse(text) === undefined) continue
    yield { name: `hl7-ccda-examples/sections/${name}`, standard: 'examples', bytes: Buffer.from(text) }
  }
}

const recordTarget =
  '<recordTarget><patientRole><id root="2.999.2" extension="1"/><patient><name><given>Example</given><family>Patient</family></name><administrativeGenderCode code="F" codeSystem="2.16.840.1.113883.5.1"/><birthTime value="19700101"/></patient></patientRole></recordTarget>'

/** What a part of the header is put in place of, or after. */
const headerParts = { recordTarget: (part) => part, documentationOf: (part) => `${recordTarget}${part}` }

/**
 * A fragment as a document; undefined for a part of a statement, which says nothing alone, and for a part of the header
 * unless `header` asks for it.
 */
export function wrap(text, folder, { header = false } = {}) {
  const body = text
    .replace(/^\uFEFF/, '')
    .replace(/<\?xml[^>]*\?>/g, '')
    .trim()
  const first = /<([A-Za-z]+)[\s>]/.exec(body.replace(/<!--[\s\S]*?-->/g, ''))?.[1]
  if (first === 'ClinicalDocument') return text
  const loinc = loincOfFolder[folder]
  const inSection = (inner) =>
    `<component><section>${loinc === undefined ? '' : `<code code="${loinc}" codeSystem="2.16.840.1.113883.6.1"/>`}<title>Entries</title><text/>${inner}</section></component>`
  const part = header ? headerParts[first] : undefined
  if (part !== undefined) return documentOf(part(body), '')
  const content =
    first === 'section'
      ? `<component>${body}</component>`
      : first === 'component'
        ? body
        : first === 'entry'
          ? inSection(body)
          : statements.includes(first)
            ? inSection(`<entry>${body}</entry>`)
            : undefined
  if (content === undefined) return undefined
  return documentOf(recordTarget, content)
}

function documentOf(head, content) {
  return `<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:voc="urn:hl7-org:v3/voc" xmlns:sdtc="urn:hl7-org:sdtc" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><realmCode code="US"/><typeId root="2.16.840.1.113883.1.3" extension="POCD_HD000040"/><templateId root="2.16.840.1.113883.10.20.22.1.1" extension="2015-08-01"/><templateId root="2.16.840.1.113883.10.20.22.1.2" extension="2015-08-01"/><id root="2.999.1"/><code code="34133-9" codeSystem="2.16.840.1.113883.6.1"/><title>Example</title><effectiveTime value="20200101"/><confidentialityCode code="N" codeSystem="2.16.840.1.113883.5.25"/>${head}<component><structuredBody>${content}</structuredBody></component></ClinicalDocument>`
}
