import type { DocumentMetadata } from '../../direct/clinical.js'
import type { Agent, Concept, Identifier, PartialDate } from '../../direct/datatypes.js'
import { attribute, child, childrenOf, descend, textOf, type XmlNode } from '../../xml/node.js'
import { displayName, readName } from '../cda/names.js'
import { readTimestamp } from '../cda/timestamp.js'
import type { ClinicalLimits } from '../limits.js'
import { isClinicalDocument, type Recognised, recognise } from '../recognise.js'
import { asOid } from './oid.js'

/** What a document tells about itself in the words of package metadata. */
export type Described = Omit<DocumentMetadata, 'level' | 'submission'> & {
  /** Name, birth date and gender, for `sourcePatientInfo`. */
  readonly person?: {
    readonly family?: string
    readonly given: readonly string[]
    readonly birthDate?: PartialDate
    readonly gender?: string
  }
}

/** Code systems that metadata names by OID. */
export const codingSchemes = {
  loinc: '2.16.840.1.113883.6.1',
  confidentiality: '2.16.840.1.113883.5.25',
  nullFlavor: '2.16.840.1.113883.5.1008',
  /** IHE's format codes, with those that HL7 registered for C-CDA. */
  format: '1.3.6.1.4.1.19376.1.2.3',
} as const

/**
 * Describes a document for package metadata by its own bytes: a CDA by its header, anything else by its format. Says only
 * what the document says: a code that it does not have is absent. Never throws.
 */
export function describeDocument(
  bytes: Uint8Array,
  hints: { readonly name?: string; readonly mediaType?: string },
  limits: ClinicalLimits,
): { readonly recognised: Recognised; readonly described: Described } {
  const recognised = recognise(bytes, hints, limits)
  const bare: Described = { authors: [], mediaType: recognised.mediaType, format: formatOf(recognised) }
  const root = recognised.xml?.kind === 'tree' ? recognised.xml.root : undefined
  if (root === undefined || !isClinicalDocument(root)) return { recognised, described: bare }
  return { recognised, described: { ...bare, ...fromHeader(root) } }
}

/** IHE format codes; what has none of its own is told by its media type alone (ITI TF-3 §4.2.3.1.4). */
function formatOf({ format, version = '2.1', xml }: Recognised): Concept {
  const sufficient = coding('urn:ihe:iti:xds:2017:mimeTypeSufficient', codingSchemes.format, 'mimeType Sufficient')
  if (format !== 'c-cda' || xml?.kind !== 'tree') return sufficient
  const kind = descend(xml.root, 'component', 'nonXMLBody') ? 'nonXMLBody' : 'structuredBody'
  const release = version === '1.1' ? '1.1' : '2.1'
  return coding(`urn:hl7-org:sdwg:ccda-${kind}:${release}`, codingSchemes.format, `C-CDA ${release} ${kind}`)
}

function fromHeader(root: XmlNode): Partial<Described> {
  const role = descend(root, 'recordTarget', 'patientRole')
  const patient = child(role, 'patient')
  const name = childrenOf(patient, 'name')
    .map(readName)
    .find((one) => one !== undefined)
  const birthDate = momentAt(child(patient, 'birthTime'))
  const gender = worded(child(patient, 'administrativeGenderCode'), 'code')
  const event = childrenOf(root, 'documentationOf').map((one) => child(one, 'serviceEvent'))
  const period = event.map((one) => child(one, 'effectiveTime')).find((one) => one !== undefined)
  const title = words(textOf(child(root, 'title')))
  const kind = codeAt(child(root, 'code'))
  const confidentiality = codeAt(child(root, 'confidentialityCode'))
  const language = worded(child(root, 'languageCode'), 'code')
  const uniqueId = uniqueIdOf(child(root, 'id'))
  const createdAt = momentAt(child(root, 'effectiveTime'))
  const [sourcePatient] = childrenOf(role, 'id')
    .map(identifierOf)
    .filter((one) => one !== undefined)
  const start = momentAt(child(period, 'low')) ?? momentAt(period)
  const stop = momentAt(child(period, 'high')) ?? momentAt(period)
  return {
    ...(title && { title }),
    ...(kind && { kind, class: kind }),
    ...(confidentiality && { confidentiality: [confidentiality] }),
    ...(language && { language }),
    ...(uniqueId && { uniqueId }),
    ...(createdAt && { createdAt }),
    ...(sourcePatient && { sourcePatient, patient: sourcePatient }),
    ...(start && { serviceStart: start }),
    ...(stop && { serviceStop: stop }),
    authors: childrenOf(root, 'author').flatMap(authorOf),
    ...(name && {
      person: {
        given: name.given,
        ...((name.family ?? name.text) !== undefined && { family: name.family ?? name.text ?? '' }),
        ...(birthDate && { birthDate }),
        ...(gender && { gender }),
      },
    }),
  }
}

function authorOf(node: XmlNode): Agent[] {
  const assigned = child(node, 'assignedAuthor')
  const [name] = childrenOf(child(assigned, 'assignedPerson'), 'name')
    .map(readName)
    .filter((one) => one !== undefined)
  const organization = words(textOf(descend(assigned, 'representedOrganization', 'name')))
  const [identifier] = childrenOf(assigned, 'id')
    .map(identifierOf)
    .filter((one) => one !== undefined)
  const text = name ? displayName(name) : organization
  if (text === undefined || text === '') return []
  return [
    {
      kind: name ? 'person' : 'organization',
      text,
      ...(name && { name }),
      ...(name && organization !== undefined && { organization }),
      identifiers: identifier ? [identifier] : [],
    },
  ]
}

/** `root^extension`, or the root alone (IHE PCC TF-2 §4.1.1); a UUID becomes the OID that it stands for. */
function uniqueIdOf(id: XmlNode | undefined): string | undefined {
  const root = asOid(worded(id, 'root') ?? '')
  const extension = worded(id, 'extension')
  if (root === undefined || extension?.includes('^')) return undefined
  const whole = extension === undefined ? root : `${root}^${extension}`
  return whole.length <= 128 ? whole : undefined
}

function identifierOf(id: XmlNode): Identifier | undefined {
  const root = worded(id, 'root')
  const value = worded(id, 'extension')
  return root === undefined || value === undefined ? undefined : { root, value }
}

function codeAt(node: XmlNode | undefined): Concept | undefined {
  const code = worded(node, 'code')
  const scheme = worded(node, 'codeSystem')
  if (code === undefined || scheme === undefined) return undefined
  return coding(code, scheme, worded(node, 'displayName'))
}

/** A concept of one code whose system is named by its OID. */
export function coding(code: string, sourceSystem: string, display: string | undefined): Concept {
  return { codings: [{ code, sourceSystem, ...(display && { display }) }], ...(display && { text: display }) }
}

function momentAt(node: XmlNode | undefined): PartialDate | undefined {
  const value = worded(node, 'value')
  return value === undefined ? undefined : readTimestamp(value)
}

function worded(node: XmlNode | undefined, local: string): string | undefined {
  return node && words(attribute(node, local))
}

function words(text: string | undefined): string | undefined {
  const folded = text?.replace(/\s+/g, ' ').trim()
  return folded === '' ? undefined : folded
}
