import type { Actor, Avenue, RecordAccess, RuleSets } from '../direct/access.js'
import type { Batch } from '../ports/store.js'

/**
 * Applications, and what people granted them in which record (application-record authorization). A grant is asked about for
 * every request: revoked by either side, it ends at once.
 */

/**
 * `web`: a site with a server; `native`: one installation on a device; `master`: the maker's entry, under which
 * installations and clinics are registered, with no access of its own; `clinic`: a backend without a page, for Patient
 * Connect and drop-off.
 */
export type AppKind = 'web' | 'native' | 'clinic' | 'master'

export interface App {
  readonly id: string
  readonly kind: AppKind
  readonly name: string
  /** The master under which it was registered: its rules are the ceiling, its changes hold here too. */
  readonly master?: string
  /** In force: an installation's are its master's. */
  readonly rules: RuleSets
  /** Exact, as registered. */
  readonly redirectUris: readonly string[]
  /** Public keys (RFC 7517), in the app or at its URL; a public client has none. */
  readonly jwks?: { readonly keys: readonly Readonly<Record<string, unknown>>[] }
  readonly jwksUri?: string
  readonly url?: string
  readonly privacyUrl?: string
  readonly termsUrl?: string
  /** Shown after a pickup. */
  readonly successMessage?: string
  /** What it may do beyond records: HealthVault's method groups. */
  readonly may: readonly ('connect' | 'drop-off' | 'register')[]
  /** Where it is told of changes; signed. */
  readonly webhook?: { readonly url: string }
  readonly state: 'active' | 'disabled'
  /** Unix milliseconds. */
  readonly createdAt: number
}

export interface Apps {
  /** With the master's rules where it has one; undefined for an unknown app. A disabled master disables its children. */
  get(id: string): Promise<App | undefined>
  children(master: string): Promise<readonly App[]>
}

/** What a person granted an application in one record. */
export interface Grant {
  readonly id: string
  readonly app: string
  readonly person: string
  readonly record: string
  /** As granted: optional rules that were left out are not among them. */
  readonly rules: RuleSets
  readonly via: 'web' | 'native' | 'device' | 'patient-connect'
  /** Unix milliseconds. */
  readonly grantedAt: number
  readonly changedAt: number
  readonly revoked?: { readonly at: number; readonly by: 'person' | 'app' | 'operator' }
}

/** What stands between an application and a record (HealthVault's app-record-auth-action). */
export type AuthorizationAction =
  | 'none'
  | 'authorization-required'
  /** Required rules grew: what was granted holds meanwhile. */
  | 'reauthorization-required'
  /** The person may not give in this record what the application requires. */
  | 'not-possible'

export interface ConsentQuestion {
  readonly app: App
  readonly action: AuthorizationAction
  /** Required and optional rules to decide on, with what is granted already. */
  readonly rules: RuleSets
  readonly granted?: Grant
}

export interface Consents {
  /** What a person is asked. Undefined where the app is unknown or disabled, or the person does not have the record. */
  question(app: string, person: string, record: string): Promise<ConsentQuestion | undefined>
  /**
   * Grants all required rules and the optional ones that are named, or changes what was granted. Answers what must be
   * committed; on a conflict ask again. A person can give no more than they have.
   */
  authorize(
    request: {
      readonly app: string
      readonly person: string
      readonly record: string
      readonly via: Grant['via']
      /** Names of optional rules that were ticked. */
      readonly online: readonly string[]
      readonly offline: readonly string[]
    },
    from: ActivityFrom,
  ): Promise<
    | { readonly kind: 'authorized'; readonly grant: Grant; readonly parts: Batch }
    | { readonly kind: 'not-possible' | 'no-such-app' | 'no-such-record' | 'unknown-rule' }
  >
  /** Ends a grant for good; a later one is new, under the same pseudonyms. True where it was there. */
  revoke(grant: string, who: 'person' | 'app' | 'operator', from: ActivityFrom): Promise<boolean>
  get(grant: string): Promise<Grant | undefined>
  /** The standing grant of an app for a person in a record. */
  find(app: string, person: string, record: string): Promise<Grant | undefined>
  ofPerson(person: string): Promise<readonly Grant[]>
  ofRecord(record: string): Promise<readonly Grant[]>
  /** Standing grants of an app, oldest change first; `after` is `next` of the page before (GetAuthorizedPeople). */
  ofApp(
    app: string,
    query: { readonly since?: number; readonly after?: string; readonly limit: number },
  ): Promise<{ readonly grants: readonly Grant[]; readonly next?: string }>
  /**
   * What a grant allows now: the rules of its avenue, bounded by what the app may have and what the person has today.
   * Undefined once it is revoked, the app disabled, or the person's own access ended.
   */
  access(grant: string, avenue: Extract<Avenue, 'online' | 'offline'>): Promise<RecordAccess | undefined>
  readonly pseudonyms: Pseudonyms
}

/** Each application knows people and records by ids of its own, the same however often it asks. UUIDs. */
export interface Pseudonyms {
  person(app: string, person: string): string
  /** The same for whoever granted it: two parents of one child are found out by it. */
  record(app: string, record: string): string
}

/** Where a request came from, for the activity history. */
export interface ActivityFrom extends Actor {
  /** Address of the client, where there is one. */
  readonly address?: string
}

/** One line of the history that a person reads: who did what to their record. Never what was read or written. */
export interface ActivityEntry {
  /** Unix milliseconds. */
  readonly at: number
  /** `view`, `download`, `transmit`, `create`, `update`, `delete`, `restore`, `grant`, `narrow`, `revoke`, `share`, `sign-in` … */
  readonly action: string
  readonly from: ActivityFrom
  /** How many items, of which kinds; ids never leave with it. */
  readonly count?: number
  readonly types?: readonly string[]
  /** To whom something was sent: a Direct address, an e-mail address, a link. */
  readonly addressee?: string
  readonly outcome: 'success' | 'refused'
}

export interface Activity {
  /** What must be committed with what it tells of. Sealed; only custodians and the person read it. */
  entry(record: string, entry: ActivityEntry): Promise<Batch>
  /** Newest first. */
  list(
    record: string,
    query: { readonly before?: string; readonly limit: number; readonly from?: number; readonly to?: number },
  ): Promise<{ readonly entries: readonly ActivityEntry[]; readonly next?: string }>
}
