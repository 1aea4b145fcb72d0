/** Limits of applications, grants and the history, with their reasons. */
export const consentLimits = {
  /** HealthVault's: a name is what a request for optional rules says, `onopt1=<name>`. */
  ruleNameCharacters: 16,
  /** HealthVault's "why string". */
  reasonCharacters: 1024,
  /** A person reads them all before deciding. */
  rulesPerSet: 32,
  /** Languages of one reason: as many as pages could ever be shown in. */
  languages: 40,
  /** Shown on one line of a narrow page, and in the subject of a letter. */
  nameCharacters: 80,
  /** Longer ones do not go through every browser. */
  urlCharacters: 2000,
  redirectUris: 20,
  messageCharacters: 1000,
  /** A few in rotation. */
  keys: 10,
  networks: 50,
  /** Standing grants of one person, over all records: some hundred installations at most. */
  grantsPerPerson: 1000,
  /** Grants of one app in one record, asked about for each request: as many people as could share a record. */
  grantsPerRecord: 100,
  /** Rows read at once in a walk. */
  rowsPerRead: 500,
  page: 200,
  /** Rows of the history looked at for one filtered page. */
  rowsPerPage: 2000,
  /** How often a change is tried again when somebody else wrote first. */
  changeRounds: 8,
  /** How far the clocks of two nodes may lie apart before a grant seems older than the membership it came from. */
  clockSkewMs: 5 * 60_000,
}
