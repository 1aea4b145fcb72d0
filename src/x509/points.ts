import { oids } from '../asn1/oids.js'
import * as asn1 from '../asn1/reader.js'
import { sequenceOf } from '../asn1/writer.js'
import { type Certificate, certificateLimits } from './certificate.js'
import { comparableName } from './name.js'
import { extensionValue } from './names.js'

/** Where a list is to be had that speaks of a certificate (DistributionPoint, RFC 5280 §4.2.1.13). */
export interface DistributionPoint {
  /** Its names in a form to compare; undefined where only `crlIssuers` tell who signs the list. */
  readonly names: readonly string[] | undefined
  /** Those of its names that are URLs, in order. */
  readonly urls: readonly string[]
  /** Bits of ReasonFlags for which the list speaks; undefined: all. */
  readonly reasons: number | undefined
  /** Who signs the list where it is not the issuer of the certificate: Names, DER. */
  readonly crlIssuers: readonly Uint8Array[]
}

/** The points of cRLDistributionPoints, or of freshestCRL, in a certificate. Throws Asn1Error. */
export function distributionPointsOf(
  certificate: Certificate,
  extension: typeof oids.crlDistributionPoints | typeof oids.freshestCrl = oids.crlDistributionPoints,
): readonly DistributionPoint[] {
  const value = extensionValue(certificate, extension)
  return value ? readPoints(value, certificate.issuer) : []
}

/** Reads CRLDistributionPoints; names relative to an issuer are completed with `issuer`. Throws Asn1Error. */
export function readPoints(found: asn1.Element, issuer: Uint8Array): DistributionPoint[] {
  return asn1.sequence(found, certificateLimits.urls).map((point) => {
    const fields = new Map(asn1.sequence(point, 3).map((field) => [field.tag, field]))
    const name = fields.get(0xa0)
    const reasons = fields.get(0x81)
    const signers = fields.get(0xa2)
    const crlIssuers = signers ? directoryNames(signers) : []
    return {
      ...(name ? pointName(name, crlIssuers[0] ?? issuer) : { names: undefined, urls: [] }),
      reasons: reasons && reasonBits(reasons),
      crlIssuers,
    }
  })
}

/** ReasonFlags under an implicit tag, as bits. Throws Asn1Error. */
export function reasonBits(field: asn1.Element): number {
  return asn1.namedBits({ ...field, tag: asn1.tags.bitString })
}

/** The directory names among GeneralNames whose tag was checked, DER each. Throws Asn1Error. */
export function directoryNames(found: asn1.Element): Uint8Array[] {
  return asn1
    .children(found, certificateLimits.urls)
    .filter(({ tag }) => tag === 0xa4)
    .map((general) => asn1.whole(asn1.expect(asn1.children(general, 1)[0], asn1.tags.sequence)))
}

/** DistributionPointName (RFC 5280 §4.2.1.13): its full names, or the one relative to the issuer. Throws Asn1Error. */
export function pointName(holder: asn1.Element, issuer: Uint8Array): { names: string[]; urls: string[] } {
  const [name] = asn1.children(holder, 1)
  if (name?.tag === 0xa1) {
    const set = Uint8Array.from(asn1.whole(name))
    set[0] = asn1.tags.set
    const whole = sequenceOf(asn1.content(asn1.onlyElement(issuer)), set)
    return { names: [directoryForm(whole)], urls: [] }
  }
  if (name?.tag !== 0xa0) throw new asn1.Asn1Error('distribution point without a name')
  const names: string[] = []
  const urls: string[] = []
  for (const general of asn1.children(name, 64)) {
    const text = Buffer.from(asn1.content(general)).toString('latin1')
    if (general.tag === 0xa4) names.push(directoryForm(asn1.whole(asn1.children(general, 1)[0] ?? general)))
    else names.push(`${general.tag} ${general.tag === 0x86 ? urlForm(text) : text}`)
    if (general.tag === 0x86) urls.push(text)
  }
  return { names, urls }
}

/** A directory name in the form that `names` of a point has. */
export function directoryForm(name: Uint8Array): string {
  return `name ${comparableName(name)}`
}

/** RFC 5280 §7.4: scheme and host are compared without regard to case. */
function urlForm(url: string): string {
  return url.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, (start) => start.toLowerCase())
}
