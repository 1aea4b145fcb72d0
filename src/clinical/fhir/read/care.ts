import type { Device, Encounter, Goal, Plan, Procedure } from '../../../direct/clinical.js'
import type { Concept } from '../../../direct/datatypes.js'
import { usCore, wordsOf } from '../datatypes.js'
import {
  filled,
  kept,
  readCoding,
  readConcept,
  readConcepts,
  readDate,
  readMoment,
  readPeriod,
  readValue,
  wantedConcept,
} from './datatypes.js'
import { readIntent } from './medication.js'
import {
  aborted,
  active,
  cancelled,
  completed,
  made,
  mustBeOfPatient,
  nullified,
  type ReadItem,
  type Reading,
  readAgent,
  readAgents,
  readNotes,
  readStatus,
  type Status,
  suspended,
  unknown,
} from './reading.js'

const done: Readonly<Record<string, Status>> = {
  completed,
  unknown,
  'in-progress': active,
  preparation: { folded: 'planned', source: 'preparation' },
  'not-done': cancelled,
  'on-hold': suspended,
  stopped: aborted,
  'entered-in-error': nullified,
}

export function readProcedure(reading: Reading): ReadItem {
  const { fields, log } = reading
  mustBeOfPatient(reading, 'subject')
  const known = readStatus(reading, 'status', done)
  const reason = readConcept(fields.object('statusReason'))
  if (reason && known?.code !== 'not-done')
    log.error('not-supported', `${fields.path}.statusReason`, 'The record keeps why it was not done')
  const recorder = readAgent(reading, fields.object('recorder'))
  const performers = fields.list('performer').flatMap((one) => {
    one.skip('function', 'Not kept')
    return readAgent(reading, one.object('actor')) ?? []
  })
  return made(reading, {
    content: kept<Procedure>({
      type: 'procedure',
      procedure: wantedConcept(fields, 'code'),
      bodySites: readConcepts(fields, 'bodySite'),
      devices: readConcepts(fields, 'usedCode'),
      indications: filled(readConcepts(fields, 'reasonCode')),
      complications: filled(readConcepts(fields, 'complication')),
      refusalReason: reason,
    }),
    negated: known?.code === 'not-done',
    status: known?.status,
    when: readMoment(fields, 'performed'),
    performers: filled(performers),
    authors: recorder ? [recorder] : [],
    notes: readNotes(fields),
  })
}

const requested: Readonly<Record<string, Status>> = {
  active,
  completed,
  unknown,
  revoked: cancelled,
  'on-hold': suspended,
  'entered-in-error': nullified,
}

/** Something to be done: a procedure to come, or with words for the patient, a plan. */
export function readServiceRequest(reading: Reading): ReadItem {
  const { fields } = reading
  mustBeOfPatient(reading, 'subject')
  const known = readStatus(reading, 'status', requested)
  const requester = readAgent(reading, fields.object('requester'))
  const subject = wantedConcept(fields, 'code')
  const indications = readConcepts(fields, 'reasonCode')
  return made(reading, {
    content: kept<Procedure>({
      type: 'procedure',
      procedure: subject,
      bodySites: readConcepts(fields, 'bodySite'),
      devices: [],
      indications: filled(indications),
      instructions: fields.text('patientInstruction'),
    }),
    negated: fields.flag('doNotPerform') === true,
    ...readIntent(reading),
    status: known?.status,
    when: readMoment(fields, 'occurrence'),
    recordedAt: readDate(fields, 'authoredOn'),
    performers: filled(readAgents(reading, fields.list('performer'))),
    authors: requester ? [requester] : [],
    notes: readNotes(fields),
  })
}

const met: Readonly<Record<string, Status>> = {
  unknown,
  finished: completed,
  planned: { folded: 'planned', source: 'planned' },
  'in-progress': active,
  cancelled,
  'entered-in-error': nullified,
}

export function readEncounter(reading: Reading): ReadItem {
  const { fields, log, resolve } = reading
  mustBeOfPatient(reading, 'subject')
  const known = readStatus(reading, 'status', met)
  const types = readConcepts(fields, 'type')
  if (types.length > 1) log.error('not-supported', `${fields.path}.type`, 'The record keeps one type')
  const kind = fields.object('class')
  const coding = kind && readCoding(kind)
  const gone = kind?.extensions('http://hl7.org/fhir/StructureDefinition/data-absent-reason') ?? []
  for (const one of gone) one.skip('valueCode')
  const stay = fields.object('hospitalization')
  const people = fields.list('participant').flatMap((one) => {
    one.skip('type', 'Not kept')
    one.skip('period', 'Not kept')
    return readAgent(reading, one.object('individual')) ?? []
  })
  const provider = readAgent(reading, fields.object('serviceProvider'))
  const places = fields.list('location').map((one) => {
    const reference = one.object('location')
    const target = resolve(reference?.text('reference') ?? '')
    for (const name of ['status', 'physicalType', 'period']) one.skip(name, 'Not kept')
    for (const name of ['address', 'status', 'identifier', 'telecom']) target?.skip(name, 'Not kept')
    return {
      name: target?.text('name') ?? reference?.text('display'),
      kinds: target ? readConcepts(target, 'type') : [],
      reference,
    }
  })
  for (const { reference } of places) reference?.skip('display')
  const period = readPeriod(fields.object('period'))
  return made(reading, {
    content: kept<Encounter>({
      type: 'encounter',
      encounter: types[0] ?? { codings: coding ? [coding] : [] },
      class: coding && { codings: [coding] },
      diagnoses: [],
      indications: filled(readConcepts(fields, 'reasonCode')),
      locations: places.flatMap(({ name }) => name ?? []),
      locationKinds: filled(places.flatMap(({ kinds }) => kinds)),
      disposition: readConcept(stay?.object('dischargeDisposition')),
    }),
    intent: known?.code === 'planned' ? 'planned' : 'performed',
    status: known?.status,
    when: period,
    performers: filled([...people, ...(provider ? [provider] : [])]),
    notes: undefined,
  })
}

const kepts: Readonly<Record<string, Status>> = {
  active,
  inactive: { folded: 'inactive', source: 'inactive' },
  'entered-in-error': nullified,
  unknown,
}

export function readDevice(reading: Reading): ReadItem {
  const { fields } = reading
  mustBeOfPatient(reading, 'patient')
  const known = fields.has('status') ? readStatus(reading, 'status', kepts) : undefined
  const [carrier] = fields.list('udiCarrier')
  const udi = carrier?.text('carrierHRF')
  const identifier = carrier?.text('deviceIdentifier')
  const [named] = fields.list('deviceName')
  named?.skip('type')
  return made(reading, {
    content: kept<Device>({
      type: 'device',
      device: wantedConcept(fields, 'type'),
      udi,
      deviceIdentifier: identifier,
      manufacturer: fields.text('manufacturer'),
      model: fields.text('modelNumber'),
      serial: fields.text('serialNumber'),
      lot: fields.text('lotNumber'),
      brand: named?.text('name'),
      distinctIdentifier: fields.text('distinctIdentifier'),
      safety: filled(readConcepts(fields, 'safety')),
      manufacturedAt: readDate(fields, 'manufactureDate'),
      expiresAt: readDate(fields, 'expirationDate'),
      bodySites: [],
    }),
    status: known?.status,
    notes: readNotes(fields),
  })
}

export function readDeviceRequest(reading: Reading): ReadItem {
  const { fields } = reading
  mustBeOfPatient(reading, 'subject')
  const known = readStatus(reading, 'status', requested)
  const asked = readIntent(reading)
  const requester = readAgent(reading, fields.object('requester'))
  return made(reading, {
    content: { type: 'device', device: wantedConcept(fields, 'codeCodeableConcept'), bodySites: [] },
    ...asked,
    negated: known?.code === 'revoked',
    status: known?.status,
    when: readMoment(fields, 'occurrence'),
    recordedAt: readDate(fields, 'authoredOn'),
    authors: requester ? [requester] : [],
    notes: readNotes(fields),
  })
}

const lifecycles: Readonly<Record<string, Status>> = {
  active,
  completed,
  cancelled,
  planned: { folded: 'planned', source: 'planned' },
  'on-hold': { folded: 'inactive', source: 'on-hold' },
  rejected: cancelled,
}

export function readGoal(reading: Reading): ReadItem {
  const { fields, log, resolve } = reading
  mustBeOfPatient(reading, 'subject')
  const known = readStatus(reading, 'lifecycleStatus', lifecycles)
  const [target, ...others] = fields.list('target')
  if (others.length > 0) log.error('not-supported', `${fields.path}.target`, 'The record keeps one target')
  target?.skip('measure')
  const low = readDate(fields, 'startDate')
  const high = target && readDate(target, 'dueDate')
  const author = readAgent(reading, fields.object('expressedBy'))
  const reasons = fields.list('addresses').flatMap((one): Concept[] => {
    const named = resolve(one.text('reference') ?? '')
    const display = one.text('display')
    for (const name of ['verificationStatus', 'subject', 'clinicalStatus']) named?.skip(name)
    const code = named && readConcept(named.object('code'))
    return code
      ? [code]
      : display === undefined
        ? (log.error('not-found', one.path, 'It names nothing that can be found') ?? [])
        : [{ codings: [], text: display }]
  })
  return made(reading, {
    content: kept<Goal>({
      type: 'goal',
      goal: wantedConcept(fields, 'description'),
      target: target && readValue(target, 'detail'),
      priority: readConcept(fields.object('priority')),
      reasons: filled(reasons),
    }),
    intent: 'goal',
    negated: known?.code === 'rejected',
    status: known?.status,
    when: low || high ? kept({ low, high }) : undefined,
    authors: author ? [author] : [],
    notes: readNotes(fields),
  })
}

/** Words of advice. Activities are resources of their own. */
export function readCarePlan(reading: Reading): ReadItem {
  const { fields, log } = reading
  mustBeOfPatient(reading, 'subject')
  const known = readStatus(reading, 'status', requested)
  const intent = fields.text('intent')
  if (intent !== 'plan') log.error('not-supported', `${fields.path}.intent`, 'The record keeps plans')
  const author = readAgent(reading, fields.object('author'))
  const categories = readConcepts(fields, 'category').filter(
    ({ codings }) =>
      !codings.some(
        ({ system, code }) =>
          code === 'assess-plan' && system?.startsWith(usCore.replace('StructureDefinition', 'CodeSystem')),
      ),
  )
  const title = fields.text('title')
  const [activity = { codings: [], ...(title !== undefined && { text: title }) }, ...others] = categories
  if (others.length > 0)
    log.error('not-supported', `${fields.path}.category`, 'The record keeps one category of a plan')
  const instructions = fields.text('description')
  if (activity.codings.length === 0 && activity.text === undefined)
    log.error('required', `${fields.path}.title`, 'It says of nothing what it is')
  else if (title !== undefined && wordsOf(activity) !== title)
    log.error('not-supported', `${fields.path}.title`, 'The record keeps one name of a plan')
  return made(reading, {
    content: kept<Plan>({ type: 'plan', activity, instructions, indications: [] }),
    negated: known?.code === 'revoked',
    status: known?.status,
    when: readPeriod(fields.object('period')),
    recordedAt: readDate(fields, 'created'),
    authors: author ? [author] : [],
    notes: readNotes(fields),
  })
}
