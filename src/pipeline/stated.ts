import { readHeader } from '../mime/header.js'
import type { StatedFacts } from '../record/item.js'

const patientIdCharacters = 200

/**
 * Reads X-HV-MU-EventDate and X-HV-MU-PatientID of a trusted message (HealthVault, Meaningful Use headers): a moment in
 * RFC 3339, and a number of one line. A field that stands twice, or is neither, says nothing. Undefined where nothing is said.
 */
export function statedFacts(message: Uint8Array): StatedFacts | undefined {
  const header = readHeader(message)
  if (header.kind === 'unreadable') return undefined
  const once = (name: string) => (header.all(name).length === 1 ? header.get(name) : undefined)
  const date = once('x-hv-mu-eventdate')
  const number = once('x-hv-mu-patientid')
  const eventDate = date !== undefined && isMoment(date) ? date : undefined
  const patientId = number !== undefined && isNumber(number) ? number : undefined
  if (eventDate === undefined && patientId === undefined) return undefined
  return { ...(eventDate !== undefined && { eventDate }), ...(patientId !== undefined && { patientId }) }
}

/** A day, or a moment with its zone; one that the calendar has. */
function isMoment(text: string): boolean {
  const read =
    /^(\d{4})-(\d\d)-(\d\d)(T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d))?$/.exec(text)
  if (!read) return false
  const [, year, month, day] = read.map(Number)
  const date = new Date(Date.UTC(year ?? 0, (month ?? 0) - 1, day ?? 0))
  return date.getUTCMonth() + 1 === month && date.getUTCDate() === day
}

function isNumber(text: string): boolean {
  return text !== '' && text.length <= patientIdCharacters && !/[\p{Cc}\p{Cf}\u2028\u2029]/u.test(text)
}
