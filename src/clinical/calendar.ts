/** Whether year, month and day, as far as given, name a day of the Gregorian calendar. */
export function isDate(year: number, month: string | undefined, day: string | undefined): boolean {
  if (year < 1) return false
  if (month === undefined) return true
  const monthNumber = Number(month)
  if (monthNumber < 1 || monthNumber > 12) return false
  if (day === undefined) return true
  const dayNumber = Number(day)
  const leap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0
  const days = monthNumber === 2 ? (leap ? 29 : 28) : [4, 6, 9, 11].includes(monthNumber) ? 30 : 31
  return dayNumber >= 1 && dayNumber <= days
}

/** Whether hour, minute and second, as far as given, name a time of day; 60 is allowed for a leap second. */
export function isTime(hour: string | undefined, minute: string | undefined, second: string | undefined): boolean {
  return Number(hour ?? 0) <= 23 && Number(minute ?? 0) <= 59 && Number(second ?? 0) < 61
}

/** Minutes east of Greenwich; null for `-0000`, which means that nobody knows (RFC 3339 §4.3); undefined beyond 14 hours. */
export function offsetOf(zone: string): number | null | undefined {
  if (zone === 'Z') return 0
  const digits = zone.slice(1).replace(':', '')
  if (zone.startsWith('-') && /^0+$/.test(digits)) return null
  const minutes = Number(digits.slice(0, 2)) * 60 + Number(digits.slice(2) || 0)
  if (minutes > 14 * 60 || Number(digits.slice(2) || 0) > 59) return undefined
  return zone.startsWith('-') ? -minutes : minutes
}
