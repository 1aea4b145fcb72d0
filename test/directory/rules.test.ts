import { describe, expect, it } from 'vitest'
import type { DirectDomain } from '../../src/direct/address.js'
import type { DomainRule, RuleText } from '../../src/direct/rule.js'
import { domainKey } from '../../src/directory/domains.js'
import { type DomainPolicy, defaultPolicy, policyLimits } from '../../src/directory/policy.js'
import { world } from './worlds.js'

const domain = 'clinic.test' as DirectDomain
const rule = (name: string, change: Partial<DomainRule> = {}): DomainRule => ({
  ...{ name, use: 'trust', direction: 'both', text: 'version = 3' as RuleText },
  ...change,
})

async function served() {
  const at = await world()
  await at.directory.domains.add(domain, 'test')
  return { ...at, domains: at.directory.domains }
}

describe('rules of a domain', () => {
  it('are added, kept in order, and removed, without touching other settings', async () => {
    const { domains } = await served()
    await domains.setPolicy(domain, { revocation: 'hard' }, 'test')
    expect(
      await domains.addRules(domain, [rule('b'), rule('a', { use: 'public', direction: 'out' })], 'test'),
    ).toMatchObject({ kind: 'changed' })
    await domains.addRules(domain, [rule('c')], 'test')
    const { policy } = (await domains.get(domain)) ?? {}
    expect(policy?.rules.map(({ name }) => name)).toEqual(['b', 'a', 'c'])
    expect(policy?.revocation).toBe('hard')
    expect(await domains.removeRule(domain, 'a', 'test')).toMatchObject({ kind: 'changed' })
    expect(await domains.removeRule(domain, 'a', 'test')).toMatchObject({ problem: 'not-found' })
    expect((await domains.get(domain))?.policy.rules.map(({ name }) => name)).toEqual(['b', 'c'])
  })

  it.each([
    [[rule('a'), rule('a')], 'already-exists'],
    [[rule('Bad Name')], 'bad-rule'],
    [[rule('a', { use: 'else' as never })], 'bad-rule'],
    [[rule('a', { use: 'public', direction: 'in' })], 'bad-rule'],
    [[rule('a', { text: 'x'.repeat(4_001) as RuleText })], 'bad-rule'],
    [[rule('a', { text: '' as RuleText })], 'bad-rule'],
    [Array.from({ length: policyLimits.rules + 1 }, (_, i) => rule(`r${i}`)), 'too-many'],
    [Array.from({ length: 11 }, (_, i) => rule(`r${i}`, { text: 'x'.repeat(4_000) as RuleText })), 'too-many'],
  ] as const)('are all kept out by one that is bad: %#', async (rules, problem) => {
    const { domains } = await served()
    expect(await domains.addRules(domain, rules, 'test')).toMatchObject({ kind: 'refused', problem })
    expect((await domains.get(domain))?.policy.rules).toEqual([])
  })

  it('are refused with the settings where they are no list of rules', async () => {
    const { domains } = await served()
    const change = async (policy: unknown) => domains.setPolicy(domain, policy as Partial<DomainPolicy>, 'test')
    for (const rules of [1, {}, [1], [null], [rule('a'), rule('a')]])
      expect(await change({ rules })).toMatchObject({ problem: 'bad-policy', detail: 'rules' })
    for (const requiredPolicies of ['1.2', [1], ['1.2', '1.2'], ['a.b'], ['3.1']])
      expect(await change({ requiredPolicies })).toMatchObject({ problem: 'bad-policy' })
    expect(await change({ identityProofing: 'ial9' })).toMatchObject({
      problem: 'bad-policy',
      detail: 'identityProofing',
    })
    expect(await change({ requiredPolicies: ['1.2.3'], identityProofing: 'ial2' })).toMatchObject({ kind: 'changed' })
  })

  it('are none for a domain of an older build', async () => {
    const { domains, store, directory } = await served()
    const row = Buffer.from(JSON.stringify({ policy: { revocation: 'hard' }, createdAt: 1 }))
    await store.commit({ put: [{ key: domainKey(domain), value: row }] })
    await directory.refresh()
    await directory.domains.setPolicy(domain, { routingTamper: 'warn' }, 'test')
    expect((await domains.get(domain))?.policy).toEqual({
      ...defaultPolicy,
      ...{ revocation: 'hard', routingTamper: 'warn' },
    })
  })
})
