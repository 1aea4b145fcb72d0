import { describe, expect, it } from 'vitest'
import { openKeyring } from '../../src/keyring/keyring.js'
import { VaultFailed } from '../../src/ports/vault.js'
import { freshKeyring, freshMasterKey, random } from './worlds.js'

const plaintext = Buffer.from('a private key in PKCS#8')

describe('the keyring', () => {
  it('gives back what it wrapped, and wraps the same bytes differently each time', () => {
    const keyring = freshKeyring()
    const wrapped = keyring.wrap('private-key', 'id', plaintext)
    expect(Buffer.from(keyring.unwrap('private-key', 'id', wrapped))).toEqual(plaintext)
    expect(keyring.wrap('private-key', 'id', plaintext)).not.toEqual(wrapped)
    expect(Buffer.from(wrapped).includes(plaintext)).toBe(false)
  })

  it('does not open for another purpose, id or master key', () => {
    const keyring = freshKeyring()
    const wrapped = keyring.wrap('private-key', 'id', plaintext)
    expect(() => keyring.unwrap('data-key', 'id', wrapped)).toThrow(VaultFailed)
    expect(() => keyring.unwrap('private-key', 'id2', wrapped)).toThrow(VaultFailed)
    expect(() => freshKeyring().unwrap('private-key', 'id', wrapped)).toThrow(/master key .* is not here/)
    // The same letters divided otherwise.
    expect(() => keyring.unwrap('private-keyi', 'd', wrapped)).toThrow(VaultFailed)
  })

  it('notices every changed bit, every shorter length and every longer one', () => {
    const keyring = freshKeyring()
    const wrapped = keyring.wrap('p', 'id', plaintext)
    for (let i = 0; i < wrapped.length * 8; i++) {
      const changed = Uint8Array.from(wrapped)
      changed[i >> 3] = (changed[i >> 3] ?? 0) ^ (1 << (i & 7))
      expect(() => keyring.unwrap('p', 'id', changed)).toThrow(VaultFailed)
    }
    for (let length = 0; length < wrapped.length; length++)
      expect(() => keyring.unwrap('p', 'id', wrapped.subarray(0, length))).toThrow(VaultFailed)
    expect(() => keyring.unwrap('p', 'id', Buffer.concat([wrapped, Buffer.of(0)]))).toThrow(VaultFailed)
  })

  it('rotates the master key: opens under the older one, wraps again under the current one', () => {
    const [before, after] = [freshMasterKey(), freshMasterKey()]
    const wrapped = openKeyring({ current: before }, random).wrap('p', 'id', plaintext)
    const both = openKeyring({ current: after, older: [before] }, random)
    expect(Buffer.from(both.unwrap('p', 'id', wrapped))).toEqual(plaintext)
    const again = both.rewrap('p', 'id', wrapped)
    if (!again) throw new Error('It was not wrapped again')
    expect(both.rewrap('p', 'id', again)).toBeUndefined()
    expect(Buffer.from(openKeyring({ current: after }, random).unwrap('p', 'id', again))).toEqual(plaintext)
    expect(() => openKeyring({ current: before }, random).unwrap('p', 'id', again)).toThrow(VaultFailed)
  })
})
