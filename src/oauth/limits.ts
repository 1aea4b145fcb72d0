/** Limits of the authorization server, with their reasons. */
export const oauthLimits = {
  /** An access token; a revoked grant ends at once all the same, as it is asked about for every request. */
  accessTokenSeconds: 900,
  /** A token of a backend for itself: SMART Backend Services asks for five minutes at most. */
  clientTokenSeconds: 300,
  /** From the browser back to the application, and at once to us. */
  codeSeconds: 60,
  /** Signing in, perhaps signing up first, and reading what is asked. */
  interactionSeconds: 3600,
  /** Typing eight letters from one screen at another. */
  deviceSeconds: 900,
  /** Tells an application who came, at once. */
  idTokenSeconds: 3600,
  /** A refresh token that nobody uses: what an application forgot ends by itself, and each use begins the time anew. */
  refreshSeconds: 90 * 24 * 3600,
  /** What a person granted holds until it is revoked; without a use for this long its tokens could not live anyway. */
  grantSeconds: 3650 * 24 * 3600,
  /** Clocks of clients that are a little off. */
  clockToleranceSeconds: 15,
  /** A proof of possession is made for one request (RFC 9449 §11.1). */
  proofSeconds: 300,
  /** A proof with an RSA key in it has some 1,500 characters. */
  proofChars: 4096,
  /** A client assertion may not be good for longer (SMART Backend Services: five minutes), with room for clocks. */
  assertionSeconds: 330,
  /** Keys of a client at its own place. */
  jwksBytes: 64 * 1024,
  /** Signing keys are replaced, */
  keyRotationMs: 90 * 24 * 3_600_000,
  /** are published before they sign, as verifiers keep lists of keys for a day, */
  keyAheadMs: 24 * 3_600_000,
  /** and are published after they last signed until no token of theirs is good. */
  keyAfterMs: 2 * 24 * 3_600_000,
  /** How often a process looks whether another one replaced keys. */
  keyLookMs: 10 * 60_000,
  /** Writes of one consent that met another one. */
  rounds: 4,
  /** Rows that one sweep reads; it goes on where it was. */
  sweepRows: 1000,
  /** A software statement, or the metadata of an installation. */
  registrationBytes: 16 * 1024,
  /** Redirects that an installation registers: one a kind is usual. */
  redirects: 5,
  /** Characters of what an installation is called. */
  nameChars: 100,
  /** A redirect. */
  uriChars: 512,
  /** Public keys of one installation. */
  keys: 4,
  /** A ticket for one registration, from a master's server to its application. */
  ticketSeconds: 3600,
  /** Installations of one maker that a person may hold: HealthVault's APPLICATION_LIMIT_EXCEEDED. */
  installationsPerPerson: 20,
  /** Installations that one network registers: a household at once, a hospital in a day. */
  registrations: { burst: 20, perHour: 20 },
  /** Wrong user codes of one person within the life of a device code (RFC 8628 §5.1): 20^8 codes, ten tries. */
  userCodeTries: 10,
}

export type OauthLimits = typeof oauthLimits
