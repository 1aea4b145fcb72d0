import { type DirectAddress, domainOf } from '../direct/address.js'
import { buildLeaf, buildMessage, buildMultipart, type Entity, entityBytes } from '../mime/build.js'
import { type NewField, type UnsafeField, writeDate, writeFields } from '../mime/fields.js'
import { encodeWords } from '../mime/words.js'

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

export const mdnLimits = {
  /** RFC 5322 §2.1.1 lets a line have 998 characters, and a message id cannot be folded. */
  messageIdCharacters: 900,
  /** As much of a stranger's subject or of a reason as a person reads. */
  shownCharacters: 200,
} as const

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
 *
 * Built with our own mime/build rather than a mailer library: validators compare these few fields letter by letter, the
 * report part must not be re-encoded, and boundaries must not be random.
 */
export function composeMdn(mdn: NewMdn): Buffer {
  if (!/^<[!-;=?-~]{1,200}@[!-;=?-~]{1,255}>$/.test(mdn.messageId)) throw new TypeError('messageId is no message id')
  const original = messageIdFrom(mdn.originalMessageId)
  const subject = shown(mdn.originalSubject)
  const { subject: word, text } = words[mdn.disposition]
  const thread: NewField[] =
    original?.startsWith('<') === true
      ? [
          ['In-Reply-To', original],
          ['References', original],
        ]
      : []
  const message = buildMessage(
    [
      ['From', mdn.finalRecipient],
      ['To', mdn.to],
      ['Subject', encodeWords(subject === '' ? `${word}: your message` : `${word}: ${subject}`)],
      ['Date', writeDate(mdn.at)],
      ['Message-ID', mdn.messageId],
      ...thread,
      ['Auto-Submitted', 'auto-replied'], // RFC 3834 §5
    ],
    report(`${text}\r\n${reasonLine(mdn)}`, reportFields(mdn, original)),
  )
  return entityBytes(written(message))
}

/** RFC 8098 §3: a text for people, then the fields for machines. The original message is not returned: it may be clinical. */
function report(text: string, fields: readonly NewField[]): Entity {
  const forPeople = buildLeaf({ mediaType: 'text/plain', params: { charset: 'utf-8' }, body: text })
  const forMachines = buildLeaf({
    mediaType: 'message/disposition-notification',
    body: fieldBytes(fields),
    transferEncoding: '7bit',
  })
  return written(
    buildMultipart('report', { 'report-type': 'disposition-notification' }, [written(forPeople), written(forMachines)]),
  )
}

/** RFC 8098 §3.2, without spaces after the semicolons: so the validators and the reference implementations write them. */
function reportFields(mdn: NewMdn, original: string | undefined): NewField[] {
  const reason = shown(mdn.failure)
  return [
    ['Reporting-UA', `${mdn.reportingHost ?? domainOf(mdn.finalRecipient)}; direct-gateway`],
    // RFC 8098 §3.2.3: the envelope told us reliably, and no alias stands between the two.
    ['Original-Recipient', `rfc822;${mdn.finalRecipient}`],
    ['Final-Recipient', `rfc822;${mdn.finalRecipient}`],
    ...(original === undefined ? [] : ([['Original-Message-ID', original]] satisfies NewField[])),
    ['Disposition', `automatic-action/MDN-sent-automatically;${mdn.disposition}`],
    ...(mdn.disposition === 'failed' && reason !== '' ? ([['Failure', encodeWords(reason)]] satisfies NewField[]) : []),
    // Delivery Notification IG §1.3: in the report part, with no value, and on no other disposition.
    ...(mdn.disposition === 'dispatched' ? ([[finalDeliveryField, '']] satisfies NewField[]) : []),
  ]
}

/** The extension field by which a destination confirms final delivery (Delivery Notification IG §1.3). */
export const finalDeliveryField = 'X-DIRECT-FINAL-DESTINATION-DELIVERY'

function reasonLine(mdn: NewMdn): string {
  const reason = shown(mdn.failure)
  return mdn.disposition === 'failed' && reason !== '' ? `\r\n${reason}\r\n` : ''
}

function fieldBytes(fields: readonly NewField[]): Buffer {
  const bytes = writeFields(fields)
  if (bytes.kind === 'unsafe-field') throw new TypeError(`${bytes.field}: ${bytes.detail}`)
  return bytes.bytes
}

/** Everything of a stranger was made safe before: what is unsafe here is a mistake of ours. */
function written(entity: Entity | UnsafeField): Entity {
  if (entity.kind === 'unsafe-field') throw new TypeError(`${entity.field}: ${entity.detail}`)
  return entity
}

/** A stranger's message id as it may be repeated, or undefined: changed in any letter it would correlate with nothing. */
function messageIdFrom(text: string | undefined): string | undefined {
  const id = text?.trim() ?? ''
  return /^[!-~]+$/.test(id) && id.length <= mdnLimits.messageIdCharacters ? id : undefined
}

/** A stranger's line as it may be shown: no control or format characters, which can reorder or hide what follows; cut in length. */
function shown(text: string | undefined): string {
  const clean = (text ?? '').slice(0, mdnLimits.shownCharacters * 4).replace(/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]+/gu, ' ')
  return [...clean.trim()].slice(0, mdnLimits.shownCharacters).join('')
}
