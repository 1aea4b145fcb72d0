import { type DecodeDiagnostic, decodeBody } from './decode.js'
import { type Header, type HeaderOptions, readHeader } from './header.js'
import { type Unreadable, unreadable, viewOf } from './limits.js'
import { contentTypeOf, transferEncodingOf } from './parameters.js'

export interface Unwrapped {
  readonly kind: 'unwrapped'
  /** The header of the wrapper: routing copies and MIME fields, never what a person is shown. */
  readonly outer: Header
  /** The message inside: a view, or new memory where the wrapper was encoded. */
  readonly bytes: Buffer
  readonly diagnostics: readonly DecodeDiagnostic[]
}

/**
 * Opens a message/rfc822 wrapper (RFC 8551 §3.1), in any letter case and with any parameters, and undoes its transfer
 * encoding: RFC 2046 §5.2.1 allows 7bit, 8bit and binary, but base64 and quoted-printable are sent and read by others.
 * One wrapper is opened, not wrappers within. Any other entity is `not-wrapped`.
 */
export function unwrapMessage(
  entity: Uint8Array,
  options: HeaderOptions = {},
): Unwrapped | { readonly kind: 'not-wrapped' } | Unreadable {
  const bytes = viewOf(entity)
  const outer = readHeader(bytes, options)
  if (outer.kind === 'unreadable') return outer
  if (contentTypeOf(outer).value !== 'message/rfc822') return { kind: 'not-wrapped' }
  for (const name of ['content-type', 'content-transfer-encoding'])
    if (outer.all(name).length > 1) return unreadable('duplicate-field', `${name} stands twice`)
  const body = { body: bytes.subarray(outer.bodyStart), transferEncoding: transferEncodingOf(outer) }
  const decoded = decodeBody(body, options.limits)
  return decoded.kind === 'unreadable'
    ? decoded
    : { kind: 'unwrapped', outer, bytes: decoded.bytes, diagnostics: decoded.diagnostics }
}
