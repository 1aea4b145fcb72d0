import { oids } from '../asn1/oids.js'
import * as asn1 from '../asn1/reader.js'
import { smimeLimits } from './policy.js'

/** SignedData (RFC 5652 §5.1) taken apart; nothing is copied. */
export interface SignedData {
  /** eContentType. */
  readonly contentType: string
  /** The octet string that holds the content; undefined in a detached signature. */
  readonly content: asn1.Element | undefined
  /** The certificate bag in its order, at most `smimeLimits.certificates`, DER as it came. */
  readonly certificates: readonly Uint8Array[]
  readonly signers: readonly asn1.Element[]
}

/** Takes a signed ContentInfo apart. Undefined for another content type; throws Asn1Error for damage and excess. */
export function readSignedData(
  cms: Uint8Array,
  limits: { readonly certificates: number; readonly signers: number } = smimeLimits,
): SignedData | undefined {
  const [type, wrapped] = asn1.sequence(asn1.element(cms))
  if (asn1.oid(type) !== oids.signedData) return undefined
  const [, , info, ...rest] = asn1.sequence(asn1.children(asn1.expect(wrapped, 0xa0))[0])
  const [contentType, content] = asn1.sequence(info)
  const bag = rest.find((field) => field.tag === 0xa0)
  const certificates = bag ? asn1.children(bag).filter((one) => one.tag === asn1.tags.sequence) : []
  const inner = content && asn1.children(asn1.expect(content, 0xa0))[0]
  if (inner && (inner.tag & ~0x20) !== asn1.tags.octetString) throw new asn1.Asn1Error('content is no octet string')
  return {
    contentType: asn1.oid(contentType),
    content: inner,
    certificates: certificates.slice(0, limits.certificates).map(asn1.whole),
    signers: asn1.children(asn1.expect(rest.at(-1), asn1.tags.set), limits.signers),
  }
}
