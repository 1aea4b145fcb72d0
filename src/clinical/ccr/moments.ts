import type { PartialDate, When } from '../../direct/datatypes.js'
import { child, childrenOf, type XmlNode } from '../../xml/node.js'
import { isDate, isTime, offsetOf } from '../calendar.js'
import { type CcrScope, remark, textAt, textIn } from './scope.js'
import { readMeasure } from './types.js'

const extended =
  /^(\d{4})(?:-(\d{2})(?:-(\d{2})(?:[T ](\d{2})(?::(\d{2})(?::(\d{2}(?:\.\d{1,9})?))?)?\s?(Z|[+-]\d{2}(?::?\d{2})?)?)?)?)?$/i
const basic = /^(\d{4})(\d{2})(\d{2})(?:T?(\d{2})(\d{2})?(\d{2}(?:\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?)?$/i

/**
 * An ISO 8601 date or date and time at its own precision, in the extended or the basic format; undefined for anything
 * else and for days that do not exist. A blank in the place of the T is forgiven.
 */
export function readIso(source: string): PartialDate | undefined {
  const trimmed = source.trim()
  const match = extended.exec(trimmed) ?? basic.exec(trimmed)
  if (match === null) return undefined
  const [, year = '', month, day, hour, minute, second, zone] = match
  if (!isDate(Number(year), month, day) || !isTime(hour, minute, second)) return undefined
  const offsetMinutes = zone === undefined ? null : offsetOf(zone.toUpperCase())
  if (offsetMinutes === undefined) return undefined
  const date = [year, month, day].filter(Boolean).join('-')
  const time = [hour, minute, second].filter(Boolean).join(':')
  return {
    text: time === '' ? date : `${date}T${time}`,
    precision: second ? 'second' : minute ? 'minute' : hour ? 'hour' : day ? 'day' : month ? 'month' : 'year',
    offsetMinutes,
    source,
  }
}

const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const monthName =
  '(jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\\.?'
const monthYear = new RegExp(`^${monthName},?[ -](\\d{4})$`, 'i')
const monthDayYear = new RegExp(`^${monthName} (\\d{1,2})(?:st|nd|rd|th)?,? (\\d{4})$`, 'i')
const dayMonthYear = new RegExp(`^(\\d{1,2})(?:st|nd|rd|th)?[ -]${monthName},?[ -](\\d{4})$`, 'i')
const numbers = /^(\d{1,2})([/.-])(\d{1,2})\2(\d{4})$/
const numbersFromYear = /^(\d{4})([/.])(\d{1,2})\2(\d{1,2})$/
const monthOfYear = /^(\d{1,2})\/(\d{4})$/

/**
 * A date in words or figures, where only one reading of it is possible: `March 2004`, `5 Mar 2004`, `01/15/2010`, `5/5/2006`.
 * `5/6/2006` is May or June and stays words, and so does a year of two figures, `about 1995` and `2 years ago`.
 */
export function readWords(source: string): PartialDate | undefined {
  const text = source.trim()
  const iso = readIso(text)
  if (iso !== undefined) return { ...iso, source }
  const [, namedMonth, yearOfMonth] = monthYear.exec(text) ?? []
  if (namedMonth !== undefined) return dated(source, yearOfMonth, monthNumber(namedMonth))
  const [, month, day, year] = monthDayYear.exec(text) ?? []
  if (month !== undefined) return dated(source, year, monthNumber(month), day)
  const [, dayFirst, monthNext, yearLast] = dayMonthYear.exec(text) ?? []
  if (monthNext !== undefined) return dated(source, yearLast, monthNumber(monthNext), dayFirst)
  const [, yearFirst, , monthSecond, dayLast] = numbersFromYear.exec(text) ?? []
  if (yearFirst !== undefined) return dated(source, yearFirst, monthSecond, dayLast)
  const [, monthAlone, yearAlone] = monthOfYear.exec(text) ?? []
  if (monthAlone !== undefined) return dated(source, yearAlone, monthAlone)
  const [, one = '', , other = '', yearBehind] = numbers.exec(text) ?? []
  if (yearBehind === undefined) return undefined
  if (Number(one) === Number(other) || Number(other) > 12) return dated(source, yearBehind, one, other)
  return Number(one) > 12 ? dated(source, yearBehind, other, one) : undefined
}

function monthNumber(name: string): string {
  return String(months.indexOf(name.slice(0, 3).toLowerCase()) + 1)
}

function dated(source: string, year = '', month?: string, day?: string): PartialDate | undefined {
  const read = readIso([year, month?.padStart(2, '0'), day?.padStart(2, '0')].filter(Boolean).join('-'))
  return read === undefined ? undefined : { ...read, source }
}

/** Words of a date; longer ones are a story. */
const dateChars = 200

/** A DateTimeType: a date where it is certain, else the words; an age as words; a range as low and high (ASTM E2369 §5.1.6). */
export function readMoment(scope: CcrScope, node: XmlNode | undefined): When | undefined {
  if (node === undefined) return undefined
  const [range] = childrenOf(node, 'DateTimeRange')
  if (range !== undefined) {
    const low = readMoment(scope, child(range, 'BeginRange'))
    const high = readMoment(scope, child(range, 'EndRange'))
    return joined(low, high)
  }
  const exact = textAt(node, 'ExactDateTime')
  if (exact !== undefined) {
    const value = exact.length > dateChars ? undefined : (readIso(exact) ?? readWords(exact))
    if (value !== undefined) return { value }
    remark(scope, 'time-unreadable', 'an exact date that is not ISO 8601')
    return { text: exact.slice(0, dateChars) }
  }
  const approximate = textAt(node, 'ApproximateDateTime')
  if (approximate !== undefined) {
    const value = approximate.length > dateChars ? undefined : readWords(approximate)
    return value === undefined ? { text: approximate.slice(0, dateChars) } : { value }
  }
  const age = readMeasure(child(node, 'Age'))
  if (age !== undefined) return { text: age.words }
  // Some senders write the date into the element itself.
  const bare = textIn(node)
  const value = bare === undefined || bare.length > dateChars ? undefined : readWords(bare)
  return value === undefined ? undefined : { value }
}

/** A begin and an end as one period, what they have in words as its text; undefined where neither says anything. */
export function joined(begin: When | undefined, end: When | undefined): When | undefined {
  const low = begin?.value ?? begin?.low
  const high = end?.value ?? end?.high ?? begin?.high
  const text = [begin?.text, end?.text].filter((one) => one !== undefined).join(' / ')
  if (low === undefined && high === undefined && text === '') return undefined
  return {
    ...(low === undefined ? {} : { low }),
    ...(high === undefined ? {} : { high }),
    ...(text === '' ? {} : { text }),
  }
}
