import { describe, expect, it } from 'vitest'
import { readAudit, verifyChain } from '../../src/audit/audit.js'
import { type DirectAddress, type DirectDomain, parseAddress } from '../../src/direct/address.js'
import { defaultPolicy } from '../../src/directory/policy.js'
import { made, serving, world } from './worlds.js'

const domain = 'direct.example.org' as DirectDomain
const at = (name: string) => `${name}@${domain}` as DirectAddress

describe('domains', () => {
  it('are served with the default policy until told otherwise', async () => {
    const { directory, again } = await world()
    made(await directory.domains.add('Direct.Example.ORG.', 'operator'))
    expect(await directory.domains.get(domain)).toMatchObject({ domain, policy: defaultPolicy })
    made(await directory.domains.setPolicy(domain, { revocation: 'hard' }, 'operator'))
    expect(await directory.domains.policyOf(at('a'))).toEqual({ ...defaultPolicy, revocation: 'hard' })
    made(await directory.domains.setPolicy(domain, { allowSha1: true }, 'operator'))
    expect(await (await again()).domains.policyOf(at('a'))).toEqual({
      ...defaultPolicy,
      revocation: 'hard',
      allowSha1: true,
    })
    expect(await directory.domains.policyOf('a@elsewhere.example' as DirectAddress)).toEqual(defaultPolicy)
    expect((await directory.domains.list()).map((found) => found.domain)).toEqual([domain])
  })

  it('are refused when they are no domains, are there, or have settings that do not exist', async () => {
    const { directory } = await world()
    made(await directory.domains.add(domain, 'operator'))
    const problems = [
      await directory.domains.add(domain, 'operator'),
      await directory.domains.add('no domain', 'operator'),
      await directory.domains.add('b.example', 'operator', { revocation: 'sometimes' as 'off' }),
      await directory.domains.setPolicy(domain, { unknown: true } as object, 'operator'),
      await directory.domains.setPolicy(domain, { constructor: 1 } as object, 'operator'),
      await directory.domains.setPolicy('b.example' as DirectDomain, {}, 'operator'),
      await directory.domains.remove('b.example' as DirectDomain, 'operator'),
    ]
    expect(problems.map((result) => ('problem' in result ? result.problem : result.kind))).toEqual([
      'already-exists',
      'bad-domain',
      'bad-policy',
      'bad-policy',
      'bad-policy',
      'domain-not-served',
      'not-found',
    ])
  })

  it('stay while they have addresses', async () => {
    const { directory } = await world()
    await serving(directory, domain, 'a')
    expect(await directory.domains.remove(domain, 'operator')).toMatchObject({ problem: 'domain-in-use' })
    made(await directory.addresses.remove(at('a'), 'operator'))
    made(await directory.domains.remove(domain, 'operator'))
    expect(await directory.domains.get(domain)).toBeUndefined()
    expect(await directory.domains.list()).toEqual([])
  })
})

describe('addresses', () => {
  it('are served in any case of letters, and only in a served domain', async () => {
    const { directory } = await world()
    expect(await directory.addresses.add(at('a'), 'patient', 'operator')).toMatchObject({
      problem: 'domain-not-served',
    })
    await serving(directory, domain, 'Pat.One')
    expect(await directory.addresses.isServed(parseAddress('PAT.ONE@direct.EXAMPLE.org') as DirectAddress)).toBe(true)
    expect(await directory.addresses.isServed(at('two'))).toBe(false)
    expect(await directory.addresses.add(at('pat.one'), 'provider', 'operator')).toMatchObject({
      problem: 'already-exists',
    })
    expect(await directory.addresses.add('not an address', 'patient', 'operator')).toMatchObject({
      problem: 'bad-address',
    })
  })

  it('have a mailbox of their own; a patient also a record, which further addresses may join', async () => {
    const { directory } = await world()
    const [first] = await serving(directory, domain, 'one')
    const joined = await directory.addresses.add(at('two'), 'patient', 'operator', { record: first?.record ?? '' })
    const provider = made(await directory.addresses.add(at('dr'), 'provider', 'operator'))
    expect(made(joined).address.record).toBe(first?.record)
    expect(made(joined).address.mailbox).not.toBe(first?.mailbox)
    expect(provider.address.record).toBeUndefined()
    expect(first?.mailbox).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    expect(await directory.addresses.add(at('x'), 'patient', 'operator', { record: '../../x' })).toMatchObject({
      problem: 'not-found',
    })
  })

  it('get a new mailbox when they are given to somebody else', async () => {
    const { directory } = await world()
    const [before] = await serving(directory, domain, 'a')
    made(await directory.addresses.remove(at('a'), 'operator'))
    expect(await directory.addresses.isServed(at('a'))).toBe(false)
    const after = made(await directory.addresses.add(at('a'), 'patient', 'operator')).address
    expect(after.mailbox).not.toBe(before?.mailbox)
    expect(after.record).not.toBe(before?.record)
  })

  it('take no mail while disabled', async () => {
    const { directory } = await world()
    await serving(directory, domain, 'a')
    made(await directory.addresses.setDisabled(at('a'), true, 'operator'))
    expect(await directory.addresses.isServed(at('a'))).toBe(false)
    expect((await directory.addresses.get(at('a')))?.disabled).toBe(true)
    made(await directory.addresses.setDisabled(at('a'), false, 'operator'))
    expect(await directory.addresses.isServed(at('a'))).toBe(true)
    expect(await directory.addresses.setDisabled(at('b'), true, 'operator')).toMatchObject({
      problem: 'address-not-served',
    })
  })

  it('may have an edge, by a name that systems have, until it is taken back', async () => {
    const { directory, again } = await world()
    await serving(directory, domain, 'ann')
    const { addresses } = directory
    made(await addresses.setEdge(at('ann'), 'ehr-north', 'operator'))
    made(await addresses.setDisabled(at('ann'), true, 'operator'))
    expect(await (await again()).addresses.get(at('ann'))).toMatchObject({ edge: 'ehr-north', disabled: true })
    for (const bad of ['', 'EHR', '-ehr', 'a b', 'a'.repeat(65)])
      expect(await addresses.setEdge(at('ann'), bad, 'operator')).toMatchObject({ problem: 'bad-edge' })
    expect(await addresses.setEdge(at('bob'), 'ehr', 'operator')).toMatchObject({ problem: 'address-not-served' })
    made(await addresses.setEdge(at('ann'), undefined, 'operator'))
    expect(await addresses.get(at('ann'))).not.toHaveProperty('edge')
  })

  it('are listed in pages, of one domain or of all', async () => {
    const { directory } = await world()
    const names = Array.from({ length: 25 }, (_, i) => `p${String(i).padStart(2, '0')}`)
    await serving(directory, domain, ...names)
    await serving(directory, 'direct.example.org.uk', 'other', 'a/b')
    const seen: string[] = []
    let after: string | undefined
    do {
      const page = await directory.addresses.list({ domain, limit: 10, ...(after ? { after } : {}) })
      seen.push(...page.items.map(({ address }) => address))
      after = page.next
    } while (after)
    expect(seen).toEqual(names.map(at))
    expect((await directory.addresses.list({ limit: 1000 })).items).toHaveLength(27)
    expect((await directory.addresses.list({ domain, after: at('p20') })).items).toHaveLength(4)
    expect((await directory.addresses.list({ domain, after: 'aaa@aaa.example' })).items).toHaveLength(25)
  })

  it('are asked for without reading the store again', async () => {
    const { directory, reads } = await world()
    await serving(directory, domain, 'a')
    await directory.addresses.isServed(at('a'))
    const before = reads()
    for (let i = 0; i < 100; i++) expect(await directory.addresses.isServed(at('a'))).toBe(true)
    expect(reads()).toBe(before)
  })
})

describe('every change', () => {
  it('is audited with who made it, and the chain is whole', async () => {
    const { directory, store } = await world()
    await serving(directory, domain, 'a')
    made(await directory.addresses.setDisabled(at('a'), true, 'token-1'))
    await directory.domains.add(domain, 'operator')
    const found = await readAudit(store, 1, 100)
    expect(found.map(({ entry }) => [entry?.action, entry?.actor, entry?.outcome])).toEqual([
      ['domain.added', 'operator', 'success'],
      ['address.added', 'operator', 'success'],
      ['address.disabled', 'token-1', 'success'],
    ])
    expect(found[2]?.entry?.subject).toEqual({ address: at('a') })
    expect((await verifyChain(store)).kind).toBe('whole')
  })

  it('is seen at once here, and by another process once it refreshes', async () => {
    const { directory, again } = await world()
    const other = await again()
    await serving(directory, domain, 'a')
    expect(await other.addresses.isServed(at('a'))).toBe(true)
    made(await directory.addresses.setDisabled(at('a'), true, 'operator'))
    expect(await directory.addresses.isServed(at('a'))).toBe(false)
    expect(await other.refresh()).toBe(true)
    expect(await other.addresses.isServed(at('a'))).toBe(false)
    expect(await other.refresh()).toBe(false)
  })

  it('is never hidden by what a reader was reading meanwhile', async () => {
    const { directory } = await world()
    await serving(directory, domain, 'a')
    for (let i = 0; i < 50; i++) {
      const disabled = i % 2 === 0
      const reading = Array.from({ length: 5 }, () => directory.addresses.isServed(at('a')))
      const changing = directory.addresses.setDisabled(at('a'), disabled, 'operator')
      reading.push(directory.addresses.isServed(at('a')))
      await changing
      expect(await directory.addresses.isServed(at('a'))).toBe(!disabled)
      await Promise.all(reading)
    }
  })
})
