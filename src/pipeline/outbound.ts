import type { DirectAddress } from '../direct/address.js'
import { type RefusalReason, type Refused, refused, type Undecided } from '../direct/refusal.js'
import type { TrailStep } from '../direct/verdict.js'
import type { Audit, AuditEntry } from '../ports/audit.js'
import type { Blobs } from '../ports/blobs.js'
import { gather } from '../ports/body.js'
import type { Log, Metrics } from '../ports/observe.js'
import { type ClaimedJob, type Store, together } from '../ports/store.js'
import {
  moved,
  type RecipientState,
  type StoredSubmission,
  type Submission,
  type Submissions,
  submissionLimits,
} from '../spool/submission.js'
import type { Trail } from '../spool/trail.js'
import { eachOf } from './each.js'
import type { EncryptionPorts } from './encryption.js'
import { keysToSign } from './keys.js'
import { type UndecidedPolicy, undecidedPolicy, waitOf } from './patience.js'
import { certificatesOf, type RecipientFinding, type RecipientPorts } from './recipients.js'
import { type FailedRecipient, type ReportPorts, reports, statusOf } from './report.js'
import { type Addressed, type Carried, carriers, sealFor } from './sealing.js'
import { StepFailed, type Steps } from './steps.js'

export interface SendPorts extends RecipientPorts, Pick<ReportPorts, 'mailbox'>, Pick<EncryptionPorts, 'encryption'> {
  readonly store: Store
  readonly blobs: Blobs
  readonly submissions: Submissions
  readonly steps: Steps
  readonly trail: Trail
  readonly audit: Audit
  readonly log: Log
  readonly metrics: Metrics
}

export const sendLimits = {
  /** Recipients looked up at once: each is a few questions to name servers and directories, most of which is waiting. */
  lookups: 8,
  /** Tries of sealing; then the message is given up, so that it cannot hold up others for ever. */
  sealings: 3,
  /** A conflict means that somebody else wrote the same state; more rounds than this is a bug. */
  rounds: 8,
} as const

/** What one round came to for one recipient. */
type Verdict = Pick<RecipientFinding, 'recipient' | 'candidates' | 'steps'> &
  ({ readonly kind: 'carried'; readonly job: string; readonly detail: string } | Refused | Undecided)

/**
 * Sends one submitted message as far as it can be sent now (Applicability Statement §2, §4, §5.3): sealed once to everybody
 * who is trusted, a notice to its sender for each who is not, and those about whom nothing can be known yet looked up again
 * until their time is over. Everything becomes true in one commit, so it is safe to run again after a crash at any line.
 * Throws StoreFailed when the store does, and StepNotBegun where no thread was free; the job then comes back by itself.
 */
export async function send(job: ClaimedJob, ports: SendPorts, waiting = undecidedPolicy): Promise<void> {
  for (let turn = 0; turn < sendLimits.rounds; turn++) if ((await sendOnce(job, ports, waiting)) === 'settled') return
  throw new Error(`Sending ${job.id} was overtaken ${sendLimits.rounds} times`)
}

/** One round; `overtaken` where somebody whom it was for came to an end meanwhile, so that none of it became true. */
async function sendOnce(job: ClaimedJob, ports: SendPorts, waiting: UndecidedPolicy): Promise<'settled' | 'overtaken'> {
  const { submissions, directory, clock } = ports
  const named = submissions.read(job)
  const stored = named && (await submissions.get(named.mailbox, named.id))
  if (!stored) throw new Error(`the submission of job ${job.id} cannot be read`)
  const { submission } = stored
  const { from, mailbox, id, recipients } = submission
  const pending = recipients.filter(({ state }) => state === 'waiting')
  const conclude = (verdicts: readonly Verdict[], carried: readonly Carried[] = []) =>
    settle({ job, stored, verdicts, carried, waiting }, ports)

  // May the sender sign now?
  const signers = await keysToSign(from, clock.now(), directory)
  if ('kind' in signers) return conclude(pending.map((one) => verdictOf(one, signers)))

  // To whom? Each recipient's certificates, as this sender trusts them.
  const findings = await eachOf(pending, sendLimits.lookups, (one) => findingOf(one, submission, ports))
  const addressed = findings.flatMap((finding) => (finding.kind === 'good' ? [finding] : []))
  const withheld = findings.flatMap((finding) => (finding.kind === 'good' ? [] : [finding]))
  if (addressed.length === 0) return conclude(withheld)

  const chunks = await submissions.message(mailbox, id)
  if (!chunks) {
    const gone = refused('spool-damaged', 'the submitted message is gone')
    return conclude([...withheld, ...addressed.map((one) => verdictOf(one, gone))])
  }

  // Wrapped, signed by every key of the sender, encrypted once to all of them: RFC 8551 §3.1, §3.3.
  const outer = { from, messageId: submission.messageId, date: submission.submittedAt }
  const request = { message: await gather(chunks), signers, outer, at: clock.now() }
  const sealed = await sealFor(addressed, request, ports).catch((error: unknown) => {
    if (error instanceof StepFailed) return error
    throw error
  })
  if (sealed instanceof StepFailed) return setBack({ job, stored, addressed, withheld, waiting }, sealed, ports)

  // One job for each domain: its exchanger takes the message for all of its recipients.
  const carried = sealed.wire ? await carriers(submission, sealed.sealed, sealed.wire, clock.now(), ports.blobs) : []
  const taken = sealed.sealed.map((one): Verdict => {
    const by = carried.find(({ job }) => job.to.includes(one.recipient))
    return { ...one, kind: 'carried', job: by?.job.id ?? '', detail: told(one) }
  })
  return conclude([...withheld, ...sealed.withheld.map((one) => verdictOf(one, one.outcome)), ...taken], carried)
}

async function findingOf(
  { recipient, blind }: RecipientState,
  { from }: Submission,
  ports: SendPorts,
): Promise<RecipientFinding> {
  // Strict gateways refuse whoever stands in neither To nor Cc (ANSI/DS 2019-01-100-2021), in silence.
  if (blind) return { ...refused('blind-recipient', recipient), recipient, candidates: [], steps: [] }
  return certificatesOf(recipient, from, ports)
}

function verdictOf(
  { recipient, candidates = [], steps = [] }: Partial<RecipientFinding> & Pick<RecipientFinding, 'recipient'>,
  outcome: Refused | Undecided,
): Verdict {
  return { ...outcome, recipient, candidates, steps }
}

function told({ certificates, warnings }: Addressed): string {
  return [`to ${certificates.length} of his certificates`, ...warnings].join(', ')
}

/** What a round came to, and what it began with. */
interface Round {
  readonly job: ClaimedJob
  readonly stored: StoredSubmission
  readonly verdicts: readonly Verdict[]
  readonly carried: readonly Carried[]
  readonly waiting: UndecidedPolicy
  readonly sealFailures?: number
}

/**
 * Makes the verdicts true, all in one commit: the jobs that carry the message, the state of every recipient, a notice for
 * each who does not get it, the trail, the audit, and the end of the job or its next try for those who wait.
 */
async function settle(round: Round, ports: SendPorts): Promise<'settled' | 'overtaken'> {
  const { job, waiting } = round
  const { store, submissions, trail, audit, clock } = ports
  let { stored } = round
  for (let turn = 0; turn < sendLimits.rounds; turn++) {
    const { submission } = stored
    const at = clock.now()
    const deadline = submission.submittedAt + waiting.deadlineMs
    const verdicts = at < deadline ? round.verdicts : round.verdicts.map(decided)
    const changed = changedBy(submission, verdicts, at, round.sealFailures)
    const failed = changed.recipients.filter(
      (one): one is FailedRecipient => one.state === 'failed' && verdicts.some((v) => v.recipient === one.recipient),
    )
    const dueAt = Math.min(at + waitOf(waiting.retryMs, job.attempt), Math.max(deadline, at))
    const waits = changed.recipients.some(({ state }) => state === 'waiting')
    const batch = together(
      waits ? { release: [{ job, dueAt }] } : { ack: [{ job }] },
      await submissions.change(stored, changed),
      ...round.carried.map(({ parts }) => parts),
      await reports(submission, failed, at, ports),
      trail.steps(
        submission.id,
        verdicts.flatMap((verdict) => stepsOf(verdict, at)),
      ),
      { append: verdicts.flatMap((verdict) => auditOf(verdict, submission.id, at)).map((one) => audit.entry(one)) },
    )
    const outcome = await store.commit(batch)
    if (outcome.kind === 'committed') {
      report(submission, verdicts, ports)
      return 'settled'
    }
    if (outcome.kind === 'lease-lost') return 'settled' // Another worker has it now, and will come to the same end.
    // Delivery wrote what became of recipients of an earlier round, or an answer did.
    const again = await submissions.get(submission.mailbox, submission.id)
    if (!again) throw new Error(`the submission ${submission.id} is gone`)
    // Somebody of this round came to an end meanwhile: it must not leave for him, so that all begins anew for the others.
    if (round.verdicts.some(({ recipient }) => !isWaiting(again.submission, recipient))) return 'overtaken'
    stored = again
  }
  throw new Error(`Sending ${job.id} conflicted ${sendLimits.rounds} times`)
}

function isWaiting({ recipients }: Submission, recipient: DirectAddress): boolean {
  return recipients.some((one) => one.recipient === recipient && one.state === 'waiting')
}

/** Sealing gave no answer: once more later, and after a few times never again. */
function setBack(
  {
    addressed,
    withheld,
    ...round
  }: Omit<Round, 'verdicts' | 'carried'> & {
    readonly addressed: readonly Addressed[]
    readonly withheld: readonly (Verdict & (Refused | Undecided))[]
  },
  failure: StepFailed,
  ports: SendPorts,
): Promise<'settled' | 'overtaken'> {
  const sealFailures = (round.stored.submission.sealFailures ?? 0) + 1
  const outcome =
    sealFailures >= sendLimits.sealings
      ? refused('sealing-failed', `${sealFailures} times: ${failure.message}`)
      : ({ kind: 'undecided', cause: 'key-store-unavailable', detail: `sealing: ${failure.message}` } as const)
  ports.log.warn('step.failed', { spool: round.stored.submission.id, step: 'seal', failures: sealFailures })
  const verdicts = [...withheld, ...addressed.map((one) => verdictOf(one, outcome))]
  return settle({ ...round, verdicts, carried: [], sealFailures }, ports)
}

/** A verdict that waited past the deadline becomes a refusal: everything submitted ends sent or reported. */
function decided(verdict: Verdict): Verdict {
  if (verdict.kind !== 'undecided') return verdict
  return verdictOf(verdict, refused('undecided-too-long', `${verdict.cause}: ${verdict.detail}`))
}

function changedBy(
  submission: Submission,
  verdicts: readonly Verdict[],
  at: number,
  sealFailures = submission.sealFailures,
): Submission {
  const recipients = submission.recipients.map((before) => {
    const verdict = verdicts.find(({ recipient }) => recipient === before.recipient)
    return verdict && before.state === 'waiting' ? stateAfter(before, verdict, at) : before
  })
  return { ...submission, recipients, ...(sealFailures !== undefined && { sealFailures }) }
}

function stateAfter(before: RecipientState, verdict: Verdict, since: number): RecipientState {
  const { detail } = verdict
  switch (verdict.kind) {
    case 'carried':
      return moved(before, 'queued', since, { job: verdict.job })
    case 'refused':
      return moved(before, 'failed', since, { reason: verdict.reason, detail, status: statusOf(verdict.reason) })
    case 'undecided':
      return { ...before, reason: verdict.cause, detail: detail.slice(0, submissionLimits.detailChars) }
  }
}

function stepsOf(verdict: Verdict, at: number): TrailStep[] {
  const { recipient, candidates, steps } = verdict
  const looked = steps.map(({ source, binding, outcome }) => `${source} ${binding}: ${outcome}`).join(', ')
  const detailOf = (...parts: string[]) => parts.filter(Boolean).join('; ')
  switch (verdict.kind) {
    case 'carried':
      return [
        { at, step: 'trusted', recipient, detail: looked, candidates },
        { at, step: 'queued', recipient, detail: verdict.detail },
      ]
    case 'refused': {
      const refusal = refused(verdict.reason, verdict.detail)
      return [
        { at, step: 'refused', recipient, detail: detailOf(verdict.detail, looked), refusal, candidates },
        { at, step: 'reported', recipient, detail: `to the sender, as ${statusOf(verdict.reason)}` },
      ]
    }
    case 'undecided':
      return [
        {
          at,
          step: 'undecided',
          recipient,
          detail: detailOf(`${verdict.cause}: ${verdict.detail}`, looked),
          candidates,
        },
      ]
  }
}

function auditOf(verdict: Verdict, id: string, at: number): AuditEntry[] {
  if (verdict.kind === 'undecided') return []
  const entry = { at, actor: 'system', action: 'message.send', subject: { spool: id, recipient: verdict.recipient } }
  return verdict.kind === 'carried'
    ? [{ ...entry, outcome: 'success' }]
    : [{ ...entry, outcome: 'refused', reason: verdict.reason }]
}

/** Counts and log lines, after the commit: what they tell of is true by now. */
function report({ id }: Submission, verdicts: readonly Verdict[], { log, metrics }: SendPorts): void {
  for (const verdict of verdicts) {
    const reason: RefusalReason | Undecided['cause'] | 'carried' =
      verdict.kind === 'refused' ? verdict.reason : verdict.kind === 'undecided' ? verdict.cause : 'carried'
    metrics.count('outbound_verdicts_total', { outcome: verdict.kind, reason })
    log.info('message.sent', { spool: id, outcome: verdict.kind, reason })
  }
}
