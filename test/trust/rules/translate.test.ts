import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { oids } from '../../../src/asn1/oids.js'
import { evaluate } from '../../../src/trust/rules/evaluate.js'
import { readRule } from '../../../src/trust/rules/read.js'
import { translateLexicon } from '../../../src/trust/rules/translate.js'
import type { Certificate } from '../../../src/x509/certificate.js'
import { complies, type EngineFields } from './engine.js'
import { authority, clinic, clinicOptions, directTrust, leafOf, policies } from './world.js'

const extension = 'X509.TBS.EXTENSION.'
const usage = `${extension}KeyUsage`
const oidsField = `${extension}CertificatePolicies.PolicyOIDs`
const size = 'X509.TBS.SubjectPublicKeyInfo.Size'

/** Certificates, and what the engine of the reference implementation reads from them, written down by hand. */
const pairs: readonly { readonly certificate: Certificate; readonly fields: EngineFields }[] = [
  pair(clinic, 160, 2048, directTrust, ['http://crl.clinic.test/ca.crl'], ['Clinic'], 'f74f'),
  pair(
    leafOf({
      ...clinicOptions,
      keyUsage: ['digitalSignature', 'nonRepudiation'],
      crlUrls: [],
      serial: Uint8Array.of(9),
      extensions: [policies(['1.3.6.1.4.1.41179.1.2', '1.3.6.1.4.1.41179.2.4'])],
    }),
    ...([192, 2048, ['1.3.6.1.4.1.41179.1.2', '1.3.6.1.4.1.41179.2.4'], [], ['Clinic'], '9'] as const),
  ),
  pair(
    leafOf({ ...clinicOptions, keyUsage: ['keyEncipherment'], extensions: [] }),
    32,
    2048,
    [],
    ['http://crl.clinic.test/ca.crl'],
    ['Clinic'],
    'f74f',
  ),
  pair(
    leafOf({
      ...clinicOptions,
      keyType: 'p256',
      keyUsage: false,
      serial: Uint8Array.of(9),
      subjectKeyIdentifier: false,
    }),
    undefined,
    256,
    directTrust,
    ['http://crl.clinic.test/ca.crl'],
    ['Clinic'],
    '9',
    false,
  ),
]

function pair(
  certificate: Certificate,
  bits: number | undefined,
  keySize: number,
  list: readonly string[],
  crl: readonly string[],
  organisation: readonly string[],
  serial: string,
  ski = true,
) {
  const hex = (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString('hex')
  const fields: EngineFields = new Map<string, never>([
    ['X509.Algorithm', certificate.signatureAlgorithm.oid],
    ['X509.TBS.SerialNumber', serial],
    ['X509.TBS.Subject.O', organisation],
    ['X509.TBS.Subject.OU', ['North', 'South']],
    ['X509.TBS.Subject.DC', []],
    [size, keySize],
    [usage, bits],
    [oidsField, list],
    [`${extension}CertificatePolicies.CPSUrls`, list === directTrust ? ['https://clinic.test/cps'] : []],
    [`${extension}CRLDistributionPoints.FullName`, crl],
    [`${extension}ExtKeyUsageSyntax`, [oids.emailProtection]],
    [`${extension}SubjectAltName`, ['rfc822:Doctor@Clinic.test']],
    [`${extension}AuthorityInfoAccessSyntax.Url`, ['caIssuers:http://aia.clinic.test/ca.cer']],
    [`${extension}BasicConstraints.CA`, false],
    [`${extension}SubjectKeyIdentifier`, ski ? hex(certificate.subjectKeyIdentifier) : undefined],
  ] as never)
  return { certificate, fields }
}

function judged(policy: string): {
  readonly text: string
  readonly ours: readonly boolean[]
  readonly theirs: readonly boolean[]
} {
  const translated = translateLexicon(policy)
  if (translated.kind === 'unreadable')
    throw new Error(`${policy}: ${translated.line}:${translated.column} ${translated.detail}`)
  const read = readRule(translated.text)
  if (read.kind === 'unreadable') throw new Error(translated.text)
  return {
    text: translated.text,
    ours: pairs.map(({ certificate }) => evaluate(read.rule, certificate).kind === 'holds'),
    theirs: pairs.map(({ fields }) => {
      try {
        return complies(policy, fields)
      } catch (error) {
        if ((error as Error).message === 'PolicyRequiredException') return false
        throw error
      }
    }),
  }
}

/** As it is published: marks inside the OIDs, and no precedence. */
const interop = `((${usage} & 32) > 0) || ((${usage} & 128) > 0) && (${size} > 2047) && ((${oidsField} {?} 1.3.6.1.4.1.\ufeff41179.2.1) || (${oidsField} {?} 1.3.6.1.4.1.41179.2.2) || (${oidsField} {?} 1.3.6.1.4.1.41179.2.3) || (${oidsField} {?} 1.3.6.1.4.1.41179.2.4)) && ((${oidsField} {?} 1.3.6.1.4.1.41179.1.1) || (${oidsField} {?} 1.3.6.1.4.1.41179.1.2) || (${oidsField} {?} 1.3.6.1.4.1.\ufeff41179.1.3) || (${oidsField} {?} 1.3.6.1.4.1.41179.1.4))`

describe('a policy of the reference implementation', () => {
  it.each([
    [`(${usage} & 128) > 0`, [true, true, false, false]],
    [`(${usage} & 32) > 0`, [true, false, true, false]],
    [`${usage} & 32 > 0`, [true, false, true, false]],
    [`0 < (${usage} & 32)`, [true, false, true, false]],
    [`((${usage} & 32) > 0) && ((${usage} & 128) = 0)`, [false, false, true, false]],
    [`(${usage} & 160) = 160`, [true, false, false, false]],
    [`${usage} = 160`, [true, false, false, false]],
    [`${usage} != 160`, [false, true, true, true]],
    [`${usage} > 100`, [true, true, false, false]],
    [`(${usage} | 64) < 100`, [false, false, true, true]],
    [`${usage}+ < 200`, [true, true, true, false]],
    [interop, [true, true, false, false]],
    [`${oidsField} {?} 1.3.6.1.4.1.41179.0.1.2`, [true, false, false, true]],
    [`${oidsField} {?}! 1.3.6.1.4.1.41179.0.1.2`, [false, true, true, false]],
    [`(^(${oidsField} {}& 1.3.6.1.4.1.41179.0.1.2,1.3.6.1.4.1.41179.1.3)) > 1`, [true, false, false, true]],
    [`^(${oidsField} {}& 1.3.6.1.4.1.41179.0.1.2,12345) = 1`, [true, false, false, true]],
    [`^${oidsField} = 2`, [false, true, false, false]],
    [`{}${oidsField}`, [false, false, true, false]],
    [`{}!${extension}CRLDistributionPoints.FullName`, [true, false, true, true]],
    [`${extension}CRLDistributionPoints.FullName+ {}$ "^http"`, [true, false, true, true]],
    [`${extension}ExtKeyUsageSyntax {?} 1.3.6.1.5.5.7.3.4`, [true, true, true, true]],
    [`${extension}SubjectAltName {?} rfc822:Doctor@Clinic.test`, [true, true, true, true]],
    [`${extension}SubjectAltName {}$ Doctor@`, [true, true, true, true]],
    [`${extension}AuthorityInfoAccessSyntax.Url {?} caIssuers:http://aia.clinic.test/ca.cer`, [true, true, true, true]],
    [`${extension}BasicConstraints.CA = false`, [true, true, true, true]],
    [`X509.TBS.SerialNumber = f74f`, [true, false, true, false]],
    [`X509.TBS.SerialNumber $ "^f(7|8)"`, [true, false, true, false]],
    [`(X509.TBS.Subject.OU {?} South) && (X509.TBS.Subject.O {?} "Clinic")`, [true, true, true, true]],
    [`X509.TBS.Subject.DC+ {?}! x`, [false, false, false, false]],
    [`${extension}SubjectKeyIdentifier != 00`, [true, true, true, true]],
    [`! (${extension}SubjectKeyIdentifier = 00)`, [true, true, true, true]],
    [`X509.Algorithm = 1.2.840.10045.4.3.2`, [true, true, true, true]],
    [`${size} > 2047 || (${size} = 256)`, [true, true, true, true]],
  ])('lets the same certificates pass: %s', (policy, expected) => {
    const { ours, theirs } = judged(policy)
    expect(theirs).toEqual(expected)
    expect(ours).toEqual(expected)
  })

  it('is written as one would write it', () => {
    expect(judged(`(${usage} & 32) > 0`).text).toBe('keyUsage has keyEncipherment')
    expect(judged(`${usage} = 160`).text).toBe(
      'keyUsage has all of (digitalSignature, keyEncipherment) and not keyUsage has any of (decipherOnly, nonRepudiation, dataEncipherment, keyAgreement, keyCertSign, cRLSign, encipherOnly)',
    )
    const translated = translateLexicon(interop)
    expect(translated).toMatchObject({ notes: ['invisible marks (U+FEFF) inside the policy were left out'] })
    expect(judged(interop).text).toBe(
      '(keyUsage has keyEncipherment or keyUsage has digitalSignature) and subjectPublicKeyInfo.size > 2047 and (certificatePolicies has 1.3.6.1.4.1.41179.2.1 or certificatePolicies has 1.3.6.1.4.1.41179.2.2 or certificatePolicies has 1.3.6.1.4.1.41179.2.3 or certificatePolicies has 1.3.6.1.4.1.41179.2.4) and (certificatePolicies has 1.3.6.1.4.1.41179.1.1 or certificatePolicies has 1.3.6.1.4.1.41179.1.2 or certificatePolicies has 1.3.6.1.4.1.41179.1.3 or certificatePolicies has 1.3.6.1.4.1.41179.1.4)',
    )
  })

  it('catches a translation that is wrong: with precedence, the published policy lets others pass', () => {
    const wrong = readRule(
      `keyUsage has keyEncipherment or keyUsage has digitalSignature and certificatePolicies has 1.2.3`,
    )
    if (wrong.kind === 'unreadable') throw new Error(wrong.detail)
    const theirs = pairs.map(({ fields }) =>
      complies(`((${usage} & 32) > 0) || ((${usage} & 128) > 0) && (${oidsField} {?} 1.2.3)`, fields),
    )
    expect(pairs.map(({ certificate }) => evaluate(wrong.rule, certificate).kind === 'holds')).not.toEqual(theirs)
  })

  it('lets the same certificates pass, however it is composed', () => {
    const number = fc.constantFrom('0', '32', '64', '128', '160', '192', '224', '300')
    const clause = fc.oneof(
      fc
        .tuple(fc.constantFrom('&', '|'), number, fc.constantFrom('=', '!=', '<', '>'), number)
        .map(([bit, mask, by, n]) => `((${usage} ${bit} ${mask}) ${by} ${n})`),
      fc.tuple(fc.constantFrom('=', '!=', '<', '>'), number).map(([by, n]) => `(${usage} ${by} ${n})`),
      fc
        .tuple(fc.constantFrom('{?}', '{?}!'), fc.constantFrom(...directTrust))
        .map(([by, oid]) => `(${oidsField} ${by} ${oid})`),
      fc
        .tuple(fc.constantFrom('=', '<', '>', '!='), fc.nat(3))
        .map(([by, n]) => `(^(${oidsField} {}& ${directTrust.join(',')}) ${by} ${n})`),
      fc.constantFrom(
        `({}${extension}CRLDistributionPoints.FullName+)`,
        `(${size} > 1024)`,
        '(true)',
        `(${extension}SubjectKeyIdentifier = 00)`,
        `(${extension}SubjectKeyIdentifier+ != 00)`,
      ),
    )
    const policy = fc
      .array(fc.tuple(fc.constantFrom('&&', '||'), fc.constantFrom('', '!'), clause), { minLength: 1, maxLength: 5 })
      .map((parts) => parts.map(([join, not, text], i) => `${i === 0 ? '' : ` ${join} `}${not}${text}`).join(''))
    let translated = 0
    fc.assert(
      fc.property(policy, (text) => {
        const found = translateLexicon(text)
        if (found.kind === 'unreadable') {
          expect(found.detail).toMatch(/holds, whatever the certificate|too large/)
          return
        }
        translated++
        const { ours, theirs } = judged(text)
        expect([text, ours]).toEqual([text, theirs])
      }),
      { numRuns: 1_500 },
    )
    expect(translated).toBeGreaterThan(1_000)
  })

  it.each([
    [`${usage} & 32`, '1:29 this is neither true nor false'],
    [`(${usage} & 32`, '1:1 a ( that is not closed'],
    [`${usage} & 32) > 0`, '1:33 a ) too many'],
    [`${usage} &`, 'expected an operand'],
    ['&& true', '1:1 && needs an operand to its left'],
    ['X509.TBS.Version = 3', '1:1 X509.TBS.Version is no field that policies can use'],
    ['X509.TBS.Subject.O = Clinic', 'never compares a collection'],
    [`@@ ${extension}CRLDistributionPoints.FullName`, '1:1 @@ fetches a URL'],
    [`${size} > many`, '"many" is no number'],
    [`${usage} {?} 32`, '{?} looks into a collection'],
    [`${oidsField} {}$ (?=1)`, '{}$ takes a pattern that is written down'],
    [`${oidsField} {}$ "(?=1)"`, 'the pattern has only'],
    ['true', 'the policy always holds'],
    [`(${usage} & 32) > 40`, 'the policy never holds'],
    ['', '1:1 expected an expression'],
  ])('is refused with its place: %s', (policy, words) => {
    const found = translateLexicon(policy)
    expect(found.kind === 'unreadable' && `${found.line}:${found.column} ${found.detail}`).toContain(words)
  })

  it('answers for any text without throwing', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        '(',
        ')',
        '{?}',
        '{}',
        '{}&',
        '{}$',
        '^',
        '!',
        '=',
        '&',
        '|',
        '&&',
        '"',
        '\ufeff',
        '32',
        usage,
        oidsField,
        size,
        `${usage}+`,
        'X509.',
      ),
      fc.string({ maxLength: 4 }),
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 15 }), (pieces) => {
        expect(['rule', 'unreadable']).toContain(translateLexicon(pieces.join(' ')).kind)
      }),
      { numRuns: 3_000 },
    )
    expect(translateLexicon('('.repeat(3_999)).kind).toBe('unreadable')
    expect(translateLexicon('!'.repeat(3_999)).kind).toBe('unreadable')
    expect(authority.kind).toBe('certificate')
  })
})
