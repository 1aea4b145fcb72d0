import { createHash } from 'node:crypto'
import { operationOutcome, type Severity, searchset } from '../clinical/fhir/bundle.js'
import { capabilityStatement } from '../clinical/fhir/capability.js'
import { binaryOf, withHash } from '../clinical/fhir/document.js'
import { type Resource, writeJson } from '../clinical/fhir/json.js'
import type { Sourced } from '../clinical/fhir/make.js'
import { type Mapped, type Mapping, provenancesOf, sourcesOf, toFhir } from '../clinical/fhir/map.js'
import { type Criterion, dayOf, meets, readCriterion, searchParameters } from '../clinical/fhir/search.js'
import type { RecordItemType } from '../direct/clinical.js'
import type { StoredDocument } from '../record/item.js'
import type { PatientRecord } from '../record/record.js'

export interface FhirPorts {
  readonly record: Pick<PatientRecord, 'current' | 'documentBytes'> & {
    document(recordId: string, sha256: string): Promise<FhirDocument | undefined>
  }
}

/** What must be known of a document to hand it out. */
export type FhirDocument = Pick<StoredDocument, 'sha256' | 'mediaType' | 'name' | 'sizeBytes'>

/** Whose resources, and where the server stands as its clients see it, without a final slash. */
export interface FhirPlace {
  readonly record: string
  readonly base: string
}

export type FhirSearch =
  | { readonly kind: 'bundle'; readonly json: string; readonly count: number }
  /** The request is wrong; `detail` says where, without a value of it. */
  | { readonly kind: 'invalid'; readonly code: 'invalid' | 'not-supported' | 'too-costly'; readonly detail: string }
  | { readonly kind: 'unknown-type' }

export interface FhirBinary {
  readonly document: FhirDocument
  readonly bytes: AsyncIterable<Uint8Array>
}

/** A patient's record as FHIR R4, for reading: what is current in it, without what is withheld. Answers are JSON text. */
export interface Fhir {
  /** One resource; undefined where the record shows none of this type and id. */
  read(place: FhirPlace, type: string, id: string): Promise<string | undefined>
  /** One page of a search; `query` in the order of the request. `strict` refuses unknown parameters (Prefer: handling=strict). */
  search(place: FhirPlace, type: string, query: FhirQuery, strict: boolean): Promise<FhirSearch>
  /** One page of all resources of the patient, with their sources. */
  everything(place: FhirPlace, query: FhirQuery): Promise<FhirSearch>
  /** The bytes of a document that the record shows. */
  binary(place: FhirPlace, sha256: string): Promise<FhirBinary | undefined>
}

export type FhirQuery = readonly (readonly [name: string, value: string])[]

export const fhirLimits = {
  /** Entries read of one record: the largest C-CDA has some 3,000, and a record a few of them. */
  entries: 20_000,
  pageDefault: 50,
  pageMax: 200,
  /** More parameters than any search of US Core needs. */
  parameters: 40,
  /** Alternatives of one parameter; each is held against every resource. */
  alternatives: 100,
  /** Bytes hashed for the documents of one page; beyond that an attachment has no hash. */
  hashBytes: 64 * 1024 * 1024,
  /** Hashes kept, 100 bytes each. */
  hashes: 10_000,
}

/** Opens the FHIR side of a record. Holds no state but the SHA-1 of documents. */
export function openFhir({ record }: FhirPorts, limits = fhirLimits): Fhir {
  const hashes = new Map<string, string>()

  async function mapping({ record: id, base }: FhirPlace, types?: readonly RecordItemType[]): Promise<Mapping> {
    // Documents are among them always: the others refer to theirs.
    const wanted: readonly RecordItemType[] | undefined = types?.includes('document')
      ? undefined
      : types && [...types, 'document']
    const items: Sourced[] = []
    const covered = new Set<string>()
    let read = 0
    for await (const entry of record.current(id, wanted === undefined ? {} : { types: wanted })) {
      if (++read > limits.entries) break
      if (entry.withheld) for (const { document } of entry.appearances) covered.add(document)
      else items.push({ ...entry, item: { ...entry.item, id: entry.id } })
    }
    // A document that holds something withheld would give it away.
    const shown = items.filter(({ item: { content } }) => content.type !== 'document' || !covered.has(content.sha256))
    return toFhir(shown, { record: id, base })
  }

  async function hashed(resources: readonly Resource[], place: FhirPlace): Promise<Resource[]> {
    let budget = limits.hashBytes
    const done: Resource[] = []
    for (const resource of resources) {
      const sha256 = binaryOf(resource)
      const known = sha256 === undefined ? undefined : hashes.get(sha256)
      const stored =
        sha256 !== undefined && known === undefined ? await record.document(place.record, sha256) : undefined
      if (sha256 === undefined || (known === undefined && (stored === undefined || stored.sizeBytes > budget))) {
        done.push(resource)
        continue
      }
      budget -= stored?.sizeBytes ?? 0
      const sha1 = known ?? (await sha1Of(await record.documentBytes(place.record, sha256)))
      if (sha1 !== undefined && hashes.size < limits.hashes) hashes.set(sha256, sha1)
      done.push(sha1 === undefined ? resource : withHash(resource, sha1))
    }
    return done
  }

  async function page(place: FhirPlace, path: string, { all, context }: Candidates, asked: Asked): Promise<FhirSearch> {
    const sorted = all
      .map((one) => ({ ...one, position: positionOf(one.resource) }))
      .sort((a, b) => (a.position < b.position ? 1 : -1))
    const { after } = asked
    const left = after === undefined ? sorted : sorted.filter(({ position }) => position < after)
    const shown = left.slice(0, asked.count)
    const last = shown.at(-1)
    const included = asked.provenance ? provenancesOf(shown, context).map(({ resource }) => resource) : []
    const link = (more: FhirQuery) =>
      `${place.base}/${path}?${new URLSearchParams([...asked.used, ...more].map(([n, v]): [string, string] => [n, v]))}`
    const json = searchset({
      base: place.base,
      matches: await hashed(
        shown.map(({ resource }) => resource),
        place,
      ),
      included,
      total: all.length,
      self: link(after === undefined ? [] : [['_cursor', cursorOf(after)]]),
      ...(last && left.length > shown.length && { next: link([['_cursor', cursorOf(last.position)]]) }),
      ...(asked.unused.length > 0 && { warning: `Not used, because not supported: ${asked.unused.join(', ')}` }),
    })
    return { kind: 'bundle', json, count: shown.length }
  }

  return {
    async read(place, type, id) {
      const found = await candidates(place, type)
      const resource = found?.all.find((one) => one.resource.id === id)?.resource
      if (!resource) return undefined
      const [ready = resource] = await hashed([resource], place)
      return writeJson(ready)
    },
    async search(place, type, query, strict) {
      const asked = readQuery(type, query, limits)
      if (asked.kind === 'invalid') return asked
      if (strict && asked.unused.length > 0) {
        return { kind: 'invalid', code: 'not-supported', detail: `Not supported: ${asked.unused.join(', ')}` }
      }
      const found = await candidates(place, type)
      if (!found) return { kind: 'unknown-type' }
      const all = found.all.filter(({ resource }) => asked.criteria.every((one) => meets(resource, one)))
      return page(place, type, { ...found, all }, asked)
    },
    async everything(place, query) {
      const asked = readQuery('Patient', query, limits)
      if (asked.kind === 'invalid') return asked
      const { resources, context } = await mapping(place)
      return page(
        place,
        `Patient/${place.record}/$everything`,
        { all: resources, context },
        { ...asked, provenance: true },
      )
    },
    async binary(place, sha256) {
      const { resources } = await mapping(place, ['document'])
      if (!resources.some(({ resource }) => binaryOf(resource) === sha256)) return undefined
      const document = await record.document(place.record, sha256)
      const bytes = document && (await record.documentBytes(place.record, sha256))
      return document && bytes && { document, bytes }
    },
  }

  /** All resources of a type; undefined for a type that is not served. */
  async function candidates(place: FhirPlace, type: string): Promise<Candidates | undefined> {
    if (!Object.hasOwn(searchParameters, type)) return undefined
    const { resources, context } = await mapping(place, type === 'Provenance' ? undefined : sourcesOf[type])
    if (type === 'Provenance') return { all: provenancesOf(resources, context), context }
    return { all: resources.filter(({ resource }) => resource.resourceType === type), context }
  }
}

/** Resources to choose from, and what they share. */
interface Candidates {
  readonly all: readonly Mapped[]
  readonly context: Mapping['context']
}

interface Asked {
  readonly criteria: readonly Criterion[]
  readonly count: number
  readonly after?: string
  readonly provenance: boolean
  /** Parameters that took part, for the links. */
  readonly used: FhirQuery
  readonly unused: readonly string[]
}

/** Parameters that are decided before or elsewhere. */
const ours = new Set(['patient', 'subject', '_format', '_pretty', '_summary', '_elements'])

function readQuery(
  type: string,
  query: FhirQuery,
  limits: typeof fhirLimits,
): ({ readonly kind: 'asked' } & Asked) | Extract<FhirSearch, { kind: 'invalid' }> {
  const wrong = (detail: string, code: 'invalid' | 'too-costly' = 'invalid') =>
    ({ kind: 'invalid', code, detail }) as const
  if (query.length > limits.parameters) return wrong('Too many parameters', 'too-costly')
  const criteria: Criterion[] = []
  const used: [string, string][] = []
  const unused: string[] = []
  let count = limits.pageDefault
  let after: string | undefined
  let provenance = false
  for (const [name, value] of query) {
    if (name === '_cursor') {
      after = positionIn(value)
      if (after === undefined) return wrong('_cursor is not one that this server gave out')
      continue
    }
    if (name === '_count') {
      if (!/^\d{1,6}$/.test(value)) return wrong('_count is not a number')
      count = Math.min(Number(value), limits.pageMax)
    } else if (name === '_revinclude' && value === 'Provenance:target') provenance = true
    else if (ours.has(name)) {
      if (name === '_summary' || name === '_elements') unused.push(name)
    } else {
      const read = readCriterion(type, name, value)
      if (read.kind === 'invalid') return wrong(read.detail)
      if (read.kind === 'unknown') {
        unused.push(/^[\w:.-]{1,64}$/.test(name) ? name : 'a parameter')
        continue
      }
      if (read.criterion.values.length > limits.alternatives) return wrong(`${name} has too many values`, 'too-costly')
      criteria.push(read.criterion)
    }
    used.push([name, value])
  }
  return { kind: 'asked', criteria, count, provenance, used, unused, ...(after !== undefined && { after }) }
}

/** Place of a resource in every list: newest first, then by id; nothing that is added moves it. */
function positionOf(resource: Resource): string {
  return `${dayOf(resource)}\n${resource.resourceType}/${resource.id}`
}

function cursorOf(position: string): string {
  return Buffer.from(position).toString('base64url')
}

function positionIn(cursor: string): string | undefined {
  const position = /^[\w-]{1,300}$/.test(cursor) ? Buffer.from(cursor, 'base64url').toString('utf8') : ''
  return /^[\dT:.+Z-]*\n[A-Za-z]+\/[\w.-]+$/.test(position) ? position : undefined
}

async function sha1Of(bytes: AsyncIterable<Uint8Array> | undefined): Promise<string | undefined> {
  if (bytes === undefined) return undefined
  const hash = createHash('sha1')
  for await (const chunk of bytes) hash.update(chunk)
  return hash.digest('base64')
}

/** What the server does, as JSON text; it knows no patient. `at` is Unix milliseconds. */
export function fhirCapability(base: string, at: number): string {
  return capabilityStatement(base, at)
}

/** An error as FHIR tells it, as JSON text. `code` is an IssueType. */
export function fhirOutcome(
  severity: Severity,
  code: string,
  diagnostics: string,
  expression: readonly string[] = [],
): string {
  return writeJson(operationOutcome(severity, code, diagnostics, { expression: [...expression] }))
}

/** A document as a Binary resource, as JSON text, for clients that ask for FHIR instead of the bytes. */
export async function fhirBinary({ document, bytes }: FhirBinary, contentType: string): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of bytes) chunks.push(chunk)
  return writeJson({
    resourceType: 'Binary',
    id: document.sha256,
    contentType,
    data: Buffer.concat(chunks).toString('base64'),
  })
}
