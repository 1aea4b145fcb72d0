import { type Batch, type ClaimedJob, together } from '../ports/store.js'
import type { RequestLedger } from './ledger.js'
import { codeKey, connectQueue, externalKey, listKey, requestKey, type Stored, stateAt, ticketKey } from './rows.js'

/** Ends what is over and forgets what ended long ago: each job in one commit with what it is about. */
export async function sweeping(ledger: RequestLedger, limit = 100): Promise<number> {
  const jobs = await ledger.store.claim(connectQueue, limit, ledger.limits.leaseMs)
  for (const job of jobs) await handle(ledger, job)
  return jobs.length
}

async function handle(ledger: RequestLedger, job: ClaimedJob): Promise<void> {
  for (let round = 0; round < ledger.limits.rounds; round++) {
    const parts = job.id.startsWith('ticket-')
      ? { ack: [{ job }], del: [ticketKey(job.id.slice('ticket-'.length))] }
      : await due(ledger, job)
    const outcome = await ledger.store.commit(parts)
    if (outcome.kind !== 'conflict') return
  }
}

/** What becomes of a request whose job is due. */
async function due(ledger: RequestLedger, job: ClaimedJob): Promise<Batch> {
  const stored = await ledger.byId(job.id)
  if (!stored) return { ack: [{ job }] }
  const { row } = stored
  const now = ledger.clock.now()
  const until = (dueAt: number): Batch => ({ release: [{ job, dueAt }] })
  switch (row.state) {
    case 'allocated':
    case 'pending': {
      if (now < row.expiresAt) return until(row.expiresAt)
      const state = stateAt(row, now) === 'locked' ? ('locked' as const) : ('expired' as const)
      const changed = { state, endedAt: now, tickets: [] }
      return together(
        await ledger.put(stored, changed),
        { del: row.tickets.map(({ digest }) => ticketKey(digest)) },
        until(now + ledger.limits.keptMs),
        await ledger.ended(stored, changed, state),
        ledger.audited(state, 'system', row),
      )
    }
    case 'authorized':
      return now < row.expiresAt ? until(row.expiresAt) : purge(ledger, stored, job)
    case 'locked':
    case 'expired':
    case 'withdrawn':
    case 'refused':
    case 'claimed': {
      const goesAt = (row.endedAt ?? row.expiresAt) + ledger.limits.keptMs
      return now < goesAt ? until(goesAt) : purge(ledger, stored, job)
    }
  }
}

async function purge(ledger: RequestLedger, stored: Stored, job: ClaimedJob): Promise<Batch> {
  const { row, version } = stored
  const { id, of, owner, external, tickets } = row
  // What was withdrawn gave its external id back, and another may have it by now.
  const own = external !== undefined && row.state !== 'withdrawn' ? [externalKey(of, owner, external, id)] : []
  return together(
    {
      require: [{ key: requestKey(id), version }],
      del: [requestKey(id), codeKey(row.code), listKey(row), ...own, ...tickets.map(({ digest }) => ticketKey(digest))],
      ack: [{ job }],
    },
    await ledger.ended(stored, {}, 'purged'),
    ledger.audited('purge', 'system', row),
  )
}
