import type { Immunization, Medication, RecordItem, Supply } from '../../../direct/clinical.js'
import type { Concept, Timing } from '../../../direct/datatypes.js'
import { type Content, element, type Markup, textElement } from '../../../xml/write.js'
import { directionWords } from '../directions.js'
import { reaction } from './conditions.js'
import {
  actCode,
  code,
  fixed,
  identifier,
  interval,
  isNumeric,
  loinc,
  optionalCode,
  optionalPeriod,
  period,
  quantity,
  ratio,
  snomed,
  template,
  time,
  timeOf,
} from './datatypes.js'
import { author, performer } from './people.js'
import {
  appendix,
  type Entry,
  idsOf,
  indication,
  instruction,
  moodOf,
  participations,
  pointer,
  relation,
  statement,
  status,
  textReference,
} from './statement.js'

const ofActs = new Set([
  'active',
  'completed',
  'aborted',
  'suspended',
  'held',
  'cancelled',
  'nullified',
  'new',
  'obsolete',
])
const ofFolded: Readonly<Record<string, string>> = {
  active: 'active',
  inactive: 'suspended',
  resolved: 'completed',
  completed: 'completed',
  planned: 'active',
  cancelled: 'aborted',
}

/** statusCode of something done or given: the source's own where it is an ActStatus, else what the status folds to; unknown stays so. */
export function actStatus({ status: said }: RecordItem): string | undefined {
  const source = said?.source?.toLowerCase()
  if (source !== undefined && ofActs.has(source)) return source
  return said && ofFolded[said.folded]
}

/** Medication activity (C-CDA 22.4.16), or planned medication (22.4.42) where it stands in the plan. */
export function medicationEntry(entry: Entry, medication: Medication, planned = false): Markup {
  const { item, ref } = entry
  const { dose, doseRange, product } = medication
  return statement(
    'substanceAdministration',
    { class: 'SBADM', mood: moodOf(item), negated: item.negated, nullFlavor: item.nullFlavor },
    planned ? template('22.4.42', '2014-06-09') : template('22.4.16', '2014-06-09'),
    idsOf(item),
    textReference(ref),
    status(planned ? 'active' : actStatus(item)),
    regimen(item, medication.timings),
    optionalCode('routeCode', medication.route, { qualified: false }),
    optionalCode('approachSiteCode', medication.site),
    quantity('doseQuantity', dose) ?? (doseRange && interval('doseQuantity', doseRange)),
    quantity('rateQuantity', medication.rate),
    medication.maxDose && ratio('maxDoseQuantity', medication.maxDose),
    optionalCode('administrationUnitCode', medication.form, { qualified: false }),
    consumable(product, {
      words: `${ref}-1`,
      name: medication.brand?.text,
      manufacturer: medication.manufacturer,
      template: template('22.4.23', '2014-06-09'),
    }),
    participations(item),
    medication.vehicles?.map(vehicle),
    medication.indications.map((one, at) => indication(item, one, `indication-${at}`)),
    medication.refusalReason && refusal(item, medication.refusalReason),
    directions(entry, medication),
    supplies(item, medication),
    medication.reactions?.map((one, at) => reaction(item, one, 'CAUS', at)),
    medication.adherence && adherence(medication.adherence),
    appendix(entry),
    medication.asNeeded ? preconditions(medication.preconditions ?? []) : undefined,
  )
}

/** Period first, then what repeats within it (C-CDA R2.1, Medication Activity). Timings in words alone become directions. */
function regimen(item: RecordItem, timings: readonly Timing[]): Content {
  const { when } = item
  const single = when?.value !== undefined && !when.low && !when.high
  const moments = timings.filter(
    ({ moment }) => moment !== undefined && !(single && when.value && timeOf(moment) === timeOf(when.value)),
  )
  return [
    single && when.value
      ? element('effectiveTime', { value: timeOf(when.value) })
      : period('effectiveTime', when, { type: 'IVL_TS', begins: true }),
    timings.map((timing) => repeated(timing)),
    moments.map(({ moment }) => moment && element('effectiveTime', { operator: 'A', value: timeOf(moment) })),
  ]
}

function repeated({ period: every, periodHigh, event, offset, institutionSpecified }: Timing): Content {
  if (event !== undefined) {
    return element(
      'effectiveTime',
      { 'xsi:type': 'EIVL_TS', operator: 'A' },
      element('event', { code: event }),
      isNumeric(offset) ? element('offset', {}, quantity('low', offset)) : undefined,
    )
  }
  if (!isNumeric(every) && !isNumeric(periodHigh)) return undefined
  return element(
    'effectiveTime',
    { 'xsi:type': 'PIVL_TS', operator: 'A', institutionSpecified: institutionSpecified ? 'true' : undefined },
    periodHigh === undefined
      ? quantity('period', every)
      : interval('period', { ...(every ? { low: every } : {}), high: periodHigh }, 'IVL_PQ'),
  )
}

interface ProductOptions {
  readonly words?: string | undefined
  readonly name?: string | undefined
  readonly lot?: string | undefined
  readonly manufacturer?: string | undefined
  readonly template: Content
}

function consumable(product: Concept, options: ProductOptions, local = 'consumable'): Markup {
  return element(
    local,
    {},
    element(
      'manufacturedProduct',
      { classCode: 'MANU' },
      options.template,
      element(
        'manufacturedMaterial',
        {},
        code('code', product, { words: options.words, qualified: false }),
        textElement('name', options.name),
        textElement('lotNumberText', options.lot),
      ),
      options.manufacturer === undefined
        ? undefined
        : element('manufacturerOrganization', {}, textElement('name', options.manufacturer)),
    ),
  )
}

/** Drug vehicle (C-CDA 22.4.24). */
function vehicle(concept: Concept): Markup {
  return element(
    'participant',
    { typeCode: 'CSM' },
    element(
      'participantRole',
      { classCode: 'MANU' },
      template('22.4.24'),
      fixed('code', '412307009', snomed, 'Drug vehicle'),
      element('playingEntity', { classCode: 'MMAT' }, code('code', concept, { qualified: false })),
    ),
  )
}

/** Free-text sig (C-CDA 22.4.147). */
function directions({ ref }: Entry, medication: Medication): Content {
  if (directionWords(medication) === '') return undefined
  return relation(
    'COMP',
    statement(
      'substanceAdministration',
      { class: 'SBADM', mood: 'INT' },
      template('22.4.147'),
      fixed('code', '76662-6', loinc, 'Instructions Medication'),
      element('text', {}, pointer(`${ref}-2`)),
      element(
        'consumable',
        {},
        element('manufacturedProduct', {}, element('manufacturedLabeledDrug', { nullFlavor: 'NA' })),
      ),
    ),
  )
}

/** Supplies as the source had them; where it only told quantity or refills, an order that says them. */
function supplies(item: RecordItem, medication: Medication): Content {
  const { quantity: amount, refills } = medication
  if (medication.supplies && medication.supplies.length > 0) {
    return medication.supplies.map((one, at) => supply(item, medication.product, one, at))
  }
  if (amount === undefined && refills === undefined) return undefined
  // repeatNumber counts all fills, the first included.
  const fills = refills !== undefined && /^\d{1,4}$/.test(refills) ? { fills: String(Number(refills) + 1) } : {}
  const order: Supply = { kind: 'order', ...(amount ? { quantity: amount } : {}), ...fills, identifiers: [] }
  return supply(item, medication.product, order, 0)
}

/** Medication supply order and dispense (C-CDA 22.4.17, 22.4.18). */
function supply(item: RecordItem, product: Concept, given: Supply, at: number): Markup {
  const order = given.kind === 'order'
  const state = given.status?.toLowerCase()
  return relation(
    'REFR',
    statement(
      'supply',
      { class: 'SPLY', mood: order ? 'INT' : 'EVN' },
      template(order ? '22.4.17' : '22.4.18', '2014-06-09'),
      given.identifiers.length > 0 ? given.identifiers.map(identifier) : idsOf(item, `supply-${at}`),
      status(state !== undefined && ofActs.has(state) ? state : order ? undefined : 'completed'),
      optionalPeriod('effectiveTime', given.when, { type: 'IVL_TS' }),
      given.fills !== undefined && /^\d+$/.test(given.fills)
        ? element('repeatNumber', { value: given.fills })
        : undefined,
      quantity('quantity', given.quantity),
      given.daysSupply && element('expectedUseTime', {}, quantity('width', given.daysSupply)),
      consumable(given.product ?? product, { template: template('22.4.23', '2014-06-09') }, 'product'),
      given.by && (order ? author(given.by, undefined) : performer(given.by)),
      given.instructions === undefined ? undefined : instruction(given.instructions),
    ),
  )
}

function adherence(concept: Concept): Markup {
  return relation(
    'COMP',
    statement(
      'observation',
      { class: 'OBS', mood: 'EVN' },
      template('22.4.508', '2023-05-01', '3.0'),
      fixed('code', '418633004', snomed, 'Medication compliance'),
      status('completed'),
      time('effectiveTime', undefined),
      code('value', concept, { type: 'CD' }),
    ),
  )
}

/** Precondition for substance administration (C-CDA 22.4.25): as needed, and for what as far as the source says. */
function preconditions(all: readonly Concept[]): Content {
  const reasons: readonly Concept[] = all.length > 0 ? all : [{ codings: [], nullFlavor: 'NI' }]
  return reasons.map((reason) =>
    element(
      'precondition',
      { typeCode: 'PRCN' },
      element(
        'criterion',
        {},
        template('22.4.25', '2014-06-09'),
        // Without a reason there is nothing to assert.
        all.length > 0 ? fixed('code', 'ASSERTION', actCode, 'Assertion') : undefined,
        code('value', reason, { type: 'CD' }),
      ),
    ),
  )
}

/** Immunization activity (C-CDA 22.4.52), or planned immunization (22.4.120): one that was not given is negated, with its reason. */
export function immunizationEntry(entry: Entry, immunization: Immunization, planned = false): Markup {
  const { item, ref } = entry
  const { vaccine, refusalReason, doseNumber, instructions } = immunization
  return statement(
    'substanceAdministration',
    { class: 'SBADM', mood: moodOf(item), negated: item.negated, nullFlavor: item.nullFlavor },
    planned ? template('22.4.120') : template('22.4.52', '2015-08-01'),
    idsOf(item),
    textReference(ref),
    status(planned ? 'active' : (actStatus(item) ?? 'completed')),
    period('effectiveTime', item.when),
    doseNumber !== undefined && /^\d+$/.test(doseNumber) ? element('repeatNumber', { value: doseNumber }) : undefined,
    optionalCode('routeCode', immunization.route, { qualified: false }),
    optionalCode('approachSiteCode', immunization.site),
    quantity('doseQuantity', immunization.dose),
    consumable(vaccine, {
      words: `${ref}-1`,
      lot: immunization.lot,
      manufacturer: immunization.manufacturer,
      template: template('22.4.54', '2014-06-09'),
    }),
    participations(item),
    refusalReason && refusal(item, refusalReason),
    immunization.indications?.map((one, at) => indication(item, one, `indication-${at}`)),
    instructions === undefined ? undefined : instruction(instructions),
    immunization.reactions?.map((one, at) => reaction(item, one, 'CAUS', at)),
    appendix(entry),
  )
}

/** Why it was not given or taken (C-CDA 22.4.53). */
function refusal(item: RecordItem, reason: Concept): Markup {
  return relation(
    'RSON',
    statement(
      'observation',
      { class: 'OBS', mood: 'EVN' },
      template('22.4.53'),
      idsOf(item, 'refusal'),
      code('code', reason),
      status('completed'),
    ),
  )
}
