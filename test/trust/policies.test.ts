import { describe, expect, it } from 'vitest'
import { oids } from '../../src/asn1/oids.js'
import { contextPrimitive, integer, objectIdentifier, sequenceOf } from '../../src/asn1/writer.js'
import { type CertificateOptions, type Identity, makeAuthority, makeIntermediate, makeLeaf } from '../fixtures/pki.js'
import { decide, portsOf, wordOf } from './world.js'

const [p1, p2, p3, any] = ['1.3.6.1.4.1.99999.10.1', '1.3.6.1.4.1.99999.10.2', '1.3.6.1.4.1.99999.10.3', '2.5.29.32.0']

const has = (...policies: readonly string[]) => ({
  oid: oids.certificatePolicies,
  critical: true,
  value: sequenceOf(...policies.map((policy) => sequenceOf(objectIdentifier(policy)))),
})
const maps = (...pairs: readonly (readonly [string, string])[]) => ({
  oid: oids.policyMappings,
  critical: true,
  value: sequenceOf(...pairs.map((pair) => sequenceOf(...pair.map(objectIdentifier)))),
})
const constraint = (number: 0 | 1, skip: number) => ({
  oid: oids.policyConstraints,
  critical: true,
  value: sequenceOf(contextPrimitive(number, Uint8Array.of(skip))),
})
const inhibitAny = (skip: number) => ({ oid: oids.inhibitAnyPolicy, critical: true, value: integer(skip) })

const root = makeAuthority()
type Extensions = NonNullable<CertificateOptions['extensions']>

/** The verdict on a path whose certificates below the anchor have these extensions, the leaf's last. */
function judged(required: readonly string[], ...levels: readonly Extensions[]): Promise<string> {
  const bag: Identity[] = []
  for (const extensions of levels.slice(0, -1)) bag.push(makeIntermediate(bag.at(-1) ?? root, { extensions }))
  const leaf = makeLeaf(bag.at(-1) ?? root, {
    keyType: 'p256',
    san: { dns: ['hisp.test'] },
    extensions: levels.at(-1) ?? [],
  })
  return wordOf(decide([leaf], portsOf({ anchors: [root] }), { bag, policy: { requiredPolicies: required } }))
}

describe('certificate policies', () => {
  it.each<[string, readonly string[], readonly Extensions[], string]>([
    ['are not needed where nobody requires them', [], [[], []], 'trusted'],
    ['may differ where nobody requires them', [], [[has(p1)], [has(p2)]], 'trusted'],
    ['must hold along the path where one is required', [p1], [[has(p1)], [has(p1)]], 'trusted'],
    ['must be the one required', [p2], [[has(p1)], [has(p1)]], 'certificate-policy'],
    ['must be there', [p1], [[], [has(p1)]], 'certificate-policy'],
    ['must be there in the leaf', [p1], [[has(p1)], []], 'certificate-policy'],
    ['may be one of several', [p3, p2], [[has(p1, p2)], [has(p2)]], 'trusted'],
    ['may be any above', [p1], [[has(any)], [has(p1)]], 'trusted'],
    ['may be any below', [p1], [[has(p1)], [has(any)]], 'trusted'],
    ['may not be any where that is inhibited', [p1], [[has(p1), inhibitAny(0)], [has(any)]], 'certificate-policy'],
    ['may be any until it is inhibited', [p1], [[has(p1), inhibitAny(1)], [has(any)], [has(p1)]], 'trusted'],
    ['are demanded by an authority', [], [[constraint(0, 0)], []], 'certificate-policy'],
    ['are demanded by the leaf itself', [], [[has(p1)], [constraint(0, 0)]], 'certificate-policy'],
    ['are demanded by an authority, later', [], [[constraint(0, 5)], []], 'trusted'],
    ['are demanded by an authority, and there', [], [[has(p1), constraint(0, 0)], [has(p1)]], 'trusted'],
    ['are mapped', [p1], [[has(p1), maps([p1, p2])], [has(p2)]], 'trusted'],
    ['are gone once mapped', [p1], [[has(p1), maps([p1, p2])], [has(p1)]], 'certificate-policy'],
    ['are known by the name of the anchor', [p2], [[has(p1), maps([p1, p2])], [has(p2)]], 'certificate-policy'],
    [
      'are not mapped where that is inhibited',
      [p1],
      [[has(p1), constraint(1, 0)], [has(p1), maps([p1, p2])], [has(p2)]],
      'certificate-policy',
    ],
    ['are mapped out of any', [p3], [[has(any), maps([p3, p2])], [has(any)], [has(p2)]], 'trusted'],
    ['are never mapped to any', [], [[has(p1), maps([p1, any])], [has(p2)]], 'certificate-policy'],
  ])('%s', async (_, required, levels, expected) => {
    expect(await judged(required, ...levels)).toBe(expected)
  })

  it('do not explode when every policy is mapped to every other', async () => {
    const names = Array.from({ length: 8 }, (_, i) => `1.3.6.1.4.1.99999.11.${i}`)
    const every = names.flatMap((one) => names.map((other) => [one, other] as const))
    const level = [has(...names), maps(...every)]
    const began = performance.now()
    expect(await judged(['1.2.3'], level, level, level, level, level, level.slice(0, 1))).toBe('certificate-policy')
    expect(performance.now() - began).toBeLessThan(250)
  })

  it('that are too many are refused', async () => {
    const names = Array.from({ length: 65 }, (_, i) => `1.3.6.1.4.1.99999.11.${i}`)
    expect(await judged([], [has(...names)])).toBe('malformed-certificate')
  })
})
