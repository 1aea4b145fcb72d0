import type { DirectAddress } from '../direct/address.js'
import { type Refused, refused, type Undecided } from '../direct/refusal.js'
import type { Directory } from '../directory/directory.js'
import type { OwnedKey } from '../ports/keys.js'
import { allowedKeys } from './policy.js'

type KeyPorts = Pick<Directory, 'keys' | 'domains'>

/** Keys that may open mail to an address, as the rules of its domain for private use allow. */
export async function keysToOpen(
  address: DirectAddress,
  { keys, domains }: KeyPorts,
): Promise<readonly OwnedKey[] | Undecided> {
  const all = await keys.toDecrypt(address)
  return 'kind' in all ? all : allowedKeys(all, await domains.policyOf(address), 'in').allowed
}

/** Keys that may sign for an address now, never none; `no-key-for-sender` says which rule left the last one out. */
export async function keysToSign(
  address: DirectAddress,
  at: number,
  { keys, domains }: KeyPorts,
): Promise<readonly OwnedKey[] | Refused | Undecided> {
  const all = await keys.toSign(address, at)
  if ('kind' in all) return all
  const { allowed, excluded } = allowedKeys(all, await domains.policyOf(address), 'out')
  if (allowed.length > 0) return allowed
  return refused('no-key-for-sender', excluded[0]?.detail ?? `no key of ${address} may sign now`)
}
