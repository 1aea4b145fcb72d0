import { createHash } from 'node:crypto'
import type { Blobs } from '../ports/blobs.js'
import type { RowChange, Store, StoredRow } from '../ports/store.js'
import { VaultFailed } from '../ports/vault.js'
import type { Clock } from '../ports/world.js'
import { type BackupEnd, type BackupHeader, backupPurpose, type Sealing } from './backup.js'
import { BackupDamaged, decodeRows, type Frame, readFrames } from './frames.js'
import { loadFrom } from './load.js'
import { isOfHome, markRow, readMark } from './mark.js'

export interface RestorePorts {
  readonly store: Store
  readonly blobs: Blobs
  readonly clock: Clock
  readonly keyring: Sealing
}

export type RestoreOutcome =
  | { readonly kind: 'restored'; readonly madeAt: string; readonly rows: number; readonly blobs: number }
  /** The file is cut, altered or of another form: nothing was written. */
  | { readonly kind: 'damaged'; readonly detail: string; readonly offset: number }
  /** The file was made under another master key: nothing was written. */
  | { readonly kind: 'wrong-key' }
  | { readonly kind: 'not-empty' }
  /** The file holds rows that were set aside, not an installation: see aside.ts. */
  | { readonly kind: 'rows' }

export type Told = (told: { readonly phase: string; readonly rows: number; readonly blobs: number }) => void

/**
 * Puts a backup into a home that holds nothing. The whole file is read and proved first: every digest, and by the seals
 * that this master key made it. A mark keeps the home from being served until its last row is there; a restoring that
 * was interrupted is run again from its beginning. The home must be opened anew afterwards.
 *
 * `open` begins reading the file, each time from its start. What the file says wrong is an outcome, not an error.
 */
export async function restore(
  ports: RestorePorts,
  open: () => AsyncIterable<Uint8Array>,
  told: Told = () => {},
): Promise<RestoreOutcome> {
  const { store } = ports
  const interrupted = (await readMark(store))?.state === 'restoring'
  try {
    const { header } = await proved(ports, open(), told)
    if (header.kind === 'rows') return { kind: 'rows' }
    if (!interrupted && !(await isEmpty(store))) return { kind: 'not-empty' }
    if (interrupted) await loadFrom(store, removed(store.snapshot()))
    await store.load([{ kind: 'put', row: markRow({ state: 'restoring', at: ports.clock.now() }) }])
    const loaded = { phase: 'restoring', rows: 0, blobs: 0 }
    await loadFrom(store, loading(ports, open(), loaded, told))
    await store.load([{ kind: 'del', row: markRow({ state: 'restoring', at: 0 }) }])
    return { kind: 'restored', madeAt: header.madeAt, rows: loaded.rows, blobs: loaded.blobs }
  } catch (error) {
    if (error instanceof BackupDamaged) return { kind: 'damaged', detail: error.message, offset: error.offset }
    if (error instanceof VaultFailed) return { kind: 'wrong-key' }
    throw error
  }
}

/** Nothing but what is about the home itself. */
export async function isEmpty(store: Store): Promise<boolean> {
  for await (const row of store.snapshot()) if (!isOfHome(row)) return false
  return true
}

/** Every row but the mark, which goes last of all. */
export async function* removed(rows: AsyncIterable<StoredRow>): AsyncGenerator<RowChange> {
  for await (const row of rows) if (!isOfHome(row)) yield { kind: 'del', row }
}

/** Reads all of a file and what it says of itself. Throws BackupDamaged, and VaultFailed for another master key. */
export async function proved(
  { keyring }: Pick<RestorePorts, 'keyring'>,
  chunks: AsyncIterable<Uint8Array>,
  told: Told = () => {},
): Promise<{ readonly header: BackupHeader; readonly end: BackupEnd }> {
  let header: BackupHeader | undefined
  let end: BackupEnd | undefined
  let hash: { readonly name: string; readonly sum: ReturnType<typeof createHash> } | undefined
  const seen = { phase: 'proving', rows: 0, blobs: 0 }
  for await (const frame of readFrames(chunks)) {
    const { kind, content, offset } = frame
    if (end) throw new BackupDamaged('Something follows the end', offset)
    if ((kind === 'h') === (header !== undefined)) throw new BackupDamaged('The frames are out of order', offset)
    if ((kind === 'c' || kind === 'z') !== (hash !== undefined))
      throw new BackupDamaged('The frames are out of order', offset)
    if (kind === 'h') {
      header = said<BackupHeader>(frame)
      if (header.format !== 1) throw new BackupDamaged('A newer build made this backup', offset)
      keyring.unwrap(backupPurpose, 'header', Buffer.from(String(header.key), 'base64'))
    } else if (kind === 'r') for (const _ of decodeRows(frame)) seen.rows++
    else if (kind === 'b') hash = { name: Buffer.from(content).toString(), sum: createHash('sha256') }
    else if (kind === 'c') hash?.sum.update(content)
    else if (kind === 'z') {
      if (hash?.sum.digest('hex') !== hash?.name) throw new BackupDamaged('A blob is not what its name says', offset)
      hash = undefined
      seen.blobs++
    } else {
      end = said<BackupEnd>(frame)
      keyring.unwrap(backupPurpose, Buffer.from(frame.before).toString('hex'), Buffer.from(String(end.seal), 'base64'))
      if (end.rows !== seen.rows || end.blobs !== seen.blobs)
        throw new BackupDamaged('The end counts other rows or blobs', offset)
    }
    if (kind === 'r') told(seen)
  }
  if (!header || !end) throw new BackupDamaged('The file was cut before its end', 0)
  return { header, end }
}

function said<T>({ content, offset }: Frame): T {
  try {
    return JSON.parse(Buffer.from(content).toString()) as T
  } catch {
    throw new BackupDamaged('A frame does not read', offset)
  }
}

/** Rows as they come; blobs are put on the way, durable before the rows that follow them. */
async function* loading(
  { blobs }: RestorePorts,
  chunks: AsyncIterable<Uint8Array>,
  loaded: { rows: number; blobs: number; readonly phase: string },
  told: Told,
): AsyncGenerator<RowChange> {
  const frames = readFrames(chunks)
  for await (const frame of forHand(frames)) {
    if (frame.kind === 'r') {
      for (const row of decodeRows(frame)) {
        loaded.rows++
        yield { kind: 'put', row }
      }
      told(loaded)
    } else if (frame.kind === 'b') {
      const name = Buffer.from(frame.content).toString()
      const put = await blobs.put(contentOf(frames))
      if (put !== name) throw new BackupDamaged('A blob is not what its name says', frame.offset)
      loaded.blobs++
    }
  }
}

/** A loop that leaves its iterator open, so that somebody else may take from it between two turns. */
async function* forHand(frames: AsyncGenerator<Frame>): AsyncGenerator<Frame> {
  try {
    for (let next = await frames.next(); !next.done; next = await frames.next()) yield next.value
  } finally {
    await frames.return(undefined)
  }
}

/** The bytes of a blob, up to the frame that ends it. */
async function* contentOf(frames: AsyncGenerator<Frame>): AsyncGenerator<Uint8Array> {
  for (let next = await frames.next(); !next.done; next = await frames.next()) {
    if (next.value.kind === 'z') return
    yield next.value.content
  }
}
