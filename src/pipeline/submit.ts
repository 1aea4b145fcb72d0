import { createHash } from 'node:crypto'
import { type DirectAddress, domainOf, spellings } from '../direct/address.js'
import { type Refused, refused } from '../direct/refusal.js'
import type { Directory } from '../directory/directory.js'
import { mailboxesOf } from '../mime/addresses.js'
import { type NewField, writeDate, writeFields } from '../mime/fields.js'
import { type Header, readHeader } from '../mime/header.js'
import { contentTypeOf } from '../mime/parameters.js'
import { readMime } from '../mime/part.js'
import { toCanonicalLines } from '../mime/signed.js'
import { decodeWords } from '../mime/words.js'
import { recogniseNotice } from '../notices/recognise.js'
import { type NoticeRequest, noticeRequestOf } from '../notices/request.js'
import type { Batch } from '../ports/store.js'
import type { Clock, Random } from '../ports/world.js'
import { type Confirmation, type Submissions, submissionLimits } from '../spool/submission.js'
import { senderOf } from '../trust/sender.js'
import { firstDeadlineMs, type TrackingPolicy } from './deadlines.js'
import { withXdmSubject } from './xdm-subject.js'

export interface SubmitPorts {
  readonly directory: Pick<Directory, 'addresses'>
  readonly submissions: Submissions
  readonly clock: Clock
  readonly random: Random
  readonly tracking: TrackingPolicy
}

export interface SubmitRequest {
  /** The address that submits, proven by whoever took the message in. */
  readonly from: DirectAddress
  /** To whom; absent: to everybody whom the message names. */
  readonly to?: readonly DirectAddress[]
  /** The whole message (RFC 5322), any line breaks. */
  readonly message: Uint8Array
  /** Who asks: a token id, `system`. */
  readonly by: string
  /** Its Message-ID, where the message has none itself; with its angle brackets. */
  readonly messageId?: string
  /** Tells this message from another under the same Message-ID; by default a digest of its body. */
  readonly fingerprint?: string
  /** What becomes true with it. */
  readonly also?: Batch
}

export type SubmitOutcome =
  | { readonly kind: 'submitted'; readonly id: string; readonly messageId: string; readonly duplicate: boolean }
  | Refused

/**
 * Takes a message from somebody here to be sent. When it answers `submitted`, the message is durable and owed to every
 * recipient: each gets it, or its sender a notice. From must be the address that submits; Date, Message-ID and MIME-Version
 * are added where they are missing, Bcc is taken out (RFC 5322 §3.6). What its Disposition-Notification fields ask for is
 * tracked; where they would send the answers past this gateway they are taken out too, so that it learns of them. Refuses by name what cannot be sent as it is; throws
 * StoreFailed where it could not be kept.
 */
export async function submit(request: SubmitRequest, ports: SubmitPorts): Promise<SubmitOutcome> {
  const { from, message, by } = request
  const { addresses } = ports.directory
  if (!(await addresses.isServed(from))) return refused('unknown-sender', from)
  const sender = await addresses.get(from)
  if (!sender) return refused('unknown-sender', from)
  if (message.length > submissionLimits.messageBytes)
    return refused('message-too-large', `${message.length} bytes; at most ${submissionLimits.messageBytes}`)

  const lines = withXdmSubject(toCanonicalLines(message))
  const wish = await wishOf(lines, sender.mailbox, ports)
  const checked = checkedMessage(lines, request, wish.kept, ports)
  if (checked.kind === 'refused') return checked
  const recipients = [...new Set(request.to ?? [...checked.named, ...checked.blind])]
  if (recipients.length === 0) return refused('no-recipients')
  if (recipients.length > submissionLimits.recipients)
    return refused('too-many-recipients', `${recipients.length}; at most ${submissionLimits.recipients}`)
  const outcome = await ports.submissions.submit({
    mailbox: sender.mailbox,
    from,
    messageId: checked.messageId,
    subject: checked.subject,
    fingerprint: request.fingerprint ?? checked.digest,
    recipients: recipients.map((recipient) => ({ recipient, blind: !checked.named.has(recipient) })),
    message: checked.message,
    by,
    ...(request.also && { also: request.also }),
    ...(wish.asks && { asks: wish.asks }),
    ...(wish.answersTo && { answersTo: [wish.answersTo] }),
    ...(checked.isNotice ? { untracked: true } : { trackAfterMs: firstDeadlineMs(wish.asks, ports.tracking) }),
  })
  return outcome.kind === 'refused' ? outcome : { ...outcome, messageId: checked.messageId }
}

/** What a message asks to be told of, and whether its fields that say so stay in it. */
interface Wish {
  readonly kept: boolean
  readonly asks?: Confirmation
  /** The mailbox that the answers come to, where that is another one. */
  readonly answersTo?: string
}

/**
 * Answers go to Disposition-Notification-To, else to From (Applicability Statement §3.0). They must come to an address of
 * ours: a message whose answers go elsewhere would be reported as failed, however well it arrived.
 */
async function wishOf(bytes: Buffer, own: string, { directory: { addresses } }: SubmitPorts): Promise<Wish> {
  const header = readHeader(bytes)
  const request: NoticeRequest = header.kind === 'header' ? noticeRequestOf(header) : { finalDelivery: false }
  const { notifyTo } = request
  if (notifyTo === undefined) return { kept: true }
  const known = await Promise.all(spellings(notifyTo).map((one) => addresses.get(one)))
  const mailbox = known.find((one) => one !== undefined)?.mailbox
  if (mailbox === undefined) return { kept: false }
  const asks = request.finalDelivery ? 'dispatched' : 'processed'
  return { kept: true, asks, ...(mailbox !== own && { answersTo: mailbox }) }
}

/** A message fit to be sent, with what is said of it. */
interface Checked {
  readonly kind: 'checked'
  readonly message: Uint8Array
  readonly messageId: string
  readonly subject: string
  /** Addresses in To and Cc: strict gateways refuse whoever else gets it (ANSI/DS 2019-01-100-2021). */
  readonly named: ReadonlySet<DirectAddress>
  /** Addresses in Bcc. */
  readonly blind: ReadonlySet<DirectAddress>
  /** SHA-256 of the body: headers may gain fields on the way here. */
  readonly digest: string
  readonly isNotice: boolean
}

/** RFC 5322 §3.6: fields that stand once at most. From has refusals of its own. */
const onceAtMost = ['date', 'sender', 'reply-to', 'to', 'cc', 'message-id', 'in-reply-to', 'references', 'subject']
const mimeFields = ['mime-version', 'content-type', 'content-transfer-encoding']
/** Whoever submits is From; a Sender that says so again should not be used (RFC 5322 §3.6.2), and validators refuse it. */
const leftOut = ['bcc', 'resent-bcc', 'return-path', 'sender']
const wishes = ['disposition-notification-to', 'disposition-notification-options']
/** What can stand in a header of ours and be correlated by others. */
const messageIdForm = /^<[!-;=?-~]{1,900}>$/

function checkedMessage(
  bytes: Buffer,
  { from, to, messageId: proposed }: SubmitRequest,
  wishesKept: boolean,
  { clock, random }: SubmitPorts,
): Checked | Refused {
  const header = readHeader(bytes)
  if (header.kind === 'unreadable') return refused('malformed-message', header.detail)
  const twice = [...onceAtMost, ...mimeFields].find((name) => header.all(name).length > 1)
  if (twice) return refused('malformed-message', `${twice} stands twice`)
  const fault = senderFault(header, from)
  if (fault) return fault
  const type = contentTypeOf(header)
  if (/^application\/(x-)?pkcs7-mime$/.test(type.value) && type.params.get('smime-type') !== 'signed-data')
    return refused('already-encrypted', type.value)

  const named = namedIn(header, ['to', 'cc'], to === undefined)
  if ('kind' in named) return named
  const blind = to === undefined ? namedIn(header, ['bcc'], true) : new Set<DirectAddress>()
  if ('kind' in blind) return blind
  const given = header.get('message-id')
  if (given !== undefined && given !== '' && !messageIdForm.test(given))
    return refused('malformed-message', 'message-id is no message id (RFC 5322 §3.6.4)')
  const messageId = given || proposed || `<${Buffer.from(random.bytes(16)).toString('hex')}@${domainOf(from)}>`
  const body = bytes.subarray(header.bodyStart)
  const without = new Set([...leftOut, ...(wishesKept ? [] : wishes)])
  const message = rewritten(header, body, messageId, clock.now(), without)
  if ('kind' in message) return message
  const subject = decodeWords(header.get('subject') ?? '')
  const isNotice = reportTypes.has(type.value) && isNoticeOf(message)
  return { kind: 'checked', message, messageId, subject, named, blind, digest: digestOf(body), isNotice }
}

/** Only what may be a notice is read for one: reading a large message costs time. */
const reportTypes = new Set(['multipart/report', 'message/disposition-notification', 'message/delivery-status'])

function isNoticeOf(message: Uint8Array): boolean {
  const tree = readMime(message)
  return tree.kind !== 'unreadable' && recogniseNotice(tree).kind !== 'none'
}

/** The addresses of these fields. With `all`, one that is no Direct address is refused: nobody is left out in silence. */
function namedIn(header: Header, fields: readonly string[], all: boolean): ReadonlySet<DirectAddress> | Refused {
  const named = new Set<DirectAddress>()
  for (const field of fields) {
    const read = mailboxesOf(header, field)
    if (read.kind === 'bad-addresses') return refused('malformed-message', `${field}: ${read.detail}`)
    for (const { address } of read.mailboxes) {
      if (address) named.add(address)
      else if (all) return refused('bad-address', `${field} has one that is no Direct address`)
    }
  }
  return named
}

function senderFault(header: Header, from: DirectAddress): Refused | undefined {
  const said = senderOf(header)
  if (said.kind === 'refused') return said
  if (said.address !== from) return refused('not-the-sender', `From is ${said.address}, ${from} submits`)
  if (header.get('sender') === undefined) return undefined
  const sender = mailboxesOf(header, 'sender')
  const sole = sender.kind === 'mailboxes' && sender.mailboxes.length === 1 ? sender.mailboxes[0]?.address : undefined
  return sole === from ? undefined : refused('not-the-sender', 'Sender is another address')
}

/** The message without what nobody may read, and with what every message must have (RFC 5322 §3.6, RFC 2045 §4). */
function rewritten(
  header: Header,
  body: Buffer,
  messageId: string,
  at: number,
  leftOut: ReadonlySet<string>,
): Buffer | Refused {
  const missing = (name: string) => !header.get(name)
  const added: NewField[] = []
  if (missing('date')) added.push(['Date', writeDate(at)])
  if (missing('message-id')) added.push(['Message-ID', messageId])
  if (missing('mime-version')) added.push(['MIME-Version', '1.0'])
  const empty = new Set(['date', 'message-id', 'mime-version'].filter(missing))
  const kept = header.fields.filter(({ name }) => !leftOut.has(name) && !empty.has(name))
  const written = writeFields(added)
  if (written.kind === 'unsafe-field') return refused('malformed-message', written.detail)
  return Buffer.concat([...kept.flatMap(({ raw }) => [raw, crlf]), written.bytes, crlf, body])
}

const crlf = Buffer.from('\r\n')

function digestOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
