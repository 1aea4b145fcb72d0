import type { NewField } from './fields.js'
import type { Header } from './header.js'

/** A header field that nobody signed, with its name as it was written. */
export interface UnsignedField {
  readonly name: string
  readonly value: string
}

export const unsignedFieldLimits = {
  /** The Metadata and Payloads Framework has six. */
  fields: 20,
  /** Names and values together: they are kept in the row that lists read. */
  bytes: 2048,
} as const

/**
 * The X-Direct-* fields that stand in the envelope of a message alone, where anybody on the way could have written them:
 * kept for who wants to see them, believed by nobody. What the signed header says, it says alone.
 */
export function outerDirectFields(
  envelope: Header,
  signed: Header,
  limits: { readonly fields: number; readonly bytes: number } = unsignedFieldLimits,
): readonly UnsignedField[] {
  const kept: UnsignedField[] = []
  let left = limits.bytes
  for (const { name, raw, value } of envelope.fields) {
    if (!name.startsWith('x-direct-') || signed.get(name) !== undefined) continue
    left -= name.length + Buffer.byteLength(value)
    if (left < 0 || kept.length === limits.fields) break
    kept.push({ name: raw.toString('latin1', 0, name.length), value })
  }
  return kept
}

/** Fields that gateways on the way route by (Metadata and Payloads Framework 1.0), with their names as it writes them. */
export const frameworkFields = [
  'x-direct-metadata-payload-versionIdentifier',
  'x-direct-useCase',
  'x-direct-metadataTypeCode',
  'x-direct-purpose',
  'x-direct-formatCode',
  'x-direct-payloadMimeType',
] as const

/** Codes and media types: a longer value is none of them. */
const frameworkValue = /^[!-~](?:[ -~]{0,254}[!-~])?$/

/**
 * The framework fields of a message for its envelope: what stands there everybody reads, so these six codes go out and
 * nothing else does. One that stands twice, or is no code, stays inside.
 */
export function framedOutside(message: Header): readonly NewField[] {
  return frameworkFields.flatMap((name): NewField[] => {
    const [value, ...more] = message.all(name.toLowerCase())
    return value !== undefined && more.length === 0 && frameworkValue.test(value) ? [[name, value]] : []
  })
}
