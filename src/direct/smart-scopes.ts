import { type AccessRule, type Permission, permissions, type Reading, type ScopeFilter, type Shape } from './access.js'
import { type RecordItem, type RecordItemType, recordItemTypes } from './clinical.js'
import type { Concept } from './datatypes.js'

/**
 * Scopes of SMART App Launch 2.2 (§3 Scopes) and the rules of a record, each told as the other. A scope names resources of
 * FHIR, a rule kinds of item; where a kind becomes several resources, the rule keeps the scope's words in `within`.
 */

/** Create, read by id, update, delete, search. */
const interactions = ['c', 'r', 'u', 'd', 's'] as const
export type Interaction = (typeof interactions)[number]

/** A scope for resources: `patient/Observation.rs?category=…|laboratory`. */
export interface SmartScope {
  readonly context: 'patient' | 'user' | 'system'
  /** A resource type that this server has, or `*`. */
  readonly resource: string
  /** In the order c, r, u, d, s; never empty. */
  readonly interactions: readonly Interaction[]
  /** `system|code` or `code`. */
  readonly category?: string
}

export interface ReadScopes {
  readonly scopes: readonly SmartScope[]
  /** Scopes that are not for resources, as they stand: `openid`, `launch/patient`, `offline_access`. */
  readonly others: readonly string[]
  /** For resources, but none that this server has, or narrowed by what it does not know: never granted. */
  readonly dropped: readonly string[]
}

export const scopeLimits = {
  /** Characters of a whole `scope` parameter: every type of US Core with all its categories has some 3,000. */
  chars: 8192,
  /** Scopes of one request. */
  scopes: 200,
}

/** Kinds of item that become resources of a type; a Provenance is of every kind. */
export const itemTypesOf: Readonly<Record<string, readonly RecordItemType[]>> = {
  Patient: ['demographics', 'social-history'],
  AllergyIntolerance: ['allergy'],
  Condition: ['problem'],
  MedicationRequest: ['medication', 'immunization'],
  MedicationDispense: ['medication'],
  Immunization: ['immunization'],
  Observation: ['result', 'vital-sign', 'social-history', 'functional-status', 'advance-directive', 'device'],
  DiagnosticReport: ['result'],
  Procedure: ['procedure'],
  Encounter: ['encounter'],
  FamilyMemberHistory: ['family-history'],
  Coverage: ['insurance'],
  Device: ['device'],
  DeviceRequest: ['device'],
  Goal: [
    'goal',
    'result',
    'vital-sign',
    'social-history',
    'functional-status',
    'procedure',
    'plan',
    'problem',
    'medication',
    'encounter',
    'immunization',
  ],
  CarePlan: ['plan'],
  ServiceRequest: [
    'procedure',
    'plan',
    'result',
    'vital-sign',
    'social-history',
    'functional-status',
    'advance-directive',
  ],
  CareTeam: ['care-team'],
  DocumentReference: ['document', 'note'],
  Binary: ['document'],
  Provenance: recordItemTypes,
}

const hl7 = 'http://terminology.hl7.org/CodeSystem'
const usCore = 'http://hl7.org/fhir/us/core/CodeSystem'
const observations = `${hl7}/observation-category`
const conditions = `${hl7}/condition-category`

/** Categories of resources that scopes may name, and the kinds of item that have them. */
const categories: Readonly<Record<string, Readonly<Record<string, readonly RecordItemType[]>>>> = {
  Observation: {
    [`${observations}|laboratory`]: ['result'],
    [`${observations}|imaging`]: ['result'],
    [`${observations}|vital-signs`]: ['vital-sign'],
    [`${observations}|social-history`]: ['social-history'],
    [`${observations}|survey`]: ['functional-status'],
    [`${usCore}/us-core-category|functional-status`]: ['functional-status'],
    'http://loinc.org|42348-3': ['advance-directive'],
  },
  Condition: {
    [`${conditions}|problem-list-item`]: ['problem'],
    [`${conditions}|encounter-diagnosis`]: ['problem'],
    [`${usCore}/condition-category|health-concern`]: ['problem'],
  },
  DiagnosticReport: { [`${hl7}/v2-0074|LAB`]: ['result'] },
  DocumentReference: { [`${usCore}/us-core-documentreference-category|clinical-note`]: ['document', 'note'] },
}

const resourceScope = /^(patient|user|system)\/([A-Za-z]{1,40}|\*)\.([a-z]{1,5}|\*)(?:\?(.{1,300}))?$/

const spelled: Readonly<Record<string, string>> = { read: 'rs', write: 'cud', '*': 'cruds' }

/** The interactions of `cruds` in its order, or of a word of version 1; undefined for any other spelling. */
function interactionsIn(text: string): readonly Interaction[] | undefined {
  const letters = Object.hasOwn(spelled, text) ? (spelled[text] ?? '') : text
  return /^c?r?u?d?s?$/.test(letters) && letters !== ''
    ? interactions.filter((one) => letters.includes(one))
    : undefined
}

/** The category of a scope's query: one parameter, one value, known for the type. */
function categoryIn(resource: string, query: string): string | undefined {
  const pairs = [...new URLSearchParams(query)]
  const [name, value = ''] = pairs[0] ?? []
  if (pairs.length !== 1 || name !== 'category') return undefined
  const known = Object.hasOwn(categories, resource) ? Object.keys(categories[resource] ?? {}) : []
  return known.some((one) => one === value || (!value.includes('|') && one.endsWith(`|${value}`))) ? value : undefined
}

/** A scope for resources, of either version; undefined for one that cannot be granted here. */
export function readScope(text: string): SmartScope | undefined {
  const [, context, resource = '', letters = '', query] = resourceScope.exec(text) ?? []
  const may = interactionsIn(letters)
  if (may === undefined || (context !== 'patient' && context !== 'user' && context !== 'system')) return undefined
  if (resource !== '*' && !Object.hasOwn(itemTypesOf, resource)) return undefined
  if (query === undefined) return { context, resource, interactions: may }
  const category = categoryIn(resource, query)
  return category === undefined ? undefined : { context, resource, interactions: may, category }
}

/** Reads a `scope` parameter (RFC 6749 §3.3); of one beyond the limits, nothing. */
export function readScopes(text: string, limits = scopeLimits): ReadScopes {
  const words = text.length > limits.chars ? [] : [...new Set(text.split(' ').filter((word) => word !== ''))]
  const scopes: SmartScope[] = []
  const others: string[] = []
  const dropped: string[] = []
  for (const word of words.slice(0, limits.scopes)) {
    const scope = readScope(word)
    if (scope) scopes.push(scope)
    else if (/^(patient|user|system)\//.test(word)) dropped.push(word)
    else others.push(word)
  }
  return { scopes, others, dropped }
}

/** A scope in the spelling of version 2. */
export function writeScope({ context, resource, interactions: may, category }: SmartScope): string {
  return `${context}/${resource}.${may.join('')}${category === undefined ? '' : `?category=${category}`}`
}

const permissionOf: Readonly<Record<Interaction, Permission>> = {
  c: 'create',
  r: 'read',
  u: 'update',
  d: 'delete',
  s: 'read',
}

function typesOf({ resource, category }: SmartScope): readonly RecordItemType[] {
  if (resource === '*') return recordItemTypes
  if (category === undefined) return itemTypesOf[resource] ?? []
  const known = Object.entries(categories[resource] ?? {})
  return known.flatMap(([one, types]) => (one === category || one.endsWith(`|${category}`) ? types : []))
}

/** What a scope narrows a rule to; undefined where it takes in all that kinds of item can be. */
function filterOf({ resource, interactions: may, category }: SmartScope): ScopeFilter | undefined {
  const reading: Reading | undefined =
    may.includes('r') === may.includes('s') ? undefined : may.includes('r') ? 'by-id' : 'by-search'
  const filter: ScopeFilter = {
    ...(resource !== '*' && { resource }),
    ...(category !== undefined && { category }),
    ...(reading !== undefined && { reading }),
  }
  return Object.keys(filter).length === 0 ? undefined : filter
}

/** What both filters let through; `nothing` where they shut each other out. */
function both(one: ScopeFilter | undefined, other: ScopeFilter | undefined): ScopeFilter | undefined | 'nothing' {
  if (!one || !other) return one ?? other
  const joined: Record<string, string> = { ...one }
  for (const [name, value] of Object.entries(other)) {
    if (joined[name] !== undefined && joined[name] !== value) return 'nothing'
    joined[name] = value
  }
  return joined
}

/**
 * The rules that allow what rules and scopes both allow: what a token of these scopes may do. Dates and reasons stay the
 * rules'. Nothing where the scopes are none.
 */
export function narrowed(rules: readonly AccessRule[] | 'all', scopes: readonly SmartScope[]): AccessRule[] {
  const whole: AccessRule = { name: 'all', reason: { en: '' }, permissions }
  const found: Omit<AccessRule, 'name'>[] = []
  for (const rule of rules === 'all' ? [whole] : rules) {
    for (const scope of scopes) {
      const wanted = new Set(scope.interactions.map((one) => permissionOf[one]))
      const may = rule.permissions.filter((one) => wanted.has(one))
      const types = typesOf(scope).filter((type) => rule.types?.includes(type) !== false)
      const within = both(rule.within, filterOf(scope))
      if (may.length === 0 || types.length === 0 || within === 'nothing') continue
      const { name: _, within: __, ...kept } = rule
      found.push({ ...kept, permissions: may, types, ...(within && { within }) })
    }
  }
  return found.map((rule, at) => ({ name: `s${at + 1}`, ...rule }))
}

/**
 * The scopes among those asked that rules give, each narrowed to the types, interactions and categories that they give: what
 * a token response answers. `*` stays where everything is given, else it becomes the types that are.
 */
export function grantedScopes(asked: readonly SmartScope[], rules: readonly AccessRule[] | 'all'): SmartScope[] {
  const once = new Map<string, SmartScope>()
  for (const scope of asked) for (const one of givenOf(scope, rules)) once.set(writeScope(one), one)
  return [...once.values()]
}

function givenOf(scope: SmartScope, rules: readonly AccessRule[] | 'all'): SmartScope[] {
  const whole = { ...scope, interactions: given(scope, rules, 'every') }
  if (whole.interactions.length === scope.interactions.length) return [whole]
  if (scope.resource === '*') {
    return Object.keys(itemTypesOf).flatMap((resource) => givenOf({ ...scope, resource }, rules))
  }
  // The server makes them itself, of whatever may be read.
  if (scope.resource === 'Provenance' || scope.resource === 'Binary') {
    const may = given(scope, rules, 'some').filter((one) => one === 'r' || one === 's')
    return may.length === 0 ? [] : [{ ...scope, interactions: may }]
  }
  if (scope.category === undefined) {
    const known = Object.keys(categories[scope.resource] ?? {})
    const each = known.map((category) => ({ ...scope, category }))
    const parts = each.flatMap((one) => givenOf(one, rules))
    if (parts.length > 0) {
      return whole.interactions.length > 0 ? [whole, ...parts.filter((one) => !covers(whole, one))] : parts
    }
  }
  const may = given(scope, rules, scope.category === undefined ? 'main' : 'every')
  return may.length === 0 ? [] : [{ ...scope, interactions: may }]
}

function covers(whole: SmartScope, part: SmartScope): boolean {
  return part.interactions.every((one) => whole.interactions.includes(one))
}

/** Interactions of a scope that rules allow for every kind of item in it, for the one that its type is mainly of, or for any. */
function given(scope: SmartScope, rules: readonly AccessRule[] | 'all', of: 'every' | 'main' | 'some'): Interaction[] {
  const types = typesOf(scope)
  const asked = of === 'main' ? types.slice(0, 1) : types
  return scope.interactions.filter((one) => {
    if (rules === 'all') return true
    const wanted = { ...scope, interactions: [one] }
    const allowed = new Set(
      narrowed(rules, [wanted])
        .filter(({ within }) => isWhole(within, filterOf(wanted)))
        .flatMap((rule) => rule.types ?? []),
    )
    return of === 'some' ? allowed.size > 0 : asked.length > 0 && asked.every((type) => allowed.has(type))
  })
}

/** Whether a rule is as wide as the scope that it was narrowed by. */
function isWhole(within: ScopeFilter | undefined, filter: ScopeFilter | undefined): boolean {
  return within?.resource === filter?.resource && within?.category === filter?.category
}

/** The scopes that a set of rules equals as near as scopes can say it: what a client may ask for and get. */
export function scopesOf(
  rules: readonly AccessRule[] | 'all',
  context: SmartScope['context'] = 'patient',
): SmartScope[] {
  return grantedScopes([{ context, resource: '*', interactions }], rules)
}

/** Sections whose problems are diagnoses of an encounter (LOINC), by what the section is. */
const diagnosisSections = new Set([
  '46240-8',
  '46241-6',
  '42347-5',
  '11535-2',
  '10219-4',
  '10218-6',
  '59769-0',
  '29308-4',
  '78375-3',
])

/** Systems of the categories of a Condition; a code of theirs in the kind of a problem says what it is. */
export const conditionCategorySystems: readonly string[] = [conditions, `${usCore}/condition-category`]

/** Category of a problem as a Condition: its code, as its author said, else by the section it stands in. */
export function conditionCategory({ content, provenance: { section } }: RecordItem): string {
  const kind = content.type === 'problem' ? content.kind : undefined
  const told = kind?.codings.find(({ system }) => system !== undefined && conditionCategorySystems.includes(system))
  if (told && ['encounter-diagnosis', 'health-concern', 'problem-list-item'].includes(told.code)) return told.code
  if (section === '75310-3') return 'health-concern'
  return section !== undefined && diagnosisSections.has(section) ? 'encounter-diagnosis' : 'problem-list-item'
}

/** LOINC of whole imaging reports that stand among results. */
const imagingTests = new Set(['18748-4', '36643-5', '30746-2', '24627-2'])

/** Whether a test is a whole imaging report. */
export function isImagingTest({ codings }: Concept): boolean {
  return codings.some(({ system, code }) => system === 'http://loinc.org' && imagingTests.has(code))
}

/** Codings of the category of an item as an Observation or a Condition, as `system|code`. */
function categoriesOf(item: RecordItem): readonly string[] {
  const { content } = item
  switch (content.type) {
    case 'result':
      return [`${observations}|${isImagingTest(content.test) ? 'imaging' : 'laboratory'}`]
    case 'vital-sign':
      return [`${observations}|vital-signs`]
    case 'social-history':
      return [`${observations}|social-history`]
    case 'functional-status':
      return [`${observations}|survey`, `${usCore}/us-core-category|functional-status`]
    case 'advance-directive':
      return ['http://loinc.org|42348-3']
    case 'problem': {
      const code = conditionCategory(item)
      return [`${code === 'health-concern' ? `${usCore}/condition-category` : conditions}|${code}`]
    }
    default:
      return []
  }
}

/** What an item becomes in FHIR: for asking rules that stand for scopes. Never empty. */
export function shapesOf(item: RecordItem): readonly Shape[] {
  const { content, intent, negated } = item
  const shape = (resource: string, all: readonly string[] = []): Shape => ({ resource, categories: all })
  const toCome = intent === 'planned' || intent === 'ordered'
  const main = categoriesOf(item)
  const notes = [`${usCore}/us-core-documentreference-category|clinical-note`]
  if (intent === 'goal' || content.type === 'goal') return [shape('Goal')]
  switch (content.type) {
    case 'demographics':
      return [shape('Patient')]
    case 'allergy':
      return [shape('AllergyIntolerance')]
    case 'problem':
      return [shape('Condition', main)]
    case 'medication':
      return [shape('MedicationRequest'), shape('MedicationDispense')]
    case 'immunization':
      return [shape(toCome ? 'MedicationRequest' : 'Immunization')]
    case 'result':
      if (toCome) return [shape('ServiceRequest')]
      return [shape('Observation', main), ...(content.panel ? [shape('DiagnosticReport', [`${hl7}/v2-0074|LAB`])] : [])]
    case 'vital-sign':
    case 'social-history':
    case 'functional-status':
    case 'advance-directive':
      return [toCome ? shape('ServiceRequest') : shape('Observation', main)]
    case 'procedure':
      return [shape(toCome ? 'ServiceRequest' : 'Procedure')]
    case 'encounter':
      return [shape('Encounter')]
    case 'family-history':
      return [shape('FamilyMemberHistory')]
    case 'insurance':
      return [shape('Coverage')]
    case 'device':
      return [shape(toCome ? 'DeviceRequest' : negated ? 'Observation' : 'Device')]
    case 'plan':
      return [shape(toCome ? 'ServiceRequest' : 'CarePlan')]
    case 'care-team':
      return [shape('CareTeam')]
    case 'note':
    case 'document':
      return [shape('DocumentReference', notes)]
  }
}
