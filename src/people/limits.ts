const minuteMs = 60_000
const hourMs = 60 * minuteMs
const dayMs = 24 * hourMs

/** What holds for people and their records. Times that an operator may set are among them; each has its reason beside it. */
export const peopleLimits = {
  /** NIST SP 800-63B-4 §3.1.1.2 asks for 15 alone, 8 beside a second factor; 12 serves both with the commonest refused. */
  passwordMinCharacters: 12,
  /** Room for any passphrase; beyond it only somebody who wants us to hash a lot. */
  passwordMaxCharacters: 256,
  /** RFC 5321 §4.5.3.1.3 */
  emailCharacters: 254,
  nameCharacters: 200,
  /** Names of passkeys and records. */
  labelCharacters: 100,
  /** HealthVault's. */
  messageCharacters: 1024,
  /** A child's grandparents and carers, with room. */
  members: 20,
  /** HealthVault listed 25 at a time; a carer of a group home has more. */
  recordsOfPerson: 50,
  /** Open invitations of one record, so that it does not send mail for a stranger. */
  invitations: 20,
  passkeys: 10,
  recoveryCodes: 10,
  sessions: 20,
  /** A session nobody uses, on a computer that others use too (NIST SP 800-63B-4 §2.2.3 allows an hour). */
  idleMs: 15 * minuteMs,
  /** A working day at most, then all proofs again (NIST SP 800-63B-4 §2.2.3: 24 hours). */
  absoluteMs: 12 * hourMs,
  /** Between two writes of when a session was last used. */
  touchMs: minuteMs,
  /** A link in a mail that proves an address. */
  confirmMs: dayMs,
  /** Between two steps of signing in or of setting up a factor. */
  stepMs: 10 * minuteMs,
  /** Recovery links: shorter, since they open more. */
  recoveryLinkMs: hourMs,
  /** How long after proving who one is dangerous things may be done without proving it again. */
  stepUpMs: 10 * minuteMs,
  /** Wrong proofs that one recovery link bears. */
  proofs: 5,
  /** Recovery with the mailbox alone: long enough that its owner reads his mail or signs in meanwhile. */
  recoveryWaitMs: 72 * hourMs,
  /** How long the letter at the end of that may lie. */
  recoveryReadyMs: 7 * dayMs,
  /** To undo a change of e-mail by the old address. */
  emailUndoMs: 7 * dayMs,
  invitationMs: 7 * dayMs,
  /** HealthVault's: 144 twice, then 145 for ever. */
  pinTries: 3,
  pinMinDigits: 4,
  pinMaxDigits: 12,
  /** Failures that cost nothing, per account and client. */
  freeFailures: 5,
  /** Then the wait doubles, from a second … */
  firstWaitMs: 1000,
  /** … to a quarter of an hour: a hundred guesses a day from one network (NIST SP 800-63B-4 §3.2.2). */
  longestWaitMs: 15 * minuteMs,
  /** Failures of one network over all accounts before it waits: a clinic's waiting room has one address. */
  freeFailuresOfNetwork: 50,
  /** When failures are forgotten. */
  failuresMs: dayMs,
  /** Letters that strangers can make us send to one address in a day, from one network and in all. */
  lettersOfNetwork: 3,
  lettersOfAddress: 10,
  /** To all addresses together from one network: a school signs up in a morning, a list of addresses is no school. */
  lettersOfNetworkInAll: 100,
  /** Invitations that one person sends in a day, whatever became of them. */
  invitationsOfPerson: 30,
  /** Passwords that one link or one person has hashed at no wait: each costs as much as somebody's signing in. */
  hashings: 5,
  /** How long a browser in which somebody signed in is known by its cookie. */
  deviceMs: 365 * dayMs,
  /** To bring a deleted record back. */
  deletedMs: 30 * dayMs,
  /** When custodians of a child need the adult's word (most of the United States and of Europe). */
  adultYears: 18,
  /** When somebody can keep things from his parents; below it nobody can. */
  adolescentYears: 12,
  /** From coming of age until custodians are readers. */
  ofAgeMs: 90 * dayMs,
  /** How often a change is tried again when somebody else wrote first; each round somebody was done. */
  rounds: 60,
}

export type PeopleLimits = typeof peopleLimits
