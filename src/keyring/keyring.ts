import { VaultFailed } from '../ports/vault.js'
import type { Random } from '../ports/world.js'
import { derived, type MasterKey, sameSecret } from './master-key.js'
import { joined, nonceBytes, open, seal, tagBytes } from './sealed.js'

/**
 * Wraps other keys under the master key: private keys (`private-key`, by certificate fingerprint) and the vault's data
 * keys (`data-key`, by owner). Purpose and id are authenticated: wrapped bytes do not open for another purpose or id.
 */
export interface Keyring {
  wrap(purpose: string, id: string, plaintext: Uint8Array): Uint8Array
  /** Throws VaultFailed where the bytes were changed or moved, or where their master key is not here. */
  unwrap(purpose: string, id: string, wrapped: Uint8Array): Uint8Array
  /** The same bytes under the current master key; undefined where they already are. Throws VaultFailed as `unwrap` does. */
  rewrap(purpose: string, id: string, wrapped: Uint8Array): Uint8Array | undefined
}

/** Header: version (1), id of the master key (8), nonce (12). Then ciphertext and tag. */
const wrapVersion = 1
const idBytes = 8
const headerBytes = 1 + idBytes + nonceBytes

/**
 * Opens a keyring that wraps under `current` and unwraps under `current` and `older`: a master key is rotated by
 * starting with the new one and the old one beside it, wrapping everything again, and starting without the old one.
 */
export function openKeyring(
  keys: { readonly current: MasterKey; readonly older?: readonly MasterKey[] },
  random: Random,
): Keyring {
  const masters = [keys.current, ...(keys.older ?? [])]
  const purposes = new Map<string, Uint8Array>()

  function keyFor(master: MasterKey, purpose: string): Uint8Array {
    const name = `${Buffer.from(master.id).toString('hex')} ${purpose}`
    const known = purposes.get(name) ?? derived(master.secret, `wrap/${purpose}`)
    purposes.set(name, known)
    return known
  }

  function wrap(purpose: string, id: string, plaintext: Uint8Array): Uint8Array {
    const nonce = random.bytes(nonceBytes)
    const header = Buffer.concat([Buffer.of(wrapVersion), keys.current.id, nonce])
    const sealed = seal(keyFor(keys.current, purpose), nonce, joined(header, purpose, id), plaintext)
    return Buffer.concat([header, sealed])
  }

  function masterOf(wrapped: Uint8Array): MasterKey {
    if (wrapped.length < headerBytes + tagBytes) throw new VaultFailed('Wrapped bytes are too short')
    if (wrapped[0] !== wrapVersion) throw new VaultFailed('Wrapped bytes have a version this build does not know')
    const id = wrapped.subarray(1, 1 + idBytes)
    const master = masters.find((candidate) => sameSecret(candidate.id, id))
    if (!master) throw new VaultFailed('The master key these bytes are wrapped under is not here')
    return master
  }

  function unwrap(purpose: string, id: string, wrapped: Uint8Array): Uint8Array {
    const master = masterOf(wrapped)
    const header = wrapped.subarray(0, headerBytes)
    const nonce = wrapped.subarray(headerBytes - nonceBytes, headerBytes)
    const key = keyFor(master, purpose)
    const plaintext = open(key, nonce, joined(header, purpose, id), wrapped.subarray(headerBytes))
    if (!plaintext) throw new VaultFailed('Wrapped bytes were changed or moved')
    return plaintext
  }

  function rewrap(purpose: string, id: string, wrapped: Uint8Array): Uint8Array | undefined {
    const plaintext = unwrap(purpose, id, wrapped)
    return masterOf(wrapped) === keys.current ? undefined : wrap(purpose, id, plaintext)
  }

  return { wrap, unwrap, rewrap }
}
