import type { Certificate } from '../x509/certificate.js'
import { componentsOf, emailAddressesOf, isEmptyName } from '../x509/name.js'
import { alternativeNames, type GeneralName, type NameConstraints } from '../x509/names.js'
import { trustLimits } from './policy.js'

/** A name, or the base of a constraint, made ready to be compared with many. */
interface Comparable {
  readonly form: GeneralName['form']
  readonly number: number
  readonly value: Uint8Array
  /** Lower-cased; the host alone for the URI of a certificate. */
  readonly text: string
  readonly components: readonly string[]
  /** Whether anything may be concluded from comparing it. */
  readonly readable: boolean
}

/**
 * What a certificate holds that its issuers' name constraints forbid, in words; undefined when every name is within them
 * (RFC 5280 §4.2.1.10 and §6.1.4 g). A constrained form that cannot be compared here, on either side, is a violation: it
 * fails closed. Throws Asn1Error for unreadable names.
 */
export function constraintViolation(
  certificate: Certificate,
  constraints: readonly NameConstraints[],
): string | undefined {
  if (constraints.length === 0) return undefined
  const names = constrainedNames(certificate)
  const bases = constraints.reduce((all, { permitted, excluded }) => all + permitted.length + excluded.length, 0)
  if (names.length * bases > trustLimits.nameComparisons)
    return 'more names than can be compared with the constraints on them'
  const prepared = names.map(nameReady)
  for (const { permitted, excluded } of constraints) {
    const [allowed, banned] = [permitted.map(baseReady), excluded.map(baseReady)]
    for (const name of prepared) {
      const words = violationOf(name, allowed, banned)
      if (words) return `a name of the form ${name.form === 'other' ? `[${name.number}]` : name.form} ${words}`
    }
  }
  return undefined
}

function violationOf(name: Comparable, permitted: readonly Comparable[], excluded: readonly Comparable[]) {
  const sameForm = (base: Comparable) => base.form === name.form && base.number === name.number
  const allowed = permitted.filter(sameForm)
  const banned = excluded.filter(sameForm)
  if (allowed.length === 0 && banned.length === 0) return undefined
  if (!name.readable) return 'that cannot be compared'
  if (!allowed.every(({ readable }) => readable) || !banned.every(({ readable }) => readable))
    return 'under a constraint that cannot be read'
  if (allowed.length > 0 && !allowed.some((base) => isWithin(name, base))) return 'outside the permitted ones'
  return banned.some((base) => isWithin(name, base)) ? 'that is excluded' : undefined
}

/** DER of id-on-SmtpUTF8Mailbox, 1.3.6.1.5.5.7.8.9. */
const smtpUtf8Mailbox = '06082b06010505070809'

/** The names that constraints speak of: subject, alternative names, and the subject's e-mail addresses where no subjectAltName has any. */
function constrainedNames(certificate: Certificate): GeneralName[] {
  const names = alternativeNames(certificate)
  if (!isEmptyName(certificate.subject)) names.push({ form: 'directory', number: 4, value: certificate.subject })
  if (!names.some((name) => name.form === 'rfc822'))
    for (const value of emailAddressesOf(certificate.subject)) names.push({ form: 'rfc822', number: 1, value })
  // SmtpUTF8Mailbox is an e-mail address in an otherName (RFC 9598 §6): constraints on e-mail must not be walked around by it.
  for (const name of [...names])
    if (name.form === 'other' && Buffer.from(name.value).toString('hex').startsWith(smtpUtf8Mailbox))
      names.push({ form: 'rfc822', number: 1, value: new Uint8Array() })
  return names
}

const host = '[a-z0-9_-]+(\\.[a-z0-9_-]+)*'
const mailboxes = new RegExp(`^[\\x21-\\x3f\\x41-\\x7e]+@${host}$`)
const hosts = new RegExp(`^(\\*\\.)?${host}$`)
/** RFC 5280 gives a leading dot to e-mail and URI constraints only; authorities write it for DNS as well. */
const hostBases = new RegExp(`^(\\.?${host})?$`)

function ready({ form, number, value }: GeneralName) {
  const text = form === 'directory' ? '' : Buffer.from(value).toString('latin1').toLowerCase()
  const components = form === 'directory' ? componentsOf(value) : undefined
  return { form, number, value, text, components: components ?? [], isName: components !== undefined }
}

function nameReady(name: GeneralName): Comparable {
  const { isName, ...made } = ready(name)
  switch (name.form) {
    case 'rfc822':
      return { ...made, readable: mailboxes.test(made.text) }
    case 'dns':
      return { ...made, readable: hosts.test(made.text) }
    case 'uri': {
      const text = hostOf(made.text)
      return { ...made, text: text ?? '', readable: text !== undefined }
    }
    case 'ip':
      return { ...made, readable: name.value.length === 4 || name.value.length === 16 }
    case 'directory':
      return { ...made, readable: isName }
    case 'other':
      return { ...made, readable: false }
  }
}

function baseReady(base: GeneralName): Comparable {
  const { isName, ...made } = ready(base)
  switch (base.form) {
    case 'rfc822':
      return { ...made, readable: mailboxes.test(made.text) || hostBases.test(made.text) }
    case 'dns':
    case 'uri':
      return { ...made, readable: hostBases.test(made.text) }
    case 'ip':
      return { ...made, readable: (base.value.length === 8 || base.value.length === 32) && isMasked(base.value) }
    case 'directory':
      return { ...made, readable: isName }
    case 'other':
      return { ...made, readable: false }
  }
}

/** Whether the second half is a mask as CIDR has it (RFC 4632 §3.1): ones, then zeros. */
function isMasked(base: Uint8Array): boolean {
  const bits = [...base.subarray(base.length / 2)].map((octet) => octet.toString(2).padStart(8, '0')).join('')
  return /^1*0*$/.test(bits)
}

/** Whether a readable name falls into the subtree of a readable base of its own form. */
function isWithin(name: Comparable, base: Comparable): boolean {
  switch (name.form) {
    case 'rfc822':
      return isMailboxWithin(name.text, base.text)
    case 'dns':
      return isHostWithin(name.text, base.text, true)
    case 'uri':
      return isHostWithin(name.text, base.text, false)
    case 'ip':
      return isAddressWithin(name.value, base.value)
    case 'directory':
      return base.components.every((component, i) => component === name.components[i])
    case 'other':
      return false
  }
}

/** A base with `@` is one mailbox, one with a leading dot all hosts below it, any other one host. */
function isMailboxWithin(mailbox: string, base: string): boolean {
  if (base.includes('@')) return mailbox === base
  return isHostWithin(mailbox.slice(mailbox.lastIndexOf('@') + 1), base, false)
}

/** `subdomains`: a base without a leading dot covers the names below it too, as for dNSName. An empty base covers all. */
function isHostWithin(name: string, base: string, subdomains: boolean): boolean {
  if (base === '') return true
  if (base.startsWith('.')) return name.endsWith(base)
  return name === base || (subdomains && name.endsWith(`.${base}`))
}

/** The host of a URI with an authority that has a name; a URI without one, or with an address, cannot be within constraints. */
function hostOf(uri: string): string | undefined {
  const found = /^[a-z][a-z0-9+.-]*:\/\/(?:[^/?#@]*@)?([^/?#:@[\]]+)(?::\d*)?(?:[/?#]|$)/.exec(uri)?.[1]
  return found && !/^[\d.]+$/.test(found) && hosts.test(found) ? found : undefined
}

/** The base is an address followed by a mask of the same length. */
function isAddressWithin(address: Uint8Array, base: Uint8Array): boolean {
  const size = address.length
  if (base.length !== 2 * size) return false
  return address.every(
    (octet, i) => (octet & (base[size + i] as number)) === ((base[i] as number) & (base[size + i] as number)),
  )
}
