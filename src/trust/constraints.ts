import type { Certificate } from '../x509/certificate.js'
import { comparableName, emailAddressesOf, isEmptyName, isWithinName } from '../x509/name.js'
import { alternativeNames, type GeneralName, type NameConstraints } from '../x509/names.js'
import { trustLimits } from './policy.js'

const text = (name: GeneralName) => Buffer.from(name.value).toString('latin1').toLowerCase()

/**
 * What a certificate holds that its issuers' name constraints forbid, in words; undefined when every name is within them
 * (RFC 5280 §4.2.1.10 and §6.1.4 g). A constrained form that cannot be compared here is a violation: it fails closed.
 * Throws Asn1Error for unreadable names.
 */
export function constraintViolation(
  certificate: Certificate,
  constraints: readonly NameConstraints[],
): string | undefined {
  if (constraints.length === 0) return undefined
  const names = constrainedNames(certificate)
  const comparisons =
    names.length * constraints.reduce((all, { permitted, excluded }) => all + permitted.length + excluded.length, 0)
  if (comparisons > trustLimits.nameComparisons) return 'more names than can be compared with the constraints on them'
  for (const { permitted, excluded } of constraints)
    for (const name of names) {
      const sameForm = (base: GeneralName) => base.form === name.form && base.number === name.number
      const allowed = permitted.filter(sameForm)
      const banned = excluded.filter(sameForm)
      if (allowed.length === 0 && banned.length === 0) continue
      if (!isReadable(name)) return `a name of the form ${describe(name)} that cannot be compared`
      if (allowed.length > 0 && !allowed.some((base) => isWithin(name, base)))
        return `a name of the form ${describe(name)} outside the permitted ones`
      if (banned.some((base) => isWithin(name, base))) return `a name of the form ${describe(name)} that is excluded`
    }
  return undefined
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

const describe = ({ form, number }: GeneralName) => (form === 'other' ? `[${number}]` : form)

function isReadable(name: GeneralName): boolean {
  switch (name.form) {
    case 'rfc822':
      return /^[\x21-\x7e]+@[a-z0-9-]+(\.[a-z0-9-]+)*$/.test(text(name))
    case 'dns':
      return /^(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*$/.test(text(name))
    case 'uri':
      return hostOf(text(name)) !== undefined
    case 'ip':
      return name.value.length === 4 || name.value.length === 16
    case 'directory':
      return comparableName(name.value).startsWith('[')
    case 'other':
      return false
  }
}

/** Whether a readable name falls into the subtree of a base of its own form. */
function isWithin(name: GeneralName, base: GeneralName): boolean {
  switch (name.form) {
    case 'rfc822':
      return isMailboxWithin(text(name), text(base))
    case 'dns':
      return isHostWithin(text(name), text(base), true)
    case 'uri':
      return isHostWithin(hostOf(text(name)) ?? '', text(base), false)
    case 'ip':
      return isAddressWithin(name.value, base.value)
    case 'directory':
      return isWithinName(name.value, base.value)
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
function isHostWithin(host: string, base: string, subdomains: boolean): boolean {
  if (base === '') return true
  if (base.startsWith('.')) return host.endsWith(base)
  return host === base || (subdomains && host.endsWith(`.${base}`))
}

/** The host of a URI with an authority that has a name; a URI without one, or with an address, cannot be within constraints. */
function hostOf(uri: string): string | undefined {
  const host = /^[a-z][a-z0-9+.-]*:\/\/(?:[^/?#@]*@)?([^/?#:@[\]]+)(?::\d*)?(?:[/?#]|$)/.exec(uri)?.[1]
  return host && !/^[\d.]+$/.test(host) ? host : undefined
}

/** The base is an address followed by a mask of the same length. */
function isAddressWithin(address: Uint8Array, base: Uint8Array): boolean {
  const size = address.length
  if (base.length !== 2 * size) return false
  return address.every(
    (octet, i) => (octet & (base[size + i] as number)) === ((base[i] as number) & (base[size + i] as number)),
  )
}
