/** Why something was not done, with the words that the person reads on the page and the program in the API. */
export const peopleProblems = {
  'bad-email': { detail: 'This is not an e-mail address that mail can be sent to, such as name@example.org.' },
  'bad-name': { detail: 'Enter a name of 1 to 200 characters.' },
  'bad-birth-date': { detail: 'Enter a date of birth as year, month and day; it cannot be in the future.' },
  'too-short': { detail: 'Choose a password of at least 12 characters; several words are good.' },
  'too-long': { detail: 'Choose a password of at most 256 characters.' },
  'too-common': { detail: 'Choose another password: this one is among those that are guessed first.' },
  'tells-of-you': { detail: 'Choose a password that does not contain your name or e-mail address.' },
  'no-such-link': { detail: 'This link was used already, is too old, or is not complete. Ask for a new one.' },
  'wrong-proof': { detail: 'That was not right. Check what you entered and try again.' },
  'wrong-code': { detail: 'That code was not right. Wait for the next one and try again.' },
  'last-factor': { detail: 'Without this you could not sign in any more. Set up something else first.' },
  'no-such-factor': { detail: 'There is no such way of signing in to this account.' },
  'too-many': { detail: 'There are as many of these as there can be. Remove one first.' },
  'no-such-record': { detail: 'There is no such record, or it is not shared with you.' },
  'not-custodian': { detail: 'Only a custodian of the record can do this.' },
  'last-custodian': {
    detail: 'A record must have a custodian. Invite another one first, or delete the record.',
    healthvaultStatus: 47,
  },
  'no-such-member': { detail: 'The record is not shared with this person.' },
  'already-member': { detail: 'You have this record already.' },
  'no-such-invitation': { detail: 'There is no such invitation: it was used, withdrawn, or is too old.' },
  'pin-mismatch': { detail: 'The PIN was not right. Ask whoever invited you.', healthvaultStatus: 144 },
  'pin-attempts': {
    detail: 'The PIN was wrong too often. Ask whoever invited you for a new invitation.',
    healthvaultStatus: 145,
  },
  'bad-pin': { detail: 'Choose a PIN of 4 to 12 digits.' },
  'bad-until': { detail: 'Sharing ends in the future, or not at all.' },
  'bad-rules': { detail: 'Say what may be seen or changed: 1 to 20 rules with a name of 1 to 16 characters each.' },
  'not-active': { detail: 'The record cannot be changed as it is now.' },
  'not-for-you': { detail: 'Only the person whom the record is about can do this.' },
} as const satisfies Record<string, { readonly detail: string; readonly healthvaultStatus?: number }>

export type PeopleProblem = keyof typeof peopleProblems

export interface Refused {
  readonly kind: 'refused'
  readonly problem: PeopleProblem
}

export interface Waiting {
  readonly kind: 'wait'
  readonly waitMs: number
}

export const refused = (problem: PeopleProblem): Refused => ({ kind: 'refused', problem })
export const done = { kind: 'done' } as const
export type Done = typeof done
