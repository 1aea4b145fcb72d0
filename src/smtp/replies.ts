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
  lineTooLong: { code: 500, text: '5.5.2 Line too long' },
  /** For a reason that has no words of its own here, since it is normally found after 250. */
  refused: { code: 554, text: '5.6.0 Message could not be accepted' },

  // TLS and AUTH: RFC 3207 §4, RFC 4954 §4 and §6.
  tlsFirst: { code: 530, text: '5.7.0 Must issue a STARTTLS command first' },
  noTls: { code: 421, text: '4.3.0 TLS is not available, try again later' },
  authFirst: { code: 530, text: '5.7.0 Authentication required' },
  authenticated: { code: 235, text: '2.7.0 Authentication successful' },
  authSyntax: { code: 501, text: '5.5.4 Syntax: AUTH mechanism [initial-response]' },
  authUndecodable: { code: 501, text: '5.5.2 Cannot decode the response' },
  authCancelled: { code: 501, text: '5.7.0 Authentication cancelled' },
  authTooLong: { code: 500, text: '5.5.6 Authentication exchange line is too long' },
  unknownMechanism: { code: 504, text: '5.5.4 Unrecognized authentication type' },
  helloFirst: { code: 503, text: '5.5.1 Send EHLO first' },
  authTwice: { code: 503, text: '5.5.1 Already authenticated' },
  wrongCredentials: { code: 535, text: '5.7.8 Authentication credentials invalid' },
  authUnavailable: { code: 454, text: '4.7.0 Temporary authentication failure' },
  tooManyFailures: { code: 421, text: '4.7.0 Too many failed authentications, try again later' },
  notYourAddress: { code: 550, text: '5.7.1 Not an address that you may send as' },
} as const

/** The SMTP reply of a refusal, from the one table of refusals. */
export function replyOf(reason: RefusalReason): Reply {
  const row = refusals[reason]
  if (!('reply' in row)) return replies.refused
  const space = row.reply.indexOf(' ')
  return { code: Number(row.reply.slice(0, space)), text: row.reply.slice(space + 1) }
}

/** A reply is one line; RFC 5321 §4.5.3.1.5 gives it 512 octets. */
const detailChars = 300

/** The same for a sender of ours, who is told the name of a reason without words of its own, and what is wrong. */
export function openReplyOf(reason: RefusalReason, detail = ''): Reply {
  const reply = replyOf(reason)
  if (reply !== replies.refused) return reply
  const words = detail.replace(/[^\x20-\x7e]+/g, ' ').slice(0, detailChars)
  return { code: reply.code, text: `${reply.text}: ${reason}${words === '' ? '' : ` (${words})`}` }
}

/** A reply in the form smtp-server wants its refusals: an Error with `responseCode`. */
export function asError(reply: Reply): Error & { responseCode: number } {
  return Object.assign(new Error(reply.text), { responseCode: reply.code })
}
