import type { DirectAddress } from '../direct/address.js'
import { type RefusalReason, refused } from '../direct/refusal.js'
import type { TrailStep } from '../direct/verdict.js'
import type { Address } from '../directory/directory.js'
import type { AuditEntry } from '../ports/audit.js'
import { type Batch, together } from '../ports/store.js'
import { tellSilence } from '../spool/silence.js'
import type { SpooledJob } from '../spool/spooled.js'
import { type Answer, answer } from './answers.js'
import { delivery } from './deliver.js'
import type { InboundPorts } from './inbound.js'
import type { Judged, Verdict } from './judge.js'
import { isForNewcomer } from './newuser-subject.js'
import { type UndecidedPolicy, waitOf } from './patience.js'

/** Rounds of reading again after a conflict: each means that somebody else committed, so more than a few is a bug. */
const rounds = 8

/**
 * Makes the verdicts true, all in one commit: mail, record items and owed notices for those who trust the sender,
 * quarantine with its reasons for those who do not, and the spool entry gone, or kept for those who cannot tell yet.
 */
export async function settle(
  spooled: SpooledJob,
  judged: Judged,
  ports: InboundPorts,
  waiting: UndecidedPolicy,
): Promise<void> {
  const { store, trail, audit, clock } = ports
  const deadline = (spooled.judgedAgainAt ?? spooled.firstAcceptedAt) + waiting.deadlineMs
  const verdicts: Verdict[] = []
  for (const verdict of judged.verdicts) {
    const { recipient } = verdict
    const nowhere = verdict.kind === 'trusted' && !ports.newcomers && (await isHeldFor(recipient, ports))
    if (nowhere) verdicts.push({ ...refused('unknown-recipient', 'mail for newcomers is not held here'), recipient })
    else verdicts.push(clock.now() < deadline ? verdict : decided(verdict))
  }

  for (let round = 0; round < rounds; round++) {
    const made: Made[] = []
    for (const verdict of verdicts) made.push(await madeOf(verdict, spooled, judged.at, ports))
    const batch = together(
      await quarantined(verdicts, spooled, ports),
      ...made.map(({ parts }) => parts),
      ending(verdicts, spooled, ports, waiting, deadline),
      trail.steps(spooled.id, [...judged.steps, ...made.flatMap(({ steps }) => steps)]),
      { append: made.flatMap((one) => one.audit.map((entry) => audit.entry(entry))) },
    )
    const outcome = await store.commit(batch)
    if (outcome.kind === 'committed') {
      if (made.some(({ answered }) => answered?.endsSilence)) await tellSilence(store, ports.metrics)
      return report(spooled, verdicts, made, judged, ports)
    }
    if (outcome.kind === 'lease-lost') return // Another worker has it now, and will come to the same end.
  }
  throw new Error(`Settling ${spooled.id} conflicted ${rounds} times`)
}

/** A verdict that waited past the deadline becomes a refusal: every 250 ends delivered or alarmed. */
function decided(verdict: Verdict): Verdict {
  if (verdict.kind !== 'undecided') return verdict
  const { recipient, cause, detail, candidates } = verdict
  return { ...refused('undecided-too-long', `${cause}: ${detail}`), recipient, ...(candidates && { candidates }) }
}

/** The job is done, or comes back for those who wait: at the latest when their time is over. */
function ending(
  verdicts: readonly Verdict[],
  spooled: SpooledJob,
  { spool, clock }: InboundPorts,
  { retryMs }: UndecidedPolicy,
  deadline: number,
): Batch {
  const waits = verdicts.filter(({ kind }) => kind === 'undecided').map(({ recipient }) => recipient)
  if (waits.length === 0) return spool.finish(spooled)
  return spool.release(spooled, waits, Math.min(clock.now() + waitOf(retryMs, spooled.attempt), deadline))
}

async function quarantined(
  verdicts: readonly Verdict[],
  spooled: SpooledJob,
  { quarantine }: InboundPorts,
): Promise<Batch> {
  const refusals = verdicts.flatMap((verdict) =>
    verdict.kind === 'refused'
      ? [{ recipient: verdict.recipient, reason: verdict.reason, detail: verdict.detail }]
      : [],
  )
  return refusals.length > 0 ? quarantine.keep(spooled, refusals) : {}
}

/** What one verdict makes true, and what is told of it. */
interface Made {
  readonly parts: Batch
  readonly steps: readonly TrailStep[]
  readonly audit: readonly AuditEntry[]
  /** What a notice came to. */
  readonly answered?: Answer
}

async function madeOf(verdict: Verdict, spooled: SpooledJob, at: number, ports: InboundPorts): Promise<Made> {
  switch (verdict.kind) {
    case 'trusted':
      return delivered(verdict, spooled, at, ports)
    case 'refused':
      return { parts: {}, ...toldOfRefusal(verdict, spooled, at) }
    case 'undecided': {
      const { recipient, cause, detail, candidates } = verdict
      const step: TrailStep = { at, step: 'undecided', recipient, detail: `${cause}: ${detail}` }
      return { parts: {}, steps: [{ ...step, ...(candidates && { candidates }) }], audit: [] }
    }
  }
}

async function delivered(
  verdict: Extract<Verdict, { kind: 'trusted' }>,
  spooled: SpooledJob,
  at: number,
  ports: InboundPorts,
): Promise<Made> {
  const { recipient, candidates, warnings } = verdict
  if (await isHeldFor(recipient, ports)) return heldMail(verdict, spooled, at, ports)
  const address = await ports.directory.addresses.get(recipient)
  if (!address) throw new Error(`${spooled.id}: an address was removed while it was judged`) // judged again, then refused
  const trusted: TrailStep = { at, step: 'trusted', recipient, detail: warnings.join(', '), candidates }
  const answered = await answeredBy(verdict, spooled, address, ports)
  const told = {
    steps: [trusted, ...(answered?.steps ?? [])],
    audit: answered?.audit ?? [],
    ...(answered && { answered }),
  }
  if (answered && !answered.shown) return { ...told, parts: answered.parts }
  const made = await delivery(spooled, verdict, address, ports)
  if (made.kind === 'duplicate') {
    const detail = `already in the mailbox as ${made.id}`
    const steps: TrailStep[] = [...told.steps, { at, step: 'duplicate', recipient, detail }]
    return { ...told, parts: answered?.parts ?? {}, steps }
  }
  const steps: TrailStep[] = [
    ...told.steps,
    {
      ...{ at, step: 'delivered', recipient, mailboxMessageId: made.id },
      detail: `${made.id}, ${made.itemCount} items proposed`,
    },
  ]
  if (made.notice) steps.push({ at, step: 'notice-owed', recipient, detail: made.notice })
  if (made.handed) steps.push({ at, step: 'edge-queued', recipient, detail: made.handed })
  const subject = { spool: spooled.id, recipient, message: made.id }
  return {
    ...told,
    parts: together(made.parts, answered?.parts ?? {}),
    steps,
    audit: [...told.audit, { at, action: 'message.deliver', actor: 'system', subject, outcome: 'success' }],
  }
}

/** Whether mail to this address waits for somebody who has none yet: never once the domain was closed. */
async function isHeldFor(recipient: DirectAddress, { directory }: InboundPorts): Promise<boolean> {
  return isForNewcomer(recipient) && (await directory.domains.policyOf(recipient)).activation === 'open'
}

async function heldMail(
  verdict: Extract<Verdict, { kind: 'trusted' }>,
  spooled: SpooledJob,
  at: number,
  { newcomers }: InboundPorts,
): Promise<Made> {
  if (!newcomers) return { parts: {}, steps: [], audit: [] } // refused before
  return newcomers.hold(spooled, verdict, at)
}

/** What a trusted notice says of messages of ours; undefined for other mail, and where nobody here sends. */
async function answeredBy(
  { mail: { opened, from } }: Extract<Verdict, { kind: 'trusted' }>,
  { id }: SpooledJob,
  { address, mailbox }: Pick<Address, 'address' | 'mailbox'>,
  ports: InboundPorts,
): Promise<Answer | undefined> {
  if (opened.notice.kind === 'none') return undefined
  return answer({ notice: opened.notice, from, spoolId: id, address, mailbox }, ports)
}

/** Refusals of which the sender is not at fault: somebody must look. */
const alarming: ReadonlySet<RefusalReason> = new Set(['undecided-too-long', 'opening-failed', 'spool-damaged'])

function toldOfRefusal(
  { recipient, reason, detail, candidates }: Extract<Verdict, { kind: 'refused' }>,
  spooled: SpooledJob,
  at: number,
): Pick<Made, 'steps' | 'audit'> {
  const refusal = refused(reason, detail)
  const steps: TrailStep[] = [{ at, step: 'refused', recipient, detail, refusal, ...(candidates && { candidates }) }]
  const entry = { at, actor: 'system', subject: { spool: spooled.id, recipient }, reason }
  const audit: AuditEntry[] = [{ ...entry, action: 'message.judge', outcome: 'refused' }]
  if (alarming.has(reason)) {
    steps.push({ at, step: 'alarm', recipient, detail: reason })
    audit.push({ ...entry, action: 'alarm', outcome: 'failed' })
  }
  return { steps, audit }
}

/** Counts and log lines, after the commit: what they tell of is true by now. */
function report(
  spooled: SpooledJob,
  verdicts: readonly Verdict[],
  made: readonly Made[],
  judged: Judged,
  { log, metrics, clock }: InboundPorts,
): void {
  for (const verdict of verdicts) {
    const reason =
      verdict.kind === 'refused' ? verdict.reason : verdict.kind === 'undecided' ? verdict.cause : 'trusted'
    metrics.count('inbound_verdicts_total', { outcome: verdict.kind, reason })
    log.info('message.judged', { spool: spooled.id, outcome: verdict.kind, reason })
    if (verdict.kind === 'refused' && alarming.has(verdict.reason)) log.error('alarm', { spool: spooled.id, reason })
  }
  for (const outcome of made.flatMap(({ answered }) => answered?.outcomes ?? []))
    metrics.count('notices_read_total', { outcome })
  metrics.observe('inbound_seconds', (clock.now() - judged.at) / 1000)
}
