import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import type { ClinicalDocument, Note } from '../../direct/clinical.js'
import type { Agent } from '../../direct/datatypes.js'
import {
  absent,
  coded,
  codeText,
  coding,
  concept,
  conceptOrAbsent,
  concepts,
  dateTime,
  extension,
  identifier,
  identifiers,
  instant,
  instantAt,
  loinc,
  own,
  period,
  pointOf,
  usCore,
  whenText,
  wordsOf,
} from './datatypes.js'
import { type Json, type JsonObject, lookup, type Resource, said } from './json.js'
import { anybody, type Context, finish, openCast, patientOf, type Sourced, some } from './make.js'

const ihe = 'http://ihe.net/fhir/ihe.formatcode.fhir/CodeSystem/formatcode'
const hl7Formats = 'http://terminology.hl7.org/CodeSystem/v3-HL7DocumentFormatCodes'

/** What the bytes are, in the format codes of document sharing (IHE ITI TF-3, HL7 document format codes). */
function formatOf({ format, formatVersion, metadata }: ClinicalDocument): JsonObject | undefined {
  if (format === 'c-cda') {
    return {
      system: hl7Formats,
      code: `urn:hl7-org:sdwg:ccda-structuredBody:${formatVersion === '1.1' ? '1.1' : '2.1'}`,
    }
  }
  if (format === 'c32') return { system: ihe, code: 'urn:ihe:pcc:xphr:2007' }
  const told = metadata?.format?.codings.find(({ code }) => codeText(code) !== '')
  return told && coding(told)
}

/**
 * What the package says that brought the document, each where FHIR has it (IHE ITI MHD); the submission in an extension. What
 * the document says of itself comes before it.
 */
function described({ metadata }: ClinicalDocument): {
  readonly identifiers: readonly JsonObject[]
  readonly context: JsonObject
  readonly extensions: readonly JsonObject[]
} {
  if (!metadata) return { identifiers: [], context: {}, extensions: [] }
  const { submission, sourcePatient } = metadata
  const source = sourcePatient && identifier(sourcePatient)
  const parts: readonly (readonly [string, string, Json | undefined])[] = [
    ['title', 'String', submission?.title],
    ['uniqueId', 'String', submission?.uniqueId],
    ['sourceId', 'String', submission?.sourceId],
    ['submitted', 'DateTime', dateTime(submission?.submittedAt)],
    ['contentType', 'CodeableConcept', concept(submission?.contentType)],
    ...(submission?.authors ?? []).map(({ text }): [string, string, string] => ['author', 'String', text]),
    ...(submission?.recipients ?? []).map((text): [string, string, string] => ['recipient', 'String', text]),
  ]
  const told = parts.filter(
    ([, , value]) => value !== undefined && (typeof value !== 'string' || said(value) !== undefined),
  )
  return {
    identifiers: some(uniqueId(metadata.uniqueId)),
    context: {
      event: concepts(metadata.events),
      facilityType: concept(metadata.facilityKind),
      practiceSetting: concept(metadata.practiceSetting),
      sourcePatientInfo: source && { type: 'Patient', identifier: source },
    },
    extensions: [
      extension(`${own}:metadata-level`, { valueCode: metadata.level }),
      ...(told.length === 0
        ? []
        : [
            extension(`${own}:submission`, {
              extension: told.map(([url, type, value]) => ({ url, [`value${type}`]: value })),
            }),
          ]),
    ],
  }
}

/** An id of a DocumentEntry: an OID, an OID and an extension with `^` between them, or a URI. */
function uniqueId(text: string | undefined): JsonObject | undefined {
  const [root = '', value] = (text ?? '').split('^')
  return said(root) === undefined ? undefined : identifier({ root, ...(value !== undefined && { value }) })
}

function same(one: JsonObject | undefined, other: JsonObject): boolean {
  return one !== undefined && one['system'] === other['system'] && one['value'] === other['value']
}

const relations: Readonly<Record<string, string>> = { RPLC: 'replaces', APND: 'appends', XFRM: 'transforms' }

const clinicalNote = `${usCore.replace('StructureDefinition', 'CodeSystem')}/us-core-documentreference-category`

/** The original as it came: a DocumentReference whose attachment is the Binary of its bytes. Its hash comes with `withHash`. */
export function documentReference(from: Sourced, content: ClinicalDocument, context: Context): Resource {
  const { item } = from
  const cast = openCast()
  const { metadata } = content
  const about = described(content)
  const service = {
    ...(metadata?.serviceStart && { low: metadata.serviceStart }),
    ...(metadata?.serviceStop && { high: metadata.serviceStop }),
  }
  const when =
    period(item.when) ?? (item.when?.value ? { start: dateTime(item.when.value) } : undefined) ?? period(service)
  const masters: JsonObject[] = item.identifiers.map(identifier).filter((one) => one !== undefined)
  const writers = item.provenance.authors.length > 0 ? item.provenance.authors : (metadata?.authors ?? [])
  const title = content.title ?? metadata?.title ?? content.name
  const kind = content.code ?? metadata?.kind
  const surroundings = { ...about.context, period: when }
  return finish({
    type: 'DocumentReference',
    id: item.id,
    of: [from],
    cast,
    words: [title ?? wordsOf(kind), content.custodian?.text, whenText(item.when)],
    extensions: [extension(`${own}:sha-256`, { valueString: content.sha256 }), ...about.extensions],
    fields: {
      masterIdentifier: masters[0],
      identifier: [
        ...masters.slice(1),
        ...(content.set ? identifiers([content.set]) : []),
        ...about.identifiers.filter((one) => !masters.some((known) => same(known, one))),
      ],
      status: 'current',
      docStatus: 'final',
      type: kind ? conceptOrAbsent(kind) : coded(loinc, '34133-9', 'Summary of episode note'),
      category: [coded(clinicalNote, 'clinical-note', 'Clinical Note'), ...some(concept(metadata?.class))],
      subject: patientOf(context),
      date: instant(item.recordedAt) ?? (from.addedAt === undefined ? undefined : instantAt(from.addedAt)),
      author: authors(writers, cast.refer),
      custodian: cast.refer(content.custodian, ['organization']),
      relatesTo: (content.related ?? []).flatMap(({ kind, identifiers: ids }) => {
        const code = lookup(relations, kind)
        const target = ids.map(identifier).find((one) => one !== undefined)
        return code === undefined || target === undefined ? [] : [{ code, target: { identifier: target } }]
      }),
      description: metadata?.comments ?? content.title,
      securityLabel: concepts(metadata?.confidentiality),
      content: [
        {
          attachment: {
            contentType: mediaType(content.mediaType),
            language: languageOf(metadata?.language),
            url: `${context.base}/Binary/${content.sha256}`,
            size: content.sizeBytes < 2 ** 31 ? content.sizeBytes : undefined,
            title,
            creation: dateTime(item.recordedAt ?? metadata?.createdAt),
          },
          format: formatOf(content),
        },
      ],
      context: surroundings,
    },
  })
}

/** A language tag (RFC 5646); undefined for what is none. */
function languageOf(text: string | undefined): string | undefined {
  return text !== undefined && /^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}$/.test(text) ? text : undefined
}

/** The SHA-256 that a DocumentReference of ours names in its attachment; undefined for any other resource. */
export function binaryOf({ resourceType, content }: Resource): string | undefined {
  if (resourceType !== 'DocumentReference') return undefined
  const url = attachmentOf(content)['url']
  return typeof url === 'string' ? /\/Binary\/([0-9a-f]{64})$/.exec(url)?.[1] : undefined
}

/** The same with the SHA-1 of its bytes in base64, which is what FHIR R4 §2.24.0.16 asks for. */
export function withHash(resource: Resource, sha1: string): Resource {
  const [first] = resource['content'] as readonly JsonObject[]
  return { ...resource, content: [{ ...first, attachment: { ...attachmentOf(resource['content']), hash: sha1 } }] }
}

function attachmentOf(content: Json | undefined): JsonObject {
  const [first] = (content ?? []) as readonly JsonObject[]
  return (first?.['attachment'] ?? {}) as JsonObject
}

function authors(all: readonly Agent[], refer: ReturnType<typeof openCast>['refer']): JsonObject[] {
  return some(...all.map((one) => refer(one, anybody)))
}

/** A media type that says no more than a media type (RFC 6838 §4.2). */
export function mediaType(text: string): string {
  return /^[\w!#$&^.+-]{1,64}\/[\w!#$&^.+-]{1,64}$/.test(text) ? text.toLowerCase() : 'application/octet-stream'
}

/** Words of a document as a clinical note: plain text, with the original as what it was taken from. */
export function note(from: Sourced, content: Note, context: Context): Resource {
  const { item } = from
  const cast = openCast()
  const bytes = Buffer.from(content.text, 'utf8')
  const whole = context.documents.get(item.provenance.document)
  const named = content.title ?? wordsOf(content.kind)
  const title = item.negated ? `Denied: ${named ?? 'note'}` : named
  return finish({
    type: 'DocumentReference',
    id: item.id,
    of: [from],
    cast,
    words: [title, content.text, ...(item.notes ?? [])],
    fields: {
      identifier: identifiers(item.identifiers),
      status: item.status?.source === 'nullified' ? 'entered-in-error' : 'current',
      type: concept(content.kind) ?? (title === undefined ? absent() : { text: title }),
      category: [coded(clinicalNote, 'clinical-note', 'Clinical Note')],
      subject: patientOf(context),
      date: instant(item.recordedAt) ?? (from.addedAt === undefined ? undefined : instantAt(from.addedAt)),
      author: authors(item.provenance.authors, cast.refer),
      relatesTo:
        whole === undefined ? [] : [{ code: 'transforms', target: { reference: `DocumentReference/${whole}` } }],
      description: title,
      content: [
        {
          attachment: {
            contentType: 'text/plain; charset=utf-8',
            data: bytes.toString('base64'),
            size: bytes.length,
            hash: createHash('sha1').update(bytes).digest('base64'), // R4 §2.24.0.16 asks for SHA-1
            title,
            creation: dateTime(item.recordedAt),
          },
        },
      ],
      context: item.when ? { period: period(item.when) ?? { start: dateTime(pointOf(item.when)) } } : undefined,
    },
  })
}

/**
 * Where a resource comes from: the document, the section, the entry, who wrote it down, who told it, and the Direct
 * address that sent it (US Core Provenance).
 */
export function provenance(target: Resource, of: readonly Sourced[], context: Context): Resource | undefined {
  const [first] = of
  if (!first) return undefined
  const cast = openCast()
  const { item, addedAt } = first
  const type = (code: string) => coded('http://terminology.hl7.org/CodeSystem/provenance-participant-type', code)
  const agents: JsonObject[] = []
  const told: readonly (readonly [string, readonly Agent[]])[] = [
    ['author', item.provenance.authors],
    ['informant', item.provenance.informants ?? []],
  ]
  for (const [role, people] of told) {
    for (const agent of people) {
      const behalf: Agent | undefined =
        agent.organization === undefined
          ? undefined
          : { kind: 'organization', text: agent.organization, identifiers: [] }
      const onBehalfOf = cast.refer(behalf) ?? (agent.kind === 'organization' ? undefined : absent()) // us-core provenance-1
      agents.push({ type: type(role), who: cast.refer(agent, anybody), onBehalfOf })
    }
  }
  for (const address of sendersOf(first)) {
    const sender: Agent = {
      kind: 'organization',
      text: address,
      identifiers: [],
      telecoms: [{ value: `mailto:${address}`, use: 'WP' }],
    }
    agents.push({ type: type('transmitter'), who: cast.refer(sender) })
  }
  const recorded = addedAt === undefined ? instant(item.recordedAt) : instantAt(addedAt)
  return finish({
    type: 'Provenance',
    id: `p-${target.id}`,
    of: [first],
    cast,
    words: [
      `Source of ${target.resourceType}`,
      ...sendersOf(first),
      ...item.provenance.authors.map(({ text }) => text),
    ],
    fields: {
      target: [{ reference: `${target.resourceType}/${target.id}` }],
      occurredDateTime: dateTime(item.recordedAt),
      ...(recorded === undefined ? { _recorded: absent() } : { recorded }),
      activity: coded('http://terminology.hl7.org/CodeSystem/v3-DataOperation', 'CREATE'),
      agent: agents.length === 0 ? [{ type: type('author'), who: { display: 'Unknown' } }] : agents,
      entity: of.flatMap((one) => [...placesOf(one)].map((place) => sourceOf(place, context))),
    },
  })
}

/** The Direct addresses that sent the statement, and the same in other documents. */
function sendersOf({ source, appearances = [] }: Sourced): Set<string> {
  return new Set([source, ...appearances.map((one) => one.source)].flatMap((one) => (one ? [one.sender] : [])))
}

interface SourcePlace {
  readonly document: string
  readonly entry: string
  readonly section?: string
}

/** Where the statement stands: in its own document first, then wherever else it was said. */
function placesOf({ item: { provenance: own }, appearances = [] }: Sourced): SourcePlace[] {
  const others = appearances.filter(({ document, entry }) => document !== own.document || entry !== own.entry)
  // What somebody wrote here stands in no document.
  return [own, ...others].filter(({ document }) => document !== '')
}

function sourceOf(from: SourcePlace, { documents }: Context): JsonObject {
  const id = documents.get(from.document)
  return {
    extension: [
      ...(said(from.section) === undefined ? [] : [extension(`${own}:section`, { valueString: from.section })]),
      ...(said(from.entry) === undefined ? [] : [extension(`${own}:entry`, { valueString: from.entry })]),
    ],
    role: 'source',
    what:
      id === undefined
        ? { identifier: { system: `${own}:sha-256`, value: from.document } }
        : { reference: `DocumentReference/${id}` },
  }
}
