import { type RefusalReason, refusals } from '../direct/refusal.js'

/** What is said in the dialogue: the code, and a text that begins with its enhanced code (RFC 2034, RFC 3463). */
export interface Reply {
  readonly code: number
  readonly text: string
}

/** Words of the dialogue that refuse no message: they are about commands and connections. */
export const replies = {
  accepted: (id: string): string => `2.0.0 ${id} accepted`,
  shuttingDown: { code: 421, text: '4.3.2 Shutting down, try again later' },
  tooManyErrors: { code: 421, text: '4.7.0 Too many errors, closing' },
  framingLost: { code: 421, text: '4.7.0 Closing: where your messages end cannot be told' },
  unsupportedParameter: { code: 555, text: '5.5.4 Parameter not supported' },
  /** For a reason that has no words of its own here, since it is normally found after 250. */
  refused: { code: 554, text: '5.6.0 Message could not be accepted' },
} as const

/** The SMTP reply of a refusal, from the one table of refusals. */
export function replyOf(reason: RefusalReason): Reply {
  const row = refusals[reason]
  if (!('reply' in row)) return replies.refused
  const space = row.reply.indexOf(' ')
  return { code: Number(row.reply.slice(0, space)), text: row.reply.slice(space + 1) }
}

/** A reply in the form smtp-server wants its refusals: an Error with `responseCode`. */
export function asError(reply: Reply): Error & { responseCode: number } {
  return Object.assign(new Error(reply.text), { responseCode: reply.code })
}
