import type { AccessRule } from '../direct/access.js'
import type { Batch } from '../ports/store.js'

/**
 * People who sign in, the records they hold, and with whom they share them. What a caller got wrong comes back as a value;
 * only a broken store throws.
 */

/** A signed-in person, as long as the session lives. */
export interface Session {
  /** Public id; the secret is in the cookie alone. */
  readonly id: string
  readonly person: string
  /** `two-factors`: a password with a code, or a passkey that verified its user. */
  readonly level: 'one-factor' | 'two-factors'
  /** Unix milliseconds: when the person last proved who they are, and when the session ends whatever happens. */
  readonly authenticatedAt: number
  readonly endsAt: number
  /** What a form or a script must bring along with every change (synchronizer token). */
  readonly csrf: string
  /** One factor where the house demands two: only the account itself is reached, until a second one was set up. */
  readonly limited?: true
}

export interface Sessions {
  /** The session of a cookie's secret, its idle time begun anew; undefined for an unknown, idle, ended or overlong one. */
  current(secret: string): Promise<Session | undefined>
  /** Whether a session still lives, by its public id: online tokens die with it. Touches nothing. */
  isLive(id: string): Promise<boolean>
  /** Ends one session. */
  end(id: string, by: string): Promise<void>
}

/** Names of the session cookie: `__Host-` wherever the browser comes over TLS. */
export const sessionCookie = { secure: '__Host-session', plain: 'session' } as const

export interface Person {
  readonly id: string
  readonly name: string
  /** Verified. */
  readonly email: string
  /** BCP 47. */
  readonly language: string
  /** ISO 8601, where told. */
  readonly birthDate?: string
  readonly state: 'active' | 'suspended' | 'closed'
}

/** A record as those who hold it know it. */
export interface HeldRecord {
  readonly id: string
  /** `Anna`, `Our youngest`: a custodian's words. */
  readonly name: string
  readonly birthDate?: string
  readonly state: 'active' | 'read-only' | 'suspended' | 'deleted'
  /** Unix milliseconds. */
  readonly createdAt: number
}

/** What a person may do in a record, now. */
export interface Membership {
  readonly person: string
  readonly record: HeldRecord
  readonly custodian: boolean
  /** How the person is related to whom the record is about: `self`, `parent`, a word of their own. */
  readonly relationship: string
  /** Custodians have all; others what the invitation said. */
  readonly rules: readonly AccessRule[] | 'all'
  /** Unix milliseconds. */
  readonly since: number
  readonly until?: number
  /**
   * The adolescent whom the record is about keeps something from them, custodian or not: what is flagged personal, as well as
   * whatever no rule divides, such as mail, whole documents, decisions and the history.
   */
  readonly confidential?: true
}

/** Whether a member may see and decide on all of a record, kinds and flags alike. */
export function hasWhole({ custodian, confidential }: Pick<Membership, 'custodian' | 'confidential'>): boolean {
  return custodian && confidential !== true
}

export interface Records {
  /**
   * A new record with this person as its custodian: its id, and what must be committed. Refuses nothing but a person who
   * has too many.
   */
  create(
    person: string,
    record: { readonly name: string; readonly relationship: string; readonly birthDate?: string },
    by: string,
  ): Promise<
    { readonly kind: 'created'; readonly record: string; readonly parts: Batch } | { readonly kind: 'too-many' }
  >
  get(record: string): Promise<HeldRecord | undefined>
  /** Records of a person, those that ended left out, in the order in which they came. */
  of(person: string): Promise<readonly Membership[]>
  /** Undefined where the person has no access now. */
  membership(person: string, record: string): Promise<Membership | undefined>
  /** Who has a record. */
  holders(record: string): Promise<readonly Membership[]>
}

/** What other rooms need of people; signing up, signing in and sharing stand beside it in this room. */
export interface People {
  readonly sessions: Sessions
  readonly records: Records
  person(id: string): Promise<Person | undefined>
}
