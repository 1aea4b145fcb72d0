import { createHash } from 'node:crypto'
import { type Entry, entryOf, operationOutcome, type Severity, searchset } from '../clinical/fhir/bundle.js'
import { capabilityStatement, type OauthUris } from '../clinical/fhir/capability.js'
import { instantAt } from '../clinical/fhir/datatypes.js'
import { binaryOf, withHash } from '../clinical/fhir/document.js'
import { type Resource, writeJson } from '../clinical/fhir/json.js'
import { type Context, type Sourced, versionOf, versionOfAll } from '../clinical/fhir/make.js'
import { type Draft, draft, type Mapped, patientDraft, provenancesOf, toFhir } from '../clinical/fhir/map.js'
import { type Asked, byOrder, cursorOf, type FhirQuery, positionOf, readQuery } from '../clinical/fhir/query.js'
import { type Criterion, meets, searchParameters } from '../clinical/fhir/search.js'
import type { Reading, RecordAccess } from '../direct/access.js'
import { type RecordItem, type RecordItemType, recordItemTypes } from '../direct/clinical.js'
import { itemTypesOf } from '../direct/smart-scopes.js'
import type { AuthoredItem, ItemVersion } from '../record/item.js'
import { mayRead, mayReadAny, maySee, maySeeResource } from './fhir-access.js'
import { type FhirDocument, type FhirPlace, type FhirPorts, openItems, openPauses } from './fhir-items.js'

export type { OauthUris } from '../clinical/fhir/capability.js'
export type { FhirQuery } from '../clinical/fhir/query.js'
export type { FhirDocument, FhirPlace, FhirPorts } from './fhir-items.js'

/** The request is wrong, or asks for too much; `detail` says where, without a value of it. */
export interface FhirInvalid {
  readonly kind: 'invalid'
  readonly code: 'invalid' | 'not-supported' | 'too-costly'
  readonly detail: string
}

export type FhirSearch =
  | { readonly kind: 'bundle'; readonly json: string; readonly count: number }
  | FhirInvalid
  | { readonly kind: 'unknown-type' }
  /** No rule of the caller gives anything of this type. */
  | { readonly kind: 'denied' }

export type FhirRead =
  | { readonly kind: 'resource'; readonly json: string }
  /** The record shows none of this type and id. */
  | { readonly kind: 'missing' | 'denied' }
  | FhirInvalid

export type FhirLocated =
  | {
      readonly kind: 'located'
      readonly version?: string
      readonly of: readonly {
        readonly id: string
        readonly version?: string
        readonly item: RecordItem
        /** What FHIR knows nothing of. */
        readonly beside: Pick<AuthoredItem, 'related' | 'tags' | 'blobs' | 'endsAt'>
      }[]
      /** The resource as it was shown. */
      readonly json: string
      /** It is made of what other resources are made of, and is not written by itself. */
      readonly derived: boolean
    }
  | { readonly kind: 'missing' | 'denied' | 'too-many' }

export interface FhirBinary {
  readonly document: FhirDocument
  readonly bytes: AsyncIterable<Uint8Array>
}

/**
 * A patient's record as FHIR R4, for reading: what is current in it, as far as the rules of the caller go, without what is
 * withheld. The patient is named as the caller knows it. Answers are JSON text. Work on large records leaves the loop to
 * others every few milliseconds.
 */
export interface Fhir {
  /** One resource. */
  read(place: FhirPlace, type: string, id: string): Promise<FhirRead>
  /** One page of a search; `query` in the order of the request. `strict` refuses unknown parameters (Prefer: handling=strict). */
  search(place: FhirPlace, type: string, query: FhirQuery, strict: boolean): Promise<FhirSearch>
  /** One page of all resources of the patient, with their sources. */
  everything(place: FhirPlace, query: FhirQuery): Promise<FhirSearch>
  /** What one resource is made of: entries by id with the versions that were read. Whoever may not read it finds nothing. */
  locate(place: FhirPlace, type: string, id: string): Promise<FhirLocated>
  /** The bytes of a document that the record shows. */
  binary(
    place: FhirPlace,
    sha256: string,
  ): Promise<({ readonly kind: 'binary' } & FhirBinary) | { readonly kind: 'missing' | 'denied' }>
}

export const fhirLimits = {
  /** Entries read for one answer: the largest C-CDA has some 3,000, and a record a few of them. Beyond it a search says so. */
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

const tooMany: FhirInvalid = {
  kind: 'invalid',
  code: 'too-costly',
  detail: 'The record has more of this than one search goes through; Patient/$everything gives it in pages',
}

/** Opens the FHIR side of a record. Holds no state but the SHA-1 of documents. */
export function openFhir(ports: FhirPorts, limits = fhirLimits): Fhir {
  const { record } = ports
  const items = openItems(ports, limits)
  const hashes = new Map<string, string>()

  /** Resources written, with the hashes of documents. */
  async function written(resources: readonly Resource[], place: FhirPlace): Promise<Entry[]> {
    const pause = openPauses(ports)
    let budget = limits.hashBytes
    const done: Entry[] = []
    for (const resource of resources) {
      await pause()
      const sha256 = binaryOf(resource)
      const known = sha256 === undefined ? undefined : hashes.get(sha256)
      const stored =
        sha256 !== undefined && known === undefined ? await record.document(place.access.record, sha256) : undefined
      if (sha256 === undefined || (known === undefined && (stored === undefined || stored.sizeBytes > budget))) {
        done.push(entryOf(resource))
        continue
      }
      budget -= stored?.sizeBytes ?? 0
      const sha1 = known ?? (await sha1Of(await record.documentBytes(place.access.record, sha256)))
      if (sha1 !== undefined && hashes.size < limits.hashes) hashes.set(sha256, sha1)
      done.push(entryOf(sha1 === undefined ? resource : withHash(resource, sha1)))
    }
    return done
  }

  /** Drafts of what may become a resource of this type; those alone with one of these ids, where any are named. */
  async function candidates(place: FhirPlace, type: string, reading: Reading, ids?: ReadonlySet<string>) {
    const provenance = type === 'Provenance'
    const context = await items.contextAt(place)
    const wanted = type === 'Patient' ? { resource: type, reading } : { reading }
    const { items: found, cut } = await items.gather(place.access, itemTypesOf[type] ?? [], wanted)
    const drafts =
      type === 'Patient'
        ? [patientDraft(found, context)]
        : [...(provenance ? patientsOf(found, context, place.access, reading) : []), ...draft(found, context).drafts]
    return { drafts: ids ? drafts.filter((one) => one.ids.some((id) => ids.has(id))) : drafts, context, cut }
  }

  /** Resources of a type that meet all criteria, made a few at a time. */
  async function matching(
    drafts: readonly Draft[],
    context: Context,
    { type, access, reading }: { readonly type: string; readonly access: RecordAccess; readonly reading: Reading },
    criteria: readonly Criterion[],
  ) {
    const pause = openPauses(ports)
    const all: Mapped[] = []
    for (const one of drafts) {
      await pause()
      const seen = one.make().filter((mapped) => maySeeResource(access, mapped, reading))
      const made = type === 'Provenance' ? sourcesOf(seen, context, access, reading) : seen
      for (const mapped of made) {
        const { resource } = mapped
        if (resource.resourceType === type && criteria.every((each) => meets(resource, each))) all.push(mapped)
      }
    }
    return all
  }

  /** What stands beside the matches: their sources, or what they are the sources of. */
  function beside(
    shown: readonly Mapped[],
    drafts: readonly Draft[],
    context: Context,
    access: RecordAccess,
    asked: Asked,
  ): Resource[] {
    if (asked.provenance) return sourcesOf(shown, context, access, 'by-search').map(({ resource }) => resource)
    if (!asked.targets) return []
    const wanted = new Set(shown.map(({ resource }) => resource.id.replace(/^p-/, '')))
    return drafts
      .filter(({ ids }) => ids.some((id) => wanted.has(id)))
      .flatMap((one) => one.make())
      .filter((mapped) => maySeeResource(access, mapped, 'by-search'))
      .flatMap(({ resource }) => (wanted.has(resource.id) ? [resource] : []))
  }

  /** One resource that the caller may read by its id. */
  async function one(
    place: FhirPlace,
    type: string,
    id: string,
  ): Promise<
    { readonly kind: 'one'; readonly mapped: Mapped } | { readonly kind: 'missing' | 'denied' } | FhirInvalid
  > {
    const { access } = place
    if (!Object.hasOwn(searchParameters, type)) return { kind: 'missing' }
    if (!mayRead(access.rules, type, 'by-id')) return { kind: 'denied' }
    const { drafts, context, cut } = await candidates(place, type, 'by-id', new Set([id.replace(/^p-/, '')]))
    const all = await matching(drafts, context, { type, access, reading: 'by-id' }, [])
    const mapped = all.find(({ resource }) => resource.id === id)
    return mapped ? { kind: 'one', mapped } : cut ? tooMany : { kind: 'missing' }
  }

  async function search(place: FhirPlace, type: string, asked: Asked): Promise<FhirSearch> {
    const { access } = place
    const { drafts, context, cut } = await candidates(place, type, 'by-search', idsIn(asked.criteria))
    if (cut) return tooMany
    const compare = byOrder(asked.order)
    const all = (await matching(drafts, context, { type, access, reading: 'by-search' }, asked.criteria))
      .map((one) => ({ ...one, position: positionOf(one.resource, type, asked.order) }))
      .sort((a, b) => compare(a.position, b.position))
    const { cursor } = asked
    const left = cursor === undefined ? all : all.filter(({ position }) => compare(cursor, position) < 0)
    const shown = asked.onlyCount ? [] : left.slice(0, asked.count)
    const last = shown.at(-1)
    const link = linkTo(`${place.base}/${type}`, asked)
    const json = searchset({
      base: place.base,
      matches: await written(
        shown.map(({ resource }) => resource),
        place,
      ),
      included: await written(beside(shown, drafts, context, access, asked), place),
      total: all.length,
      self: link(cursor),
      ...(last && left.length > shown.length && { next: link(last.position) }),
      warnings: unusedOf(asked),
    })
    return { kind: 'bundle', json, count: shown.length }
  }

  async function everything(place: FhirPlace, asked: Asked, from: EverythingCursor | undefined): Promise<FhirSearch> {
    const context = await items.contextAt(place)
    const pause = openPauses(ports)
    const cut = new Set<RecordItemType>()
    const shown: Mapped[] = []
    const count = Math.max(1, asked.count)
    let last: EverythingCursor | undefined
    let next: EverythingCursor | undefined
    walk: for await (const placed of items.everything(place, context, from, (type) => cut.add(type))) {
      const { section, place: at, draft: one } = placed
      const skipped = from?.section === section && from.place === at ? one.ids.indexOf(from.id) + 1 : 0
      for (const mapped of one.make().slice(skipped)) {
        await pause()
        const { resource } = mapped
        if (asked.types && !asked.types.has(resource.resourceType)) continue
        if (!maySeeResource(place.access, mapped, 'by-search')) continue
        if (!asked.criteria.every((each) => meets(resource, each))) continue
        if (shown.length === count) {
          next = last
          break walk
        }
        shown.push(mapped)
        last = { section, place: at, id: resource.id }
      }
    }
    const link = linkTo(`${place.base}/Patient/${place.access.told}/$everything`, asked)
    const sources =
      asked.types && !asked.types.has('Provenance') ? [] : sourcesOf(shown, context, place.access, 'by-search')
    const json = searchset({
      base: place.base,
      matches: await written(
        shown.map(({ resource }) => resource),
        place,
      ),
      included: await written(
        sources.map(({ resource }) => resource),
        place,
      ),
      self: link(asked.cursor),
      ...(next && { next: link([next.section, next.place, next.id].join('\n')) }),
      warnings: [
        ...unusedOf(asked),
        ...[...cut].map((type) => ({
          code: 'too-costly',
          detail: `Not complete: of ${type} only the newest ${limits.entries} entries are here`,
        })),
      ],
    })
    return { kind: 'bundle', json, count: shown.length }
  }

  return {
    async locate(place, type, id) {
      const found = await one(place, type, id)
      if (found.kind !== 'one') return { kind: found.kind === 'invalid' ? 'too-many' : found.kind }
      const { resource, of } = found.mapped
      const version = versionOf(of)
      return {
        kind: 'located',
        ...(version !== undefined && { version }),
        of: await Promise.all(
          of.map(async ({ item, version: of }) => {
            const { related, tags, blobs, endsAt } = (await record.get(place.access.record, item.id)) ?? {}
            const beside = { ...(related && { related }), ...(tags && { tags }), ...(blobs && { blobs }) }
            return {
              ...{ id: item.id, item },
              beside: { ...beside, ...(endsAt !== undefined && { endsAt }) },
              ...(of !== undefined && { version: of }),
            }
          }),
        ),
        json: writeJson(resource),
        derived:
          type === 'MedicationDispense' ||
          type === 'DiagnosticReport' ||
          type === 'Provenance' ||
          resource['hasMember'] !== undefined,
      }
    },
    async read(place, type, id) {
      const answer = await one(place, type, id)
      if (answer.kind !== 'one') return answer
      const found = answer.mapped
      const [ready] = await written([found.resource], place)
      return ready ? { kind: 'resource', json: ready.text } : { kind: 'missing' }
    },
    async search(place, type, query, strict) {
      if (!Object.hasOwn(searchParameters, type)) return { kind: 'unknown-type' }
      if (!mayRead(place.access.rules, type, 'by-search')) return { kind: 'denied' }
      const asked = readQuery(type, query, limits)
      if (asked.kind === 'invalid') return asked
      if (asked.cursor !== undefined && !/^[\dT:.+Z-]*\n[A-Za-z]+\/[\w.-]+$/.test(asked.cursor)) return foreignCursor
      if (strict && asked.unused.length > 0) {
        return { kind: 'invalid', code: 'not-supported', detail: `Not supported: ${asked.unused.join(', ')}` }
      }
      return search(place, type, asked)
    },
    async everything(place, query) {
      if (!mayReadAny(place.access.rules)) return { kind: 'denied' }
      const asked = readQuery('$everything', query, limits)
      if (asked.kind === 'invalid') return asked
      const from = asked.cursor === undefined ? undefined : everythingCursor(asked.cursor)
      if (asked.cursor !== undefined && !from) return foreignCursor
      return everything(place, asked, from)
    },
    async binary({ access }, sha256) {
      const as = ['Binary', 'DocumentReference'].filter((type) => mayRead(access.rules, type, 'by-id'))
      if (as.length === 0) return { kind: 'denied' }
      let known = false
      for (const resource of as) {
        const { items: found } = await items.gather(access, ['document'], { resource, reading: 'by-id' })
        known ||= found.some(({ item: { content } }) => content.type === 'document' && content.sha256 === sha256)
      }
      const document = known ? await record.document(access.record, sha256) : undefined
      const bytes = document && (await record.documentBytes(access.record, sha256))
      return document && bytes ? { kind: 'binary', document, bytes } : { kind: 'missing' }
    },
  }
}

/** The Provenance of what is shown, for whoever may see it. */
function sourcesOf(shown: readonly Mapped[], context: Context, access: RecordAccess, reading: Reading): Mapped[] {
  return provenancesOf(shown, context).filter((mapped) => maySeeResource(access, mapped, reading))
}

/** The Patient, for whoever may see it. */
function patientsOf(found: readonly Sourced[], context: Context, access: RecordAccess, reading: Reading): Draft[] {
  const of = found.filter(({ item }) => maySee(access, item, { resource: 'Patient', reading }))
  return mayRead(access.rules, 'Patient', reading) ? [patientDraft(of, context)] : []
}

/** Where a page of `$everything` ended. */
interface EverythingCursor {
  readonly section: RecordItemType
  readonly place: string
  /** Id of the last resource. */
  readonly id: string
}

const foreignCursor: FhirInvalid = {
  kind: 'invalid',
  code: 'invalid',
  detail: '_cursor is not one that this server gave out',
}

function everythingCursor(cursor: string): EverythingCursor | undefined {
  const [section, place = '', id = '', ...rest] = cursor.split('\n')
  const known = recordItemTypes.find((type) => type === section)
  const sound = rest.length === 0 && /^[\w:-]{0,20}(\/[\w.-]{1,128})?$/.test(place) && /^[\w.-]{1,128}$/.test(id)
  return known && sound ? { section: known, place, id } : undefined
}

/** The ids that a query names, of resources or of the targets of a Provenance; undefined where it names none. */
function idsIn(criteria: readonly Criterion[]): ReadonlySet<string> | undefined {
  const naming = criteria.find(({ name, not }) => !not && (name === '_id' || name === 'target'))
  return naming && new Set(naming.values.map((value) => value.slice(value.lastIndexOf('/') + 1).replace(/^p-/, '')))
}

/** Links of one search, which differ in their place alone. */
function linkTo(path: string, { used }: Asked): (place: string | undefined) => string {
  const shared = used.map(([name, value]): [string, string] => [name, value])
  return (place) => {
    const query = new URLSearchParams(place === undefined ? shared : [...shared, ['_cursor', cursorOf(place)]])
    return `${path}?${query}`
  }
}

function unusedOf({ unused }: Asked) {
  return unused.length === 0
    ? []
    : [{ code: 'not-supported', detail: `Not used, because not supported: ${unused.join(', ')}` }]
}

async function sha1Of(bytes: AsyncIterable<Uint8Array> | undefined): Promise<string | undefined> {
  if (bytes === undefined) return undefined
  const hash = createHash('sha1')
  for await (const chunk of bytes) hash.update(chunk)
  return hash.digest('base64')
}

/** A version of an entry as the resource that it was; undefined where it was deleted then, or was another type. */
function resourceThen({ access, base }: FhirPlace, type: string, id: string, { by, item, version }: ItemVersion) {
  const shown =
    item && toFhir([{ item: { ...item, id }, updatedAt: by.at, version }], { record: access.told, base }).resources
  return shown?.map(({ resource }) => resource).find((one) => one.resourceType === type && one.id === id)
}

/** Versions of an entry as a history Bundle, newest first, as JSON text; a deletion has no resource. */
export function fhirHistory(place: FhirPlace, type: string, id: string, versions: readonly ItemVersion[]): string {
  const { base } = place
  const entry = versions.map((one) => {
    const { operation, by, version } = one
    const method = operation === 'delete' ? 'DELETE' : operation === 'create' ? 'POST' : 'PUT'
    return {
      fullUrl: `${base}/${type}/${id}`,
      resource: method === 'DELETE' ? undefined : resourceThen(place, type, id, one),
      request: { method, url: method === 'POST' ? type : `${type}/${id}` },
      response: {
        status: method === 'POST' ? '201' : method === 'PUT' ? '200' : '204',
        etag: `W/"${versionOfAll([version])}"`,
        lastModified: instantAt(by.at),
      },
    }
  })
  return writeJson({ resourceType: 'Bundle', type: 'history', total: entry.length, entry })
}

/** One of these versions by its id, as JSON text; undefined for an unknown one, and for a deletion. */
export function fhirVersion(
  place: FhirPlace,
  { type, id, version }: { readonly type: string; readonly id: string; readonly version: string },
  versions: readonly ItemVersion[],
): string | undefined {
  const one = versions.find((each) => each.item && versionOfAll([each.version]) === version)
  const resource = one && resourceThen(place, type, id, one)
  return resource && writeJson(resource)
}

/** What the server does, as JSON text; it knows no patient. `at` is Unix milliseconds. */
export function fhirCapability(base: string, at: number, oauth?: OauthUris): string {
  return capabilityStatement(base, at, oauth)
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
