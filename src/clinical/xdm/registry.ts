import type { Agent, Concept, Identifier, PartialDate } from '../../direct/datatypes.js'
import { element, type Markup } from '../../xml/write.js'
import { asOid } from './oid.js'

/** A slot of one or more values; nothing for none. */
export function slot(name: string, ...values: readonly (string | undefined)[]): Markup | undefined {
  const given = values.filter((value) => value !== undefined && value !== '')
  if (given.length === 0) return undefined
  return element('Slot', { name }, element('ValueList', {}, ...given.map((value) => element('Value', {}, value))))
}

export function localized(name: 'Name' | 'Description', text: string | undefined): Markup | undefined {
  return text === undefined ? undefined : element(name, {}, element('LocalizedString', { value: text }))
}

/** Ids that mean something inside one METADATA.XML only, which the standard allows (ITI TF-3 §4.2.1.5). */
export function openIds(): (kind: string) => string {
  let last = 0
  return (kind) => `${kind}${String(++last).padStart(2, '0')}`
}

/** The first coding of a concept as `code`, `codingScheme` and name. */
export function codedAs({ codings, text }: Concept): { code: string; scheme: string; display: string } | undefined {
  const [first] = codings
  if (first === undefined) return undefined
  const scheme = asOid(first.sourceSystem ?? '') ?? asOid(first.system ?? '') ?? first.sourceSystem ?? first.system
  return { code: first.code, scheme: scheme ?? '', display: first.display ?? text ?? first.code }
}

/** HL7 v2 DTM in UTC, at the precision that is known (ITI TF-3 §4.2.3.1.7); without an offset the hour stays as it was written. */
export function dtm({ text, precision, offsetMinutes }: PartialDate): string {
  const digits = text.replace(/\..*$/, '').replace(/\D/g, '')
  if (offsetMinutes === null || precision === 'year' || precision === 'month' || precision === 'day') return digits
  const at = (from: number, to: number): number => Number(digits.slice(from, to) || 0)
  const utc = new Date(0)
  utc.setUTCFullYear(at(0, 4), at(4, 6) - 1, at(6, 8))
  utc.setUTCHours(at(8, 10), at(10, 12) - offsetMinutes, Math.min(at(12, 14), 59))
  const shifted = utc.toISOString().replace(/\D/g, '')
  // An hour that is shifted by half of one needs its minutes.
  const kept = precision === 'hour' && offsetMinutes % 60 !== 0 ? 12 : digits.length
  return shifted.slice(0, kept)
}

/** HL7 v2 CX, `id^^^&oid&ISO`; undefined where the issuer is no OID: who gave an id cannot be left out. */
export function cx({ root, value }: Identifier): string | undefined {
  const authority = asOid(root ?? '')
  return value === undefined || authority === undefined ? undefined : `${v2(value)}^^^&${authority}&ISO`
}

/** HL7 v2 XCN, `id^family^given^middle^suffix^prefix^^^&oid&ISO`. */
export function xcn({ text, name, identifiers }: Agent): string {
  const [identifier] = identifiers
  const authority = asOid(identifier?.root ?? '')
  const id = authority === undefined ? undefined : (identifier?.value ?? undefined)
  const [first, ...middle] = name?.given ?? []
  const parts = [
    id,
    name?.family ?? (first === undefined ? text : undefined),
    first,
    middle.join(' '),
    name?.suffix,
    name?.prefix,
  ]
  const written = parts.map((part) => v2(part ?? '')).join('^')
  return (id === undefined ? written : `${written}^^^&${authority}&ISO`).replace(/\^+$/, '')
}

/** `organization|person|telecommunication` of a Direct address (XDR and XDM for Direct Messaging 1.0 §4.1.2). */
export function recipient({ address, name }: { readonly address: string; readonly name?: string }): string {
  return `|${name === undefined ? '' : `^${v2(name)}`}|${xtn(address)}`
}

/** HL7 v2 XTN of a Direct address. */
export function xtn(address: string): string {
  return `^^Internet^${v2(address)}`
}

const separators: Readonly<Record<string, string>> = {
  '\\': '\\E\\',
  '^': '\\S\\',
  '&': '\\T\\',
  '|': '\\F\\',
  '~': '\\R\\',
}

/** HL7 v2 §2.7.1: separators inside a value are escaped. */
export function v2(text: string): string {
  return text
    .replace(/\s+/g, ' ')
    .trim()
    .replace(/[\\^&|~]/g, (mark) => separators[mark] ?? mark)
}
