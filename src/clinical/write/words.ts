import type {
  Agent,
  Concept,
  PartialDate,
  PersonName,
  PostalAddress,
  Quantity,
  QuantityRange,
  Timing,
  Value,
  When,
} from '../../direct/datatypes.js'

/** The facts of items as people read them, for narrative tables and for fields that hold only words. */

/** What a concept is called: its words, else a display name, else its first code. */
export function wordsOf(concept: Concept | undefined): string {
  if (concept === undefined) return ''
  return (
    concept.text ??
    concept.codings.find(({ display }) => display !== undefined)?.display ??
    concept.codings[0]?.code ??
    ''
  )
}

/** Several, set apart by semicolons; empty ones are left out. */
export function listed(parts: readonly (string | undefined)[], between = '; '): string {
  return parts.filter((part) => part !== undefined && part !== '').join(between)
}

export function dateWords(date: PartialDate | undefined): string {
  if (date === undefined) return ''
  const { text, offsetMinutes } = date
  if (offsetMinutes === null || !text.includes('T')) return text.replace('T', ' ')
  const two = (number: number): string => String(number).padStart(2, '0')
  const minutes = Math.abs(offsetMinutes)
  const zone = `${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`
  return `${text.replace('T', ' ')} ${offsetMinutes < 0 ? '-' : '+'}${zone}`
}

export function whenWords(when: When | undefined): string {
  if (when === undefined) return ''
  const { value, low, high, highUnknown, text } = when
  const period =
    low || high || highUnknown
      ? listed(
          [
            low && `from ${dateWords(low)}`,
            high && `to ${dateWords(high)}`,
            !high && highUnknown ? 'ended at a time unknown' : '',
          ],
          ' ',
        )
      : ''
  return listed([dateWords(value), period, text])
}

export function quantityWords(quantity: Quantity | undefined): string {
  if (quantity === undefined) return ''
  return listed([`${quantity.comparator ?? ''}${quantity.value}`, quantity.unit], ' ')
}

export function rangeWords({ low, high }: QuantityRange): string {
  if (low && high) return `${quantityWords(low)} to ${quantityWords(high)}`
  if (low) return `from ${quantityWords(low)}`
  return high ? `up to ${quantityWords(high)}` : ''
}

export function valueWords(value: Value | undefined): string {
  if (value === undefined) return ''
  switch (value.kind) {
    case 'quantity':
      return quantityWords(value.quantity)
    case 'range':
      return rangeWords(value)
    case 'ratio':
      return listed([quantityWords(value.ratio.numerator), quantityWords(value.ratio.denominator)], ' / ')
    case 'concept':
      return wordsOf(value.concept)
    case 'text':
      return value.text
    case 'boolean':
      return value.value ? 'yes' : 'no'
    case 'date':
      return dateWords(value.date)
    case 'period':
      return whenWords(value.when)
    case 'absent':
      return `no value (${value.nullFlavor})`
  }
}

export function timingWords(timing: Timing): string {
  const { period, periodHigh, event, offset, moment, text } = timing
  const every =
    period || periodHigh ? `every ${listed([quantityWords(period), quantityWords(periodHigh)], ' to ')}` : ''
  const tied = event === undefined ? '' : listed([quantityWords(offset), event], ' ')
  return listed([every, tied, moment ? `at ${dateWords(moment)}` : '', text])
}

export function nameWords(name: PersonName): string {
  return name.text ?? listed([name.prefix, ...name.given, name.family, name.suffix], ' ')
}

export function addressWords({ lines, city, state, postalCode, country }: PostalAddress): string {
  return listed([...lines, city, listed([state, postalCode], ' '), country], ', ')
}

export function agentWords(agent: Agent): string {
  return listed([agent.text, agent.organization === agent.text ? '' : agent.organization, wordsOf(agent.role)], ', ')
}
