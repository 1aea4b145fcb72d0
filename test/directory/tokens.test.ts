import { describe, expect, it } from 'vitest'
import type { DirectAddress } from '../../src/direct/address.js'
import type { TokenScope } from '../../src/directory/directory.js'
import { made, serving, world } from './worlds.js'

const domain = 'direct.example.org'
const address = `pat@${domain}` as DirectAddress
const scopes: TokenScope[] = ['messages:read', 'record:read']
const problemOf = (result: object) => ('problem' in result ? result.problem : 'none')

async function served() {
  const here = await world()
  await serving(here.directory, domain, 'pat')
  const create = (token: object) =>
    here.directory.tokens.create({ address, scopes, label: 'phone', ...token } as never, 'operator')
  return { ...here, create }
}

describe('tokens', () => {
  it('say who holds them, and are nowhere stored', async () => {
    const { directory, disk, clock, create } = await served()
    const { secret, token } = made(await create({}))
    expect(secret).toMatch(/^dgt_[A-Za-z0-9_-]{43}$/)
    expect(await directory.tokens.authenticate(secret, clock.now())).toEqual({ token: token.id, address, scopes })
    for (const [key, value] of disk.contents) expect(key + Buffer.from(value).toString()).not.toContain(secret.slice(4))
    expect(await directory.tokens.list()).toEqual([token])
    expect(JSON.stringify(token)).not.toContain('mailbox')
  })

  it('are unknown when any character differs, and for every other text', async () => {
    const { directory, clock, create } = await served()
    const { secret } = made(await create({}))
    const last = secret.at(-1) === 'A' ? 'Q' : 'A'
    for (const wrong of [secret.slice(0, -1) + last, secret.toLowerCase(), `${secret}A`, ` ${secret}`, '', 'dgt_', '*'])
      expect(await directory.tokens.authenticate(wrong, clock.now())).toBeUndefined()
  })

  it('end at their time, when revoked, and with their address', async () => {
    const { directory, clock, create } = await served()
    const now = clock.now()
    const ending = made(await create({ expiresAt: now + 1000 }))
    const revoked = made(await create({}))
    const lasting = made(await create({}))
    const ask = (secret: string, at = now) => directory.tokens.authenticate(secret, at)
    expect(await ask(ending.secret, now + 999)).toBeDefined()
    expect(await ask(ending.secret, now + 1000)).toBeUndefined()
    made(await directory.tokens.revoke(revoked.token.id, 'operator'))
    expect(await ask(revoked.secret)).toBeUndefined()
    made(await directory.addresses.setDisabled(address, true, 'operator'))
    expect(await ask(lasting.secret)).toBeUndefined()
    made(await directory.addresses.setDisabled(address, false, 'operator'))
    expect(await ask(lasting.secret)).toBeDefined()
    made(await directory.addresses.remove(address, 'operator'))
    made(await directory.addresses.add(address, 'patient', 'operator'))
    expect(await ask(lasting.secret)).toBeUndefined()
    expect(problemOf(await directory.tokens.revoke('0123456789abcdef', 'operator'))).toBe('not-found')
  })

  it('are refused without a known scope, for strangers, and as operator of one address', async () => {
    const { create } = await served()
    expect(problemOf(await create({ scopes: [] }))).toBe('bad-scope')
    expect(problemOf(await create({ scopes: ['everything'] }))).toBe('bad-scope')
    expect(problemOf(await create({ scopes: ['operator'] }))).toBe('bad-scope')
    expect(problemOf(await create({ address: `other@${domain}` }))).toBe('address-not-served')
    expect(problemOf(await create({ address: 'nonsense' }))).toBe('bad-address')
    expect(problemOf(await create({ address: '*', scopes: ['operator'] }))).toBe('none')
  })

  it('are forgotten some time after they ended', async () => {
    const { directory, clock, create } = await served()
    made(await create({ expiresAt: clock.now() + 1000 }))
    made(await create({}))
    expect(await directory.tokens.list()).toHaveLength(2)
    clock.advance(200 * 86_400_000)
    made(await create({}))
    expect(await directory.tokens.list()).toHaveLength(2)
  })
})
