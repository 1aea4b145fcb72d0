/** What a server said about the copy that it gave, to be asked whether that copy still is the one it has (RFC 9110 §8.8). */
export interface Validators {
  readonly etag?: string
  readonly lastModified?: string
}

export type FetchAnswer =
  | { readonly kind: 'fetched'; readonly bytes: Uint8Array; readonly validators: Validators }
  /** The copy that had those validators is still the one (RFC 9110 §15.4.5); answered only where validators were given. */
  | { readonly kind: 'not-modified' }
  /** Nothing that can be used came: another status than 200, too much, too late, a place that is not asked. In words. */
  | { readonly kind: 'failed'; readonly detail: string }

/** GET, within limits of scheme, address, size, time and redirects; conditional where `known` says what is kept already. Never throws for what the far side does. */
export type ConditionalFetch = (url: string, known?: Validators) => Promise<FetchAnswer>

export type LinkAnswer =
  | { readonly kind: 'fetched'; readonly bytes: Uint8Array }
  /** As for FetchAnswer; `status` where the far side answered with another than 200, and the little that it said then. */
  | { readonly kind: 'failed'; readonly detail: string; readonly status?: number; readonly said?: Uint8Array }

/** GET, or POST of a body, to an address that a stranger named, within the same limits. Never throws for what the far side does. */
export type LinkFetch = (
  url: string,
  post?: { readonly type: string; readonly body: Uint8Array },
) => Promise<LinkAnswer>
