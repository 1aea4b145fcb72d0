import type { Resource } from '../../src/clinical/fhir/json.js'
import { writeJson } from '../../src/clinical/fhir/json.js'
import type { Mapped } from '../../src/clinical/fhir/map.js'
import type { RecordItem } from '../../src/direct/clinical.js'

/**
 * What may never happen on the way out, judged by the very element that says so: what is denied has its negation there,
 * what is to come is a request, what is not known is not confirmed and has no value. Codes are written down here once more.
 */

type Node = Record<string, unknown>

const refutes = ['refuted', 'entered-in-error']
/** SNOMED CT: no known allergy, drug allergy, food allergy, environmental allergy, latex allergy. */
const noAllergy = [
  '716186003',
  '409137002',
  '429625007',
  '428607008',
  '716184000',
  '1003774007',
  '160244002',
  '428197003',
]
/** SNOMED CT: no current problems or disability, no abnormality detected, nothing significant. */
const noProblem = ['160245001', '64100000', '160243008', '281900007']
/** Whichever section they stand in. */
const nothing = [...noAllergy, ...noProblem]
const absentFinding = '2667000'

function codes(value: unknown): readonly string[] {
  const { coding = [] } = (value ?? {}) as { coding?: readonly { code?: string }[] }
  return coding.map(({ code = '' }) => code)
}

function hasAny(value: unknown, wanted: readonly string[]): boolean {
  return codes(value).some((code) => wanted.includes(code))
}

function valueIn(one: Node): boolean {
  return Object.keys(one).some((field) => /^value[A-Z]/.test(field))
}

/** Whether a resource that says what is denied says that it is. */
const denies: Readonly<Record<string, (one: Node) => boolean>> = {
  AllergyIntolerance: (one) =>
    (hasAny(one['verificationStatus'], refutes) || hasAny(one['code'], nothing)) &&
    one['reaction'] === undefined &&
    one['criticality'] === undefined,
  Condition: (one) => hasAny(one['verificationStatus'], refutes) || hasAny(one['code'], nothing),
  MedicationRequest: (one) => one['doNotPerform'] === true && one['dispenseRequest'] === undefined,
  ServiceRequest: (one) => one['doNotPerform'] === true,
  DeviceRequest: (one) => one['status'] === 'revoked',
  Immunization: (one) => one['status'] === 'not-done' || one['status'] === 'entered-in-error',
  Procedure: (one) => one['status'] === 'not-done',
  Encounter: (one) => one['status'] === 'cancelled' || one['status'] === 'entered-in-error',
  Observation: (one) =>
    one['component'] === undefined &&
    one['interpretation'] === undefined &&
    ((one['status'] === 'cancelled' && !valueIn(one) && one['dataAbsentReason'] !== undefined) ||
      hasAny(one['valueCodeableConcept'], [absentFinding])),
  Goal: (one) => one['lifecycleStatus'] === 'rejected',
  CarePlan: (one) => one['status'] === 'revoked',
  Coverage: (one) => one['status'] === 'cancelled' || one['status'] === 'entered-in-error',
  CareTeam: (one) => one['status'] === 'inactive',
  FamilyMemberHistory: (one) => one['condition'] === undefined,
  DocumentReference: (one) => String(one['description']).startsWith('Denied: '),
}

/** Whether a resource that says what is planned says that it is still to come. */
const awaits: Readonly<Record<string, (one: Node) => boolean>> = {
  MedicationRequest: request,
  ServiceRequest: request,
  DeviceRequest: request,
  CarePlan: request,
  Encounter: (one) => ['planned', 'cancelled', 'entered-in-error'].includes(String(one['status'])),
  Goal: () => true,
  Coverage: (one) => ['draft', 'cancelled', 'entered-in-error'].includes(String(one['status'])),
  CareTeam: (one) => one['status'] !== 'active',
  FamilyMemberHistory: (one) => one['status'] !== 'completed',
  // Words stay words, and what was handed out was handed out, whatever it was planned for.
  DocumentReference: () => true,
  MedicationDispense: () => true,
  Condition: (one) => hasAny(one['verificationStatus'], ['unconfirmed', ...refutes]) || hasAny(one['code'], nothing),
  AllergyIntolerance: (one) =>
    hasAny(one['verificationStatus'], ['unconfirmed', ...refutes]) || hasAny(one['code'], nothing),
}

function request(one: Node): boolean {
  return ['plan', 'order', 'proposal'].includes(String(one['intent'])) && one['reportedBoolean'] === undefined
}

/** Whether a resource of an item that the source left null claims no more than that. */
const owns: Readonly<Record<string, (one: Node) => boolean>> = {
  AllergyIntolerance: (one) => !hasAny(one['verificationStatus'], ['confirmed']) || hasAny(one['code'], nothing),
  Condition: (one) => !hasAny(one['verificationStatus'], ['confirmed']) || hasAny(one['code'], nothing),
}

/** Faults of one mapped resource against the only item it was made of; nothing for those of several. */
export function unsafe({ resource, of }: Mapped): string[] {
  const [from] = of
  const type = resource.resourceType
  if (!from || type === 'Provenance' || type === 'Patient') return []
  const one = JSON.parse(writeJson(resource)) as Node
  if (type === 'DiagnosticReport' || (type === 'Observation' && one['hasMember'] !== undefined)) {
    const any = of.some(({ item }) => !item.negated)
    return any || one['status'] !== 'final' ? [] : [`${type}: a report of what was all denied is final`]
  }
  return of.flatMap(({ item }) => faultsOfItem(type, one, item))
}

function faultsOfItem(type: string, one: Node, item: RecordItem): string[] {
  const { negated, intent, nullFlavor, content } = item
  const faults: string[] = []
  const said = `${type} of ${content.type}`
  // A document is not denied; it may hold denials.
  if (content.type === 'document') return []
  if (negated && denies[type]?.(one) !== true) faults.push(`${said}: denied, and its own element does not say so`)
  if (intent === 'planned' && awaits[type]?.(one) !== true) faults.push(`${said}: planned, and not told as planned`)
  if (intent === 'planned' && one['status'] === 'completed' && type !== 'MedicationDispense')
    faults.push(`${said}: planned, and told as completed`)
  if (intent === 'goal' && type !== 'Goal') faults.push(`${said}: a goal, and told as something else`)
  if (nullFlavor !== undefined && !negated && owns[type]?.(one) === false) faults.push(`${said}: null, and confirmed`)
  const value = 'value' in content ? content.value : undefined
  if (value?.kind === 'absent' && valueIn(one) && !negated && type === 'Observation')
    faults.push(`${said}: without a value, and told with one`)
  if (content.type === 'family-history') faults.push(...deniedRelatives(one, content.conditions))
  return faults
}

/** A condition that a relative is said not to have may not stand among those that it has. */
function deniedRelatives(
  one: Node,
  conditions: Extract<RecordItem['content'], { type: 'family-history' }>['conditions'],
): string[] {
  const listed = (one['condition'] ?? []) as readonly Node[]
  const had = conditions.filter(({ negated }) => !negated).length
  return listed.length > had ? ['FamilyMemberHistory: more conditions than the relative has'] : []
}

/** The same for resources without their mapping, for seeded faults. */
export function unsafeAs(resource: Resource, mapped: Mapped): string[] {
  return unsafe({ ...mapped, resource })
}
