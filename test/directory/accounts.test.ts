import { describe, expect, it } from 'vitest'
import type { DirectAddress } from '../../src/direct/address.js'
import { directoryFamilies } from '../../src/directory/families.js'
import { made, serving, world } from './worlds.js'

const domain = 'clinic.example'
const anna = `anna@${domain}` as DirectAddress
const ben = `ben@${domain}` as DirectAddress
const problemOf = (result: object) => ('problem' in result ? result.problem : 'none')

async function served() {
  const here = await world()
  await serving(here.directory, domain, 'anna', 'ben')
  const { accounts } = here.directory
  const create = (account: object = {}) =>
    accounts.create({ name: 'ehr', senders: [domain], ...account } as never, 'operator')
  return { ...here, accounts, create }
}

describe('edge accounts', () => {
  it('are known by name and secret, which is nowhere stored', async () => {
    const { accounts, create, disk } = await served()
    const { account, secret } = made(await create({ senders: [anna], reads: anna }))
    expect(secret).toMatch(/^dge_[A-Za-z0-9_-]{43}$/)
    expect(await accounts.authenticate('ehr', secret)).toEqual(account)
    expect(account).toMatchObject({ name: 'ehr', senders: [anna], reads: anna, disabled: false })
    expect(await accounts.list()).toEqual([account])
    for (const [key, value] of disk.contents) expect(key + Buffer.from(value).toString()).not.toContain(secret.slice(4))
    expect(JSON.stringify(account)).not.toContain('mailbox')
  })

  it('are unknown under any other name or secret, and at the same cost', async () => {
    const { accounts, create, reads } = await served()
    const { secret } = made(await create())
    made(await create({ name: 'other' }))
    await accounts.authenticate('ehr', secret)
    const before = reads()
    const last = secret.at(-1) === 'A' ? 'Q' : 'A'
    for (const wrong of [secret.slice(0, -1) + last, secret.toLowerCase(), `${secret} `, '', 'dge_'])
      expect(await accounts.authenticate('ehr', wrong)).toBeUndefined()
    for (const name of ['other', 'EHR', 'ehr ', 'nobody', '', '../ehr', 'ehr\0', '__proto__'])
      expect(await accounts.authenticate(name, secret)).toBeUndefined()
    expect(reads()).toBe(before)
  })

  it('end when disabled, renewed or removed, and so does what their sessions may do', async () => {
    const { accounts, create, clock } = await served()
    const first = made(await create())
    expect(await accounts.maySendAs(first.account, anna)).toBe(true)
    made(await accounts.setDisabled('ehr', true, 'operator'))
    expect(await accounts.authenticate('ehr', first.secret)).toBeUndefined()
    expect(await accounts.maySendAs(first.account, anna)).toBe(false)
    made(await accounts.setDisabled('ehr', false, 'operator'))
    expect(await accounts.maySendAs(first.account, anna)).toBe(true)
    clock.advance(5)
    const second = made(await accounts.renew('ehr', 'operator'))
    expect(second.account.renewedAt).toBe(clock.now())
    expect(await accounts.authenticate('ehr', first.secret)).toBeUndefined()
    expect(await accounts.maySendAs(first.account, anna)).toBe(false)
    expect(await accounts.authenticate('ehr', second.secret)).toEqual(second.account)
    made(await accounts.remove('ehr', 'operator'))
    expect(await accounts.authenticate('ehr', second.secret)).toBeUndefined()
    expect(await accounts.maySendAs(second.account, anna)).toBe(false)
    expect(await accounts.get('ehr')).toBeUndefined()
  })

  it('send as every live address of a domain, or as the addresses named', async () => {
    const { accounts, create, directory } = await served()
    const whole = made(await create()).account
    const one = made(await create({ name: 'one', senders: ['Anna@Clinic.Example'] })).account
    expect(one.senders).toEqual([anna])
    expect(await accounts.maySendAs(whole, ben)).toBe(true)
    expect(await accounts.maySendAs(one, anna)).toBe(true)
    expect(await accounts.maySendAs(one, ben)).toBe(false)
    expect(await accounts.maySendAs(whole, `nobody@${domain}` as DirectAddress)).toBe(false)
    expect(await accounts.maySendAs(whole, `anna@sub.${domain}` as DirectAddress)).toBe(false)
    made(await directory.addresses.setDisabled(anna, true, 'operator'))
    expect(await accounts.maySendAs(whole, anna)).toBe(false)
    expect(await accounts.maySendAs(one, anna)).toBe(false)
    made(await accounts.setSenders('one', [ben], 'operator'))
    expect(await accounts.maySendAs(one, ben)).toBe(true)
  })

  it('do not pass to the next holder of an address', async () => {
    const { accounts, create, directory } = await served()
    const { account } = made(await create({ senders: [anna], reads: anna }))
    expect(await accounts.logins()).toMatchObject([{ name: 'ehr', reads: anna }])
    made(await directory.addresses.remove(anna, 'operator'))
    made(await directory.addresses.add(anna, 'provider', 'operator'))
    expect(await accounts.maySendAs(account, anna)).toBe(false)
    expect(await accounts.logins()).toEqual([])
  })

  it('open a mailbox elsewhere with the digest of their secret, while they may', async () => {
    const { accounts, create, directory } = await served()
    const { secret } = made(await create({ reads: anna }))
    made(await create({ name: 'writes-only' }))
    const [login] = await accounts.logins()
    const digest = await crypto.subtle.digest('SHA-256', Buffer.from(secret))
    expect(login).toMatchObject({ name: 'ehr', reads: anna, sha256: Buffer.from(digest).toString('hex') })
    made(await accounts.setDisabled('ehr', true, 'operator'))
    expect(await accounts.logins()).toEqual([])
    made(await accounts.setDisabled('ehr', false, 'operator'))
    made(await directory.addresses.setDisabled(anna, true, 'operator'))
    expect(await accounts.logins()).toEqual([])
    made(await accounts.setReads('ehr', undefined, 'operator'))
    expect((await accounts.get('ehr'))?.reads).toBeUndefined()
  })

  it('are refused by name', async () => {
    const { accounts, create } = await served()
    made(await create())
    for (const [account, problem] of [
      [{}, 'already-exists'],
      [{ name: '' }, 'bad-account-name'],
      [{ name: 'EHR' }, 'bad-account-name'],
      [{ name: 'a b' }, 'bad-account-name'],
      [{ name: 'a/b' }, 'bad-account-name'],
      [{ name: 'x'.repeat(65) }, 'bad-account-name'],
      [{ name: 'x', senders: [] }, 'useless-account'],
      [{ name: 'x', senders: ['elsewhere.example'] }, 'domain-not-served'],
      [{ name: 'x', senders: [`nobody@${domain}`] }, 'address-not-served'],
      [{ name: 'x', senders: ['no domain'] }, 'bad-domain'],
      [{ name: 'x', senders: ['"q"@clinic.example'] }, 'bad-address'],
      [{ name: 'x', reads: domain }, 'bad-address'],
      [{ name: 'x', reads: 'nobody@elsewhere.example' }, 'address-not-served'],
    ] as const)
      expect([account, problemOf(await create(account))]).toEqual([account, problem])
    expect(problemOf(await accounts.setSenders('ehr', [], 'operator'))).toBe('useless-account')
    expect(problemOf(await accounts.renew('nobody', 'operator'))).toBe('not-found')
    expect(problemOf(await accounts.remove('nobody', 'operator'))).toBe('not-found')
    expect(problemOf(await accounts.setDisabled('nobody', true, 'operator'))).toBe('not-found')
    expect(made(await create({ name: 'reader', senders: [], reads: anna })).account.senders).toEqual([])
  })

  it('are audited with every change, by whom, and never with a secret', async () => {
    const { accounts, create, store } = await served()
    const { secret } = made(await create({ reads: ben }))
    const renewed = made(await accounts.renew('ehr', 'anybody'))
    made(await accounts.setDisabled('ehr', true, 'operator'))
    made(await accounts.setDisabled('ehr', true, 'operator'))
    made(await accounts.setDisabled('ehr', false, 'operator'))
    made(await accounts.setSenders('ehr', [anna], 'operator'))
    made(await accounts.setReads('ehr', anna, 'operator'))
    made(await accounts.remove('ehr', 'operator'))
    const told = (await store.log('audit', 1, 100)).map(({ value }) => Buffer.from(value).toString())
    const actions = told.map((text) => /"(account\.[a-z-]+)"/.exec(text)?.[1]).filter((action) => action)
    expect(actions).toEqual(
      ['added', 'renewed', 'disabled', 'enabled', 'senders-changed', 'reading-changed', 'removed'].map(
        (action) => `account.${action}`,
      ),
    )
    expect(told.filter((text) => text.includes('account.')).every((text) => text.includes('"ehr"'))).toBe(true)
    expect(told.join()).toContain('anybody')
    for (const one of [secret, renewed.secret]) expect(told.join()).not.toContain(one.slice(4))
  })

  it('are rows that verification knows, and a damaged one is told', async () => {
    const { create, store } = await served()
    made(await create({ senders: [domain, anna], reads: ben }))
    const key = 'directory/account/ehr'
    const family = directoryFamilies.find(({ name }) => name === 'edge account')
    const value = (await store.get(key))?.value
    if (family?.kind !== 'entry' || !value) throw new Error('no such family or row')
    expect(family.form.test(key)).toBe(true)
    const check = (row: Uint8Array) => family.check({ key, value: row, version: 1 } as never, {} as never)
    expect(check(value)).toEqual([])
    for (const [from, to] of [
      ['"senders":[', '"senders":[7,'],
      ['"secret":"', '"secret":"x'],
      ['"disabled":false', '"disabled":0'],
      ['"mailbox":"', '"mailbox":"x'],
    ] as const) {
      const text = Buffer.from(value).toString()
      expect(text).toContain(from)
      expect(() => check(Buffer.from(text.replace(from, to)))).toThrow()
    }
  })
})
