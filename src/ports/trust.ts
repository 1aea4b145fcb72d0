import type { DirectAddress, DirectDomain } from '../direct/address.js'
import type { Undecided } from '../direct/refusal.js'

export type Direction = 'in' | 'out' | 'both'

/** A trust anchor: a certificate that an address or a domain of ours chose to trust, in one direction or both. */
export interface Anchor {
  /** Absent for an anchor of a bundle, which the domains that use the bundle share. */
  readonly owner?: DirectAddress | DirectDomain
  /** The bundle that it came in. */
  readonly bundle?: string
  /** DER. */
  readonly certificate: Uint8Array
  readonly direction: Direction
}

export interface Anchors {
  /** Anchors of the address and of its domain that serve this direction (`both` serves each). */
  of(address: DirectAddress, direction: 'in' | 'out'): Promise<readonly Anchor[] | Undecided>
}

export type RevocationAnswer =
  | { readonly kind: 'good' }
  | { readonly kind: 'revoked'; readonly at: number; readonly reason: string }
  /** Nobody publishes revocation for this certificate (no distribution point), so there is nothing to learn. */
  | { readonly kind: 'not-published' }
  /** The source did not answer, or answered something that proves nothing: try again later. */
  | { readonly kind: 'unavailable'; readonly detail: string }

/** What is asked about one certificate whose path was found valid. */
export interface RevocationQuestion {
  /** The certificate in question first, its issuers behind it, the anchor last; DER, at least two. */
  readonly path: readonly Uint8Array[]
  /** Further certificates at hand, DER: one of them may have signed a list or an answer. */
  readonly others: readonly Uint8Array[]
  /** Unix milliseconds. */
  readonly at: number
  /** Accept lists and answers signed with SHA-1; never MD5. */
  readonly allowSha1: boolean
  /** Is told the URL of each list and answer that was looked at, remembered ones too; nobody by default. Must not throw. */
  readonly onSource?: (url: string) => void
}

export interface Revocation {
  /** Status of the first certificate of a path. Never throws for what the far side does. */
  status(question: RevocationQuestion): Promise<RevocationAnswer>
}

/** Bytes that a URL gave. While they are remembered the very same array is handed out, so that parsing is remembered with it. */
export type SourceAnswer =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  /** Nothing came that can be used, now or shortly before; in words, with the host. */
  | { readonly kind: 'unavailable'; readonly detail: string }

/** Fetches what tells of revocation, within limits, and remembers it across processes; decides nothing. */
export interface RevocationSources {
  /** The revocation list at the URL of a distribution point, DER or PEM as it came, neither out of date nor past its refresh. */
  list(url: string): Promise<SourceAnswer>
  /** What the OCSP responder at the URL says to a DER OCSPRequest (RFC 6960 §A.1); remembered by URL and request. */
  ocsp(url: string, request: Uint8Array): Promise<SourceAnswer>
  /** Says that these bytes, handed out before, proved nothing to who asked: their source is asked anew before long. */
  doubt?(bytes: Uint8Array): void
}

/** Finds certificates that issued others, where the message did not bring them (AIA caIssuers, or imported ones). */
export interface Issuers {
  of(certificate: Uint8Array): Promise<readonly Uint8Array[] | Undecided>
}

/** One place where certificates of an address were looked for. */
export interface DiscoveryStep {
  readonly source: 'imported' | 'own' | 'dns' | 'ldap'
  readonly binding: 'address' | 'domain'
  /** What was asked, for people: `CERT clinic.example`, `mail=clinic.example at ldap.clinic.example:389`. */
  readonly place: string
  readonly outcome: 'found' | 'none' | 'unavailable'
  readonly detail: string
}

/** Where the search for certificates of an address ended, with every step taken. */
export type Discovered = { readonly steps: readonly DiscoveryStep[] } & (
  | {
      /** The first place that had certificates, good or bad: what is there and does not hold is not passed over. */
      readonly kind: 'found'
      readonly source: DiscoveryStep['source']
      readonly binding: DiscoveryStep['binding']
      /** DER as published, never none; one that does not parse is among them. */
      readonly certificates: readonly Uint8Array[]
    }
  /** Every place answered that it has none. */
  | { readonly kind: 'none' }
  /** A place did not answer: nothing weaker was asked. */
  | Undecided
)

/** Certificates of others, to encrypt to: imported by the operator, or discovered. */
export interface CertificateDirectory {
  /**
   * Never throws for what the far side does. With `since` (Unix milliseconds) nothing counts that was learnt before: for asking
   * once more where all that is remembered does not hold.
   */
  of(address: DirectAddress, since?: number): Promise<Discovered>
}
