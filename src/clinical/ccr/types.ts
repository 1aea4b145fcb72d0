import type { Coding, Concept, PartialDate, Quantity, Value, When } from '../../direct/datatypes.js'
import { child, childrenOf, type XmlNode } from '../../xml/node.js'
import { isDate, isTime, offsetOf } from '../calendar.js'
import { codeSystemOfName } from '../codesystems.js'
import { type CcrScope, remark, textAt, textIn } from './scope.js'

/** A CodedDescriptionType: its text and its codes, systems by name (ASTM E2369 §5.1.4). */
export function readCode(scope: CcrScope, node: XmlNode | undefined): Concept {
  const codings: Coding[] = []
  for (const code of childrenOf(node, 'Code')) {
    const value = textAt(code, 'Value')
    if (value === undefined) continue
    const name = textAt(code, 'CodingSystem')
    const system = name === undefined ? undefined : codeSystemOfName(name)
    if (name !== undefined && system?.known === false && !scope.ccr.unknownSystems.has(name)) {
      scope.ccr.unknownSystems.add(name)
      remark(scope, 'unknown-code-system', name.slice(0, 100))
    }
    codings.push({
      ...(system?.uri === undefined ? {} : { system: system.uri }),
      code: value,
      ...(name === undefined ? {} : { sourceSystem: name }),
    })
  }
  const text = textAt(node, 'Text')?.slice(0, scope.ccr.reading.limits.textChars)
  return { codings, ...(text === undefined ? {} : { text }) }
}

/** A concept that names something. The mark exists for the compiler alone. */
export type Named = Concept & { readonly __named: true }

export function saying(concept: Concept | undefined): concept is Named {
  return concept !== undefined && (concept.codings.length > 0 || concept.text !== undefined)
}

const iso =
  /^(\d{4})(?:-(\d{2})(?:-(\d{2})(?:T(\d{2})(?::(\d{2})(?::(\d{2}(?:\.\d{1,9})?))?)?(Z|[+-]\d{2}:?\d{2})?)?)?)?$/

/** An ISO 8601 date or date and time at its own precision; undefined for anything else and for days that do not exist. */
export function readIso(source: string): PartialDate | undefined {
  const match = iso.exec(source.trim())
  if (match === null) return undefined
  const [, year = '', month, day, hour, minute, second, zone] = match
  if (!isDate(Number(year), month, day) || !isTime(hour, minute, second)) return undefined
  const offsetMinutes = zone === undefined ? null : offsetOf(zone)
  if (offsetMinutes === undefined) return undefined
  const precision = second ? 'second' : minute ? 'minute' : hour ? 'hour' : day ? 'day' : month ? 'month' : 'year'
  return {
    text: source.trim().replace(/(Z|[+-]\d{2}:?\d{2})$/, (tail) => (hour ? '' : tail)),
    precision,
    offsetMinutes,
    source,
  }
}

/**
 * A DateTimeType: exact as a date, approximate and age as the words they are, a range as low and high (ASTM E2369 §5.1.6).
 * Approximate words become a date only where they are ISO 8601 already: `5/6/06` is not read one way or the other.
 */
export function readMoment(scope: CcrScope, node: XmlNode | undefined): When | undefined {
  if (node === undefined) return undefined
  const range = child(node, 'DateTimeRange')
  if (range !== undefined) {
    const low = readMoment(scope, child(range, 'BeginRange'))
    const high = readMoment(scope, child(range, 'EndRange'))
    const text = [low?.text, high?.text].filter((one) => one !== undefined).join(' / ')
    return present({
      ...(low?.value ? { low: low.value } : {}),
      ...(high?.value ? { high: high.value } : {}),
      ...(text === '' ? {} : { text }),
    })
  }
  const exact = textAt(node, 'ExactDateTime')
  if (exact !== undefined) {
    const value = readIso(exact)
    if (value !== undefined) return { value }
    remark(scope, 'time-unreadable', 'an exact date that is not ISO 8601')
    return { text: exact.slice(0, 100) }
  }
  const approximate = child(node, 'ApproximateDateTime')
  const words = textAt(approximate, 'Text') ?? textIn(approximate)
  if (words !== undefined) {
    const value = readIso(words)
    return value === undefined ? { text: words.slice(0, 200) } : { value }
  }
  const age = readMeasure(child(node, 'Age'))
  return age === undefined ? undefined : { text: [age.value, age.unit].filter(Boolean).join(' ') }
}

function present(when: When): When | undefined {
  return Object.keys(when).length === 0 ? undefined : when
}

/** Value and unit as written. */
export function readMeasure(node: XmlNode | undefined): Quantity | undefined {
  const value = textAt(node, 'Value')
  if (value === undefined) return undefined
  const unit = textAt(child(node, 'Units'), 'Unit')
  return unit === undefined ? { value } : { value, unit }
}

const number = /^(<=|>=|<|>)?\s*([+-]?(?:\d+\.?\d*|\.\d+))$/

/** A test result: a number with unit and perhaps a comparator, else words, else a coded description. */
export function readResult(scope: CcrScope, node: XmlNode | undefined): Value | undefined {
  const measure = readMeasure(node)
  if (measure !== undefined) {
    const [, comparator, value] = number.exec(measure.value) ?? []
    if (value === undefined) {
      return { kind: 'text', text: [measure.value, measure.unit].filter(Boolean).join(' ') }
    }
    return {
      kind: 'quantity',
      quantity: {
        value,
        ...(measure.unit === undefined ? {} : { unit: measure.unit }),
        ...(comparator === undefined ? {} : { comparator: comparator as '<' | '<=' | '>' | '>=' }),
      },
    }
  }
  const concept = readCode(scope, child(node, 'Description'))
  if (concept.codings.length > 0) return { kind: 'concept', concept }
  return concept.text === undefined ? undefined : { kind: 'text', text: concept.text }
}
