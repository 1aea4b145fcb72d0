import type { Value } from '../../direct/datatypes.js'
import { child, textOf, type XmlNode } from '../../xml/node.js'
import {
  given,
  isTrue,
  nullFlavorOf,
  readConcept,
  readQuantity,
  readText,
  readTime,
  readWhen,
  says,
  typeOf,
  words,
} from './datatypes.js'
import { remark, type Scope } from './scope.js'

/** An IVL_PQ: one bound becomes a comparator, two a range; `inclusive` is true unless said otherwise. */
export function readQuantityInterval(node: XmlNode): Value | undefined {
  const low = child(node, 'low')
  const high = child(node, 'high')
  const from = readQuantity(low)
  const to = readQuantity(high)
  if ([from, to].some((one) => one !== undefined && !isNumber(one.value))) {
    const bounds = [from, to].filter((one) => one !== undefined)
    return { kind: 'text', text: bounds.map((one) => [one.value, one.unit].filter(Boolean).join(' ')).join(' - ') }
  }
  if (from && to) {
    return {
      kind: 'range',
      low: given(low, 'inclusive') === 'false' ? { ...from, comparator: '>' } : from,
      high: given(high, 'inclusive') === 'false' ? { ...to, comparator: '<' } : to,
    }
  }
  if (from)
    return { kind: 'quantity', quantity: { ...from, comparator: given(low, 'inclusive') === 'false' ? '>' : '>=' } }
  if (to)
    return { kind: 'quantity', quantity: { ...to, comparator: given(high, 'inclusive') === 'false' ? '<' : '<=' } }
  const single = readQuantity(node) ?? readQuantity(child(node, 'center'))
  return single && { kind: 'quantity', quantity: single }
}

/**
 * An observation's value by its `xsi:type`; inferred, with a diagnostic, where the type is missing. A null value is `absent`
 * with its flavor; undefined for an element that says nothing at all.
 */
export function readValue(scope: Scope, node: XmlNode | undefined): Value | undefined {
  if (node === undefined) return undefined
  const declared = typeOf(node)
  const nullFlavor = nullFlavorOf(node)
  if (declared === undefined) {
    if (node.attributes.length === 0 && node.children.length === 0) return undefined
    remark(scope, 'value-without-type', 'the value has no xsi:type; its form was inferred')
  }
  // A null flavor takes back the characters beside it (HL7 v3 data types, ANY.nullFlavor): they are no measurement.
  const takenBack = nullFlavor !== undefined && given(node, 'value') !== undefined
  const value = takenBack ? undefined : readTyped(scope, node, declared ?? inferredType(node))
  if (value !== undefined || nullFlavor === undefined) return value
  return { kind: 'absent', nullFlavor }
}

function readTyped(scope: Scope, node: XmlNode, type: string): Value | undefined {
  switch (type) {
    case 'PQ':
    case 'INT':
    case 'REAL':
    case 'MO':
    case 'QTY':
      return quantityValue(scope, node)
    case 'IVL_PQ':
    case 'IVL_INT':
    case 'IVL_REAL':
    case 'IVL_MO':
      return readQuantityInterval(node) ?? wordsOf(scope, node)
    case 'CD':
    case 'CE':
    case 'CV':
    case 'CS':
    case 'CO':
    case 'CR':
      return conceptValue(scope, node)
    case 'SC':
      return given(node, 'code') === undefined ? wordsOf(scope, node) : conceptValue(scope, node)
    case 'BL':
    case 'BN':
      return booleanValue(node)
    case 'TS':
      return dateValue(scope, node)
    case 'IVL_TS':
      return periodValue(scope, node)
    case 'RTO':
    case 'RTO_PQ_PQ':
    case 'RTO_QTY_QTY':
    case 'RTO_MO_PQ':
      return ratioValue(scope, node)
    case 'II':
    case 'TEL':
    case 'URL': {
      const text = given(node, 'extension') ?? given(node, 'value') ?? given(node, 'root')
      return text === undefined ? wordsOf(scope, node) : { kind: 'text', text }
    }
    default:
      return wordsOf(scope, node)
  }
}

function wordsOf(scope: Scope, node: XmlNode): Value | undefined {
  const text = readText(scope, child(node, 'originalText')) ?? readText(scope, node)
  return text === undefined ? undefined : { kind: 'text', text }
}

/** A coded value; a string with a code (SC) has its words as its text. */
function conceptValue(scope: Scope, node: XmlNode): Value | undefined {
  const concept = readConcept(scope, node)
  if (concept === undefined) return wordsOf(scope, node)
  if (!says(concept)) return undefined
  const text = concept.text ?? (child(node, 'translation') ? undefined : words(scope, ownText(node)))
  return { kind: 'concept', concept: text === undefined ? concept : { ...concept, text } }
}

function ownText(node: XmlNode): string {
  return node.children.filter((item) => typeof item === 'string').join(' ')
}

function inferredType(node: XmlNode): string {
  const bound = child(node, 'low') ?? child(node, 'high')
  if (bound)
    return /^\d{8}/.test(given(bound, 'value') ?? '') && given(bound, 'unit') === undefined ? 'IVL_TS' : 'IVL_PQ'
  if (given(node, 'code') !== undefined || child(node, 'translation')) return 'CD'
  if (child(node, 'numerator')) return 'RTO'
  const value = given(node, 'value')
  return value !== undefined && isNumber(value) ? 'PQ' : 'ST'
}

/** Whether characters are a decimal number as CDA writes it. */
export function isNumber(text: string): boolean {
  return /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(text)
}

/** A quantity whose characters are not a number is words; `<5` in a PQ is not five. */
function quantityValue(scope: Scope, node: XmlNode): Value | undefined {
  const quantity = readQuantity(node)
  if (quantity !== undefined && isNumber(quantity.value)) return { kind: 'quantity', quantity }
  if (quantity !== undefined) {
    return { kind: 'text', text: quantity.unit === undefined ? quantity.value : `${quantity.value} ${quantity.unit}` }
  }
  if (child(node, 'low') || child(node, 'high') || child(node, 'center')) return readQuantityInterval(node)
  const text = readText(scope, child(node, 'originalText')) ?? words(scope, textOf(node))
  return text === undefined ? undefined : { kind: 'text', text }
}

function booleanValue(node: XmlNode): Value | undefined {
  const value = isTrue(given(node, 'value'))
  return value === undefined ? undefined : { kind: 'boolean', value }
}

function dateValue(scope: Scope, node: XmlNode): Value | undefined {
  const date = readTime(scope, node)
  if (date !== undefined) return { kind: 'date', date }
  if (child(node, 'low') || child(node, 'high')) return periodValue(scope, node)
  const text = given(node, 'value')
  return text === undefined ? undefined : { kind: 'text', text }
}

function periodValue(scope: Scope, node: XmlNode): Value | undefined {
  const when = readWhen(scope, node)
  if (when?.value && !when.low && !when.high) return { kind: 'date', date: when.value }
  return when && { kind: 'period', when }
}

/** A ratio whose parts are numbers; with anything else in it, words. A denominator of 1 without unit is kept as written. */
function ratioValue(scope: Scope, node: XmlNode): Value | undefined {
  const numerator = readQuantity(child(node, 'numerator'))
  const denominator = readQuantity(child(node, 'denominator'))
  if (numerator === undefined) return wordsOf(scope, node)
  if (isNumber(numerator.value) && (denominator === undefined || isNumber(denominator.value))) {
    return { kind: 'ratio', ratio: { numerator, ...(denominator === undefined ? {} : { denominator }) } }
  }
  const parts = [numerator, denominator].filter((part) => part !== undefined)
  return { kind: 'text', text: parts.map((part) => [part.value, part.unit].filter(Boolean).join(' ')).join(' / ') }
}
