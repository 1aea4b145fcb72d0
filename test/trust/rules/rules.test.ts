import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { oids } from '../../../src/asn1/oids.js'
import { evaluate } from '../../../src/trust/rules/evaluate.js'
import { fields } from '../../../src/trust/rules/fields.js'
import { ruleLimits } from '../../../src/trust/rules/limits.js'
import { presets } from '../../../src/trust/rules/presets.js'
import { readRule } from '../../../src/trust/rules/read.js'
import { printRule, type Rule } from '../../../src/trust/rules/syntax.js'
import { makeLeaf } from '../../fixtures/pki.js'
import { authority, certificateOf, clinic, clinicOptions, leafOf, policies, root, saysOf } from './world.js'

const bare = leafOf({ keyUsage: false, keyType: 'p384', subjectKeyIdentifier: false, authorityKeyIdentifier: false })

describe('a rule', () => {
  it.each([
    'keyUsage has keyEncipherment and subjectPublicKeyInfo.size >= 2048',
    'certificatePolicies has any of (1.3.6.1.4.1.41179.2.1, 1.2.3)',
    'certificatePolicies has all of (1.3.6.1.4.1.41179.2.1, 1.3.6.1.4.1.41179.1.3)',
    'certificatePolicies count = 3 and certificatePolicies count of (1.3.6.1.4.1.41179.2.1, 1.2.3) = 1',
    'certificatePolicies.cPSuri = "https://clinic.test/cps"',
    'subject.O = "Clinic" and subject.OU has "South" and subject.OU has exactly ("South", "North")',
    'not subject.OU = "South"',
    'issuer.CN matches "^Rules"',
    'subjectAltName count = 1 and subjectAltName.rfc822Name has "doctor@clinic.test"',
    'subjectAltName matches "^rfc822:Doctor@" and subjectAltName has "RFC822:doctor@clinic.test"',
    'extKeyUsage has emailProtection and extKeyUsage has only (emailProtection, clientAuth)',
    'cRLDistributionPoints exists and cRLDistributionPoints all match "^http://"',
    'signatureAlgorithm = ecdsa-with-SHA256 or signatureAlgorithm = sha256WithRSAEncryption',
    'signatureAlgorithm.digest is one of (sha256, sha384)',
    'validity.days <= 1096 and validity.notAfter < 2029-01-01 and validity.notBefore = "2026-01-01T00:00:00Z"',
    'authorityInfoAccess.caIssuers matches "^http://" and authorityInfoAccess.ocsp is empty',
    'authorityInfoAccess has "caIssuers:http://aia.clinic.test/ca.cer"',
    'serialNumber = "00F7:4f" and version = 3',
    'not basicConstraints.cA and basicConstraints.cA = false and basicConstraints.cA != true',
    'authorityKeyIdentifier exists and authorityKeyIdentifier != subjectKeyIdentifier',
    'extensions has keyUsage and extensions.critical has only (keyUsage, basicConstraints, subjectAltName)',
    'keyUsage has any of (keyAgreement, digitalSignature) # and a comment',
    'version = 1 or version = 3 and version = 3',
    '(version = 1 or version = 3) and not (version = 2 or not version = 3)',
  ])('holds: %s', (text) => {
    expect(saysOf(text)).toBe('holds')
  })

  it('names the clause that does not hold, and only that', () => {
    expect(saysOf('version = 3 and (keyUsage has cRLSign or subject.O = "Else") and version > 0')).toBe(
      'does not hold: keyUsage has cRLSign or subject.O = "Else"',
    )
    expect(saysOf('version = 3 and not (version = 3 or version = 1)')).toBe(
      'does not hold: not (version = 3 or version = 1)',
    )
  })

  it('binds not before and, and before or', () => {
    expect(saysOf('version = 3 or version = 3 and version = 1')).toBe('holds')
    expect(saysOf('(version = 3 or version = 3) and version = 1')).toBe('does not hold: version = 1')
    expect(saysOf('not version = 3 or version = 3')).toBe('holds')
  })

  it('cannot be evaluated where a value is absent, unless another part decides', () => {
    const cannot = 'cannot be evaluated: subjectKeyIdentifier: the certificate has no subjectKeyIdentifier'
    expect(saysOf('subjectKeyIdentifier = "aa"', bare)).toBe(cannot)
    expect(saysOf('subjectKeyIdentifier != "aa"', bare)).toBe(cannot)
    expect(saysOf('not subjectKeyIdentifier = "aa"', bare)).toBe(cannot)
    expect(saysOf('subjectKeyIdentifier matches "a" and version = 3', bare)).toBe(cannot)
    expect(saysOf('subjectKeyIdentifier = "aa" or version = 3', bare)).toBe('holds')
    expect(saysOf('subjectKeyIdentifier = "aa" and version = 1', bare)).toBe('does not hold: version = 1')
    expect(saysOf('not subjectKeyIdentifier exists or subjectKeyIdentifier = "aa"', bare)).toBe('holds')
    expect(saysOf('basicConstraints.pathLenConstraint < 3', bare)).toContain('cannot')
  })

  it('takes sets for empty where they are absent', () => {
    expect(saysOf('keyUsage is empty and not keyUsage exists and keyUsage count = 0', bare)).toBe('holds')
    expect(saysOf('keyUsage has digitalSignature', bare)).toBe('does not hold: keyUsage has digitalSignature')
    expect(saysOf('subjectPublicKeyInfo.size = 384 and subjectPublicKeyInfo.curve = P-384', bare)).toBe('holds')
    expect(saysOf('basicConstraints.cA and keyUsage has keyCertSign', authority)).toBe('holds')
  })

  it('cannot be evaluated on an extension that is damaged', () => {
    const damaged = leafOf({ extensions: [{ oid: oids.certificatePolicies, value: Uint8Array.of(0x30, 2, 5, 0) }] })
    expect(saysOf('certificatePolicies is empty', damaged)).toMatch(
      /^cannot be evaluated: certificatePolicies: unreadable/,
    )
    expect(saysOf('not certificatePolicies has anyPolicy', damaged)).toContain('cannot')
  })

  it.each([
    ['', '1:1 expected a field, not, or (, found the end of the rule'],
    ['keyusage has cRLSign', '1:1 no field keyusage; keyUsage is one'],
    ['version = 3\nand colour = 3', '2:5 no field colour'],
    ['version = three', '1:11 expected a number, found "three"'],
    ['version = 3 version = 3', '1:13 expected and, or, or the end of the rule, found "version"'],
    ['(version = 3', '1:13 expected ), found the end of the rule'],
    ['keyUsage has signing', '1:14 expected one of digitalSignature'],
    ['keyUsage = 160', '1:12 expected one of digitalSignature'],
    ['keyUsage != cRLSign', '1:10 keyUsage has many values'],
    ['subject.O has Clinic', '1:15 expected a text in quotes, found "Clinic"'],
    ['subject.O has any of ()', '1:23 expected a text in quotes'],
    ['serialNumber > "a"', '1:14 serialNumber has no order'],
    ['version matches "3"', '1:9 version is no text to match'],
    ['subject.O matches "a{2"', '1:19 the pattern has { begins a repetition'],
    ['subject.O matches "(a)\\1"', '1:19 the pattern has \\1 is not known here'],
    ['subject.O matches "(?=a)"', '1:19 the pattern has only (?:'],
    ['subject.O = "Clinic', '1:13 a text in quotes that does not end'],
    ['subject.O = "a\u0000"', '1:15 a control character in a text'],
    ['version = 3 & version = 3', '1:13 "&" means nothing here'],
    ['validity.notAfter < tomorrow', '1:21 expected a date such as 2026-12-31'],
    ['validity.notAfter < 2026-13-01', '1:21 expected a date'],
    ['signatureAlgorithm = serialNumber and version = subject', '1:49 expected a field of the same type as version'],
    [`${'('.repeat(100)}version = 3${')'.repeat(100)}`, '1:34 nested more than 32 levels deep'],
    [`${'not '.repeat(100)}version = 3`, '1:133 nested more than 32 levels deep'],
    [Array(250).fill('version=3').join(' or '), '1:2601 more than 200 clauses'],
    [
      `certificatePolicies has any of (${Array.from({ length: 101 }, (_, i) => `1.2.${i}`).join(',')})`,
      'at most 100 values',
    ],
    ['#'.repeat(5000), '1:1 a rule has at most 4000 characters'],
  ])('is refused with its place: %s', (text, words) => {
    expect(saysOf(text)).toContain(words)
  })

  it('means itself after printing, whatever it is', () => {
    fc.assert(
      fc.property(anyRule(4), (made) => {
        const text = printRule(made)
        const read = readRule(text, { ...ruleLimits, nodes: 10_000, characters: 100_000 })
        if (read.kind === 'unreadable') throw new Error(`${text}: ${read.line}:${read.column} ${read.detail}`)
        expect(read.text).toBe(text)
        expect(read.rule).toEqual(made)
        for (const certificate of [clinic, bare])
          expect(evaluate(read.rule, certificate)).toEqual(evaluate(made, certificate))
      }),
      { numRuns: 1_000 },
    )
  })

  it('answers for any text, and for a damaged certificate, without throwing', () => {
    const words = ['and', 'or', 'not', '(', ')', 'has', 'any of', '"a"', '3', '=', ',', '1.2.3', '\ufeff', '\n', '"[a-']
    const piece = fc.oneof(
      fc.constantFrom(...words, ...fields.map(({ name }) => name)),
      fc.string({ unit: 'binary', maxLength: 6 }),
    )
    const der = makeLeaf(root, clinicOptions).certificate
    const questions = fields
      .map(({ name }) => readRule(`${name} exists`))
      .flatMap((read) => (read.kind === 'rule' ? [read.rule] : []))
    expect(questions.length).toBe(fields.length)
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 20 }), fc.nat(der.length - 1), fc.nat(255), (pieces, at, byte) => {
        readRule(pieces.join(' '))
        const changed = Uint8Array.from(der)
        changed[at] = byte
        try {
          for (const question of questions) evaluate(question, certificateOf(changed))
        } catch (error) {
          // What is no certificate is refused before any rule is asked.
          if (certificateIs(changed)) throw error
        }
      }),
      { numRuns: 1_500 },
    )
  })
})

function certificateIs(der: Uint8Array): boolean {
  try {
    certificateOf(der)
    return true
  } catch {
    return false
  }
}

describe('a preset', () => {
  const textOf = (name: string) => presets.find((one) => one.name === name)?.rules[0]?.text ?? ''

  it('is readable, each', () => {
    for (const { text } of presets.flatMap(({ rules }) => rules)) expect(readRule(text)).toMatchObject({ kind: 'rule' })
  })

  it.each([
    ['a smaller key', { keyType: 'rsa1024' }, 'subjectPublicKeyInfo.size >= 2048'],
    ['a key on a curve', { keyType: 'p256' }, 'subjectPublicKeyInfo.algorithm = rsaEncryption'],
    ['two names', { san: { email: ['a@clinic.test'], dns: ['clinic.test'] } }, 'subjectAltName count = 1'],
    ['a wildcard', { san: { dns: ['*.clinic.test'] } }, 'not subjectAltName matches "[*]"'],
    ['no purpose', { eku: ['1.3.6.1.5.5.7.3.1'] }, 'extKeyUsage has emailProtection'],
    ['lists by LDAP', { crlUrls: ['ldap://clinic.test/a'] }, 'cRLDistributionPoints matches'],
    ['no issuer to fetch', { caIssuers: [] }, 'authorityInfoAccess.caIssuers matches'],
    ['policies of others', { extensions: [policies(['1.3.6.1.4.1.411790.1'])] }, 'certificatePolicies matches'],
  ] as const)('direct-trust lets a certificate of the profile pass, and not one with %s', (_, change, clause) => {
    expect(saysOf(textOf('direct-trust'))).toBe('holds')
    expect(saysOf(textOf('direct-trust'), leafOf({ ...clinicOptions, ...change }))).toContain(
      `does not hold: ${clause}`,
    )
  })
})

/** Rules as the reader makes them: joined ones are of two or more, and never of their own kind. */
function anyRule(depth: number): fc.Arbitrary<Rule> {
  if (depth === 0) return anyClause
  const inner = anyRule(depth - 1)
  const joined = (kind: 'and' | 'or') =>
    fc
      .array(
        inner.filter((part) => part.kind !== kind),
        { minLength: 2, maxLength: 3 },
      )
      .map((parts): Rule => ({ kind, parts }))
  return fc.oneof(
    anyClause,
    inner.map((part): Rule => ({ kind: 'not', part })),
    joined('and'),
    joined('or'),
  )
}

const texts = fc.oneof(
  fc.constantFrom('"', '\\', '\\"', 'a', '#', 'é', ' '),
  fc.string({ unit: 'grapheme-ascii', maxLength: 8 }),
)
const oid = fc
  .array(fc.nat(9999), { minLength: 1, maxLength: 4 })
  .map((arcs) => `1.${arcs.map((arc, i) => (i === 0 ? arc % 40 : arc)).join('.')}`)
const by = fc.constantFrom('=', '!=', '<', '<=', '>', '>=')
const value = (text: string) => `"${text.replace(/[\\"]/g, '\\$&')}"`
const list = (values: fc.Arbitrary<string>) =>
  fc.array(values, { minLength: 1, maxLength: 3 }).map((some) => `(${some.join(', ')})`)
const usage = fc.constantFrom('digitalSignature', 'keyEncipherment', 'cRLSign', 'nonRepudiation')

const anyClause: fc.Arbitrary<Rule> = fc
  .oneof(
    fc.constantFrom(...fields).map(({ name }) => `${name} exists`),
    fc.constantFrom(...fields.filter(({ type }) => type === 'set')).map(({ name }) => `${name} is empty`),
    fc.constant('basicConstraints.cA'),
    fc.tuple(by, fc.nat(5000)).map(([one, number]) => `subjectPublicKeyInfo.size ${one} ${number}`),
    fc
      .tuple(by, fc.date({ min: new Date(0), max: new Date('2100-01-01'), noInvalidDate: true }))
      .map(([one, date]) => `validity.notAfter ${one} "${date.toISOString()}"`),
    fc
      .tuple(fc.constantFrom('has any of', 'has all of', 'has only', 'has exactly', 'has', '='), list(usage), usage)
      .map(([how, some, one]) => `keyUsage ${how} ${how === 'has' || how === '=' ? one : some}`),
    fc
      .tuple(fc.constantFrom('any of', 'exactly'), list(oid))
      .map(([how, some]) => `certificatePolicies has ${how} ${some}`),
    fc
      .tuple(list(texts.map(value)), by, fc.nat(9))
      .map(([some, one, number]) => `subject.OU count of ${some} ${one} ${number}`),
    texts.map((text) => `subject.O = ${value(text)}`),
    texts.map(
      (text) => `subject.CN ${text.length % 2 ? 'matches' : 'all match'} ${value(text.replace(/[^a-z]/g, '.'))}`,
    ),
    fc.constantFrom(
      'signatureAlgorithm = sha256WithRSAEncryption',
      'signatureAlgorithm is one of (1.2.3, ecdsa-with-SHA256)',
    ),
    fc.constant('subject.CN has any of subjectAltName.rfc822Name'),
  )
  .map((text) => {
    const read = readRule(text)
    if (read.kind === 'unreadable') throw new Error(`${text}: ${read.detail}`)
    return read.rule
  })
