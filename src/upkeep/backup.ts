import { createHash } from 'node:crypto'
import type { Blobs } from '../ports/blobs.js'
import { keepBlobs } from '../ports/body.js'
import type { Store, StoredRow } from '../ports/store.js'
import type { Clock } from '../ports/world.js'
import { rowBytes } from './families.js'
import { backupLine, encodeRow, frameLimits, frameWriter } from './frames.js'
import { isOfHome } from './mark.js'

/** Where the bytes of a backup go. `end` answers when they would survive a power cut. */
export interface Sink {
  write(bytes: Uint8Array): Promise<void>
  end(): Promise<void>
}

/** Proves with the master key that it made something, and that it is the one that did. */
export interface Sealing {
  wrap(purpose: string, id: string, plaintext: Uint8Array): Uint8Array
  /** Throws VaultFailed where another master key made it, or of something else. */
  unwrap(purpose: string, id: string, wrapped: Uint8Array): Uint8Array
}

export interface BackupPorts {
  readonly store: Store
  readonly blobs: Blobs
  readonly clock: Clock
  readonly keyring: Sealing
}

/** What a backup says of itself in its first frame. */
export interface BackupHeader {
  readonly format: 1
  /** All that an installation is; or only rows that `verify --quarantine` moved out of the way. */
  readonly kind: 'installation' | 'rows'
  readonly madeAt: string
  /** Wrapped under the master key, to find out early that another one is at hand. */
  readonly key: string
}

/** What it says in its last frame. */
export interface BackupEnd {
  readonly rows: number
  readonly blobs: number
  readonly bytes: number
  /** The digest of everything before, wrapped under the master key: nobody else can have made the file, or changed it. */
  readonly seal: string
}

export interface BackupMade {
  readonly rows: number
  readonly blobs: number
  /** Of the file. */
  readonly bytes: number
  /** SHA-256, the last in the file, lower-case hex. */
  readonly digest: string
}

export const backupPurpose = 'backup'
export const backupLimits = {
  /** How long the blob sweep stays away after the backup was last heard of: one that died is soon forgotten. */
  keepBlobsMs: 15 * 60_000,
  renewMs: 5 * 60_000,
  /** How often progress is told. */
  progressRows: 1000,
} as const

/** A row names a blob that is not there, or not whole: what would be written could not be restored. */
export class BackupImpossible extends Error {
  override readonly name = 'BackupImpossible'
}

/**
 * Writes everything as it is at one moment, while the gateway goes on, with every blob that its rows name; never more
 * than a few frames in memory. Throws BackupImpossible where a blob is missing or damaged: `verify` tells more.
 */
export async function backup(
  ports: BackupPorts,
  sink: Sink,
  progress: (told: { readonly rows: number; readonly blobs: number; readonly bytes: number }) => void = () => {},
): Promise<BackupMade> {
  const { store, blobs, clock } = ports
  const out = await begin(ports, sink, 'installation')
  const copied = { rows: 0, blobs: 0 }
  let renewAt = 0
  let lastBlob = ''
  try {
    // Before the moment of the snapshot: what it names stays until it is copied.
    renewAt = await renew(store, clock)
    for await (const row of store.snapshot()) {
      if (isOfHome(row)) continue
      await out.row(row)
      const blob = heldBlob(row)
      if (blob !== undefined && blob !== lastBlob) {
        lastBlob = blob
        await copyBlob(blobs, blob, out)
        copied.blobs++
      }
      if (++copied.rows % backupLimits.progressRows === 0) progress({ ...copied, bytes: out.bytes() })
      if (clock.now() >= renewAt) renewAt = await renew(store, clock)
    }
    return await out.end(copied)
  } finally {
    await store.commit(keepBlobs(0)).catch(() => undefined)
  }
}

/** The blob that a row keeps alive; such rows of one blob lie beside one another. */
export function heldBlob(row: StoredRow): string | undefined {
  return row.kind === 'entry' ? /^blob\/([0-9a-f]{64})\//.exec(row.key)?.[1] : undefined
}

async function renew(store: Store, clock: Clock): Promise<number> {
  await store.commit(keepBlobs(clock.now() + backupLimits.keepBlobsMs))
  return clock.now() + backupLimits.renewMs
}

/** The line and the header; answers how to go on. */
export async function begin(
  { clock, keyring }: Pick<BackupPorts, 'clock' | 'keyring'>,
  sink: Sink,
  kind: BackupHeader['kind'],
) {
  const frames = frameWriter()
  let bytes = 0
  let gathered: Uint8Array[] = []
  let gatheredBytes = 0
  async function put(chunk: Uint8Array) {
    bytes += chunk.length
    await sink.write(chunk)
  }
  async function flush() {
    if (gathered.length > 0) await put(frames.frame('r', Buffer.concat(gathered)))
    gathered = []
    gatheredBytes = 0
  }
  const header: BackupHeader = {
    format: 1,
    kind,
    madeAt: new Date(clock.now()).toISOString(),
    key: Buffer.from(keyring.wrap(backupPurpose, 'header', new Uint8Array())).toString('base64'),
  }
  await put(backupLine)
  await put(frames.frame('h', Buffer.from(JSON.stringify(header))))
  return {
    bytes: () => bytes,
    async row(row: StoredRow) {
      gathered.push(encodeRow(row))
      gatheredBytes += rowBytes(row)
      if (gatheredBytes >= frameLimits.rowsBytes) await flush()
    },
    async blob(kind: 'b' | 'c' | 'z', content: Uint8Array) {
      await flush()
      await put(frames.frame(kind, content))
    },
    async end(copied: { readonly rows: number; readonly blobs: number }): Promise<BackupMade> {
      await flush()
      const digest = Buffer.from(frames.digest()).toString('hex')
      const seal = Buffer.from(keyring.wrap(backupPurpose, digest, new Uint8Array())).toString('base64')
      const end: BackupEnd = { ...copied, bytes, seal }
      await put(frames.frame('e', Buffer.from(JSON.stringify(end))))
      await sink.end()
      return { ...copied, bytes, digest: Buffer.from(frames.digest()).toString('hex') }
    },
  }
}

async function copyBlob(blobs: Blobs, name: string, out: Awaited<ReturnType<typeof begin>>): Promise<void> {
  const size = await blobs.size(name)
  const chunks = size === undefined ? undefined : await blobs.get(name)
  if (!chunks) throw new BackupImpossible(`The blob ${name} is named by a row and is not there`)
  await out.blob('b', Buffer.from(name))
  const hash = createHash('sha256')
  for await (const chunk of chunks) {
    hash.update(chunk)
    await out.blob('c', chunk)
  }
  if (hash.digest('hex') !== name) throw new BackupImpossible(`The blob ${name} is not what its name says`)
  await out.blob('z', new Uint8Array())
}
