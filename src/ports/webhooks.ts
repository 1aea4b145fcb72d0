/** What an endpoint made of one delivery. */
export type PostOutcome =
  /** 2xx: it has the event. */
  | { readonly kind: 'taken'; readonly detail: string }
  /** 410: it wants no more. */
  | { readonly kind: 'gone'; readonly detail: string }
  /** Anything else; `waitMs` where it said for how long it wants to be left alone. */
  | { readonly kind: 'failed'; readonly detail: string; readonly waitMs?: number }

/** An endpoint as operators see it. */
export interface WebhookStanding {
  readonly name: string
  /** Without its query, which may hold a secret; absent where it is configured no more. */
  readonly url?: string
  readonly steps?: readonly string[]
  /** `new`: no gateway has run with it. `removed`: configured no more, its place is kept for a while. */
  readonly state: 'new' | 'telling' | 'failing' | 'paused' | 'gone' | 'removed'
  readonly cursor?: number
  /** Events behind its place, those that are not for it included. */
  readonly behind?: number
  readonly failures?: number
  readonly lastError?: string
  /** Unix milliseconds. */
  readonly failingSince?: number
  readonly nextAt?: number
  readonly deliveredAt?: number
}

/** Where a replay begins: with this event, or with those of this moment (Unix milliseconds). */
export type ReplayFrom =
  | { readonly kind: 'sequence'; readonly sequence: number }
  | { readonly kind: 'time'; readonly at: number }

/** No endpoint of this name is configured. */
export type UnknownEndpoint = { readonly kind: 'unknown' }

/** What operators do about endpoints. Every change is audited in the batch that makes it true. */
export interface WebhookDesk {
  list(): Promise<readonly WebhookStanding[]>
  /** Tells it nothing until `resume`; what happens meanwhile waits in the log. */
  pause(name: string, by: string): Promise<{ readonly kind: 'done' } | UnknownEndpoint>
  /** Goes on where it was, at once: also for one that fails or was gone. */
  resume(name: string, by: string): Promise<{ readonly kind: 'done' } | UnknownEndpoint>
  /** Tells again what was told before, from an event or a moment on, and everything since; paused ones stay so. */
  replay(
    name: string,
    from: ReplayFrom,
    by: string,
  ): Promise<{ readonly kind: 'done'; readonly from: number; readonly events: number } | UnknownEndpoint>
  /** Sends a signed request that is no event, now, and answers what became of it. */
  test(name: string, by: string): Promise<PostOutcome | UnknownEndpoint>
}
