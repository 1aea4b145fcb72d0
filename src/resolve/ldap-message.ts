import * as asn1 from '../asn1/reader.js'
import { contextPrimitive, der, integer, octetString, sequenceOf } from '../asn1/writer.js'

/**
 * The few LDAP messages (RFC 4511) that an anonymous search takes. Written and read here and not by a package: those at
 * hand trust the server, which here is a stranger's, and one that lies could stop the process.
 */

export const ldapMessageLimits = {
  /** One message: an entry with some dozens of certificates. */
  messageBytes: 1024 * 1024,
  /** Attributes of one entry: two are asked for. */
  attributes: 32,
  /** Values of one attribute: some directories never take old certificates away. */
  values: 512,
}

/** A filter as a tree (RFC 4511 §4.5.1.7): there is no text to escape, so nothing can be injected. */
export type Filter =
  | { readonly kind: 'and' | 'or'; readonly parts: readonly Filter[] }
  | { readonly kind: 'equals'; readonly attribute: string; readonly value: string }
  | { readonly kind: 'present'; readonly attribute: string }

export interface Search {
  /** Distinguished name in its string form; empty for the root. */
  readonly base: string
  readonly scope: 'base' | 'subtree'
  readonly filter: Filter
  readonly attributes: readonly string[]
  /** Entries. */
  readonly sizeLimit: number
  readonly timeLimitSeconds: number
}

/** One message of the server, as far as a search needs it. */
export type LdapMessage = { readonly id: number } & (
  | { readonly kind: 'entry'; readonly attributes: readonly Attribute[] }
  /** The end of a bind or a search: RFC 4511 §4.1.9. */
  | { readonly kind: 'bound' | 'done'; readonly code: number }
  /** References, intermediate answers. */
  | { readonly kind: 'other' }
)

export interface Attribute {
  /** With its options, lower-cased: `usercertificate;binary`. */
  readonly description: string
  readonly values: readonly Uint8Array[]
}

const application = { bind: 0x60, bound: 0x61, unbind: 0x42, search: 0x63, entry: 0x64, done: 0x65 }

/** A simple bind without name and password (RFC 4513 §5.1.1). */
export function bindBytes(id: number): Uint8Array {
  return message(id, der(application.bind, integer(3), text(''), contextPrimitive(0, Buffer.alloc(0))))
}

export function unbindBytes(id: number): Uint8Array {
  return message(id, der(application.unbind))
}

/** A search (RFC 4511 §4.5.1) that follows no aliases and wants values. */
export function searchBytes(id: number, search: Search): Uint8Array {
  const body = [
    text(search.base),
    enumerated(search.scope === 'base' ? 0 : 2),
    enumerated(0),
    integer(search.sizeLimit),
    integer(search.timeLimitSeconds),
    der(asn1.tags.boolean, Uint8Array.of(0)),
    filterBytes(search.filter),
    sequenceOf(...search.attributes.map(text)),
  ]
  return message(id, der(application.search, ...body))
}

function message(id: number, operation: Uint8Array): Uint8Array {
  return sequenceOf(integer(id), operation)
}

function filterBytes(filter: Filter): Uint8Array {
  switch (filter.kind) {
    case 'and':
      return der(0xa0, ...filter.parts.map(filterBytes))
    case 'or':
      return der(0xa1, ...filter.parts.map(filterBytes))
    case 'equals':
      return der(0xa3, text(filter.attribute), text(filter.value))
    case 'present':
      return contextPrimitive(7, Buffer.from(filter.attribute))
  }
}

function text(value: string): Uint8Array {
  return octetString(Buffer.from(value))
}

function enumerated(value: number): Uint8Array {
  return der(asn1.tags.enumerated, Uint8Array.of(value))
}

/**
 * How many octets the message that begins here takes: undefined while that cannot be told, at most 6 octets in. Throws
 * Asn1Error for what is no message (RFC 4511 §5.1 allows definite lengths only) or larger than the limit.
 */
export function messageSize(begun: Uint8Array, limits = ldapMessageLimits): number | undefined {
  const [tag, first] = begun
  if (tag !== undefined && tag !== asn1.tags.sequence) throw new asn1.Asn1Error('not an LDAP message')
  if (first === undefined) return undefined
  if (first < 0x80) return 2 + first
  const octets = first & 0x7f
  if (octets === 0 || octets > 4) throw new asn1.Asn1Error('length of an LDAP message')
  if (begun.length < 2 + octets) return undefined
  let size = 0
  for (const octet of begun.subarray(2, 2 + octets)) size = size * 256 + octet
  if (size > limits.messageBytes) throw new asn1.Asn1Error(`an LDAP message of ${size} bytes`)
  return 2 + octets + size
}

/** Reads one whole message. Throws Asn1Error for what is none, or has more attributes or values than the limits. */
export function readLdapMessage(bytes: Uint8Array, limits = ldapMessageLimits): LdapMessage {
  const [first, operation] = asn1.sequence(asn1.onlyElement(bytes), 3)
  const id = asn1.smallInteger(first)
  switch (operation?.tag) {
    case undefined:
      throw new asn1.Asn1Error('an LDAP message without operation')
    case application.bound:
    case application.done: {
      const [code] = asn1.children(operation, 16)
      const digits = asn1.content(asn1.expect(code, asn1.tags.enumerated))
      if (digits.length === 0 || digits.length > 2) throw new asn1.Asn1Error('an LDAP result code')
      return {
        id,
        kind: operation.tag === application.done ? 'done' : 'bound',
        code: digits.reduce((value, digit) => value * 256 + digit, 0),
      }
    }
    case application.entry: {
      const [, list] = asn1.children(operation, 2)
      const attributes = asn1.sequence(list, limits.attributes).map((one): Attribute => {
        const [description, values] = asn1.sequence(one, 2)
        const set = asn1.children(asn1.expect(values, asn1.tags.set), limits.values)
        return {
          description: Buffer.from(octetsOf(description)).toString('latin1').toLowerCase(),
          values: set.map((value) => Uint8Array.from(octetsOf(value))),
        }
      })
      return { id, kind: 'entry', attributes }
    }
    default:
      return { id, kind: 'other' }
  }
}

function octetsOf(found: asn1.Element | undefined): Uint8Array {
  return asn1.content(asn1.expect(found, asn1.tags.octetString))
}
