import { oids } from '../asn1/oids.js'
import * as asn1 from '../asn1/reader.js'

/**
 * The certificates in what servers hand out as such: one DER certificate, PEM, or certificates-only CMS (.p7c, RFC 5652
 * §5.1) in DER, BER or PEM; at most `limit`, DER, unjudged and unparsed. Answers an empty list for anything else.
 */
export function certificatesIn(bytes: Uint8Array, limit = 20): readonly Uint8Array[] {
  try {
    if (bytes[0] === asn1.tags.sequence) return fromDer(bytes, limit)
    const blocks = Buffer.from(bytes)
      .toString('latin1')
      .matchAll(/-----BEGIN (CERTIFICATE|PKCS7|CMS)-----([A-Za-z0-9+/=\s]*)-----END \1-----/g)
    const found: Uint8Array[] = []
    for (const [, , body = ''] of blocks) {
      found.push(...fromDer(Buffer.from(body, 'base64'), limit))
      if (found.length >= limit) break
    }
    return found.slice(0, limit)
  } catch (error) {
    if (error instanceof asn1.Asn1Error) return []
    throw error
  }
}

function fromDer(bytes: Uint8Array, limit: number): readonly Uint8Array[] {
  const outer = asn1.onlyElement(bytes)
  const [type, content] = asn1.sequence(outer, 4)
  if (type?.tag !== asn1.tags.oid) return [asn1.whole(outer)]
  if (asn1.oid(type) !== oids.signedData || content?.tag !== 0xa0) throw new asn1.Asn1Error('CMS without certificates')
  const certificates = asn1.sequence(asn1.children(content, 1)[0], 8).find(({ tag }) => tag === 0xa0)
  // CertificateChoices other than a certificate are tagged and passed over.
  return (certificates ? asn1.children(certificates) : [])
    .filter(({ tag }) => tag === asn1.tags.sequence)
    .slice(0, limit)
    .map(asn1.whole)
}
