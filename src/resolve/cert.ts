import type { DirectAddress, DirectDomain } from '../direct/address.js'

export const certRecordLimits = {
  /** Certificates taken from one name; a signing and an encryption certificate, and their successors, are four. */
  certificates: 32,
  /** URLs fetched for one name. */
  urls: 2,
}

/** One CERT record (RFC 4398 §2), as far as Direct uses it. */
export type CertRecord =
  /** Type PKIX: a certificate in DER, unread. */
  | { readonly kind: 'certificate'; readonly der: Uint8Array }
  /** Type IPKIX: where to fetch it. */
  | { readonly kind: 'url'; readonly url: string }
  /** Other types: keys of SPKI and OpenPGP, revocation lists. */
  | { readonly kind: 'other'; readonly type: number }

/**
 * Reads the RDATA of a CERT record, at least 5 octets: type, key tag, algorithm, and what follows. Key tag and algorithm
 * are not looked at: they hint at a key that only the certificate itself can tell.
 */
export function readCertRecord(rdata: Uint8Array): CertRecord {
  const [high = 0, low = 0] = rdata
  const type = high * 256 + low
  const body = rdata.subarray(5)
  if (type === 1) return { kind: 'certificate', der: body }
  if (type !== 4) return { kind: 'other', type }
  const [url = ''] = Buffer.from(body).toString('latin1').split('\0', 1) // Some writers end it as C strings end.
  return { kind: 'url', url: url.trim() }
}

/** The name that CERT records of an address or a domain are under: `@` becomes a dot (RFC 4398 §3.1, as Direct reads it). */
export function certNameOf(owner: DirectAddress | DirectDomain): string {
  return owner.replace('@', '.')
}
