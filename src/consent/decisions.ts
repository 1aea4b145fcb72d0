import type { Session } from '../people/people.js'
import type { ActivityFrom, App } from './consent.js'

/** What an application asks of a person, at a browser or from another screen. */
export interface Request {
  readonly app: App
  /** The scopes that it could get. */
  readonly words: readonly string[]
  readonly avenue: 'online' | 'offline'
  /** Whether it asks for a record, or only who the person is. */
  readonly wantsRecord: boolean
  /** The person must have proved who they are since then; Unix milliseconds. */
  readonly since?: number
  /** A record that the application knows and means, under its pseudonym. */
  readonly hint?: string
  /** Where the answer goes, for what a form may lead to. */
  readonly redirectUri?: string
}

/** What a person decided. */
export interface Choice {
  readonly session: Session
  /** True id; none where the application only asks who the person is. */
  readonly record?: string
  /** Names of optional rules that were ticked. */
  readonly online: readonly string[]
  readonly offline: readonly string[]
}

export type Decided =
  /** `location`: where the browser goes now, for requests that came by one. */
  | { readonly kind: 'done'; readonly location?: string }
  /** The request ended, was decided before, or came from another browser. */
  | { readonly kind: 'gone' }
  | {
      readonly kind:
        | 'not-possible'
        | 'no-such-app'
        | 'no-such-record'
        | 'unknown-rule'
        | 'nothing-granted'
        | 'too-many'
        | 'busy'
    }

/** For the pages on which people decide. A request is found only by the browser in which it began. */
export interface Decisions {
  /** `cookie` is the Cookie header. Undefined for one that ended, was decided, or is somebody else's. */
  request(uid: string, cookie: string | undefined): Promise<Request | undefined>
  allow(uid: string, cookie: string | undefined, choice: Choice, from: ActivityFrom): Promise<Decided>
  deny(uid: string, cookie: string | undefined): Promise<Decided>
  /** What a device asks whose user code was typed in; undefined for a wrong code, and after too many of them. */
  device(userCode: string, person: string): Promise<Request | undefined | 'too-many-tries'>
  allowDevice(userCode: string, choice: Choice, from: ActivityFrom): Promise<Decided>
  denyDevice(userCode: string, person: string): Promise<Decided>
}
