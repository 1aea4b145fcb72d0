import type { Value } from '../../direct/datatypes.js'
import { child, textOf, type XmlNode } from '../../xml/node.js'
import { given, readConcept, readQuantity, readText, readTime, says, typeOf, words } from './datatypes.js'
import { remark, type Scope } from './scope.js'

/** An IVL_PQ: one bound becomes a comparator, two a range; `inclusive` is true unless said otherwise. */
export function readQuantityInterval(node: XmlNode): Value | undefined {
  const low = child(node, 'low')
  const high = child(node, 'high')
  const from = readQuantity(low)
  const to = readQuantity(high)
  if (from && to) return { kind: 'range', low: from, high: to }
  if (from)
    return { kind: 'quantity', quantity: { ...from, comparator: given(low, 'inclusive') === 'false' ? '>' : '>=' } }
  if (to)
    return { kind: 'quantity', quantity: { ...to, comparator: given(high, 'inclusive') === 'false' ? '<' : '<=' } }
  const single = readQuantity(node) ?? readQuantity(child(node, 'center'))
  return single && { kind: 'quantity', quantity: single }
}

/** An observation's value by its `xsi:type`; inferred, with a diagnostic, where the type is missing. Undefined for a null value. */
export function readValue(scope: Scope, node: XmlNode | undefined): Value | undefined {
  if (node === undefined) return undefined
  const declared = typeOf(node)
  if (declared === undefined) {
    if (node.attributes.length === 0 && node.children.length === 0) return undefined
    remark(scope, 'value-without-type', 'the value has no xsi:type; its form was inferred')
  }
  switch (declared ?? inferredType(node)) {
    case 'PQ':
    case 'INT':
    case 'REAL':
    case 'MO':
      return quantityValue(scope, node)
    case 'IVL_PQ':
    case 'IVL_INT':
    case 'IVL_REAL':
      return readQuantityInterval(node)
    case 'CD':
    case 'CE':
    case 'CV':
    case 'CS':
    case 'CO':
    case 'CR': {
      const concept = readConcept(scope, node)
      return says(concept) ? { kind: 'concept', concept } : undefined
    }
    case 'BL':
      return booleanValue(node)
    case 'TS':
    case 'IVL_TS':
      return dateValue(scope, node)
    case 'RTO':
    case 'RTO_PQ_PQ':
    case 'RTO_QTY_QTY':
      return ratioValue(node)
    default: {
      const text = readText(scope, node)
      return text === undefined ? undefined : { kind: 'text', text }
    }
  }
}

function inferredType(node: XmlNode): string {
  if (child(node, 'low') || child(node, 'high')) return 'IVL_PQ'
  if (given(node, 'code') !== undefined || child(node, 'translation')) return 'CD'
  if (child(node, 'numerator')) return 'RTO'
  const value = given(node, 'value')
  return value !== undefined && isNumber(value) ? 'PQ' : 'ST'
}

function isNumber(text: string): boolean {
  return /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(text)
}

/** A quantity whose characters are not a number is words; `<5` in a PQ is not five. */
function quantityValue(scope: Scope, node: XmlNode): Value | undefined {
  const quantity = readQuantity(node)
  if (quantity !== undefined && isNumber(quantity.value)) return { kind: 'quantity', quantity }
  if (quantity !== undefined) {
    return { kind: 'text', text: quantity.unit === undefined ? quantity.value : `${quantity.value} ${quantity.unit}` }
  }
  const text = readText(scope, child(node, 'originalText')) ?? words(scope, textOf(node))
  return text === undefined ? undefined : { kind: 'text', text }
}

function booleanValue(node: XmlNode): Value | undefined {
  const value = given(node, 'value')?.toLowerCase()
  if (value === 'true' || value === '1') return { kind: 'boolean', value: true }
  if (value === 'false' || value === '0') return { kind: 'boolean', value: false }
  return undefined
}

function dateValue(scope: Scope, node: XmlNode): Value | undefined {
  const date = readTime(scope, node)
  if (date !== undefined) return { kind: 'date', date }
  const bounds = [given(child(node, 'low'), 'value') ?? '', given(child(node, 'high'), 'value') ?? '']
  const text = given(node, 'value') ?? (bounds.join('') === '' ? undefined : bounds.join(' / '))
  return text === undefined ? undefined : { kind: 'text', text }
}

function ratioValue(node: XmlNode): Value | undefined {
  const parts = [readQuantity(child(node, 'numerator')), readQuantity(child(node, 'denominator'))]
  if (parts.some((part) => part === undefined)) return undefined
  return { kind: 'text', text: parts.map((part) => [part?.value, part?.unit].filter(Boolean).join(' ')).join(' / ') }
}
