import { type Batch, type ClaimedJob, together } from '../ports/store.js'
import { forgottenAt } from './failures.js'
import { cameOfAge, eraseRecord } from './records.js'
import { recoveryReady } from './recovery.js'
import { opened, type PeopleRoom, plain, settle, ticketOwner } from './rows.js'
import { forgottenSession } from './sessions.js'
import { forgottenInvitation } from './sharing.js'

/** Does a job of the queue `people` that is due, and ends it in the same commit. May run twice for one job. */
export async function handlePeopleJob(room: PeopleRoom, job: ClaimedJob): Promise<void> {
  await settle(room, async () => {
    const later = await notBefore(room, job)
    if (later !== undefined) return { answer: undefined, parts: { release: [{ job, dueAt: later }] } }
    return { answer: undefined, parts: together(await partsOf(room, job), { ack: [{ job }] }) }
  })
}

async function partsOf(room: PeopleRoom, { id }: ClaimedJob): Promise<Batch> {
  const [kind = '', subject = '', more = ''] = id.split(' ')
  switch (kind) {
    case 'forget':
      return forget(room, subject)
    case 'recovery':
      return recoveryReady(room, subject, Number(more))
    case 'of-age':
      return cameOfAge(room, subject, more)
    case 'erase':
      return eraseRecord(room, subject)
    default:
      return {}
  }
}

async function forget(room: PeopleRoom, key: string): Promise<Batch> {
  if (key.startsWith('people/session/')) return forgottenSession(room, key)
  if (key.startsWith('people/invitation/')) return forgottenInvitation(room, key)
  const row = await room.store.get(key)
  return row ? { require: [{ key, version: row.version }], del: [key] } : {}
}

/** Until when a row stays that was written anew since the job was put down; undefined where its time is over. */
async function notBefore(room: PeopleRoom, { id }: ClaimedJob): Promise<number | undefined> {
  const [kind, key = ''] = id.split(' ')
  const row = kind === 'forget' ? await room.store.get(key) : undefined
  if (!row) return undefined
  const at = await endOf(room, key, row)
  return at !== undefined && at > room.clock.now() ? at : undefined
}

async function endOf(room: PeopleRoom, key: string, row: NonNullable<Awaited<ReturnType<PeopleRoom['store']['get']>>>) {
  if (key.startsWith('people/failures/')) return forgottenAt(row.value, room.limits.failuresMs)
  if (key.startsWith('people/ticket/')) {
    return (await opened<{ expiresAt: number }>(room.vault, ticketOwner, row)).expiresAt
  }
  // An address in use is never forgotten: it was kept once, and came back.
  if (key.startsWith('people/email/'))
    return plain<{ kept?: number }>(row.value).kept ?? room.clock.now() + 365 * 86_400_000
  return undefined
}
