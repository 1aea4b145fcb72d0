import type { Note } from '../../../direct/clinical.js'
import { kept, readConcept, readDate, readPeriod } from './datatypes.js'
import {
  completed,
  made,
  mustBeOfPatient,
  nullified,
  type ReadItem,
  type Reading,
  readAgents,
  readStatus,
  type Status,
} from './reading.js'

/** Bytes that a resource brings, for whoever reads documents. */
export interface FhirDocumentBytes {
  readonly mediaType: string
  readonly title?: string
  readonly bytes: Uint8Array
}

export const fhirDocumentLimits = {
  /** Characters of a note: a whole section or letter, as of every other source. */
  noteChars: 256 * 1024,
  /** Bytes of one attachment, in base64 within the resource. */
  attachmentBytes: 24 * 1024 * 1024,
}

const statuses: Readonly<Record<string, Status>> = { current: completed, 'entered-in-error': nullified }

/** A note where the attachment is plain text, else the bytes of a document, which a reader of its format reads. */
export function readDocumentReference(reading: Reading): {
  readonly item?: ReadItem
  readonly document?: FhirDocumentBytes
} {
  const { fields, log } = reading
  mustBeOfPatient(reading, 'subject')
  const known = readStatus(reading, 'status', statuses)
  const [first, ...others] = fields.list('content')
  if (others.length > 0)
    log.error('not-supported', `${fields.path}.content`, 'The record keeps one content of a document')
  const attachment = first?.object('attachment')
  first?.skip('format')
  if (!attachment) {
    log.error('required', `${fields.path}.content.attachment`, 'This is missing')
    return {}
  }
  const data = attachment.bytes('data', fhirDocumentLimits.attachmentBytes)
  const mediaType = attachment.text('contentType') ?? 'application/octet-stream'
  for (const name of ['url', 'size', 'hash', 'language']) attachment.skip(name)
  const titled = attachment.text('title')
  const title = titled ?? fields.text('description')
  for (const name of [
    'description',
    'docStatus',
    'category',
    'relatesTo',
    'masterIdentifier',
    'custodian',
    'securityLabel',
  ])
    fields.skip(name)
  const kind = readConcept(fields.object('type'))
  const authors = readAgents(reading, fields.list('author'))
  const created = readDate(attachment, 'creation')
  const written = readDate(fields, 'date')
  const context = fields.object('context')
  for (const name of ['encounter', 'event', 'facilityType', 'practiceSetting', 'sourcePatientInfo', 'related'])
    context?.skip(name, 'Not kept')
  const when = readPeriod(context?.object('period'))
  if (!data) {
    log.error('not-supported', `${attachment.path}.data`, 'The bytes of the document are not in it')
    return {}
  }
  if (!/^text\/plain\s*(;|$)/i.test(mediaType)) {
    return {
      document: kept<FhirDocumentBytes>({
        mediaType: mediaType.split(';')[0]?.trim() ?? mediaType,
        title,
        bytes: data,
      }),
    }
  }
  const text = textOf(data)
  if (text === undefined || text.trim() === '')
    log.error('value', `${attachment.path}.data`, 'It holds no text in UTF-8')
  if ((text?.length ?? 0) > fhirDocumentLimits.noteChars)
    log.error('too-long', `${attachment.path}.data`, 'The text is too long')
  const item = made(reading, {
    content: kept<Note>({
      type: 'note',
      kind: kind ?? { codings: [], ...(title !== undefined && { text: title }) },
      title,
      text: text ?? '',
    }),
    status: known?.status,
    when,
    recordedAt: created ?? written,
    authors,
  })
  return { item }
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}
