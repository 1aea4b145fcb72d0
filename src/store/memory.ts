import type { Store } from '../ports/store.js'
import type { Clock } from '../ports/world.js'
import { openCommitter } from './committer.js'
import { compareUtf8 } from './compare.js'
import type { Change, OrderedHome } from './ordered.js'

/** What a memory store leaves behind when it dies: give it to the next one, as a disk outlives a process. */
export interface MemoryDisk extends OrderedHome {
  /** Every key below the store with its bytes, for tests that look for what must not be there. */
  readonly contents: ReadonlyMap<string, Uint8Array>
}

/** Called around every call of the Store port with its name and count, from 1; what it throws the caller gets. */
export type CallHook = (call: string, n: number) => void

/**
 * A store in memory, for tests, with the same committer as the durable one. `beforeCall` and `afterCall` may throw, so
 * that a test can let the process die before the k-th call, or after it took effect but before anybody learnt of it.
 */
export async function openMemoryStore(options: {
  readonly clock: Clock
  readonly disk?: MemoryDisk
  readonly beforeCall?: CallHook
  readonly afterCall?: CallHook
}): Promise<Store> {
  openings++
  const store = await openCommitter(options.disk ?? createMemoryDisk(), options.clock, `memory-${openings}`)
  return options.beforeCall || options.afterCall ? hooked(store, options) : store
}

let openings = 0

export function createMemoryDisk(): MemoryDisk {
  const contents = new Map<string, Uint8Array>()
  /** All keys in order. Inserting shifts the rest, which is fast enough for what tests keep. */
  const keys: string[] = []

  function place(key: string): number {
    let low = 0
    let high = keys.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (compareUtf8(keys[middle] as string, key) < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  function apply(change: Change) {
    const { key } = change
    const known = contents.has(key)
    if (change.type === 'put') {
      if (!known) keys.splice(place(key), 0, key)
      contents.set(key, Uint8Array.from(change.value))
    } else if (known) {
      keys.splice(place(key), 1)
      contents.delete(key)
    }
  }

  // Readers get copies, as from a disk: changing what was read changes nothing that is stored.
  const read = (key: string) => contents.get(key)?.slice()

  return {
    contents,
    get: async (key) => read(key),
    getMany: async (wanted) => wanted.map(read),
    async scan({ gte, lt, limit, reverse }) {
      const first = place(gte)
      const end = Math.max(first, place(lt))
      const chosen = reverse
        ? keys.slice(Math.max(first, end - limit), end).reverse()
        : keys.slice(first, Math.min(end, first + limit))
      return chosen.map((key) => [key, (contents.get(key) as Uint8Array).slice()] as const)
    },
    snapshot() {
      const copy = createMemoryDisk()
      void copy.write(
        [...contents].map(([key, value]) => ({ type: 'put', key, value })),
        true,
      )
      return copy
    },
    async write(changes) {
      for (const change of changes) apply(change)
    },
    close: async () => {},
  }
}

function hooked(store: Store, { beforeCall, afterCall }: { beforeCall?: CallHook; afterCall?: CallHook }): Store {
  let calls = 0
  function around<A extends unknown[], R>(name: string, call: (...args: A) => Promise<R>) {
    return async (...args: A): Promise<R> => {
      const n = ++calls
      beforeCall?.(name, n)
      const result = await call(...args)
      afterCall?.(name, n)
      return result
    }
  }
  return {
    ...store,
    get: around('get', store.get),
    range: around('range', store.range),
    commit: around('commit', store.commit),
    claim: around('claim', store.claim),
    claimJob: around('claimJob', store.claimJob),
    extend: around('extend', store.extend),
    nextDue: around('nextDue', store.nextDue),
    jobs: around('jobs', store.jobs),
    job: around('job', store.job),
    log: around('log', store.log),
  }
}
