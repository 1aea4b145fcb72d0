import { createHash } from 'node:crypto'
import type { Blobs } from '../ports/blobs.js'
import type { Clock } from '../ports/world.js'

const readBytes = 64 * 1024

/** Blobs in memory, for tests. `contents` is what stays when the process dies. */
export function createMemoryBlobs(
  clock: Clock,
  contents = new Map<string, { readonly bytes: Uint8Array; at: number }>(),
): Blobs & { readonly contents: ReadonlyMap<string, { readonly bytes: Uint8Array }> } {
  return {
    contents,
    async put(chunks) {
      const parts: Uint8Array[] = []
      for await (const chunk of chunks) parts.push(Uint8Array.from(chunk))
      const bytes = Buffer.concat(parts)
      const name = createHash('sha256').update(bytes).digest('hex')
      contents.set(name, { bytes, at: clock.now() })
      return name
    },
    async get(name) {
      const bytes = contents.get(name)?.bytes
      return bytes && inChunks(bytes)
    },
    path: () => undefined,
    size: async (name) => contents.get(name)?.bytes.length,
    async delete(name) {
      contents.delete(name)
    },
    async *olderThan(olderThanMs) {
      const before = clock.now() - olderThanMs
      for (const [name, { at }] of contents) if (at < before) yield name
    },
    room: async () => undefined,
  }
}

async function* inChunks(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += readBytes) yield Uint8Array.from(bytes.subarray(at, at + readBytes))
}
