import { type Refused, refused } from '../direct/refusal.js'
import { outerDirectFields } from '../mime/direct-fields.js'
import { type Header, readHeader } from '../mime/header.js'
import { readMime } from '../mime/part.js'
import { unwrapMessage } from '../mime/unwrap.js'
import { finalDeliveryField } from '../notices/mdn.js'
import { type DsnRecipient, type Mdn, type Notice, recogniseNotice } from '../notices/recognise.js'
import { noticeRequestOf } from '../notices/request.js'
import type { Opened } from '../smime/open.js'
import type { MailNotice, NoticeFinding, OpenedMail } from './steps.js'

/**
 * Finds the message in what was signed: the wrapped one (RFC 8551 §3.1), whose header is signed with it, or else the
 * signed entity under the address fields of the envelope, which nobody signed. Refuses what is no message within the
 * MIME limits. Its content is not looked at beyond whether it is a notice: nobody trusts it yet.
 */
export function mailOf(opened: Opened, envelopeHeader: Header): OpenedMail | Refused {
  const unwrapped = unwrapMessage(opened.entity)
  if (unwrapped.kind === 'unreadable') return refused('malformed-message', unwrapped.detail)
  const wrapped = unwrapped.kind === 'unwrapped'
  const message = wrapped ? unwrapped.bytes : underEnvelope(opened.entity, envelopeHeader)
  const tree = readMime(message)
  if (tree.kind === 'unreadable') return refused('malformed-message', tree.detail)
  const messageId = tree.header.get('message-id')
  const outerFields = outerDirectFields(envelopeHeader, tree.header)
  const { signers, certificates, keyId, contentCipher, keyTransport } = opened
  return {
    kind: 'opened',
    ...{ signers, certificates, keyId, contentCipher, keyTransport, wrapped, message },
    ...(messageId !== undefined && { messageId }),
    ...(outerFields.length > 0 && { outerFields }),
    notice: noticeOf(recogniseNotice(tree)),
    request: noticeRequestOf(tree.header),
  }
}

/** Fields of the envelope that an unwrapped message is read with; its MIME fields come from the signed entity. */
const envelopeFields = new Set([
  ...['from', 'sender', 'reply-to', 'to', 'cc', 'subject', 'date', 'message-id', 'in-reply-to', 'references'],
  ...['disposition-notification-to', 'disposition-notification-options', 'x-direct-context'],
])

function underEnvelope(entity: Uint8Array, envelope: Header): Uint8Array {
  const signed = readHeader(entity)
  const signedNames = new Set(signed.kind === 'header' ? signed.fields.map(({ name }) => name) : [])
  const fields = envelope.fields.filter(({ name }) => envelopeFields.has(name) && !signedNames.has(name))
  return Buffer.concat([...fields.flatMap(({ raw }) => [raw, Buffer.from('\r\n')]), entity])
}

function noticeOf(notice: Notice): MailNotice {
  if (notice.kind === 'none') return notice
  const { kind, disposition, originalMessageId, finalRecipient } = notice
  return {
    kind,
    disposition,
    ...(originalMessageId !== undefined && { originalMessageId }),
    ...(finalRecipient !== undefined && { finalRecipient }),
    findings: notice.kind === 'mdn' ? [mdnFinding(notice)] : notice.recipients.map(dsnFinding),
  }
}

function mdnFinding({ disposition, modifiers, finalRecipient, originalRecipient, extensions }: Mdn): NoticeFinding {
  return {
    disposition: modifiers.includes('error') ? 'failed' : disposition,
    ...(finalRecipient !== undefined && { finalRecipient }),
    ...(originalRecipient !== undefined && { originalRecipient }),
    ...(extensions.has(finalDeliveryField.toLowerCase()) && { finalDelivery: true }),
  }
}

function dsnFinding({ action, status, ...named }: DsnRecipient): NoticeFinding {
  return { ...named, disposition: action, ...(status !== '' && { status }) }
}
