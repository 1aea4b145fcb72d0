import { createHash } from 'node:crypto'
import { inflateRawSync } from 'node:zlib'
import { XMLParser, XMLValidator } from 'fast-xml-parser'

/**
 * The rules that toolkits hold XDM packages against, with a reader of archives and of metadata of their own: nothing of the
 * gateway's is used, so that a mistake made there is not made here again. Each answers what is wrong.
 */

/** One entry of the archive's directory, directories among them. */
export interface Entry {
  readonly name: string
  readonly bytes: Buffer
}

/** Reads the central directory (APPNOTE §4.3.12). Throws for what is no archive. */
export function entriesOf(zip: Buffer): readonly Entry[] {
  const end = zip.lastIndexOf('PK\x05\x06', undefined, 'latin1')
  if (end < 0) throw new Error('not an archive')
  const entries: Entry[] = []
  let at = zip.readUInt32LE(end + 16)
  for (let left = zip.readUInt16LE(end + 10); left > 0; left--) {
    if (zip.readUInt32LE(at) !== 0x02014b50) throw new Error('no such entry')
    const [method, packed] = [zip.readUInt16LE(at + 10), zip.readUInt32LE(at + 20)]
    const [name, extra, comment] = [28, 30, 32].map((field) => zip.readUInt16LE(at + field)) as [number, number, number]
    const local = zip.readUInt32LE(at + 42)
    const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28)
    const raw = zip.subarray(start, start + packed)
    entries.push({
      name: zip.toString('latin1', at + 46, at + 46 + name),
      bytes: method === 8 ? inflateRawSync(raw) : Buffer.from(raw),
    })
    at += 46 + name + extra + comment
  }
  return entries
}

interface Node {
  readonly tag: string
  readonly attributes: Readonly<Record<string, string>>
  readonly children: readonly Node[]
  readonly text: string
}

type Raw = Readonly<Record<string, unknown>>

const parser = new XMLParser({
  preserveOrder: true,
  ignoreAttributes: false,
  attributeNamePrefix: '',
  removeNSPrefix: true,
  parseTagValue: false,
  parseAttributeValue: false,
})

function nodeOf(raw: Raw): Node {
  const [tag = ''] = Object.keys(raw).filter((key) => key !== ':@')
  const inner = tag === '#text' ? [] : ((raw[tag] ?? []) as readonly Raw[]).map(nodeOf)
  const text = tag === '#text' ? String(raw[tag]) : inner.map((one) => one.text).join('')
  return { tag, attributes: (raw[':@'] ?? {}) as Record<string, string>, children: inner, text }
}

function all(node: Node, tag: string): readonly Node[] {
  return node.children.flatMap((one) => (one.tag === tag ? [one] : all(one, tag)))
}

/** Objects of the metadata of one subset. */
interface Metadata {
  readonly folder: string
  readonly documents: readonly Node[]
  readonly submissions: readonly Node[]
  readonly root: Node
}

function metadataOf(entries: readonly Entry[]): readonly Metadata[] {
  return entries
    .filter(({ name }) => /^IHE_XDM\/[^/]+\/METADATA\.XML$/.test(name))
    .map(({ name, bytes }) => {
      const root: Node = {
        tag: '',
        attributes: {},
        children: (parser.parse(bytes.toString('utf8')) as readonly Raw[]).map(nodeOf),
        text: '',
      }
      const folder = name.slice(0, name.lastIndexOf('/') + 1)
      return { folder, root, documents: all(root, 'ExtrinsicObject'), submissions: all(root, 'RegistryPackage') }
    })
}

const slotsOf = (node: Node, name: string) =>
  node.children
    .filter((one) => one.tag === 'Slot' && one.attributes['name'] === name)
    .flatMap((one) => all(one, 'Value'))
    .map(({ text }) => text.trim())
    .filter((text) => text !== '')
const schemes = (node: Node) => node.children.filter((one) => one.tag === 'Classification')
const identified = (node: Node, scheme: string) =>
  node.children.some(
    (one) =>
      one.tag === 'ExternalIdentifier' &&
      one.attributes['identificationScheme'] === `urn:uuid:${scheme}` &&
      (one.attributes['value'] ?? '') !== '',
  )

/** XDM-STRUCT: the files and folders of an XDM package, under names of ISO 9660 level 1. */
export function structureFaults(entries: readonly Entry[]): readonly string[] {
  const names = entries.map(({ name }) => name)
  const faults: string[] = []
  for (const wanted of ['INDEX.HTM', 'README.TXT', 'IHE_XDM/']) if (!names.includes(wanted)) faults.push(`no ${wanted}`)
  const subsets = new Set(names.flatMap((name) => /^IHE_XDM\/[^/]+\//.exec(name)?.[0] ?? []))
  if (subsets.size === 0) faults.push('no subset')
  for (const subset of subsets) {
    if (!names.includes(subset)) faults.push(`no entry for the folder ${subset}`)
    if (!names.includes(`${subset}METADATA.XML`)) faults.push(`no ${subset}METADATA.XML`)
  }
  if (new Set(names).size !== names.length) faults.push('a name twice')
  for (const name of names) {
    const parts = name.replace(/\/$/, '').split('/')
    const [last = '', ...folders] = [...parts].reverse()
    const plain = (part: string) => /^[A-Z0-9_]{1,8}$/.test(part)
    const good = name.endsWith('/') ? plain(last) : /^[A-Z0-9_]{1,8}(\.[A-Z0-9_]{1,3})?$/.test(last)
    if (!good || !folders.every(plain) || parts.length > 8) faults.push(`${name} is no name of ISO 9660 level 1`)
  }
  const index = entries.find(({ name }) => name === 'INDEX.HTM')
  if (index && XMLValidator.validate(index.bytes.toString('utf8')) !== true) faults.push('INDEX.HTM is not XHTML')
  if (index && /<script|\son\w+=|javascript:/i.test(index.bytes.toString('utf8'))) faults.push('INDEX.HTM has scripts')
  return faults
}

/** XDM-HASH: what the metadata say of each file is so. */
export function hashFaults(entries: readonly Entry[]): readonly string[] {
  const faults: string[] = []
  const metadata = metadataOf(entries)
  if (metadata.every(({ documents }) => documents.length === 0)) faults.push('no document entry')
  for (const { folder, documents } of metadata) {
    for (const document of documents) {
      const [uri, size, hash] = ['URI', 'size', 'hash'].map((name) => slotsOf(document, name)[0])
      if (uri === undefined || size === undefined || hash === undefined) {
        faults.push('URI, size or hash missing')
        continue
      }
      const file = entries.find(({ name }) => name === `${folder}${uri}`)
      if (!file) faults.push(`no file ${uri}`)
      else {
        if (size !== String(file.bytes.length)) faults.push(`size of ${uri}`)
        if (hash.toLowerCase() !== createHash('sha1').update(file.bytes).digest('hex')) faults.push(`hash of ${uri}`)
      }
    }
  }
  return faults
}

const limitedSubmission = 'urn:uuid:5003a9db-8d8d-49e6-bf0c-990e34ac7707'
const limitedDocument = 'urn:uuid:ab9b591b-83ab-4d03-8f5d-f93b1fb92e85'

/** XDM-LIMITED: the labels of limited metadata on everything that is limited, and on nothing else; what it must have. */
export function labelFaults(entries: readonly Entry[], limited: boolean): readonly string[] {
  const faults: string[] = []
  for (const { documents, submissions, root } of metadataOf(entries)) {
    const labelled = (node: Node, label: string) =>
      [...schemes(node), ...all(root, 'Classification')].some(
        ({ attributes }) =>
          attributes['classificationNode'] === label && attributes['classifiedObject'] === node.attributes['id'],
      )
    for (const document of documents) {
      if (labelled(document, limitedDocument) !== limited)
        faults.push(`label of a document ${limited ? 'missing' : 'in full metadata'}`)
      if (document.attributes['objectType'] !== 'urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1')
        faults.push('objectType')
      if (!identified(document, '2e82c1f6-a085-4c72-9da3-8640a32e42ab')) faults.push('document without uniqueId')
    }
    for (const submission of submissions) {
      if (labelled(submission, limitedSubmission) !== limited)
        faults.push(`label of the submission ${limited ? 'missing' : 'in full metadata'}`)
      if (!identified(submission, '96fdda7c-d067-4183-912e-bf5ee74998a8')) faults.push('submission without uniqueId')
      if (!identified(submission, '554ac39e-e3fe-47fe-b233-965d2a147832')) faults.push('submission without sourceId')
    }
    if (submissions.length !== 1) faults.push(`${submissions.length} submission sets`)
    const members = all(root, 'Association').filter(({ attributes }) =>
      /:HasMember$/.test(attributes['associationType'] ?? ''),
    )
    for (const { attributes } of documents)
      if (!members.some((one) => one.attributes['targetObject'] === attributes['id']))
        faults.push('a document that no submission has')
  }
  return faults
}

const codes = {
  class: '41a5887f-8865-4c09-adf7-e362475b143a',
  confidentiality: 'f4f85eac-e6cb-4883-b524-f2705394840f',
  format: 'a09d5840-386c-46f2-b5ad-9c3699a4309d',
  facility: 'f33fb8ac-18af-42cc-ae0e-ed0b0bdb91e1',
  type: 'f0306f51-975f-434e-a61c-c59651d33983',
  practice: 'cccf5598-8b07-4b77-a05e-ae952c785ead',
} as const

/** XDM-FULLSLOTS: what full metadata must have, with values in their formats. */
export function fullFaults(entries: readonly Entry[]): readonly string[] {
  const faults: string[] = []
  const coded = (node: Node, scheme: string) =>
    schemes(node).some(
      (one) =>
        one.attributes['classificationScheme'] === `urn:uuid:${scheme}` &&
        (one.attributes['nodeRepresentation'] ?? '') !== '' &&
        slotsOf(one, 'codingScheme').length === 1 &&
        all(one, 'LocalizedString').length === 1,
    )
  const id = /^[^^]+\^\^\^[^&]*&(?:amp;)?[0-2](?:\.\d+)+&(?:amp;)?ISO$/
  for (const { documents, submissions } of metadataOf(entries)) {
    for (const document of documents) {
      const [created, language, patient] = ['creationTime', 'languageCode', 'sourcePatientId'].map(
        (name) => slotsOf(document, name)[0],
      )
      if (!/^\d{4}(\d{2}){0,5}$/.test(created ?? '')) faults.push('creationTime')
      if (!/^[A-Za-z]{2,8}(-[A-Za-z0-9]+)*$/.test(language ?? '')) faults.push('languageCode')
      if (!id.test(patient ?? '')) faults.push('sourcePatientId')
      for (const [name, scheme] of Object.entries(codes)) if (!coded(document, scheme)) faults.push(`${name} code`)
      if (!identified(document, '58a6f841-87b3-4a3e-92fd-a8ffeff98427')) faults.push('patientId of a document')
      if (!identified(document, '2e82c1f6-a085-4c72-9da3-8640a32e42ab')) faults.push('uniqueId of a document')
    }
    for (const submission of submissions) {
      if (!/^\d{4}(\d{2}){0,5}$/.test(slotsOf(submission, 'submissionTime')[0] ?? '')) faults.push('submissionTime')
      if (!coded(submission, 'aa543740-bdda-424e-8c96-df4873be8500')) faults.push('contentTypeCode')
      if (!identified(submission, '6b5aea1a-874d-4603-a4bc-96a0a7b38446')) faults.push('patientId of the submission')
      if (!identified(submission, '96fdda7c-d067-4183-912e-bf5ee74998a8')) faults.push('uniqueId of the submission')
      if (!identified(submission, '554ac39e-e3fe-47fe-b233-965d2a147832')) faults.push('sourceId of the submission')
    }
    if (submissions.length !== 1 || documents.length === 0) faults.push('no submission of documents')
  }
  return faults
}
