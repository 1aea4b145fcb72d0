import { HOTP, Secret, TOTP } from 'otpauth'

/** Codes of an authenticator app: RFC 6238 with SHA-1, six digits, 30 seconds, which all of them know. */
const periodMs = 30_000
const form = { algorithm: 'SHA1', digits: 6 } as const

/** A shared secret of 160 bits in base32 (RFC 4226 §4 R6). */
export function totpSecret(bytes: Uint8Array): string {
  return new Secret({ buffer: new Uint8Array(bytes).buffer }).base32
}

/** What an authenticator app reads from a QR code. */
export function totpUri(secret: string, house: string, email: string): string {
  return new TOTP({
    ...form,
    issuer: house.replaceAll(':', ' '),
    label: email,
    secret: Secret.fromBase32(secret),
  }).toString()
}

/**
 * The step of a right code: this one, or one before or after for a clock that is off (RFC 6238 §6), and later than the last
 * step taken (§5.2). Undefined for every other code.
 */
export function totpStep(secret: string, code: string, now: number, lastStep: number): number | undefined {
  const token = code.replace(/\s/g, '')
  if (!/^\d{6}$/.test(token)) return undefined
  const counter = Math.floor(now / periodMs)
  const delta = HOTP.validate({ ...form, token, secret: Secret.fromBase32(secret), counter, window: 1 })
  return delta === null || counter + delta <= lastStep ? undefined : counter + delta
}
