import { domainOf } from '../direct/address.js'
import { type RefusalReason, refusals } from '../direct/refusal.js'
import type { Directory } from '../directory/directory.js'
import { composeDsn } from '../notices/dsn.js'
import { type Batch, together } from '../ports/store.js'
import type { Clock } from '../ports/world.js'
import { contentId } from '../spool/payload.js'
import type { RecipientState, Submission } from '../spool/submission.js'
import { type ToMailboxPorts, toMailbox } from './edge.js'

export interface ReportPorts extends ToMailboxPorts {
  readonly directory: Pick<Directory, 'addresses'>
  readonly clock: Clock
}

/** A recipient whom the message does not reach, as his sender is told. */
export type FailedRecipient = RecipientState & { readonly state: 'failed'; readonly reason: RefusalReason }

/** RFC 3463 §3 for why a message was not sent; what is not named here is about a certificate: 5.7.5, cryptographic failure. */
const statuses: Partial<Record<RefusalReason, string>> = {
  'unknown-recipient': '5.1.1',
  'bad-address': '5.1.3',
  'no-anchor': '5.7.1', // delivery not authorised
  'certificate-policy': '5.7.1',
  'blind-recipient': '5.7.1',
  'no-key-for-sender': '5.7.1',
  'undecided-too-long': '5.4.7', // delivery time expired
  'undelivered-too-long': '5.4.7',
  'not-processed': '5.4.7',
  'not-dispatched': '5.4.7',
  'reported-failed': '5.0.0',
  cancelled: '5.0.0',
  'sealing-failed': '5.3.0',
  'message-too-large': '5.3.4',
  'spool-damaged': '5.3.0',
  'too-many-recipients': '5.5.3',
}

/** The status that a refusal is told by. */
export function statusOf(reason: RefusalReason): string {
  return statuses[reason] ?? '5.7.5'
}

/** The status in a remote reply, where it is one of failure (RFC 2034 §4), else 5.0.0. */
export function statusIn(reply: string): string {
  return /^5\d\d[ -](5\.\d{1,3}\.\d{1,3})\b/.exec(reply)?.[1] ?? '5.0.0'
}

/** Reasons of which the detail is a line of ours that tells the sender how far his message came. */
const detailed: ReadonlySet<RefusalReason> = new Set(['not-processed', 'not-dispatched'])

/**
 * Parts that tell the sender of a message whom it does not reach: one delivery status notification for each recipient (RFC
 * 3464), in the mailbox the message was sent from, and from there to its edge. It says what became of the message and nothing
 * of what it says. Nothing is told of a message that is itself a notice (RFC 8098 §3, RFC 3464 §2).
 */
export async function reports(
  submission: Submission,
  failed: readonly FailedRecipient[],
  at: number,
  ports: ReportPorts,
): Promise<Batch> {
  if (submission.untracked || failed.length === 0) return {}
  const address = await ports.directory.addresses.get(submission.from)
  const parts: Batch[] = []
  for (const one of failed) parts.push(await report(submission, one, at, address, ports))
  return together(...parts)
}

async function report(
  submission: Submission,
  { recipient, reason, detail = '', status = statusOf(reason) }: FailedRecipient,
  at: number,
  address: Parameters<typeof toMailbox>[0],
  ports: ReportPorts,
): Promise<Batch> {
  const { id, from, messageId } = submission
  const domain = domainOf(from)
  const why = reason === 'not-delivered' ? detail : detailed.has(reason) ? `${reason}: ${detail}` : reason
  const dsnId = `<failed-${contentId(id, recipient)}@${domain}>`
  const original = composeDsn({
    domain,
    to: from,
    findings: [{ recipient, action: 'failed', status, reason: why, advice: refusals[reason].help }],
    originalMessageId: messageId,
    messageId: dsnId,
    at,
  })
  const delivery = await toMailbox(
    address,
    {
      mailbox: submission.mailbox,
      spoolId: id,
      receivedAt: at,
      from: `postmaster@${domain}` as typeof from,
      to: [from],
      cc: [],
      subject: 'Not delivered: your message',
      date: at,
      messageId: dsnId,
      inReplyTo: messageId,
      references: [messageId],
      preview: `${recipient} was not delivered (${status}). ${why}`,
      attachments: [],
      // Nobody signed it: it never left the house.
      protection: {
        ...{ signerFingerprint: '', signerSubject: '', anchorFingerprint: '', path: [], digest: '' },
        ...{ wrapped: false, warnings: [] },
      },
      notice: { kind: 'dsn', disposition: 'failed', originalMessageId: messageId, finalRecipient: recipient },
      diagnostics: [],
      original,
    },
    ports,
  )
  return delivery.kind === 'duplicate' ? {} : delivery.parts
}
