import type { Batch } from './store.js'

/**
 * Ordinary e-mail to people: what is told, never how. None of it is clinical, and none holds a question or an answer of a
 * pickup. `url`s are complete links; `clinic` and `app` are names that an operator approved.
 */
export type Letter =
  | { readonly kind: 'confirm-email'; readonly url: string }
  /** An account that is there wants to go by this address. */
  | { readonly kind: 'confirm-change'; readonly url: string }
  | { readonly kind: 'account-exists'; readonly url: string }
  | { readonly kind: 'recovery'; readonly url: string; readonly waitHours?: number }
  /** Something of the account's safety changed: a password, a factor, a recovery that began. */
  | { readonly kind: 'account-changed'; readonly what: string; readonly url: string }
  | { readonly kind: 'invitation'; readonly from: string; readonly message?: string; readonly url: string }
  | { readonly kind: 'connect-request'; readonly clinic: string; readonly url: string; readonly code: string }
  | { readonly kind: 'drop-off'; readonly clinic: string; readonly url: string; readonly code: string }
  /** Direct mail that waits for somebody without an address here. */
  | { readonly kind: 'held-message'; readonly url: string; readonly code: string }
  | { readonly kind: 'new-message'; readonly url: string }
  | { readonly kind: 'access-granted' | 'access-removed'; readonly app: string; readonly url: string }
  | { readonly kind: 'review-needed' | 'items-added'; readonly url: string }

export type LetterKind = Letter['kind']

/** Sends ordinary mail by the operator's relay: queued durably in the batch of what it tells of. */
export interface Letters {
  /**
   * What must be committed so that the letter goes out. `once` names it: the same letter under the same name is queued once.
   * Where no relay is configured the batch is empty, and an alarm says so once a day.
   */
  letter(to: { readonly email: string; readonly language: string }, letter: Letter, once: string): Batch
}

/** A letter as it goes out: a line, and the same words as text and as HTML. */
export interface WrittenLetter {
  readonly subject: string
  readonly text: string
  readonly html: string
  /** BCP 47, of the words that were found. */
  readonly language: string
}
