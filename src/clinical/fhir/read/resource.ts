import { createHash } from 'node:crypto'
import type { Agent, Concept, Identifier, When } from '../../../direct/datatypes.js'
import { readAllergy, readCondition } from './allergy.js'
import {
  readCarePlan,
  readDevice,
  readDeviceRequest,
  readEncounter,
  readGoal,
  readProcedure,
  readServiceRequest,
} from './care.js'
import { filled, kept, readConcept, readIdentifiers, readMoment } from './datatypes.js'
import { type FhirDocumentBytes, readDocumentReference } from './document.js'
import { type FhirIssue, type Fields, fhirReadLimits, isMap, openFields, openLog, tellLeft } from './fields.js'
import { fhirJsonLimits, parseJson, type Tree } from './json.js'
import {
  readImmunization,
  readMedicationAdministration,
  readMedicationDispense,
  readMedicationRequest,
  readMedicationStatement,
} from './medication.js'
import { readObservation } from './observation.js'
import { readCareTeam, readCoverage, readFamilyHistory, readPatient } from './people.js'
import { mustBeOfPatient, type ReadItem, type Reading, readAgents } from './reading.js'

export type { FhirDocumentBytes } from './document.js'
export type { FhirIssue } from './fields.js'
export type { ReadItem } from './reading.js'

export interface FhirReadOptions {
  /** Id of the patient as the resources name it: the record as the caller knows it. */
  readonly patient: string
  /** Where this server stands, so that its own references are known; without a final slash. */
  readonly base?: string
}

/** What was made of one resource. Nothing where an issue is an error. */
export interface ReadResource {
  readonly type: string
  readonly id?: string
  /** Items that one resource says: two for a blood pressure. */
  readonly items: readonly ReadItem[]
  readonly document?: FhirDocumentBytes
  readonly issues: readonly FhirIssue[]
}

/** Types that can be read; those that are never items of their own (Practitioner, Medication …) are read where they are named. */
export const readableTypes = [
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
  ...['Encounter', 'FamilyMemberHistory', 'Goal', 'Immunization', 'MedicationAdministration', 'MedicationDispense'],
  ...['MedicationRequest', 'MedicationStatement', 'Observation', 'Patient', 'Procedure', 'ServiceRequest'],
] as const

function readerOf(
  reading: Reading,
  type: string,
  base: string | undefined,
): { items: readonly ReadItem[]; document?: FhirDocumentBytes } | undefined {
  const one = (item: ReadItem | undefined) => ({ items: item ? [item] : [] })
  switch (type) {
    case 'AllergyIntolerance':
      return one(readAllergy(reading))
    case 'CarePlan':
      return one(readCarePlan(reading))
    case 'CareTeam':
      return one(readCareTeam(reading))
    case 'Condition':
      return one(readCondition(reading))
    case 'Coverage':
      return one(readCoverage(reading))
    case 'Device':
      return one(readDevice(reading))
    case 'DeviceRequest':
      return one(readDeviceRequest(reading))
    case 'DocumentReference': {
      const { item, document } = readDocumentReference(reading)
      return { ...one(item), ...(document && { document }) }
    }
    case 'Encounter':
      return one(readEncounter(reading))
    case 'FamilyMemberHistory':
      return one(readFamilyHistory(reading))
    case 'Goal':
      return one(readGoal(reading))
    case 'Immunization':
      return one(readImmunization(reading))
    case 'MedicationAdministration':
      return one(readMedicationAdministration(reading))
    case 'MedicationDispense':
      return one(readMedicationDispense(reading))
    case 'MedicationRequest':
      return one(readMedicationRequest(reading))
    case 'MedicationStatement':
      return one(readMedicationStatement(reading))
    case 'Observation':
      return { items: readObservation(reading) }
    case 'Patient':
      return one(readPatient(reading, base))
    case 'Procedure':
      return one(readProcedure(reading))
    case 'ServiceRequest':
      return one(readServiceRequest(reading))
    default:
      return undefined
  }
}

/** Finds resources of the same Bundle by a reference. */
export type Resolver = (reference: string) => Tree | undefined

export interface TreeOptions extends FhirReadOptions {
  readonly strict: boolean
  readonly resolve?: Resolver
  readonly isPatient?: (reference: string) => boolean
}

/**
 * Reads one resource, parsed. Strictly, whatever the record cannot keep is an error; else what only surrounds a statement is
 * a warning. Never a throw, whatever it holds.
 */
export function readTree(tree: Tree | undefined, options: TreeOptions): ReadResource {
  const log = openLog(fhirReadLimits)
  const type = isMap(tree) ? tree.get('resourceType') : undefined
  if (!isMap(tree) || typeof type !== 'string' || !/^[A-Z][A-Za-z]{2,40}$/.test(type)) {
    log.error('structure', 'Resource', 'This is not a resource of FHIR')
    return { type: '', items: [], issues: log.issues }
  }
  const fields = openFields(tree, type, log)
  const id = idOf(tree)
  const found = readerOf(openReading(fields, tree, options), type, options.base)
  if (!found) log.error('not-supported', type, 'The record has no item of this type')
  if (!log.failed()) tellLeft(log, options.strict)
  return {
    type,
    ...(id !== undefined && { id }),
    items: log.failed() ? [] : (found?.items ?? []),
    ...(found?.document && !log.failed() && { document: found.document }),
    issues: log.issues,
  }
}

export function idOf(tree: Tree | undefined): string | undefined {
  const id = isMap(tree) ? tree.get('id') : undefined
  return typeof id === 'string' && /^[A-Za-z0-9.-]{1,64}$/.test(id) ? id : undefined
}

/** A reading of a resource: what it contains and what it names are opened once each, and held to the same rules where contained. */
export function openReading(
  fields: Fields,
  tree: ReadonlyMap<string, Tree>,
  { patient, base, resolve, isPatient }: TreeOptions,
): Reading {
  const inner = new Map(fields.list('contained').map((one) => [one.text('id'), one] as const))
  const outer = new Map<string, Fields | undefined>()
  const lenient = openLog(fhirReadLimits)
  return {
    fields,
    log: fields.log,
    key: `fhir:${createHash('sha256').update(canonical(tree)).digest('hex').slice(0, 32)}`,
    isPatient:
      isPatient ??
      ((reference) =>
        reference === `Patient/${patient}` || (base !== undefined && reference === `${base}/Patient/${patient}`)),
    resolve(reference) {
      if (reference.startsWith('#')) return inner.get(reference.slice(1))
      if (!outer.has(reference)) {
        const found = resolve?.(reference)
        outer.set(reference, isMap(found) ? openFields(found, reference.slice(0, 100), lenient) : undefined)
      }
      return outer.get(reference)
    },
  }
}

/** The same text for the same tree. */
function canonical(tree: Tree): string {
  return JSON.stringify(tree, (_, value: unknown) => (value instanceof Map ? [...value] : value))
}

/**
 * Reads the JSON text of one resource strictly: what cannot be kept is an error at its place. Text that is no JSON, or too
 * large, is an error of the whole.
 */
export function readFhirResource(text: string, options: FhirReadOptions, limits = fhirJsonLimits): ReadResource {
  const parsed = parseJson(text, limits)
  if (parsed.kind === 'invalid') {
    const code = parsed.code === 'invalid' ? 'structure' : 'too-costly'
    return {
      type: '',
      items: [],
      issues: [
        { severity: 'error', code, expression: 'Resource', detail: `${parsed.detail}, at character ${parsed.at}` },
      ],
    }
  }
  return readTree(parsed.tree, { ...options, strict: true })
}

/** What a battery says of its members. */
export interface ReadPanel {
  readonly results: readonly string[]
  readonly panel: {
    readonly entry: string
    readonly code?: Concept
    readonly when?: When
    readonly status?: string
    readonly identifiers: readonly Identifier[]
  }
  readonly performers: readonly Agent[]
  readonly issues: readonly FhirIssue[]
  readonly failed: boolean
}

const panelStatuses: Readonly<Record<string, string>> = {
  final: 'completed',
  amended: 'completed',
  corrected: 'completed',
  appended: 'completed',
  partial: 'active',
  preliminary: 'active',
  registered: 'active',
  cancelled: 'cancelled',
  unknown: 'unknown',
}

/** A DiagnosticReport, or an Observation with members, as the battery of the results that it names. */
export function readPanel(tree: ReadonlyMap<string, Tree>, options: TreeOptions): ReadPanel {
  const log = openLog()
  const type = String(tree.get('resourceType'))
  const fields = openFields(tree, type, log)
  const reading = openReading(fields, tree, options)
  mustBeOfPatient(reading, 'subject')
  const status = fields.text('status') ?? ''
  const word = Object.hasOwn(panelStatuses, status) ? panelStatuses[status] : undefined
  if (word === undefined) log.error('not-supported', `${type}.status`, 'The record cannot keep this status')
  const results = fields.list(type === 'Observation' ? 'hasMember' : 'result').map((one) => {
    one.skip('display')
    return one.text('reference') ?? ''
  })
  for (const name of ['category', 'issued', 'effectiveDateTime', '_effectiveDateTime', '_issued', 'meta'])
    fields.skip(name)
  const panel = kept<ReadPanel['panel']>({
    entry: reading.key,
    code: readConcept(fields.object('code')),
    when: readMoment(fields, 'effective'),
    status: word,
    identifiers: readIdentifiers(fields),
  })
  const performers = readAgents(reading, fields.list('performer'))
  if (fields.has('conclusion')) log.warn(`${type}.conclusion`, 'Not kept')
  for (const name of ['conclusion', 'conclusionCode']) fields.skip(name)
  tellLeft(log, options.strict)
  return { results, panel, performers: filled(performers) ?? [], issues: log.issues, failed: log.failed() }
}
