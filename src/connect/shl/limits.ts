const day = 86_400_000

/** Limits of SMART Health Links, with their reasons. */
export const linkLimits = {
  /** Links of one record that stand at once: a few doctors, and the screens of a family. */
  linksPerRecord: 50,
  /** The longest that a link works; without a term it is the default. */
  termMostMs: 366 * day,
  termMs: 28 * day,
  /** Links that ended are told of so long. */
  keptMs: 90 * day,
  /** Wrong passcodes in the lifetime of a link, by anybody: a person mistypes, a guesser of six digits has no chance. */
  attempts: 10,
  passcodeLeast: 6,
  passcodeMost: 64,
  /** Passcodes of one link that are looked at or wait at once; who comes later is told to wait. */
  waiting: 20,
  /** The standard's most (SMART Health Links, `.files.location`). */
  locationMs: 3_600_000,
  /** A file no longer than this is in the manifest, where the client names no other length. */
  embeddedChars: 1024 * 1024,
  filesPerLink: 20,
  fileBytes: 16 * 1024 * 1024,
  /** The standard's. */
  labelChars: 80,
  urlChars: 128,
  recipientChars: 200,
  /** What is pasted: a link with its viewer in front. */
  pastedChars: 4096,
  /** A manifest that somebody else serves, and all of its files together. */
  manifestBytes: 8 * 1024 * 1024,
  acceptedBytes: 48 * 1024 * 1024,
}
export type LinkLimits = typeof linkLimits
