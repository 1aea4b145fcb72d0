import { refused } from '../direct/refusal.js'
import type { TrailStep } from '../direct/verdict.js'
import type { Address } from '../directory/directory.js'
import type { AuditEntry } from '../ports/audit.js'
import { type Batch, together } from '../ports/store.js'
import type { RefusedRecipient } from '../spool/quarantine.js'
import type { SpooledJob } from '../spool/spooled.js'
import { delivery } from './deliver.js'
import type { InboundPorts, Judged, UndecidedPolicy, Verdict } from './inbound.js'

/** Rounds of reading again after a conflict: each means that somebody else committed, so more than a few is a bug. */
const rounds = 8

type Trusted = Extract<Verdict, { kind: 'trusted' }>

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
  const { store, spool, trail, clock } = ports
  const verdicts = judged.verdicts.map((verdict) => overdue(spooled, verdict, clock.now(), waiting))
  const waits = verdicts.filter((verdict) => verdict.kind === 'undecided').map((verdict) => verdict.recipient)

  for (let round = 0; round < rounds; round++) {
    const told: Told = { steps: [...judged.steps], audit: [] }
    const kept = await keepRefused(spooled, verdicts, judged.at, ports, told)
    const delivered = await deliverTrusted(spooled, verdicts, judged, ports, told)
    tellUndecided(verdicts, judged.at, told)
    const ending =
      waits.length === 0 ? spool.finish(spooled) : spool.release(spooled, waits, nextTry(spooled, clock.now(), waiting))
    const batch = together(kept, delivered, ending, trail.steps(spooled.id, told.steps), {
      append: told.audit.map((entry) => ports.audit.entry(entry)),
    })
    const outcome = await store.commit(batch)
    if (outcome.kind === 'committed') return report(spooled, verdicts, judged, ports)
    if (outcome.kind === 'lease-lost') return // Another worker has it now, and will come to the same end.
  }
  throw new Error(`Settling ${spooled.id} conflicted ${rounds} times`)
}

/** What the commit tells of itself. */
interface Told {
  readonly steps: TrailStep[]
  readonly audit: AuditEntry[]
}

/** A verdict that waited past the deadline becomes a refusal: every 250 ends delivered or alarmed. */
function overdue(spooled: SpooledJob, verdict: Verdict, now: number, { deadlineMs }: UndecidedPolicy): Verdict {
  if (verdict.kind !== 'undecided' || now - spooled.firstAcceptedAt < deadlineMs) return verdict
  const { recipient, cause, detail, candidates } = verdict
  return { ...refused('undecided-too-long', `${cause}: ${detail}`), recipient, ...(candidates && { candidates }) }
}

function nextTry({ attempt }: SpooledJob, now: number, { retryMs }: UndecidedPolicy): number {
  return now + (retryMs[Math.min(attempt, retryMs.length) - 1] ?? 60_000)
}

async function keepRefused(
  spooled: SpooledJob,
  verdicts: readonly Verdict[],
  at: number,
  { quarantine }: InboundPorts,
  told: Told,
): Promise<Batch> {
  const refusals: RefusedRecipient[] = []
  for (const verdict of verdicts) {
    if (verdict.kind !== 'refused') continue
    const { recipient, reason, detail, candidates } = verdict
    refusals.push({ recipient, reason, detail })
    told.steps.push({
      at,
      step: 'refused',
      recipient,
      detail,
      refusal: refused(reason, detail),
      ...(candidates && { candidates }),
    })
    told.audit.push({
      at,
      action: 'message.judge',
      actor: 'system',
      subject: { spool: spooled.id, recipient },
      outcome: 'refused',
      reason,
    })
    if (reason !== 'undecided-too-long') continue
    told.steps.push({ at, step: 'alarm', recipient, detail: 'no verdict could be reached until the deadline' })
    told.audit.push({
      at,
      action: 'alarm',
      actor: 'system',
      subject: { spool: spooled.id, recipient },
      outcome: 'failed',
      reason,
    })
  }
  return refusals.length > 0 ? quarantine.keep(spooled, refusals) : {}
}

async function deliverTrusted(
  spooled: SpooledJob,
  verdicts: readonly Verdict[],
  judged: Judged,
  ports: InboundPorts,
  told: Told,
): Promise<Batch> {
  const parts: Batch[] = []
  for (const verdict of verdicts) {
    if (verdict.kind !== 'trusted' || !judged.mail) continue
    const { recipient, candidates, warnings } = verdict
    const at = judged.at
    const address = await ports.directory.addresses.get(recipient)
    if (!address) throw new Error(`${spooled.id}: an address was removed while it was judged`) // judged again, then refused
    told.steps.push({ at, step: 'trusted', recipient, detail: warnings.join(', '), candidates })
    parts.push(await deliverOne(spooled, verdict, address, judged.mail, ports, told, at))
  }
  return together(...parts)
}

async function deliverOne(
  spooled: SpooledJob,
  verdict: Trusted,
  address: Address,
  mail: NonNullable<Judged['mail']>,
  ports: InboundPorts,
  told: Told,
  at: number,
): Promise<Batch> {
  const { recipient } = verdict
  const made = await delivery(spooled, verdict, address, mail, ports)
  if (made.kind === 'duplicate') {
    told.steps.push({ at, step: 'duplicate', recipient, detail: `already in the mailbox as ${made.id}` })
    return {}
  }
  const subject = { spool: spooled.id, recipient, message: made.id }
  told.steps.push({ at, step: 'delivered', recipient, detail: `${made.id}, ${made.itemCount} items proposed` })
  told.audit.push({ at, action: 'message.deliver', actor: 'system', subject, outcome: 'success' })
  if (made.notice) told.steps.push({ at, step: 'notice-owed', recipient, detail: made.notice })
  return made.parts
}

function tellUndecided(verdicts: readonly Verdict[], at: number, told: Told): void {
  for (const verdict of verdicts) {
    if (verdict.kind !== 'undecided') continue
    const { recipient, cause, detail, candidates } = verdict
    told.steps.push({
      at,
      step: 'undecided',
      recipient,
      detail: `${cause}: ${detail}`,
      ...(candidates && { candidates }),
    })
  }
}

/** Counts and log lines, after the commit: what they tell of is true by now. */
function report(
  spooled: SpooledJob,
  verdicts: readonly Verdict[],
  judged: Judged,
  { log, metrics, clock }: InboundPorts,
): void {
  for (const verdict of verdicts) {
    const reason =
      verdict.kind === 'refused' ? verdict.reason : verdict.kind === 'undecided' ? verdict.cause : 'trusted'
    metrics.count('inbound_verdicts_total', { outcome: verdict.kind, reason })
    log.info('message.judged', { spool: spooled.id, outcome: verdict.kind, reason })
    if (reason === 'undecided-too-long') log.error('alarm', { spool: spooled.id, reason })
  }
  metrics.observe('inbound_seconds', (clock.now() - judged.at) / 1000)
}
