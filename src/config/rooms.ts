import type { Config } from './settings.js'

/** The settings of the SMTP listener under the names that src/smtp/limits.ts gives them. */
export function smtpLimitsOf({ smtp, limits }: Pick<Config, 'smtp' | 'limits'>) {
  return {
    ...limits,
    limitLoopback: smtp.limitLoopback,
    idleMs: smtp.idleSeconds * 1_000,
    commandPhaseMs: smtp.commandPhaseSeconds * 1_000,
    dataBaseMs: smtp.dataBaseSeconds * 1_000,
  }
}
