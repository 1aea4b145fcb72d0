import type { Directory } from '../directory/directory.js'
import type { Mailbox } from '../mailbox/mailbox.js'
import type { Audit } from '../ports/audit.js'
import type { Blobs } from '../ports/blobs.js'
import type { Log, Metrics } from '../ports/observe.js'
import { type Store, together } from '../ports/store.js'
import type { Issuers, Revocation } from '../ports/trust.js'
import type { Clock } from '../ports/world.js'
import type { PatientRecord } from '../record/record.js'
import type { Quarantine } from '../spool/quarantine.js'
import type { Spool } from '../spool/spool.js'
import type { SpooledJob } from '../spool/spooled.js'
import type { Submissions } from '../spool/submission.js'
import type { Trail } from '../spool/trail.js'
import { judge } from './judge.js'
import type { MailLetterPorts } from './mail-letters.js'
import type { Newcomers } from './newuser.js'
import type { Notices } from './notices.js'
import { TryAgain, type UndecidedPolicy, undecidedPolicy, waitOf } from './patience.js'
import { settle } from './settle.js'
import type { Steps } from './steps.js'

export interface InboundPorts extends Pick<MailLetterPorts, 'letters' | 'people' | 'links'> {
  readonly store: Store
  readonly blobs: Blobs
  readonly spool: Spool
  readonly trail: Trail
  readonly quarantine: Quarantine
  readonly directory: Directory
  readonly mailbox: Mailbox
  readonly record: PatientRecord
  readonly revocation: Revocation
  readonly issuers: Issuers
  readonly steps: Steps
  readonly notices: Notices
  /** What people here sent: notices about it are read, and not shown again. */
  readonly submissions: Submissions
  /** Where mail for people without an address waits; without it, such mail is refused. */
  readonly newcomers?: Pick<Newcomers, 'hold'>
  readonly audit: Audit
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
}

/**
 * Turns one spooled message into mail, record items and owed notices, or into quarantine, per recipient; what cannot be
 * decided now stays spooled. Everything becomes true in one commit, so it is safe to run again after a crash at any line.
 * Throws StoreFailed when the store does, and StepNotBegun where no thread was free; the job then comes back by itself.
 */
export async function receive(spooled: SpooledJob, ports: InboundPorts, waiting = undecidedPolicy): Promise<void> {
  try {
    await settle(spooled, await judge(spooled, ports), ports, waiting)
  } catch (error) {
    if (!(error instanceof TryAgain)) throw error
    await setBack(spooled, error, ports, waiting)
  }
}

/** Gives the job back with one failure more on its count. */
async function setBack(
  spooled: SpooledJob,
  { step, message }: TryAgain,
  { store, spool, trail, clock, log, metrics }: InboundPorts,
  { retryMs }: UndecidedPolicy,
): Promise<void> {
  const at = clock.now()
  const failures = (spooled.stepFailures?.[step] ?? 0) + 1
  const job = { ...spooled, stepFailures: { ...spooled.stepFailures, [step]: failures } }
  const dueAt = at + waitOf(retryMs, failures)
  const detail = `${step} ended without an answer ${failures} times: ${message}`
  await store.commit(
    together(spool.release(job, spooled.pending, dueAt), trail.steps(spooled.id, [{ at, step: 'undecided', detail }])),
  ) // a lost lease: another worker has it now
  log.warn('step.failed', { spool: spooled.id, step, failures })
  metrics.count('step_failures_total', { step })
}
