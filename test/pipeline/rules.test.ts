import { describe, expect, it } from 'vitest'
import type { DirectAddress } from '../../src/direct/address.js'
import { type DomainPolicy, defaultPolicy } from '../../src/directory/policy.js'
import { allowedKeys, trustPolicyOf } from '../../src/pipeline/policy.js'
import type { OwnedKey } from '../../src/ports/keys.js'
import { type Identity, makeAuthority, makeLeaf } from '../fixtures/pki.js'

const root = makeAuthority()
const make = (keyUsage: 'digitalSignature' | 'keyEncipherment') =>
  makeLeaf(root, { keyType: 'p256', keyUsage: [keyUsage] })
const [signing, encrypting] = [make('digitalSignature'), make('keyEncipherment')]
const keyOf = ({ fingerprint, certificate, pkcs8 }: Identity): OwnedKey => ({
  ...{ id: fingerprint, owner: 'a@clinic.test' as DirectAddress, certificate, chain: [], wrapped: pkcs8 },
})
const policyWith = (...rules: readonly [string, string, string?][]): DomainPolicy => ({
  ...defaultPolicy,
  rules: rules.map(
    ([use, direction, text = 'version = 3'], i) =>
      ({ name: `${use}-${direction}-${i}`, use, direction, text }) as never,
  ),
})

describe('the rules of a domain', () => {
  it('are asked about whom they are for', () => {
    const policy = policyWith(
      ['trust', 'in'],
      ['trust', 'out'],
      ['trust', 'both'],
      ['public', 'out'],
      ['private', 'both'],
      ['public', 'both'],
    )
    const names = (judged: Parameters<typeof trustPolicyOf>[1]) =>
      trustPolicyOf(policy, judged).rules.map(({ name }) => name)
    expect(names('signer')).toEqual(['trust-in-0', 'trust-both-2'])
    expect(names('recipient')).toEqual(['trust-out-1', 'trust-both-2', 'public-out-3', 'public-both-5'])
    expect(names('notice')).toEqual(['trust-both-2', 'public-out-3', 'public-both-5'])
  })

  it('choose our own keys for each direction', () => {
    const keys = [signing, encrypting].map(keyOf)
    const policy = policyWith(
      ['private', 'out', 'keyUsage has digitalSignature'],
      ['private', 'in', 'keyUsage has keyEncipherment'],
    )
    expect(allowedKeys(keys, policy, 'out')).toMatchObject({
      allowed: [{ id: signing.fingerprint }],
      excluded: [
        { id: encrypting.fingerprint, detail: 'rule private-out-0: does not hold: keyUsage has digitalSignature' },
      ],
    })
    expect(allowedKeys(keys, policy, 'in').allowed).toMatchObject([{ id: encrypting.fingerprint }])
    expect(allowedKeys(keys, defaultPolicy, 'in')).toEqual({ allowed: keys, excluded: [] })
    expect(allowedKeys(keys, policyWith(['private', 'both', 'nonsense']), 'in').allowed).toEqual([])
  })

  it('stand beside the other settings', () => {
    const policy = {
      ...defaultPolicy,
      requiredPolicies: ['1.2.3'],
      requireEmailProtection: false,
      requirePublishedRevocation: true,
    }
    expect(trustPolicyOf(policy, 'signer')).toMatchObject({
      requiredPolicies: ['1.2.3'],
      requireEmailProtection: false,
      requirePublishedRevocation: true,
    })
  })
})
