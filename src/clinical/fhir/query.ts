import { Buffer } from 'node:buffer'
import type { Json, JsonObject, Resource } from './json.js'
import { type Criterion, dayOf, readCriterion, searchParameters, valuesAt } from './search.js'

/** Names and values of a query, in the order of the request. */
export type FhirQuery = readonly (readonly [name: string, value: string])[]

export interface QueryLimits {
  readonly pageDefault: number
  readonly pageMax: number
  readonly parameters: number
  readonly alternatives: number
}

/** How results are ordered: by a date of theirs, undated last, then by id. */
export interface Order {
  /** A search parameter of kind date; undefined for the date of the resource itself. */
  readonly by?: string
  readonly ascending: boolean
}

/** What a query wants, read. */
export interface Asked {
  readonly criteria: readonly Criterion[]
  readonly count: number
  readonly order: Order
  /** The opaque place that a link of ours named. */
  readonly cursor?: string
  /** Only how many there are (_summary=count, or _count=0). */
  readonly onlyCount: boolean
  /** `_revinclude=Provenance:target`, and `_include=Provenance:target` of a search for Provenance. */
  readonly provenance: boolean
  readonly targets: boolean
  /** `_type` of $everything. */
  readonly types?: ReadonlySet<string>
  /** Parameters that took part, for the links. */
  readonly used: FhirQuery
  readonly unused: readonly string[]
}

export type ReadQuery =
  | ({ readonly kind: 'asked' } & Asked)
  /** The request is wrong; `detail` says where, without a value of it. */
  | { readonly kind: 'invalid'; readonly code: 'invalid' | 'too-costly'; readonly detail: string }

/** Parameters that are decided before or elsewhere, or that change nothing here. */
const ours = new Set(['patient', 'subject', '_format', '_pretty', '_total'])

/** Reads the parameters of a search for a type, or of `$everything` (FHIR R4 §3.1.1). */
export function readQuery(type: string, query: FhirQuery, limits: QueryLimits): ReadQuery {
  if (query.length > limits.parameters) return { kind: 'invalid', code: 'too-costly', detail: 'Too many parameters' }
  const criteria: Criterion[] = []
  const used: [string, string][] = []
  const unused: string[] = []
  let read: Partial<Asked> = {}
  for (const [name, value] of query) {
    const known = control(type, name, value, limits)
    if (known?.kind === 'invalid') return { kind: 'invalid', code: 'invalid', detail: known.detail }
    if (known?.kind === 'unused') {
      unused.push(name)
      continue
    }
    if (known !== undefined) read = { ...read, ...known.asked }
    else if (!ours.has(name) && !/^(patient|subject):Patient$/.test(name)) {
      const since = type === '$everything' && name === '_since'
      const outcome = since ? readCriterion('Patient', '_lastUpdated', `ge${value}`) : readCriterion(type, name, value)
      if (outcome.kind === 'invalid') return { kind: 'invalid', code: 'invalid', detail: outcome.detail }
      if (outcome.kind === 'unknown') {
        unused.push(/^[\w:.-]{1,64}$/.test(name) ? name : 'a parameter')
        continue
      }
      if (outcome.criterion.values.length > limits.alternatives) {
        return { kind: 'invalid', code: 'too-costly', detail: `${name} has too many values` }
      }
      criteria.push(outcome.criterion)
    }
    if (name !== '_cursor') used.push([name, value])
  }
  const plain = { onlyCount: false, provenance: false, targets: false, order: { ascending: false } }
  const asked = { count: limits.pageDefault, ...plain, ...read, criteria, used, unused }
  return { kind: 'asked', ...asked, onlyCount: asked.onlyCount || asked.count === 0 }
}

type Control =
  | { readonly kind: 'asked'; readonly asked: Partial<Asked> }
  | { readonly kind: 'unused' }
  | { readonly kind: 'invalid'; readonly detail: string }

/** A parameter about the answer, not about resources; undefined for any other. */
function control(type: string, name: string, value: string, limits: QueryLimits): Control | undefined {
  const asked = (some: Partial<Asked>): Control => ({ kind: 'asked', asked: some })
  const invalid = (detail: string): Control => ({ kind: 'invalid', detail })
  switch (name) {
    case '_cursor':
      return /^[\w-]{1,400}$/.test(value)
        ? asked({ cursor: Buffer.from(value, 'base64url').toString('utf8') })
        : invalid('_cursor is not one that this server gave out')
    case '_count':
      return /^\d{1,6}$/.test(value)
        ? asked({ count: Math.min(Number(value), limits.pageMax) })
        : invalid('_count is not a number')
    case '_summary':
      return value === 'count' ? asked({ onlyCount: true }) : value === 'false' ? asked({}) : { kind: 'unused' }
    case '_elements':
      return { kind: 'unused' }
    case '_revinclude':
      return value === 'Provenance:target' ? asked({ provenance: true }) : { kind: 'unused' }
    case '_include':
      return type === 'Provenance' && value === 'Provenance:target' ? asked({ targets: true }) : { kind: 'unused' }
    case '_type':
      return type === '$everything' ? asked({ types: new Set(value.split(',')) }) : undefined
    case '_sort': {
      const order = orderOf(type, value)
      return order ? asked({ order }) : { kind: 'unused' }
    }
    default:
      return undefined
  }
}

/** One date of the type, upwards or, with a minus, downwards; undefined for what nothing can be sorted by. */
function orderOf(type: string, value: string): Order | undefined {
  const ascending = !value.startsWith('-')
  const name = value.replace(/^-/, '')
  const known = searchParameters[type] ?? {}
  if (Object.hasOwn(known, name) && known[name]?.kind === 'date') return { by: name, ascending }
  return name === 'date' ? { ascending } : undefined
}

/** Place of a resource in a list of this order; nothing that is added moves it. */
export function positionOf(resource: Resource, type: string, { by, ascending }: Order): string {
  const found = by === undefined ? [] : (searchParameters[type]?.[by]?.paths ?? [])
  const values = found.flatMap((path) => valuesAt(resource, path.split('.'))).map(startOf)
  const day = by === undefined ? dayOf(resource) : (values.find((one) => one !== undefined) ?? '')
  return `${day || (ascending ? '9999-99' : '')}\n${resource.resourceType}/${resource.id}`
}

function startOf(value: Json): string | undefined {
  if (typeof value === 'string') return value
  const { start, end } = value as JsonObject
  return typeof start === 'string' ? start : typeof end === 'string' ? end : undefined
}

/** Compares two positions in this order. */
export function byOrder({ ascending }: Order): (a: string, b: string) => number {
  const up = ascending ? 1 : -1
  return (a, b) => (a === b ? 0 : a < b ? -up : up)
}

/** A position as clients carry it. */
export function cursorOf(position: string): string {
  return Buffer.from(position).toString('base64url')
}
