import { oids } from '../../asn1/oids.js'

/** How values of a field are written, compared and printed. */
export interface Vocabulary {
  /** The form that is compared, of a word or a quoted text; undefined for what no certificate can have there. */
  read(text: string): string | undefined
  /** The spelling of such a form in a rule, without quotes where it is a `word`. */
  spell(value: string): string
  /** Whether values are written without quotes. */
  readonly isWord: boolean
  /** What belongs there, for the words of an error. */
  readonly expected: string
}

const dotted = /^(?:[01]\.(?:[0-9]|[1-3][0-9])|2\.(?:0|[1-9][0-9]{0,14}))(?:\.(?:0|[1-9][0-9]{0,38}))*$/

/** Whether a text is an object identifier in dotted form. */
export function isOid(text: string): boolean {
  return dotted.test(text)
}

function named(names: Readonly<Record<string, string>>, expected: string): Vocabulary {
  const byName = new Map(Object.entries(names).map(([name, oid]) => [name.toLowerCase(), oid]))
  const byOid = new Map(Object.entries(names).map(([name, oid]) => [oid, name]))
  return {
    read: (text) => byName.get(text.toLowerCase()) ?? (isOid(text) ? text : undefined),
    spell: (value) => byOid.get(value) ?? value,
    isWord: true,
    expected,
  }
}

function oneOf(names: readonly string[], expected: string): Vocabulary {
  const byName = new Map(names.map((name) => [name.toLowerCase(), name]))
  return { read: (text) => byName.get(text.toLowerCase()), spell: (value) => value, isWord: true, expected }
}

/** Texts that are compared as they are. */
export const anyText: Vocabulary = {
  read: (text) => text,
  spell: (value) => value,
  isWord: false,
  expected: 'a text in quotes',
}

/** Texts of which case says nothing: names of mailboxes and of hosts, as everywhere in the gateway. */
export const foldedText: Vocabulary = { ...anyText, read: (text) => text.toLowerCase() }

/** Bits of keyUsage in the order of RFC 5280 §4.2.1.3. */
export const keyUsageNames = [
  'digitalSignature',
  'nonRepudiation',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
  'encipherOnly',
  'decipherOnly',
] as const

export const keyUsageWords = oneOf(keyUsageNames, `one of ${keyUsageNames.join(', ')}`)

export const purposeWords = named(
  {
    emailProtection: oids.emailProtection,
    anyExtendedKeyUsage: oids.anyExtendedKeyUsage,
    serverAuth: '1.3.6.1.5.5.7.3.1',
    clientAuth: '1.3.6.1.5.5.7.3.2',
    codeSigning: '1.3.6.1.5.5.7.3.3',
    timeStamping: '1.3.6.1.5.5.7.3.8',
    OCSPSigning: oids.ocspSigning,
  },
  'a purpose such as emailProtection, or an OID',
)

/** Names of RFC 3279, RFC 4055, RFC 5758. */
export const signatureWords = named(
  {
    md5WithRSAEncryption: oids.md5WithRsa,
    sha1WithRSAEncryption: oids.sha1WithRsa,
    sha224WithRSAEncryption: oids.sha224WithRsa,
    sha256WithRSAEncryption: oids.sha256WithRsa,
    sha384WithRSAEncryption: oids.sha384WithRsa,
    sha512WithRSAEncryption: oids.sha512WithRsa,
    'id-RSASSA-PSS': oids.rsassaPss,
    'ecdsa-with-SHA1': oids.ecdsaWithSha1,
    'ecdsa-with-SHA224': oids.ecdsaWithSha224,
    'ecdsa-with-SHA256': oids.ecdsaWithSha256,
    'ecdsa-with-SHA384': oids.ecdsaWithSha384,
    'ecdsa-with-SHA512': oids.ecdsaWithSha512,
  },
  'a signature algorithm such as sha256WithRSAEncryption, or an OID',
)

export const keyWords = named(
  { rsaEncryption: oids.rsaEncryption, 'id-RSASSA-PSS': oids.rsassaPss, 'id-ecPublicKey': oids.ecPublicKey },
  'a key algorithm such as rsaEncryption, or an OID',
)

export const curveWords = named({ 'P-256': oids.p256, 'P-384': oids.p384, 'P-521': oids.p521 }, 'a curve such as P-256')

export const digestWords = oneOf(['md5', 'sha1', 'sha224', 'sha256', 'sha384', 'sha512'], 'a digest such as sha256')

export const extensionWords = named(
  {
    subjectKeyIdentifier: oids.subjectKeyIdentifier,
    keyUsage: oids.keyUsage,
    subjectAltName: oids.subjectAltName,
    issuerAltName: oids.issuerAltName,
    basicConstraints: oids.basicConstraints,
    nameConstraints: oids.nameConstraints,
    cRLDistributionPoints: oids.crlDistributionPoints,
    certificatePolicies: oids.certificatePolicies,
    policyMappings: oids.policyMappings,
    authorityKeyIdentifier: oids.authorityKeyIdentifier,
    policyConstraints: oids.policyConstraints,
    extKeyUsage: oids.extendedKeyUsage,
    freshestCRL: oids.freshestCrl,
    inhibitAnyPolicy: oids.inhibitAnyPolicy,
    authorityInfoAccess: oids.authorityInfoAccess,
  },
  'an extension such as keyUsage, or an OID',
)

export const policyWords: Vocabulary = named({ anyPolicy: '2.5.29.32.0' }, 'an OID')

/** Octets in hex, with or without colons. */
export const octetWords: Vocabulary = {
  read(text) {
    const digits = text.replace(/[: ]/g, '').toLowerCase()
    return /^(?:[0-9a-f]{2})+$/.test(digits) ? digits : undefined
  },
  spell: (value) => value,
  isWord: false,
  expected: 'octets in hex, in quotes',
}

/** A serial number in hex: a number, so that zeros in front say nothing. */
export const serialWords: Vocabulary = {
  read(text) {
    const match = /^(-?)0*([0-9a-f]+)$/.exec(text.replace(/[: ]/g, '').toLowerCase())
    return match ? `${match[1]}${match[2]}` : undefined
  },
  spell: (value) => value,
  isWord: false,
  expected: 'a serial number in hex, in quotes',
}
