import { type Certificate, publicKeyOf, readCertificate } from '../x509/certificate.js'

/** Data of one CERT record, and until when it may be remembered. */
export interface CertRecord {
  readonly data: Uint8Array
  /** The end of the certificate's validity, Unix milliseconds. */
  readonly notAfter: number
}

/**
 * The data of a CERT record of type PKIX (RFC 4398 §2) from a DER certificate; undefined for what is none. Algorithm and
 * key tag are those of the key as a DNSKEY would hold it; both are 0 for keys that DNSSEC has no number for.
 */
export function certRecord(der: Uint8Array): CertRecord | undefined {
  const certificate = readCertificate(der)
  if (certificate.kind === 'malformed') return undefined
  const known = made.get(certificate)
  if (known) return known
  const record = make(certificate)
  made.set(certificate, record)
  return record
}

/** Each certificate's once, for as long as it is remembered parsed. */
const made = new WeakMap<Certificate, CertRecord>()

function make(certificate: Certificate): CertRecord {
  const { algorithm, key } = dnsKeyOf(certificate)
  const data = Buffer.alloc(5 + certificate.der.length)
  data.writeUInt16BE(1, 0)
  data.writeUInt16BE(key ? keyTag(algorithm, key) : 0, 2)
  data[4] = algorithm
  data.set(certificate.der, 5)
  return { data, notAfter: certificate.notAfter }
}

/** Number and public key field of a key in DNSSEC: RSA in RFC 3110 §2, curves in RFC 6605 §4. */
function dnsKeyOf(certificate: Certificate): { readonly algorithm: number; readonly key?: Uint8Array } {
  const { kty, crv, n, e, x, y } = publicKeyOf(certificate)?.export({ format: 'jwk' }) ?? {}
  const bytes = (text = '') => Buffer.from(text, 'base64url')
  if (kty === 'RSA') {
    const exponent = bytes(e)
    const length = exponent.length < 256 ? [exponent.length] : [0, exponent.length >> 8, exponent.length & 255]
    return { algorithm: 8, key: Buffer.concat([Buffer.from(length), exponent, bytes(n)]) }
  }
  const algorithm = { 'P-256': 13, 'P-384': 14 }[crv ?? '']
  return algorithm ? { algorithm, key: Buffer.concat([bytes(x), bytes(y)]) } : { algorithm: 0 }
}

/** RFC 4034 appendix B, over the data of a DNSKEY with the flags of a zone key. */
export function keyTag(algorithm: number, key: Uint8Array): number {
  let sum = 0
  for (const [i, byte] of [1, 0, 3, algorithm, ...key].entries()) sum += (i & 1) === 0 ? byte << 8 : byte
  return (sum + (sum >> 16)) & 0xffff
}
