import { type DirectAddress, parseAddress } from '../direct/address.js'
import { decodeBody } from '../mime/decode.js'
import { readHeader } from '../mime/header.js'
import type { Part } from '../mime/part.js'

/** Whether a message is a notice about another one, and what it says. */
export type Notice = { readonly kind: 'none' } | Mdn | Dsn

export interface Mdn {
  readonly kind: 'mdn'
  /**
   * Disposition type in lower case: `processed`, `dispatched`, `failed` (also written `failure`), `displayed` …
   * Empty where the field is missing, unreadable or contradicts itself: still a notice, so never answered by one, but it confirms nothing.
   */
  readonly disposition: string
  /** Disposition modifiers in lower case: `error`, `warning` … */
  readonly modifiers: readonly string[]
  readonly originalMessageId?: string
  readonly finalRecipient?: DirectAddress
  readonly originalRecipient?: DirectAddress
  readonly reportingUa?: string
  /** Every other field of the report, by lower-case name. */
  readonly extensions: ReadonlyMap<string, string>
}

export interface Dsn {
  readonly kind: 'dsn'
  /** The action, where all recipients have the same one; otherwise empty. */
  readonly disposition: string
  readonly originalMessageId?: string
  /** Where there is exactly one. */
  readonly finalRecipient?: DirectAddress
  readonly recipients: readonly DsnRecipient[]
  /** The other fields about the whole message, by lower-case name. */
  readonly extensions: ReadonlyMap<string, string>
}

export interface DsnRecipient {
  readonly finalRecipient?: DirectAddress
  readonly originalRecipient?: DirectAddress
  /** Lower case: `failed`, `delayed`, `delivered`, `relayed`, `expanded`; empty where it is missing. */
  readonly action: string
  /** RFC 3463; empty where it is missing. */
  readonly status: string
}

export const noticeLimits = {
  /** A report names one recipient (MDN) or at most those of one transaction (DSN). */
  reportBytes: 256 * 1024,
  /** Recipients of one DSN; a transaction has 100. */
  recipients: 200,
  /** Fields of one report that are kept. */
  fields: 200,
  /** A field of a report, in characters. */
  fieldCharacters: 2_000,
} as const

/**
 * Tells whether a message is an MDN (RFC 8098) or a DSN (RFC 3464) and reads its report. The report counts only as the
 * message itself or as a part of its top-level multipart/report: a notice that somebody forwards is none. Reads what
 * other systems write: no text part, no Reporting-UA, empty lines and odd folds between the fields, spaces anywhere,
 * any letter case, message ids without angle brackets. Never throws.
 */
export function recogniseNotice(message: Part): Notice {
  const { value, params } = message.contentType
  if (value === mdnType) return readMdn(message, message)
  if (value === dsnType) return readDsn(message, message)
  if (value !== 'multipart/report') return { kind: 'none' }
  const mdn = message.children.find((child) => child.contentType.value === mdnType)
  const dsn = message.children.find((child) => dsnTypes.includes(child.contentType.value))
  const type = params.get('report-type')?.trim().toLowerCase()
  if (dsn && (type === 'delivery-status' || !mdn)) return readDsn(message, dsn)
  if (mdn || type === 'disposition-notification') return readMdn(message, mdn)
  return type === 'delivery-status' ? readDsn(message, undefined) : { kind: 'none' }
}

const mdnType = 'message/disposition-notification'
const dsnType = 'message/delivery-status'
const dsnTypes: readonly string[] = [dsnType, 'message/global-delivery-status']

/** Fields of one group of a report, in order. */
type Fields = readonly (readonly [name: string, value: string])[]

const first = (fields: Fields, name: string) => fields.find(([other]) => other === name)?.[1]

const others = (fields: Fields, known: ReadonlySet<string>) =>
  new Map(fields.filter(([name]) => !known.has(name)).reverse())

const mdnFields = new Set([
  'disposition',
  'original-message-id',
  'final-recipient',
  'original-recipient',
  'reporting-ua',
])

function readMdn(message: Part, report: Part | undefined): Mdn {
  // Empty lines between the fields are a mistake of some senders and part nothing here.
  const fields = report ? groupsOf(report).flat() : []
  const dispositions = fields.filter(([name]) => name === 'disposition').map(([, value]) => dispositionFrom(value))
  const [disposition = { type: '', modifiers: [] }] = dispositions
  const contradicts = dispositions.some(({ type }) => type !== disposition.type)
  const reportingUa = first(fields, 'reporting-ua')
  return {
    kind: 'mdn',
    disposition: contradicts ? '' : disposition.type,
    modifiers: disposition.modifiers,
    ...originalMessageId(
      messageId(first(fields, 'original-message-id')) ?? messageId(message.header.get('in-reply-to')),
    ),
    ...recipient('finalRecipient', first(fields, 'final-recipient')),
    ...recipient('originalRecipient', first(fields, 'original-recipient')),
    ...(reportingUa !== undefined && { reportingUa }),
    extensions: others(fields, mdnFields),
  }
}

/** RFC 8098 §3.2.6: action mode and sending mode, a semicolon, the type and its modifiers. Space is nothing here. */
function dispositionFrom(value: string): { type: string; modifiers: readonly string[] } {
  const text = value.replace(/\s+/g, '').toLowerCase()
  const [, type = '', modifiers = ''] = /^[^;]*;([a-z0-9-]+)(?:\/([a-z0-9,./_-]*))?;?$/.exec(text) ?? []
  return { type: type === 'failure' ? 'failed' : type, modifiers: modifiers.split(',').filter((one) => one !== '') }
}

const dsnFields = new Set(['original-message-id', 'x-original-message-id'])

function readDsn(message: Part, report: Part | undefined): Dsn {
  const groups = report ? groupsOf(report) : []
  const perMessage = groups.find((group) => !isRecipientGroup(group)) ?? []
  const recipients = groups
    .filter(isRecipientGroup)
    .slice(0, noticeLimits.recipients)
    .map((group) => ({
      ...recipient('finalRecipient', first(group, 'final-recipient')),
      ...recipient('originalRecipient', first(group, 'original-recipient')),
      action: first(group, 'action')?.toLowerCase() ?? '',
      status: /^\d\.\d{1,3}\.\d{1,3}/.exec(first(group, 'status') ?? '')?.[0] ?? '',
    }))
  const [one] = recipients
  const returned = message.children.find((child) => returnedTypes.includes(child.contentType.value))
  return {
    kind: 'dsn',
    disposition: one && recipients.every(({ action }) => action === one.action) ? one.action : '',
    ...originalMessageId(
      messageId(first(perMessage, 'x-original-message-id')) ??
        messageId(first(perMessage, 'original-message-id')) ??
        (returned && messageIdOfReturned(returned)) ??
        messageId(message.header.get('in-reply-to')),
    ),
    ...(one?.finalRecipient !== undefined && recipients.length === 1 && { finalRecipient: one.finalRecipient }),
    recipients,
    extensions: others(perMessage, dsnFields),
  }
}

function isRecipientGroup(group: Fields): boolean {
  return group.some(([name]) => name === 'final-recipient' || name === 'action' || name === 'status')
}

const returnedTypes: readonly string[] = ['text/rfc822-headers', 'message/rfc822', 'message/rfc822-headers']

function messageIdOfReturned(part: Part): string | undefined {
  const decoded = decodeBody(part)
  if (decoded.kind !== 'decoded') return undefined
  const header = readHeader(decoded.bytes, { lineBreaks: 'any' })
  return header.kind === 'header' ? messageId(header.get('message-id')) : undefined
}

/** The fields of a report, in groups parted by empty lines (RFC 3464 §2.1). A line that is no field goes on the one before. */
function groupsOf(report: Part): Fields[] {
  const decoded = decodeBody(report)
  if (decoded.kind !== 'decoded') return []
  const groups: { name: string; lines: string[] }[][] = []
  let open = false
  let kept = 0
  for (const line of decoded.bytes.toString('utf8', 0, noticeLimits.reportBytes).split(/\r?\n/)) {
    if (line.trim() === '') {
      open = false
      continue
    }
    const [, name, value] = /^([A-Za-z][A-Za-z0-9-]*)[ \t]*:(.*)$/s.exec(line) ?? []
    if (name === undefined || value === undefined) {
      groups.at(-1)?.at(-1)?.lines.push(line)
      continue
    }
    kept += 1
    if (kept > noticeLimits.fields) break
    const field = { name: name.toLowerCase(), lines: [value] }
    if (open) groups.at(-1)?.push(field)
    else groups.push([field])
    open = true
  }
  return groups.map((group) => group.map(({ name, lines }) => [name, tidy(lines)]))
}

function tidy(lines: readonly string[]): string {
  return lines
    .join(' ')
    .slice(0, noticeLimits.fieldCharacters)
    .replace(/\p{Cc}+/gu, ' ')
    .trim()
}

/** A message id with its angle brackets, whether it came with them or not; undefined for what is none. */
function messageId(text: string | undefined): string | undefined {
  const bare = /^<?([^<>\s]+)>?$/.exec((text ?? '').trim())?.[1] ?? /<([^<>\s]+)>/.exec(text ?? '')?.[1]
  return bare === undefined ? undefined : `<${bare}>`
}

function originalMessageId(id: string | undefined): { originalMessageId?: string } {
  return id === undefined ? {} : { originalMessageId: id }
}

/** `rfc822; address` (RFC 8098 §3.2.4), the type in any case or missing, the address bare or in angle brackets. */
function recipient<Name extends string>(name: Name, value: string | undefined): { [key in Name]?: DirectAddress } {
  const [, text] = /^(?:rfc822\s*;)?\s*<?\s*([^<>;\s]+)\s*>?$/i.exec(value ?? '') ?? []
  const address = text === undefined ? undefined : parseAddress(text)
  return (address === undefined ? {} : { [name]: address }) as { [key in Name]?: DirectAddress }
}
