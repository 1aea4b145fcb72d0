import { createHash } from 'node:crypto'
import { type DirectAddress, domainOf } from '../direct/address.js'
import type { MessageContext } from '../direct/context.js'
import { type Refused, refused } from '../direct/refusal.js'
import { buildLeaf, buildMessage, buildMultipart, type Entity, entityBytes } from '../mime/build.js'
import { buildContext } from '../mime/context.js'
import { type NewField, type UnsafeField, writeDate } from '../mime/fields.js'
import { encodeWords } from '../mime/words.js'
import { finalDeliveryField } from '../notices/mdn.js'
import { isXdmPackage, markedSubject } from './xdm-subject.js'

/** A message as a program writes it: words and files, without MIME. */
export interface NewLetter {
  readonly from: DirectAddress
  readonly to: readonly DirectAddress[]
  readonly cc: readonly DirectAddress[]
  readonly subject: string
  readonly text: string
  readonly attachments: readonly { readonly name: string; readonly mediaType: string; readonly bytes: Uint8Array }[]
  /** Message-ID of what it answers, with its angle brackets. */
  readonly inReplyTo?: string
  /** What the sender wants to be told of besides failure: `dispatched` when the message reached its destination. */
  readonly confirmDelivery?: 'processed' | 'dispatched'
  /** What the letter says of itself for programs; version and id are made where they are missing. */
  readonly context?: Partial<MessageContext>
  /** Unix milliseconds, for Date. */
  readonly at: number
}

/**
 * Composes a message (RFC 5322, RFC 2045): the text, the context (Expressing Context in Direct v1.1), the attachments. With
 * an XDM package among them its subject says so. A pure function of its input; its boundaries come from its content.
 * Refuses `malformed-message` for what cannot stand in a header or a context.
 */
export function composeLetter(letter: NewLetter): { readonly kind: 'composed'; readonly message: Buffer } | Refused {
  const { from, to, cc, text, attachments, inReplyTo, at } = letter
  const isXdm = attachments.some(({ name, mediaType, bytes }) => isXdmPackage(mediaType, name, bytes))
  const subject = isXdm ? markedSubject(letter.subject) : letter.subject
  const written = (addresses: readonly DirectAddress[]) => addresses.map((one) => `<${one}>`).join(', ')
  const fields: NewField[] = [
    ['From', `<${from}>`],
    ...(to.length > 0 ? [['To', written(to)] satisfies NewField] : []),
    ...(cc.length > 0 ? [['Cc', written(cc)] satisfies NewField] : []),
    ['Subject', encodeWords(subject)],
    ['Date', writeDate(at)],
    ...(inReplyTo === undefined
      ? []
      : [['In-Reply-To', inReplyTo] satisfies NewField, ['References', inReplyTo] satisfies NewField]),
    ...confirmation(letter),
  ]
  const context = letter.context && contextOf(letter, letter.context)
  if (context) fields.push(['X-Direct-Context', `<${context.contentId}>`])
  const body: Entity | UnsafeField = buildLeaf({ mediaType: 'text/plain', params: { charset: 'utf-8' }, body: text })
  const parts: Entity[] = []
  for (const part of [body, ...(context ? [context.part] : []), ...attachments.map(attached)]) {
    if (part.kind === 'unsafe-field') return unsafe(part)
    parts.push(part)
  }
  const [first] = parts
  const entity = parts.length === 1 && first ? first : buildMultipart('mixed', {}, parts)
  if (entity.kind === 'unsafe-field') return unsafe(entity)
  const message = buildMessage(fields, entity)
  return message.kind === 'unsafe-field' ? unsafe(message) : { kind: 'composed', message: entityBytes(message) }
}

/** RFC 8098 §2.1, §2.2; Delivery Notification IG §1.3. */
function confirmation({ from, confirmDelivery }: NewLetter): readonly NewField[] {
  if (!confirmDelivery) return []
  const to: NewField = ['Disposition-Notification-To', `<${from}>`]
  if (confirmDelivery === 'processed') return [to]
  return [to, ['Disposition-Notification-Options', `${finalDeliveryField}=optional,true`]]
}

function contextOf({ from, to, subject, text, at }: NewLetter, said: Partial<MessageContext>) {
  const digest = createHash('sha256')
    .update(JSON.stringify([from, to, subject, text, at, said]))
    .digest('hex')
  const contentId = `${digest.slice(0, 32)}.context@${domainOf(from)}`
  const id = `<${digest.slice(32)}@${domainOf(from)}>`
  return { contentId, part: buildContext({ version: '1.1', id, patientIds: [], others: [], ...said }, contentId) }
}

function attached({ name, mediaType, bytes }: NewLetter['attachments'][number]): Entity | UnsafeField {
  return buildLeaf({ mediaType, params: { name }, disposition: 'attachment', fileName: name, body: bytes })
}

function unsafe({ field, detail }: UnsafeField): Refused {
  return refused('malformed-message', `${field}: ${detail}`)
}
