import type { Actor, Avenue, Permission, RecordAccess, RuleSets } from '../direct/access.js'
import type { RecordItemType } from '../direct/clinical.js'
import type { Batch } from '../ports/store.js'
import type { AppRefusal } from './problem.js'

/**
 * Applications, and what people granted them in which record (application-record authorization). A grant is asked about for
 * every request: revoked by either side, it ends at once.
 */

/**
 * `web`: a site with a server; `native`: one installation on a device; `master`: the maker's entry, under which
 * installations and clinics are registered, with no access of its own; `clinic`: a backend without a page, for Patient
 * Connect and drop-off.
 */
export const appKinds = ['web', 'native', 'clinic', 'master'] as const
export type AppKind = (typeof appKinds)[number]

/** HealthVault's method groups: Patient Connect, drop-off, and registering children. */
export const appPowers = ['connect', 'drop-off', 'register'] as const
export type AppPower = (typeof appPowers)[number]

/** Public keys (RFC 7517 §5). */
export interface KeySet {
  readonly keys: readonly Readonly<Record<string, unknown>>[]
}

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
  readonly jwks?: KeySet
  readonly jwksUri?: string
  readonly url?: string
  readonly logoUrl?: string
  readonly privacyUrl?: string
  readonly termsUrl?: string
  /** Shown after a pickup. */
  readonly successMessage?: string
  /** What it may do beyond records; a child's are among its master's. */
  readonly may: readonly AppPower[]
  /** Where it is told of changes; signed. */
  readonly webhook?: { readonly url: string }
  /** Where its own requests come from, as CIDR prefixes; from anywhere where absent. */
  readonly networks?: readonly string[]
  readonly state: 'active' | 'disabled'
  /** Unix milliseconds. */
  readonly createdAt: number
}

/** What an application is registered with. Everything is checked: see `registered` in registration.ts. */
export interface AppRequest {
  readonly kind: AppKind
  readonly name: string
  readonly master?: string
  /** None where absent: a new application has nothing. An installation has its master's. */
  readonly rules?: RuleSets
  readonly redirectUris?: readonly string[]
  readonly jwks?: KeySet
  readonly jwksUri?: string
  readonly url?: string
  readonly logoUrl?: string
  readonly privacyUrl?: string
  readonly termsUrl?: string
  readonly successMessage?: string
  readonly may?: readonly AppPower[]
  readonly webhookUrl?: string
  readonly networks?: readonly string[]
}

/** What changes; `null` takes away. Kind and master are for ever. */
export type AppChange = {
  readonly [Name in Exclude<keyof AppRequest, 'kind' | 'master' | 'name'>]?: AppRequest[Name] | null
} & { readonly name?: string }

export interface Apps {
  /**
   * With the rules in force: those of its master, or its own within its master's. Undefined for an unknown app. A disabled
   * master disables its children.
   */
  get(id: string): Promise<App | undefined>
  /** All children of a master, those that are disabled included. */
  children(master: string): Promise<readonly App[]>
  /** Every app, or the children of one; `after` is `next` of the page before. */
  list(query: { readonly limit: number; readonly after?: string; readonly master?: string }): Promise<AppPage>
  /**
   * Registers an app: what must be committed, audited; on a conflict ask again. The secret of a webhook is told this once.
   * Refuses whatever is not valid, and for a child whatever its master does not have.
   */
  registration(
    request: AppRequest,
    by: string,
  ): Promise<(Registered & { readonly kind: 'registered'; readonly parts: Batch }) | AppRefusal>
  /** The same, committed. */
  register(request: AppRequest, by: string): Promise<(Registered & { readonly kind: 'registered' }) | AppRefusal>
  /** Changes what is named; its grants go on within its new rules. A webhook at another place gets another secret. */
  change(id: string, change: AppChange, by: string): Promise<(Registered & { readonly kind: 'changed' }) | AppRefusal>
  /** Ends every access of an app and of its children with the next request; or lets them in again. */
  setState(
    id: string,
    state: App['state'],
    by: string,
  ): Promise<{ readonly kind: 'changed'; readonly app: App } | AppRefusal>
  /** Another secret for its webhook, told this once; the old one ends now. */
  rotateSecret(id: string, by: string): Promise<(Registered & { readonly kind: 'changed' }) | AppRefusal>
  /** What the notices to an app are signed with; undefined where it has no webhook or is disabled. */
  webhook(id: string): Promise<{ readonly url: string; readonly secret: string } | undefined>
}

export interface Registered {
  readonly app: App
  readonly webhookSecret?: string
}

export interface AppPage {
  readonly apps: readonly App[]
  readonly next?: string
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
  /** Required and optional rules to decide on; optional ones only as far as the person may give them. */
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
    | {
        /** `nothing-granted`: no rule is left to grant; that would be no grant. `too-many`: for one person and record. */
        readonly kind:
          | 'not-possible'
          | 'no-such-app'
          | 'no-such-record'
          | 'unknown-rule'
          | 'nothing-granted'
          | 'too-many'
      }
  >
  /**
   * Takes optional rules back: those that are not named. What was required stays; to end that, the grant is revoked.
   * Committed and audited.
   */
  narrow(
    grant: string,
    keep: { readonly online: readonly string[]; readonly offline: readonly string[] },
    from: ActivityFrom,
  ): Promise<{ readonly kind: 'narrowed'; readonly grant: Grant } | { readonly kind: 'no-such-grant' | 'unknown-rule' }>
  /** Ends a grant for good; a later one is new, under the same pseudonyms. True where it was there. */
  revoke(grant: string, who: 'person' | 'app' | 'operator', from: ActivityFrom): Promise<boolean>
  get(grant: string): Promise<Grant | undefined>
  /** The standing grant of an app for a person in a record. */
  find(app: string, person: string, record: string): Promise<Grant | undefined>
  /** Standing grants of a person, of a record: by whomever they were given. */
  ofPerson(person: string): Promise<readonly Grant[]>
  ofRecord(record: string): Promise<readonly Grant[]>
  /**
   * Standing grants of an app, oldest change first; `after` is `next` of the page before (GetAuthorizedPeople). One that
   * changes meanwhile comes again, and none is left out.
   */
  ofApp(
    app: string,
    query: { readonly since?: number; readonly after?: string; readonly limit: number },
  ): Promise<{ readonly grants: readonly Grant[]; readonly next?: string }>
  /**
   * What a grant allows now: the rules of its avenue, bounded by what the app may have and what the person has today.
   * Undefined once it is revoked, the app disabled, or the person's own access ended.
   */
  access(grant: string, avenue: Extract<Avenue, 'online' | 'offline'>): Promise<RecordAccess | undefined>
  /**
   * What an app may do alone in the record that it knows by this pseudonym: whatever any standing grant there allows it
   * offline, each rule as its person gave it, never two of them joined. It acts for a person only where one alone granted
   * it. Undefined where no grant stands.
   */
  alone(app: string, told: string): Promise<RecordAccess | undefined>
  /**
   * What a grant allows now for each kind of item (HealthVault's QueryPermissions), whatever the dates. Kinds of which
   * nothing is allowed are left out; undefined as for `access`.
   */
  permissions(grant: string, types: readonly RecordItemType[]): Promise<readonly TypePermissions[] | undefined>
  readonly pseudonyms: Pseudonyms
}

export interface TypePermissions {
  readonly type: RecordItemType
  readonly online: readonly Permission[]
  readonly offline: readonly Permission[]
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

/** What the history tells of. */
export const activityActions = [
  'view',
  'download',
  'transmit',
  'create',
  'update',
  'delete',
  'restore',
  'grant',
  'narrow',
  'revoke',
  'share',
  'unshare',
  'sign-in',
  'connect',
  'pick-up',
  'receive',
] as const
export type ActivityAction = (typeof activityActions)[number]

/** One line of the history that a person reads: who did what to their record. Never what was read or written. */
export interface ActivityEntry {
  /** Unix milliseconds. */
  readonly at: number
  readonly action: ActivityAction
  readonly from: ActivityFrom
  /** How many items, of which kinds; ids never leave with it. */
  readonly count?: number
  readonly types?: readonly string[]
  /** What it was about, where that did not act: the app of a grant, the person whom a record is shared with. True ids. */
  readonly about?: { readonly app?: string; readonly person?: string }
  /** To whom something was sent: a Direct address, an e-mail address, a link. */
  readonly addressee?: string
  readonly outcome: 'success' | 'refused'
}

export interface Activity {
  /** What must be committed with what it tells of. Sealed for the record; only its custodians read it. */
  entry(record: string, entry: ActivityEntry): Promise<Batch>
  /** Newest first; `before` is `next` of the page before. Undefined for a place that no list gave out. */
  list(record: string, query: ActivityQuery): Promise<ActivityPage | undefined>
}

export interface ActivityQuery {
  readonly before?: string
  readonly limit: number
  /** Unix milliseconds: at or after, before. */
  readonly from?: number
  readonly to?: number
  readonly action?: ActivityAction
  /** True id of an app that acted, or that it was about. */
  readonly app?: string
}

export interface ActivityPage {
  readonly entries: readonly ActivityEntry[]
  /** Rows that do not open, counted: what is damaged is not passed over in silence. */
  readonly unreadable: number
  readonly next?: string
}
