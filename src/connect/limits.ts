/** Limits of pickup codes and packages, with their reasons. */
export const connectLimits = {
  /** HealthVault's: three wrong answers for ever. */
  attempts: 3,
}
