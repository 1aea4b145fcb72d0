import type { Config } from '../config/settings.js'
import type { Directory } from '../directory/directory.js'
import { clock, type House } from '../house.js'
import type { Blobs } from '../ports/blobs.js'
import { openSentSweep } from '../spool/sent-sweep.js'
import { levelLimits } from '../store/level/level.js'
import { every, type Parts } from './parts.js'

const sweepEveryMs = 10 * 60_000
const dayMs = 86_400_000
/** Sent messages looked at in one round of sweeping. */
const sentAtOnce = 1_000
/** How long another gateway over the same database may go on with an anchor, a token or an address that was removed. */
const refreshEveryMs = 1_000

/** Sweeping, and where other processes may change the directory, looking whether they did. */
export function startTimers(parts: Parts): void {
  const { house, config } = parts
  const sweepSent = openSentSweep({ ...house, clock, mailboxes: () => mailboxesOfProviders(house.directory) })
  every(parts, sweepEveryMs, 'sweep.failed', () => sweep(house, sweepSent, config))
  if (house.store.shared) every(parts, refreshEveryMs, 'directory.not-refreshed', () => house.directory.refresh())
}

/** Work that keeps the house small; each call is bounded, and what is left waits for the next. */
async function sweep(
  { spool, quarantine }: House,
  sweepSent: ReturnType<typeof openSentSweep>,
  { retention }: Config,
): Promise<void> {
  await spool.sweepSeen()
  await quarantine.purge(retention.quarantineDays * dayMs)
  await sweepSent(clock.now() - retention.sentDays * dayMs, sentAtOnce)
  // Last: a bucket or a shared disk may be away while the store is there.
  await spool.sweepBlobs()
}

/** Whose sent mail is not kept for ever: what a patient wrote is theirs. */
async function* mailboxesOfProviders({ addresses }: Pick<Directory, 'addresses'>): AsyncGenerator<string> {
  let after: string | undefined
  do {
    const page = await addresses.list({ ...(after !== undefined && { after }), limit: 1_000 })
    for (const { kind, mailbox } of page.items) if (kind === 'provider') yield mailbox
    after = page.next
  } while (after !== undefined)
}

/**
 * Room for the next message: one and a half of the largest (as Postfix keeps `queue_minfree`), what the store may write by
 * itself, and a twentieth of the disk, in bytes as in inodes.
 */
export function hasRoom(room: Awaited<ReturnType<Blobs['room']>>, { limits, store }: Config): boolean {
  if (!room) return true
  // LevelDB turns both of its buffers into tables without asking.
  const storeBytes = store.kind === 'level' ? 2 * levelLimits.writeBufferBytes : 0
  const wantedBytes = Math.max(1.5 * limits.messageBytes, storeBytes, 0.05 * room.totalBytes)
  return room.freeBytes >= wantedBytes && room.freeInodes >= 0.05
}
