import type { Demographics } from '../direct/clinical.js'
import type { ReadMail } from './steps.js'

/** Whom the documents of a message tell of. */
export function patientsOf({ attachments }: Pick<ReadMail, 'attachments'>): readonly Demographics[] {
  return attachments.flatMap(({ documents }) =>
    documents.flatMap(({ items }) =>
      items.flatMap(({ content }) => (content.type === 'demographics' ? [content] : [])),
    ),
  )
}

/** The one birth date, to the day, that all of them have; undefined where there is none, or more than one. */
export function birthDateOf(patients: readonly Demographics[]): string | undefined {
  const days = new Set(patients.map(({ birthDate }) => birthDate?.text.slice(0, 10)))
  const [day] = days
  return days.size === 1 && day !== undefined && /^\d{4}-\d\d-\d\d$/.test(day) ? day : undefined
}

/** What the first of them is called, on one line; undefined where nobody said. */
export function nameOf([patient]: readonly Demographics[]): string | undefined {
  const [name] = patient?.names ?? []
  const words = name && (name.text ?? [...name.given, name.family].filter((word) => word !== undefined).join(' '))
  const line = words
    ?.replace(/[\p{C}\u2028\u2029\s]+/gu, ' ')
    .trim()
    .slice(0, 100)
    .trim()
  return line === '' ? undefined : line
}

/**
 * A birth date as people write it: ISO 8601, or month, day and year with a slash, dot or hyphen between, as it is written in
 * the United States. Undefined for anything else.
 */
export function readBirthDate(text: string): string | undefined {
  const digits = text.normalize('NFKC').trim()
  const iso = /^(\d{4})-(\d{1,2})-(\d{1,2})$/.exec(digits)
  const american = /^(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})$/.exec(digits)
  const [year, month, day] = iso ? iso.slice(1) : american ? [american[3], american[1], american[2]] : []
  if (year === undefined || month === undefined || day === undefined) return undefined
  return `${year}-${month.padStart(2, '0')}-${day.padStart(2, '0')}`
}
