import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readAudit } from '../../src/audit/audit.js'
import { type DirectAddress, type DirectDomain, parseAddress } from '../../src/direct/address.js'
import { isReservedName, isWord } from '../../src/directory/names.js'
import { made, serving, world } from './worlds.js'

const domain = 'direct.example.org' as DirectDomain
const at = (name: string) => `${name}@${domain}` as DirectAddress
const most = 3

async function open() {
  const made = await world()
  await serving(made.directory, domain)
  await made.directory.domains.setPolicy(domain, { activation: 'open' }, 'operator')
  return made
}

const problemOf = (outcome: { readonly kind: string; readonly problem?: string }) => outcome.problem ?? outcome.kind

describe('an address that a person takes', () => {
  it('belongs to the record, is live, and is told in the audit log', async () => {
    const { directory, store } = await open()
    const record = randomUUID()
    const { address } = made(
      await directory.addresses.activate('Anna.Berg@Direct.Example.ORG', record, 'person:1', { most }),
    )
    expect(address).toMatchObject({
      address: at('anna.berg'),
      kind: 'patient',
      record,
      activated: true,
      disabled: false,
    })
    expect(await directory.addresses.isServed(at('anna.berg'))).toBe(true)
    expect(await directory.addresses.ofRecord(record)).toEqual([address])
    const told = await readAudit(store, 1, 100)
    expect(told.at(-1)?.entry).toMatchObject({ action: 'address.activated', actor: 'person:1', subject: { record } })
  })

  it('is refused in a domain that is closed, which every domain is until its operator opens it', async () => {
    const { directory } = await world()
    await serving(directory, domain)
    const asked = [at('anna'), 'anna@elsewhere.example']
    for (const address of asked)
      expect(problemOf(await directory.addresses.activate(address, randomUUID(), 'p', { most }))).toBe(
        'activation-closed',
      )
  })

  it.each([
    'postmaster',
    'abuse',
    'admin',
    'newuser',
    'root',
    'hostmaster',
    'admin1',
    'post.master',
    'no-reply',
    'noreply',
  ])('is never %s', async (name) => {
    const { directory } = await open()
    expect(problemOf(await directory.addresses.mayActivate(at(name)))).toBe('name-reserved')
  })

  it.each([
    'ab',
    'a..b',
    '.anna',
    'anna.',
    'anna+tag',
    'an na',
    "o'hara",
    'a__b',
    '-anna',
    `${'a'.repeat(65)}`,
    'änna',
  ])('is never %s, which cannot be said in one way', async (name) => {
    const { directory } = await open()
    expect(problemOf(await directory.addresses.mayActivate(at(name)))).toMatch(/^bad-/)
  })

  it('is given to one of two who ask at once', async () => {
    const { directory } = await open()
    const asked = Array.from({ length: 20 }, () =>
      directory.addresses.activate(at('anna'), randomUUID(), 'p', { most }),
    )
    const outcomes = (await Promise.all(asked)).map(problemOf)
    expect(outcomes.filter((kind) => kind === 'added')).toHaveLength(1)
    expect(new Set(outcomes)).toEqual(new Set(['added', 'already-exists']))
  })

  it('is one of at most so many of a record, however many are asked for at once', async () => {
    const { directory } = await open()
    const record = randomUUID()
    const asked = Array.from({ length: 6 }, (_, i) =>
      directory.addresses.activate(at(`anna${i}`), record, 'p', { most }),
    )
    const outcomes = (await Promise.all(asked)).map(problemOf)
    const added = outcomes.filter((kind) => kind === 'added').length
    expect(added).toBeLessThanOrEqual(most)
    for (let i = 0; i < most; i++) await directory.addresses.activate(at(`berg${i}`), record, 'p', { most })
    expect(await directory.addresses.ofRecord(record)).toHaveLength(most)
    expect(problemOf(await directory.addresses.activate(at('onemore'), record, 'p', { most }))).toBe('too-many')
  })

  it('is nobody else’s after it was disabled, nor after it was removed, not even by the operator', async () => {
    const { directory } = await open()
    const record = randomUUID()
    made(await directory.addresses.activate(at('anna'), record, 'p', { most }))
    made(await directory.addresses.setDisabled(at('anna'), true, 'p'))
    expect(problemOf(await directory.addresses.activate(at('anna'), randomUUID(), 'p', { most }))).toBe(
      'already-exists',
    )
    made(await directory.addresses.remove(at('anna'), 'operator'))
    expect(await directory.addresses.ofRecord(record)).toEqual([])
    expect(problemOf(await directory.addresses.activate(at('anna'), record, 'p', { most }))).toBe('name-reserved')
    expect(problemOf(await directory.addresses.add(at('anna'), 'patient', 'operator'))).toBe('name-reserved')
  })

  it('that an operator made and removed is his to make again, and no person’s', async () => {
    const { directory } = await open()
    made(await directory.addresses.add(at('anna'), 'patient', 'operator'))
    made(await directory.addresses.remove(at('anna'), 'operator'))
    expect(problemOf(await directory.addresses.mayActivate(at('anna')))).toBe('name-reserved')
    made(await directory.addresses.add(at('anna'), 'patient', 'operator'))
  })
})

it('finds the addresses of records that a former version kept', async () => {
  const { directory, store, again } = await world()
  await serving(directory, domain, 'one', 'two')
  const record = (await directory.addresses.get(at('one')))?.record ?? ''
  made(await directory.addresses.add(at('three'), 'patient', 'operator', { record }))
  const rows = await store.range({ gte: 'directory/record', lt: 'directory/recordt', limit: 100 })
  await store.commit({ del: rows.map(({ key }) => key) })
  const later = await again()
  expect((await later.addresses.ofRecord(record)).map(({ address }) => address).toSorted()).toEqual([
    at('one'),
    at('three'),
  ])
})

it('takes mail for newcomers while a domain is open, and for nobody in their name', async () => {
  const { directory } = await open()
  expect(await directory.addresses.isServed(at('newuser'))).toBe(true)
  expect(await directory.addresses.get(at('newuser'))).toBeUndefined()
  await directory.domains.setPolicy(domain, { activation: 'closed' }, 'operator')
  expect(await directory.addresses.isServed(at('newuser'))).toBe(false)
})

it('lets people choose nothing but plain addresses, and nothing reserved', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 70 }), (local) => {
      if (!isWord(local)) return
      expect(parseAddress(`${local}@x.example`)).toBe(`${local}@x.example`)
      expect(isReservedName(`newuser${local.replace(/\D/g, '')}`)).toBe(true)
    }),
    { numRuns: 3000 },
  )
})
