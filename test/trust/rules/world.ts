import { oids } from '../../../src/asn1/oids.js'
import { der, objectIdentifier, sequenceOf } from '../../../src/asn1/writer.js'
import { evaluate } from '../../../src/trust/rules/evaluate.js'
import { readRule } from '../../../src/trust/rules/read.js'
import { outcomeWords } from '../../../src/trust/rules/rule.js'
import { type Certificate, readCertificate } from '../../../src/x509/certificate.js'
import { type CertificateOptions, makeAuthority, makeLeaf, nameOf } from '../../fixtures/pki.js'

export const root = makeAuthority({ name: 'Rules Root' })

/** certificatePolicies; `cps` is a qualifier of the first. */
export function policies(list: readonly string[], cps?: string) {
  const qualifier = cps && sequenceOf(sequenceOf(objectIdentifier('1.3.6.1.5.5.7.2.1'), der(0x16, Buffer.from(cps))))
  const value = sequenceOf(
    ...list.map((oid, i) => sequenceOf(objectIdentifier(oid), ...(i === 0 && qualifier ? [qualifier] : []))),
  )
  return { oid: oids.certificatePolicies, value }
}

export const directTrust = ['1.3.6.1.4.1.41179.0.1.2', '1.3.6.1.4.1.41179.1.3', '1.3.6.1.4.1.41179.2.1']

export function certificateOf(der: Uint8Array): Certificate {
  const certificate = readCertificate(der)
  if (certificate.kind === 'malformed') throw new Error(certificate.detail)
  return certificate
}

export function leafOf(options: CertificateOptions = {}): Certificate {
  return certificateOf(makeLeaf(root, options).certificate)
}

/** As a community that follows DirectTrust issues them. */
export const clinicOptions: CertificateOptions = {
  keyType: 'rsa2048',
  subject: nameOf('Dr. Test', [
    { oid: '2.5.4.10', value: 'Clinic' },
    { oid: '2.5.4.11', value: 'North' },
    { oid: '2.5.4.11', value: 'South' },
  ]),
  san: { email: ['Doctor@Clinic.test'] },
  keyUsage: ['digitalSignature', 'keyEncipherment'],
  eku: [oids.emailProtection],
  serial: Uint8Array.of(0x00, 0xf7, 0x4f),
  crlUrls: ['http://crl.clinic.test/ca.crl'],
  caIssuers: ['http://aia.clinic.test/ca.cer'],
  extensions: [policies(directTrust, 'https://clinic.test/cps')],
  notBefore: Date.UTC(2026, 0, 1),
  notAfter: Date.UTC(2028, 11, 31),
}
export const clinic = leafOf(clinicOptions)
export const authority = certificateOf(root.certificate)

/** What a rule says of a certificate, in words; of no rule, the place and what was expected. */
export function saysOf(text: string, certificate: Certificate = clinic): string {
  const read = readRule(text)
  if (read.kind === 'unreadable') return `${read.line}:${read.column} ${read.detail}`
  return outcomeWords(evaluate(read.rule, certificate))
}
