import type { DirectAddress } from '../direct/address.js'
import type { SmartScope } from '../direct/smart-scopes.js'
import type { Principal, TokenScope } from '../directory/directory.js'
import type { Session } from '../people/people.js'

/** What no operator's token has: `connect` and `drop-off` applications for themselves, `pickup`, `consents`, `sharing` and `account` people who signed in. */
export const ownScopes = ['connect', 'drop-off', 'pickup', 'consents', 'sharing', 'account'] as const
export type Scope = TokenScope | (typeof ownScopes)[number]

/** Who a request comes from, whatever it was proved with. */
export interface Caller {
  /** As the audit log names it: `token:…`, `person:…`, `app:…`. */
  readonly by: string
  /** What kinds of request it may make at all; what it reaches is another question. */
  readonly scopes: readonly Scope[]
  readonly reach: Reach
  /** The request changes something: what may only be read now refuses it. */
  readonly changes?: boolean
}

export type Reach =
  /** Everything here: an operator's own programs. */
  | { readonly kind: 'gateway' }
  /** One mailbox, and the record of its patient. */
  | { readonly kind: 'address'; readonly address: DirectAddress }
  /** The records of a signed-in person. `csrf` must come along with every change. */
  | {
      readonly kind: 'person'
      readonly person: string
      readonly session: string
      readonly csrf: string
      /** Unix milliseconds: when they last proved who they are. */
      readonly authenticatedAt?: number
      /** How they did. */
      readonly level?: Session['level']
    }
  /** The record of a grant, as far as the grant goes. `person` and `record` are true ids. */
  | {
      readonly kind: 'grant'
      readonly grant: string
      readonly app: string
      readonly person: string
      readonly record: string
      readonly avenue: 'online' | 'offline'
      /** No more than these of what the grant allows; all of it where absent. */
      readonly within?: readonly SmartScope[]
    }
  /** An application for itself: its own requests and packages; `within`, where it may also come without a person. */
  | { readonly kind: 'app'; readonly app: string; readonly within?: readonly SmartScope[] }

/** The caller behind a token that an operator made. */
export function callerOf(principal: Principal | undefined): Caller | undefined {
  if (!principal) return undefined
  const { token, address, scopes } = principal
  return {
    by: `token:${token}`,
    scopes,
    reach: address === '*' ? { kind: 'gateway' } : { kind: 'address', address },
  }
}

/** What people who signed in may ask for; with one factor where two are demanded, only about the account itself. */
const scopesOfPeople = [
  ...['messages:read', 'messages:write', 'messages:send', 'record:read', 'record:write'],
  ...['pickup', 'consents', 'sharing', 'account'],
] as readonly Scope[]

/** The caller behind the cookie of a session. */
export function callerOfSession({ id, person, csrf, authenticatedAt, level, limited }: Session): Caller {
  return {
    by: `person:${person}`,
    scopes: limited ? ['account'] : scopesOfPeople,
    reach: { kind: 'person', person, session: id, csrf, authenticatedAt, level },
  }
}
