import type { PartialDate, When } from '../../direct/datatypes.js'

/** A moment as it is compared: its text cut at its precision, and its zone where it has a time and one. */
export interface Moment {
  readonly text: string
  readonly offsetMinutes?: number
}

/** A period as it is compared. `over`: it has ended, even where nobody knows when. */
export interface Span {
  readonly low?: Moment
  readonly high?: Moment
  readonly over?: true
}

const iso = /^\d{4}(-\d\d(-\d\d(T\d\d(:\d\d(:\d\d(\.\d+)?)?)?)?)?)?$/

/** Undefined where the date is not one. Nobody tells two things apart by less than a millisecond. */
export function momentOf(date: PartialDate | undefined): Moment | undefined {
  if (!date || !iso.test(date.text)) return undefined
  const { offsetMinutes } = date
  const text = date.text.slice(0, 23)
  return text.length > 10 && offsetMinutes !== null ? { text, offsetMinutes } : { text }
}

/** The one moment that something happened at, or began at. */
export function beginning(when: When | undefined): Moment | undefined {
  return momentOf(when?.value) ?? momentOf(when?.low) ?? momentOf(when?.high)
}

/** The period of a `When`; a single moment is where it begins, and where `ends` says so also where it ends. */
export function spanOf(when: When | undefined, ends: boolean): Span {
  const low = momentOf(when?.value) ?? momentOf(when?.low)
  const high = momentOf(when?.high) ?? (ends ? momentOf(when?.value) : undefined)
  return { ...(low && { low }), ...(high && { high }), ...((high || when?.highUnknown) && { over: true }) }
}

/** Whether two moments are one at the coarser of their precisions; zones count where both have one. */
export function sameMoment(one: Moment, other: Moment): boolean {
  if (one.offsetMinutes === undefined || other.offsetMinutes === undefined || one.offsetMinutes === other.offsetMinutes)
    return alike(one.text, other.text)
  return alike(inUtc(one), inUtc(other))
}

function alike(one: string, other: string): boolean {
  return one.startsWith(other) || other.startsWith(one)
}

/** The text of a moment in UTC, at its own precision; as it is where it has no zone. */
export function inUtc({ text, offsetMinutes }: Moment): string {
  if (offsetMinutes === undefined) return text
  const whole = text.length === 13 ? `${text}:00` : text
  const at = Date.parse(`${whole}Z`)
  return Number.isNaN(at) ? text : new Date(at - offsetMinutes * 60_000).toISOString().slice(0, text.length)
}

/** Whether `one` is over before `other` begins, at the coarser of both precisions: a day that they share keeps them together. */
export function endsBefore(one: Moment, other: Moment): boolean {
  const length = Math.min(one.text.length, other.text.length, 10)
  return one.text.slice(0, length) < other.text.slice(0, length)
}

/** Whether two periods have no moment in common. What is not known could be any moment. */
export function apartInTime(one: Span, other: Span): boolean {
  const before = (first: Span, second: Span) =>
    first.high !== undefined && second.low !== undefined && endsBefore(first.high, second.low)
  return before(one, other) || before(other, one)
}

/** Orders moments: earlier first, what is not dated before everything; a year counts as its beginning. */
export function byMoment(one: Moment | undefined, other: Moment | undefined): number {
  const a = one ? sortText(one) : ''
  const b = other ? sortText(other) : ''
  return a < b ? -1 : a > b ? 1 : 0
}

const beginningOfTime = '0000-01-01T00:00:00.000'

function sortText(moment: Moment): string {
  const text = inUtc(moment)
  return text + beginningOfTime.slice(text.length)
}
