import type { Json, JsonObject, Resource } from './json.js'

/** What a search parameter looks at, and how. `paths` are fields; lists on the way are walked. */
export interface SearchParameter {
  readonly kind: 'token' | 'date' | 'string' | 'reference'
  readonly paths: readonly string[]
}

const token = (...paths: string[]): SearchParameter => ({ kind: 'token', paths })
const date = (...paths: string[]): SearchParameter => ({ kind: 'date', paths })
const text = (...paths: string[]): SearchParameter => ({ kind: 'string', paths })
const reference = (...paths: string[]): SearchParameter => ({ kind: 'reference', paths })

const every: Readonly<Record<string, SearchParameter>> = { _id: token('id'), _lastUpdated: date('meta.lastUpdated') }
const ofPatient = { patient: reference('patient', 'subject', 'beneficiary'), identifier: token('identifier') }

/** Search parameters by type; those that US Core asks for, and what comes with them. `patient` is decided before. */
export const searchParameters: Readonly<Record<string, Readonly<Record<string, SearchParameter>>>> = {
  Patient: {
    ...every,
    identifier: token('identifier'),
    name: text('name.text', 'name.family', 'name.given'),
    family: text('name.family'),
    given: text('name.given'),
    gender: token('gender'),
    birthdate: date('birthDate'),
  },
  AllergyIntolerance: {
    ...every,
    ...ofPatient,
    'clinical-status': token('clinicalStatus'),
    'verification-status': token('verificationStatus'),
    category: token('category'),
    code: token('code'),
    date: date('recordedDate'),
  },
  Condition: {
    ...every,
    ...ofPatient,
    category: token('category'),
    code: token('code'),
    'clinical-status': token('clinicalStatus'),
    'verification-status': token('verificationStatus'),
    'onset-date': date('onsetDateTime'),
    'abatement-date': date('abatementDateTime'),
    'recorded-date': date('recordedDate'),
  },
  MedicationRequest: {
    ...every,
    ...ofPatient,
    status: token('status'),
    intent: token('intent'),
    code: token('medicationCodeableConcept'),
    authoredon: date('authoredOn'),
  },
  MedicationDispense: {
    ...every,
    ...ofPatient,
    status: token('status'),
    code: token('medicationCodeableConcept'),
    whenhandedover: date('whenHandedOver'),
  },
  Immunization: {
    ...every,
    ...ofPatient,
    status: token('status'),
    'vaccine-code': token('vaccineCode'),
    date: date('occurrenceDateTime'),
  },
  Observation: {
    ...every,
    ...ofPatient,
    status: token('status'),
    category: token('category'),
    code: token('code'),
    'combo-code': token('code', 'component.code'),
    date: date('effectiveDateTime', 'effectivePeriod'),
  },
  DiagnosticReport: {
    ...every,
    ...ofPatient,
    status: token('status'),
    category: token('category'),
    code: token('code'),
    date: date('effectiveDateTime', 'effectivePeriod'),
  },
  Procedure: {
    ...every,
    ...ofPatient,
    status: token('status'),
    code: token('code'),
    date: date('performedDateTime', 'performedPeriod'),
  },
  Encounter: {
    ...every,
    ...ofPatient,
    status: token('status'),
    class: token('class'),
    type: token('type'),
    date: date('period'),
  },
  FamilyMemberHistory: {
    ...every,
    ...ofPatient,
    status: token('status'),
    relationship: token('relationship'),
    code: token('condition.code'),
  },
  Coverage: { ...every, ...ofPatient, status: token('status'), type: token('type') },
  Device: { ...every, ...ofPatient, status: token('status'), type: token('type') },
  DeviceRequest: {
    ...every,
    ...ofPatient,
    status: token('status'),
    intent: token('intent'),
    code: token('codeCodeableConcept'),
  },
  Goal: {
    ...every,
    ...ofPatient,
    'lifecycle-status': token('lifecycleStatus'),
    description: token('description'),
    'target-date': date('target.dueDate'),
    'start-date': date('startDate'),
  },
  CarePlan: { ...every, ...ofPatient, status: token('status'), category: token('category'), date: date('period') },
  ServiceRequest: {
    ...every,
    ...ofPatient,
    status: token('status'),
    intent: token('intent'),
    category: token('category'),
    code: token('code'),
    authored: date('authoredOn'),
    occurrence: date('occurrenceDateTime', 'occurrencePeriod'),
  },
  CareTeam: { ...every, ...ofPatient, status: token('status'), category: token('category') },
  DocumentReference: {
    ...every,
    ...ofPatient,
    status: token('status'),
    category: token('category'),
    type: token('type'),
    date: date('date'),
    period: date('context.period'),
  },
  Provenance: { ...every, patient: reference('target'), target: reference('target'), recorded: date('recorded') },
}

/** One parameter of a query: alternatives in `values`, all of which it was given with. */
export interface Criterion {
  readonly name: string
  readonly parameter: SearchParameter
  readonly not: boolean
  readonly values: readonly string[]
}

export type CriterionOutcome =
  | { readonly kind: 'criterion'; readonly criterion: Criterion }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'invalid'; readonly detail: string }

/**
 * Reads `name[:modifier]=value[,value]` for a type (FHIR R4 §3.1.1.4). A modifier that is not known is invalid, never
 * ignored: it could turn the meaning round.
 */
export function readCriterion(type: string, given: string, value: string): CriterionOutcome {
  const [name = '', modifier] = given.split(':')
  const known = searchParameters[type] ?? {}
  const parameter = Object.hasOwn(known, name) ? known[name] : undefined
  if (parameter === undefined) return { kind: 'unknown' }
  if (modifier !== undefined && !(modifier === 'not' && parameter.kind === 'token')) {
    return { kind: 'invalid', detail: `The modifier of ${name} is not supported` }
  }
  const values = value.split(/(?<!\\),/).map((one) => one.replace(/\\([\\,|$])/g, '$1'))
  if (values.some((one) => one === '')) return { kind: 'invalid', detail: `${name} has no value` }
  if (parameter.kind === 'date' && values.some((one) => readDate(one) === undefined)) {
    return { kind: 'invalid', detail: `${name} is not a date of FHIR` }
  }
  return { kind: 'criterion', criterion: { name, parameter, not: modifier !== undefined, values } }
}

/** Whether a resource meets one parameter. */
export function meets(resource: Resource, { parameter, not, values }: Criterion): boolean {
  const found = parameter.paths.flatMap((path) => valuesAt(resource, path.split('.')))
  const hit = values.some((wanted) => found.some((value) => hits(parameter.kind, value, wanted)))
  return hit !== not
}

/** All values at a path; lists are walked. */
export function valuesAt(value: Json | undefined, path: readonly string[]): Json[] {
  if (value === undefined) return []
  if (Array.isArray(value)) return value.flatMap((one) => valuesAt(one as Json, path))
  const [field, ...rest] = path
  if (field === undefined) return [value]
  return typeof value === 'object' ? valuesAt((value as JsonObject)[field], rest) : []
}

function hits(kind: SearchParameter['kind'], value: Json, wanted: string): boolean {
  switch (kind) {
    case 'token':
      return tokensOf(value).some((one) => isToken(one, wanted))
    case 'string':
      return typeof value === 'string' && folded(value).startsWith(folded(wanted))
    case 'reference': {
      const target = (value as JsonObject)['reference']
      return (
        typeof target === 'string' &&
        (target === wanted || target.endsWith(`/${wanted}`) || wanted.endsWith(`/${target}`))
      )
    }
    case 'date':
      return isWithin(value, wanted)
  }
}

function folded(value: string): string {
  return value.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase()
}

interface Token {
  readonly system?: string
  readonly code: string
}

function tokensOf(value: Json): Token[] {
  if (typeof value === 'string') return [{ code: value }]
  if (typeof value !== 'object' || Array.isArray(value)) return []
  const { coding, system, code, value: text } = value as JsonObject
  if (Array.isArray(coding)) return (coding as readonly JsonObject[]).flatMap((one) => tokensOf(one))
  const said = typeof code === 'string' ? code : typeof text === 'string' ? text : undefined
  if (said === undefined) return []
  return [{ code: said, ...(typeof system === 'string' && { system }) }]
}

/** `code`, `system|code`, `|code` (without a system), `system|` (any code). */
function isToken({ system, code }: Token, wanted: string): boolean {
  const bar = wanted.indexOf('|')
  if (bar < 0) return code.toLowerCase() === wanted.toLowerCase()
  const [inSystem, called] = [wanted.slice(0, bar), wanted.slice(bar + 1)]
  // A bare code of FHIR (status, gender) has the system of its binding, which the resource does not repeat.
  const sameSystem = inSystem === '' ? system === undefined : system === undefined || system === inSystem
  return sameSystem && (called === '' ? system !== undefined : code.toLowerCase() === called.toLowerCase())
}

interface Span {
  /** Unix milliseconds; -Infinity and Infinity where open. */
  readonly from: number
  /** First millisecond after it. */
  readonly to: number
}

const prefixes = new Set(['eq', 'ne', 'gt', 'lt', 'ge', 'le', 'sa', 'eb', 'ap'])

/** A date of a query with its prefix; undefined where it is none. */
function readDate(wanted: string): { readonly prefix: string; readonly span: Span } | undefined {
  const [, prefix = 'eq', rest = ''] = /^([a-z]{2})?(.*)$/.exec(wanted) ?? []
  const span = prefixes.has(prefix) ? spanOf(rest.replace(/ (\d\d:\d\d)$/, '+$1')) : undefined
  return span && { prefix, span }
}

const iso = /^(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?)?)?$/

/** What an ISO 8601 text of any precision covers; without a zone it is taken for UTC. */
function spanOf(said: string): Span | undefined {
  const parts = iso.exec(said)
  if (!parts) return undefined
  const [, year = '', month, day, hour, minute, second, zone = 'Z'] = parts
  const from = Date.parse(
    `${year}-${month ?? '01'}-${day ?? '01'}T${hour ?? '00'}:${minute ?? '00'}:${second ?? '00'}${zone}`,
  )
  if (Number.isNaN(from)) return undefined
  const start = new Date(from)
  if (month === undefined) return { from, to: start.setUTCFullYear(start.getUTCFullYear() + 1) }
  if (day === undefined) return { from, to: start.setUTCMonth(start.getUTCMonth() + 1) }
  return { from, to: from + (hour === undefined ? 86_400_000 : second === undefined ? 60_000 : 1000) }
}

function spanIn(value: Json): Span | undefined {
  if (typeof value === 'string') return spanOf(value)
  const { start, end } = value as JsonObject
  const first = typeof start === 'string' ? spanOf(start) : undefined
  const last = typeof end === 'string' ? spanOf(end) : undefined
  if (!first && !last) return undefined
  return { from: first?.from ?? Number.NEGATIVE_INFINITY, to: last?.to ?? Number.POSITIVE_INFINITY }
}

/** Comparison of ranges (FHIR R4 §3.1.1.4.8). */
function isWithin(value: Json, wanted: string): boolean {
  const asked = readDate(wanted)
  const span = spanIn(value)
  if (!asked || !span) return false
  const { from, to } = asked.span
  const inside = span.from >= from && span.to <= to
  switch (asked.prefix) {
    case 'ne':
      return !inside
    case 'gt':
      return span.to > to
    case 'lt':
      return span.from < from
    case 'ge':
      return span.to > to || inside
    case 'le':
      return span.from < from || inside
    case 'sa':
      return span.from >= to
    case 'eb':
      return span.to <= from
    case 'ap':
      return span.from < to && span.to > from
    default:
      return inside
  }
}

/** When a resource happened, for the order of results; empty for none. */
export function dayOf(resource: Resource): string {
  const fields = [
    'effectiveDateTime',
    'effectivePeriod',
    'occurrenceDateTime',
    'performedDateTime',
    'performedPeriod',
    'period',
    'onsetDateTime',
    'whenHandedOver',
    'authoredOn',
    'recordedDate',
    'startDate',
    'date',
    'recorded',
  ]
  for (const field of fields) {
    const value = resource[field]
    if (typeof value === 'string') return value
    const start =
      typeof value === 'object' ? ((value as JsonObject)['start'] ?? (value as JsonObject)['end']) : undefined
    if (typeof start === 'string') return start
  }
  return ''
}
