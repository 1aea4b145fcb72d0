import type { Blobs } from './blobs.js'
import type { Batch, Store } from './store.js'
import { within } from './store.js'
import type { Vault } from './vault.js'

export const bodyLimits = {
  /**
   * Up to here a body rides in its own row. A file costs five syncs and three directories; measured on LevelDB, a row is
   * cheaper up to some 300 KB, and a C-CDA of 70 KB is about 130 KB on the wire.
   */
  inlineBytes: 192 * 1024,
  /** Up to here a body is sealed in one piece, to see whether deflating makes it small enough for a row. */
  wholeBytes: 1024 * 1024,
}

export interface BodyPorts {
  readonly store: Store
  readonly blobs: Blobs
  readonly vault: Vault
}

/**
 * Key of the row that keeps a blob alive while `holder` names it. Blobs are named by content, so several holders may
 * share one; the sweep deletes a blob only when no such row is left (see Blobs).
 */
export function holdKey(blob: string, holder: string): string {
  return `blob/${blob}/${holder}`
}

/** While a backup copies what a snapshot names, nothing is swept: a row that dies would else take its blob along. */
const keptKey = 'upkeep/blobs-kept'

/** What must be committed to keep the blob sweep of every node away until then (Unix milliseconds). */
export function keepBlobs(until: number): Batch {
  return { put: [{ key: keptKey, value: Buffer.from(JSON.stringify({ until })) }] }
}

/** True while a backup asked for every blob to be kept. */
export async function blobsAreKept(store: Store, now: number): Promise<boolean> {
  const row = await store.get(keptKey)
  return row !== undefined && (JSON.parse(Buffer.from(row.value).toString()) as { readonly until: number }).until > now
}

/** True while some committed row names the blob. */
export async function isHeld(store: Store, blob: string): Promise<boolean> {
  return (await store.range({ ...within(`blob/${blob}/`), limit: 1 })).length > 0
}

/**
 * Seals a body for the row `key`, which is also its sealing context. A small one becomes the row itself; a large one is
 * made durable as a blob now, and the row names it. Answers what must be committed with whatever the body belongs to.
 */
export async function keepBody(
  { blobs, vault }: Pick<BodyPorts, 'blobs' | 'vault'>,
  owner: string,
  key: string,
  bytes: Uint8Array,
): Promise<Batch> {
  if (bytes.length <= bodyLimits.wholeBytes) {
    const sealed = await vault.seal(owner, key, bytes)
    if (sealed.length <= bodyLimits.inlineBytes)
      return { put: [{ key, value: Buffer.concat([Buffer.from('i'), sealed]) }] }
  }
  const name = await blobs.put(vault.sealStream(owner, key, [bytes]))
  return {
    put: [
      { key, value: Buffer.from(`b${name}`) },
      { key: holdKey(name, key), value: new Uint8Array() },
    ],
  }
}

/** The bytes kept under `key`, opened frame by frame; undefined where there is no such row or its blob is gone. */
export async function readBody(
  { store, blobs, vault }: BodyPorts,
  owner: string,
  key: string,
): Promise<AsyncIterable<Uint8Array> | undefined> {
  const row = await store.get(key)
  if (!row) return undefined
  const rest = row.value.subarray(1)
  if (row.value[0] === 0x69) return only(await vault.open(owner, key, rest))
  const blob = await blobs.get(Buffer.from(rest).toString('latin1'))
  return blob && vault.openStream(owner, key, blob)
}

/** The rows to delete with a row that nobody needs: its own, and where it is a body, the one that keeps its blob. */
export function bodyRows({ key, value }: { readonly key: string; readonly value: Uint8Array }): readonly string[] {
  const blob = value[0] === 0x62 && value.length === 65 ? Buffer.from(value.subarray(1)).toString('latin1') : ''
  return /^[0-9a-f]{64}$/.test(blob) ? [key, holdKey(blob, key)] : [key]
}

/** All chunks as one array. */
export async function gather(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<Uint8Array> {
  const all: Uint8Array[] = []
  for await (const chunk of chunks) all.push(chunk)
  return all.length === 1 && all[0] ? all[0] : Buffer.concat(all)
}

async function* only(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes
}
