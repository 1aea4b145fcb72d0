import { type Store, within } from '../ports/store.js'
import { VaultFailed } from '../ports/vault.js'
import type { Random } from '../ports/world.js'
import type { Keyring } from './keyring.js'

const prefix = 'vault/'
const purpose = 'data-key'
const dataKeyBytes = 32

/** Data keys kept open in memory: about 200 bytes each, so that a busy gateway unwraps each owner's key once. */
export const dataKeyLimits = { remembered: 10_000 } as const

export interface DataKeys {
  /** The owner's data key, made at first use. */
  forSealing(owner: string): Promise<Uint8Array>
  /** The owner's data key; throws VaultFailed where none was ever made: nothing can have been sealed. */
  forOpening(owner: string): Promise<Uint8Array>
}

/** Data keys in the store under `vault/<owner>`, wrapped. Two that make the same owner's first key at once get one. */
export function openDataKeys(ports: {
  readonly store: Store
  readonly keyring: Keyring
  readonly random: Random
}): DataKeys {
  const { store, keyring, random } = ports
  const remembered = new Map<string, Promise<Uint8Array>>()

  async function stored(owner: string): Promise<Uint8Array | undefined> {
    const entry = await store.get(prefix + owner)
    return entry && keyring.unwrap(purpose, owner, entry.value)
  }

  async function created(owner: string): Promise<Uint8Array> {
    const key = prefix + owner
    const fresh = random.bytes(dataKeyBytes)
    const result = await store.commit({
      require: [{ key, version: 'absent' }],
      put: [{ key, value: keyring.wrap(purpose, owner, fresh) }],
    })
    if (result.kind === 'committed') return fresh
    const winner = await stored(owner)
    if (!winner) throw new VaultFailed('A data key came and went')
    return winner
  }

  /** Remembers the promise, so that who asks meanwhile waits for the same key; failures are not remembered. */
  async function remember(owner: string, find: () => Promise<Uint8Array>): Promise<Uint8Array> {
    const known = remembered.get(owner)
    const key = known ?? find()
    remembered.delete(owner)
    remembered.set(owner, key)
    for (const oldest of remembered.keys()) {
      if (remembered.size <= dataKeyLimits.remembered) break
      remembered.delete(oldest)
    }
    try {
      return await key
    } catch (error) {
      if (remembered.get(owner) === key) remembered.delete(owner)
      throw error
    }
  }

  return {
    forSealing: (owner) => remember(owner, async () => (await stored(owner)) ?? created(owner)),
    async forOpening(owner) {
      const known = remembered.get(owner)
      // Never joined to one that creates: opening must not make a key.
      if (known) return known
      const found = await stored(owner)
      if (!found) throw new VaultFailed('There is no data key for this owner')
      return remember(owner, async () => found)
    },
  }
}

/** Wraps every data key that is under an older master key again; answers how many. Safe to run again and beside everything. */
export async function rewrapDataKeys(store: Store, keyring: Keyring): Promise<number> {
  const { gte, lt } = within(prefix)
  let rewrapped = 0
  let from = gte
  while (true) {
    const page = await store.range({ gte: from, lt, limit: 500 })
    for (const { key, value, version } of page) {
      const fresh = keyring.rewrap(purpose, key.slice(prefix.length), value)
      if (!fresh) continue
      const result = await store.commit({ require: [{ key, version }], put: [{ key, value: fresh }] })
      if (result.kind === 'committed') rewrapped++
    }
    const last = page.at(-1)
    if (!last || page.length < 500) return rewrapped
    from = `${last.key}\0`
  }
}
