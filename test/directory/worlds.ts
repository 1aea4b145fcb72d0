import { randomBytes } from 'node:crypto'
import { audit } from '../../src/audit/audit.js'
import type { Undecided } from '../../src/direct/refusal.js'
import type { Directory } from '../../src/directory/directory.js'
import { openDirectory } from '../../src/directory/open.js'
import { openKeyring } from '../../src/keyring/keyring.js'
import { createMasterKey, readMasterKey } from '../../src/keyring/master-key.js'
import { createMemoryDisk, openMemoryStore } from '../../src/store/memory.js'
import { standingClock } from '../contract/clock.js'

export const random = { bytes: (size: number) => Uint8Array.from(randomBytes(size)) }

export function masterKey() {
  const outcome = readMasterKey(createMasterKey(random))
  if (outcome.kind !== 'master-key') throw new Error(outcome.detail)
  return outcome.key
}

/** A directory over a memory store, serving nobody yet. `again` opens another one over the same store. */
export async function world() {
  const clock = standingClock(Date.now())
  const disk = createMemoryDisk()
  let reads = 0
  const count = (call: string) => {
    if (call === 'get' || call === 'range') reads++
  }
  const store = await openMemoryStore({ clock, disk, beforeCall: count })
  const master = masterKey()
  const keyring = openKeyring({ current: master }, random)
  const ports = { store, keyring, audit, clock, random }
  const directory = await openDirectory(ports)
  return {
    directory,
    store,
    disk,
    clock,
    keyring,
    master,
    ports,
    reads: () => reads,
    again: () => openDirectory(ports),
  }
}

/** What a change made, or the error of the refusal. */
export function made<T extends { readonly kind: string }>(result: T): Exclude<T, { kind: 'refused' }> {
  if (result.kind === 'refused') throw new Error(JSON.stringify(result))
  return result as Exclude<T, { kind: 'refused' }>
}

/** The answer of a port that could also have been undecided. */
export function decided<T>(answer: readonly T[] | Undecided): readonly T[] {
  if ('kind' in answer) throw new Error(answer.detail)
  return answer
}

export async function serving(directory: Directory, domain: string, ...names: string[]) {
  made(await directory.domains.add(domain, 'operator'))
  const addresses = []
  for (const name of names)
    addresses.push(made(await directory.addresses.add(`${name}@${domain}`, 'patient', 'operator')).address)
  return addresses
}
