import type { RuleDirection, RuleUse } from '../../direct/rule.js'

/** Rules that need not be written anew. */
export interface Preset {
  readonly name: string
  readonly about: string
  readonly rules: readonly PresetRule[]
}

export interface PresetRule {
  readonly name: string
  readonly use: RuleUse
  readonly direction: RuleDirection
  /** Written for reading; the canonical spelling is made of it. */
  readonly text: string
}

/** An RSA key encrypts by keyEncipherment, one on a curve by keyAgreement (RFC 5753 §7). */
const mayEncrypt = 'keyUsage has any of (keyEncipherment, keyAgreement)'

/**
 * `direct-trust`: what the certificate profile of DirectTrust (version 1.4) asks of end-entity certificates.
 * `direct-trust-interop`: the smaller policy for interoperability that the reference implementation ships: a category and
 * a level of assurance among the policy OIDs.
 * `single-use-keys`: separate certificates to sign and to encrypt, as ANSI/DS 2019-01-100-2021 §1.4 has them.
 */
export const presets: readonly Preset[] = [
  {
    name: 'direct-trust',
    about: 'end-entity certificates as the DirectTrust certificate profile 1.4 has them',
    rules: [
      {
        name: 'direct-trust',
        use: 'trust',
        direction: 'both',
        text: `
version = 3 and not basicConstraints.cA
and subjectPublicKeyInfo.algorithm = rsaEncryption and subjectPublicKeyInfo.size >= 2048
and signatureAlgorithm.digest is one of (sha256, sha384, sha512)
# Exactly one name, of one address or one domain.
and subjectAltName count = 1
and (subjectAltName.rfc822Name exists or subjectAltName.dNSName exists)
and not subjectAltName matches "[*]"
and keyUsage has any of (digitalSignature, keyEncipherment) and extensions.critical has keyUsage
and extKeyUsage has emailProtection
and cRLDistributionPoints matches "(?i)^http://"
and authorityInfoAccess.caIssuers matches "(?i)^http://"
and certificatePolicies matches "^1[.]3[.]6[.]1[.]4[.]1[.]41179[.]"`,
      },
    ],
  },
  {
    name: 'direct-trust-interop',
    about: 'key usage, key size, and DirectTrust policy OIDs for category and level of assurance',
    rules: [
      {
        name: 'direct-trust-interop',
        use: 'trust',
        direction: 'both',
        text: `
keyUsage has any of (digitalSignature, keyEncipherment) and subjectPublicKeyInfo.size >= 2048
and certificatePolicies has any of (1.3.6.1.4.1.41179.2.1, 1.3.6.1.4.1.41179.2.2, 1.3.6.1.4.1.41179.2.3, 1.3.6.1.4.1.41179.2.4)
and certificatePolicies has any of (1.3.6.1.4.1.41179.1.1, 1.3.6.1.4.1.41179.1.2, 1.3.6.1.4.1.41179.1.3, 1.3.6.1.4.1.41179.1.4)`,
      },
    ],
  },
  {
    name: 'single-use-keys',
    about: 'one certificate to sign, another to encrypt: each used for its own only',
    rules: [
      { name: 'single-use-sign', use: 'private', direction: 'out', text: 'keyUsage has digitalSignature' },
      { name: 'single-use-decrypt', use: 'private', direction: 'in', text: mayEncrypt },
      { name: 'single-use-encrypt', use: 'public', direction: 'out', text: mayEncrypt },
    ],
  },
]
