import { oids } from '../asn1/oids.js'
import * as asn1 from '../asn1/reader.js'
import type { Certificate } from './certificate.js'
import { extensionValue } from './names.js'

/** The policy that stands for every policy (RFC 5280 §4.2.1.4). */
export const anyPolicy = '2.5.29.32.0'

/** What the policy extensions of a certificate say (RFC 5280 §4.2.1.4, §4.2.1.5, §4.2.1.11, §4.2.1.14). */
export interface CertificatePolicies {
  /** Undefined where the extension is absent: valid for no policy. */
  readonly policies: readonly string[] | undefined
  readonly mappings: readonly { readonly issuer: string; readonly subject: string }[]
  /** Certificates that may still follow; undefined where nothing is demanded. */
  readonly requireExplicit: number | undefined
  readonly inhibitMapping: number | undefined
  readonly inhibitAny: number | undefined
}

/** More than any real certificate has; keeps the policy graph of a path small. */
const limit = 64

/** Reads the policy extensions of a certificate. Throws Asn1Error for what does not parse or is over 64 entries. */
export function policiesOf(certificate: Certificate): CertificatePolicies {
  const policies = extensionValue(certificate, oids.certificatePolicies)
  const mappings = extensionValue(certificate, oids.policyMappings)
  const constraints = extensionValue(certificate, oids.policyConstraints)
  const inhibitAny = extensionValue(certificate, oids.inhibitAnyPolicy)
  const constraint = (tag: number) => {
    const field = constraints && asn1.sequence(constraints, 2).find((found) => found.tag === tag)
    return field && implicitInteger(field)
  }
  return {
    policies: policies && asn1.sequence(policies, limit).map((entry) => asn1.oid(asn1.sequence(entry, 2)[0])),
    mappings: (mappings ? asn1.sequence(mappings, limit) : []).map((pair) => {
      const [issuer, subject] = asn1.sequence(pair, 2)
      return { issuer: asn1.oid(issuer), subject: asn1.oid(subject) }
    }),
    requireExplicit: constraint(0x80),
    inhibitMapping: constraint(0x81),
    inhibitAny: inhibitAny && asn1.smallInteger(inhibitAny),
  }
}

/** An INTEGER under an implicit tag, small and not negative. */
function implicitInteger(field: asn1.Element): number {
  return asn1.smallInteger({ ...field, tag: asn1.tags.integer })
}
