import type { DirectAddress, DirectDomain } from '../direct/address.js'
import type { EncryptionPreference } from '../direct/encryption.js'
import type { DomainRule } from '../direct/rule.js'
import type { TokenUri } from '../direct/token-uri.js'
import type { KeyKind } from '../ports/arithmetic.js'
import type { Validators } from '../ports/fetch.js'
import type { Keys } from '../ports/keys.js'
import type { KeyUse } from '../ports/registrar.js'
import type { Batch } from '../ports/store.js'
import type { Anchors, CertificateDirectory, Direction, Issuers } from '../ports/trust.js'
import type { DomainPolicy } from './policy.js'
import type { DirectoryRefusal } from './problem.js'

/**
 * Whom this gateway serves and whom it trusts: domains, addresses, keys, anchors, certificates of peers, API tokens.
 * Every change names who made it (`by`: `operator`, a token id) and is audited in the batch that makes it true.
 * What a caller got wrong comes back as a DirectoryRefusal; only a broken store throws.
 */
export interface Directory {
  readonly domains: Domains
  readonly addresses: Addresses
  readonly keys: OwnKeys
  readonly anchors: AnchorBook
  readonly bundles: BundleBook
  readonly peers: PeerBook
  readonly encryption: EncryptionBook
  readonly issuers: IssuerBook
  readonly tokens: Tokens
  readonly accounts: Accounts
  /** Forgets what it remembers where another process changed the directory; true when that was so. */
  refresh(): Promise<boolean>
}

/** Who owns a key, an anchor or a certificate: one address, or a whole domain. */
export type Owner = DirectAddress | DirectDomain

export interface Page<T> {
  readonly items: readonly T[]
  /** Give it back as `after` for the next page; absent on the last one. */
  readonly next?: string
}

export type Done = { readonly kind: 'done' } | DirectoryRefusal

// --- Domains ---

export interface Domain {
  readonly domain: DirectDomain
  readonly policy: DomainPolicy
  /** Unix milliseconds. */
  readonly createdAt: number
}

export interface Domains {
  /** Serves a domain from now on. Refuses what is no domain name, one served already, a policy value that does not exist. */
  add(
    domain: string,
    by: string,
    policy?: Partial<DomainPolicy>,
  ): Promise<{ readonly kind: 'added'; readonly domain: Domain } | DirectoryRefusal>
  get(domain: DirectDomain): Promise<Domain | undefined>
  list(): Promise<readonly Domain[]>
  setPolicy(
    domain: DirectDomain,
    change: Partial<DomainPolicy>,
    by: string,
  ): Promise<{ readonly kind: 'changed'; readonly domain: Domain } | DirectoryRefusal>
  /** Adds rules about certificates, all or none. Refuses bad or known names and more than `policyLimits`. */
  addRules(
    domain: DirectDomain,
    rules: readonly DomainRule[],
    by: string,
  ): Promise<{ readonly kind: 'changed'; readonly domain: Domain } | DirectoryRefusal>
  removeRule(
    domain: DirectDomain,
    name: string,
    by: string,
  ): Promise<{ readonly kind: 'changed'; readonly domain: Domain } | DirectoryRefusal>
  /** The policy for mail to this address; the default one where the domain is not ours. */
  policyOf(address: DirectAddress): Promise<DomainPolicy>
  /** Refuses a domain that still has addresses. Its keys stay: old mail must remain readable. */
  remove(domain: DirectDomain, by: string): Promise<Done>
}

// --- Addresses ---

export interface Address {
  readonly address: DirectAddress
  readonly kind: 'patient' | 'provider'
  /** Random UUID of its mailbox. An address that is removed and added again gets a new one: mail never changes hands. */
  readonly mailbox: string
  /** Random UUID of the patient's record; a provider has none. */
  readonly record?: string
  /** A disabled address takes no mail and opens no session, but keeps its mailbox. */
  readonly disabled: boolean
  readonly createdAt: number
  /** That the person behind the address is who they say; absent until somebody vouched for it. */
  readonly proofing?: Proofing
  /** Name of the system of its owner that gets its mail from the mailbox (`edge.systems`); absent: the mailbox is the end. */
  readonly edge?: string
  /** Whoever it belongs to took it themselves: when it is removed, its name is nobody's for ever. */
  readonly activated?: true
}

/** Identity assurance levels of NIST SP 800-63A, weakest first. */
export const proofingLevels = ['ial1', 'ial2', 'ial3'] as const
export type ProofingLevel = (typeof proofingLevels)[number]

/** Who vouched for the identity of a person, when, and how; in the operator's words, never a document's number. */
export interface Proofing {
  readonly level: ProofingLevel
  readonly method: string
  readonly by: string
  /** Unix milliseconds. */
  readonly at: number
}

/** `awaiting-proofing`: its domain demands more proof of identity than there is. */
export type Standing = 'live' | 'disabled' | 'awaiting-proofing'

export interface Addresses {
  /** Serves an address of a served domain. `record` joins a patient's further address to the record of the first. */
  add(
    address: string,
    kind: 'patient' | 'provider',
    by: string,
    options?: { readonly record?: string },
  ): Promise<{ readonly kind: 'added'; readonly address: Address } | DirectoryRefusal>
  /**
   * Takes an address for a record, as a person chose it, unless the record has `most` already. Refuses a domain that is not
   * open to activation, names that are no plain words, reserved names, those that somebody has and those that somebody had.
   * `also` becomes true with it.
   */
  activate(
    address: string,
    record: string,
    by: string,
    options: { readonly most: number; readonly also?: Batch },
  ): Promise<{ readonly kind: 'added'; readonly address: Address } | DirectoryRefusal>
  /** Whether somebody could activate this address now; the refusal says why not. */
  mayActivate(address: string): Promise<{ readonly kind: 'free'; readonly address: DirectAddress } | DirectoryRefusal>
  /** Addresses of a record, disabled ones included, in the order in which they came. */
  ofRecord(record: string): Promise<readonly Address[]>
  get(address: DirectAddress): Promise<Address | undefined>
  /** In order of domain, then name. `limit` 1 to 1,000, default 100. */
  list(options?: {
    readonly domain?: DirectDomain
    readonly after?: string
    readonly limit?: number
  }): Promise<Page<Address>>
  /** Whether the address is live, so that mail to it is accepted: known, not disabled, proofed as its domain demands. */
  isServed(address: DirectAddress): Promise<boolean>
  /** Where the address stands on its way to being live; undefined for one that is not known, or whose domain is not served. */
  standing(address: DirectAddress): Promise<Standing | undefined>
  /** Vouches for the person behind the address; an earlier word is replaced. Refuses a level that does not exist and empty or long methods. */
  prove(address: DirectAddress, proofing: Pick<Proofing, 'level' | 'method'>, by: string): Promise<Done>
  /** Takes the word back: where the domain demands proofing, the address takes no more mail. */
  unprove(address: DirectAddress, by: string): Promise<Done>
  setDisabled(address: DirectAddress, disabled: boolean, by: string): Promise<Done>
  /** Hands mail that arrives from now on to a system, or with undefined to none. Refuses what is no name of a system. */
  setEdge(address: DirectAddress, edge: string | undefined, by: string): Promise<Done>
  remove(address: DirectAddress, by: string): Promise<Done>
}

// --- Our own keys ---

/** What is told of a key of ours; never the key. */
export interface KeyRecord {
  /** SHA-256 of the certificate, lower-case hex. */
  readonly id: string
  readonly owner: Owner
  /** Subject and issuer as people read them. */
  readonly subject: string
  readonly issuer: string
  /** Unix milliseconds. */
  readonly notBefore: number
  readonly notAfter: number
  readonly type: 'rsa' | 'ec'
  readonly maySign: boolean
  readonly mayEncrypt: boolean
  /** A retired key signs no more, but still opens old mail. */
  readonly retired: boolean
  readonly addedAt: number
  /** Where it is, when it is in a PKCS#11 token. */
  readonly token?: TokenUri
  /** Who registered its certificate, where we asked for it ourselves: such keys are renewed. */
  readonly registered?: KeyRegistration
  /** DER. */
  readonly certificate: Uint8Array
  /** Further certificates up to the anchor, DER. */
  readonly chain: readonly Uint8Array[]
}

/** How a certificate was registered: all that a renewal asks for again. */
export interface KeyRegistration {
  /** Name of the registrar. */
  readonly registrar: string
  readonly use: KeyUse
  readonly kind: KeyKind
}

export type KeyWarning = 'expired' | 'not-yet-valid' | 'signs-nothing' | 'encrypts-nothing' | 'broken-chain'

export interface OwnKeys extends Keys {
  /**
   * Takes a key of ours: certificate and chain in DER, private key in unencrypted PKCS#8 DER, which is wrapped before it
   * is stored. Refuses a certificate that does not name the owner, a key that does not match it, and weak keys.
   */
  add(
    key: {
      readonly owner: string
      readonly certificate: Uint8Array
      readonly chain?: readonly Uint8Array[]
      readonly pkcs8: Uint8Array
    },
    by: string,
  ): Promise<
    { readonly kind: 'added'; readonly key: KeyRecord; readonly warnings: readonly KeyWarning[] } | DirectoryRefusal
  >
  /** The same for a key that is wrapped already, under the fingerprint of its certificate, and was checked to belong to it. */
  addBound(
    key: {
      readonly owner: Owner
      readonly certificate: Uint8Array
      readonly chain: readonly Uint8Array[]
      readonly wrapped: Uint8Array
      readonly registered: KeyRegistration
    },
    by: string,
  ): Promise<
    { readonly kind: 'added'; readonly key: KeyRecord; readonly warnings: readonly KeyWarning[] } | DirectoryRefusal
  >
  /**
   * The same for a key in a PKCS#11 token, which was checked to belong to its certificate (KeyArithmetic.checkToken).
   * Refuses what is not the URI of a key too (RFC 7512).
   */
  addToken(
    key: {
      readonly owner: string
      readonly certificate: Uint8Array
      readonly chain?: readonly Uint8Array[]
      readonly token: string
    },
    by: string,
  ): Promise<
    { readonly kind: 'added'; readonly key: KeyRecord; readonly warnings: readonly KeyWarning[] } | DirectoryRefusal
  >
  /** Keys of one owner, or of all, newest first. */
  list(owner?: Owner): Promise<readonly KeyRecord[]>
  /** The same for an owner that a stranger named: no name without keys is remembered, and each takes the same time. */
  asked(owner: Owner): Promise<readonly KeyRecord[]>
  retire(owner: Owner, id: string, by: string): Promise<Done>
  /** Wraps every key that is still under an older master key again; answers how many. */
  rewrap(by: string): Promise<number>
}

// --- Trust anchors ---

export interface AnchorRecord {
  /** SHA-256 of the certificate, lower-case hex. */
  readonly id: string
  readonly owner: Owner
  readonly direction: Direction
  readonly subject: string
  readonly notBefore: number
  readonly notAfter: number
  readonly addedAt: number
  /** DER. */
  readonly certificate: Uint8Array
}

export type AnchorWarning = 'expired' | 'not-yet-valid' | 'not-an-authority'

export interface AnchorBook extends Anchors {
  /** Trusts a certificate for a served domain or one of its addresses. Adding it again changes its direction. */
  add(
    anchor: { readonly owner: string; readonly certificate: Uint8Array; readonly direction: Direction },
    by: string,
  ): Promise<
    | { readonly kind: 'added'; readonly anchor: AnchorRecord; readonly warnings: readonly AnchorWarning[] }
    | DirectoryRefusal
  >
  list(owner?: Owner): Promise<readonly AnchorRecord[]>
  remove(owner: Owner, id: string, by: string): Promise<Done>
}

// --- Trust bundles ---

/** What the keeper of a bundle says of it beside its certificates: plain words, believed by nobody. */
export interface BundleMetadata {
  readonly name?: string
  readonly profile?: string
  readonly distributionPoint?: string
  /** Every word of the document in its order, by the path of element names that it stands under. */
  readonly facts: readonly (readonly [path: string, value: string])[]
}

/** What was loaded of a bundle and found sound (see pipeline/bundles.ts); nothing of it is judged here. */
export interface BundleContent {
  /** DER. */
  readonly certificates: readonly Uint8Array[]
  /** SHA-256 of the bytes as they came, lower-case hex. */
  readonly digest: string
  /** SHA-256 of the certificate whose signature was verified and believed. */
  readonly signedBy?: string
  /** When he says that he signed, which he signed as well; Unix milliseconds. */
  readonly signedAt?: number
  readonly metadata?: BundleMetadata
  /** Certificates that do not parse, and were left out. */
  readonly unreadable: number
}

/** How the loading of a bundle went; moments in Unix milliseconds. */
export interface BundleStatus {
  readonly triedAt?: number
  /** When the source last said that the copy kept is the one it has. */
  readonly confirmedAt?: number
  /** Failures since then. */
  readonly failures: number
  readonly failure?: { readonly at: number; readonly fault: string; readonly detail: string }
  /** When a person was last called, and whether because the copy had become old. */
  readonly alarmedAt?: number
  readonly alarmedAsOld?: boolean
  /** When it is loaded again by itself; absent for one that came from a file. */
  readonly nextAt?: number
  /** What the source said of the copy, for asking whether it is still the one. */
  readonly validators?: Validators
}

export interface BundleUse {
  readonly domain: DirectDomain
  readonly direction: Direction
}

/** The copy of a bundle that is in force. */
export interface BundleCopy extends Omit<BundleContent, 'certificates'> {
  /** When these certificates came into force. */
  readonly loadedAt: number
  readonly certificates: number
  /** Certificates marked TEST ONLY, which were left out. */
  readonly testOnly: number
}

export interface BundleRecord {
  readonly name: string
  /** Absent for a bundle that came from a file and is never loaded by itself. */
  readonly url?: string
  readonly refreshMs: number
  /** Who must have signed it: this certificate, or one that chains to it. */
  readonly signer?: {
    /** SHA-256 of the certificate, lower-case hex. */
    readonly id: string
    readonly subject: string
    readonly notAfter: number
    /** DER. */
    readonly certificate: Uint8Array
  }
  readonly addedAt: number
  /** Id of its job in the queue `bundles`. */
  readonly job: string
  /** Absent until it was loaded for the first time. */
  readonly copy?: BundleCopy
  readonly status: BundleStatus
  readonly uses: readonly BundleUse[]
  /** Changes with every change of the bundle but its status and its uses; for `replace`, `change` and `note`. */
  readonly revision: number
}

export interface BundleAnchor extends Omit<AnchorRecord, 'owner' | 'direction'> {
  readonly warnings: readonly AnchorWarning[]
}

/** Where a bundle comes from. */
export interface BundleSource {
  readonly url?: string
  /** The certificate of the signer, or of its authority, DER. */
  readonly signer?: Uint8Array
  /** Default a day: as often as the Trust Bundle Distribution IG asks at least. */
  readonly refreshMs?: number
}

/** What was loaded, when it is loaded again, and what the source said of it. */
export interface BundleLoad {
  readonly content: BundleContent
  readonly status: BundleStatus
}

export interface BundleBook {
  /**
   * Keeps a bundle, trusted by nobody until a domain uses it. Without `load` it is empty, and due at once. Refuses a bad
   * name, URL or interval, one that is there already, domains that are not served, and a load without a usable certificate.
   */
  add(
    bundle: BundleSource & { readonly name: string; readonly uses?: readonly BundleUse[] },
    load: BundleLoad | undefined,
    by: string,
  ): Promise<{ readonly kind: 'added'; readonly bundle: BundleRecord } | DirectoryRefusal>
  /** Another source for the same bundle: what is given replaces what was, the anchors where there is a `load`. */
  change(
    bundle: BundleRecord,
    source: BundleSource,
    load: BundleLoad | undefined,
    by: string,
  ): Promise<{ readonly kind: 'changed'; readonly bundle: BundleRecord } | DirectoryRefusal>
  /** As the store has it now, not as it is remembered. */
  get(name: string): Promise<BundleRecord | undefined>
  list(): Promise<readonly BundleRecord[]>
  anchorsOf(name: string): Promise<readonly BundleAnchor[]>
  /**
   * Makes these the anchors of the bundle, all at once: what is new is trusted and what is missing no longer, with an audit
   * entry that names both. `also` becomes true with it. `changed-meanwhile` where the bundle is no longer as given.
   */
  replace(
    bundle: BundleRecord,
    load: BundleLoad,
    by: string,
    also?: Batch,
  ): Promise<
    | { readonly kind: 'replaced'; readonly added: readonly string[]; readonly removed: readonly string[] }
    | DirectoryRefusal
  >
  /** Notes how loading went where the anchors stay; `also` becomes true with it. False where the bundle is no longer as given. */
  note(bundle: BundleRecord, status: BundleStatus, also?: Batch): Promise<boolean>
  /** From now on the domain trusts what the bundle has, in this direction; again changes the direction. */
  attach(name: string, domain: string, direction: Direction, by: string): Promise<Done>
  detach(name: string, domain: string, by: string): Promise<Done>
  /** Forgets the bundle with its anchors; the domains that used it trust them no more. */
  remove(name: string, by: string): Promise<Done>
}

// --- Certificates of others ---

export interface CertificateRecord {
  /** SHA-256 of the certificate, lower-case hex. */
  readonly id: string
  /** The address or domain of the peer; for an issuer certificate its subject. */
  readonly owner: string
  readonly subject: string
  readonly notBefore: number
  readonly notAfter: number
  readonly addedAt: number
  /** DER. */
  readonly certificate: Uint8Array
}

export interface PeerBook extends CertificateDirectory {
  /** Keeps a certificate to encrypt to for somebody else's address or domain. Refuses one that does not name the owner. */
  add(
    peer: { readonly owner: string; readonly certificate: Uint8Array },
    by: string,
  ): Promise<{ readonly kind: 'added'; readonly certificate: CertificateRecord } | DirectoryRefusal>
  list(owner?: Owner): Promise<readonly CertificateRecord[]>
  remove(owner: Owner, id: string, by: string): Promise<Done>
}

// --- What the systems of others can read ---

export interface EncryptionRecord extends EncryptionPreference {
  readonly owner: Owner
  /** Unix milliseconds. */
  readonly addedAt: number
}

export interface EncryptionBook {
  /** Encrypts for an address or a domain in this way from now on, instead of what was said before. Refuses an empty wish. */
  set(
    owner: string,
    preference: { readonly rsaTransport?: string; readonly contentCipher?: string },
    by: string,
  ): Promise<{ readonly kind: 'set'; readonly record: EncryptionRecord } | DirectoryRefusal>
  /** In order of owners. */
  list(): Promise<readonly EncryptionRecord[]>
  remove(owner: string, by: string): Promise<Done>
  /** What is said of the address, each word of its own over that of its domain; empty where nothing is. */
  of(address: DirectAddress): Promise<EncryptionPreference>
}

export interface IssuerBook extends Issuers {
  /** Keeps an intermediate certificate for paths whose message did not bring it. It is no anchor: it earns no trust. */
  add(
    certificate: Uint8Array,
    by: string,
  ): Promise<{ readonly kind: 'added'; readonly certificate: CertificateRecord } | DirectoryRefusal>
  list(): Promise<readonly CertificateRecord[]>
  remove(id: string, by: string): Promise<Done>
}

// --- API tokens ---

export const tokenScopes = [
  'messages:read',
  'messages:write',
  'messages:send',
  'record:read',
  'record:write',
  'apps',
  'operator',
] as const
export type TokenScope = (typeof tokenScopes)[number]

/** What is told of a token; never its secret, of which only the SHA-256 is kept. */
export interface TokenRecord {
  /** The first 16 hex digits of the secret's SHA-256. */
  readonly id: string
  readonly address: DirectAddress | '*'
  readonly scopes: readonly TokenScope[]
  readonly label: string
  readonly createdAt: number
  readonly expiresAt?: number
  readonly revokedAt?: number
}

/** Who a request comes from. */
export interface Principal {
  /** Id of the token. */
  readonly token: string
  readonly address: DirectAddress | '*'
  readonly scopes: readonly TokenScope[]
}

export interface Tokens {
  /**
   * Makes a token for one address, or `*` for the whole gateway. The secret, `dgt_` and 256 random bits, is shown this
   * once. Refuses unknown scopes, `operator` for one address, and addresses that are not served.
   */
  create(
    token: {
      readonly address: string
      readonly scopes: readonly TokenScope[]
      readonly label: string
      readonly expiresAt?: number
    },
    by: string,
  ): Promise<{ readonly kind: 'added'; readonly token: TokenRecord; readonly secret: string } | DirectoryRefusal>
  /**
   * Who holds this secret at `now`; undefined for an unknown, expired or revoked one, for a disabled address, and for an
   * address that has since been removed, even where somebody else was given it.
   */
  authenticate(secret: string, now: number): Promise<Principal | undefined>
  list(): Promise<readonly TokenRecord[]>
  revoke(id: string, by: string): Promise<Done>
}

// --- Accounts of edge systems ---

/** A system of our own clinics (an EHR) that hands mail in, and may read one mailbox. Its secret is told nowhere. */
export interface EdgeAccount {
  readonly name: string
  /** The first 16 hex digits of the SHA-256 of its secret: another one for another secret. */
  readonly secretId: string
  /** What it may send as: addresses, and domains for every live address in them. */
  readonly senders: readonly Owner[]
  /** Whose mailbox it reads over IMAP and POP3. */
  readonly reads?: DirectAddress
  readonly disabled: boolean
  /** Unix milliseconds. */
  readonly createdAt: number
  readonly renewedAt?: number
}

/** How an account opens its mailbox in a mail store beside the gateway. */
export interface EdgeLogin {
  readonly name: string
  readonly reads: DirectAddress
  /** Id of the mailbox: another one where the address was given to somebody else. */
  readonly mailbox: string
  /** SHA-256 of the secret, lower-case hex. */
  readonly sha256: string
}

export interface Accounts {
  /**
   * Makes an account. The secret, `dge_` and 256 random bits, is shown this once; only its SHA-256 is kept. Refuses a name
   * that is not 1 to 64 of `a-z 0-9 . _ @ -` or is taken, senders and mailboxes that are not ours, and one of no use.
   */
  create(
    account: { readonly name: string; readonly senders: readonly string[]; readonly reads?: string },
    by: string,
  ): Promise<{ readonly kind: 'added'; readonly account: EdgeAccount; readonly secret: string } | DirectoryRefusal>
  get(name: string): Promise<EdgeAccount | undefined>
  list(): Promise<readonly EdgeAccount[]>
  /** The account of this name and secret; undefined for a wrong secret, an unknown name and a disabled account, each at the same cost. */
  authenticate(name: string, secret: string): Promise<EdgeAccount | undefined>
  /**
   * Whether the account may send as this address now: the address is live, and one of its senders. False as well once the
   * account was disabled, removed or given another secret, so that a session ends with what it began with.
   */
  maySendAs(account: EdgeAccount, address: DirectAddress): Promise<boolean>
  /** Every account that is not disabled and reads a live address. */
  logins(): Promise<readonly EdgeLogin[]>
  setSenders(
    name: string,
    senders: readonly string[],
    by: string,
  ): Promise<{ readonly kind: 'changed'; readonly account: EdgeAccount } | DirectoryRefusal>
  /** Undefined: it reads no mailbox any more. */
  setReads(
    name: string,
    reads: string | undefined,
    by: string,
  ): Promise<{ readonly kind: 'changed'; readonly account: EdgeAccount } | DirectoryRefusal>
  /** Another secret; the old one ends at once, and what sessions under it may do. */
  renew(
    name: string,
    by: string,
  ): Promise<{ readonly kind: 'renewed'; readonly account: EdgeAccount; readonly secret: string } | DirectoryRefusal>
  setDisabled(name: string, disabled: boolean, by: string): Promise<Done>
  remove(name: string, by: string): Promise<Done>
}
