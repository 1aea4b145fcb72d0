const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']

/** RFC 5322 §4.3; other letters, and -0000, say nothing about the zone and count as UTC. */
const zones: Readonly<Record<string, number>> = {
  est: -300,
  edt: -240,
  cst: -360,
  cdt: -300,
  mst: -420,
  mdt: -360,
  pst: -480,
  pdt: -420,
}

const form =
  /^(?:[a-z]{3,9},?\s+)?(\d{1,2})\s+([a-z]{3})[a-z]*\s+(\d{2,4})\s+(\d{1,2}):(\d{2})(?::(\d{2}))?(?:\.\d+)?(?:\s+([+-]\d{4}|[a-z]{1,5}))?$/i

/** Reads a Date field (RFC 5322 §3.3 and §4.3) as Unix milliseconds; undefined for anything else, where a looser reader would guess. */
export function readDate(value: string): number | undefined {
  const text = value
    .slice(0, 200)
    .replace(/\([^()]*\)/g, ' ')
    .trim()
  const [, day, monthName = '', yearText = '', hour, minute, second = '0', zone = ''] = form.exec(text) ?? []
  const month = months.indexOf(monthName.toLowerCase())
  if (month < 0) return undefined
  const year =
    Number(yearText) + (yearText.length === 4 ? 0 : yearText.length === 2 && Number(yearText) < 50 ? 2000 : 1900)
  const at = Date.UTC(year, month, Number(day), Number(hour), Number(minute), Number(second))
  const valid =
    Number(day) >= 1 &&
    Number(hour) < 24 &&
    Number(minute) < 60 &&
    Number(second) <= 60 &&
    new Date(Date.UTC(year, month, Number(day))).getUTCMonth() === month
  return valid ? at - zoneMinutes(zone) * 60_000 : undefined
}

function zoneMinutes(zone: string): number {
  const [, sign, hours, minutes] = /^([+-])(\d{2})(\d{2})$/.exec(zone) ?? []
  if (!sign) return zones[zone.toLowerCase()] ?? 0
  return (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes))
}
