import { describe, expect, it } from 'vitest'
import { oids } from '../../src/asn1/oids.js'
import { nullValue, sequenceOf } from '../../src/asn1/writer.js'
import { judgeCertificate, readCertificates } from '../../src/trust/judge.js'
import { anchorSet, newPathBudget } from '../../src/trust/path.js'
import { defaultTrustPolicy } from '../../src/trust/policy.js'
import {
  dayMs,
  generalName,
  type Identity,
  makeAuthority,
  makeIntermediate,
  makeKey,
  makeLeaf,
  nameConstraints,
  nameOf,
} from '../fixtures/pki.js'
import { decide, portsOf, wordOf } from './world.js'

const now = Date.now()
const past = { notBefore: now - 20 * dayMs, notAfter: now - 10 * dayMs }
const future = { notBefore: now + 10 * dayMs, notAfter: now + 20 * dayMs }
const san = { dns: ['hisp.test'] }
const ec = { keyType: 'p256' as const, san }

/** The verdict on a leaf with these anchors and this bag. */
const judged = (leaf: Identity, anchors: readonly Identity[], bag: readonly Identity[] = [], more = {}) =>
  wordOf(decide([leaf], portsOf({ anchors }), { bag, ...more }))

describe('key identifiers', () => {
  const root = makeAuthority()
  it('do not make a stranger an anchor, however they are forged', async () => {
    const forged = makeAuthority({ subjectKeyIdentifier: root.subjectKeyIdentifier })
    const twin = makeAuthority({ subject: root.subject, subjectKeyIdentifier: root.subjectKeyIdentifier })
    for (const authority of [forged, twin]) {
      const leaf = makeLeaf(authority, ec)
      expect(await judged(leaf, [root], [authority])).toBe('no-anchor')
      expect(await judged(leaf, [root])).not.toBe('trusted')
    }
    const selfSigned = makeLeaf(makeAuthority(), { ...ec, subjectKeyIdentifier: root.subjectKeyIdentifier })
    expect(await judged(selfSigned, [root])).toBe('no-anchor')
  })

  it('do not break a path when they are missing or wrong', async () => {
    const middle = makeIntermediate(root, { authorityKeyIdentifier: Buffer.alloc(20, 7) })
    const leaf = makeLeaf(middle, { ...ec, authorityKeyIdentifier: Buffer.alloc(20, 9) })
    expect(await judged(leaf, [root], [middle])).toBe('trusted')
    expect(await judged(makeLeaf(root, { ...ec, authorityKeyIdentifier: false }), [root])).toBe('trusted')
  })
})

describe('issuers and anchors', () => {
  const root = makeAuthority()
  const middle = makeIntermediate(root)
  const leaf = makeLeaf(middle, ec)

  it('are found in the bag, in any order and among others', async () => {
    const others = Array.from({ length: 10 }, () => makeAuthority())
    expect(await judged(leaf, [root], [...others, root, leaf, middle])).toBe('trusted')
  })

  it('may be an intermediate that was chosen as anchor', async () => {
    expect(await judged(leaf, [middle])).toBe('trusted')
  })

  it('may be the leaf itself, but not another with its name and key', async () => {
    expect(await judged(leaf, [leaf])).toBe('trusted')
    const renewed = makeLeaf(makeAuthority(), { ...ec, subject: leaf.subject, key: leaf })
    expect(await judged(leaf, [renewed])).toBe('no-anchor')
  })

  it('must have signed with their own key, not only bear the name', async () => {
    const twin = makeAuthority({ subject: root.subject })
    const impostor = makeLeaf(twin, ec)
    expect(await judged(impostor, [root])).toBe('path-signature')
    expect(await judged(impostor, [root, twin])).toBe('trusted')
    expect(await judged(impostor, [root], [twin])).toBe('no-anchor')
    expect(await judged(makeLeaf(root, { ...ec, signWith: twin }), [root])).toBe('path-signature')
  })

  it('match by name although case and string type differ', async () => {
    const shouting = { ...root, subject: nameOf('TEST   authority with a name') }
    const named = makeAuthority({ name: 'Test Authority with a name', key: root })
    expect(await judged(makeLeaf(shouting, ec), [named])).toBe('trusted')
  })

  it('are reached over cross-certificates in both directions, also when one way is expired', async () => {
    const keyA = { privateKey: makeKey() }
    const rootA = makeAuthority({ name: 'A', key: keyA })
    const rootB = makeAuthority({ name: 'B' })
    const aByB = makeIntermediate(rootB, { name: 'A', key: keyA })
    const bByA = makeIntermediate(rootA, { name: 'B', key: rootB })
    const expiredAByB = makeIntermediate(rootB, { name: 'A', key: keyA, ...past })
    const underA = makeLeaf(rootA, ec)
    expect(await judged(underA, [rootB], [rootA, aByB, bByA])).toBe('trusted')
    expect(await judged(underA, [rootA], [bByA, aByB])).toBe('trusted')
    expect(await judged(underA, [rootB], [expiredAByB, aByB, bByA])).toBe('trusted')
    expect(await judged(makeLeaf(rootA, ec), [rootB], [expiredAByB, bByA])).toBe('certificate-expired')
  })

  it('let another path be found when the first one is not valid', async () => {
    const key = { privateKey: makeKey() }
    const poor = makeIntermediate(root, { name: 'Twice', key, ca: false })
    const good = makeIntermediate(root, { name: 'Twice', key })
    const below = makeLeaf(good, ec)
    expect(await judged(below, [root], [poor])).toBe('path-not-authority')
    expect(await judged(below, [root], [poor, good])).toBe('trusted')
  })
})

describe('validity', () => {
  it.each([
    ['expired', past, 'certificate-expired'],
    ['not valid yet', future, 'certificate-not-yet-valid'],
  ])('refuses a leaf, an intermediate and an anchor that is %s', async (_, period, reason) => {
    const root = makeAuthority()
    const middle = makeIntermediate(root)
    expect(await judged(makeLeaf(root, { ...ec, ...period }), [root])).toBe(reason)
    const badMiddle = makeIntermediate(root, period)
    expect(await judged(makeLeaf(badMiddle, ec), [root], [badMiddle, middle])).toBe(reason)
    const badRoot = makeAuthority(period)
    expect(await judged(makeLeaf(badRoot, ec), [badRoot])).toBe(reason)
  })

  it('is judged at the moment given, with five minutes for clocks that run ahead, whatever was found before', async () => {
    const second = Math.floor(now / 1000) * 1000
    const root = makeAuthority({ notBefore: second - 100 * dayMs, notAfter: second + 100 * dayMs })
    const leaf = makeLeaf(root, { ...ec, notBefore: second - dayMs, notAfter: second + dayMs })
    const at = (moment: number) => judged(leaf, [root], [], { at: moment })
    expect(await at(second)).toBe('trusted')
    expect(await at(second + dayMs)).toBe('trusted')
    expect(await at(second + dayMs + 1)).toBe('certificate-expired')
    expect(await at(second - dayMs)).toBe('trusted')
    expect(await at(second - dayMs - 300_000)).toBe('trusted')
    expect(await at(second - dayMs - 300_001)).toBe('certificate-not-yet-valid')
    expect(await at(second + 200 * dayMs)).toBe('certificate-expired')
  })
})

describe('authorities', () => {
  const root = makeAuthority()
  it.each([
    ['CA:FALSE', { ca: false }, 'path-not-authority'],
    ['no keyCertSign', { keyUsage: ['crlSign', 'digitalSignature'] as const }, 'key-usage'],
    ['an unknown critical extension', { unknownCritical: true }, 'critical-extension'],
    ['a TLS-only extendedKeyUsage', { eku: ['1.3.6.1.5.5.7.3.1'] }, 'key-usage'],
    ['a key of 1024 bits', { keyType: 'rsa1024' as const }, 'weak-key'],
  ])('with %s cannot issue', async (_, options, reason) => {
    const middle = makeIntermediate(root, options)
    expect(await judged(makeLeaf(middle, ec), [root], [middle])).toBe(reason)
  })

  it('need basicConstraints, unless they are the anchor', async () => {
    const leafAsIssuer = makeLeaf(root, { ...ec, keyUsage: ['keyCertSign'], eku: [] })
    expect(await judged(makeLeaf(leafAsIssuer, ec), [root], [leafAsIssuer])).toBe('path-not-authority')
    expect(await judged(makeLeaf(leafAsIssuer, ec), [leafAsIssuer])).toBe('trusted')
    const plainLeaf = makeLeaf(root, ec)
    expect(await judged(makeLeaf(plainLeaf, ec), [plainLeaf])).toBe('path-not-authority')
  })

  it('keep their path length, of the anchor too, not counting self-issued certificates', async () => {
    const one = makeIntermediate(root, { pathLen: 0 })
    const two = makeIntermediate(one)
    expect(await judged(makeLeaf(one, ec), [root], [one])).toBe('trusted')
    expect(await judged(makeLeaf(two, ec), [root], [one, two])).toBe('path-too-long')
    const rolled = makeIntermediate(one, { subject: one.subject })
    expect(await judged(makeLeaf(rolled, ec), [root], [one, rolled])).toBe('trusted')
    const short = makeAuthority({ pathLen: 0 })
    const below = makeIntermediate(short)
    expect(await judged(makeLeaf(below, ec), [short], [below])).toBe('path-too-long')
  })

  it('may stand six deep, not seven', async () => {
    const chain = [root]
    while (chain.length < 8) chain.push(makeIntermediate(chain.at(-1) as Identity))
    const [six, seven] = [chain[6], chain[7]] as [Identity, Identity]
    expect(await judged(makeLeaf(six, ec), [root], chain)).toBe('trusted')
    expect(await judged(makeLeaf(seven, ec), [root], chain)).toBe('path-too-long')
  })
})

describe('the leaf', () => {
  const root = makeAuthority({ keyType: 'rsa2048' })
  it.each([
    ['keyEncipherment only', { keyUsage: ['keyEncipherment'] as const }, 'key-usage'],
    ['keyCertSign only', { keyUsage: ['keyCertSign'] as const }, 'key-usage'],
    ['digitalSignature only', { keyUsage: ['digitalSignature'] as const }, 'trusted'],
    ['no keyUsage', { keyUsage: false as const }, 'trusted'],
    ['extendedKeyUsage for TLS', { eku: ['1.3.6.1.5.5.7.3.1'] }, 'key-usage'],
    ['any extendedKeyUsage', { eku: [oids.anyExtendedKeyUsage] }, 'trusted'],
    ['an unknown critical extension', { unknownCritical: true }, 'critical-extension'],
    [
      'an unknown extension that is not critical',
      { extensions: [{ oid: '1.3.6.1.4.1.99999.2', value: nullValue }] },
      'trusted',
    ],
    ['a critical subjectAltName', { san: { ...san, critical: true } }, 'trusted'],
    ['an RSA key of 1024 bits', { keyType: 'rsa1024' as const }, 'weak-key'],
    ['an RSA key of 2048 bits', { keyType: 'rsa2048' as const }, 'trusted'],
    ['a P-521 key', { keyType: 'p521' as const }, 'trusted'],
    ['an MD5 signature', { digest: 'md5' as const }, 'weak-digest'],
    ['a SHA-1 signature', { digest: 'sha1' as const }, 'weak-digest'],
    ['a SHA-384 signature', { digest: 'sha384' as const }, 'trusted'],
    ['a SHA-512 PSS signature', { digest: 'sha512' as const, pss: true }, 'trusted'],
    ['CA:TRUE', { ca: true }, 'trusted'],
  ])('with %s', async (_, options, expected) => {
    expect(await judged(makeLeaf(root, { ...ec, ...options }), [root])).toBe(expected)
  })

  it('may have extendedKeyUsage without emailProtection where policy says so', async () => {
    const leaf = makeLeaf(root, { ...ec, eku: ['1.3.6.1.5.5.7.3.2'] })
    expect(await judged(leaf, [root], [], { policy: { requireEmailProtection: false } })).toBe('trusted')
  })

  it('may have a SHA-1 signature where policy says so, with a warning, if it holds; MD5 never', async () => {
    const policy = { allowSha1InPaths: true }
    const legacy = makeLeaf(root, { ...ec, digest: 'sha1' })
    expect(await decide([legacy], portsOf({ anchors: [root] }), { policy })).toMatchObject({
      kind: 'trusted',
      warnings: ['weak-digest'],
    })
    expect(await judged(legacy, [root])).toBe('weak-digest')
    const forged = makeLeaf(root, { ...ec, digest: 'sha1', signWith: makeAuthority({ keyType: 'rsa2048' }) })
    expect(await judged(forged, [root], [], { policy })).toBe('path-signature')
    expect(await judged(makeLeaf(root, { ...ec, digest: 'md5' }), [root], [], { policy })).toBe('weak-digest')
  })

  it('may stand under an anchor whose own signature is weak, as nobody relies on that', async () => {
    const old = makeAuthority({ keyType: 'rsa2048', digest: 'sha1' })
    expect(await judged(makeLeaf(old, ec), [old])).toBe('trusted')
  })
})

describe('name constraints', () => {
  const constrained = (permitted: readonly Uint8Array[], excluded: readonly Uint8Array[] = [], critical = true) =>
    [{ oid: oids.nameConstraints, critical, value: nameConstraints(permitted, excluded) }] as const
  const root = makeAuthority()
  const { dns, email, directory, uri } = generalName
  const below = [{ oid: '2.5.4.3', value: 'CLINIC' }]

  it.each([
    ['a DNS name inside', [dns('hisp.test')], [], {}, 'trusted'],
    ['a DNS name below', [dns('test')], [], {}, 'trusted'],
    ['a DNS name outside', [dns('other.test')], [], {}, 'name-constraints'],
    ['a DNS name that only ends alike', [dns('isp.test')], [], {}, 'name-constraints'],
    ['an excluded DNS name', [], [dns('hisp.test')], {}, 'name-constraints'],
    [
      'one of two DNS names outside',
      [dns('hisp.test')],
      [],
      { san: { dns: ['hisp.test', 'b.test'] } },
      'name-constraints',
    ],
    ['an address at the host', [email('hisp.test')], [], { san: { email: ['alice@hisp.test'] } }, 'trusted'],
    [
      'an address below the host',
      [email('hisp.test')],
      [],
      { san: { ...san, email: ['a@x.hisp.test'] } },
      'name-constraints',
    ],
    ['an address below a dotted host', [email('.test')], [], { san: { email: ['alice@hisp.test'] } }, 'trusted'],
    ['the very mailbox', [email('alice@hisp.test')], [], { san: { email: ['Alice@hisp.test'] } }, 'trusted'],
    ['another mailbox', [email('carol@hisp.test')], [], { san: { email: ['alice@hisp.test'] } }, 'name-constraints'],
    [
      'an excluded mailbox',
      [],
      [email('alice@hisp.test')],
      { san: { email: ['alice@hisp.test'] } },
      'name-constraints',
    ],
    [
      'an unreadable address',
      [email('hisp.test')],
      [],
      { san: { ...san, email: ['x\0@hisp.test'] } },
      'name-constraints',
    ],
    ['constraints on a form it does not have', [email('other.test')], [], {}, 'trusted'],
    ['a subject below', [directory(nameOf('Clinic'))], [], { subject: nameOf('x', below) }, 'trusted'],
    ['a subject anywhere', [directory(sequenceOf())], [], {}, 'trusted'],
    ['a subject outside', [directory(nameOf('Clinic'))], [], {}, 'name-constraints'],
    ['an excluded subject', [], [directory(sequenceOf())], {}, 'name-constraints'],
    [
      'a URI outside',
      [uri('hisp.test')],
      [],
      { san: { ...san, raw: [uri('http://other.test/x')] } },
      'name-constraints',
    ],
    ['a URI inside', [uri('hisp.test')], [], { san: { ...san, raw: [uri('http://hisp.test:80/x')] } }, 'trusted'],
  ])('judge %s', async (_, permitted, excluded, options, expected) => {
    const middle = makeIntermediate(root, { extensions: constrained(permitted, excluded) })
    expect(await judged(makeLeaf(middle, { ...ec, ...options }), [root], [middle])).toBe(expected)
  })

  const ip = (...octets: number[]) => Uint8Array.of(0x87, octets.length, ...octets)
  const inside = { san: { ...san, raw: [ip(192, 0, 2, 7)] } }
  const six = { san: { ...san, raw: [ip(0x20, 1, 0xd, 0xb8, ...Array(11).fill(0), 1)] } }
  const hostName = { san: { ...san, raw: [uri('http://hisp.test/')] } }
  it.each([
    ['an address in the net', [ip(192, 0, 2, 0, 255, 255, 255, 0)], [], inside, 'trusted'],
    ['an address outside the net', [ip(192, 0, 3, 0, 255, 255, 255, 0)], [], inside, 'name-constraints'],
    ['an address in an excluded net', [], [ip(192, 0, 2, 0, 255, 255, 255, 0)], inside, 'name-constraints'],
    ['an address outside the excluded net', [], [ip(192, 0, 3, 0, 255, 255, 255, 0)], inside, 'trusted'],
    ['a mask with holes', [], [ip(10, 0, 0, 0, 255, 0, 255, 0)], inside, 'name-constraints'],
    ['a net of the wrong length', [], [ip(10, 0, 0, 0, 255)], inside, 'name-constraints'],
    [
      'the long addresses where short ones are permitted',
      [ip(192, 0, 2, 0, 255, 0, 0, 0)],
      [],
      six,
      'name-constraints',
    ],
    ['the long addresses where short ones are excluded', [], [ip(0, 0, 0, 0, 0, 0, 0, 0)], six, 'trusted'],
    [
      'an excluded mailbox that cannot be read',
      [],
      [email('a@b@c')],
      { san: { email: ['alice@hisp.test'] } },
      'name-constraints',
    ],
    ['an excluded host that cannot be read', [], [dns('x\0.test')], {}, 'name-constraints'],
    ['an excluded host of a URI', [], [uri('.test')], hostName, 'name-constraints'],
    ['a URI without a host', [uri('hisp.test')], [], { san: { ...san, raw: [uri('urn:x')] } }, 'name-constraints'],
    [
      'a URI with an address for a host',
      [],
      [uri('other.test')],
      { san: { ...san, raw: [uri('http://192.0.2.7/')] } },
      'name-constraints',
    ],
    [
      'a host with a dot at its end',
      [dns('hisp.test')],
      [],
      { san: { dns: ['hisp.test', 'hisp.test.'] } },
      'name-constraints',
    ],
    [
      'an address in the subject alone',
      [email('hisp.test')],
      [],
      { subject: nameOf('x', [{ oid: '1.2.840.113549.1.9.1', value: 'a@other.test' }]) },
      'name-constraints',
    ],
    [
      'a subject in other letters and string types',
      [directory(nameOf('CLINIC  one'))],
      [],
      { subject: nameOf('x', [{ oid: '2.5.4.3', value: 'Clinic One' }]) },
      'trusted',
    ],
  ])('judge %s', async (_, permitted, excluded, options, expected) => {
    const middle = makeIntermediate(root, { extensions: constrained(permitted, excluded) })
    expect(await judged(makeLeaf(middle, { ...ec, ...options }), [root], [middle])).toBe(expected)
  })

  it('fail closed for forms that are not compared', async () => {
    const registered = Buffer.from('88032a0304', 'hex')
    const middle = makeIntermediate(root, { extensions: constrained([registered]) })
    const leaf = makeLeaf(middle, { ...ec, san: { ...san, raw: [registered] } })
    expect(await judged(leaf, [root], [middle])).toBe('name-constraints')
    expect(await judged(makeLeaf(middle, ec), [root], [middle])).toBe('trusted')
  })

  it('hold further down, of the anchor too, and whether critical or not', async () => {
    const strict = makeAuthority({ extensions: constrained([dns('other.test')], [], false) })
    const middle = makeIntermediate(strict)
    expect(await judged(makeLeaf(middle, ec), [strict], [middle])).toBe('name-constraints')
  })

  it('pass over self-issued certificates, as those only change a key', async () => {
    const inside = nameOf('x', below)
    const one = makeIntermediate(root, { extensions: constrained([directory(nameOf('Clinic'))]) })
    const rolled = makeIntermediate(one, { subject: one.subject })
    expect(await judged(makeLeaf(rolled, { ...ec, subject: inside }), [root], [one, rolled])).toBe('trusted')
    const another = makeIntermediate(one)
    expect(await judged(makeLeaf(another, { ...ec, subject: inside }), [root], [one, another])).toBe('name-constraints')
  })

  it('are refused when there are too many to compare', async () => {
    const many = Array.from({ length: 200 }, (_, i) => dns(`a${i}.test`))
    const middle = makeIntermediate(root, { extensions: constrained([dns('test')], many) })
    const leaf = makeLeaf(middle, {
      ...ec,
      san: { dns: ['hisp.test', ...Array.from({ length: 60 }, (_, i) => `b${i}.test`)] },
    })
    expect(await judged(leaf, [root], [middle])).toBe('name-constraints')
    expect(await judged(makeLeaf(middle, ec), [root], [middle])).toBe('trusted')
  })

  it('are refused as malformed when they cannot be read', async () => {
    const extensions = [{ oid: oids.nameConstraints, critical: true, value: nullValue }]
    const middle = makeIntermediate(root, { extensions })
    expect(await judged(makeLeaf(middle, ec), [root], [middle])).toBe('malformed-certificate')
  })
})

describe('serial numbers', () => {
  const root = makeAuthority()
  it.each([
    ['zero', Uint8Array.of(0), 'trusted'],
    ['of 30 octets', new Uint8Array(30).fill(7), 'trusted'],
  ])('%s are only compared', async (_, serial, expected) => {
    expect(await judged(makeLeaf(root, { ...ec, serial }), [root])).toBe(expected)
  })
})

describe('an authority without a name', () => {
  it('issues nothing, as anchor or below', async () => {
    const root = makeAuthority()
    const nobody = makeIntermediate(root, { subject: sequenceOf() })
    expect(await judged(makeLeaf(nobody, ec), [root], [nobody])).toBe('path-not-authority')
    expect(await judged(makeLeaf(nobody, ec), [nobody])).toBe('path-not-authority')
  })
})

/** How long the judgement of a leaf takes with all of these at hand, beyond what a message may bring. */
async function judgedWithin(
  limitMs: number,
  leaf: Identity,
  anchors: readonly Identity[],
  others: readonly Identity[],
) {
  const certificates = (list: readonly Identity[]) =>
    readCertificates(
      list.map(({ certificate }) => certificate),
      list.length,
    )
  const [parsed] = certificates([leaf])
  if (!parsed) throw new Error('the leaf does not parse')
  const bag = certificates(others)
  const question = {
    ...{ leaf: parsed, use: 'sign' as const, anchors: anchorSet(certificates(anchors)), bag, at: now },
    ...{ policy: defaultTrustPolicy, budget: newPathBudget() },
  }
  // Time on the processor, as others may be using the machine.
  const began = process.cpuUsage()
  const verdict = await judgeCertificate(question, portsOf())
  const { user, system } = process.cpuUsage(began)
  const tookMs = (user + system) / 1_000
  expect({ tookMs, quick: tookMs < limitMs }).toMatchObject({ quick: true })
  return verdict.kind === 'refused' ? verdict.reason : verdict.kind
}

describe('graphs made to be searched for ever', () => {
  const limitMs = 200
  it('of a hundred authorities of one name and key identifier', async () => {
    const name = 'One of many'
    const subjectKeyIdentifier = Buffer.alloc(20, 1)
    const root = makeAuthority({ name })
    const many = Array.from({ length: 100 }, () => makeAuthority({ name, subjectKeyIdentifier }))
    const leaf = makeLeaf(makeAuthority({ name, subjectKeyIdentifier }), ec)
    expect(await judgedWithin(limitMs, leaf, [root], many)).not.toBe('trusted')
  })

  it('of thirty authorities that certified one another', async () => {
    const authorities = Array.from({ length: 30 }, (_, i) => makeAuthority({ name: `Mesh ${i}` }))
    const mesh = authorities.flatMap((issuer) =>
      authorities.map((subject) => makeIntermediate(issuer, { subject: subject.subject, key: subject })),
    )
    const leaf = makeLeaf(authorities[0] as Identity, ec)
    const stranger = makeAuthority()
    expect(await judgedWithin(limitMs, leaf, [stranger], mesh)).not.toBe('trusted')
    expect(await judgedWithin(limitMs, leaf, [stranger], mesh)).not.toBe('trusted')
    expect(await judgedWithin(limitMs, leaf, [authorities[29] as Identity], mesh)).toBe('trusted')
  })

  it('of layers in which everybody issued everybody, and the way out is missing', async () => {
    let above = [makeAuthority()]
    const others: Identity[] = []
    for (let layer = 0; layer < 6; layer++) {
      const key = makeAuthority({ name: `Layer ${layer}` })
      const made = above.flatMap((issuer) =>
        [0, 1, 2].map(() => makeIntermediate(issuer, { subject: key.subject, key })),
      )
      others.push(...made)
      above = made.slice(0, 3)
    }
    const leaf = makeLeaf(above[0] as Identity, ec)
    expect(await judgedWithin(limitMs, leaf, [makeAuthority()], others)).not.toBe('trusted')
  })

  it('of paths that reach the anchor and fail there, with names to compare', async () => {
    const names = Array.from({ length: 60 }, (_, i) => generalName.dns(`c${i}.test`))
    const value = nameConstraints([generalName.dns('test'), ...names])
    const root = makeAuthority()
    const raw = Array.from({ length: 100 }, (_, i) => generalName.dns(`n${i}.test`))
    const twice = { extensions: [{ oid: oids.nameConstraints, critical: true, value }], san: { raw } }
    const [one, two] = [makeAuthority({ name: 'Step one' }), makeAuthority({ name: 'Step two' })]
    const others = [0, 1, 2, 3].flatMap((i) => [
      makeIntermediate(root, { subject: one.subject, key: one, ...twice, serial: i + 1 }),
      makeIntermediate(one, { subject: two.subject, key: two, ...twice, serial: i + 1 }),
    ])
    const leaf = makeLeaf(two, { ...ec, san: { dns: ['hisp.test', 'outside.example'], raw } })
    expect(await judgedWithin(limitMs, leaf, [root], others)).toBe('name-constraints')
  })

  it('of cycles through the anchor name', async () => {
    const root = makeAuthority({ name: 'Round' })
    const a = makeIntermediate(root, { name: 'A' })
    const b = makeIntermediate(a, { name: 'B' })
    const back = makeIntermediate(b, { subject: root.subject, key: root })
    const leaf = makeLeaf(b, ec)
    expect(await judgedWithin(limitMs, leaf, [makeAuthority({ name: 'Round' })], [root, a, b, back])).not.toBe(
      'trusted',
    )
    expect(await judgedWithin(limitMs, leaf, [root], [a, b, back])).toBe('trusted')
  })
})

describe('searching', () => {
  it('ends quickly in a graph where every authority certified every other', async () => {
    const authorities = Array.from({ length: 5 }, (_, i) => makeAuthority({ name: `Node ${i}`, keyType: 'p521' }))
    const bag = authorities.flatMap((issuer) =>
      authorities
        .filter((subject) => subject !== issuer)
        .map((subject) => makeIntermediate(issuer, { subject: subject.subject, key: subject })),
    )
    const leaf = makeLeaf(authorities[0] as Identity, ec)
    expect(bag).toHaveLength(20)
    for (const attempt of ['cold', 'warm']) {
      const began = performance.now()
      expect(await judged(leaf, [makeAuthority()], bag)).not.toBe('trusted')
      expect({ attempt, quick: performance.now() - began < 250 }).toEqual({ attempt, quick: true })
    }
  })

  it('ends quickly among twenty authorities of one name', async () => {
    const name = 'All alike'
    const anchor = makeAuthority({ name })
    const bag = Array.from({ length: 19 }, () => makeIntermediate(anchor, { name, keyType: 'p521' }))
    const leaf = makeLeaf(makeAuthority({ name }), ec)
    const began = performance.now()
    expect(await judged(leaf, [anchor], bag)).toBe('path-signature')
    expect(performance.now() - began).toBeLessThan(250)
  })
})
