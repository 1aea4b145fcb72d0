import type { PartialDate } from '../../direct/datatypes.js'
import { isDate, isTime, offsetOf } from '../calendar.js'

const shape =
  /^(\d{4})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2}(?:\.\d{1,9})?))?)?)?)?)?([+-]\d{2}(?:\d{2})?|Z)?$/

/**
 * Reads an HL7 v3 point in time, `YYYY[MM[DD[HH[MM[SS[.f]]]]]][±ZZ[ZZ]]` (HL7 v3 abstract data types, TS), at the
 * precision it was written with. Undefined for anything else, and for dates and times that do not exist.
 */
export function readTimestamp(source: string): PartialDate | undefined {
  const match = shape.exec(source.trim())
  if (match === null) return undefined
  const [, year = '', month, day, hour, minute, second, zone] = match
  if (!isDate(Number(year), month, day) || !isTime(hour, minute, second)) return undefined
  const offsetMinutes = zone === undefined ? null : offsetOf(zone)
  if (offsetMinutes === undefined) return undefined

  const day10 = [year, month, day].filter((part) => part !== undefined).join('-')
  const time = [hour, minute, second].filter((part) => part !== undefined).join(':')
  const precision = second ? 'second' : minute ? 'minute' : hour ? 'hour' : day ? 'day' : month ? 'month' : 'year'
  return { text: time === '' ? day10 : `${day10}T${time}`, precision, offsetMinutes, source }
}
