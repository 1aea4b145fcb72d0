import type { Batch } from '../ports/store.js'
import type { CodeLetters } from './code.js'

/**
 * What a pickup code opens: one machine for Patient Connect (`connect`), packages left for somebody (`package`) and Direct
 * mail held for a newcomer (`message`). The holder of a code meets one error whatever is wrong with it; only the owner is
 * told which.
 */
export type RequestKind = 'connect' | 'package' | 'message'

/**
 * `allocated`: the code is there and nothing behind it yet. `refused`: the person said never. `authorized` is of Patient
 * Connect, whose code works on; `claimed` of the others, whose code is dead.
 */
export const requestStates = [
  'allocated',
  'pending',
  'locked',
  'expired',
  'withdrawn',
  'refused',
  'authorized',
  'claimed',
] as const
export type RequestState = (typeof requestStates)[number]

/** What HealthVault said of a code in a state, for its owner alone: not filled yet, tried too often, over. */
export const stateNumbers: Readonly<Partial<Record<RequestState, number>>> = {
  ...{ allocated: 95, locked: 75 },
  ...{ expired: 74, withdrawn: 74, refused: 74, claimed: 74 },
}

/** A request as its owner may know it: neither the code nor the answer can be read again by anybody. */
export interface ConnectRequest {
  /** 32 hex digits. */
  readonly id: string
  readonly kind: RequestKind
  /** The id of the application whose it is; `direct` for held mail. */
  readonly owner: string
  /** As it is now: `pending` ends by itself. */
  readonly state: RequestState
  /** Unix milliseconds: the person said no, and may still come back. */
  readonly rejectedAt?: number
  /** Wrong answers that are left. */
  readonly attemptsLeft: number
  readonly createdAt: number
  /** When it ends unless somebody comes; a code that was used works until 90 days after its last pickup. */
  readonly expiresAt: number
  /** When it was last locked, withdrawn, refused, authorized or claimed. */
  readonly endedAt?: number
  /** Shown after the right answer only; tells siblings apart. */
  readonly friendlyName: string
  /** Without one there is none to show: a package that its sender encrypted has one, held mail may have none. */
  readonly question?: string
  readonly externalId?: string
  /** ISO 8601, where the owner told it: the wrong sibling is found by it. */
  readonly birthDate?: string
  readonly email?: string
  readonly language?: string
  /** Ids of what the kind keeps elsewhere. Never shown by this room. */
  readonly payload: Readonly<Record<string, string>>
  readonly pickups: readonly Pickup[]
}

/** One record for which a Patient Connect code was used; the record of a claim. True ids. */
export interface Pickup {
  readonly person: string
  readonly record: string
  /** Unix milliseconds: the last time. */
  readonly at: number
}

export interface NewRequest {
  readonly kind: RequestKind
  readonly owner: string
  readonly friendlyName: string
  readonly question?: string
  /** Kept as Argon2id alone. Without it the kind verifies answers itself (see `KindRules.verify`). */
  readonly answer?: string
  readonly externalId?: string
  readonly birthDate?: string
  readonly email?: string
  readonly language?: string
  readonly expiresInMs?: number
  readonly attempts?: number
  readonly payload?: Readonly<Record<string, string>>
  /**
   * The letters of a code made by `newCode`, for a kind whose payload is encrypted under them; one is made where absent.
   * Never what a caller typed: that is `allocated`.
   */
  readonly code?: CodeLetters
  /** The letters of a code that this owner allocated before. */
  readonly allocated?: CodeLetters
}

/** What was wrong with a request, with HealthVault's number where it has one. */
export const requestProblems = {
  'bad-question': 72,
  'bad-answer': 73,
  'bad-friendly-name': undefined,
  'bad-external-id': undefined,
  'bad-birth-date': undefined,
  'bad-email': 45,
  'bad-expiry': undefined,
  /** No such code of this owner, or one that is not allocated. */
  'no-such-code': 74,
  /** The owner has a request for this external id. */
  duplicate: 79,
  /** The code is filled already. */
  exists: 96,
} as const satisfies Record<string, number | undefined>
export type RequestProblem = keyof typeof requestProblems

export interface RequestRefused {
  readonly kind: 'refused'
  readonly problem: RequestProblem
}

/** From where a holder of a code comes. */
export interface PickupFrom {
  /** Address or network of the client: who shares it shares the limit on codes that are not there. */
  readonly network: string
  /** What the ticket is bound to: `session:…` of a signed-in person, `browser:…` of a page's cookie. */
  readonly holder: string
  /** Who acts, for the audit log: `person:…`, `anonymous`. */
  readonly by: string
}

/** What the holder of a code sees before the answer. */
export interface Opened {
  readonly kind: 'question'
  readonly id: string
  readonly of: RequestKind
  readonly owner: string
  readonly question?: string
  readonly payload: Readonly<Record<string, string>>
}

/** One error to whoever holds a code that opens nothing, whatever the cause; or the wait of who asks too often. */
export type NotOpened = { readonly kind: 'nothing' } | { readonly kind: 'wait'; readonly waitMs: number }

export type Answered =
  | {
      readonly kind: 'right'
      /** 43 characters; shown once, kept by its digest. */
      readonly ticket: string
      readonly of: RequestKind
      readonly owner: string
      readonly friendlyName: string
    }
  | { readonly kind: 'wrong'; readonly left: number }
  | NotOpened

/** A ticket that holds: the request, and what must be so still when something is done with it. */
export interface Redeemed {
  readonly request: ConnectRequest
  /** What the kind's own verification gave it, sealed under the ticket meanwhile: the key of a package. */
  readonly secret?: Uint8Array
  /** Unix milliseconds. */
  readonly endsAt: number
  readonly ticket: { readonly key: string; readonly version: number }
  readonly version: number
}

/** How a request ended, for what its kind keeps elsewhere. */
export type RequestEnd =
  | 'authorized'
  | 'claimed'
  | 'locked'
  | 'expired'
  | 'withdrawn'
  | 'rejected'
  | 'refused'
  | 'purged'

/** What a kind adds to the machine. */
export interface KindRules {
  /** Whether whoever made the request may still do so: otherwise its code opens nothing for now. */
  opens?(request: ConnectRequest): Promise<boolean>
  /**
   * Whether an answer is right, where no verifier is kept; `secret` (at most 1 KiB) is handed out with the ticket. `answer` is folded.
   * `damaged` where the content does not read: the attempt is given back and the holder sees nothing.
   */
  verify?(
    request: ConnectRequest,
    answer: string,
    letters: CodeLetters,
  ): Promise<
    { readonly kind: 'right'; readonly secret?: Uint8Array } | { readonly kind: 'wrong' } | { readonly kind: 'damaged' }
  >
  /** What becomes true with an end; `before` is the request as it was. `rejected` is none for good: the code works on. */
  ended?(request: ConnectRequest, end: RequestEnd, before: ConnectRequest): Promise<Batch>
}

export type Changed = { readonly kind: 'changed'; readonly request: ConnectRequest; readonly parts: Batch }

/** By its id, its code, or the owner's own id; of several with one external id the newest. */
export type RequestName =
  | { readonly id: string }
  | { readonly code: CodeLetters }
  | { readonly of: RequestKind; readonly externalId: string }

export interface Requests {
  /** A code before what it opens (AllocatePackageId). */
  allocate(
    of: RequestKind,
    owner: string,
  ): Promise<{ readonly id: string; readonly code: string; readonly parts: Batch } | RequestRefused>
  /** A request with its code, shown once, and what must be committed; on a conflict ask again. */
  create(
    request: NewRequest,
  ): Promise<
    | { readonly kind: 'created'; readonly request: ConnectRequest; readonly code: string; readonly parts: Batch }
    | RequestRefused
  >
  /** The question of a code. Counts codes that are not there by network; takes nothing from a code that is. */
  open(code: string, from: PickupFrom): Promise<Opened | NotOpened>
  /**
   * An attempt, counted in a commit of its own before the answer is looked at: however many come at once, no more are
   * verified than are left. A right one is given back. Throws SlowHashBusy where too many wait, before it is counted.
   */
  answer(code: string, answer: string, from: PickupFrom): Promise<Answered>
  /** What a ticket holds, in the hands of whom it was given to; undefined where it is over. Uses nothing up. */
  redeem(ticket: string, holder: string): Promise<Redeemed | undefined>
  /** Uses the ticket up: `authorized` for Patient Connect, `claimed` for others. On a conflict redeem again. */
  finish(redeemed: Redeemed, pickup: Omit<Pickup, 'at'>): Promise<Changed | { readonly kind: 'too-many' }>
  /** The person says no: the code works on until it expires, unless they say `never`. Uses the ticket up. */
  reject(redeemed: Redeemed, never: boolean): Promise<Changed>
  /** A request of an owner; undefined where it has none such. */
  get(owner: string, name: RequestName): Promise<ConnectRequest | undefined>
  /** Requests of an owner, oldest first; `after` is `next` of the page before. */
  list(
    owner: string,
    query: { readonly of: RequestKind; readonly externalId?: string; readonly after?: string; readonly limit: number },
  ): Promise<{ readonly requests: readonly ConnectRequest[]; readonly next?: string }>
  /** A new code with all attempts and a new term; the old code and its tickets are dead with the same commit. */
  reissue(
    owner: string,
    name: RequestName,
  ): Promise<
    | (Changed & { readonly code: string })
    | { readonly kind: 'unknown' | 'authorized' | 'claimed' | 'refused' | 'not-possible' }
  >
  /** Ends a request that nobody picked up. */
  withdraw(owner: string, name: RequestName): Promise<Changed | { readonly kind: 'unknown' | 'authorized' | 'claimed' }>
  /** Another external id, by code or by the old one: then of everything of that id, of both kinds. */
  changeExternalId(
    owner: string,
    name: { readonly code: CodeLetters } | { readonly externalId: string },
    next: string,
  ): Promise<
    | { readonly kind: 'changed'; readonly count: number; readonly parts: Batch }
    | { readonly kind: 'unknown' }
    | RequestRefused
  >
  /** Ends what is over, forgets what ended long ago; answers how many it looked at. Run every minute by any process. */
  sweep(limit?: number): Promise<number>
}
