import type { PartialDate } from '../../direct/datatypes.js'
import { readTimestamp } from './timestamp.js'

/** What a unique device identifier says of a device. */
export interface DeviceIdentity {
  readonly deviceIdentifier?: string
  readonly lot?: string
  readonly serial?: string
  readonly manufacturedAt?: PartialDate
  readonly expiresAt?: PartialDate
}

/** Issuing agencies whose root may stand on a UDI: FDA, GS1, HIBCC, ICCBBA. */
export const udiRoots: ReadonlySet<string> = new Set([
  '2.16.840.1.113883.3.3719',
  '1.3.160',
  '2.16.840.1.113883.6.40',
  '2.16.840.1.113883.6.18',
])

/** Longer than any carrier holds: GS1-128 ends at 48 characters, a data matrix is seldom above 200. */
const mostChars = 400

/**
 * Takes a unique device identifier apart (21 CFR 830): GS1 with its application identifiers in brackets, HIBCC and ICCBBA as
 * far as the device identifier. Anything else answers an empty identity; the caller keeps the characters as written.
 */
export function parseUdi(udi: string): DeviceIdentity {
  if (udi.length > mostChars) return {}
  if (udi.startsWith('(')) return readGs1(udi)
  if (/^01\d{14}/.test(udi)) return { deviceIdentifier: udi.slice(2, 16) }
  const hibcc = /^\+([A-Z]\d{2}[A-Z0-9]{2,20}?)(?:\/|$)/.exec(udi)
  // The last character before the slash is a unit of measure.
  if (hibcc?.[1]) return { deviceIdentifier: hibcc[1] }
  const iccbba = /^=\/([A-Z0-9]{16})/.exec(udi)
  return iccbba?.[1] ? { deviceIdentifier: iccbba[1] } : {}
}

/** GS1 General Specifications §3: (01) item, (11) made, (17) expires, (10) lot, (21) serial. */
function readGs1(udi: string): DeviceIdentity {
  const fields = new Map<string, string>()
  for (const [, ai, value] of udi.matchAll(/\((\d{2,4})\)([^(]*)/g)) {
    if (ai !== undefined && value !== undefined && value.trim() !== '' && !fields.has(ai)) fields.set(ai, value.trim())
  }
  const deviceIdentifier = fields.get('01')
  const lot = fields.get('10')
  const serial = fields.get('21')
  const manufacturedAt = sixDigits(fields.get('11'))
  const expiresAt = sixDigits(fields.get('17'))
  return {
    ...(deviceIdentifier === undefined ? {} : { deviceIdentifier }),
    ...(lot === undefined ? {} : { lot }),
    ...(serial === undefined ? {} : { serial }),
    ...(manufacturedAt === undefined ? {} : { manufacturedAt }),
    ...(expiresAt === undefined ? {} : { expiresAt }),
  }
}

/** YYMMDD, the day 00 where only the month is known. Device identifiers began in 2013: every year is one of this century. */
function sixDigits(source: string | undefined): PartialDate | undefined {
  if (source === undefined || !/^\d{6}$/.test(source)) return undefined
  const date = readTimestamp(source.endsWith('00') ? `20${source.slice(0, 4)}` : `20${source}`)
  return date && { ...date, source }
}
