import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { DirectAddress } from '../../src/direct/address.js'
import { sealingCiphers } from '../../src/direct/encryption.js'
import { cipherFor, encryptionOf } from '../../src/pipeline/encryption.js'
import { made, world } from '../directory/worlds.js'

describe('the cipher for several recipients', () => {
  it.each([
    [[], 'aes-256-cbc'],
    [[undefined, undefined], 'aes-256-cbc'],
    [['aes-256-gcm', 'aes-256-gcm'], 'aes-256-gcm'],
    [['aes-256-gcm', undefined], 'aes-256-cbc'],
    [['aes-128-cbc', undefined], 'aes-128-cbc'],
    [['aes-128-gcm', undefined], 'aes-128-cbc'],
    [['aes-128-gcm', 'aes-256-gcm'], 'aes-128-gcm'],
    [['aes-192-cbc', 'aes-192-cbc'], 'aes-192-cbc'],
    [['aes-192-gcm', 'aes-192-cbc'], 'aes-192-cbc'],
    [['aes-192-cbc', undefined], 'aes-128-cbc'],
  ] as const)('for %j is %s', (wanted, cipher) => {
    expect(cipherFor(wanted)).toBe(cipher)
  })

  it('is never longer, and never more modern, than anybody wants', () => {
    const wish = fc.option(fc.constantFrom(...sealingCiphers), { nil: undefined })
    fc.assert(
      fc.property(fc.array(wish, { minLength: 1, maxLength: 6 }), (wanted) => {
        const chosen = cipherFor(wanted)
        const all = wanted.map((one = 'aes-256-cbc') => one)
        expect(all.every((one) => chosen.slice(4, 7) <= one.slice(4, 7))).toBe(true)
        if (chosen.endsWith('gcm')) expect(all.every((one) => one.endsWith('gcm'))).toBe(true)
        expect(cipherFor([...wanted].reverse())).toBe(chosen)
      }),
      { numRuns: 500 },
    )
  })
})

describe('encryption to recipients', () => {
  const old = 'doc@old.example' as DirectAddress
  const usual = 'doc@usual.example' as DirectAddress
  const to = (recipient: DirectAddress, byte: number) => ({ recipient, certificates: [Uint8Array.of(byte)] })

  it('goes to each in his own way, and over what the house says', async () => {
    const { directory } = await world()
    made(
      await directory.encryption.set('old.example', { rsaTransport: 'pkcs1-v1.5', contentCipher: 'aes-128-cbc' }, 'x'),
    )
    const of = await encryptionOf([old, usual], {
      directory,
      encryption: { rsaTransport: 'oaep-sha1', contentCipher: 'aes-256-gcm' },
    })
    expect(of([to(old, 1), to(usual, 2)])).toEqual({
      recipients: [
        { certificate: Uint8Array.of(1), rsaTransport: 'pkcs1-v1.5' },
        { certificate: Uint8Array.of(2), rsaTransport: 'oaep-sha1' },
      ],
      encryption: { rsaTransport: 'oaep-sha1', contentCipher: 'aes-128-cbc' },
    })
    // Without him, the others get what they all read.
    expect(of([to(usual, 2)]).encryption).toEqual({ rsaTransport: 'oaep-sha1', contentCipher: 'aes-256-gcm' })
  })

  it('is the usual where nobody said anything', async () => {
    const { directory } = await world()
    const of = await encryptionOf([usual], { directory })
    expect(of([to(usual, 2)])).toEqual({
      recipients: [{ certificate: Uint8Array.of(2) }],
      encryption: { contentCipher: 'aes-256-cbc' },
    })
  })
})
