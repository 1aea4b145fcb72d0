import { oids } from '../../asn1/oids.js'
import * as asn1 from '../../asn1/reader.js'
import { type Certificate, publicKeyOf } from '../../x509/certificate.js'
import { attributeTextsOf, nameText } from '../../x509/name.js'
import { alternativeNames, extensionValue, type GeneralName } from '../../x509/names.js'
import { schemeOf } from '../../x509/signature.js'
import * as words from './words.js'

interface Common {
  /** As RFC 5280 calls it. */
  readonly name: string
  /** What it is, for operators. */
  readonly about: string
}

/** Fields with at most one value; undefined where the certificate has none. Reading one may throw Asn1Error. */
export type ScalarField = Common &
  (
    | {
        readonly type: 'text'
        readonly words: words.Vocabulary
        readonly read: (certificate: Certificate) => string | undefined
      }
    /** Of a moment Unix milliseconds. */
    | { readonly type: 'number' | 'moment'; readonly read: (certificate: Certificate) => number | undefined }
  )

export type TruthField = Common & { readonly type: 'truth'; readonly read: (certificate: Certificate) => boolean }

/** Fields with any number of values; none where the certificate does not have the extension. */
export type SetField = Common & {
  readonly type: 'set'
  readonly words: words.Vocabulary
  readonly read: (certificate: Certificate) => readonly string[]
}

export type Field = ScalarField | TruthField | SetField

const hex = (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString('hex')
const ia5 = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1')

function text(
  name: string,
  about: string,
  vocabulary: words.Vocabulary,
  read: (certificate: Certificate) => string | undefined,
): Field {
  return { name, about, type: 'text', words: vocabulary, read }
}

function set(
  name: string,
  about: string,
  vocabulary: words.Vocabulary,
  read: (certificate: Certificate) => readonly string[],
): Field {
  return { name, about, type: 'set', words: vocabulary, read }
}

/** Attribute types by the names that RFC 4519 and RFC 5280 §4.1.2.4 give them. */
const attributes: Readonly<Record<string, string>> = {
  CN: '2.5.4.3',
  C: '2.5.4.6',
  O: '2.5.4.10',
  OU: '2.5.4.11',
  ST: '2.5.4.8',
  L: '2.5.4.7',
  emailAddress: '1.2.840.113549.1.9.1',
  DC: '0.9.2342.19200300.100.1.25',
  dnQualifier: '2.5.4.46',
  serialNumber: '2.5.4.5',
  SN: '2.5.4.4',
  title: '2.5.4.12',
  givenName: '2.5.4.42',
  initials: '2.5.4.43',
  pseudonym: '2.5.4.65',
  generationQualifier: '2.5.4.44',
}

function nameFields(which: 'issuer' | 'subject'): Field[] {
  return [
    text(which, 'the whole name as RFC 4514 writes it, last component first', words.anyText, (certificate) =>
      nameText(certificate[which]),
    ),
    ...Object.entries(attributes).map(([attribute, oid]) =>
      set(`${which}.${attribute}`, 'its attributes of this type', words.anyText, (certificate) =>
        attributeTextsOf(certificate[which], oid),
      ),
    ),
  ]
}

/** Names of a subjectAltName of one form, as they are written. */
const namesOf = (certificate: Certificate, form: GeneralName['form']) =>
  alternativeNames(certificate)
    .filter((name) => name.form === form)
    .map(({ value }) => ia5(value))

/** The forms that RFC 5280 §4.2.1.6 numbers, by the names that published policies use. */
const forms = 'otherName rfc822 dns x400Address directory ediParty uniformResourceIdentifier ipaddress registeredId'
const formNames = forms.split(' ')

function typedName({ form, number, value }: GeneralName): string {
  const kind = formNames[number] ?? number
  if (form === 'directory') return `${kind}:${nameText(value)}`
  return `${kind}:${form === 'ip' || form === 'other' ? hex(value) : ia5(value)}`
}

function usagesOf({ keyUsage = 0 }: Certificate): readonly string[] {
  return words.keyUsageNames.filter((_, bit) => keyUsage & (1 << bit))
}

/** RFC 5280 §4.2.1.4: PolicyInformation with its CPS qualifiers. */
function policiesOf(certificate: Certificate): { readonly oid: string; readonly urls: readonly string[] }[] {
  const value = extensionValue(certificate, oids.certificatePolicies)
  return (value ? asn1.sequence(value, 256) : []).map((entry) => {
    const [id, qualifiers] = asn1.sequence(entry, 2)
    const urls = (qualifiers ? asn1.sequence(qualifiers, 64) : []).flatMap((qualifier) => {
      const [type, content] = asn1.sequence(qualifier, 2)
      return asn1.oid(type) === '1.3.6.1.5.5.7.2.1' ? [ia5(asn1.content(asn1.expect(content, 0x16)))] : []
    })
    return { oid: asn1.oid(id), urls }
  })
}

/** A serial number as a number in hex; one with the sign bit is negative. */
function serialOf({ serial }: Certificate): string {
  const number = BigInt.asIntN(serial.length * 8, BigInt(`0x${hex(serial)}`))
  return number.toString(16)
}

const curves: Readonly<Record<string, { readonly oid: string; readonly bits: number }>> = {
  prime256v1: { oid: oids.p256, bits: 256 },
  secp384r1: { oid: oids.p384, bits: 384 },
  secp521r1: { oid: oids.p521, bits: 521 },
}

function curveOf(certificate: Certificate) {
  return curves[publicKeyOf(certificate)?.asymmetricKeyDetails?.namedCurve ?? '']
}

/** Every field of the language, in the order of a certificate. */
export const fields: readonly Field[] = [
  { name: 'version', about: '1, 2 or 3', type: 'number', read: ({ version }) => version },
  text('serialNumber', 'in hex', words.serialWords, serialOf),
  text('signatureAlgorithm', 'how the issuer signed', words.signatureWords, (one) => one.signatureAlgorithm.oid),
  text(
    'signatureAlgorithm.digest',
    'absent for algorithms unknown here',
    words.digestWords,
    (one) => schemeOf(one.signatureAlgorithm)?.digest,
  ),
  ...nameFields('issuer'),
  { name: 'validity.notBefore', about: 'a date', type: 'moment', read: ({ notBefore }) => notBefore },
  { name: 'validity.notAfter', about: 'a date', type: 'moment', read: ({ notAfter }) => notAfter },
  {
    name: 'validity.days',
    about: 'from notBefore to notAfter',
    type: 'number',
    read: ({ notBefore, notAfter }) => (notAfter - notBefore) / 86_400_000,
  },
  ...nameFields('subject'),
  text('subjectPublicKeyInfo.algorithm', 'what key it is', words.keyWords, (one) => one.publicKeyAlgorithm),
  {
    name: 'subjectPublicKeyInfo.size',
    about: 'bits of the modulus, or of the curve; absent for keys unknown here',
    type: 'number',
    read: (one) => publicKeyOf(one)?.asymmetricKeyDetails?.modulusLength ?? curveOf(one)?.bits,
  },
  text('subjectPublicKeyInfo.curve', 'absent for RSA', words.curveWords, (one) => curveOf(one)?.oid),
  set('extensions', 'all there are', words.extensionWords, (one) => one.extensions.map(({ oid }) => oid)),
  set('extensions.critical', 'those marked critical', words.extensionWords, (one) =>
    one.extensions.filter(({ critical }) => critical).map(({ oid }) => oid),
  ),
  set('keyUsage', 'what the key may do', words.keyUsageWords, usagesOf),
  set('extKeyUsage', 'what for', words.purposeWords, ({ extendedKeyUsage }) => extendedKeyUsage ?? []),
  set('subjectAltName', 'all names, as "rfc822:…", "dns:…", "directory:…"', words.foldedText, (one) =>
    alternativeNames(one).map(typedName),
  ),
  set('subjectAltName.rfc822Name', 'mailboxes', words.foldedText, (one) => namesOf(one, 'rfc822')),
  set('subjectAltName.dNSName', 'domains', words.foldedText, (one) => namesOf(one, 'dns')),
  set('subjectAltName.uniformResourceIdentifier', 'URIs', words.anyText, (one) => namesOf(one, 'uri')),
  {
    name: 'basicConstraints.cA',
    about: 'a certification authority; false where the extension is absent',
    type: 'truth',
    read: ({ basicConstraints }) => basicConstraints?.ca ?? false,
  },
  {
    name: 'basicConstraints.pathLenConstraint',
    about: 'absent where nothing is constrained',
    type: 'number',
    read: ({ basicConstraints }) => basicConstraints?.pathLength,
  },
  text('subjectKeyIdentifier', 'in hex', words.octetWords, (one) => hex(one.subjectKeyIdentifier)),
  text('authorityKeyIdentifier', 'its keyIdentifier, in hex', words.octetWords, (one) =>
    hex(one.authorityKeyIdentifier),
  ),
  set('certificatePolicies', 'policy OIDs', words.policyWords, (one) => policiesOf(one).map(({ oid }) => oid)),
  set('certificatePolicies.cPSuri', 'where practice statements are', words.anyText, (one) =>
    policiesOf(one).flatMap(({ urls }) => urls),
  ),
  set('cRLDistributionPoints', 'URLs of revocation lists', words.anyText, ({ crlUrls }) => crlUrls),
  set('authorityInfoAccess', 'all URLs, as "caIssuers:…" and "OCSP:…"', words.anyText, ({ caIssuers, ocspUrls }) => [
    ...caIssuers.map((url) => `caIssuers:${url}`),
    ...ocspUrls.map((url) => `OCSP:${url}`),
  ]),
  set('authorityInfoAccess.caIssuers', 'URLs of the issuer', words.anyText, ({ caIssuers }) => caIssuers),
  set('authorityInfoAccess.ocsp', 'URLs of OCSP responders', words.anyText, ({ ocspUrls }) => ocspUrls),
]

const byName = new Map(fields.map((field) => [field.name, field]))
const byFoldedName = new Map(fields.map((field) => [field.name.toLowerCase(), field.name]))

/** The field of this name, in exactly this spelling. */
export function fieldNamed(name: string): Field | undefined {
  return byName.get(name)
}

/** The name of a field that differs in case only, for the words of an error. */
export function likeName(name: string): string | undefined {
  return byFoldedName.get(name.toLowerCase())
}
