import type { DirectAddress } from '../direct/address.js'
import { type Refused, refused } from '../direct/refusal.js'
import { buildLeaf, buildMessage, buildMultipart, type Entity, entityBytes } from '../mime/build.js'
import { type NewField, type UnsafeField, writeDate } from '../mime/fields.js'
import { encodeWords } from '../mime/words.js'

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
  /** Unix milliseconds, for Date. */
  readonly at: number
}

/**
 * Composes a message (RFC 5322, RFC 2045): the text, and behind it the attachments. A pure function of its input; its
 * boundaries come from its content. Refuses `malformed-message` for what cannot stand in a header.
 */
export function composeLetter(letter: NewLetter): { readonly kind: 'composed'; readonly message: Buffer } | Refused {
  const { from, to, cc, subject, text, attachments, inReplyTo, at } = letter
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
  ]
  const body: Entity | UnsafeField = buildLeaf({ mediaType: 'text/plain', params: { charset: 'utf-8' }, body: text })
  const parts: Entity[] = []
  for (const part of [body, ...attachments.map(attached)]) {
    if (part.kind === 'unsafe-field') return unsafe(part)
    parts.push(part)
  }
  const [first] = parts
  const entity = parts.length === 1 && first ? first : buildMultipart('mixed', {}, parts)
  if (entity.kind === 'unsafe-field') return unsafe(entity)
  const message = buildMessage(fields, entity)
  return message.kind === 'unsafe-field' ? unsafe(message) : { kind: 'composed', message: entityBytes(message) }
}

function attached({ name, mediaType, bytes }: NewLetter['attachments'][number]): Entity | UnsafeField {
  return buildLeaf({ mediaType, params: { name }, disposition: 'attachment', fileName: name, body: bytes })
}

function unsafe({ field, detail }: UnsafeField): Refused {
  return refused('malformed-message', `${field}: ${detail}`)
}
