import type { Direction, Immunization, Medication, RecordItem, Supply } from '../../../direct/clinical.js'
import type { Concept, Quantity, QuantityRange, Ratio, Timing, When } from '../../../direct/datatypes.js'
import { denies } from '../../denial.js'
import { own, usCore, wordsOf } from '../datatypes.js'
import { details } from '../medication.js'
import {
  filled,
  kept,
  partialDate,
  readConcept,
  readConcepts,
  readDate,
  readIdentifiers,
  readMoment,
  readPeriod,
  readQuantity,
  readRange,
  readRatio,
  wantedConcept,
} from './datatypes.js'
import type { Fields } from './fields.js'
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
  readNotes,
  readStatus,
  type Status,
  stopped,
  suspended,
  unknown,
} from './reading.js'

const requested: Readonly<Record<string, Status>> = {
  active,
  completed,
  cancelled,
  stopped,
  unknown,
  'on-hold': suspended,
  'entered-in-error': nullified,
}

/** What is meant by the intent of a request; the moods that a record tells apart. */
export const intents: Readonly<Record<string, Pick<RecordItem, 'intent' | 'mood'>>> = {
  proposal: { intent: 'planned', mood: 'PRP' },
  plan: { intent: 'planned' },
  order: { intent: 'ordered' },
}

export function readIntent({ fields, log }: Reading): Pick<RecordItem, 'intent' | 'mood'> {
  const code = fields.text('intent')
  if (code === undefined) log.error('required', `${fields.path}.intent`, 'This is missing')
  const known = code !== undefined && Object.hasOwn(intents, code) ? intents[code] : undefined
  if (code !== undefined && !known)
    log.error('not-supported', `${fields.path}.intent`, 'The record cannot keep this intent')
  return known ?? {}
}

/** The product, by its concept or as a Medication that is contained or stands in the same Bundle. */
function readProduct(reading: Reading): Pick<Medication, 'product'> & Partial<Medication> {
  const { fields, log, resolve } = reading
  const type = fields.choice('medication')
  if (type === 'CodeableConcept')
    return { product: wantedConcept(fields, 'medicationCodeableConcept'), ...supporting(reading) }
  if (type !== 'Reference') {
    log.error('required', `${fields.path}.medication`, 'This is missing')
    return { product: { codings: [] } }
  }
  const reference = fields.object('medicationReference')
  const named = reference?.text('reference')
  const display = reference?.text('display')
  reference?.skip('type')
  const target = named === undefined ? undefined : resolve(named)
  if (target?.text('resourceType') === 'Medication') {
    const { product, ...more } = readMedication(reading, target)
    if (product) return { product, ...more }
  }
  if (display !== undefined) return { product: { codings: [], text: display } }
  log.error('not-found', `${fields.path}.medicationReference`, 'It names no medication that can be found')
  return { product: { codings: [] } }
}

/** What our own requests tell of the product beside its name. */
function supporting(reading: Reading): Partial<Medication> {
  const { fields, log, resolve } = reading
  if (!fields.has('supportingInformation')) return {}
  const [first, ...others] = fields.list('supportingInformation')
  const named = first?.text('reference')
  first?.skip('display')
  const target = named === undefined ? undefined : resolve(named)
  if (others.length > 0 || target?.text('resourceType') !== 'Medication') {
    log.error(
      'not-supported',
      `${fields.path}.supportingInformation`,
      'The record keeps no more than a Medication here',
    )
    return {}
  }
  const { product: _, ...more } = readMedication(reading, target)
  return more
}

function readMedication(reading: Reading, fields: Fields): Partial<Medication> {
  const [brand] = fields.extensions(`${own}:brand`)
  const maker = readAgent(reading, fields.object('manufacturer'))
  const all = fields.list('ingredient')
  const carriers = all.filter((one) => one.flag('isActive') === false)
  const strengths = all.flatMap((one) => {
    const strength = readRatio(one.object('strength'))
    if (carriers.includes(one)) return []
    const named = readConcept(one.object('itemCodeableConcept'))
    if (named && named.codings.length + (named.text?.length ?? 0) > 0)
      one.log.warn(one.path, 'Not kept: which substance it is')
    if (!strength) return []
    if (strength.denominator)
      return one.log.error('not-supported', `${one.path}.strength`, 'The record keeps a strength of one') ?? []
    return [strength.numerator]
  })
  const batch = fields.object('batch')
  if (batch) fields.log.warn(batch.path, 'Not kept')
  for (const name of ['lotNumber', 'expirationDate']) batch?.skip(name)
  for (const name of ['identifier', 'status', 'amount']) fields.skip(name, 'Not kept')
  return kept<Partial<Medication>>({
    product: readConcept(fields.object('code')),
    brand: brand && readConcept(brand.object('valueCodeableConcept')),
    strength: strengths.length === 1 ? strengths[0] : undefined,
    strengths: strengths.length > 1 ? strengths : undefined,
    form: readConcept(fields.object('form')),
    manufacturer: maker?.text,
    vehicles: filled(carriers.flatMap((one) => readConcept(one.object('itemCodeableConcept')) ?? [])),
  })
}

/** What dosages say together, and when the whole is taken. */
interface Dosed {
  readonly content: Partial<Medication>
  readonly when: When | undefined
}

interface Dosage {
  readonly sequence: string | undefined
  readonly text: string | undefined
  readonly more: string | undefined
  readonly timings: readonly Timing[]
  readonly when: When | undefined
  readonly dose: Quantity | undefined
  readonly doseRange: QuantityRange | undefined
  readonly route: Concept | undefined
  /** What all dosages of a medication must agree on. */
  readonly shared: {
    readonly asNeeded: boolean
    readonly preconditions: readonly Concept[] | undefined
    readonly site: Concept | undefined
    readonly rate: Quantity | undefined
    readonly maxDose: Ratio | undefined
  }
}

/** Dosages as directions: several timings of one sequence hold together, several sequences follow one another. */
function readDosages(fields: Fields, name: string): Dosed {
  const all = fields.list(name).map(readDosage)
  const [first] = all
  if (!first) return { content: { asNeeded: false, timings: [] }, when: undefined }
  const differs = (pick: (one: Dosage) => unknown) =>
    all.some((one) => JSON.stringify(pick(one)) !== JSON.stringify(pick(first)))
  if (differs(({ shared }) => shared)) {
    fields.log.error(
      'not-supported',
      `${fields.path}.${name}`,
      'The record keeps one site, rate, maximum and need for all directions',
    )
  }
  if (differs(({ when }) => when)) {
    fields.log.error(
      'not-supported',
      `${fields.path}.${name}`,
      'The record keeps one period of taking for all directions',
    )
  }
  const shared = kept<Partial<Medication>>(first.shared)
  const bySequence = new Map<string, Dosage[]>()
  for (const one of all) {
    const key = one.sequence ?? `${one.text}`
    bySequence.set(key, [...(bySequence.get(key) ?? []), one])
  }
  const groups = [...bySequence.values()]
  if (groups.length === 1 && !differs(({ text, dose, doseRange, route }) => [text, dose, doseRange, route])) {
    const { text, more, dose, doseRange, route, when } = first
    if (more !== undefined && text !== undefined) {
      fields.log.error(
        'not-supported',
        `${fields.path}.${name}[0].additionalInstruction`,
        'The record keeps one text here',
      )
    }
    const timings = all.flatMap((one) => one.timings)
    return {
      content: {
        ...shared,
        ...kept<Partial<Medication>>({ dose, doseRange, route, instructions: text ?? more, timings }),
      },
      when,
    }
  }
  const directions = groups.map((group): Direction => {
    const [one = first] = group
    const { dose, doseRange, route } = one
    if (one.text === undefined)
      fields.log.error('required', `${fields.path}.${name}.text`, 'One of several directions has words')
    return kept<Direction>({
      dose,
      doseRange,
      route,
      timings: group.flatMap(({ timings }) => timings),
      text: one.text ?? '',
    })
  })
  return { content: { ...shared, timings: [], directions, ...kept({ instructions: first.more }) }, when: first.when }
}

function readDosage(fields: Fields): Dosage {
  const sequence = fields.decimal('sequence')
  const [more, ...others] = readConcepts(fields, 'additionalInstruction')
  if (others.length > 0)
    fields.log.error('not-supported', `${fields.path}.additionalInstruction`, 'The record keeps one instruction here')
  const [given, ...given2] = fields.list('doseAndRate')
  if (given2.length > 0)
    fields.log.error('not-supported', `${fields.path}.doseAndRate`, 'The record keeps one dose here')
  given?.skip('type', 'Not kept')
  const worded = readWordedDose(fields)
  const need = fields.choice('asNeeded')
  const precondition = need === 'CodeableConcept' ? readConcept(fields.object('asNeededCodeableConcept')) : undefined
  const needed = need === 'Boolean' ? fields.flag('asNeededBoolean') === true : precondition !== undefined
  const timing = fields.object('timing')
  const times = timing ? readTiming(timing) : { timings: [], when: undefined }
  return {
    sequence,
    text: fields.text('text'),
    more: wordsOf(more),
    ...times,
    dose: readQuantity(given?.object('doseQuantity')) ?? worded,
    doseRange: readRange(given?.object('doseRange')),
    route: readConcept(fields.object('route')),
    shared: {
      asNeeded: needed,
      preconditions: precondition && [precondition],
      site: readConcept(fields.object('site')),
      rate: readQuantity(given?.object('rateQuantity')),
      maxDose: readRatio(fields.object('maxDosePerPeriod')),
    },
  }
}

/** A dose below or above a number, which a simple quantity of FHIR cannot say: our own writer says it so. */
function readWordedDose(fields: Fields): Quantity | undefined {
  const words = fields.text('patientInstruction')
  if (words === undefined) return undefined
  const [, comparator, value = '', unit] = /^Dose: ([<>])(\S+)(?: (.+))?$/.exec(words) ?? []
  return comparator === '<' || comparator === '>'
    ? kept<Quantity>({ value, unit, comparator })
    : fields.log.error('not-supported', `${fields.path}.patientInstruction`, 'The record keeps one text of a direction')
}

function readTiming(fields: Fields): { timings: Timing[]; when: When | undefined } {
  const events = fields.texts('event')
  const moments = events.flatMap(
    (one, at) =>
      partialDate(one) ?? fields.log.error('value', `${fields.path}.event[${at}]`, 'This is not a date of FHIR') ?? [],
  )
  const repeat = fields.object('repeat')
  const bounds = repeat?.choice('bounds') === 'Period' ? readPeriod(repeat.object('boundsPeriod')) : undefined
  const code = readConcept(fields.object('code'))
  const words = [wordsOf(code) ?? code?.codings[0]?.code]
  const frequency = repeat?.decimal('frequency')
  const period = repeat?.decimal('period')
  const unit = repeat?.text('periodUnit')
  const high = repeat?.decimal('periodMax')
  let every: Quantity | undefined
  if (period !== undefined && unit !== undefined) {
    if (frequency === undefined || frequency === '1') every = { value: period, unit }
    // Twelve hours are not twice a day: nothing is computed.
    else words.push(`${frequency} times every ${period}${high === undefined ? '' : ` to ${high}`} ${unit}`)
  } else if (frequency !== undefined || period !== undefined) {
    fields.log.error('invariant', `${fields.path}.repeat`, 'A frequency has its period and its unit')
  }
  const text = words.filter((one) => one !== undefined).join(', ')
  const offset = repeat?.decimal('offset')
  const whens = repeat?.texts('when') ?? []
  const base = kept<Timing>({
    period: every,
    periodHigh: every && high !== undefined && unit !== undefined ? { value: high, unit } : undefined,
    text: text === '' ? undefined : text,
  })
  const atEvents = whens.map((event) =>
    kept<Timing>({ ...base, event, offset: offset === undefined ? undefined : { value: offset, unit: 'min' } }),
  )
  const [moment] = moments
  const plain = Object.keys(base).length > 0 && atEvents.length === 0 ? [base] : []
  // The only thing known of the time is the moment: then it is that of the whole.
  if (moments.length === 1 && moment && !bounds && plain.length === 0 && atEvents.length === 0)
    return { timings: [], when: { value: moment } }
  const first = moments.length === 1 && moment && atEvents.length === 0 ? [{ ...base, moment }] : undefined
  return { timings: first ?? [...plain, ...atEvents, ...moments.map((one) => ({ moment: one }))], when: bounds }
}

export function readMedicationRequest(reading: Reading): ReadItem | undefined {
  const { fields, log } = reading
  mustBeOfPatient(reading, 'subject')
  const known = readStatus(reading, 'status', requested)
  const asked = readIntent(reading)
  const listed = fields.flag('reportedBoolean') === true
  if (listed && asked.intent === 'ordered')
    log.warn(`${fields.path}.reportedBoolean`, 'Not kept: an order is an order, whoever reports it')
  const taken = listed && asked.intent === 'planned' && asked.mood === undefined
  const said = readProduct(reading)
  const requester = readAgent(reading, fields.object('requester'))
  const recorder = readAgent(reading, fields.object('recorder'))
  if (recorder && requester && recorder.text !== requester.text)
    log.warn(`${fields.path}.recorder`, 'Not kept beside the requester')
  const { content: dosed, when } = readDosages(fields, 'dosageInstruction')
  const denied = fields.flag('doNotPerform') === true || (taken && denies(said.product))
  const content = kept<Medication>({
    type: 'medication',
    ...said,
    ...(dosed as Pick<Medication, 'asNeeded' | 'timings'>),
    indications: readConcepts(fields, 'reasonCode'),
    refusalReason: readConcept(fields.object('statusReason')),
    adherence: readAdherence(fields),
    ...readSupply(reading),
  })
  return made(reading, {
    content,
    negated: denied,
    ...(taken ? { intent: 'performed' as const } : asked),
    status: known?.status,
    when,
    recordedAt: readDate(fields, 'authoredOn'),
    authors: [requester ?? recorder].filter((one) => one !== undefined),
    notes: readNotes(fields, details(content)),
  })
}

function readAdherence(fields: Fields): Concept | undefined {
  const [found] = fields.extensions(`${usCore}/us-core-medication-adherence`)
  const [adherence] = found?.extensions('medicationAdherence') ?? []
  for (const one of found?.extensions('dateAsserted') ?? []) one.skip('valueDateTime')
  return adherence && readConcept(adherence.object('valueCodeableConcept'))
}

/** What may be handed out: refills and quantity of the medication, and an order to supply where more is said. */
function readSupply(reading: Reading): Partial<Medication> {
  const request = reading.fields.object('dispenseRequest')
  if (!request) return {}
  const refills = request.decimal('numberOfRepeatsAllowed')
  const quantity = readQuantity(request.object('quantity'))
  const when = readPeriod(request.object('validityPeriod'))
  const daysSupply = readQuantity(request.object('expectedSupplyDuration'))
  const by = readAgent(reading, request.object('performer'))
  const order = when || daysSupply || by
  return kept<Partial<Medication>>({
    refills,
    quantity,
    supplies: order ? [kept<Supply>({ kind: 'order', quantity, daysSupply, when, by, identifiers: [] })] : undefined,
  })
}

const statements: Readonly<Record<string, Status>> = {
  active,
  completed,
  stopped,
  unknown,
  intended: { folded: 'planned', source: 'intended' },
  'not-taken': cancelled,
  'on-hold': suspended,
  'entered-in-error': nullified,
}

/** What is taken, as somebody says (MedicationStatement). */
export function readMedicationStatement(reading: Reading): ReadItem | undefined {
  const { fields } = reading
  mustBeOfPatient(reading, 'subject')
  const known = readStatus(reading, 'status', statements)
  const said = readProduct(reading)
  const { content: dosed, when: bounds } = readDosages(fields, 'dosage')
  const source = readAgent(reading, fields.object('informationSource'))
  const content = kept<Medication>({
    type: 'medication',
    ...said,
    ...(dosed as Pick<Medication, 'asNeeded' | 'timings'>),
    indications: readConcepts(fields, 'reasonCode'),
    refusalReason: readConcepts(fields, 'statusReason')[0],
  })
  const when = readMoment(fields, 'effective')
  return made(reading, {
    content,
    negated: known?.code === 'not-taken' || denies(said.product),
    intent: known?.code === 'intended' ? 'planned' : 'performed',
    status: known?.status,
    when: when ?? bounds,
    recordedAt: readDate(fields, 'dateAsserted'),
    authors: source ? [source] : [],
    notes: readNotes(fields, details(content)),
  })
}

const administered: Readonly<Record<string, Status>> = {
  completed,
  unknown,
  stopped: aborted,
  'in-progress': active,
  'not-done': cancelled,
  'on-hold': suspended,
  'entered-in-error': nullified,
}

export function readMedicationAdministration(reading: Reading): ReadItem | undefined {
  const { fields, log } = reading
  mustBeOfPatient(reading, 'subject')
  const known = readStatus(reading, 'status', administered)
  const said = readProduct(reading)
  const dosage = fields.object('dosage')
  if (dosage?.choice('rate') === 'Ratio')
    log.error('not-supported', `${dosage.path}.rate`, 'The record keeps a rate as a quantity')
  const performers = fields.list('performer').flatMap((one) => {
    one.skip('function', 'Not kept')
    return readAgent(reading, one.object('actor')) ?? []
  })
  const content = kept<Medication>({
    type: 'medication',
    ...said,
    timings: [],
    asNeeded: false,
    dose: readQuantity(dosage?.object('dose')),
    rate: readQuantity(dosage?.object('rateQuantity')),
    route: readConcept(dosage?.object('route')),
    site: readConcept(dosage?.object('site')),
    instructions: dosage?.text('text'),
    indications: readConcepts(fields, 'reasonCode'),
    refusalReason: readConcepts(fields, 'statusReason')[0],
  })
  return made(reading, {
    content,
    negated: known?.code === 'not-done',
    status: known?.status,
    when: readMoment(fields, 'effective'),
    performers: filled(performers),
    notes: readNotes(fields, details(content)),
  })
}

const dispensed: Readonly<Record<string, string>> = {
  completed: 'completed',
  'in-progress': 'active',
  'on-hold': 'suspended',
  stopped: 'aborted',
  cancelled: 'cancelled',
  'entered-in-error': 'nullified',
  unknown: 'unknown',
}

/** What was handed out: a medication of which nothing else is known than that. */
export function readMedicationDispense(reading: Reading): ReadItem | undefined {
  const { fields, log } = reading
  mustBeOfPatient(reading, 'subject')
  const status = fields.text('status')
  const word = status !== undefined && Object.hasOwn(dispensed, status) ? dispensed[status] : undefined
  if (word === undefined) log.error('not-supported', `${fields.path}.status`, 'The record cannot keep this status')
  const said = readProduct(reading)
  const [actor] = fields.list('performer')
  actor?.skip('function', 'Not kept')
  const at = readDate(fields, 'whenHandedOver')
  const fill = readNotes(fields)
  fields.skip('authorizingPrescription', 'Not kept')
  const [instruction] = fields.list('dosageInstruction')
  const fills = fill?.length === 1 ? /^Fill (\S+)$/.exec(fill[0] ?? '')?.[1] : undefined
  const supply = kept<Supply>({
    kind: 'dispense',
    quantity: readQuantity(fields.object('quantity')),
    daysSupply: readQuantity(fields.object('daysSupply')),
    fills,
    when: at && { value: at },
    status: word,
    by: readAgent(reading, actor?.object('actor')),
    instructions: instruction?.text('text'),
    identifiers: readIdentifiers(fields),
  })
  const content = {
    type: 'medication' as const,
    ...said,
    timings: [],
    asNeeded: false,
    indications: [],
    supplies: [supply],
  }
  return made(reading, {
    content,
    identifiers: [],
    status: unknown,
    when: at && { value: at },
    notes: fills === undefined ? fill : undefined,
  })
}

const given: Readonly<Record<string, Status>> = { completed, 'not-done': cancelled, 'entered-in-error': nullified }

export function readImmunization(reading: Reading): ReadItem | undefined {
  const { fields, log } = reading
  mustBeOfPatient(reading, 'patient')
  const known = readStatus(reading, 'status', given)
  const notDone = known?.code === 'not-done'
  const reason = readConcept(fields.object('statusReason'))
  if (reason && !notDone)
    log.error('not-supported', `${fields.path}.statusReason`, 'The record keeps why it was not given')
  const when = readMoment(fields, 'occurrence')
  const maker = fields.object('manufacturer')
  fields.skip('primarySource', 'Not kept')
  const performers = fields.list('performer').flatMap((one) => {
    one.skip('function')
    return readAgent(reading, one.object('actor')) ?? []
  })
  const [protocol, ...others] = fields.list('protocolApplied')
  if (others.length > 0)
    log.error('not-supported', `${fields.path}.protocolApplied`, 'The record keeps one number of a dose')
  const number = protocol?.choice('doseNumber')
  return made(reading, {
    content: kept<Immunization>({
      type: 'immunization',
      vaccine: wantedConcept(fields, 'vaccineCode'),
      lot: fields.text('lotNumber'),
      manufacturer: maker && readAgent(reading, maker)?.text,
      expiresAt: readDate(fields, 'expirationDate'),
      route: readConcept(fields.object('route')),
      site: readConcept(fields.object('site')),
      dose: readQuantity(fields.object('doseQuantity')),
      doseNumber:
        number === 'PositiveInt' ? protocol?.decimal('doseNumberPositiveInt') : protocol?.text('doseNumberString'),
      refusalReason: reason,
      indications: filled(readConcepts(fields, 'reasonCode')),
    }),
    negated: notDone,
    status: known?.status,
    when: when?.text === 'unknown' ? undefined : when,
    recordedAt: readDate(fields, 'recorded'),
    performers: filled(performers),
    notes: readNotes(fields),
  })
}
