import { domainToASCII } from 'node:url'
import { peopleLimits } from './limits.js'

/**
 * An e-mail address as it is written to: trimmed, its domain in lower case and ASCII (RFC 5891), its local part as typed.
 * Undefined where no mail could come to it: quoted local parts, address literals and what is too long are refused too.
 */
export function readEmail(text: string): string | undefined {
  const trimmed = text.normalize('NFC').trim()
  const at = trimmed.lastIndexOf('@')
  const local = trimmed.slice(0, at)
  const domain = domainToASCII(trimmed.slice(at + 1))
  // RFC 5321 §4.1.2 Dot-string, with the letters of RFC 6531 §3.3.
  const atoms = /^[\p{L}\p{M}\p{N}!#$%&'*+/=?^_`{|}~-]+(\.[\p{L}\p{M}\p{N}!#$%&'*+/=?^_`{|}~-]+)*$/u
  if (at < 1 || !atoms.test(local) || Buffer.byteLength(local) > 64) return undefined
  if (!/^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])$/.test(domain)) return undefined
  const email = `${local}@${domain}`
  return email.length <= peopleLimits.emailCharacters ? email : undefined
}

/** What two spellings of one address have in common: nobody opens a second account by writing in capitals. */
export function foldedEmail(email: string): string {
  return email.normalize('NFKC').toLowerCase()
}
