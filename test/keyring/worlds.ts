import { randomBytes } from 'node:crypto'
import { type Keyring, openKeyring } from '../../src/keyring/keyring.js'
import { createMasterKey, type MasterKey, readMasterKey } from '../../src/keyring/master-key.js'

export const random = { bytes: (size: number) => Uint8Array.from(randomBytes(size)) }

export function freshMasterKey(): MasterKey {
  const outcome = readMasterKey(createMasterKey(random))
  if (outcome.kind !== 'master-key') throw new Error(outcome.detail)
  return outcome.key
}

export function freshKeyring(): Keyring {
  return openKeyring({ current: freshMasterKey() }, random)
}
