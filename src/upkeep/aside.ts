import type { Audit } from '../ports/audit.js'
import type { Store } from '../ports/store.js'
import { type BackupPorts, begin, type Sink } from './backup.js'
import { decodeRows, readFrames } from './frames.js'
import { proved } from './restore.js'

/** An entry that `verify` found damaged, as it was then. */
export interface DamagedEntry {
  readonly key: string
  readonly version: number
}

/**
 * Moves damaged entries out of the way: first to a file of the form of a backup, durable, then out of the store, each with
 * an audit entry. What changed meanwhile stays where it is. Answers how many were moved.
 */
export async function setAside(
  { store, clock, keyring, audit }: Pick<BackupPorts, 'store' | 'clock' | 'keyring'> & { readonly audit: Audit },
  damaged: readonly DamagedEntry[],
  sink: Sink,
  by: string,
): Promise<number> {
  const out = await begin({ clock, keyring }, sink, 'rows')
  const kept: DamagedEntry[] = []
  for (const { key, version } of damaged) {
    const row = await store.get(key)
    if (row?.version !== version) continue
    await out.row({ kind: 'entry', ...row })
    kept.push({ key, version })
  }
  await out.end({ rows: kept.length, blobs: 0 })
  let moved = 0
  for (const { key, version } of kept) {
    const subject = { row: key }
    const told = audit.entry({ at: clock.now(), action: 'row.set-aside', actor: by, subject, outcome: 'success' })
    const outcome = await store.commit({ require: [{ key, version }], del: [key], append: [told] })
    if (outcome.kind === 'committed') moved++
  }
  return moved
}

/** Puts rows back that were set aside, where their keys are free; answers how many of how many. Throws as `proved` does. */
export async function putBack(
  { store, keyring }: { readonly store: Store; readonly keyring: BackupPorts['keyring'] },
  open: () => AsyncIterable<Uint8Array>,
): Promise<{ readonly rows: number; readonly back: number }> {
  await proved({ keyring }, open())
  let [rows, back] = [0, 0]
  for await (const frame of readFrames(open())) {
    if (frame.kind !== 'r') continue
    for (const row of decodeRows(frame)) {
      if (row.kind !== 'entry') continue
      rows++
      const { key, value } = row
      const outcome = await store.commit({ require: [{ key, version: 'absent' }], put: [{ key, value }] })
      if (outcome.kind === 'committed') back++
    }
  }
  return { rows, back }
}
