import type { Quantity, Value } from '../../direct/datatypes.js'
import { conceptKey, plainWords } from './concept.js'

/** A value as it is compared: the same number with other zeros behind it is the same, another unit is another value. */
export function valueKey(value: Value | undefined): string {
  if (!value) return ''
  switch (value.kind) {
    case 'quantity':
      return quantityKey(value.quantity)
    case 'range':
      return `${quantityKey(value.low)}..${quantityKey(value.high)}`
    case 'ratio':
      return `${quantityKey(value.ratio.numerator)}/${quantityKey(value.ratio.denominator)}`
    case 'concept': {
      const { codes, words } = conceptKey(value.concept)
      return (codes.length > 0 ? codes : words).join(' ')
    }
    case 'text':
      return plainWords(value.text)
    case 'boolean':
      return String(value.value)
    case 'date':
      return value.date.text
    case 'period':
      return [value.when.value, value.when.low, value.when.high].map((date) => date?.text ?? '').join('..')
    case 'absent':
      return `absent ${value.nullFlavor}`
  }
}

/** A quantity with its unit, which is never converted. */
export function quantityKey(quantity: Quantity | undefined): string {
  if (!quantity) return ''
  const { value, unit = '', comparator = '' } = quantity
  return `${comparator}${plainNumber(value)} ${unit.trim()}`.trimEnd()
}

/** Decimals without a sign that means nothing and without zeros that mean precision only; anything else as it is. */
function plainNumber(text: string): string {
  const parts = /^\+?(-?)0*(\d+)(?:\.(\d*))?$/.exec(text.trim())
  if (!parts) return text.trim()
  const fraction = (parts[3] ?? '').replace(/0+$/, '')
  return `${parts[1]}${parts[2]}${fraction === '' ? '' : `.${fraction}`}`
}
