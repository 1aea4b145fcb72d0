import type { Device, Encounter, Goal, ItemContent, Plan, Procedure } from '../../direct/clinical.js'
import type { Coding, Concept, When } from '../../direct/datatypes.js'
import { subjectOf } from '../../direct/subject.js'
import {
  absent,
  coded,
  codeText,
  coding,
  concept,
  conceptOrAbsent,
  concepts,
  date,
  dateTime,
  hl7,
  identifiers,
  moment,
  period,
  pointOf,
  quantityText,
  usCore,
  value,
  valueText,
  whenText,
  wordsOf,
} from './datatypes.js'
import { isRequest, requestIntent, requestStatus } from './intent.js'
import { type JsonObject, type Resource, said } from './json.js'
import {
  anybody,
  type Context,
  finish,
  moodOf,
  notes,
  openCast,
  patientOf,
  recorderOf,
  type Sourced,
  some,
} from './make.js'

/** EventStatus of FHIR by the source's ActStatus; the words of procedures and encounters differ. */
function procedureStatus({ item: { negated, status } }: Sourced): string {
  if (negated) return 'not-done'
  const source = status?.source?.toLowerCase()
  if (source === 'nullified') return 'entered-in-error'
  if (source === 'aborted') return 'stopped'
  if (source === 'suspended' || source === 'held') return 'on-hold'
  switch (status?.folded) {
    case 'completed':
    case 'resolved':
      return 'completed'
    case 'active':
      return 'in-progress'
    case 'planned':
      return 'preparation'
    case 'cancelled':
      return 'not-done'
    default:
      return 'unknown'
  }
}

/** A Procedure (US Core) that took place, or `not-done`. One to come is a ServiceRequest. */
export function procedure(from: Sourced, content: Procedure, context: Context): Resource {
  const { item } = from
  const cast = openCast()
  const status = procedureStatus(from)
  const performed = moment('performed', item.when)
  const dated = Object.values(performed).some((one) => one !== undefined)
  const undated =
    said(item.when?.text) === undefined ? { _performedDateTime: absent() } : { performedString: item.when?.text }
  const wants = status === 'completed' || status === 'in-progress' || item.when?.text !== undefined // us-core-7
  const actors = some(...(item.performers ?? []).map((one) => cast.refer(one, anybody)))
  return finish({
    type: 'Procedure',
    id: item.id,
    of: [from],
    cast,
    words: [`${item.negated ? 'Not done: ' : ''}${wordsOf(content.procedure) ?? ''}`, whenText(item.when)],
    extensions: moodOf(item),
    fields: {
      identifier: identifiers(item.identifiers),
      status,
      statusReason: concept(content.refusalReason),
      code: conceptOrAbsent(content.procedure),
      subject: patientOf(context),
      ...(dated ? performed : wants ? undated : {}),
      recorder: cast.refer(recorderOf(item), ['person']),
      performer: actors.map((actor) => ({ actor })),
      reasonCode: concepts(content.indications),
      bodySite: concepts(content.bodySites),
      complication: concepts(content.complications),
      note: notes(
        item,
        content.instructions,
        content.value && !item.negated && content.value.kind !== 'absent' && `Result: ${valueText(content.value)}`,
        ...(content.locations ?? []).map((place) => `Location: ${place}`),
        ...worded('Method', content.methods),
        ...worded('Approach', content.approaches),
        ...worded('Specimen', content.specimens),
      ),
      usedCode: item.negated ? [] : concepts(content.devices),
    },
  })
}

function worded(name: string, all: readonly Concept[] = []): string[] {
  return all.map((one) => `${name}: ${wordsOf(one) ?? one.codings[0]?.code ?? ''}`)
}

/** A ServiceRequest for anything that is to be done and has no request of its own kind: procedures, tests, interventions. */
export function serviceRequest(from: Sourced, content: ItemContent, context: Context): Resource {
  const { item } = from
  const cast = openCast()
  const more = content.type === 'procedure' || content.type === 'plan' ? content : undefined
  const indications = more?.indications
  return finish({
    type: 'ServiceRequest',
    id: item.id,
    of: [from],
    cast,
    words: [
      `${item.negated ? 'Not to be done: ' : 'Planned: '}${wordsOf(subjectOf(content)) ?? ''}`,
      whenText(item.when),
      more?.instructions,
    ],
    extensions: moodOf(item),
    fields: {
      identifier: identifiers(item.identifiers),
      status: requestStatus(item, { revoked: 'revoked', ended: 'revoked' }),
      intent: requestIntent(item),
      doNotPerform: item.negated ? true : undefined,
      code: conceptOrAbsent(subjectOf(content)),
      subject: patientOf(context),
      ...moment('occurrence', item.when),
      authoredOn: dateTime(item.recordedAt),
      requester: cast.refer(recorderOf(item), anybody),
      performer: some(...(item.performers ?? []).map((one) => cast.refer(one, anybody))),
      reasonCode: concepts(indications),
      bodySite: content.type === 'procedure' ? concepts(content.bodySites) : [],
      patientInstruction: more?.instructions,
      note: notes(item, more?.value && more.value.kind !== 'absent' && `Value: ${valueText(more.value)}`),
    },
  })
}

const actCode = `${hl7}/v3-ActCode`

/** Class by CPT evaluation and management codes, where the source has no ActCode (C-CDA on FHIR, encounters). */
function cptClass(code: string): string | undefined {
  if (/^992(0[1-5]|1[1-5])$/.test(code)) return 'AMB'
  if (/^992(2[1-3]|3[1-9])$/.test(code)) return 'IMP'
  return /^9928[1-5]$/.test(code) ? 'EMER' : undefined
}

const encounterClasses = new Set(['AMB', 'EMER', 'FLD', 'HH', 'IMP', 'ACUTE', 'NONAC', 'OBSENC', 'PRENC', 'SS', 'VR'])

function classOf({ class: own, encounter }: Encounter): JsonObject {
  const codings = [...(own?.codings ?? []), ...encounter.codings]
  const known = codings.find(({ system, code }) => system === actCode && encounterClasses.has(code))
  if (known) return coding(known)
  const told: Coding | undefined = own?.codings.find(({ code }) => codeText(code) !== '')
  if (told) return coding(told)
  const cpt = codings
    .filter(({ system }) => system === 'http://www.ama-assn.org/go/cpt')
    .map(({ code }) => cptClass(code))
  const code = cpt.find((one) => one !== undefined)
  return code === undefined ? absent() : { system: actCode, code }
}

function encounterStatus({ item }: Sourced, when: When | undefined): string {
  const source = item.status?.source?.toLowerCase()
  if (source === 'nullified') return 'entered-in-error'
  if (item.negated || item.status?.folded === 'cancelled') return 'cancelled'
  if (isRequest(item) || item.status?.folded === 'planned') return 'planned'
  if (when?.value || when?.high || when?.highUnknown || item.status?.folded === 'completed') return 'finished'
  return item.status?.folded === 'active' ? 'in-progress' : 'unknown'
}

/** An Encounter (US Core): planned, finished, or cancelled where the source says that it did not take place. */
export function encounter(from: Sourced, content: Encounter, context: Context): Resource {
  const { item } = from
  const cast = openCast()
  const { when } = item
  const at = dateTime(when?.value)
  const people = some(...(item.performers ?? []).map((one) => cast.refer(one, ['person'])))
  const places: Resource[] = content.locations.map((name, index) => ({
    resourceType: 'Location',
    id: `l${index + 1}`,
    name,
  }))
  const kinds = concepts(content.locationKinds)
  if (places[0] && kinds.length > 0) places[0] = { ...places[0], type: kinds }
  cast.contained.push(...places)
  const provider = (item.performers ?? []).find(({ kind }) => kind === 'organization')
  const diagnoses = concepts(content.diagnoses)
  return finish({
    type: 'Encounter',
    id: item.id,
    of: [from],
    cast,
    words: [`${item.negated ? 'Did not take place: ' : ''}${wordsOf(content.encounter) ?? ''}`, whenText(when)],
    extensions: moodOf(item),
    fields: {
      identifier: identifiers(item.identifiers),
      status: encounterStatus(from, when),
      class: classOf(content),
      type: [conceptOrAbsent(content.encounter)],
      subject: patientOf(context),
      participant: people.map((individual) => ({ individual })),
      period: at === undefined ? period(when) : { start: at },
      reasonCode: [...concepts(content.indications), ...diagnoses],
      hospitalization: content.disposition ? { dischargeDisposition: concept(content.disposition) } : undefined,
      location: places.map(({ id, name }) => ({ location: { reference: `#${id}`, display: name } })),
      serviceProvider: cast.refer(provider, ['organization']),
    },
  })
}

/** A Device in the patient (US Core implantable device). Denied, it is an Observation; planned, a DeviceRequest. */
export function device(from: Sourced, content: Device, context: Context): Resource {
  const { item } = from
  const stopped = ['cancelled', 'inactive', 'resolved'].includes(item.status?.folded ?? '')
  return finish({
    type: 'Device',
    id: item.id,
    of: [from],
    words: [wordsOf(content.device), content.udi, content.manufacturer, content.model, whenText(item.when)],
    extensions: moodOf(item),
    fields: {
      identifier: identifiers(item.identifiers),
      udiCarrier:
        said(content.udi) === undefined && said(content.deviceIdentifier) === undefined
          ? []
          : [
              {
                deviceIdentifier: said(content.deviceIdentifier) ?? identifierIn(content.udi ?? ''),
                carrierHRF: content.udi,
              },
            ],
      status: item.status?.source === 'nullified' ? 'entered-in-error' : stopped ? 'inactive' : undefined,
      distinctIdentifier: content.distinctIdentifier,
      manufacturer: content.manufacturer,
      manufactureDate: dateTime(content.manufacturedAt),
      expirationDate: dateTime(content.expiresAt),
      lotNumber: content.lot,
      serialNumber: content.serial,
      modelNumber: content.model,
      deviceName: said(content.brand) === undefined ? [] : [{ name: content.brand, type: 'model-name' }],
      type: conceptOrAbsent(content.device),
      patient: patientOf(context),
      note: notes(
        item,
        content.quantity && `Quantity: ${quantityText(content.quantity)}`,
        ...worded('Body site', content.bodySites),
      ),
      safety: concepts(content.safety),
    },
  })
}

/** The device identifier of a GS1 or HIBCC carrier, which the whole of it begins with; the whole where it is of another kind. */
function identifierIn(udi: string): string {
  return /^\(01\)(\d{14})/.exec(udi)?.[1] ?? /^\+([A-Z0-9]+)\//.exec(udi)?.[1] ?? udi
}

export function deviceRequest(from: Sourced, content: Device, context: Context): Resource {
  const { item } = from
  const cast = openCast()
  return finish({
    type: 'DeviceRequest',
    id: item.id,
    of: [from],
    cast,
    words: [`${item.negated ? 'Not to be used: ' : 'Planned: '}${wordsOf(content.device) ?? ''}`, whenText(item.when)],
    extensions: moodOf(item),
    fields: {
      identifier: identifiers(item.identifiers),
      status: item.negated ? 'revoked' : requestStatus(item, { revoked: 'revoked', ended: 'revoked' }),
      intent: requestIntent(item),
      codeCodeableConcept: conceptOrAbsent(content.device),
      subject: patientOf(context),
      ...moment('occurrence', item.when),
      authoredOn: dateTime(item.recordedAt),
      requester: cast.refer(recorderOf(item), anybody),
      note: notes(item),
    },
  })
}

const lifecycles: Readonly<Record<string, string>> = {
  active: 'active',
  completed: 'completed',
  resolved: 'completed',
  cancelled: 'cancelled',
  inactive: 'on-hold',
  planned: 'planned',
}

/** A Goal (US Core), of whatever type the item is that the source hopes for. */
export function goal(from: Sourced, content: ItemContent, context: Context): Resource {
  const { item } = from
  const cast = openCast()
  const own: Partial<Goal> = content.type === 'goal' ? content : {}
  const target = own.target ?? ('value' in content ? content.value : undefined)
  const subject = subjectOf(content)
  const due = date(item.when?.high)
  const detail = target === undefined || target.kind === 'absent' ? {} : detailOf(value('detail', target))
  const measure = concept(subject)
  const reasons = concepts(own.reasons).map((code, at) => reason(code, `r${at + 1}`, context))
  cast.contained.push(...reasons)
  return finish({
    type: 'Goal',
    id: item.id,
    of: [from],
    cast,
    words: [
      `${item.negated ? 'Not a goal: ' : 'Goal: '}${wordsOf(subject) ?? ''}`,
      target && valueText(target),
      whenText(item.when),
    ],
    extensions: moodOf(item),
    fields: {
      identifier: identifiers(item.identifiers),
      lifecycleStatus: item.negated ? 'rejected' : (lifecycles[item.status?.folded ?? 'active'] ?? 'active'),
      priority: concept(own.priority),
      description: measure ?? absent(subject?.nullFlavor),
      subject: patientOf(context),
      startDate: date(item.when?.value ?? item.when?.low),
      target: due !== undefined || Object.keys(detail).length > 0 ? [{ measure, ...detail, dueDate: due }] : [],
      expressedBy: cast.refer(recorderOf(item), ['person']),
      addresses: reasons.map(({ id }) => ({ reference: `#${id}` })),
      note: notes(item, own.instructions),
    },
  })
}

/** What a goal answers to: a problem or a mere risk, so no more than unconfirmed. */
function reason(code: JsonObject, id: string, context: Context): Resource {
  return {
    resourceType: 'Condition',
    id,
    verificationStatus: coded(`${hl7}/condition-ver-status`, 'unconfirmed'),
    code,
    subject: patientOf(context),
  }
}

/** Goal.target.detail[x] takes no dateTime and no Period. */
function detailOf(detail: JsonObject): JsonObject {
  const { detailDateTime, detailPeriod, ...kept } = detail
  return typeof detailDateTime === 'string' ? { detailString: detailDateTime } : kept
}

/** Words of advice are a CarePlan (US Core); anything to be done is a ServiceRequest. */
export function carePlan(from: Sourced, content: Plan, context: Context): Resource {
  const { item } = from
  const cast = openCast()
  const at = dateTime(pointOf(item.when))
  return finish({
    type: 'CarePlan',
    id: item.id,
    of: [from],
    cast,
    words: [
      `${item.negated ? 'Not: ' : ''}${wordsOf(content.activity) ?? ''}`,
      content.instructions,
      whenText(item.when),
    ],
    extensions: moodOf(item),
    fields: {
      identifier: identifiers(item.identifiers),
      status: item.negated ? 'revoked' : requestStatus(item, { revoked: 'revoked', ended: 'revoked' }),
      intent: 'plan',
      category: [
        coded(`${usCore.replace('StructureDefinition', 'CodeSystem')}/careplan-category`, 'assess-plan'),
        ...some(concept(content.activity)),
      ],
      title: wordsOf(content.activity),
      description: content.instructions,
      subject: patientOf(context),
      period: item.when?.value ? { start: at } : period(item.when),
      created: dateTime(item.recordedAt),
      author: cast.refer(recorderOf(item), anybody),
      note: notes(item, ...worded('For', content.indications)),
    },
  })
}
