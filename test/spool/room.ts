import { createHash, randomBytes } from 'node:crypto'
import { openKeyring } from '../../src/keyring/keyring.js'
import { createMasterKey, readMasterKey } from '../../src/keyring/master-key.js'
import { openVault } from '../../src/keyring/vault.js'
import type { Audit, AuditEntry } from '../../src/ports/audit.js'
import type { Blobs } from '../../src/ports/blobs.js'
import type { Store } from '../../src/ports/store.js'
import { StoreFailed } from '../../src/ports/store.js'
import { openTrail } from '../../src/spool/trail.js'
import { type CallHook, createMemoryDisk, openMemoryStore } from '../../src/store/memory.js'

/** A disk of blobs in memory; `failAfter` makes the n-th chunk of a put fail as a full disk does. */
export interface MemoryBlobs extends Blobs {
  readonly files: Map<string, { bytes: Uint8Array; at: number }>
  failAfter: number
}

export function memoryBlobs(clock: { now(): number }): MemoryBlobs {
  const files = new Map<string, { bytes: Uint8Array; at: number }>()
  const blobs: MemoryBlobs = {
    files,
    failAfter: Number.POSITIVE_INFINITY,
    async put(chunks) {
      const all: Uint8Array[] = []
      for await (const chunk of chunks) {
        all.push(chunk)
        if (all.length > blobs.failAfter) throw new StoreFailed('no space')
      }
      const bytes = Buffer.concat(all)
      const name = createHash('sha256').update(bytes).digest('hex')
      files.set(name, { bytes, at: clock.now() })
      return name
    },
    async get(name) {
      const file = files.get(name)
      return file && chunked(file.bytes)
    },
    path: () => undefined,
    size: async (name) => files.get(name)?.bytes.length,
    async delete(name) {
      files.delete(name)
    },
    async *olderThan(ms) {
      for (const [name, { at }] of [...files]) if (clock.now() - at > ms) yield name
    },
    room: async () => undefined,
  }
  return blobs
}

async function* chunked(bytes: Uint8Array) {
  for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536)
}

export const audit: Audit = {
  entry: (entry) => ({ log: 'audit', value: Buffer.from(JSON.stringify(entry)) }),
}

export async function auditOf(store: Store): Promise<AuditEntry[]> {
  const entries = await store.log('audit', 1, 10_000)
  return entries.map(({ value }) => JSON.parse(Buffer.from(value).toString()) as AuditEntry)
}

/** Store, blobs and vault over one clock that the test moves. */
export async function openRoom(hooks: { readonly beforeCall?: CallHook; readonly afterCall?: CallHook } = {}) {
  const clock = { at: Date.UTC(2026, 0, 5, 12), now: () => clock.at }
  const disk = createMemoryDisk()
  const store = await openMemoryStore({ clock, disk, ...hooks })
  const random = { bytes: (size: number) => randomBytes(size) }
  const master = readMasterKey(createMasterKey(random))
  if (master.kind !== 'master-key') throw new Error(master.detail)
  const vault = openVault({ store, keyring: openKeyring({ current: master.key }, random), random })
  return { clock, disk, store, vault, audit, random, trail: openTrail({ store }), blobs: memoryBlobs(clock) }
}

export async function text(chunks: AsyncIterable<Uint8Array> | undefined): Promise<string | undefined> {
  if (!chunks) return undefined
  const all: Uint8Array[] = []
  for await (const chunk of chunks) all.push(chunk)
  return Buffer.concat(all).toString('latin1')
}
