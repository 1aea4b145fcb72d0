import { describe, expect, it } from 'vitest'
import type { DirectAddress } from '../../src/direct/address.js'
import { made, world } from './worlds.js'

const address = (text: string) => text as DirectAddress
const problemOf = (result: object) => ('problem' in result ? result.problem : 'none')

describe('encryption preferences', () => {
  it('hold for an address before its domain, word by word, in any spelling', async () => {
    const { directory } = await world()
    const { encryption } = directory
    made(
      await encryption.set('Clinic.Example', { rsaTransport: 'oaep-sha1', contentCipher: 'aes-128-cbc' }, 'operator'),
    )
    made(await encryption.set('DOC@clinic.example', { rsaTransport: 'pkcs1-v1.5' }, 'operator'))
    const both = { rsaTransport: 'pkcs1-v1.5', contentCipher: 'aes-128-cbc' }
    expect(await encryption.of(address('doc@clinic.example'))).toEqual(both)
    expect(await encryption.of(address('doc+lab@clinic.example'))).toEqual(both)
    expect(await encryption.of(address('nurse@clinic.example'))).toEqual({ ...both, rsaTransport: 'oaep-sha1' })
    expect(await encryption.of(address('doc@other.example'))).toEqual({})
    expect((await encryption.list()).map(({ owner }) => owner)).toEqual(['clinic.example', 'doc@clinic.example'])
  })

  it('are replaced as a whole, and forgotten', async () => {
    const { directory, again } = await world()
    const { encryption } = directory
    made(
      await encryption.set('clinic.example', { rsaTransport: 'oaep-sha1', contentCipher: 'aes-256-gcm' }, 'operator'),
    )
    made(await encryption.set('clinic.example', { rsaTransport: 'pkcs1-v1.5' }, 'operator'))
    expect(await encryption.of(address('doc@clinic.example'))).toEqual({ rsaTransport: 'pkcs1-v1.5' })
    expect(await (await again()).encryption.of(address('doc@clinic.example'))).toEqual({ rsaTransport: 'pkcs1-v1.5' })
    expect((await encryption.remove('clinic.example', 'operator')).kind).toBe('done')
    expect(await encryption.of(address('doc@clinic.example'))).toEqual({})
    expect(problemOf(await encryption.remove('clinic.example', 'operator'))).toBe('not-found')
  })

  it('refuse owners that are none, and words that do not exist', async () => {
    const { encryption } = (await world()).directory
    const set = async (owner: string, wish: object) => problemOf(await encryption.set(owner, wish, 'operator'))
    expect(await set('doc@@clinic', { rsaTransport: 'oaep-sha1' })).toBe('bad-address')
    expect(await set('clinic_1', { rsaTransport: 'oaep-sha1' })).toBe('bad-domain')
    expect(await set('clinic.example', {})).toBe('bad-encryption')
    expect(await set('clinic.example', { rsaTransport: 'rsa' })).toBe('bad-encryption')
    expect(await set('clinic.example', { rsaTransport: 'oaep-sha1', contentCipher: 'des-ede3-cbc' })).toBe(
      'bad-encryption',
    )
    expect(await encryption.list()).toEqual([])
  })

  it('cost no read for a recipient whom nobody spoke of', async () => {
    const { directory, reads } = await world()
    await directory.encryption.of(address('one@a.example'))
    const before = reads()
    for (let i = 0; i < 50; i++) await directory.encryption.of(address(`n${i}@b${i}.example`))
    expect(reads()).toBe(before)
  })
})
