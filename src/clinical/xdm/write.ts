import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import type { DocumentMetadata } from '../../direct/clinical.js'
import type { Agent, Concept, Identifier, PartialDate } from '../../direct/datatypes.js'
import { documentBytes, element, type Markup } from '../../xml/write.js'
import { type ClinicalLimits, clinicalLimits } from '../limits.js'
import { coding, codingSchemes, type Described, describeDocument } from './describe.js'
import {
  approved,
  documentIdentifier,
  documentObject,
  documentScheme,
  hasMember,
  lcm,
  limitedLabel,
  registryObject,
  rim,
  submissionIdentifier,
  submissionNode,
  submissionScheme,
} from './ebrim.js'
import { asOid, oidOf } from './oid.js'
import { indexPage, readmeText } from './pages.js'
import { codedAs, cx, dtm, localized, openIds, recipient, slot, v2, xcn, xtn } from './registry.js'
import { writeZip } from './zip.js'

/** A document to be packed; what its own header does not say, or says otherwise, may be given. */
export interface DocumentToPack {
  readonly bytes: Uint8Array
  readonly mediaType?: string
  readonly metadata?: Partial<Omit<DocumentMetadata, 'level' | 'submission'>>
}

/** Who sends what to whom: a SubmissionSet (IHE ITI TF-3 §4.2.3.3). */
export interface Submission {
  /** Unix milliseconds. */
  readonly at: number
  /** OID of the system that sends. */
  readonly sourceId: string
  readonly title?: string
  readonly author?: { readonly address?: string; readonly agent?: Agent }
  readonly recipients?: readonly { readonly address: string; readonly name?: string }[]
  /** Of the patient where the receiver knows it, else of the first document. */
  readonly patient?: Identifier
  readonly contentType?: Concept
  /** An OID; made of the content where absent, so that the same submission has the same. */
  readonly uniqueId?: string
}

export interface XdmRequest {
  readonly documents: readonly DocumentToPack[]
  readonly submission: Submission
  /** `limited` leaves out what only a registry needs, and is labelled so (XDR and XDM for Direct Messaging 1.0 §6.1). */
  readonly level: 'full' | 'limited'
}

export type XdmOutcome =
  | { readonly kind: 'package'; readonly bytes: Buffer; readonly level: 'full' | 'limited' }
  /** Full metadata must have these, and neither the documents nor the caller said them. */
  | { readonly kind: 'incomplete'; readonly missing: readonly string[] }
  | { readonly kind: 'too-much'; readonly detail: string }

/** A document with everything that the metadata tells of it. */
export interface PackedEntry {
  readonly file: string
  readonly bytes: Uint8Array
  readonly mediaType: string
  readonly uniqueId: string
  readonly described: Described
}

const subset = 'IHE_XDM/SUBSET01/'

/**
 * Packs documents into an IHE XDM archive (ITI TF-2 §3.32.4.1.2): README.TXT, INDEX.HTM, and one submission set with its
 * METADATA.XML and files under ISO 9660 names. Codes come from the documents' headers where the caller gives none; what
 * nobody knows is `UNK`, never a guess. Equal requests make equal bytes. Answers `incomplete` where full metadata lacks a
 * patient identifier with an OID or a source id, `too-much` beyond what our own reader opens.
 */
export function writeXdm(
  { documents, submission, level }: XdmRequest,
  limits: ClinicalLimits = clinicalLimits,
): XdmOutcome {
  // Two folders and three files beside the documents.
  if (documents.length + 5 > limits.archiveEntries)
    return { kind: 'too-much', detail: `more than ${limits.archiveEntries - 5} documents` }
  const sizeBytes = documents.reduce((sum, { bytes }) => sum + bytes.length, 0)
  if (sizeBytes > limits.archiveBytes - 1024 * 1024)
    return { kind: 'too-much', detail: `more than ${limits.archiveBytes} bytes` }

  const entries = packed(documents, limits)
  const patient = submission.patient ?? entries.find(({ described }) => described.patient)?.described.patient
  const missing = missingOf(entries, submission, patient)
  if (level === 'full' && missing.length > 0) return { kind: 'incomplete', missing }
  if (asOid(submission.sourceId) === undefined) return { kind: 'incomplete', missing: ['submission.sourceId'] }

  const metadata = metadataOf(entries, submission, patient, level)
  const about = { title: submission.title, at: submission.at, entries, folder: subset }
  const bytes = writeZip(
    [
      { name: 'README.TXT', bytes: Buffer.from(readmeText(about), 'ascii') },
      { name: 'INDEX.HTM', bytes: Buffer.from(indexPage(about), 'utf8') },
      { name: 'IHE_XDM/', bytes: Buffer.alloc(0) },
      { name: subset, bytes: Buffer.alloc(0) },
      { name: `${subset}METADATA.XML`, bytes: metadata },
      ...entries.map(({ file, bytes: content }) => ({ name: `${subset}${file}`, bytes: content })),
    ],
    // Half of what readers, ours among them, take for a bomb.
    { mostRatio: limits.archiveRatio / 2 },
  )
  return { kind: 'package', bytes, level }
}

const extensions: Readonly<Record<string, string>> = {
  'text/xml': 'XML',
  'application/xml': 'XML',
  'application/pdf': 'PDF',
  'text/plain': 'TXT',
  'text/html': 'HTM',
  'image/png': 'PNG',
  'image/jpeg': 'JPG',
  'image/gif': 'GIF',
  'image/tiff': 'TIF',
  'application/rtf': 'RTF',
  'application/zip': 'ZIP',
}

function packed(documents: readonly DocumentToPack[], limits: ClinicalLimits): PackedEntry[] {
  const taken = new Set<string>()
  return documents.map(({ bytes, mediaType, metadata }, at) => {
    const { recognised, described } = describeDocument(bytes, mediaType === undefined ? {} : { mediaType }, limits)
    const merged: Described = { ...described, ...metadata, authors: metadata?.authors ?? described.authors }
    const type = merged.mediaType ?? recognised.mediaType
    // One id for two documents would make a registry refuse both.
    const wanted = merged.uniqueId
    const uniqueId = wanted === undefined || taken.has(wanted) ? oidOf('document', bytes, String(at)) : wanted
    taken.add(uniqueId)
    const file = `DOC${String(at + 1).padStart(5, '0')}.${extensions[type] ?? 'DAT'}`
    return { file, bytes, mediaType: type, uniqueId, described: merged }
  })
}

function missingOf(entries: readonly PackedEntry[], submission: Submission, patient: Identifier | undefined): string[] {
  const missing: string[] = []
  if (entries.length === 0) missing.push('documents')
  if (asOid(submission.sourceId) === undefined) missing.push('submission.sourceId')
  if (patient === undefined || cx(patient) === undefined) missing.push('submission.patient')
  return missing
}

const unknown = coding('UNK', codingSchemes.nullFlavor, 'Unknown')
const normal = coding('N', codingSchemes.confidentiality, 'Normal')

type Ids = ReturnType<typeof openIds>

function metadataOf(
  entries: readonly PackedEntry[],
  submission: Submission,
  patient: Identifier | undefined,
  level: 'full' | 'limited',
): Uint8Array {
  const ids = openIds()
  const set = 'SubmissionSet01'
  const objects = entries.map((entry, at) =>
    documentEntry(entry, `Document${String(at + 1).padStart(2, '0')}`, { ids, submission, patient, level }),
  )
  const members = entries.map((_, at) =>
    element(
      'Association',
      {
        id: ids('as'),
        associationType: hasMember,
        sourceObject: set,
        targetObject: `Document${String(at + 1).padStart(2, '0')}`,
      },
      slot('SubmissionSetStatus', 'Original'),
    ),
  )
  const list = element(
    'RegistryObjectList',
    { xmlns: rim },
    ...objects,
    submissionSet(entries, set, { ids, submission, patient, level }),
    element('Classification', {
      id: ids('cl'),
      objectType: `${registryObject}:Classification`,
      classifiedObject: set,
      classificationNode: submissionNode,
    }),
    ...members,
  )
  return documentBytes(element('lcm:SubmitObjectsRequest', { 'xmlns:lcm': lcm }, list))
}

interface About {
  readonly ids: Ids
  readonly submission: Submission
  readonly patient: Identifier | undefined
  readonly level: 'full' | 'limited'
}

/** Attributes in the order of the schema: slots, name, description, classifications, external identifiers. */
function documentEntry(entry: PackedEntry, id: string, about: About): Markup {
  const { file, bytes, mediaType, uniqueId, described } = entry
  const { ids, submission, patient, level } = about
  const owner = described.sourcePatient ?? described.patient ?? patient
  const code = (scheme: string, concept: Concept | undefined): Markup | undefined =>
    classified(ids, id, scheme, concept ?? (level === 'full' ? unknown : undefined))
  return element(
    'ExtrinsicObject',
    { id, objectType: documentObject, status: approved, mimeType: mediaType, isOpaque: 'false' },
    slot('creationTime', described.createdAt ? dtm(described.createdAt) : utc(submission.at)),
    slot('hash', createHash('sha1').update(bytes).digest('hex')),
    // RFC 5646 §4.1: undetermined, where the document does not say.
    slot('languageCode', described.language ?? (level === 'full' ? 'und' : undefined)),
    slot('serviceStartTime', described.serviceStart && dtm(described.serviceStart)),
    slot('serviceStopTime', described.serviceStop && dtm(described.serviceStop)),
    slot('size', String(bytes.length)),
    slot('sourcePatientId', (owner && cx(owner)) ?? (patient && cx(patient))),
    slot('sourcePatientInfo', ...patientInfo(described)),
    slot('URI', file),
    localized('Name', described.title),
    localized('Description', described.comments),
    level === 'limited' ? label(ids, id, limitedLabel.document) : undefined,
    ...described.authors.map((author) => authored(ids, id, documentScheme.author, author)),
    code(documentScheme.class, described.class ?? described.kind),
    ...(described.confidentiality ?? [normal]).map((one) => classified(ids, id, documentScheme.confidentiality, one)),
    ...(described.events ?? []).map((one) => classified(ids, id, documentScheme.event, one)),
    code(documentScheme.format, described.format),
    code(documentScheme.facility, described.facilityKind),
    code(documentScheme.practice, described.practiceSetting),
    code(documentScheme.type, described.kind ?? described.class),
    named(ids, id, documentIdentifier.patientId, 'XDSDocumentEntry.patientId', patient && cx(patient)),
    named(ids, id, documentIdentifier.uniqueId, 'XDSDocumentEntry.uniqueId', uniqueId),
  )
}

function submissionSet(
  entries: readonly PackedEntry[],
  id: string,
  { ids, submission, patient, level }: About,
): Markup {
  const { at, title, author, recipients = [], contentType, uniqueId } = submission
  const [first] = entries
  const content = contentType ?? first?.described.class ?? first?.described.kind ?? unknown
  const source = asOid(submission.sourceId) ?? ''
  const own =
    asOid(uniqueId ?? '') ??
    oidOf(
      'submission',
      source,
      String(at),
      ...recipients.map(({ address }) => address),
      ...entries.map((one) => one.uniqueId),
    )
  return element(
    'RegistryPackage',
    { id, objectType: `${registryObject}:RegistryPackage`, status: approved },
    slot('intendedRecipient', ...recipients.map(recipient)),
    slot('submissionTime', utc(at)),
    localized('Name', title),
    level === 'limited' ? label(ids, id, limitedLabel.submission) : undefined,
    author && authored(ids, id, submissionScheme.author, author.agent, author.address),
    classified(ids, id, submissionScheme.contentType, content),
    named(ids, id, submissionIdentifier.patientId, 'XDSSubmissionSet.patientId', patient && cx(patient)),
    named(ids, id, submissionIdentifier.sourceId, 'XDSSubmissionSet.sourceId', source),
    named(ids, id, submissionIdentifier.uniqueId, 'XDSSubmissionSet.uniqueId', own),
  )
}

/** PID fields that tell a person who the patient is (ITI TF-3 §4.2.3.2.23). */
function patientInfo({ person, sourcePatient }: Described): (string | undefined)[] {
  if (person === undefined) return []
  const [first = '', ...middle] = person.given
  const id = sourcePatient && cx(sourcePatient)
  return [
    id && `PID-3|${id}`,
    `PID-5|${[person.family ?? '', first, middle.join(' ')].map(v2).join('^')}`,
    person.birthDate && `PID-7|${dtm(person.birthDate).slice(0, 8)}`,
    person.gender && `PID-8|${v2(person.gender)}`,
  ]
}

function classified(ids: Ids, of: string, scheme: string, concept: Concept | undefined): Markup | undefined {
  const code = concept && codedAs(concept)
  if (code === undefined) return undefined
  return element(
    'Classification',
    {
      id: ids('cl'),
      objectType: `${registryObject}:Classification`,
      classificationScheme: scheme,
      classifiedObject: of,
      nodeRepresentation: code.code,
    },
    slot('codingScheme', code.scheme),
    localized('Name', code.display),
  )
}

function label(ids: Ids, of: string, node: string): Markup {
  return element('Classification', {
    id: ids('cl'),
    objectType: `${registryObject}:Classification`,
    classifiedObject: of,
    classificationNode: node,
  })
}

/** A person or an organization; where nothing but a Direct address is known, that is the person's name too: one of both there must be. */
function authored(ids: Ids, of: string, scheme: string, agent: Agent | undefined, address?: string): Markup {
  const organization = agent?.kind === 'organization' ? agent.text : agent?.organization
  const person =
    agent === undefined ? address && `^${v2(address)}` : agent.kind === 'organization' ? undefined : xcn(agent)
  return element(
    'Classification',
    {
      id: ids('cl'),
      objectType: `${registryObject}:Classification`,
      classificationScheme: scheme,
      classifiedObject: of,
      nodeRepresentation: '',
    },
    slot('authorInstitution', organization && v2(organization)),
    slot('authorPerson', person),
    slot('authorTelecommunication', address && xtn(address)),
  )
}

function named(ids: Ids, of: string, scheme: string, name: string, value: string | undefined): Markup | undefined {
  if (value === undefined) return undefined
  return element(
    'ExternalIdentifier',
    {
      id: ids('ei'),
      objectType: `${registryObject}:ExternalIdentifier`,
      registryObject: of,
      identificationScheme: scheme,
      value,
    },
    localized('Name', name),
  )
}

function utc(at: number): string {
  const text = new Date(at).toISOString()
  const date: PartialDate = { text: text.slice(0, 19), precision: 'second', offsetMinutes: 0, source: text }
  return dtm(date)
}
