import { writeJson } from '../clinical/fhir/json.js'
import { narrative, versionOfAll } from '../clinical/fhir/make.js'
import { isList, isMap } from '../clinical/fhir/read/fields.js'
import { fhirJsonLimits, parseJson, type Tree } from '../clinical/fhir/read/json.js'
import { type FhirIssue, type ReadItem, type ReadResource, readTree } from '../clinical/fhir/read/resource.js'
import { searchParameters } from '../clinical/fhir/search.js'
import type { RecordItem } from '../direct/clinical.js'
import type { AuthoredItem, ItemChange } from '../record/item.js'
import type { Fhir, FhirLocated } from './fhir.js'
import type { FhirPlace } from './fhir-items.js'
import { changedType, type Known, matched, merged } from './fhir-merge.js'

export type { Tree } from '../clinical/fhir/read/json.js'
export type { FhirIssue } from '../clinical/fhir/read/resource.js'

/** What clients write as FHIR, as changes of items. Nothing is committed here: a record puts all changes of a plan or none. */

/** Types that are written by themselves. A dispense, a report and a Provenance are made of what other resources say. */
export const writableTypes: ReadonlySet<string> = new Set([
  ...[
    'AllergyIntolerance',
    'CarePlan',
    'CareTeam',
    'Condition',
    'Coverage',
    'Device',
    'DeviceRequest',
    'DocumentReference',
  ],
  ...['Encounter', 'FamilyMemberHistory', 'Goal', 'Immunization', 'MedicationRequest', 'Observation', 'Patient'],
  ...['Procedure', 'ServiceRequest'],
])

function isKnown(type: string): boolean {
  return type === 'Binary' || Object.hasOwn(searchParameters, type)
}

export const fhirWritingLimits = {
  /** Entries of one transaction; each becomes one change or two, and a record takes 200 at once. */
  entries: 100,
  /** Bytes of one body: a transaction of long notes. */
  bodyBytes: 4 * 1024 * 1024,
}

export interface FhirRequest {
  readonly method: 'POST' | 'PUT' | 'DELETE'
  readonly type: string
  readonly id?: string
  /** The version of If-Match, without its quotes. */
  readonly ifMatch?: string
  /** A search; nothing is created where it finds one. */
  readonly ifNoneExist?: string
  readonly resource?: Tree
}

export type FhirPlanned =
  | {
      readonly kind: 'planned'
      readonly changes: readonly ItemChange[]
      readonly results: readonly FhirResult[]
    }
  | { readonly kind: 'refused'; readonly index: number; readonly refusal: FhirRefusal }

export interface FhirResult {
  readonly request: FhirRequest
  /** Place of its first change in `changes`; undefined where nothing is done. */
  readonly at?: number
  /** How many changes it has. */
  readonly count: number
  readonly id?: string
}

export type FhirRefusal =
  | { readonly kind: 'invalid'; readonly issues: readonly FhirIssue[] }
  /** `derived`: it is written by what it is made of. `several`: what must not exist does, more than once. */
  | { readonly kind: 'missing' | 'denied' | 'stale' | 'version-missing' | 'derived' | 'several' | 'too-many' }

/** Plans requests against the record as the caller sees it. Reads, and writes nothing. */
export async function planFhir(fhir: Fhir, place: FhirPlace, requests: readonly FhirRequest[]): Promise<FhirPlanned> {
  const changes: ItemChange[] = []
  const results: FhirResult[] = []
  for (const [index, request] of requests.entries()) {
    const planned = await planOne(fhir, place, request)
    if (planned.kind !== 'changes') return { kind: 'refused', index, refusal: planned }
    const { changes: own, id } = planned
    const made = { count: own.length, ...(own.length > 0 && { at: changes.length }), ...(id !== undefined && { id }) }
    results.push({ request, ...made })
    changes.push(...own)
  }
  return { kind: 'planned', changes, results }
}

type One = { readonly kind: 'changes'; readonly changes: readonly ItemChange[]; readonly id?: string } | FhirRefusal

async function planOne(fhir: Fhir, place: FhirPlace, request: FhirRequest): Promise<One> {
  const { method, type, id } = request
  if (!writableTypes.has(type)) return { kind: isKnown(type) ? 'derived' : 'missing' }
  if (method === 'POST') return create(fhir, place, request)
  const located = await fhir.locate(place, type, id ?? '')
  if (located.kind !== 'located') return { kind: located.kind }
  if (located.derived) return { kind: 'derived' }
  if (request.ifMatch !== undefined && request.ifMatch !== located.version) return { kind: 'stale' }
  const targets = located.of.map((one) => ({
    entry: one.id,
    ...(one.version !== undefined && { version: one.version }),
  }))
  if (method === 'DELETE') {
    return type === 'Patient'
      ? { kind: 'derived' }
      : { kind: 'changes', changes: targets.map((one) => ({ kind: 'delete', ...one })) }
  }
  if (request.ifMatch === undefined && located.of.length > 0) return { kind: 'version-missing' }
  const read = readBody(place, request)
  if (read.items.length === 0) return { kind: 'invalid', issues: read.issues }
  if (read.id !== id) return { kind: 'invalid', issues: [mismatch(type)] }
  return changesOf(located, targets, seenIn(place, located, request), read, request)
}

type Located = Extract<FhirLocated, { readonly kind: 'located' }>

/** What the client was shown of each entry, as far as it can be told. */
function seenIn({ access, base }: FhirPlace, { of, json }: Located, { type }: FhirRequest): readonly Known[] {
  const parsed = parseJson(json)
  const shown = parsed.kind === 'json' ? readTree(parsed.tree, { patient: access.told, base, strict: true }).items : []
  const known = of.map(({ item }) => ({ before: item }))
  const places = of.length === 1 || type === 'Patient' ? [0] : matched(known, shown)
  return known.map((one, at) => {
    const seen = shown[places.indexOf(at)]
    return seen?.content.type === one.before.content.type ? { ...one, seen: withHanded(seen, one.before) } : one
  })
}

function changesOf(
  { of }: Located,
  targets: readonly { readonly entry: string; readonly version?: string }[],
  known: readonly Known[],
  read: ReadResource,
  { type }: FhirRequest,
): One {
  const [other] = changedType(known, read.items)
  if (other !== undefined) {
    const detail = `This would make it a ${other}, and an item keeps its type: delete it and create the other`
    return { kind: 'invalid', issues: [issue('not-supported', type, detail)] }
  }
  const places = of.length === 1 && read.items.length === 1 ? [0] : matched(known, read.items)
  const changes: ItemChange[] = []
  for (const [index, item] of read.items.entries()) {
    const at = places[index]
    const [target, was] = at === undefined ? [] : [targets[at], known[at]]
    if (!target || !was || at === undefined) {
      changes.push({ kind: 'create', item: authored(item) })
      continue
    }
    const next = merged(was, withHanded(item, was.before))
    if (next.kind === 'lossy') {
      const detail = `FHIR shows no ${next.lost.slice(0, 10).join(', ')} of it, which would be lost: change it as an item, or delete it and create another`
      return { kind: 'invalid', issues: [issue('not-supported', type, detail)] }
    }
    changes.push({ kind: 'update', ...target, item: { ...authored(next.item), ...of[at]?.beside } })
  }
  const gone = targets.filter((_, at) => !places.includes(at))
  return { kind: 'changes', changes: [...changes, ...gone.map((one) => ({ kind: 'delete' as const, ...one }))] }
}

async function create(fhir: Fhir, place: FhirPlace, request: FhirRequest): Promise<One> {
  const { type, ifNoneExist } = request
  if (type === 'Patient') return { kind: 'derived' }
  const read = readBody(place, request)
  if (read.items.length === 0) return { kind: 'invalid', issues: read.issues }
  if (ifNoneExist !== undefined) {
    const found = await fhir.search(place, type, [...new URLSearchParams(ifNoneExist)], true)
    if (found.kind === 'denied') return { kind: 'denied' }
    if (found.kind !== 'bundle')
      return { kind: 'invalid', issues: [issue('value', type, 'If-None-Exist is no search that is known here')] }
    const ids = [...found.json.matchAll(/"fullUrl":"[^"]*\/([A-Za-z0-9.-]{1,64})"/g)].map(([, id]) => id)
    if (ids.length > 1) return { kind: 'several' }
    const [id] = ids
    if (id !== undefined) return { kind: 'changes', changes: [], id }
  }
  return { kind: 'changes', changes: read.items.map((item) => ({ kind: 'create', item: authored(item) })) }
}

function readBody({ access, base }: FhirPlace, { type, resource }: FhirRequest): ReadResource {
  const read = readTree(resource, { patient: access.told, base, strict: true })
  if (read.type === type && (read.items.length > 0 || read.document === undefined)) return read
  const told =
    read.type === type
      ? issue('not-supported', 'DocumentReference.content', 'Documents are not brought this way')
      : mismatch(type)
  return { ...read, items: [], issues: [...read.issues, told] }
}

function issue(code: FhirIssue['code'], expression: string, detail: string): FhirIssue {
  return { severity: 'error', code, expression, detail }
}

function mismatch(type: string): FhirIssue {
  return issue('invariant', type, 'The type or the id of the resource is not that of the request')
}

/** What handing out a medication is told by is another resource: an update leaves it. */
function withHanded(item: ReadItem, before: RecordItem): ReadItem {
  const { content } = item
  const handed =
    before.content.type === 'medication'
      ? (before.content.supplies ?? []).filter(({ kind }) => kind === 'dispense')
      : []
  if (content.type !== 'medication' || handed.length === 0) return item
  return { ...item, content: { ...content, supplies: [...(content.supplies ?? []), ...handed] } }
}

function authored({ authors, ...item }: ReadItem): AuthoredItem {
  return { ...item, ...(authors.length > 0 && { authors }) }
}

/** A body of one resource, parsed; its words are read when it is planned. */
export function readOneResource(
  text: string,
  limits = fhirJsonLimits,
):
  | { readonly kind: 'resource'; readonly resource: Tree }
  | { readonly kind: 'invalid'; readonly issues: readonly FhirIssue[] } {
  const read = parseJson(text, limits)
  if (read.kind === 'json') return { kind: 'resource', resource: read.tree }
  return { kind: 'invalid', issues: [issue('structure', 'Resource', `${read.detail}, at character ${read.at}`)] }
}

export type ReadTransaction =
  | { readonly kind: 'transaction'; readonly requests: readonly FhirRequest[] }
  | { readonly kind: 'invalid'; readonly issues: readonly FhirIssue[] }

/** The requests of a transaction Bundle (FHIR R4 §3.1.0.11). All are held against the record as it was before any of them. */
export function readTransaction(
  text: string,
  limits = fhirJsonLimits,
  most = fhirWritingLimits.entries,
): ReadTransaction {
  const invalid = (expression: string, detail: string): ReadTransaction => ({
    kind: 'invalid',
    issues: [issue('structure', expression, detail)],
  })
  const parsed = parseJson(text, limits)
  if (parsed.kind === 'invalid') return invalid('Bundle', `${parsed.detail}, at character ${parsed.at}`)
  const { tree } = parsed
  if (!isMap(tree) || tree.get('resourceType') !== 'Bundle' || tree.get('type') !== 'transaction')
    return invalid('Bundle.type', 'This is not a transaction')
  const entries = tree.get('entry') ?? []
  if (!isList(entries) || entries.length > most) return invalid('Bundle.entry', 'This is not a list, or too long a one')
  const requests: FhirRequest[] = []
  for (const [at, entry] of entries.entries()) {
    const request = isMap(entry) ? requestOf(entry) : undefined
    if (!request) return invalid(`Bundle.entry[${at}].request`, 'This is not a request that is known here')
    requests.push(request)
  }
  const named = requests.flatMap(({ method, type, id }) => (method === 'POST' ? [] : [`${type}/${id}`]))
  if (new Set(named).size !== named.length) return invalid('Bundle.entry', 'One resource is changed twice')
  return { kind: 'transaction', requests }
}

function requestOf(entry: ReadonlyMap<string, Tree>): FhirRequest | undefined {
  const request = entry.get('request')
  if (!isMap(request)) return undefined
  const text = (name: string) => {
    const value = request.get(name)
    return typeof value === 'string' ? value : undefined
  }
  const [, type = '', id] = /^([A-Z][A-Za-z]{2,40})(?:\/([A-Za-z0-9.-]{1,64}))?$/.exec(text('url') ?? '') ?? []
  const method = text('method')
  if (
    type === '' ||
    (method !== 'POST' && method !== 'PUT' && method !== 'DELETE') ||
    (method === 'POST') !== (id === undefined)
  )
    return undefined
  const tag = versionIn(text('ifMatch'))
  if (text('ifMatch') !== undefined && tag === undefined) return undefined
  const none = text('ifNoneExist')
  const resource = entry.get('resource')
  return {
    method,
    type,
    ...(id !== undefined && { id }),
    ...(tag !== undefined && { ifMatch: tag }),
    ...(none !== undefined && { ifNoneExist: none }),
    ...(resource !== undefined && { resource }),
  }
}

/** The version that a resource has once its changes are made: of the items that are left. */
export function versionAfter(
  { request, at = 0, count }: FhirResult,
  items: readonly { readonly version: string }[],
  changes: readonly ItemChange[],
): string | undefined {
  const left = items.filter((_, index) => index >= at && index < at + count && changes[index]?.kind !== 'delete')
  return request.method === 'DELETE' ? undefined : versionOfAll(left.map(({ version }) => version))
}

/** The version in an entity tag, weak as FHIR writes them, or strong; undefined for any other text. */
export function versionIn(tag: string | undefined): string | undefined {
  return /^\s*(?:W\/)?"([A-Za-z0-9.-]{1,64})"\s*$/.exec(tag ?? '')?.[1]
}

/** The patient that a resource says it is about, where it says so by a plain reference. */
export function patientNamed(resource: Tree | undefined): string | undefined {
  if (!isMap(resource)) return undefined
  for (const name of ['subject', 'patient', 'beneficiary']) {
    const reference = resource.get(name)
    const text = isMap(reference) ? reference.get('reference') : undefined
    const id = typeof text === 'string' ? /(?:^|\/)Patient\/([A-Za-z0-9.-]{1,64})$/.exec(text)?.[1] : undefined
    if (id !== undefined) return id
  }
  return undefined
}

/** Issues as an OperationOutcome, as JSON text. */
export function issuesOutcome(issues: readonly FhirIssue[]): string {
  return writeJson({
    resourceType: 'OperationOutcome',
    text: narrative(issues.map(({ detail }) => detail)),
    issue: issues.map(({ severity, code, expression, detail }) => ({
      severity,
      code,
      diagnostics: detail,
      expression: [expression],
    })),
  })
}

/** What became of a transaction, as JSON text, in the order of its entries. */
export function transactionResponse(
  entries: readonly { readonly status: string; readonly location?: string; readonly etag?: string }[],
): string {
  return writeJson({
    resourceType: 'Bundle',
    type: 'transaction-response',
    entry: entries.map(({ status, location, etag }) => ({ response: { status, location, etag } })),
  })
}
