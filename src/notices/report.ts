import { buildLeaf, buildMessage, buildMultipart, type Entity, entityBytes } from '../mime/build.js'
import { type NewField, type UnsafeField, writeDate, writeFields } from '../mime/fields.js'
import { encodeWords } from '../mime/words.js'

export const reportLimits = {
  /** RFC 5322 §2.1.1 lets a line have 998 characters, and a message id cannot be folded. */
  messageIdCharacters: 900,
  /** As much of a stranger's subject or of a reason as a person reads. */
  shownCharacters: 200,
} as const

export interface NewReport {
  readonly reportType: 'disposition-notification' | 'delivery-status'
  readonly from: string
  readonly to: string
  /** May hold any text. */
  readonly subject: string
  /** Our own, with its angle brackets. */
  readonly messageId: string
  /** Made safe by repeatable. */
  readonly originalMessageId: string | undefined
  /** Unix milliseconds, for Date. */
  readonly at: number
  /** For people. */
  readonly text: string
  /** For machines: groups of fields, parted by an empty line. */
  readonly groups: readonly (readonly NewField[])[]
}

/**
 * Writes a multipart/report (RFC 6522 §3): a text for people, then fields for machines. What the report is about is not
 * returned with it, since it may be clinical. A pure function of its input; throws for what is unsafe, because whatever a
 * stranger chose has gone through repeatable or shown before.
 *
 * Built with our own mime/build rather than a mailer library: validators compare these few fields letter by letter, the
 * report part must not be re-encoded, and boundaries must not be random.
 */
export function writeReport(report: NewReport): Buffer {
  if (!/^<[!-;=?-~]{1,200}@[!-;=?-~]{1,255}>$/.test(report.messageId)) throw new TypeError('messageId is no message id')
  const original = report.originalMessageId
  const thread: NewField[] =
    original?.startsWith('<') === true
      ? [
          ['In-Reply-To', original],
          ['References', original],
        ]
      : []
  const forPeople = buildLeaf({ mediaType: 'text/plain', params: { charset: 'utf-8' }, body: report.text })
  const forMachines = buildLeaf({
    mediaType: `message/${report.reportType}`,
    body: Buffer.concat(
      report.groups.flatMap((group, i) => (i === 0 ? [fieldBytes(group)] : [crlf, fieldBytes(group)])),
    ),
    transferEncoding: '7bit',
  })
  const parts = buildMultipart('report', { 'report-type': report.reportType }, [safe(forPeople), safe(forMachines)])
  const message = buildMessage(
    [
      ['From', report.from],
      ['To', report.to],
      ['Subject', encodeWords(report.subject)],
      ['Date', writeDate(report.at)],
      ['Message-ID', report.messageId],
      ...thread,
      ['Auto-Submitted', 'auto-replied'], // RFC 3834 §5
    ],
    safe(parts),
  )
  return entityBytes(safe(message))
}

const crlf = Buffer.from('\r\n')

function fieldBytes(fields: readonly NewField[]): Buffer {
  const bytes = writeFields(fields)
  if (bytes.kind === 'unsafe-field') throw new TypeError(`${bytes.field}: ${bytes.detail}`)
  return bytes.bytes
}

function safe(entity: Entity | UnsafeField): Entity {
  if (entity.kind === 'unsafe-field') throw new TypeError(`${entity.field}: ${entity.detail}`)
  return entity
}

/** A stranger's message id as it may be repeated, or undefined: changed in any letter it would correlate with nothing. */
export function repeatable(text: string | undefined): string | undefined {
  const id = text?.trim() ?? ''
  return /^[!-~]+$/.test(id) && id.length <= reportLimits.messageIdCharacters ? id : undefined
}

/** A stranger's line as it may be shown: no control or format characters, which can reorder or hide what follows; cut in length. */
export function shown(text: string | undefined): string {
  const clean = (text ?? '')
    .slice(0, reportLimits.shownCharacters * 4)
    .replace(/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]+/gu, ' ')
  return [...clean.trim()].slice(0, reportLimits.shownCharacters).join('')
}
