import type { Immunization, Medication, RecordItem, Supply } from '../../direct/clinical.js'
import type { Concept, Quantity, QuantityRange, Timing, When } from '../../direct/datatypes.js'
import { denies } from '../denial.js'
import {
  absent,
  codeText,
  concept,
  conceptOrAbsent,
  concepts,
  dateTime,
  extension,
  identifiers,
  names,
  own,
  period,
  pointOf,
  quantity,
  quantityText,
  range,
  ratio,
  simple,
  snomed,
  usCore,
  whenText,
  wordsOf,
} from './datatypes.js'
import { requestIntent, requestStatus } from './intent.js'
import { decimalOf, integerOf, type JsonObject, lookup, type Resource, said } from './json.js'
import {
  anybody,
  type Cast,
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

/**
 * A MedicationRequest (US Core), for what is ordered and, as US Core wants, for what a list says is taken: then with
 * `reportedBoolean` and intent `plan`. What is not taken has `doNotPerform`.
 */
export function medicationRequest(from: Sourced, content: Medication, context: Context): Resource {
  const { item } = from
  const cast = openCast()
  const none = item.negated && (!names(content.product) || denies(content.product))
  const listed = item.intent === undefined || item.intent === 'performed'
  const adherence = concept(content.adherence)
  const asserted = dateTime(item.recordedAt)
  const title = wordsOf(content.product) ?? (none ? 'No known medications' : '')
  return finish({
    type: 'MedicationRequest',
    id: item.id,
    of: [from],
    cast,
    words: [`${item.negated ? 'Not taken: ' : ''}${title}`, content.instructions, whenText(item.when)],
    extensions: [
      ...moodOf(item),
      ...(adherence && asserted
        ? [
            extension(`${usCore}/us-core-medication-adherence`, {
              extension: [
                { url: 'medicationAdherence', valueCodeableConcept: adherence },
                { url: 'dateAsserted', valueDateTime: asserted },
              ],
            }),
          ]
        : []),
    ],
    fields: {
      identifier: identifiers(item.identifiers),
      status: medicationStatus(item),
      intent: requestIntent(item),
      doNotPerform: item.negated ? true : undefined,
      reportedBoolean: listed ? true : undefined,
      medicationCodeableConcept: none ? noKnown(content.product) : conceptOrAbsent(content.product),
      subject: patientOf(context),
      supportingInformation: none ? [] : some(productOf(content, cast)),
      authoredOn: dateTime(item.recordedAt),
      requester: cast.refer(recorderOf(item) ?? item.performers?.[0], anybody),
      recorder: listed ? cast.refer(recorderOf(item), ['person']) : undefined,
      statusReason: concept(content.refusalReason),
      reasonCode: concepts(content.indications),
      note: notes(item, ...details(content)),
      dosageInstruction: dosages(content, item.when),
      dispenseRequest: item.negated ? undefined : dispenseRequest(content, cast),
    },
  })
}

/** SNOMED CT says it in one concept; beside `doNotPerform`, so that nobody reads it as something taken. */
function noKnown(product: Concept): JsonObject {
  const said = concept(product)
  return said?.['coding'] && (said['coding'] as readonly unknown[]).length > 0
    ? said
    : { coding: [{ system: snomed, code: '787481004', display: 'No known medications' }], text: product.text }
}

function medicationStatus(item: RecordItem): string {
  return requestStatus(item, { revoked: 'cancelled', ended: 'stopped' })
}

/** What the product is made of, in words, for whoever looks no further. */
export function details(content: Medication): string[] {
  const named = (all: readonly Concept[] = []) =>
    all
      .map((one) => wordsOf(one) ?? one.codings[0]?.code)
      .filter((one) => one !== undefined)
      .join(', ') || undefined
  const rows: readonly (readonly [string, string | undefined])[] = [
    ['Brand', named(content.brand && [content.brand])],
    ['Strength', strengthsOf(content).map(quantityText).join(', ') || undefined],
    ['Form', named(content.form && [content.form])],
    ['Manufacturer', content.manufacturer],
    ['Vehicle', named(content.vehicles)],
    ['Reaction', named((content.reactions ?? []).map(({ manifestation }) => manifestation))],
    ['Adherence', named(content.adherence && [content.adherence])],
  ]
  return rows.flatMap(([name, words]) => (words === undefined ? [] : [`${name}: ${words}`]))
}

function strengthsOf({ strength, strengths }: Medication): readonly Quantity[] {
  return strengths ?? (strength ? [strength] : [])
}

/**
 * The product as a contained Medication, where the source says more of it than its name: form, strengths, maker, vehicle.
 * `medicationCodeableConcept` stays what clients search and show; this stands beside it as supporting information. Which
 * substance a strength is of is not told. Undefined where there is nothing more to say.
 */
function productOf(content: Medication, cast: Cast): JsonObject | undefined {
  const strengths = strengthsOf(content).map((numerator) => ratio({ numerator }))
  const form = concept(content.form)
  const brand = concept(content.brand)
  const maker = said(content.manufacturer)
  const vehicles = concepts(content.vehicles)
  const active = strengths.filter((one) => one !== undefined)
  if (!form && !brand && maker === undefined && vehicles.length === 0 && active.length === 0) return undefined
  const manufacturer =
    maker === undefined ? undefined : cast.refer({ kind: 'organization', text: maker, identifiers: [] })
  cast.contained.push({
    resourceType: 'Medication',
    id: 'product',
    extension: brand ? [extension(`${own}:brand`, { valueCodeableConcept: brand })] : [],
    code: concept(content.product),
    manufacturer,
    form,
    ingredient: [
      ...active.map((strength) => ({ itemCodeableConcept: absent(), strength })),
      ...vehicles.map((vehicle) => ({ itemCodeableConcept: vehicle, isActive: false })),
    ],
  })
  return { reference: '#product', display: wordsOf(content.product) }
}

/** What one dosage says besides its timing. */
interface Dosing {
  readonly dose?: Quantity
  readonly doseRange?: QuantityRange
  readonly route?: Concept
  readonly timings: readonly Timing[]
  readonly text?: string
}

/**
 * Directions one after the other, each with its number; several timings of one have the same number, for they hold together
 * (FHIR R4 Dosage.sequence).
 */
function dosages(content: Medication, when: When | undefined): JsonObject[] {
  const { directions = [], instructions } = content
  if (directions.length === 0) {
    const whole: Dosing = { ...content, ...(instructions !== undefined && { text: instructions }) }
    return dosing(content, whole, when, content.timings.length > 1 ? 1 : undefined)
  }
  const all = directions.flatMap((one, at) => dosing(content, one, when, at + 1))
  const [first, ...others] = all
  const more = directions.every(({ text }) => text !== instructions) ? instructions : undefined
  return first ? [{ ...first, additionalInstruction: more === undefined ? [] : [{ text: more }] }, ...others] : []
}

function dosing(content: Medication, one: Dosing, when: When | undefined, sequence: number | undefined): JsonObject[] {
  const rate = quantity(content.rate)
  const dose = simple(one.dose)
  const doses = one.doseRange ? range(one.doseRange) : undefined
  const shared: JsonObject = {
    text: one.text,
    ...(content.asNeeded ? neededFor(content) : {}),
    site: concept(content.site),
    route: concept(one.route ?? content.route),
    doseAndRate:
      dose || doses || rate ? [{ ...(dose ? { doseQuantity: dose } : { doseRange: doses }), rateQuantity: rate }] : [],
    maxDosePerPeriod: content.maxDose && ratio(content.maxDose),
  }
  const timings = one.timings.length === 0 ? [undefined] : one.timings
  const all = timings.map((timing) => ({
    ...shared,
    timing: timingOf(timing, when),
    patientInstruction: one.dose && !dose ? `Dose: ${quantityText(one.dose)}` : undefined,
  }))
  return all.filter((each) => JSON.stringify(each) !== '{"doseAndRate":[]}').map((each) => ({ sequence, ...each }))
}

function neededFor({ preconditions = [] }: Medication): JsonObject {
  const [first] = concepts(preconditions)
  return first ? { asNeededCodeableConcept: first } : { asNeededBoolean: true }
}

/** Event codes that FHIR's EventTiming shares with HL7 v3 TimingEvent. */
const events = new Set(['AC', 'ACM', 'ACD', 'ACV', 'C', 'CM', 'CD', 'CV', 'HS', 'PC', 'PCM', 'PCD', 'PCV', 'WAKE'])

const timeUnits = new Set(['s', 'min', 'h', 'd', 'wk', 'mo', 'a'])

/** One timing with the whole period of taking. What FHIR has no code for stays in words. */
function timingOf(timing: Timing | undefined, when: When | undefined): JsonObject | undefined {
  const event = some(dateTime(timing?.moment ?? when?.value))
  const every = timing?.period
  const each =
    every && timeUnits.has(every.unit ?? '') && !every.value.startsWith('-') ? decimalOf(every.value) : undefined
  const upTo = timing?.periodHigh?.unit === every?.unit ? timing?.periodHigh : undefined
  const known = timing?.event !== undefined && events.has(timing.event)
  const repeat: JsonObject = {
    boundsPeriod: period(when),
    ...(each && { frequency: 1, period: each, periodMax: upTo && decimalOf(upTo.value), periodUnit: every?.unit }),
    ...(known && timing?.event !== undefined && { when: [timing.event], offset: minutesOf(timing.offset) }),
  }
  const words = [
    timing?.text,
    !each && every ? `every ${quantityText(every)}` : undefined,
    !known ? timing?.event : undefined,
  ].filter((one) => one !== undefined)
  const text = words.length === 0 ? undefined : { text: codeText(words.join(', ')) }
  const says = event.length > 0 || Object.values(repeat).some((one) => one !== undefined) || text !== undefined
  return says ? { event, repeat, code: text } : undefined
}

function minutesOf(offset: Quantity | undefined): number | undefined {
  const count = integerOf(offset?.value)
  if (count === undefined) return undefined
  return offset?.unit === 'min' ? count : offset?.unit === 'h' ? count * 60 : undefined
}

function dispenseRequest(content: Medication, cast: Cast): JsonObject | undefined {
  const order = content.supplies?.find(({ kind }) => kind === 'order')
  const fills = integerOf(order?.fills)
  const request: JsonObject = {
    validityPeriod: period(order?.when),
    // CDA counts the first fill, FHIR does not.
    numberOfRepeatsAllowed: integerOf(content.refills) ?? (fills === undefined || fills === 0 ? undefined : fills - 1),
    quantity: simple(order?.quantity ?? content.quantity),
    expectedSupplyDuration: durationOf(order?.daysSupply),
    performer: cast.refer(order?.by, ['organization']),
  }
  return Object.values(request).some((one) => one !== undefined) ? request : undefined
}

/** A Duration of FHIR has a UCUM unit of time. */
function durationOf(days: Quantity | undefined): JsonObject | undefined {
  return days !== undefined && timeUnits.has(days.unit ?? '') ? simple(days) : undefined
}

const dispensed: Readonly<Record<string, string>> = {
  completed: 'completed',
  active: 'in-progress',
  suspended: 'on-hold',
  held: 'on-hold',
  aborted: 'stopped',
  cancelled: 'cancelled',
  nullified: 'entered-in-error',
}

/** A MedicationDispense for each supply that was handed out; none for a medication that is denied. */
export function medicationDispenses(from: Sourced, content: Medication, context: Context): Resource[] {
  const ids = dispenseIds(from.item.id, content, from.item.negated)
  const handed = (content.supplies ?? []).filter(({ kind }) => kind === 'dispense')
  return ids.flatMap((id, at) => {
    const supply = handed[at]
    return supply ? [medicationDispense(from, content, supply, id, context)] : []
  })
}

/** Ids of the dispenses of a medication. */
export function dispenseIds(id: string, { supplies = [] }: Medication, negated: boolean): string[] {
  const handed = negated ? [] : supplies.filter(({ kind }) => kind === 'dispense')
  return handed.map((_, at) => `${id}-dispense-${at + 1}`)
}

function medicationDispense(
  from: Sourced,
  content: Medication,
  supply: Supply,
  id: string,
  context: Context,
): Resource {
  const cast = openCast()
  const status = lookup(dispensed, supply.status?.toLowerCase()) ?? 'unknown'
  const product = names(supply.product) ? supply.product : content.product
  const actor = cast.refer(supply.by, anybody)
  const fill = supply.fills === undefined ? [] : [{ text: `Fill ${supply.fills}` }]
  const handedOver = dateTime(pointOf(supply.when))
  return finish({
    type: 'MedicationDispense',
    id,
    of: [from],
    cast,
    words: [`Dispensed: ${wordsOf(product) ?? ''}`, whenText(supply.when)],
    fields: {
      identifier: identifiers(supply.identifiers),
      status,
      medicationCodeableConcept: conceptOrAbsent(product),
      subject: patientOf(context),
      performer: actor ? [{ actor }] : [],
      authorizingPrescription: [{ reference: `MedicationRequest/${from.item.id}` }],
      quantity: simple(supply.quantity),
      daysSupply: simple(supply.daysSupply),
      whenHandedOver: handedOver,
      note: fill,
      dosageInstruction: supply.instructions === undefined ? [] : [{ text: supply.instructions }],
    },
  })
}

/** An Immunization that was given, or `not-done` with its reason. One that is planned is a MedicationRequest. */
export function immunization(from: Sourced, content: Immunization, context: Context): Resource {
  const { item } = from
  const cast = openCast()
  const notDone = item.negated || item.status?.folded === 'cancelled'
  const maker = content.manufacturer
  const dose = integerOf(content.doseNumber)
  return finish({
    type: 'Immunization',
    id: item.id,
    of: [from],
    cast,
    words: [`${notDone ? 'Not given: ' : ''}${wordsOf(content.vaccine) ?? ''}`, whenText(item.when)],
    extensions: moodOf(item),
    fields: {
      identifier: identifiers(item.identifiers),
      status: item.status?.source === 'nullified' ? 'entered-in-error' : notDone ? 'not-done' : 'completed',
      statusReason: notDone ? concept(content.refusalReason) : undefined,
      vaccineCode: conceptOrAbsent(content.vaccine),
      patient: patientOf(context),
      ...occurrence(item.when),
      recorded: dateTime(item.recordedAt),
      _primarySource: {
        extension: [extension('http://hl7.org/fhir/StructureDefinition/data-absent-reason', { valueCode: 'unknown' })],
      },
      manufacturer:
        said(maker) === undefined || maker === undefined
          ? undefined
          : cast.refer({ kind: 'organization', text: maker, identifiers: [] }),
      lotNumber: content.lot,
      expirationDate: dateTime(content.expiresAt)?.slice(0, 10),
      site: concept(content.site),
      route: concept(content.route),
      doseQuantity: simple(content.dose),
      performer: performers(item, cast),
      note: notes(
        item,
        content.instructions,
        ...(content.reactions ?? []).map(({ manifestation }) => `Reaction: ${wordsOf(manifestation) ?? ''}`),
      ),
      reasonCode: concepts(content.indications),
      protocolApplied:
        said(content.doseNumber) === undefined
          ? []
          : [
              dose === undefined || dose === 0
                ? { doseNumberString: content.doseNumber }
                : { doseNumberPositiveInt: dose },
            ],
    },
  })
}

function performers(item: RecordItem, cast: Cast): JsonObject[] {
  const administering = { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v2-0443', code: 'AP' }] }
  return some(...(item.performers ?? []).map((one) => cast.refer(one))).map((actor) => ({
    function: administering,
    actor,
  }))
}

function occurrence(when: When | undefined): JsonObject {
  const at = dateTime(pointOf(when))
  if (at !== undefined) return { occurrenceDateTime: at }
  return { occurrenceString: said(when?.text) ?? 'unknown' }
}

/** A vaccine that is to be given: a request, never an Immunization. */
export function immunizationRequest(from: Sourced, content: Immunization, context: Context): Resource {
  const { item } = from
  const cast = openCast()
  return finish({
    type: 'MedicationRequest',
    id: item.id,
    of: [from],
    cast,
    words: [
      `${item.negated ? 'Not to be given: ' : 'Planned: '}${wordsOf(content.vaccine) ?? ''}`,
      whenText(item.when),
    ],
    extensions: moodOf(item),
    fields: {
      identifier: identifiers(item.identifiers),
      status: medicationStatus(item),
      intent: requestIntent(item),
      doNotPerform: item.negated ? true : undefined,
      medicationCodeableConcept: conceptOrAbsent(content.vaccine),
      subject: patientOf(context),
      authoredOn: dateTime(item.recordedAt),
      requester: cast.refer(recorderOf(item), anybody),
      reasonCode: concepts(content.indications),
      note: notes(item, content.instructions),
      dosageInstruction: some(timingOf(undefined, item.when)).map((timing) => ({
        timing,
        route: concept(content.route),
      })),
    },
  })
}
