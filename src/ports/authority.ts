import type { DirectAddress, DirectDomain } from '../direct/address.js'
import type { Undecided } from '../direct/refusal.js'
import type { KeyKind } from './arithmetic.js'
import type { CertificateAsked, KeyUse } from './registrar.js'

/** Reasons for which a certificate of ours is revoked (RFC 5280 §5.3.1); a hold is left out, since none is ever lifted here. */
export const revocationReasons = [
  'unspecified',
  'keyCompromise',
  'affiliationChanged',
  'superseded',
  'cessationOfOperation',
  'privilegeWithdrawn',
] as const
export type RevocationReason = (typeof revocationReasons)[number]

export interface AuthorityRecord {
  /** 16 hex digits of the SHA-256 of its public key; it is also in the names of its files. */
  readonly id: string
  /** Subject as people read it. */
  readonly subject: string
  /** SHA-256 of the certificate, lower-case hex. */
  readonly fingerprint: string
  /** Unix milliseconds. */
  readonly notBefore: number
  readonly notAfter: number
  readonly createdAt: number
  /** A closed authority issues no more, and signs its revocation list until its certificate ends. */
  readonly closed: boolean
  readonly list: { readonly number: number; readonly thisUpdate: number; readonly nextUpdate: number }
  /** DER. */
  readonly certificate: Uint8Array
}

export interface IssuedRecord {
  readonly authority: string
  /** Lower-case hex. */
  readonly serial: string
  readonly owner: DirectAddress | DirectDomain
  readonly use: KeyUse
  readonly notAfter: number
  readonly issuedAt: number
  readonly revoked?: { readonly at: number; readonly reason: RevocationReason }
  /** DER. */
  readonly certificate: Uint8Array
}

/** A file that peers fetch over HTTP. */
export interface AuthorityFile {
  readonly mediaType: string
  readonly bytes: Uint8Array
  /** Unix milliseconds. */
  readonly lastModified: number
  /** In quotes, as the header says it. */
  readonly etag: string
  readonly maxAgeSeconds: number
}

export interface AuthorityFiles {
  /** The file of this name, `<id>.crl` or `<id>.cer`; undefined for every other name. */
  file(name: string): Promise<AuthorityFile | undefined>
}

export interface AuthorityRefusal {
  readonly kind: 'refused'
  readonly detail: string
}

/** Certification authorities of our own. Every change is audited in the batch that makes it true. */
export interface CertificateAuthority extends AuthorityFiles {
  /** Makes a key and a self-signed certificate; never happens by itself. The newest open authority issues. */
  create(
    authority: {
      readonly name: string
      readonly kind?: KeyKind
      readonly years?: number
      /** Names outside these domains are not its to certify (RFC 5280 §4.2.1.10). */
      readonly within?: readonly DirectDomain[]
      /** Made closed: partners get its certificate before it issues. */
      readonly closed?: boolean
    },
    by: string,
  ): Promise<{ readonly kind: 'created'; readonly authority: AuthorityRecord } | AuthorityRefusal | Undecided>
  list(): Promise<readonly AuthorityRecord[]>
  close(id: string, by: string): Promise<{ readonly kind: 'done' } | AuthorityRefusal>
  /** Undoes `close`. */
  open(id: string, by: string): Promise<{ readonly kind: 'done' } | AuthorityRefusal>
  /** Certifies the key of a request. The same request gets the same certificate again. */
  issue(
    asked: CertificateAsked,
    by: string,
  ): Promise<{ readonly kind: 'issued'; readonly issued: IssuedRecord } | AuthorityRefusal | Undecided>
  /** What was issued, in order of authority and serial number; `after` is the last one of the page before. */
  issued(after?: Pick<IssuedRecord, 'authority' | 'serial'>): Promise<readonly IssuedRecord[]>
  /** Revokes a certificate (DER) of ours and signs the list anew, both or neither. */
  revoke(
    certificate: Uint8Array,
    reason: RevocationReason,
    by: string,
  ): Promise<{ readonly kind: 'revoked' | 'revoked-before' } | AuthorityRefusal | Undecided>
  /** Signs lists that are due anew; answers when the next one is due, undefined where no authority needs any. */
  renewLists(): Promise<number | undefined>
}
