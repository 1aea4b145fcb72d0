/**
 * Local parts that people never get: roles that mail and certificate authorities believe (RFC 2142, CA/Browser Forum Baseline
 * Requirements §3.2.2.4.4), what our own pages and programs are called, and what a stranger would take for the house itself.
 */
const reservedNames: ReadonlySet<string> = new Set(
  `abuse account accounts admin administrator all anonymous billing bounce bounces ca care certificate certificates certs clinic
  compliance contact daemon direct directory dns doctor emergency everybody everyone ftp gateway help helpdesk hisp hospital
  hostmaster info is it legal list lists mail mailer-daemon mailer marketing message messagecenter messages moderator mx news
  newsletter newuser newusers no-reply nobody noc noreply notice notices notification notifications null office operator
  operations owner password patient patients payment pharmacy phishing pki police portal postmaster privacy provider record
  records registrar reply root sales security service services smtp spam ssladmin ssladministrator sslwebmaster staff support
  sysadmin system team test undisclosed unsubscribe usenet user users uucp verification verify webmaster welcome www`
    .split(/\s+/)
    .filter(Boolean),
)

/** Whether a local part, or what is left of it without digits at its end and signs within, is kept for the house. */
export function isReservedName(local: string): boolean {
  const bare = local.replace(/[._-]/g, '')
  return [local, bare, bare.replace(/\d+$/, '')].some((one) => reservedNames.has(one)) || reservedBare.has(bare)
}

const reservedBare: ReadonlySet<string> = new Set([...reservedNames].map((name) => name.replace(/-/g, '')))

/**
 * Whether a local part is one that people may choose: letters and digits with single signs between them, 3 to 64 characters,
 * so that it can be said on a telephone, is spelt in one way, and is no tag of another (RFC 5233).
 */
export function isWord(local: string): boolean {
  return local.length >= 3 && local.length <= 64 && /^[a-z0-9]+(?:[._-][a-z0-9]+)*$/.test(local)
}
