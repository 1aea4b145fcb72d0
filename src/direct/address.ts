/** An address as Direct compares it: `endpoint@domain`, wholly lower-cased. */
export type DirectAddress = string & { readonly __brand: 'DirectAddress' }

/** A Health Domain Name, lower-cased, without a trailing dot. */
export type DirectDomain = string & { readonly __brand: 'DirectDomain' }

/** Before any folding: U+212A, for one, lower-cases to `k`. */
const ascii = /^[\x20-\x7e]*$/
const atext = /^[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/
const label = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/

/**
 * Reads a domain name of at most 253 octets in letters, digits and hyphens (RFC 1034 §3.5); internationalised names in
 * their `xn--` form. Answers undefined for anything else.
 */
export function parseDomain(text: string): DirectDomain | undefined {
  if (!ascii.test(text)) return undefined
  const domain = text.trim().toLowerCase().replace(/\.$/, '')
  if (domain.length === 0 || domain.length > 253) return undefined
  return domain.split('.').every((part) => label.test(part)) ? (domain as DirectDomain) : undefined
}

/**
 * Reads a bare addr-spec (RFC 5322 §3.4.1) in its dot-atom form: local part at most 64 octets (RFC 5321 §4.5.3.1.1).
 * Quoted local parts, comments, display names, control bytes and non-ASCII answer undefined: no Direct address needs
 * them and each has carried a spoof. Case is folded throughout, so that a local part binds regardless of case.
 */
export function parseAddress(text: string): DirectAddress | undefined {
  if (!ascii.test(text)) return undefined
  const lower = text.trim().toLowerCase()
  const at = lower.lastIndexOf('@')
  if (at < 1 || at > 64) return undefined
  const domain = parseDomain(lower.slice(at + 1))
  if (!domain || !atext.test(lower.slice(0, at))) return undefined
  return `${lower.slice(0, at)}@${domain}` as DirectAddress
}

/** The Health Domain Name of an address. */
export function domainOf(address: DirectAddress): DirectDomain {
  return address.slice(address.lastIndexOf('@') + 1) as DirectDomain
}

/**
 * The names under which certificates of an address may stand, the exact one first: a tag behind a plus sign is the recipient's
 * own affair (RFC 5233 §1), and who issues or publishes certificates does not know of it.
 */
export function spellings(address: DirectAddress): readonly DirectAddress[] {
  const plus = address.indexOf('+')
  return plus > 0 ? [address, `${address.slice(0, plus)}@${domainOf(address)}` as DirectAddress] : [address]
}
