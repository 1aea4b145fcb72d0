import { oids } from '../asn1/oids.js'
import * as asn1 from '../asn1/reader.js'
import { type Certificate, certificateLimits } from './certificate.js'

/** A GeneralName (RFC 5280 §4.2.1.6): its form, and its content octets (the DER of the Name for a directory name). */
export interface GeneralName {
  readonly form: 'rfc822' | 'dns' | 'directory' | 'uri' | 'ip' | 'other'
  /** The context tag number, which tells the other forms apart. */
  readonly number: number
  readonly value: Uint8Array
}

const forms: Readonly<Record<number, GeneralName['form']>> = {
  129: 'rfc822',
  130: 'dns',
  164: 'directory',
  134: 'uri',
  135: 'ip',
}

/** Reads one GeneralName. Throws Asn1Error. */
export function generalName(found: asn1.Element): GeneralName {
  const form = forms[found.tag] ?? 'other'
  const inner = form === 'directory' ? asn1.children(found, 1)[0] : undefined
  return { form, number: found.tag & 0x1f, value: inner ? asn1.whole(inner) : asn1.content(found) }
}

/** Every subjectAltName of a certificate. Throws Asn1Error, though not for a certificate that `readCertificate` accepted with readable names. */
export function alternativeNames(certificate: Certificate): GeneralName[] {
  const value = extensionValue(certificate, oids.subjectAltName)
  return value ? asn1.sequence(value, certificateLimits.names).map(generalName) : []
}

/** The element inside an extension, or undefined where the certificate does not have it. Throws Asn1Error. */
export function extensionValue(certificate: Certificate, oid: string): asn1.Element | undefined {
  const found = certificate.extensions.find((extension) => extension.oid === oid)
  return found && asn1.onlyElement(found.value)
}

/** One GeneralSubtree list pair (RFC 5280 §4.2.1.10). `minimum` and `maximum` never have another value than the default. */
export interface NameConstraints {
  readonly permitted: readonly GeneralName[]
  readonly excluded: readonly GeneralName[]
}

/** Reads a nameConstraints extension. Throws Asn1Error, also for minimum and maximum, which no profile allows. */
export function nameConstraintsOf(certificate: Certificate): NameConstraints | undefined {
  const value = extensionValue(certificate, oids.nameConstraints)
  if (!value) return undefined
  const subtrees = (tag: number) => {
    const list = asn1.sequence(value, 2).find((field) => field.tag === tag)
    return (list ? asn1.children(list, certificateLimits.names) : []).map((subtree) => {
      const [base, ...bounds] = asn1.sequence(subtree, 3)
      if (!base || bounds.length > 0) throw new asn1.Asn1Error('name constraint with minimum or maximum')
      return generalName(base)
    })
  }
  return { permitted: subtrees(0xa0), excluded: subtrees(0xa1) }
}
