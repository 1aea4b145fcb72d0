import type { DocumentMetadata } from '../../direct/clinical.js'
import type { Agent, Concept, Identifier, PartialDate, PersonName } from '../../direct/datatypes.js'
import { attribute, elements, textOf, type XmlNode } from '../../xml/node.js'
import { readTimestamp } from '../cda/timestamp.js'
import { codeSystemOfName } from '../codesystems.js'
import { documentIdentifier, documentScheme, limitedLabel, submissionIdentifier, submissionScheme } from './ebrim.js'

/** One document entry: which file it is about, what it claims of the bytes, and what it says of the document. */
export interface ListedDocument {
  /** Path in the archive as the metadata gives it. */
  readonly path: string
  readonly mediaType?: string
  /** As written; what is not a number of bytes matches no file. */
  readonly size?: string
  /** Lower-case hex, as written else. */
  readonly hash?: string
  readonly metadata: DocumentMetadata
}

export const metadataLimits = {
  /** Document entries of one METADATA.XML; an archive has no more files. */
  documents: 200,
  /** Codes, authors and recipients of one entry; real ones have fewer than ten. */
  values: 50,
  /** Characters of one value. The longest that ebRIM 3 allows has 256; titles and comments are longer in practice. */
  valueChars: 2_000,
} as const

/**
 * Document entries of a METADATA.XML (ebRIM 3, IHE ITI TF-3 §4.2.3.2), each with the submission set that has it as a member.
 * `root` may be a SubmitObjectsRequest or anything around one. Paths are relative to `folder`. Nothing in it is believed:
 * who reads the files compares. Undefined where it holds neither documents nor a submission.
 */
export function readMetadata(root: XmlNode, folder: string): ListedDocument[] | undefined {
  const objects: XmlNode[] = []
  const packages: XmlNode[] = []
  const associations: XmlNode[] = []
  const classified: XmlNode[] = []
  const kinds: Readonly<Record<string, XmlNode[] | undefined>> = {
    ExtrinsicObject: objects,
    RegistryPackage: packages,
    Association: associations,
    Classification: classified,
  }
  const visit = (node: XmlNode): void => {
    const kind = Object.hasOwn(kinds, node.local) ? kinds[node.local] : undefined
    if (kind === undefined) for (const inner of elements(node)) visit(inner)
    else if (kind.length < metadataLimits.documents) kind.push(node)
  }
  visit(root)
  if (objects.length === 0 && packages.length === 0) return undefined

  const labelled = (node: XmlNode, label: string): boolean =>
    [
      ...elements(node),
      ...classified.filter((one) => attribute(one, 'classifiedObject') === attribute(node, 'id')),
    ].some(
      (one) => one.local === 'Classification' && attribute(one, 'classificationNode')?.trim().toLowerCase() === label,
    )
  const submissionOf = (object: XmlNode): XmlNode | undefined => {
    const id = attribute(object, 'id')
    const member = associations.find((one) => attribute(one, 'targetObject') === id)
    const named = member && packages.find((one) => attribute(one, 'id') === attribute(member, 'sourceObject'))
    return named ?? (packages.length === 1 ? packages[0] : undefined)
  }
  return objects.flatMap((object) => {
    const path = pathOf(object, folder)
    if (path === undefined) return []
    const submission = submissionOf(object)
    const limited =
      labelled(object, limitedLabel.document) || (submission && labelled(submission, limitedLabel.submission))
    return [
      {
        path,
        ...present('mediaType', value(attribute(object, 'mimeType'))),
        ...present('size', slot(object, 'size')),
        ...present('hash', slot(object, 'hash')?.toLowerCase()),
        metadata: {
          level: limited ? ('limited' as const) : ('full' as const),
          ...entryOf(object),
          ...(submission && { submission: submissionMetadata(submission) }),
        },
      },
    ]
  })
}

function entryOf(object: XmlNode): Omit<DocumentMetadata, 'level'> {
  const codes = (scheme: string): Concept[] => codesOf(object, scheme)
  const [kind] = codes(documentScheme.class)
  const [type] = codes(documentScheme.type)
  const [format] = codes(documentScheme.format)
  const [practice] = codes(documentScheme.practice)
  const [facility] = codes(documentScheme.facility)
  const confidentiality = codes(documentScheme.confidentiality)
  const events = codes(documentScheme.event)
  return {
    ...present('title', localized(object, 'Name')),
    ...present('comments', localized(object, 'Description')),
    ...present('uniqueId', identifier(object, documentIdentifier.uniqueId)),
    ...present('mediaType', value(attribute(object, 'mimeType'))),
    ...present('language', slot(object, 'languageCode')),
    ...present('createdAt', moment(slot(object, 'creationTime'))),
    ...present('serviceStart', moment(slot(object, 'serviceStartTime'))),
    ...present('serviceStop', moment(slot(object, 'serviceStopTime'))),
    ...present('class', kind),
    ...present('kind', type),
    ...present('format', format),
    ...present('practiceSetting', practice),
    ...present('facilityKind', facility),
    ...(confidentiality.length > 0 && { confidentiality }),
    ...(events.length > 0 && { events }),
    ...present('patient', readCx(identifier(object, documentIdentifier.patientId))),
    ...present('sourcePatient', readCx(slot(object, 'sourcePatientId'))),
    authors: authorsOf(object, documentScheme.author),
  }
}

function submissionMetadata(node: XmlNode): NonNullable<DocumentMetadata['submission']> {
  const [contentType] = codesOf(node, submissionScheme.contentType)
  return {
    ...present('title', localized(node, 'Name')),
    ...present('uniqueId', identifier(node, submissionIdentifier.uniqueId)),
    ...present('sourceId', identifier(node, submissionIdentifier.sourceId)),
    ...present('submittedAt', moment(slot(node, 'submissionTime'))),
    ...present('contentType', contentType),
    ...present('patient', readCx(identifier(node, submissionIdentifier.patientId))),
    authors: authorsOf(node, submissionScheme.author),
    recipients: slots(node, 'intendedRecipient').map(recipientOf),
  }
}

/** `organization|person|telecommunication`; the Direct address where there is one, else what is written. */
function recipientOf(written: string): string {
  const address = /\^Internet\^([^\s^|&]+@[^\s^|&]+)/i.exec(written)?.[1]
  return address ?? written
}

/** A long URI is cut into numbered pieces: `1|…`, `2|…` (IHE ITI TF-3 §4.2.3.2.27). */
function pathOf(object: XmlNode, folder: string): string | undefined {
  const written = slots(object, 'URI')
  const pieces = written.map((one) => /^(\d+)\|(.*)$/s.exec(one))
  const uri = pieces.every((piece) => piece !== null)
    ? pieces
        .sort((a, b) => Number(a?.[1]) - Number(b?.[1]))
        .map((piece) => piece?.[2])
        .join('')
    : written[0]
  if (uri === undefined || uri === '') return undefined
  const path = unescaped(uri)
    .replaceAll('\\', '/')
    .replace(/^(?:file:\/*|\.?\/)+/i, '')
  return /^IHE_XDM\//i.test(path) ? `${folder.replace(/IHE_XDM\/.*$/i, '')}${path}` : `${folder}${path}`
}

function unescaped(uri: string): string {
  try {
    return decodeURI(uri)
  } catch {
    return uri
  }
}

function codesOf(object: XmlNode, scheme: string): Concept[] {
  const found: Concept[] = []
  for (const one of classificationsOf(object, scheme)) {
    const code = value(attribute(one, 'nodeRepresentation'))
    if (code === undefined) continue
    const source = slot(one, 'codingScheme')
    const system = source === undefined ? undefined : codeSystemOfName(source)
    const display = localized(one, 'Name')
    found.push({
      codings: [
        {
          code,
          ...present('system', system?.uri),
          ...present('display', display),
          ...present('sourceSystem', source),
        },
      ],
      ...present('text', display),
    })
  }
  return found
}

function classificationsOf(object: XmlNode, scheme: string): XmlNode[] {
  return elements(object)
    .filter((one) => one.local === 'Classification' && attribute(one, 'classificationScheme')?.trim() === scheme)
    .slice(0, metadataLimits.values)
}

function authorsOf(object: XmlNode, scheme: string): Agent[] {
  return classificationsOf(object, scheme).flatMap((one) => {
    const [written] = slots(one, 'authorPerson')
    const person = written === undefined ? undefined : readXcn(written)
    const [institution] = slots(one, 'authorInstitution')
    const organization = value(plain(institution?.split('^')[0] ?? ''))
    const [role] = slots(one, 'authorRole')
    const telecoms = slots(one, 'authorTelecommunication').map((telecom) => ({ value: recipientOf(telecom) }))
    const text = person?.text ?? organization ?? telecoms[0]?.value
    if (text === undefined) return []
    return [
      {
        kind: person || !organization ? ('person' as const) : ('organization' as const),
        text,
        ...present('name', person?.name),
        ...(person && present('organization', organization)),
        ...(role !== undefined && { role: { codings: [], text: role.split('^')[0] || role } }),
        identifiers: person?.identifiers ?? [],
        ...(telecoms.length > 0 && { telecoms }),
      },
    ]
  })
}

/** A person as HL7 v2 XCN: `id^family^given^middle^suffix^prefix^^^&oid&ISO` (IHE ITI TF-3 §4.2.3.1.7). */
function readXcn(written: string): { name: PersonName; text: string; identifiers: Identifier[] } | undefined {
  const [id, family, first, middle, suffix, prefix, , , authority] = written
    .split('^')
    .map((part) => value(plain(part)))
  const given = [first, middle].filter((part) => part !== undefined)
  const text = [prefix, ...given, family, suffix].filter((part) => part !== undefined).join(' ')
  if (text === '') return undefined
  const root = value(authority?.split('&')[1])
  return {
    name: { given, ...present('family', family), ...present('prefix', prefix), ...present('suffix', suffix) },
    text,
    identifiers: id === undefined ? [] : [{ ...present('root', root), value: id }],
  }
}

/** An identifier as HL7 v2 CX: `id^^^&oid&ISO`. */
function readCx(written: string | undefined): Identifier | undefined {
  if (written === undefined) return undefined
  const [id, , , authority] = written.split('^')
  const root = value(authority?.split('&')[1]) ?? value(authority?.split('&')[0])
  const own = value(plain(id ?? ''))
  return own === undefined && root === undefined ? undefined : { ...present('root', root), ...present('value', own) }
}

const separators: Readonly<Record<string, string>> = { E: '\\', S: '^', T: '&', F: '|', R: '~' }

/** Separators inside a value are escaped as `\S\` and so on (HL7 v2 §2.7.1). */
function plain(text: string): string {
  return text.replace(/\\([ESTFR])\\/g, (mark, letter: string) => separators[letter] ?? mark)
}

function identifier(object: XmlNode, scheme: string): string | undefined {
  const found = elements(object).find(
    (one) => one.local === 'ExternalIdentifier' && attribute(one, 'identificationScheme')?.trim() === scheme,
  )
  return found && value(attribute(found, 'value'))
}

/** HL7 v2 DTM in UTC: its zone is said by the standard, not by the value (IHE ITI TF-3 §4.2.3.1.7). */
function moment(written: string | undefined): PartialDate | undefined {
  return written === undefined ? undefined : readTimestamp(written)
}

function localized(node: XmlNode, local: string): string | undefined {
  const found = elements(node).find((one) => one.local === local)
  const string = found && elements(found).find((one) => one.local === 'LocalizedString')
  return string && value(attribute(string, 'value'))
}

function slots(node: XmlNode, name: string): string[] {
  const found: string[] = []
  for (const one of elements(node)) {
    if (one.local !== 'Slot' || attribute(one, 'name') !== name) continue
    for (const list of elements(one)) {
      for (const item of elements(list)) {
        const text = value(textOf(item))
        if (text !== undefined && found.length < metadataLimits.values) found.push(text)
      }
    }
  }
  return found
}

function slot(node: XmlNode, name: string): string | undefined {
  return slots(node, name)[0]
}

function value(text: string | undefined): string | undefined {
  const trimmed = text?.trim().slice(0, metadataLimits.valueChars)
  return trimmed === '' ? undefined : trimmed
}

function present<K extends string, V>(key: K, given: V | undefined): { [P in K]?: V } {
  return (given === undefined ? {} : { [key]: given }) as { [P in K]?: V }
}
