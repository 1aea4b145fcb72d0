import { describe, expect, it } from 'vitest'
import type { DirectAddress } from '../../src/direct/address.js'
import { openDirectory } from '../../src/directory/open.js'
import { type DomainPolicy, defaultPolicy } from '../../src/directory/policy.js'
import { made, world } from './worlds.js'

const anna = 'anna@clinic.test' as DirectAddress

async function demanding(identityProofing: 'none' | 'ial1' | 'ial2' | 'ial3') {
  const { ports, clock } = await world()
  const defaults = { ...defaultPolicy, identityProofing } as DomainPolicy
  const directory = await openDirectory({ ...ports, defaults })
  made(await directory.domains.add('clinic.test', 'operator'))
  made(await directory.addresses.add(anna, 'patient', 'operator'))
  return { addresses: directory.addresses, clock }
}

describe('the identity behind an address', () => {
  it('is not asked for where the domain demands none', async () => {
    const { addresses } = await demanding('none')
    expect(await addresses.standing(anna)).toBe('live')
    expect(await addresses.isServed(anna)).toBe(true)
  })

  it.each([
    ['ial1', 'ial1', true],
    ['ial1', 'ial3', true],
    ['ial2', 'ial1', false],
    ['ial3', 'ial2', false],
    ['ial3', 'ial3', true],
  ] as const)('where %s is demanded, %s lets mail in: %s', async (demanded, level, live) => {
    const { addresses } = await demanding(demanded)
    expect(await addresses.standing(anna)).toBe('awaiting-proofing')
    expect(await addresses.isServed(anna)).toBe(false)
    made(await addresses.prove(anna, { level, method: 'seen in person' }, 'operator'))
    expect(await addresses.isServed(anna)).toBe(live)
  })

  it('is told with who vouched, when and how, and can be taken back', async () => {
    const { addresses, clock } = await demanding('ial2')
    made(await addresses.prove(anna, { level: 'ial2', method: ' passport and face ' }, 'operator'))
    const proofing = { level: 'ial2', method: 'passport and face', by: 'operator', at: clock.now() }
    expect(await addresses.get(anna)).toMatchObject({ proofing })
    made(await addresses.unprove(anna, 'operator'))
    expect(await addresses.get(anna)).not.toHaveProperty('proofing')
    expect(await addresses.standing(anna)).toBe('awaiting-proofing')
    expect(await addresses.unprove(anna, 'operator')).toEqual({ kind: 'done' })
  })

  it('does not outweigh that an address is disabled, unknown, or of a domain that is not served', async () => {
    const { addresses } = await demanding('ial1')
    made(await addresses.prove(anna, { level: 'ial3', method: 'in person' }, 'operator'))
    made(await addresses.setDisabled(anna, true, 'operator'))
    expect(await addresses.standing(anna)).toBe('disabled')
    expect(await addresses.standing('nobody@clinic.test' as DirectAddress)).toBeUndefined()
    expect(await addresses.standing('anna@other.test' as DirectAddress)).toBeUndefined()
  })

  it('needs a level that exists and a method in a few words', async () => {
    const { addresses } = await demanding('ial1')
    const bad = { kind: 'refused', problem: 'bad-proofing' }
    expect(await addresses.prove(anna, { level: 'ial9' as 'ial1', method: 'x' }, 'operator')).toMatchObject(bad)
    expect(await addresses.prove(anna, { level: 'ial1', method: '  ' }, 'operator')).toMatchObject(bad)
    expect(await addresses.prove(anna, { level: 'ial1', method: 'x'.repeat(201) }, 'operator')).toMatchObject(bad)
    expect(
      await addresses.prove('b@clinic.test' as DirectAddress, { level: 'ial1', method: 'x' }, 'operator'),
    ).toMatchObject({ problem: 'address-not-served' })
  })
})
