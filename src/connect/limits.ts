const day = 86_400_000

/** Limits of pickup codes and of what they open, with their reasons. */
export const connectLimits = {
  /** HealthVault's: three wrong answers for ever. */
  attempts: 3,
  /** HealthVault's: four weeks until it is picked up. */
  expiresInMs: 28 * day,
  /** The longest that an application may ask for: a code that nobody came for in a quarter is lost. */
  expiresInMostMs: 92 * day,
  /** A Patient Connect code works so long after each pickup; and what ended is told to its owner so long. */
  keptMs: 90 * day,
  /** From the right answer to the decision: signing up, confirming an address and reading, once. */
  ticketMs: 30 * 60_000,
  /** Right answers that are not yet decided on, for one code: a few browsers of one family. */
  tickets: 5,
  /** HealthVault's for an answer, counted once it is folded. */
  answerLeast: 6,
  /** An answer is a word or two; more is hashed for nothing. */
  answerMost: 255,
  questionMost: 255,
  friendlyNameMost: 100,
  externalIdMost: 255,
  emailMost: 254,
  /** What a person may paste: a code with its hyphens, spaces and a line break or two. */
  codeTextMost: 200,
  /** Records that one Patient Connect code was used for: a family's, and more than any. */
  pickups: 16,
  /** Codes that are not there, by client network: a person mistypes a few times, in an hour. */
  misses: { perSecond: 20 / 3600, burst: 10 },
  /** By all networks together; beyond it only those pass that asked for nothing wrong of late. */
  missesOfAll: { perSecond: 5, burst: 100 },
  /** Networks remembered; the one quiet for longest is forgotten, which only ever favours a caller. */
  networks: 20_000,
  /** A worker of the sweep that is silent for so long loses its job. */
  leaseMs: 30_000,
  /** Rounds of trying again what somebody else changed meanwhile: 50 guesses at once end within them. */
  rounds: 64,
  /** Rows of one read of a walk. */
  rowsPerRead: 500,
  page: 200,
  /** How far back the next poll begins: longer than a commit takes, so that none falls between two polls. */
  pollOverlapMs: 60_000,
}

export type ConnectLimits = typeof connectLimits
