import { usCore } from './datatypes.js'
import { type Json, type JsonObject, type Resource, said } from './json.js'

/** One profile of US Core: what it is about, and what it requires that FHIR itself does not. */
interface Profile {
  readonly name: string
  readonly fits: (resource: Resource) => boolean
}

function object(value: Json | undefined): JsonObject | undefined {
  return typeof value === 'object' && !Array.isArray(value) ? (value as JsonObject) : undefined
}

function list(value: Json | undefined): readonly JsonObject[] {
  return Array.isArray(value) ? (value as readonly JsonObject[]) : []
}

function codingsOf(value: Json | undefined): readonly JsonObject[] {
  return list(object(value)?.['coding'])
}

function has(value: Json | undefined, ...codes: readonly string[]): boolean {
  return codingsOf(value).some(({ code }) => typeof code === 'string' && codes.includes(code))
}

function inCategory(resource: Resource, code: string): boolean {
  return list(resource['category']).some((one) => has(one, code))
}

/** A code or words, and not merely the reason for their absence. */
function named(value: Json | undefined): boolean {
  return codingsOf(value).length > 0 || said(object(value)?.['text'] as string | undefined) !== undefined
}

/** A time that is precise to the day (vs-1). */
function dated({ effectiveDateTime, effectivePeriod }: Resource): boolean {
  return (typeof effectiveDateTime === 'string' && effectiveDateTime.length >= 10) || effectivePeriod !== undefined
}

/** Vital signs by LOINC with the units that their profiles allow. */
const vitals: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ['us-core-blood-pressure', ['85354-9'], ['mm[Hg]']],
  ['us-core-bmi', ['39156-5'], ['kg/m2']],
  ['us-core-body-height', ['8302-2'], ['cm', '[in_i]']],
  ['us-core-body-temperature', ['8310-5'], ['Cel', '[degF]']],
  ['us-core-body-weight', ['29463-7'], ['g', 'kg', '[lb_av]']],
  ['us-core-heart-rate', ['8867-4'], ['/min']],
  ['us-core-respiratory-rate', ['9279-1'], ['/min']],
  ['us-core-head-circumference', ['9843-4'], ['cm', '[in_i]']],
  ['us-core-pulse-oximetry', ['59408-5'], ['%']],
]

function unitFits(holder: JsonObject, units: readonly string[]): boolean {
  const quantity = object(holder['valueQuantity'])
  if (quantity === undefined) return holder['dataAbsentReason'] !== undefined
  return (
    typeof quantity['code'] === 'string' && units.includes(quantity['code']) && quantity['comparator'] === undefined
  )
}

function vitalFits(resource: Resource, codes: readonly string[], units: readonly string[]): boolean {
  if (!inCategory(resource, 'vital-signs') || !has(resource['code'], ...codes) || !dated(resource)) return false
  if (codes.includes('85354-9')) {
    const parts = list(resource['component'])
    return parts.length === 2 && parts.every((part) => unitFits(part, units))
  }
  return unitFits(resource, units)
}

const profiles: Readonly<Record<string, readonly Profile[]>> = {
  Patient: [{ name: 'us-core-patient', fits: () => true }],
  AllergyIntolerance: [{ name: 'us-core-allergyintolerance', fits: ({ code }) => named(code) }],
  Condition: [
    {
      name: 'us-core-condition-encounter-diagnosis',
      fits: (one) => inCategory(one, 'encounter-diagnosis') && named(one['code']),
    },
    {
      name: 'us-core-condition-problems-health-concerns',
      fits: (one) => !inCategory(one, 'encounter-diagnosis') && named(one['code']),
    },
  ],
  MedicationRequest: [
    {
      name: 'us-core-medicationrequest',
      fits: ({ medicationCodeableConcept, requester }) => named(medicationCodeableConcept) && requester !== undefined,
    },
  ],
  MedicationDispense: [
    {
      name: 'us-core-medicationdispense',
      fits: ({ status, whenHandedOver }) => status !== 'completed' || whenHandedOver !== undefined,
    },
  ],
  Immunization: [{ name: 'us-core-immunization', fits: ({ vaccineCode }) => named(vaccineCode) }],
  Observation: [
    ...vitals.map(([name, codes, units]) => ({
      name,
      fits: (one: Resource) =>
        vitalFits(one, codes, units) && (name !== 'us-core-pulse-oximetry' || has(one['code'], '2708-6')),
    })),
    {
      name: 'us-core-smokingstatus',
      fits: (one) =>
        inCategory(one, 'social-history') &&
        has(one['code'], '72166-2') &&
        (one['effectiveDateTime'] !== undefined || one['effectivePeriod'] !== undefined) &&
        one['valueCodeableConcept'] !== undefined,
    },
    { name: 'us-core-observation-lab', fits: (one) => inCategory(one, 'laboratory') && named(one['code']) },
    { name: 'us-core-vital-signs', fits: (one) => inCategory(one, 'vital-signs') && named(one['code']) && dated(one) },
    {
      name: 'us-core-simple-observation',
      fits: (one) => (inCategory(one, 'social-history') || inCategory(one, 'survey')) && named(one['code']),
    },
  ],
  DiagnosticReport: [{ name: 'us-core-diagnosticreport-lab', fits: ({ code }) => named(code) }],
  Procedure: [{ name: 'us-core-procedure', fits: ({ code }) => named(code) }],
  Encounter: [{ name: 'us-core-encounter', fits: () => true }],
  Coverage: [
    {
      name: 'us-core-coverage',
      fits: ({ subscriberId, relationship }) => subscriberId !== undefined && named(relationship),
    },
  ],
  Device: [
    { name: 'us-core-implantable-device', fits: ({ udiCarrier, type }) => list(udiCarrier).length > 0 && named(type) },
  ],
  Goal: [{ name: 'us-core-goal', fits: ({ description }) => named(description) }],
  CarePlan: [{ name: 'us-core-careplan', fits: () => true }],
  ServiceRequest: [{ name: 'us-core-servicerequest', fits: ({ code }) => named(code) }],
  CareTeam: [
    {
      name: 'us-core-careteam',
      fits: ({ participant }) =>
        list(participant).length > 0 && list(participant).every(({ role }) => list(role).every((one) => named(one))),
    },
  ],
  DocumentReference: [{ name: 'us-core-documentreference', fits: ({ type }) => named(type) }],
  Provenance: [{ name: 'us-core-provenance', fits: ({ recorded }) => recorded !== undefined }],
}

/** Profiles that a resource may claim, by type, for what the server says of itself. */
export function profilesOf(type: string): string[] {
  return (profiles[type] ?? []).map(({ name }) => `${usCore}/${name}`)
}

/** The resource with the first profile whose demands it meets; without one it is plain FHIR R4. */
export function claimed(resource: Resource): Resource {
  const profile = profiles[resource.resourceType]?.find(({ fits }) => fits(resource))
  if (!profile) return resource
  const meta = object(resource['meta']) ?? {}
  return { ...resource, meta: { ...meta, profile: [`${usCore}/${profile.name}`] } }
}
