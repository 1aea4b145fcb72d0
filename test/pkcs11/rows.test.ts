import { describe, expect, it } from 'vitest'
import type { DirectAddress } from '../../src/direct/address.js'
import { directoryFamilies } from '../../src/directory/families.js'
import { openDirectory } from '../../src/directory/open.js'
import { openKeyring } from '../../src/keyring/keyring.js'
import { decided, made, masterKey, random, serving, world } from '../directory/worlds.js'
import { makeAuthority, makeLeaf } from '../fixtures/pki.js'

const address = 'alice@example.test' as DirectAddress

/** A directory with one key in a token and one that is wrapped. */
async function both() {
  const w = await world()
  await serving(w.directory, 'example.test', 'alice')
  const authority = makeAuthority()
  const leaf = () => makeLeaf(authority, { keyType: 'p256', san: { email: [address] } })
  const [inToken, wrapped] = [leaf(), leaf()]
  const token = 'pkcs11:id=%01;token=mail'
  const { certificate } = inToken
  const added = made(await w.directory.keys.addToken({ owner: address, certificate, token }, 'operator'))
  made(
    await w.directory.keys.add({ owner: address, certificate: wrapped.certificate, pkcs8: wrapped.pkcs8 }, 'operator'),
  )
  return { ...w, added, inToken, wrapped }
}

describe('the row of a key in a token', () => {
  it('names the token and holds no key, beside rows that do', async () => {
    const { added, directory, inToken, wrapped } = await both()
    expect(added.key.token).toBe('pkcs11:token=mail;id=%01')
    const owned = new Map(decided(await directory.keys.toDecrypt(address)).map((key) => [key.id, key]))
    expect(owned.get(inToken.fingerprint)).toMatchObject({ token: 'pkcs11:token=mail;id=%01' })
    expect(owned.get(inToken.fingerprint)).not.toHaveProperty('wrapped')
    expect(owned.get(wrapped.fingerprint)).not.toHaveProperty('token')
  })

  it('is none to wrap again under a new master key', async () => {
    const { ports, master } = await both()
    const keyring = openKeyring({ current: masterKey(), older: [master] }, random)
    const rotating = await openDirectory({ ...ports, keyring })
    expect(await rotating.keys.rewrap('operator')).toBe(1)
  })

  it('is known to verification, and unsound where it names no token', async () => {
    const { store, keyring, inToken } = await both()
    const key = `directory/key/${address} ${inToken.fingerprint}`
    const family = directoryFamilies.find((one) => one.kind === 'entry' && one.form.test(key))
    const row = await store.get(key)
    if (family?.kind !== 'entry' || !row) throw new Error('there is no such row')
    const check = (value: Uint8Array) =>
      family.check({ kind: 'entry', ...row, value }, { unwrap: keyring.unwrap } as never)
    expect(check(row.value)).toEqual([])
    const text = Buffer.from(row.value).toString()
    expect(() => check(Buffer.from(text.replace('pkcs11:', 'pkcs12:')))).toThrow('no token')
  })

  it('is refused where its URI is none, or has a PIN', async () => {
    const { directory, inToken } = await both()
    const { certificate } = inToken
    for (const token of ['pkcs11:', 'file:key', 'pkcs11:id=%01?pin-value=1'])
      expect(await directory.keys.addToken({ owner: address, certificate, token }, 'operator')).toMatchObject({
        kind: 'refused',
        problem: 'bad-token-uri',
      })
  })
})
