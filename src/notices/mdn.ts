import { type DirectAddress, domainOf } from '../direct/address.js'
import type { NewField } from '../mime/fields.js'
import { encodeWords } from '../mime/words.js'
import { repeatable, shown, writeReport } from './report.js'

/** What became of a message: taken over by this gateway, handed to its destination, or not deliverable (Delivery Notification IG §1.3). */
export type MdnDisposition = 'processed' | 'dispatched' | 'failed'

export interface NewMdn {
  readonly disposition: MdnDisposition
  /** The recipient this notice speaks for; it is also its author. */
  readonly finalRecipient: DirectAddress
  /** Disposition-Notification-To of the message, or its From (Applicability Statement §3.0). */
  readonly to: DirectAddress
  /** Message-ID of the message as it stood there: a stranger's text. Left out where it cannot stand in a header. */
  readonly originalMessageId?: string
  /** Subject of the message, a stranger's text; the notice travels encrypted, so it may be repeated. */
  readonly originalSubject?: string
  /** Why it failed, for the sender to read; never clinical content. */
  readonly failure?: string
  /** Our own, with its angle brackets. Choose it by what the notice says, so that composing twice makes the same notice. */
  readonly messageId: string
  /** Unix milliseconds, for Date. */
  readonly at: number
  /** Host name in Reporting-UA; the recipient's domain where absent. */
  readonly reportingHost?: string
}

const words: Readonly<Record<MdnDisposition, { readonly subject: string; readonly text: string }>> = {
  processed: { subject: 'Processed', text: 'Your message was successfully processed.' },
  dispatched: { subject: 'Dispatched', text: 'Your message was successfully dispatched to its destination.' },
  failed: { subject: 'Failed', text: 'Your message could not be delivered to its destination.' },
}

/**
 * Composes a disposition notification (RFC 8098 §3) as an unsigned message; it leaves signed and encrypted like any
 * other. A pure function of its input. `dispatched` carries X-DIRECT-FINAL-DESTINATION-DELIVERY and is only to be sent
 * where noticeRequestOf found that asked for. Never asks for a notice itself (RFC 8098 §2.1). Throws for a
 * `messageId` of ours that is none; no text of a stranger can make it throw.
 */
export function composeMdn(mdn: NewMdn): Buffer {
  const original = repeatable(mdn.originalMessageId)
  const subject = shown(mdn.originalSubject)
  const reason = mdn.disposition === 'failed' ? shown(mdn.failure) : ''
  const { subject: word, text } = words[mdn.disposition]
  return writeReport({
    reportType: 'disposition-notification',
    from: mdn.finalRecipient,
    to: mdn.to,
    subject: `${word}: ${subject === '' ? 'your message' : subject}`,
    messageId: mdn.messageId,
    originalMessageId: original,
    at: mdn.at,
    text: reason === '' ? `${text}\n` : `${text}\n\n${reason}\n`,
    groups: [fields(mdn, original, reason)],
  })
}

/** RFC 8098 §3.2, without spaces after the semicolons: so the validators and the reference implementations write them. */
function fields(mdn: NewMdn, original: string | undefined, reason: string): NewField[] {
  const list: NewField[] = [
    ['Reporting-UA', `${mdn.reportingHost ?? domainOf(mdn.finalRecipient)}; direct-gateway`],
    // RFC 8098 §3.2.3: the envelope told us reliably, and no alias stands between the two.
    ['Original-Recipient', `rfc822;${mdn.finalRecipient}`],
    ['Final-Recipient', `rfc822;${mdn.finalRecipient}`],
  ]
  if (original !== undefined) list.push(['Original-Message-ID', original])
  list.push(['Disposition', `automatic-action/MDN-sent-automatically;${mdn.disposition}`])
  if (reason !== '') list.push(['Failure', encodeWords(reason)])
  // Delivery Notification IG §1.3: in the report part, with no value, and on no other disposition.
  if (mdn.disposition === 'dispatched') list.push([finalDeliveryField, ''])
  return list
}

/** The extension field by which a destination confirms final delivery (Delivery Notification IG §1.3). */
export const finalDeliveryField = 'X-DIRECT-FINAL-DESTINATION-DELIVERY'
