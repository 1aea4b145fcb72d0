import { createHash } from 'node:crypto'
import type { DirectAddress } from '../direct/address.js'
import type { Refused } from '../direct/refusal.js'
import type { TrailStep } from '../direct/verdict.js'
import type { MdnDisposition } from '../notices/mdn.js'
import type { Audit } from '../ports/audit.js'
import { type Batch, together } from '../ports/store.js'
import type { Vault } from '../ports/vault.js'
import type { Clock } from '../ports/world.js'
import { enqueueOutbound, type OutboundJob } from '../spool/outbound.js'
import type { SpooledJob } from '../spool/spooled.js'
import type { Trail } from '../spool/trail.js'
import type { Verdict } from './judge.js'

export interface NoticePorts {
  readonly vault: Vault
  readonly trail: Pick<Trail, 'steps'>
  readonly audit: Audit
  readonly clock: Clock
}

/**
 * What a notice will be made from; sealed by the vault while it is owed, since it joins a patient to a message
 * of a clinic. Once it is made, the queue holds what the wire will show: sender and recipient, as in any mail queue, and
 * nothing of the message it speaks of. The address it goes to stands in the job all along, for routing.
 */
export interface Owed extends NoticeFacts {
  readonly disposition: MdnDisposition
  /** Why it failed, for its sender to read. */
  readonly failure?: string
}

/** What is known of a trusted message that its sender may be told of, whatever becomes of it. */
export interface NoticeFacts {
  /** The recipient a notice speaks for. */
  readonly recipient: DirectAddress
  readonly to: DirectAddress
  readonly originalMessageId?: string
  /** The certificate that signed the message, and those that came with it: base64 DER. */
  readonly signer: string
  readonly certificates: readonly string[]
}

export interface Notices {
  /**
   * Parts that owe the `processed` notice for a trusted message (Applicability Statement §3.0), and the `dispatched` one
   * where it was asked for correctly (Delivery Notification IG §1.3): none for a message that is itself a notice
   * (RFC 8098 §3: no MDN for an MDN). Where the mailbox is the final destination, `dispatched` becomes true in the very
   * commit that `processed` does; where the message goes `onwards`, it is owed once it got there.
   */
  owed(input: {
    readonly spooled: SpooledJob
    readonly verdict: Extract<Verdict, { kind: 'trusted' }>
    readonly messageId: string
    readonly onwards?: boolean
  }): Promise<{ readonly parts: Batch; readonly detail?: string }>
  /** Parts that owe one notice of what became of a message later. Owing the same twice is owing it once. */
  owe(disposition: 'dispatched' | 'failed', facts: NoticeFacts, about: NoticeAbout): Promise<Batch>
  /** Facts sealed for a job of one of the outgoing queues, which waits for what becomes of the message. */
  keep(jobId: string, facts: NoticeFacts): Promise<Uint8Array>
  /** The facts that were kept with a job; undefined where its body is empty. Throws VaultFailed. */
  kept(jobId: string, body: Uint8Array): Promise<NoticeFacts | undefined>
  /** What else becomes true with each try and with the end: a step in the trail, and an alarm where the notice is never sent. */
  outcome(job: OutboundJob, results: readonly NoticeOutcome[]): Batch
}

/** Which message a notice is about. */
export interface NoticeAbout {
  /** The trail that tells of it. */
  readonly trail: string
  /** Its id in the mailbox. */
  readonly messageId: string
  readonly failure?: string
}

/** How a try to send a notice ended; only `retry` is not the end. */
export type NoticeOutcome =
  | { readonly kind: 'delivered'; readonly host: string; readonly reply: string }
  | { readonly kind: 'failed' | 'expired' | 'retry'; readonly host?: string; readonly detail: string }
  | { readonly kind: 'refused'; readonly refusal: Refused }

/** Vault owner of what waits in the outbound queue. */
export const outboundOwner = 'outbound'

/** Certificates kept for finding one to encrypt to; a message may bring 20. */
const certificatesKept = 20

export function openNotices(ports: NoticePorts): Notices {
  const { vault } = ports
  return {
    owed: (input) => owed(ports, input),
    owe: (disposition, facts, about) => owe(ports, disposition, facts, about),
    keep: (jobId, facts) => vault.seal(outboundOwner, jobId, Buffer.from(JSON.stringify(facts))),
    async kept(jobId, body) {
      if (body.length === 0) return undefined
      return JSON.parse(Buffer.from(await vault.open(outboundOwner, jobId, body)).toString('utf8')) as NoticeFacts
    },
    outcome: (job, results) => together(...results.map((result) => told(ports, job, result))),
  }
}

/** What notices of a trusted message are made from; undefined for one that is itself a notice (RFC 8098 §3). */
export function noticeFacts({
  mail,
  recipient,
  signer,
}: Extract<Verdict, { kind: 'trusted' }>): NoticeFacts | undefined {
  const { opened, from } = mail
  if (opened.notice.kind !== 'none') return undefined
  return {
    recipient,
    to: opened.request.notifyTo ?? from,
    ...(opened.messageId !== undefined && { originalMessageId: opened.messageId }),
    signer: base64(signer),
    certificates: opened.certificates.slice(0, certificatesKept).map(base64),
  }
}

async function owed(
  ports: NoticePorts,
  { spooled, verdict, messageId, onwards = false }: Parameters<Notices['owed']>[0],
): ReturnType<Notices['owed']> {
  const facts = noticeFacts(verdict)
  if (!facts) return { parts: {} }
  const asked = verdict.mail.opened.request.finalDelivery
  const dispositions = ['processed', ...(asked && !onwards ? (['dispatched'] as const) : [])] as const
  const about = { trail: spooled.id, messageId }
  const parts = await Promise.all(dispositions.map((disposition) => owe(ports, disposition, facts, about)))
  return { parts: together(...parts), detail: `${dispositions.join(' and ')}, to ${facts.to}` }
}

async function owe(
  { vault, clock }: NoticePorts,
  disposition: MdnDisposition,
  facts: NoticeFacts,
  { trail, messageId, failure }: NoticeAbout,
): Promise<Batch> {
  const id = createHash('sha256').update(`${disposition} ${facts.recipient} ${messageId}`).digest('hex').slice(0, 32)
  const owed: Owed = { disposition, ...facts, ...(failure !== undefined && { failure }) }
  const job: OutboundJob = {
    ...{ id, trail, kind: 'mdn', from: null, to: [facts.to], stage: 'owed' },
    body: await vault.seal(outboundOwner, id, Buffer.from(JSON.stringify(owed))),
    owedAt: clock.now(),
    tries: 0,
  }
  return enqueueOutbound(job, job.owedAt)
}

function told({ trail, audit, clock }: NoticePorts, job: OutboundJob, outcome: NoticeOutcome): Batch {
  const at = clock.now()
  const step: TrailStep = { at, ...stepOf(outcome) }
  if (outcome.kind === 'retry') return trail.steps(job.trail, [step])
  const to = job.to.join(' ') // one: a notice answers one sender
  const entry = { at, actor: 'system', subject: { spool: job.trail, notice: job.id, to } }
  if (outcome.kind === 'delivered') {
    const sent = audit.entry({ ...entry, action: 'notice.send', outcome: 'success' })
    return together(trail.steps(job.trail, [step]), { append: [sent] })
  }
  // The sender will take his message for lost: somebody must look.
  const reason = outcome.kind === 'refused' ? outcome.refusal.reason : outcome.kind
  const alarm: TrailStep = { at, step: 'alarm', detail: `the notice to ${to} is not sent: ${reason}` }
  return together(trail.steps(job.trail, [step, alarm]), {
    append: ['notice.send', 'alarm'].map((action) => audit.entry({ ...entry, action, outcome: 'failed', reason })),
  })
}

function stepOf(outcome: NoticeOutcome): Pick<TrailStep, 'step' | 'detail' | 'refusal'> {
  switch (outcome.kind) {
    case 'delivered':
      return { step: 'notice-sent', detail: `${outcome.host}: ${outcome.reply}` }
    case 'retry':
      return { step: 'notice-attempted', detail: [outcome.host, outcome.detail].filter(Boolean).join(': ') }
    case 'failed':
    case 'expired':
      return { step: 'notice-failed', detail: [outcome.kind, outcome.host, outcome.detail].filter(Boolean).join(': ') }
    case 'refused':
      return { step: 'notice-failed', detail: outcome.refusal.detail, refusal: outcome.refusal }
  }
}

const base64 = (der: Uint8Array) => Buffer.from(der).toString('base64')
