import type { Timing, When } from '../../direct/datatypes.js'
import { child, childrenOf, type XmlNode } from '../../xml/node.js'
import { given, nullFlavorOf, readNamed, readQuantity, readTime, readWhen, typeOf } from './datatypes.js'
import type { Scope } from './scope.js'

/** The effective times of a medication: the period of taking it, and how it is repeated within. */
export interface Regimen {
  readonly when?: When
  readonly timings: readonly Timing[]
}

/**
 * Sorts the effectiveTime elements of a substanceAdministration by their types, never by position: IVL_TS or bounds is the
 * period, PIVL_TS repeats, EIVL_TS hangs on an event, a bare value is a moment; SXPR_TS holds more of them
 * (C-CDA R2.1, Medication Activity).
 */
export function readRegimen(scope: Scope, node: XmlNode): Regimen {
  const timings: Timing[] = []
  let period: When | undefined
  let moment: When | undefined
  const read = (time: XmlNode): void => {
    switch (formOf(time)) {
      case 'parts':
        for (const part of childrenOf(time, 'comp')) read(part)
        return
      case 'repeated': {
        const timing = repeated(time)
        if (timing) timings.push(timing)
        return
      }
      case 'event': {
        const timing = tied(scope, time)
        if (timing) timings.push(timing)
        return
      }
      case 'moment': {
        const value = readTime(scope, time)
        if (value) timings.push({ moment: value })
        else timings.push({ text: given(time, 'value') ?? '' })
        if (value) moment ??= { value }
        return
      }
      case 'period': {
        const when = readWhen(scope, time)
        const width = readQuantity(child(time, 'width'))
        if (width) timings.push({ text: [width.value, width.unit].filter(Boolean).join(' ') })
        // A second interval narrows the first; what the first left open is taken from it.
        if (when) period = { ...when, ...period }
        return
      }
      default:
        return
    }
  }
  for (const time of childrenOf(node, 'effectiveTime')) read(time)
  const when = period ?? moment
  return { timings, ...(when === undefined ? {} : { when }) }
}

function formOf(time: XmlNode): 'parts' | 'repeated' | 'event' | 'moment' | 'period' | undefined {
  const type = typeOf(time)
  if (type === 'SXPR_TS') return 'parts'
  if (type === 'PIVL_TS' || child(time, 'period') || child(time, 'frequency')) return 'repeated'
  if (type === 'EIVL_TS' || child(time, 'event')) return 'event'
  if (child(time, 'low') || child(time, 'high') || child(time, 'center') || child(time, 'width')) return 'period'
  if (given(time, 'value') !== undefined) return 'moment'
  return undefined
}

function repeated(time: XmlNode): Timing | undefined {
  const node = child(time, 'period')
  const period = readQuantity(node) ?? readQuantity(child(node, 'low')) ?? readQuantity(child(node, 'center'))
  const periodHigh = node && given(node, 'value') === undefined ? readQuantity(child(node, 'high')) : undefined
  if (period === undefined && periodHigh === undefined) return often(child(time, 'frequency'))
  const institutionSpecified = given(time, 'institutionSpecified')?.toLowerCase() === 'true'
  return {
    ...(period === undefined ? {} : { period }),
    ...(periodHigh === undefined ? {} : { periodHigh }),
    ...(institutionSpecified ? { institutionSpecified } : {}),
  }
}

/** So many times in so long, as PIVL has it since data types R2: kept as words, for a quotient would be no source's number. */
function often(frequency: XmlNode | undefined): Timing | undefined {
  const times = readQuantity(child(frequency, 'numerator'))
  const within = readQuantity(child(frequency, 'denominator'))
  if (times === undefined || within === undefined) return undefined
  return { text: `${times.value} per ${[within.value, within.unit].filter(Boolean).join(' ')}` }
}

function tied(scope: Scope, time: XmlNode): Timing | undefined {
  const event = given(child(time, 'event'), 'code')
  const words = event === undefined ? readNamed(scope, child(time, 'event'))?.text : undefined
  if (words !== undefined) return { text: words }
  if (event === undefined || nullFlavorOf(child(time, 'event')) !== undefined) return undefined
  const distance = child(time, 'offset')
  const offset = readQuantity(distance) ?? readQuantity(child(distance, 'low')) ?? readQuantity(child(distance, 'high'))
  return { event, ...(offset === undefined ? {} : { offset }) }
}
