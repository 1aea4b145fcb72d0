import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto'
import type { Blobs } from '../../ports/blobs.js'
import { holdKey } from '../../ports/body.js'
import { type Batch, type Store, within } from '../../ports/store.js'
import { VaultFailed } from '../../ports/vault.js'
import type { Random } from '../../ports/world.js'
import { type ChunkRow, chunkKey, jsonIn, uploadPrefix } from './rows.js'

/**
 * Pieces of an upload: each is a blob of its own under the upload's key, nonce first, then AES-256-GCM. Which upload, which
 * place and where it begins are authenticated, so that pieces cannot be moved, dropped or told twice.
 */
const nonceBytes = 12
const tagBytes = 16

export interface PiecePorts {
  readonly store: Pick<Store, 'range'>
  readonly blobs: Blobs
  readonly random: Random
}

/** Makes a piece durable as a blob and answers what must be committed with it. */
export async function keepPiece(
  { blobs, random }: Pick<PiecePorts, 'blobs' | 'random'>,
  id: string,
  key: Uint8Array,
  place: { readonly index: number; readonly offset: number },
  bytes: Uint8Array,
): Promise<Batch> {
  const nonce = random.bytes(nonceBytes)
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes })
  cipher.setAAD(contextOf(id, place))
  const blob = await blobs.put([nonce, cipher.update(bytes), cipher.final(), cipher.getAuthTag()])
  const row: ChunkRow = { offset: place.offset, sizeBytes: bytes.length, blob, mac: macOf(key, bytes) }
  const rowKey = chunkKey(id, place.index)
  return {
    require: [{ key: rowKey, version: 'absent' }],
    put: [
      { key: rowKey, value: Buffer.from(JSON.stringify(row)) },
      { key: holdKey(blob, rowKey), value: new Uint8Array() },
    ],
  }
}

/** What tells whether a piece that comes again is the one that is kept. */
export function macOf(key: Uint8Array, bytes: Uint8Array): string {
  return createHmac('sha256', key).update(bytes).digest('base64url')
}

/** All of an upload, piece by piece. Throws VaultFailed where it is not as it came, or not `sizeBytes` long. */
export async function* readPieces(
  { store, blobs }: Pick<PiecePorts, 'store' | 'blobs'>,
  id: string,
  key: Uint8Array,
  sizeBytes: number,
): AsyncGenerator<Uint8Array> {
  let offset = 0
  for await (const [index, row] of piecesOf(store, id)) {
    const blob = row.offset === offset ? await blobs.get(row.blob) : undefined
    if (!blob) throw new VaultFailed('A piece of an upload is missing')
    const sealed: Uint8Array[] = []
    for await (const chunk of blob) sealed.push(chunk)
    const bytes = opened(Buffer.concat(sealed), key, contextOf(id, { index, offset }))
    offset += bytes.length
    yield bytes
  }
  if (offset !== sizeBytes) throw new VaultFailed('A piece of an upload is missing')
}

function opened(sealed: Uint8Array, key: Uint8Array, context: Uint8Array): Uint8Array {
  if (sealed.length < nonceBytes + tagBytes) throw new VaultFailed('A piece of an upload is too short')
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, nonceBytes), { authTagLength: tagBytes })
  decipher.setAAD(context)
  decipher.setAuthTag(sealed.subarray(-tagBytes))
  const plain = decipher.update(sealed.subarray(nonceBytes, -tagBytes))
  try {
    decipher.final()
  } catch {
    throw new VaultFailed('A piece of an upload was changed or moved')
  }
  return plain
}

/** What must be committed so that nothing of an upload is left; its blobs are swept later. */
export async function forgetPieces(store: Pick<Store, 'range'>, id: string): Promise<Batch> {
  const del: string[] = []
  for await (const [index, { blob }] of piecesOf(store, id)) {
    const key = chunkKey(id, index)
    del.push(key, holdKey(blob, key))
  }
  return { del }
}

const rowsAtOnce = 500

async function* piecesOf(store: Pick<Store, 'range'>, id: string): AsyncGenerator<readonly [number, ChunkRow]> {
  const { gte, lt } = within(`${uploadPrefix(id)}chunk/`)
  let index = 0
  for (let from = gte; ; ) {
    const rows = await store.range({ gte: from, lt, limit: rowsAtOnce })
    for (const { value } of rows) yield [index++, jsonIn<ChunkRow>(value)]
    const last = rows.at(-1)
    if (!last || rows.length < rowsAtOnce) return
    from = `${last.key}\0`
  }
}

function contextOf(id: string, { index, offset }: { readonly index: number; readonly offset: number }): Uint8Array {
  return Buffer.from(`upload\n${id}\n${index}\n${offset}`)
}
