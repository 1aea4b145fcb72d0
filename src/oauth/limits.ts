/** Limits of the authorization server, with their reasons. */
export const oauthLimits = {
  /** An access token; a revoked grant ends at once all the same, as it is asked about for every request. */
  accessTokenSeconds: 900,
}
