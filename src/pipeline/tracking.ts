import { type DirectAddress, domainOf } from '../direct/address.js'
import type { RefusalReason } from '../direct/refusal.js'
import { refused } from '../direct/refusal.js'
import type { TrailStep } from '../direct/verdict.js'
import type { Audit, AuditEntry } from '../ports/audit.js'
import type { Log, Metrics } from '../ports/observe.js'
import { type Batch, type ClaimedJob, type CommitResult, type Store, together } from '../ports/store.js'
import type { Clock } from '../ports/world.js'
import { missed, type Silence, tellSilence } from '../spool/silence.js'
import {
  moved,
  type RecipientState,
  type StoredSubmission,
  type Submission,
  type Submissions,
} from '../spool/submission.js'
import type { Trail } from '../spool/trail.js'
import { deadlineOf, type TrackingPolicy, trackingPolicy } from './deadlines.js'
import { type FailedRecipient, type ReportPorts, reports, statusOf } from './report.js'
import { putBack, type Withdrawn, withdraw } from './withdraw.js'

/** What failing somebody writes with. */
export interface FailingPorts extends ReportPorts {
  readonly submissions: Submissions
  readonly trail: Pick<Trail, 'steps'>
  readonly audit: Audit
  readonly clock: Clock
}

export interface TrackingPorts extends FailingPorts {
  readonly store: Store
  readonly log: Log
  readonly metrics: Metrics
}

export const trackingLimits = {
  /** A dialogue is under way at the deadline: looked at again so often until it ends, as every attempt does. */
  heldMs: 2_000,
  /** A conflict means that somebody else wrote the same state; more rounds than this is a bug. */
  rounds: 16,
} as const

/** Recipients who fail now, each with why. */
type Failing = ReadonlyMap<DirectAddress, { readonly reason: RefusalReason; readonly detail: string }>

/**
 * Looks after the deadlines of one submission: whoever has not come far enough fails, his copy in the queue is cancelled,
 * and his sender is told, all in one commit. Safe to run again after a crash at any line, and beside whatever else moves the
 * submission: a deadline that lost to an answer fails nobody. Ends the job, or gives it back until the next deadline.
 * Throws StoreFailed when the store does; the job then comes back by itself.
 */
export async function track(
  job: ClaimedJob,
  ports: TrackingPorts,
  policy: TrackingPolicy = trackingPolicy,
): Promise<void> {
  const { submissions, clock } = ports
  const named = submissions.read(job)
  if (!named) throw new Error(`the deadlines of job ${job.id} cannot be read`)
  const late = (submission: Submission, at: number): Failing =>
    new Map(
      submission.recipients.flatMap((one) => {
        const deadline = deadlineOf(submission, one, policy)
        return deadline && deadline.at <= at
          ? [[one.recipient, { reason: deadline.reason, detail: farSoFar(one) }] as const]
          : []
      }),
    )
  const ending = ({ submission, held }: Outcome): Batch => {
    if (held.size > 0) return { release: [{ job, dueAt: clock.now() + trackingLimits.heldMs }] }
    const next = submission.recipients.flatMap((one) => deadlineOf(submission, one, policy)?.at ?? [])
    return next.length === 0 ? { ack: [{ job }] } : { release: [{ job, dueAt: Math.min(...next) }] }
  }
  const outcome = await fail(named, { choose: late, ending, alarmAfter: policy.alarmAfter }, ports)
  if (outcome) return
  ports.log.error('tracking.submission-lost', { id: named.id })
  await ports.store.commit({ ack: [{ job }] }) // a lost lease: another worker finds the same
}

/**
 * Parts that take a message back for everybody it was not sealed for yet: they fail as `cancelled`, and its sender is told of
 * each. Its job is the caller's to end. Throws where the job cannot be read.
 */
export async function cancelWaiting(job: ClaimedJob, why: string, ports: FailingPorts): Promise<Batch> {
  const { submissions, clock } = ports
  const named = submissions.read(job)
  const stored = named && (await submissions.get(named.mailbox, named.id))
  if (!stored) throw new Error(`the submission of job ${job.id} cannot be read`)
  const waiting = stored.submission.recipients.filter(({ state }) => state === 'waiting')
  const failing: Failing = new Map(waiting.map(({ recipient }) => [recipient, { reason: 'cancelled', detail: why }]))
  const at = clock.now()
  return partsOf(stored, failedBy(stored, failing, new Set(), at), at, ports)
}

/** Who is to fail, and what else becomes true. */
interface Order {
  /** Asked anew whenever somebody else moved the submission. */
  readonly choose: (submission: Submission, at: number) => Failing
  readonly ending: (outcome: Outcome) => Batch
  /** How often a domain may be silent until an alarm. */
  readonly alarmAfter: number
}

interface Outcome {
  /** As it is from then on. */
  readonly submission: Submission
  readonly failed: readonly FailedRecipient[]
  readonly held: ReadonlySet<DirectAddress>
}

/** One commit: the states, the copies, the notices, the trail, the audit. Undefined where there is no such submission. */
async function fail(
  { mailbox, id }: { readonly mailbox: string; readonly id: string },
  order: Order,
  ports: TrackingPorts,
): Promise<Outcome | undefined> {
  const { store, submissions, clock } = ports
  let taken: Withdrawn = new Map()
  for (let round = 0; round < trackingLimits.rounds; round++) {
    const stored = await submissions.get(mailbox, id)
    if (!stored) return undefined
    const at = clock.now()
    const failing = order.choose(stored.submission, at)
    const affected = stored.submission.recipients.filter(({ recipient }) => failing.has(recipient))
    // A copy that is taken can be in no dialogue; who has none left to take is as far as he will come.
    const withdrawal = await withdraw(affected, taken, store)
    taken = withdrawal.taken
    const outcome = failedBy(stored, failing, withdrawal.held, at)
    const parts = await partsOf(stored, outcome, at, ports)
    const silence = await silenceOf(stored.submission, outcome.failed, at, order.alarmAfter, ports)
    const result = await store.commit(
      together(parts, silence.parts, putBack(taken, outcome.submission), order.ending(outcome)),
    )
    if (result.kind === 'committed') {
      tell(outcome, silence.alarms, ports)
      if (outcome.failed.length > 0) await tellSilence(store, ports.metrics)
      return outcome
    }
    taken = without(taken, result)
    if (result.kind === 'lease-lost' && result.id === id) {
      // Another worker has the deadline now: the copies are its to take.
      await store.commit(putBack(taken, stored.submission))
      return outcome
    }
  }
  throw new Error(`Failing recipients of ${id} conflicted ${trackingLimits.rounds} times`)
}

/** A copy whose lease was lost is in somebody else's hands; the others are still ours. */
function without(taken: Withdrawn, result: CommitResult): Withdrawn {
  return result.kind === 'lease-lost' ? new Map([...taken].filter(([id]) => id !== result.id)) : taken
}

function failedBy(
  { submission }: StoredSubmission,
  failing: Failing,
  held: ReadonlySet<DirectAddress>,
  at: number,
): Outcome {
  const failed: FailedRecipient[] = []
  const recipients = submission.recipients.map((before) => {
    const why = held.has(before.recipient) ? undefined : failing.get(before.recipient)
    if (!why) return before
    const { reason, detail } = why
    const after = {
      ...moved(before, 'failed', at, { reason, detail, status: statusOf(reason) }),
      state: 'failed',
      reason,
    } as const
    failed.push(after)
    return after
  })
  return { submission: failed.length === 0 ? submission : { ...submission, recipients }, failed, held }
}

/** How far the message came, for people. */
function farSoFar({ state, reason, detail }: RecipientState): string {
  const trouble = [reason, detail].filter(Boolean).join(': ')
  switch (state) {
    case 'waiting':
      return trouble === '' ? 'no certificate was looked up in time' : `no certificate to send it under: ${trouble}`
    case 'queued':
      return trouble === '' ? 'it did not leave in time' : `it did not leave: ${trouble}`
    case 'sent':
      return `his mail server took it (${detail ?? ''}), and nothing was heard since`
    default:
      return 'his gateway took it over, and nothing was heard since'
  }
}

/** The states, a notice for each who fails, the trail and the audit. */
async function partsOf(
  stored: StoredSubmission,
  { submission: changed, failed }: Outcome,
  at: number,
  ports: FailingPorts,
): Promise<Batch> {
  if (failed.length === 0) return {}
  const { submissions, trail, audit } = ports
  const { submission } = stored
  return together(
    await submissions.change(stored, changed),
    await reports(submission, failed, at, ports),
    trail.steps(
      submission.id,
      failed.flatMap((one) => stepsOf(one, at)),
    ),
    { append: failed.map((one) => audit.entry(auditOf(one, submission.id, at))) },
  )
}

/** Domains whose gateways took this message and left all of its recipients there without a word. */
async function silenceOf(
  { id, recipients }: Submission,
  failed: readonly FailedRecipient[],
  at: number,
  alarmAfter: number,
  { store, audit }: TrackingPorts,
): Promise<{ readonly parts: Batch; readonly alarms: readonly Silence[] }> {
  const ended = new Set(failed.map(({ recipient }) => recipient))
  const silent = recipients.filter(({ recipient, state }) => state === 'sent' && ended.has(recipient))
  const parts: Batch[] = []
  const alarms: Silence[] = []
  for (const domain of new Set(silent.map(({ recipient }) => domainOf(recipient)))) {
    const change = await missed(store, domain, at)
    parts.push(change.parts)
    if (change.silence.missed !== alarmAfter) continue
    alarms.push(change.silence)
    const entry: AuditEntry = {
      ...{ at, action: 'alarm', actor: 'system', subject: { domain, spool: id } },
      ...{ outcome: 'failed', reason: 'domain-silent' },
    }
    parts.push({ append: [audit.entry(entry)] })
  }
  return { parts: together(...parts), alarms }
}

function stepsOf({ recipient, reason, detail = '', status }: FailedRecipient, at: number): TrailStep[] {
  return [
    { at, step: 'failed', recipient, detail, refusal: refused(reason, detail) },
    { at, step: 'reported', recipient, detail: `to the sender, as ${status}` },
  ]
}

function auditOf({ recipient, reason }: FailedRecipient, id: string, at: number): AuditEntry {
  return { at, action: 'message.track', actor: 'system', subject: { spool: id, recipient }, outcome: 'failed', reason }
}

/** Counts and log lines, after the commit: what they tell of is true by now. */
function tell({ submission, failed }: Outcome, alarms: readonly Silence[], { log, metrics }: TrackingPorts): void {
  for (const { reason } of failed) {
    metrics.count('tracking_failures_total', { reason })
    log.info('message.failed', { spool: submission.id, reason })
  }
  for (const { domain, missed: messages } of alarms) log.error('alarm', { domain, reason: 'domain-silent', messages })
}
