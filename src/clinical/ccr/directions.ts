import type { Direction } from '../../direct/clinical.js'
import type { Concept, Quantity, QuantityRange, Timing } from '../../direct/datatypes.js'
import { child, childrenOf, type XmlNode } from '../../xml/node.js'
import { indicationsOf } from './links.js'
import { readMoment } from './moments.js'
import { type CcrScope, textAt } from './scope.js'
import { attributesOf, codesOf, type Measure, readCode, readMeasure, readQuantity, saying, wordsOf } from './types.js'

/** Directions of a medication (ASTM E2369 §5.4.9), as one: a field has a value only where all directions agree on it. */
export interface Directions {
  readonly dose?: Quantity
  readonly doseRange?: QuantityRange
  readonly rate?: Quantity
  readonly route?: Concept
  readonly site?: Concept
  readonly vehicles: readonly Concept[]
  readonly timings: readonly Timing[]
  readonly asNeeded: boolean
  /** Each by itself, where there are several. */
  readonly directions?: readonly Direction[]
  readonly preconditions: readonly Concept[]
  readonly indications: readonly Concept[]
  /** What the directions say in sentences, and what fields cannot: several doses in turn, how long, what stops it. */
  readonly instructions: readonly string[]
}

/** Reads the Direction elements in the order of their positions. */
export function readDirections(scope: CcrScope, found: readonly XmlNode[]): Directions {
  const directions = inSequence(found)
  const doses = directions.map((one) => doseOf(one))
  const dose = agreed(doses.map((one) => one.quantity))
  const doseRange = agreed(doses.map((one) => one.range))
  const rate = agreed(directions.map((one) => readQuantity(child(child(one, 'Dose'), 'Rate') ?? child(one, 'Rate'))))
  const route = agreed(directions.map((one) => concept(scope, child(one, 'Route'))))
  const site = agreed(directions.map((one) => concept(scope, child(one, 'Site'))))
  const indications = directions.flatMap((one) => childrenOf(one, 'Indication'))
  const needs = directions.map((one) => needOf(scope, one))
  return {
    ...(dose === undefined ? {} : { dose }),
    ...(doseRange === undefined ? {} : { doseRange }),
    ...(rate === undefined ? {} : { rate }),
    ...(route === undefined ? {} : { route }),
    ...(site === undefined ? {} : { site }),
    vehicles: distinct(directions.flatMap((one) => codesOf(scope, one, 'Vehicle'))),
    timings: distinct(directions.flatMap((one) => timingsOf(scope, one))),
    asNeeded: needs.some((one) => one.asNeeded),
    ...(directions.length > 1 ? { directions: directions.map((one) => directionOf(scope, one)) } : {}),
    preconditions: distinct(needs.flatMap((one) => one.preconditions)),
    indications: distinct(indicationsOf(scope, indications)),
    instructions: instructionsOf(scope, directions),
  }
}

function inSequence(directions: readonly XmlNode[]): readonly XmlNode[] {
  const position = (node: XmlNode) => Number(textAt(node, 'DirectionSequencePosition') ?? Number.NaN)
  const known = directions.every((one) => Number.isFinite(position(one)))
  return known ? [...directions].sort((one, other) => position(one) - position(other)) : directions
}

function concept(scope: CcrScope, node: XmlNode | undefined): Concept | undefined {
  const read = readCode(scope, node)
  return saying(read) ? read : undefined
}

/** The value that all directions have; none where one of them has another or lacks it. */
function agreed<T>(values: readonly (T | undefined)[]): T | undefined {
  return new Set(values.map((one) => JSON.stringify(one))).size === 1 ? values[0] : undefined
}

function distinct<T>(values: readonly T[]): T[] {
  const seen = new Map(values.map((one) => [JSON.stringify(one), one]))
  return [...seen.values()]
}

/** A dose; two doses in sequence, the second headed `to`, are a range. */
function doseOf(direction: XmlNode): {
  readonly quantity?: Quantity
  readonly range?: QuantityRange
  readonly words: string
} {
  const measures = childrenOf(direction, 'Dose')
    .map(readMeasure)
    .filter((one) => one !== undefined)
  const words = dosesInWords(direction, measures)
  const [first, second] = measures
  if (measures.length === 1 && first !== undefined) return { ...first, words }
  const modifier = childrenOf(direction, 'Dose')
    .map((dose) => wordAt(dose, 'VariableDoseModifier'))
    .find(Boolean)
  if (measures.length !== 2 || !first?.quantity || !second?.quantity || modifier?.toLowerCase() !== 'to')
    return { words }
  return { range: { low: first.quantity, high: second.quantity }, words }
}

function dosesInWords(direction: XmlNode, measures: readonly Measure[]): string {
  const modifier = childrenOf(direction, 'Dose')
    .map((dose) => wordAt(dose, 'VariableDoseModifier'))
    .find(Boolean)
  return measures.map((one) => one.words).join(modifier === undefined ? ', ' : ` ${modifier} `)
}

function wordAt(node: XmlNode | undefined, local: string): string | undefined {
  const found = child(node, local)
  return textAt(found, 'Text') ?? textAt(node, local)
}

const asNeededWords = /\b(prn|p\.r\.n|as needed|when needed|if needed)\b/i

/** Whether it is taken as needed, and what for: an Indication's PRNFlag, the DoseIndicator or the frequency says so. */
function needOf(
  scope: CcrScope,
  direction: XmlNode,
): { readonly asNeeded: boolean; readonly preconditions: Concept[] } {
  const flags = childrenOf(direction, 'Indication').flatMap((one) => childrenOf(one, 'PRNFlag'))
  const said = flags.map((flag) => readCode(scope, flag))
  const denied = (one: Concept) => /^(no|false|n|0)$/i.test(one.text ?? '')
  const plain = (one: Concept) =>
    /^(yes|true|y|1|prn|as needed|when needed)$/i.test(one.text ?? '') && one.codings.length === 0
  const words = [
    wordAt(direction, 'DoseIndicator'),
    ...childrenOf(direction, 'Frequency').map((one) => frequencyWords(scope, one)),
  ]
  return {
    asNeeded: said.some((one) => !denied(one)) || words.some((one) => one !== undefined && asNeededWords.test(one)),
    preconditions: said.filter((one) => saying(one) && !denied(one) && !plain(one)),
  }
}

function frequencyWords(scope: CcrScope, frequency: XmlNode): string | undefined {
  return (
    readMeasure(frequency)?.words ??
    wordsOf(readCode(scope, child(frequency, 'Description'))) ??
    wordsOf(readCode(scope, frequency))
  )
}

/** Units of time that are UCUM as the source writes them; `Weeks` and `hrs` stay words. */
const unitsOfTime = new Set(['s', 'min', 'h', 'd', 'wk', 'mo', 'a'])

/** Frequencies and intervals in the source's words: `bid` and `q4h` are not turned into hours. */
function timingsOf(scope: CcrScope, direction: XmlNode): Timing[] {
  const frequencies = childrenOf(direction, 'Frequency').flatMap((frequency) => {
    const text = frequencyWords(scope, frequency)
    return text === undefined ? [] : [{ text }]
  })
  const intervals = childrenOf(direction, 'Interval').flatMap((interval) => {
    const measure = readMeasure(interval)
    const text = measure?.words ?? wordsOf(readCode(scope, child(interval, 'Description')))
    if (text === undefined) return []
    const { quantity } = measure ?? {}
    const period = quantity?.comparator === undefined && unitsOfTime.has(quantity?.unit ?? '') ? quantity : undefined
    return [period === undefined ? { text: `every ${text.replace(/^every /i, '')}` } : { period, text }]
  })
  const moments = childrenOf(direction, 'AdministrationTiming').flatMap((timing) => {
    const moment = readMoment(scope, child(timing, 'DateTime') ?? timing)
    const said = wordsOf(readCode(scope, child(timing, 'Description'))) ?? moment?.text
    const text = said ?? (moment?.value === undefined ? wordAt(direction, 'AdministrationTiming') : undefined)
    if (moment?.value === undefined && text === undefined) return []
    return [
      { ...(moment?.value === undefined ? {} : { moment: moment.value }), ...(text === undefined ? {} : { text }) },
    ]
  })
  return [...frequencies, ...intervals, ...moments]
}

/** What the directions say in sentences; where there are several, each is one, with what leads from it to the next. */
function instructionsOf(scope: CcrScope, directions: readonly XmlNode[]): string[] {
  const [only] = directions
  if (directions.length > 1)
    return [
      directions
        .map((one) => sentenceOf(scope, one))
        .filter(Boolean)
        .join('; '),
    ].filter(Boolean)
  if (only === undefined) return []
  return [wordsOf(readCode(scope, child(only, 'Description'))), ...extrasOf(scope, only)].filter(
    (one) => one !== undefined,
  )
}

function sentenceOf(scope: CcrScope, direction: XmlNode): string {
  const modifier = child(direction, 'MultipleDirectionModifier')
  const conditions = attributesOf(modifier).map(({ name, words }) => `${name}: ${words}`)
  return [
    wordsOf(readCode(scope, child(direction, 'Description'))) ?? coreOf(scope, direction),
    ...extrasOf(scope, direction),
    conditions.length === 0 ? undefined : `(${conditions.join(', ')})`,
    wordAt(direction, 'MultipleDirectionModifier'),
  ]
    .filter(Boolean)
    .join(' ')
}

/** Each direction by itself. */
function directionOf(scope: CcrScope, direction: XmlNode): Direction {
  const { quantity, range } = doseOf(direction)
  const route = concept(scope, child(direction, 'Route'))
  return {
    ...(quantity === undefined ? {} : { dose: quantity }),
    ...(range === undefined ? {} : { doseRange: range }),
    ...(route === undefined ? {} : { route }),
    timings: timingsOf(scope, direction),
    text: sentenceOf(scope, direction),
  }
}

function coreOf(scope: CcrScope, direction: XmlNode): string {
  return [
    doseOf(direction).words,
    ...codesOf(scope, direction, 'Route').map(wordsOf),
    ...codesOf(scope, direction, 'Site').map(wordsOf),
    ...timingsOf(scope, direction).map(({ text }) => text),
  ]
    .filter(Boolean)
    .join(' ')
}

/** What has no field of its own, under the name that ASTM E2369 gives it. */
function extrasOf(scope: CcrScope, direction: XmlNode): string[] {
  const { quantity, range, words } = doseOf(direction)
  const measured = (local: string) =>
    childrenOf(direction, local)
      .map(
        (one) =>
          readMeasure(one)?.words ??
          wordsOf(readCode(scope, child(one, 'Description'))) ??
          wordsOf(readCode(scope, one)),
      )
      .filter((one) => one !== undefined)
  const calculations = childrenOf(direction, 'DoseCalculation')
    .map((one) => [
      readMeasure(child(one, 'Dose'))?.words,
      wordAt(one, 'CalculationEquation'),
      readMeasure(one)?.words,
      wordsOf(readCode(scope, child(one, 'Description'))),
    ])
    .map((parts) => parts.filter(Boolean).join(', '))
    .filter((one) => one !== '')
  const indicator = wordAt(direction, 'DoseIndicator')
  return [
    ...(words !== '' && quantity === undefined && range === undefined ? [`Dose: ${words}`] : []),
    ...(indicator === undefined || asNeededWords.test(indicator) ? [] : [indicator]),
    ...measured('DeliveryMethod').map((one) => `Delivery: ${one}`),
    ...calculations.map((one) => `Dose calculation: ${one}`),
    ...measured('Duration').map((one) => `for ${one.replace(/^for /i, '')}`),
    ...measured('DoseRestriction').map((one) => `Dose restriction: ${one}`),
    ...measured('StopIndicator').map((one) => `Stop: ${one}`),
  ]
}
