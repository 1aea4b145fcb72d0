import type { DirectAddress } from '../direct/address.js'
import { type RefusalReason, refused } from '../direct/refusal.js'
import type { TrailStep } from '../direct/verdict.js'
import type { Audit, AuditEntry } from '../ports/audit.js'
import { type Batch, together } from '../ports/store.js'
import type { Clock } from '../ports/world.js'
import type { OutboundJob } from '../spool/outbound.js'
import { moved, type RecipientState, type Submissions, submissionLimits } from '../spool/submission.js'
import type { Trail } from '../spool/trail.js'
import type { NoticeOutcome, Notices } from './notices.js'
import { type FailedRecipient, type ReportPorts, reports, statusIn, statusOf } from './report.js'

export interface SentPorts extends ReportPorts {
  readonly submissions: Submissions
  readonly notices: Pick<Notices, 'outcome'>
  readonly trail: Trail
  readonly audit: Audit
  readonly clock: Clock
}

/** What one try came to for some recipients of a job. */
export type SentOutcome = NoticeOutcome & { readonly to: readonly DirectAddress[] }

/**
 * What else becomes true with each try to deliver: for a notice what `notices` says; for a message the state of its
 * recipients, steps in its trail, and a notice to its sender for each recipient who will never get it.
 */
export function outcomesOf(
  ports: SentPorts,
): (job: OutboundJob, results: readonly SentOutcome[]) => Batch | Promise<Batch> {
  return (job, results) => (job.kind === 'mdn' ? ports.notices.outcome(job, results) : message(ports, job, results))
}

async function message(ports: SentPorts, job: OutboundJob, results: readonly SentOutcome[]): Promise<Batch> {
  const { submissions, trail, audit, clock } = ports
  const at = clock.now()
  const stored = job.mailbox === undefined ? undefined : await submissions.get(job.mailbox, job.trail)
  /** Who came to an end, or said that he has it, before we learnt of this try: nothing follows from it any more. */
  const moot = (recipient: DirectAddress) =>
    stored?.submission.recipients.some((one) => one.recipient === recipient && one.job !== job.id) === true
  const told = together(
    trail.steps(
      job.trail,
      results.flatMap((result) => result.to.flatMap((recipient) => stepsFor(recipient, result, at, moot(recipient)))),
    ),
    { append: results.flatMap((result) => auditOf(result, job, at)).map((one) => audit.entry(one)) },
  )
  if (!stored) return told
  const { submission } = stored
  const changed = submission.recipients.map((before): RecipientState => {
    const result = results.find(({ to }) => to.includes(before.recipient))
    // Only what this job carries is its to say.
    return result && before.state === 'queued' && before.job === job.id ? stateOf(before, result, at) : before
  })
  const failed = changed.filter(
    (one, i): one is FailedRecipient => one.state === 'failed' && submission.recipients[i]?.state === 'queued',
  )
  return together(
    told,
    await submissions.change(stored, { ...submission, recipients: changed }),
    await reports(submission, failed, at, ports),
  )
}

function stateOf(before: RecipientState, result: SentOutcome, since: number): RecipientState {
  switch (result.kind) {
    case 'delivered':
      return moved(before, 'sent', since, { detail: `${result.host}: ${result.reply}` })
    case 'retry':
      return { ...before, detail: wordsOf(result).slice(0, submissionLimits.detailChars) }
    case 'failed':
    case 'expired': {
      const reason = reasonOf(result)
      const status = result.kind === 'failed' ? statusIn(result.detail) : statusOf(reason)
      return moved(before, 'failed', since, { reason, detail: wordsOf(result), status })
    }
    case 'refused': {
      const { reason, detail } = result.refusal
      return moved(before, 'failed', since, { reason, detail, status: statusOf(reason) })
    }
  }
}

function stepsFor(recipient: DirectAddress, result: SentOutcome, at: number, moot: boolean): TrailStep[] {
  switch (result.kind) {
    case 'delivered':
      return [{ at, step: 'sent', recipient, detail: `${result.host}: ${result.reply}` }]
    case 'retry':
      return [{ at, step: 'attempted', recipient, detail: wordsOf(result) }]
    case 'failed':
    case 'expired':
    case 'refused': {
      if (moot) return [{ at, step: 'attempted', recipient, detail: 'after his end: another try came to nothing' }]
      const refusal = result.kind === 'refused' ? result.refusal : refused(reasonOf(result), wordsOf(result))
      return [
        { at, step: 'failed', recipient, detail: refusal.detail, refusal },
        { at, step: 'reported', recipient, detail: 'to the sender' },
      ]
    }
  }
}

function auditOf(result: SentOutcome, { id, trail }: OutboundJob, at: number): AuditEntry[] {
  if (result.kind === 'retry') return []
  return result.to.map((recipient): AuditEntry => {
    const entry = { at, actor: 'system', action: 'message.deliver-out', subject: { spool: trail, job: id, recipient } }
    if (result.kind === 'delivered') return { ...entry, outcome: 'success' }
    return { ...entry, outcome: 'failed', reason: result.kind === 'refused' ? result.refusal.reason : reasonOf(result) }
  })
}

function reasonOf({ kind }: Pick<SentOutcome, 'kind'>): RefusalReason {
  return kind === 'expired' ? 'undelivered-too-long' : 'not-delivered'
}

function wordsOf({ host, detail }: { readonly host?: string; readonly detail: string }): string {
  return [host, detail].filter(Boolean).join(': ')
}
